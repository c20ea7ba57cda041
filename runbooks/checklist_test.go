package runbooks_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spark-ta/spark/runbooks"
)

// line is one line of the checklist that the plan must have.
type line struct {
	text       string // trimmed
	kind       string // heading, item, command, prose
	checkpoint string
	section    string
}

// footer are the checklist's words about itself, which the plan says of itself in
// another way: its title, its date and its version.
var footer = []string{"# Spark TA Module", "**Last Updated:**", "**Version:**"}

// checklist reads the text by which a deployment is accepted.
func checklist(t *testing.T) []line {
	t.Helper()
	text, err := os.ReadFile("testdata/checklist.md")
	if err != nil {
		t.Fatal(err)
	}
	return readChecklist(string(text))
}

func readChecklist(text string) []line {
	var out []line
	fence := false
	at := line{}
	for l := range strings.Lines(text) {
		at.text = strings.TrimSpace(l)
		switch {
		case strings.HasPrefix(at.text, "```"):
			fence = !fence
			continue
		case at.text == "" || at.text == "---" || slices.ContainsFunc(footer, func(f string) bool { return strings.HasPrefix(at.text, f) }):
			continue
		case fence:
			at.kind = "command"
		case strings.HasPrefix(at.text, "### "):
			at.kind, at.section = "heading", at.text[len("### "):]
		case strings.HasPrefix(at.text, "## "):
			at.kind, at.checkpoint, at.section = "heading", at.text[len("## "):], ""
		case strings.HasPrefix(at.text, "- [ ] "):
			at.kind = "item"
		default:
			at.kind = "prose"
		}
		out = append(out, at)
	}
	return out
}

// omissions are the lines of the checklist that a text does not have, each after the
// one before. An item may be followed by its codes; every other line is there as it
// stands.
func omissions(want []line, text string) []string {
	var out []string
	have := strings.Split(text, "\n")
	next := 0
	for _, w := range want {
		i := slices.IndexFunc(have[next:], func(h string) bool {
			h = strings.TrimSpace(h)
			return h == w.text || w.kind == "item" && strings.HasPrefix(h, w.text+" `")
		})
		if i < 0 {
			out = append(out, w.kind+": "+w.text)
			continue
		}
		next += i + 1
	}
	return out
}

func TestThePlanHoldsTheWholeChecklistInItsOrder(t *testing.T) {
	whole := text(t, "hypercare.md")
	want := checklist(t)
	for _, o := range omissions(want, whole) {
		t.Errorf("hypercare.md lacks %s", o)
	}
	kinds := map[string]int{}
	for _, w := range want {
		kinds[w.kind]++
	}
	// Counted apart from this code: were the reader to skip some, the others
	// would still be found.
	if kinds["item"] != 51 || kinds["command"] != 42 {
		t.Errorf("the checklist has %d items and %d lines of commands, counted apart were 51 and 42", kinds["item"], kinds["command"])
	}
}

func TestALostLineIsNoticed(t *testing.T) {
	whole := text(t, "hypercare.md")
	for _, w := range checklist(t) {
		lines := strings.Split(whole, "\n")
		lines = slices.DeleteFunc(lines, func(h string) bool {
			h = strings.TrimSpace(h)
			return h == w.text || w.kind == "item" && strings.HasPrefix(h, w.text+" `")
		})
		if len(omissions(checklist(t), strings.Join(lines, "\n"))) == 0 {
			t.Errorf("without %q nothing is missed", w.text)
		}
	}
}

// scenarios are the checklist's headings of incidents and their runbooks.
var scenarios = map[string]string{
	"Scenario 1: Scheduler Not Running":       "scheduler-not-running.md",
	"Scenario 2: Notification Failures Spike": "notification-failures.md",
	"Scenario 3: SSE Connection Overload":     "sse-overload.md",
	"Scenario 4: Redis Connection Loss":       "redis-connection-loss.md",
}

func TestRunbooksHoldTheCommandsOfTheirScenario(t *testing.T) {
	seen := map[string]int{}
	for _, l := range checklist(t) {
		file, ok := scenarios[l.section]
		if !ok || l.kind != "command" {
			continue
		}
		seen[file]++
		if !slices.ContainsFunc(strings.Split(text(t, file), "\n"), func(h string) bool { return strings.TrimSpace(h) == l.text }) {
			t.Errorf("%s lacks %q", file, l.text)
		}
	}
	for _, file := range scenarios {
		if seen[file] == 0 {
			t.Errorf("the checklist has no command for %s", file)
		}
	}
}

var runbookFor = regexp.MustCompile(`(?m)^for: \[(.*)\]$`)

func TestRunbooksAndChecksKnowEachOther(t *testing.T) {
	p := parsed(t, "hypercare.md")
	for _, c := range append(p.Checks(), parsed(t, "go-live.md").Checks()...) {
		if c.Key && c.Runbook == "" {
			t.Errorf("%s is a key check without a runbook", c.ID)
		}
		if c.Runbook != "" {
			text(t, c.Runbook)
		}
	}
	for _, file := range scenarios {
		m := runbookFor.FindStringSubmatch(text(t, file))
		if m == nil {
			t.Errorf("%s does not say which checks it is for", file)
			continue
		}
		for _, id := range strings.Split(m[1], ", ") {
			if c := p.Check(id); c == nil || c.Runbook != file && c.Runbook != "" {
				t.Errorf("%s is for %s, which is no check or has another runbook", file, id)
			}
		}
	}
}

func TestGoLiveHasEightGatesAndATable(t *testing.T) {
	table := text(t, "go-live.md")
	for n := 1; n <= 8; n++ {
		if strings.Count(table, fmt.Sprintf(" Gate %d: ", n)) != 1 {
			t.Errorf("gate %d is not there once", n)
		}
	}
	for _, row := range []string{"deployed", "smoke checks green", "full checks ≥ 95 %", "exactly one leader", "no critical errors", "pages"} {
		if !regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(row) + ` \| \d \| yes \|$`).MatchString(table) {
			t.Errorf("the table has no required row %q", row)
		}
	}
	// The required rows are key checks of their gates.
	p := parsed(t, "go-live.md")
	for _, id := range []string{"deploy.done", "smoke.health", "smoke.candles", "smoke.leader", "smoke.errors", "full.share", "pages.alerts", "go.leader", "go.errors"} {
		if c := p.Check(id); c == nil || !c.Key {
			t.Errorf("%s is not a key check", id)
		}
	}
}

func TestPlanIsFoundByItsID(t *testing.T) {
	for _, id := range []string{"hypercare", "go-live"} {
		got, ok := runbooks.Plan(id)
		if !ok || string(got) != text(t, id+".md") {
			t.Errorf("Plan(%q) = %d bytes, %v", id, len(got), ok)
		}
	}
	for _, id := range []string{"", "coverage", "redis-connection-loss", "scenarios/perfect", "../runbooks/hypercare"} {
		if _, ok := runbooks.Plan(id); ok {
			t.Errorf("Plan(%q) found a plan", id)
		}
	}
}

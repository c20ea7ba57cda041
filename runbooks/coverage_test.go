package runbooks_test

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spark-ta/spark/runbooks"
)

// check is what the coverage table says of an item of a plan.
type check struct {
	id, words, checkpoint string
	key                   bool
	language, info, body  string
	role                  string
	runbook               string
	notIn                 map[string]string // reason by profile
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := fs.ReadFile(runbooks.Files(), file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	itemLine = regexp.MustCompile("^- \\[ \\] (.*?)((?: `[^`]+`)+)$")
	idCode   = regexp.MustCompile(`^[a-z0-9]+(\.[a-z0-9-]+)+$`)
	roleOf   = regexp.MustCompile(`\brole=(\S+)`)
	notInOf  = regexp.MustCompile(`\bna-([a-z-]+)="([^"]*)"`)
)

// checksOf reads the items of a plan as far as the table needs them.
func checksOf(t *testing.T, file string) []check {
	t.Helper()
	var out []check
	var c *check
	checkpoint, fence := "", false
	for l := range strings.Lines(text(t, file)) {
		l = strings.TrimRight(l, "\n")
		if h, ok := strings.CutPrefix(l, "## "); ok && !fence {
			checkpoint, c = h, nil
			continue
		}
		if m := itemLine.FindStringSubmatch(l); m != nil && !fence {
			out = append(out, check{words: m[1], checkpoint: checkpoint, notIn: map[string]string{}})
			c = &out[len(out)-1]
			c.codes(m[2])
			continue
		}
		fence = c.take(l, fence)
		if !strings.HasPrefix(l, "  ") && l != "" {
			c = nil
		}
	}
	return out
}

// codes takes the codes at the end of an item: words of its sentence, its id, flags.
func (c *check) codes(run string) {
	for _, code := range strings.Split(strings.Trim(run, " `"), "` `") {
		switch {
		case c.id == "" && idCode.MatchString(code):
			c.id = code
		case c.id == "":
			c.words += " `" + code + "`"
		case code == "key":
			c.key = true
		}
	}
}

// take takes a line below an item, and says whether a fence is open after it.
func (c *check) take(l string, fence bool) bool {
	bare := strings.TrimSpace(l)
	if strings.HasPrefix(bare, "```") {
		if c != nil && !fence {
			c.language, c.info, _ = strings.Cut(strings.Trim(bare, "`"), " ")
		}
		return !fence
	}
	switch {
	case c == nil:
	case fence:
		c.body += bare + "\n"
	case strings.HasPrefix(bare, "<!-- hc "):
		if m := roleOf.FindStringSubmatch(bare); m != nil {
			c.role = m[1]
		}
		for _, m := range notInOf.FindAllStringSubmatch(bare, -1) {
			c.notIn[m[1]] = m[2]
		}
	default:
		if m := runbookLink.FindStringSubmatch(l); m != nil {
			c.runbook = m[1]
		}
	}
	return fence
}

var metricName = regexp.MustCompile(`\b[a-z][a-z0-9]*_[a-z0-9_]+\b`)

// signal says what can make the check true or false.
func (c *check) signal() string {
	asked := c.asked()
	switch c.language {
	case "":
		return "manual: " + c.role
	case "command":
		return "manual: " + c.role + "; or the command `" + strings.TrimSpace(between(c.body, "# run:", "\n")) + "` when it is configured"
	case "promql", "slo", "trend":
		return c.language + ": " + metrics(asked)
	case "http":
		return "probe: `" + strings.TrimSpace(asked) + "` of " + strings.TrimSpace(between(c.info+" ", "each=", " "))
	case "run":
		return "the run itself: " + strings.TrimSpace(between(c.body, "# expect:", "\n"))
	}
	return "probe: " + c.language + " `" + strings.TrimSpace(asked) + "`"
}

// asked is the fence without its comments.
func (c *check) asked() string {
	var out []string
	for _, l := range strings.Split(c.body, "\n") {
		if !strings.HasPrefix(l, "#") && l != "" {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// functions of PromQL that look like metrics.
var functions = regexp.MustCompile(`_over_time$|^label_replace$|^histogram_quantile$|^clamp_min$`)

func metrics(query string) string {
	names := map[string]bool{}
	query = regexp.MustCompile(`\$\w+`).ReplaceAllString(query, "")
	for _, n := range metricName.FindAllString(query, -1) {
		if !functions.MatchString(n) {
			names["`"+n+"`"] = true
		}
	}
	if regexp.MustCompile(`\bup\{`).MatchString(query) {
		names["`up`"] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}

func (c *check) profiles() string {
	left := slices.DeleteFunc([]string{"all-in-one", "compose", "kubernetes"}, func(p string) bool { return c.notIn[p] != "" })
	out := strings.Join(left, ", ")
	if len(c.notIn) == 0 {
		out = "all"
	}
	for _, p := range slices.Sorted(maps.Keys(c.notIn)) {
		out += "; not " + p + ": " + c.notIn[p]
	}
	return out
}

// answers names for each command of the checklist the check that answers what an
// operator would look for in its output.
var answers = map[string]string{
	`docker ps | grep spark`:            "services.started",
	`curl http://localhost:4001/health`: "health.all",
	`curl http://localhost:3000/api/marketdata/candles?symbol=BTCUSDT&timeframe=1h&limit=1`: "charts.candles",
	`docker logs executor-1 | grep "became leader"`:                                         "leader.elected",
	`curl -s http://localhost:4001/metrics | grep alerts_active`:                            "alerts.visible",
	`curl -s http://localhost:4001/metrics | grep leader_elected_total`:                     "leader.elections",
	`curl -sI http://localhost:3000/api/marketdata/stream | grep X-Streams`:                 "streams.idle",
	`docker stats --no-stream`: "cpu.limits, memory.limits, redis.memory",
	`curl -s http://localhost:4001/metrics | grep alerts_errors_total`:                              "alerts.errors",
	`curl -s http://localhost:4001/metrics | grep notifications_`:                                   "notify.working",
	`docker logs executor-1 | grep "became leader" | wc -l  # Should be 1-2`:                        "leader.stable",
	`curl -s http://localhost:4001/metrics | grep alerts_suppressed_total`:                          "cooldown.working",
	`# Notification success rate`:                                                                   "",
	`curl -s http://localhost:4001/metrics | grep notifications_ | awk '{sum+=$2} END {print sum}'`: "notify.rate",
	`# Suppression rate`: "",
	`curl -s http://localhost:4001/metrics | grep cooldown`:                           "tune.cooldown",
	`docker exec spark-redis redis-cli INFO persistence | grep aof_current_size`:      "redis.aof",
	`curl -sI http://localhost:3000/api/marketdata/stream | grep X-Streams-Connected`: "streams.leaks",
	`docker logs executor-1 | grep leader`:                                            "leader.single",
	`docker exec executor-1 sh -c "redis-cli GET spark:alerts:scheduler:lock"`:        "leader.single",
	`docker exec spark-redis redis-cli DEL spark:alerts:scheduler:lock`:               "leader.single",
	`docker restart executor-1 executor-2`:                                            "leader.single, eval.sweeping",
	`curl -s http://localhost:4001/metrics | grep notifications_failed_total`:         "notify.failing",
	`kubectl set env deployment/executor NOTIFY_RATE_LIMIT=10  # Reduce load`:         "notify.failing",
	`docker exec spark-redis redis-cli PING`:                                          "redis.up",
	`docker restart spark-redis`:                                                      "redis.up",
}

// row is one line of the table.
type row struct {
	line     line
	ids      []string
	signal   string
	profiles string
}

// coverage makes the rows, and says what is wrong with the plan.
func coverage(t *testing.T) (rows []row, faults []string) {
	t.Helper()
	checks := checksOf(t, "hypercare.md")
	byID := map[string]*check{}
	for i := range checks {
		byID[checks[i].id] = &checks[i]
	}
	next := 0
	for _, l := range checklist(t) {
		r := row{line: l}
		switch l.kind {
		case "item":
			i := slices.IndexFunc(checks[next:], func(c check) bool { return c.words == strings.TrimPrefix(l.text, "- [ ] ") })
			if i < 0 || checks[next+i].checkpoint != l.checkpoint {
				faults = append(faults, "no check for "+l.text)
				continue
			}
			c := &checks[next+i]
			next += i + 1
			r.ids, r.signal, r.profiles = []string{c.id}, c.signal(), c.profiles()
			if c.language == "" && c.role == "" {
				faults = append(faults, c.id+" has no signal, and nobody's role")
			}
		case "command":
			ids, known := answers[l.text]
			if ids == "" {
				if !known && !strings.HasPrefix(l.text, "#") {
					faults = append(faults, "no check for the command "+l.text)
				}
				continue // a remark between commands
			}
			r.ids = strings.Split(ids, ", ")
			faults = append(faults, r.ofCommand(byID)...)
		default:
			continue
		}
		rows = append(rows, r)
	}
	return rows, faults
}

// ofCommand fills in the row of a command from the checks that answer for it.
func (r *row) ofCommand(byID map[string]*check) (faults []string) {
	var signals []string
	apart := []string{}
	for _, id := range r.ids {
		c := byID[id]
		if c == nil {
			faults = append(faults, "the command "+r.line.text+" is answered by "+id+", which is no check")
			continue
		}
		signals = append(signals, c.signal())
		profiles := c.profiles()
		if len(r.ids) > 1 { // the reasons stand with the items
			profiles, _, _ = strings.Cut(profiles, ";")
		}
		apart = append(apart, profiles)
		if file := scenarios[r.line.section]; file != "" && c.runbook != file {
			faults = append(faults, id+" answers for a command of "+file+" and does not link to it")
		}
	}
	r.signal = strings.Join(signals, "; ")
	if file := scenarios[r.line.section]; file != "" {
		r.signal = "runbook [" + strings.TrimSuffix(file, ".md") + "](" + file + "), then " + r.signal
	}
	r.profiles = strings.Join(slices.Compact(apart), "; ")
	return faults
}

const preface = `# What answers for the checklist

Every item and every command of the checklist by which a deployment is accepted, in its
order, with the check of [hypercare.md](hypercare.md) that answers for it, the signal that
makes it true or false, and where it exists. A manual item has no signal but a person.

Made by ` + "`UPDATE=1 go test ./runbooks`" + ` and compared by every other run of that test.

`

func render(rows []row) string {
	var b strings.Builder
	b.WriteString(preface)
	auto, manual, commands := 0, 0, 0
	for _, r := range rows {
		switch {
		case r.line.kind == "command":
			commands++
		case strings.HasPrefix(r.signal, "manual"):
			manual++
		default:
			auto++
		}
	}
	fmt.Fprintf(&b, "%d items: %d judged by the machine, %d by people. %d commands.\n", auto+manual, auto, manual, commands)
	at := ""
	for n, r := range rows {
		if r.line.checkpoint != at {
			at = r.line.checkpoint
			fmt.Fprintf(&b, "\n## %s\n\n| # | section | item or command | check | signal | profiles |\n|---|---|---|---|---|---|\n", at)
		}
		words := strings.TrimPrefix(r.line.text, "- [ ] ")
		if r.line.kind == "command" {
			words = "`" + words + "`"
		}
		cells := []string{fmt.Sprint(n + 1), cmp.Or(r.line.section, "-"), words, "`" + strings.Join(r.ids, "`, `") + "`", r.signal, r.profiles}
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return b.String()
}

func TestEveryItemAndCommandHasACheckWithASignal(t *testing.T) {
	rows, faults := coverage(t)
	for _, f := range faults {
		t.Error(f)
	}
	for _, r := range rows {
		if r.signal == "" || strings.HasSuffix(r.signal, ": ") || r.profiles == "" {
			t.Errorf("%q has no signal: %q, %q", r.line.text, r.signal, r.profiles)
		}
	}
	want := render(rows)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile("coverage.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, _ := os.ReadFile("coverage.md"); string(have) != want {
		t.Errorf("coverage.md is not what the plan gives; run UPDATE=1 go test ./runbooks and look at the difference:\n%s", firstDifference(string(have), want))
	}
}

func firstDifference(have, want string) string {
	h, w := strings.Split(have, "\n"), strings.Split(want, "\n")
	for i := range min(len(h), len(w)) {
		if h[i] != w[i] {
			return fmt.Sprintf("line %d\nhave %s\nwant %s", i+1, h[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(h), len(w))
}

func TestIDsAreUnique(t *testing.T) {
	for _, file := range []string{"hypercare.md", "go-live.md"} {
		seen := map[string]bool{}
		for _, c := range checksOf(t, file) {
			if c.id == "" {
				t.Errorf("%s: %q has no id", file, c.words)
			}
			if seen[c.id] {
				t.Errorf("%s: %s is there twice", file, c.id)
			}
			seen[c.id] = true
		}
		if items := strings.Count(text(t, file), "- [ ] "); items != len(seen) {
			t.Errorf("%s: %d of %d items were read", file, len(seen), items)
		}
	}
}

// The machine's own are the items that a person must not have to look at.
func TestWhatAMachineCanKnowIsAutomatic(t *testing.T) {
	people := []string{
		"ui.alert", "ui.notification", "streams.reconnect", "ux.history", "grafana.review", "ux.render", "users.feedback",
		"signoff.briefed", "signoff.runbook", "signoff.oncall", "signoff.dashboards", "signoff.report",
	}
	var manual []string
	for _, c := range checksOf(t, "hypercare.md") {
		if c.language == "" || c.language == "command" {
			manual = append(manual, c.id)
		}
	}
	if !slices.Equal(manual, people) {
		t.Errorf("manual are %v, want %v", manual, people)
	}
}

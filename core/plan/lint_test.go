package plan_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
)

func clean(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/clean.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	promqlWord  = regexp.MustCompile(`[a-z_][a-z0-9_]*`)
	promqlQuiet = regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)|#.*`)
)

// readPromQL is as much of a PromQL parser as these plans need: parentheses match,
// and words that are not called are metrics. The daemon gives the real one.
func readPromQL(expr string) (metrics []string, pos int, err error) {
	if i := strings.IndexByte(expr, '$'); i >= 0 {
		return nil, i, errors.New("a parameter is left")
	}
	depth := 0
	for i := range len(expr) {
		switch expr[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return nil, i, errors.New("unexpected )")
			}
		}
	}
	if depth > 0 {
		return nil, len(expr), errors.New("unclosed (")
	}
	quiet := promqlQuiet.ReplaceAllStringFunc(expr, func(s string) string { return strings.Repeat(" ", len(s)) })
	for _, m := range promqlWord.FindAllStringIndex(quiet, -1) {
		before := m[0] == 0 || !strings.ContainsAny(quiet[m[0]-1:m[0]], "0123456789")
		if called := strings.HasPrefix(strings.TrimLeft(quiet[m[1]:], " "), "("); !called && before {
			metrics = append(metrics, quiet[m[0]:m[1]])
		}
	}
	return metrics, -1, nil
}

func allKnown() plan.LintOptions {
	known := map[string]bool{
		"up": true, "spark_canary_stream": true, "process_cpu_seconds_total": true, "process_resident_memory_bytes": true,
	}
	for _, m := range wire.Metrics() {
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			known[m.Name+suffix] = true
		}
	}
	return plan.LintOptions{
		Metrics: func(name string) bool { return known[name] },
		Syntax:  readPromQL,
		Newer:   func(expr string) bool { return strings.Contains(expr, "anchored") },
		Remote:  true,
		Runbooks: func(path string) bool {
			return slices.Contains([]string{"health.md", "leader-stuck.md", "notification-failures.md"}, path)
		},
		Commands:    func(name string) bool { return name == "redis-persistence" },
		Environment: func(name string) bool { return name == "NOTIFY_RATE_LIMIT" },
		Probe: func(language, query string) error {
			if language == plan.SourceHTTP && !strings.HasPrefix(query, "GET /") {
				return errors.New("GET and a path are meant")
			}
			return nil
		},
		Seen: func(string) (failed, unknown bool) { return true, true },
	}
}

func TestACleanPlanHasNoFaults(t *testing.T) {
	p, faults := plan.LintFile("clean.md", []byte(clean(t)), allKnown())
	for _, f := range faults {
		t.Errorf("clean.md:%d:%d: %s %s: %s", f.Line, f.Column, f.Severity, f.Code, f.Text)
	}
	if p == nil {
		t.Fatal("the plan was not parsed")
	}
	if faults := plan.Lint(p, plan.LintOptions{}); len(faults) > 0 {
		t.Errorf("without what the daemon knows: %v", faults)
	}
}

// seeded is one mistake put into the clean plan: the text with the mistake has the
// mark ¶ where the fault is expected.
type seeded struct {
	name string
	old  string
	new  string
	want string // severity, code and a part of the sentence
}

var seededMistakes = []seeded{
	// What the daemon's knowledge finds.
	{"syntax of a query", "  sum(leader_is_leader)\n", "  sum(leader_is_leader)¶)\n", `error promql: unexpected )`},
	{"syntax behind a parameter", "# good:  sum(increase(notifications_sent_total[$window]))", "# good:  sum(increase(notifications_sent_total[$window]))¶)", "error promql: unexpected )"},
	{"syntax of events", `"sum(increase(alert_eval_duration_seconds_count[$window]))"`, `"sum(increase(alert_eval_duration_seconds_count[$window]))¶)"`, "error promql"},
	{"syntax of a graph", `graph="sum by (instance)`, `graph="sum¶) by (instance)`, "error promql: unexpected )"},
	{"unknown metric", "  sum(streams_connected)", "  sum(¶stream_connected)", "error unknown-metric: no instance has a metric stream_connected"},
	{"unknown metric of a total", "sum(increase(notifications_dead_total[", "sum(increase(¶notifications_ded_total[", "error unknown-metric"},
	{"newer words", "sum(streams_connected)", "¶sum(increase(streams_messages_total[5m] anchored))", "error newer-syntax"},
	{"unknown command", "# run: redis-persistence", "# run: ¶redis-info", "error unknown-command"},
	{"unknown runbook", "[health](health.md)", "[¶health](helth.md)", "error unknown-runbook: there is no runbook helth.md"},
	{"unknown variable", "decide=NOTIFY_RATE_LIMIT", "decide=¶NOTIFY_RATE_LIMITS", "error unknown-variable"},
	{"query of another source", "  GET /health\n", "  ¶FETCH /health\n", "error query: GET and a path"},
	// Units.
	{"bytes against seconds", "# expect: value <= $latency_target", "# expect: ¶value <= 2MiB", "error unit: value <= 2MiB: the value is in seconds and 2 MiB is in bytes"},
	{"a parameter of the wrong unit", "# expect: value <= $latency_target", "# expect: ¶value <= $executor_memory", "error unit"},
	{"a share against a count", "  # expect: >= 0\n  # empty: unknown\n  sum(streams_connected)", "  # expect: ¶> 98%\n  sum(increase(streams_opened_total[5m]))", "error unit: > 98%: a count is compared with a share"},
	{"a percentage of a ratio", "  # expect: >= 0\n  # empty: unknown\n  sum(streams_connected)", "  # expect: ¶>= 98\n  sum(notifications_sent_total) / sum(notifications_retried_total)", "error unit: >= 98: the value is a ratio from 0 to 1, so that 98 is never reached: write 98%"},
	{"a share of a percentage", "  # expect: >= 0\n  # empty: unknown\n  sum(streams_connected)", "  # expect: ¶>= 98%\n  100 * sum(notifications_sent_total) / sum(notifications_retried_total)", "error unit: >= 98%: the value is multiplied by 100"},
	{"seconds against a field in bytes", "aof_current_size < 1GiB", "¶aof_current_size < 10s", "error unit"},
	{"a share of latency", "# expect: status == 200 and latency < 1s", "# expect: ¶status == 200 and latency < 5%", "error unit"},
	{"a limit in seconds of bytes", "limit=$executor_memory", "limit=¶$latency_target", "error unit"},
	{"a figure in bytes that are seconds", "# show:  histogram_quantile(0.95, sum by (le) (rate(notification_latency_seconds_bucket[$window]))) as s", "# show:  ¶histogram_quantile(0.95, sum by (le) (rate(notification_latency_seconds_bucket[$window]))) as MB", "error unit"},
	{"a target without its unit", "target=$sse_target", "target=¶99.5", "error parse: target: 99.5 is more than everything: 99.5% is meant"},
	// People and evidence.
	{"a key check without a runbook", "- [ ] Leader election completed (only 1 instance) `leader.single` `key` `unwaivable`\n  → [leader is stuck](runbooks/leader-stuck.md#act)\n", "- ¶[ ] Leader election completed (only 1 instance) `leader.single` `key` `unwaivable`\n", "error no-runbook"},
	{"a rate without events", "slo target=$notify_target min-events=200 burn", "slo target=$notify_target burn", "warning no-min-events"},
	{"a window rate without events", `{"window": "24h", "min-events": 20, "events": "sum(increase(alert_eval_duration_seconds_count[$window]))"}`, "window=24h", "warning no-min-events"},
	{"least events that nothing counts", `, "events": "sum(increase(alert_eval_duration_seconds_count[$window]))"`, "", "error no-events"},
	{"events without a least number", "window=1h min-coverage=95% min-events=100\n  # expect: < 20%\n  # events: ", "window=1h min-coverage=95%\n  # expect: < 20%\n  # events: ¶", "warning no-min-events"},
	{"a word that empty does not know", "# expect: critical == 0\n", "# expect: critical == 0\n  # empty: ¶pas\n", "error parse"},
	{"a key check passes when nothing answers", "  # unknown-if: no data for 60s\n", "  # empty: ¶pass\n", "warning empty-pass"},
	{"a window before T0", "window=1h min-coverage=95%", "window=¶12h min-coverage=95%", "warning long-window"},
	{"never settles", "```http each=web\n", "```http each=web settle=¶20 every=5m\n", "error never-settles"},
	{"a ticked box", "- [ ] Memory does not climb", "- ¶[x] Memory does not climb", "warning ticked"},
	{"no change", "from=30 to=10", "from=30 to=30", "error no-change"},
	// Parameters and roles.
	{"an undefined parameter of an expectation", "value <= $latency_target", "value <= ¶$latency_targt", `error undefined-parameter: unknown parameter "latency_targt": did you mean latency_target?`},
	{"an undefined parameter of a query", "  sum(streams_connected)", "  sum(streams_connected) - ¶$offst", "error undefined-parameter"},
	{"an undefined parameter of a limit", "limit=$executor_memory", "limit=¶$executer_memory", "error parse: limit: unknown parameter"},
	{"an unused parameter", "  sse_target: 99.5%\n", "  spare: ¶3\n  sse_target: 99.5%\n", "warning unused-parameter"},
	{"an address that is none", "each=web", "each=¶wep", "error undefined-parameter"},
	{"a role misspelt", "<!-- hc role=development-lead -->", "<!-- hc role=¶development-led -->", "warning unknown-role"},
	// Options, flags, ids, marks.
	{"unknown option of an item", "due=10m evidence=note", "¶du=10m evidence=note", `error parse: unknown option "du": did you mean due?`},
	{"unknown option of a checkpoint", "<!-- hc window=10m grace=5m", "<!-- hc ¶windw=10m grace=5m", `error parse: unknown option "windw": did you mean window?`},
	{"unknown flag", "`leader.single` `key` `unwaivable`", "`leader.single` `key` `¶unwaiveable`", `error parse: unknown flag "unwaiveable": did you mean unwaivable?`},
	{"unknown comment line", "# fail-after: 30s", "# ¶fail-aftr: 30s", `error parse: unknown comment line "fail-aftr": did you mean fail-after?`},
	{"unknown kind of source", "```trend by", "¶```trent by", `error parse: unknown kind of source "trent": did you mean trend?`},
	{"unknown key", "exit: { open_waivers: 2,", "exit: { ¶open_waiver: 2,", `error parse: unknown key "open_waiver": did you mean open_waivers?`},
	{"a duplicate id", "`web.up`", "`¶log.fatal`", "error parse: the id log.fatal is already that of line"},
	{"an expectation that cannot be read", "# expect: status == 200 and latency < 1s", "# expect: status == 200 and latency ¶1s", "error parse: a comparison"},
}

func TestLintFindsSeededMistakes(t *testing.T) {
	base := clean(t)
	for _, m := range seededMistakes {
		t.Run(m.name, func(t *testing.T) { m.check(t, base) })
	}
	for _, option := range []string{"¶settel=3", "¶mode", "¶burn", "¶target=98%"} {
		m := seeded{"", "```http each=web\n", "```http each=web " + option + "\n", "error parse"}
		t.Run(option, func(t *testing.T) { m.check(t, base) })
	}
}

func (m seeded) check(t *testing.T, base string) {
	if strings.Count(base, m.old) != 1 {
		t.Fatalf("%q stands %d times in the clean plan", m.old, strings.Count(base, m.old))
	}
	text := strings.Replace(base, m.old, m.new, 1)
	line, column := 0, 0
	if before, after, marked := strings.Cut(text, "¶"); marked {
		line = strings.Count(before, "\n") + 1
		column = utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
		text = before + after
	}
	_, faults := plan.LintFile("plan.md", []byte(text), allKnown())
	var got []string
	for _, f := range faults {
		got = append(got, fmt.Sprintf("%d:%d: %s %s: %s", f.Line, f.Column, f.Severity, f.Code, f.Text))
		if strings.HasPrefix(fmt.Sprintf("%s %s: %s", f.Severity, f.Code, f.Text), m.want) && (line == 0 || f.Line == line && f.Column == column) {
			return
		}
	}
	t.Errorf("want %s at %d:%d, got\n%s", m.want, line, column, strings.Join(got, "\n"))
}

func TestLintWantsScenarios(t *testing.T) {
	o := allKnown()
	o.Seen = func(id string) (failed, unknown bool) {
		return id != "health.all", id != "web.up" && id != "run.incidents"
	}
	_, faults := plan.LintFile("clean.md", []byte(clean(t)), o)
	var got []string
	for _, f := range faults {
		got = append(got, fmt.Sprintf("%s %s: %s", f.Severity, f.Code, f.Text))
	}
	want := []string{
		"error never-failed: no scenario made health.all fail: write one that does",
		"warning never-unknown: no scenario made web.up unknown: write one that does",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("faults (-want +got):\n%s", d)
	}
}

func TestLintCountsManualItemsAndEmptyCheckpoints(t *testing.T) {
	var text strings.Builder
	text.WriteString(head + "# T\n\n## T+0\n\n## T+1h\n\n")
	for i := range 10 {
		fmt.Fprintf(&text, "- [ ] item %d `item.n%d`\n", i, i)
	}
	_, faults := plan.LintFile("p.md", []byte(text.String()), plan.LintOptions{})
	var got []string
	for _, f := range faults {
		got = append(got, fmt.Sprintf("%d:%d %s", f.Line, f.Column, f.Code))
	}
	if d := cmp.Diff([]string{"6:11 idle-role", "10:1 no-checks", "12:1 many-manual"}, got); d != "" {
		t.Errorf("faults (-want +got):\n%s", d)
	}
}

func BenchmarkLint(b *testing.B) {
	p, err := plan.Parse("clean.md", []byte(clean(b)))
	if err != nil {
		b.Fatal(err)
	}
	o := allKnown()
	for b.Loop() {
		plan.Lint(p, o)
	}
}

package plan_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spark-ta/spark/core/plan"
)

const head = "---\nkind: hypercare-plan\nid: hypercare\nschema: 1\nservice: s\nsignoff: [lead]\n---\n"

// parsed parses a plan that has no mistakes.
func parsed(t testing.TB, text string) *plan.Plan {
	t.Helper()
	p, err := plan.Parse("plan.md", []byte(text))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return p
}

func TestParseReadsFrontMatter(t *testing.T) {
	p := parsed(t, clean(t))
	got := plan.Plan{
		Kind: p.Kind, ID: p.ID, Title: p.Title, Service: p.Service, Schema: p.Schema, Params: p.Params, SignOff: p.SignOff, Exit: p.Exit,
	}
	want := plan.Plan{
		Kind: "hypercare-plan", ID: "hypercare", Title: "Two days with a new version", Service: "Spark TA Module", Schema: 1,
		Params: map[string]plan.Value{
			"sse_target":      {Num: 0.995, Unit: plan.UnitShare},
			"latency_target":  {Num: 2, Unit: plan.UnitSeconds},
			"notify_target":   {Num: 0.98, Unit: plan.UnitShare},
			"executor_memory": {Num: 500e6, Unit: plan.UnitBytes},
			"web":             plan.Text("http://localhost:3000"),
		},
		SignOff: []string{"operations-lead", "development-lead"}, Exit: plan.Exit{OpenWaivers: 2, UserIssues: 2},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("front matter (-want +got):\n%s", d)
	}
}

func TestParseReadsCheckpoints(t *testing.T) {
	type checkpoint struct {
		ID, Title             string
		Offset, Window, Grace time.Duration
		SignOff               []string
		Sections              []string
		Line                  int
	}
	var got []checkpoint
	for _, c := range parsed(t, clean(t)).Checkpoints {
		var sections []string
		for _, s := range c.Sections {
			sections = append(sections, fmt.Sprintf("%s: %d checks, %q", s.Title, len(s.Checks), s.Commands))
		}
		got = append(got, checkpoint{c.ID, c.Title, c.Offset, c.Window, c.Grace, c.SignOff, sections, c.Line})
	}
	const m, h = time.Minute, time.Hour
	want := []checkpoint{
		{"T+0", "Deployment Complete", 0, 10 * m, 5 * m, []string{"operations-lead"}, []string{
			"Immediate Checks: 3 checks, []",
			`Commands: 0 checks, ["docker ps | grep spark\ncurl http://localhost:4001/health"]`,
		}, 19},
		{"T+15m", "", 15 * m, 10 * m, 5 * m, nil, []string{"Metrics Validation: 2 checks, []"}, 56},
		{"T+4h", "Half a day's start", 4 * h, 30 * m, 30 * m, nil, []string{": 1 checks, []"}, 70},
		{"T+48h", "", 48 * h, 30 * m, 30 * m, nil, []string{"Final Validation: 9 checks, []"}, 79},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("checkpoints (-want +got):\n%s", d)
	}
}

func TestHeadingsOfCheckpoints(t *testing.T) {
	tests := []struct{ heading, id, title string }{
		{"T+0", "T+0", ""},
		{"T+0 (Deployment Complete)", "T+0", "Deployment Complete"},
		{"T+15 Minutes", "T+15m", ""},
		{"T+1 Hour", "T+1h", ""},
		{"T+4 Hours", "T+4h", ""},
		{"T+12 Hours (Next Business Day)", "T+12h", "Next Business Day"},
		{"T+12h — Next day (if any)", "T+12h", "Next day (if any)"},
		{"T+15m - First quarter hour", "T+15m", "First quarter hour"},
		{"T+15m: First", "T+15m", "First"},
		{"T+2d", "T+48h", ""},
		{"T+90m", "T+1h30m", ""},
		{"T+2 days", "T+48h", ""},
		{"T+x", "", ""},
		{"T+15", "", ""},
		{"T+15 Parsecs", "", ""},
		{"T+15Minutes", "", ""},
		{"T+0x", "", ""},
		{"t+1h", "T+1h", ""},
	}
	for _, tt := range tests {
		p, err := plan.Parse("plan.md", []byte(head+"# T\n\n## "+tt.heading+"\n\n- [ ] words `a.b`\n"))
		if tt.id == "" {
			if err == nil || !strings.Contains(err.Error(), "plan.md:10:1: ") {
				t.Errorf("%q: error %v, want one at 10:1", tt.heading, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.heading, err)
			continue
		}
		if c := p.Checkpoints[0]; c.ID != tt.id || c.Title != tt.title {
			t.Errorf("%q: id %q, title %q, want %q, %q", tt.heading, c.ID, c.Title, tt.id, tt.title)
		}
	}
}

func TestParseReadsChecks(t *testing.T) {
	p := parsed(t, clean(t))
	expect := func(s string) *plan.Expect {
		e, err := plan.ParseExpect(s)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	want := map[string]plan.Check{
		"health.all": {
			Text: "Health endpoints returning 200 OK", Kind: plan.Auto, Key: true, Runbook: "health.md", Line: 24, Column: 3,
			Source: plan.Source{Language: "http", Query: "GET /health", Expect: expect("status == 200 and latency < 1s"), Each: "executors", Empty: plan.NoData},
		},
		"leader.single": {
			Text: "Leader election completed (only 1 instance)", Kind: plan.Auto, Mode: plan.Invariant, Key: true, Unwaivable: true, Runbook: "leader-stuck.md", Incident: 2, Line: 32, Column: 3,
			Source: plan.Source{
				Language: "promql", Query: "# A remark that stays with the query.\nsum(leader_is_leader)", Expect: expect("== 1"), Every: 15 * time.Second, Empty: plan.NoData,
				FailAfter:    []plan.Patience{{For: 30 * time.Second, Op: "above", Value: 1}, {For: time.Minute, Op: "at", Value: 0}},
				UnknownAfter: time.Minute, Graph: `sum by (instance) (leader_is_leader{job="spark"})`,
			},
		},
		"services.started": {
			Text: "All services started successfully", Kind: plan.Auto, Line: 42, Column: 3,
			NotIn:  map[string]string{"all-in-one": "one process is all of them", "kubernetes": "the cluster counts them"},
			Source: plan.Source{Language: "docker", Query: "containers name=spark,executor,web-next", Expect: expect("running == true and restarts == 0"), Empty: plan.NoData},
		},
		"metrics.streams": {
			Text: "`streams_connected` = 0 (no active streams yet, normal)", Kind: plan.Auto, Line: 60, Column: 3,
			Source: plan.Source{Language: "promql", Query: "sum(streams_connected)", Expect: expect(">= 0"), Empty: plan.NoData},
		},
		"alert.create": {
			Text: "Create test alert via UI (`/alerts` page)", Role: "operations-lead", Due: 10 * time.Minute, Evidence: "note", Line: 67, Column: 3,
		},
		"slo.all": {
			Text: "All SLOs met: SSE Availability ≥ 99.5%; Alert Latency P95 ≤ 2s over all alerts", Role: "development-lead", Line: 83, Column: 3,
		},
		"slo.notify": {
			Text: "Notifications arrive", Kind: plan.Auto, Mode: plan.Window, Key: true, Runbook: "notification-failures.md", Line: 88, Column: 3,
			Decide: &plan.Proposal{Parameter: "NOTIFY_RATE_LIMIT", From: "30", To: "10", Why: "the receivers refuse more"},
			Source: plan.Source{
				Language: "slo", Target: 0.98, MinEvents: 200, Burn: true, Empty: plan.NoData,
				Good:  "sum(increase(notifications_sent_total[$window]))",
				Total: "sum(increase(notifications_sent_total[$window])) + sum(increase(notifications_dead_total[$window]))",
				Show:  "histogram_quantile(0.95, sum by (le) (rate(notification_latency_seconds_bucket[$window])))", ShowUnit: "s",
			},
		},
		"rss.trend": {
			Text: "Memory does not climb", Kind: plan.Auto, Mode: plan.Trend, Line: 96, Column: 3,
			Source: plan.Source{Language: "trend", Query: `process_resident_memory_bytes{job="spark"}`, By: "instance", Limit: 500e6, Horizon: 7 * 24 * time.Hour, Empty: plan.NoData},
		},
		"redis.aof": {
			Text: "Redis AOF file size reasonable", Kind: plan.Command, Line: 119, Column: 3,
			Source: plan.Source{Language: "command", Query: "docker exec spark-redis redis-cli INFO persistence", Run: "redis-persistence", Expect: expect("aof_current_size < 1GiB"), Empty: plan.NoData},
		},
		"latency.p95": {
			Text: "Alert evaluation P95 < 2s", Kind: plan.Auto, Mode: plan.Window, Line: 100, Column: 3,
			Source: plan.Source{
				Language: "promql", Window: 24 * time.Hour, MinEvents: 20, Events: "sum(increase(alert_eval_duration_seconds_count[$window]))", Empty: plan.NoData,
				Expect: expect("value <= $latency_target"), Query: "histogram_quantile(0.95, sum by (le) (rate(alert_eval_duration_seconds_bucket[$window])))",
			},
		},
	}
	same := cmp.Options{
		cmpopts.IgnoreFields(plan.Check{}, "ID", "Digest"),
		cmp.Comparer(func(a, b *plan.Expect) bool { return a == b || a != nil && b != nil && a.Text == b.Text }),
	}
	for id, w := range want {
		c := p.Check(id)
		if c == nil {
			t.Errorf("there is no check %s", id)
			continue
		}
		if d := cmp.Diff(w, *c, same); d != "" {
			t.Errorf("%s (-want +got):\n%s", id, d)
		}
	}
}

// Check.Line and Column are the place of the box, whatever stands before it.
func TestPositionsLeadBackToTheBox(t *testing.T) {
	p := parsed(t, clean(t))
	lines := strings.Split(p.Text, "\n")
	for _, c := range p.Checks() {
		if rest := lines[c.Line-1][c.Column-1:]; !strings.HasPrefix(rest, "[ ] ") {
			t.Errorf("%s at %d:%d is %q", c.ID, c.Line, c.Column, rest)
		}
	}
}

func TestParseNamesEachMistake(t *testing.T) {
	item := func(s string) string { return head + "# T\n\n## T+0\n\n" + s } // the item begins on line 12
	tests := []struct{ name, text, want string }{
		{"empty", "", `p.md:1:1: front matter is missing: begin with a line of three dashes, kind: and id:, and another such line`},
		{"front matter without end", "---\nkind: x\n", "p.md:1:1: the front matter does not end: close it with a line of three dashes"},
		{"yaml", "---\nkind: [\n---\n# T\n", "p.md:"},
		{"a list for a word", strings.Replace(head, "kind: hypercare-plan", "kind: [a]", 1), "p.md:2:1: one value is meant here, no list and no map"},
		{"duplicate key", strings.Replace(head, "id: hypercare\n", "id: hypercare\nid: b\n", 1), `p.md:4:1: mapping key "id" already defined at line 2`},
		{"an alias", strings.Replace(head, "id: hypercare", "id: &a hypercare", 1), "p.md:3:5: anchors and aliases are not read: write the value out"},
		{"unknown kind", strings.Replace(head, "hypercare-plan", "hypercare-pln", 1), `p.md:2:7: unknown kind "hypercare-pln": did you mean hypercare-plan?`},
		{"unknown schema", strings.Replace(head, "schema: 1", "schema: 2", 1), "p.md:4:9: schema 2 is unknown: this program reads 1"},
		{"missing id", strings.Replace(head, "id: hypercare\n", "", 1), "p.md:1:1: id: is missing in the front matter"},
		{"nobody signs", strings.Replace(head, "[lead]", "[]", 1), "p.md:1:1: nobody signs the exit: write signoff: [operations-lead, development-lead]"},
		{"a role in capitals", strings.Replace(head, "[lead]", "[Lead]", 1), `p.md:6:11: the role "Lead" has to be lower case words joined by dashes, such as operations-lead`},
		{"a parameter with a strange unit", strings.Replace(head, "signoff", "params: { a: 3 furlongs }\nsignoff", 1), `p.md:6:14: "3 furlongs" has an unknown unit`},
		{"a parameter called window", strings.Replace(head, "signoff", "params: { window: 3 }\nsignoff", 1), `p.md:6:19: "window" cannot be a parameter's name`},
		{"a negative limit", strings.Replace(head, "signoff", "exit: { open_waivers: -1 }\nsignoff", 1), `p.md:6:23: open_waivers has to be a whole number from 0 to 1000, not "-1"`},
		{"no title", head + "## T+0\n", `p.md:1:1: the plan has no title: write "# Title" behind the front matter`},
		{"no checkpoint", head + "# T\n", `p.md:1:1: the plan has no checkpoint: write "## T+15m - title"`},
		{"checkpoints out of order", head + "# T\n\n## T+1h\n\n## T+15m\n", "p.md:12:1: T+15m follows T+1h: checkpoints stand in the order of their times"},
		{"a task before any checkpoint", head + "# T\n\n- [ ] a `a.b`\n\n## T+0\n", `p.md:10:3: this task would never be judged: it stands under no checkpoint`},
		{"a task under prose", item("## Success\n\n- [ ] a `a.b`\n"), `p.md:14:3: this task would never be judged`},
		{"a task in a task", item("- [ ] a `a.b`\n  - [ ] c `c.d`\n"), `p.md:13:5: a task inside a task would never be judged`},
		{"a task in a bullet", item("- a\n  - [ ] c `c.d`\n"), `p.md:13:5: this task would never be judged`},
		{"a task in a quotation", item("> - [ ] c `c.d`\n"), `p.md:12:5: this task would never be judged`},
		{"a box without its space", item("- [] a `a.b`\n"), `p.md:12:3: a task is written "- [ ] words"`},
		{"a dash without its space", item("-[ ] a `a.b`\n"), `p.md:12:1: a task is written "- [ ] words"`},
		{"no id", item("- [ ] a word\n"), "p.md:12:3: the item has no id: end its first paragraph with one such as `redis.persistence`"},
		{"an id without a dot", item("- [ ] a `word`\n"), "p.md:12:3: the item has no id: end its first paragraph with one such as `redis.persistence`; `word` is no id, which has a dot and lower case words"},
		{"an id in the middle", item("- [ ] a `a.b` word\n"), "p.md:12:3: the item has no id"},
		{"no words", item("- [ ] `a.b`\n"), "p.md:12:3: the item a.b has no words: say what is to be true"},
		{"a fence that is not indented", item("- [ ] a `a.b`\n\n```promql\n# expect: == 1\nup\n```\n"), "p.md:14:1: this promql fence belongs to no item: indent it by two under its task"},
		{"a fence that does not end", item("- [ ] a `a.b`\n  ```promql\n  # expect: == 1\n  up\n"), "p.md:13:3: the fence does not end"},
		{"a fence that ends too far left", item("- [ ] a `a.b`\n  ```promql\n  # expect: == 1\n  up\n```\n"), "p.md:13:3: the fence does not end"},
		{"two fences", item("- [ ] a `a.b`\n  ```promql\n  # expect: == 1\n  up\n  ```\n  ```promql\n  # expect: == 1\n  up\n  ```\n"), "p.md:17:3: the item has a second fence"},
		{"a shell", item("- [ ] a `a.b`\n  ```bash\n  rm -rf /\n  ```\n"), "p.md:13:3: no shell is run from a plan"},
		{"no expectation", item("- [ ] a `a.b`\n  ```promql\n  up\n  ```\n"), "p.md:13:3: the fence expects nothing: add a line such as # expect: value == 1"},
		{"no query", item("- [ ] a `a.b`\n  ```promql\n  # expect: == 1\n  ```\n"), "p.md:13:3: the fence asks nothing: its query is missing"},
		{"an slo without total", item("- [ ] a `a.b`\n  ```slo target=98%\n  # good: up\n  ```\n"), "p.md:13:3: an slo counts"},
		{"an slo without target", item("- [ ] a `a.b`\n  ```slo\n  # good: up\n  # total: up\n  ```\n"), "p.md:13:3: an slo has a target: add target=99.5%"},
		{"an slo that expects", item("- [ ] a `a.b`\n  ```slo target=98%\n  # good: up\n  # total: up\n  # expect: > 3\n  ```\n"), "p.md:16:13: a slo states what it expects by its options: remove this line"},
		{"good outside an slo", item("- [ ] a `a.b`\n  ```promql\n  # good: up\n  # expect: == 1\n  up\n  ```\n"), "p.md:14:5: good means nothing in a promql fence: it belongs to slo"},
		{"an expectation twice", item("- [ ] a `a.b`\n  ```promql\n  # expect: == 1\n  # expect: == 2\n  up\n  ```\n"), "p.md:15:5: expect is stated twice"},
		{"an option twice", item("- [ ] a `a.b`\n  ```promql every=15s every=30s\n  # expect: == 1\n  up\n  ```\n"), "p.md:13:23: every is stated twice"},
		{"a mode of an slo", item("- [ ] a `a.b`\n  ```slo target=98% mode=point\n  # good: up\n  # total: up\n  ```\n"), "p.md:13:26: a slo is always judged as mode=window"},
		{"patience of a point", item("- [ ] a `a.b`\n  ```promql\n  # expect: == 1\n  # fail-after: 30s\n  up\n  ```\n"), "p.md:15:17: fail-after belongs to an invariant"},
		{"patience that cannot be read", item("- [ ] a `a.b`\n  ```promql mode=invariant\n  # expect: == 1\n  # fail-after: 30s over 1\n  up\n  ```\n"), `p.md:15:17: fail-after: "30s over 1" is not understood`},
		{"unknown-if that cannot be read", item("- [ ] a `a.b`\n  ```promql mode=invariant\n  # expect: == 1\n  # unknown-if: coverage < 3 of 3\n  up\n  ```\n"), `p.md:15:17: unknown-if: "coverage < 3 of 3" is not understood`},
		{"options that belong to nothing", item("words\n\n- [ ] a `a.b`\n\n<!-- hc role=lead -->\n"), "p.md:16:1: these options belong to nothing"},
		{"a comment that does not end", item("- [ ] a `a.b`\n\n<!-- hc role=lead\n\n- [ ] never seen `c.d`\n"), "p.md:14:1: the comment does not end: close it with -->"},
		{"a comment that does not end in a line", item("- [ ] a <!-- hc role=lead `a.b`\n"), "p.md:12:9: the comment does not end: close it with -->"},
		{"a runbook elsewhere", item("- [ ] a `a.b` -> [x](https://example.org/x.md)\n"), `p.md:12:19: "https://example.org/x.md" is no runbook`},
		{"a link that is not indented", item("- [ ] a `a.b`\n\n-> [x](x.md)\n"), "p.md:14:1: this link to x.md belongs to no item"},
		{"an incident of level 4", item("- [ ] a `a.b`\n  <!-- hc incident=4 -->\n"), `p.md:13:20: incident: "4" is no level: 1, 2 or 3`},
		{"a proposal without a reason", item("- [ ] a `a.b`\n  <!-- hc decide=X_Y to=3 -->\n"), `p.md:13:18: a proposal says what to do and why`},
		{"an unknown profile", item("- [ ] a `a.b`\n  <!-- hc na-compos=\"x\" -->\n"), `p.md:13:11: unknown option "na-compos": did you mean na-compose?`},
		{"a value without its quote", item("- [ ] a `a.b`\n  <!-- hc role=\"lead -->\n"), `p.md:13:16: the value of role does not end`},
		{"a control character", item("- [ ] a\x1b[31m `a.b`\n"), "p.md:12:8: the control character U+001B is refused: remove it"},
		{"a bidi character", item("- [ ] a \u202edetrever `a.b`\n"), "p.md:12:9: the character U+202E, which reorders others, is refused: remove it"},
		{"a character that cannot be seen", item("- [ ] a\u200b `a.b`\n"), "p.md:12:8: the character U+200B, which cannot be seen, is refused: remove it"},
		{"no UTF-8", item("- [ ] a\xff `a.b`\n"), "p.md:12:8: a byte that is no UTF-8 is refused: remove it"},
		{"columns are characters", item("- [ ] ≥≥≥ \u202e `a.b`\n"), "p.md:12:11: the character U+202E"},
		{"too large", head + strings.Repeat("a\n", 200_000), "p.md:1:1: the file has 390 KiB, at most 256 are read"},
		{"a line that is too long", head + strings.Repeat("a", 5000), "p.md:8:1: the line has 5000 bytes, at most 4096 are read"},
		{"nested too deeply", head + strings.Repeat("> ", 30) + "a\n", "p.md:8:1: lists and quotations are nested more than 16 deep"},
	}
	for _, tt := range tests {
		_, err := plan.Parse("p.md", []byte(tt.text))
		if err == nil {
			t.Errorf("%s: no error, want %s", tt.name, tt.want)
			continue
		}
		if !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(l string) bool { return strings.HasPrefix(l, tt.want) }) {
			t.Errorf("%s:\n%v\nwant\n%s", tt.name, err, tt.want)
		}
	}
}

func TestParseJoinsAllErrors(t *testing.T) {
	text := strings.Replace(head, "schema: 1", "schema: 7", 1) + "# T\n\n## T+0\n\n- [ ] a\n- [ ] b `b.c` `kee`\n"
	_, err := plan.Parse("p.md", []byte(text))
	var errs plan.Errors
	if !errors.As(err, &errs) {
		t.Fatalf("Parse returned %v, want Errors", err)
	}
	var got []string
	for _, e := range errs {
		got = append(got, fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column))
	}
	if d := cmp.Diff([]string{"p.md:4:9", "p.md:12:3", "p.md:13:16"}, got); d != "" {
		t.Errorf("places (-want +got):\n%s", d)
	}
	var one *plan.Error
	if !errors.As(err, &one) || one.Line != 4 {
		t.Errorf("the first error is %v, want the one of line 4", one)
	}
}

func TestParseTakesTheLineBreaksOfWindows(t *testing.T) {
	text := clean(t)
	unix, windows := parsed(t, text), parsed(t, "\ufeff"+strings.ReplaceAll(text, "\n", "\r\n"))
	if unix.Digest != windows.Digest {
		t.Errorf("digest %s with \\r\\n, want %s", windows.Digest, unix.Digest)
	}
	if d := cmp.Diff(unix.Check("web.up").Line, windows.Check("web.up").Line); d != "" {
		t.Errorf("line (-want +got):\n%s", d)
	}
}

// 80 checks are twice the shipped plan; a plan is parsed whenever a journal is read.
func BenchmarkParse(b *testing.B) {
	text := []byte(eighty())
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := plan.Parse("plan.md", text); err != nil {
			b.Fatal(err)
		}
	}
}

func eighty() string {
	var s strings.Builder
	s.WriteString(head + "# T\n")
	for c := range 8 {
		fmt.Fprintf(&s, "\n## T+%dh - Title\n<!-- hc window=10m grace=5m signoff=lead -->\n\n### Section\n\n", c+1)
		for i := range 10 {
			fmt.Fprintf(&s, "- [ ] Notifications arrive at `every_channel` that is configured `area%d.check%d` `key`\n", c, i)
			s.WriteString("  <!-- hc incident=2 na-compose=\"not there\" -->\n  ```promql every=15s window=1h min-events=20 events=\"sum(x[$window])\"\n" +
				"  # expect: value >= 98% and series > 0\n  # warn-if: value >= 97%\n" +
				"  sum(increase(notifications_sent_total{channel=\"x\"}[$window])) / sum(increase(notifications_failed_total[$window]))\n  ```\n" +
				"  -> [what to do](notification-failures.md)\n")
		}
	}
	return s.String()
}

// Every field that can change a verdict is part of a check's digest, and no other.
func TestDigestsCoverWhatChangesVerdicts(t *testing.T) {
	base := clean(t)
	was := parsed(t, base)
	tests := []struct{ name, old, new, check string }{
		{"expectation", "latency < 1s", "latency < 2s", "health.all"},
		{"query", "sum(streams_connected)", "max(streams_connected)", "metrics.streams"},
		{"flag", "`leader.single` `key`", "`leader.single`", "leader.single"},
		{"patience", "30s above 1", "31s above 1", "leader.single"},
		{"a parameter of an expectation", "latency_target: 2s", "latency_target: 3s", "latency.p95"},
		{"a parameter of a target", "notify_target: 98%", "notify_target: 97%", "slo.notify"},
		{"an address", "localhost:3000\"", "localhost:3001\"", "web.up"},
		{"words of a person's item", "Create test alert", "Delete test alert", "alert.create"},
		{"reason of a profile", "the cluster counts them", "the cluster does", "services.started"},
		{"least coverage", "min-coverage=95%", "min-coverage=90%", "resource.cpu"},
		{"evidence", " evidence=note", "", "alert.create"},
		{"time", "T+4h", "T+5h", "resource.cpu"},
		{"words of a machine's check", "Health endpoints returning", "Endpoints of health give", ""},
		{"runbook", "[health](health.md)", "[health](other.md)", ""},
		{"graph", "sum by (instance) (leader", "max by (instance) (leader", ""},
		{"incident", "incident=2", "incident=3", ""},
		{"title", "# Two days", "# 48 hours", ""},
		{"grace", "grace=5m", "grace=6m", ""},
	}
	for _, tt := range tests {
		if !strings.Contains(base, tt.old) {
			t.Fatalf("%s: %q is not in the clean plan", tt.name, tt.old)
		}
		now := parsed(t, strings.Replace(base, tt.old, tt.new, 1))
		var changed []string
		for _, c := range now.Checks() {
			if c.Digest != was.Check(c.ID).Digest {
				changed = append(changed, c.ID)
			}
		}
		if got := strings.Join(changed, " "); got != tt.check {
			t.Errorf("%s: changed %q, want %q", tt.name, got, tt.check)
		}
		if now.Digest == was.Digest {
			t.Errorf("%s: the plan's digest did not change", tt.name)
		}
	}
}

func TestDigestsSurviveReflowing(t *testing.T) {
	base := clean(t)
	text := base
	for _, r := range [][2]string{
		{"Read this aloud at every checkpoint. ", "Read this\naloud.\n\n\n"},
		{"(no active streams\n  yet, normal)", "(no active\n  streams yet,   normal)"},
		{"  - Alert Latency P95 ≤ 2s\n    over all alerts\n", "  * Alert Latency P95 ≤ 2s over all alerts\n"},
		{"<!-- hc role=operations-lead due=10m evidence=note -->", "<!-- hc evidence=note\n    due=\"10m\" role='operations-lead' -->"},
		{"\n## Escalation Path", "\nProse.\n\n***\n\n## Escalation Path"},
	} {
		if !strings.Contains(text, r[0]) {
			t.Fatalf("%q is not in the plan", r[0])
		}
		text = strings.Replace(text, r[0], r[1], 1)
	}
	was, now := parsed(t, base), parsed(t, text)
	if was.Digest != now.Digest {
		_, _, changed, diff := plan.Diff(was, now)
		t.Errorf("the digest changed: %v\n%s", changed, diff)
	}
}

// A field that is added to Source or Check has to be read from somewhere; the test
// fails when its kind cannot be part of a digest.
func TestEachKindOfFieldHasACanonicalForm(t *testing.T) {
	for _, s := range []any{plan.Plan{}, plan.Checkpoint{}, plan.Section{}, plan.Check{}, plan.Source{}, plan.Patience{}, plan.Value{}, plan.Proposal{}, plan.Exit{}} {
		for i := range reflect.TypeOf(s).NumField() {
			f := reflect.TypeOf(s).Field(i)
			switch f.Type.Kind() {
			case reflect.Pointer, reflect.Struct, reflect.Slice, reflect.Map, reflect.String, reflect.Bool,
				reflect.Int, reflect.Int64, reflect.Uint8, reflect.Float64:
			default:
				t.Errorf("%T.%s is a %s", s, f.Name, f.Type)
			}
		}
	}
}

func TestDiffSaysWhatChanged(t *testing.T) {
	base := clean(t)
	text := base
	for _, r := range [][2]string{
		{"latency < 1s", "latency < 2s"},
		{"  sum(streams_connected)\n", "  max(streams_connected)\n"},
		{"- [ ] No incidents reported `run.incidents`", "- [ ] No incidents reported `run.quiet`"},
		{"notify_target: 98%", "notify_target: 97%"},
		{"[health](health.md)", "[health](other.md)"},
		{"open_waivers: 2", "open_waivers: 1"},
	} {
		text = strings.Replace(text, r[0], r[1], 1)
	}
	added, removed, changed, got := plan.Diff(parsed(t, base), parsed(t, text))
	if d := cmp.Diff([][]string{{"run.quiet"}, {"run.incidents"}, {"health.all", "metrics.streams", "slo.notify"}}, [][]string{added, removed, changed}); d != "" {
		t.Errorf("ids (-want +got):\n%s", d)
	}
	want := `@@ the plan @@
- exit: at most 2 open waivers, fewer than 2 issues of users
+ exit: at most 1 open waivers, fewer than 2 issues of users
- $notify_target: 98 %
+ $notify_target: 97 %
@@ health.all @@
- expect: status == 200 and latency < 1s
+ expect: status == 200 and latency < 2s
- runbook: health.md
+ runbook: other.md
@@ metrics.streams @@
- query: sum(streams_connected)
+ query: max(streams_connected)
@@ slo.notify @@
- target: 98 %
+ target: 97 %
@@ run.quiet @@
+ at: T+48h
+ words: No incidents reported
+ kind: auto
+ source: run
+ mode: point
+ expect: critical == 0
@@ run.incidents @@
- at: T+48h
- words: No incidents reported
- kind: auto
- source: run
- mode: point
- expect: critical == 0
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("text (-want +got):\n%s", d)
	}
	if a, r, c, text := plan.Diff(parsed(t, base), parsed(t, base)); len(a)+len(r)+len(c) > 0 || text != "" {
		t.Errorf("a plan differs from itself: %v %v %v %q", a, r, c, text)
	}
}

func TestRenderTicksACopy(t *testing.T) {
	text := head + "# T\n\n## T+0\n\n- [ ] one\n  and more `a.one`\n  ```promql\n  # expect: == 1\n  up\n  ```\n- [ ] two `a.two`\n- [ ] three `a.three`\n\n  prose\n"
	p := parsed(t, text)
	got := string(plan.Render(p, func(id string) (bool, string) {
		switch id {
		case "a.one":
			return true, "pass: up is 1\n- [ ] forged `x.y`"
		case "a.two":
			return false, ""
		}
		return false, "fail"
	}))
	want := head + "# T\n\n## T+0\n\n- [x] one\n  and more `a.one`\n\n  pass: up is 1 - \\[ \\] forged \\`x.y\\`\n\n  ```promql\n  # expect: == 1\n  up\n  ```\n" +
		"- [ ] two `a.two`\n- [ ] three `a.three`\n\n  fail\n\n  prose\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("rendered (-want +got):\n%s", d)
	}
	if p.Text != text {
		t.Error("the plan's own text changed")
	}
}

// Whatever a note holds, the copy parses to the same plan: notes are text.
func TestARenderedPlanIsTheSamePlan(t *testing.T) {
	p := parsed(t, clean(t))
	for _, note := range []string{
		"", "fine", "- [ ] a `a.b`", "# T", "```promql", "<!-- hc role=x -->", "<!--", "1. one", "> quoted", "-> [x](y.md)", "→ [x](y.md)", "***", "---", "===", "| a | b |",
		"\u202ereversed\x1b[0m", `a \ b`, "~~~", "    indented", "two\n\nparagraphs", "`a.b`", "[x]: y", "&lt;", "+ plus",
	} {
		for _, ticked := range []bool{true, false} {
			out := plan.Render(p, func(string) (bool, string) { return ticked, note })
			q, err := plan.Parse("copy.md", out)
			if err != nil {
				t.Errorf("note %q: %v", note, err)
				continue
			}
			if q.Digest != p.Digest {
				_, _, _, diff := plan.Diff(p, q)
				t.Errorf("note %q changed the plan:\n%s", note, diff)
			}
		}
	}
}

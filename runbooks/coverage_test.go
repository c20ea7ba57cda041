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

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/runbooks"
)

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := fs.ReadFile(runbooks.Files(), file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parsed(t *testing.T, file string) *plan.Plan {
	t.Helper()
	p, err := plan.Parse(file, []byte(text(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// remark is a comment in a fence: to people, not to a source.
var remark = regexp.MustCompile(`(?m)^\s*#.*\n`)

// signal says what can make the check true or false.
func signal(c *plan.Check) string {
	query := remark.ReplaceAllString(c.Source.Query, "")
	asked := "`" + strings.TrimSpace(query) + "`"
	switch l := c.Source.Language; {
	case c.Kind == plan.Manual:
		return "manual: " + c.Role
	case c.Kind == plan.Command:
		return "manual: " + c.Role + "; or the command `" + c.Source.Run + "` when it is configured"
	case l == plan.SourcePromQL, l == plan.SourceTrend:
		return l + ": " + metrics(query)
	case l == plan.SourceHTTP:
		return "probe: " + asked + " of " + c.Source.Each
	case l == plan.SourceRun:
		return "the run itself: " + c.Source.Expect.Text
	default:
		return "probe: " + l + " " + asked
	}
}

var (
	metricName = regexp.MustCompile(`\b[a-z][a-z0-9]*_[a-z0-9_]+\b`)
	parameter  = regexp.MustCompile(`\$\w+`)
	upMetric   = regexp.MustCompile(`\bup\{`)
)

// functions of PromQL that look like metrics.
var functions = regexp.MustCompile(`_over_time$|^label_replace$|^histogram_quantile$|^clamp_min$`)

func metrics(query string) string {
	names := map[string]bool{}
	for _, n := range metricName.FindAllString(parameter.ReplaceAllString(query, ""), -1) {
		if !functions.MatchString(n) {
			names["`"+n+"`"] = true
		}
	}
	if upMetric.MatchString(query) {
		names["`up`"] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}

func profiles(c *plan.Check) string {
	left := slices.DeleteFunc(plan.Profiles(), func(p string) bool { return c.NotIn[p] != "" })
	out := strings.Join(left, ", ")
	if len(c.NotIn) == 0 {
		out = "all"
	}
	for _, p := range slices.Sorted(maps.Keys(c.NotIn)) {
		out += "; not " + p + ": " + c.NotIn[p]
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
	p := parsed(t, "hypercare.md")
	checks := p.Checks()
	next := 0
	for _, l := range checklist(t) {
		r := row{line: l}
		switch l.kind {
		case "item":
			i := slices.IndexFunc(checks[next:], func(c *plan.Check) bool { return says(c, l.text) })
			if i < 0 || !slices.Contains(checkpointOf(p, l.checkpoint).Checks(), checks[next+i]) {
				faults = append(faults, "no check for "+l.text)
				continue
			}
			c := checks[next+i]
			next += i + 1
			r.ids, r.signal, r.profiles = []string{c.ID}, signal(c), profiles(c)
			if c.Kind != plan.Auto && c.Role == "" {
				faults = append(faults, c.ID+" has no signal, and nobody's role")
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
			faults = append(faults, r.ofCommand(p)...)
		default:
			continue
		}
		rows = append(rows, r)
	}
	return rows, faults
}

// says reports whether a check has the words of an item. A list below an item belongs
// to the check's words.
func says(c *plan.Check, item string) bool {
	item = strings.TrimPrefix(item, "- [ ] ")
	return c.Text == item || strings.HasSuffix(item, ":") && strings.HasPrefix(c.Text, item+" ")
}

// checkpointOf finds a checkpoint by its heading in the checklist, such as
// "T+12 Hours (Next Business Day)".
func checkpointOf(p *plan.Plan, heading string) *plan.Checkpoint {
	for _, c := range p.Checkpoints {
		for unit, word := range map[string]string{"": "", "m": " Minutes", "h": " Hour"} {
			id, ok := strings.CutSuffix(c.ID, unit)
			if rest, found := strings.CutPrefix(heading, id+word); ok && found && (rest == "" || rest[0] == ' ' || rest[0] == 's') {
				return c
			}
		}
	}
	return &plan.Checkpoint{}
}

// ofCommand fills in the row of a command from the checks that answer for it.
func (r *row) ofCommand(p *plan.Plan) (faults []string) {
	var signals, apart []string
	for _, id := range r.ids {
		c := p.Check(id)
		if c == nil {
			faults = append(faults, "the command "+r.line.text+" is answered by "+id+", which is no check")
			continue
		}
		signals = append(signals, signal(c))
		in := profiles(c)
		if len(r.ids) > 1 { // the reasons stand with the items
			in, _, _ = strings.Cut(in, ";")
		}
		apart = append(apart, in)
		if file := scenarios[r.line.section]; file != "" && c.Runbook != file {
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

func TestEveryItemIsRead(t *testing.T) {
	for _, file := range []string{"hypercare.md", "go-live.md"} {
		items := regexp.MustCompile(`(?m)^- \[ \] `).FindAllString(text(t, file), -1)
		if n := len(parsed(t, file).Checks()); n != len(items) {
			t.Errorf("%s: %d of %d items are checks", file, n, len(items))
		}
	}
}

// Each command block of the checklist stands as it is in its checkpoint.
func TestCommandsStandInTheirCheckpoint(t *testing.T) {
	p := parsed(t, "hypercare.md")
	for _, l := range checklist(t) {
		if l.kind != "command" || scenarios[l.section] != "" {
			continue
		}
		var blocks []string
		for _, s := range checkpointOf(p, l.checkpoint).Sections {
			blocks = append(blocks, s.Commands...)
		}
		if !slices.Contains(strings.Split(strings.Join(blocks, "\n"), "\n"), l.text) {
			t.Errorf("%s has no command %q", l.checkpoint, l.text)
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
	for _, c := range parsed(t, "hypercare.md").Checks() {
		if c.Kind != plan.Auto {
			manual = append(manual, c.ID)
		}
	}
	if !slices.Equal(manual, people) {
		t.Errorf("manual are %v, want %v", manual, people)
	}
}

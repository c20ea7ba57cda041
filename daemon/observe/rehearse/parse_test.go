package rehearse_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/rehearse"
)

// fenced is a scenario of ten minutes with one more fence.
func fenced(fence string) string {
	return "---\nkind: scenario\nid: x\nextends: perfect\nuntil: 10m\n---\n# X\n\n" + fence + "\n"
}

func TestMistakesOfAuthorsAreNamed(t *testing.T) {
	for _, c := range []struct{ fence, want string }{
		{"```series\nup 1x\n```", `"1x" is no value`},
		{"```series\nup\n```", "a series needs values"},
		{"```series\nup{ 1\n```", "test.md:10:1"},
		{"```series\nup 1 stalex5\n```", "stale stands alone"},
		{"```series\nup 1x99999999\n```", "repeats too often"},
		{"```series\nup 0+1\n```", "how often?"},
		{"```series at=5m\nup 1\n```", "T+2h30m is meant"},
		{"```series saw=20MB\nup 1\n```", "saw=20MB/10m is meant"},
		{"```series loud\nup 1\n```", "loud"},
		{"```faults\nT+1m down nobody for 1m\n```", `there is no instance "nobody"`},
		{"```faults\nT+1m down executor-1\n```", "not \"down executor-1\""},
		{"```faults\nT+1m outage until 5m\n```", "for how long?"},
		{"```faults\nT+1m rain\n```", "down, restart, crash"},
		{"```faults\nevery 1s from T+1m to T+2m outage for 1s\n```", "every 30m from T+0s to T+4h is meant"},
		{"```faults\nevery 15s from T+0s to T+100h outage for 1s\n```", "more than 11520 times"},
		{"```faults\nT+1m clock +x\n```", "no duration"},
		{"```people\nalice tick due\n```", "T+2h30m is meant"},
		{"```people\nT+1m alice\n```", "who does what?"},
		{"```people\nT+1m alice dance\n```", "people can tick"},
		{"```people\nT+1m alice note x \"open\n", "a quote does not end"},
		{"```expect\nleader.single\n```", "what is expected?"},
		{"```expect\nleader.single green\n```", "a check, a verdict"},
		{"```expect\nleader.single fail soon\n```", "a check, a verdict"},
		{"```expect\nothers green\n```", `"green" is no verdict`},
		{"```expect\nlock executor-1\n```", "is not complete"},
		{"```expect\nall sometimes pass\n```", "all never and a verdict are meant"},
		{"```expect\nleader.single fail at noon\n```", "T+2h30m is meant"},
		{"```sql\nselect 1\n```", `a fence of language "sql" has no meaning here`},
	} {
		if _, err := parse(fenced(c.fence)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.fence, err, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"# no front matter", "kind: scenario is meant"},
		{"---\nkind: scenario\nid: x\nextends: nothing\n---\n# X\n", "extends nothing"},
		{"---\nkind: scenario\nid: x\nsped: 2\n---\n# X\n", "sped"},
		{"---\nkind: scenario\nid: x\nuntil: soon\n---\n# X\n", "no duration"},
	} {
		if _, err := parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestASeriesThatIsNowhereMustNameItsLabels(t *testing.T) {
	for line, want := range map[string]string{
		`nowhere{instance=~"x.*"} 1`: "nowhere matches no series of the world",
		`{__name__=~"nowhere.*"} 1`:  `__name__=~"nowhere.*" matches no series of the world`,
	} {
		s := scenario(t, fenced("```series\n"+line+"\n```"))
		if _, err := prepare(s, rehearse.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: New = %v, want %q", line, err, want)
		}
	}
}

// An expectation that cannot be missed is none: each kind is missed once.
func TestEachKindOfExpectationCanBeMissed(t *testing.T) {
	lines := []string{
		"leader.single fail", "leader.single fail at T+5m", "leader.single pass recovered", "leader.single seen fail", "leader.single never pass",
		`leader.single says "nonsense"`, "nobody.knows pass", "others fail", "invariants fail at T+5m", "all never pass", "run closed", "outcome pass",
		"no nonsense", "incident leader.single level 2", "escalation T+15m level 1", "refused 1", `refused "nonsense"`, `criterion "48h" met`,
		`criterion "nonsense" met`, "decision tune.cooldown proposed", "gap 5m", "lock executor-2 epoch 1", `told "nonsense"`, "leader.single pass at T+20m",
	}
	r := lived(t, rehearsal(t, scenario(t, fenced("```expect\n"+strings.Join(lines, "\n")+"\n```")), rehearse.Options{}))
	result := r.Result()
	if result.Passed {
		t.Error("the scenario passed")
	}
	for _, l := range lines {
		found := false
		for _, f := range result.Failures {
			found = found || strings.HasPrefix(f, fmt.Sprintf("expected %q, found ", l))
		}
		if !found {
			t.Errorf("%q was not missed", l)
		}
	}
}

func TestNothingExpectedIsNoPass(t *testing.T) {
	s := scenario(t, strings.Replace(fenced(""), "until: 10m", "until: 1m", 1))
	if r := lived(t, rehearsal(t, s, rehearse.Options{})); r.Result().Passed {
		t.Error("a scenario that expects nothing has passed")
	}
}

func TestAnActThatGoesOtherwiseEndsTheRehearsal(t *testing.T) {
	for line, want := range map[string]string{
		"!T+1m alice note leader.single note=x":  "expected refused=true",
		"T+1m alice tick leader.single":          "judged by a machine",
		"T+1m alice reset-lock executor-1 epoch": "epoch",
	} {
		r := rehearsal(t, scenario(t, fenced("```people\n"+line+"\n```")), rehearse.Options{})
		if err := r.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// value asks a rehearsal's samples at its present time.
func value(t *testing.T, r *rehearse.Rehearsal, query string) string {
	t.Helper()
	v, err := r.Querier.Instant(t.Context(), query, r.Now())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, x := range v {
		out = append(out, fmt.Sprint(x.V))
	}
	return strings.Join(out, " ")
}

func until5m(t *testing.T, fence string, at time.Duration) *rehearse.Rehearsal {
	t.Helper()
	r := rehearsal(t, scenario(t, fenced(fence)), rehearse.Options{})
	for r.Since() < at {
		if _, err := r.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestTheWorldIsAsWritten(t *testing.T) {
	const down = "```faults\nT+2m restart executor-1 for 30s\n```"
	const crash = "```faults\nT+2m crash executor-2 for 30s\nT+4m crash executor-2 for 15s\n```"
	for _, c := range []struct {
		fence string
		at    time.Duration
		query string
		want  string
	}{
		{down, 2*time.Minute + 15*time.Second, `up{instance="executor-1"}`, "0"},
		{down, 2*time.Minute + 15*time.Second, `count(redis_up)`, "3"},
		{down, 3 * time.Minute, `up{instance="executor-1"}`, "1"},
		{down, 3 * time.Minute, `alert_eval_duration_seconds_count{instance="executor-1"}`, "2700"},
		{down, 3 * time.Minute, `increase(alert_eval_duration_seconds_count{instance="executor-2"}[2m])`, "0"},
		{down, 3 * time.Minute, `time() - process_start_time_seconds{instance="executor-1"}`, "30"},
		{crash, 3 * time.Minute, `count by (instance) (up{instance=~"executor-2.*"})`, "1"},
		{crash, 3 * time.Minute, `up{instance="executor-2.1"}`, "1"},
		{crash, 5 * time.Minute, `up{instance="executor-2.2"}`, "1"},
		{crash, 5 * time.Minute, `count(up{instance=~"executor-2.*"})`, "1"},
		{"```series at=T+1m\nredis_up{instance=\"web-next-1\"} 0x3\n```", time.Minute, "min(redis_up)", "0"},
		{"```series at=T+1m\nredis_up{instance=\"web-next-1\"} 0x3\n```", 2 * time.Minute, "min(redis_up)", "1"},
		{"```series at=T+1m\nredis_up{instance=\"web-next-1\"} _x4\n```", time.Minute, "count(redis_up)", "3"},
		{"```series at=T+1m\nredis_up{instance=\"web-next-1\"} _x4\n```", 2 * time.Minute, "count(redis_up)", "4"},
		{"```series at=T+0s add\noutbox_depth{instance=\"executor-1\"} 0+5x3\n```", 3 * time.Minute, `outbox_depth{instance="executor-1"}`, "15"},
		{"```series\noutbox_depth{instance=\"executor-1\"} 7\n```", time.Minute, `outbox_depth{instance="executor-1"}`, "7"},
		{"```series\nnotifications_sent_total{channel=\"slack\"} 7\n```", time.Minute, `count(notifications_sent_total{channel="slack"})`, "4"},
		{"```series\noutbox_depth 7\n```", time.Minute, `count(notifications_sent_total{channel="slack"})`, ""},
		{"```series\nwholly_new{a=\"b\"} 7\n```", time.Minute, `wholly_new`, "7"},
		{"```series at=T+2m\nwholly_new{a=\"b\"} 7\n```", time.Minute, `wholly_new`, ""},
		{"```series\n{__name__!~\"up\",job=\"spark\"} _\n```", time.Minute, `count({job="spark"})`, "4"},
		{"```faults\nT-5m outage for 10m\n```", time.Minute, `max(up)`, "0"},
		{"```faults\nT+1m observer away for 2m\n```", 3 * time.Minute, `count_over_time(TICK[4m])`, "8"},
	} {
		query := strings.ReplaceAll(c.query, "TICK", wire.SeriesTick)
		if got := value(t, until5m(t, c.fence, c.at), query); got != c.want {
			t.Errorf("%s\nat %s: %s = %q, want %q", c.fence, c.at, query, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, id := range must {
		if b, err := runbooksFile("scenarios/" + id + ".md"); err == nil {
			f.Add(string(b))
		}
	}
	f.Add(fenced("```series at=T-5m add saw=1MB/1m noise=3\nup{a=~\"b\"} 1 _x3 stale 0+1.5x3 -2e3\n```\n```faults\nevery 1m from T+0s to T+3m crash executor-1 for 1s\n```"))
	f.Add(fenced("```people\n!T+1m bob waive x for=2h role=\"a b\" reason=\"\"\n```\n```expect\nothers pass, n/a\ngap 5m at T+3m\n```"))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err == nil && s == nil {
			t.Error("neither a scenario nor an error")
		}
	})
}

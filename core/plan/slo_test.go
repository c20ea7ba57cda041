package plan_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
)

// objective is a run of 48 h that is watched by an objective of 99.5 %.
func objective(t testing.TB, f func(since time.Duration, e plan.Evaluate) plan.Observation) *course {
	t.Helper()
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", manual("ops.a", "")), cp("T+48h", "window=30m grace=30m", burning("slo.share", "key"))))
	c.answers["slo.share"] = f
	return c
}

// tiers answers each pair of windows with a share of bad events, by the tier's name.
func tiers(e plan.Evaluate, total float64, bad map[string]float64) plan.Observation {
	o := counted(e, total, 0)
	for i := range o.Tiers {
		t := &o.Tiers[i]
		t.LongGood = total * (1 - bad[t.Name])
		t.ShortGood = t.LongGood
	}
	return o
}

func TestTheWindowsOfAnObjectiveAreMeasuredAsOftenAsTheyChange(t *testing.T) {
	c := objective(t, func(_ time.Duration, e plan.Evaluate) plan.Observation { return counted(e, 1000, 0) })
	c.until(time.Hour - time.Second)
	n := map[string]int{}
	for _, e := range c.all {
		if e.Purpose != plan.ForBurn {
			t.Errorf("asked for %v", e.Purpose)
		}
		for _, tier := range e.Tiers {
			n[tier.Name]++
			if tier.Short != tier.Long/12 {
				t.Errorf("tier %+v", tier)
			}
		}
		if !e.From.IsZero() {
			n["since T0"]++
			if !e.From.Equal(t0) {
				t.Errorf("the value since T0 begins at %s", e.From)
			}
		}
	}
	if d := cmp.Diff(map[string]int{"A": 60, "B": 12, "C": 4, "since T0": 4}, n); d != "" {
		t.Errorf("measured in an hour (-want +got):\n%s", d)
	}
}

func TestAnObjectiveThatBurnsOpensAnIncidentOfTheLevelOfItsTier(t *testing.T) {
	tests := []struct {
		name  string
		bad   map[string]float64
		level int
		says  string
	}{
		{"10 % in half an hour", map[string]float64{"A": 0.06}, 2, "over 30m (limit 9.6)"},
		{"20 % in three hours", map[string]float64{"B": 0.02}, 1, "over 3h (limit 3.2)"},
		{"35 % in twelve hours", map[string]float64{"C": 0.01}, 0, ""},
		{"just below", map[string]float64{"A": 0.047, "B": 0.0155, "C": 0.0069}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := objective(t, func(since time.Duration, e plan.Evaluate) plan.Observation {
				if since < time.Hour {
					return counted(e, 10000, 0)
				}
				return tiers(e, 10000, tt.bad)
			})
			c.until(time.Hour + 20*time.Minute)
			incidents := c.m.State().Incidents
			if tt.level == 0 {
				if len(incidents) != 0 {
					t.Errorf("incidents %+v", incidents[0])
				}
				return
			}
			if len(incidents) != 1 || incidents[0].Level != tt.level || !strings.Contains(incidents[0].Title, tt.says) {
				t.Fatalf("incidents %+v", incidents)
			}
			if err := closeIncident(c, "i-1"); err == nil || !strings.Contains(err.Error(), "still fails") {
				t.Errorf("closing what burns: %v", err)
			}
			if s := c.m.State().SLOs[0]; s.Verdict != plan.Warn {
				t.Errorf("the objective is %s", s.Verdict)
			}
		})
	}
}

func closeIncident(c *course, id string) error {
	_, err := c.try("ada", opsLead, plan.ChangeIncident{ID: id, Verb: "close", Result: "over"})
	return err
}

func TestAnIncidentOfAnObjectiveIsRaisedAndClosedWhenItIsCalm(t *testing.T) {
	c := objective(t, func(since time.Duration, e plan.Evaluate) plan.Observation {
		switch {
		case since < time.Hour || since >= 3*time.Hour:
			return counted(e, 10000, 0)
		case since < 2*time.Hour:
			return tiers(e, 10000, map[string]float64{"B": 0.02})
		}
		return tiers(e, 10000, map[string]float64{"A": 0.06, "B": 0.02})
	})
	c.until(2*time.Hour + 10*time.Minute)
	c.wantTimes(plan.KindIncident, "slo.share", time.Hour)
	c.wantTimes(plan.KindRaise, "i-1", 2*time.Hour)
	c.until(3*time.Hour + 5*time.Minute)
	if err := closeIncident(c, "i-1"); err == nil {
		t.Error("closed while it keeps firing")
	}
	c.until(4 * time.Hour)
	if err := closeIncident(c, "i-1"); err != nil {
		t.Error(err)
	}
	if n := len(c.m.State().Incidents); n != 1 {
		t.Errorf("%d incidents", n)
	}
}

func TestTheBudgetIsRecordedAndTheJournalTellsTheSame(t *testing.T) {
	c := objective(t, func(since time.Duration, e plan.Evaluate) plan.Observation {
		o := counted(e, since.Seconds(), since.Seconds()*0.0025)
		if since >= 6*time.Hour && since < 7*time.Hour {
			o = tiers(e, 10000, map[string]float64{"A": 0.06})
			o.Total, o.Good = since.Seconds(), since.Seconds()*0.99
		}
		shown := 0.75
		o.Shown = &shown
		return o
	})
	checked := 0
	for at := 15 * time.Minute; at < 10*time.Hour; at += 15 * time.Minute {
		c.until(at)
		if len(c.records) == 0 || c.records[len(c.records)-1].At != c.now.UnixMilli() {
			continue
		}
		checked++
		live, told := report.Run(c.m.State(), c.now).SLOs, report.Run(replayed(t, c.records).State(), c.now).SLOs
		if d := cmp.Diff(live, told); d != "" {
			t.Fatalf("T+%s (-live +journal):\n%s", at, d)
		}
	}
	if checked < 30 {
		t.Errorf("compared %d times", checked)
	}
	s := c.m.State().SLOs[0]
	if s.Budget == nil || s.Share == nil || math.Abs(*s.Share-0.9975) > 1e-9 || s.Events < 30000 {
		t.Fatalf("objective %+v", s)
	}
	// Half of what may be bad is bad, for a fifth of the run.
	elapsed := s.At.Sub(t0).Hours() / 48
	if math.Abs(s.Budget.Used-0.5*elapsed) > 1e-9 || math.Abs(s.Budget.Forecast-0.5) > 1e-9 || s.Verdict != plan.Pass {
		t.Errorf("budget %+v, verdict %s", *s.Budget, s.Verdict)
	}
	c.wantTimes(plan.KindIncident, "slo.share", 6*time.Hour)
}

func TestAnObjectiveWithoutDataIsUnknown(t *testing.T) {
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", manual("ops.a", "")), cp("T+4h", "window=5m grace=5m", item{
		id: "slo.share", flags: "key", lang: "slo", info: "target=99.5% burn", lines: []string{"# good: a", "# total: b"},
	})))
	c.answers["slo.share"] = func(since time.Duration, e plan.Evaluate) plan.Observation {
		switch {
		case since < time.Hour:
			return counted(e, 1000, 0)
		case since < 2*time.Hour:
			return broken("refused")
		}
		o := counted(e, 0, 0)
		o.Good, o.Total = math.NaN(), math.NaN()
		return o
	}
	c.until(50 * time.Minute)
	if s := c.m.State().SLOs[0]; s.Verdict != plan.Pass {
		t.Errorf("verdict %s", s.Verdict)
	}
	c.until(time.Hour + time.Minute)
	if s := c.m.State().SLOs[0]; s.Verdict != plan.NoData || !s.Dark {
		t.Errorf("verdict %s, dark %v", s.Verdict, s.Dark)
	}
	c.until(5 * time.Hour)
	if s := c.m.State().SLOs[0]; s.Verdict != plan.NoData || s.Share != nil || s.Budget != nil {
		t.Errorf("objective %+v", s)
	}
	c.want("slo.share", plan.NoData)
}

func TestTheFinalVerdictOfAnObjective(t *testing.T) {
	tests := []struct {
		total, bad float64
		want       plan.Verdict
		thin       bool
		says       string
	}{
		{100000, 400, plan.Pass, false, "99.6 % of 100000 events are good"},
		{1000, 4, plan.Pass, true, "too few to be sure"},
		{100000, 600, plan.Fail, false, "the target is 99.5 %"},
		{1000, 6, plan.Fail, true, "too few to be sure"},
		{99, 0, plan.NoData, false, "only 99 events, 100 are needed"},
		{0, 0, plan.NoData, false, "only 0 events"},
		{math.NaN(), math.NaN(), plan.NoData, false, "only 0 events"},
	}
	for _, tt := range tests {
		c := begin(t, trial(cp("T+0", "window=5m grace=5m", manual("ops.a", "")), cp("T+1h", "window=5m grace=5m", burning("slo.share", ""))))
		c.answers["slo.share"] = func(_ time.Duration, e plan.Evaluate) plan.Observation { return counted(e, tt.total, tt.bad) }
		c.until(time.Hour + time.Minute)
		k := c.want("slo.share", tt.want)
		c.says("slo.share", tt.says)
		if k.Finding.Thin != tt.thin {
			t.Errorf("%v of %v: thin %v", tt.bad, tt.total, k.Finding.Thin)
		}
	}
}

// An answer that was under way when the plan was amended must not double the questions.
func TestAnAmendmentDoesNotDoubleTheQuestions(t *testing.T) {
	text := trial(cp("T+0", "window=5m grace=5m", single("leader.single", ""), manual("ops.a", "")), cp("T+4h", "window=30m grace=30m", burning("slo.share", "")))
	c := begin(t, text)
	c.until(10*time.Minute - time.Second)
	c.hold = func(plan.Evaluate) bool { return true }
	c.until(10 * time.Minute)
	late := c.held
	if len(late) != 2 {
		t.Fatalf("%d questions are under way", len(late))
	}
	c.hold, c.held = nil, nil
	c.do("ada", opsLead, plan.Amend{File: "plan.md", Text: strings.Replace(text, "What ops.a says", "What ops.a tells", 1)})
	c.until(10*time.Minute + time.Second)
	for _, e := range late {
		c.take(c.m.Step(c.now, c.reply(e)))
	}
	c.all = nil
	c.until(20 * time.Minute)
	n := map[string]int{}
	for _, e := range c.all {
		n[e.Check.ID]++
	}
	if n["slo.share"] != 10 || n["leader.single"] != 40 {
		t.Errorf("asked in ten minutes: %v", n)
	}
}

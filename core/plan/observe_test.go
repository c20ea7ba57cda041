package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/plan"
)

// between answers one value in a stretch of time since T0, and 1 elsewhere.
func between(from, to time.Duration, v float64) func(time.Duration) plan.Observation {
	return func(since time.Duration) plan.Observation {
		if since >= from && since < to {
			return one(v)
		}
		return one(1)
	}
}

// darkness answers nothing in a stretch of time.
func darkness(from, to time.Duration) func(time.Duration) plan.Observation {
	return func(since time.Duration) plan.Observation {
		if since >= from && since < to {
			return nothing()
		}
		return one(1)
	}
}

// watch is a run with one invariant that has passed, and an end after four hours.
func watch(t testing.TB, k item) *course {
	t.Helper()
	return begin(t, trial(cp("T+0", "window=5m grace=5m", k), cp("T+4h", "window=5m grace=5m", manual("ops.end", ""))))
}

func TestAnInvariantHasThePatienceOfItsPlan(t *testing.T) {
	tests := []struct {
		name     string
		value    float64
		lasts    time.Duration
		forgiven bool
	}{
		{"one scrape of two leaders", 2, 15 * time.Second, true},
		{"two scrapes of two leaders", 2, 30 * time.Second, false},
		{"a minute without a leader but a scrape", 0, time.Minute, true},
		{"a minute without a leader", 0, 75 * time.Second, false},
		{"a value for which no patience is stated", -1, 15 * time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := watch(t, single("leader.single", ""))
			c.answer("leader.single", between(10*time.Minute, 10*time.Minute+tt.lasts, tt.value))
			c.until(10*time.Minute - time.Second)
			c.want("leader.single", plan.Pass)
			c.until(20 * time.Minute)
			want := plan.Pass
			if !tt.forgiven {
				want = plan.Fail
			}
			if k := c.want("leader.single", want); k.Recovered == tt.forgiven {
				t.Errorf("recovered %v", k.Recovered)
			}
		})
	}
}

// The answer of the second scrape may come sooner after it than that of the first.
func TestPatienceCountsFromScrapeToScrape(t *testing.T) {
	c := watch(t, single("leader.single", ""))
	c.until(10 * time.Minute)
	c.hold = func(plan.Evaluate) bool { return true }
	answer := func(late time.Duration) {
		c.now = c.now.Add(late)
		held := c.held
		c.held = nil
		for _, e := range held {
			c.take(c.m.Step(c.now, plan.Observed{Evaluate: e, Observation: one(2)}))
		}
	}
	c.until(10*time.Minute + 15*time.Second)
	answer(400 * time.Millisecond)
	c.until(10*time.Minute + 30*time.Second)
	answer(10 * time.Millisecond)
	c.want("leader.single", plan.Fail)
}

func TestABreachOpensOneIncidentAndIsNotForgotten(t *testing.T) {
	c := watch(t, single("leader.single", "key"))
	c.answer("leader.single", between(10*time.Minute, 12*time.Minute, 2))
	c.until(11 * time.Minute)
	c.want("leader.single", plan.Fail)
	c.wantTimes(plan.KindIncident, "leader.single", 10*time.Minute+15*time.Second)
	if _, err := c.try("ada", opsLead, plan.ChangeIncident{ID: "i-1", Verb: "close", Result: "over"}); err == nil || !strings.Contains(err.Error(), "still fails") {
		t.Errorf("closing what burns: %v", err)
	}
	c.until(15 * time.Minute)
	k := c.want("leader.single", plan.Fail)
	if !k.Recovered || len(k.Episodes) != 1 {
		t.Fatalf("recovered %v, episodes %v", k.Recovered, k.Episodes)
	}
	if e := k.Episodes[0]; e.Incident != "i-1" || !e.From.Equal(t0.Add(10*time.Minute)) || !e.To.Equal(t0.Add(12*time.Minute+15*time.Second)) {
		t.Errorf("episode %+v", e)
	}
	c.says("leader.single", "good again")
	c.until(2 * time.Hour)
	c.want("leader.single", plan.Fail)
	c.do("ada", opsLead, plan.ChangeIncident{ID: "i-1", Verb: "close", Result: "the old leader was paused"})
	c.want("leader.single", plan.Warn)
	c.says("leader.single", "its incident is closed")
}

func TestASecondBreachIsAnIncidentOfItsOwn(t *testing.T) {
	c := watch(t, single("leader.single", ""))
	c.answer("leader.single", func(since time.Duration) plan.Observation {
		if m := since.Truncate(time.Minute); m == 10*time.Minute || m == 30*time.Minute || m == 40*time.Minute {
			return one(2)
		}
		return one(1)
	})
	c.until(20 * time.Minute)
	c.do("ada", opsLead, plan.ChangeIncident{ID: "i-1", Verb: "close", Result: "over"})
	c.want("leader.single", plan.Warn)
	c.until(35 * time.Minute)
	if k := c.want("leader.single", plan.Fail); k.Episodes[1].Incident != "i-2" {
		t.Errorf("episodes %+v", k.Episodes)
	}
	// The third comes while the incident of the second is open: it belongs to it, and
	// people hear of it.
	told := len(c.told)
	c.until(45 * time.Minute)
	if k := c.want("leader.single", plan.Fail); len(k.Episodes) != 3 || k.Episodes[2].Incident != "i-2" {
		t.Errorf("episodes %+v", k.Episodes)
	}
	if len(c.told) == told {
		t.Error("nobody was told of the third breach")
	}
	c.do("ada", opsLead, plan.ChangeIncident{ID: "i-2", Verb: "close", Result: "over"})
	c.want("leader.single", plan.Warn)
}

// While a waiver stands a breach opens no incident; the next one after it does.
func TestABreachAfterAWaiverOpensAnIncident(t *testing.T) {
	c := watch(t, single("leader.single", ""))
	c.answer("leader.single", func(since time.Duration) plan.Observation {
		if m := since.Truncate(time.Minute); m == 2*time.Minute || m == 10*time.Minute || m == 40*time.Minute {
			return one(2)
		}
		return one(1)
	})
	c.until(5 * time.Minute)
	c.do("ada", opsLead, plan.ChangeIncident{ID: "i-1", Verb: "close", Result: "over"})
	c.do("ada", opsLead, plan.Waive{Check: "leader.single", Reason: "leaders are changed on purpose now", Expires: t0.Add(20 * time.Minute)})
	c.until(15 * time.Minute)
	k := c.want("leader.single", plan.Waived)
	if k.Original != plan.Fail {
		t.Errorf("behind the waiver: %s", k.Original)
	}
	c.until(30 * time.Minute)
	c.want("leader.single", plan.Fail)
	c.until(45 * time.Minute)
	c.wantTimes(plan.KindIncident, "leader.single", 2*time.Minute+15*time.Second, 40*time.Minute+15*time.Second)
}

func TestABreachMayGetWorse(t *testing.T) {
	k := item{id: "queue.short", hc: "incident=2", lang: "promql", info: "mode=invariant", lines: []string{"# expect: < 10", "# warn-if: < 100", "queue"}}
	c := watch(t, k)
	c.answer("queue.short", func(since time.Duration) plan.Observation {
		switch {
		case since < 10*time.Minute || since >= 14*time.Minute:
			return one(1)
		case since < 12*time.Minute:
			return one(50)
		}
		return one(500)
	})
	c.until(11 * time.Minute)
	c.want("queue.short", plan.Warn)
	if i := c.m.State().Incidents; len(i) != 1 || i[0].Level != 1 {
		t.Errorf("incidents %+v", i)
	}
	c.until(13 * time.Minute)
	if k := c.want("queue.short", plan.Fail); len(k.Episodes) != 1 || k.Episodes[0].Verdict != plan.Fail {
		t.Errorf("episodes %+v", k.Episodes)
	}
	if i := c.m.State().Incidents; len(i) != 1 || i[0].Level != 2 {
		t.Errorf("incidents %+v", i)
	}
	c.wantTimes(plan.KindRaise, "i-1", 12*time.Minute)
	c.until(20 * time.Minute)
	if k := c.want("queue.short", plan.Fail); !k.Recovered {
		t.Error("not recovered")
	}
}

// A warning that is over leaves a pass: only failures are remembered.
func TestAWarningThatIsOverIsAPass(t *testing.T) {
	k := item{id: "queue.short", lang: "promql", info: "mode=invariant", lines: []string{"# expect: < 10", "# warn-if: < 100", "queue"}}
	c := watch(t, k)
	c.answer("queue.short", between(10*time.Minute, 12*time.Minute, 50))
	c.until(11 * time.Minute)
	c.want("queue.short", plan.Warn)
	c.until(20 * time.Minute)
	c.want("queue.short", plan.Pass)
}

func TestEverythingIsUnknownAMinuteAfterDarkness(t *testing.T) {
	for _, info := range []string{"mode=invariant", "mode=invariant every=60s", "mode=invariant every=5m"} {
		for name, dark := range map[string]func() plan.Observation{
			"no samples": nothing, "an error": func() plan.Observation { return broken("refused") },
		} {
			for offset := time.Duration(0); offset < 5*time.Minute; offset += 25 * time.Second {
				k := single("leader.single", "key")
				k.info = info
				c := watch(t, k)
				from := 20*time.Minute + offset
				c.answer("leader.single", func(since time.Duration) plan.Observation {
					if since >= from {
						return dark()
					}
					return one(1)
				})
				c.until(from - time.Second)
				c.want("leader.single", plan.Pass)
				c.until(from + time.Minute)
				c.want("leader.single", plan.NoData)
				if t.Failed() {
					t.Fatalf("%s, %s at T+%s", info, name, from)
				}
			}
		}
	}
}

func TestAFewMissingSamplesAreNoDarkness(t *testing.T) {
	c := watch(t, single("leader.single", ""))
	c.answer("leader.single", darkness(10*time.Minute, 10*time.Minute+45*time.Second))
	c.until(20 * time.Minute)
	c.want("leader.single", plan.Pass)
	c.wantTimes(plan.KindVerdict, `"unknown"`)
}

func TestDarknessEndsWithTheFirstSample(t *testing.T) {
	c := watch(t, single("leader.single", ""))
	c.answer("leader.single", darkness(10*time.Minute, 15*time.Minute))
	c.until(14 * time.Minute)
	c.want("leader.single", plan.NoData)
	c.until(15 * time.Minute)
	k := c.want("leader.single", plan.Pass)
	if len(k.Episodes) != 1 || k.Episodes[0].Verdict != plan.NoData || !k.Episodes[0].To.Equal(t0.Add(15*time.Minute)) {
		t.Errorf("episodes %+v", k.Episodes)
	}
}

func TestABreachIsNotEndedByDarkness(t *testing.T) {
	c := watch(t, single("leader.single", "key"))
	c.answer("leader.single", func(since time.Duration) plan.Observation {
		switch {
		case since < 10*time.Minute || since >= 20*time.Minute:
			return one(1)
		case since < 12*time.Minute:
			return one(2)
		}
		return nothing()
	})
	c.until(11 * time.Minute)
	c.want("leader.single", plan.Fail)
	c.until(15 * time.Minute)
	c.want("leader.single", plan.NoData)
	if _, err := c.try("ada", opsLead, plan.ChangeIncident{ID: "i-1", Verb: "close", Result: "nothing is seen any more"}); err == nil {
		t.Error("an incident was closed while nobody could see whether it is over")
	}
	c.until(25 * time.Minute)
	if k := c.want("leader.single", plan.Fail); !k.Recovered {
		t.Error("not recovered")
	}
	c.do("ada", opsLead, plan.ChangeIncident{ID: "i-1", Verb: "close", Result: "over"})
	c.want("leader.single", plan.Warn)
}

func TestABreachGoesOnAfterDarkness(t *testing.T) {
	c := watch(t, single("leader.single", ""))
	c.answer("leader.single", func(since time.Duration) plan.Observation {
		switch {
		case since < 10*time.Minute:
			return one(1)
		case since >= 12*time.Minute && since < 15*time.Minute:
			return nothing()
		}
		return one(2)
	})
	c.until(14 * time.Minute)
	c.want("leader.single", plan.NoData)
	c.until(16 * time.Minute)
	if k := c.want("leader.single", plan.Fail); k.Recovered || len(c.m.State().Incidents) != 1 {
		t.Errorf("recovered %v, incidents %d", k.Recovered, len(c.m.State().Incidents))
	}
}

func TestAnInvariantThatWasSeenTooLittleIsUnknownAtTheEnd(t *testing.T) {
	tests := []struct {
		name string
		dark time.Duration // of four hours, 12 minutes are 5 %
		want plan.Verdict
	}{
		{"enough", 10 * time.Minute, plan.Pass},
		{"too little", 14 * time.Minute, plan.NoData},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := watch(t, single("leader.single", "key"))
			c.answer("leader.single", darkness(time.Hour, time.Hour+tt.dark))
			c.until(4*time.Hour - time.Minute)
			c.want("leader.single", plan.Pass)
			c.until(4*time.Hour + time.Minute)
			c.want("leader.single", tt.want)
		})
	}
}

// What was excused is not seen better by that.
func TestAnExcusedInvariantNeedsItsCoverageToo(t *testing.T) {
	c := watch(t, single("leader.single", "key"))
	c.answer("leader.single", func(since time.Duration) plan.Observation {
		switch {
		case since >= 10*time.Minute && since < 11*time.Minute:
			return one(2)
		case since >= time.Hour && since < 2*time.Hour:
			return nothing()
		}
		return one(1)
	})
	c.until(3 * time.Hour)
	c.do("ada", opsLead, plan.ChangeIncident{ID: "i-1", Verb: "close", Result: "over"})
	c.want("leader.single", plan.Warn)
	c.until(4*time.Hour + time.Minute)
	c.want("leader.single", plan.NoData)
}

func TestGapsAndDarknessAreCountedOnce(t *testing.T) {
	c := watch(t, single("leader.single", ""))
	c.answer("leader.single", darkness(time.Hour, 2*time.Hour))
	c.until(90 * time.Minute)
	c.do("observer", "", plan.Missed{From: t0.Add(70 * time.Minute), To: t0.Add(80 * time.Minute), What: "slept"})
	c.do("observer", "", plan.Missed{From: t0.Add(75 * time.Minute), To: t0.Add(85 * time.Minute), What: "slept"})
	c.until(4 * time.Hour)
	if got := c.m.State().Seen(c.check("leader.single"), c.now); got < 0.749 || got > 0.751 {
		t.Errorf("seen %v of the time, want three hours of four", got)
	}
}

func TestAProposalCarriesItsFiguresAndItsEffectIsMeasured(t *testing.T) {
	k := item{id: "cooldown.share", hc: `decide=ALERT_COOLDOWN_SEC from=300 to=600 why="fewer are swallowed"`, lang: "promql", info: "window=45m", lines: []string{
		"# expect: < 30%", "# warn-if: < 60%", "sum(increase(a_total[$window])) / sum(increase(b_total[$window]))",
	}}
	c := begin(t, trial(cp("T+1h", "window=10m grace=5m", k), cp("T+4h", "window=5m grace=5m", manual("ops.end", "")), cp("T+12h", "window=5m grace=5m", manual("ops.over", ""))))
	c.answers["cooldown.share"] = func(_ time.Duration, e plan.Evaluate) plan.Observation {
		if e.Purpose == plan.ForEffect {
			if !e.From.Equal(t0.Add(2*time.Hour)) || !e.At.Equal(t0.Add(4*time.Hour)) {
				t.Errorf("the effect is measured from %s to %s", e.From, e.At)
			}
			return one(0.12)
		}
		return one(0.41)
	}
	c.until(90 * time.Minute)
	c.want("cooldown.share", plan.Warn)
	d := c.m.State().Decisions
	if len(d) != 1 || d[0].State != plan.Proposed || !strings.Contains(d[0].Figures, "41 %") || d[0].From != "300" || d[0].To != "600" {
		t.Fatalf("decisions %+v", d)
	}
	c.do("ada", opsLead, plan.Recheck{Check: "cooldown.share", Reason: "is it still so"})
	if n := len(c.m.State().Decisions); n != 1 {
		t.Errorf("%d decisions after a re-check: the proposal stands already", n)
	}
	c.until(2 * time.Hour)
	c.do("grace", devLead, plan.Decide{ID: "d-1", To: "600", Why: "as proposed"})
	c.want("cooldown.share", plan.Pass)
	if d := c.m.State().Decisions[0]; d.State != plan.Decided || d.From != "300" || d.Parameter != "ALERT_COOLDOWN_SEC" || d.Who != "grace" {
		t.Errorf("decision %+v", d)
	}
	c.until(4*time.Hour + time.Second)
	got := c.m.State().Decisions[0]
	if got.State != plan.Reviewed || !strings.Contains(got.Effect, "12 %") || !strings.Contains(got.Effect, "before: ") {
		t.Errorf("decision %+v", got)
	}
	c.wantTimes(plan.KindEffect, "d-1", 4*time.Hour)
	effects := slices.DeleteFunc(slices.Clone(c.all), func(e plan.Evaluate) bool { return e.Purpose != plan.ForEffect })
	if len(effects) != 1 {
		t.Errorf("the effect was asked for %d times", len(effects))
	}
	c.want("cooldown.share", plan.Pass)
}

func TestTheEffectOfADecisionIsLookedAtWhenItsReviewIsDue(t *testing.T) {
	k := point("a.value", "")
	k.hc = `decide=LIMIT to=2 why="more"`
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", item{
		id: "a.value", hc: `decide=LIMIT to=2 why="more"`, lang: "promql", info: "mode=window window=5m", lines: []string{"# expect: < 1", "up"},
	}), cp("T+4h", "window=5m grace=5m", manual("ops.end", ""))))
	c.until(10 * time.Minute)
	c.do("ada", opsLead, plan.Decide{ID: "d-1", To: "2", Why: "more", ReviewAt: t0.Add(time.Hour)})
	c.until(2 * time.Hour)
	c.wantTimes(plan.KindEffect, "d-1", time.Hour)
}

// A decision after the last checkpoint without a review has nothing to be looked at
// by; a restart must not look at once.
func TestADecisionWithoutAReviewIsNotLookedAtByARestart(t *testing.T) {
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", item{
		id: "a.value", hc: `decide=LIMIT to=2 why="more"`, lang: "promql", info: "mode=window window=5m", lines: []string{"# expect: < 1", "up"},
	}), cp("T+1h", "window=5m grace=5m", manual("ops.end", ""))))
	c.until(61 * time.Minute)
	c.do("ada", opsLead, plan.Decide{ID: "d-1", To: "2", Why: "more"})
	c.until(62 * time.Minute)
	c.restart(63 * time.Minute)
	c.wantTimes(plan.KindEffect, "d-1")
	if d := c.m.State().Decisions[0]; d.State != plan.Decided {
		t.Errorf("decision %+v", d)
	}
}

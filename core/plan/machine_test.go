package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/plan"
)

func TestVerdictsAreCountedAndTheWorstSpeaks(t *testing.T) {
	order := []plan.Verdict{plan.Fail, plan.NoData, plan.Pending, plan.Warn, plan.Waived, plan.Pass, plan.NotApplicable}
	for i, worse := range order {
		for _, better := range order[i:] {
			if got := worse.Worse(better); got != worse {
				t.Errorf("%s and %s are %s", worse, better, got)
			}
			if got := better.Worse(worse); got != worse {
				t.Errorf("%s and %s are %s", better, worse, got)
			}
			var c plan.Counts
			c[worse]++
			c[better] += 100 // the number of the others says nothing
			if got := c.Worst(); got != worse {
				t.Errorf("%v is %s, want %s", c, got, worse)
			}
		}
		if got, ok := plan.ParseVerdict(worse.String()); !ok || got != worse {
			t.Errorf("ParseVerdict(%q) = %s, %v", worse, got, ok)
		}
	}
	if got := (plan.Counts{}).Worst(); got != plan.Pending {
		t.Errorf("nothing is %s", got)
	}
	if v, ok := plan.ParseVerdict("green"); ok || v != plan.NoData {
		t.Errorf("ParseVerdict(green) = %s, %v", v, ok)
	}
}

func TestOnlyOpenedCheckpointsAreCounted(t *testing.T) {
	c := begin(t, trial(
		cp("T+0", "window=5m grace=5m", point("a.value", ""), point("b.value", ""), manual("ops.a", "")),
		cp("T+1h", "window=5m grace=5m", point("c.value", ""), manual("ops.b", ""))))
	c.answer("b.value", func(time.Duration) plan.Observation { return one(0) })
	c.until(10 * time.Minute)
	if got, want := c.m.State().Counts(), (plan.Counts{plan.Pass: 1, plan.Fail: 1, plan.Pending: 1}); got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
	c.until(2 * time.Hour)
	if got, want := c.m.State().Counts(), (plan.Counts{plan.Pass: 2, plan.Fail: 1, plan.Pending: 2}); got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
}

func TestCheckpointsOpenAndCloseAtTheirTimes(t *testing.T) {
	c := begin(t, trial(
		cp("T+0", "window=5m grace=5m", point("a.value", "")),
		cp("T+15m", "window=5m grace=5m", share("b.share", "")),
		cp("T+1h", "window=5m grace=5m", manual("ops.end", ""))))
	c.answer("b.share", func(time.Duration) plan.Observation { return counting(1, 100) })
	c.until(2 * time.Hour)
	c.wantTimes(plan.KindOpen, "", 0, 15*time.Minute, time.Hour)
	c.wantTimes(plan.KindClose, "", 30*time.Second, 15*time.Minute)
	if p := c.checkpoint("T+1h"); c.m.State().Stage(p) != plan.NeedsPeople || p.Late != true {
		t.Errorf("stage %v, late %v", c.m.State().Stage(p), p.Late)
	}
	c.do("ada", opsLead, plan.Tick{Check: "ops.end"})
	c.wantTimes(plan.KindClose, `"late":true`, 2*time.Hour)
}

func TestAKeyCheckThatFailsOrIsUnknownBlocksItsCheckpoint(t *testing.T) {
	for name, o := range map[string]plan.Observation{"fails": one(0), "unknown": nothing()} {
		for _, flags := range []string{"key", ""} {
			c := begin(t, trial(cp("T+0", "window=5m grace=5m", point("a.value", flags))))
			c.answer("a.value", func(time.Duration) plan.Observation { return o })
			c.until(6 * time.Minute)
			p := c.checkpoint("T+0")
			if open := p.ClosedAt.IsZero(); open != (flags == "key") {
				t.Errorf("%s %q: open %v", name, flags, open)
			}
			if stage := c.m.State().Stage(p); (stage == plan.Blocked) != (flags == "key") {
				t.Errorf("%s %q: stage %v", name, flags, stage)
			}
		}
	}
}

func TestPeopleAreCalledAtOnceTwiceAndFourTimesTheGrace(t *testing.T) {
	for name, tt := range map[string]struct {
		items []item
		owes  string
	}{
		"a manual item":    {[]item{manual("ops.a", ""), manual("ops.b", "")}, "2 manual items"},
		"a failing key":    {[]item{point("a.value", "key")}, "1 key check failing or unknown"},
		"a sign-off":       {[]item{point("b.value", "")}, "sign-off of operations-lead"},
		"nobody is called": {[]item{point("c.value", "")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			options := "window=10m grace=7m"
			if strings.HasPrefix(tt.owes, "sign-off") {
				options += " signoff=operations-lead"
			}
			c := begin(t, trial(cp("T+1h", options, tt.items...), cp("T+4h", "window=5m grace=5m", point("z.value", ""))))
			c.answer("a.value", func(time.Duration) plan.Observation { return one(0) })
			c.until(5 * time.Hour)
			if tt.owes == "" {
				c.wantTimes(plan.KindEscalation, "")
				return
			}
			c.wantTimes(plan.KindEscalation, "", 77*time.Minute, 84*time.Minute, 98*time.Minute)
			for i, e := range c.m.State().Escalations {
				if e.Level != i+1 || e.Checkpoint != "T+1h" || e.Text != "waits for "+tt.owes {
					t.Errorf("escalation %+v", e)
				}
			}
			if p := c.checkpoint("T+1h"); p.Overdue != 3 || !p.Late {
				t.Errorf("overdue %d, late %v", p.Overdue, p.Late)
			}
			var told []int
			for _, n := range c.told {
				if strings.Contains(n.Title, "overdue") {
					told = append(told, n.Level)
				}
			}
			if !slices.Equal(told, []int{1, 2, 3}) {
				t.Errorf("told of levels %v", told)
			}
		})
	}
}

func TestWhoDoesHisPartIsNotCalledAgain(t *testing.T) {
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", manual("ops.a", "")), cp("T+4h", "window=5m grace=5m", point("z.value", ""))))
	c.until(16 * time.Minute)
	c.do("ada", opsLead, plan.Tick{Check: "ops.a"})
	c.until(time.Hour)
	c.wantTimes(plan.KindEscalation, "", 10*time.Minute, 15*time.Minute)
}

// Machine verdicts are fixed at their own time, whoever is asleep.
func TestVerdictsDoNotWaitForPeople(t *testing.T) {
	c := begin(t, trial(cp("T+0", "window=5m grace=5m signoff=operations-lead", point("a.value", ""), manual("ops.a", "")), cp("T+4h", "window=5m grace=5m", point("z.value", ""))))
	c.until(5 * time.Hour)
	c.want("a.value", plan.Pass)
	c.want("z.value", plan.Pass)
	c.wantTimes(plan.KindVerdict, `"fixed":true`, 30*time.Second, 4*time.Hour+30*time.Second)
}

func TestStartIsValidated(t *testing.T) {
	ok := start(trial(cp("T+0", "window=5m grace=5m", manual("ops.a", "")), cp("T+1h", "window=5m grace=5m", manual("ops.b", ""))), nil)
	for _, tt := range []struct {
		field, part string
		spoil       func(a *plan.Start)
	}{
		{"plan", "plan.md:", func(a *plan.Start) { a.Text = "# nothing" }},
		{"version", "version", func(a *plan.Start) { a.Version = " " }},
		{"version", "version", func(a *plan.Start) { a.Version = strings.Repeat("v", 101) }},
		{"profile", "all-in-one, compose, kubernetes", func(a *plan.Start) { a.Profile = "mainframe" }},
		{"startedAt", "in the future", func(a *plan.Start) { a.T0 = t0.Add(time.Minute) }},
		{"startedAt", "longer ago", func(a *plan.Start) { a.T0 = t0.Add(-time.Hour - time.Second) }},
		{"startedAt", "longer ago", func(a *plan.Start) { a.T0 = time.Time{} }},
		{"keys", "the key of eve", func(a *plan.Start) { a.Keys = []plan.Key{{Name: "eve", Verifier: "none"}} }},
	} {
		a := ok
		tt.spoil(&a)
		c := newCourse(t)
		_, err := c.try("ada", opsLead, a)
		var e *plan.ActError
		if !errors.As(err, &e) || !errors.Is(err, plan.ErrInvalid) || e.Field != tt.field || !strings.Contains(err.Error(), tt.part) {
			t.Errorf("%s: %v (%+v), want %q", tt.field, err, e, tt.part)
		}
		if c.m.State().Plan != nil || len(c.records) > 0 {
			t.Errorf("%s: a run was started", tt.field)
		}
	}
	c := newCourse(t)
	c.now = t0.Add(999 * time.Microsecond) // which no record can say
	a := ok
	a.T0 = c.now
	c.do("ada", opsLead, a)
	c.refused("ada", opsLead, ok, plan.ErrConflict, "is under way")
}

func TestNotApplicableNeitherBlocksNorCounts(t *testing.T) {
	gone := point("a.value", "key")
	gone.hc = `na-all-in-one="there is no such thing in one process"`
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", gone, point("b.value", "key"))))
	c.until(10 * time.Minute)
	k := c.want("a.value", plan.NotApplicable)
	if !k.Fixed || !strings.Contains(k.Finding.Sentence, "there is no such thing in one process") {
		t.Errorf("fixed %v, %q", k.Fixed, k.Finding.Sentence)
	}
	if c.checkpoint("T+0").ClosedAt.IsZero() || c.checkpoint("T+0").Counts().Worst() != plan.Pass {
		t.Error("it blocks its checkpoint")
	}
	for _, criterion := range c.m.State().Criteria(c.now) {
		if strings.Contains(criterion.Title, "key check") && (!criterion.Met || criterion.Text != "1 key check") {
			t.Errorf("criterion %+v", criterion)
		}
	}
	if slices.ContainsFunc(c.all, func(e plan.Evaluate) bool { return e.Check.ID == "a.value" }) {
		t.Error("it was asked")
	}
	c.refused("ada", opsLead, plan.Waive{Check: "a.value", Reason: reason, Expires: t0.Add(time.Hour)}, plan.ErrConflict, "not applicable")
	c.refused("ada", opsLead, plan.Recheck{Check: "a.value", Reason: "x"}, plan.ErrConflict, "not judged")
	c.refused("ada", opsLead, plan.Tick{Check: "a.value"}, plan.ErrConflict, "not applicable")

	objective := burning("slo.share", "key")
	objective.hc = gone.hc
	c = begin(t, trial(cp("T+0", "window=5m grace=5m", objective, manual("ops.a", ""))))
	if len(c.m.State().SLOs) != 0 {
		t.Error("an objective that is not applicable is watched")
	}
}

func TestACommandIsAskedOnlyWhereConfigurationPermitsIt(t *testing.T) {
	text := trial(cp("T+0", "window=5m grace=5m", item{
		id: "redis.aof", lang: "command", lines: []string{"# run: redis-persistence", "# expect: value == 1", "redis-cli INFO persistence"},
	}, item{id: "shown.only", lang: "command", lines: []string{"redis-cli INFO"}}))
	for _, permitted := range []bool{false, true} {
		c := newCourse(t)
		a := start(text, nil)
		if permitted {
			a.Commands = []string{"another", "redis-persistence"}
		}
		c.do("ada", opsLead, a)
		c.until(time.Minute)
		var asked []string
		for _, e := range c.all {
			if !slices.Contains(asked, e.Check.ID) {
				asked = append(asked, e.Check.ID)
			}
		}
		if permitted {
			c.want("redis.aof", plan.Pass)
			c.refused("ada", opsLead, plan.Tick{Check: "redis.aof"}, plan.ErrConflict, "judged by a machine")
			if !slices.Equal(asked, []string{"redis.aof"}) {
				t.Errorf("asked %v", asked)
			}
		} else {
			if len(asked) != 0 {
				t.Errorf("asked %v", asked)
			}
			c.do("ada", opsLead, plan.Tick{Check: "redis.aof"})
			c.want("redis.aof", plan.Pass)
		}
		c.do("ada", opsLead, plan.Tick{Check: "shown.only"})
	}
}

func TestTimeDoesNotGoBack(t *testing.T) {
	c := pointCourse(t, "", 0)
	c.until(10 * time.Minute)
	c.m.Step(t0.Add(5 * time.Minute))
	if !c.m.Now().Equal(t0.Add(10 * time.Minute)) {
		t.Errorf("now %s", c.m.Now())
	}
	c.now = t0.Add(6 * time.Minute)
	c.do("ada", opsLead, plan.AddNote{Check: "a.value", Text: "x"})
	c.wantTimes(plan.KindNote, "a.value", 10*time.Minute)

	// Also over a restart.
	c.m = replayed(t, c.records)
	c.take(c.m.Resume(t0.Add(3*time.Minute), time.Time{}, "restart"))
	if !c.m.Now().Equal(t0.Add(10*time.Minute)) || len(c.m.State().Gaps) != 0 {
		t.Errorf("now %s, gaps %+v", c.m.Now(), c.m.State().Gaps)
	}
}

func TestAStepOfTheWallClockIsWrittenDownAndChangesNothing(t *testing.T) {
	c := watch(t, single("leader.single", ""))
	c.until(10 * time.Minute)
	c.do("observer", "", plan.ClockStep{By: -90 * time.Minute})
	c.until(20 * time.Minute)
	k := c.want("leader.single", plan.Pass)
	if seen := c.m.State().Seen(k, c.now); seen != 1 {
		t.Errorf("seen %v", seen)
	}
	if g := c.m.State().Gaps; len(g) != 1 || !strings.Contains(g[0].What, "-1h30m") {
		t.Errorf("gaps %+v", g)
	}
}

func TestARestartIsAGapOnlyWhenSomethingWasMissed(t *testing.T) {
	for _, tt := range []struct {
		seen, at time.Duration // the newest sample, the restart
		gap      bool
	}{
		{10 * time.Minute, 10*time.Minute + 30*time.Second, false},
		{10 * time.Minute, 10*time.Minute + 31*time.Second, true},
		{0, 12 * time.Minute, true}, // nothing was seen since the newest record
	} {
		c := watch(t, single("leader.single", ""))
		c.until(10 * time.Minute)
		c.do("ada", opsLead, plan.AddNote{Check: "leader.single", Text: "x"})
		c.m = replayed(t, c.records)
		c.now = t0.Add(tt.at)
		c.take(c.m.Resume(c.now, t0.Add(tt.seen), "it was restarted"))
		gaps := c.m.State().Gaps
		if (len(gaps) == 1) != tt.gap {
			t.Errorf("%+v: gaps %+v", tt, gaps)
		} else if tt.gap && (!gaps[0].From.Equal(t0.Add(10*time.Minute)) || !gaps[0].To.Equal(c.now) || gaps[0].What != "it was restarted") {
			t.Errorf("%+v: gap %+v", tt, gaps[0])
		}
	}
	var m plan.Machine
	if effects, next := m.Resume(t0, t0, "x"); len(effects) != 0 || !next.IsZero() {
		t.Errorf("a machine without a run wants %v at %s", effects, next)
	}
}

// A restart changes no verdict except through its gap.
func TestARestartChangesNoVerdict(t *testing.T) {
	c := begin(t, trial(
		cp("T+0", "window=5m grace=5m", point("a.value", ""), single("leader.single", ""), manual("ops.a", "")),
		cp("T+1h", "window=5m grace=5m", share("b.share", "key"), point("c.value", "key")),
		cp("T+2h", "window=5m grace=5m", manual("ops.end", ""))))
	c.answer("b.share", func(time.Duration) plan.Observation { return counting(1, 1000) })
	c.answer("c.value", func(since time.Duration) plan.Observation {
		if since < time.Hour+50*time.Second {
			return one(0)
		}
		return one(1)
	})
	c.until(10 * time.Minute)
	c.restart(20 * time.Minute)
	for _, id := range []string{"a.value", "leader.single"} {
		c.want(id, plan.Pass)
	}
	c.until(time.Hour + 45*time.Second) // in the middle of a check that has failed so far
	c.want("c.value", plan.Fail)
	c.restart(time.Hour + 50*time.Second)
	c.until(90 * time.Minute)
	k := c.want("c.value", plan.Pass)
	if len(k.Attempts) != 2 || k.Attempts[0].Verdict != "fail" || k.Attempts[1].N != 2 {
		t.Errorf("attempts %+v: a try from before the restart is lost", k.Attempts)
	}
	c.want("b.share", plan.Pass)
	c.wantTimes(plan.KindGap, "restarted", 20*time.Minute)
	if got := c.m.State().Seen(c.check("leader.single"), c.now); got > 0.9 || got < 0.85 {
		t.Errorf("seen %v of the time, the gap was 10 minutes of 90", got)
	}
}

func TestACheckpointThatOpenedLateHasAMinute(t *testing.T) {
	c := begin(t, trial(
		cp("T+0", "window=5m grace=5m", manual("ops.a", "")),
		cp("T+1h", "window=5m grace=5m", point("a.value", ""), share("b.share", "")),
		cp("T+4h", "window=5m grace=5m", manual("ops.end", ""))))
	c.answer("b.share", func(time.Duration) plan.Observation { return counting(1, 100) })
	c.until(30 * time.Minute)
	c.restart(2 * time.Hour)
	p := c.checkpoint("T+1h")
	if !p.OpenedAt.Equal(t0.Add(2*time.Hour)) || !p.OpensAt.Equal(t0.Add(time.Hour)) {
		t.Errorf("opened %s", p.OpenedAt)
	}
	c.until(2*time.Hour + 5*time.Minute)
	c.want("a.value", plan.Pass)
	// The window of a check ends at the time of its checkpoint, however late it is asked.
	k := c.want("b.share", plan.Pass)
	for _, e := range c.all {
		if e.Check.ID == k.ID && (!e.At.Equal(t0.Add(time.Hour)) || !e.From.Equal(t0.Add(50*time.Minute))) {
			t.Errorf("asked from %s to %s", e.From, e.At)
		}
	}
}

// What was asked and never answered before the window's end is unknown, and an answer
// that comes later changes nothing.
func TestAVerdictIsFixedAtTheEndOfItsWindow(t *testing.T) {
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", point("a.value", ""), share("b.share", "")), cp("T+1h", "window=5m grace=5m", manual("ops.end", ""))))
	c.hold = func(plan.Evaluate) bool { return true }
	c.until(6 * time.Minute)
	for _, id := range []string{"a.value", "b.share"} {
		if k := c.want(id, plan.NoData); !k.Fixed {
			t.Errorf("%s is not fixed", id)
		}
		c.says(id, "was never evaluated")
	}
	n := len(c.records)
	for _, e := range c.held {
		c.take(c.m.Step(c.now, plan.Observed{Evaluate: e, Observation: counting(1, 100)}))
	}
	c.hold = nil
	c.until(10 * time.Minute)
	c.want("a.value", plan.NoData)
	c.want("b.share", plan.NoData)
	if len(c.records) != n {
		t.Errorf("records of late answers: %v", c.records[n:])
	}
}

// A re-check that is under way when the window ends has no answer either.
func TestAWindowThatEndsWithARecheckUnderWay(t *testing.T) {
	c := pointCourse(t, "key", time.Hour)
	c.until(4*time.Minute + 58*time.Second)
	c.hold = func(plan.Evaluate) bool { return true }
	c.do("ada", opsLead, plan.Recheck{Check: "a.value", Reason: "perhaps"})
	c.until(6 * time.Minute)
	if k := c.want("a.value", plan.NoData); !k.Fixed {
		t.Error("not fixed")
	}
}

func TestTheRunAnswersForItself(t *testing.T) {
	ask := func(id, expect string) item {
		return item{id: id, lang: "run", lines: []string{"# expect: " + expect, "incidents"}}
	}
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", manual("ops.a", "")), cp("T+1h", "window=5m grace=5m",
		ask("run.open", "open == 0"), ask("run.critical", "critical == 1"), ask("run.all", "incidents == 2"),
		ask("run.issues", "user_issues == 2 and major_user_issues == 1"), ask("run.waivers", "waivers == 1"))))
	c.do("ada", opsLead, plan.OpenIncident{Level: 1, Title: "small"})
	id := c.do("ada", opsLead, plan.OpenIncident{Level: 3, Title: "large"})
	c.do("ada", opsLead, plan.ChangeIncident{ID: id, Verb: "close", Result: "over"})
	c.do("ada", opsLead, plan.ReportIssue{Text: "x"})
	c.do("ada", opsLead, plan.ReportIssue{Text: "y", Minor: true})
	c.do("ada", opsLead, plan.Waive{Check: "ops.a", Reason: reason, Expires: t0.Add(3 * time.Hour)})
	c.until(2 * time.Hour)
	for _, k := range c.checkpoint("T+1h").States {
		c.want(k.ID, plan.Pass)
	}
	if len(c.all) != 0 {
		t.Errorf("somebody else was asked: %v", c.all)
	}
}

// BenchmarkStep is an idle tick of 15 s: nothing is due but 76 answers of invariants.
func BenchmarkStep(b *testing.B) {
	var items []item
	for i := range 76 {
		items = append(items, item{id: fmt.Sprintf("a.v%d", i), lang: "promql", info: "mode=invariant", lines: []string{"# expect: == 1", "up"}})
	}
	c := begin(b, trial(cp("T+0", "window=5m grace=5m", items...), cp("T+48h", "window=5m grace=5m", manual("ops.end", ""))))
	c.until(time.Minute)
	effects, _ := c.m.Step(c.now.Add(15 * time.Second))
	observed := make([]plan.Observed, 0, len(effects))
	answer := one(1)
	now := c.now
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(15 * time.Second)
		observed = observed[:0]
		for _, e := range effects {
			if e, ok := e.(plan.Evaluate); ok {
				observed = append(observed, plan.Observed{Evaluate: e, Observation: answer})
			}
		}
		if len(observed) != 76 {
			b.Fatalf("%d evaluations", len(observed))
		}
		c.m.Step(now, observed...)
		effects, _ = c.m.Step(now.Add(15 * time.Second))
	}
}

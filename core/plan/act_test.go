package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
)

const reason = "the limit was set for the machine before this one"

// pointCourse is a run with a point check that fails until a time.
func pointCourse(t testing.TB, flags string, until time.Duration) *course {
	t.Helper()
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", point("a.value", flags)), cp("T+4h", "window=5m grace=5m", manual("ops.end", ""))))
	c.answer("a.value", func(since time.Duration) plan.Observation {
		if since < until {
			return one(0)
		}
		return one(1)
	})
	return c
}

// refused wants an act refused, and nothing changed.
func (c *course) refused(who, role string, act plan.Act, kind error, part string) {
	c.t.Helper()
	before, n := report.Run(c.m.State(), c.now), len(c.records)
	_, err := c.try(who, role, act)
	var e *plan.ActError
	switch {
	case err == nil:
		c.t.Errorf("%T %+v is allowed", act, act)
	case !errors.Is(err, kind) || !errors.As(err, &e) || !strings.Contains(err.Error(), part):
		c.t.Errorf("%T %+v: %v (%v), want %v with %q", act, act, err, errors.Unwrap(err), kind, part)
	}
	if len(c.records) != n {
		c.t.Errorf("%T %+v was refused and left %d records", act, act, len(c.records)-n)
	}
	if d := cmp.Diff(before, report.Run(c.m.State(), c.now)); d != "" {
		c.t.Errorf("%T %+v was refused and changed:\n%s", act, act, d)
	}
}

func TestARecheckIsANewEvaluationWithAReason(t *testing.T) {
	c := pointCourse(t, "key", time.Hour)
	c.until(10 * time.Minute)
	k := c.want("a.value", plan.Fail)
	if !k.Fixed || len(k.Attempts) != 1 {
		t.Fatalf("fixed %v, attempts %+v", k.Fixed, k.Attempts)
	}
	for _, r := range []string{"", "  "} {
		c.refused("ada", opsLead, plan.Recheck{Check: "a.value", Reason: r}, plan.ErrInvalid, "needs a reason")
	}
	c.do("ada", opsLead, plan.Recheck{Check: "a.value", Reason: "after the restart"})
	c.refused("ada", opsLead, plan.Recheck{Check: "a.value", Reason: "again"}, plan.ErrConflict, "is being evaluated")
	c.want("a.value", plan.Fail)
	c.until(11 * time.Minute)
	c.want("a.value", plan.Fail)
	c.until(time.Hour)
	c.do("ada", opsLead, plan.Recheck{Check: "a.value", Reason: "after the fix"})
	c.until(time.Hour + 29*time.Second)
	c.want("a.value", plan.Fail)
	c.until(time.Hour + 30*time.Second)
	k = c.want("a.value", plan.Pass)
	var got []string
	for _, a := range k.Attempts {
		got = append(got, fmt.Sprint(a.N, " ", a.Verdict, " ", a.Reason))
	}
	if want := []string{"1 fail ", "2 fail after the restart", "3 pass after the fix"}; !slices.Equal(got, want) {
		t.Errorf("attempts %q, want %q", got, want)
	}
	if k.Total != 2 || k.Retrying() {
		t.Errorf("%d re-checks, retrying %v", k.Total, k.Retrying())
	}
	c.says("a.value", "passed on attempt 3")
}

// A re-check of a check that is still being judged begins anew; the samples of before
// do not count, and are not taken twice as fast.
func TestARecheckInsideTheWindowTakesItsOwnSamples(t *testing.T) {
	c := pointCourse(t, "", 20*time.Second)
	c.until(22 * time.Second)
	c.do("ada", opsLead, plan.Recheck{Check: "a.value", Reason: "it is up"})
	c.until(51 * time.Second)
	c.want("a.value", plan.Pending)
	c.until(52 * time.Second)
	c.want("a.value", plan.Pass)
}

func TestARecheckThatDoesNotSettleIsGivenUp(t *testing.T) {
	c := begin(t, trial(cp("T+0", "window=2m grace=5m", point("a.value", "")), cp("T+4h", "window=5m grace=5m", manual("ops.end", ""))))
	n := 0.0
	c.answer("a.value", func(time.Duration) plan.Observation { n++; return one(float64(int(n) % 2)) })
	c.until(10 * time.Minute)
	c.do("ada", opsLead, plan.Recheck{Check: "a.value", Reason: "does it flap"})
	c.until(20 * time.Minute)
	if k := c.want("a.value", plan.NoData); !k.Fixed {
		t.Error("not fixed")
	}
	c.says("a.value", "does not settle")
	c.do("ada", opsLead, plan.Recheck{Check: "a.value", Reason: "one may ask again"})
}

func TestARecheckSurvivesARestart(t *testing.T) {
	c := pointCourse(t, "", 30*time.Minute)
	c.until(time.Hour)
	c.want("a.value", plan.Fail)
	c.do("ada", opsLead, plan.Recheck{Check: "a.value", Reason: "after the fix"})
	c.restart(time.Hour + 10*time.Second)
	c.until(time.Hour + time.Minute)
	k := c.want("a.value", plan.Pass)
	if a := k.Attempts[len(k.Attempts)-1]; a.Reason != "after the fix" || a.N != 2 {
		t.Errorf("attempt %+v", a)
	}
}

func TestRetryingUntilGreenIsFlaggedUntilSomethingIsDone(t *testing.T) {
	tests := map[string]func(c *course){
		"a decision": func(c *course) { c.do("ada", opsLead, plan.Decide{Parameter: "LIMIT", To: "2", Why: "too low"}) },
		"a closed incident": func(c *course) {
			id := c.do("ada", opsLead, plan.OpenIncident{Level: 1, Title: "it fails", Checks: []string{"a.value"}})
			c.do("ada", opsLead, plan.ChangeIncident{ID: id, Verb: "close", Result: "restarted"})
		},
	}
	for name, something := range tests {
		t.Run(name, func(t *testing.T) {
			c := pointCourse(t, "", 4*time.Hour)
			for i := 1; i <= 4; i++ {
				c.until(time.Duration(i) * 10 * time.Minute)
				c.do("ada", opsLead, plan.Recheck{Check: "a.value", Reason: "perhaps now"})
				c.until(time.Duration(i)*10*time.Minute + time.Minute)
				if k := c.want("a.value", plan.Fail); k.Retrying() != (i > 3) {
					t.Errorf("after %d re-checks: retrying %v", i, k.Retrying())
				}
			}
			something(c)
			if k := c.check("a.value"); k.Retrying() || k.Total != 4 {
				t.Errorf("retrying %v, %d in all", k.Retrying(), k.Total)
			}
		})
	}
}

func TestAWaiverNeedsReasonRoleAndEnd(t *testing.T) {
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", point("a.value", "key"), point("b.value", "unwaivable"), point("c.value", ""))))
	c.answer("a.value", func(time.Duration) plan.Observation { return one(0) })
	c.answer("b.value", func(time.Duration) plan.Observation { return one(0) })
	c.until(10 * time.Minute)
	hour := t0.Add(time.Hour)
	c.refused("ada", opsLead, plan.Waive{Check: "x.value", Reason: reason, Expires: hour}, plan.ErrNotFound, "no check")
	c.refused("ada", opsLead, plan.Waive{Check: "a.value", Reason: "nineteen letters ..", Expires: hour}, plan.ErrInvalid, "20 letters")
	c.refused("ada", opsLead, plan.Waive{Check: "a.value", Reason: strings.Repeat(" ", 30), Expires: hour}, plan.ErrInvalid, "20 letters")
	c.refused("ada", opsLead, plan.Waive{Check: "a.value", Reason: strings.Repeat("long", 1025), Expires: hour}, plan.ErrInvalid, "4096 bytes")
	c.refused("ada", " ", plan.Waive{Check: "a.value", Reason: reason, Expires: hour}, plan.ErrInvalid, "role")
	c.refused("ada", opsLead, plan.Waive{Check: "a.value", Reason: reason}, plan.ErrInvalid, "end in the future")
	c.refused("ada", opsLead, plan.Waive{Check: "a.value", Reason: reason, Expires: c.now}, plan.ErrInvalid, "end in the future")
	c.refused("ada", opsLead, plan.Waive{Check: "b.value", Reason: reason, Expires: hour}, plan.ErrConflict, "unwaivable")
	c.refused("ada", opsLead, plan.Waive{Check: "c.value", Reason: reason, Expires: hour}, plan.ErrConflict, "nothing to waive")
	c.do("ada", opsLead, plan.Waive{Check: "a.value", Reason: "twenty letters here.", Expires: hour})
	if k := c.want("a.value", plan.Waived); k.Original != plan.Fail || k.Waiver.Role != opsLead {
		t.Errorf("original %s, waiver %+v", k.Original, k.Waiver)
	}
}

func TestAnEndedWaiverLeavesTheVerdictOfBeforeAndOpensItsCheckpoint(t *testing.T) {
	for _, flags := range []string{"key", ""} {
		t.Run(flags, func(t *testing.T) {
			c := pointCourse(t, flags, 4*time.Hour)
			c.until(9 * time.Minute)
			c.do("ada", opsLead, plan.Waive{Check: "a.value", Reason: reason, Expires: t0.Add(time.Hour)})
			if c.checkpoint("T+0").ClosedAt.IsZero() {
				t.Error("the checkpoint is open though its check is waived")
			}
			c.until(time.Hour - time.Second)
			c.want("a.value", plan.Waived)
			c.until(time.Hour)
			k := c.want("a.value", plan.Fail)
			if k.Waiver != nil || c.m.State().OpenWaivers() != 0 {
				t.Errorf("waiver %+v", k.Waiver)
			}
			c.wantTimes(plan.KindExpired, "a.value", time.Hour)
			if open := c.checkpoint("T+0").ClosedAt.IsZero(); open != (flags == "key") {
				t.Errorf("checkpoint open: %v", open)
			}
			// People are called once more, from when it was opened again.
			c.until(2 * time.Hour)
			if flags == "key" {
				c.wantTimes(plan.KindEscalation, `"T+0"`, 65*time.Minute, 70*time.Minute, 80*time.Minute)
			} else {
				c.wantTimes(plan.KindEscalation, `"T+0"`)
			}
		})
	}
}

func TestAWaiverIsExtendedAndKeepsWhatIsBehindIt(t *testing.T) {
	c := pointCourse(t, "", 4*time.Hour)
	c.until(10 * time.Minute)
	c.do("ada", opsLead, plan.Waive{Check: "a.value", Reason: reason, Expires: t0.Add(time.Hour)})
	c.until(30 * time.Minute)
	c.do("grace", devLead, plan.Waive{Check: "a.value", Reason: reason, Expires: t0.Add(2 * time.Hour)})
	c.until(90 * time.Minute)
	if k := c.want("a.value", plan.Waived); k.Original != plan.Fail {
		t.Errorf("behind the waiver: %s", k.Original)
	}
	c.until(2 * time.Hour)
	c.want("a.value", plan.Fail)
}

func TestAWaivedManualItemIsOwedAgainWhenTheWaiverEnds(t *testing.T) {
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", manual("ops.a", "")), cp("T+4h", "window=5m grace=5m", manual("ops.end", ""))))
	c.do("ada", opsLead, plan.Waive{Check: "ops.a", Reason: reason, Expires: t0.Add(time.Hour)})
	if c.checkpoint("T+0").ClosedAt.IsZero() {
		t.Error("the checkpoint is open though its item is waived")
	}
	c.until(time.Hour)
	c.want("ops.a", plan.Pending)
	if !c.checkpoint("T+0").ClosedAt.IsZero() {
		t.Error("a checkpoint with a pending item is closed")
	}
}

func TestTicks(t *testing.T) {
	c := begin(t, trial(
		cp("T+0", "window=5m grace=5m", manual("ops.a", "role=operations-lead evidence=note"), manual("ops.b", ""), point("a.value", "")),
		cp("T+1h", "window=5m grace=5m", manual("ops.later", ""))))
	c.until(time.Second)
	c.refused("ada", opsLead, plan.Tick{Check: "ops.a", Evidence: " "}, plan.ErrInvalid, "needs a note")
	c.refused("ada", opsLead, plan.Tick{Check: "ops.a", Evidence: strings.Repeat("x", 4097)}, plan.ErrInvalid, "4096")
	c.refused("ada", opsLead, plan.Tick{Check: "ops.later"}, plan.ErrConflict, "opens at 2026-11-02T09:00:00Z")
	c.refused("ada", opsLead, plan.Tick{Check: "a.value"}, plan.ErrConflict, "judged by a machine")
	c.refused("ada", opsLead, plan.Tick{Check: "x.y"}, plan.ErrNotFound, "no check")
	c.refused("ada", opsLead, plan.Untick{Check: "a.value", Reason: "x"}, plan.ErrConflict, "judged by a machine")
	c.do("ada", opsLead, plan.Tick{Check: "ops.a", Evidence: "read aloud"})
	c.want("ops.a", plan.Pass)
	c.says("ops.a", "done by ada (operations-lead): read aloud")
	n := len(c.records)
	c.do("grace", devLead, plan.Tick{Check: "ops.a", Evidence: "once more"}) // changes nothing
	c.do("grace", devLead, plan.Untick{Check: "ops.b"})                      // was not ticked
	if len(c.records) != n {
		t.Errorf("%d records of acts that change nothing", len(c.records)-n)
	}
	c.do("ada", "", plan.Tick{Check: "ops.b"})
	c.until(10 * time.Minute)
	if c.checkpoint("T+0").ClosedAt.IsZero() {
		t.Fatal("the checkpoint is open")
	}
	c.refused("ada", opsLead, plan.Untick{Check: "ops.b", Reason: " "}, plan.ErrInvalid, "reason")
	c.do("ada", opsLead, plan.Untick{Check: "ops.b", Reason: "it was the other one"})
	c.want("ops.b", plan.Pending)
	if !c.checkpoint("T+0").ClosedAt.IsZero() {
		t.Error("a checkpoint with a pending item is closed")
	}
}

func TestIncidentsAreOwnedRaisedLinkedAndClosed(t *testing.T) {
	c := pointCourse(t, "", 4*time.Hour)
	c.until(time.Minute)
	for _, level := range []int{0, 4} {
		c.refused("ada", opsLead, plan.OpenIncident{Level: level, Title: "x"}, plan.ErrInvalid, "level")
	}
	c.refused("ada", opsLead, plan.OpenIncident{Level: 1, Title: " "}, plan.ErrInvalid, "title")
	c.refused("ada", opsLead, plan.OpenIncident{Level: 1, Title: "x", Checks: []string{"x.y"}}, plan.ErrNotFound, "no check")
	id := c.do("ada", opsLead, plan.OpenIncident{Level: 3, Title: "users see nothing"})
	if last := c.told[len(c.told)-1]; last.Level != 3 || id != "i-1" {
		t.Errorf("told %+v of %s", last, id)
	}
	for _, bad := range []struct {
		act  plan.ChangeIncident
		kind error
		part string
	}{
		{plan.ChangeIncident{ID: "i-9", Verb: "own"}, plan.ErrNotFound, "no incident"},
		{plan.ChangeIncident{ID: id, Verb: "burn"}, plan.ErrInvalid, "own, link, close"},
		{plan.ChangeIncident{ID: id, Verb: "link"}, plan.ErrInvalid, "which check"},
		{plan.ChangeIncident{ID: id, Verb: "link", Checks: []string{"x.y"}}, plan.ErrNotFound, "no check"},
		{plan.ChangeIncident{ID: id, Verb: "close"}, plan.ErrInvalid, "how did it end"},
		{plan.ChangeIncident{ID: id, Verb: "own", Note: strings.Repeat("x", 5000)}, plan.ErrInvalid, "longer"},
	} {
		c.refused("ada", opsLead, bad.act, bad.kind, bad.part)
	}
	c.do("grace", devLead, plan.ChangeIncident{ID: id, Verb: "own", Note: "looking"})
	c.do("grace", devLead, plan.ChangeIncident{ID: id, Verb: "link", Checks: []string{"a.value", "a.value"}})
	i := c.m.State().Incidents[0]
	if i.Owner != "grace" || !slices.Equal(i.Checks, []string{"a.value"}) || len(i.Notes) != 1 {
		t.Errorf("incident %+v", i)
	}
	c.do("grace", devLead, plan.ChangeIncident{ID: id, Verb: "close", Result: "the cable"})
	if i.Open() || i.ClosedBy != "grace" || i.Result != "the cable" {
		t.Errorf("incident %+v", i)
	}
	c.refused("ada", opsLead, plan.ChangeIncident{ID: id, Verb: "close", Result: "again"}, plan.ErrConflict, "is closed")
}

func TestAFailureIsExcusedByLinkingItToAClosedIncident(t *testing.T) {
	k := single("leader.single", "")
	k.hc = "" // opens no incident by itself
	c := watch(t, k)
	c.answer("leader.single", between(10*time.Minute, 12*time.Minute, 2))
	id := c.do("ada", opsLead, plan.OpenIncident{Level: 2, Title: "split brain"})
	c.until(20 * time.Minute)
	c.want("leader.single", plan.Fail)
	c.do("ada", opsLead, plan.ChangeIncident{ID: id, Verb: "close", Result: "healed"})
	c.want("leader.single", plan.Fail)
	c.do("ada", opsLead, plan.ChangeIncident{ID: id, Verb: "link", Checks: []string{"leader.single"}})
	c.want("leader.single", plan.Warn)
}

func TestDecisionsNeedWhatHowAndWhy(t *testing.T) {
	c := pointCourse(t, "", 0)
	c.until(time.Minute)
	c.refused("ada", opsLead, plan.Decide{To: "2", Why: "x"}, plan.ErrInvalid, "parameter")
	c.refused("ada", opsLead, plan.Decide{Parameter: "P", Why: "x"}, plan.ErrInvalid, "changed to")
	c.refused("ada", opsLead, plan.Decide{Parameter: "P", To: "2"}, plan.ErrInvalid, "why")
	c.refused("ada", opsLead, plan.Decide{ID: "d-7", To: "2", Why: "x"}, plan.ErrNotFound, "no decision")
	c.refused("ada", opsLead, plan.Decide{Parameter: "P", To: "2", Why: "x", ReviewAt: t0}, plan.ErrInvalid, "future")
	id := c.do("ada", opsLead, plan.Decide{Parameter: "P", From: "1", To: "2", Why: "too low"})
	c.refused("ada", opsLead, plan.Decide{ID: id, To: "3", Why: "x"}, plan.ErrConflict, "decided")
}

func TestActsBeforeTheStartAndAfterTheEndAreRefused(t *testing.T) {
	acts := []plan.Act{
		plan.Tick{Check: "ops.end"}, plan.Untick{Check: "ops.end", Reason: "x"}, plan.AddNote{Check: "ops.end", Text: "x"},
		plan.Waive{Check: "ops.end", Reason: reason, Expires: t0.Add(1000 * time.Hour)}, plan.Recheck{Check: "ops.end", Reason: "x"},
		plan.Decide{Parameter: "P", To: "2", Why: "x"}, plan.OpenIncident{Level: 1, Title: "x"}, plan.ChangeIncident{ID: "i-1", Verb: "own"},
		plan.ReportIssue{Text: "x"}, plan.Amend{File: "plan.md", Text: trial(cp("T+0", "window=5m grace=5m", manual("ops.x", "")))},
		plan.ClockStep{By: time.Second}, plan.Missed{From: t0, To: t0.Add(time.Minute)}, plan.SetKeys{},
		plan.Sign{Role: opsLead, Decision: plan.DecisionClose}, plan.Sign{Checkpoint: "T+0", Role: opsLead, Decision: plan.DecisionClose},
	}
	before := newCourse(t)
	for _, a := range acts {
		before.refused("ada", opsLead, a, plan.ErrConflict, "no run has been started")
	}
	after := closedRun(t)
	for _, a := range acts {
		after.refused("ada", opsLead, a, plan.ErrConflict, "its journal is final")
	}
	if _, next := after.m.Step(after.now.Add(time.Hour)); !next.IsZero() {
		t.Errorf("something is due at %s after the end", next)
	}
}

func TestActsOnWhatIsNotThereAreRefused(t *testing.T) {
	c := pointCourse(t, "", 0)
	c.until(time.Minute)
	for _, a := range []plan.Act{
		plan.AddNote{Check: "x.y", Text: "x"}, plan.Recheck{Check: "x.y", Reason: "x"}, plan.Untick{Check: "x.y", Reason: "x"},
		plan.Sign{Checkpoint: "T+9h", Role: opsLead, Decision: plan.DecisionClose},
	} {
		c.refused("ada", opsLead, a, plan.ErrNotFound, "there is no")
	}
	c.refused("ada", opsLead, plan.AddNote{Check: "a.value", Text: " "}, plan.ErrInvalid, "text")
	c.refused("ada", opsLead, plan.ReportIssue{Text: " "}, plan.ErrInvalid, "text")
	c.refused("ada", opsLead, plan.Recheck{Check: "ops.end", Reason: "x"}, plan.ErrConflict, "not judged by a machine")
	c.refused("ada", opsLead, plan.Amend{File: "plan.md", Text: "# nothing"}, plan.ErrInvalid, "")
	other := strings.Replace(c.m.State().Plan.Text, "id: trial", "id: another", 1)
	c.refused("ada", opsLead, plan.Amend{File: "plan.md", Text: other}, plan.ErrConflict, "plan trial runs")
	w := watch(t, single("leader.single", ""))
	w.refused("ada", opsLead, plan.Recheck{Check: "leader.single", Reason: "x"}, plan.ErrConflict, "with every scrape")
}

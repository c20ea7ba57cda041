package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/plan"
)

// amended is a plan with two checkpoints that a test changes while it runs.
func amended() string {
	return trial(
		cp("T+0", "window=5m grace=5m signoff=operations-lead", point("a.value", ""), point("b.value", "key"), manual("ops.a", "")),
		cp("T+1h", "window=5m grace=5m signoff=development-lead", point("c.value", ""), single("leader.single", "")),
		cp("T+4h", "window=5m grace=5m", point("d.value", "")))
}

// amendCourse is a run of it, two hours old, with the words of both leads.
func amendCourse(t testing.TB) *course {
	t.Helper()
	c := begin(t, amended())
	c.do("ada", opsLead, plan.Tick{Check: "ops.a"})
	c.until(time.Minute)
	c.do("ada", opsLead, plan.Sign{Checkpoint: "T+0", Role: opsLead, Decision: plan.DecisionClose})
	c.until(time.Hour + time.Minute)
	c.do("grace", devLead, plan.Sign{Checkpoint: "T+1h", Role: devLead, Decision: plan.DecisionClose})
	c.until(2 * time.Hour)
	for _, id := range []string{"T+0", "T+1h"} {
		if c.checkpoint(id).ClosedAt.IsZero() {
			t.Fatalf("%s is open", id)
		}
	}
	return c
}

func change(old, replacement string) plan.Amend {
	return plan.Amend{File: "plan.md", Text: strings.Replace(amended(), old, replacement, 1)}
}

func TestAChangedCheckIsJudgedAgainAndTheOthersKeepWhatIsKnown(t *testing.T) {
	c := amendCourse(t)
	c.do("ada", opsLead, plan.AddNote{Check: "a.value", Text: "kept"})
	n := len(c.m.State().SignOffs)
	text := trial(
		cp("T+0", "window=5m grace=5m signoff=operations-lead", point("a.value", ""), item{id: "b.value", flags: "key", lang: "promql", lines: []string{"# expect: == 2", "up"}}, manual("ops.a", "")),
		cp("T+1h", "window=5m grace=5m signoff=development-lead", point("c.value", ""), single("leader.single", "")),
		cp("T+4h", "window=5m grace=5m", point("d.value", ""), point("e.value", "")))
	c.answer("b.value", func(time.Duration) plan.Observation { return one(2) })
	c.do("ada", opsLead, plan.Amend{File: "plan.md", Text: text})
	c.want("b.value", plan.Pending)
	for _, id := range []string{"a.value", "ops.a", "c.value", "leader.single"} {
		c.want(id, plan.Pass)
	}
	if k := c.check("a.value"); len(k.Notes) != 1 || k.At != c.checkpoint("T+0") {
		t.Errorf("notes %+v", k.Notes)
	}
	a := c.m.State().Amendments
	if len(a) != 1 || !slices.Equal(a[0].Changed, []string{"b.value"}) || !slices.Equal(a[0].Added, []string{"e.value"}) || len(a[0].Removed) != 0 ||
		!strings.Contains(a[0].Diff, "== 2") || a[0].Digest != c.m.State().Plan.Digest {
		t.Errorf("amendments %+v", a)
	}
	// The word of the operations lead covered what was changed; the other one stands.
	p, other := c.checkpoint("T+0"), c.checkpoint("T+1h")
	if len(p.Signed) != 0 || !p.ClosedAt.IsZero() || len(other.Signed) != 1 || other.ClosedAt.IsZero() {
		t.Errorf("T+0 signed %v, T+1h signed %v", p.Signed, other.Signed)
	}
	if s := c.m.State().SignOffs; len(s) != n || !s[0].Stale || s[1].Stale {
		t.Errorf("sign-offs %+v %+v", s[0], s[1])
	}
	c.until(2*time.Hour + time.Minute)
	c.want("b.value", plan.Pass)
	if !p.ClosedAt.IsZero() {
		t.Error("closed without the word of its role")
	}
	c.do("ada", opsLead, plan.Sign{Checkpoint: "T+0", Role: opsLead, Decision: plan.DecisionClose})
	if p.ClosedAt.IsZero() {
		t.Error("not closed")
	}
	c.until(5 * time.Hour)
	c.want("e.value", plan.Pass)
}

// People owe a new word, from when the plan was amended on: not since two hours ago.
func TestPeopleAreCalledAnewForAnAmendedCheckpoint(t *testing.T) {
	c := amendCourse(t)
	c.do("ada", opsLead, change("# expect: == 1", "# expect: >= 1"))
	c.until(3 * time.Hour)
	c.wantTimes(plan.KindEscalation, `"T+0"`, 2*time.Hour+5*time.Minute, 2*time.Hour+10*time.Minute, 2*time.Hour+20*time.Minute)
}

func TestAWordThatWasGivenForAnOpenCheckpointIsStaleToo(t *testing.T) {
	c := begin(t, amended())
	c.until(time.Minute)
	c.do("ada", opsLead, plan.Sign{Checkpoint: "T+0", Role: opsLead, Decision: plan.DecisionClose})
	c.do("ada", opsLead, change("# expect: == 1", "# expect: >= 1"))
	c.do("ada", opsLead, plan.Tick{Check: "ops.a"})
	c.until(3 * time.Minute)
	p := c.checkpoint("T+0")
	if len(p.Signed) != 0 || !p.ClosedAt.IsZero() {
		t.Errorf("signed %v, closed %v", p.Signed, p.ClosedAt)
	}
}

func TestARemovedCheckIsNoLongerAsked(t *testing.T) {
	c := amendCourse(t)
	c.do("ada", opsLead, plan.Amend{File: "plan.md", Text: trial(
		cp("T+0", "window=5m grace=5m signoff=operations-lead", point("a.value", ""), point("b.value", "key"), manual("ops.a", "")),
		cp("T+1h", "window=5m grace=5m signoff=development-lead", point("c.value", "")),
		cp("T+4h", "window=5m grace=5m", point("d.value", "")))})
	if c.m.State().Check("leader.single") != nil {
		t.Error("it is still there")
	}
	c.all = nil
	c.until(3 * time.Hour)
	if len(c.all) != 0 {
		t.Errorf("asked %v", c.all)
	}
	if p := c.checkpoint("T+1h"); len(p.Signed) != 0 {
		t.Errorf("the word that covered it stands: %v", p.Signed)
	}
}

func TestAnAnswerForThePlanOfBeforeIsDropped(t *testing.T) {
	c := amendCourse(t)
	c.until(4*time.Hour - time.Second)
	c.hold = func(e plan.Evaluate) bool { return e.Check.ID == "d.value" }
	c.until(4 * time.Hour)
	c.do("ada", opsLead, plan.Amend{File: "plan.md", Text: strings.ReplaceAll(amended(), "# expect: == 1", "# expect: == 2")})
	for _, e := range c.held[:1] {
		c.take(c.m.Step(c.now, plan.Observed{Evaluate: e, Observation: one(1)}))
	}
	c.hold = nil
	c.answer("d.value", func(time.Duration) plan.Observation { return one(2) })
	for _, e := range c.held[1:] {
		c.take(c.m.Step(c.now, c.reply(e)))
	}
	c.until(4*time.Hour + 2*time.Minute)
	if k := c.want("d.value", plan.Pass); len(k.Attempts) != 1 {
		t.Errorf("attempts %+v", k.Attempts)
	}
}

func TestTheSamePlanIsNoAmendment(t *testing.T) {
	c := amendCourse(t)
	n := len(c.records)
	c.do("ada", opsLead, plan.Amend{File: "plan.md", Text: amended()})
	if len(c.records) != n || len(c.m.State().Amendments) != 0 {
		t.Error("it was recorded")
	}
}

func TestACheckpointThatIsAddedInThePastIsLookedAtNow(t *testing.T) {
	c := amendCourse(t)
	text := amended()
	early := cp("T+30m", "window=5m grace=5m", point("x.value", ""))
	i := strings.Index(text, "## T+1h")
	c.do("ada", opsLead, plan.Amend{File: "plan.md", Text: text[:i] + early + "\n" + text[i:]})
	c.until(2*time.Hour + 2*time.Minute)
	c.want("x.value", plan.Pass)
	if p := c.checkpoint("T+30m"); p.ClosedAt.IsZero() || !p.Late {
		t.Errorf("closed %v, late %v", p.ClosedAt, p.Late)
	}
}

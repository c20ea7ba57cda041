package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
)

// brief is a run of an hour with all that the exit looks at.
func brief() string {
	return trial(
		cp("T+0", "window=5m grace=5m signoff=operations-lead", point("a.value", "key"), point("b.value", ""), manual("ops.told", "")),
		cp("T+1h", "window=5m grace=5m", single("leader.single", "key"), burning("slo.share", "key")))
}

// good brings a run of [brief] to where only signatures are missing.
func good(t testing.TB) *course {
	t.Helper()
	c := begin(t, brief())
	c.do("ada", opsLead, plan.Tick{Check: "ops.told"})
	c.until(time.Minute)
	c.do("ada", opsLead, plan.Sign{Checkpoint: "T+0", Role: opsLead, Decision: plan.DecisionClose})
	c.until(70 * time.Minute)
	return c
}

// note is the closing statement, signed.
func (c *course) note(decision, signer string) string {
	c.t.Helper()
	s, err := c.m.State().Statement()
	if err != nil {
		c.t.Fatal(err)
	}
	if decision == plan.DecisionNoGo {
		s.Decision = decision
	}
	text, err := s.Format()
	if err != nil {
		c.t.Fatal(err)
	}
	note, err := chain.Sign(text, signer)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(note)
}

// sign signs the present closing statement as the lead of a role.
func (c *course) sign(role string) error {
	c.t.Helper()
	signers, _ := leads(c.t)
	_, err := c.try("somebody", role, plan.Sign{Role: role, Decision: plan.DecisionClose, Signature: c.note(plan.DecisionClose, signers[role])})
	return err
}

func closedRun(t testing.TB) *course {
	t.Helper()
	c := good(t)
	for _, role := range []string{opsLead, devLead} {
		if err := c.sign(role); err != nil {
			t.Fatalf("sign as %s: %v", role, err)
		}
	}
	if c.m.State().Running() {
		t.Fatal("the run goes on after both have signed")
	}
	return c
}

func TestTwoPeopleCloseARun(t *testing.T) {
	c := closedRun(t)
	s := c.m.State()
	if s.Outcome != "pass" || !s.ClosedAt.Equal(c.now) {
		t.Errorf("outcome %s at %s", s.Outcome, s.ClosedAt)
	}
	_, enrolled := leads(t)
	text, who, err := chain.OpenAll([]byte(s.Note()), enrolled[0].Verifier, enrolled[1].Verifier)
	if err != nil {
		t.Fatalf("the note of both: %v", err)
	}
	if len(who) != 2 {
		t.Errorf("signed by %v", who)
	}
	statement, err := chain.ParseStatement(text)
	if err != nil {
		t.Fatal(err)
	}
	if statement.Head != s.Frozen || statement.Run != "r-1" || statement.Decision != "pass" || statement.Rehearsal {
		t.Errorf("statement %+v, frozen %+v", statement, s.Frozen)
	}
	end := c.history(plan.KindEnd, "")
	if len(end) != 1 || !strings.Contains(end[0], "— ada ") || !strings.Contains(end[0], "— grace ") {
		t.Errorf("the last record %v", end)
	}
	// Another run may begin in the same journal.
	c.do("ada", opsLead, plan.Start{ID: "r-2", Text: brief(), Version: "v2", Profile: "compose", T0: c.now})
	if s := c.m.State(); s.ID != "r-2" || !s.Running() || len(s.SignOffs) != 0 {
		t.Errorf("second run %s, running %v", s.ID, s.Running())
	}
}

func TestEachCriterionBlocksTheExit(t *testing.T) {
	tests := []struct {
		name  string
		title string
		spoil func(c *course)
	}{
		{"time", "1h since T0", func(c *course) { c.until(50 * time.Minute) }},
		{"a checkpoint is open", "every checkpoint closed", func(c *course) {
			c.until(69 * time.Minute)
			c.do("ada", opsLead, plan.Untick{Check: "ops.told", Reason: "not all"})
		}},
		{"a key check fails", "no key check", func(c *course) {
			c.answer("a.value", func(time.Duration) plan.Observation { return one(0) })
		}},
		{"a key check is unknown", "no key check", func(c *course) {
			c.answer("a.value", func(time.Duration) plan.Observation { return nothing() })
		}},
		{"an invariant failed", "no key check", func(c *course) {
			c.answer("leader.single", between(30*time.Minute, 35*time.Minute, 2))
		}},
		{"waivers", "waivers within the limit", func(c *course) {
			c.until(10 * time.Minute)
			c.answer("a.value", func(time.Duration) plan.Observation { return one(0) })
			c.answer("b.value", func(time.Duration) plan.Observation { return one(0) })
			for _, id := range []string{"a.value", "b.value"} {
				c.do("ada", opsLead, plan.Recheck{Check: id, Reason: "look"})
			}
			c.until(20 * time.Minute)
			for _, id := range []string{"a.value", "b.value"} {
				c.do("ada", opsLead, plan.Waive{Check: id, Reason: reason, Expires: t0.Add(100 * time.Hour)})
			}
		}},
		{"an incident of level 2", "no open incident", func(c *course) {
			c.do("ada", opsLead, plan.OpenIncident{Level: 2, Title: "something"})
		}},
		{"an objective is missed", "all SLOs met", func(c *course) {
			c.answers["slo.share"] = func(_ time.Duration, e plan.Evaluate) plan.Observation { return counted(e, 1000, 6) }
		}},
		{"two issues of users", "user-reported issues", func(c *course) {
			c.do("ada", opsLead, plan.ReportIssue{Text: "a tooltip is cut off", Minor: true})
			c.do("ada", opsLead, plan.ReportIssue{Text: "another one", Minor: true})
		}},
		{"an issue that is not minor", "user-reported issues", func(c *course) {
			c.do("ada", opsLead, plan.ReportIssue{Text: "no alerts arrive"})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := begin(t, brief())
			c.do("ada", opsLead, plan.Tick{Check: "ops.told"})
			c.do("ada", opsLead, plan.Sign{Checkpoint: "T+0", Role: opsLead, Decision: plan.DecisionClose})
			tt.spoil(c)
			if tt.name != "time" {
				c.until(70 * time.Minute)
			}
			var unmet []string
			for _, k := range c.m.State().Criteria(c.now) {
				if !k.Met {
					unmet = append(unmet, k.Title)
				}
			}
			if !strings.Contains(strings.Join(unmet, "; "), tt.title) {
				t.Errorf("unmet %q, want %q", unmet, tt.title)
			}
			err := c.sign(opsLead)
			if err == nil || !strings.Contains(err.Error(), tt.title) {
				t.Errorf("signing: %v, want %q in it", err, tt.title)
			}
			if !c.m.State().Running() {
				t.Error("the run is closed")
			}
		})
	}
}

func TestOneOpenIncidentOfLevelOneAndOneMinorIssueDoNotBlock(t *testing.T) {
	c := good(t)
	c.do("ada", opsLead, plan.OpenIncident{Level: 1, Title: "a warning"})
	c.do("ada", opsLead, plan.ReportIssue{Text: "a tooltip is cut off", Minor: true})
	if !c.m.State().Ready(c.now) {
		t.Errorf("not ready: %+v", c.m.State().Criteria(c.now))
	}
}

// Whatever is recorded after the first signature makes it stale: the second would be
// under another text.
func TestAnEventMakesSignaturesStale(t *testing.T) {
	events := map[string]func(c *course){
		"a verdict": func(c *course) {
			c.answer("b.value", func(time.Duration) plan.Observation { return one(0) })
			c.do("ada", opsLead, plan.Recheck{Check: "b.value", Reason: "look"})
			c.until(72 * time.Minute)
		},
		"a note":      func(c *course) { c.do("ada", opsLead, plan.AddNote{Check: "b.value", Text: "x"}) },
		"a tick":      func(c *course) { c.do("ada", opsLead, plan.Untick{Check: "ops.told", Reason: "x"}) },
		"a waiver":    func(c *course) { c.do("ada", opsLead, plan.Decide{Parameter: "P", To: "2", Why: "x"}) },
		"an incident": func(c *course) { c.do("ada", opsLead, plan.OpenIncident{Level: 1, Title: "x"}) },
		"an issue":    func(c *course) { c.do("ada", opsLead, plan.ReportIssue{Text: "x", Minor: true}) },
		"a gap":       func(c *course) { c.do("o", "", plan.Missed{From: t0, To: t0.Add(time.Second)}) },
		"a plan": func(c *course) {
			c.do("ada", opsLead, plan.Amend{File: "plan.md", Text: strings.Replace(brief(), "What b.value", "What the b.value", 1)})
		},
		"an action": func(c *course) { c.append("ada", opsLead, "action-executed", []byte(`{"action":"leader.resign"}`)) },
	}
	for name, event := range events {
		t.Run(name, func(t *testing.T) {
			c := good(t)
			if err := c.sign(opsLead); err != nil {
				t.Fatal(err)
			}
			early := c.note(plan.DecisionClose, signerOf(t, devLead))
			event(c)
			s := c.m.State()
			o := s.SignOffs[len(s.SignOffs)-1]
			if !o.Stale || s.Note() != "" {
				t.Errorf("the signature still stands: %+v", o)
			}
			if _, err := c.try("grace", devLead, plan.Sign{Role: devLead, Decision: plan.DecisionClose, Signature: early}); err == nil {
				t.Error("a signature under the statement of before is taken")
			}
			_ = c.sign(devLead)
			if !c.m.State().Running() {
				t.Error("the run is closed by signatures under two texts")
			}
			if got := replayed(t, c.records).State().SignOffs; !got[1].Stale {
				t.Error("the journal tells another thing")
			}
		})
	}
}

func signerOf(t testing.TB, role string) string {
	t.Helper()
	signers, _ := leads(t)
	return signers[role]
}

func TestASignatureDoesNotMakeTheOtherStale(t *testing.T) {
	c := good(t)
	if err := c.sign(opsLead); err != nil {
		t.Fatal(err)
	}
	c.until(100 * time.Minute) // the objective is measured meanwhile, which tells nothing new of the plan
	if n := len(c.times(plan.KindSLO, "")); n < 2 {
		t.Fatalf("%d records of the objective", n)
	}
	if s := c.m.State(); s.SignOffs[1].Stale {
		t.Error("stale")
	}
	if err := c.sign(devLead); err != nil || c.m.State().Running() {
		t.Errorf("second signature: %v, running %v", err, c.m.State().Running())
	}
}

func TestTheTwoKeysAreOfTwoPeople(t *testing.T) {
	c := good(t)
	signer, verifier := key(t, "ada", 1)
	c.do("configuration", "", plan.SetKeys{Keys: []plan.Key{{Name: "ada", Verifier: verifier, Roles: []string{opsLead, devLead}}}})
	for i, role := range []string{opsLead, devLead} {
		_, err := c.try("ada", role, plan.Sign{Role: role, Decision: plan.DecisionClose, Signature: c.note(plan.DecisionClose, signer)})
		if (err == nil) != (i == 0) {
			t.Errorf("signature as %s: %v", role, err)
		}
		if i == 1 && (err == nil || !strings.Contains(err.Error(), "two people sign")) {
			t.Errorf("the same key twice: %v", err)
		}
	}
	if !c.m.State().Running() {
		t.Error("one person closed the run")
	}
}

func TestSignaturesThatAreNone(t *testing.T) {
	c := good(t)
	signers, _ := leads(t)
	stranger, _ := key(t, "eve", 9)
	other := good(t)
	other.do("ada", opsLead, plan.AddNote{Check: "a.value", Text: "x"})
	sign := func(role, decision, note string) plan.Sign {
		return plan.Sign{Role: role, Decision: decision, Signature: note}
	}
	own := c.note(plan.DecisionClose, signers[opsLead])
	c.refused("x", opsLead, sign(opsLead, "maybe", own), plan.ErrInvalid, "close and no-go")
	c.refused("x", opsLead, sign("janitor", plan.DecisionClose, own), plan.ErrInvalid, "does not sign")
	c.refused("x", opsLead, sign(opsLead, plan.DecisionClose, ""), plan.ErrInvalid, "no key of role")
	c.refused("x", opsLead, sign(opsLead, plan.DecisionClose, c.note(plan.DecisionClose, stranger)), plan.ErrInvalid, "no key of role")
	c.refused("x", devLead, sign(devLead, plan.DecisionClose, own), plan.ErrInvalid, "no key of role")
	c.refused("x", opsLead, sign(opsLead, plan.DecisionClose, other.note(plan.DecisionClose, signers[opsLead])), plan.ErrConflict, "another statement")
	c.refused("x", opsLead, sign(opsLead, plan.DecisionClose, c.note(plan.DecisionNoGo, signers[opsLead])), plan.ErrConflict, "another statement")
	c.refused("x", opsLead, sign(opsLead, plan.DecisionNoGo, own), plan.ErrConflict, "another statement")
	c.refused("x", opsLead, plan.Sign{Checkpoint: "T+0", Role: devLead, Decision: plan.DecisionClose}, plan.ErrInvalid, "does not sign T+0")
	c.refused("configuration", "", plan.SetKeys{Keys: []plan.Key{{Name: "eve", Verifier: "eve+12345678+AAAA", Roles: []string{opsLead}}}}, plan.ErrInvalid, "the key of eve")
	c.do("configuration", "", plan.SetKeys{})
	c.refused("x", opsLead, sign(opsLead, plan.DecisionClose, c.note(plan.DecisionClose, signers[opsLead])), plan.ErrConflict, "no operator key")
}

func TestANoGoIsNoClose(t *testing.T) {
	noGo := func(c *course, role string) {
		c.do("x", role, plan.Sign{Role: role, Decision: plan.DecisionNoGo, Signature: c.note(plan.DecisionNoGo, signerOf(c.t, role))})
	}
	t.Run("it may be said at any time", func(t *testing.T) {
		c := begin(t, brief())
		noGo(c, opsLead)
		if s := c.m.State(); !s.Running() || s.Note() != "" {
			t.Errorf("running %v, note %q", s.Running(), s.Note())
		}
	})
	t.Run("after the other's close", func(t *testing.T) {
		c := good(t)
		if err := c.sign(opsLead); err != nil {
			t.Fatal(err)
		}
		noGo(c, devLead)
		if !c.m.State().Running() {
			t.Error("closed")
		}
	})
	t.Run("it takes one's own close back", func(t *testing.T) {
		c := good(t)
		if err := c.sign(opsLead); err != nil {
			t.Fatal(err)
		}
		noGo(c, opsLead)
		if err := c.sign(devLead); err != nil {
			t.Fatal(err)
		}
		if !c.m.State().Running() {
			t.Fatal("closed against the word of the operations lead")
		}
		if err := c.sign(opsLead); err != nil || c.m.State().Running() {
			t.Errorf("both agree now: %v, running %v", err, c.m.State().Running())
		}
	})
}

func TestACheckpointWaitsForItsRoles(t *testing.T) {
	c := begin(t, brief())
	c.do("ada", opsLead, plan.Tick{Check: "ops.told"})
	c.until(2 * time.Minute)
	p := c.checkpoint("T+0")
	if got := c.m.State().Stage(p); got != plan.NeedsSignOff {
		t.Errorf("stage %v", got)
	}
	c.do("ada", opsLead, plan.Sign{Checkpoint: "T+0", Role: opsLead, Decision: plan.DecisionNoGo})
	if !p.ClosedAt.IsZero() {
		t.Error("closed by a no-go")
	}
	c.do("ada", opsLead, plan.Sign{Checkpoint: "T+0", Role: opsLead, Decision: plan.DecisionClose})
	if p.ClosedAt.IsZero() || c.m.State().Stage(p) != plan.Closed {
		t.Error("not closed")
	}
	c.refused("ada", opsLead, plan.Sign{Checkpoint: "T+1h", Role: opsLead, Decision: plan.DecisionClose}, plan.ErrConflict, "opens at")
}

func TestARehearsalIsWatermarkedWhereItIsSigned(t *testing.T) {
	c := newCourse(t)
	_, enrolled := leads(t)
	a := start(brief(), enrolled)
	a.Rehearsal, a.Scenario = true, "perfect"
	c.do("ada", opsLead, a)
	c.do("ada", opsLead, plan.Tick{Check: "ops.told"})
	c.do("ada", opsLead, plan.Sign{Checkpoint: "T+0", Role: opsLead, Decision: plan.DecisionClose})
	c.until(70 * time.Minute)
	for _, role := range []string{opsLead, devLead} {
		if err := c.sign(role); err != nil {
			t.Fatal(err)
		}
	}
	if note := c.m.State().Note(); !strings.HasPrefix(note, "rehearsal: yes\n") {
		t.Errorf("note %q", note)
	}
}

func TestTheStatementTellsWaiversApart(t *testing.T) {
	statement := func(c *course) chain.Statement {
		s, err := c.m.State().Statement()
		if err != nil {
			t.Fatal(err)
		}
		s.Head = chain.Head{}
		return s
	}
	fails := func(text string) *course {
		c := begin(t, brief())
		c.answer("b.value", func(time.Duration) plan.Observation { return one(0) })
		c.do("ada", opsLead, plan.Tick{Check: "ops.told"})
		c.do("ada", opsLead, plan.Sign{Checkpoint: "T+0", Role: opsLead, Decision: plan.DecisionClose})
		c.until(70 * time.Minute)
		if text != "" {
			c.do("ada", opsLead, plan.Waive{Check: "b.value", Reason: text, Expires: t0.Add(100 * time.Hour)})
		}
		return c
	}
	a, b, none := statement(fails(reason)), statement(fails(reason+".")), statement(fails(""))
	if a.Decision != "pass-with-waivers" || none.Decision != "pass-with-remarks" || statement(good(t)).Decision != "pass" {
		t.Errorf("decisions %s, %s", a.Decision, none.Decision)
	}
	if a.Waivers == b.Waivers || a.Verdicts != b.Verdicts || a.Verdicts == none.Verdicts {
		t.Errorf("digests:\n%s", cmp.Diff(a, b))
	}
}

// A waiver that has ended is not there any more, also when the clock was not looked at
// since.
func TestAnActSeesWhatIsDue(t *testing.T) {
	c := begin(t, brief())
	c.answer("a.value", func(time.Duration) plan.Observation { return one(0) })
	c.do("ada", opsLead, plan.Tick{Check: "ops.told"})
	c.do("ada", opsLead, plan.Sign{Checkpoint: "T+0", Role: opsLead, Decision: plan.DecisionClose})
	c.until(10 * time.Minute)
	c.do("ada", opsLead, plan.Waive{Check: "a.value", Reason: reason, Expires: t0.Add(70*time.Minute + time.Second)})
	c.until(70 * time.Minute)
	if !c.m.State().Ready(c.now) {
		t.Fatalf("not ready: %+v", c.m.State().Criteria(c.now))
	}
	c.now = t0.Add(71 * time.Minute)
	if err := c.sign(opsLead); err == nil {
		t.Error("signed with a waiver that had ended")
	}
	c.want("a.value", plan.Fail)
}

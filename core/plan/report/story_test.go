package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
)

// answers of the services in the story, by check and time since T0.
func answers(now time.Time, e plan.Evaluate) plan.Observation {
	since := now.Sub(t0)
	o := figures(since, e)
	o.Query, o.Engine = strings.TrimSpace(e.Check.Source.Query), "spark/"+e.Check.Source.Language
	o.From, o.To = e.From, e.At
	o.Digest = strings.Repeat("d1", 32)
	return o
}

func figures(since time.Duration, e plan.Evaluate) plan.Observation {
	switch e.Check.ID {
	case "health.all": // answers late at first
		status := 200.0
		if since < 30*time.Second {
			status = 503
		}
		series := func(name string, status float64) plan.Series {
			return plan.Series{Name: name, Fields: map[string]plan.Value{"status": plan.Number(status), "latency": plan.Number(0.012)}}
		}
		return plan.Observation{Series: []plan.Series{series("executor-1", 200), series("executor-2", status)}, Coverage: 1, Events: -1}
	case "leader.single": // two leaders for two minutes
		if since >= 20*time.Minute && since < 22*time.Minute {
			return one(2)
		}
	case "alerts.visible":
		return one(12)
	case "alerts.errors":
		o := one(0.004)
		o.Events = 500
		return o
	case "notify.delivery": // too few to tell
		o := one(1)
		o.Events = 3
		return o
	case "memory.executor":
		return one(612e6)
	case "cooldown.share":
		if e.Purpose == plan.ForEffect {
			return one(0.12)
		}
		return one(0.41)
	case "redis.size":
		return plan.Observation{Err: "dial tcp 10.0.0.7:6379: connection refused", Coverage: -1, Events: -1}
	case "slo.sse":
		o := plan.Observation{Good: 28730, Total: 28800, Coverage: 0.998, Events: -1}
		for _, t := range e.Tiers {
			o.Tiers = append(o.Tiers, plan.Tier{Name: t.Name, LongGood: 999, LongTotal: 1000, ShortGood: 100, ShortTotal: 100})
		}
		return o
	}
	return one(1)
}

// story is a run in which everything happens once: all verdicts, an incident, a waiver,
// a decision with its effect, a gap, a change of the plan, an escalation, two keys.
func story(t testing.TB, rehearsal bool) *course {
	t.Helper()
	c := &course{t: t, now: t0}
	c.answer = func(now time.Time, e plan.Evaluate) plan.Observation {
		o := answers(now, e)
		o.Query = c.m.State().Plan.Substitute(o.Query, e.At.Sub(e.From))
		return o
	}
	signers, enrolled := keys(t)
	start := plan.Start{ID: "r-1", File: "plan.md", Text: read(t, "plan.md"), Version: "v1.0.0", Profile: "all-in-one", T0: t0, Keys: enrolled}
	if rehearsal {
		start.Rehearsal, start.Scenario = true, "two-leaders"
	}
	const ops, dev = "operations-lead", "development-lead"
	c.do("ada", ops, start)
	c.until(2 * time.Minute)
	c.do("ada", ops, plan.Tick{Check: "ops.briefed", Evidence: "read aloud at 08:01 | all there"})
	c.until(24 * time.Minute)
	c.do("ada", ops, plan.ChangeIncident{ID: "i-1", Verb: "own"})
	c.until(30 * time.Minute)
	c.do("ada", ops, plan.ChangeIncident{ID: "i-1", Verb: "close", Result: "the old leader was paused for a snapshot", Note: "fencing held, see https://wiki.example.com/leader"})
	c.do("grace", dev, plan.AddNote{Check: "notify.delivery", Text: "only three alerts fired so far"})
	c.until(40 * time.Minute)
	c.do("observer", "", plan.Missed{From: t0.Add(38 * time.Minute), To: t0.Add(39 * time.Minute), What: "the observer restarted"})
	c.do("observer", "", plan.ClockStep{By: -1500 * time.Millisecond})
	// An action is a record of another kind in the same journal.
	c.append("ada", ops, "action-executed", encode(t, map[string]any{"action": "leader.resign", "target": "executor-1", "state": "done", "took": 12}))
	c.until(75 * time.Minute) // past the grace: somebody is called
	c.do("grace", dev, plan.Tick{Check: "charts.fast"})
	c.do("grace", dev, plan.Decide{ID: "d-1", To: "600", From: "300", Why: "users saw <old> alerts"})
	c.do("ada", ops, plan.Waive{Check: "memory.executor", Reason: "the limit was set for the engine before this one", Expires: t0.Add(6 * time.Hour)})
	c.do("ada", ops, plan.Recheck{Check: "redis.size", Reason: "after the firewall was changed"})
	c.do("ada", ops, plan.ReportIssue{Text: "tooltip is cut off", Minor: true})
	c.until(90 * time.Minute)
	c.do("ada", ops, plan.Amend{File: "plan.md", Text: strings.Replace(read(t, "plan.md"), "# expect: used_memory < 100MB", "# expect: used_memory < 200MB", 1)})
	c.until(95 * time.Minute)
	c.do("ada", ops, plan.Sign{Checkpoint: "T+1h", Role: ops, Decision: plan.DecisionClose, Comment: "good enough"})
	c.until(4*time.Hour + 15*time.Minute)
	for _, role := range []string{ops, dev} {
		if err := c.sign(role, signers[role]); err != nil {
			t.Fatalf("sign as %s: %v", role, err)
		}
	}
	return c
}

func (c *course) sign(role, signer string) error {
	c.t.Helper()
	st, err := c.m.State().Statement()
	if err != nil {
		return err
	}
	text, err := st.Format()
	if err != nil {
		return err
	}
	note, err := chain.Sign(text, signer)
	if err != nil {
		return err
	}
	_, err = c.try(plan.Actor{Who: "x", Role: role}, plan.Sign{Role: role, Decision: plan.DecisionClose, Comment: "four quiet hours", Signature: string(note)})
	return err
}

package report

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
)

// Run returns the picture of a run at a time, nil when there was no start.
func Run(s *plan.State, now time.Time) *wire.HypercareRun {
	if s.Plan == nil {
		return nil
	}
	out := &wire.HypercareRun{
		ID: s.ID, PlanID: s.Plan.ID, Title: s.Plan.Title, PlanDigest: s.Plan.Digest, Version: s.Version, Profile: s.Profile,
		Rehearsal: s.Rehearsal, Scenario: s.Scenario, State: stateOf(s, now), T0: ms(s.T0), At: ms(now), EndsAt: ms(s.End()),
		Seq: s.Head.Seq, Head: s.Head.Hash, ClosedAt: ms(s.ClosedAt),
		Checkpoints: []wire.Checkpoint{}, SLOs: []wire.SLO{}, Incidents: []wire.Incident{}, Decisions: []wire.Decision{},
		Escalations: []wire.Escalation{}, Gaps: []wire.Gap{}, Amendments: []wire.Amendment{}, UserIssues: []wire.UserIssue{},
		SignOffs: []wire.SignOff{}, Exit: Criteria(s, now),
	}
	c := s.Counts()
	out.Counts, out.Verdict = counts(c), c.Worst().String()
	for _, p := range s.Checkpoints {
		out.Checkpoints = append(out.Checkpoints, checkpoint(s, p, now))
	}
	for _, o := range s.SLOs {
		out.SLOs = append(out.SLOs, slo(o))
	}
	for _, i := range s.Incidents {
		out.Incidents = append(out.Incidents, wire.Incident{
			ID: i.ID, Level: i.Level, Title: i.Title, OpenedAt: ms(i.OpenedAt), OpenedBy: i.OpenedBy, Owner: i.Owner, Checks: i.Checks,
			Notes: notes(i.Notes), ClosedAt: ms(i.ClosedAt), ClosedBy: i.ClosedBy, Result: i.Result,
		})
	}
	people(s, out)
	return out
}

// people adds what people did and what they are called for.
func people(s *plan.State, out *wire.HypercareRun) {
	for _, d := range s.Decisions {
		out.Decisions = append(out.Decisions, wire.Decision{
			ID: d.ID, Check: d.Check, State: d.State, At: ms(d.At), Who: d.Who, Parameter: d.Parameter, From: d.From, To: d.To, Why: d.Why,
			Figures: d.Figures, ReviewAt: ms(d.ReviewAt), Effect: d.Effect, EffectAt: ms(d.EffectAt),
		})
	}
	for _, e := range s.Escalations {
		out.Escalations = append(out.Escalations, wire.Escalation{At: ms(e.At), Level: e.Level, Checkpoint: e.Checkpoint, Text: e.Text})
	}
	for _, g := range s.Gaps {
		out.Gaps = append(out.Gaps, wire.Gap{From: ms(g.From), To: ms(g.To), What: g.What})
	}
	for _, a := range s.Amendments {
		out.Amendments = append(out.Amendments, wire.Amendment{At: ms(a.At), Digest: a.Digest, Added: a.Added, Removed: a.Removed, Changed: a.Changed, Diff: a.Diff})
	}
	for _, i := range s.Issues {
		out.UserIssues = append(out.UserIssues, wire.UserIssue{At: ms(i.At), Who: i.Who, Text: i.Text, Minor: i.Minor})
	}
	for _, o := range s.SignOffs {
		out.SignOffs = append(out.SignOffs, wire.SignOff{
			At: ms(o.At), Checkpoint: o.Checkpoint, Role: o.Role, Who: o.Who, Key: o.Key, Decision: o.Decision, Comment: o.Comment,
			Signature: o.Signature, Stale: o.Stale,
		})
	}
}

// Criteria returns the conditions of the exit.
func Criteria(s *plan.State, now time.Time) []wire.Criterion {
	out := []wire.Criterion{}
	for _, c := range s.Criteria(now) {
		out = append(out, wire.Criterion{Title: c.Title, Met: c.Met, Text: c.Text})
	}
	return out
}

func stateOf(s *plan.State, now time.Time) string {
	switch {
	case !s.ClosedAt.IsZero():
		return wire.RunClosed
	case !now.Before(s.End()):
		return wire.RunExitReview
	}
	return wire.RunRunning
}

var stages = map[plan.Stage]string{
	plan.Future: wire.CheckpointFuture, plan.Open: wire.CheckpointOpen, plan.NeedsPeople: wire.CheckpointNeedsPeople,
	plan.NeedsSignOff: wire.CheckpointNeedsSignOff, plan.Blocked: wire.CheckpointBlocked, plan.Closed: wire.CheckpointClosed,
}

func checkpoint(s *plan.State, p *plan.CheckpointState, now time.Time) wire.Checkpoint {
	c := p.Counts()
	out := wire.Checkpoint{
		ID: p.ID, Title: p.Title, OpensAt: ms(p.OpensAt), DueAt: ms(p.DueAt), GraceAt: ms(p.GraceAt), State: stages[s.Stage(p)],
		Late: p.Late, Overdue: p.Overdue, ClosedAt: ms(p.ClosedAt), Verdict: c.Worst().String(), Counts: counts(c),
		SignOff: p.SignOff, Signed: p.Signed, Sections: []wire.Section{},
	}
	states := p.States
	for _, sec := range p.Sections {
		w := wire.Section{Title: sec.Title, Commands: sec.Commands, Checks: []wire.Check{}}
		for range sec.Checks {
			w.Checks = append(w.Checks, check(s, states[0], now))
			states = states[1:]
		}
		out.Sections = append(out.Sections, w)
	}
	return out
}

func counts(c plan.Counts) wire.Counts {
	return wire.Counts{
		Pass: c[plan.Pass], Warn: c[plan.Warn], Fail: c[plan.Fail], Unknown: c[plan.NoData], Pending: c[plan.Pending],
		Waived: c[plan.Waived], NotApplicable: c[plan.NotApplicable],
	}
}

func check(s *plan.State, k *plan.CheckState, now time.Time) wire.Check {
	f := &k.Finding
	out := wire.Check{
		ID: k.ID, Text: k.Text, Kind: k.Kind.String(), Mode: k.Mode.String(), Source: k.Source.Language, Key: k.Key,
		Unwaivable: k.Unwaivable, NotApplicable: k.NotIn[s.Profile], Verdict: k.Verdict.String(), Recovered: k.Recovered,
		Thin: f.Thin, Fixed: k.Fixed, Sentence: f.Sentence, Value: f.Value, Threshold: f.Threshold,
		N: f.N, Low: number(f.Low), High: number(f.High), Coverage: f.Coverage, From: ms(f.From), To: ms(f.To), Query: f.Query, Engine: f.Engine,
		Digest: f.Digest, Graph: graph(s, k), Role: k.Role, Evidence: k.Evidence, Runbook: k.Runbook, JudgedAt: ms(k.JudgedAt),
		Rechecks: k.Total, Notes: notes(k.Notes),
	}
	if k.Verdict == plan.Waived {
		out.Original = k.Original.String()
	}
	if k.Kind == plan.Command {
		out.Command = k.Source.Query
	}
	if k.Retrying() {
		out.Flag = "retrying until green"
	}
	if !s.Automatic(k) && k.Verdict != plan.NotApplicable {
		out.DueAt = ms(k.At.DueAt)
		if k.Due > 0 {
			out.DueAt = ms(k.At.OpensAt.Add(k.Due))
		}
		if out.Sentence == "" && k.Role != "" {
			out.Sentence = "waits for " + k.Role
		}
	}
	if k.Mode == plan.Invariant && s.Automatic(k) && !k.At.OpenedAt.IsZero() {
		seen := s.Seen(k, now)
		out.Coverage = &seen
	}
	for _, a := range k.Attempts {
		out.Attempts = append(out.Attempts, wire.Attempt{N: a.N, At: ms(a.At), Verdict: a.Verdict, Sentence: a.Sentence, Reason: a.Reason})
	}
	for _, e := range k.Episodes {
		out.Episodes = append(out.Episodes, wire.Episode{From: ms(e.From), To: ms(e.To), Verdict: e.Verdict.String(), Sentence: e.Sentence, Incident: e.Incident})
	}
	if w := k.Waiver; w != nil {
		out.Waiver = &wire.Waiver{At: ms(w.At), Who: w.Who, Role: w.Role, Reason: w.Text, Expires: ms(w.Expires), Original: w.Original.String()}
	}
	if k.Ticked != nil {
		n := notes([]plan.Note{*k.Ticked})[0]
		out.Tick = &n
	}
	return out
}

// graph is the query of a line that shows the check.
func graph(s *plan.State, k *plan.CheckState) string {
	q := k.Source.Graph
	if q == "" {
		switch k.Source.Language {
		case plan.SourcePromQL, plan.SourceTrend:
			q = k.Source.Query
		case plan.SourceSLO:
			if k.Source.Good != "" && k.Source.Total != "" {
				q = "(" + k.Source.Good + ") / (" + k.Source.Total + ")"
			}
		}
	}
	return s.Plan.Substitute(q, 5*time.Minute)
}

func notes(in []plan.Note) []wire.Note {
	var out []wire.Note
	for _, n := range in {
		out = append(out, wire.Note{At: ms(n.At), Who: n.Who, Role: n.Role, Text: n.Text})
	}
	return out
}

func slo(o *plan.SLOState) wire.SLO {
	out := wire.SLO{
		ID: o.Check.ID, Title: strings.TrimSuffix(o.Check.Text, "."), Target: o.Check.Source.Target, Value: o.Share, Events: finite(o.Events),
		Coverage: o.Coverage, At: ms(o.At), Verdict: o.Verdict.String(), Show: o.Shown, Burns: []wire.Burn{},
	}
	if o.At.IsZero() {
		out.Verdict = wire.VerdictPending
	}
	if b := o.Budget; b != nil {
		out.Used, out.Forecast, out.AllowedTo = number(&b.Used), number(&b.Forecast), number(&b.Allowed)
	}
	for _, t := range o.Tiers {
		if t.Long > 0 {
			rate := t.Rate
			out.Burns = append(out.Burns, wire.Burn{Tier: t.Name, LongMS: t.Long.Milliseconds(), Rate: number(&rate), Limit: t.Burn, Firing: t.Firing})
		}
	}
	return out
}

// number drops what JSON cannot say.
func number(v *float64) *float64 {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil
	}
	return v
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Digest lists the verdicts of a run by check, for comparing two runs.
func Digest(r *wire.HypercareRun) map[string]wire.Check {
	out := map[string]wire.Check{}
	for _, c := range r.Checkpoints {
		for _, s := range c.Sections {
			for _, k := range s.Checks {
				out[k.ID] = k
			}
		}
	}
	return out
}

// sortedIDs returns the ids of both, in order.
func sortedIDs(a, b map[string]wire.Check) []string {
	var out []string
	for id := range a {
		out = append(out, id)
	}
	for id := range b {
		if _, ok := a[id]; !ok {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// Differences lists the verdicts that two runs do not share.
func Differences(was, would *wire.HypercareRun) []wire.VerdictChange {
	a, b := Digest(was), Digest(would)
	out := []wire.VerdictChange{}
	for _, id := range sortedIDs(a, b) {
		if a[id].Verdict != b[id].Verdict {
			out = append(out, wire.VerdictChange{Check: id, Was: a[id].Verdict, Would: b[id].Verdict, Sentence: b[id].Sentence})
		}
	}
	return out
}

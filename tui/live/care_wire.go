package live

import (
	"math"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// Most that is kept of a run: a plan has dozens of checks, and an observer gone mad
// must not fill the console's memory.
const (
	maxCheckpoints = 32
	maxSections    = 32
	maxChecks      = 256 // of a section
	maxHistory     = 64  // attempts, episodes, notes: the newest
	maxListed      = 256 // incidents, decisions, sign-offs: the newest
)

// HypercareOf cleans an answer of the observer. Whatever it says becomes text that
// can be drawn, figures that are finite or NaN, and times that can be compared.
func HypercareOf(w wire.Hypercare) Hypercare {
	return Hypercare{
		Now: moment(w.Now), Run: runOf(w.Run),
		Plan: Plan{
			ID: clean(w.Plan.ID), Title: clean(w.Plan.Title), Digest: clean(w.Plan.Digest),
			Checkpoints: w.Plan.Checkpoints, Checks: w.Plan.Checks, Err: clean(w.Plan.Error),
		},
		Observer: observerOf(w.Observer),
	}
}

func observerOf(w wire.ObserverState) Observer {
	o := Observer{Targets: len(w.Targets), Error: clean(w.Error)}
	for _, t := range w.Targets {
		if t.Up {
			o.Up++
		}
	}
	if w.JournalError != "" {
		o.Error = clean("journal: " + w.JournalError)
	}
	return o
}

func runOf(w *wire.HypercareRun) *Run {
	if w == nil {
		return nil
	}
	r := &Run{
		ID: clean(w.ID), PlanID: clean(w.PlanID), Title: clean(w.Title), Digest: clean(w.PlanDigest), Version: clean(w.Version), Profile: clean(w.Profile),
		Rehearsal: w.Rehearsal, Scenario: clean(w.Scenario), State: w.State, T0: moment(w.T0), EndsAt: moment(w.EndsAt), ClosedAt: moment(w.ClosedAt),
		Seq: w.Seq, Head: clean(w.Head), Verdict: verdictOf(w.Verdict), Counts: countsOf(w.Counts), Amendments: len(w.Amendments),
		Checkpoints: each(oldest(w.Checkpoints, maxCheckpoints), checkpointOf),
		SLOs:        each(oldest(w.SLOs, maxCheckpoints), sloOf),
		Incidents:   each(newest(w.Incidents, maxListed), incidentOf),
		Decisions:   each(newest(w.Decisions, maxListed), decisionOf),
		SignOffs:    each(newest(w.SignOffs, maxListed), signOffOf),
		Exit: each(oldest(w.Exit, maxCheckpoints), func(w wire.Criterion) Criterion {
			return Criterion{Title: clean(w.Title), Text: clean(w.Text), Met: w.Met}
		}),
		Gaps: each(newest(w.Gaps, maxListed), func(w wire.Gap) Span {
			return Span{From: moment(w.From), To: moment(w.To), What: clean(w.What)}
		}),
		Escalations: each(newest(w.Escalations, maxListed), func(w wire.Escalation) Note {
			return Note{At: moment(w.At), Who: clean(w.Checkpoint), Text: clean(w.Text)}
		}),
		UserIssues: each(newest(w.UserIssues, maxListed), func(w wire.UserIssue) Note {
			n := Note{At: moment(w.At), Who: clean(w.Who), Text: clean(w.Text)}
			if w.Minor {
				n.Role = "minor"
			}
			return n
		}),
	}
	return r
}

func checkpointOf(w wire.Checkpoint) Checkpoint {
	return Checkpoint{
		ID: clean(w.ID), Title: clean(w.Title), OpensAt: moment(w.OpensAt), DueAt: moment(w.DueAt), GraceAt: moment(w.GraceAt),
		State: w.State, Late: w.Late, Overdue: min(max(w.Overdue, 0), 3), ClosedAt: moment(w.ClosedAt), Verdict: verdictOf(w.Verdict),
		Counts: countsOf(w.Counts), SignOff: each(oldest(w.SignOff, maxSections), clean), Signed: each(oldest(w.Signed, maxSections), clean),
		Sections: each(oldest(w.Sections, maxSections), func(w wire.Section) Section {
			return Section{
				Title: clean(w.Title), Checks: each(oldest(w.Checks, maxChecks), checkOf),
				Commands: each(oldest(w.Commands, maxSections), safetext.CleanMultiline),
			}
		}),
	}
}

func checkOf(w wire.Check) Check {
	c := Check{
		ID: clean(w.ID), Text: clean(w.Text), Kind: clean(w.Kind), Mode: clean(w.Mode), Source: clean(w.Source), Key: w.Key, Unwaivable: w.Unwaivable,
		NotApplicable: clean(w.NotApplicable), Verdict: verdictOf(w.Verdict), Original: verdictOf(w.Original), HasOriginal: w.Original != "",
		Recovered: w.Recovered, Thin: w.Thin, Fixed: w.Fixed, Sentence: clean(w.Sentence), Value: clean(w.Value), Threshold: clean(w.Threshold),
		N: figureOf(w.N), Low: figureOf(w.Low), High: figureOf(w.High), Coverage: figureOf(w.Coverage), From: moment(w.From), To: moment(w.To),
		Query: lines(w.Query), Graph: lines(w.Graph), Command: lines(w.Command), Engine: clean(w.Engine), Digest: clean(w.Digest),
		Role: clean(w.Role), Evidence: clean(w.Evidence), Runbook: clean(w.Runbook), DueAt: moment(w.DueAt), JudgedAt: moment(w.JudgedAt),
		Rechecks: w.Rechecks, Flag: clean(w.Flag), Notes: each(newest(w.Notes, maxHistory), noteOf),
		Attempts: each(newest(w.Attempts, maxHistory), func(w wire.Attempt) Attempt {
			return Attempt{N: w.N, At: moment(w.At), Verdict: verdictOf(w.Verdict), Sentence: clean(w.Sentence), Reason: clean(w.Reason)}
		}),
		Episodes: each(newest(w.Episodes, maxHistory), func(w wire.Episode) Episode {
			return Episode{From: moment(w.From), To: moment(w.To), Verdict: verdictOf(w.Verdict), Sentence: clean(w.Sentence), Incident: clean(w.Incident)}
		}),
	}
	if w.Tick != nil {
		tick := noteOf(*w.Tick)
		c.Tick = &tick
	}
	if w.Waiver != nil {
		c.Waiver = &Waiver{
			At: moment(w.Waiver.At), Expires: moment(w.Waiver.Expires), Who: clean(w.Waiver.Who), Role: clean(w.Waiver.Role), Reason: clean(w.Waiver.Reason),
		}
	}
	return c
}

func noteOf(w wire.Note) Note {
	return Note{At: moment(w.At), Who: clean(w.Who), Role: clean(w.Role), Text: clean(w.Text)}
}

func sloOf(w wire.SLO) SLO {
	return SLO{
		ID: clean(w.ID), Title: clean(w.Title), Show: clean(w.Show), Target: finite(w.Target), Value: figureOf(w.Value), Events: finite(w.Events),
		Used: figureOf(w.Used), Forecast: figureOf(w.Forecast), Coverage: figureOf(w.Coverage), AllowedTo: figureOf(w.AllowedTo), At: moment(w.At),
		Verdict: verdictOf(w.Verdict),
		Burns: each(oldest(w.Burns, 8), func(w wire.Burn) Burn {
			return Burn{
				Tier: clean(w.Tier), Long: time.Duration(min(max(w.LongMS, 0), 1e11)) * time.Millisecond,
				Rate: figureOf(w.Rate), Limit: finite(w.Limit), Firing: w.Firing,
			}
		}),
	}
}

func incidentOf(w wire.Incident) Incident {
	return Incident{
		ID: clean(w.ID), Title: clean(w.Title), Level: min(max(w.Level, 0), 3), OpenedAt: moment(w.OpenedAt), ClosedAt: moment(w.ClosedAt),
		OpenedBy: clean(w.OpenedBy), Owner: clean(w.Owner), ClosedBy: clean(w.ClosedBy), Result: clean(w.Result),
		Checks: each(oldest(w.Checks, maxSections), clean), Notes: each(newest(w.Notes, maxHistory), noteOf),
	}
}

func decisionOf(w wire.Decision) Decision {
	return Decision{
		ID: clean(w.ID), Check: clean(w.Check), Proposed: w.State == "proposed", State: clean(w.State), At: moment(w.At), Who: clean(w.Who),
		Parameter: clean(w.Parameter), From: clean(w.From), To: clean(w.To), Why: clean(w.Why), Figures: clean(w.Figures),
		ReviewAt: moment(w.ReviewAt), Effect: clean(w.Effect), EffectAt: moment(w.EffectAt),
	}
}

func signOffOf(w wire.SignOff) SignOff {
	return SignOff{
		At: moment(w.At), Checkpoint: clean(w.Checkpoint), Role: clean(w.Role), Who: clean(w.Who), Key: clean(w.Key), Decision: clean(w.Decision),
		Comment: clean(w.Comment), Signed: w.Signature != "", Stale: w.Stale,
	}
}

// verdictOf reads a verdict. One that is not known reads as unknown: never as a pass.
func verdictOf(s string) Verdict {
	switch s {
	case wire.VerdictPending:
		return Pending
	case wire.VerdictPass:
		return Pass
	case wire.VerdictWarn:
		return Warn
	case wire.VerdictFail:
		return Fail
	case wire.VerdictWaived:
		return Waived
	case wire.VerdictNotApplicable:
		return NotApplicable
	}
	return Unknown
}

func countsOf(w wire.Counts) Counts {
	return Counts{
		Unknown: w.Unknown, Pending: w.Pending, Pass: w.Pass, Warn: w.Warn, Fail: w.Fail, Waived: w.Waived, NotApplicable: w.NotApplicable,
	}
}

func clean(s string) safetext.Text { return safetext.Clean(s) }

// lines cleans what is copied: exactly what is seen is what the operator gets.
func lines(s string) safetext.Text { return safetext.CleanMultiline(strings.TrimSpace(s)) }

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func figureOf(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return finite(*v)
}

func finite(v float64) float64 {
	if math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

func oldest[T any](s []T, n int) []T { return s[:min(len(s), n)] }

func newest[T any](s []T, n int) []T { return s[max(len(s)-n, 0):] }

func each[T, U any](in []T, of func(T) U) []U {
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = of(v)
	}
	return out
}

package live

import (
	"time"

	"github.com/spark-ta/spark/core/safetext"
)

// Hypercare is the run that the observer judges, as it stood at its newest answer.
// All times in it are those of the run's clock, which a rehearsal moves faster than
// ours, so they are compared with Now and with nothing else.
type Hypercare struct {
	Rev      uint64
	At       time.Time // of the answer, by our clock; zero before the first
	Missing  bool      // the observer does not judge: it is older, or another program
	Err      safetext.Text
	Now      time.Time
	Plan     Plan
	Run      *Run // nil before the first start
	Observer Observer
}

// Plan is the plan that a start would run.
type Plan struct {
	ID, Title, Digest   safetext.Text
	Checkpoints, Checks int
	Err                 safetext.Text // why it cannot be used
}

// Observer is how well the observer itself sees.
type Observer struct {
	Targets, Up int
	Error       safetext.Text // of its journal or its samples
}

// Run is a plan under way.
type Run struct {
	ID, PlanID, Title, Digest safetext.Text
	Version, Profile          safetext.Text
	Rehearsal                 bool
	Scenario                  safetext.Text
	State                     string // one of wire's, or anything newer: compared, never drawn
	T0, EndsAt, ClosedAt      time.Time
	Seq                       int64
	Head                      safetext.Text
	Verdict                   Verdict
	Counts                    Counts
	Checkpoints               []Checkpoint
	SLOs                      []SLO
	Incidents                 []Incident
	Decisions                 []Decision
	Escalations               []Note // Who is the checkpoint
	Gaps                      []Span
	Amendments                int
	UserIssues                []Note
	SignOffs                  []SignOff
	Exit                      []Criterion
}

// Verdict is the judgement of a check, a checkpoint or a run. Its zero value is that
// nothing is known.
type Verdict uint8

// The verdicts.
const (
	Unknown Verdict = iota
	Pending
	Pass
	Warn
	Fail
	Waived
	NotApplicable
)

// Verdicts returns all verdicts, the heaviest first.
func Verdicts() []Verdict {
	return []Verdict{Fail, Unknown, Pending, Warn, Waived, Pass, NotApplicable}
}

// Word returns the verdict in at most four letters.
func (v Verdict) Word() safetext.Text {
	return [...]safetext.Text{"UNKN", "PEND", "PASS", "WARN", "FAIL", "WAIV", "N/A"}[min(v, NotApplicable)]
}

// Letter returns the verdict in one letter, "-" if it is not applicable. U is
// unknown, and "." is pending: P is pass.
func (v Verdict) Letter() rune {
	return [...]rune{'U', '.', 'P', 'W', 'F', 'V', '-'}[min(v, NotApplicable)]
}

// Counts are numbers of checks, indexed by [Verdict].
type Counts [NotApplicable + 1]int

// Checkpoint is a point of the plan.
type Checkpoint struct {
	ID, Title               safetext.Text
	OpensAt, DueAt, GraceAt time.Time
	State                   string // compared, never drawn
	Late                    bool
	Overdue                 int // escalation level, 0 to 3
	ClosedAt                time.Time
	Verdict                 Verdict
	Counts                  Counts
	SignOff, Signed         []safetext.Text
	Sections                []Section
}

// Section is a heading of a checkpoint.
type Section struct {
	Title    safetext.Text
	Checks   []Check
	Commands []safetext.Text // of several lines
}

// Check is one item and the evidence for its verdict. Figures that are not known are
// NaN. Query, Command and Graph may have several lines.
type Check struct {
	ID, Text                safetext.Text
	Kind, Mode, Source      safetext.Text
	Key, Unwaivable         bool
	NotApplicable           safetext.Text // why
	Verdict, Original       Verdict
	HasOriginal             bool
	Recovered, Thin, Fixed  bool
	Sentence                safetext.Text
	Value, Threshold        safetext.Text
	N, Low, High, Coverage  float64
	From, To                time.Time
	Query, Graph, Command   safetext.Text
	Engine, Digest          safetext.Text
	Role, Evidence, Runbook safetext.Text
	DueAt, JudgedAt         time.Time
	Attempts                []Attempt
	Rechecks                int
	Flag                    safetext.Text
	Episodes                []Episode
	Notes                   []Note
	Waiver                  *Waiver
	Tick                    *Note
}

// Manual reports whether a person decides the check.
func (c *Check) Manual() bool { return c.Kind == "manual" }

// Attempt is one evaluation.
type Attempt struct {
	N                int
	At               time.Time
	Verdict          Verdict
	Sentence, Reason safetext.Text
}

// Episode is a breach of an invariant; To is zero while it lasts.
type Episode struct {
	From, To           time.Time
	Verdict            Verdict
	Sentence, Incident safetext.Text
}

// Note is a remark.
type Note struct {
	At              time.Time
	Who, Role, Text safetext.Text
}

// Waiver excuses a check until it expires.
type Waiver struct {
	At, Expires       time.Time
	Who, Role, Reason safetext.Text
}

// SLO is an objective with its error budget. Figures that are not known are NaN.
type SLO struct {
	ID, Title, Show safetext.Text
	Target, Value   float64
	Events          float64
	Used, Forecast  float64 // shares of the budget
	Coverage        float64
	AllowedTo       float64 // burn
	At              time.Time
	Burns           []Burn
	Verdict         Verdict
}

// Burn is one tier of a burn-rate alert.
type Burn struct {
	Tier        safetext.Text
	Long        time.Duration
	Rate, Limit float64
	Firing      bool
}

// Incident is something that went wrong, at level 1 to 3.
type Incident struct {
	ID, Title          safetext.Text
	Level              int
	OpenedAt, ClosedAt time.Time // ClosedAt is zero while it is open
	OpenedBy, Owner    safetext.Text
	ClosedBy, Result   safetext.Text
	Checks             []safetext.Text
	Notes              []Note
}

// Open returns the open incidents and the greatest of their levels.
func (r *Run) Open() (n, level int) {
	for _, i := range r.Incidents {
		if i.ClosedAt.IsZero() {
			n, level = n+1, max(level, i.Level)
		}
	}
	return n, level
}

// Decision is a tuning decision.
type Decision struct {
	ID, Check           safetext.Text
	Proposed            bool
	State               safetext.Text
	At                  time.Time
	Who                 safetext.Text
	Parameter, From, To safetext.Text
	Why, Figures        safetext.Text
	ReviewAt, EffectAt  time.Time
	Effect              safetext.Text
}

// Span is a time in which the observer did not look.
type Span struct {
	From, To time.Time
	What     safetext.Text
}

// SignOff is a signature, under the exit if Checkpoint is empty.
type SignOff struct {
	At                     time.Time
	Checkpoint, Role, Who  safetext.Text
	Key, Decision, Comment safetext.Text
	Signed, Stale          bool
}

// Criterion is one condition of the exit.
type Criterion struct {
	Title, Text safetext.Text
	Met         bool
}

// Check returns the check with the id, and the checkpoint that it belongs to.
func (r *Run) Check(id safetext.Text) (*Check, *Checkpoint) {
	if r == nil {
		return nil, nil
	}
	for i := range r.Checkpoints {
		cp := &r.Checkpoints[i]
		for j := range cp.Sections {
			for k := range cp.Sections[j].Checks {
				if c := &cp.Sections[j].Checks[k]; c.ID == id {
					return c, cp
				}
			}
		}
	}
	return nil, nil
}

// Elapsed returns the time since T0, negative before it.
func (h *Hypercare) Elapsed() time.Duration {
	if h.Run == nil {
		return 0
	}
	end := h.Now
	if !h.Run.ClosedAt.IsZero() {
		end = h.Run.ClosedAt
	}
	return end.Sub(h.Run.T0)
}

package plan

import (
	"slices"
	"time"

	"github.com/spark-ta/spark/core/chain"
)

// State is everything known of a run. It is derived from records; readers must not
// change it.
type State struct {
	Plan      *Plan
	ID        string
	Version   string
	Profile   string
	Rehearsal bool
	Scenario  string
	T0        time.Time
	Keys      []Key
	Commands  []string // names that configuration permits

	Checkpoints []*CheckpointState
	checks      map[string]*CheckState
	Incidents   []*Incident
	Decisions   []*Decision
	Escalations []Escalation
	Gaps        []Gap
	Amendments  []Amendment
	Issues      []Issue
	SignOffs    []*SignOff
	ClosedAt    time.Time
	Outcome     string // of a closed run: pass, pass-with-waivers, fail, aborted

	SLOs []*SLOState // in the order of the plan

	Head     chain.Head // of the newest record
	Frozen   chain.Head // of the newest record that a sign-off must have seen
	LastSeen time.Time  // time of the newest record
}

// Key is a person's public key with the roles it may sign for.
type Key struct {
	Name     string   `json:"name"`
	Verifier string   `json:"key"`
	Roles    []string `json:"roles"`
}

// Running reports whether a run is under way.
func (s *State) Running() bool { return s.Plan != nil && s.ClosedAt.IsZero() }

// Check returns the state of a check, or nil.
func (s *State) Check(id string) *CheckState { return s.checks[id] }

// End is the time of the last checkpoint.
func (s *State) End() time.Time { return s.T0.Add(s.Plan.End()) }

// CheckpointState is a checkpoint in a run.
type CheckpointState struct {
	*Checkpoint
	OpensAt  time.Time
	DueAt    time.Time
	GraceAt  time.Time
	OpenedAt time.Time // zero: not yet
	ClosedAt time.Time // zero: not yet
	Overdue  int       // level reached since it was opened last
	Late     bool
	Signed   []string // roles
	States   []*CheckState

	ReopenedAt time.Time // after it was closed; zero: never
}

// callAt is when people are called to a level from 1 to 3: at the end of the grace, at
// twice and at four times the grace.
func (c *CheckpointState) callAt(level int) time.Time {
	return later(c.DueAt, c.ReopenedAt).Add(c.Grace << (level - 1))
}

// CheckState is a check in a run.
type CheckState struct {
	*Check
	At *CheckpointState

	Verdict   Verdict
	Finding   Finding
	Fixed     bool
	Recovered bool
	JudgedAt  time.Time
	Attempts  []Attempt
	Rechecks  int // since the newest decision or closed incident
	Total     int // re-checks of all time
	Episodes  []Episode
	Notes     []Note
	Waiver    *Waiver
	Ticked    *Note
	Original  Verdict // behind a waiver
	Decision  string  // id of the one taken

	run streak // not recorded
}

// streak is what is felt between records.
type streak struct {
	verdict Verdict
	finding Finding // of the newest sample
	length  int
	tries   []Attempt // not yet recorded
	n       int       // tries so far
	asked   int64     // the evaluation under way; 0: none
	due     time.Time // of the next evaluation; other timers are of the past
	reason  string    // of a re-check under way
	breach  time.Time // since when the expectation is missed
	dark    time.Time // since when there is no data
	turn    int       // evaluations of an invariant
}

// behind is the verdict without the waiver.
func (k *CheckState) behind() Verdict {
	if k.Waiver != nil {
		return k.Original
	}
	return k.Verdict
}

// Attempt is one try at a verdict.
type Attempt struct {
	N        int       `json:"n"`
	At       time.Time `json:"-"`
	AtMS     int64     `json:"at"`
	Verdict  string    `json:"verdict"`
	Sentence string    `json:"sentence"`
	Reason   string    `json:"reason,omitempty"`
}

// Episode is a breach of an invariant; To is zero while it lasts.
type Episode struct {
	From, To time.Time
	Verdict  Verdict
	Sentence string
	Incident string
}

// Note is a remark of a person.
type Note struct {
	At              time.Time
	Who, Role, Text string
}

// Waiver excuses a check until it expires.
type Waiver struct {
	Note
	Expires  time.Time
	Original Verdict
}

// Incident is of level 1 to 3.
type Incident struct {
	ID       string
	Level    int
	Title    string
	OpenedAt time.Time
	OpenedBy string
	Owner    string
	Checks   []string
	Notes    []Note
	ClosedAt time.Time
	ClosedBy string
	Result   string
}

// Open reports whether the incident still runs.
func (i *Incident) Open() bool { return i.ClosedAt.IsZero() }

// Decision is a tuning decision.
type Decision struct {
	ID, Check           string
	State               string // proposed, decided, reviewed
	At                  time.Time
	Who                 string
	Parameter, From, To string
	Why, Figures        string
	ReviewAt            time.Time
	Effect              string
	EffectAt            time.Time

	asked bool // its effect is being measured
}

// The states of a decision.
const (
	Proposed = "proposed"
	Decided  = "decided"
	Reviewed = "reviewed"
)

// Escalation is a call for people who are late.
type Escalation struct {
	At         time.Time
	Level      int
	Checkpoint string
	Text       string
}

// Gap is a time in which the observer did not look.
type Gap struct {
	From, To time.Time
	What     string
}

// Amendment is a change of the plan during a run.
type Amendment struct {
	At                      time.Time
	Digest                  string
	Added, Removed, Changed []string
	Diff                    string
}

// Issue is what a user reported.
type Issue struct {
	At    time.Time
	Who   string
	Text  string
	Minor bool
}

// SignOff is a signature under the closing statement, or a role's word under a
// checkpoint.
type SignOff struct {
	At         time.Time
	Checkpoint string
	Role, Who  string
	Key        string
	Decision   string
	Comment    string
	Signature  string
	Seq        int64 // frozen when it was signed
	Stale      bool
}

// build lays out the checkpoints of the plan, all pending.
func (s *State) build(p *Plan) {
	s.Plan = p
	s.Checkpoints, s.SLOs, s.checks = nil, nil, map[string]*CheckState{}
	for _, c := range p.Checkpoints {
		cs := &CheckpointState{Checkpoint: c, OpensAt: s.T0.Add(c.Offset)}
		cs.DueAt = cs.OpensAt.Add(c.Window)
		cs.GraceAt = cs.DueAt.Add(c.Grace)
		for _, k := range c.Checks() {
			ks := &CheckState{Check: k, At: cs}
			if k.NotIn[s.Profile] != "" {
				ks.Verdict, ks.Fixed = NotApplicable, true
				ks.Finding.Sentence = "not applicable: " + k.NotIn[s.Profile]
			}
			cs.States = append(cs.States, ks)
			s.checks[k.ID] = ks
			if k.Source.Language == SourceSLO && k.Source.Burn && ks.Verdict != NotApplicable {
				s.SLOs = append(s.SLOs, &SLOState{Check: ks})
			}
		}
		s.Checkpoints = append(s.Checkpoints, cs)
	}
}

// Automatic reports whether a machine judges the check in this run.
func (s *State) Automatic(k *CheckState) bool {
	switch {
	case k.Verdict == NotApplicable:
		return false
	case k.Kind == Command:
		return k.Source.Run != "" && slices.Contains(s.Commands, k.Source.Run)
	}
	return k.Kind == Auto
}

// Counts counts the verdicts of a checkpoint.
func (c *CheckpointState) Counts() Counts {
	var out Counts
	for _, k := range c.States {
		out[k.Verdict]++
	}
	return out
}

// Counts counts the verdicts of all checkpoints that have opened.
func (s *State) Counts() Counts {
	var out Counts
	for _, c := range s.Checkpoints {
		if c.OpenedAt.IsZero() {
			continue
		}
		for v, n := range c.Counts() {
			out[v] += n
		}
	}
	return out
}

// Stage is the state of a checkpoint, for people.
type Stage uint8

// The stages of a checkpoint.
const (
	Future Stage = iota
	Open
	NeedsPeople
	NeedsSignOff
	Blocked
	Closed
)

// Stage tells where the checkpoint is.
func (s *State) Stage(c *CheckpointState) Stage {
	switch {
	case c.OpenedAt.IsZero():
		return Future
	case !c.ClosedAt.IsZero():
		return Closed
	}
	people, blocked := false, false
	for _, k := range c.States {
		if k.Verdict == Pending {
			if s.Automatic(k) {
				return Open
			}
			people = true
		}
		blocked = blocked || k.Key && (k.Verdict == Fail || k.Verdict == NoData)
	}
	switch {
	case blocked:
		return Blocked
	case people:
		return NeedsPeople
	case len(c.missing()) > 0:
		return NeedsSignOff
	}
	return Open
}

// missing lists the roles whose word is missing.
func (c *CheckpointState) missing() []string {
	var out []string
	for _, r := range c.SignOff {
		if !slices.Contains(c.Signed, r) {
			out = append(out, r)
		}
	}
	return out
}

// incident returns the open incident of a check, or nil.
func (s *State) incident(check string) *Incident {
	for _, i := range s.Incidents {
		if i.Open() && slices.Contains(i.Checks, check) {
			return i
		}
	}
	return nil
}

func (s *State) incidentByID(id string) *Incident {
	for _, i := range s.Incidents {
		if i.ID == id {
			return i
		}
	}
	return nil
}

func (s *State) decision(id string) *Decision {
	for _, d := range s.Decisions {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// OpenWaivers counts the waivers that stand.
func (s *State) OpenWaivers() int {
	n := 0
	for _, k := range s.checks {
		if k.Waiver != nil {
			n++
		}
	}
	return n
}

// Frame is what of the state never changes while a plan runs: the plan and when it
// began. It may be read while the machine goes on.
func (s *State) Frame() *State {
	return &State{Plan: s.Plan, ID: s.ID, Version: s.Version, Profile: s.Profile, Rehearsal: s.Rehearsal, Scenario: s.Scenario, T0: s.T0}
}

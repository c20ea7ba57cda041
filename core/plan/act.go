package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spark-ta/spark/core/chain"
)

// Errors of acts. They wrap one of these; the text names the value and the way out.
var (
	ErrInvalid  = errors.New("invalid")   // the act itself is wrong
	ErrNotFound = errors.New("not found") // what it is about does not exist
	ErrConflict = errors.New("conflict")  // it is not allowed now
)

// ActError is the refusal of an act. Nothing was changed.
type ActError struct {
	Kind  error  // one of the above
	Field string // of the request; may be empty
	Text  string
}

func (e *ActError) Error() string { return e.Text }
func (e *ActError) Unwrap() error { return e.Kind }

func refuse(kind error, field, format string, args ...any) error {
	return &ActError{kind, field, fmt.Sprintf(format, args...)}
}

// Actor is who acts and in which role.
type Actor struct{ Who, Role string }

// An Act is what a person does to a run.
type Act interface {
	do(m *Machine, by Actor) (id string, err error)
}

// Do carries out an act of a person at now. It returns the id of what was made. After
// an error nothing has changed but time.
func (m *Machine) Do(now time.Time, by Actor, act Act) (id string, effects []Effect, next time.Time, err error) {
	m.forward(now)
	if len(m.timers) > 0 && !m.timers[0].at.After(m.now) { // an act sees what is due before it
		m.catchUp(0)
		m.settle()
	}
	if _, starts := act.(Start); !starts && m.s.Plan == nil {
		err = refuse(ErrConflict, "", "no run has been started")
	} else if !starts && !m.s.Running() {
		err = refuse(ErrConflict, "", "the run was closed at %s; its journal is final", m.s.ClosedAt.Format(time.RFC3339))
	} else {
		id, err = act.do(m, by)
	}
	if err == nil {
		m.settle()
	}
	effects, next = m.flush()
	return id, effects, next, err
}

// Start begins a run.
type Start struct {
	ID        string
	File      string // of the plan, for error texts
	Text      string // the plan
	Version   string
	Profile   string
	T0        time.Time // not after now
	Rehearsal bool
	Scenario  string
	Keys      []Key
	Commands  []string
}

func (a Start) do(m *Machine, by Actor) (string, error) {
	a.T0 = a.T0.Truncate(time.Millisecond) // as the machine counts
	if m.s.Running() {
		return "", refuse(ErrConflict, "", "run %s is under way since %s", m.s.ID, m.s.T0.Format(time.RFC3339))
	}
	p, err := Parse(a.File, []byte(a.Text))
	if err != nil {
		return "", refuse(ErrInvalid, "plan", "%v", err)
	}
	switch {
	case len(p.Checkpoints) == 0:
		return "", refuse(ErrInvalid, "plan", "the plan has no checkpoint")
	case strings.TrimSpace(a.Version) == "" || len(a.Version) > 100:
		return "", refuse(ErrInvalid, "version", "the version of the service that is judged is needed")
	case !slices.Contains(Profiles(), a.Profile):
		return "", refuse(ErrInvalid, "profile", "profile %q: there are %s", a.Profile, strings.Join(Profiles(), ", "))
	case a.T0.After(m.now):
		return "", refuse(ErrInvalid, "startedAt", "T0 %s is in the future", a.T0.Format(time.RFC3339))
	case m.now.Sub(a.T0) > p.End():
		return "", refuse(ErrInvalid, "startedAt", "T0 %s is longer ago than the plan lasts", a.T0.Format(time.RFC3339))
	}
	if err := readable(a.Keys); err != nil {
		return "", err
	}
	m.record(by.Who, by.Role, KindStart, &startBody{
		Run: a.ID, File: a.File, Text: a.Text, Digest: p.Digest, Version: a.Version, Profile: a.Profile, T0: ms(a.T0),
		Rehearsal: a.Rehearsal, Scenario: a.Scenario, Keys: a.Keys, Commands: a.Commands,
	})
	m.schedule()
	m.catchUp(0)
	return a.ID, nil
}

// Tick says that a manual item is done.
type Tick struct{ Check, Evidence string }

func (a Tick) do(m *Machine, by Actor) (string, error) {
	k, err := m.person(a.Check)
	if err != nil {
		return "", err
	}
	switch {
	case k.Ticked != nil:
		return "", nil // a second time changes nothing
	case k.At.OpenedAt.IsZero():
		return "", refuse(ErrConflict, "", "%s opens at %s", k.At.ID, k.At.OpensAt.Format(time.RFC3339))
	case k.Evidence != "" && words(a.Evidence) == 0:
		return "", refuse(ErrInvalid, "evidence", "%s needs a note of what was seen", k.ID)
	case len(a.Evidence) > maxText:
		return "", refuse(ErrInvalid, "evidence", "longer than %d bytes", maxText)
	}
	m.record(by.Who, m.roleOf(by, k), KindTick, &checkBody{Check: k.ID, Text: a.Evidence})
	return "", nil
}

const maxText = 4096 // bytes of what a person writes

func words(s string) int { return len(strings.Fields(s)) }

func (m *Machine) roleOf(by Actor, k *CheckState) string {
	if by.Role != "" {
		return by.Role
	}
	return k.Role
}

// person returns a check that people tick.
func (m *Machine) person(id string) (*CheckState, error) {
	k := m.s.checks[id]
	switch {
	case k == nil:
		return nil, refuse(ErrNotFound, "id", "there is no check %q", clip(id))
	case k.Verdict == NotApplicable:
		return nil, refuse(ErrConflict, "", "%s is not applicable in profile %s", id, m.s.Profile)
	case m.s.Automatic(k):
		return nil, refuse(ErrConflict, "", "%s is judged by a machine: recheck it, waive it or note something", id)
	}
	return k, nil
}

// Untick takes a tick back.
type Untick struct{ Check, Reason string }

func (a Untick) do(m *Machine, by Actor) (string, error) {
	k, err := m.person(a.Check)
	if err != nil {
		return "", err
	}
	if k.Ticked == nil {
		return "", nil
	}
	if words(a.Reason) == 0 || len(a.Reason) > maxText {
		return "", refuse(ErrInvalid, "reason", "a reason of at most %d bytes is needed", maxText)
	}
	m.record(by.Who, by.Role, KindUntick, &checkBody{Check: k.ID, Text: a.Reason})
	m.armPeople(k.At)
	return "", nil
}

// AddNote remarks something on a check.
type AddNote struct{ Check, Text string }

func (a AddNote) do(m *Machine, by Actor) (string, error) {
	k := m.s.checks[a.Check]
	if k == nil {
		return "", refuse(ErrNotFound, "id", "there is no check %q", clip(a.Check))
	}
	if words(a.Text) == 0 || len(a.Text) > maxText {
		return "", refuse(ErrInvalid, "reason", "a text of at most %d bytes is needed", maxText)
	}
	m.record(by.Who, by.Role, KindNote, &checkBody{Check: k.ID, Text: a.Text})
	return "", nil
}

// Waive excuses a check until a time.
type Waive struct {
	Check, Reason string
	Expires       time.Time
}

const minReason = 20 // letters of a waiver's reason

func (a Waive) do(m *Machine, by Actor) (string, error) {
	k := m.s.checks[a.Check]
	switch {
	case k == nil:
		return "", refuse(ErrNotFound, "id", "there is no check %q", clip(a.Check))
	case k.Unwaivable:
		return "", refuse(ErrConflict, "", "%s is unwaivable", k.ID)
	case k.behind() == NotApplicable || k.behind() == Pass:
		return "", refuse(ErrConflict, "", "%s is %s: there is nothing to waive", k.ID, k.behind())
	case utf8.RuneCountInString(strings.TrimSpace(a.Reason)) < minReason || len(a.Reason) > maxText:
		return "", refuse(ErrInvalid, "reason", "a waiver needs a reason of %d letters or more, and at most %d bytes", minReason, maxText)
	case words(by.Role) == 0:
		return "", refuse(ErrInvalid, "role", "a waiver needs the role of who gives it")
	case !a.Expires.After(m.now):
		return "", refuse(ErrInvalid, "expires", "a waiver needs an end in the future")
	}
	m.record(by.Who, by.Role, KindWaive, &checkBody{Check: k.ID, Text: a.Reason, Expires: ms(a.Expires), Was: k.behind().String()})
	m.arm(at(ms(a.Expires)), timerExpire, k.ID, 0)
	return "", nil
}

// Recheck wants a check evaluated anew.
type Recheck struct{ Check, Reason string }

func (a Recheck) do(m *Machine, by Actor) (string, error) {
	k := m.s.checks[a.Check]
	switch {
	case k == nil:
		return "", refuse(ErrNotFound, "id", "there is no check %q", clip(a.Check))
	case !m.s.Automatic(k):
		return "", refuse(ErrConflict, "", "%s is not judged by a machine", k.ID)
	case k.Mode == Invariant:
		return "", refuse(ErrConflict, "", "%s is judged with every scrape; a failure in the past is linked to a closed incident or waived", k.ID)
	case k.At.OpenedAt.IsZero():
		return "", refuse(ErrConflict, "", "%s opens at %s", k.At.ID, k.At.OpensAt.Format(time.RFC3339))
	case words(a.Reason) == 0 || len(a.Reason) > maxText:
		return "", refuse(ErrInvalid, "reason", "a re-check needs a reason, such as what was done")
	case k.run.reason != "" || k.run.asked != 0:
		return "", refuse(ErrConflict, "", "%s is being evaluated", k.ID)
	}
	m.record(by.Who, by.Role, KindRecheck, &checkBody{Check: k.ID, Text: a.Reason})
	m.ask(k)
	return "", nil
}

// lastTry is the number of the newest try.
func (k *CheckState) lastTry() int {
	if n := len(k.Attempts); n > 0 {
		return k.Attempts[n-1].N
	}
	return 0
}

// Retrying reports whether a check was evaluated again too often without anything
// having been done in between.
func (k *CheckState) Retrying() bool { return k.Rechecks > 3 }

// Decide takes a tuning decision; ID names a proposed one.
type Decide struct {
	ID, Parameter, From, To, Why string
	ReviewAt                     time.Time
}

func (a Decide) do(m *Machine, by Actor) (string, error) {
	b := &decisionBody{ID: a.ID, Parameter: a.Parameter, From: a.From, To: a.To, Why: a.Why, ReviewAt: ms(a.ReviewAt)}
	if a.ID != "" {
		d := m.s.decision(a.ID)
		if d == nil {
			return "", refuse(ErrNotFound, "id", "there is no decision %q", clip(a.ID))
		}
		if d.State != Proposed {
			return "", refuse(ErrConflict, "", "decision %s is %s", d.ID, d.State)
		}
		b.Check, b.Figures = d.Check, d.Figures
		if b.Parameter == "" {
			b.Parameter = d.Parameter
		}
		if b.From == "" {
			b.From = d.From
		}
	} else {
		b.ID = fmt.Sprintf("d-%d", len(m.s.Decisions)+1)
	}
	switch {
	case words(b.Parameter) == 0 || len(b.Parameter) > 100:
		return "", refuse(ErrInvalid, "parameter", "which parameter was changed?")
	case words(a.To) == 0 || len(a.To)+len(a.From) > 1000:
		return "", refuse(ErrInvalid, "to", "what was it changed to?")
	case words(a.Why) == 0 || len(a.Why) > maxText:
		return "", refuse(ErrInvalid, "why", "why was it changed?")
	case !a.ReviewAt.IsZero() && !a.ReviewAt.After(m.now):
		return "", refuse(ErrInvalid, "reviewAt", "the review must be in the future")
	}
	m.record(by.Who, by.Role, KindDecision, b)
	m.armReview(m.s.decision(b.ID))
	return b.ID, nil
}

// OpenIncident opens one by hand.
type OpenIncident struct {
	Level  int
	Title  string
	Checks []string
}

func (a OpenIncident) do(m *Machine, by Actor) (string, error) {
	switch {
	case a.Level < 1 || a.Level > 3:
		return "", refuse(ErrInvalid, "level", "level %d: there are 1 (warning), 2 (critical), 3 (emergency)", a.Level)
	case words(a.Title) == 0 || len(a.Title) > 500:
		return "", refuse(ErrInvalid, "title", "a title of at most 500 bytes is needed")
	}
	if err := m.known(a.Checks); err != nil {
		return "", err
	}
	id := fmt.Sprintf("i-%d", len(m.s.Incidents)+1)
	m.record(by.Who, by.Role, KindIncident, &incidentBody{ID: id, Level: a.Level, Title: a.Title, Checks: a.Checks})
	m.notify(a.Level, "incident "+id, a.Title)
	return id, nil
}

func (m *Machine) known(checks []string) error {
	for _, c := range checks {
		if m.s.checks[c] == nil {
			return refuse(ErrNotFound, "checks", "there is no check %q", clip(c))
		}
	}
	return nil
}

// ChangeIncident owns, links or closes one.
type ChangeIncident struct {
	ID     string
	Verb   string // own, link, close
	Owner  string
	Checks []string
	Result string
	Note   string
}

func (a ChangeIncident) do(m *Machine, by Actor) (string, error) {
	i := m.s.incidentByID(a.ID)
	if i == nil {
		return "", refuse(ErrNotFound, "id", "there is no incident %q", clip(a.ID))
	}
	if len(a.Owner)+len(a.Result)+len(a.Note) > maxText {
		return "", refuse(ErrInvalid, "note", "longer than %d bytes", maxText)
	}
	b := &incidentBody{ID: i.ID, Note: a.Note}
	switch a.Verb {
	case "own":
		if b.Owner = a.Owner; words(b.Owner) == 0 {
			b.Owner = by.Who
		}
		m.record(by.Who, by.Role, KindOwn, b)
	case "link":
		if len(a.Checks) == 0 {
			return "", refuse(ErrInvalid, "check", "which check belongs to it?")
		}
		if err := m.known(a.Checks); err != nil {
			return "", err
		}
		b.Checks = a.Checks
		m.record(by.Who, by.Role, KindLink, b)
	case "close":
		if !i.Open() {
			return "", refuse(ErrConflict, "", "incident %s is closed", i.ID)
		}
		if words(a.Result) == 0 {
			return "", refuse(ErrInvalid, "result", "how did it end?")
		}
		for _, id := range i.Checks {
			if k := m.s.checks[id]; k != nil && m.burns(k) {
				return "", refuse(ErrConflict, "", "%s still fails: %s", id, k.Finding.Sentence)
			}
		}
		b.Result = a.Result
		m.record(by.Who, by.Role, KindResolve, b)
	default:
		return "", refuse(ErrInvalid, "verb", "verb %q: there are own, link, close", clip(a.Verb))
	}
	return i.ID, nil
}

// burns reports whether what an incident is about still goes on.
func (m *Machine) burns(k *CheckState) bool {
	if e := k.openEpisode(); e != nil && (e.Verdict != NoData || k.blinded()) {
		return true
	}
	s := m.slo(k.ID)
	return s != nil && slices.ContainsFunc(s.Tiers[:2], func(t TierState) bool { return t.Firing })
}

// blinded reports whether the darkness that lasts began while a breach did: nobody
// has seen the end of it.
func (k *CheckState) blinded() bool {
	n := len(k.Episodes)
	return n > 1 && k.Episodes[n-2].Verdict != NoData && k.Episodes[n-2].To.After(k.Episodes[n-1].From)
}

// ReportIssue notes what a user reported.
type ReportIssue struct {
	Text  string
	Minor bool
}

func (a ReportIssue) do(m *Machine, by Actor) (string, error) {
	if words(a.Text) == 0 || len(a.Text) > maxText {
		return "", refuse(ErrInvalid, "text", "a text of at most %d bytes is needed", maxText)
	}
	m.record(by.Who, by.Role, KindIssue, &issueBody{a.Text, a.Minor})
	return fmt.Sprintf("u-%d", len(m.s.Issues)), nil
}

// Amend puts a changed plan in the place of the one that runs.
type Amend struct{ File, Text string }

func (a Amend) do(m *Machine, by Actor) (string, error) {
	p, err := Parse(a.File, []byte(a.Text))
	if err != nil {
		return "", refuse(ErrInvalid, "plan", "%v", err)
	}
	if p.ID != m.s.Plan.ID {
		return "", refuse(ErrConflict, "plan", "plan %s runs, not %s", m.s.Plan.ID, p.ID)
	}
	if p.Digest == m.s.Plan.Digest {
		return "", nil
	}
	added, removed, changed, diff := Diff(m.s.Plan, p)
	m.record(by.Who, by.Role, KindAmend, &amendBody{a.File, a.Text, p.Digest, added, removed, changed, diff})
	m.schedule()
	return p.Digest, nil
}

// ClockStep tells that the wall clock was set while the observer looked. Verdicts
// follow the monotonic clock, so that nothing else changes.
type ClockStep struct{ By time.Duration }

func (a ClockStep) do(m *Machine, by Actor) (string, error) {
	m.record(by.Who, by.Role, KindClock, &clockBody{a.By.Milliseconds()})
	return "", nil
}

// Missed tells that the observer did not look for a time, such as when its machine
// slept.
type Missed struct {
	From, To time.Time
	What     string
}

func (a Missed) do(m *Machine, by Actor) (string, error) {
	m.record(by.Who, by.Role, KindGap, &gapBody{ms(a.From), ms(a.To), a.What})
	return "", nil
}

// SetKeys changes the keys that may sign.
type SetKeys struct{ Keys []Key }

func (a SetKeys) do(m *Machine, by Actor) (string, error) { //nolint:unparam // as every act
	if err := readable(a.Keys); err != nil {
		return "", err
	}
	m.record(by.Who, by.Role, KindKeys, &keysBody{a.Keys})
	return "", nil
}

// readable refuses keys with which nobody could ever sign: that is found out at the
// start, not after two days.
func readable(keys []Key) error {
	for _, k := range keys {
		if _, err := chain.KeyName(k.Verifier); err != nil {
			return refuse(ErrInvalid, "keys", "the key of %s: %v", clip(k.Name), err)
		}
	}
	return nil
}

package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/journal"
)

// Desk is where people meet a run: it answers what they ask and carries out what they
// do. The observer has one, and so has a rehearsal that somebody watches.
type Desk struct {
	Driver  *Driver
	Journal *journal.Journal
	Now     func() time.Time
	// Plans returns the text of a plan by id, the configured one for "".
	Plans    func(id string) (file string, text []byte, err error)
	Profile  string // when a start names none
	Version  string // when a start names none
	Keys     []plan.Key
	Commands []string // names that may be run
	// Health is how the observer itself does; What judges a changed plan on what was
	// recorded.
	Health func() wire.ObserverState
	What   func(ctx context.Context, text []byte) (*wire.HypercareRun, error)
	// Scenarios tells which scenario has shown each check failing and unknown.
	Scenarios func() (wire.Coverage, error)

	mu     sync.Mutex
	info   wire.PlanInfo // guarded by mu; of the plan whose text is infoOf
	infoOf string        // guarded by mu
}

// Hypercare is the whole picture.
func (d *Desk) Hypercare() wire.Hypercare {
	now := d.Now()
	out := wire.Hypercare{OK: true, Now: now.UnixMilli(), Plan: d.planInfo(), Observer: d.Health()}
	d.Driver.Look(func(s *plan.State) { out.Run = report.Run(s, now) })
	if err := d.Driver.Err(); err != nil {
		out.Observer.JournalError = err.Error()
	}
	out.Observer.JournalSeq = d.Journal.Head().Seq
	return out
}

func (d *Desk) planInfo() wire.PlanInfo {
	file, text, err := d.Plans("")
	if err != nil {
		return wire.PlanInfo{Error: err.Error()}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.infoOf == string(text) && d.infoOf != "" {
		return d.info
	}
	d.infoOf, d.info = string(text), wire.PlanInfo{}
	p, err := plan.Parse(file, text)
	if err != nil {
		d.info.Error = err.Error()
		return d.info
	}
	d.info = wire.PlanInfo{ID: p.ID, Title: p.Title, Digest: p.Digest, Checkpoints: len(p.Checkpoints), Checks: len(p.Checks())}
	return d.info
}

// Start begins a run.
func (d *Desk) Start(ctx context.Context, by plan.Actor, s wire.Start) (string, error) {
	file, text, err := d.Plans(s.Plan)
	if err != nil {
		return "", &plan.ActError{Kind: plan.ErrNotFound, Field: "plan", Text: err.Error()}
	}
	now := d.Now()
	act := plan.Start{
		ID: "run-" + now.UTC().Format("20060102-150405"), File: file, Text: string(text), Version: s.Version, Profile: s.Profile,
		T0: now, Keys: d.Keys, Commands: d.Commands,
	}
	if act.Version == "" {
		act.Version = d.Version
	}
	if act.Profile == "" {
		act.Profile = d.Profile
	}
	if s.StartedAt != 0 {
		act.T0 = time.UnixMilli(s.StartedAt)
	}
	return d.Driver.Do(ctx, now, by, act)
}

// Check does something to a check.
func (d *Desk) Check(ctx context.Context, by plan.Actor, id, verb string, a wire.CheckAct) error {
	if by.Role == "" {
		by.Role = a.Role
	}
	var act plan.Act
	switch verb {
	case wire.VerbTick:
		act = plan.Tick{Check: id, Evidence: first(a.Evidence, a.Reason)}
	case wire.VerbUntick:
		act = plan.Untick{Check: id, Reason: a.Reason}
	case wire.VerbWaive:
		act = plan.Waive{Check: id, Reason: a.Reason, Expires: when(a.Expires)}
	case wire.VerbRecheck:
		act = plan.Recheck{Check: id, Reason: a.Reason}
	case wire.VerbNote:
		act = plan.AddNote{Check: id, Text: first(a.Evidence, a.Reason)}
	default:
		return &plan.ActError{Kind: plan.ErrNotFound, Field: "verb", Text: fmt.Sprintf("verb %.40q: there are tick, untick, waive, recheck, note", verb)}
	}
	_, err := d.Driver.Do(ctx, d.Now(), by, act)
	return err
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func when(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// Decide takes a tuning decision.
func (d *Desk) Decide(ctx context.Context, by plan.Actor, a wire.DecisionAct) (string, error) {
	return d.Driver.Do(ctx, d.Now(), by, plan.Decide{
		ID: a.ID, Parameter: a.Parameter, From: a.From, To: a.To, Why: a.Why, ReviewAt: when(a.ReviewAt),
	})
}

// Issue notes what a user reported.
func (d *Desk) Issue(ctx context.Context, by plan.Actor, a wire.IssueAct) (string, error) {
	return d.Driver.Do(ctx, d.Now(), by, plan.ReportIssue{Text: a.Text, Minor: a.Minor})
}

// Incident opens one, or changes the one with the id.
func (d *Desk) Incident(ctx context.Context, by plan.Actor, id, verb string, a wire.IncidentAct) (string, error) {
	checks := a.Checks
	if a.Check != "" {
		checks = append(slices.Clone(checks), a.Check)
	}
	if id == "" {
		return d.Driver.Do(ctx, d.Now(), by, plan.OpenIncident{Level: a.Level, Title: a.Title, Checks: checks})
	}
	return d.Driver.Do(ctx, d.Now(), by, plan.ChangeIncident{ID: id, Verb: verb, Owner: a.Owner, Checks: checks, Result: a.Result, Note: a.Note})
}

// Closing is what is signed.
func (d *Desk) Closing() (out wire.Closing, err error) {
	now := d.Now()
	d.Driver.Look(func(s *plan.State) {
		var st chain.Statement
		if st, err = s.Statement(); err != nil {
			return
		}
		if out.Statement, err = st.Format(); err != nil {
			return
		}
		out.OK, out.Seq, out.Head = true, st.Head.Seq, st.Head.Hash
		out.Note, out.Ready, out.Exit = s.Note(), s.Ready(now), report.Criteria(s, now)
	})
	return out, err
}

// Sign takes a sign-off.
func (d *Desk) Sign(ctx context.Context, by plan.Actor, a wire.SignAct) error {
	_, err := d.Driver.Do(ctx, d.Now(), by, plan.Sign{
		Checkpoint: a.Checkpoint, Role: a.Role, Decision: a.Decision, Comment: a.Comment, Signature: a.Signature,
	})
	return err
}

// Report writes the report as it was at a record, or now for 0, from the journal
// alone.
func (d *Desk) Report(format string, seq int64) ([]byte, error) {
	head := d.Journal.Head()
	if seq == 0 {
		seq = head.Seq
	}
	if seq < 1 || seq > head.Seq {
		return nil, &plan.ActError{Kind: plan.ErrNotFound, Field: "seq", Text: fmt.Sprintf("there is no record %d: the newest is %d", seq, head.Seq)}
	}
	return ReportAt(d.Journal.Records(), format, seq)
}

// Records is a journal read from its beginning.
type Records = func(yield func(chain.Record, error) bool)

// ReportAt replays records up to one and writes the report. The same records give the
// same bytes.
func ReportAt(records Records, format string, seq int64) ([]byte, error) {
	m := &plan.Machine{}
	var last chain.Record
	entries := report.NewTimeline()
	for r, err := range records {
		if err != nil {
			return nil, err
		}
		if r.Seq > seq {
			break
		}
		if err := m.Apply(r); err != nil {
			return nil, err
		}
		entries.Add(r)
		last = r
	}
	if m.State().Plan == nil {
		return nil, &plan.ActError{Kind: plan.ErrConflict, Text: "no run has been started"}
	}
	return report.Write(format, m.State(), time.UnixMilli(last.At).UTC(), entries)
}

// Audit returns records after a sequence number.
func (d *Desk) Audit(since int64, limit int) (wire.Audit, error) {
	out := wire.Audit{OK: true, Records: []wire.JournalRecord{}}
	for r, err := range d.Journal.After(since) {
		if err != nil {
			return out, err
		}
		if len(out.Records) == limit {
			out.Next = out.Records[limit-1].Seq
			break
		}
		out.Records = append(out.Records, wire.JournalRecord{Seq: r.Seq, At: r.At, Who: r.Who, Role: r.Role, Kind: r.Kind, Body: r.Body, Hash: r.Hash})
	}
	return out, nil
}

// Verify reads the whole journal again.
func (d *Desk) Verify() wire.AuditVerify {
	head := d.Journal.Head()
	out := wire.AuditVerify{OK: true, Seq: head.Seq, Head: head.Hash}
	for _, err := range d.Journal.Records() {
		if err != nil {
			out.OK, out.Error = false, err.Error()
			var broken *chain.Broken
			if errors.As(err, &broken) {
				out.Seq = broken.Seq
			}
			break
		}
	}
	return out
}

// EnrolledKeys lists the keys that may sign.
func (d *Desk) EnrolledKeys() wire.Keys {
	out := wire.Keys{OK: true, Keys: []wire.OperatorKey{}}
	keys := d.Keys
	d.Driver.Look(func(s *plan.State) {
		if s.Plan != nil {
			keys = s.Keys
		}
	})
	for _, k := range keys {
		out.Keys = append(out.Keys, wire.OperatorKey{Name: k.Name, Key: k.Verifier, Roles: k.Roles})
	}
	return out
}

// WhatIf judges what was recorded by a changed plan.
func (d *Desk) WhatIf(ctx context.Context, text string) (wire.WhatIfAnswer, error) {
	var was *wire.HypercareRun
	now := d.Now()
	d.Driver.Look(func(s *plan.State) { was = report.Run(s, now) })
	if was == nil {
		return wire.WhatIfAnswer{}, &plan.ActError{Kind: plan.ErrConflict, Text: "no run has been started"}
	}
	would, err := d.What(ctx, bytes.TrimSpace([]byte(text)))
	if err != nil {
		return wire.WhatIfAnswer{}, err
	}
	changes := report.Differences(was, would)
	return wire.WhatIfAnswer{OK: true, Checks: len(report.Digest(would)), Changes: changes}, nil
}

// FollowKeys records the configured keys when those of the run are others, as after a
// change of the configuration.
func (d *Desk) FollowKeys(ctx context.Context) error {
	same := true
	d.Driver.Look(func(s *plan.State) {
		same = !s.Running() || slices.EqualFunc(s.Keys, d.Keys, func(a, b plan.Key) bool {
			return a.Name == b.Name && a.Verifier == b.Verifier && strings.Join(a.Roles, ",") == strings.Join(b.Roles, ",")
		})
	})
	if same {
		return nil
	}
	_, err := d.Driver.Do(ctx, d.Now(), plan.Actor{Who: "configuration"}, plan.SetKeys{Keys: d.Keys})
	return err
}

package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// apply changes the state by one record. It is the only place that does, so that
// replaying a journal gives the same state.
func (m *Machine) apply(now time.Time, who, role, kind string, body any) error {
	m.s.LastSeen = later(m.s.LastSeen, now)
	if err := m.applyBody(now, who, role, kind, body); err != nil {
		return err
	}
	m.s.outdate(kind)
	return nil
}

// outdate takes the signatures back that a record of a kind makes stale: they are
// under a statement that knows nothing of it.
func (s *State) outdate(kind string) {
	if keepsFrozen(kind) {
		return
	}
	for _, o := range s.SignOffs {
		o.Stale = o.Stale || o.Checkpoint == ""
	}
}

func (m *Machine) applyBody(now time.Time, who, role, kind string, body any) error {
	switch b := body.(type) {
	case *startBody:
		return m.applyStart(b)
	case *checkpointBody:
		c := m.checkpoint(b.Checkpoint)
		if c == nil {
			return fmt.Errorf("there is no checkpoint %s", b.Checkpoint)
		}
		if kind == KindOpen {
			c.OpenedAt = now
		} else {
			c.ClosedAt, c.Late = now, c.Late || b.Late
		}
	case *verdictBody:
		return m.applyVerdict(now, b)
	case *checkBody:
		return m.applyCheck(now, who, role, kind, b)
	case *decisionBody:
		return m.applyDecision(now, who, kind, b)
	case *incidentBody:
		return m.applyIncident(now, who, role, kind, b)
	case *issueBody:
		m.s.Issues = append(m.s.Issues, Issue{now, who, b.Text, b.Minor})
	case *signBody:
		m.applySignOff(now, who, b)
	case *escalationBody:
		m.s.Escalations = append(m.s.Escalations, Escalation{now, b.Level, b.Checkpoint, b.Text})
		if c := m.checkpoint(b.Checkpoint); c != nil {
			c.Overdue, c.Late = max(c.Overdue, b.Level), true
		}
	case *gapBody:
		m.s.Gaps = append(m.s.Gaps, Gap{at(b.From), at(b.To), b.What})
	case *clockBody:
		m.s.Gaps = append(m.s.Gaps, Gap{now, now, "the wall clock stepped by " + FormatDuration(time.Duration(b.StepMS)*time.Millisecond)})
	case *amendBody:
		return m.applyAmend(now, b)
	case *keysBody:
		m.s.Keys = b.Keys
	case *sloBody:
		s := m.slo(b.Check)
		if s == nil {
			return fmt.Errorf("there is no SLO %s", b.Check)
		}
		m.applySLO(now, s, b)
	case *endBody:
		m.s.ClosedAt, m.s.Outcome = now, b.Outcome
	default:
		return fmt.Errorf("unknown kind %s", kind)
	}
	return nil
}

func (m *Machine) applyStart(b *startBody) error {
	p, err := Parse(b.File, []byte(b.Text))
	if err != nil {
		return err
	}
	head, frozen := m.s.Head, m.s.Frozen
	m.s = State{
		ID: b.Run, Version: b.Version, Profile: b.Profile, Rehearsal: b.Rehearsal, Scenario: b.Scenario, T0: at(b.T0),
		Keys: b.Keys, Commands: b.Commands, Head: head, Frozen: frozen, LastSeen: m.s.LastSeen,
	}
	m.s.build(p)
	return nil
}

func (m *Machine) check(id string) (*CheckState, error) {
	if k := m.s.checks[id]; k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("there is no check %s", id)
}

func (m *Machine) applyVerdict(now time.Time, b *verdictBody) error {
	k, err := m.check(b.Check)
	if err != nil {
		return err
	}
	v, ok := ParseVerdict(b.Verdict)
	if !ok {
		return fmt.Errorf("verdict %q", b.Verdict)
	}
	k.Finding = Finding{
		Sentence: b.Sentence, Value: b.Value, Threshold: b.Threshold, N: b.N, Low: b.Low, High: b.High, Coverage: b.Coverage,
		From: at(b.From), To: at(b.To), Query: b.Query, Engine: b.Engine, Digest: b.Digest, Thin: b.Thin, Series: decodeSeries(b.Series),
	}
	k.JudgedAt, k.Fixed, k.Recovered = now, b.Fixed, b.Recovered
	if b.Fixed {
		k.run.reason = ""
	}
	for _, a := range b.Attempts {
		a.At = at(a.AtMS)
		if n := len(k.Attempts); n > 0 && k.Attempts[n-1].N == a.N && k.Attempts[n-1].Reason == a.Reason {
			k.Attempts[n-1] = a // the same try, further on
			continue
		}
		k.Attempts = append(k.Attempts, a)
	}
	k.applyEpisode(now, v, b)
	if e := k.openEpisode(); e != nil && e.Incident == "" && e.Verdict != NoData {
		if i := m.s.incident(k.ID); i != nil {
			e.Incident = i.ID
		}
	}
	if k.Waiver != nil {
		k.Original, k.Waiver.Original = v, v
		return nil
	}
	k.Verdict = v
	return nil
}

func (k *CheckState) applyEpisode(now time.Time, v Verdict, b *verdictBody) {
	if b.Ended != 0 {
		if e := k.openEpisode(); e != nil {
			e.To = at(b.Ended)
		}
	}
	if b.Breach == 0 {
		return
	}
	began := at(b.Breach)
	if e := k.openEpisode(); e != nil {
		if e.From.Equal(began) && e.Verdict != NoData && v != NoData { // got worse
			e.Verdict, e.Sentence = v, b.Sentence
			return
		}
		e.To = now
	}
	k.Episodes = append(k.Episodes, Episode{From: began, Verdict: v, Sentence: b.Sentence})
}

func (m *Machine) applyCheck(now time.Time, who, role, kind string, b *checkBody) error {
	k, err := m.check(b.Check)
	if err != nil {
		return err
	}
	note := Note{now, who, role, b.Text}
	switch kind {
	case KindTick:
		k.Ticked, k.JudgedAt, k.Fixed = &note, now, true
		k.Finding = Finding{Sentence: "done by " + named(who, role)}
		if b.Text != "" {
			k.Finding.Sentence += ": " + b.Text
		}
		k.set(Pass)
	case KindUntick:
		k.Ticked, k.Fixed = nil, false
		k.Finding = Finding{Sentence: "taken back by " + named(who, role) + ": " + b.Text}
		k.set(Pending)
		if k.Verdict == Pending {
			k.At.reopen(now)
		}
	case KindNote:
		k.Notes = append(k.Notes, note)
	case KindWaive:
		k.Original = k.behind() // of a waiver that is extended: what it excuses
		k.Waiver = &Waiver{note, at(b.Expires), k.Original}
		k.Verdict = Waived
	case KindExpired:
		if k.Waiver != nil {
			k.Verdict, k.Waiver = k.Original, nil
		}
		if k.Verdict == Pending || k.Key && (k.Verdict == Fail || k.Verdict == NoData) {
			k.At.reopen(now)
		}
	case KindRecheck:
		k.run = streak{reason: b.Text, n: k.lastTry()}
		k.Rechecks++
		k.Total++
		k.Notes = append(k.Notes, Note{now, who, role, "re-check: " + b.Text})
	}
	return nil
}

// reopen opens a checkpoint again that was closed. People are called anew, counted
// from now.
func (c *CheckpointState) reopen(now time.Time) {
	if !c.ClosedAt.IsZero() {
		c.ClosedAt, c.ReopenedAt, c.Overdue = time.Time{}, now, 0
	}
}

// set changes the verdict, or what stands behind a waiver.
func (k *CheckState) set(v Verdict) {
	if k.Waiver != nil {
		k.Original, k.Waiver.Original = v, v
		return
	}
	k.Verdict = v
}

func named(who, role string) string {
	if role != "" {
		return who + " (" + role + ")"
	}
	return who
}

func (m *Machine) applyDecision(now time.Time, who, kind string, b *decisionBody) error {
	d := m.s.decision(b.ID)
	if d == nil {
		if kind == KindEffect {
			return fmt.Errorf("there is no decision %s", b.ID)
		}
		d = &Decision{ID: b.ID, Check: b.Check, Figures: b.Figures}
		m.s.Decisions = append(m.s.Decisions, d)
	}
	if kind == KindEffect {
		d.State, d.Effect, d.EffectAt = Reviewed, b.Effect, now
		return nil
	}
	d.At, d.Who, d.Parameter, d.From, d.To, d.Why, d.ReviewAt = now, who, b.Parameter, b.From, b.To, b.Why, at(b.ReviewAt)
	d.State = Proposed
	if kind == KindDecision {
		d.State = Decided
		for _, k := range m.s.checks {
			k.Rechecks = 0
		}
		if k := m.s.checks[d.Check]; k != nil {
			k.Decision = d.ID
			k.Finding.Sentence = "decided by " + who + ": " + d.Parameter + " " + d.From + " → " + d.To + "; it was proposed because " + d.Figures
			k.JudgedAt = now
			k.set(Pass)
		}
	}
	return nil
}

func (m *Machine) applyIncident(now time.Time, who, role, kind string, b *incidentBody) error {
	if kind == KindIncident {
		m.s.Incidents = append(m.s.Incidents, &Incident{ID: b.ID, Level: b.Level, Title: b.Title, OpenedAt: now, OpenedBy: who, Checks: b.Checks, Owner: b.Owner})
		for _, id := range b.Checks {
			m.tie(id, b.ID)
		}
		return nil
	}
	i := m.s.incidentByID(b.ID)
	if i == nil {
		return fmt.Errorf("there is no incident %s", b.ID)
	}
	switch kind {
	case KindOwn:
		i.Owner = b.Owner
	case KindRaise:
		i.Level = b.Level
	case KindLink:
		for _, id := range b.Checks {
			if !slices.Contains(i.Checks, id) {
				i.Checks = append(i.Checks, id)
			}
			m.tie(id, i.ID)
		}
	case KindResolve:
		i.ClosedAt, i.ClosedBy, i.Result = now, who, b.Result
		for _, id := range i.Checks {
			m.excuse(id)
		}
	}
	if b.Note != "" {
		i.Notes = append(i.Notes, Note{now, who, role, b.Note})
	}
	if !i.Open() && kind == KindLink {
		for _, id := range b.Checks {
			m.excuse(id)
		}
	}
	return nil
}

// tie links the failed episodes of a check, which belong to no incident yet.
func (m *Machine) tie(check, incident string) {
	k := m.s.checks[check]
	if k == nil {
		return
	}
	for i := range k.Episodes {
		if k.Episodes[i].Incident == "" && k.Episodes[i].Verdict != NoData {
			k.Episodes[i].Incident = incident
		}
	}
}

// excuse turns "fail (recovered)" into a warning once all that failed belongs to
// closed incidents.
func (m *Machine) excuse(check string) {
	k := m.s.checks[check]
	if k == nil {
		return
	}
	k.Rechecks = 0
	v := k.Verdict
	if k.Waiver != nil {
		v = k.Original
	}
	if v == Fail && k.Recovered && k.Mode == Invariant && m.standing(k, nil) == Warn {
		k.set(Warn)
		k.Finding.Sentence += "; its incident is closed"
	}
}

func (m *Machine) applySignOff(now time.Time, who string, b *signBody) {
	if b.Checkpoint != "" {
		if c := m.checkpoint(b.Checkpoint); c != nil { // the newest word of a role counts
			c.Signed = slices.DeleteFunc(c.Signed, func(r string) bool { return r == b.Role })
			if b.Decision == DecisionClose {
				c.Signed = append(c.Signed, b.Role)
			}
		}
	}
	m.s.SignOffs = append(m.s.SignOffs, &SignOff{
		At: now, Checkpoint: b.Checkpoint, Role: b.Role, Who: who, Key: b.Key, Decision: b.Decision, Comment: b.Comment,
		Signature: b.Signature, Seq: b.Seq,
	})
}

// applyAmend puts a changed plan in the place of the old one. Checks that did not
// change keep what is known of them.
func (m *Machine) applyAmend(now time.Time, b *amendBody) error {
	p, err := Parse(b.File, []byte(b.Text))
	if err != nil {
		return err
	}
	checks, checkpoints, slos := m.s.checks, m.s.Checkpoints, m.s.SLOs
	m.s.build(p)
	for _, c := range m.s.Checkpoints {
		for _, old := range checkpoints {
			if old.ID == c.ID {
				c.OpenedAt, c.Overdue, c.Late, c.Signed = old.OpenedAt, old.Overdue, old.Late, old.Signed
				c.ClosedAt, c.ReopenedAt = old.ClosedAt, old.ReopenedAt
				if !c.covers(old) {
					m.s.uncover(c, now)
				}
			}
		}
		for i, k := range c.States {
			old := checks[k.ID]
			if old == nil || old.Digest != k.Digest || old.Mode != k.Mode {
				continue
			}
			old.Check, old.At = k.Check, c
			old.run.asked = 0
			c.States[i] = old
			m.s.checks[k.ID] = old
		}
	}
	for i, s := range m.s.SLOs {
		for _, old := range slos {
			if k := m.s.checks[s.Check.ID]; old.Check == k {
				old.asked = 0
				m.s.SLOs[i] = old
			} else {
				s.Check = k
			}
		}
	}
	m.s.Amendments = append(m.s.Amendments, Amendment{now, b.Digest, b.Added, b.Removed, b.Changed, b.Diff})
	return nil
}

// covers reports whether a checkpoint has the same checks as another: who gave a word
// for one gave it for the other.
func (c *CheckpointState) covers(o *CheckpointState) bool {
	return slices.EqualFunc(c.States, o.States, func(a, b *CheckState) bool { return a.ID == b.ID && a.Digest == b.Digest })
}

// uncover takes the words back that were given under a checkpoint that was changed.
func (s *State) uncover(c *CheckpointState, now time.Time) {
	c.Signed = nil
	c.reopen(now)
	for _, o := range s.SignOffs {
		o.Stale = o.Stale || o.Checkpoint == c.ID
	}
}

// finite drops what JSON cannot say.
func finite(v *float64) *float64 {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil
	}
	return v
}

func encodeSeries(series []Series) []seriesBody {
	var out []seriesBody
	for _, s := range series {
		b := seriesBody{s.Name, map[string]valueBody{}}
		for name, v := range s.Fields {
			n, text := v.Num, v.Text
			switch {
			case v.IsText:
				b.Fields[name] = valueBody{Text: &text}
			case finite(&n) == nil:
				word := strconv.FormatFloat(n, 'g', -1, 64)
				b.Fields[name] = valueBody{Text: &word}
			default:
				b.Fields[name] = valueBody{Num: &n}
			}
		}
		out = append(out, b)
	}
	return out
}

func decodeSeries(bodies []seriesBody) []Series {
	var out []Series
	for _, b := range bodies {
		s := Series{Name: b.Name, Fields: map[string]Value{}}
		for name, v := range b.Fields {
			switch {
			case v.Num != nil:
				s.Fields[name] = Number(*v.Num)
			case v.Text != nil:
				s.Fields[name] = Text(*v.Text)
			}
		}
		out = append(out, s)
	}
	return out
}

// JSON returns the body of an effect as it is written.
func (a Append) JSON() (json.RawMessage, error) { return json.Marshal(a.Body) }

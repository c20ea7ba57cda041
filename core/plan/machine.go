package plan

import (
	"container/heap"
	"slices"
	"time"

	"github.com/spark-ta/spark/core/stat"
)

// Machine carries out a plan. One goroutine at a time.
type Machine struct {
	s        State
	now      time.Time // never goes back
	timers   timers
	order    int64
	out      []Effect
	detector stat.Detector
}

// Effect is what the machine wants done: an [Append], an [Evaluate] or a [Notify].
// They are to be done in order; an Append before anybody hears of it.
type Effect interface{ effect() }

// Append is a record for the journal. [Machine.Sealed] says where it came to stand.
type Append struct {
	Who, Role, Kind string
	Body            any // encoded as JSON
}

// Purpose says what an evaluation is for.
type Purpose uint8

// The purposes of evaluations.
const (
	ForVerdict  Purpose = iota
	ForBurn             // of an SLO: its burn rates, and its value since T0 when From is set
	ForEffect           // of a decision that was taken: From is when
	ForPresence         // only whether there is data: the coverage
)

// Evaluate wants a source asked. It must be answered by exactly one [Observed], also
// when it fails.
type Evaluate struct {
	Check   *Check
	Purpose Purpose
	At      time.Time // the time that the answer is about; not after now
	From    time.Time // of its window; zero for the state at one time
	Tiers   []BurnTier
	ID      int64 // of this evaluation
	Ref     string
}

// BurnTier is a pair of windows to measure.
type BurnTier struct {
	Name        string
	Long, Short time.Duration
}

// Observed answers an [Evaluate].
type Observed struct {
	Evaluate
	Observation
}

// Notify wants people told. Level is 0 for news, 1 to 3 for an escalation.
type Notify struct {
	Level int
	Title string
	Text  string
}

func (Append) effect()   {}
func (Evaluate) effect() {}
func (Notify) effect()   {}

// State returns what is known. It is changed by the next call.
func (m *Machine) State() *State { return &m.s }

// timer is something that is due.
type timer struct {
	at    time.Time
	order int64
	kind  timerKind
	ref   string // of a check, a checkpoint or a decision
	n     int
}

type timerKind uint8

const (
	timerOpen timerKind = iota
	timerOverdue
	timerExpire
	timerEffect
	timerEval
	timerWindow // a checkpoint's window ends
	timerBurn
)

type timers []timer

func (t timers) Len() int { return len(t) }
func (t timers) Less(i, j int) bool {
	if !t[i].at.Equal(t[j].at) {
		return t[i].at.Before(t[j].at)
	}
	if t[i].kind != t[j].kind {
		return t[i].kind < t[j].kind
	}
	return t[i].order < t[j].order
}
func (t timers) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(x any)   { *t = append(*t, x.(timer)) }
func (t *timers) Pop() any {
	old := *t
	last := old[len(old)-1]
	*t = old[:len(old)-1]
	return last
}

func (m *Machine) arm(at time.Time, kind timerKind, ref string, n int) {
	m.order++
	heap.Push(&m.timers, timer{at, m.order, kind, ref, n})
}

// record decides: the change is applied and handed out.
func (m *Machine) record(who, role, kind string, body any) {
	// A body that was just made always applies.
	if err := m.apply(m.now, who, role, kind, body); err != nil {
		panic("plan: " + kind + ": " + err.Error())
	}
	m.out = append(m.out, Append{who, role, kind, body})
}

// observer is who decides when no person does.
const observer = "observer"

func (m *Machine) notify(level int, title, text string) {
	m.out = append(m.out, Notify{level, title, text})
}

// Step moves time on to now and takes in what was observed. It returns what is to be
// done and when it must be called again at the latest; the zero time when nothing is
// due. A now before an earlier one counts as the earlier one.
func (m *Machine) Step(now time.Time, observed ...Observed) ([]Effect, time.Time) {
	m.forward(now)
	for _, o := range observed {
		m.observe(o)
	}
	m.catchUp(0)
	m.settle()
	return m.flush()
}

// Scraped is a Step right after a scrape: what would be evaluated before the next one
// is evaluated now, with fresh samples. So evaluations keep pace with the scrapes, which
// come a little early and a little late.
func (m *Machine) Scraped(now time.Time) ([]Effect, time.Time) {
	m.forward(now)
	m.catchUp(DefaultEvery - time.Second)
	m.settle()
	return m.flush()
}

// catchUp does what is due, and evaluates what is due within the slack.
func (m *Machine) catchUp(slack time.Duration) {
	for m.s.Running() && len(m.timers) > 0 {
		t, now := m.timers[0], m.now
		if t.kind == timerEval || t.kind == timerBurn {
			now = now.Add(slack)
		}
		if t.at.After(now) {
			return
		}
		m.fire(m.popTimer())
	}
}

func (m *Machine) popTimer() timer { return heap.Pop(&m.timers).(timer) }

// Now is the machine's time, to the millisecond, as records have it.
func (m *Machine) Now() time.Time { return m.now }

func (m *Machine) forward(now time.Time) {
	if now = now.Truncate(time.Millisecond); now.After(m.now) {
		m.now = now
	}
}

func (m *Machine) flush() ([]Effect, time.Time) {
	out := m.out
	m.out = nil
	if !m.s.Running() {
		m.timers = nil
	}
	if len(m.timers) == 0 {
		return out, time.Time{}
	}
	return out, m.timers[0].at
}

// Resume arms what is due after the records of a journal were applied, at now. The
// time since the newest record is a gap if it is longer than two scrapes.
func (m *Machine) Resume(now time.Time, seen time.Time, what string) ([]Effect, time.Time) {
	m.forward(later(now, m.s.LastSeen)) // the clock may have been set back meanwhile
	if !m.s.Running() {
		return m.flush()
	}
	if seen.Before(m.s.LastSeen) {
		seen = m.s.LastSeen
	}
	if seen.Before(m.s.T0) {
		seen = m.s.T0
	}
	if m.now.Sub(seen) > 2*DefaultEvery {
		m.record(observer, "", KindGap, &gapBody{ms(seen), ms(m.now), what})
	}
	m.schedule()
	return m.flush()
}

// DefaultEvery is the period of scrapes, attempts and invariants.
const DefaultEvery = 15 * time.Second

// schedule arms everything from the state alone.
func (m *Machine) schedule() {
	m.timers = nil
	for _, c := range m.s.Checkpoints {
		for _, k := range c.States {
			k.run.due = time.Time{}
		}
		if !c.OpenedAt.IsZero() {
			m.armPeople(c)
			m.armChecks(c, m.now)
			continue
		}
		m.arm(c.OpensAt, timerOpen, c.ID, 0)
		if c.OpensAt.After(m.now) { // invariants are judged from T0, wherever they stand
			for _, k := range c.States {
				if k.Mode == Invariant && m.s.Automatic(k) {
					m.armEval(k, m.now)
				}
			}
		}
	}
	for _, k := range m.allChecks() {
		if k.Waiver != nil {
			m.arm(k.Waiver.Expires, timerExpire, k.ID, 0)
		}
	}
	for _, d := range m.s.Decisions {
		m.armReview(d)
	}
	for _, s := range m.s.SLOs {
		m.arm(later(m.now, m.s.T0), timerBurn, s.Check.ID, 0)
	}
}

// allChecks lists the checks in the plan's order.
func (m *Machine) allChecks() []*CheckState {
	var out []*CheckState
	for _, c := range m.s.Checkpoints {
		out = append(out, c.States...)
	}
	return out
}

// armPeople arms the calls for people, unless the checkpoint is closed.
func (m *Machine) armPeople(c *CheckpointState) {
	if !c.ClosedAt.IsZero() {
		return
	}
	for level := c.Overdue + 1; level <= 3; level++ {
		m.arm(c.callAt(level), timerOverdue, c.ID, level)
	}
}

// armChecks starts the evaluations of a checkpoint that has opened.
func (m *Machine) armChecks(c *CheckpointState, from time.Time) {
	for _, k := range c.States {
		started := k.Mode == Invariant && !k.run.due.IsZero()
		if m.s.Automatic(k) && !started && (!k.Fixed || k.run.reason != "") {
			m.armEval(k, from)
		}
	}
	end := m.windowEnd(c)
	if m.unfixed(c) { // after an amendment or a restart, past the window: one look all the same
		end = later(end, from.Add(time.Minute))
	}
	m.arm(end, timerWindow, c.ID, 0)
}

// armEval arms the next evaluation of a check. There is but one at a time: two would
// take samples twice as fast.
func (m *Machine) armEval(k *CheckState, at time.Time) {
	k.run.due = at
	m.arm(at, timerEval, k.ID, 0)
}

// windowEnd is when the point checks of a checkpoint are fixed. A checkpoint that
// opened late, because the observer was away, has a minute all the same.
func (m *Machine) windowEnd(c *CheckpointState) time.Time {
	return later(c.DueAt, c.OpenedAt.Add(time.Minute))
}

// unfixed reports whether something of a checkpoint is still to be evaluated.
func (m *Machine) unfixed(c *CheckpointState) bool {
	return slices.ContainsFunc(c.States, func(k *CheckState) bool {
		return m.s.Automatic(k) && !k.Fixed && k.Mode != Invariant
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (m *Machine) checkpoint(id string) *CheckpointState {
	for _, c := range m.s.Checkpoints {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// fire does what a timer is for.
func (m *Machine) fire(t timer) {
	switch t.kind {
	case timerOpen:
		if c := m.checkpoint(t.ref); c != nil && c.OpenedAt.IsZero() {
			m.record(observer, "", KindOpen, &checkpointBody{Checkpoint: c.ID})
			m.armPeople(c)
			m.armChecks(c, m.now)
			m.reviewAll()
		}
	case timerOverdue:
		m.overdue(t.ref, t.n)
	case timerExpire:
		if k := m.s.checks[t.ref]; k != nil && k.Waiver != nil && !k.Waiver.Expires.After(m.now) {
			m.record(observer, "", KindExpired, &checkBody{Check: k.ID, Was: k.Waiver.Original.String()})
			m.armPeople(k.At)
		}
	case timerEffect:
		m.review(t.ref)
	case timerEval:
		if k := m.s.checks[t.ref]; k != nil && t.at.Equal(k.run.due) {
			m.ask(k)
		}
	case timerWindow:
		m.closeWindow(t.ref)
	case timerBurn:
		m.askBurn(t.ref)
	}
}

// overdue calls for people who have not done their part of a checkpoint.
func (m *Machine) overdue(id string, level int) {
	c := m.checkpoint(id)
	if c == nil || !c.ClosedAt.IsZero() || c.Overdue >= level || m.now.Before(c.callAt(level)) {
		return
	}
	text := m.owed(c)
	if text == "" {
		return
	}
	m.record(observer, "", KindEscalation, &escalationBody{level, c.ID, text})
	m.notify(level, c.ID+" is overdue", text)
}

// owed says what a checkpoint waits for; empty when people owe nothing.
func (m *Machine) owed(c *CheckpointState) string {
	items, broken := 0, 0
	for _, k := range c.States {
		if k.Verdict == Pending && !m.s.Automatic(k) {
			items++
		}
		if k.Key && (k.Verdict == Fail || k.Verdict == NoData) {
			broken++
		}
	}
	missing := c.missing()
	var parts []string
	if items > 0 {
		parts = append(parts, plural(items, "manual item"))
	}
	if broken > 0 {
		parts = append(parts, plural(broken, "key check")+" failing or unknown")
	}
	if len(missing) > 0 {
		parts = append(parts, "sign-off of "+joined(missing))
	}
	if len(parts) == 0 {
		return ""
	}
	return "waits for " + joined(parts)
}

// ask wants a check evaluated.
func (m *Machine) ask(k *CheckState) {
	if k.Fixed && k.run.reason == "" || k.run.asked != 0 || !m.s.Automatic(k) {
		return
	}
	e := Evaluate{Check: k.Check, At: m.now}
	switch k.Mode {
	case Window, Trend:
		e.From, e.At = m.windowOf(k)
	case Invariant:
		// A long window changes slowly and costs much, so that the plan may have it judged
		// less often; whether there is data at all is looked at with every scrape.
		if slow := int(k.every() / DefaultEvery); slow > 1 && k.run.turn%slow != 0 && k.run.dark.IsZero() {
			e.Purpose = ForPresence
		}
		k.run.turn++
		if w := k.Source.Window; w > 0 {
			e.From = m.now.Add(-w)
		}
	case Point:
		if w := k.Source.Window; w > 0 {
			e.From = m.now.Add(-w)
		}
	}
	m.order++
	k.run.asked, e.ID = m.order, m.order
	m.evaluate(e)
}

// windowOf is the window of a check that is judged once: up to its checkpoint's
// time, or now for a re-check.
func (m *Machine) windowOf(k *CheckState) (from, to time.Time) {
	to = k.At.OpensAt
	if k.run.reason != "" {
		to = m.now
	}
	switch {
	case k.Source.Window > 0:
		from = to.Add(-k.Source.Window)
	case k.Source.Language == SourceSLO || k.Mode == Trend:
		from = m.s.T0
	default:
		from = m.s.T0
		for _, c := range m.s.Checkpoints {
			if c.OpensAt.Before(k.At.OpensAt) {
				from = c.OpensAt
			}
		}
	}
	if from.Before(m.s.T0) && k.Source.Language != SourceLog {
		from = m.s.T0
	}
	if !from.Before(to) { // of the first checkpoint: what came before it
		from = to.Add(-DefaultEvery * 4)
	}
	return from, to
}

func (m *Machine) evaluate(e Evaluate) {
	if e.ID == 0 {
		m.order++
		e.ID = m.order
	}
	if e.Check.Source.Language == SourceRun {
		m.observe(Observed{e, m.ownState()})
		return
	}
	m.out = append(m.out, e)
}

// ownState is what the source "run" answers.
func (m *Machine) ownState() Observation {
	f := map[string]Value{}
	var ever, critical, open, major float64
	for _, i := range m.s.Incidents {
		ever++
		if i.Level >= 2 {
			critical++
			if i.Open() {
				open++
			}
		}
	}
	for _, i := range m.s.Issues {
		if !i.Minor {
			major++
		}
	}
	f["incidents"], f["critical"], f["open"] = Number(ever), Number(critical), Number(open)
	f["user_issues"], f["major_user_issues"] = Number(float64(len(m.s.Issues))), Number(major)
	f["waivers"] = Number(float64(m.s.OpenWaivers()))
	return Observation{Series: []Series{{Name: "run", Fields: f}}, Coverage: 1, Events: -1, Query: "the journal of this run", Engine: "journal"}
}

// closeWindow fixes what a checkpoint's point checks have reached.
func (m *Machine) closeWindow(id string) {
	c := m.checkpoint(id)
	if c == nil {
		return
	}
	for _, k := range c.States {
		if k.Mode == Invariant || k.Fixed || !m.s.Automatic(k) {
			continue
		}
		v, f := k.run.verdict, k.run.finding
		if k.run.length == 0 {
			v, f = NoData, Finding{Sentence: "was never evaluated"}
		}
		if v == Pass && k.run.length < k.settleNeed() {
			f.Sentence += ", but not " + plural(k.settleNeed(), "time") + " in a row before the window ended"
			v = NoData
		}
		m.conclude(k, v, f, true)
	}
}

func (k *CheckState) settleNeed() int {
	if k.Source.Settle > 0 {
		return k.Source.Settle
	}
	return 3
}

func (k *CheckState) every() time.Duration {
	if k.Source.Every > 0 {
		return k.Source.Every
	}
	return DefaultEvery
}

// settle closes the checkpoints that lack nothing, in their order.
func (m *Machine) settle() {
	for _, c := range m.s.Checkpoints {
		if c.OpenedAt.IsZero() || !c.ClosedAt.IsZero() || !m.complete(c) {
			continue
		}
		m.record(observer, "", KindClose, &checkpointBody{c.ID, c.Counts().Worst().String(), m.now.After(c.callAt(1))})
	}
}

// complete reports whether a checkpoint can be closed: nothing is pending, no key
// check fails or is unknown, and the roles have given their word.
func (m *Machine) complete(c *CheckpointState) bool {
	for _, k := range c.States {
		if k.Verdict == Pending || k.Key && (k.Verdict == Fail || k.Verdict == NoData) {
			return false
		}
	}
	return len(c.missing()) == 0
}

// reviewOf is when the effect of a decision is looked at: at its own time or with the
// next checkpoint, whichever is first.
func (m *Machine) reviewOf(d *Decision) time.Time {
	var next time.Time
	for _, c := range m.s.Checkpoints {
		if c.OpensAt.After(d.At) {
			next = c.OpensAt
			break
		}
	}
	if !d.ReviewAt.IsZero() && (next.IsZero() || d.ReviewAt.Before(next)) {
		return d.ReviewAt
	}
	return next
}

// reviewAll looks at the effects that are due with a checkpoint.
func (m *Machine) reviewAll() {
	for _, d := range m.s.Decisions {
		if at := m.reviewOf(d); d.State == Decided && !at.IsZero() && !at.After(m.now) {
			m.review(d.ID)
		}
	}
}

// armReview arms the look at the effect of a decision, if there is one to come.
func (m *Machine) armReview(d *Decision) {
	if at := m.reviewOf(d); d.State == Decided && d.Check != "" && !at.IsZero() {
		m.arm(at, timerEffect, d.ID, 0)
	}
}

// review wants the effect of a decision measured.
func (m *Machine) review(id string) {
	d := m.s.decision(id)
	if d == nil || d.State != Decided || d.Check == "" {
		return
	}
	k := m.s.checks[d.Check]
	if k == nil || d.asked {
		return
	}
	d.asked = true
	m.evaluate(Evaluate{Check: k.Check, Purpose: ForEffect, At: m.now, From: d.At, Ref: d.ID})
}

func plural(n int, word string) string { return pluralOf(n, word, word+"s") }

func pluralOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return FormatNumber(float64(n), "") + " " + many
}

func joined(parts []string) string {
	switch len(parts) {
	case 0:
		return ""
	case 1:
		return parts[0]
	}
	out := parts[0]
	for _, p := range slices.Clone(parts[1 : len(parts)-1]) {
		out += ", " + p
	}
	return out + " and " + parts[len(parts)-1]
}

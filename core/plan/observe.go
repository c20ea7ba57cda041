package plan

import (
	"slices"
	"strings"
	"time"
)

// observe takes in the answer of a source.
func (m *Machine) observe(o Observed) {
	k := m.s.checks[o.Check.ID]
	if !m.s.Running() || k == nil || k.Digest != o.Check.Digest {
		return // of a plan that was amended meanwhile
	}
	switch o.Purpose {
	case ForBurn:
		m.burn(k, o)
		return
	case ForEffect:
		m.effect(k, o)
		return
	}
	if k.run.asked != o.ID {
		return // from before an amendment or a restart: it has been asked anew
	}
	k.run.asked = 0
	if k.Fixed && k.run.reason == "" {
		return // the window ended while it was asked: its verdict stands
	}
	if o.Purpose == ForPresence {
		m.present(k, o)
		return
	}
	v, f := m.judge(k.Check, o.Observation)
	switch k.Mode {
	case Point:
		m.point(k, v, f, o.At)
	case Invariant:
		m.invariant(k, v, f, o)
	default:
		m.once(k, v, f, o)
	}
}

// point counts consecutive samples. A try is a run of samples with one outcome.
func (m *Machine) point(k *CheckState, v Verdict, f Finding, asked time.Time) {
	r := &k.run
	if r.length == 0 || r.verdict != v {
		if r.length > 0 {
			m.keepTry(k)
		}
		if r.n == 0 { // after a restart the tries go on, they do not begin again
			r.n = k.lastTry()
		}
		r.n++
		r.verdict, r.length = v, 0
	}
	r.length++
	r.finding = f
	if k.Verdict == Pending {
		k.Finding = f // for the eye; a record says it again
	}
	recheck := r.reason != ""
	switch {
	case recheck && r.n-k.lastTry() > maxFlaps && r.length < k.settleNeed():
		f.Sentence = "does not settle: its answer changed " + plural(maxFlaps, "time") + ", at last " + f.Sentence
		m.conclude(k, NoData, f, true)
		return
	case v == Pass && r.length >= k.settleNeed():
		if r.n > 1 {
			f.Sentence += ", passed on attempt " + FormatNumber(float64(r.n), "")
		}
		m.conclude(k, v, f, true)
		return
	case v != Pass && r.length == k.settleNeed():
		m.conclude(k, v, f, recheck)
		if recheck {
			return
		}
	}
	m.armEval(k, later(asked.Add(k.every()), m.now))
}

// maxFlaps is how often the answer of a re-check may change before it is given up:
// nobody could ask for another one otherwise.
const maxFlaps = 8

// keepTry remembers a try that has ended.
func (m *Machine) keepTry(k *CheckState) {
	r := &k.run
	r.tries = append(r.tries, Attempt{N: r.n, At: m.now, AtMS: ms(m.now), Verdict: r.verdict.String(), Sentence: r.finding.Sentence, Reason: r.reason})
}

// once judges a window or a trend. A source that could not be asked is asked again
// until the checkpoint's window ends.
func (m *Machine) once(k *CheckState, v Verdict, f Finding, o Observed) {
	again := o.Err != "" && k.run.reason == "" && m.now.Before(m.windowEnd(k.At))
	k.run.verdict, k.run.length, k.run.finding = v, 1, f
	k.run.n++
	if again {
		if k.behind() != NoData {
			m.conclude(k, v, f, false)
		}
		m.armEval(k, m.now.Add(k.every()))
		return
	}
	m.conclude(k, v, f, true)
	if k.Decide != nil && (v == Warn || v == Fail) && k.Decision == "" && !m.s.proposed(k.ID) {
		m.propose(k, f)
	}
}

// proposed reports whether a decision on a check waits to be taken.
func (s *State) proposed(check string) bool {
	return slices.ContainsFunc(s.Decisions, func(d *Decision) bool { return d.Check == check && d.State == Proposed })
}

// conclude records a verdict.
func (m *Machine) conclude(k *CheckState, v Verdict, f Finding, fixed bool) {
	m.concludeEpisode(k, v, f, fixed, episodeChange{})
}

// episodeChange says what a verdict does to the episodes of an invariant.
type episodeChange struct {
	began, ended time.Time
	recovered    bool
}

func (m *Machine) concludeEpisode(k *CheckState, v Verdict, f Finding, fixed bool, e episodeChange) {
	was := k.behind()
	tries := k.run.tries
	if k.Mode == Point || k.run.reason != "" {
		tries = append(tries, Attempt{N: max(1, k.run.n), AtMS: ms(m.now), Verdict: v.String(), Sentence: f.Sentence, Reason: k.run.reason})
	}
	if len(tries) > 8 {
		tries = append(tries[:3:3], tries[len(tries)-5:]...)
	}
	b := &verdictBody{
		Check: k.ID, Verdict: v.String(), Was: was.String(), Sentence: f.Sentence, Value: f.Value, Threshold: f.Threshold,
		N: finite(f.N), Low: finite(f.Low), High: finite(f.High), Coverage: finite(f.Coverage), From: ms(f.From), To: ms(f.To),
		Query: f.Query, Engine: f.Engine, Digest: f.Digest, Thin: f.Thin, Fixed: fixed, Recovered: e.recovered,
		Breach: ms(e.began), Ended: ms(e.ended), Attempts: tries, Series: encodeSeries(f.Series),
	}
	k.run.tries = nil
	if fixed {
		k.run.reason = ""
	}
	m.record(observer, "", KindVerdict, b)
	// A breach that begins is news, also after one that is over and not excused.
	news := v != was || !e.began.IsZero()
	if news && (v == Fail || v == NoData && k.Key) && k.Waiver == nil {
		m.notify(0, strings.ToUpper(v.String())+" "+k.ID, k.Text+": "+f.Sentence)
	}
	level := 0
	switch {
	case k.Incident == 0 || k.Waiver != nil || e.recovered || !news:
	case v == Fail:
		level = k.Incident
	case v == Warn:
		level = k.Incident - 1
	}
	m.openIncident(level, k.Text+": "+f.Sentence, k.ID)
}

// openIncident opens an incident of a check, or raises the level of the one that is
// open. Level 0 does nothing.
func (m *Machine) openIncident(level int, title, check string) {
	if level < 1 {
		return
	}
	if i := m.s.incident(check); i != nil {
		if i.Level < level {
			m.record(observer, "", KindRaise, &incidentBody{ID: i.ID, Level: level, Note: title})
			m.notify(level, "incident "+i.ID+" raised to level "+FormatNumber(float64(level), ""), title)
		}
		return
	}
	id := "i-" + FormatNumber(float64(len(m.s.Incidents)+1), "")
	m.record(observer, "", KindIncident, &incidentBody{ID: id, Level: level, Title: clip(title), Checks: []string{check}})
	m.notify(level, "incident "+id, title)
}

// defaultDark is how long an invariant may be without data. With a sample each 15 s,
// everything is unknown within 60 s of a total loss.
const defaultDark = 45 * time.Second

// invariant judges a scrape.
func (m *Machine) invariant(k *CheckState, v Verdict, f Finding, o Observed) {
	m.armEval(k, later(o.At.Add(DefaultEvery), m.now.Add(time.Millisecond)))
	// Times are those of the scrapes: how long an answer took says nothing.
	r := &k.run
	if v == NoData {
		r.breach, r.length = time.Time{}, 0
		if r.dark.IsZero() {
			r.dark = o.At
		}
		patience := k.Source.UnknownAfter
		if patience <= 0 {
			patience = defaultDark
		}
		if e := k.openEpisode(); o.At.Sub(r.dark) >= patience && (e == nil || e.Verdict != NoData) {
			m.concludeEpisode(k, NoData, f, false, episodeChange{began: r.dark})
		}
		return
	}
	r.dark = time.Time{}
	if v != Pass {
		m.breach(k, v, f, o.At)
		return
	}
	r.breach = time.Time{}
	if r.length < k.settleNeed() {
		r.length++
	}
	e := k.openEpisode()
	switch {
	case e != nil && r.length >= k.ends(e):
		to := m.standing(k, e)
		if to == Fail {
			f.Sentence = k.failedFor(m.now) + ", good again: " + f.Sentence
		}
		m.concludeEpisode(k, to, f, false, episodeChange{ended: m.now, recovered: to == Fail || to == Warn})
	case e == nil && k.behind() == Pending && r.length >= k.settleNeed():
		m.conclude(k, Pass, f, false)
	case e == nil && (k.Verdict == Pass || k.Verdict == Warn):
		m.enough(k, f)
	}
}

// failedFor says how long the newest failure lasted.
func (k *CheckState) failedFor(now time.Time) string {
	for _, e := range slices.Backward(k.Episodes) {
		if e.Verdict == Fail {
			if !e.To.IsZero() {
				now = e.To
			}
			return "failed for " + FormatDuration(now.Sub(e.From).Round(time.Second))
		}
	}
	return "failed"
}

// present looks only at whether an invariant could be judged.
func (m *Machine) present(k *CheckState, o Observed) {
	if o.Err == "" && (o.Coverage < 0 || o.Coverage >= k.leastCoverage()) {
		m.armEval(k, later(o.At.Add(DefaultEvery), m.now.Add(time.Millisecond)))
		return
	}
	o.Purpose = ForVerdict
	v, f := m.judge(k.Check, o.Observation)
	if v != NoData {
		v, f.Sentence = NoData, "there is no data for it"
	}
	m.invariant(k, v, f, o)
}

// ends is how many good samples end an episode: one ends darkness, a breach ends when
// two in a row are good.
func (k *CheckState) ends(e *Episode) int {
	if e.Verdict == NoData {
		return 1
	}
	return 2
}

// enough turns an invariant that was not seen for too long into unknown, once the
// plan's time is over.
func (m *Machine) enough(k *CheckState, f Finding) {
	if m.now.Before(m.s.End()) {
		return
	}
	if seen := m.s.Seen(k, m.now); seen < 0.95 {
		f.Coverage = &seen
		f.Sentence = "was seen only " + percent(seen) + " of the time since T0, 95 % are needed"
		m.concludeEpisode(k, NoData, f, false, episodeChange{})
	}
}

// breach takes in a sample that misses the expectation.
func (m *Machine) breach(k *CheckState, v Verdict, f Finding, asked time.Time) {
	r := &k.run
	r.length = 0
	if r.breach.IsZero() {
		r.breach = asked
	}
	if asked.Sub(r.breach) < k.patience(f.Series) {
		return
	}
	e := k.openEpisode()
	switch {
	case e != nil && e.Verdict != NoData && v.weight() <= e.Verdict.weight():
		return // lasts
	case e != nil && e.Verdict != NoData:
		m.concludeEpisode(k, v, f, false, episodeChange{began: e.From})
	default:
		m.concludeEpisode(k, v, f, false, episodeChange{began: r.breach})
	}
}

// patience is how long a breach with these values may last.
func (k *CheckState) patience(series []Series) time.Duration {
	for _, p := range k.Source.FailAfter {
		for _, s := range series {
			v, ok := s.Fields[FieldValue]
			if p.Op == "" || ok && !v.IsText && (p.Op == "above" && v.Num > p.Value || p.Op == "below" && v.Num < p.Value || p.Op == "at" && v.Num == p.Value) {
				return p.For
			}
		}
	}
	return 0
}

// openEpisode is the breach or darkness that lasts, or nil.
func (k *CheckState) openEpisode() *Episode {
	if n := len(k.Episodes); n > 0 && k.Episodes[n-1].To.IsZero() {
		return &k.Episodes[n-1]
	}
	return nil
}

// standing is the verdict of an invariant that is good now: its past speaks. The
// episode given is about to end.
func (m *Machine) standing(k *CheckState, ending *Episode) Verdict {
	out := Pass
	for i := range k.Episodes {
		e := &k.Episodes[i]
		if e.Verdict != Fail || ending == nil && e.To.IsZero() {
			continue
		}
		inc := m.s.incidentByID(e.Incident)
		if inc == nil || inc.Open() {
			return Fail
		}
		out = Warn
	}
	return out
}

// Seen is the share of the time since T0 in which an invariant was seen: without the
// gaps of the observer and the times without data.
func (s *State) Seen(k *CheckState, now time.Time) float64 {
	total := now.Sub(s.T0)
	if total <= 0 {
		return 1
	}
	var unseen []Gap
	for _, g := range s.Gaps {
		unseen = append(unseen, Gap{From: g.From, To: g.To})
	}
	for _, e := range k.Episodes {
		if e.Verdict == NoData {
			unseen = append(unseen, Gap{From: e.From, To: e.To})
		}
	}
	slices.SortFunc(unseen, func(a, b Gap) int { return a.From.Compare(b.From) })
	var dark time.Duration
	end := s.T0 // of what was counted: a gap within darkness counts once
	for _, g := range unseen {
		if g.To.IsZero() || g.To.After(now) {
			g.To = now
		}
		if from := later(g.From, end); g.To.After(from) {
			dark += g.To.Sub(from)
			end = g.To
		}
	}
	return max(0, 1-float64(dark)/float64(total))
}

// propose records a tuning decision that a check suggests.
func (m *Machine) propose(k *CheckState, f Finding) {
	id := "d-" + FormatNumber(float64(len(m.s.Decisions)+1), "")
	m.record(observer, "", KindProposal, &decisionBody{
		ID: id, Check: k.ID, Parameter: k.Decide.Parameter, From: k.Decide.From, To: k.Decide.To, Why: k.Decide.Why, Figures: f.Sentence,
	})
	m.notify(0, "decision "+id+" proposed", k.Text+": "+f.Sentence)
}

// effect records what a decision has changed.
func (m *Machine) effect(k *CheckState, o Observed) {
	d := m.s.decision(o.Ref)
	if d == nil || d.State != Decided {
		return
	}
	v, f := m.judge(k.Check, o.Observation)
	text := v.String() + ": " + f.Sentence
	if d.Figures != "" {
		text += " (before: " + d.Figures + ")"
	}
	m.record(observer, "", KindEffect, &decisionBody{ID: d.ID, Effect: text})
}

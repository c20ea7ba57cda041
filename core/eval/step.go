package eval

import (
	"math"
	"slices"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/ta"
)

// moment is what one step is about.
type moment struct {
	now    int64
	candle market.Candle
	base   float64 // close of the candle just before, NaN when unknown
}

// minute returns the start of the minute of now.
func (m *moment) minute() int64 { return m.now - m.now%60_000 }

// key returns what an alert of the lane fires at most once on.
func (m *moment) key(lane uint8) int64 {
	if lane == minuteLane {
		return m.minute()
	}
	return m.candle.Time
}

// Warm replaces the history: candles of the series, oldest first; the last may be
// open. Candles that can't be are left out, as are those out of order; the rest is
// believed as it stands, holes included. Nothing is evaluated and nothing fires.
func (s *Set) Warm(candles []market.Candle) {
	s.history = s.history[:0]
	s.current, s.gap = market.Candle{Time: -1}, false
	for i, c := range candles {
		if c.Validate(s.series.Timeframe) != nil || c.Time <= s.current.Time || !c.Closed && i < len(candles)-1 {
			continue
		}
		if c.Closed {
			s.remember(c)
		}
		s.current = c
		s.now = max(s.now, c.Time, c.Event)
	}
	s.rebuild()
	s.disarmed = slices.DeleteFunc(s.disarmed, func(slot int32) bool {
		g := &s.guards[slot]
		if g.has(waiting) && g.has(attached) {
			s.recall(slot)
		}
		return !g.has(waiting)
	})
}

// Step evaluates one state of one candle and adds what it finds to out. now is in
// ms, on whatever clock the caller keeps cooldowns by.
func (s *Set) Step(now int64, c market.Candle, out *Result) {
	if c.Validate(s.series.Timeframe) != nil {
		out.Errors++
		return
	}
	if n := len(s.history); n > 0 && c.Time <= s.history[n-1].Time {
		s.revise(c, out)
		return
	}
	if !c.Closed && (c.Time < s.current.Time || c.Time == s.current.Time && c.Event < s.current.Event) {
		out.Stale++
		return
	}
	m := moment{now: now, candle: c}
	var gap bool
	m.base, gap = s.before(c)
	if gap {
		out.Gap = true
	}
	s.now = now
	if c.Time >= s.current.Time {
		s.current, s.gap = c, gap
	}
	s.judge(c, gap)
	s.rearm(&m)
	s.serve(&m, out)
	s.run(liveLane, &m, out)
	s.run(minuteLane, &m, out)
	if c.Closed {
		s.run(closeLane, &m, out)
		for _, b := range s.bands {
			b.indicator.Update(c.Close)
		}
		s.remember(c)
		s.refresh()
	}
}

// before returns the close of the candle just before c, NaN when it is not known,
// and whether the history has a hole there.
func (s *Set) before(c market.Candle) (base float64, gap bool) {
	n := len(s.history)
	if n == 0 {
		return math.NaN(), false
	}
	if s.series.Timeframe.Next(s.history[n-1].Time) != c.Time {
		return math.NaN(), true
	}
	return s.history[n-1].Close, false
}

// remember appends a closed candle, and drops old ones now and then.
func (s *Set) remember(c market.Candle) {
	s.history = append(s.history, c)
	if keep := max(s.limit, s.Need()); len(s.history) > keep+keep/4 {
		n := copy(s.history, s.history[len(s.history)-keep:])
		s.history = s.history[:n]
	}
}

// revise takes a closed candle that the history has otherwise, or misses. What was
// decided stays decided.
func (s *Set) revise(c market.Candle, out *Result) {
	i, known := slices.BinarySearchFunc(s.history, c.Time, func(h market.Candle, t int64) int { return int(min(max(h.Time-t, -1), 1)) })
	if !c.Closed || i == 0 && !known {
		out.Stale++
		return
	}
	if known {
		old := s.history[i]
		if old.Open == c.Open && old.High == c.High && old.Low == c.Low && old.Close == c.Close && old.Volume == c.Volume {
			out.Stale++
			return
		}
		s.history[i] = c
	} else {
		s.history = slices.Insert(s.history, i, c)
	}
	if s.current.Time == c.Time {
		s.current = c
		s.now = max(s.now, c.Time, c.Event)
	}
	s.rebuild()
}

// rebuild computes the indicators from the history.
func (s *Set) rebuild() {
	for _, b := range s.bands {
		b.rebuild(s.history)
	}
	s.refresh()
}

// refresh looks again at the live candle after the history before it has changed.
func (s *Set) refresh() {
	if s.current.Time < 0 || s.current.Closed {
		return
	}
	_, s.gap = s.before(s.current)
	for _, b := range s.bands {
		if b.live > 0 {
			s.watch(b)
		}
	}
}

// judge computes the verdicts of the indicators that somebody watches.
func (s *Set) judge(c market.Candle, gap bool) {
	for _, b := range s.bands {
		switch {
		case gap:
			b.blind()
		case c.Closed || b.live > 0:
			b.bands, b.side = b.indicator.Judge(c.Close)
		}
	}
}

// run looks at the alerts of a lane that the candle has reached.
func (s *Set) run(which uint8, m *moment, out *Result) {
	l := &s.lanes[which]
	if l.count == 0 {
		return
	}
	out.Evaluated += l.count
	minute := int64(0)
	if which == minuteLane {
		minute = m.minute()
	}
	anew := l.anew(m.candle.Time, minute, m.base)
	for _, on := range l.order {
		x := m.candle.Close * float64(on.sign)
		if on.band != nil {
			if on.band.side != ta.Side(on.sign) {
				on.start = on.start || anew
				continue
			}
			x = 1
		}
		if on.cross && math.IsNaN(m.base) {
			continue
		}
		for _, r := range on.reach(x, m.base*float64(on.sign), anew) {
			s.touch(r.slot, on.sign, m, out)
		}
	}
}

// touch turns the match of an alert into a trigger, a suppression or nothing.
func (s *Set) touch(slot int32, direction int8, m *moment, out *Result) {
	g := &s.guards[slot]
	if g.fired >= m.key(g.lane) || g.has(spent) || g.has(waiting) {
		return
	}
	a := &s.alerts[slot]
	if a.ExpiresAt > 0 && m.now >= a.ExpiresAt {
		return
	}
	if m.now < g.until {
		if g.suppressed < m.candle.Time {
			g.suppressed = m.candle.Time
			out.Suppressed = append(out.Suppressed, Suppression{AlertID: a.ID, Type: a.Type(), Reason: InCooldown, Bar: m.candle.Time})
		}
		s.enqueue(slot, g.until)
		return
	}
	g.fired = m.key(g.lane)
	g.until = m.now + int64(a.CooldownSec)*1000
	a.LastTriggeredAt = m.now
	a.TriggerCount++
	if a.Mode == alert.Once {
		g.flags |= spent
	}
	g.flags &^= fellLast
	if direction < 0 {
		g.flags |= fellLast
	}
	if a.Hysteresis > 0 {
		g.flags |= waiting
		s.disarmed = append(s.disarmed, slot)
	}
	out.Triggers = append(out.Triggers, event(a, s.lookAt(a.Params, m.candle.Close, m.base), direction, m))
}

// event describes the trigger of an alert.
func event(a *alert.Alert, l look, direction int8, m *moment) alert.Event {
	return alert.Event{
		ID: a.EventID(m.candle.Time, m.now), AlertID: a.ID, Rev: a.Rev,
		Series: a.Series, Type: a.Type(), Mode: a.Mode,
		Reason: reason(a.Params, direction), Value: inputs(a.Params, l),
		Price: m.candle.Close, Bar: m.candle.Time, Time: m.now,
		Severity: a.Severity, Channels: a.Channels, Note: a.Note,
	}
}

// lookAt gathers what a condition is decided on from the newest verdicts.
func (s *Set) lookAt(params alert.Params, closing, base float64) look {
	l := look{close: closing, base: base}
	if p, ok := params.(alert.BBBreak); ok {
		if b := s.lookup[bandKey{p.Period, p.StdDev}]; b != nil {
			l.bands, l.side = b.bands, b.side
		}
	}
	return l
}

// enqueue has an alert looked at one by one from a moment on, for the rest of the
// candle: its rung has been passed and would not be looked at again. On close there
// is no rest.
func (s *Set) enqueue(slot int32, from int64) {
	g := &s.guards[slot]
	if g.lane == closeLane {
		return
	}
	if len(s.queue) == 0 || from < s.wake {
		s.wake = from
	}
	if !g.has(queued) {
		g.flags |= queued
		s.queue = append(s.queue, slot)
	}
}

// serve looks at the queue.
func (s *Set) serve(m *moment, out *Result) {
	if s.queueBar != m.candle.Time {
		// On another candle every ladder begins anew and finds them all.
		for _, slot := range s.queue {
			s.guards[slot].flags &^= queued
		}
		s.queue, s.queueBar = s.queue[:0], m.candle.Time
	}
	if len(s.queue) == 0 || m.now < s.wake {
		return
	}
	kept := s.queue[:0]
	s.wake = math.MaxInt64
	for _, slot := range s.queue {
		g := &s.guards[slot]
		// A slot may have been given to another alert since it was queued.
		if g.has(attached) && g.lane != closeLane && g.fired < m.key(g.lane) {
			if m.now >= g.until || g.suppressed < m.candle.Time {
				a := &s.alerts[slot]
				if d := match(a.Params, s.lookAt(a.Params, m.candle.Close, m.base)); d != 0 {
					s.touch(slot, d, m, out)
				}
			}
			if g.fired < m.key(g.lane) {
				kept = append(kept, slot)
				if g.suppressed < m.candle.Time {
					s.wake = m.now // a match would be the first to be counted
				}
				s.wake = min(s.wake, g.until)
				continue
			}
		}
		g.flags &^= queued
	}
	s.queue = kept
}

// rearm arms alerts whose price has come back.
func (s *Set) rearm(m *moment) {
	if len(s.disarmed) == 0 {
		return
	}
	kept := s.disarmed[:0]
	for _, slot := range s.disarmed {
		a, g := &s.alerts[slot], &s.guards[slot]
		if !g.has(attached) || !g.has(waiting) {
			continue
		}
		if g.lane == closeLane && !m.candle.Closed || !back(a, s.lookAt(a.Params, m.candle.Close, m.base), g.direction()) {
			kept = append(kept, slot)
			continue
		}
		g.flags &^= waiting
		s.enqueue(slot, m.now)
	}
	s.disarmed = kept
}

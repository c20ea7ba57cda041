package eval

import (
	"slices"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/ta"
)

// flag is a bit of an alert's own state.
type flag uint8

const (
	attached flag = 1 << iota // hangs on its ladders
	spent                     // a once alert has fired
	waiting                   // has fired and the close has not come back yet
	fellLast                  // the last trigger was downwards
	queued                    // in Set.queue
)

// guard is what stands between a match and a trigger.
type guard struct {
	fired      int64 // the newest candle (in the minute lane: minute) that it fired on, ms; −1 none
	suppressed int64 // the newest candle on which a suppression was counted, ms; −1 none
	until      int64 // end of the cooldown, ms
	lane       uint8
	flags      flag
}

func (g *guard) has(f flag) bool { return g.flags&f != 0 }

// Put adds an alert or replaces the one with its id. Of the one replaced it keeps
// when it was last triggered and how often, if that is later or more; with the same
// revision also that it has fired on the present candle, while a new revision arms
// it again at once (its events have other ids).
//
// An alert that can't be evaluated here (inactive, of another series, with
// parameters that were not read) is kept and never fires; [Set.Inspect] says why.
func (s *Set) Put(a alert.Alert) {
	slot, known := s.index[a.ID]
	g := guard{fired: -1, suppressed: -1}
	if known {
		s.detach(slot)
		old := &s.alerts[slot]
		a.LastTriggeredAt = max(a.LastTriggeredAt, old.LastTriggeredAt)
		a.TriggerCount = max(a.TriggerCount, old.TriggerCount)
		if old.Rev == a.Rev {
			g = s.guards[slot]
			g.flags &= spent | waiting | fellLast | queued
		} else {
			g.flags = s.guards[slot].flags & queued
		}
	} else {
		slot = s.slot()
		s.index[a.ID] = slot
		g.flags = s.guards[slot].flags & queued
		if a.Hysteresis > 0 && a.LastTriggeredAt > 0 {
			g.flags |= waiting
		}
	}
	g.until = 0
	if a.LastTriggeredAt > 0 {
		g.until = a.LastTriggeredAt + int64(a.CooldownSec)*1000
	}
	if a.Hysteresis == 0 {
		g.flags &^= waiting
	}
	g.lane = laneOf(a.Mode)
	s.alerts[slot], s.guards[slot] = a, g
	if !a.Active || s.usable(&a) != "" {
		return
	}
	s.attach(slot)
	if g.has(waiting) {
		if !known {
			s.recall(slot)
		}
		if s.guards[slot].has(waiting) && !slices.Contains(s.disarmed, slot) {
			s.disarmed = append(s.disarmed, slot)
		}
	}
}

// Remove forgets an alert; an unknown id is ignored.
func (s *Set) Remove(id string) {
	slot, ok := s.index[id]
	if !ok {
		return
	}
	s.detach(slot)
	delete(s.index, id)
	s.alerts[slot] = alert.Alert{}
	s.guards[slot] = guard{flags: s.guards[slot].flags & queued}
	s.free = append(s.free, slot)
}

// slot returns one without alert.
func (s *Set) slot() int32 {
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}
	s.alerts = append(s.alerts, alert.Alert{})
	s.guards = append(s.guards, guard{})
	return int32(len(s.alerts) - 1)
}

func laneOf(m alert.Mode) uint8 {
	switch m {
	case alert.OnClose:
		return closeLane
	case alert.Minute:
		return minuteLane
	default:
		return liveLane
	}
}

// attach hangs an alert on its ladders and makes the indicators it needs.
func (s *Set) attach(slot int32) {
	a, g := &s.alerts[slot], &s.guards[slot]
	if p, ok := a.Params.(alert.BBBreak); ok {
		key := bandKey{p.Period, p.StdDev}
		b := s.lookup[key]
		if b == nil {
			b = newBand(key, s.history)
			s.lookup[key] = b
			s.bands = append(s.bands, b)
		}
		b.users++
		if g.lane != closeLane {
			if b.live++; b.live == 1 {
				s.watch(b)
			}
		}
	}
	on, height, n := s.rails(a.Params)
	for i := range n {
		s.lanes[g.lane].add(on[i], rung{height[i], slot})
	}
	s.lanes[g.lane].count++
	g.flags |= attached
}

// watch gives a band its verdict on the live candle.
func (s *Set) watch(b *band) {
	switch {
	case s.current.Time < 0 || s.current.Closed:
	case s.gap:
		b.blind()
	default:
		b.bands, b.side = b.indicator.Judge(s.current.Close)
	}
}

// detach undoes attach.
func (s *Set) detach(slot int32) {
	a, g := &s.alerts[slot], &s.guards[slot]
	if !g.has(attached) {
		return
	}
	on, height, n := s.rails(a.Params)
	for i := range n {
		s.lanes[g.lane].remove(on[i], rung{height[i], slot})
	}
	s.lanes[g.lane].count--
	g.flags &^= attached
	p, ok := a.Params.(alert.BBBreak)
	if !ok {
		return
	}
	b := s.lookup[bandKey{p.Period, p.StdDev}]
	if g.lane != closeLane {
		b.live--
	}
	if b.users--; b.users == 0 {
		delete(s.lookup, b.key)
		s.bands = slices.DeleteFunc(s.bands, func(o *band) bool { return o == b })
	}
}

// recall arms an alert that came with a trigger from before, if the closes since
// then show that the price has come back. In which direction a band was broken is
// read from the candle of the trigger.
func (s *Set) recall(slot int32) {
	a, g := &s.alerts[slot], &s.guards[slot]
	var bands *ta.Bollinger
	p, isBand := a.Params.(alert.BBBreak)
	if isBand {
		bands = ta.NewBollinger(p.Period, p.StdDev)
		if p.Side == alert.Below {
			g.flags |= fellLast
		}
	}
	for _, c := range s.history {
		l := look{close: c.Close}
		if isBand {
			l.bands = bands.Update(c.Close)
		}
		if c.Time > a.LastTriggeredAt {
			if back(a, l, g.direction()) {
				g.flags &^= waiting
				return
			}
		} else if isBand && p.Side == alert.Both {
			g.flags &^= fellLast
			if c.Close < l.bands.Middle {
				g.flags |= fellLast
			}
		}
	}
}

// direction returns that of the last trigger.
func (g *guard) direction() int8 {
	if g.has(fellLast) {
		return -1
	}
	return 1
}

package eval

import (
	"cmp"
	"math"
	"slices"
)

// rail names a ladder within its lane: what moves along it and in which direction.
type rail struct {
	band  *band // nil for the price itself
	sign  int8  // +1 when rising reaches the rungs, −1 when falling does
	cross bool  // only rungs at or beyond the close before count
}

// ladder holds the alerts of one rail sorted by the height at which they match:
// those below x match. Heights are levels times sign, so falling is rising.
//
// For a band the height is 0, and x is +1 when the close is beyond the band.
type ladder struct {
	rail
	rungs []rung
	fresh []rung // added since the last settle, in no order
	done  int    // rungs from the start of the candle's range up to here were looked at
	top   int    // where the last x stood; only a hint
	start bool   // the next look begins anew
}

type rung struct {
	height float64
	slot   int32
}

func (r rung) compare(o rung) int {
	if c := cmp.Compare(r.height, o.height); c != 0 {
		return c
	}
	return cmp.Compare(r.slot, o.slot)
}

func (l *ladder) add(r rung) {
	l.fresh = append(l.fresh, r)
	l.start = true
}

func (l *ladder) remove(r rung) {
	l.settle()
	if i, ok := slices.BinarySearchFunc(l.rungs, r, rung.compare); ok {
		l.rungs = slices.Delete(l.rungs, i, i+1)
		l.start = true
	}
}

func (l *ladder) empty() bool { return len(l.rungs)+len(l.fresh) == 0 }

// settle merges the fresh rungs, from the top down so that what lies below the
// lowest of them stays in place.
func (l *ladder) settle() {
	if len(l.fresh) == 0 {
		return
	}
	slices.SortFunc(l.fresh, rung.compare)
	old, add := len(l.rungs)-1, len(l.fresh)-1
	l.rungs = append(l.rungs, l.fresh...)
	for to := len(l.rungs) - 1; add >= 0; to-- {
		if old >= 0 && l.rungs[old].compare(l.fresh[add]) > 0 {
			l.rungs[to] = l.rungs[old]
			old--
		} else {
			l.rungs[to] = l.fresh[add]
			add--
		}
	}
	l.fresh = l.fresh[:0]
}

// reach returns the rungs that x has reached and that have not been looked at on
// this candle, and counts them as looked at. base is the close before the candle.
func (l *ladder) reach(x, base float64, anew bool) []rung {
	l.settle()
	if anew || l.start {
		l.start = false
		l.done = 0
		if l.cross {
			l.done = l.below(base)
		}
	}
	if n := l.top; n > len(l.rungs) || n > 0 && l.rungs[n-1].height >= x || n < len(l.rungs) && l.rungs[n].height < x {
		l.top = l.below(x)
	}
	if l.top <= l.done {
		return nil
	}
	reached := l.rungs[l.done:l.top]
	l.done = l.top
	return reached
}

// below returns the number of rungs under x.
func (l *ladder) below(x float64) int {
	low, high := 0, len(l.rungs)
	for low < high {
		mid := int(uint(low+high) / 2)
		if l.rungs[mid].height < x {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// The lanes: alerts that are due together.
const (
	liveLane   = iota // every state, once per candle
	minuteLane        // every state, once per minute
	closeLane         // closed candles
	lanes
)

// lane holds the ladders of the alerts that are due together.
type lane struct {
	bar    int64 // the candle that the ladders' marks are about
	minute int64 // and in the minute lane, the minute
	base   float64
	count  int // alerts
	order  []*ladder
	// ladders finds those of order by what they are about.
	ladders map[rail]*ladder
}

// anew reports whether the marks are about another candle or minute than this, and
// makes them be about this one.
func (l *lane) anew(bar, minute int64, base float64) bool {
	same := l.bar == bar && l.minute == minute && math.Float64bits(l.base) == math.Float64bits(base)
	l.bar, l.minute, l.base = bar, minute, base
	return !same
}

func (l *lane) add(on rail, r rung) {
	ladderOn := l.ladders[on]
	if ladderOn == nil {
		ladderOn = &ladder{rail: on}
		l.ladders[on] = ladderOn
		l.order = append(l.order, ladderOn)
	}
	ladderOn.add(r)
}

func (l *lane) remove(on rail, r rung) {
	ladderOn := l.ladders[on]
	ladderOn.remove(r)
	if ladderOn.empty() {
		delete(l.ladders, on)
		l.order = slices.DeleteFunc(l.order, func(o *ladder) bool { return o == ladderOn })
	}
}

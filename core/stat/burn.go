package stat

import (
	"math"
	"time"
)

// Window counts what happened in a stretch of time.
type Window struct{ Bad, Total float64 }

// Empty reports whether there is nothing to judge.
func (w Window) Empty() bool {
	return !(w.Total > 0) || !(w.Bad >= 0) || math.IsInf(w.Total, 0) || math.IsInf(w.Bad, 0)
}

// Objective is a share of good events to be reached over a whole run.
type Objective struct {
	Target float64       // 0.995
	Run    time.Duration // default 48 h
}

const defaultRun = 48 * time.Hour

func (o Objective) run() time.Duration {
	if o.Run <= 0 {
		return defaultRun
	}
	return o.Run
}

// budget returns the share of events that may be bad.
func (o Objective) budget() float64 { return max(0, 1-o.Target) }

// Burn returns how many times faster than allowed the budget is spent: 1 spends just
// all of it by the end of the run. It is NaN for an empty window, and +Inf for any bad
// event when the target leaves no budget.
func (o Objective) Burn(w Window) float64 {
	switch {
	case w.Empty():
		return math.NaN()
	case w.Bad == 0:
		return 0
	default:
		return min(w.Bad/w.Total, 1) / o.budget()
	}
}

// Tier is one pair of windows. The short one keeps a tier from firing on what is over.
type Tier struct {
	Name        string
	Long, Short time.Duration
	Burn        float64 // fires when both windows burn at least so fast
	Level       int     // of escalation: 2 pages now, 1 pages, 0 is raised at the next checkpoint
}

// Tiers returns those of a run, the most urgent first: 10 % of its budget in a 96th
// of it, 20 % in a 16th, 35 % in a quarter; for 48 h in 30 min, 3 h and 12 h. The
// factors for 30 days that the field uses (14.4, 6, 1) would ring too late.
func (o Objective) Tiers() [3]Tier {
	tier := func(name string, spent float64, part time.Duration, level int) Tier {
		long := o.run() / part
		return Tier{Name: name, Long: long, Short: long / 12, Burn: spent * float64(part), Level: level}
	}
	return [3]Tier{tier("A", 0.10, 96, 2), tier("B", 0.20, 16, 1), tier("C", 0.35, 4, 0)}
}

// Reading is what the two windows of a tier hold at one instant.
type Reading struct{ Long, Short Window }

// Edge is what a step did to a tier.
type Edge uint8

// The edges.
const (
	Same Edge = iota
	Fired
	Cleared
)

// Burn is the alert on one objective: which tiers fire. It is a value, whose State
// follows from its steps alone: replaying them gives the same answers, and so does
// going on from a copy.
//
// A tier fires when both windows burn at its rate and the long one holds MinBad bad
// events, and more than two standard deviations above what the target allows. Without
// the gate one error among few events pages (5 notifications an hour at 1 % errors did
// in 88 % of runs); the second part is for the first hours, when the long window isn't
// full yet. It clears when it has been calm for all of Keep,
// and an empty window changes nothing. Calm is one of two:
//
//   - The long window holds less than Rearm of the bad events that its rate makes, and
//     by more than two standard deviations of so small a count. Without the second
//     part an incident near the rate flaps by chance.
//   - The short window is quiet, so that an incident that is over doesn't ring on for
//     the rest of the long one: at most a quarter of Rearm, among so many events that
//     an incident that goes on would have shown five bad ones meanwhile. As the long
//     window may hold the old incident for hours, usual errors on top of it must not
//     ring again: until it is calm too, the short one must burn at twice the rate.
type Burn struct {
	Objective
	MinBad float64       // default 5
	Keep   time.Duration // default 15 min in 48 h, shorter and longer as the run is
	Rearm  float64       // part of the rate, default 0.8

	State [3]TierState // for those who store it; nobody else sets it
}

// TierState is what a tier remembers from one step to the next.
type TierState struct {
	Firing   bool
	Echo     bool  // cleared while the long window still held the incident
	Restless int64 // last time it wasn't calm, ms
}

// Twice the rate fires again on an echo; five missing bad events make silence count.
const (
	echoRate    = 2
	quietEvents = 5
)

// Firing reports whether the i-th of [Objective.Tiers] fires.
func (b *Burn) Firing(i int) bool { return b.State[i].Firing }

// Step takes the readings of the tiers at a time (ms) and returns what changed. It
// allocates nothing.
func (b *Burn) Step(now int64, readings [3]Reading) [3]Edge {
	var edges [3]Edge
	keep := b.Keep
	if keep <= 0 {
		keep = b.run() / 192
	}
	for i, t := range b.Tiers() {
		edges[i] = b.State[i].step(now, b.judge(t, readings[i], keep), keep)
	}
	return edges
}

// look is what one reading says about a tier.
type look struct {
	empty bool
	holds bool // the condition to fire
	again bool // the condition to fire on an echo
	low   bool // the long window is calm
	quiet bool // the short window is
}

func (b *Burn) judge(t Tier, r Reading, keep time.Duration) look {
	if r.Long.Empty() || r.Short.Empty() {
		return look{empty: true}
	}
	rearm, minBad := b.Rearm, b.MinBad
	if rearm <= 0 {
		rearm = 0.8
	}
	if minBad <= 0 {
		minBad = 5
	}
	long, short := b.Objective.Burn(r.Long), b.Objective.Burn(r.Short)
	expected := t.Burn * b.budget() * r.Long.Total
	missing := rearm * t.Burn * b.budget() * r.Short.Total * (1 + float64(keep)/float64(t.Short))
	allowed := b.budget() * r.Long.Total
	enough := max(minBad, allowed+2*math.Sqrt(allowed))
	holds := long >= t.Burn && short >= t.Burn && r.Long.Bad >= enough
	return look{
		holds: holds,
		again: holds && short >= echoRate*t.Burn,
		low:   r.Long.Bad <= min(rearm*expected, max(0, expected-2*math.Sqrt(expected))),
		quiet: short <= rearm*t.Burn/4 && missing >= quietEvents,
	}
}

func (s *TierState) step(now int64, l look, keep time.Duration) Edge {
	s.Restless = min(s.Restless, now) // a clock that was set back
	if l.empty {
		s.Restless = now
		return Same
	}
	s.Echo = s.Echo && !l.low
	switch {
	case !s.Firing && (l.again || l.holds && !s.Echo):
		s.Firing, s.Echo, s.Restless = true, false, now
		return Fired
	case !s.Firing:
	case l.holds, !l.low && !l.quiet:
		s.Restless = now
	case now-s.Restless >= keep.Milliseconds():
		s.Firing, s.Echo = false, !l.low
		return Cleared
	}
	return Same
}

// Budget is how an objective stands in the middle of its run. The budget is that of
// the whole run: at T+4h of 48 h a run that just holds its target has used a twelfth.
type Budget struct {
	Used     float64       // share; above 1 the objective is missed
	Left     float64       // 1 − Used
	LeftTime time.Duration // the same as time of full outage; negative when overdrawn
	Forecast float64       // share used at the end, should the rest be as the part so far
	Allowed  float64       // burn from here on that ends at the target; 0 when nothing is left
	rest     float64       // share of the run to come
}

// Time returns the whole budget as time of full outage: 14 min 24 s for 99.5 % over 48 h.
func (o Objective) Time() time.Duration {
	return time.Duration(math.Round(o.budget() * float64(o.run())))
}

// Budget returns how the objective stands after a part of the run in which w happened.
// It is false without events or before the begin.
func (o Objective) Budget(w Window, elapsed time.Duration) (Budget, bool) {
	if w.Empty() || elapsed <= 0 {
		return Budget{}, false
	}
	gone := min(1, float64(elapsed)/float64(o.run()))
	burn := o.Burn(w)
	b := Budget{Used: burn * gone, Forecast: burn, rest: 1 - gone}
	b.Left = 1 - b.Used
	b.LeftTime = o.Time() - time.Duration(min(w.Bad/w.Total, 1)*gone*float64(o.run()))
	if b.rest > 0 {
		b.Allowed = max(0, b.Left/b.rest)
	}
	return b, true
}

// ForecastAt returns the share used at the end, should the rest of the run burn at a
// rate: that of the last hours, when an early outage would spoil Forecast.
func (b Budget) ForecastAt(burn float64) float64 { return b.Used + burn*b.rest }

package eval

import (
	"fmt"
	"math"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
)

// View is what the set knows of one alert, as of the newest step. Figures that are
// not known are NaN, which JSON can't carry: leave them out.
type View struct {
	Alert  alert.Alert // with when it was last triggered and how often, as counted here
	State  alert.State
	Reason string             // why it stands where it stands, in words
	Inputs map[string]float64 // what the condition looks at, by name; known figures only
	Candle market.Candle      // the newest state seen; Time −1 when none

	Above    float64 // a close above this matches; NaN when no rise does
	Below    float64 // a close below this matches; NaN when no fall does
	Distance float64 // how far the close is from matching, as a fraction of it; 0 when it matches
	Until    int64   // end of the cooldown, ms; 0 when there is none
	Have     int     // closed candles known
	Need     int     // closed candles needed before the one judged
}

// Inspect returns the view of an alert, and false when the set does not have it.
func (s *Set) Inspect(id string) (View, bool) {
	slot, ok := s.index[id]
	if !ok {
		return View{}, false
	}
	a, g := s.alerts[slot], s.guards[slot]
	nan := math.NaN()
	v := View{Alert: a, Candle: s.current, Above: nan, Below: nan, Distance: nan, Have: len(s.history), Need: warming(a.Params)}
	if s.now < g.until {
		v.Until = g.until
	}
	var l look
	if g.has(attached) && s.current.Time >= 0 {
		l = s.present(a.Params)
		v.Inputs = inputs(a.Params, l)
		v.Above, v.Below = s.targets(a.Params, l)
		v.Distance = distance(a.Params, l, v.Above, v.Below)
	}
	v.State, v.Reason = s.stand(&a, &g, l)
	return v, true
}

// present is what the condition looks at now. Verdicts for alerts on close are
// those of the last closed candle.
func (s *Set) present(params alert.Params) look {
	l := s.lookAt(params, s.current.Close, math.NaN())
	history := s.history
	if n := len(history); n > 0 && history[n-1].Time == s.current.Time {
		history = history[:n-1]
	}
	if n := len(history); n > 0 && s.series.Timeframe.Next(history[n-1].Time) == s.current.Time {
		l.base = history[n-1].Close
	}
	return l
}

// stand says where an alert stands and why.
func (s *Set) stand(a *alert.Alert, g *guard, l look) (alert.State, string) {
	trouble := s.usable(a)
	need := warming(a.Params)
	switch {
	case !a.Active && a.Mode == alert.Once && a.TriggerCount > 0, g.has(spent):
		return alert.Done, "fired once"
	case !a.Active:
		return alert.Paused, "paused by its owner"
	case trouble != "":
		return alert.Unknown, trouble
	case a.ExpiresAt > 0 && s.now >= a.ExpiresAt:
		return alert.Expired, "its time is over"
	case s.current.Time < 0:
		return alert.Warming, "no candle yet"
	case len(s.history) < need:
		return alert.Warming, fmt.Sprintf("%d of %d closed candles", len(s.history), need)
	case s.gap && need > 0:
		return alert.Warming, "candles are missing before this one"
	case s.now < g.until:
		return alert.Cooldown, fmt.Sprintf("cooldown for %d s more", (g.until-s.now+999)/1000)
	case g.has(waiting):
		return alert.Cooldown, "waits for the close to come back"
	}
	if d := match(a.Params, l); d != 0 {
		return alert.Armed, reason(a.Params, d)
	}
	return alert.Armed, "no match"
}

// targets returns the closes beyond which the condition holds on the live candle
// or, when the newest one is closed, on the next.
func (s *Set) targets(params alert.Params, l look) (above, below float64) {
	above, below = math.NaN(), math.NaN()
	switch p := params.(type) {
	case alert.Price:
		base := l.base
		if s.current.Closed {
			base = s.current.Close
		}
		if p.Op == alert.OpAbove || p.Op != alert.OpBelow && p.Op != alert.OpCrossesDown && base <= p.Level {
			above = p.Level
		}
		if p.Op == alert.OpBelow || p.Op != alert.OpAbove && p.Op != alert.OpCrossesUp && base >= p.Level {
			below = p.Level
		}
	case alert.BBBreak:
		b := s.lookup[bandKey{p.Period, p.StdDev}]
		if b == nil || s.gap {
			return above, below
		}
		lower, upper := b.indicator.Edges()
		if p.Side != alert.Below && !math.IsInf(upper, 0) {
			above = upper
		}
		if p.Side != alert.Above && lower > 0 {
			below = lower
		}
	}
	return above, below
}

// distance returns how far the close is from the nearer target.
func distance(params alert.Params, l look, above, below float64) float64 {
	if match(params, l) != 0 {
		return 0
	}
	d := math.Inf(1)
	for _, target := range [...]float64{above, below} {
		if !math.IsNaN(target) {
			d = min(d, math.Abs(target-l.close)/l.close)
		}
	}
	if math.IsInf(d, 1) {
		return math.NaN()
	}
	return d
}

// TestResult is what an alert would say of the newest candle.
type TestResult struct {
	Triggered bool               // the condition holds, whatever mode, cooldown and state say
	Reason    string             // that of the event it would be, otherwise why not
	Value     map[string]float64 // what the condition looked at; known figures only
	Candle    market.Candle      // the candle looked at; Time −1 when there is none
}

// Test evaluates one alert alone on the newest candle, live or closed. It changes
// nothing, and the alert need not be in the set.
func (s *Set) Test(a alert.Alert) TestResult {
	if trouble := s.usable(&a); trouble != "" {
		return TestResult{Reason: trouble, Candle: s.current}
	}
	if s.current.Time < 0 {
		return TestResult{Reason: "no candle yet", Candle: s.current}
	}
	history := s.history
	for len(history) > 0 && history[len(history)-1].Time >= s.current.Time {
		history = history[:len(history)-1]
	}
	l := aside(a.Params, history, s.current, s.series.Timeframe)
	r := TestResult{Value: inputs(a.Params, l), Candle: s.current}
	d := match(a.Params, l)
	need := warming(a.Params)
	switch {
	case d != 0:
		r.Triggered, r.Reason = true, reason(a.Params, d)
	case len(history) < need:
		r.Reason = fmt.Sprintf("%d of %d closed candles", len(history), need)
	case need > 0 && math.IsNaN(l.base):
		r.Reason = "candles are missing before this one"
	default:
		r.Reason = "no match"
	}
	return r
}

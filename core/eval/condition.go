package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/ta"
)

// look is what conditions are decided on.
type look struct {
	close float64
	base  float64 // close of the candle just before, NaN when unknown
	bands ta.Bands
	side  ta.Side
}

// match returns +1 when the condition holds upwards, −1 when it does downwards, and
// 0 when it does not hold or has no verdict.
func match(params alert.Params, l look) int8 {
	switch p := params.(type) {
	case alert.Price:
		up := l.close > p.Level
		down := l.close < p.Level
		switch p.Op {
		case alert.OpAbove:
		case alert.OpCrossesUp:
			up = up && l.base <= p.Level
		case alert.OpCrossesDown:
			down = down && l.base >= p.Level
		case alert.OpCrosses:
			up, down = up && l.base <= p.Level, down && l.base >= p.Level
		}
		if up && p.Op != alert.OpBelow && p.Op != alert.OpCrossesDown {
			return 1
		}
		if down && p.Op != alert.OpAbove && p.Op != alert.OpCrossesUp {
			return -1
		}
	case alert.BBBreak:
		if l.side == ta.Above && p.Side != alert.Below || l.side == ta.Below && p.Side != alert.Above {
			return int8(l.side)
		}
	}
	return 0
}

// reason returns the text of a match.
func reason(params alert.Params, direction int8) string {
	switch p := params.(type) {
	case alert.Price:
		return p.Reason()
	case alert.BBBreak:
		if direction > 0 {
			return "close>upper"
		}
		return "close<lower"
	}
	return ""
}

// inputs returns the figures that decide, those that are known.
func inputs(params alert.Params, l look) map[string]float64 {
	m := map[string]float64{"close": l.close}
	switch p := params.(type) {
	case alert.Price:
		m["level"] = p.Level
		if p.Op != alert.OpAbove && p.Op != alert.OpBelow && !math.IsNaN(l.base) {
			m["previous"] = l.base
		}
	case alert.BBBreak:
		if !math.IsNaN(l.bands.Middle) {
			m["upper"], m["middle"], m["lower"] = l.bands.Upper, l.bands.Middle, l.bands.Lower
		}
	}
	return m
}

// back reports whether the close has come back far enough after a trigger in the
// given direction for the alert to be armed again.
func back(a *alert.Alert, l look, direction int8) bool {
	switch p := a.Params.(type) {
	case alert.Price:
		way := a.Hysteresis * p.Level
		switch p.Op {
		case alert.OpAbove, alert.OpCrossesUp:
			return l.close <= p.Level-way
		case alert.OpBelow, alert.OpCrossesDown:
			return l.close >= p.Level+way
		default:
			return math.Abs(l.close-p.Level) >= way
		}
	case alert.BBBreak:
		way := a.Hysteresis * (l.bands.Upper - l.bands.Lower)
		if direction > 0 {
			return l.close <= l.bands.Upper-way
		}
		return l.close >= l.bands.Lower+way
	}
	return false
}

// warming returns how many closed candles the condition needs to have a verdict on
// the one after.
func warming(params alert.Params) int {
	switch p := params.(type) {
	case alert.Price:
		if p.Op != alert.OpAbove && p.Op != alert.OpBelow {
			return 1
		}
	case alert.BBBreak:
		return p.Period - 1
	}
	return 0
}

// rails returns where an alert hangs, and how high.
func (s *Set) rails(params alert.Params) (on [2]rail, height [2]float64, n int) {
	add := func(r rail, h float64) {
		on[n], height[n] = r, h*float64(r.sign)
		n++
	}
	switch p := params.(type) {
	case alert.Price:
		cross := p.Op != alert.OpAbove && p.Op != alert.OpBelow
		if p.Op != alert.OpBelow && p.Op != alert.OpCrossesDown {
			add(rail{sign: 1, cross: cross}, p.Level)
		}
		if p.Op != alert.OpAbove && p.Op != alert.OpCrossesUp {
			add(rail{sign: -1, cross: cross}, p.Level)
		}
	case alert.BBBreak:
		b := s.lookup[bandKey{p.Period, p.StdDev}]
		if p.Side != alert.Below {
			add(rail{band: b, sign: 1}, 0)
		}
		if p.Side != alert.Above {
			add(rail{band: b, sign: -1}, 0)
		}
	}
	return on, height, n
}

// usable says why an alert can't be evaluated here, "" when it can.
func (s *Set) usable(a *alert.Alert) string {
	switch p := a.Params.(type) {
	case nil:
		if a.LastError != "" {
			return a.LastError
		}
		return "its parameters could not be read"
	case alert.Price:
		if !(p.Level > 0) || math.IsInf(p.Level, 1) ||
			!slices.Contains([]alert.Op{alert.OpAbove, alert.OpBelow, alert.OpCrosses, alert.OpCrossesUp, alert.OpCrossesDown}, p.Op) {
			return fmt.Sprintf("a price can't be %.16q %v", string(p.Op), p.Level)
		}
	case alert.BBBreak:
		if p.Period < 2 || !(p.StdDev > 0) || math.IsInf(p.StdDev, 1) ||
			!slices.Contains([]alert.Side{alert.Above, alert.Below, alert.Both}, p.Side) {
			return fmt.Sprintf("there are no bands of %d candles at %v deviations, side %.16q", p.Period, p.StdDev, string(p.Side))
		}
	default:
		return fmt.Sprintf("the type %.32q is not known here", string(a.Type()))
	}
	if a.Series != s.series {
		return "it is about " + a.Series.String() + ", not " + s.series.String()
	}
	return ""
}

// aside computes what a condition looks at from a history alone.
func aside(params alert.Params, history []market.Candle, c market.Candle, tf market.Timeframe) look {
	l := look{close: c.Close, base: math.NaN()}
	follows := len(history) > 0 && tf.Next(history[len(history)-1].Time) == c.Time
	if follows {
		l.base = history[len(history)-1].Close
	}
	if p, ok := params.(alert.BBBreak); ok {
		b := ta.NewBollinger(p.Period, p.StdDev)
		if follows {
			for _, h := range history[max(0, len(history)-(p.Period-1)):] {
				b.Update(h.Close)
			}
		}
		l.bands, l.side = b.Judge(c.Close)
	}
	return l
}

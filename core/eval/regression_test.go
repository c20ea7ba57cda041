package eval_test

import (
	"fmt"
	"testing"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/eval"
)

// The earlier implementation let slow sweeps overlap, and 149 alerts fired 355 times
// within their cooldown.
func TestRegression01NoAlertFiresTwiceWithinItsCooldown(t *testing.T) {
	t.Parallel()
	const cooldown = 300
	set := eval.NewSet(series, eval.Options{})
	for i := range 149 {
		a := priced(fmt.Sprintf("p%03d", i), []alert.Mode{alert.Intrabar, alert.OnClose, alert.Minute}[i%3], alert.OpAbove, 1)
		if i%2 == 0 {
			a.Params = alert.BBBreak{Period: 5, StdDev: 0.5, Side: alert.Both}
		}
		a.CooldownSec = cooldown
		set.Put(a)
	}
	last := map[string]int64{}
	ids := map[string]bool{}
	candles := walk(1, 400, 100)
	for i := range candles {
		// Each state comes three times, and each candle again after the next one began:
		// what overlapping sweeps would have evaluated.
		for range 3 {
			for _, c := range append(states(candles[i]), candles[max(0, i-1)]) {
				var out eval.Result
				now := candles[i].Time + minute/2
				set.Step(now, c, &out)
				for _, e := range out.Triggers {
					if was, ok := last[e.AlertID]; ok && now-was < cooldown*1000 {
						t.Fatalf("%s fired %d ms after its last trigger, within its cooldown", e.AlertID, now-was)
					}
					if ids[e.ID] {
						t.Fatalf("event %s came twice", e.ID)
					}
					last[e.AlertID], ids[e.ID] = now, true
				}
			}
		}
	}
	if len(last) != 149 {
		t.Errorf("%d of 149 alerts fired at all", len(last))
	}
}

func TestRegression10FlatPriceNeverBreaksTheBand(t *testing.T) {
	t.Parallel()
	for _, price := range []float64{1e-5, 0.1, 0.0000123, 1.0 / 3, 64999.99} {
		for n := range 60 {
			set := eval.NewSet(series, eval.Options{})
			for i, period := range []int{2, 5, 20, 50} {
				set.Put(banded(fmt.Sprint("live", i), alert.Intrabar, period, 2))
				set.Put(banded(fmt.Sprint("close", i), alert.OnClose, period, 0.1))
			}
			flat := make([]float64, n)
			for i := range flat {
				flat[i] = price
			}
			set.Warm(closed(start, flat...))
			out := steps(set, candle(start+int64(n)*minute, price), closed(start+int64(n)*minute, price)[0])
			if len(out.Triggers) > 0 || len(out.Suppressed) > 0 || out.Gap || out.Errors > 0 {
				t.Errorf("flat at %v for %d candles: %+v, want nothing", price, n, out)
			}
		}
	}
}

// The earlier implementation rounded, and saw other crosses at 0.00001 than at 60,000.
func TestRegression10TinyPricesDecideLikeLargeOnes(t *testing.T) {
	t.Parallel()
	large, tiny := fired(t, 60_000, 1), fired(t, 60_000, 1.0/(1<<32)) // about 1.4e-5
	if len(large) < 50 || len(large) != len(tiny) {
		t.Fatalf("%d triggers at 60,000 and %d at a fraction of it, want as many and at least 50", len(large), len(tiny))
	}
	for i := range large {
		if large[i] != tiny[i] {
			t.Errorf("trigger %d: %s at 60,000, %s at a fraction of it", i, large[i], tiny[i])
		}
	}
}

func TestScaleByPowersOfTwoChangesNoDecision(t *testing.T) {
	t.Parallel()
	want := fired(t, 1.5, 1)
	for _, scale := range []float64{1.0 / (1 << 40), 1.0 / 8, 2, 1 << 20} {
		got := fired(t, 1.5, scale)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("scale %g: triggers %v, want %v", scale, got, want)
		}
	}
}

// fired returns the triggers on a random walk of which every price is scaled.
func fired(t *testing.T, price, scale float64) []string {
	t.Helper()
	set := eval.NewSet(series, eval.Options{})
	for i, mode := range []alert.Mode{alert.Intrabar, alert.OnClose, alert.Minute} {
		set.Put(banded(fmt.Sprint("b", i), mode, 20, 2))
		set.Put(banded(fmt.Sprint("c", i), mode, 5, 2)) // touched exactly after a flat stretch, never broken
		for j, op := range []alert.Op{alert.OpAbove, alert.OpCrosses, alert.OpCrossesDown} {
			a := priced(fmt.Sprint("p", i, j), mode, op, price*scale)
			a.Hysteresis = 0.01
			set.Put(a)
		}
	}
	var ids []string
	for _, c := range walk(3, 500, price) {
		c.Open, c.High, c.Low, c.Close = c.Open*scale, c.High*scale, c.Low*scale, c.Close*scale
		for _, e := range steps(set, states(c)...).Triggers {
			ids = append(ids, e.ID+" "+e.Reason[:5])
		}
	}
	return ids
}

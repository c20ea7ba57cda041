package eval_test

import (
	"math"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/eval"
)

func TestTargetsAreWhereTheAlertWouldFire(t *testing.T) {
	t.Parallel()
	alerts := []alert.Alert{banded("both", alert.Intrabar, 20, 2), priced("above", alert.Intrabar, alert.OpAbove, 101),
		priced("below", alert.Intrabar, alert.OpBelow, 99), priced("cross", alert.Intrabar, alert.OpCrosses, 100.5)}
	history := walk(61, 120, 100)
	for i := 30; i < len(history); i++ {
		for _, a := range alerts {
			set := eval.NewSet(series, eval.Options{})
			set.Put(a)
			set.Warm(history[:i])
			x := history[i].Open
			live := candle(history[i].Time, x)
			steps(set, live)
			v, _ := set.Inspect(a.ID)
			for _, c := range []struct {
				price float64
				want  bool
			}{
				{v.Above * (1 + 1e-9), true}, {v.Above * (1 - 1e-9), false}, {v.Below * (1 - 1e-9), true}, {v.Below * (1 + 1e-9), false},
			} {
				if math.IsNaN(c.price) {
					continue
				}
				set := eval.NewSet(series, eval.Options{})
				set.Put(a)
				set.Warm(history[:i])
				if got := len(steps(set, candle(live.Time, c.price)).Triggers) == 1; got != c.want {
					t.Fatalf("%s at %v, targets %v and %v: triggered %v, want %v", a.ID, c.price, v.Below, v.Above, got, c.want)
				}
			}
			nearest := math.Inf(1)
			for _, target := range []float64{v.Above, v.Below} {
				if d := math.Abs(target-x) / x; d < nearest {
					nearest = d
				}
			}
			if v.Reason != "no match" {
				nearest = 0
			}
			if v.Distance != nearest && !(math.IsInf(nearest, 1) && math.IsNaN(v.Distance)) {
				t.Fatalf("%s at %v, targets %v and %v, %q: distance %v, want %v", a.ID, x, v.Below, v.Above, v.Reason, v.Distance, nearest)
			}
		}
	}
}

func TestViewFollowsAnAlertThroughItsStates(t *testing.T) {
	t.Parallel()
	set := eval.NewSet(series, eval.Options{})
	a := banded("a", alert.Intrabar, 3, 1)
	a.CooldownSec = 60
	set.Put(a)
	check := func(want alert.State, reason string) {
		t.Helper()
		if v, _ := set.Inspect("a"); v.State != want || v.Reason != reason {
			t.Errorf("%s, %q, want %s, %q", v.State, v.Reason, want, reason)
		}
	}
	check(alert.Warming, "no candle yet")
	set.Warm(closed(start, 100))
	check(alert.Warming, "1 of 2 closed candles")
	if need := set.Need(); need != 2 {
		t.Errorf("Need() = %d, want 2", need)
	}
	set.Warm(closed(start, 100, 101))
	steps(set, candle(start+2*minute, 100.5))
	check(alert.Armed, "no match")
	live := candle(start+2*minute, 100.5)
	live.Event = start + 2*minute + 1
	steps(set, moved(live, 110))
	check(alert.Cooldown, "cooldown for 60 s more")
	v, _ := set.Inspect("a")
	if v.Until != start+2*minute+2+60_000 || v.Inputs["close"] != 110 || v.Inputs["upper"] >= 110 || v.Distance != 0 || v.Candle.Close != 110 {
		t.Errorf("view %+v", v)
	}
	a.Rev, a.Mode, a.CooldownSec = 2, alert.Once, 0
	set.Put(a)
	next := moved(moved(live, 110), 111)
	next.Event += 10
	steps(set, next)
	check(alert.Done, "fired once")
}

func TestTestEvaluatesOneAlertAloneAndChangesNothing(t *testing.T) {
	t.Parallel()
	history := closed(start, 100, 101, 100, 101)
	open := candle(start+4*minute, 120)
	for _, c := range []struct {
		name      string
		alert     alert.Alert
		live      bool
		triggered bool
		reason    string
	}{
		{"band on the live candle", banded("x", alert.OnClose, 4, 1), true, true, "close>upper"},
		{"band on the closed candle", banded("x", alert.Intrabar, 4, 2), false, false, "no match"},
		{"level", priced("x", alert.Once, alert.OpAbove, 119), true, true, "price>119"},
		{"level not reached", priced("x", alert.Once, alert.OpAbove, 119), false, false, "no match"},
		{"cross", priced("x", alert.Minute, alert.OpCrosses, 119), true, true, "price crosses 119"},
		{"cross of the closed candle", priced("x", alert.Minute, alert.OpCrossesUp, 100), false, true, "price crosses_up 100"},
		{"too short", banded("x", alert.Intrabar, 20, 2), true, false, "4 of 19 closed candles"},
		{"too short on the closed candle", banded("x", alert.Intrabar, 20, 2), false, false, "3 of 19 closed candles"},
	} {
		set := eval.NewSet(series, eval.Options{})
		other := priced("other", alert.Intrabar, alert.OpAbove, 110)
		set.Put(other)
		candles := history
		if c.live {
			candles = append(candles[:4:4], open)
		}
		set.Warm(candles)
		c.alert.Active = false // a paused alert can be tested
		c.alert.CooldownSec, c.alert.LastTriggeredAt = 86_400, start
		before, _ := set.Inspect("other")
		got := set.Test(c.alert)
		after, _ := set.Inspect("other")
		if got.Triggered != c.triggered || got.Reason != c.reason || got.Candle != candles[len(candles)-1] || got.Value["close"] != got.Candle.Close {
			t.Errorf("%s: %+v, want %v, %q", c.name, got, c.triggered, c.reason)
		}
		if diff := gocmp.Diff(before, after, gocmp.Comparer(same)); diff != "" || set.Len() != 1 {
			t.Errorf("%s: the set changed (-before +after)\n%s", c.name, diff)
		}
	}

	empty := eval.NewSet(series, eval.Options{})
	if got := empty.Test(priced("x", alert.Intrabar, alert.OpAbove, 1)); got.Triggered || got.Reason != "no candle yet" {
		t.Errorf("without candles: %+v", got)
	}
	if got := empty.Test(alert.Alert{}); got.Triggered || got.Reason != "its parameters could not be read" {
		t.Errorf("without parameters: %+v", got)
	}
	gap := eval.NewSet(series, eval.Options{})
	gap.Warm(append(closed(start, 100), candle(start+2*minute, 120)))
	if got := gap.Test(priced("x", alert.Intrabar, alert.OpCrosses, 110)); got.Triggered || got.Reason != "candles are missing before this one" {
		t.Errorf("beyond a hole: %+v", got)
	}
}

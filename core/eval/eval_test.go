package eval_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/eval"
	"github.com/spark-ta/spark/core/market"
)

func TestEventSaysWhatHappened(t *testing.T) {
	t.Parallel()
	set := eval.NewSet(series, eval.Options{})
	p := priced("p", alert.Intrabar, alert.OpCrossesUp, 0.0000123)
	p.Rev, p.Channels, p.Note = 7, []string{"telegram"}, "mine"
	set.Put(p)
	b := banded("b", alert.OnClose, 3, 1)
	set.Put(b)
	set.Warm(closed(start, 0.00001, 0.00001))
	c := closed(start+2*minute, 0.00002)[0]
	var out eval.Result
	set.Step(c.Time+59_999, c, &out)
	want := []alert.Event{{
		ID: p.EventID(c.Time, 0), AlertID: "p", Rev: 7, Series: series, Type: alert.TypePrice, Mode: alert.Intrabar,
		Reason: "price crosses_up 0.0000123", Value: map[string]float64{"close": 0.00002, "level": 0.0000123, "previous": 0.00001},
		Price: 0.00002, Bar: c.Time, Time: c.Time + 59_999, Severity: alert.Warning, Channels: []string{"telegram"}, Note: "mine",
	}, {
		ID: b.EventID(c.Time, 0), AlertID: "b", Rev: 1, Series: series, Type: alert.TypeBBBreak, Mode: alert.OnClose,
		Reason: "close>upper", Price: 0.00002, Bar: c.Time, Time: c.Time + 59_999, Severity: alert.Warning,
	}}
	if len(out.Triggers) != 2 {
		t.Fatalf("triggers %+v, want two", out.Triggers)
	}
	v := out.Triggers[1].Value
	if len(v) != 4 || v["close"] != 0.00002 || !(v["upper"] > v["middle"] && v["middle"] > v["lower"]) || v["upper"] >= 0.00002 {
		t.Errorf("values of the band: %v, want close above upper above middle above lower", v)
	}
	out.Triggers[1].Value = nil
	if diff := gocmp.Diff(want, out.Triggers); diff != "" {
		t.Errorf("triggers (-want +got)\n%s", diff)
	}
}

func TestBandsAreJudgedWithTheLiveCandle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		side alert.Side
		x    float64
		want string
	}{
		{alert.Both, 200, "close>upper"}, {alert.Both, 50, "close<lower"}, {alert.Above, 200, "close>upper"},
		{alert.Below, 50, "close<lower"}, {alert.Above, 50, ""}, {alert.Below, 200, ""}, {alert.Both, 100, ""},
	} {
		set := eval.NewSet(series, eval.Options{})
		a := banded("a", alert.Intrabar, 20, 2)
		a.Params = alert.BBBreak{Period: 20, StdDev: 2, Side: c.side}
		set.Put(a)
		closes := make([]float64, 19)
		for i := range closes {
			closes[i] = 100 + float64(i%2)
		}
		set.Warm(closed(start, closes...))
		out := steps(set, candle(start+19*minute, c.x))
		got := ""
		if len(out.Triggers) > 0 {
			got = out.Triggers[0].Reason
		}
		if got != c.want {
			t.Errorf("side %s, close %v: %q, want %q", c.side, c.x, got, c.want)
		}
	}
}

func TestCrossNeedsThePreviousCloseOnTheOtherSideOrOnTheLevel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		op             alert.Op
		previous, live float64
		want           bool
	}{
		{alert.OpCrossesUp, 99, 101, true}, {alert.OpCrossesUp, 100, 101, true}, {alert.OpCrossesUp, 101, 102, false},
		{alert.OpCrossesUp, 99, 100, false}, {alert.OpCrossesUp, 101, 99, false},
		{alert.OpCrossesDown, 101, 99, true}, {alert.OpCrossesDown, 100, 99, true}, {alert.OpCrossesDown, 99, 98, false},
		{alert.OpCrossesDown, 101, 100, false}, {alert.OpCrossesDown, 99, 101, false},
		{alert.OpCrosses, 99, 101, true}, {alert.OpCrosses, 101, 99, true}, {alert.OpCrosses, 100, 101, true},
		{alert.OpCrosses, 100, 99, true}, {alert.OpCrosses, 100, 100, false}, {alert.OpCrosses, 101, 102, false},
		{alert.OpAbove, 101, 102, true}, {alert.OpAbove, 99, 100, false}, {alert.OpBelow, 98, 99, true}, {alert.OpBelow, 99, 100, false},
	} {
		set := eval.NewSet(series, eval.Options{})
		set.Put(priced("a", alert.Intrabar, c.op, 100))
		set.Warm(closed(start, c.previous))
		out := steps(set, candle(start+minute, c.live))
		if got := len(out.Triggers) == 1; got != c.want {
			t.Errorf("%s 100 from %v to %v: triggered %v, want %v", c.op, c.previous, c.live, got, c.want)
		}
	}
}

func TestCrossHasNoVerdictOnTheFirstCandle(t *testing.T) {
	t.Parallel()
	set := eval.NewSet(series, eval.Options{})
	set.Put(priced("cross", alert.Intrabar, alert.OpCrosses, 100))
	set.Put(priced("above", alert.Intrabar, alert.OpAbove, 100))
	out := steps(set, candle(start, 99), moved(candle(start, 99), 101))
	if len(out.Triggers) != 1 || out.Triggers[0].AlertID != "above" {
		t.Errorf("triggers %+v, want the comparison alone", out.Triggers)
	}
	if v, _ := set.Inspect("cross"); v.State != alert.Warming || v.Have != 0 || v.Need != 1 {
		t.Errorf("the cross is %s with %d of %d candles, want warming with 0 of 1", v.State, v.Have, v.Need)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	// Above the level from the second state on, for three candles of five minutes.
	five := market.Series{Symbol: "BTCUSDT", Timeframe: market.M5}
	start := five.Timeframe.Open(start)
	for _, c := range []struct {
		mode alert.Mode
		want []int64 // minutes since start
	}{
		{alert.Intrabar, []int64{1, 5, 10}},
		{alert.OnClose, []int64{4, 9, 14}},
		{alert.Once, []int64{1}},
		{alert.Minute, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}},
	} {
		set := eval.NewSet(five, eval.Options{})
		a := priced("a", c.mode, alert.OpAbove, 100)
		a.Series = five
		set.Put(a)
		var got []int64
		price := 99.0
		for m := range int64(15) {
			for range 3 { // the same again is no news
				state := candle(start+m/5*5*minute, price)
				state.Event = start + m*minute
				state.Closed = m%5 == 4
				var out eval.Result
				set.Step(start+m*minute, state, &out)
				for range out.Triggers {
					got = append(got, m)
				}
			}
			price = 101
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: triggers in minutes %v, want %v", c.mode, got, c.want)
		}
	}
}

func TestCooldownSuppressesOncePerCandleAndEndsWithinIt(t *testing.T) {
	t.Parallel()
	set := eval.NewSet(series, eval.Options{})
	a := priced("a", alert.Intrabar, alert.OpAbove, 100)
	a.CooldownSec = 90
	set.Put(a)
	at := func(ms int64, c market.Candle) (triggers, suppressed int) {
		var out eval.Result
		set.Step(start+ms, c, &out)
		for _, s := range out.Suppressed {
			if s != (eval.Suppression{AlertID: "a", Type: alert.TypePrice, Reason: eval.InCooldown, Bar: c.Time}) {
				t.Errorf("suppression %+v", s)
			}
		}
		return len(out.Triggers), len(out.Suppressed)
	}
	done := candle(start, 101)
	done.Closed = true
	for i, s := range []struct {
		ms                   int64
		candle               market.Candle
		triggers, suppressed int
	}{
		{0, candle(start, 101), 1, 0},
		{30_000, candle(start, 102), 0, 0}, // it has fired on this candle
		{59_999, done, 0, 0},
		{60_000, candle(start+minute, 101), 0, 1},
		{60_001, candle(start+minute, 101), 0, 0}, // counted once a candle
		{70_000, candle(start+minute, 99), 0, 0},
		{89_999, candle(start+minute, 103), 0, 0},
		{90_000, candle(start+minute, 99.5), 0, 0}, // over, and no match
		{90_001, candle(start+minute, 101), 1, 0},  // now
		{119_000, candle(start+minute, 104), 0, 0},
	} {
		if triggers, suppressed := at(s.ms, s.candle); triggers != s.triggers || suppressed != s.suppressed {
			t.Errorf("step %d: %d triggers and %d suppressed, want %d and %d", i, triggers, suppressed, s.triggers, s.suppressed)
		}
	}
}

func TestCooldownCountsFromTheStoredTrigger(t *testing.T) {
	t.Parallel()
	set := eval.NewSet(series, eval.Options{})
	a := priced("a", alert.Intrabar, alert.OpAbove, 100)
	a.CooldownSec, a.LastTriggeredAt = 60, start-30_000
	set.Put(a)
	out := steps(set, candle(start, 101))
	if len(out.Triggers) != 0 || len(out.Suppressed) != 1 {
		t.Errorf("within the cooldown: %+v, want one suppression", out)
	}
	c := candle(start, 101)
	c.Event = start + 30_000
	if out = steps(set, c); len(out.Triggers) != 1 {
		t.Errorf("after the cooldown: %+v, want a trigger", out)
	}
}

func TestHysteresisArmsAgainOnlyWhenTheCloseHasComeBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		op     alert.Op
		closes []float64
		want   []int
	}{
		{"above", alert.OpAbove, []float64{101, 99.5, 101, 99, 101}, []int{0, 4}},
		{"below", alert.OpBelow, []float64{99, 100.5, 99, 101, 99}, []int{0, 4}},
		{"up", alert.OpCrossesUp, []float64{101, 99.5, 101, 99, 101}, []int{0, 4}},
		{"down", alert.OpCrossesDown, []float64{99, 100.5, 99, 101, 99}, []int{0, 4}},
		{"both ways", alert.OpCrosses, []float64{100.5, 99.5, 100.5, 101, 99.5}, []int{0, 4}},
	} {
		set := eval.NewSet(series, eval.Options{})
		a := priced("a", alert.OnClose, c.op, 100)
		a.Hysteresis = 0.01
		set.Put(a)
		set.Warm(closed(start-minute, 100))
		var got []int
		for i, candle := range closed(start, c.closes...) {
			for range steps(set, candle).Triggers {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: triggers at %v of %v, want %v", c.name, got, c.closes, c.want)
		}
	}
}

func TestHysteresisOfABandIsAFractionOfItsWidth(t *testing.T) {
	t.Parallel()
	a := banded("a", alert.Intrabar, 20, 2)
	a.Hysteresis = 0.25
	set := eval.NewSet(series, eval.Options{})
	set.Put(a)
	history := walk(41, 19, 100)
	set.Warm(history)
	bar := start + 19*minute
	state := candle(bar, history[18].Close)
	step := func(x float64) (int, eval.View) {
		state = moved(state, x)
		n := len(steps(set, state).Triggers)
		v, _ := set.Inspect("a")
		return n, v
	}
	if n, _ := step(history[18].Close * 1.1); n != 1 {
		t.Fatalf("%d triggers beyond the band, want 1", n)
	}
	next := closed(bar, state.Close)[0]
	next.High, next.Low, next.Open, next.Trades = state.High, state.Low, state.Open, state.Trades+1
	steps(set, next)
	state = candle(bar+minute, history[18].Close)
	view, _ := set.Inspect("a")
	if _, v := step(view.Inputs["upper"] * 0.999); v.Reason != "waits for the close to come back" {
		t.Errorf("just under the edge: %s, %q, want waiting", v.State, v.Reason)
	}
	if _, v := step(history[18].Close); v.State != alert.Armed {
		t.Errorf("back in the middle: %s, %q, want armed", v.State, v.Reason)
	}
	if n, _ := step(history[18].Close * 1.5); n != 1 {
		t.Errorf("%d triggers beyond the band again, want 1", n)
	}
}

func TestHysteresisIsRecalledFromHistoryAfterARestart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		params alert.Params
		closes []float64 // the second candle triggered
		armed  bool
	}{
		{"price came back", alert.Price{Op: alert.OpAbove, Level: 100}, []float64{99, 101, 98, 99.9}, true},
		{"price did not", alert.Price{Op: alert.OpAbove, Level: 100}, []float64{99, 101, 99.9, 99.9}, false},
		{"band came back", alert.BBBreak{Period: 2, StdDev: 0.5, Side: alert.Both}, []float64{100, 110, 90, 95}, true},
		{"band did not", alert.BBBreak{Period: 2, StdDev: 0.5, Side: alert.Both}, []float64{100, 110, 120, 130}, false},
		{"lower band came back", alert.BBBreak{Period: 2, StdDev: 0.5, Side: alert.Below}, []float64{100, 90, 95, 96}, true},
		{"lower band did not", alert.BBBreak{Period: 2, StdDev: 0.5, Side: alert.Below}, []float64{100, 90, 80, 70}, false},
	} {
		for _, warmFirst := range []bool{true, false} {
			a := priced("a", alert.Intrabar, alert.OpAbove, 1)
			a.Params, a.Hysteresis, a.LastTriggeredAt = c.params, 0.01, start+minute+30_000
			set := eval.NewSet(series, eval.Options{})
			candles := closed(start, c.closes...)
			if warmFirst {
				set.Warm(candles)
				set.Put(a)
			} else {
				set.Put(a)
				set.Warm(candles)
			}
			if v, _ := set.Inspect("a"); (v.State == alert.Armed) != c.armed {
				t.Errorf("%s (warm first %v): %s, %q, want armed %v", c.name, warmFirst, v.State, v.Reason, c.armed)
			}
		}
	}
}

func TestPutKeepsWhatWasAndARevisionArmsAgain(t *testing.T) {
	t.Parallel()
	set := eval.NewSet(series, eval.Options{})
	a := priced("a", alert.Intrabar, alert.OpAbove, 100)
	set.Put(a)
	c := candle(start, 101)
	if out := steps(set, c); len(out.Triggers) != 1 {
		t.Fatalf("triggers %+v", out.Triggers)
	}
	set.Put(a) // as the store read it before the trigger was written
	if v, _ := set.Inspect("a"); v.Alert.LastTriggeredAt != start || v.Alert.TriggerCount != 1 {
		t.Errorf("last triggered at %d, %d times, want %d, once", v.Alert.LastTriggeredAt, v.Alert.TriggerCount, start)
	}
	if out := steps(set, c); len(out.Triggers) != 0 {
		t.Errorf("the same revision fired again on its candle: %+v", out.Triggers)
	}
	a.Rev = 2
	set.Put(a)
	if out := steps(set, c); len(out.Triggers) != 1 || out.Triggers[0].ID != a.EventID(start, 0) {
		t.Errorf("a new revision: %+v, want a trigger with an id of its own", out.Triggers)
	}
	a.Rev, a.CooldownSec = 3, 60
	set.Put(a)
	if out := steps(set, c); len(out.Triggers) != 0 || len(out.Suppressed) != 1 {
		t.Errorf("a revision within the cooldown: %+v, want a suppression", out)
	}
	set.Remove("a")
	set.Remove("unknown")
	if out := steps(set, c); len(out.Triggers)+len(out.Suppressed)+out.Evaluated != 0 || set.Len() != 0 {
		t.Errorf("after Remove: %+v", out)
	}
}

func TestAlertsThatCannotFireSayWhy(t *testing.T) {
	t.Parallel()
	other := market.Series{Symbol: "ETHUSDT", Timeframe: market.M1}
	for _, c := range []struct {
		name   string
		change func(*alert.Alert)
		state  alert.State
		reason string
	}{
		{"paused", func(a *alert.Alert) { a.Active = false }, alert.Paused, "paused by its owner"},
		{"done", func(a *alert.Alert) { a.Active, a.Mode, a.TriggerCount = false, alert.Once, 1 }, alert.Done, "fired once"},
		{"expired", func(a *alert.Alert) { a.ExpiresAt = start }, alert.Expired, "its time is over"},
		{"another series", func(a *alert.Alert) { a.Series = other }, alert.Unknown, "it is about ETHUSDT/1m, not BTCUSDT/1m"},
		{"no parameters", func(a *alert.Alert) { a.Params = nil }, alert.Unknown, "its parameters could not be read"},
		{"error kept", func(a *alert.Alert) { a.Params, a.LastError = nil, "garbage" }, alert.Unknown, "garbage"},
		{"no level", func(a *alert.Alert) { a.Params = alert.Price{Op: alert.OpAbove, Level: math.NaN()} }, alert.Unknown, `a price can't be ">" NaN`},
		{"no bands", func(a *alert.Alert) { a.Params = alert.BBBreak{} }, alert.Unknown, `there are no bands of 0 candles at 0 deviations, side ""`},
		{"warming", func(a *alert.Alert) { a.Params = alert.BBBreak{Period: 20, StdDev: 2, Side: alert.Both} }, alert.Warming, "1 of 19 closed candles"},
	} {
		set := eval.NewSet(series, eval.Options{})
		a := priced("a", alert.Intrabar, alert.OpAbove, 100)
		c.change(&a)
		set.Put(a)
		out := steps(set, closed(start-minute, 99)[0], candle(start, 101))
		if len(out.Triggers)+len(out.Suppressed) != 0 {
			t.Errorf("%s: %+v, want nothing", c.name, out)
		}
		if v, ok := set.Inspect("a"); !ok || v.State != c.state || v.Reason != c.reason {
			t.Errorf("%s: %s, %q, want %s, %q", c.name, v.State, v.Reason, c.state, c.reason)
		}
	}
	if _, ok := eval.NewSet(series, eval.Options{}).Inspect("nobody"); ok {
		t.Error("Inspect found an alert that was never put")
	}
}

func TestBadAndOldCandlesAreCountedAndChangeNothing(t *testing.T) {
	t.Parallel()
	set := eval.NewSet(series, eval.Options{})
	set.Put(priced("a", alert.Intrabar, alert.OpAbove, 100))
	set.Put(banded("b", alert.Intrabar, 3, 1))
	history := closed(start, 90, 91, 92)
	set.Warm(history)
	live := candle(start+3*minute, 92)
	live.Event += 10
	steps(set, live)
	before, _ := set.Inspect("b")
	for name, c := range map[string]market.Candle{
		"NaN":            {Time: start + 3*minute, Open: 1, High: 1, Low: 1, Close: math.NaN()},
		"high below low": {Time: start + 3*minute, Open: 1, High: 1, Low: 2, Close: 1},
		"off the grid":   candle(start+3*minute+1, 101),
		"negative":       candle(start+3*minute, -101),
	} {
		if out := steps(set, c); out.Errors != 1 || len(out.Triggers) != 0 || out.Evaluated != 0 {
			t.Errorf("%s: %+v, want one error and nothing else", name, out)
		}
	}
	early := candle(start+3*minute, 101)
	for name, c := range map[string]market.Candle{
		"closed long ago":          closed(start-5*minute, 101)[0],
		"open and closed since":    candle(start+2*minute, 101),
		"known":                    history[2],
		"an older state":           early,
		"open, before the history": candle(start-minute, 101),
	} {
		if out := steps(set, c); out.Stale != 1 || len(out.Triggers) != 0 || out.Errors != 0 {
			t.Errorf("%s: %+v, want one stale and nothing else", name, out)
		}
	}
	after, _ := set.Inspect("b")
	if diff := gocmp.Diff(before, after, gocmp.Comparer(same)); diff != "" {
		t.Errorf("the set changed (-before +after)\n%s", diff)
	}
}

// same compares figures, NaN being equal to itself.
func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

func TestHoleBeforeACandleLeavesNoVerdictButForComparisons(t *testing.T) {
	t.Parallel()
	set := eval.NewSet(series, eval.Options{})
	set.Put(priced("above", alert.Intrabar, alert.OpAbove, 100))
	set.Put(priced("cross", alert.Intrabar, alert.OpCrosses, 100))
	set.Put(banded("band", alert.Intrabar, 3, 0.5))
	set.Warm(closed(start, 90, 91, 92))
	after := candle(start+4*minute, 150)
	out := steps(set, after)
	if !out.Gap || len(out.Triggers) != 1 || out.Triggers[0].AlertID != "above" {
		t.Errorf("beyond the hole: %+v, want a gap and the comparison", out)
	}
	for _, id := range []string{"cross", "band"} {
		if v, _ := set.Inspect(id); v.State != alert.Warming || v.Reason != "candles are missing before this one" {
			t.Errorf("%s: %s, %q", id, v.State, v.Reason)
		}
	}
	// The missing candle arrives, and the live one has its verdict.
	out = steps(set, closed(start+3*minute, 93)[0])
	if out.Gap {
		t.Errorf("the missing candle: %+v, want no gap", out)
	}
	if v, _ := set.Inspect("band"); v.State != alert.Armed || v.Reason != "close>upper" || v.Distance != 0 {
		t.Errorf("the band on the live candle once it is whole: %s, %q at %v, want a match", v.State, v.Reason, v.Distance)
	}
	after = moved(after, 151)
	out = steps(set, after)
	got := eventIDs(out)
	if out.Gap || len(got) != 2 {
		t.Errorf("after the hole was filled: %+v, want the cross and the band", out)
	}
}

func TestHistoryGoesOnBehindAHoleThatNobodyFills(t *testing.T) {
	t.Parallel()
	set := eval.NewSet(series, eval.Options{})
	set.Put(priced("cross", alert.OnClose, alert.OpCrosses, 100))
	set.Warm(closed(start, 90))
	out := steps(set, closed(start+3*minute, 110)...)
	if !out.Gap || len(out.Triggers) != 0 {
		t.Errorf("beyond the hole: %+v, want a gap and no cross", out)
	}
	if out = steps(set, closed(start+4*minute, 95)...); out.Gap || len(out.Triggers) != 1 {
		t.Errorf("one later: %+v, want a cross", out)
	}
}

func TestLateAndCorrectedCandlesEndInTheHistoryOfTheTruth(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 9))
		truth := walk(seed, 60, 100)
		want, got := eval.NewSet(series, eval.Options{}), eval.NewSet(series, eval.Options{})
		want.Put(banded("a", alert.OnClose, 20, 2))
		got.Put(banded("a", alert.OnClose, 20, 2))
		want.Warm(truth)
		late := slices.Clone(truth)
		for i := 1; i < len(late)-1; i++ {
			if r.IntN(4) == 0 { // the next comes first
				late[i], late[i+1] = late[i+1], late[i]
			}
		}
		for _, c := range late {
			if r.IntN(4) == 0 { // wrong at first
				wrong := c
				wrong.High *= 2
				wrong.Close = wrong.High
				steps(got, wrong)
			}
			steps(got, c)
		}
		steps(got, truth...)
		next := candle(start+60*minute, 100)
		steps(want, next)
		steps(got, next)
		v, _ := want.Inspect("a")
		w, _ := got.Inspect("a")
		if math.Abs(v.Above/w.Above-1) > 1e-12 || math.Abs(v.Below/w.Below-1) > 1e-12 || w.Have != 60 {
			t.Errorf("seed %d: edges %v %v after %d candles, want %v %v after 60", seed, w.Below, w.Above, w.Have, v.Below, v.Above)
		}
	}
}

func TestDuplicatesAndConflationChangeNothingOnClose(t *testing.T) {
	t.Parallel()
	candles := walk(51, 600, 100)
	run := func(feed func(market.Candle) []market.Candle) []alert.Event {
		set := eval.NewSet(series, eval.Options{})
		for i := range 20 {
			set.Put(banded(fmt.Sprint("b", i), alert.OnClose, 5+i, 1+float64(i%3)/2))
			set.Put(priced(fmt.Sprint("p", i), alert.OnClose, alert.OpCrosses, 95+float64(i)/2))
		}
		var events []alert.Event
		for _, c := range candles {
			for _, s := range feed(c) {
				var out eval.Result
				set.Step(c.Time+minute, s, &out)
				events = append(events, out.Triggers...)
			}
		}
		return events
	}
	want := run(func(c market.Candle) []market.Candle { return []market.Candle{c} })
	r := rand.New(rand.NewPCG(52, 1))
	got := run(func(c market.Candle) []market.Candle {
		var out []market.Candle
		for _, s := range append(states(c), c) {
			for range r.IntN(4) { // none, once or again
				out = append(out, s)
			}
		}
		return append(out, c, states(c)[1])
	})
	if diff := gocmp.Diff(want, got); diff != "" || len(want) < 100 {
		t.Errorf("%d events (-want +got)\n%s", len(want), diff)
	}
}

func TestFinerPathOnlyAddsToWhatACoarseOneFinds(t *testing.T) {
	t.Parallel()
	// A price level that a candle's shadow passes is found on its path, however coarse.
	for seed := range uint64(20) {
		candles := walk(seed, 200, 100)
		var sets [2]*eval.Set
		for i := range sets {
			sets[i] = eval.NewSet(series, eval.Options{})
			for l := range 100 {
				sets[i].Put(priced(fmt.Sprint(l), alert.Intrabar, []alert.Op{alert.OpAbove, alert.OpBelow, alert.OpCrosses}[l%3], 95+float64(l)/10))
			}
		}
		for _, c := range candles {
			coarse := steps(sets[0], states(c)...)
			var fine []market.Candle
			path := states(c)
			for i, s := range path {
				fine = append(fine, s)
				if i+1 < len(path) {
					half := moved(s, (s.Close+path[i+1].Close)/2)
					half.Event = s.Event
					fine = append(fine, half)
				}
			}
			if diff := gocmp.Diff(eventIDs(coarse), eventIDs(steps(sets[1], fine...))); diff != "" {
				t.Fatalf("seed %d: events (-coarse +fine)\n%s", seed, diff)
			}
		}
	}
}

package market_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/market"
)

const start = int64(1_700_000_040_000)

// history returns the closed candles of n minutes and every state that they went
// through, in order. Volumes are whole, so that sums are exact in any order.
func history(r *rand.Rand, n int) (closed, states []market.Candle) {
	price := 100.0
	for i := range n {
		b := market.Builder{Timeframe: market.M1}
		open := start + int64(i)*60_000
		var c market.Candle
		for t := range 1 + r.IntN(5) {
			price += float64(r.IntN(9) - 4)
			c = b.Add(open+int64(t)*9000, price, float64(1+r.IntN(50)))
			states = append(states, c)
		}
		c.Closed = true
		c.Event = open + 59_999
		closed, states = append(closed, c), append(states, c)
	}
	return closed, states
}

func TestAnyOrderAndAnyDuplicatesEndInTheSameClosedCandles(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		want, states := history(r, 12)
		for range r.IntN(40) {
			states = append(states, states[r.IntN(len(states))])
		}
		r.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
		w := market.Window{Timeframe: market.M1}
		for _, c := range states {
			w.Apply(c)
		}
		if diff := cmp.Diff(want, w.Candles()); diff != "" {
			t.Fatalf("seed %d: candles (-want +got)\n%s", seed, diff)
		}
		if holes := w.Holes(); len(holes) != 0 {
			t.Fatalf("seed %d: holes %v", seed, holes)
		}
		for _, c := range states {
			if got := w.Apply(c); got != market.Duplicate && got != market.Stale {
				t.Fatalf("seed %d: applying a known state again = %v", seed, got)
			}
		}
	}
}

func TestApplySaysWhatItDid(t *testing.T) {
	t.Parallel()
	at := func(minute int64, trades int64, event int64, closed bool) market.Candle {
		return market.Candle{Time: start + minute*60_000, Open: 1, High: 1, Low: 1, Close: 1, Trades: trades, Event: event, Closed: closed}
	}
	w := market.Window{Timeframe: market.M1}
	if _, ok := w.Last(); ok {
		t.Error("an empty window has a last candle")
	}
	for i, c := range []struct {
		candle market.Candle
		want   market.Outcome
	}{
		{at(5, 1, 10, false), market.Opened},
		{at(5, 1, 10, false), market.Duplicate},
		{at(5, 1, 9, false), market.Stale},
		{at(5, 1, 11, false), market.Updated},
		{at(5, 3, 5, false), market.Updated}, // more trades win over a later event
		{at(5, 2, 99, false), market.Stale},
		{at(5, 3, 60, true), market.Closed},
		{at(5, 4, 99, false), market.Stale}, // closed stays closed
		{at(5, 3, 61, true), market.Stale},  // the same by REST
		{at(5, 4, 62, true), market.Revised},
		{at(6, 1, 70, false), market.Opened},
		{at(7, 1, 80, false), market.Gap}, // 6 was never seen closed
		{at(6, 2, 81, true), market.Closed},
		{at(7, 1, 82, true), market.Closed},
		{at(8, 1, 83, true), market.Closed},
		{at(11, 1, 90, true), market.Gap},
		{at(9, 1, 89, false), market.Stale}, // an open candle that is not the newest
		{at(9, 1, 89, true), market.Closed},
		{at(3, 1, 88, true), market.Closed},
		{at(2, 1, 87, true), market.Closed},
		{at(12, 2, 500, false), market.Opened},
		{at(12, 2, 400, true), market.Closed}, // closed wins over a later event
	} {
		if got := w.Apply(c.candle); got != c.want {
			t.Errorf("step %d: Apply = %d, want %d", i, got, c.want)
		}
	}
	if diff := cmp.Diff([]int64{start + 4*60_000, start + 10*60_000}, w.Holes()); diff != "" {
		t.Errorf("holes (-want +got)\n%s", diff)
	}
	if last, ok := w.Last(); !ok || last.Time != start+12*60_000 {
		t.Errorf("last candle %+v", last)
	}
	w.Apply(at(13, 1, 91, false))
	w.Apply(at(14, 1, 92, false))
	if got := w.Holes(); !slices.Contains(got, start+13*60_000) {
		t.Errorf("holes %v lack the candle that was never seen closed", got)
	}
}

func TestWindowKeepsTheNewestCandles(t *testing.T) {
	t.Parallel()
	closed, _ := history(rand.New(rand.NewPCG(1, 1)), 500)
	w := market.Window{Timeframe: market.M1, Limit: 40}
	for i, c := range closed {
		w.Apply(c)
		got := w.Candles()
		if len(got) > 50 || len(got) < min(i+1, 40) {
			t.Fatalf("after %d candles the window has %d, want 40 to 50", i+1, len(got))
		}
		if diff := cmp.Diff(closed[i+1-len(got):i+1], got); diff != "" {
			t.Fatalf("after %d candles (-want +got)\n%s", i+1, diff)
		}
	}
	if got := w.Apply(closed[0]); got != market.Stale {
		t.Errorf("a candle from before the window: %d, want stale", got)
	}
}

func TestHolesAreBounded(t *testing.T) {
	t.Parallel()
	w := market.Window{Timeframe: market.M1}
	w.Apply(market.Candle{Time: start, Open: 1, High: 1, Low: 1, Close: 1, Closed: true})
	w.Apply(market.Candle{Time: start + 1_000_000*60_000, Open: 1, High: 1, Low: 1, Close: 1, Closed: true})
	if got := len(w.Holes()); got != 1000 {
		t.Errorf("%d holes, want 1000", got)
	}
}

func TestBuilderMakesTheSameCandlesOfTradesAndOfShorterCandles(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 1))
	for _, tf := range []market.Timeframe{market.M5, market.M15, market.H1} {
		fromTrades, fromMinutes := market.Builder{Timeframe: tf}, market.Builder{Timeframe: tf}
		minutes := market.Builder{Timeframe: market.M1}
		if _, ok := fromTrades.Current(); ok {
			t.Error("a builder without pieces has a candle")
		}
		var want, got []market.Candle
		price := 1e-5
		for ms := start; ms < start+300*60_000; ms += int64(1 + r.IntN(15_000)) {
			price *= 1 + (r.Float64()-0.5)/100
			quantity := float64(1 + r.IntN(1000))
			if last, ok := minutes.Current(); ok && market.M1.Open(ms) != last.Time {
				c := fromMinutes.Merge(last)
				if n := len(got); n == 0 || got[n-1].Time != c.Time {
					got = append(got, c)
				}
				got[len(got)-1] = c
			}
			minutes.Add(ms, price, quantity)
			c := fromTrades.Add(ms, price, quantity)
			if n := len(want); n == 0 || want[n-1].Time != c.Time {
				want = append(want, c)
			}
			want[len(want)-1] = c
			if current, ok := fromTrades.Current(); !ok || current != c {
				t.Fatalf("Current() = %+v, %v, want what Add returned", current, ok)
			}
		}
		// The last minute was not merged, so the last candle may differ. Candles that
		// began in the middle know nothing of what came before; both began together.
		n := min(len(want), len(got)) - 1
		if diff := cmp.Diff(want[:n], got[:n]); diff != "" || n < 4 {
			t.Errorf("%s: %d candles (-trades +minutes)\n%s", tf, n, diff)
		}
		for _, c := range want[1:n] {
			if err := c.Validate(tf); err != nil {
				t.Errorf("%s: %v", tf, err)
			}
		}
	}
}

func BenchmarkApply(b *testing.B) {
	_, states := history(rand.New(rand.NewPCG(5, 1)), 2000)
	w := market.Window{Timeframe: market.M1}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(states) == 0 {
			w = market.Window{Timeframe: market.M1}
		}
		w.Apply(states[i%len(states)])
	}
}

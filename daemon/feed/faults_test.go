package feed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/feed"
)

// event is something that the exchange does at a moment.
type event struct {
	at time.Time
	do func()
}

// schedule makes the frames of length and spoils them by chance: drops,
// repetitions, delays that change their order, closes that never come, cuts with
// and without a connection state, REST that lags or fails. The last minute and a
// half is honest, so that whatever can be repaired is.
func schedule(x *exchange, rng *rand.Rand, length time.Duration) []event {
	var events []event
	add := func(at time.Time, do func()) { events = append(events, event{at, do}) }
	start := time.Now()
	honest := start.Add(length - 90*time.Second)
	chance := func(percent int) bool { return rng.IntN(100) < percent }
	drop, double, delay, noClose := rng.IntN(30), rng.IntN(30), rng.IntN(30), rng.IntN(60)

	type span struct{ from, to time.Time }
	var cuts []span
	for range rng.IntN(3) {
		from := start.Add(upTo(rng, length))
		cut := span{from, from.Add(upTo(rng, 3*time.Minute))}
		if cut.to.After(honest) {
			continue
		}
		cuts = append(cuts, cut)
		if chance(60) {
			add(cut.from, func() { x.connect(false) })
			add(cut.to, func() { x.connect(true) })
		}
	}
	send := func(at time.Time, c market.Candle) {
		for _, cut := range cuts {
			if at.After(cut.from) && at.Before(cut.to) {
				return
			}
		}
		add(at, func() { x.send(c) })
	}
	for at := start.Add(upTo(rng, 2*time.Second)); at.Before(start.Add(length)); at = at.Add(2 * time.Second) {
		now := at.Add(x.skew).UnixMilli()
		open := market.M1.Open(now)
		states := []market.Candle{x.candle(open, now)}
		if now-open < 2000 {
			states = []market.Candle{x.candle(open-60_000, now), states[0]}
		}
		for _, c := range states {
			spoil := at.Before(honest)
			switch {
			case spoil && c.Closed && chance(noClose), spoil && chance(drop):
				continue
			case spoil && chance(delay):
				send(at.Add(upTo(rng, 4*time.Second)), c)
			default:
				send(at, c)
			}
			if spoil && chance(double) {
				send(at.Add(upTo(rng, 5*time.Second)), c)
			}
		}
	}
	for at := start; at.Before(honest); at = at.Add(5*time.Second + upTo(rng, 20*time.Second)) {
		var lag time.Duration
		var failure error
		if chance(40) {
			lag = upTo(rng, 8*time.Second)
		}
		if chance(20) {
			failure = errDown
		}
		way := upTo(rng, 4*time.Second)
		add(at, func() { x.set(func() { x.lag, x.way, x.failure = lag, way, failure }) })
	}
	add(honest, func() { x.set(func() { x.lag, x.way, x.failure = 0, 0, nil }) })
	sort.SliceStable(events, func(i, j int) bool { return events[i].at.Before(events[j].at) })
	return events
}

// upTo returns a duration in [0, d).
func upTo(rng *rand.Rand, d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }

func TestWindowEqualsTheTruthWhateverTheExchangeDoes(t *testing.T) {
	schedules := 400
	if testing.Short() {
		schedules = 40
	}
	var total feed.Stats
	for seed := range schedules {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stats := runSchedule(t, uint64(seed))
				total.GapsFilled += stats.GapsFilled
				total.Revised += stats.Revised
				total.Duplicates += stats.Duplicates
				total.OutOfOrder += stats.OutOfOrder
				total.Silences += stats.Silences
			})
		})
	}
	// Schedules that provoke nothing would prove nothing.
	if total.GapsFilled == 0 || total.Revised == 0 || total.Duplicates == 0 || total.OutOfOrder == 0 || total.Silences == 0 {
		t.Errorf("over all schedules %+v, want every repair to have been needed", total)
	}
	t.Logf("over %d schedules: %+v", schedules, total)
}

func runSchedule(t *testing.T, seed uint64) feed.Stats {
	const length = 12 * time.Minute
	rng := rand.New(rand.NewPCG(seed, 7))
	wait(t, upTo(rng, time.Minute)) // begin anywhere in a candle
	x := newExchange(rng, length+time.Minute)
	x.skew = upTo(rng, 6*time.Second) - 3*time.Second
	begin := market.M1.Open(time.Now().Add(-time.Hour).UnixMilli())

	f := &feed.Feed{Exchange: x}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	r := read(ctx, f, btc1m)
	synctest.Wait()
	for _, e := range schedule(x, rng, length) {
		if d := time.Until(e.at); d > 0 {
			wait(t, d)
		}
		e.do()
	}
	synctest.Wait()

	now := x.Now().UnixMilli()
	window := r.sub.Snapshot()
	n := 0
	for open := begin; open+60_000 <= now; open += 60_000 {
		want := x.candle(open, now)
		if want.Time < market.M1.Open(x.trades[0].ms) {
			continue
		}
		if n >= len(window) {
			t.Fatalf("the window ends at candle %d, want also %+v", n, want)
		}
		if !same(window[n], want) {
			t.Errorf("candle %d = %+v, want %+v", n, window[n], want)
		}
		n++
	}
	checkDelivered(t, x, r.all(), now)
	cancel()
	<-done
	<-r.done
	return f.Stats()
}

// checkDelivered replays the updates as a reader would: closed candles in order,
// none missing but behind a Gap, each equal to the truth after its revisions.
func checkDelivered(t *testing.T, x *exchange, updates []feed.Update, now int64) {
	t.Helper()
	closed := map[int64]market.Candle{}
	next := int64(0) // 0: whichever comes
	for _, u := range updates {
		switch {
		case u.Kind == feed.Gap:
			next = 0
		case u.Kind == feed.Revised:
			if _, ok := closed[u.Candle.Time]; ok {
				closed[u.Candle.Time] = u.Candle
			}
		case u.Kind != feed.Live && u.Kind != feed.Filled:
		case next != 0 && u.Candle.Time != next:
			t.Fatalf("%v of candle %d delivered, want %d first", u.Kind, u.Candle.Time, next)
		case u.Candle.Closed:
			if _, ok := closed[u.Candle.Time]; ok {
				t.Fatalf("candle %d delivered closed twice", u.Candle.Time)
			}
			closed[u.Candle.Time] = u.Candle
			next = u.Candle.Time + 60_000
		default:
			next = u.Candle.Time
		}
	}
	for open, c := range closed {
		if want := x.candle(open, now); !same(c, want) {
			t.Errorf("delivered %+v, want %+v", c, want)
		}
	}
}

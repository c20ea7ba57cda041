package feed_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/feed"
)

func TestHundredReadersOfCandlesMakeOneRequest(t *testing.T) {
	bubble(t, time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				limit := 1 + i%50
				candles, status, err := f.Candles(t.Context(), btc1m, limit)
				if err != nil || status != feed.Miss || len(candles) != limit {
					t.Errorf("Candles(%d) = %d candles, %v, %v, want that many, MISS", limit, len(candles), status, err)
				}
			})
		}
		wg.Wait()
		if got := x.requests(); got != 1 {
			t.Errorf("%d requests, want 1", got)
		}
		// The burst goes on for a moment.
		for range 10 {
			if _, status, err := f.Candles(t.Context(), btc1m, 200); status != feed.Hit || err != nil {
				t.Errorf("right after: %v, %v, want HIT", status, err)
			}
		}
		wait(t, 3*time.Second)
		if _, status, _ := f.Candles(t.Context(), btc1m, 20); status != feed.Miss {
			t.Errorf("3 s later: %v, want MISS", status)
		}
		if got := x.requests(); got != 2 {
			t.Errorf("%d requests, want 2", got)
		}
	})
}

func TestCandlesSurviveTheExchange(t *testing.T) {
	bubble(t, time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		want, _, err := f.Candles(t.Context(), btc1m, 30)
		if err != nil {
			t.Fatal(err)
		}
		x.set(func() { x.failure = errDown })
		wait(t, time.Hour)
		got, status, err := f.Candles(t.Context(), btc1m, 30)
		if err != nil || status != feed.Old || status.String() != "STALE" {
			t.Errorf("exchange down: %v, %v, want STALE", status, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("candles (-want +got):\n%s", diff)
		}
		other := market.Series{Symbol: "ETHUSDT", Timeframe: market.H1}
		if _, status, err := f.Candles(t.Context(), other, 30); !errors.Is(err, errDown) || status != feed.NoCandles {
			t.Errorf("never read before: %v, %v, want the exchange's error", status, err)
		}
		// A failure is remembered for a moment: a burst does not become a storm.
		before := x.requests()
		for range 20 {
			_, _, _ = f.Candles(t.Context(), other, 30)
		}
		if got := x.requests(); got != before {
			t.Errorf("%d requests within a moment of a failure, want none", got-before)
		}
	})
}

func TestUnknownSymbolIsNotAskedForAgainAtOnce(t *testing.T) {
	bubble(t, time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		x.set(func() { x.failure = unlisted{} })
		for range 5 {
			if _, _, err := f.Candles(t.Context(), btc1m, 5); !errors.Is(err, market.ErrSymbol) {
				t.Errorf("error = %v, want market.ErrSymbol", err)
			}
			wait(t, 10*time.Second)
		}
		if got := x.requests(); got != 1 {
			t.Errorf("%d requests, want 1", got)
		}
	})
}

func TestCandlesOfASubscribedSeriesComeFromItsWindow(t *testing.T) {
	bubble(t, 10*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		s := f.Subscribe(btc1m)
		wait(t, time.Second)
		play(t, x, 20*time.Second)
		for _, limit := range []int{1, 61, feed.Depth} { // the window has the whole history
			candles, status, err := f.Candles(t.Context(), btc1m, limit)
			if err != nil || status != feed.Hit || len(candles) != min(limit, 61) {
				t.Errorf("Candles(%d) = %d, %v, %v, want HIT", limit, len(candles), status, err)
			}
			if last := candles[len(candles)-1]; last.Closed {
				t.Errorf("last candle %+v, want the open one", last)
			}
		}
		if got := x.requests(); got != 1 {
			t.Errorf("%d requests, want 1", got)
		}
		// Stale: the window is no longer a hit, but it is the last good data.
		x.set(func() { x.failure = errDown })
		wait(t, 15*time.Second)
		s.Close()
		wait(t, time.Minute)
		if _, status, err := f.Candles(t.Context(), btc1m, 10); status != feed.Old || err != nil {
			t.Errorf("after the upstream: %v, %v, want STALE", status, err)
		}
	})
}

func TestCandlesLimits(t *testing.T) {
	bubble(t, time.Minute, func(t *testing.T, _ *exchange, f *feed.Feed) {
		for _, limit := range []int{-1, 0, 1001} {
			if _, _, err := f.Candles(t.Context(), btc1m, limit); err == nil {
				t.Errorf("Candles(%d) succeeded", limit)
			}
		}
	})
}

func TestCandlesWithoutRunningFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed.Feed{Exchange: &exchange{}}
		if _, _, err := f.Candles(t.Context(), btc1m, 5); !errors.Is(err, feed.ErrStopped) {
			t.Errorf("error = %v, want ErrStopped", err)
		}
	})
}

func TestCacheForgetsTheSeriesUsedLongestAgo(t *testing.T) {
	bubble(t, time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		ask := func(i int) feed.CacheStatus {
			symbol := market.Symbol("COIN" + string(rune('A'+i/26)) + string(rune('A'+i%26)))
			_, status, err := f.Candles(t.Context(), market.Series{Symbol: symbol, Timeframe: market.M1}, 1)
			if err != nil && !errors.Is(err, errDown) {
				t.Fatal(err)
			}
			return status
		}
		for i := range 300 {
			ask(i)
		}
		wait(t, time.Minute)
		x.set(func() { x.failure = errDown })
		if got := ask(299); got != feed.Old {
			t.Errorf("the newest series: %v, want STALE", got)
		}
		if got := ask(0); got != feed.NoCandles {
			t.Errorf("the oldest series: %v, want none", got)
		}
	})
}

package feed_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/feed"
)

func TestSubscriberGetsTheWindowThenTheStream(t *testing.T) {
	bubble(t, 10*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		r := read(t.Context(), f, btc1m)
		wait(t, time.Second)
		if got := len(r.sub.Snapshot()); got != 61 {
			t.Errorf("snapshot of %d candles, want the hour before and the open one", got)
		}
		play(t, x, 3*time.Minute)
		want := []feed.Kind{feed.Fresh, feed.Live, feed.Live, feed.Live}
		if diff := cmp.Diff(want, r.kinds()); diff != "" {
			t.Errorf("updates (-want +got):\n%s", diff)
		}
		if got := x.requests(); got != 1 {
			t.Errorf("%d requests, want the one that filled the window", got)
		}
		for _, u := range r.all() {
			if u.Kind == feed.Live && u.Received.IsZero() {
				t.Fatalf("update %+v says not when it was received", u)
			}
		}
	})
}

func TestOneUpstreamHoweverManyReadAndNoneAfterTheyLeft(t *testing.T) {
	bubble(t, 10*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		var subs []*feed.Subscription
		for range 50 {
			subs = append(subs, f.Subscribe(btc1m))
		}
		wait(t, time.Second)
		if open, opened := x.streams(); open != 1 || opened != 1 {
			t.Errorf("50 readers: %d streams open, %d opened, want 1 and 1", open, opened)
		}
		for _, s := range subs {
			s.Close()
			s.Close()
		}
		play(t, x, 29*time.Second)
		back := f.Subscribe(btc1m)
		play(t, x, 20*time.Second)
		if open, opened := x.streams(); open != 1 || opened != 1 {
			t.Errorf("a reader came back in time: %d streams open, %d opened, want 1 and 1", open, opened)
		}
		back.Close()
		play(t, x, 29*time.Second)
		if open, _ := x.streams(); open != 1 {
			t.Errorf("29 s after the last reader: %d streams, want 1", open)
		}
		wait(t, 2*time.Second)
		if open, _ := x.streams(); open != 0 {
			t.Errorf("31 s after the last reader: %d streams, want 0", open)
		}
		if n := len(f.State().Series); n != 0 {
			t.Errorf("state still has %d series", n)
		}
		if _, err := back.Next(t.Context()); !errors.Is(err, feed.ErrClosed) {
			t.Errorf("Next after Close = %v, want ErrClosed", err)
		}
	})
}

func TestSlowReaderGetsEveryClosedCandleInOrder(t *testing.T) {
	bubble(t, 12*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		s := f.Subscribe(btc1m)
		defer s.Close()
		wait(t, time.Second)
		play(t, x, 10*time.Minute)
		updates, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(updates) != 12 { // fresh, ten closed, the open one
			t.Errorf("%d updates after ten minutes of not reading, want 12", len(updates))
		}
		closed := 0
		for i, u := range updates {
			if u.Candle.Closed {
				closed++
				if prev := updates[i-1].Candle; prev.Closed && u.Candle.Time != prev.Time+60_000 {
					t.Errorf("candle %d follows %d", u.Candle.Time, prev.Time)
				}
			}
		}
		if closed != 10 {
			t.Errorf("%d closed candles, want 10", closed)
		}
		if last := updates[len(updates)-1]; last.Candle.Closed || last.Kind != feed.Live {
			t.Errorf("last update = %+v, want the newest state of the open candle", last)
		}
	})
}

func TestReaderThatIsAThousandBehindGetsAGap(t *testing.T) {
	bubble(t, 2*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		s := f.Subscribe(btc1m)
		defer s.Close()
		wait(t, time.Second)
		open := market.M1.Open(x.Now().UnixMilli())
		for i := range int64(1100) {
			x.send(market.Candle{Time: open + i*60_000, Open: 1, High: 1, Low: 1, Close: 1, Trades: 9999, Closed: true})
		}
		updates, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if updates[0].Kind != feed.Gap {
			t.Errorf("first update is %v, want a gap", updates[0].Kind)
		}
		snapshot := s.Snapshot()
		if last, want := snapshot[len(snapshot)-1].Time, open+1099*60_000; last != want {
			t.Errorf("the snapshot ends at %d, want %d", last, want)
		}
		if len(snapshot) != feed.Depth {
			t.Errorf("snapshot of %d candles, want %d", len(snapshot), feed.Depth)
		}
		if got := f.Stats().Overruns; got != 1 {
			t.Errorf("%d overruns counted, want 1", got)
		}
	})
}

// untilNext streams until shortly before the next minute of the exchange, then
// lets time pass in silence until d after it.
func untilNext(t *testing.T, x *exchange, d time.Duration) (open int64) {
	t.Helper()
	now := x.Now()
	next := now.Truncate(time.Minute).Add(time.Minute)
	play(t, x, next.Add(-time.Second).Sub(now))
	wait(t, next.Add(d).Sub(x.Now()))
	return next.UnixMilli()
}

func TestCloseThatNeverCameIsFilledOnce(t *testing.T) {
	bubble(t, 10*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		r := read(t.Context(), f, btc1m)
		wait(t, time.Second)
		x.live()
		open := untilNext(t, x, time.Second)
		x.live() // the new candle, without a word on the one before
		wait(t, 10*time.Second)
		want := []feed.Kind{feed.Fresh, feed.Filled}
		if diff := cmp.Diff(want, r.kinds()); diff != "" {
			t.Errorf("updates (-want +got):\n%s", diff)
		}
		all := r.all()
		if last := all[len(all)-1]; last.Candle.Time != open {
			t.Errorf("last update = %+v, want the candle of %d that was held", last, open)
		}
		x.send(x.candle(open-60_000, open)) // the close comes after all
		wait(t, time.Second)
		if n := len(r.kinds()); n != 2 {
			t.Errorf("a late close was delivered: %v", r.kinds())
		}
		s := f.Stats()
		if s.Gaps != 1 || s.GapsFilled != 1 || s.CandlesFilled != 1 {
			t.Errorf("counted %d gaps, %d filled with %d candles, want one of each", s.Gaps, s.GapsFilled, s.CandlesFilled)
		}
	})
}

func TestWindowReadAcrossTheTurnOfAMinuteHasNoOpenCandleInside(t *testing.T) {
	bubble(t, 10*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		x.set(func() { x.way = 3 * time.Second })
		wait(t, 31*time.Second) // one second into a minute
		r := read(t.Context(), f, btc1m)
		wait(t, 4*time.Second)
		x.live()
		wait(t, 4*time.Second)
		if got := r.sub.Snapshot(); len(got) != 62 || holes(got) != 0 {
			t.Errorf("%d candles with %d holes, want 62 without", len(got), holes(got))
		}
	})
}

func TestHeldFramesFollowInTheirNewestState(t *testing.T) {
	bubble(t, 10*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		r := read(t.Context(), f, btc1m)
		wait(t, time.Second)
		x.set(func() { x.failure = errDown })
		open := untilNext(t, x, time.Second)
		c := market.Candle{Time: open, Open: 1, High: 1, Low: 1, Close: 1, Volume: 1, Trades: 1, Event: open + 1}
		x.send(c)
		c.Trades, c.Event, c.Closed = 9, open+2, true
		x.send(c)
		late := c
		late.Trades, late.Event, late.Closed = 8, open+1, false
		x.send(late)
		next := market.Candle{Time: open + 60_000, Open: 1, High: 1, Low: 1, Close: 1, Event: open + 3}
		x.send(next)
		x.set(func() { x.failure = nil })
		wait(t, 8*time.Second)
		var got []market.Candle
		for _, u := range r.all() {
			if u.Kind == feed.Live && u.Candle.Time >= open {
				got = append(got, u.Candle)
			}
		}
		if diff := cmp.Diff([]market.Candle{c, next}, got); diff != "" {
			t.Errorf("delivered behind the filled candle (-want +got):\n%s", diff)
		}
	})
}

func TestFramesThatChangedPlacesNeedNoRequest(t *testing.T) {
	bubble(t, 10*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		r := read(t.Context(), f, btc1m)
		wait(t, time.Second)
		open := untilNext(t, x, 100*time.Millisecond)
		x.live()
		wait(t, 300*time.Millisecond)
		x.send(x.candle(open-60_000, open))
		wait(t, 4*time.Second)
		if got := x.requests(); got != 1 {
			t.Errorf("%d requests, want 1", got)
		}
		if diff := cmp.Diff([]feed.Kind{feed.Fresh, feed.Live}, r.kinds()); diff != "" {
			t.Errorf("updates (-want +got):\n%s", diff)
		}
	})
}

func TestRowThatLagsIsAskedForAgain(t *testing.T) {
	bubble(t, 10*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		r := read(t.Context(), f, btc1m)
		wait(t, time.Second)
		play(t, x, 50*time.Second)
		x.set(func() { x.lag = 6 * time.Second })
		open := untilNext(t, x, time.Second)
		x.live()
		// After 0.5 s, 1.5 s and 3.5 s the row lags or is too young; after 7.5 s it is whole.
		wait(t, 4*time.Second)
		if kinds := r.kinds(); slices.Contains(kinds, feed.Filled) {
			t.Errorf("a row that lags was delivered: %v", kinds)
		}
		wait(t, 5*time.Second)
		var filled []market.Candle
		for _, u := range r.all() {
			if u.Kind == feed.Filled && u.Candle.Closed {
				filled = append(filled, u.Candle)
			}
		}
		if want := x.candle(open-60_000, open); len(filled) != 1 || !same(filled[0], want) {
			t.Errorf("filled %+v, want once %+v", filled, want)
		}
	})
}

func TestCandleClosedTooEarlyByRESTIsRevised(t *testing.T) {
	bubble(t, 10*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		r := read(t.Context(), f, btc1m)
		wait(t, time.Second)
		x.set(func() { x.lag = 14 * time.Second }) // longer than all patience
		open := untilNext(t, x, time.Second)
		x.live()
		play(t, x, 20*time.Second)
		x.set(func() { x.lag = 0 })
		play(t, x, 20*time.Second)
		want := []feed.Kind{feed.Fresh, feed.Filled, feed.Revised}
		if diff := cmp.Diff(want, r.kinds()); diff != "" {
			t.Fatalf("updates (-want +got):\n%s", diff)
		}
		snapshot := r.sub.Snapshot()
		if got, want := snapshot[len(snapshot)-2], x.candle(open-60_000, open); !same(got, want) {
			t.Errorf("the window has %+v, want %+v", got, want)
		}
	})
}

func TestGoesOnBehindAHoleThatCannotBeFilledAndMendsItLater(t *testing.T) {
	bubble(t, 20*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		r := read(t.Context(), f, btc1m)
		wait(t, time.Second)
		x.set(func() { x.failure = errDown })
		open := untilNext(t, x, time.Second)
		x.live()
		play(t, x, 25*time.Second)
		if slices.Contains(r.kinds(), feed.Gap) {
			t.Error("a gap was delivered before 30 s had passed")
		}
		play(t, x, 2*time.Minute)
		want := []feed.Kind{feed.Fresh, feed.Stale, feed.Gap, feed.Live, feed.Live}
		if diff := cmp.Diff(want, r.kinds()); diff != "" {
			t.Errorf("updates (-want +got):\n%s", diff)
		}
		x.set(func() { x.failure = nil })
		play(t, x, 62*time.Second)
		kinds := r.kinds()
		if !slices.Contains(kinds[len(want):], feed.Gap) || !slices.Contains(kinds[len(want):], feed.Fresh) {
			t.Errorf("updates %v, want a gap and fresh after the mending", kinds[len(want):])
		}
		for i, c := range r.sub.Snapshot() {
			if c.Time == open-60_000 && !same(c, x.candle(c.Time, open)) {
				t.Errorf("candle %d = %+v, want %+v", i, c, x.candle(c.Time, open))
			}
		}
		if holes := holes(r.sub.Snapshot()); holes != 0 {
			t.Errorf("%d holes left", holes)
		}
	})
}

func holes(candles []market.Candle) (n int) {
	for i := 1; i < len(candles); i++ {
		if candles[i].Time != candles[i-1].Time+60_000 || !candles[i-1].Closed {
			n++
		}
	}
	return n
}

func TestLiveWithoutHistoryWhenRESTIsDownFromTheStart(t *testing.T) {
	bubble(t, 20*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		x.set(func() { x.hang = true })
		r := read(t.Context(), f, btc1m)
		play(t, x, 3*time.Minute)
		if got := len(r.sub.Snapshot()); got < 2 {
			t.Errorf("%d candles after three minutes of a living stream", got)
		}
		x.set(func() { x.hang = false })
		play(t, x, 2*time.Minute)
		if got := len(r.sub.Snapshot()); got < 60 || holes(r.sub.Snapshot()) != 0 {
			t.Errorf("%d candles with %d holes after REST came back, want the history", got, holes(r.sub.Snapshot()))
		}
	})
}

func TestOutageLongerThanTheWindowBeginsANewOne(t *testing.T) {
	bubble(t, 20*time.Hour, func(t *testing.T, x *exchange, f *feed.Feed) {
		r := read(t.Context(), f, btc1m)
		wait(t, time.Second)
		x.live()
		x.set(func() { x.failure = errDown })
		x.connect(false)
		if f.State().Connected {
			t.Error("state says connected")
		}
		wait(t, 18*time.Hour)
		x.set(func() { x.failure = nil })
		x.connect(true)
		play(t, x, 2*time.Minute)
		if !slices.Contains(r.kinds(), feed.Gap) {
			t.Errorf("updates %v, want a gap", r.kinds())
		}
		snapshot := r.sub.Snapshot()
		if len(snapshot) < feed.Depth || holes(snapshot) != 0 {
			t.Errorf("%d candles with %d holes, want %d without", len(snapshot), holes(snapshot), feed.Depth)
		}
		if s := f.State(); !s.Connected || s.Series[0].Stale || s.Series[0].Err != nil {
			t.Errorf("state after the outage: %+v", s)
		}
	})
}

func TestQuietMarketIsNotStale(t *testing.T) {
	bubble(t, time.Second, func(t *testing.T, x *exchange, f *feed.Feed) {
		r := read(t.Context(), f, btc1m)
		wait(t, time.Second)
		x.live()
		before := x.requests()
		wait(t, 30*time.Minute)
		if kinds := r.kinds(); slices.Contains(kinds, feed.Stale) {
			t.Errorf("updates %v, want no stale", kinds)
		}
		if _, opened := x.streams(); opened != 1 {
			t.Errorf("stream opened %d times, want once", opened)
		}
		// A minute's close is asked for, twice and checked once; not every 10 s.
		if got := x.requests() - before; got > 30*5 {
			t.Errorf("%d requests in 30 quiet minutes", got)
		}
	})
}

func TestDeadStreamIsStaleAndOpenedAnew(t *testing.T) {
	bubble(t, 10*time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		r := read(t.Context(), f, btc1m)
		wait(t, time.Second)
		play(t, x, 10*time.Second)
		wait(t, 11*time.Second)
		if err := r.sub.Err(); !errors.Is(err, feed.ErrSilent) {
			t.Errorf("error after 11 s of silence = %v, want ErrSilent", err)
		}
		if _, opened := x.streams(); opened != 2 {
			t.Errorf("stream opened %d times, want 2", opened)
		}
		x.live()
		wait(t, time.Second)
		if err := r.sub.Err(); err != nil {
			t.Errorf("error after a frame = %v, want none", err)
		}
		want := []feed.Kind{feed.Fresh, feed.Stale, feed.Fresh}
		if diff := cmp.Diff(want, r.kinds()); diff != "" {
			t.Errorf("updates (-want +got):\n%s", diff)
		}
		if s := f.Stats(); s.Silences != 1 || s.Resubscribed != 1 {
			t.Errorf("counted %d silences and %d new streams, want 1 and 1", s.Silences, s.Resubscribed)
		}
	})
}

type unlisted struct{}

func (unlisted) Error() string        { return "no NOSUCHCOIN here" }
func (unlisted) Is(target error) bool { return target == market.ErrSymbol }

func TestUnknownSymbolIsNamedAndAskedForEveryFiveMinutes(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, x *exchange, f *feed.Feed) {
		x.set(func() { x.failure = unlisted{} })
		r := read(t.Context(), f, market.Series{Symbol: "NOSUCHCOIN", Timeframe: market.M1})
		wait(t, 31*time.Minute)
		if got := x.requests(); got != 7 {
			t.Errorf("%d requests in 31 minutes, want 7", got)
		}
		if err := r.sub.Err(); err == nil || !strings.Contains(err.Error(), "NOSUCHCOIN") {
			t.Errorf("error = %v, want one that names the symbol", err)
		}
		x.set(func() { x.failure = nil })
		wait(t, 4*time.Minute+5*time.Second)
		if diff := cmp.Diff([]feed.Kind{feed.Stale, feed.Fresh}, r.kinds()); diff != "" {
			t.Errorf("updates (-want +got):\n%s", diff)
		}
	})
}

type limited struct{ wait time.Duration }

func (limited) Error() string               { return "too many requests" }
func (l limited) RetryAfter() time.Duration { return l.wait }

func TestNoRequestBeforeTheExchangeAllowsIt(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, x *exchange, f *feed.Feed) {
		x.set(func() { x.failure = limited{3 * time.Minute} })
		s := f.Subscribe(btc1m)
		defer s.Close()
		wait(t, 2*time.Minute+59*time.Second)
		if got := x.requests(); got != 1 {
			t.Errorf("%d requests within Retry-After, want 1", got)
		}
		x.set(func() { x.failure = nil })
		wait(t, 5*time.Second)
		if len(s.Snapshot()) == 0 {
			t.Error("no window after Retry-After")
		}
	})
}

func TestCandleThatCannotBeTrueIsRejected(t *testing.T) {
	bubble(t, time.Minute, func(t *testing.T, x *exchange, f *feed.Feed) {
		r := read(t.Context(), f, btc1m)
		wait(t, time.Second)
		before := r.sub.Snapshot()
		bad := x.candle(market.M1.Open(x.Now().UnixMilli()), x.Now().UnixMilli())
		bad.Low, bad.Trades = bad.High+1, bad.Trades+5
		x.send(bad)
		bad.Low, bad.Time = bad.Close, bad.Time+1
		x.send(bad)
		synctest.Wait()
		if diff := cmp.Diff(before, r.sub.Snapshot()); diff != "" {
			t.Errorf("the window took it:\n%s", diff)
		}
		if got := f.Stats().Rejected; got != 2 {
			t.Errorf("%d rejected, want 2", got)
		}
	})
}

func TestEndOfRunReachesSubscribersAndRunMayRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &exchange{trades: []trade{{time.Now().UnixMilli() - 1, 5, 1}}, taps: map[*tap]bool{}}
		f := &feed.Feed{Exchange: x}
		for range 2 {
			early := f.Subscribe(btc1m) // before Run: it waits
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- f.Run(ctx) }()
			updates, err := early.Next(t.Context())
			if err != nil || updates[0].Kind != feed.Fresh {
				t.Fatalf("Next = %v, %v, want fresh", updates, err)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
			if _, err := early.Next(t.Context()); !errors.Is(err, feed.ErrStopped) {
				t.Errorf("Next after Run = %v, want ErrStopped", err)
			}
			early.Close()
		}
	})
}

package feed_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/feed"
)

var btc1m = market.Series{Symbol: "BTCUSDT", Timeframe: market.M1}

type trade struct {
	ms              int64
	price, quantity float64
}

// exchange is an exchange in the memory of the test: a list of trades is the
// truth, REST and streams are views of it that can be made to fail.
type exchange struct {
	trades []trade
	skew   time.Duration // of its clock

	mu      sync.Mutex
	lag     time.Duration // by which REST is behind
	way     time.Duration // for which an answer was on its way: what it calls closed was so before
	failure error         // of REST
	hang    bool          // REST answers only when the caller gives up
	calls   []time.Time   // of Klines
	opened  int           // calls of Stream so far
	taps    map[*tap]bool
}

type tap struct {
	mu        sync.Mutex
	frame     func(market.Candle, time.Time)
	connected func(bool)
}

// newExchange makes trades every second or so from an hour before now until
// length after. Some minutes have none.
func newExchange(rng *rand.Rand, length time.Duration) *exchange {
	x := &exchange{taps: map[*tap]bool{}}
	price := 100.0
	quiet := false
	end := time.Now().Add(length).UnixMilli()
	for ms := time.Now().Add(-time.Hour).UnixMilli(); ms < end; ms += 300 + rng.Int64N(1500) {
		if n := len(x.trades); n > 0 && x.trades[n-1].ms/60_000 != ms/60_000 {
			quiet = rng.IntN(12) == 0
		}
		if quiet && ms/60_000 > time.Now().Add(-time.Hour).UnixMilli()/60_000 {
			continue
		}
		price *= 1 + (rng.Float64()-0.5)/100
		x.trades = append(x.trades, trade{ms, price, 1 + rng.Float64()})
	}
	return x
}

func (x *exchange) Now() time.Time { return time.Now().Add(x.skew) }

// candle returns the state of the candle that opens at open as of the moment ms.
func (x *exchange) candle(open, ms int64) market.Candle {
	b := market.Builder{Timeframe: market.M1}
	last, any := 100.0, false
	c := market.Candle{}
	for _, t := range x.trades {
		if t.ms > ms || t.ms >= open+60_000 {
			break
		}
		if t.ms < open {
			last = t.price
			continue
		}
		c, any = b.Add(t.ms, t.price, t.quantity), true
	}
	if !any {
		c = market.Candle{Time: open, Open: last, High: last, Low: last, Close: last}
	}
	c.Event = min(ms, open+59_999)
	c.Closed = ms >= open+60_000
	return c
}

func (x *exchange) Klines(ctx context.Context, _ market.Series, limit int, start, _ int64) ([]market.Candle, error) {
	x.mu.Lock()
	lag, way, failure, hang := x.lag, x.way, x.failure, x.hang
	x.calls = append(x.calls, time.Now())
	x.mu.Unlock()
	wait := 40 * time.Millisecond
	if hang {
		wait = time.Hour
	}
	if err := pause(ctx, wait); err != nil {
		return nil, err
	}
	if failure != nil {
		return nil, failure
	}
	now := x.Now().UnixMilli()
	var rows []market.Candle
	for open := market.M1.Open(x.trades[0].ms); open <= now-lag.Milliseconds(); open += 60_000 {
		if open < start {
			continue
		}
		c := x.candle(open, now-lag.Milliseconds())
		c.Closed = open+60_000 <= now-way.Milliseconds() // says the clock, even when the figures lag
		rows = append(rows, c)
	}
	if start == 0 {
		return rows[max(0, len(rows)-limit):], nil
	}
	return rows[:min(len(rows), limit)], nil
}

func (x *exchange) Stream(ctx context.Context, _ market.Series, frame func(market.Candle, time.Time), connected func(bool)) error {
	t := &tap{frame: frame, connected: connected}
	x.mu.Lock()
	x.opened++
	x.taps[t] = true
	x.mu.Unlock()
	connected(true)
	<-ctx.Done()
	x.mu.Lock()
	delete(x.taps, t)
	x.mu.Unlock()
	t.mu.Lock() // a frame under way is the last
	defer t.mu.Unlock()
	t.frame, t.connected = func(market.Candle, time.Time) {}, func(bool) {}
	return ctx.Err()
}

func (x *exchange) each(do func(*tap)) {
	x.mu.Lock()
	taps := make([]*tap, 0, len(x.taps))
	for t := range x.taps {
		taps = append(taps, t)
	}
	x.mu.Unlock()
	for _, t := range taps {
		t.mu.Lock()
		do(t)
		t.mu.Unlock()
	}
}

func (x *exchange) send(c market.Candle) { x.each(func(t *tap) { t.frame(c, time.Now()) }) }
func (x *exchange) connect(up bool)      { x.each(func(t *tap) { t.connected(up) }) }

// live sends the state of the current candle now, as a stream does every 2 s.
func (x *exchange) live() {
	now := x.Now().UnixMilli()
	x.send(x.candle(market.M1.Open(now), now))
}

func (x *exchange) set(do func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	do()
}

func (x *exchange) requests() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.calls)
}

func (x *exchange) streams() (open, opened int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.taps), x.opened
}

// pause waits in the bubble's time.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait lets the bubble's time pass.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	if err := pause(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// play streams honestly for a while: a frame every 2 s, and each close.
func play(t *testing.T, x *exchange, length time.Duration) {
	t.Helper()
	for end := time.Now().Add(length); time.Now().Before(end); {
		wait(t, min(2*time.Second, time.Until(end)))
		now := x.Now().UnixMilli()
		if open := market.M1.Open(now); now-open < 2000 {
			x.send(x.candle(open-60_000, now))
		}
		x.live()
	}
	synctest.Wait()
}

// reader collects what a subscription delivers and checks the order of it.
type reader struct {
	sub  *feed.Subscription
	done chan struct{}

	mu      sync.Mutex
	updates []feed.Update
}

func read(ctx context.Context, f *feed.Feed, series market.Series) *reader {
	r := &reader{sub: f.Subscribe(series), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for {
			updates, err := r.sub.Next(ctx)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.updates = append(r.updates, updates...)
			r.mu.Unlock()
		}
	}()
	return r
}

func (r *reader) all() []feed.Update {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]feed.Update(nil), r.updates...)
}

// kinds returns the kinds of the updates that are not states of open candles.
func (r *reader) kinds() []feed.Kind {
	var kinds []feed.Kind
	for _, u := range r.all() {
		if u.Kind != feed.Live && u.Kind != feed.Filled || u.Candle.Closed {
			kinds = append(kinds, u.Kind)
		}
	}
	return kinds
}

// bubble runs a test with a running feed in a synctest bubble; when the test
// returns, the feed must end and leave nothing behind, or the bubble panics.
func bubble(t *testing.T, length time.Duration, test func(*testing.T, *exchange, *feed.Feed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		wait(t, 30*time.Second) // a bubble begins at midnight, just when a candle closed
		x := newExchange(rand.New(rand.NewPCG(1, 2)), length)
		f := &feed.Feed{Exchange: x}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		synctest.Wait()
		test(t, x, f)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if open, _ := x.streams(); open != 0 {
			t.Errorf("%d streams are open after Run", open)
		}
	})
}

var errDown = errors.New("exchange down")

// same compares candles without the time of the event that brought them.
func same(a, b market.Candle) bool {
	a.Event, b.Event = 0, 0
	return a == b
}

package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/exchange/binance"
	"github.com/spark-ta/spark/daemon/exchange/sim"
	"github.com/spark-ta/spark/daemon/feed"
)

// rig is a simulated exchange on a real socket, 30 times as fast as life, with a
// client and a feed on it.
type rig struct {
	server *sim.Server
	client *binance.Client
	feed   *feed.Feed
}

// start makes a rig that ends with the test, and checks then that nothing of it
// is left.
func start(t *testing.T) *rig {
	t.Helper()
	const speed = 30
	before := runtime.NumGoroutine()
	server, err := sim.New(sim.Options{Seed: 5, Speed: speed, FramePeriod: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	client := &binance.Client{REST: server.URL(), WS: server.StreamURL(), Speed: speed}
	client.Limits.ClockAge = 5 * time.Second
	f := &feed.Feed{Exchange: client, Linger: 100 * time.Millisecond}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var all sync.WaitGroup
	for name, run := range map[string]func(context.Context) error{"sim": server.Run, "client": client.Run, "feed": f.Run} {
		all.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		all.Wait()
		client.HTTP.CloseIdleConnections()
		eventually(t, "goroutines end", func() error {
			if n := runtime.NumGoroutine(); n > before {
				return fmt.Errorf("%d goroutines, %d before", n, before)
			}
			return nil
		})
	})
	eventually(t, "the feed runs", func() error {
		_, _, err := f.Candles(t.Context(), market.Series{Symbol: "BNBUSDT", Timeframe: market.D1}, 1)
		return err
	})
	return &rig{server, client, f}
}

// eventually asks again until there is no error, or fails the test after 20 s.
func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// equalsREST compares a window with what the simulator answers now.
func equalsREST(ctx context.Context, r *rig, s market.Series, window []market.Candle) error {
	if len(window) < feed.Depth {
		return fmt.Errorf("%s: %d candles", s, len(window))
	}
	rows, err := r.client.Klines(ctx, s, feed.Depth, window[0].Time, 0)
	if err != nil {
		return err
	}
	for i, c := range window {
		if i >= len(rows) || c.Time != rows[i].Time {
			return fmt.Errorf("%s: candle %d opens at %d, the exchange has another there", s, i, c.Time)
		}
		if c.Closed && !same(c, rows[i]) {
			return fmt.Errorf("%s: candle %d = %+v, the exchange has %+v", s, i, c, rows[i])
		}
		if !c.Closed && i < len(window)-1 {
			return fmt.Errorf("%s: candle %d is open", s, i)
		}
	}
	return nil
}

func TestSimulatedExchangeWithFaultsIsFollowedToTheDigit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds of real time")
	}
	r := start(t)
	all := []market.Series{btc1m, {Symbol: "ETHUSDT", Timeframe: market.M1}, {Symbol: "BTCUSDT", Timeframe: market.M5}, {Symbol: "PEPEUSDT", Timeframe: market.M3}}
	var readers []*reader
	for _, s := range all {
		readers = append(readers, read(t.Context(), r.feed, s))
	}
	eventually(t, "windows", func() error {
		for i, s := range all {
			if err := equalsREST(t.Context(), r, s, readers[i].sub.Snapshot()); err != nil {
				return err
			}
		}
		return nil
	})

	ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
	defer cancel()
	for i := 0; pause(ctx, 250*time.Millisecond) == nil; i++ {
		faults := []sim.Fault{
			{Kind: sim.Gap, Count: 2, Closed: true},
			{Kind: sim.Duplicate, Count: 5},
			{Kind: sim.Reorder, Count: 5},
			{Kind: sim.Garbage, Count: 8},
			{Kind: sim.Cut},
			{Kind: sim.Gap, Count: 60},
			{Kind: sim.Status, Status: 500, Count: 2},
			{Kind: sim.Shutdown, DelayMS: 300},
			{Kind: sim.Stall, ForMS: 400},
			{Kind: sim.Close},
		}
		if err := r.server.Inject(faults[i%len(faults)]); err != nil {
			t.Fatal(err)
		}
	}
	r.server.ClearFaults()

	eventually(t, "windows after the faults", func() error {
		for i, s := range all {
			if err := readers[i].sub.Err(); err != nil {
				return err
			}
			if err := equalsREST(t.Context(), r, s, readers[i].sub.Snapshot()); err != nil {
				return err
			}
		}
		return nil
	})
	for i, reader := range readers {
		checkOrder(t, all[i], reader.all())
	}
	s, c := r.feed.Stats(), r.client.Stats()
	if s.Gaps == 0 || s.GapsFilled == 0 || s.Duplicates == 0 || c.Reconnects == 0 || c.BadFrames == 0 {
		t.Errorf("feed %+v, client %+v: want every fault to have hit", s, c)
	}
	t.Logf("feed %+v, client %+v", s, c)

	// An announced shutdown costs nothing: the next connection is there first.
	eventually(t, "connection", func() error {
		if r.client.Stats().Connections != 1 || !r.feed.State().Connected {
			return errors.New("not connected")
		}
		return nil
	})
	c = r.client.Stats()
	if err := r.server.Inject(sim.Fault{Kind: sim.Shutdown, DelayMS: 10_000}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "renewal", func() error {
		if r.client.Stats().Renewals == c.Renewals {
			return errors.New("the connection was not renewed")
		}
		return nil
	})
	if got := r.client.Stats().Reconnects; got != c.Reconnects || !r.feed.State().Connected {
		t.Errorf("%d reconnects after an announced shutdown, %d before; connected %t", got, c.Reconnects, r.feed.State().Connected)
	}

	for _, reader := range readers {
		reader.sub.Close()
		<-reader.done
	}
	eventually(t, "streams end", func() error {
		if st := r.server.Stats(); len(st.Streams) != 0 || st.Connections != 0 {
			return fmt.Errorf("the exchange still has %d connections and the streams %v", st.Connections, st.Streams)
		}
		return nil
	})
}

// checkOrder checks that closed candles came in order, none missing but behind a
// gap, none twice.
func checkOrder(t *testing.T, s market.Series, updates []feed.Update) {
	t.Helper()
	next, closed := int64(0), 0
	for _, u := range updates {
		switch {
		case u.Kind == feed.Gap:
			next = 0
		case u.Kind != feed.Live && u.Kind != feed.Filled:
		case next != 0 && u.Candle.Time != next:
			t.Fatalf("%s: %v of %d, want %d", s, u.Kind, u.Candle.Time, next)
		case u.Candle.Closed:
			next = s.Timeframe.Next(u.Candle.Time)
			closed++
		default:
			next = u.Candle.Time
		}
	}
	if closed == 0 && s.Timeframe == market.M1 { // the longer ones may not have closed
		t.Errorf("%s: no closed candle was delivered", s)
	}
}

func TestSymbolThatTheSimulatorDoesNotList(t *testing.T) {
	r := start(t)
	s := r.feed.Subscribe(market.Series{Symbol: "NOSUCHCOIN", Timeframe: market.H1})
	defer s.Close()
	updates, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var unknown *binance.SymbolError
	if u := updates[0]; u.Kind != feed.Stale || !errors.As(u.Err, &unknown) || unknown.Symbol != "NOSUCHCOIN" {
		t.Errorf("first update = %+v, want a stale that names the symbol", u)
	}
	if _, _, err := r.feed.Candles(t.Context(), market.Series{Symbol: "NOSUCHCOIN", Timeframe: market.H1}, 5); !errors.Is(err, market.ErrSymbol) {
		t.Errorf("Candles: %v, want market.ErrSymbol", err)
	}
}

func TestSimulatedExchangeThatBansIsLeftAlone(t *testing.T) {
	r := start(t)
	if err := r.server.Inject(sim.Fault{Kind: sim.Status, Status: 418}); err != nil {
		t.Fatal(err)
	}
	var limit *binance.RateLimitError
	if _, _, err := r.feed.Candles(t.Context(), btc1m, 5); !errors.As(err, &limit) || !limit.Banned {
		t.Fatalf("Candles: %v, want a ban", err)
	}
	before := r.server.Stats().Requests
	for _, tf := range market.Timeframes() {
		if _, _, err := r.feed.Candles(t.Context(), market.Series{Symbol: "ETHUSDT", Timeframe: tf}, 5); !errors.As(err, &limit) {
			t.Errorf("Candles of %s: %v, want a ban", tf, err)
		}
	}
	if got := r.server.Stats().Requests; got != before {
		t.Errorf("%d requests while banned, want none", got-before)
	}
}

func TestEveryTimeframeOfTheSimulatorIsValid(t *testing.T) {
	r := start(t)
	for _, tf := range market.Timeframes() {
		series := market.Series{Symbol: "BTCUSDT", Timeframe: tf}
		candles, err := r.client.Klines(t.Context(), series, 30, 0, 0)
		if err != nil || len(candles) != 30 {
			t.Errorf("%s: %d candles, %v, want 30", tf, len(candles), err)
		}
		for i, c := range candles {
			if err := c.Validate(tf); err != nil {
				t.Errorf("%s: %v", series, err)
			}
			if i > 0 && (c.Time != tf.Next(candles[i-1].Time) || !candles[i-1].Closed) {
				t.Errorf("%s: %+v follows %+v", series, c, candles[i-1])
			}
		}
	}
}

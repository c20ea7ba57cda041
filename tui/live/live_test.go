package live_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/live/livetest"
	"github.com/spark-ta/spark/tui/live/sse"
)

// watcher gathers pictures and lets a test wait for one.
type watcher struct {
	mu       sync.Mutex
	pictures []*live.Picture
	times    []time.Time
	changed  chan struct{}
}

func newWatcher() *watcher { return &watcher{changed: make(chan struct{})} }

func (w *watcher) publish(p *live.Picture) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pictures, w.times = append(w.pictures, p), append(w.times, time.Now())
	close(w.changed)
	w.changed = make(chan struct{})
}

// until returns the first picture, from the newest on, that ok accepts.
func (w *watcher) until(t *testing.T, what string, ok func(*live.Picture) bool) *live.Picture {
	t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		w.mu.Lock()
		changed := w.changed
		var p *live.Picture
		if n := len(w.pictures); n > 0 {
			p = w.pictures[n-1]
		}
		w.mu.Unlock()
		if p != nil && ok(p) {
			return p
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no picture with %s; the last one is %+v", what, p)
		}
	}
}

// token is the operations token of every follower.
const token = "t0ken"

// start follows the daemon for the length of the test.
func start(t *testing.T, d *livetest.Daemon, symbols ...market.Symbol) (*live.Live, *watcher) {
	t.Helper()
	w := newWatcher()
	l := live.New(live.Live{
		URL: d.URL, Token: token, HTTP: live.NewClient(), Symbols: symbols, Publish: w.publish, Log: slog.New(slog.DiscardHandler),
	}, market.Series{Symbol: "BTCUSDT", Timeframe: market.M1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want the context's end", err)
		}
	})
	return l, w
}

func ticker(p *live.Picture, s market.Symbol) live.Ticker {
	for _, t := range p.Watch.Tickers {
		if t.Symbol == s {
			return t
		}
	}
	return live.Ticker{}
}

func trigger(n int) wire.AlertEvent {
	return wire.AlertEvent{
		ID: fmt.Sprintf("e%d", n), AlertID: "a", Symbol: "BTCUSDT", Timeframe: "1m", Type: "price", Reason: "price>level",
		Price: 100, TS: time.Now().UnixMilli(), Delivery: []wire.Delivery{},
	}
}

func TestLivePaintsTheWholePicture(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	broken := "no candles"
	d.Change(func(_ *wire.Fleet, _ *wire.Health, alerts *[]wire.Alert, _ *string) {
		*alerts = []wire.Alert{
			{ID: "1", Symbol: "SOLUSDT", Active: true, State: "armed"}, {ID: "2", Symbol: "BTCUSDT", Active: true, State: "armed"},
			{ID: "3", Symbol: "XRPUSDT", State: "paused", LastError: &broken},
		}
	})
	d.Event(wire.EventLeader, wire.LeaderEvent{Time: time.Now().UnixMilli(), State: "became", Holder: "node-a", Epoch: 7})
	_, w := start(t, d, "BTCUSDT", "ETHUSDT")

	p := w.until(t, "everything", func(p *live.Picture) bool {
		return p.Link.State == live.Connected && p.Fleet.Rev > 0 && p.Health.Known && p.Alerts.Known && p.Gauges.Scraped == 1 &&
			len(p.Chart.Candles) > 0 && p.Chart.Stream.Phase == sse.Live && p.Feed.Total == 1 && ticker(p, "SOLUSDT").Price > 0
	})
	if i, ok := p.Fleet.Leader(); !ok || i.ID != "node-a" || i.Epoch != 7 || i.RSS != 41_000_000 {
		t.Errorf("leader = %+v, %v", i, ok)
	}
	if h := p.Health; !h.OK || h.Holder != "node-a" || h.Lease != 31*time.Second || h.MarketMS != 120 || !h.Embedded {
		t.Errorf("health = %+v", h)
	}
	if a := p.Alerts; a.Total != 3 || a.Active != 2 || a.Failed != 1 || a.States[0] != (live.StateCount{State: "armed", N: 2}) {
		t.Errorf("alerts = %+v", a)
	}
	if p.Gauges.ActiveAlerts != 3 || !math.IsNaN(p.Gauges.SentTotal) {
		t.Errorf("alerts_active = %v, sent = %v; want 3 and unknown", p.Gauges.ActiveAlerts, p.Gauges.SentTotal)
	}
	if e := p.Feed.Events[0]; e.Kind != live.Leadership || e.Text != "became leader, epoch 7" || e.Seq != 1 {
		t.Errorf("event = %+v", e)
	}
	if got := len(p.Watch.Tickers); got != 3 {
		t.Errorf("%d tickers, want the two given and the alert's SOLUSDT: %+v", got, p.Watch.Tickers)
	}
	candles := p.Chart.Candles
	if n := len(candles); n != 500 || candles[n-1].Closed || !candles[n-2].Closed {
		t.Errorf("%d candles; want 500, all closed but the last", n)
	}
	tk := ticker(p, "ETHUSDT")
	day := livetest.Candles("ETHUSDT", market.M15, tk.At, 97)
	if want := day[96].Close/day[0].Close - 1; math.Abs(tk.Change-want) > 1e-9 || len(tk.Spark) != 97 {
		t.Errorf("ETHUSDT changed by %v with %d figures, want %v and 97", tk.Change, len(tk.Spark), want)
	}
}

func TestLiveFollowsTheStream(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	_, w := start(t, d, "BTCUSDT", "ETHUSDT")
	w.until(t, "a live stream", func(p *live.Picture) bool { return p.Chart.Stream.Phase == sse.Live && len(p.Chart.Candles) > 0 })
	if n := d.Streams(); n != 1 {
		t.Errorf("%d streams, want one for chart and ticker", n)
	}
	now := time.Now()
	open := market.Candle{
		Time: market.M1.Open(now.UnixMilli()), Open: 500, High: 600, Low: 400, Close: 555, Volume: 3, Event: now.Add(time.Second).UnixMilli(),
	}
	d.Candle("BTCUSDT", market.M1, open)
	other := open
	other.Close = 444
	d.Candle("ETHUSDT", market.M1, other)
	p := w.until(t, "both prices", func(p *live.Picture) bool {
		return ticker(p, "BTCUSDT").Price == 555 && ticker(p, "ETHUSDT").Price == 444
	})
	if last := p.Chart.Candles[len(p.Chart.Candles)-1]; last.Close != 555 {
		t.Errorf("chart ends at %v, want 555: the other symbol's candle does not belong", last.Close)
	}
	if len(p.Watch.Tickers[0].Spark) != 97 {
		t.Errorf("line of %d figures, want 96 and the present price", len(p.Watch.Tickers[0].Spark))
	}

	bad := open
	bad.Event, bad.High = open.Event+1, math.MaxFloat64
	bad.Low = -5
	d.Candle("BTCUSDT", market.M1, bad)
	open.Event, open.Close = open.Event+2, 556
	d.Candle("BTCUSDT", market.M1, open)
	p = w.until(t, "the next state", func(p *live.Picture) bool { return ticker(p, "BTCUSDT").Price == 556 })
	if last := p.Chart.Candles[len(p.Chart.Candles)-1]; last.High != 600 || last.Low != 400 {
		t.Errorf("a candle that cannot be was taken: %+v", last)
	}
}

func TestLiveSelectsAnotherSeries(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	l, w := start(t, d, "BTCUSDT")
	w.until(t, "the first chart", func(p *live.Picture) bool { return len(p.Chart.Candles) > 0 && d.Streams() == 1 })
	want := market.Series{Symbol: "ETHUSDT", Timeframe: market.H1}
	l.Select(market.Series{Symbol: "ETHUSDT", Timeframe: market.M5}) // passed by
	l.Select(want)
	p := w.until(t, "the other chart", func(p *live.Picture) bool { return p.Chart.Series == want && len(p.Chart.Candles) > 0 })
	for _, c := range p.Chart.Candles {
		if market.H1.Open(c.Time) != c.Time {
			t.Fatalf("candle at %d is not of 1h", c.Time)
		}
	}
	w.until(t, "its stream", func(p *live.Picture) bool { return p.Chart.Stream.Phase == sse.Live })
	if n := d.Streams(); n != 1 {
		t.Errorf("%d streams after the change, want 1: the old one is left first", n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pictures {
		if n := len(p.Chart.Candles); n > 1 && p.Chart.Candles[1].Time-p.Chart.Candles[0].Time != p.Chart.Series.Timeframe.Duration().Milliseconds() {
			t.Fatalf("a picture shows candles of another series under %v", p.Chart.Series)
		}
	}
}

func TestLiveShowsASymbolThatTheExchangeRefuses(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	d.Refuse("NOSUCH")
	l, w := start(t, d, "BTCUSDT", "NOSUCH")
	p := w.until(t, "a stream", func(p *live.Picture) bool { return p.Chart.Stream.Phase == sse.Live })
	if got := ticker(p, "NOSUCH").Err; got != "HTTP 400: no such symbol" {
		t.Errorf("ticker says %q", got)
	}
	l.Select(market.Series{Symbol: "NOSUCH", Timeframe: market.M1})
	p = w.until(t, "the refusal", func(p *live.Picture) bool { return p.Chart.Err != "" })
	if p.Chart.Series.Symbol != "NOSUCH" || p.Chart.Err != "HTTP 400: no such symbol" || len(p.Chart.Candles) != 0 {
		t.Errorf("chart = %v %q with %d candles", p.Chart.Series, p.Chart.Err, len(p.Chart.Candles))
	}

	w.until(t, "its stream", func(p *live.Picture) bool { return p.Chart.Stream.Phase == sse.Live && d.Streams() == 1 })
	now := time.Now()
	d.Candle("BTCUSDT", market.M1, market.Candle{
		Time: market.M1.Open(now.UnixMilli()), Open: 500, High: 600, Low: 400, Close: 555, Volume: 3, Event: now.UnixMilli(),
	})
	p = w.until(t, "the price of another symbol", func(p *live.Picture) bool { return ticker(p, "BTCUSDT").Price == 555 })
	if p.Chart.Err == "" || !p.Chart.At.IsZero() {
		t.Errorf("the price of another symbol made the chart good: %q, at %v", p.Chart.Err, p.Chart.At)
	}
}

func TestLiveSurvivesTheDaemonAndResumes(t *testing.T) {
	d := livetest.Start(t)
	_, w := start(t, d, "BTCUSDT")
	for i := range 3 {
		d.Event(wire.EventAlert, trigger(i))
	}
	before := w.until(t, "three events", func(p *live.Picture) bool {
		return p.Feed.Total == 3 && p.Link.Events.Phase == sse.Live && p.Fleet.Rev > 0 && len(p.Chart.Candles) > 0
	})
	died := time.Now()
	d.Stop()
	p := w.until(t, "the loss", func(p *live.Picture) bool { return p.Link.State == live.Lost })
	if took := p.At.Sub(died); took > 2*time.Second {
		t.Errorf("loss noticed after %v, want at most 2 s", took)
	}
	if p.Link.Attempts < 1 || p.Link.Cause == "" || p.Link.Next.IsZero() || strings.Contains(string(p.Link.Cause), d.URL) {
		t.Errorf("link = %+v, want attempts, a short cause and the next try", p.Link)
	}
	if p.Feed.Total != 3 || len(p.Fleet.Instances) != len(before.Fleet.Instances) || len(p.Chart.Candles) == 0 {
		t.Error("the last picture did not stay")
	}
	d.Event(wire.EventAlert, trigger(3)) // while nobody listens
	d.Restart()
	p = w.until(t, "the return", func(p *live.Picture) bool {
		return p.Link.State == live.Connected && p.Link.Events.Phase == sse.Live && p.Feed.Total == 4
	})
	for i, e := range p.Feed.Events {
		if e.Seq != uint64(4-i) {
			t.Errorf("event %d has number %d", i, e.Seq)
		}
	}
	if r := d.Resumes(); r[0] != "0" || !slices.Contains(r, "3") {
		t.Errorf("resumed from %v, want from everything first and from 3 after the loss", r)
	}
	w.until(t, "candles again", func(p *live.Picture) bool { return p.Chart.Stream.Phase == sse.Live })
}

func TestLiveCountsAnEventThatComesTwiceOnce(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	_, w := start(t, d, "BTCUSDT")
	same := trigger(1)
	d.Event(wire.EventAlert, same)
	d.Event(wire.EventAlert, same)
	d.Event("hypercare-of-tomorrow", "unknown names are passed over")
	d.Event(wire.EventAlert, trigger(2))
	p := w.until(t, "the second trigger", func(p *live.Picture) bool { return p.Feed.Total >= 2 })
	if p.Feed.Total != 2 || len(p.Feed.Events) != 2 {
		t.Errorf("%d events, want 2", p.Feed.Total)
	}
}

func TestLivePublishesAtMostTenTimesASecondAndLosesNoEvent(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	_, w := start(t, d, "BTCUSDT")
	w.until(t, "events", func(p *live.Picture) bool { return p.Link.Events.Phase == sse.Live })
	const flood = 3000
	for i := range flood {
		d.Event(wire.EventAlert, trigger(i))
	}
	p := w.until(t, "all events", func(p *live.Picture) bool { return p.Feed.Total == flood })
	if len(p.Feed.Events) != live.FeedLimit || p.Feed.Events[0].Seq != flood {
		t.Errorf("%d events kept, newest %d; want %d and %d", len(p.Feed.Events), p.Feed.Events[0].Seq, live.FeedLimit, flood)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 1; i < len(w.times); i++ {
		// The bridge waits from the end of one publication to the next.
		if gap := w.times[i].Sub(w.times[i-1]); gap < 95*time.Millisecond {
			t.Errorf("picture %d came %v after the one before", i, gap)
		}
	}
}

func TestLiveCleansWhatComesFromOutside(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	evil := "x\x1b[2J\x1b]0;owned\x07\u202e\r\n"
	d.Change(func(f *wire.Fleet, h *wire.Health, _ *[]wire.Alert, _ *string) {
		f.Instances[0].ID, f.Instances[0].Version = evil, evil
		h.OK, h.Reasons = false, []string{evil}
	})
	e := trigger(1)
	e.Reason = evil
	d.Event(wire.EventAlert, e)
	d.Event(wire.EventLog, wire.LogRecord{Level: "ERROR", Message: evil, Attrs: map[string]string{"error": evil}, Instance: evil})
	_, w := start(t, d, "BTCUSDT")
	p := w.until(t, "all of it", func(p *live.Picture) bool { return p.Feed.Total == 2 && p.Fleet.Rev > 0 && p.Health.Known })
	texts := []string{string(p.Fleet.Instances[0].ID), string(p.Fleet.Instances[0].Version), string(p.Health.Reasons[0])}
	for _, e := range p.Feed.Events {
		texts = append(texts, string(e.Text), string(e.Who))
	}
	for _, s := range texts {
		if strings.ContainsAny(s, "\x1b\x07\r\n\u202e") {
			t.Errorf("%q reached the picture", s)
		}
	}
	if p.Health.OK {
		t.Error("a 503 with a body was read as healthy")
	}
}

func TestLiveReturnsAPanicAsAnError(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	l := live.New(live.Live{
		URL: d.URL, HTTP: live.NewClient(), Publish: func(*live.Picture) { panic("at the disco") }, Log: slog.New(slog.DiscardHandler),
	}, market.Series{Symbol: "BTCUSDT", Timeframe: market.M1})
	var p *live.PanicError
	if err := l.Run(t.Context()); !errors.As(err, &p) || p.Value != "at the disco" || len(p.Stack) == 0 {
		t.Errorf("Run = %v, want a PanicError", err)
	}
}

func TestLiveDoesNotHammerADaemonThatIsDown(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	_, w := start(t, d, "BTCUSDT")
	w.until(t, "a connection", func(p *live.Picture) bool { return p.Fleet.Rev > 0 })
	d.Stop()
	p := w.until(t, "some attempts", func(p *live.Picture) bool { return p.Link.Attempts >= 3 })
	if wait := p.Link.Next.Sub(p.At); wait > 5*time.Second {
		t.Errorf("next attempt in %v, want at most 5 s", wait)
	}
}

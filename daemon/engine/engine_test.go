package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/engine"
	"github.com/spark-ta/spark/daemon/store"
)

var btc = market.Series{Symbol: "BTCUSDT", Timeframe: market.M1}

// shelf is the store: alerts with a change stream, and what the leader wrote.
type shelf struct {
	mu      sync.Mutex
	alerts  map[string]alert.Alert
	changes []string
	events  []alert.Event
	marks   map[market.Series]int64
	errors  map[string]string
	fail    error // of Trigger
	tries   int
	stuck   chan struct{} // Changes waits for it, if set
}

func newShelf(alerts ...alert.Alert) *shelf {
	s := &shelf{alerts: map[string]alert.Alert{}, marks: map[market.Series]int64{}, errors: map[string]string{}}
	for _, a := range alerts {
		s.alerts[a.ID] = a
	}
	return s
}

func (s *shelf) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *shelf) put(a alert.Alert) {
	s.do(func() { s.alerts[a.ID] = a; s.changes = append(s.changes, a.ID) })
}

func (s *shelf) Alerts(context.Context) (out []alert.Alert, _ []store.Damage, _ error) {
	s.do(func() {
		for _, a := range s.alerts {
			out = append(out, a)
		}
	})
	return out, nil, nil
}

func (s *shelf) Alert(_ context.Context, id string) (a alert.Alert, err error) {
	s.do(func() {
		var ok bool
		if a, ok = s.alerts[id]; !ok {
			err = store.ErrNotFound
		}
	})
	return a, err
}

func (s *shelf) Changes(_ context.Context, after string, limit int) (out []store.Change, next string, _ error) {
	var stuck chan struct{}
	s.do(func() { stuck = s.stuck })
	if stuck != nil {
		<-stuck
	}
	s.do(func() {
		from, err := strconv.Atoi(after)
		if err != nil {
			from = len(s.changes)
		}
		to := min(len(s.changes), from+limit)
		for i := from; i < to; i++ {
			out = append(out, store.Change{Cursor: strconv.Itoa(i + 1), AlertID: s.changes[i]})
		}
		next = strconv.Itoa(to)
	})
	return out, next, nil
}

func (s *shelf) Trigger(_ context.Context, t store.Token, events []alert.Event, _ int64) (out []store.TriggerResult, err error) {
	s.do(func() {
		s.tries++
		if s.fail != nil {
			err = s.fail
			return
		}
		for _, e := range events {
			known := slices.ContainsFunc(s.events, func(o alert.Event) bool { return o.ID == e.ID })
			if known {
				out = append(out, store.TriggerDuplicate)
				continue
			}
			s.events = append(s.events, e)
			out = append(out, store.TriggerAccepted)
		}
	})
	return out, err
}

func (s *shelf) Advance(_ context.Context, _ store.Token, marks []store.Watermark) error {
	s.do(func() {
		for _, m := range marks {
			s.marks[m.Series] = max(s.marks[m.Series], m.Bar)
		}
	})
	return nil
}

func (s *shelf) Watermarks(context.Context) (out []store.Watermark, _ error) {
	s.do(func() {
		for k, v := range s.marks {
			out = append(out, store.Watermark{Series: k, Bar: v})
		}
	})
	return out, nil
}

func (s *shelf) SetAlertError(_ context.Context, _ store.Token, id string, _ int64, text string) error {
	s.do(func() { s.errors[id] = text })
	return nil
}

// exchange is one series; candles are appended by the test.
type exchange struct {
	mu      sync.Mutex
	window  market.Window
	queue   []engine.Update
	wake    chan struct{}
	readers int
}

func newExchange() *exchange {
	return &exchange{window: market.Window{Timeframe: market.M1}, wake: make(chan struct{}, 1)}
}

func (x *exchange) Read(market.Series) engine.Reader {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.readers++
	x.queue = []engine.Update{{Whole: true, Received: time.Now()}}
	select {
	case x.wake <- struct{}{}:
	default:
	}
	return x
}

func (x *exchange) say(u engine.Update) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if u.Has {
		x.window.Apply(u.Candle)
	}
	u.Received = time.Now()
	x.queue = append(x.queue, u)
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

func (x *exchange) candle(i int, price float64, closed bool) {
	t := time.Now().UnixMilli() // only as the event time
	x.say(engine.Update{Has: true, Candle: market.Candle{
		Time: int64(i) * 60_000, Open: price, High: price, Low: price, Close: price, Volume: 1, Trades: 1 + t%7, Event: t, Closed: closed,
	}})
}

func (x *exchange) Next(ctx context.Context) ([]engine.Update, error) {
	for {
		x.mu.Lock()
		out := x.queue
		x.queue = nil
		x.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-x.wake:
		}
	}
}

func (x *exchange) Snapshot() []market.Candle {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.window.Candles())
}

func (x *exchange) Close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.readers--
}

type quiet struct{}

func (quiet) Add(string, float64, ...string)     {}
func (quiet) Set(string, float64, ...string)     {}
func (quiet) Observe(string, float64, ...string) {}

func above(id string, level float64, mode alert.Mode) alert.Alert {
	return alert.Alert{ID: id, Rev: 1, Series: btc, Params: alert.Price{Op: alert.OpAbove, Level: level}, Mode: mode, Severity: alert.Info, Active: true}
}

func newEngine(s *shelf, x *exchange) *engine.Engine {
	return &engine.Engine{
		Alerts: s, Ledger: s, Marker: s, Market: x, Meter: quiet{}, Log: slog.New(slog.DiscardHandler),
		Channels: func() []string { return []string{"webhook"} },
	}
}

// lead leads for one term in the background; the function returned ends it.
func lead(t *testing.T, e *engine.Engine, epoch int64) func() error {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Lead(ctx, store.Token{Holder: "a", Epoch: epoch, Nonce: "n"}) }()
	return func() error { stop(); return <-ended }
}

func TestCandleBecomesADurableTrigger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, x := newShelf(above("one", 100, alert.Intrabar)), newExchange()
		end := lead(t, newEngine(s, x), 7)
		synctest.Wait()
		x.candle(10, 99, false)
		synctest.Wait()
		x.candle(10, 101, false)
		x.candle(10, 102, false)
		synctest.Wait()
		s.do(func() {
			if len(s.events) != 1 {
				t.Fatalf("events %+v, want one", s.events)
			}
			ev := s.events[0]
			if ev.AlertID != "one" || ev.Epoch != 7 || ev.Late || ev.Reason != "price>100" || !slices.Equal(ev.Channels, []string{"webhook"}) {
				t.Errorf("event %+v", ev)
			}
		})
		x.candle(10, 103, true)
		synctest.Wait()
		s.do(func() {
			if s.marks[btc] != 600_000 {
				t.Errorf("watermark %d, want the closed candle", s.marks[btc])
			}
		})
		if err := end(); !errors.Is(err, context.Canceled) {
			t.Errorf("Lead = %v, want canceled", err)
		}
		if x.readers != 0 {
			t.Errorf("%d readers left", x.readers)
		}
	})
}

func TestANewAlertIsArmedWithinATenthOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, x := newShelf(), newExchange()
		e := newEngine(s, x)
		end := lead(t, e, 1)
		synctest.Wait()
		s.put(above("new", 100, alert.Intrabar))
		time.Sleep(100 * time.Millisecond)
		x.candle(10, 101, false)
		synctest.Wait()
		s.do(func() {
			if len(s.events) != 1 {
				t.Errorf("events %+v, want one", s.events)
			}
		})
		if v, ok := e.Inspect("new"); !ok || v.State == alert.Unknown {
			t.Errorf("Inspect = %+v, %v", v, ok)
		}
		gone := above("new", 100, alert.Intrabar)
		gone.Active, gone.Rev = false, 2
		s.put(gone)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if _, ok := e.Inspect("new"); ok || x.readers != 0 {
			t.Errorf("a disabled alert is still evaluated; %d readers", x.readers)
		}
		_ = end()
		if _, ok := e.Inspect("new"); ok {
			t.Errorf("a follower knows an evaluation state")
		}
	})
}

func TestTheNextLeaderFindsWhatWasMissedAndMarksItLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, x := newShelf(above("close", 100, alert.OnClose)), newExchange()
		end := lead(t, newEngine(s, x), 1)
		synctest.Wait()
		x.candle(10, 90, true)
		synctest.Wait()
		_ = end()
		for i, price := range []float64{101, 95, 102, 103} { // nobody leads
			x.candle(11+i, price, true)
		}
		x.candle(15, 104, false)
		end = lead(t, newEngine(s, x), 2)
		synctest.Wait()
		var bars []int64
		s.do(func() {
			for _, ev := range s.events {
				if !ev.Late || ev.Epoch != 2 {
					t.Errorf("event %+v, want late, in epoch 2", ev)
				}
				bars = append(bars, ev.Bar/60_000)
			}
		})
		if want := []int64{11, 13, 14}; !slices.Equal(bars, want) {
			t.Errorf("fired at bars %v, want %v", bars, want)
		}
		_ = end()
		// A third leader finds nothing new.
		end = lead(t, newEngine(s, x), 3)
		synctest.Wait()
		_ = end()
		s.do(func() {
			if len(s.events) != 3 {
				t.Errorf("%d events after a repeat, want 3", len(s.events))
			}
		})
	})
}

// What closed while the fleet was paused is history for whoever leads afterwards: an
// operator who stopped a storm does not want it back at the resume.
func TestCandlesThatClosedInAPauseFireNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, x := newShelf(above("close", 100, alert.OnClose)), newExchange()
		s.marks[btc] = 10 * 60_000
		for i := 11; i < 16; i++ {
			x.candle(i, 101, true)
		}
		e := newEngine(s, x)
		e.Since = func() int64 { return 14 * 60_000 } // bar 13 has closed, bar 14 begins
		end := lead(t, e, 2)
		synctest.Wait()
		_ = end()
		var bars []int64
		s.do(func() {
			for _, ev := range s.events {
				bars = append(bars, ev.Bar/60_000)
			}
		})
		if want := []int64{14, 15}; !slices.Equal(bars, want) {
			t.Errorf("fired at bars %v, want %v", bars, want)
		}
	})
}

func TestNothingIsWrittenWhileTheLeaseIsInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, x := newShelf(above("close", 100, alert.OnClose)), newExchange()
		trust := make(chan struct{})
		e := newEngine(s, x)
		e.Trust = func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-trust:
				return nil
			}
		}
		end := lead(t, e, 1)
		synctest.Wait()
		x.candle(10, 90, true)
		x.candle(11, 101, true)
		synctest.Wait()
		s.do(func() {
			if s.tries != 0 {
				t.Errorf("%d writes while the lease was in doubt, want none", s.tries)
			}
		})
		close(trust)
		synctest.Wait()
		s.do(func() {
			if len(s.events) != 1 {
				t.Errorf("%d events once it was not, want the one", len(s.events))
			}
		})
		_ = end()
	})
}

func TestProgressIsOfTheLoopAndOnlyWhileThereIsATerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		e := newEngine(s, newExchange())
		if p := e.Progress(); p != 0 {
			t.Errorf("without a term %v, want 0", p)
		}
		end := lead(t, e, 1)
		time.Sleep(time.Minute)
		if p := e.Progress(); p > time.Second {
			t.Errorf("a loop that goes round: %v, want less than a second", p)
		}
		stuck := make(chan struct{})
		s.do(func() { s.stuck = stuck })
		time.Sleep(time.Minute)
		if p := e.Progress(); p < 59*time.Second {
			t.Errorf("a loop that stands still for a minute: %v, want as much", p)
		}
		close(stuck)
		_ = end()
		if p := e.Progress(); p != 0 {
			t.Errorf("after the term %v, want 0", p)
		}
	})
}

func TestAnAlertSaysNothingAboutCandlesBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, x := newShelf(), newExchange()
		s.marks[btc] = 600_000
		for i := 11; i < 15; i++ {
			x.candle(i, 101, true)
		}
		a := above("young", 100, alert.OnClose)
		a.CreatedAt, a.UpdatedAt = 13*60_000, 13*60_000 // as bar 13 opened
		s.alerts["young"] = a
		end := lead(t, newEngine(s, x), 1)
		synctest.Wait()
		_ = end()
		var bars []int64
		for _, ev := range s.events {
			bars = append(bars, ev.Bar/60_000)
		}
		if want := []int64{13, 14}; !slices.Equal(bars, want) {
			t.Errorf("fired at bars %v, want %v", bars, want)
		}
	})
}

func TestTriggersAreTriedUntilTheStoreHasThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, x := newShelf(above("one", 100, alert.Intrabar)), newExchange()
		s.fail = fmt.Errorf("evalsha: %w", store.ErrUnavailable)
		end := lead(t, newEngine(s, x), 1)
		synctest.Wait()
		x.candle(10, 101, false)
		x.candle(10, 101, true)
		time.Sleep(time.Minute)
		s.do(func() {
			if s.tries < 10 || s.marks[btc] != 0 {
				t.Errorf("%d tries, watermark %d; want many and none", s.tries, s.marks[btc])
			}
			s.fail = nil
		})
		time.Sleep(5 * time.Second)
		s.do(func() {
			if len(s.events) != 1 || s.marks[btc] != 600_000 {
				t.Errorf("events %v, watermark %d; want the trigger and then the watermark", s.events, s.marks[btc])
			}
		})
		_ = end()
	})
}

func TestARefusedWriteEndsTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, x := newShelf(above("one", 100, alert.Intrabar)), newExchange()
		s.fail = store.ErrFenced
		e := newEngine(s, x)
		ended := make(chan error, 1)
		go func() { ended <- e.Lead(t.Context(), store.Token{Epoch: 1}) }()
		synctest.Wait()
		x.candle(10, 101, false)
		if err := <-ended; !errors.Is(err, store.ErrFenced) {
			t.Errorf("Lead = %v, want fenced", err)
		}
		if s.tries != 1 || x.readers != 0 {
			t.Errorf("%d tries, %d readers left; want one and none", s.tries, x.readers)
		}
	})
}

func TestASeriesThatCannotBeHadMarksItsAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, x := newShelf(above("one", 100, alert.Intrabar)), newExchange()
		end := lead(t, newEngine(s, x), 1)
		synctest.Wait()
		x.say(engine.Update{Err: errors.New("BTCUSDT is not listed")})
		synctest.Wait()
		s.put(above("two", 100, alert.Intrabar))
		time.Sleep(100 * time.Millisecond)
		x.say(engine.Update{Err: errors.New("BTCUSDT is not listed")})
		synctest.Wait()
		s.do(func() {
			for _, id := range []string{"one", "two"} {
				if s.errors[id] != "BTCUSDT is not listed" {
					t.Errorf("alert %s carries %q", id, s.errors[id])
				}
			}
		})
		x.candle(10, 90, false)
		x.say(engine.Update{Whole: true})
		synctest.Wait()
		s.do(func() {
			if s.errors["one"] != "" || s.errors["two"] != "" {
				t.Errorf("errors %v after the series is back", s.errors)
			}
		})
		_ = end()
	})
}

// Package engine evaluates alerts while its instance leads: candle in, decision,
// trigger out.
//
// # The way of a candle
//
//	feed → eval.Set.Step → store.Trigger (one atomic call) → outbox
//
// [Engine.Lead] runs for one term. It follows the change stream of the alerts, so
// that an alert is armed within a tenth of a second of the answer that created it,
// keeps one [eval.Set] for each series that an active alert names, and gives each
// series a goroutine that reads the feed, steps and commits. Nothing is decided
// twice: the step is serial within a series, a batch is committed before the next
// candle is looked at, and the ids of events make a repeated commit harmless.
//
// # What is not lost
//
// A trigger that the store has not acknowledged is tried again until the term
// ends. The watermark of a series is moved only after every trigger up to it is
// durable; the next leader reads it and steps through the closed candles after it
// first, marking what it finds as late. An event that is found twice has the same
// id and is dropped by the store.
//
// # Fencing
//
// Every write carries the term's token. The store's refusal ends the term at once.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/eval"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/store"
)

// Alerts are read and followed. Changes answers an empty cursor with the cursor of
// now, and one whose changes are forgotten with [store.ErrCursorGone].
type Alerts interface {
	Alerts(ctx context.Context) ([]alert.Alert, []store.Damage, error)
	Alert(ctx context.Context, id string) (alert.Alert, error)
	Changes(ctx context.Context, after string, limit int) ([]store.Change, string, error)
}

// Ledger takes what the leader writes, under its token.
type Ledger interface {
	// Trigger writes events with their deliveries, each at most once.
	Trigger(ctx context.Context, t store.Token, events []alert.Event, now int64) ([]store.TriggerResult, error)
	// Advance moves watermarks forward.
	Advance(ctx context.Context, t store.Token, marks []store.Watermark) error
	Watermarks(ctx context.Context) ([]store.Watermark, error)
}

// Marker records why an alert cannot be evaluated; an empty text clears it.
type Marker interface {
	SetAlertError(ctx context.Context, t store.Token, id string, rev int64, text string) error
}

// Update is news of a series.
type Update struct {
	Candle   market.Candle
	Has      bool // Candle is set
	Whole    bool // the series' history changed: read the snapshot again
	Err      error
	Received time.Time
}

// Reader reads one series.
type Reader interface {
	Next(ctx context.Context) ([]Update, error)
	Snapshot() []market.Candle
	Close()
}

// Market gives readers. The wiring adapts daemon/feed.
type Market interface {
	Read(series market.Series) Reader
}

// Meter takes measurements by their names in core/wire.
type Meter interface {
	Add(name string, v float64, labels ...string)
	Set(name string, v float64, labels ...string)
	Observe(name string, v float64, labels ...string)
}

// Engine evaluates. Set the exported fields before the first Lead.
type Engine struct {
	Alerts   Alerts
	Ledger   Ledger
	Marker   Marker
	Market   Market
	Meter    Meter
	Log      *slog.Logger
	Channels func() []string   // names of the configured channels: where an alert that names none goes
	OnEvent  func(alert.Event) // told of each accepted trigger; may be nil
	Interval time.Duration     // of the sweep; 0 means 30 s
	Poll     time.Duration     // between looks at the change stream; 0 means 50 ms
	// Trust returns nil when new work may be written, and waits while the lease is in
	// doubt; nil means always.
	Trust func(context.Context) error
	// Since is the end (ms) of the newest time in which nothing was to be evaluated, 0
	// for none: candles that closed before it are history. May be nil.
	Since func() int64

	leading atomic.Pointer[term]      // the present term, nil for a follower
	turned  atomic.Pointer[time.Time] // when the loop last went round, nil while there is none
}

// term is the state of one term of leadership.
type term struct {
	*Engine
	token store.Token

	mu     sync.Mutex
	series map[market.Series]*runner // guarded by mu
	where  map[string]market.Series  // guarded by mu; the series of each alert in a set
	group  sync.WaitGroup            // every runner
	failed chan error                // first error that ends the term; capacity 1, later ones dropped

	tally tally
}

// tally counts between two sweeps.
type tally struct {
	evaluated, triggered, suppressed, errors atomic.Int64
}

// Lead evaluates until ctx ends or the term is found to be over, and returns after
// everything it started has ended.
func (e *Engine) Lead(ctx context.Context, token store.Token) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t := &term{Engine: e, token: token, series: map[market.Series]*runner{}, where: map[string]market.Series{}, failed: make(chan error, 1)}
	defer t.group.Wait()
	defer stop()
	t.turn()
	defer t.turned.Store(nil)
	cursor, err := t.load(ctx)
	if err != nil {
		return err
	}
	e.leading.Store(t)
	defer e.leading.Store(nil)
	return t.follow(ctx, cursor)
}

// follow keeps the sets in step with the store, and sweeps.
func (t *term) follow(ctx context.Context, cursor string) error {
	poll := time.NewTicker(orElse(t.Poll, 50*time.Millisecond))
	defer poll.Stop()
	sweep := time.NewTicker(orElse(t.Interval, 30*time.Second))
	defer sweep.Stop()
	var pending error // of the newest look, logged once
	for {
		t.turn()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-t.failed:
			return err
		case <-sweep.C:
			t.sweep(ctx)
		case <-poll.C:
			next, err := t.catchUp(ctx, cursor)
			if err == nil {
				cursor = next
			} else if ctx.Err() == nil && pending == nil {
				t.Log.Warn("changes of alerts not read", "err", err)
			}
			pending = err
		}
	}
}

// load reads all alerts, retrying until the term ends: the cursor first, so that a
// change made meanwhile is seen twice rather than never.
func (t *term) load(ctx context.Context) (string, error) {
	for {
		t.turn()
		_, cursor, err := t.Alerts.Changes(ctx, "", 1)
		if err == nil {
			err = t.reload(ctx)
		}
		if err == nil {
			return cursor, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		t.Log.Warn("alerts not read", "err", err)
		if !pause(ctx, time.Second) {
			return "", ctx.Err()
		}
	}
}

// reload makes the sets equal to the store.
func (t *term) reload(ctx context.Context) error {
	marks, err := t.Ledger.Watermarks(ctx)
	if err != nil {
		return err
	}
	t.turn()
	all, _, err := t.Alerts.Alerts(ctx)
	if err != nil {
		return err
	}
	t.turn()
	after := make(map[market.Series]int64, len(marks))
	for _, m := range marks {
		after[m.Series] = m.Bar
	}
	known := make(map[string]bool, len(all))
	active := 0
	for _, a := range all {
		known[a.ID] = true
		if a.Active {
			active++
		}
		t.put(ctx, a, after)
	}
	t.Meter.Set(wire.MetricAlertsActive, float64(active))
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.where {
		if !known[id] {
			t.removeLocked(id)
		}
	}
	return nil
}

// catchUp takes the changes after the cursor.
func (t *term) catchUp(ctx context.Context, cursor string) (string, error) {
	changes, next, err := t.Alerts.Changes(ctx, cursor, 500)
	if errors.Is(err, store.ErrCursorGone) {
		_, next, err = t.Alerts.Changes(ctx, "", 1)
		if err != nil {
			return cursor, err
		}
		return next, t.reload(ctx)
	}
	if err != nil {
		return cursor, err
	}
	done := map[string]bool{}
	for _, c := range changes {
		if done[c.AlertID] {
			continue
		}
		done[c.AlertID] = true
		a, err := t.Alerts.Alert(ctx, c.AlertID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			t.mu.Lock()
			t.removeLocked(c.AlertID)
			t.mu.Unlock()
		case err != nil:
			return cursor, err
		default:
			t.put(ctx, a, nil)
		}
	}
	return next, nil
}

// put makes an alert part of the set of its series, or takes it out.
func (t *term) put(ctx context.Context, a alert.Alert, after map[market.Series]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if was, ok := t.where[a.ID]; ok && was != a.Series {
		t.removeLocked(a.ID)
	}
	if !a.Active || a.Params == nil || a.Series.Symbol == "" || a.Series.Timeframe == 0 {
		t.removeLocked(a.ID)
		return
	}
	r := t.series[a.Series]
	if r == nil {
		r = t.start(ctx, a.Series, after[a.Series])
	}
	r.put(a)
	t.where[a.ID] = a.Series
}

// removeLocked takes an alert out of its set; a series without alerts is no longer
// read.
func (t *term) removeLocked(id string) {
	series, ok := t.where[id]
	if !ok {
		return
	}
	delete(t.where, id)
	if r := t.series[series]; r.remove(id) == 0 {
		r.stop()
		delete(t.series, series)
	}
}

// fail ends the term.
func (t *term) fail(err error) {
	select {
	case t.failed <- err:
	default:
	}
}

// sweep reconciles with the store and writes the line that operators look for.
func (t *term) sweep(ctx context.Context) {
	began := time.Now()
	err := t.reload(ctx)
	took := time.Since(began)
	t.Meter.Observe(wire.MetricSweepDuration, took.Seconds())
	attrs := []any{
		"evaluated", t.tally.evaluated.Swap(0), "triggered", t.tally.triggered.Swap(0),
		"suppressed", t.tally.suppressed.Swap(0), "errors", t.tally.errors.Swap(0), "duration", took.Round(time.Microsecond),
	}
	if err != nil {
		if ctx.Err() == nil {
			t.Log.Warn(wire.LogPollOnce, append(attrs, "err", err)...)
		}
		return
	}
	t.Meter.Set(wire.MetricLastSuccess, float64(time.Now().Unix()))
	t.Log.Info(wire.LogPollOnce, attrs...)
}

// Inspect returns what the leader knows of an alert, and false when this instance
// does not lead or does not evaluate it.
func (e *Engine) Inspect(id string) (eval.View, bool) {
	t := e.leading.Load()
	if t == nil {
		return eval.View{}, false
	}
	t.mu.Lock()
	r := t.series[t.where[id]]
	t.mu.Unlock()
	if r == nil {
		return eval.View{}, false
	}
	return r.inspect(id)
}

// Progress is how long ago the loop of the present term went round, 0 when there is no
// term. A loop that stands still for long should not keep the lease.
func (e *Engine) Progress() time.Duration {
	at := e.turned.Load()
	if at == nil {
		return 0
	}
	return time.Since(*at)
}

// turn notes that the loop goes round. It takes the term's mutex, so that a term that
// is locked up makes no progress.
func (t *term) turn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.turned.Store(&now)
}

// trusted waits until new work may be written.
func (t *term) trusted(ctx context.Context) error {
	if t.Trust == nil {
		return nil
	}
	return t.Trust(ctx)
}

func orElse(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// pause waits, and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

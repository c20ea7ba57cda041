package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/eval"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/store"
)

// runner evaluates one series within one term.
type runner struct {
	*term
	name   market.Series
	stop   context.CancelFunc
	reader Reader
	after  int64 // watermark at the start of the term, 0 for none

	mu     sync.Mutex
	set    *eval.Set              // guarded by mu
	alerts map[string]alert.Alert // guarded by mu

	remark  atomic.Bool // an alert came that may not carry the trouble's mark
	lastBar int64       // newest closed candle whose triggers are durable; the goroutine's own
	trouble string      // why the series cannot be evaluated; the goroutine's own
}

// start begins to read a series. The caller holds the term's mutex.
func (t *term) start(ctx context.Context, series market.Series, after int64) *runner {
	ctx, stop := context.WithCancel(ctx)
	r := &runner{
		term: t, name: series, stop: stop, after: after,
		reader: t.Market.Read(series),
		set:    eval.NewSet(series, eval.Options{}),
		alerts: map[string]alert.Alert{},
	}
	t.series[series] = r
	t.group.Go(func() {
		defer r.reader.Close()
		defer stop()
		if err := r.run(ctx); ctx.Err() == nil {
			t.fail(err)
		}
	})
	return r
}

func (r *runner) put(a alert.Alert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.alerts[a.ID]; ok && old.Rev == a.Rev {
		return
	}
	r.alerts[a.ID] = a
	r.set.Put(a)
	r.remark.Store(true)
}

// remove returns how many alerts are left.
func (r *runner) remove(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.alerts, id)
	r.set.Remove(id)
	return len(r.alerts)
}

func (r *runner) inspect(id string) (eval.View, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set.Inspect(id)
}

// run is the way of a candle. It ends with ctx's error, or with the one that ends
// the term.
func (r *runner) run(ctx context.Context) error {
	var result eval.Result
	warm := false
	for {
		updates, err := r.reader.Next(ctx)
		if err != nil {
			return err
		}
		for _, u := range updates {
			switch {
			case u.Err != nil:
				r.complain(ctx, u.Err.Error())
			case u.Whole || !warm:
				if err := r.rewind(ctx, &result, u.Received); err != nil {
					return err
				}
				warm = true
			case u.Has:
				if err := r.step(ctx, &result, u.Candle, u.Received, false); err != nil {
					return err
				}
			}
		}
	}
}

// rewind reads the series' history anew: what is older than the watermark warms
// the indicators, what was closed since is stepped through as late, and the open
// candle is stepped through as live.
func (r *runner) rewind(ctx context.Context, result *eval.Result, received time.Time) error {
	candles := r.reader.Snapshot()
	if len(candles) == 0 {
		return nil
	}
	r.complain(ctx, "")
	mark := max(r.after, r.lastBar)
	since := int64(0)
	if r.Since != nil {
		since = r.Since()
	}
	live := len(candles)
	if !candles[live-1].Closed {
		live--
	}
	first := live
	for first > 0 && mark > 0 && candles[first-1].Time > mark && r.name.Timeframe.CloseTime(candles[first-1].Time) > since {
		first--
	}
	r.mu.Lock()
	r.set.Warm(candles[:first])
	r.mu.Unlock()
	if first > 0 && mark == 0 {
		r.lastBar = candles[first-1].Time
	}
	for _, c := range candles[first:live] {
		if err := r.step(ctx, result, c, received, true); err != nil {
			return err
		}
	}
	if live < len(candles) {
		return r.step(ctx, result, candles[live], received, false)
	}
	return nil
}

// step decides on one state of one candle and makes the decisions durable.
func (r *runner) step(ctx context.Context, result *eval.Result, c market.Candle, received time.Time, late bool) error {
	now := time.Now()
	result.Reset()
	r.mu.Lock()
	r.set.Step(now.UnixMilli(), c, result)
	r.finish(result, c, late)
	r.mu.Unlock()
	r.count(result, received)
	if len(result.Triggers) > 0 {
		if err := r.commit(ctx, result.Triggers); err != nil {
			return err
		}
	}
	if c.Closed && c.Time > r.lastBar {
		return r.advance(ctx, c.Time)
	}
	return nil
}

// finish completes the events with what the step cannot know. An alert that was
// created or changed after a late candle had closed has nothing to say about it.
func (r *runner) finish(result *eval.Result, c market.Candle, late bool) {
	kept := result.Triggers[:0]
	for _, ev := range result.Triggers {
		a := r.alerts[ev.AlertID]
		if late && a.UpdatedAt > r.name.Timeframe.CloseTime(c.Time) {
			continue
		}
		ev.Epoch = r.token.Epoch
		ev.Late = late
		if len(ev.Channels) == 0 {
			ev.Channels = r.Channels()
		}
		kept = append(kept, ev)
	}
	result.Triggers = kept
}

func (r *runner) count(result *eval.Result, received time.Time) {
	r.tally.evaluated.Add(int64(result.Evaluated))
	r.tally.errors.Add(int64(result.Errors))
	r.tally.suppressed.Add(int64(len(result.Suppressed)))
	if result.Evaluated > 0 && !received.IsZero() {
		r.Meter.Observe(wire.MetricEvalDuration, time.Since(received).Seconds())
	}
	for _, s := range result.Suppressed {
		r.Meter.Add(wire.MetricAlertsSuppressed, 1, string(s.Type), string(s.Reason))
	}
}

// commit writes triggers, again and again until the store has answered.
func (r *runner) commit(ctx context.Context, events []alert.Event) error {
	wait := 50 * time.Millisecond
	for {
		if err := r.trusted(ctx); err != nil {
			return err
		}
		results, err := r.Ledger.Trigger(ctx, r.token, events, time.Now().UnixMilli())
		if err == nil {
			for i, ev := range events {
				r.committed(ev, results[i])
			}
			return nil
		}
		if errors.Is(err, store.ErrFenced) || ctx.Err() != nil {
			return err
		}
		r.Log.Warn("triggers not written, trying again", "series", r.name.String(), "events", len(events), "err", err)
		if !pause(ctx, wait) {
			return ctx.Err()
		}
		wait = min(2*wait, 2*time.Second)
	}
}

func (r *runner) committed(ev alert.Event, result store.TriggerResult) {
	switch result {
	case store.TriggerAccepted:
		r.tally.triggered.Add(1)
		r.Meter.Add(wire.MetricAlertsTriggered, 1, string(ev.Type))
		r.Meter.Add(wire.MetricTriggeredBySeries, 1, string(ev.Series.Symbol), ev.Series.Timeframe.String())
		r.Log.Info(wire.LogTriggered, "alert", ev.AlertID, "type", string(ev.Type), "symbol", string(ev.Series.Symbol),
			"timeframe", ev.Series.Timeframe.String(), "reason", ev.Reason, "price", ev.Price, "event", ev.ID)
		if r.OnEvent != nil {
			r.OnEvent(ev)
		}
	case store.TriggerDuplicate:
		r.Meter.Add(wire.MetricAlertsSuppressed, 1, string(ev.Type), wire.SuppressDuplicate)
	}
}

// advance moves the watermark. A failure other than the end of the term is not
// repeated: the next candle moves it further, and a watermark that lags costs only
// a repeated look.
func (r *runner) advance(ctx context.Context, bar int64) error {
	r.lastBar = bar
	err := r.Ledger.Advance(ctx, r.token, []store.Watermark{{Series: r.name, Bar: bar}})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrFenced):
		return err
	case ctx.Err() == nil:
		r.Log.Warn("watermark not moved", "series", r.name.String(), "err", err)
	}
	return nil
}

// complain marks the alerts of the series with the reason why they cannot be
// evaluated, or clears it. A mark that cannot be written is tried with the next
// news of the series.
func (r *runner) complain(ctx context.Context, text string) {
	if remark := r.remark.Swap(false); text == r.trouble && !(remark && text != "") {
		return
	}
	r.mu.Lock()
	alerts := make([]alert.Alert, 0, len(r.alerts))
	for _, a := range r.alerts {
		alerts = append(alerts, a)
	}
	r.mu.Unlock()
	for _, a := range alerts {
		if err := r.Marker.SetAlertError(ctx, r.token, a.ID, a.Rev, text); err != nil {
			if ctx.Err() == nil {
				r.Log.Warn("error of an alert not written", "alert", a.ID, "err", err)
			}
			return
		}
		if text != "" {
			r.Meter.Add(wire.MetricAlertsErrors, 1, string(a.Type()))
		}
	}
	r.trouble = text
}

package outbox

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/notify"
	"github.com/spark-ta/spark/daemon/store"
)

// serve works on a line until its queue is closed. ctx ends what may begin,
// attempts what is under way, reports what is told to the store.
func (w *relay) serve(ctx, attempts, reports context.Context, l *line) {
	for c := range l.queue {
		now := time.Now()
		if ctx.Err() != nil {
			w.putBack(reports, c, 0)
			continue
		}
		if now.Sub(c.at) > w.fresh() {
			w.putBack(reports, c, l.overflow(now))
			continue
		}
		if wait, ok := l.admit(now, w.perMinute()); !ok {
			w.putBack(reports, c, wait)
			continue
		}
		w.try(attempts, reports, l, c)
	}
}

// fresh is how long after its claim an attempt may begin; of a later one the claim
// might lapse while it is under way.
func (w *relay) fresh() time.Duration { return w.Visibility - w.Attempt - 5*time.Second }

func (w *relay) perMinute() int {
	if w.RateLimit == nil {
		return 0
	}
	return w.RateLimit()
}

// try makes one attempt and records what became of it.
func (w *relay) try(attempts, reports context.Context, l *line, c claim) {
	if w.Hooks.Retried != nil && (c.Attempts > 1 || c.LastError != "") {
		w.Hooks.Retried(c.Channel)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(attempts, w.Attempt)
	r := l.notifier.Notify(ctx, notify.Message{ID: c.ID, Event: c.Event, Repeat: c.Repeat})
	cancel()
	now := time.Now()

	var o store.Outcome
	if attempts.Err() != nil && (r.Outcome == notify.Unsent || r.Outcome == notify.Ambiguous || r.Outcome == notify.Unknown) {
		o = outcome(c, r) // interrupted: the end of this relay, not a failure of the channel
	} else {
		rest := l.learn(r, began, now)
		w.count(c, r, now)
		o = w.decide(c, r, rest, now)
	}
	if o.State == store.Dead && w.Hooks.Dead != nil {
		w.Hooks.Dead(c.Channel)
	}
	if w.report(reports, c, o) {
		w.changed(reports, c, o, r.Reason)
	}
}

// outcome says what is true of an attempt: to be repeated at once unless it is
// decided.
func outcome(c claim, r notify.Result) store.Outcome {
	o := store.Outcome{ID: c.ID, Claim: c.Claim, Error: r.Error, Repeat: c.Repeat}
	switch r.Outcome {
	case notify.Accepted:
		o.State, o.Error = store.Sent, ""
	case notify.Permanent:
		o.State = store.Dead
	case notify.Unsent:
		o.State, o.Unsent = store.Retrying, true
	case notify.Refused:
		o.State, o.Unsent = store.Retrying, r.RetryAfter > 0
	case notify.Ambiguous, notify.Unknown:
		o.State, o.Repeat = store.Retrying, true
	}
	return o
}

// decide adds when to try again, or that it is too late for that.
func (w *relay) decide(c claim, r notify.Result, rest time.Duration, now time.Time) store.Outcome {
	o := outcome(c, r)
	if o.State != store.Retrying {
		return o
	}
	o.RetryIn = rest
	if !o.Unsent {
		o.RetryIn = max(w.Schedule.after(c.Attempts), rest)
	}
	return w.expire(c, o, now)
}

// expire makes a dead letter of what would be tried again too late.
func (w *relay) expire(c claim, o store.Outcome, now time.Time) store.Outcome {
	if c.FirstAt == 0 {
		return o
	}
	if now.Add(o.RetryIn).Sub(time.UnixMilli(c.FirstAt)) > w.Schedule.MaxAge {
		o.State, o.RetryIn, o.Unsent = store.Dead, 0, false
		o.Error += "; given up after " + now.Sub(time.UnixMilli(c.FirstAt)).Round(time.Second).String()
	}
	return o
}

// count tells the hooks what became of an attempt.
func (w *relay) count(c claim, r notify.Result, now time.Time) {
	if r.Outcome != notify.Accepted {
		if w.Hooks.Failed != nil {
			w.Hooks.Failed(c.Channel, r.Reason)
		}
		return
	}
	if w.Hooks.Sent != nil {
		w.Hooks.Sent(c.Channel, max(0, now.Sub(time.UnixMilli(c.Event.Time))))
	}
	if c.Repeat && w.Hooks.Repeated != nil {
		w.Hooks.Repeated(c.Channel)
	}
}

// putBack gives a claim back without an attempt.
func (w *relay) putBack(reports context.Context, c claim, wait time.Duration) {
	o := store.Outcome{
		ID: c.ID, Claim: c.Claim, State: store.Retrying, Error: c.LastError,
		RetryIn: wait, Unsent: true, Repeat: c.Repeat,
	}
	if w.report(reports, c, o) {
		w.Log.Debug("delivery put back", "delivery", c.ID, "channel", c.Channel, "retry_in", wait)
	}
}

// report tells the store an outcome until it is taken, and says whether it was. It
// gives up when ctx ends, and on an answer that is not about the store being away.
func (w *relay) report(ctx context.Context, c claim, o store.Outcome) bool {
	const mostRefusals = 5
	pause, refusals := firstBackOff/2, 0
	for {
		o.Now = time.Now().UnixMilli()
		err := w.Store.Finish(ctx, o)
		if err == nil {
			return true
		}
		if pause == firstBackOff/2 { // the first failure
			w.owed.Add(1)
			defer w.owed.Add(-1)
		}
		if !errors.Is(err, store.ErrUnavailable) {
			refusals++
		}
		if ctx.Err() != nil || refusals >= mostRefusals {
			w.Log.Error("outcome of a delivery not recorded", "delivery", c.ID, "channel", c.Channel,
				"state", string(o.State), "attempt", c.Attempts, "err", err)
			return false
		}
		pause = min(2*pause, mostBackOff)
		sleep(ctx, jitter(pause))
	}
}

// changed writes the log line that operators search for.
func (w *relay) changed(ctx context.Context, c claim, o store.Outcome, reason string) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("channel", c.Channel), slog.String("state", string(o.State)), slog.Int("attempt", c.Attempts),
		slog.String("delivery", c.ID), slog.String("alert", c.Event.AlertID), slog.String("event", c.Event.ID),
	}
	if o.State != store.Sent {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("err", o.Error))
		if reason != "" {
			attrs = append(attrs, slog.String("reason", reason))
		}
	}
	switch o.State {
	case store.Dead:
		level = slog.LevelError
	case store.Retrying:
		attrs = append(attrs, slog.Duration("retry_in", o.RetryIn))
	}
	if o.Repeat {
		attrs = append(attrs, slog.Bool("repeat", true))
	}
	w.Log.LogAttrs(ctx, level, wire.LogNotify, attrs...)
	if w.Hooks.Changed != nil {
		w.Hooks.Changed(wire.NotifyEvent{
			Time: time.Now().UnixMilli(), EventID: c.Event.ID, AlertID: c.Event.AlertID,
			Symbol: string(c.Event.Series.Symbol), Channel: c.Channel,
			State: string(o.State), Attempt: c.Attempts, Error: o.Error,
		})
	}
}

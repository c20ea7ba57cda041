package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/spark-ta/spark/daemon/store"
)

const (
	firstBackOff = 100 * time.Millisecond
	mostBackOff  = 5 * time.Second
	// unknownWait is how long a delivery waits for its channel to be configured.
	unknownWait = time.Minute
)

// pump promotes and claims until ctx ends, and hands each delivery to its line.
func (w *relay) pump(ctx, reports context.Context) {
	backOff := time.Duration(0)
	for ctx.Err() == nil {
		if w.owed.Load() > 0 || w.full() {
			sleep(ctx, w.Idle)
			continue
		}
		more, wait, err := w.fetch(ctx, reports)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if backOff == 0 {
				w.Log.Warn("outbox waits for the store", "err", err)
			}
			backOff = min(max(2*backOff, firstBackOff), mostBackOff)
			sleep(ctx, jitter(backOff))
			continue
		case backOff > 0:
			w.Log.Info("outbox has the store back")
			backOff = 0
		}
		if !more {
			w.idle(ctx, wait)
		}
	}
}

// full says whether no line has room.
func (w *relay) full() bool {
	for _, l := range w.lines {
		if len(l.queue) < cap(l.queue) {
			return false
		}
	}
	return len(w.lines) > 0
}

// fetch takes one batch. more says that there may be another one.
func (w *relay) fetch(ctx, reports context.Context) (more bool, wait time.Duration, err error) {
	now := time.Now()
	moved, nextDue, err := w.Store.Promote(ctx, now.UnixMilli(), batch)
	if err != nil {
		return false, 0, fmt.Errorf("promote: %w", err)
	}
	// Not cut off by the end of ctx: an answer that is not read leaves claims that
	// nobody knows of until they lapse.
	claimed, err := w.Store.Claim(reports, w.Consumer, batch, w.Visibility, now.UnixMilli())
	if err != nil {
		return false, 0, fmt.Errorf("claim: %w", err)
	}
	for _, d := range claimed {
		w.dispatch(reports, claim{d, now})
	}
	wait = w.Idle
	if nextDue > 0 {
		wait = min(wait, max(time.Until(time.UnixMilli(nextDue)), time.Millisecond))
	}
	return len(claimed) == batch || moved == batch, wait, nil
}

func (w *relay) dispatch(reports context.Context, c claim) {
	l, ok := w.lines[c.Channel]
	if !ok {
		w.unknown(reports, c)
		return
	}
	if l.wait() < w.fresh() {
		select {
		case l.queue <- c:
			return
		default:
		}
	}
	w.putBack(reports, c, l.overflow(time.Now()))
}

// unknown keeps a delivery whose channel is not configured. It says so once.
func (w *relay) unknown(reports context.Context, c claim) {
	reason := fmt.Sprintf("channel %.64q is not configured", c.Channel)
	o := w.expire(c, store.Outcome{
		ID: c.ID, Claim: c.Claim, State: store.Retrying, Error: reason,
		RetryIn: jitter(unknownWait), Unsent: true, Repeat: c.Repeat,
	}, time.Now())
	if w.report(reports, c, o) && (o.State == store.Dead || c.LastError != reason) {
		w.changed(reports, c, o, "")
	}
}

// idle waits for a wake, for d, or for the end.
func (w *relay) idle(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-w.Wake:
	case <-t.C:
	}
}

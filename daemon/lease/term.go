package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/store"
)

// Reasons of the end of a term.
const (
	reasonShutdown  = "shutdown"
	reasonDeadline  = "lease ran out"
	reasonRefused   = "renewal refused"
	reasonGone      = "lock gone"
	reasonWorkEnded = "work ended"
	reasonSuspended = "machine was suspended"
	reasonClockGap  = "time passed unnoticed"
	reasonStalled   = "work stands still"
	reasonAsked     = "asked to resign: "
)

const (
	stalledAfter  = 10 * time.Second
	watchdogEvery = 250 * time.Millisecond
	suspendGap    = 100 * time.Millisecond
)

// term leads for one term and returns after the lease is released.
func (e *Elector) term(ctx context.Context, g store.Grant, sent time.Duration, lead func(context.Context, store.Token) error) error {
	h := &holding{Elector: e, token: g.Token, began: time.Now(), asleep: e.suspended()}
	h.acknowledge(sent, g)
	e.tell(Change{State: Became, Token: h.token})
	e.Log.Info(wire.LogBecameLeader, "holder", h.token.Holder, "epoch", h.token.Epoch)

	leadCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make(chan error, 1) // one answer, from the goroutine below
	go func() { done <- lead(leadCtx, h.token) }()

	cause, err := h.hold(ctx, done)
	if cause != "" {
		stop(fmt.Errorf("%w: %s", ErrDeposed, cause))
		err = <-done
	} else {
		cause = reasonWorkEnded
	}
	e.see(Status{Token: store.Token{Holder: h.token.Holder, Epoch: h.token.Epoch}})
	e.release(ctx, h.token)
	h.farewell(cause)
	if ctx.Err() != nil || explained(err) {
		return nil
	}
	if cause != reasonWorkEnded {
		h.Log.Warn("work ended with an error after its term", "epoch", h.token.Epoch, "err", err)
		return nil
	}
	return err
}

// explained reports whether an error of the work follows from the end of a term, or
// from a store that does not answer in time: no reason to stop standing for election.
func explained(err error) bool {
	for _, known := range []error{ErrDeposed, store.ErrFenced, store.ErrUnavailable, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return true
		}
	}
	return err == nil
}

// holding is the elector while it holds the lease; Run's goroutine alone uses it.
type holding struct {
	*Elector
	token    store.Token
	began    time.Time
	deadline time.Duration // boot time at which belief ends
	next     time.Duration // boot time of the next renewal
	asleep   time.Duration // how long the machine had been suspended when the term began
	ours     time.Duration // boot time before the newest acknowledged call was sent
	theirs   int64         // the store's clock in its answer, ms
}

// hold renews until the term is over and says why; an empty cause means that lead
// returned by itself, with its error.
func (h *holding) hold(ctx context.Context, done <-chan error) (string, error) {
	for {
		now := h.now()
		timer := time.NewTimer(max(0, min(h.next-now, h.deadline-now, watchdogEvery)))
		hinted := false
		select {
		case err := <-done:
			timer.Stop()
			return "", err
		case <-ctx.Done():
			timer.Stop()
			return reasonShutdown, nil
		case <-h.Hints:
			hinted = true
		case <-timer.C:
		}
		timer.Stop()
		if cause := h.distrust(); cause != "" {
			return cause, nil
		}
		cause := ""
		switch {
		case h.now() >= h.next:
			cause = h.renew(ctx)
		case hinted:
			cause = h.verify(ctx)
		}
		if cause != "" && ctx.Err() == nil {
			return cause, nil
		}
	}
}

// distrust looks at the clocks and at the work: what no answer of the store tells.
func (h *holding) distrust() string {
	switch {
	case h.now() >= h.deadline:
		return reasonDeadline
	case h.suspended()-h.asleep > suspendGap:
		return reasonSuspended
	case h.progress() > stalledAfter:
		return reasonStalled
	}
	return ""
}

func (h *holding) progress() time.Duration {
	if h.Progress == nil {
		return 0
	}
	return h.Progress()
}

// renew tries once.
func (h *holding) renew(ctx context.Context) string {
	sent := h.now()
	ctx, cancel := context.WithTimeout(ctx, min(h.try(), h.deadline-sent))
	defer cancel()
	g, err := h.Store.Renew(ctx, h.token, h.Lease, h.progress())
	switch {
	case err == nil:
		if h.gap(g.Now) > h.margin()/3 {
			return reasonClockGap
		}
		h.acknowledge(sent, g)
		h.Log.Debug(wire.LogHeartbeat, "holder", h.token.Holder, "epoch", h.token.Epoch)
		return asked(g)
	case errors.Is(err, store.ErrFenced):
		return reasonRefused
	}
	h.next = h.now() + h.scaled(retryPart)
	level := slog.LevelDebug
	if !h.Status().Suspect {
		level = slog.LevelWarn // once, not for each try
	}
	h.see(Status{Leading: true, Suspect: true, Token: h.token, Since: h.began, until: h.deadline})
	if ctx.Err() == nil || !errors.Is(ctx.Err(), context.Canceled) {
		h.Log.Log(ctx, level, "renewal not acknowledged", "epoch", h.token.Epoch, "left", (h.deadline - h.now()).Round(time.Millisecond), "err", err)
	}
	return ""
}

// verify asks after a hint. No answer is no reason to worry: the renewal is due soon.
func (h *holding) verify(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, min(h.try(), max(time.Millisecond, h.deadline-h.now())))
	defer cancel()
	g, err := h.Store.Verify(ctx, h.token)
	switch {
	case err == nil:
		return asked(g)
	case errors.Is(err, store.ErrFenced):
		return reasonGone
	}
	return ""
}

func asked(g store.Grant) string {
	if g.Resign == "" {
		return ""
	}
	return reasonAsked + g.Resign
}

// acknowledge moves the deadline: the store has answered a call sent at sent.
// A lease that was granted to an earlier attempt has less left than a whole one.
func (h *holding) acknowledge(sent time.Duration, g store.Grant) {
	h.deadline = sent + min(g.Remaining, h.Lease) - h.margin()
	h.next = h.now() + h.renewal()
	h.ours, h.theirs = sent, g.Now
	h.see(Status{Leading: true, Token: h.token, Since: h.began, until: h.deadline})
}

// gap is by how much the store's clock ran ahead of ours between the last
// acknowledged call and one that has just been answered. The time that the answers
// may have taken is given to us.
func (h *holding) gap(theirs int64) time.Duration {
	if h.theirs == 0 || theirs == 0 {
		return 0
	}
	return time.Duration(theirs-h.theirs)*time.Millisecond - (h.now() - h.ours)
}

// release tells the store that the term is over. It gets a moment of its own,
// because it mostly happens when ctx has ended; if it fails, the lease runs out.
func (e *Elector) release(ctx context.Context, t store.Token) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := e.Store.Release(ctx, t)
	if err != nil && !errors.Is(err, store.ErrFenced) {
		e.Log.Warn("lease not released, it runs out by itself", "epoch", t.Epoch, "err", err)
	}
}

// farewell tells that the term is over and why.
func (h *holding) farewell(cause string) {
	t := h.token
	if cause == reasonShutdown || strings.HasPrefix(cause, reasonAsked) {
		h.tell(Change{State: Resigned, Token: t, Reason: cause})
		h.Log.Info(wire.LogResigned, "holder", t.Holder, "epoch", t.Epoch, "reason", cause)
		return
	}
	h.tell(Change{State: Lost, Token: t, Reason: cause})
	h.Log.Warn(wire.LogLostLeadership, "holder", t.Holder, "epoch", t.Epoch, "reason", cause)
}

// Package lease elects the scheduler's leader: one instance at a time holds the
// lease and evaluates, the others wait.
//
// It owns the decision when to try, when to renew and when to stop believing. What
// the store grants, and that a stale holder's writes are refused, is the store's
// part (see daemon/store): the lease decides who works, the fence decides whose
// work counts.
//
// # Belief
//
// A leader believes until its deadline: the moment before it sent the last
// acquire or renewal that was acknowledged, plus the lease, less a margin. Counted
// from before sending, because the store may have started the lease then; less a
// margin, because two clocks never run quite alike. The clock is the boot-time
// clock, which goes on while the machine is suspended, so a laptop that wakes up
// knows that its lease is over.
//
// # Nesting
//
//	Run(ctx, lead) ── acquire ── lead(term's ctx) ── wait for lead ── release ── again
//
// lead runs with a context that ends before the lease does: at the deadline, when
// a renewal is refused, or when Run's own context ends. Only after lead has
// returned is the lease released, so that a successor never starts while this
// instance still works. A leader that lost its lease stays out for an eighth of
// it, so that an operator's reset moves the office to somebody else.
//
// # Times
//
// With a lease of 35 s: renewed each 5 s (a seventh, ± 10 %), each try given up
// after 2 s, a failed try repeated after half a second, margin 3 s. Shorter leases
// scale all of them. A follower tries again when the present lease should be over,
// and at least each 5 s.
package lease

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/store"
)

// Store grants leases. Every call is atomic and may be repeated: a repeated
// Acquire with the same nonce answers as the first did.
type Store interface {
	// Acquire grants the lease when nobody holds it; Grant.Held says whether. The
	// epoch of a new term is above floor and above every earlier one.
	Acquire(ctx context.Context, holder, nonce string, lease time.Duration, floor int64) (store.Grant, error)
	// Renew extends the term, or returns [store.ErrFenced] when it is over.
	Renew(ctx context.Context, t store.Token, lease time.Duration) (store.Grant, error)
	// Release ends the term; of a term that is over it does nothing.
	Release(ctx context.Context, t store.Token) error
}

// Change is what happened to this instance's leadership.
type Change struct {
	State  string // became, lost, resigned
	Token  store.Token
	Reason string
}

// States of a [Change].
const (
	Became   = "became"
	Lost     = "lost"
	Resigned = "resigned"
)

// Elector holds elections for one instance. Set the exported fields before Run.
type Elector struct {
	Store  Store
	Holder string        // unique to this process
	Lease  time.Duration // at least 2 s
	Log    *slog.Logger
	// Now is the boot-time clock; nil means the system's.
	Now func() time.Duration
	// OnChange is told of each change, from Run's goroutine; may be nil.
	OnChange func(Change)

	mu     sync.Mutex
	status Status // guarded by mu
}

// Status is what the instance knows of the lease.
type Status struct {
	Leading   bool
	Token     store.Token   // the present holder's, as far as known; the nonce only of an own term
	Remaining time.Duration // until this instance stops believing, or until the holder's lease should be over
	Since     time.Time     // start of the own term

	until time.Duration // Remaining, on the boot-time clock
}

// Status returns what is known now.
func (e *Elector) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.status
	s.Remaining = max(0, s.until-e.now())
	if s.Leading && s.Remaining == 0 {
		s.Leading = false
	}
	return s
}

// ErrDeposed ends a term: lead returns an error that wraps it, or
// [store.ErrFenced], when it found that the term is over.
var ErrDeposed = errors.New("deposed")

// Run elects until ctx ends, and calls lead for each term won. It returns nil
// after lead has returned and the lease is released, or lead's error when that is
// neither of a lost term nor of the end of ctx.
func (e *Elector) Run(ctx context.Context, lead func(context.Context, store.Token) error) error {
	var floor int64
	for ctx.Err() == nil {
		sent := e.now()
		grant, err := e.acquire(ctx, floor)
		if err != nil {
			if ctx.Err() == nil {
				e.Log.Warn("no election", "err", err)
			}
			e.see(Status{})
			pause(ctx, e.scaled(retryPart))
			continue
		}
		floor = max(floor, grant.Token.Epoch)
		if !grant.Held {
			e.see(Status{Token: store.Token{Holder: grant.Token.Holder, Epoch: grant.Token.Epoch}, until: sent + grant.Remaining})
			pause(ctx, min(grant.Remaining+jitter(20*time.Millisecond), pollEvery))
			continue
		}
		err = e.term(ctx, grant.Token, sent, lead)
		if err != nil {
			return err
		}
		pause(ctx, e.Lease/8)
	}
	return nil
}

// Parts of the lease, for a lease of 35 s: renew 5 s, retry 0.5 s, try 2 s,
// margin 3 s.
const (
	renewPart  = 7
	retryPart  = 70
	tryPart    = 17
	marginPart = 12
	pollEvery  = 5 * time.Second
)

func (e *Elector) scaled(part int) time.Duration { return e.Lease / time.Duration(part) }

func (e *Elector) acquire(ctx context.Context, floor int64) (store.Grant, error) {
	nonce, err := newNonce()
	if err != nil {
		return store.Grant{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, max(e.scaled(tryPart), 100*time.Millisecond))
	defer cancel()
	return e.Store.Acquire(ctx, e.Holder, nonce, e.Lease, floor)
}

// term leads for one term and returns after the lease is released.
func (e *Elector) term(ctx context.Context, t store.Token, sent time.Duration, lead func(context.Context, store.Token) error) error {
	began := time.Now()
	e.see(Status{Leading: true, Token: t, Since: began, until: e.deadline(sent)})
	e.tell(Change{State: Became, Token: t})
	e.Log.Info(wire.LogBecameLeader, "holder", t.Holder, "epoch", t.Epoch)

	leadCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make(chan error, 1) // one answer, from the goroutine below
	go func() { done <- lead(leadCtx, t) }()

	cause, err := e.hold(ctx, t, sent, began, done)
	if cause != "" {
		stop(fmt.Errorf("%w: %s", ErrDeposed, cause))
		err = <-done
	}
	e.see(Status{Token: store.Token{Holder: t.Holder, Epoch: t.Epoch}})
	e.release(ctx, t)

	switch cause {
	case reasonShutdown:
		e.tell(Change{State: Resigned, Token: t, Reason: cause})
		e.Log.Info(wire.LogResigned, "holder", t.Holder, "epoch", t.Epoch, "reason", cause)
	default:
		if cause == "" {
			cause = reasonWorkEnded
		}
		e.tell(Change{State: Lost, Token: t, Reason: cause})
		e.Log.Warn(wire.LogLostLeadership, "holder", t.Holder, "epoch", t.Epoch, "reason", cause)
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrDeposed) || errors.Is(err, store.ErrFenced) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Reasons of the end of a term.
const (
	reasonShutdown  = "shutdown"
	reasonDeadline  = "lease ran out"
	reasonRefused   = "renewal refused"
	reasonWorkEnded = "work ended"
)

// hold renews until the term is over and says why; an empty cause means that lead
// returned by itself, with its error.
func (e *Elector) hold(ctx context.Context, t store.Token, sent time.Duration, began time.Time, done <-chan error) (string, error) {
	deadline := e.deadline(sent)
	next := e.renewal()
	for {
		timer := time.NewTimer(min(next, max(0, deadline-e.now())))
		select {
		case err := <-done:
			timer.Stop()
			return "", err
		case <-ctx.Done():
			timer.Stop()
			return reasonShutdown, nil
		case <-timer.C:
		}
		if e.now() >= deadline {
			return reasonDeadline, nil
		}
		sent := e.now()
		tryCtx, cancel := context.WithTimeout(ctx, min(max(e.scaled(tryPart), 100*time.Millisecond), deadline-sent))
		_, err := e.Store.Renew(tryCtx, t, e.Lease)
		cancel()
		switch {
		case err == nil:
			deadline = e.deadline(sent)
			next = e.renewal()
			e.see(Status{Leading: true, Token: t, Since: began, until: deadline})
			e.Log.Debug(wire.LogHeartbeat, "holder", t.Holder, "epoch", t.Epoch)
		case errors.Is(err, store.ErrFenced):
			return reasonRefused, nil
		default:
			next = e.scaled(retryPart)
			if ctx.Err() == nil {
				e.Log.Warn("renewal not acknowledged", "epoch", t.Epoch, "left", (deadline - e.now()).Round(time.Millisecond), "err", err)
			}
		}
	}
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

func (e *Elector) deadline(sent time.Duration) time.Duration {
	return sent + e.Lease - e.scaled(marginPart)
}

func (e *Elector) renewal() time.Duration {
	every := e.scaled(renewPart)
	return every - every/10 + jitter(every/5)
}

func (e *Elector) now() time.Duration {
	if e.Now != nil {
		return e.Now()
	}
	return bootTime()
}

func (e *Elector) see(s Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = s
}

func (e *Elector) tell(c Change) {
	if e.OnChange != nil {
		e.OnChange(c)
	}
}

func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(mathrand.Int64N(int64(d)))
}

func newNonce() (string, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("nonce: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

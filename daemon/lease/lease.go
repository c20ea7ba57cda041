// Package lease elects the scheduler's leader: at every moment at most one instance
// has effect, and an operator can see and free the lock.
//
// It owns the decision when to try, when to renew and when to stop believing. What
// the store grants, and that a former leader's writes are refused, is the store's
// part (daemon/store/redis and its scripts): the lease decides who works, the fence
// decides whose work counts.
//
// # The protocol
//
// The lock is a string key with a time to live; its value is the holder's id and
// nothing else. Beside it stands the term: epoch, nonce, holder, state. A candidate
// asks to acquire, with a fresh nonce. The store grants in one atomic step when the
// lock is absent, and refuses with the remaining time
//
//   - while somebody holds it,
//   - while the lock is gone but its holder's lease is not over and its heartbeat is
//     recent: an operator deleted it under a living leader, who is told ("deposed"),
//     stops, says so (release), and only then is there a successor,
//   - while there is no term at all and the server runs for less than a lease: it may
//     have forgotten one.
//
// The new epoch is above the stored one, above every epoch that the candidate has
// ever seen, and not below the store's clock in ms, so it grows even when a server
// came back empty. The nonce tells two terms of one epoch and one id apart.
//
// # Invariants
//
// S1, effect: every write that the store accepts belongs to the newest granted term.
// Every script of a leader begins with the fence, which compares holder, epoch and
// nonce with lock and term in the same atomic step as the write. Scripts are serial.
// A grant overwrites the term with a nonce that nobody else has; from then on no
// older token compares equal, and while nobody holds the lock no token does. Clocks,
// pauses, delays, repeats and reused ids do not enter.
//
// S2, belief: at most one instance believes. Belief ends at the deadline, which is
// the time before the last acknowledged acquire or renewal was sent, plus the lease
// that it was answered with, less the margin; the store's lease was counted later
// than the question was sent and ends after the deadline. Another grant needs the lock absent and either that lease over, or the
// holder's word that its work has stopped (sent only after it has), or its heartbeat
// missing. This assumes that clocks run at rates within lease / (lease - margin) of
// each other, 9 % at 35 s, and that the store forgets no acknowledged write. Where it
// may (a replica promoted, a crash with appendfsync everysec, FLUSHALL by hand), or
// where a living leader's heartbeat is missing for ten seconds when its lock is
// deleted, two may believe for the rest of a lease; S1 still holds in the history that
// survives.
//
// S3: epochs grow strictly, as seen by every candidate that lives on.
//
// L1: while the store answers and a candidate runs, somebody leads at the latest a
// lease and 20 ms after the last renewal: candidates keep a timer for that moment and
// rely on no notification. L2: work that stands still loses office within ten
// seconds and a renewal.
//
// daemon/lease/model explores the protocol and its weakened variants state by state.
//
// # Belief
//
// The clock is the boot-time clock, which goes on while the machine is suspended. A
// leader whose renewal was not acknowledged is suspect: [Elector.Trust] holds new
// work back, work under way may go on until the deadline. It stops believing when
//
//   - the deadline has come,
//   - the store says that the term is over: to a renewal, to the question that follows
//     a hint, or to the work itself,
//   - the machine was suspended (boot-time and monotonic clock parted),
//   - the store's clock ran ahead of ours by a third of the margin since the last
//     renewal: a paused virtual machine shows no gap of its own,
//   - the work's loop has not gone round for ten seconds,
//   - it was asked to resign, or Run's context ended.
//
// # Nesting
//
//	Run(ctx, lead) ── acquire ── lead(term's ctx) ── wait for lead ── release ── again
//
// Only after lead has returned is the lease released: the opposite order gives a
// successor while the old one works. Whoever lost or gave up a term stays out for an
// eighth of the lease, so that a reset moves the office to somebody else.
//
// # Waking
//
// A candidate sleeps until the first of: a hint, the end of the holder's lease plus
// up to 20 ms, five seconds. A hint (the lock's key changed, a script published) may
// lie, come late or not at all; each ends in one acquire. A leader answers a hint with
// a question that writes nothing, because a renewal would be a hint to itself.
// Where the holder runs on the same machine, its process is watched, and its death
// proves that the lock is nobody's: it is reset without waiting for the lease.
//
// # Times
//
// With a lease of 35 s: renewed each 5 s (a seventh, ± 10 %), each try given up
// after 2 s, a failed try repeated after half a second, margin 3 s. Shorter leases
// scale all of them. While the store cannot be asked, a candidate asks again after
// 0.25 s, doubling up to 5 s.
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

	"github.com/spark-ta/spark/daemon/store"
)

// Store grants leases. Every call is atomic and may be repeated: a repeated
// Acquire with the same nonce answers as the first did.
type Store interface {
	// Acquire grants the lease when nobody holds it; Grant.Held says whether. The
	// epoch of a new term is above floor and above every earlier one.
	Acquire(ctx context.Context, holder, nonce string, lease time.Duration, floor int64) (store.Grant, error)
	// Renew extends the term, or returns [store.ErrFenced] when it is over. progress
	// is the age of the newest turn of the work's loop.
	Renew(ctx context.Context, t store.Token, lease, progress time.Duration) (store.Grant, error)
	// Verify answers as Renew does, and writes nothing.
	Verify(ctx context.Context, t store.Token) (store.Grant, error)
	// Release ends the term; of a term that is over it says that its work has stopped.
	Release(ctx context.Context, t store.Token) error
	// Reset deletes the lock of this very term; dead says that its holder has ended.
	// It returns [store.ErrChanged] when the term is another.
	Reset(ctx context.Context, holder string, epoch int64, dead bool) (store.Token, error)
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

	// Hints interrupts a wait: the lock may have changed. It may be nil and is never
	// closed. Capacity 1 is enough, a hint more is dropped.
	Hints <-chan struct{}
	// Progress is the age of the newest turn of the work's loop; nil, or an answer of
	// 0, means that there is nothing to complain about.
	Progress func() time.Duration
	// Witness returns a channel that is closed when the member's process has ended,
	// and nil when that cannot be told; it watches until ctx ends. May be nil.
	Witness func(ctx context.Context, m store.Member) <-chan struct{}
	// Now is the boot-time clock; nil means the system's.
	Now func() time.Duration
	// Suspended is how long the machine has been suspended since it booted; nil means
	// the system's answer.
	Suspended func() time.Duration
	// OnChange is told of each change, from Run's goroutine; may be nil.
	OnChange func(Change)

	mu     sync.Mutex
	status Status        // guarded by mu
	calm   chan struct{} // closed when no longer suspect, nil when not suspect; guarded by mu
	floor  int64         // highest epoch seen; Run's own
	nonce  string        // of the attempt that has had no answer; Run's own
}

// Status is what the instance knows of the lease.
type Status struct {
	Leading   bool
	Suspect   bool          // leading, and the newest renewal was not acknowledged
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
		s.Leading, s.Suspect = false, false
	}
	return s
}

// Trust returns nil when new work of the present term may begin: at once, or when a
// suspect leader's renewal is acknowledged. It returns ctx's error when that ends
// before.
func (e *Elector) Trust(ctx context.Context) error {
	for {
		e.mu.Lock()
		calm := e.calm
		e.mu.Unlock()
		if calm == nil {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-calm:
		}
	}
}

// ErrDeposed ends a term: lead returns an error that wraps it, or
// [store.ErrFenced], when it found that the term is over.
var ErrDeposed = errors.New("deposed")

// Run elects until ctx ends, and calls lead for each term won. It returns nil
// after lead has returned and the lease is released, or lead's error when lead ended
// by itself with one that neither the end of a term nor a silent store explains.
func (e *Elector) Run(ctx context.Context, lead func(context.Context, store.Token) error) error {
	unanswered := 0
	for ctx.Err() == nil {
		sent := e.now()
		grant, err := e.acquire(ctx)
		if err != nil {
			e.unanswered(ctx, unanswered, err)
			unanswered++
			continue
		}
		unanswered = 0
		e.floor = max(e.floor, grant.Token.Epoch)
		if !grant.Held {
			e.see(Status{Token: store.Token{Holder: grant.Token.Holder, Epoch: grant.Token.Epoch}, until: sent + grant.Remaining})
			e.follow(ctx, grant)
			continue
		}
		if err := e.term(ctx, grant, sent, lead); err != nil {
			return err
		}
		pause(ctx, e.Lease/8)
	}
	return nil
}

// Bounds of the wait while the store cannot be asked.
const (
	firstBackOff = 250 * time.Millisecond
	mostBackOff  = 5 * time.Second
)

// unanswered waits after the nth failure in a row (from 0). The first is logged, and
// then one a minute or so.
func (e *Elector) unanswered(ctx context.Context, n int, err error) {
	if ctx.Err() != nil {
		return
	}
	if n%15 == 0 {
		e.Log.Warn("no election", "err", err)
	}
	e.see(Status{})
	wait := min(firstBackOff<<min(n, 5), mostBackOff)
	e.sleep(ctx, wait-jitter(wait/4))
}

// follow waits until it is worth asking again, and frees the lock of a holder whose
// process ends meanwhile.
func (e *Elector) follow(ctx context.Context, g store.Grant) {
	var death <-chan struct{}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	if g.Holder != nil && e.Witness != nil && g.Token.Epoch > 0 {
		death = e.Witness(watching, *g.Holder)
	}
	wait := min(g.Remaining+time.Millisecond+jitter(20*time.Millisecond), pollEvery)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-e.Hints:
	case <-death:
		e.bury(ctx, g.Token)
	}
}

// bury resets the lock of a holder that has ended.
func (e *Elector) bury(ctx context.Context, dead store.Token) {
	ctx, cancel := context.WithTimeout(ctx, e.try())
	defer cancel()
	_, err := e.Store.Reset(ctx, dead.Holder, dead.Epoch, true)
	switch {
	case err == nil:
		e.Log.Info("the leader's process has ended, its lock is freed", "holder", dead.Holder, "epoch", dead.Epoch)
	case !errors.Is(err, store.ErrChanged) && ctx.Err() == nil:
		e.Log.Warn("lock of an ended process not freed, it runs out by itself", "holder", dead.Holder, "err", err)
	}
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

func (e *Elector) try() time.Duration { return max(e.scaled(tryPart), 100*time.Millisecond) }

func (e *Elector) margin() time.Duration { return e.scaled(marginPart) }

// acquire asks for the lease. An attempt without an answer may have been granted, so
// the next one bears the same nonce and finds its own term.
func (e *Elector) acquire(ctx context.Context) (store.Grant, error) {
	if e.nonce == "" {
		nonce, err := newNonce()
		if err != nil {
			return store.Grant{}, err
		}
		e.nonce = nonce
	}
	ctx, cancel := context.WithTimeout(ctx, e.try())
	defer cancel()
	g, err := e.Store.Acquire(ctx, e.Holder, e.nonce, e.Lease, e.floor)
	if err == nil {
		e.nonce = ""
	}
	return g, err
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

func (e *Elector) suspended() time.Duration {
	if e.Suspended != nil {
		return e.Suspended()
	}
	return suspendedTime()
}

// see publishes the status, and lets those who wait for trust go on when it is no
// longer suspect.
func (e *Elector) see(s Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = s
	switch {
	case s.Suspect && e.calm == nil:
		e.calm = make(chan struct{})
	case !s.Suspect && e.calm != nil:
		close(e.calm)
		e.calm = nil
	}
}

func (e *Elector) tell(c Change) {
	if e.OnChange != nil {
		e.OnChange(c)
	}
}

// sleep waits for d, a hint or the end of ctx.
func (e *Elector) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-e.Hints:
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

// Package outbox delivers what the store's outbox holds.
//
// It owns the way from a delivery that waits in the store to an outcome that is
// written back: when to claim, which channel takes it, when to try again, when to
// give up. It does not decide what triggers (daemon/engine), how a message looks to
// a receiver (daemon/notify/…) or how deliveries are kept (daemon/store). Every
// executor runs one [Relay]; leadership does not matter, because a claim belongs to
// one relay at a time.
//
// # Guarantee
//
// Nothing is lost: a delivery leaves the store's outbox only as sent or as a dead
// letter. A receiver may see a delivery more than once, always with the same id, and
// every attempt that may be a repeat says so ([notify.Message.Repeat]). A repeat
// arises only where no one can know: a request was written and the answer is
// missing, or the process died between the answer and its record.
//
// # The way of a delivery
//
//	delayed ─ promote ─▶ pending ─ claim ─▶ a channel's line ─▶ attempt ─ finish ─▶ sent
//	   ▲                                           │               │
//	   └────────────── put back (no attempt) ──────┘               ├─▶ delayed (retrying)
//	   └───────────────────────────────────────────────────────────┘─▶ dead
//
// One goroutine promotes and claims. Each channel has a line: a queue of at most 256
// and a few workers. What the line would not reach before the claim lapses, and what
// is held back by the rate limit or by a receiver's Retry-After, is put back with a
// delay that is its place in the order; that is no attempt. So a slow channel fills
// its own line and nothing else.
//
// # Outcomes
//
//	accepted   sent
//	unsent     again, free of charge: the channel rests 1 s, 2 s, 4 s … 60 s while
//	           nothing gets through
//	refused    again by the schedule; with Retry-After not before it, and free
//	permanent  dead letter
//	ambiguous  again by the schedule, as a possible repeat
//
// The schedule counts attempts and ends with the age of the first one; what is
// older is a dead letter. A channel that is not configured (any more) is not an
// error of the delivery: it waits and says so.
//
// # When the store is away
//
// Claims stop. A worker keeps the outcome it has until the store takes it, which
// bounds what can be owed to the number of workers, and nothing is claimed while
// anything is owed, so that this relay never repeats what it knows to be done.
//
// # The end
//
// When Run's context ends, nothing new begins. Lines are put back at once. Attempts
// under way have two thirds of the farewell (3 s) to finish; then they are
// interrupted, and the claim is given back as what is true: nothing written, or
// possibly delivered. What the store does not take by the end of the farewell is
// logged; its claim lapses and the next relay repeats it, flagged.
package outbox

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/notify"
	"github.com/spark-ta/spark/daemon/store"
)

// Store keeps the deliveries. Every call may be repeated. Times are ms.
type Store interface {
	// Claim hands out at most max deliveries: pending ones, and ones whose claimer
	// has been silent for longer than visibility; these have Repeat set when their
	// attempt had begun.
	Claim(ctx context.Context, consumer string, max int, visibility time.Duration, now int64) ([]store.Delivery, error)
	// Finish ends a claim. Of a claim that has passed to somebody else it changes
	// nothing.
	Finish(ctx context.Context, o store.Outcome) error
	// Promote makes at most max delayed deliveries pending that are due. nextDue is
	// when the next one will be, 0 for none.
	Promote(ctx context.Context, now int64, max int) (moved int, nextDue int64, err error)
}

// Hooks count. Each may be nil, and is called from several goroutines. channel is
// the channel's name.
type Hooks struct {
	Sent     func(channel string, latency time.Duration) // trigger to acceptance
	Failed   func(channel, reason string)                // an attempt failed; reason is a Fail… of core/wire
	Retried  func(channel string)                        // an attempt after the first began
	Repeated func(channel string)                        // accepted, and possibly not for the first time
	Dead     func(channel string)
	// Changed is told of each change of a delivery's state that the store has
	// taken.
	Changed func(wire.NotifyEvent)
}

// Relay delivers. Set the exported fields before Run; Store, Channels, Consumer and
// Log are required.
type Relay struct {
	Store    Store
	Channels map[string]notify.Notifier // by name; not changed while Run runs
	Consumer string                     // names this relay to the store
	Log      *slog.Logger

	// Wake interrupts the wait for work. It may be nil and is never closed.
	Wake <-chan struct{}
	// RateLimit is how many attempts may begin in any minute on one channel; nil, or
	// an answer below 1, means no limit. It is asked for each attempt, so it may
	// change at any time.
	RateLimit func() int
	Hooks     Hooks

	Workers    int           // attempts at once for each channel; 0 means 4
	Schedule   Schedule      // of retries; the zero value means [Webhook]
	Attempt    time.Duration // limit of one attempt; 0 means 15 s
	Visibility time.Duration // silence after which a claim lapses, at least twice Attempt and 15 s; 0 means 45 s
	Idle       time.Duration // between looks at the store without a wake; 0 means 100 ms
	Farewell   time.Duration // see the package comment; 0 means 3 s
}

const (
	batch       = 64  // deliveries of one claim
	queueLength = 256 // of a line
)

// relay is a Relay at work, with the defaults filled in.
type relay struct {
	Relay
	lines map[string]*line
	// owed counts outcomes that the store has failed to take so far.
	owed atomic.Int32
}

// Run delivers until ctx ends, and then returns nil, at most the farewell later.
func (r *Relay) Run(ctx context.Context) error {
	w := r.prepare()
	attempts, endAttempts := context.WithCancel(context.WithoutCancel(ctx))
	reports, endReports := context.WithCancel(context.WithoutCancel(ctx))
	defer endAttempts()
	defer endReports()

	over := make(chan struct{})
	var clock, workers sync.WaitGroup
	clock.Go(func() {
		<-ctx.Done()
		afterwards(over, w.Farewell*2/3, endAttempts)
		afterwards(over, w.Farewell-w.Farewell*2/3, endReports)
	})
	for _, l := range w.lines {
		for range w.Workers {
			workers.Go(func() { w.serve(ctx, attempts, reports, l) })
		}
	}
	w.pump(ctx, reports)
	for _, l := range w.lines {
		close(l.queue)
	}
	workers.Wait()
	close(over)
	clock.Wait()
	return nil
}

// afterwards calls f after d, or not at all when everything is over before.
func afterwards(over <-chan struct{}, d time.Duration, f func()) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-over:
	case <-t.C:
		f()
	}
}

func (r *Relay) prepare() *relay {
	w := &relay{Relay: *r, lines: make(map[string]*line, len(r.Channels))}
	orDuration := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	orDuration(&w.Attempt, 15*time.Second)
	orDuration(&w.Visibility, 45*time.Second)
	w.Visibility = max(w.Visibility, 2*w.Attempt+15*time.Second)
	orDuration(&w.Idle, 100*time.Millisecond)
	orDuration(&w.Farewell, 3*time.Second)
	if w.Workers <= 0 {
		w.Workers = 4
	}
	if len(w.Schedule.Delays) == 0 {
		w.Schedule = Webhook()
	}
	for name, n := range r.Channels {
		w.lines[name] = &line{notifier: n, workers: w.Workers, queue: make(chan claim, queueLength)}
	}
	return w
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

package outbox

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spark-ta/spark/daemon/notify"
	"github.com/spark-ta/spark/daemon/store"
)

const (
	// leastPark keeps what is put back from going round in circles.
	leastPark = 250 * time.Millisecond
	// mostPark bounds what an estimate that proves wrong can cost.
	mostPark = 10 * time.Minute
	// firstRest and mostRest bound how long a channel rests while nothing gets
	// through to its receiver.
	firstRest = time.Second
	mostRest  = time.Minute
)

// claim is a delivery that this relay holds.
type claim struct {
	store.Delivery
	at time.Time // when it was claimed, or earlier
}

// line is one channel: what waits for it, and when it may go on.
type line struct {
	notifier notify.Notifier
	workers  int
	queue    chan claim // closed by Run once nothing is claimed any more; full: the newest is put back

	mu     sync.Mutex // guards what follows
	begun  []time.Time
	rest   time.Time     // no attempt begins before
	rested time.Time     // when rest was set
	fails  int           // attempts in a row that were not written
	parked time.Time     // when the last of those put back is due
	pace   time.Duration // mean length of an attempt, recent ones counting more
}

// admit lets an attempt begin now, or says how long the delivery has to wait.
func (l *line) admit(now time.Time, perMinute int) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.rest) {
		return l.park(now, l.rest, l.step()), false
	}
	if perMinute < 1 {
		return 0, true
	}
	for len(l.begun) > 0 && now.Sub(l.begun[0]) >= time.Minute {
		l.begun = l.begun[1:]
	}
	if n := len(l.begun); n >= perMinute {
		return l.park(now, l.begun[n-perMinute].Add(time.Minute), time.Minute/time.Duration(perMinute)), false
	}
	l.begun = append(l.begun, now)
	return 0, true
}

// overflow says how long a delivery has to wait that the line cannot take.
func (l *line) overflow(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.park(now, now.Add(l.step()*time.Duration(len(l.queue))), l.step())
}

// wait estimates how long a delivery would be in the queue.
func (l *line) wait() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.step() * time.Duration(len(l.queue))
}

// step is how long the line takes for one delivery.
func (l *line) step() time.Duration { return l.pace / time.Duration(l.workers) }

// park gives a place behind those that were put back before: not before from, and
// one step after the last. Beyond mostPark there are no places; who would get one
// comes back somewhere in the second half of it and asks again.
func (l *line) park(now, from time.Time, step time.Duration) time.Duration {
	if l.parked.Before(from) {
		l.parked = from
	}
	if l.parked.Sub(now) > mostPark {
		return mostPark/2 + rand.N(mostPark/2)
	}
	l.parked = l.parked.Add(step)
	return max(l.parked.Sub(now), leastPark)
}

// learn takes the result of an attempt into account. It returns how long the
// channel rests because of it, 0 for not at all.
func (l *line) learn(r notify.Result, began, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	const weight = 8
	if took := now.Sub(began); l.pace == 0 {
		l.pace = took
	} else {
		l.pace += (took - l.pace) / weight
	}
	switch {
	case r.Outcome == notify.Unsent:
		if !began.Before(l.rested) { // of several at once the first one counts
			l.fails++
			l.setRest(now, jitter(min(firstRest<<min(l.fails-1, 10), mostRest)))
		}
		return max(l.rest.Sub(now), firstRest)
	case r.Outcome == notify.Refused && r.RetryAfter > 0:
		l.fails = 0
		l.setRest(now, r.RetryAfter)
		return r.RetryAfter
	default:
		l.fails = 0
		return 0
	}
}

func (l *line) setRest(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(l.rest) {
		l.rest, l.rested = until, now
	}
}

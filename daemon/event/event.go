// Package event keeps a process's recent events in memory and hands them to any
// number of followers, who resume by number.
//
// A [Log] never blocks the one who appends and keeps no state per follower: each
// follower remembers the number of the last event it has seen. One that falls
// behind the log's size is told how many it lost. Numbers start at the time of the
// process's start in ms, so that a number remembered from an earlier process is
// smaller than any of this one's and a follower that comes back gets all there is.
package event

import (
	"context"
	"sync"
)

// Event is one thing that happened.
type Event struct {
	Seq  int64
	Name string // one of wire.Event…
	Data any    // a body of core/wire; not changed after it was appended
}

// Log is a bounded log of events. Make one with [NewLog].
type Log struct {
	mu   sync.Mutex
	ring []Event       // guarded by mu; the event with number n is at n % len
	next int64         // guarded by mu; number of the next event
	base int64         // number before the first event
	wake chan struct{} // guarded by mu; closed by the next Append
}

// NewLog returns a log that keeps the newest size events; now is the start of the
// process in ms.
func NewLog(size int, now int64) *Log {
	return &Log{ring: make([]Event, max(1, size)), next: now + 1, base: now, wake: make(chan struct{})}
}

// Append adds an event and wakes the followers.
func (l *Log) Append(name string, data any) {
	l.Insert(name, func(int64) any { return data })
}

// Insert adds an event whose data holds its own number.
func (l *Log) Insert(name string, data func(seq int64) any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring[l.next%int64(len(l.ring))] = Event{Seq: l.next, Name: name, Data: data(l.next)}
	l.next++
	close(l.wake)
	l.wake = make(chan struct{})
}

// Since returns the events after the number seq, oldest first, and how many of
// them are no longer kept. A number from before the process's start asks for all
// there is and has lost nothing that this process knows of.
func (l *Log) Since(seq int64) (events []Event, lost int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq = max(seq, l.base)
	if seq >= l.next {
		return nil, 0
	}
	first := max(seq+1, l.next-int64(len(l.ring)))
	for n := first; n < l.next; n++ {
		events = append(events, l.ring[n%int64(len(l.ring))])
	}
	return events, first - seq - 1
}

// Last returns the number of the newest event, or the number before the first.
func (l *Log) Last() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next - 1
}

// Wait returns when there is an event after the number seq, or with ctx's error.
func (l *Log) Wait(ctx context.Context, seq int64) error {
	for {
		l.mu.Lock()
		newest, wake := l.next-1, l.wake
		l.mu.Unlock()
		if newest > max(seq, l.base) {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

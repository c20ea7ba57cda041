package feed

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/market"
)

// Kind says what an update means.
type Kind uint8

const (
	// Unknown is no kind.
	Unknown Kind = iota
	// Live is a state of a candle from the stream.
	Live
	// Filled is a candle that REST brought because the stream did not.
	Filled
	// Revised is a correction of a candle that was delivered closed before.
	Revised
	// Gap says that what follows does not continue what came before, or that the
	// past was completed: read the snapshot. It has no candle.
	Gap
	// Stale says that the exchange may know more than we do; Err says why. It has
	// no candle.
	Stale
	// Fresh says that the window is complete and current, for the first time or
	// again: read the snapshot. It has no candle.
	Fresh
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	names := [...]string{"unknown", "live", "filled", "revised", "gap", "stale", "fresh"}
	if int(k) >= len(names) {
		return names[Unknown]
	}
	return names[k]
}

// Update is one piece of news of a series.
type Update struct {
	Series   market.Series
	Candle   market.Candle // zero for Gap, Stale and Fresh
	Kind     Kind
	Received time.Time // when the frame came off the socket, or REST answered
	Err      error     // of Stale: why
}

func (u Update) open() bool { return u.hasCandle() && !u.Candle.Closed }

func (u Update) hasCandle() bool { return u.Kind == Live || u.Kind == Filled || u.Kind == Revised }

// ErrClosed says that a subscription was closed by its owner.
var ErrClosed = errors.New("subscription closed")

// maxPending is the most updates that wait for a subscriber.
const maxPending = 1000

// Subscription is one reader of one series. Next is for one goroutine; the other
// methods may be called from any.
type Subscription struct {
	upstream *upstream
	wake     chan struct{} // capacity 1: there is something to see

	mu      sync.Mutex // taken after the upstream's
	pending []Update
	err     error // why nothing more will come
}

// Next waits until something is pending and returns all of it in order. The
// first updates of a subscription are a Fresh, when the window is complete, or a
// Stale. Its error is ctx's, [ErrClosed] or [ErrStopped].
func (s *Subscription) Next(ctx context.Context) ([]Update, error) {
	for {
		s.mu.Lock()
		pending, err := s.pending, s.err
		s.pending = nil
		s.mu.Unlock()
		switch {
		case len(pending) > 0:
			return pending, nil
		case err != nil:
			return nil, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Snapshot returns the window now: at most [Depth] candles, oldest first, all
// closed but perhaps the last, and the one before a hole for which a Gap was
// delivered. It is empty until the first Fresh or Gap. The slice is the caller's.
func (s *Subscription) Snapshot() []market.Candle {
	s.upstream.mu.Lock()
	defer s.upstream.mu.Unlock()
	return newest(s.upstream.window.Candles(), Depth)
}

// Err returns why the series is stale now, nil when it is not.
func (s *Subscription) Err() error {
	s.upstream.mu.Lock()
	defer s.upstream.mu.Unlock()
	return s.upstream.err
}

// Close ends the subscription; it may be called again. A Next under way returns.
func (s *Subscription) Close() {
	s.upstream.leave(s)
	s.fail(ErrClosed)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = nil
}

// fail ends the queue behind what is pending.
func (s *Subscription) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.signal()
}

// push queues an update. The newer state of the same open candle, and a newer
// verdict on the series, take the place of the one that waits last.
func (s *Subscription) push(u Update) (overrun bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	defer s.signal()
	if n := len(s.pending); n > 0 {
		last := s.pending[n-1]
		sameCandle := u.hasCandle() && last.open() && last.Candle.Time <= u.Candle.Time && (u.open() || last.Candle.Time == u.Candle.Time)
		sameVerdict := (u.Kind == Fresh || u.Kind == Stale) && (last.Kind == Fresh || last.Kind == Stale)
		if sameCandle || sameVerdict {
			s.pending[n-1] = u
			return false
		}
	}
	if len(s.pending) >= maxPending {
		clear(s.pending)
		s.pending = append(s.pending[:0], Update{Series: u.Series, Kind: Gap, Received: u.Received})
		return true
	}
	s.pending = append(s.pending, u)
	return false
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// newest copies the last n candles.
func newest(candles []market.Candle, n int) []market.Candle {
	candles = candles[max(0, len(candles)-n):]
	return append(make([]market.Candle, 0, len(candles)), candles...)
}

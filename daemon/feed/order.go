package feed

import (
	"slices"
	"time"

	"github.com/spark-ta/spark/core/market"
)

// held is a frame that cannot be delivered yet.
type held struct {
	candle   market.Candle
	received time.Time
}

// frame takes one state of a candle from the stream.
func (u *upstream) frame(c market.Candle, received time.Time) {
	n := &u.feed.counts
	n.frames.Add(1)
	if !u.feed.valid(u.series, c) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.heardLocked(received)
	switch {
	case !u.ready:
		u.holdLocked(held{c, received})
	case u.next == 0 || c.Time == u.next:
		u.admitLocked(c, received, Live)
		u.drainLocked()
	case c.Time < u.next:
		u.lateLocked(c, received, true)
	default:
		u.holdLocked(held{c, received})
		if u.fillDue.IsZero() {
			n.gaps.Add(1)
			u.fillDue = time.Now().Add(reorderTime)
			u.signal()
		}
	}
	if u.ready && !u.torn && len(u.ahead) == 0 {
		u.refreshLocked(received)
	}
}

// heardLocked notes a sign of life of the stream.
func (u *upstream) heardLocked(received time.Time) {
	u.deaths = 0
	base := u.feed.silence()
	if received.Sub(u.newest) < base {
		u.brisk++
	} else {
		u.brisk = 0
	}
	if u.brisk >= briskFrames {
		u.quiet = base
	}
	u.confirmLocked(received)
}

// confirmLocked notes that what is known was current at a moment.
func (u *upstream) confirmLocked(at time.Time) {
	if at.After(u.newest) {
		u.newest = at
	}
	u.probeDue = time.Now().Add(u.quiet)
	newest := &u.feed.counts.newest
	for old := newest.Load(); at.UnixNano() > old && !newest.CompareAndSwap(old, at.UnixNano()); old = newest.Load() {
	}
}

// admitLocked applies a state of the candle that is due, and delivers it.
func (u *upstream) admitLocked(c market.Candle, received time.Time, kind Kind) {
	switch u.window.Apply(c) {
	case market.Duplicate:
		if kind == Live {
			u.feed.counts.duplicates.Add(1)
		}
		return
	case market.Stale:
		if kind == Live {
			u.feed.counts.outOfOrder.Add(1)
		}
		return
	case market.Updated, market.Opened, market.Closed, market.Revised, market.Gap:
	}
	u.next = c.Time
	if c.Closed {
		u.next = u.series.Timeframe.Next(c.Time)
		u.lags = 0
		if kind == Filled {
			u.feed.counts.candlesFilled.Add(1)
			u.checkLaterLocked(c.Time)
		}
	}
	u.emitLocked(Update{Series: u.series, Candle: c, Kind: kind, Received: received})
}

// lateLocked merges a state of a candle before the one that is due.
func (u *upstream) lateLocked(c market.Candle, received time.Time, streamed bool) {
	n := &u.feed.counts
	switch u.window.Apply(c) {
	case market.Revised:
		n.revised.Add(1)
		u.emitLocked(Update{Series: u.series, Candle: c, Kind: Revised, Received: received})
	case market.Duplicate:
		if streamed {
			n.duplicates.Add(1)
		}
	case market.Stale:
		if streamed {
			n.outOfOrder.Add(1)
		}
	case market.Updated, market.Opened, market.Closed, market.Gap:
		// A hole behind which the stream went on is filling; a Gap will tell.
	}
}

// holdLocked keeps a frame that runs ahead: one state of each candle.
func (u *upstream) holdLocked(h held) {
	i, found := slices.BinarySearchFunc(u.ahead, h.candle.Time, func(h held, t int64) int {
		return int(min(max(h.candle.Time-t, -1), 1))
	})
	switch {
	case !found:
		if len(u.ahead) == 0 {
			u.since = time.Now()
			u.signal()
		}
		u.ahead = slices.Insert(u.ahead, i, h)
		if len(u.ahead) > Depth {
			u.ahead = slices.Delete(u.ahead, 0, 1)
		}
	case newer(h.candle, u.ahead[i].candle):
		u.ahead[i] = h
	case h.candle == u.ahead[i].candle:
		u.feed.counts.duplicates.Add(1)
	default:
		u.feed.counts.outOfOrder.Add(1)
	}
}

// newer reports whether c is a later state of the candle than old.
func newer(c, old market.Candle) bool {
	switch {
	case c.Closed != old.Closed:
		return c.Closed
	case c.Trades != old.Trades:
		return c.Trades > old.Trades
	}
	return c.Event > old.Event
}

// drainLocked delivers what was held as far as it continues what was delivered.
func (u *upstream) drainLocked() {
	for len(u.ahead) > 0 {
		h := u.ahead[0]
		switch {
		case u.next == 0 || h.candle.Time == u.next:
			u.ahead = u.ahead[1:]
			u.admitLocked(h.candle, h.received, Live)
		case h.candle.Time < u.next:
			u.ahead = u.ahead[1:]
			u.lateLocked(h.candle, h.received, true)
		default:
			return
		}
	}
	u.ahead = nil
	if u.ready && !u.torn && u.lags == 0 && !u.overdueLocked() {
		u.fillDue = time.Time{} // the hole closed by itself
	}
}

package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spark-ta/spark/core/market"
)

// probeTime bounds the question whether a silent stream is dead.
const probeTime = 3 * time.Second

// fill asks REST for what is missing and delivers it.
func (u *upstream) fill(ctx context.Context) {
	from := u.plan()
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	rows, err := u.feed.klines(ctx, u.series, from)
	received := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		u.failLocked(err)
		return
	}
	switch {
	case !u.ready:
		u.beginLocked(rows, received)
	case u.torn:
		u.mendLocked(rows, received)
	default:
		u.mergeLocked(rows, received)
	}
	u.confirmLocked(received)
	if len(u.ahead) == 0 && !u.torn {
		u.refreshLocked(received)
	}
}

// plan returns the open time from which to read, 0 for the newest candles. When
// more is missing than one answer holds, the window begins anew.
func (u *upstream) plan() (from int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case !u.ready:
		return 0
	case u.torn:
		from = u.tornAt
	default:
		from = u.next
	}
	oldest := u.series.Timeframe.Add(u.feed.Exchange.Now().UnixMilli(), 1-Depth)
	if from != 0 && from < oldest {
		u.ready, u.torn, u.restart = false, false, true
		return 0
	}
	return from
}

// failLocked plans the next attempt after a request that failed.
func (u *upstream) failLocked(err error) {
	pause := backoff(u.tries)
	u.tries++
	var limited interface{ RetryAfter() time.Duration }
	switch {
	case errors.As(err, &limited):
		pause = max(pause, limited.RetryAfter())
	case errors.Is(err, market.ErrSymbol):
		pause = symbolRetry
	}
	u.fillDue = time.Now().Add(pause)
	if !errors.Is(err, context.Canceled) {
		u.spoilLocked(err)
	}
}

// beginLocked makes the window out of the newest candles.
func (u *upstream) beginLocked(rows []market.Candle, received time.Time) {
	u.window = market.Window{Timeframe: u.series.Timeframe, Limit: Depth}
	u.whole = len(rows) < Depth
	u.next, u.tries, u.lags = 0, 0, 0
	u.fillDue = time.Time{}
	for i, c := range rows {
		u.next = c.Time
		if c.Closed && u.unsettled(c) || !c.Closed && i < len(rows)-1 {
			u.lagLocked() // its figures, and what follows it, come with the next answer
			break
		}
		u.window.Apply(c)
		if c.Closed {
			u.next = u.series.Timeframe.Next(c.Time)
			u.checkLaterLocked(c.Time)
		}
	}
	kind := Fresh
	if u.restart {
		kind = Gap
	}
	u.ready, u.restart, u.stale, u.err = true, false, false, nil
	u.emitLocked(Update{Series: u.series, Kind: kind, Received: received})
	u.drainLocked()
	if len(u.ahead) > 0 && u.fillDue.IsZero() {
		u.fillDue = time.Now().Add(reorderTime)
	}
}

// mendLocked completes a window behind which the stream went on.
func (u *upstream) mendLocked(rows []market.Candle, received time.Time) {
	before := u.series.Timeframe.Add(u.next, -1)
	reached := len(rows) > 0 && rows[len(rows)-1].Time >= before
	u.mergeLocked(rows, received)
	if !reached {
		u.lagLocked()
		u.lags = min(u.lags, maxLags)
		return
	}
	u.torn = false
	u.whole = u.tornAt == 0 && len(rows) < Depth
	u.feed.counts.gapsFilled.Add(1)
	u.emitLocked(Update{Series: u.series, Kind: Gap, Received: received})
}

// mergeLocked delivers what REST knows of the candle that is due and those after
// it, and plans what is still to be done.
func (u *upstream) mergeLocked(rows []market.Candle, received time.Time) {
	filled, lagging := u.advanceLocked(rows, received)
	u.drainLocked()
	if filled > 0 {
		u.tries = 0
		if !u.torn {
			u.feed.counts.gapsFilled.Add(1)
		}
	}
	switch {
	case lagging:
		u.lagLocked()
	case len(u.ahead) > 0 || u.overdueLocked():
		u.fillDue = time.Now().Add(backoff(u.tries))
		u.tries++
	default:
		u.fillDue, u.tries, u.lags = time.Time{}, 0, 0
	}
}

// advanceLocked delivers rows in order until one of them cannot be trusted yet.
func (u *upstream) advanceLocked(rows []market.Candle, received time.Time) (filled int, lagging bool) {
	for i, c := range rows {
		u.drainLocked()
		if u.next != 0 && c.Time < u.next {
			u.lateLocked(c, received, false)
			if c.Closed {
				u.checkLaterLocked(c.Time)
			}
			continue
		}
		// The exchange has no candle between the due one and this: a halt long ago.
		// Right after a close it is more likely that the answer lags.
		if u.next != 0 && c.Time > u.next {
			if u.sinceClose(u.next) < holdTime && u.lags < maxLags {
				return filled, true
			}
			filled += u.skipLocked(c.Time, received)
		}
		switch {
		case c.Closed:
		case i < len(rows)-1:
			return filled, true // it closed while the answer was on its way
		default:
			u.admitLocked(c, received, Filled)
			return filled, false
		}
		known := u.knownLocked(c.Time)
		if (known.Trades > c.Trades || u.unsettled(c)) && u.lags < maxLags {
			return filled, true
		}
		if known.Trades > c.Trades {
			c, c.Closed = known, true
		}
		u.admitLocked(c, received, Filled)
		filled++
	}
	return filled, false
}

// skipLocked makes the candle at t the one that is due, because the exchange has
// none before it. What the stream has shown of the one that was due stays.
func (u *upstream) skipLocked(t int64, received time.Time) (filled int) {
	if known := u.knownLocked(u.next); known.Time == u.next && known.Trades > 0 {
		known.Closed = true
		u.admitLocked(known, received, Filled)
		filled = 1
	}
	u.next = t
	return filled
}

// maxLags is how often an answer that lags is asked for again: after 1, 2 and 4 s.
const maxLags = 3

func (u *upstream) lagLocked() {
	u.fillDue = time.Now().Add(time.Second << u.lags)
	u.lags++
}

// knownLocked returns the newest state that the stream has shown of a candle not
// delivered closed; zero if it has shown none.
func (u *upstream) knownLocked(t int64) market.Candle {
	var known market.Candle
	if last, ok := u.window.Last(); ok && last.Time == t {
		known = last
	}
	for _, h := range u.ahead {
		if h.candle.Time == t && (known.Time == 0 || newer(h.candle, known)) {
			known = h.candle
		}
	}
	return known
}

// sinceClose returns how long ago the candle that opened at t closed, by the
// exchange's clock.
func (u *upstream) sinceClose(t int64) time.Duration {
	return u.feed.Exchange.Now().Sub(time.UnixMilli(u.series.Timeframe.Next(t)))
}

func (u *upstream) unsettled(c market.Candle) bool { return u.sinceClose(c.Time) < settleTime }

func (u *upstream) overdueLocked() bool {
	return u.next != 0 && u.sinceClose(u.next) >= overdueTime
}

// miss notes that a close is overdue.
func (u *upstream) miss() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fillDue.IsZero() && u.overdueLocked() {
		u.feed.counts.gaps.Add(1)
		u.fillDue = time.Now()
	}
}

// tear goes on behind a hole that could not be filled in time.
func (u *upstream) tear() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.ahead) == 0 {
		return
	}
	if !u.torn {
		u.torn, u.tornAt = true, u.next
		if !u.ready {
			u.tornAt = 0
		}
	}
	if !u.ready {
		u.window = market.Window{Timeframe: u.series.Timeframe, Limit: Depth}
		u.ready, u.restart = true, false
	}
	u.emitLocked(Update{Series: u.series, Kind: Gap, Received: time.Now()})
	for len(u.ahead) > 0 {
		u.next = u.ahead[0].candle.Time
		u.drainLocked()
	}
	if u.fillDue.IsZero() {
		u.fillDue = time.Now()
	}
}

// checkLaterLocked plans to read a candle again that REST gave soon after its
// close, when the last trades may not have been in the answer.
func (u *upstream) checkLaterLocked(t int64) {
	if u.sinceClose(t) > freshClose {
		return
	}
	if u.checkDue.IsZero() || t < u.checkAt {
		u.checkAt = t
	}
	u.checkDue = time.Now().Add(checkTime)
}

// check reads again what REST closed, and corrects it.
func (u *upstream) check(ctx context.Context) {
	u.mu.Lock()
	from := u.checkAt
	u.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	rows, err := u.feed.klines(ctx, u.series, from)
	received := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		u.checkDue = received.Add(checkTime)
		return
	}
	u.checkDue = time.Time{}
	for _, c := range rows {
		if c.Closed && c.Time < u.next {
			u.lateLocked(c, received, false)
		}
	}
}

// probe looks into a silence and reports whether the stream is dead: REST knows
// something that the stream did not bring, or cannot be asked.
func (u *upstream) probe(ctx context.Context) (dead bool) {
	u.mu.Lock()
	from := u.next
	u.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	rows, err := u.feed.klines(ctx, u.series, from)
	received := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.probeDue.After(received) {
		return false // a frame came meanwhile
	}
	if err != nil {
		u.dieLocked(err)
		return u.up
	}
	news := false
	for _, c := range rows {
		news = news || c.Time >= u.next && c.Trades > u.knownLocked(c.Time).Trades
	}
	u.mergeLocked(rows, received)
	if news {
		u.dieLocked(nil)
		u.newest = received
		return u.up
	}
	u.quiet = min(2*u.quiet, quietMax)
	u.confirmLocked(received)
	if len(u.ahead) == 0 && !u.torn {
		u.refreshLocked(received)
	}
	return false
}

// dieLocked makes a silent series stale, and plans to look again.
func (u *upstream) dieLocked(cause error) {
	err := fmt.Errorf("%s: %w", u.series, ErrSilent)
	if cause != nil {
		err = fmt.Errorf("%w; %w", err, cause)
	}
	u.deaths++
	pause := min(u.feed.silence()<<min(u.deaths-1, 10), time.Minute)
	var limited interface{ RetryAfter() time.Duration }
	if errors.As(cause, &limited) {
		pause = max(pause, limited.RetryAfter())
	}
	u.probeDue = time.Now().Add(pause)
	u.spoilLocked(err)
}

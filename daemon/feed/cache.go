package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/market"
)

// CacheStatus says where the answer of [Feed.Candles] comes from.
type CacheStatus uint8

const (
	// NoCandles comes with an error.
	NoCandles CacheStatus = iota
	// Hit means from a live window, or from an answer less than an update period old.
	Hit
	// Miss means that the exchange was asked.
	Miss
	// Old means that the exchange could not be asked: the last good answer, however old.
	Old
)

// String returns the status as the header X-Cache shows it; "" for NoCandles.
func (s CacheStatus) String() string {
	return [...]string{"", "HIT", "MISS", "STALE"}[s&3]
}

const (
	// cacheTime is how long an answer of REST serves: as long as an open candle's
	// state would on the stream.
	cacheTime = 2 * time.Second
	// cacheSize bounds the series remembered: 256 × 1,000 candles are 18 MB.
	cacheSize = 256
	// How long a failure keeps the next request from asking again.
	failureTime = time.Second
	unknownTime = time.Minute
	// requestTime bounds one request, whoever waits for it.
	requestTime = 10 * time.Second
)

// cache remembers answers of REST by series.
type cache struct {
	mu      sync.Mutex
	entries map[market.Series]*entry
}

// entry is one series' last good answer and last failure. cache.mu guards it.
type entry struct {
	candles []market.Candle // never written to once it is here; nil: none yet
	at      time.Time
	err     error // of the last request, nil after a success
	retry   time.Time
	used    time.Time
	flight  chan struct{} // closed when the request under way has ended; nil: none
}

// Candles returns the newest limit (1 to [Depth]) candles of a series, oldest
// first; the last may be open. A subscribed series is served from its window.
// Otherwise the exchange is asked, once for all who ask at the same time and for
// a moment after; when it fails, the last good answer is returned as Old, and
// without one the error. Run must be running for the exchange to be asked. The
// slice is the caller's.
func (f *Feed) Candles(ctx context.Context, series market.Series, limit int) ([]market.Candle, CacheStatus, error) {
	if limit < 1 || limit > Depth {
		return nil, NoCandles, fmt.Errorf("%d candles asked: 1 to %d", limit, Depth)
	}
	f.mu.Lock()
	u := f.upstreams[series]
	f.mu.Unlock()
	if u != nil {
		if candles, ok := u.serve(limit); ok {
			f.counts.hits.Add(1)
			return candles, Hit, nil
		}
	}
	e, flight := f.lookUp(series)
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, NoCandles, ctx.Err()
		}
	}
	candles, status, err := f.cache.answer(e, limit, flight != nil)
	switch status {
	case Hit:
		f.counts.hits.Add(1)
	case Miss:
		f.counts.misses.Add(1)
	case Old:
		f.counts.stales.Add(1)
	case NoCandles:
	}
	return candles, status, err
}

// lookUp returns the entry of a series and, if the exchange is asked, the channel
// that closes when it has answered.
func (f *Feed) lookUp(series market.Series) (*entry, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := &f.cache
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	e := k.entryLocked(series, now)
	switch {
	case e.flight != nil:
		return e, e.flight
	case !f.running, e.err == nil && e.candles != nil && now.Sub(e.at) < cacheTime, now.Before(e.retry):
		return e, nil
	}
	done := make(chan struct{})
	e.flight = done
	f.startLocked(func(run context.Context) {
		defer close(done)
		ctx, cancel := context.WithTimeout(run, requestTime)
		defer cancel()
		rows, err := f.klines(ctx, series, 0)
		if run.Err() != nil {
			err = ErrStopped
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		e.flight = nil
		e.take(rows, err)
	})
	return e, done
}

// take records the end of a request.
func (e *entry) take(rows []market.Candle, err error) {
	now := time.Now()
	e.err = err
	if err == nil {
		e.candles, e.at, e.retry = append([]market.Candle{}, rows...), now, time.Time{}
		return
	}
	pause := failureTime
	var limited interface{ RetryAfter() time.Duration }
	switch {
	case errors.As(err, &limited):
		pause = max(limited.RetryAfter(), failureTime)
	case errors.Is(err, market.ErrSymbol):
		pause = unknownTime
	}
	e.retry = now.Add(pause)
}

// answer reads an entry. asked says that a request was waited for.
func (k *cache) answer(e *entry, limit int, asked bool) ([]market.Candle, CacheStatus, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case e.candles != nil && e.err == nil && asked:
		return newest(e.candles, limit), Miss, nil
	case e.candles != nil && e.err == nil && time.Since(e.at) < cacheTime:
		return newest(e.candles, limit), Hit, nil
	case e.candles != nil:
		return newest(e.candles, limit), Old, nil
	case e.err != nil:
		return nil, NoCandles, e.err
	}
	return nil, NoCandles, ErrStopped
}

// keep remembers candles that an upstream has.
func (k *cache) keep(series market.Series, candles []market.Candle, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.entryLocked(series, time.Now())
	if at.After(e.at) {
		e.candles, e.at, e.err, e.retry = candles, at, nil, time.Time{}
	}
}

// entryLocked returns the entry of a series, making room for it if it is new.
func (k *cache) entryLocked(series market.Series, now time.Time) *entry {
	e := k.entries[series]
	if e == nil {
		if k.entries == nil {
			k.entries = map[market.Series]*entry{}
		}
		if len(k.entries) >= cacheSize {
			k.evictLocked()
		}
		e = &entry{}
		k.entries[series] = e
	}
	e.used = now
	return e
}

// evictLocked drops the entry that was used longest ago and has no request under
// way.
func (k *cache) evictLocked() {
	var oldest market.Series
	var at time.Time
	for series, e := range k.entries {
		if e.flight == nil && (at.IsZero() || e.used.Before(at)) {
			oldest, at = series, e.used
		}
	}
	delete(k.entries, oldest)
}

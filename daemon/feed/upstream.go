package feed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/market"
)

const (
	// reorderTime is how long a frame that runs ahead waits for those before it.
	reorderTime = 500 * time.Millisecond
	// settleTime is how long after its close REST may still be missing trades of a
	// candle.
	settleTime = 2 * time.Second
	// overdueTime is how long after its close a candle may go without x:true.
	overdueTime = 5 * time.Second
	// holdTime is how long frames are held for a hole that REST cannot fill.
	holdTime = 30 * time.Second
	// checkTime is how long after being closed by REST a candle is read again, and
	// freshClose how recent its close must be for that.
	checkTime  = 30 * time.Second
	freshClose = 20 * time.Second
	// retryMax bounds the pause between attempts to fill.
	retryMax = time.Minute
	// symbolRetry is the pause for a symbol that is not listed.
	symbolRetry = 5 * time.Minute
	// quietMax bounds the pause between questions in a quiet market.
	quietMax = 5 * time.Minute
	// briskFrames in a row without a silence end the patience with a quiet market.
	briskFrames = 30
)

// upstream is one series: its window, its readers, and what is being done about
// what it lacks. See the package comment for the rules.
type upstream struct {
	feed   *Feed
	series market.Series
	wake   chan struct{} // capacity 1: the agenda may have changed

	// mu guards what follows. Nothing waits while holding it.
	mu      sync.Mutex
	readers []*Subscription
	idle    time.Time // since when there are none
	window  market.Window

	ready   bool  // the window was filled; next means something
	whole   bool  // the window reaches back to the first candle ever
	next    int64 // open time of the candle to be delivered next; 0: of whichever comes
	ahead   []held
	since   time.Time // when ahead was last empty
	torn    bool      // the stream went on behind a hole
	tornAt  int64     // oldest open time missing then; 0: everything
	restart bool      // the first delivery after a reset is a Gap, not a Fresh

	fillDue  time.Time // when to ask REST for what is missing; zero: nothing is
	tries    int       // failures in a row
	lags     int       // answers in a row that lagged
	checkDue time.Time // when to read again what REST closed; zero: nothing to do
	checkAt  int64     // from which open time

	up       bool // a connection carries the stream
	stale    bool
	err      error
	began    time.Time // when it was made
	newest   time.Time // when data last came, or REST confirmed it
	probeDue time.Time // when silence becomes suspicious
	quiet    time.Duration
	brisk    int // frames in a row without a silence
	deaths   int // silences in a row after which the stream was found dead
}

func newUpstream(f *Feed, series market.Series) *upstream {
	return &upstream{
		feed: f, series: series, wake: make(chan struct{}, 1), began: time.Now(),
		window: market.Window{Timeframe: series.Timeframe, Limit: Depth}, quiet: f.silence(),
	}
}

func (u *upstream) signal() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// join adds a reader and tells it where the series stands.
func (u *upstream) join() *Subscription {
	s := &Subscription{upstream: u, wake: make(chan struct{}, 1)}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.readers = append(u.readers, s)
	switch {
	case u.stale:
		s.push(Update{Series: u.series, Kind: Stale, Received: u.newest, Err: u.err})
	case u.ready:
		s.push(Update{Series: u.series, Kind: Fresh, Received: u.newest})
	}
	return s
}

func (u *upstream) leave(s *Subscription) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := len(u.readers)
	u.readers = slices.DeleteFunc(u.readers, func(other *Subscription) bool { return other == s })
	if n > 0 && len(u.readers) == 0 {
		u.idle = time.Now()
		u.signal()
	}
}

// task is something that an upstream does when its time has come.
type task uint8

const (
	noTask  task = iota
	retire       // nobody reads any more
	fill         // ask REST for what is missing
	tear         // go on behind a hole that cannot be filled
	check        // read again what REST closed
	probe        // look into a silence
	overdue      // look into a close that did not come
)

// agenda returns what is to be done next and when.
func (u *upstream) agenda() (task, time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	what, at := noTask, time.Now().Add(time.Hour)
	add := func(t task, due time.Time) {
		if !due.IsZero() && due.Before(at) {
			what, at = t, due
		}
	}
	if len(u.readers) == 0 {
		add(retire, u.idle.Add(u.feed.linger()))
	}
	add(fill, u.fillDue)
	if len(u.ahead) > 0 {
		add(tear, u.since.Add(holdTime))
	}
	add(check, u.checkDue)
	if u.ready && u.fillDue.IsZero() {
		add(probe, u.probeDue)
		if u.next != 0 {
			end := time.UnixMilli(u.series.Timeframe.Next(u.next)).Add(overdueTime)
			add(overdue, time.Now().Add(end.Sub(u.feed.Exchange.Now())))
		}
	}
	return what, at
}

// run keeps the series until nobody has read it for the time of Linger, or ctx
// ends.
func (u *upstream) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	u.mu.Lock()
	now := time.Now()
	u.fillDue, u.since = now, now
	u.mu.Unlock()
	stop := u.stream(ctx)
	defer func() { stop() }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		what, at := u.agenda()
		if ctx.Err() != nil {
			u.end()
			return
		}
		// What is due is worked out again after each wait: frames move the dates.
		if wait := time.Until(at); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
			case <-u.wake:
			case <-timer.C:
			}
			continue
		}
		dead := false
		switch what {
		case retire:
			if u.feed.retire(u) {
				u.remember()
				return
			}
		case fill:
			u.fill(ctx)
		case check:
			u.check(ctx)
		case probe:
			dead = u.probe(ctx)
		case tear:
			u.tear()
		case overdue:
			u.miss()
		case noTask:
		}
		if dead {
			stop()
			u.feed.counts.resubscribed.Add(1)
			stop = u.stream(ctx)
		}
	}
}

// stream opens the series' stream and returns what closes it and waits for that.
func (u *upstream) stream(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := u.feed.Exchange.Stream(ctx, u.series, u.frame, u.connected)
		if err != nil && ctx.Err() == nil {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.spoilLocked(fmt.Errorf("stream of %s: %w", u.series, err))
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// end tells the readers that nothing more will come.
func (u *upstream) end() {
	u.feed.mu.Lock()
	delete(u.feed.upstreams, u.series)
	u.feed.mu.Unlock()
	u.remember()
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.readers {
		s.fail(ErrStopped)
	}
	u.readers = nil
}

// remember gives what the window has to the cache, as the last good answer.
func (u *upstream) remember() {
	u.mu.Lock()
	candles, at, good := newest(u.window.Candles(), Depth), u.newest, u.ready && !u.torn
	u.mu.Unlock()
	if good && len(candles) > 0 {
		u.feed.cache.keep(u.series, candles, at)
	}
}

func (u *upstream) connected(up bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.up = up
}

func (u *upstream) emitLocked(update Update) {
	for _, s := range u.readers {
		if s.push(update) {
			u.feed.counts.overruns.Add(1)
		}
	}
}

// spoilLocked makes the series stale.
func (u *upstream) spoilLocked(err error) {
	if u.stale && u.err != nil && u.err.Error() == err.Error() {
		return
	}
	if !u.stale {
		u.feed.counts.silences.Add(1)
		if skipped, ok := u.feed.trouble.now(); ok {
			u.feed.log().Warn("market data stale", "series", u.series.String(), "error", err, "skipped_like_it", skipped)
		}
	}
	u.stale, u.err = true, err
	u.emitLocked(Update{Series: u.series, Kind: Stale, Received: time.Now(), Err: err})
}

// refreshLocked makes the series fresh again.
func (u *upstream) refreshLocked(received time.Time) {
	if u.stale {
		u.stale, u.err = false, nil
		u.emitLocked(Update{Series: u.series, Kind: Fresh, Received: received})
	}
}

// serve answers Candles from the window, if the window can.
func (u *upstream) serve(limit int) ([]market.Candle, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	candles := u.window.Candles()
	if !u.ready || u.torn || u.stale || len(u.ahead) > 0 || len(candles) < limit && !u.whole {
		return nil, false
	}
	return newest(candles, limit), true
}

func (u *upstream) state() SeriesState {
	u.mu.Lock()
	defer u.mu.Unlock()
	return SeriesState{
		Series: u.series, Connected: u.up, Since: u.began, Newest: u.newest,
		Stale: u.stale || !u.ready, Err: u.err, Readers: len(u.readers),
	}
}

// backoff returns a pause that doubles with each failure, less up to half of it
// by chance.
func backoff(tries int) time.Duration {
	bound := retryMax
	if tries < 6 {
		bound = min(bound, time.Second<<tries)
	}
	return bound - time.Duration(rand.Int64N(int64(bound/2)))
}

// Package feed turns an exchange that stutters into candles that can be relied
// on: one upstream for each series, however many read it; gaps found and filled;
// a cache for those who only want to look.
//
// # What it guarantees to a subscriber
//
// Closed candles come in the order of their open times, each once, none missing
// in between unless an update of kind Gap says so. An open candle's states may be
// skipped in favour of newer ones, never reordered. A candle is state and
// replaces the state before it; nothing is ever summed, so no volume can be
// counted twice. A candle that was closed may be corrected later by a Revised.
// Every update that says something about a whole series (Fresh, Stale, Gap)
// points at [Subscription.Snapshot], which always has everything that was
// delivered and more; candles merge by open time.
//
// A subscriber that does not read costs at most 1,000 pending updates and slows
// nobody down. Over that, it gets one Gap in their place.
//
// # How a series is kept
//
// The stream is opened first; its frames are held while the newest 1,000 candles
// are read by REST; then the held frames follow. From there on the upstream knows
// the open time of the one candle that may be delivered next. A frame of an
// earlier candle is late (duplicate or out of order: merged, counted, mostly
// dropped). A frame of a later candle means that something is missing: a skipped
// candle, or a close that never came. It is held, half a second later (frames may
// just have changed places) REST is asked, and what it returns is delivered as
// Filled before the held frames follow.
//
// REST may lag behind the stream. A candle that closed less than 2 s ago, or that
// has fewer trades than the stream has shown, is asked for again after 1, 2 and
// 4 s, then the larger state is taken. Whatever was closed by REST soon after its
// close is read once more 30 s later and corrected by a Revised if need be.
//
// While REST is out of order a hole cannot be filled. Frames are held for 30 s;
// then a Gap is delivered and the stream goes on behind it, because an alert on a
// price must not wait for a history. When REST is back the window is completed
// and a second Gap asks for the snapshot again.
//
// # Silence
//
// Ten seconds without a frame may be a quiet market or a dead stream. REST
// decides: if it knows nothing newer, the market is quiet and the next question
// comes later (up to 5 min); if it does, or cannot be asked, the series is Stale
// and its stream is opened anew. A candle whose close is overdue by 5 s of the
// exchange's time is asked for as well.
//
// # Who owns what
//
// [Feed.Run] starts and ends every goroutine: one for each upstream, one for its
// stream, one for each REST request of the cache. State of a series is guarded by
// its own mutex, in which nothing waits. An upstream begins with the first
// subscription and ends Linger after the last.
package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-ta/spark/core/market"
)

// Exchange is where candles come from.
type Exchange interface {
	// Klines returns up to limit (at most 1,000) candles by open time, oldest
	// first: without start and end (ms, 0 for none) the newest, with a start the
	// oldest from there. The last one may be open. An error that is
	// market.ErrSymbol says that the symbol is not listed; one with a method
	// RetryAfter() time.Duration says when to ask again.
	Klines(ctx context.Context, series market.Series, limit int, start, end int64) ([]market.Candle, error)

	// Stream calls frame for each state of the series' candles, and connected
	// when the connection below opens or breaks, until ctx ends. It reconnects by
	// itself. Neither function is called after it has returned.
	Stream(ctx context.Context, series market.Series, frame func(c market.Candle, received time.Time), connected func(up bool)) error

	// Now returns the exchange's time.
	Now() time.Time
}

// ErrStopped says that the feed does not run.
var ErrStopped = errors.New("market feed stopped")

// ErrSilent says that a stream brings nothing although the exchange has news.
var ErrSilent = errors.New("stream is silent")

// Depth is the number of candles kept of a series, and the most that one call of
// [Feed.Candles] returns.
const Depth = 1000

// Feed keeps series of one exchange. Set the fields before the first call.
type Feed struct {
	Exchange Exchange
	Log      *slog.Logger  // nil: nothing is logged
	Linger   time.Duration // 0: 30 s; how long an upstream outlives its last subscription

	// UpdatePeriod is how often the exchange sends the state of an open candle;
	// 0: 2 s, as Binance does. Silence is suspicious after three of them, and not
	// before 10 s.
	UpdatePeriod time.Duration

	cache   cache
	counts  counts
	invalid seldom // rejected candles
	trouble seldom // stale series

	// mu guards what follows. It is taken before an upstream's.
	mu        sync.Mutex
	running   bool
	jobs      []func(context.Context) // to be started by Run
	wake      chan struct{}           // tells Run of jobs; made when first needed
	upstreams map[market.Series]*upstream
}

func (f *Feed) log() *slog.Logger {
	if f.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return f.Log
}

func (f *Feed) linger() time.Duration {
	if f.Linger <= 0 {
		return 30 * time.Second
	}
	return f.Linger
}

// silence is the shortest silence that is looked into.
func (f *Feed) silence() time.Duration {
	period := f.UpdatePeriod
	if period <= 0 {
		period = 2 * time.Second
	}
	return max(10*time.Second, 3*period)
}

// Run keeps the subscribed series until ctx ends, and returns nil after
// everything it started has ended. Subscriptions that are open then fail with
// [ErrStopped]. One Run at a time; it may run again later.
func (f *Feed) Run(ctx context.Context) error {
	var started sync.WaitGroup
	defer started.Wait()
	f.mu.Lock()
	f.running = true
	wake := f.wakeLocked()
	f.mu.Unlock()
	for {
		f.mu.Lock()
		jobs := f.jobs
		f.jobs = nil
		ended := ctx.Err() != nil
		if ended {
			f.running = false
		}
		f.mu.Unlock()
		// Jobs that came with the end are started too: they see the ended context
		// and tell whoever waits for them.
		for _, job := range jobs {
			started.Go(func() { job(ctx) })
		}
		if ended {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
		}
	}
}

func (f *Feed) wakeLocked() chan struct{} {
	if f.wake == nil {
		f.wake = make(chan struct{}, 1)
	}
	return f.wake
}

// startLocked hands a job to Run. The caller holds mu.
func (f *Feed) startLocked(job func(context.Context)) {
	f.jobs = append(f.jobs, job)
	select {
	case f.wakeLocked() <- struct{}{}:
	default:
	}
}

// Subscribe begins to read a series. It never fails: a series that cannot be had
// delivers an update of kind Stale with the error, and is tried again. Before Run
// it waits. Close the subscription in the end.
func (f *Feed) Subscribe(series market.Series) *Subscription {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.upstreams[series]
	if u == nil {
		u = newUpstream(f, series)
		if f.upstreams == nil {
			f.upstreams = map[market.Series]*upstream{}
		}
		f.upstreams[series] = u
		f.startLocked(u.run)
	}
	return u.join()
}

// retire takes an upstream out, if nobody has joined it since it became idle.
func (f *Feed) retire(u *upstream) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.readers) > 0 {
		return false
	}
	delete(f.upstreams, u.series)
	return true
}

// State is what the feed knows of its own health.
type State struct {
	// Connected is false while any subscribed series is without a connection, or,
	// with none subscribed, when the last REST request failed.
	Connected bool
	Newest    time.Time     // when the newest data came, of any series or request; zero: never
	Series    []SeriesState // of the subscribed series, in no order
}

// SeriesState is the state of one subscribed series.
type SeriesState struct {
	Series    market.Series
	Connected bool
	Since     time.Time // when somebody first wanted it
	Newest    time.Time // when the last frame, or the last confirmation by REST, came; zero: never
	Stale     bool      // what is known is not what the exchange knows
	Err       error     // why, nil otherwise; names the symbol if it is not listed
	Readers   int
}

// Silent returns for how long nothing has come although something should have: 0
// while no series is subscribed, and no longer than a series has been.
func (s State) Silent(now time.Time) time.Duration {
	if len(s.Series) == 0 {
		return 0
	}
	last := s.Series[0].Since
	for _, one := range s.Series {
		if one.Since.Before(last) {
			last = one.Since
		}
	}
	if s.Newest.After(last) {
		last = s.Newest
	}
	return now.Sub(last)
}

// State returns the feed's state now.
func (f *Feed) State() State {
	f.mu.Lock()
	upstreams := make([]*upstream, 0, len(f.upstreams))
	for _, u := range f.upstreams {
		upstreams = append(upstreams, u)
	}
	f.mu.Unlock()
	s := State{Connected: true}
	if ns := f.counts.newest.Load(); ns != 0 {
		s.Newest = time.Unix(0, ns)
	}
	for _, u := range upstreams {
		one := u.state()
		s.Series = append(s.Series, one)
		s.Connected = s.Connected && one.Connected
	}
	if len(upstreams) == 0 {
		s.Connected = !f.counts.restDown.Load()
	}
	return s
}

// Stats are counts since the feed was made.
type Stats struct {
	Frames        int64 // frames of the streams
	Rejected      int64 // candles that cannot be true (market.Candle.Validate)
	Duplicates    int64 // frames that said nothing new
	OutOfOrder    int64 // frames older than what was known
	Gaps          int64 // times that something was missing
	GapsFilled    int64 // times that REST brought what was missing
	CandlesFilled int64 // candles closed by REST
	Revised       int64 // closed candles corrected later
	Silences      int64 // times that a series became stale
	Resubscribed  int64 // streams opened anew because they were dead
	Overruns      int64 // times that a subscriber was too slow for its queue
	Requests      int64 // calls of Klines
	RequestErrors int64 // calls of Klines that failed
	CacheHits     int64 // answers of Candles by status
	CacheMisses   int64
	CacheStales   int64
}

type counts struct {
	frames, rejected, duplicates, outOfOrder      atomic.Int64
	gaps, gapsFilled, candlesFilled, revised      atomic.Int64
	silences, resubscribed, overruns              atomic.Int64
	requests, requestErrors, hits, misses, stales atomic.Int64
	newest                                        atomic.Int64 // ns of Unix time
	restDown                                      atomic.Bool
}

// Stats returns the feed's counts.
func (f *Feed) Stats() Stats {
	n := &f.counts
	return Stats{
		Frames: n.frames.Load(), Rejected: n.rejected.Load(), Duplicates: n.duplicates.Load(),
		OutOfOrder: n.outOfOrder.Load(), Gaps: n.gaps.Load(), GapsFilled: n.gapsFilled.Load(),
		CandlesFilled: n.candlesFilled.Load(), Revised: n.revised.Load(), Silences: n.silences.Load(),
		Resubscribed: n.resubscribed.Load(), Overruns: n.overruns.Load(), Requests: n.requests.Load(),
		RequestErrors: n.requestErrors.Load(), CacheHits: n.hits.Load(), CacheMisses: n.misses.Load(),
		CacheStales: n.stales.Load(),
	}
}

// klines asks the exchange and keeps the accounts. Candles that cannot be true
// are left out.
func (f *Feed) klines(ctx context.Context, series market.Series, start int64) ([]market.Candle, error) {
	f.counts.requests.Add(1)
	rows, err := f.Exchange.Klines(ctx, series, Depth, start, 0)
	if err != nil {
		f.counts.requestErrors.Add(1)
		f.counts.restDown.Store(!errors.Is(err, market.ErrSymbol) && ctx.Err() == nil)
		return nil, err
	}
	f.counts.restDown.Store(false)
	f.counts.newest.Store(time.Now().UnixNano())
	valid := rows[:0]
	for _, c := range rows {
		if f.valid(series, c) {
			valid = append(valid, c)
		}
	}
	return valid, nil
}

// valid reports whether a candle can be true; one that cannot is counted, and
// logged at most once a minute.
func (f *Feed) valid(series market.Series, c market.Candle) bool {
	err := c.Validate(series.Timeframe)
	if err == nil {
		return true
	}
	f.counts.rejected.Add(1)
	if skipped, ok := f.invalid.now(); ok {
		f.log().Warn("candle rejected", "series", series.String(), "error", err, "skipped_like_it", skipped)
	}
	return false
}

// seldom lets one message a minute through and counts the others.
type seldom struct {
	mu      sync.Mutex
	last    time.Time
	skipped int64
}

func (s *seldom) now() (skipped int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := time.Now()
	if !s.last.IsZero() && t.Sub(s.last) < time.Minute {
		s.skipped++
		return 0, false
	}
	skipped, s.skipped, s.last = s.skipped, 0, t
	return skipped, true
}

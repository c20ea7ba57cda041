// Package scrape reads the metrics of every instance and hands them to a store, so
// that the judge of a deployment finds what was, and also what was not, observed.
//
// # A round
//
//	discover → fetch all at once → check each page whole → write → commit
//
// All samples of a round carry the round's time, whatever a page or a slow answer
// says, so that a sum over instances never mixes two moments. One goroutine writes;
// pages are fetched and parsed concurrently, each within a timeout that is shorter
// than the interval. A page counts as a whole or not at all: one bad line, one
// series that stands twice, one sample over the limit, and the target reads up=0
// with the reason kept.
//
// # What is written for a target
//
//   - up, scrape_duration_seconds and scrape_samples_scraped, in every round.
//   - Its samples, under the target's labels. A label of the page that has the name
//     of one of these becomes exported_…, again and again until it is alone.
//   - A stale marker for a series that is no longer on the page, and for all of
//     them when the scrape fails: nothing keeps its last value by being silent.
//   - A zero before the first sample of a counter (of a histogram's and a summary's
//     parts too) that appears on a target which was scraped in the round before,
//     without it. The counter was born in between, and without the zero increase()
//     would not see the errors it was born with. The zero stands at that round's
//     time; a millisecond later when a stale marker stands there. On the first
//     scrape of a target and after a failed one nobody knows what was before, and
//     nothing is made up.
//
// # Which targets
//
// Discovery says. When it fails, the last list is used, and that is counted. A
// target that is no longer listed was either leaving when it was listed last, and
// is dropped with stale markers; or it vanished, and stays up=0 for five minutes as
// the evidence of a crash. While it does, its address is left alone if another
// instance has it by now: that one's metrics are not the dead one's.
//
// # The observer itself
//
// Every round writes spark_observer_tick 1 and its like under the observer's own
// labels, also when nothing can be reached. A hole in that series is a time in which
// nobody looked, which is something else than a fleet that was down.
package scrape

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Target is one instance's metrics page.
type Target struct {
	URL string // http or https
	// Labels go to every series: job, instance, role. They are the target's
	// identity: another URL under the same labels is the same instance, moved.
	Labels map[string]string
	// Leaving is set while the instance says that it is going: when it is listed no
	// more, that was in order.
	Leaving bool
}

// Sink keeps samples. It is called by one goroutine at a time.
type Sink interface {
	// Series returns the number of the series with these labels, the same each time
	// and for as long as the sink lives.
	Series(ls labels.Labels) uint64
	// Add appends a sample; t is in ms and greater than that of the series' newest
	// sample.
	Add(series uint64, t int64, v float64) error
	// Commit makes the samples since the last call durable and visible.
	Commit() error
}

// ErrNotLater is returned by [Scraper.Round] for a time that is not after the round
// before, as when the wall clock was set back. Nothing is written.
var ErrNotLater = errors.New("the round's time is not after the round before")

// Scraper scrapes. Set the exported fields before the first call and leave them;
// Discover, Sink, Client and Log are required.
type Scraper struct {
	// Discover returns the targets that should exist. It is given 2 s.
	Discover func(ctx context.Context) ([]Target, error)
	Sink     Sink
	// Client brings the roots and certificates. Its redirect policy is not used:
	// a redirect is a failure. Its timeout, if any, is an upper limit.
	Client *http.Client
	Log    *slog.Logger
	// Self are the labels of the observer's own series.
	Self map[string]string

	Interval   time.Duration // between rounds; 0 means 15 s
	Timeout    time.Duration // of one target; 0 means a third of the interval
	Keep       time.Duration // how long a vanished target stays up=0; 0 means 5 min
	MaxBody    int64         // bytes of a page, unpacked; 0 means 8 MiB
	MaxSamples int           // on a page; 0 means 20,000
	MaxTargets int           // listed ones beyond are ignored and reported; 0 means 256

	turn    sync.Mutex // held by a round, guards what follows
	targets []*target  // in the order in which they were first seen
	gone    []*target  // dropped, with markers to be written
	self    *own
	last    int64 // time of the last round, ms
	counts  counts

	mu    sync.Mutex
	state State // guarded by mu
}

// counts are what a scraper counts from its start.
type counts struct {
	rounds, late, undiscovered, refused int64
	discovery                           string // the last failure, "" after a success
	ignored                             []string
}

// State is what a scraper knows after a round. Texts are safe to show and hold no
// secrets.
type State struct {
	At       time.Time     // of the last round; zero before the first
	Took     time.Duration // by the last round
	Rounds   int64
	Late     int64 // rounds that began over half an interval late
	Refused  int64 // samples that the sink did not take
	NotFound int64 // rounds in which discovery failed
	// Discovery is why discovery failed in the last round.
	Discovery string
	// Ignored says for each listed target that is not scraped why not.
	Ignored []string
	Targets []TargetState
}

// TargetState is the last round of one target.
type TargetState struct {
	URL      string // without credentials and query
	Labels   map[string]string
	Up       bool
	Vanished bool // no longer listed, kept as evidence
	Error    string
	At       time.Time
	Took     time.Duration
	Samples  int
}

// State returns what the last round found. It never waits for a round.
func (s *Scraper) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Run makes a round at once and then one every interval until ctx ends, and returns
// nil. What goes wrong in a round is logged; the next may be better.
func (s *Scraper) Run(ctx context.Context) error {
	tick := time.NewTicker(s.interval())
	defer tick.Stop()
	for {
		if err := s.Round(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.Log.Error("scrape round incomplete", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Scraper) interval() time.Duration { return or(s.Interval, 15*time.Second) }

func (s *Scraper) timeout() time.Duration { return or(s.Timeout, s.interval()/3) }

func or[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

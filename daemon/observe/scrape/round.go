package scrape

import (
	"context"
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/value"

	"github.com/spark-ta/spark/core/wire"
)

// stale is the marker after which a series has no value.
func stale() float64 { return math.Float64frombits(value.StaleNaN) }

// Round scrapes every target once and writes what it found at the time now, in ms.
// It returns when all is committed: by the timeout of a target plus 2 s for
// discovery at the latest. Its error is the sink's, or [ErrNotLater], or that of ctx,
// in which case nothing was written; a target that fails is no error.
func (s *Scraper) Round(ctx context.Context, now time.Time) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	at := now.UnixMilli()
	if at <= s.last {
		return fmt.Errorf("%w: %d ms after %d ms", ErrNotLater, at, s.last)
	}
	began := time.Now()
	listed, err := s.discover(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.list(listed, err, at)
	pages := s.fetchAll(ctx)
	if ctx.Err() != nil {
		return ctx.Err() // what is missing now says nothing about the targets
	}
	w := &writer{sink: s.Sink, at: at}
	for _, t := range s.gone {
		t.leave(w)
	}
	s.gone = nil
	for i, t := range s.targets {
		up := t.up
		t.take(w, pages[i], s.last)
		s.tell(t, up)
	}
	s.count(at)
	took := time.Since(began)
	s.observe(w, took)
	err = w.commit()
	s.last = at
	s.counts.refused += w.refused
	s.publish(now, took)
	return err
}

// discoverTimeout is short: while the registry hangs, every round waits for it.
const discoverTimeout = 2 * time.Second

func (s *Scraper) discover(ctx context.Context) ([]Target, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	return s.Discover(ctx)
}

// fetchAll returns a page for each target.
func (s *Scraper) fetchAll(ctx context.Context) []page {
	client := *s.Client
	client.CheckRedirect = lastResponse
	limits := limits{
		timeout: s.timeout(), body: or(s.MaxBody, 8<<20), samples: or(s.MaxSamples, 20000),
	}
	pages := make([]page, len(s.targets))
	var all sync.WaitGroup
	for i, t := range s.targets {
		all.Go(func() { pages[i] = t.fetch(ctx, &client, limits) })
	}
	all.Wait()
	return pages
}

// count keeps the books of the round at the time at.
func (s *Scraper) count(at int64) {
	s.counts.rounds++
	if every := s.interval().Milliseconds(); s.last != 0 && at-s.last > every+every/2 {
		s.counts.late++
	}
}

// tell logs a target whose state has changed.
func (s *Scraper) tell(t *target, before bool) {
	switch {
	case t.up && !before:
		s.Log.Info("target is up", "instance", t.name())
	case !t.up && (before || t.rounds == 1):
		s.Log.Warn("target is down", "instance", t.name(), "reason", t.reason)
	}
}

func (s *Scraper) publish(now time.Time, took time.Duration) {
	st := State{
		At: now, Took: took, Rounds: s.counts.rounds, Late: s.counts.late,
		Refused: s.counts.refused, NotFound: s.counts.undiscovered,
		Discovery: s.counts.discovery, Ignored: s.counts.ignored,
	}
	for _, t := range s.targets {
		st.Targets = append(st.Targets, TargetState{
			URL: shown(t.URL), Labels: maps.Clone(t.Labels), Up: t.up, Vanished: t.vanished != 0,
			Error: t.reason, At: now, Took: t.took, Samples: t.samples,
		})
	}
	s.mu.Lock()
	s.state = st
	s.mu.Unlock()
}

// own are the observer's own series.
type own struct {
	tick, targets, duration, late, discovery *series
}

// observe writes the observer's own series.
func (s *Scraper) observe(w *writer, took time.Duration) {
	if s.self == nil {
		self := base(s.Self)
		s.self = &own{
			tick: named(self, wire.SeriesTick), targets: named(self, wire.SeriesTargets), duration: named(self, wire.SeriesRound),
			late: named(self, wire.SeriesLateRounds), discovery: named(self, wire.SeriesUndiscovered),
		}
	}
	w.put(s.self.tick, 1)
	w.put(s.self.targets, float64(len(s.targets)))
	w.put(s.self.duration, took.Seconds())
	w.put(s.self.late, float64(s.counts.late))
	w.put(s.self.discovery, float64(s.counts.undiscovered))
}

// writer writes the samples of one round. It goes on after an error: one series
// that the sink refuses must not cost the others their sample.
type writer struct {
	sink    Sink
	at      int64
	refused int64
	first   error
}

// put writes v at the round's time.
func (w *writer) put(s *series, v float64) { w.putAt(s, w.at, v) }

func (w *writer) putAt(s *series, at int64, v float64) {
	if !s.known {
		s.id, s.known = w.sink.Series(s.labels), true
	}
	if err := w.sink.Add(s.id, at, v); err != nil {
		w.refused++
		if w.first == nil {
			w.first = fmt.Errorf("sample of %s: %w", s.labels, err)
		}
	}
}

func (w *writer) commit() error {
	if err := w.sink.Commit(); err != nil {
		return fmt.Errorf("commit of a round: %w", err)
	}
	return w.first
}

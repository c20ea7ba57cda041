package sample

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/record"
)

// Errors of Add and Commit.
var (
	// ErrOutOfOrder refuses a sample that is not newer than the last of its series.
	ErrOutOfOrder = errors.New("sample is not newer than the last of its series")
	// ErrUnknownSeries refuses a handle that Series never returned.
	ErrUnknownSeries = errors.New("no such series")
	// ErrBacklog refuses samples while a million of them wait for a disk that takes
	// none.
	ErrBacklog = errors.New("too many samples wait for the disk")
	// ErrClosed is the answer of a store after Close.
	ErrClosed = errors.New("store of samples is closed")
)

const (
	backlog     = 1 << 20          // samples
	retainEvery = 10 * time.Minute // of sample time
)

// Options of a store.
type Options struct {
	// Dir is a data directory as Prometheus has it; the log is Dir/wal. It is made
	// when it is missing, and belongs to one store at a time. "" keeps everything in
	// memory only, for rehearsals.
	Dir string
	Log *slog.Logger // nil means none
	// Interval is the time between two scrapes, 0 means 15 s. It is the step of a
	// sub-query that names none, and three of it are the look-back.
	Interval time.Duration
	// Keep is how much stays before the newest sample; 0 means 72 h.
	Keep time.Duration
}

// Store keeps samples. One goroutine at a time adds and commits; any number query.
type Store struct {
	opt  Options
	view atomic.Pointer[view]

	refused atomic.Uint64
	held    atomic.Int64 // ms; samples from here on stay

	mu       sync.Mutex // guards all below, and the order of commits
	closed   bool
	log      *journal // nil: memory only
	labels   []labels.Labels
	states   []state
	byHash   map[uint64][]uint32
	nextRef  uint64
	pending  []record.RefSample // Ref is the index of the series
	newest   int64              // ms, of committed samples
	retained int64              // newest when retain last ran
	seal     sealer
	entries  []record.RefSeries
	batch    []record.RefSample
}

// state is what the writer knows of a series.
type state struct {
	ref    uint64 // in the log
	last   int64  // ms, newest sample, pending ones included
	logged bool   // the log has its labels
	named  bool   // views know it
}

// Open returns a store with everything that was committed in Dir.
func Open(opt Options) (*Store, error) {
	if opt.Log == nil {
		opt.Log = quiet()
	}
	if opt.Interval == 0 {
		opt.Interval = 15 * time.Second
	}
	if opt.Keep == 0 {
		opt.Keep = 72 * time.Hour
	}
	s := &Store{opt: opt, byHash: map[uint64][]uint32{}, newest: math.MinInt64, retained: math.MinInt64}
	s.held.Store(math.MaxInt64)
	if opt.Dir == "" {
		s.view.Store(emptyView())
		return s, nil
	}
	in := newReplay(s)
	log, err := openJournal(opt.Dir, opt.Log, in.record)
	if err != nil {
		return nil, err
	}
	s.log = log
	s.view.Store(in.finish())
	return s, nil
}

// Series returns the handle of a series for Add. A series that has no sample yet is
// neither logged nor found by queries.
func (s *Store) Series(ls labels.Labels) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(s.index(ls, 0)) + 1
}

// index finds or makes a series. ref is its number in the log, 0 for the next one.
func (s *Store) index(ls labels.Labels, ref uint64) uint32 {
	h := ls.Hash()
	for _, i := range s.byHash[h] {
		if labels.Equal(s.labels[i], ls) {
			return i
		}
	}
	if ref == 0 {
		ref = s.nextRef + 1
	}
	s.nextRef = max(s.nextRef, ref)
	i := uint32(len(s.states))
	s.labels = append(s.labels, ls.Copy()) // the caller may go on to use its buffer
	s.states = append(s.states, state{ref: ref, last: math.MinInt64})
	s.byHash[h] = append(s.byHash[h], i)
	return i
}

// Add takes one sample: t in ms since 1970, v any float; value.StaleNaN ends the
// series for queries from t on. The sample is neither durable nor visible before
// Commit. Errors are ErrOutOfOrder, which is counted, ErrUnknownSeries, ErrBacklog
// and ErrClosed; a refused sample leaves the others as they are.
func (s *Store) Add(series uint64, t int64, v float64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case series == 0 || series > uint64(len(s.states)):
		return ErrUnknownSeries
	case len(s.pending) >= backlog:
		return ErrBacklog
	}
	st := &s.states[series-1]
	if t <= st.last {
		s.refused.Add(1)
		return ErrOutOfOrder
	}
	st.last = t
	s.pending = append(s.pending, record.RefSample{Ref: chunks.HeadSeriesRef(series - 1), T: t, V: v})
	return nil
}

// Commit makes every sample added since the last one durable, with one fsync, and
// then visible, all at once. After an error none is visible, none is lost, and the
// next Commit tries again; they may be on the disk already.
func (s *Store) Commit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if len(s.pending) == 0 {
		return nil
	}
	if s.log != nil {
		if err := s.write(); err != nil {
			return err
		}
	}
	s.publish()
	s.pending = s.pending[:0]
	if s.newest-s.retained >= retainEvery.Milliseconds() || s.retained == math.MinInt64 {
		s.retained = s.newest
		if err := s.retain(); err != nil {
			// The samples are safe; only old ones stay longer than they should.
			s.opt.Log.Warn("samples: retention", slog.Any("err", err))
		}
	}
	return nil
}

// write logs what is pending, with the labels of series that the log has not seen.
func (s *Store) write() error {
	s.entries, s.batch = s.entries[:0], s.batch[:0]
	var fresh []*state
	for _, p := range s.pending {
		st := &s.states[p.Ref]
		if !st.logged {
			st.logged = true
			fresh = append(fresh, st)
			s.entries = append(s.entries, record.RefSeries{Ref: chunks.HeadSeriesRef(st.ref), Labels: s.labels[p.Ref]})
		}
		s.batch = append(s.batch, record.RefSample{Ref: chunks.HeadSeriesRef(st.ref), T: p.T, V: p.V})
	}
	err := s.log.write(s.entries, s.batch)
	if err != nil {
		for _, st := range fresh {
			st.logged = false
		}
	}
	return err
}

// publish moves what is pending into a new view.
func (s *Store) publish() {
	old := s.view.Load()
	next := &view{
		labels: s.labels, columns: make([]column, len(s.states)), names: old.names,
		samples: old.samples + uint64(len(s.pending)), chunkBytes: old.chunkBytes, first: old.first, last: old.last,
	}
	copy(next.columns, old.columns)
	var born []uint32
	for _, p := range s.pending {
		i := uint32(p.Ref)
		if st := &s.states[i]; !st.named {
			st.named = true
			born = append(born, i)
		}
		c := &next.columns[i]
		n := len(c.chunks)
		c.push(Point{T: p.T, V: p.V}, &s.seal, false)
		if len(c.chunks) > n {
			next.chunkBytes += int64(len(c.chunks[n].data))
		}
		next.first, next.last = min(next.first, p.T), max(next.last, p.T)
	}
	if len(born) > 0 {
		next.names = withNames(old.names, s.labels, born)
	}
	s.newest = next.last
	s.view.Store(next)
}

// Hold keeps every sample from the given time on, whatever its age; the zero time
// ends that. Hold is not remembered: whoever opens a store says it again, before the
// first Commit.
func (s *Store) Hold(from time.Time) {
	if from.IsZero() {
		s.held.Store(math.MaxInt64)
		return
	}
	s.held.Store(from.UnixMilli())
}

// retain drops what is older than it must be.
func (s *Store) retain() error {
	cutoff := min(s.newest-s.opt.Keep.Milliseconds(), s.held.Load())
	old := s.view.Load()
	if old.first >= cutoff {
		return nil
	}
	next := *old
	next.columns = slices.Clone(old.columns)
	next.first, next.chunkBytes = math.MaxInt64, 0
	for i := range next.columns {
		c := &next.columns[i]
		next.samples -= c.drop(cutoff)
		for _, k := range c.chunks {
			next.chunkBytes += int64(len(k.data))
		}
		if first, _, ok := c.bounds(); ok {
			next.first = min(next.first, first)
		}
	}
	s.view.Store(&next)
	if s.log == nil {
		return nil
	}
	byRef := make(map[uint64]int, len(s.states))
	for i := range s.states {
		byRef[s.states[i].ref] = i
	}
	return s.log.retain(cutoff, func(ref uint64) bool {
		i, ok := byRef[ref]
		if !ok {
			return false
		}
		_, _, alive := next.columns[i].bounds()
		// A series whose labels go is logged again before its next sample.
		s.states[i].logged = alive
		return alive
	})
}

// Stats describes a store.
type Stats struct {
	Series      int       // with a sample
	Samples     uint64    // kept
	Refused     uint64    // since Open
	First, Last time.Time // zero when there is no sample
	Disk        int64     // bytes
	Memory      int64     // bytes, estimated: samples and labels
}

// Stats returns the state as of the last commit.
func (s *Store) Stats() Stats {
	v := s.view.Load()
	st := Stats{Samples: v.samples, Refused: s.refused.Load(), Memory: v.chunkBytes}
	for i := range v.columns {
		c := &v.columns[i]
		if _, _, ok := c.bounds(); ok {
			st.Series++
		}
		// 40 bytes describe a chunk, 48 a column, and labels are held three times:
		// as such, by name and by hash.
		st.Memory += int64(cap(c.head))*16 + int64(cap(c.chunks))*40 + 48 + int64(v.labels[i].ByteSize()) + 100
	}
	if v.samples > 0 {
		st.First, st.Last = time.UnixMilli(v.first).UTC(), time.UnixMilli(v.last).UTC()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log != nil && !s.closed {
		st.Disk = s.log.size()
	}
	return st
}

// Close gives up samples that were not committed and lets go of the directory.
// Queries go on to work.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.pending = nil
	if s.log == nil {
		return nil
	}
	if err := s.log.close(); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	return nil
}

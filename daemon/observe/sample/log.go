package sample

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/fileutil"
	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/compression"
)

const (
	// walName is where Prometheus looks for the log in its data directory.
	walName = "wal"
	// segmentBytes is how many bytes of records, before compression, go into a
	// segment: about six hours of 500 series. Retention works by segments.
	segmentBytes = 6 << 20
	// largestSegment is wlog's own limit. It is never reached, because a change of
	// segment that wlog decides on is not synced in step with ours.
	largestSegment = wlog.DefaultSegmentSize
)

// segment is a file of the log.
type segment struct {
	index int
	last  int64 // newest sample, ms
}

// journal is the write-ahead log. It belongs to the store's mutex.
type journal struct {
	dir    string // …/wal
	log    *slog.Logger
	lock   fileutil.Releaser
	wl     *wlog.WL
	noSync bool // benchmarks only

	closed  []segment // readable segments before the active one
	active  segment
	written int  // bytes of records in the active segment
	broken  bool // the last write failed

	enc           record.Encoder
	series, batch []byte
}

// openJournal hands every whole record of the log to each, in order, cuts what is
// damaged, and begins a new segment. each returns the time of the newest sample in
// the record.
func openJournal(dir string, log *slog.Logger, each func(rec []byte) (last int64, err error)) (*journal, error) {
	j := &journal{dir: filepath.Join(dir, walName), log: log}
	if err := os.MkdirAll(j.dir, 0o750); err != nil {
		return nil, err
	}
	lock, _, err := fileutil.Flock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("samples in %s are in use: %w", dir, err)
	}
	j.lock = lock
	if err := j.begin(each); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return j, nil
}

// quiet is handed to wlog, whose words are not ours.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (j *journal) begin(each func(rec []byte) (int64, error)) error {
	if err := errors.Join(wlog.DeleteTempCheckpoints(quiet(), j.dir), sweep(j.dir)); err != nil {
		return err
	}
	next := 0
	switch dir, index, err := wlog.LastCheckpoint(j.dir); {
	case errors.Is(err, record.ErrNotFound):
	case err != nil:
		return err
	default:
		if _, err := j.readAll(dir, 0, each); err != nil {
			return err
		}
		next = index + 1
	}
	closed, err := j.readAll(j.dir, next, each)
	if err != nil {
		return err
	}
	j.closed = closed
	if j.wl, err = wlog.NewSize(quiet(), nil, j.dir, largestSegment, compression.Snappy); err != nil {
		return err
	}
	_, last, err := wlog.Segments(j.dir)
	if err != nil {
		return errors.Join(err, j.wl.Close())
	}
	j.active = segment{index: last, last: math.MinInt64}
	return syncDir(j.dir)
}

// readAll reads the segments of dir from index first on.
func (j *journal) readAll(dir string, first int, each func(rec []byte) (int64, error)) ([]segment, error) {
	lo, hi, err := wlog.Segments(dir)
	if err != nil {
		return nil, fmt.Errorf("samples in %s: %w", dir, err)
	}
	var out []segment
	for i := max(lo, first); i <= hi; i++ {
		last, err := j.readSegment(dir, i, each)
		if err != nil {
			return nil, err
		}
		out = append(out, segment{index: i, last: last})
	}
	return out, nil
}

// readSegment reads one segment and repairs it where it is damaged.
func (j *journal) readSegment(dir string, index int, each func(rec []byte) (int64, error)) (last int64, err error) {
	name := wlog.SegmentName(dir, index)
	last = math.MinInt64
	s, err := wlog.OpenReadSegment(name)
	if err != nil {
		return 0, err
	}
	in := wlog.NewSegmentBufReader(s)
	defer in.Close()
	r := wlog.NewReader(in)
	good, bad := int64(0), error(nil)
	for r.Next() {
		t, err := each(r.Record())
		if err != nil {
			bad = err
			break
		}
		last = max(last, t)
		good = r.Offset()
	}
	if bad == nil {
		bad = r.Err()
	}
	if bad == nil {
		return last, nil
	}
	// A disk that does not answer is no reason to cut anything.
	if _, ok := errors.AsType[*fs.PathError](bad); ok {
		return 0, fmt.Errorf("samples: %w", bad)
	}
	err = j.repair(name, good, bad, func(rec []byte) bool {
		t, err := each(rec)
		last = max(last, t)
		return err == nil
	})
	return last, err
}

// write makes the records durable. After an error nothing is known about what the
// disk has: the same records may be written again, and reading takes each sample
// once.
func (j *journal) write(series []record.RefSeries, samples []record.RefSample) error {
	if j.broken {
		if err := j.mend(); err != nil {
			return fmt.Errorf("samples: log not mended: %w", err)
		}
	}
	err := j.append(series, samples)
	if err != nil {
		j.broken = true
		return fmt.Errorf("samples: %w", err)
	}
	return nil
}

func (j *journal) append(series []record.RefSeries, samples []record.RefSample) error {
	if j.written > segmentBytes {
		if err := j.nextSegment(); err != nil {
			return err
		}
	}
	recs := make([][]byte, 0, 2)
	if len(series) > 0 {
		j.series = j.enc.Series(series, j.series[:0])
		recs = append(recs, j.series)
	}
	if len(samples) > 0 {
		j.batch = j.enc.Samples(samples, j.batch[:0])
		recs = append(recs, j.batch)
	}
	if err := j.wl.Log(recs...); err != nil {
		return err
	}
	for _, r := range recs {
		j.written += len(r)
	}
	for i := range samples {
		j.active.last = max(j.active.last, samples[i].T)
	}
	if j.noSync {
		return nil
	}
	return j.wl.Sync()
}

// nextSegment closes the active segment, synced, and begins another.
func (j *journal) nextSegment() error {
	index, err := j.wl.NextSegmentSync()
	if err != nil {
		return err
	}
	j.closed = append(j.closed, j.active)
	j.active, j.written = segment{index: index, last: math.MinInt64}, 0
	return syncDir(j.dir)
}

// mend leaves the segment whose write failed, and cuts it behind its last whole
// record: wlog may have written the beginning of a record that never ends, and
// Prometheus would throw away every segment after it.
func (j *journal) mend() error {
	left := j.active.index
	if err := j.nextSegment(); err != nil {
		return err
	}
	last, err := j.readSegment(j.dir, left, lastSample)
	if err != nil {
		return err
	}
	j.closed[len(j.closed)-1].last = last
	j.broken = false
	return nil
}

// lastSample returns the newest time in a record, and an error when the record
// cannot be decoded.
func lastSample(rec []byte) (int64, error) {
	last := int64(math.MinInt64)
	dec := record.NewDecoder(nil, quiet())
	switch dec.Type(rec) {
	case record.Samples, record.SamplesV2:
		samples, err := dec.Samples(rec, nil)
		for i := range samples {
			last = max(last, samples[i].T)
		}
		return last, err
	}
	return last, nil
}

// retain removes the segments whose samples are all older than cutoff. keep tells
// which series are still needed.
func (j *journal) retain(cutoff int64, keep func(ref uint64) bool) error {
	n := 0
	for n < len(j.closed) && j.closed[n].last < cutoff {
		n++
	}
	if n == 0 || j.broken {
		return nil
	}
	first, last := j.closed[0].index, j.closed[n-1].index
	_, err := wlog.Checkpoint(quiet(), j.wl, first, last, func(id chunks.HeadSeriesRef) bool { return keep(uint64(id)) }, cutoff, false, false)
	if err != nil {
		return fmt.Errorf("samples: checkpoint: %w", err)
	}
	// From here on the segments are not read again, whether or not they are gone.
	j.closed = j.closed[n:]
	if err := j.wl.Truncate(last + 1); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	if err := wlog.DeleteCheckpoints(j.dir, last); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	return nil
}

// size returns the bytes on disk.
func (j *journal) size() int64 {
	n, err := j.wl.Size()
	if err != nil {
		return 0 // a file went away while it was counted
	}
	return n
}

func (j *journal) close() error {
	return errors.Join(j.wl.Close(), j.lock.Release())
}

// syncDir makes the names of new files durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

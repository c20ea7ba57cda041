package sample

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"math"

	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/record"
)

// replay builds a view from the records of a log. Nobody else sees its columns, so
// that heads are used again.
type replay struct {
	store   *Store
	columns []column
	refs    map[chunks.HeadSeriesRef]uint32
	dec     record.Decoder
	series  []record.RefSeries
	samples []record.RefSample

	orphans, repeated int // samples without labels, and those read before
}

func newReplay(s *Store) *replay {
	return &replay{store: s, refs: map[chunks.HeadSeriesRef]uint32{}, dec: record.NewDecoder(nil, quiet())}
}

// record takes one record and returns the time of its newest sample.
func (r *replay) record(rec []byte) (last int64, err error) {
	last = math.MinInt64
	switch r.dec.Type(rec) {
	case record.Series:
		if !wellFormed(rec) {
			return last, errors.New("series record that cannot be")
		}
		if r.series, err = r.dec.Series(rec, r.series[:0]); err != nil {
			return last, err
		}
		for _, e := range r.series {
			i := r.store.index(e.Labels, uint64(e.Ref))
			r.store.states[i].logged = true
			r.refs[e.Ref] = i
		}
	case record.Samples, record.SamplesV2:
		if r.samples, err = r.dec.Samples(rec, r.samples[:0]); err != nil {
			return last, err
		}
		r.columns = append(r.columns, make([]column, len(r.store.states)-len(r.columns))...)
		for _, p := range r.samples {
			last = max(last, p.T)
			i, ok := r.refs[p.Ref]
			if !ok {
				r.orphans++
				continue
			}
			st := &r.store.states[i]
			if p.T <= st.last {
				r.repeated++ // a write that was tried again
				continue
			}
			st.last = p.T
			r.columns[i].push(Point{T: p.T, V: p.V}, &r.store.seal, true)
		}
	}
	return last, nil // other records are none of ours
}

// finish returns the view.
func (r *replay) finish() *view {
	if r.orphans > 0 || r.repeated > 0 {
		r.store.opt.Log.Info("samples: not all of the log was used",
			slog.Int("without_series", r.orphans), slog.Int("repeated", r.repeated))
	}
	v := emptyView()
	v.labels = r.store.labels
	v.columns = append(r.columns, make([]column, len(r.store.states)-len(r.columns))...)
	var born []uint32
	for i := range v.columns {
		c := &v.columns[i]
		first, last, ok := c.bounds()
		if !ok {
			continue
		}
		v.first, v.last = min(v.first, first), max(v.last, last)
		v.samples += uint64(len(c.chunks)*perChunk + len(c.head))
		for _, k := range c.chunks {
			v.chunkBytes += int64(len(k.data))
		}
		r.store.states[i].named = true
		born = append(born, uint32(i))
	}
	v.names = withNames(v.names, v.labels, born)
	r.store.newest = v.last
	return v
}

// wellFormed walks through a series record. The decoder believes the number of
// labels that a record claims, and would add labels until memory ends.
func wellFormed(rec []byte) bool {
	b := rec[1:]
	for len(b) > 0 {
		if len(b) < 8 {
			return false
		}
		b = b[8:]
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b))/2 {
			return false
		}
		b = b[w:]
		for range 2 * n {
			l, w := binary.Uvarint(b)
			if w <= 0 || l > uint64(len(b)-w) {
				return false
			}
			b = b[uint64(w)+l:]
		}
	}
	return true
}

package sample

import (
	"context"
	"maps"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// Querier returns what the engine reads from: the last commit, for as long as the
// query runs.
func (s *Store) Querier(mint, maxt int64) (storage.Querier, error) {
	return &reader{view: s.view.Load(), from: mint, to: maxt}, nil
}

// reader is a storage.Querier over one view.
type reader struct {
	view     *view
	from, to int64 // ms, both included
}

func (r *reader) Close() error { return nil }

func (r *reader) Select(_ context.Context, sortSeries bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	from, to := r.from, r.to
	if hints != nil {
		from, to = hints.Start, hints.End
	}
	set := &selection{}
	sorted := r.view.match(from, to, matchers, func(i uint32) {
		c := r.view.columns[i]
		// The engine begins with the first sample, and a chunk that ends before the
		// window would be decompressed for nothing.
		k := sort.Search(len(c.chunks), func(k int) bool { return c.chunks[k].last >= from })
		c.chunks = c.chunks[k:]
		set.lines = append(set.lines, line{labels: r.view.labels[i], column: c})
	})
	if sortSeries && !sorted {
		slices.SortFunc(set.lines, func(a, b line) int { return labels.Compare(a.labels, b.labels) })
	}
	return set
}

func (r *reader) LabelValues(_ context.Context, name string, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	seen := map[string]bool{}
	r.view.match(r.from, r.to, matchers, func(i uint32) {
		if v := r.view.labels[i].Get(name); v != "" {
			seen[v] = true
		}
	})
	return limited(seen, hints), nil, nil
}

func (r *reader) LabelNames(_ context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	seen := map[string]bool{}
	r.view.match(r.from, r.to, matchers, func(i uint32) {
		r.view.labels[i].Range(func(l labels.Label) { seen[l.Name] = true })
	})
	return limited(seen, hints), nil, nil
}

func limited(seen map[string]bool, hints *storage.LabelHints) []string {
	all := slices.Sorted(maps.Keys(seen))
	if hints != nil && hints.Limit > 0 && len(all) > hints.Limit {
		all = all[:hints.Limit]
	}
	return all
}

// selection is a storage.SeriesSet.
type selection struct {
	lines []line
	next  int
}

func (s *selection) Next() bool {
	s.next++
	return s.next <= len(s.lines)
}
func (s *selection) At() storage.Series              { return &s.lines[s.next-1] }
func (*selection) Err() error                        { return nil }
func (*selection) Warnings() annotations.Annotations { return nil }

// line is a storage.Series.
type line struct {
	labels labels.Labels
	column column
}

func (l *line) Labels() labels.Labels { return l.labels }

func (l *line) Iterator(used chunkenc.Iterator) chunkenc.Iterator {
	it, ok := used.(*iterator)
	if !ok {
		it = &iterator{}
	}
	it.reset(l.column)
	return it
}

// iterator walks through a column: the chunks, then the head.
type iterator struct {
	column
	chunk int  // index of the present chunk; len(chunks) in the head
	open  bool // xor reads the present chunk
	point int  // index in the head of the next point
	t     int64
	v     float64
	valid bool // t and v are the present sample
	err   error

	data chunkenc.XORChunk
	xor  chunkenc.Iterator
}

func (it *iterator) reset(c column) {
	it.column, it.chunk, it.open, it.point, it.valid, it.err = c, 0, false, 0, false, nil
}

// Next goes to the following sample.
func (it *iterator) Next() chunkenc.ValueType {
	it.valid = false
	for it.chunk < len(it.chunks) {
		if !it.open {
			it.data.Reset(it.chunks[it.chunk].data)
			it.xor = it.data.Iterator(it.xor)
			it.open = true
		}
		if it.xor.Next() != chunkenc.ValNone {
			it.t, it.v = it.xor.At()
			it.valid = true
			return chunkenc.ValFloat
		}
		if it.err = it.xor.Err(); it.err != nil {
			return chunkenc.ValNone
		}
		it.chunk++
		it.open = false
	}
	if it.point == len(it.head) {
		return chunkenc.ValNone
	}
	p := it.head[it.point]
	it.point++
	it.t, it.v, it.valid = p.T, p.V, true
	return chunkenc.ValFloat
}

// A stamp is a time in ms. It is an alias, and not int64 in the signature of Seek,
// because the check stdmethods of go vet takes every Seek(int64) for io.Seeker's.
type stamp = int64

// Seek goes to the first sample at or after t, never back.
func (it *iterator) Seek(t stamp) chunkenc.ValueType {
	if it.valid && it.t >= t {
		return chunkenc.ValFloat
	}
	if it.chunk < len(it.chunks) && it.chunks[it.chunk].last < t {
		rest := it.chunks[it.chunk:]
		it.chunk += sort.Search(len(rest), func(k int) bool { return rest[k].last >= t })
		it.open = false
	}
	if it.chunk == len(it.chunks) {
		rest := it.head[it.point:]
		it.point += sort.Search(len(rest), func(k int) bool { return rest[k].T >= t })
		return it.Next()
	}
	for {
		if kind := it.Next(); kind == chunkenc.ValNone || it.t >= t {
			return kind
		}
	}
}

func (it *iterator) At() (int64, float64) { return it.t, it.v }
func (it *iterator) AtT() int64           { return it.t }
func (*iterator) AtST() int64             { return 0 }
func (it *iterator) Err() error           { return it.err }

// AtHistogram is never called: every sample is a float.
func (it *iterator) AtHistogram(*histogram.Histogram) (int64, *histogram.Histogram) {
	return it.t, nil
}

// AtFloatHistogram is never called: every sample is a float.
func (it *iterator) AtFloatHistogram(*histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	return it.t, nil
}

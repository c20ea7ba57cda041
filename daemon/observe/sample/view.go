package sample

import (
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// perChunk is how many samples a chunk holds: an hour of scrapes. Fewer compress
// worse, more make a seek slower.
const perChunk = 240

// chunk is sealed: nobody writes to it any more.
type chunk struct {
	first, last int64 // ms
	data        []byte
}

// column is one series in one view. The writer appends to both slices behind the
// lengths that views hold.
type column struct {
	chunks []chunk
	head   []Point
}

// bounds returns the times of the oldest and the newest sample.
func (c *column) bounds() (first, last int64, ok bool) {
	switch {
	case len(c.chunks) > 0 && len(c.head) > 0:
		return c.chunks[0].first, c.head[len(c.head)-1].T, true
	case len(c.chunks) > 0:
		return c.chunks[0].first, c.chunks[len(c.chunks)-1].last, true
	case len(c.head) > 0:
		return c.head[0].T, c.head[len(c.head)-1].T, true
	}
	return 0, 0, false
}

// push appends a point. A full head is sealed first; owned says that no view holds
// it, so that its memory can be used again.
func (c *column) push(p Point, x *sealer, owned bool) {
	if len(c.head) == perChunk {
		c.chunks = append(c.chunks, x.seal(c.head))
		if owned {
			c.head = c.head[:0]
		} else {
			c.head = make([]Point, 0, perChunk)
		}
	}
	if len(c.head) == cap(c.head) {
		// Most series live for long; those that do not should cost little.
		grown := make([]Point, len(c.head), min(perChunk, max(15, 4*cap(c.head))))
		copy(grown, c.head)
		c.head = grown
	}
	c.head = append(c.head, p)
}

// drop forgets chunks that end before cutoff, and a head that does. It returns the
// number of samples that went.
func (c *column) drop(cutoff int64) uint64 {
	n := 0
	for n < len(c.chunks) && c.chunks[n].last < cutoff {
		n++
	}
	gone := uint64(n) * perChunk
	if n > 0 {
		c.chunks = slices.Clone(c.chunks[n:]) // the old array would hold on to the data
	}
	if k := len(c.head); k > 0 && len(c.chunks) == 0 && c.head[k-1].T < cutoff {
		gone += uint64(k)
		c.head = nil
	}
	return gone
}

// sealer compresses heads. It keeps its buffer between calls.
type sealer struct {
	buf []byte
}

func (x *sealer) seal(points []Point) chunk {
	var c chunkenc.XORChunk
	c.Reset(append(x.buf[:0], 0, 0)) // the header: no samples yet
	app, err := c.Appender()
	if err != nil {
		panic(err) // of an empty chunk: cannot be
	}
	for _, p := range points {
		app.Append(0, p.T, p.V)
	}
	x.buf = c.Bytes()
	return chunk{first: points[0].T, last: points[len(points)-1].T, data: slices.Clone(x.buf)}
}

// view is the store as of one commit. Nothing in it changes.
type view struct {
	labels  []labels.Labels     // by handle-1
	columns []column            // by handle-1
	names   map[string][]uint32 // series by the name of the metric, sorted by labels

	samples     uint64
	chunkBytes  int64
	first, last int64 // ms; first > last when there is no sample
}

func emptyView() *view {
	return &view{names: map[string][]uint32{}, first: math.MaxInt64, last: math.MinInt64}
}

// withNames returns names with more series in it, and leaves names as it is.
func withNames(names map[string][]uint32, ls []labels.Labels, more []uint32) map[string][]uint32 {
	out := maps.Clone(names)
	fresh := map[string]bool{}
	for _, i := range more {
		name := ls[i].Get(NameLabel)
		if !fresh[name] {
			fresh[name] = true
			out[name] = slices.Clone(out[name])
		}
		out[name] = append(out[name], i)
	}
	// The engine adds up in the order of the series, and a sum of floats depends on
	// it: the order must not depend on which series came first.
	for name := range fresh {
		slices.SortFunc(out[name], func(a, b uint32) int { return labels.Compare(ls[a], ls[b]) })
	}
	return out
}

// match calls yield for each series that matches and has a sample that may lie in
// [from, to]. Series of one name come sorted by labels; sorted tells whether all do.
func (v *view) match(from, to int64, matchers []*labels.Matcher, yield func(i uint32)) (sorted bool) {
	one := func(list []uint32) {
	next:
		for _, i := range list {
			first, last, ok := v.columns[i].bounds()
			if !ok || last < from || first > to {
				continue
			}
			for _, m := range matchers {
				if m.Name != NameLabel && !m.Matches(v.labels[i].Get(m.Name)) {
					continue next
				}
			}
			yield(i)
		}
	}
	for _, m := range matchers {
		if m.Name == NameLabel && m.Type == labels.MatchEqual {
			if matchesName(m.Value, matchers) {
				one(v.names[m.Value])
			}
			return true
		}
	}
	n := 0
	for _, name := range slices.Sorted(maps.Keys(v.names)) {
		if matchesName(name, matchers) {
			one(v.names[name])
			n++
		}
	}
	return n < 2
}

func matchesName(name string, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if m.Name == NameLabel && !m.Matches(name) {
			return false
		}
	}
	return true
}

package stat

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Point is one sample of a series.
type Point struct {
	T int64   // ms since 1970
	V float64 // NaN, ±Inf and what is beyond ±1e150 are left out
}

const (
	// maxTime bounds the times that are looked at, so that differences can't overflow.
	maxTime = int64(1) << 60
	// maxValue bounds the values, so that squares can't overflow.
	maxValue = 1e150
	// maxBuckets bounds the memory of one verdict (half a million slopes). A longer
	// window is judged on its newest part.
	maxBuckets = 1024
)

// bucket is a quarter of an hour of one run of the process.
type bucket struct {
	run   int // index of the run
	index int // position in the window
	count int // samples
	low   float64
	high  float64
}

// window is the part of time that is judged, in ms: from ≤ T ≤ to.
type window struct {
	from, to, step int64
}

// expected returns how many buckets the window has.
func (w window) expected() int {
	return max(1, int((w.to-w.from+w.step-1)/w.step))
}

// load copies the usable points in the order of time and returns the window. It is
// false when there is no usable point.
func (d *Detector) load(points []Point, o Options) (window, bool) {
	d.points = d.points[:0]
	sorted := true
	for _, p := range points {
		outside := o.From != 0 && p.T < o.From || o.To != 0 && p.T > o.To
		if outside || p.T <= -maxTime || p.T >= maxTime || !(math.Abs(p.V) <= maxValue) {
			continue
		}
		if n := len(d.points); n > 0 && p.T < d.points[n-1].T {
			sorted = false
		}
		d.points = append(d.points, p)
	}
	if len(d.points) == 0 {
		return window{}, false
	}
	if !sorted {
		slices.SortStableFunc(d.points, func(a, b Point) int { return cmp.Compare(a.T, b.T) })
	}
	w := window{from: d.points[0].T, to: d.points[len(d.points)-1].T, step: o.Bucket.Milliseconds()}
	if o.From != 0 {
		w.from = max(o.From, -maxTime)
	}
	if o.To != 0 {
		w.to = min(o.To, maxTime)
	}
	w.from = max(w.from, w.to-maxBuckets*w.step)
	first, _ := slices.BinarySearchFunc(d.points, w.from, func(p Point, t int64) int { return cmp.Compare(p.T, t) })
	d.points = d.points[first:]
	return w, len(d.points) > 0
}

// cut sorts the points into buckets, each of one run, and drops those with fewer
// than half the usual number of samples: the 10th percentile of a few samples lies
// above that of many, which looks like a step. It returns how many places of the
// window are filled.
func (d *Detector) cut(w window, starts []int64) (filled int) {
	d.starts = append(d.starts[:0], starts...)
	slices.Sort(d.starts)
	d.buckets, d.values = d.buckets[:0], d.values[:0]
	run, index := 0, -1
	for _, p := range d.points {
		r, i := run, min(int((p.T-w.from)/w.step), w.expected()-1)
		for r < len(d.starts) && d.starts[r] <= p.T {
			r++
		}
		if r != run || i != index {
			d.flush(run, index)
			run, index = r, i
		}
		d.values = append(d.values, p.V)
	}
	d.flush(run, index)

	d.values = d.values[:0]
	for _, b := range d.buckets {
		d.values = append(d.values, float64(b.count))
	}
	usual := quantile(d.values, 0.5)
	d.buckets = slices.DeleteFunc(d.buckets, func(b bucket) bool { return float64(b.count) < usual/2 })
	last := -1
	for _, b := range d.buckets {
		if b.index != last {
			filled, last = filled+1, b.index
		}
	}
	return filled
}

// flush makes a bucket of the values collected.
func (d *Detector) flush(run, index int) {
	if len(d.values) == 0 {
		return
	}
	d.buckets = append(d.buckets, bucket{
		run: run, index: index, count: len(d.values),
		low: quantile(d.values, 0.1), high: quantile(d.values, 0.9),
	})
	d.values = d.values[:0]
}

// settle drops the warm-up at the beginning of each run, then runs with fewer
// buckets than least, and returns how many buckets there were in between.
func (d *Detector) settle(w window, warmUp time.Duration, least int) (warm int) {
	d.buckets = slices.DeleteFunc(d.buckets, func(b bucket) bool {
		return w.from+int64(b.index)*w.step < d.begin(b.run)+warmUp.Milliseconds()
	})
	warm = len(d.buckets)
	d.runs = d.runs[:0]
	kept := d.buckets[:0]
	for i := 0; i < len(d.buckets); {
		j := i
		for j < len(d.buckets) && d.buckets[j].run == d.buckets[i].run {
			j++
		}
		if j-i >= least {
			d.runs = append(d.runs, span{len(kept), len(kept) + j - i})
			kept = append(kept, d.buckets[i:j]...)
		}
		i = j
	}
	d.buckets = kept
	return warm
}

// begin returns the time at which a run began. That of the run before the first known
// start isn't known: it is the first sample.
func (d *Detector) begin(run int) int64 {
	if run == 0 {
		return d.points[0].T
	}
	return min(max(d.starts[run-1], -maxTime), maxTime)
}

// span is a run's part of the buckets: from ≤ i < to.
type span struct{ from, to int }

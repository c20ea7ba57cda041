package stat

import (
	"fmt"
	"math"
	"time"
)

// Unit is what a series is measured in: it decides the words and the default effect
// size.
type Unit uint8

// The units.
const (
	Plain Unit = iota // a number: goroutines, connections
	Bytes
	Share // of a whole or of a core, 0.05 = 5 %
)

// Options of one verdict. The zero value of each field means its default.
type Options struct {
	Unit Unit
	From int64 // begin of the window, ms; default: the first point
	To   int64 // end of the window, ms; default: the last point

	Limit float64 // what the series must not reach, in its unit; default: none

	// A slope counts when it is at least one of these two, per hour. Defaults: Bytes
	// 0.6 MB or 0.3 % of the level, Share one thousandth (4.8 points in 48 h), Plain
	// 0.3 % of the level. A negative value switches one off.
	MinSlope float64
	MinShare float64

	Bucket     time.Duration // default 15 min
	WarmUp     time.Duration // dropped at the beginning of each run; default 1 h
	MinBuckets int           // of one run, for a verdict; default 12
}

func (o Options) withDefaults() Options {
	if o.MinSlope == 0 && o.MinShare == 0 {
		switch o.Unit {
		case Bytes:
			o.MinSlope = 0.6e6
		case Share:
			o.MinSlope = 0.001
		default:
			o.MinShare = 0.003
		}
	}
	if o.Bucket < time.Millisecond {
		o.Bucket = 15 * time.Minute
	}
	if o.WarmUp == 0 {
		o.WarmUp = time.Hour
	}
	if o.MinBuckets < 6 { // thirds of fewer than two buckets say nothing
		o.MinBuckets = 12
	}
	return o
}

// effect returns the smallest slope per hour that counts at a level.
func (o Options) effect(level float64) float64 {
	least := math.Inf(1)
	if o.MinSlope > 0 {
		least = o.MinSlope
	}
	if o.MinShare > 0 {
		least = min(least, o.MinShare*math.Abs(level))
	}
	return least
}

// Never is the time to a limit that isn't approached, or that doesn't exist.
const Never = time.Duration(math.MaxInt64)

// Trend is the answer of [Detector.Judge]. Slopes are per hour, in the unit of the
// series, and of the floor: the 10th percentiles of the buckets.
type Trend struct {
	Enough  bool   // there is a verdict
	Flagged bool   // the series grows without end
	Reason  string // why it isn't flagged, or why there is no verdict

	Slope, Low, High float64    // Theil–Sen with its 95 % interval, or the extremes where nothing bounds it
	Halves           [2]float64 // slopes of the first and the second half of the runs
	Thirds           [3]float64 // medians of the thirds of the runs, as distances from the level
	Level            float64    // median of the floor
	Last             float64    // the fitted peaks at the end of the window

	Buckets  int           // used
	Expected int           // of the window
	Coverage float64       // share of the window that was seen, warm-up included
	Span     time.Duration // of the longest run, its warm-up included

	Unit        Unit
	Limit       float64       // 0 is none
	TimeToLimit time.Duration // from the end of the window until the peaks reach it; may be [Never]
}

// Detector finds growth without end. It keeps its working memory from one verdict to
// the next, so that the second one allocates nothing. The zero value is ready; one
// goroutine at a time.
type Detector struct {
	points   []Point
	starts   []int64
	buckets  []bucket
	runs     []span
	parts    []span
	values   []float64
	slopes   []float64
	rest     []float64
	inverses []float64
}

// The parts of the whole slope that the halves must exceed. With 0.4 for the second
// one too, a warm-up with a time constant of 8 h was called a leak in 2.8 % of runs
// of 48 h; now in 0.6 %.
const (
	firstHalf  = 0.4
	secondHalf = 0.5
)

// Judge tests a series. Points may come in any order; starts are the times (ms) at
// which the process was started, as far as known: each begins a new run. A run whose
// start isn't known begins with the first point.
func (d *Detector) Judge(points []Point, starts []int64, o Options) Trend {
	o = o.withDefaults()
	t := Trend{Unit: o.Unit, Limit: o.Limit, TimeToLimit: Never}
	w, ok := d.load(points, o)
	if !ok {
		t.Reason = "no samples"
		return t
	}
	t.Expected = w.expected()
	t.Coverage = float64(d.cut(w, starts)) / float64(t.Expected)
	t.Buckets = d.settle(w, o.WarmUp, o.MinBuckets)
	if len(d.runs) == 0 {
		t.Reason = fmt.Sprintf("no run with %d buckets after its warm-up", o.MinBuckets)
		return t
	}
	t.Buckets = len(d.buckets)
	for _, r := range d.runs {
		first, last := d.buckets[r.from], d.buckets[r.to-1]
		end := w.from + int64(last.index+1)*w.step
		t.Span = max(t.Span, time.Duration(end-max(w.from, d.begin(first.run)))*time.Millisecond)
	}
	d.measure(&t, w, o)
	return t
}

// measure fills in the slopes and decides.
func (d *Detector) measure(t *Trend, w window, o Options) {
	perHour := float64(time.Hour) / float64(o.Bucket)
	whole := d.fit(d.runs)
	low, high := d.interval(whole, d.inflation(whole.slope))
	t.Slope, t.Low, t.High = whole.slope*perHour, low*perHour, high*perHour
	t.Level = d.level()
	d.project(t, w, whole.slope, perHour)
	few := false
	for h := range 2 {
		half := d.fit(d.part(h, 2))
		t.Halves[h] = half.slope * perHour
		few = few || half.n < o.MinBuckets/2-1
	}
	for i := range 3 {
		var n int
		t.Thirds[i], n = d.third(i)
		few = few || n < o.MinBuckets/3-1
	}
	if few {
		t.Reason = "a gap leaves too little of one part of the window"
		return
	}
	t.Enough = true
	t.Reason = t.doubt(o.effect(t.Level))
	t.Flagged = t.Reason == ""
}

// Why a trend isn't a leak.
const (
	tooSlow    = "too slow to matter"
	noise      = "not told from noise"
	startsLate = "the first half does not grow"
	flattens   = "flattens out"
	uneven     = "does not rise in every third"
)

// doubt returns why a trend isn't a leak, "" when it is one.
func (t *Trend) doubt(effect float64) string {
	switch {
	case t.Slope < effect:
		return tooSlow
	case t.Low < effect/2:
		return noise
	case t.Halves[0] < firstHalf*t.Slope:
		return startsLate
	case t.Halves[1] < secondHalf*t.Slope:
		return flattens
	case t.Thirds[0] >= t.Thirds[1] || t.Thirds[1] >= t.Thirds[2]:
		return uneven
	default:
		return ""
	}
}

// level returns the median of the floor.
func (d *Detector) level() float64 {
	d.values = d.values[:0]
	for _, b := range d.buckets {
		d.values = append(d.values, b.low)
	}
	return quantile(d.values, 0.5)
}

// project says where the peaks stand at the end of the window and when they reach
// the limit. The peaks count, not the floor: it is at a peak that a process is killed.
func (d *Detector) project(t *Trend, w window, slope, perHour float64) {
	last := d.runs[len(d.runs)-1]
	d.values = d.values[:0]
	for _, b := range d.buckets[last.from:last.to] {
		d.values = append(d.values, b.low-slope*float64(b.index))
	}
	base := quantile(d.values, 0.5)
	d.values = d.values[:0]
	for _, b := range d.buckets {
		d.values = append(d.values, b.high-b.low)
	}
	end := float64(w.to-w.from)/float64(w.step) - 0.5
	t.Last = base + slope*end + quantile(d.values, 0.5)
	if t.Limit == 0 {
		return
	}
	hours := (t.Limit - t.Last) / (slope * perHour)
	switch {
	case t.Last >= t.Limit:
		t.TimeToLimit = 0
	case slope > 0 && hours < float64(Never)/float64(time.Hour):
		t.TimeToLimit = time.Duration(hours * float64(time.Hour))
	}
}

// part returns the i-th of n equal parts of every run, by time.
func (d *Detector) part(i, n int) []span {
	d.parts = d.parts[:0]
	for _, r := range d.runs {
		b := d.buckets[r.from:r.to]
		first, length := b[0].index, b[len(b)-1].index-b[0].index+1
		p := span{r.from, r.from}
		for k, x := range b {
			if at := (x.index - first) * n / length; at < i {
				p.from = r.from + k + 1
			} else if at == i {
				p.to = r.from + k + 1
			}
		}
		p.to = max(p.from, p.to)
		d.parts = append(d.parts, p)
	}
	return d.parts
}

// third returns the median distance of a third of every run from the run's median,
// and of how many buckets.
func (d *Detector) third(i int) (float64, int) {
	thirds := d.part(i, 3)
	d.slopes = d.slopes[:0]
	for k, r := range d.runs {
		d.values = d.values[:0]
		for _, b := range d.buckets[r.from:r.to] {
			d.values = append(d.values, b.low)
		}
		level := quantile(d.values, 0.5)
		for _, b := range d.buckets[thirds[k].from:thirds[k].to] {
			d.slopes = append(d.slopes, b.low-level)
		}
	}
	if len(d.slopes) == 0 {
		return 0, 0
	}
	return quantile(d.slopes, 0.5), len(d.slopes)
}

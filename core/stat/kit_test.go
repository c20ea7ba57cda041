package stat_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spark-ta/spark/core/stat"
)

const (
	second = int64(1000)
	hour   = 3600 * second
	mb     = 1e6
	start  = 1_790_000_000_000 // ms
)

// few reports whether a few runs must do. The seeds are the same, so they are the first
// ones of the many.
func few() bool { return raced || testing.Short() }

// shape is what a series does apart from its noise: the value in MB at an hour since
// the begin of the window. It is made anew for each run, for what is left to chance.
type shape struct {
	name string
	make func(r *rand.Rand, hours float64) func(h float64) float64
}

func fixed(f func(h float64) float64) func(*rand.Rand, float64) func(float64) float64 {
	return func(*rand.Rand, float64) func(float64) float64 { return f }
}

// wave is a day wave of ±15 MB with any phase.
func wave(r *rand.Rand) func(h float64) float64 {
	phase := 2 * math.Pi * r.Float64()
	return func(h float64) float64 { return 15 * math.Sin(2*math.Pi*h/24+phase) }
}

// harmless are the six shapes of which none may be called a leak.
var harmless = []shape{
	{"flat", fixed(func(float64) float64 { return 0 })},
	{"warm-up +60 MB, tau 2 h", fixed(func(h float64) float64 { return 60 * (1 - math.Exp(-h/2)) })},
	{"warm-up +60 MB, tau 8 h", fixed(func(h float64) float64 { return 60 * (1 - math.Exp(-h/8)) })},
	{"one step +40 MB", func(r *rand.Rand, hours float64) func(float64) float64 {
		at := hours * r.Float64()
		return func(h float64) float64 {
			if h < at {
				return 0
			}
			return 40
		}
	}},
	{"day wave ±15 MB", func(r *rand.Rand, _ float64) func(float64) float64 { return wave(r) }},
	{"slow noise sd 8 MB, tau 4 h", func(r *rand.Rand, hours float64) func(float64) float64 {
		// A table of minutes, so that the shape stays a function of the time.
		noise := drift(r, 8, 4*60)
		table := make([]float64, int(hours*60)+2)
		for i := range table {
			table[i] = noise()
		}
		return func(h float64) float64 { return table[int(h*60)] }
	}},
}

// leaks are shapes that must be found.
var leaks = []shape{
	{"leak 1 MB/h", fixed(func(h float64) float64 { return h })},
	{"leak 3 MB/h", fixed(func(h float64) float64 { return 3 * h })},
	{"leak 10 MB/h", fixed(func(h float64) float64 { return 10 * h })},
	{"leak in 5 MB jumps, 1 MB/h", func(r *rand.Rand, _ float64) func(float64) float64 {
		phase := r.Float64()
		return func(h float64) float64 { return 5 * math.Floor(h/5+phase) }
	}},
	{"leak in 5 MB jumps by chance, 3 MB/h", func(r *rand.Rand, hours float64) func(float64) float64 {
		var jumps []float64
		for at := r.ExpFloat64() * 5 / 3; at < hours; at += r.ExpFloat64() * 5 / 3 {
			jumps = append(jumps, at)
		}
		return func(h float64) float64 {
			n := 0
			for n < len(jumps) && jumps[n] <= h {
				n++
			}
			return 5 * float64(n)
		}
	}},
	{"leak 3 MB/h under a day wave ±15 MB", func(r *rand.Rand, _ float64) func(float64) float64 {
		day := wave(r)
		return func(h float64) float64 { return 3*h + day(h) }
	}},
}

// drift returns correlated noise: one step of a minute of an Ornstein–Uhlenbeck
// process with a standard deviation and a time constant in minutes.
func drift(r *rand.Rand, sd, tau float64) func() float64 {
	keep := math.Exp(-1 / tau)
	fresh := sd * math.Sqrt(1-keep*keep)
	v := sd * r.NormFloat64()
	return func() float64 {
		v = keep*v + fresh*r.NormFloat64()
		return v
	}
}

// memory appends the resident set of a process to points: a base, a saw tooth of the
// garbage collector (20 MB, 10 min), noise (sd 3 MB, 30 min) and the shape, one
// sample a minute. The observer has four; nothing in the model is quicker than a
// minute, and the test takes a quarter of the time.
func memory(points []stat.Point, r *rand.Rand, base, hours float64, s shape) []stat.Point {
	f := s.make(r, hours)
	noise := drift(r, 3, 30)
	tooth := 10 * r.Float64()
	for i := range int(hours * 60) {
		h := float64(i) / 60
		gc := 20 * math.Mod((float64(i)+tooth)/10, 1)
		points = append(points, stat.Point{
			T: start + int64(i)*60*second,
			V: mb * (base + gc + noise() + f(h)),
		})
	}
	return points
}

package stat_test

import (
	"math"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/stat"
)

func TestWilson(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, test := range []struct{ k, n, low, high float64 }{
		// Newcombe 1998, Statistics in Medicine 17, table I, method 3.
		{81, 263, .2553, .3662},
		{15, 148, .0624, .1605},
		{0, 20, 0, .1611},
		{1, 29, .0061, .1718},
		{20, 20, .8389, 1},
		{0, 0, 0, 1}, {nan, 10, 0, 1}, {1, nan, 0, 1}, {1, inf, 0, 1}, {-1, 5, 0, 1}, {1, -5, 0, 1},
		{30, 20, .8389, 1}, // increase() may round the part above the whole
	} {
		low, high := stat.Wilson(test.k, test.n, stat.Z95)
		if !near(low, test.low, 5e-5) || !near(high, test.high, 5e-5) {
			t.Errorf("Wilson(%v, %v) = %.4f, %.4f, want %v, %v", test.k, test.n, low, high, test.low, test.high)
		}
	}
}

func TestThin(t *testing.T) {
	for _, test := range []struct {
		k, n, target float64
		want         bool
	}{
		{19, 20, .98, true}, // 95 % of 20 can't be told from 98 %
		{20, 20, .98, true},
		{950, 1000, .98, false},
		{995, 1000, .98, false},
		{980, 1000, .98, true},
		{0, 0, .98, true},
		{math.NaN(), 5, .98, true},
	} {
		if got := stat.Thin(test.k, test.n, test.target); got != test.want {
			t.Errorf("Thin(%v, %v, %v) = %v", test.k, test.n, test.target, got)
		}
	}
}

func TestSpike(t *testing.T) {
	const quarter, base = 15 * time.Minute, 6 * time.Hour
	nan := math.NaN()
	for _, test := range []struct {
		name             string
		recent, baseline float64
		window, before   time.Duration
		want             stat.Spike
	}{
		// P by summation of the binomial with exact fractions, p = 1/25.
		{"spike", 10, 24, quarter, base, stat.Spike{Enough: true, Spiked: true, Events: 10, Ratio: 10, P: 5.67140231e-07}},
		{"too few events", 4, 0, quarter, base, stat.Spike{Enough: true, Events: 4, Ratio: 96, P: 2.56e-6}},
		{"five after none", 5, 0, quarter, base, stat.Spike{Enough: true, Spiked: true, Events: 5, Ratio: 120, P: 1.024e-7}},
		{"significant but small", 400, 4800, quarter, base, stat.Spike{Enough: true, Events: 400, Ratio: 2}},
		{"as before", 10, 240, quarter, base, stat.Spike{Enough: true, Events: 10, Ratio: 1, P: 0.544630997}},
		{"large but by chance", 5, 30, quarter, base, stat.Spike{Enough: true, Events: 5, Ratio: 4, P: 0.0122133131}},
		{"nothing at all", 0, 0, quarter, base, stat.Spike{Enough: true, P: 1}},
		{"no baseline", 5, 0, quarter, 0, stat.Spike{}},
		{"no numbers", nan, 1, quarter, base, stat.Spike{}},
		{"no number before", 1, math.Inf(1), quarter, base, stat.Spike{}},
		{"negative", -1, 1, quarter, base, stat.Spike{}},
	} {
		got := stat.NewSpike(test.recent, test.window, test.baseline, test.before)
		if got.Enough != test.want.Enough || got.Spiked != test.want.Spiked || got.Events != test.want.Events || !near(got.Ratio, test.want.Ratio, 1e-9) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
		if test.want.P > 0 && math.Abs(got.P/test.want.P-1) > 1e-8 {
			t.Errorf("%s: P = %v, want %v", test.name, got.P, test.want.P)
		}
	}
	if got := stat.NewSpike(400, quarter, 4800, base); got.P > 1e-12 {
		t.Errorf("400 after 4800: P = %v, want next to nothing", got.P)
	}
}

// The incomplete beta function against the sum it stands for.
func TestSpikeProbabilityIsTheBinomialSum(t *testing.T) {
	for _, n := range []int{1, 2, 7, 40, 300} {
		for _, share := range []float64{0.01, 0.04, 0.3, 0.5, 0.9} {
			window := time.Duration(share * float64(1000*time.Hour))
			for k := 0; k <= n; k += 1 + n/9 {
				got := stat.NewSpike(float64(k), window, float64(n-k), 1000*time.Hour-window).P
				want := 0.0
				for i := k; i <= n; i++ {
					a, _ := math.Lgamma(float64(n) + 1)
					b, _ := math.Lgamma(float64(i) + 1)
					c, _ := math.Lgamma(float64(n-i) + 1)
					want += math.Exp(a - b - c + float64(i)*math.Log(share) + float64(n-i)*math.Log1p(-share))
				}
				if math.Abs(got-want) > 1e-9*max(want, 1e-3) {
					t.Errorf("P(X ≥ %d of %d at %v) = %v, want %v", k, n, share, got, want)
				}
			}
		}
	}
	if got := stat.NewSpike(1e6+5000, time.Hour, 1e6, time.Hour).P; !(got > 1e-4 && got < 1e-3) {
		t.Errorf("a million and 5000 against a million: P = %v, want that of 3.5 standard deviations", got)
	}
}

func TestPoissonTailAndElections(t *testing.T) {
	for _, test := range []struct {
		k    int
		mean float64
		want float64
	}{
		{3, 1, 0.0803014}, {3, 0.5, 0.0143877}, {0, 1, 1}, {1, 0, 0}, {1, 2, 0.8646647},
		{10, 1, 1.114255e-7}, {100, 100, 0.5132988}, {5, math.Inf(1), 1}, {-3, 2, 1}, {1000, 1, 0},
	} {
		if got := stat.PoissonTail(test.k, test.mean); math.Abs(got-test.want) > 2e-6*max(test.want, 1e-9) {
			t.Errorf("PoissonTail(%d, %v) = %v, want %v", test.k, test.mean, got, test.want)
		}
	}
	if !math.IsNaN(stat.PoissonTail(1, -1)) || !math.IsNaN(stat.PoissonTail(1, math.NaN())) {
		t.Error("a mean that is none has a probability")
	}
	for _, test := range []struct {
		day, hour int
		want      stat.Verdict
	}{{0, 0, stat.Pass}, {2, 2, stat.Pass}, {3, 1, stat.Warn}, {3, 3, stat.Fail}} {
		if got := stat.Elections(test.day, test.hour); got != test.want {
			t.Errorf("Elections(%d, %d) = %v, want %v", test.day, test.hour, got, test.want)
		}
	}
}

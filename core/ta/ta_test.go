package ta_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/markcheno/go-talib"

	"github.com/spark-ta/spark/core/ta"
)

// walk returns a seeded random walk of prices, in steps of up to two per cent.
func walk(seed uint64, n int, from float64) []float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	prices := make([]float64, n)
	for i := range prices {
		from *= 1 + (r.Float64()-0.5)*0.02
		prices[i] = from
	}
	return prices
}

// naive is the definition: mean and population deviation of a window.
func naive(window []float64) (mean, deviation float64) {
	for _, x := range window {
		mean += x
	}
	mean /= float64(len(window))
	for _, x := range window {
		deviation += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(window)))
}

func near(got, want, tolerance float64) bool {
	return math.Abs(got-want) <= tolerance*math.Abs(want)
}

func TestFiguresAgreeWithTheDefinition(t *testing.T) {
	t.Parallel()
	for _, price := range []float64{1e-9, 1e-5, 1.0001, 60000, 1e9} {
		for _, period := range []int{2, 3, 20, 200, 1000} {
			sma, dev, bb := ta.NewSMA(period), ta.NewStdDev(period), ta.NewBollinger(period, 2)
			prices := walk(uint64(period), 5000, price)
			for i, x := range prices {
				mean, deviation, bands := sma.Update(x), dev.Update(x), bb.Update(x)
				if i+1 < period {
					if !math.IsNaN(mean) || !math.IsNaN(deviation) || !math.IsNaN(bands.Upper) {
						t.Fatalf("period %d: figures after %d values: %v %v %v, want NaN", period, i+1, mean, deviation, bands)
					}
					continue
				}
				wantMean, wantDev := naive(prices[i+1-period : i+1])
				if !near(mean, wantMean, 1e-9) || !near(deviation, wantDev, 1e-9) {
					t.Fatalf("price %g period %d value %d: %v ± %v, want %v ± %v", price, period, i, mean, deviation, wantMean, wantDev)
				}
				if !near(bands.Upper, wantMean+2*wantDev, 1e-9) || !near(bands.Lower, wantMean-2*wantDev, 1e-9) || bands.Middle != mean {
					t.Fatalf("price %g period %d value %d: bands %+v, want %v ± 2×%v", price, period, i, bands, wantMean, wantDev)
				}
			}
		}
	}
}

func TestFiguresAgreeWithTALib(t *testing.T) {
	t.Parallel()
	// Only at ordinary prices and periods: go-talib's bands collapse below 1e-4, and
	// its sums of squares lose ten digits at a period of 2.
	prices := walk(7, 3000, 60000)
	for _, period := range []int{5, 20, 200} {
		means := talib.Sma(prices, period)
		upper, middle, lower := talib.BBands(prices, period, 2, 2, talib.SMA)
		sma, bb := ta.NewSMA(period), ta.NewBollinger(period, 2)
		for i, x := range prices {
			mean, bands := sma.Update(x), bb.Update(x)
			if i+1 < period {
				continue
			}
			if !near(mean, means[i], 1e-9) || !near(bands.Upper, upper[i], 1e-9) ||
				!near(bands.Middle, middle[i], 1e-9) || !near(bands.Lower, lower[i], 1e-9) {
				t.Fatalf("period %d value %d: %v and %+v, want %v and %v %v %v", period, i, mean, bands, means[i], upper[i], middle[i], lower[i])
			}
		}
	}
}

func TestPeekIsWhatUpdateWillReturnAndChangesNothing(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	sma, dev, bb := ta.NewSMA(20), ta.NewStdDev(20), ta.NewBollinger(20, 2)
	for i, x := range walk(4, 2000, 0.0000123) {
		wantMean, wantDev, wantBands := sma.Peek(x), dev.Peek(x), bb.Peek(x)
		for range 3 {
			other := x * (0.5 + r.Float64())
			sma.Peek(other)
			dev.Peek(other)
			bb.Judge(other)
			bb.Edges()
		}
		mean, deviation, bands := sma.Update(x), dev.Update(x), bb.Update(x)
		if i < 19 {
			continue
		}
		if mean != wantMean || deviation != wantDev || bands != wantBands {
			t.Fatalf("value %d: Update = %v %v %+v, Peek had %v %v %+v", i, mean, deviation, bands, wantMean, wantDev, wantBands)
		}
	}
}

func TestScaleByPowersOfTwoChangesNoBit(t *testing.T) {
	t.Parallel()
	prices := walk(5, 3000, 1.5)
	for i := 500; i < 560; i++ {
		prices[i] = prices[500] // a flat stretch, so that edges are met exactly
	}
	for _, k := range []int{-40, -17, -1, 1, 13, 20} {
		one, other := ta.NewBollinger(20, 2), ta.NewBollinger(20, 2)
		for i, x := range prices {
			y := math.Ldexp(x, k)
			v, side := one.Judge(x)
			w, sideOther := other.Judge(y)
			one.Update(x)
			other.Update(y)
			if side != sideOther {
				t.Fatalf("2^%d value %d: side %d, want %d", k, i, sideOther, side)
			}
			if i >= 19 && (w.Upper != math.Ldexp(v.Upper, k) || w.Middle != math.Ldexp(v.Middle, k) || w.Lower != math.Ldexp(v.Lower, k)) {
				t.Fatalf("2^%d value %d: bands %+v are not those of the unscaled prices %+v", k, i, w, v)
			}
		}
	}
}

func TestFlatPriceCollapsesTheBandsOntoThePrice(t *testing.T) {
	t.Parallel()
	for _, price := range []float64{0.1, 1e-5, 2e-8, 65000.01, 1.0 / 3} {
		for _, period := range []int{2, 3, 20, 333} {
			bb := ta.NewBollinger(period, 2)
			for _, x := range walk(9, 2*period+5, price*3) {
				bb.Update(x)
			}
			for range period - 1 {
				bb.Update(price)
			}
			v, side := bb.Judge(price)
			if want := (ta.Bands{Upper: price, Middle: price, Lower: price}); v != want || side != ta.Inside {
				t.Errorf("period %d, flat at %v: %+v side %d, want %+v inside", period, price, v, side, want)
			}
		}
	}
}

// A population deviation has room for a single close out to √(period−1)
// deviations and no further, and a spike after a flat stretch lies exactly there.
// Rounding must not push it over.
func TestNoCloseLeavesABandThatIsTooWideToLeave(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 11))
	for _, c := range []struct {
		period int
		k      float64
	}{{2, 1}, {5, 2}, {10, 3}, {17, 4}, {3, 2}} {
		bb := ta.NewBollinger(c.period, c.k)
		price := 0.00001234
		for i := range 200_000 {
			if r.IntN(c.period+1) == 0 {
				price *= math.Exp(r.NormFloat64())
				price = min(max(price, 1e-9), 1e9)
			}
			if v, side := bb.Judge(price); side != ta.Inside {
				t.Fatalf("period %d k %v value %d: %v is beyond %+v", c.period, c.k, i, price, v)
			}
			bb.Update(price)
		}
		if lower, upper := bb.Edges(); !math.IsInf(lower, -1) || !math.IsInf(upper, 1) {
			t.Errorf("period %d k %v: Edges = %v %v, want infinite", c.period, c.k, lower, upper)
		}
	}
}

func TestEdgesAreWhereTheVerdictFlips(t *testing.T) {
	t.Parallel()
	for _, price := range []float64{60000, 1e-5} {
		bb := ta.NewBollinger(20, 2)
		for i, x := range walk(13, 2000, price) {
			if lower, upper := bb.Edges(); i >= 19 {
				for _, c := range []struct {
					close float64
					want  ta.Side
				}{
					{upper * (1 + 1e-9), ta.Above}, {upper * (1 - 1e-9), ta.Inside},
					{lower * (1 + 1e-9), ta.Inside}, {lower * (1 - 1e-9), ta.Below},
				} {
					if _, got := bb.Judge(c.close); got != c.want {
						t.Fatalf("value %d: Judge(%v) = %d beside edges %v and %v, want %d", i, c.close, got, lower, upper, c.want)
					}
				}
			}
			bb.Update(x)
		}
	}
}

func TestVerdictDependsOnlyOnTheWindow(t *testing.T) {
	t.Parallel()
	prices := walk(17, 4000, 0.5)
	for i := range prices {
		prices[i] = math.Round(prices[i]*500) / 500 // coarse ticks, so that edges are often met
	}
	long := ta.NewBollinger(5, 1.5)
	for i, x := range prices {
		if i >= 5 {
			short := ta.NewBollinger(5, 1.5)
			for _, y := range prices[i-4 : i] {
				short.Update(y)
			}
			_, got := long.Judge(x)
			if _, want := short.Judge(x); got != want {
				t.Fatalf("value %d: side %d with a long memory, %d with the window alone", i, got, want)
			}
		}
		long.Update(x)
	}
}

func TestDeviationIsExactAgainOnceABadTickHasLeft(t *testing.T) {
	t.Parallel()
	const period = 200
	dev := ta.NewStdDev(period)
	prices := walk(19, 5000, 60000)
	prices[2500] *= 1e6
	for i, x := range prices {
		got := dev.Update(x)
		if math.IsNaN(got) != (i+1 < period) {
			t.Fatalf("value %d: %v", i, got)
		}
		if i >= 2500+period {
			if _, want := naive(prices[i+1-period : i+1]); !near(got, want, 1e-9) {
				t.Fatalf("%d values after the bad tick: %v, want %v", i-2500, got, want)
			}
		}
	}
}

func TestDeviationDoesNotDrift(t *testing.T) {
	t.Parallel()
	const period, n = 20, 2_000_000
	r := rand.New(rand.NewPCG(23, 23))
	dev := ta.NewStdDev(period)
	var window [period]float64
	x, worst := 1.0001, 0.0
	for i := range n {
		x = 1.0001 + (x-1.0001)*0.99 + r.NormFloat64()*1e-5
		window[i%period] = x
		got := dev.Update(x)
		if i < period || i%997 != 0 {
			continue
		}
		_, want := naive(window[:])
		worst = max(worst, math.Abs(got-want)/want)
	}
	if worst > 1e-10 {
		t.Errorf("worst relative error over %d updates: %g, want at most 1e-10", n, worst)
	}
}

func TestValuesThatAreNotFiniteAreRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		sma, dev, bb := ta.NewSMA(3), ta.NewStdDev(3), ta.NewBollinger(3, 1)
		for _, x := range []float64{1, 2, bad, 3} {
			mean, deviation, bands := sma.Update(x), dev.Update(x), bb.Update(x)
			if x == 3 && (mean != 2 || !near(deviation, math.Sqrt(2.0/3), 1e-15) || bands.Middle != 2) {
				t.Errorf("after %v: %v ± %v in %+v, want 2 ± √⅔", bad, mean, deviation, bands)
			}
			if x != 3 && (!math.IsNaN(mean) || !math.IsNaN(deviation) || !math.IsNaN(bands.Upper)) {
				t.Errorf("Update(%v) before warm-up = %v %v %+v, want NaN", x, mean, deviation, bands)
			}
		}
		if _, side := bb.Judge(bad); side != ta.Inside {
			t.Errorf("Judge(%v) = %d, want inside", bad, side)
		}
	}
}

func TestWarmup(t *testing.T) {
	t.Parallel()
	type indicator interface {
		Warmup() int
		Warm() bool
	}
	sma, dev, bb := ta.NewSMA(1), ta.NewStdDev(2), ta.NewBollinger(20, 2)
	for _, c := range []struct {
		name   string
		i      indicator
		update func(float64)
		want   int
	}{
		{"SMA(1)", sma, func(x float64) { sma.Update(x) }, 1},
		{"StdDev(2)", dev, func(x float64) { dev.Update(x) }, 2},
		{"Bollinger(20)", bb, func(x float64) { bb.Update(x) }, 20},
	} {
		if got := c.i.Warmup(); got != c.want {
			t.Errorf("%s.Warmup() = %d, want %d", c.name, got, c.want)
		}
		for i := range c.want {
			if got, want := c.i.Warm(), i >= c.want-1; got != want {
				t.Errorf("%s.Warm() after %d values = %v, want %v", c.name, i, got, want)
			}
			c.update(1 + float64(i))
		}
	}
	if got := sma.Peek(42); got != 42 {
		t.Errorf("SMA(1).Peek(42) = %v", got)
	}
}

func TestImpossibleIndicatorsPanic(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(){
		"SMA of 0":            func() { ta.NewSMA(0) },
		"StdDev of 1":         func() { ta.NewStdDev(1) },
		"Bollinger of 1":      func() { ta.NewBollinger(1, 2) },
		"Bollinger at 0":      func() { ta.NewBollinger(20, 0) },
		"Bollinger at NaN":    func() { ta.NewBollinger(20, math.NaN()) },
		"Bollinger at +Inf":   func() { ta.NewBollinger(20, math.Inf(1)) },
		"Bollinger at minus2": func() { ta.NewBollinger(20, -2) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			build()
		}()
	}
}

func TestNothingIsAllocated(t *testing.T) {
	bb := ta.NewBollinger(20, 2)
	prices := walk(29, 1000, 60000)
	i := 0
	if got := testing.AllocsPerRun(1000, func() {
		x := prices[i%len(prices)]
		i++
		bb.Judge(x)
		bb.Judge(bb.Peek(x).Upper)
		bb.Edges()
		bb.Update(x)
	}); got != 0 {
		t.Errorf("%v allocations per candle, want 0", got)
	}
}

func BenchmarkBollinger(b *testing.B) {
	prices := walk(31, 1024, 60000)
	for _, period := range []struct {
		name string
		n    int
	}{{"20", 20}, {"200", 200}} {
		bb := ta.NewBollinger(period.n, 2)
		for _, x := range prices {
			bb.Update(x)
		}
		b.Run("Update/"+period.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				bb.Update(prices[i&1023])
			}
		})
		b.Run("Peek/"+period.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				bb.Peek(prices[i&1023])
			}
		})
		b.Run("Judge/"+period.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				bb.Judge(prices[i&1023])
			}
		})
	}
	b.Run("talib240", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			talib.BBands(prices[:240], 20, 2, 2, talib.SMA)
		}
	})
}

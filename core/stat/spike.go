package stat

import (
	"math"
	"time"
)

// The thresholds of [Spike], all three of which must be met: significance without
// effect size flags what nobody would call a spike, an effect without significance is
// two errors after one.
const (
	spikeRatio  = 3
	spikeEvents = 5
	spikeP      = 0.001
)

// Spike is the comparison of recent events with a baseline.
type Spike struct {
	Enough bool // both windows have a length, and numbers
	Spiked bool
	Events float64 // recent ones
	Ratio  float64 // of the rates; over a baseline without events at least this
	P      float64 // chance of so many recent ones, were both rates the same
}

// NewSpike compares the events of a recent window (by custom 15 min) with those of a
// baseline that doesn't overlap it (the time before the deployment, else the 6 h
// before the window). Given how many there were in both, the recent ones are binomial
// when the rates are the same (Przyborowski & Wilenski 1940), whatever the rate.
// A baseline without events is taken to have one, for a finite ratio.
func NewSpike(recent float64, window time.Duration, baseline float64, base time.Duration) Spike {
	if !(recent >= 0) || !(baseline >= 0) || window <= 0 || base <= 0 || math.IsInf(recent+baseline, 0) {
		return Spike{}
	}
	s := Spike{Enough: true, Events: recent}
	s.Ratio = recent / window.Hours() / (max(baseline, 1) / base.Hours())
	s.P = binomialTail(recent, recent+baseline, window.Hours()/(window.Hours()+base.Hours()))
	s.Spiked = s.Ratio >= spikeRatio && s.Events >= spikeEvents && s.P < spikeP
	return s
}

// binomialTail returns P(X ≥ k) of n trials, as the incomplete beta function
// (DLMF 8.17.5), which takes the fractions of PromQL's increase() too.
func binomialTail(k, n, p float64) float64 {
	if k <= 0 {
		return 1
	}
	return incompleteBeta(k, n-k+1, p)
}

// incompleteBeta returns the regularized I of x, 0 < x < 1, a and b > 0, by the
// continued fraction DLMF 8.17.22, evaluated forwards (Lentz).
func incompleteBeta(a, b, x float64) float64 {
	if x > (a+1)/(a+b+2) { // where the fraction converges slowly
		return 1 - incompleteBeta(b, a, 1-x)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	const tiny = 1e-300
	f, c, d := 1.0, 1.0, 0.0
	// It takes about √max(a, b) terms; the bound is for counts of 10^8 and more.
	for i := range 20_000 {
		m := float64(i / 2)
		term := 1.0
		switch {
		case i == 0:
		case i%2 == 0:
			term = m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		default:
			term = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		}
		if d = 1 + term*d; math.Abs(d) < tiny {
			d = tiny
		}
		if c = 1 + term/c; math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		f *= c * d
		if i > 0 && math.Abs(1-c*d) < 1e-14 {
			break
		}
	}
	return min(1, front*(f-1))
}

// PoissonTail returns P(X ≥ k) at a mean. It is NaN for a mean that is negative or no
// number.
func PoissonTail(k int, mean float64) float64 {
	switch {
	case !(mean >= 0):
		return math.NaN()
	case k <= 0:
		return 1
	case mean == 0:
		return 0
	case math.IsInf(mean, 1):
		return 1
	}
	// The sum over the smaller side: the difference from 1 would lose a small tail.
	term := func(i int) float64 {
		l, _ := math.Lgamma(float64(i) + 1)
		return math.Exp(float64(i)*math.Log(mean) - mean - l)
	}
	sum := 0.0
	if float64(k) > mean {
		for i, t := k, term(k); t > sum*1e-17; i++ {
			sum += t
			t *= mean / float64(i+1)
		}
		return min(1, sum)
	}
	for i, t := k-1, term(k-1); i >= 0 && t > sum*1e-17; i-- {
		sum += t
		t *= float64(i) / mean
	}
	return max(0, 1-sum)
}

// Elections judges how often a leader was elected, by the epoch, in the last day and
// in the last hour; those within 5 min of a restart that we ordered aren't counted.
// Three in a day happen by chance in 8 % of days at an expected one, in 1.4 % at a
// half: worth a warning. Three in an hour are no chance.
func Elections(day, hour int) Verdict {
	switch {
	case hour >= 3:
		return Fail
	case day >= 3:
		return Warn
	default:
		return Pass
	}
}

package ta

import (
	"fmt"
	"math"
)

// SMA is the simple moving average: the mean of the newest period values.
type SMA struct{ window moments }

// NewSMA returns an average over period values. It panics if period is below 1.
func NewSMA(period int) *SMA {
	mustPeriod("SMA", period, 1)
	return &SMA{window: newMoments(period)}
}

// Warmup returns the period.
func (a *SMA) Warmup() int { return len(a.window.ring) + 1 }

// Warm reports whether the next value completes a window.
func (a *SMA) Warm() bool { return a.window.warm() }

// Peek returns the average with x as the newest value.
func (a *SMA) Peek(x float64) float64 {
	if !a.window.warm() || !finite(x) {
		return math.NaN()
	}
	mean, _ := a.window.with(x)
	return mean
}

// Update commits x and returns the average.
func (a *SMA) Update(x float64) float64 {
	v := a.Peek(x)
	if finite(x) {
		a.window.push(x)
	}
	return v
}

// StdDev is the population standard deviation of the newest period values (their
// squared deviations divided by the period, not by one less: what charts call the
// biased deviation and Bollinger used).
type StdDev struct{ window moments }

// NewStdDev returns a deviation over period values. It panics if period is below 2.
func NewStdDev(period int) *StdDev {
	mustPeriod("StdDev", period, 2)
	return &StdDev{window: newMoments(period)}
}

// Warmup returns the period.
func (s *StdDev) Warmup() int { return len(s.window.ring) + 1 }

// Warm reports whether the next value completes a window.
func (s *StdDev) Warm() bool { return s.window.warm() }

// Peek returns the deviation with x as the newest value.
func (s *StdDev) Peek(x float64) float64 {
	if !s.window.warm() || !finite(x) {
		return math.NaN()
	}
	_, m2 := s.window.with(x)
	return math.Sqrt(m2 / float64(s.Warmup()))
}

// Update commits x and returns the deviation.
func (s *StdDev) Update(x float64) float64 {
	v := s.Peek(x)
	if finite(x) {
		s.window.push(x)
	}
	return v
}

func mustPeriod(name string, period, least int) {
	if period < least {
		panic(fmt.Sprintf("ta: %s of %d values needs at least %d", name, period, least))
	}
}

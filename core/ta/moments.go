package ta

import "math"

// collapse is the fall of the spread, since it was last computed exactly, at
// which it is computed exactly again. Each commit adds an error of about 2⁻⁵³ of
// the widest spread, so over a thousand of them what is left stays right to 2⁻³³.
const collapse = 1.0 / (1 << 10)

// moments keeps the mean and the sum of squared deviations of the period−1 newest
// committed values: what a window needs to know before its last value comes. The
// window's own figures are then one step away, for a value that is committed as
// for one that is only looked at.
//
// The mean is kept as a distance from one of the values: differences between
// neighbours are exact, so rounding is a fraction of the spread and not of the
// price, which matters for a coin pegged at 1.0001.
type moments struct {
	ring   []float64 // the newest values; its length is period−1
	next   int       // where the next value goes; the oldest one lies there once full
	count  int       // values held, at most len(ring)
	origin float64   // a value of the window, or one that was in it not long ago
	mean   float64   // from origin
	m2     float64   // sum of squared deviations from mean
	widest float64   // greatest m2 since the last exact pass
	age    int       // commits since the last exact pass
}

func newMoments(period int) moments {
	return moments{ring: make([]float64, period-1)}
}

// warm reports whether the next value completes a window.
func (m *moments) warm() bool { return m.count == len(m.ring) }

// with returns the mean and the sum of squared deviations of the held values and x.
func (m *moments) with(x float64) (mean, m2 float64) {
	mean, m2 = m.add(x)
	return m.origin + mean, m2
}

// add is with, its mean counted from origin.
func (m *moments) add(x float64) (mean, m2 float64) {
	x -= m.origin
	d := x - m.mean
	mean = m.mean + d/float64(m.count+1)
	return mean, m.m2 + d*(x-mean)
}

// push commits x and lets go of the oldest value.
func (m *moments) push(x float64) {
	if len(m.ring) == 0 {
		return
	}
	if m.count == 0 {
		m.origin = x
	}
	if m.count < len(m.ring) {
		m.mean, m.m2 = m.add(x)
		m.count++
	} else {
		old := m.ring[m.next]
		mean := m.mean + (x-old)/float64(m.count)
		m.m2 += (x - old) * ((x - m.origin - mean) + (old - m.origin - m.mean))
		m.mean = mean
	}
	m.ring[m.next] = x
	if m.next++; m.next == len(m.ring) {
		m.next = 0
	}
	m.age++
	m.widest = max(m.widest, m.m2)
	if m.age >= len(m.ring) || m.m2 < m.widest*collapse {
		older, newer := m.parts()
		m.origin, m.mean, m.m2 = twoPass(older, newer, nil)
		m.age, m.widest = 0, m.m2
	}
}

// parts returns the held values, oldest first, as the two pieces in which they lie.
func (m *moments) parts() (older, newer []float64) {
	if m.warm() {
		return m.ring[m.next:], m.ring[:m.next]
	}
	return nil, m.ring[:m.count]
}

// exactWith is with, computed anew from the values.
func (m *moments) exactWith(x float64) (mean, m2 float64) {
	older, newer := m.parts()
	last := [1]float64{x}
	origin, mean, m2 := twoPass(older, newer, last[:])
	return origin + mean, m2
}

// twoPass returns the first value of the parts, the mean of all counted from it,
// and the sum of their squared deviations. The result depends on nothing but the
// values and their order; equal values give zero and zero, exactly.
func twoPass(parts ...[]float64) (origin, mean, m2 float64) {
	n := 0
	for _, part := range parts {
		for _, x := range part {
			if n == 0 {
				origin = x
			}
			mean += x - origin
			n++
		}
	}
	if n == 0 {
		return 0, 0, 0
	}
	mean /= float64(n)
	var rest float64
	for _, part := range parts {
		for _, x := range part {
			d := x - origin - mean
			rest += d
			m2 += d * d
		}
	}
	// The first mean is off by rounding; rest says by how much, and both figures
	// are corrected for it.
	mean += rest / float64(n)
	return origin, mean, max(0, m2-rest*rest/float64(n))
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

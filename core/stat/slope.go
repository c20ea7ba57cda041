package stat

import (
	"math"
	"slices"
)

// line is a Theil–Sen fit over one or several runs, per bucket.
type line struct {
	slope    float64
	n        int     // buckets
	variance float64 // of Kendall's S, were the buckets independent
}

// fit returns the median of the slopes between all pairs of buckets of the same run
// (Theil 1950, Sen 1968) and leaves the slopes in d.slopes. Levels of different runs
// are never compared: a restart gives the memory back and would hide any leak. The
// variance of S is the sum over the runs; ties are not subtracted from it, which errs
// to the wide side.
func (d *Detector) fit(parts []span) line {
	d.slopes = d.slopes[:0]
	var l line
	for _, p := range parts {
		b := d.buckets[p.from:p.to]
		for i := range b {
			at, low := b[i].index, b[i].low
			for j := i + 1; j < len(b); j++ {
				d.slopes = append(d.slopes, (b[j].low-low)*d.inverse(b[j].index-at))
			}
		}
		m := float64(len(b))
		l.variance += m * (m - 1) * (2*m + 5) / 18
		l.n += len(b)
	}
	if len(d.slopes) > 0 {
		l.slope = quantile(d.slopes, 0.5)
	}
	return l
}

// interval returns the slopes for which Kendall's S isn't significant (Hollander &
// Wolfe, Nonparametric Statistical Methods, 9.3), from what fit left in d.slopes.
// When the data don't bound the slope it is the extremes of all pairs: of a noisy series
// they are far away, and a series that rises between every two buckets needs no bound.
func (d *Detector) interval(l line, inflate float64) (low, high float64) {
	pairs := len(d.slopes)
	reach := Z95 * math.Sqrt(l.variance*inflate)
	lower := int(math.Floor((float64(pairs)-reach)/2)) - 1 // ranks from 0
	if lower < 0 {
		return slices.Min(d.slopes), slices.Max(d.slopes)
	}
	// fit has put the smaller half before the larger one: each rank is in its own.
	half := (pairs - 1) / 2
	return nth(d.slopes[:half+1], lower), nth(d.slopes[half:], pairs-1-lower-half)
}

// inverse returns 1/n from a table: a division for each pair would be half the work.
func (d *Detector) inverse(n int) float64 {
	for len(d.inverses) <= n {
		d.inverses = append(d.inverses, 1/float64(len(d.inverses)))
	}
	return d.inverses[n]
}

// inflation returns by how much autocorrelation widens the variance of Kendall's S:
// 1 + 2 Σ (1 − k/n) r(k) over the lags whose r of the detrended series is
// significant (Yue & Wang 2004), never less than 1.
func (d *Detector) inflation(slope float64) float64 {
	longest := 0
	d.rest = d.rest[:0]
	for _, p := range d.runs {
		b := d.buckets[p.from:p.to]
		mean := 0.0
		for _, x := range b {
			mean += (x.low - slope*float64(x.index)) / float64(len(b))
		}
		for _, x := range b {
			d.rest = append(d.rest, x.low-slope*float64(x.index)-mean)
		}
		longest = max(longest, len(b))
	}
	n := float64(len(d.rest))
	total := 0.0
	for _, e := range d.rest {
		total += e * e
	}
	if total == 0 {
		return 1
	}
	sum := 0.0
	significant := 1.96 / math.Sqrt(n)
	for k := 1; k < longest; k++ {
		if r := d.product(k) / total; math.Abs(r) > significant {
			sum += (1 - float64(k)/n) * r
		}
	}
	return max(1, 1+2*sum)
}

// product returns Σ e(i) e(i+k) over the pairs of one run that lie k buckets apart.
func (d *Detector) product(k int) float64 {
	sum := 0.0
	for _, p := range d.runs {
		b, rest := d.buckets[p.from:p.to], d.rest[p.from:p.to]
		if b[len(b)-1].index-b[0].index == len(b)-1 { // no gaps
			for i := range len(b) - k {
				sum += rest[i] * rest[i+k]
			}
			continue
		}
		for i, j := 0, 0; i < len(b); i++ {
			for j < len(b) && b[j].index < b[i].index+k {
				j++
			}
			if j < len(b) && b[j].index == b[i].index+k {
				sum += rest[i] * rest[j]
			}
		}
	}
	return sum
}

// quantile returns the q-quantile, interpolated between the neighbours (Hyndman &
// Fan's type 7), and reorders values. No values: NaN.
func quantile(values []float64, q float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	at := q * float64(n-1)
	below := int(at)
	v := nth(values, below)
	if part := at - float64(below); part > 0 {
		v += part * (slices.Min(values[below+1:]) - v)
	}
	return v
}

// nth returns the value with rank k from 0 and moves the smaller ones before it and
// the larger ones behind it (Hoare's selection, the pivot a median of three: sorting
// the slopes would be nine tenths of the whole test). Values aren't NaN.
func nth(values []float64, k int) float64 {
	lo, hi := 0, len(values)-1
	for lo < hi {
		pivot := middle(values[lo], values[lo+(hi-lo)/2], values[hi])
		i, j := lo, hi
		for i <= j {
			for values[i] < pivot {
				i++
			}
			for values[j] > pivot {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return values[k]
		}
	}
	return values[k]
}

func middle(a, b, c float64) float64 {
	return max(min(a, b), min(max(a, b), c))
}

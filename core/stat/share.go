package stat

import "math"

// Z95 is the z of a two-sided interval of 95 %.
const Z95 = 1.959964

// Wilson returns the score interval of a share of k in n (Wilson 1927), 0 ≤ low ≤
// k/n ≤ high ≤ 1. Counts are floats because increase() of PromQL gives fractions.
// Nothing counted, or counts that aren't numbers, leave everything possible: 0 to 1.
func Wilson(k, n, z float64) (low, high float64) {
	if !(n > 0) || math.IsInf(n, 0) || !(k >= 0) || !(z >= 0) || math.IsInf(z, 0) {
		return 0, 1
	}
	p := min(k/n, 1)
	zz := z * z / n
	middle := p + zz/2
	reach := z * math.Sqrt(p*(1-p)/n+zz/(4*n))
	low = max(0, (middle-reach)/(1+zz))
	high = min(1, (middle+reach)/(1+zz))
	return min(low, p), max(high, p) // rounding at p = 0 and p = 1
}

// Thin reports whether k of n are too few to tell the share from a target: the 95 %
// interval straddles it. 19 of 20 look like less than 98 %, and may be 99.
func Thin(k, n, target float64) bool {
	low, high := Wilson(k, n, Z95)
	return low <= target && target <= high
}

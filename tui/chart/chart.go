// Package chart draws figures into cells: candlesticks in half-cell steps with
// volume and overlays, metric lines, and sparklines.
//
// Every function fills exactly the area that it is given, whatever the figures
// are: none, one, all the same, NaN, infinite. A hole in the figures is a hole in
// the picture; nothing is drawn across it. Nothing here looks at a clock.
package chart

import (
	"math"

	"github.com/spark-ta/spark/tui/ui"
)

// finite reports whether v can be drawn.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// leastSpark is the width below which a sparkline says nothing.
const leastSpark = 5

// Spark draws the figures as bars of eight heights, the newest at the right edge,
// scaled between their least and greatest. Flat figures are drawn at half height.
// More figures than columns are thinned to the last of each column's share. Fewer
// than five columns stay empty.
func Spark(a ui.Area, t *ui.Theme, s ui.Style, figures []float64) {
	if a.W < leastSpark || a.H <= 0 || len(figures) == 0 {
		return
	}
	shown := thin(figures, a.W)
	low, high := extent(shown)
	x := a.W - len(shown)
	steps := t.Glyphs.Sparks
	for i, v := range shown {
		if !finite(v) {
			continue
		}
		level := len(steps) / 2
		if high > low {
			level = int((v - low) / (high - low) * float64(len(steps)-1))
			if !(level >= 0 && level < len(steps)) { // the difference overflowed
				level = len(steps) / 2
			}
		}
		a.Put(x+i, 0, s, steps[level])
	}
}

// thin returns at most n of the figures: the last one of each of n equal shares.
func thin(figures []float64, n int) []float64 {
	if len(figures) <= n {
		return figures
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = figures[(i+1)*len(figures)/n-1]
	}
	return out
}

// extent returns the least and the greatest finite figure, and two NaN if there
// is none.
func extent(figures []float64) (low, high float64) {
	low, high = math.NaN(), math.NaN()
	for _, v := range figures {
		if !finite(v) {
			continue
		}
		if !(v >= low) {
			low = v
		}
		if !(v <= high) {
			high = v
		}
	}
	return low, high
}

package chart

import (
	"math"
	"strings"

	"github.com/guptarohit/asciigraph"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/ui"
)

// Line is one line of a metric chart.
type Line struct {
	Figures []float64 // oldest first; NaN is a hole
	Style   ui.Style
	// Mark, if not 0, draws the whole line with one character, so that two lines
	// can be told apart without colour.
	Mark rune
}

// labelWidth is fixed: labels that follow their figures make the chart jump.
const labelWidth = 5

// bound keeps asciigraph's arithmetic on ints safe.
const bound = 1e15

// Lines draws metric lines over a common scale that begins at 0, newest at the
// right edge. Its greatest figure, its middle and 0 are labelled: what lies between
// is seldom round. Where there is nothing to draw it says why in empty.
//
// The lines are asciigraph's. It panics on no figures and on infinities, does not
// clip, takes its label width from the figures, and its height grows with the
// figures unless it is told one; all that is dealt with here.
func Lines(a ui.Area, t *ui.Theme, lines []Line, empty safetext.Text) {
	plotWidth := a.W - labelWidth - 1
	if a.H < 2 || plotWidth < 2 {
		return
	}
	prepared := make([][]float64, len(lines))
	high, any := 0.0, false
	for i, l := range lines {
		prepared[i] = prepare(l.Figures, plotWidth+1) // n figures make n−1 columns
		for _, v := range prepared[i] {
			if finite(v) {
				high, any = max(high, v), true
			}
		}
	}
	if !any {
		a.Clip(1, a.H/2, a.W-1, ui.Dim, empty)
		return
	}
	high = ceiling(high)
	for i, l := range lines {
		if low, _ := extent(prepared[i]); finite(low) {
			s := scale{high: high, labelWidth: labelWidth, label: ui.Count}
			plot(a, prepared[i], l, s, i == 0)
		}
	}
}

// Fit returns the figures spread over the plot of [Lines] in w columns, so that a
// window fills it however many figures it has. Of more figures than columns the one
// farthest from the mean of them all is kept: neither a spike nor a dip disappears.
func Fit(figures []float64, w int) []float64 {
	n := w - labelWidth - 1
	if n < 2 {
		return nil
	}
	return spread(squeeze(bounded(figures), n), n+1)
}

// prepare returns exactly width figures: the newest, with a hole before the first.
func prepare(figures []float64, width int) []float64 {
	out := make([]float64, width)
	figures = figures[max(len(figures)-width, 0):]
	for i := range out {
		out[i] = math.NaN()
		if j := i - (width - len(figures)); j >= 0 && finite(figures[j]) {
			out[i] = min(max(figures[j], 0), bound)
		}
	}
	return out
}

// ceiling rounds up to 1, 2 or 5 times a power of ten, so that the scale changes
// seldom; it is at least 1.
func ceiling(v float64) float64 {
	if v <= 1 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 5} {
		if v <= step*power*(1+1e-12) {
			return step * power
		}
	}
	return 10 * power
}

// scale is the range of a chart and how its labels are written, all equally wide.
type scale struct {
	low, high  float64
	labelWidth int
	label      func(float64) string
}

func plot(a ui.Area, figures []float64, l Line, s scale, withAxis bool) {
	options := []asciigraph.Option{
		asciigraph.Height(a.H - 1), asciigraph.LowerBound(s.low), asciigraph.UpperBound(s.high),
		asciigraph.YAxisValueFormatter(func(v float64) string { return pad(s.label(v), s.labelWidth) }),
	}
	if l.Mark != 0 {
		options = append(options, asciigraph.SeriesChars(asciigraph.CreateCharSet(string(l.Mark))))
	}
	// A row is " label ┤figures": the place of the axis follows from the label's
	// width, which is ours.
	axis := s.labelWidth + 2
	for y, row := range strings.Split(asciigraph.Plot(figures, options...), "\n") {
		labelled := y == 0 || y == a.H-1 || 2*y == a.H-1
		x := 0
		for _, r := range row {
			switch {
			case x > axis && r != ' ':
				a.Put(x-2, y, l.Style, r)
			case x == axis && withAxis:
				// Where the line touches the axis asciigraph draws a crossing.
				tick := '│'
				if labelled {
					tick = '┤'
				}
				a.Put(s.labelWidth, y, ui.Border, tick)
			case x > 0 && x <= s.labelWidth && withAxis && labelled:
				a.Put(x-1, y, ui.Dim, r)
			}
			x++
		}
	}
}

func pad(s string, width int) string {
	return strings.Repeat(" ", max(width-len([]rune(s)), 0)) + s
}

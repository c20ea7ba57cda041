package chart

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/ui"
)

// Graph is figures over a window of time, with what happened in it. Its lines are
// asciigraph's, as those of [Lines] are.
type Graph struct {
	From, To time.Time
	Zone     *time.Location // of the times at the axis; nil means UTC
	// Lines span the window evenly, the first figure at From, the last at To.
	Lines []Line
	Marks []Mark
	// Labels are written for these figures instead of plain numbers, if not nil.
	Label func(float64) string
}

// Mark is something that happened at a time.
type Mark struct {
	At     time.Time
	Letter rune // what stands at its foot
	Text   safetext.Text
	Style  ui.Style
}

const (
	graphLabel = 7 // columns of a label
	leastGraph = 5 // rows: three of the lines, the marks, the times
	timeRoom   = 12
)

// Draw fills a: the lines, below them a row of marks, below that the times. A line
// that has more figures than columns keeps, of each column's share, the figure that
// is farthest from the middle of them all: neither a spike nor a dip disappears.
// Where there is nothing to draw it says why in empty.
func (g Graph) Draw(a ui.Area, t *ui.Theme, empty safetext.Text) {
	columns := a.W - graphLabel - 1
	if a.H < leastGraph || columns < 4 {
		return
	}
	body, foot := a.Top(a.H - 2)
	prepared := make([][]float64, len(g.Lines))
	low, high := math.NaN(), math.NaN()
	for i, l := range g.Lines {
		prepared[i] = spread(squeeze(bounded(l.Figures), columns), columns+1)
		if least, most := extent(prepared[i]); finite(least) {
			low, high = lesser(low, least), greater(high, most)
		}
	}
	if !finite(low) {
		body.Clip(1, body.H/2, body.W-1, ui.Dim, empty)
		return
	}
	s := scale{labelWidth: graphLabel}
	s.low, s.high = span(low, high)
	s.label = labels(s.low, s.high, g.Label)
	for i, l := range g.Lines {
		if least, _ := extent(prepared[i]); finite(least) {
			plot(body, prepared[i], l, s, i == 0)
		}
	}
	_, plotted := foot.Left(graphLabel + 1)
	g.drawFoot(plotted)
}

// drawFoot draws the marks and the times under the plot's columns.
func (g Graph) drawFoot(a ui.Area) {
	window := g.To.Sub(g.From)
	if window <= 0 {
		return
	}
	g.drawMarks(a, window)
	format := "15:04"
	if window > 20*time.Hour {
		format = "Jan 2 15:04"
	}
	at := func(share float64) safetext.Text {
		return ui.Say("%s", g.From.Add(time.Duration(share*float64(window))).In(ui.Zone(g.Zone)).Format(format))
	}
	end := a.Text(0, 1, ui.Dim, at(0))
	last := at(1)
	if a.W-ui.Width(last) > end {
		begin := a.Right(a.W, 1, ui.Dim, last)
		if middle := at(0.5); begin-end > ui.Width(middle)+2*timeRoom/3 {
			a.Text((a.W-ui.Width(middle))/2, 1, ui.Dim, middle)
		}
	}
}

// drawMarks draws the letters where things happened, and the texts that fit before the
// next letter.
func (g Graph) drawMarks(a ui.Area, window time.Duration) {
	marks := make([]Mark, a.W)
	for _, m := range g.Marks {
		x := int(float64(m.At.Sub(g.From)) / float64(window) * float64(a.W-1))
		if !m.At.Before(g.From) && !m.At.After(g.To) && x >= 0 && x < a.W {
			marks[x] = m // of several in one column the last
		}
	}
	end := a.W
	for x, m := range slices.Backward(marks) {
		if m.Letter == 0 {
			continue
		}
		a.Put(x, 0, m.Style, m.Letter)
		if x+1+ui.Width(m.Text) < end || end == a.W && x+1+ui.Width(m.Text) <= end {
			a.Text(x+1, 0, m.Style, m.Text)
		}
		end = x
	}
}

// bounded returns the figures with everything asciigraph cannot take as a hole.
func bounded(figures []float64) []float64 {
	out := make([]float64, len(figures))
	for i, v := range figures {
		out[i] = math.NaN()
		if finite(v) {
			out[i] = min(max(v, -bound), bound)
			if math.Abs(v) < 1/bound {
				out[i] = 0 // a range of nothing overflows too
			}
		}
	}
	return out
}

// squeeze returns at most n of the figures, of each share the one farthest from the
// mean.
func squeeze(figures []float64, n int) []float64 {
	if len(figures) <= n {
		return figures
	}
	sum, count := 0.0, 0.0
	for _, v := range figures {
		if finite(v) {
			sum, count = sum+v, count+1
		}
	}
	mean := sum / max(count, 1)
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
		for _, v := range figures[i*len(figures)/n : (i+1)*len(figures)/n] {
			if finite(v) && !(math.Abs(v-mean) <= math.Abs(out[i]-mean)) {
				out[i] = v
			}
		}
	}
	return out
}

// spread returns n figures: each of the given ones held until the next begins, so
// that the first stands at the left edge and the last at the right.
func spread(figures []float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
		if len(figures) > 0 {
			out[i] = figures[min(i*len(figures)/n, len(figures)-1)]
		}
	}
	return out
}

func lesser(a, b float64) float64 {
	if math.IsNaN(a) {
		return b
	}
	return min(a, b)
}

func greater(a, b float64) float64 {
	if math.IsNaN(a) {
		return b
	}
	return max(a, b)
}

// span returns the range of the axis: from 0 where that leaves the line at least a
// third of the height, so that its height can be read; close around the figures
// where it would be flat.
func span(low, high float64) (from, to float64) {
	switch {
	case low >= 0 && low <= high*2/3:
		return 0, roundUp(high)
	case high == low:
		room := max(math.Abs(high)/10, 1e-3)
		return low - room, high + room
	default:
		room := (high - low) / 10
		return low - room, high + room
	}
}

// roundUp rounds up to two digits that count.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v))-1)
	if up := math.Ceil(v/power-1e-9) * power; finite(up) && up > 0 {
		return up
	}
	return v
}

// labels returns a form of the figures in which low, middle and high differ.
func labels(low, high float64, form func(float64) string) func(float64) string {
	cut := func(s string) string {
		if r := []rune(s); len(r) > graphLabel {
			return string(r[:graphLabel])
		}
		return s
	}
	if form != nil {
		return func(v float64) string { return cut(form(v)) }
	}
	most := max(math.Abs(low), math.Abs(high))
	if most >= 1000 {
		return func(v float64) string { return cut(ui.Count(v)) }
	}
	decimals := 0
	for step := (high - low) / 4; step < 1 && decimals < 5; step *= 10 {
		decimals++
	}
	return func(v float64) string { return cut(strconv.FormatFloat(v, 'f', decimals, 64)) }
}

package chart

import (
	"math"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/ui"
)

// Bands is an overlay: three figures for each candle, NaN before it is warm.
type Bands struct{ Upper, Middle, Lower []float64 }

// Candles is a candlestick chart.
//
// A candle that rose is drawn with thin strokes, one that fell with full blocks,
// as hollow and filled candles are on paper: colour repeats it and is not needed
// for it. A row holds two steps of price. Where candles are missing one column
// stays empty, however many they are. The axis at the right carries the last price
// as a tag; the marks stand in a row of their own above the times.
type Candles struct {
	Timeframe market.Timeframe
	Candles   []market.Candle // oldest first; the last may be open
	Bands     *Bands          // as long as Candles, or nil
	Marks     map[int64]bool  // open times of candles at which an alert fired
	Volume    bool            // with a strip of volume below
	Zone      *time.Location  // of the time labels
}

// layout is where the parts of a chart stand.
type layout struct {
	plot, axis, volume, marks, times ui.Area
	first                            int   // index of the first candle drawn
	columns                          []int // of each candle drawn
	width                            int   // of the plot
	low, high                        float64
	decimals                         int
}

// Draw fills a with the chart; without candles it says why in empty.
func (c Candles) Draw(a ui.Area, t *ui.Theme, empty safetext.Text) {
	if a.W < 16 || a.H < 5 {
		a.Clip(0, 0, a.W, ui.Dim, "too small for a chart")
		return
	}
	l, ok := c.layout(a)
	if !ok {
		a.Clip(max((a.W-ui.Width(empty))/2, 0), a.H/2, a.W, ui.Dim, empty)
		return
	}
	c.drawAxis(l)
	c.drawBands(l)
	for i, candle := range c.Candles[l.first:] {
		drawCandle(l, l.column(i), candle)
	}
	c.drawVolume(l, t)
	c.drawTimes(l, t)
	c.drawTag(l)
}

func (l layout) column(i int) int { return l.columns[i] }

// place gives the newest candles that fit into width columns their places, each of
// step columns, with an empty place where candles are missing.
func (c Candles) place(width, step int) (first int, columns []int) {
	hole := func(i int) bool { return c.Timeframe.Next(c.Candles[i-1].Time) != c.Candles[i].Time }
	first = len(c.Candles) - 1
	for used := 1; first > 0; first-- {
		if used++; hole(first) {
			used++
		}
		if used > width/step {
			break
		}
	}
	x := 0
	for i := first; i < len(c.Candles); i++ {
		if i > first && hole(i) {
			x += step
		}
		columns = append(columns, x)
		x += step
	}
	return first, columns
}

func (c Candles) layout(a ui.Area) (layout, bool) {
	if len(c.Candles) == 0 {
		return layout{}, false
	}
	var l layout
	last := c.Candles[len(c.Candles)-1].Close
	l.decimals = ui.Decimals(last)
	label := len(ui.Price(last)) + 1
	for _, candle := range c.Candles[max(len(c.Candles)-a.W, 0):] {
		label = max(label, len(formatPrice(candle.High, l.decimals))+1)
	}
	label = min(label, a.W/2)
	width := a.W - label - 2 // one for the axis, one for the gap before it
	step := 1
	if width >= 80 && len(c.Candles)*2 >= width {
		step = 2
	}
	l.first, l.columns = c.place(width, step)
	l.low, l.high = c.scale(l.first)
	if !(l.high > l.low) || !finite(l.high-l.low) {
		return layout{}, false
	}
	body, times := a.Top(a.H - 1)
	body, marks := body.Top(body.H - 1)
	if c.Volume && body.H >= 10 {
		body, l.volume = body.Top(body.H - max(body.H/6, 2))
	}
	l.times, l.marks = times, marks
	l.plot, l.axis = body.Left(width)
	_, l.axis = l.axis.Left(1)
	l.width = width
	return l, true
}

// scale returns the range of prices shown: what the candles and the bands reach,
// and 2 % on each side.
func (c Candles) scale(first int) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for i := first; i < len(c.Candles); i++ {
		candle := c.Candles[i]
		if finite(candle.Low) && finite(candle.High) {
			low, high = min(low, candle.Low), max(high, candle.High)
		}
		if c.Bands != nil && finite(c.Bands.Lower[i]) && finite(c.Bands.Upper[i]) {
			low, high = min(low, c.Bands.Lower[i]), max(high, c.Bands.Upper[i])
		}
	}
	margin := (high - low) * 0.02
	if high == low {
		margin = math.Abs(high) * 0.001
	}
	return low - margin, high + margin
}

// half returns the half row of a price, 0 at the top.
func (l layout) half(price float64) int {
	n := 2 * l.plot.H
	return min(max(int((l.high-price)/(l.high-l.low)*float64(n)), 0), n-1)
}

func formatPrice(v float64, decimals int) string {
	return string(ui.Say("%.*f", decimals, v))
}

func (c Candles) drawAxis(l layout) {
	for y := range l.plot.H {
		l.axis.Put(0, y, ui.Border, '│')
	}
	step := niceStep((l.high - l.low) / max(float64(l.plot.H)/2, 1))
	if !(step > 0) || !finite(step) {
		return
	}
	for price := math.Ceil(l.low/step) * step; price <= l.high; price += step {
		y := l.half(price) / 2
		l.axis.Put(0, y, ui.Border, '├')
		l.axis.Clip(1, y, l.axis.W-1, ui.Dim, ui.Say("%s", formatPrice(price, l.decimals)))
		if price+step == price { // the step is below the figures' precision
			return
		}
	}
}

// niceStep returns 1, 2 or 5 times a power of ten, at least v.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power {
			return m * power
		}
	}
	return 10 * power
}

func (c Candles) drawBands(l layout) {
	if c.Bands == nil {
		return
	}
	for _, band := range []struct {
		figures []float64
		glyph   rune
	}{{c.Bands.Middle, '·'}, {c.Bands.Upper, '•'}, {c.Bands.Lower, '•'}} {
		for i, v := range band.figures[l.first:] {
			if finite(v) && v >= l.low && v <= l.high {
				l.plot.Put(l.column(i), l.half(v)/2, ui.Band, band.glyph)
			}
		}
	}
}

// What one half of a cell holds.
const (
	blank = iota
	wick
	body
)

// strokes is the character for each pair of halves, of candles that rose and of
// candles that fell.
func stroke(top, bottom int, rose bool) rune {
	thin := [3][3]rune{{' ', '╷', '╻'}, {'╵', '│', '╽'}, {'╹', '╿', '┃'}}
	full := [3][3]rune{{' ', '╷', '▄'}, {'╵', '│', '█'}, {'▀', '█', '█'}}
	if rose {
		return thin[top][bottom]
	}
	return full[top][bottom]
}

func drawCandle(l layout, x int, c market.Candle) {
	if !finite(c.Low) || !finite(c.High) {
		return
	}
	style, rose := ui.Up, c.Close >= c.Open
	if !rose {
		style = ui.Down
	}
	top, bottom := l.half(c.High), l.half(c.Low)
	bodyTop, bodyBottom := l.half(max(c.Open, c.Close)), l.half(min(c.Open, c.Close))
	if c.Open == c.Close {
		drawDoji(l, x, style, top, bottom, bodyTop)
		return
	}
	kind := func(h int) int {
		switch {
		case h >= bodyTop && h <= bodyBottom:
			return body
		case h >= top && h <= bottom:
			return wick
		}
		return blank
	}
	for y := top / 2; y <= bottom/2; y++ {
		l.plot.Put(x, y, style, stroke(kind(2*y), kind(2*y+1), rose))
	}
}

// drawDoji draws a candle without a body: a cross, or a dash if it has no wick.
func drawDoji(l layout, x int, s ui.Style, top, bottom, at int) {
	for y := top / 2; y <= bottom/2; y++ {
		l.plot.Put(x, y, s, '│')
	}
	glyph := '┼'
	if top/2 == bottom/2 {
		glyph = '─'
	}
	l.plot.Put(x, at/2, s, glyph)
}

func (c Candles) drawVolume(l layout, t *ui.Theme) {
	if l.volume.H == 0 {
		return
	}
	most := 0.0
	for _, candle := range c.Candles[l.first:] {
		if finite(candle.Volume) {
			most = max(most, candle.Volume)
		}
	}
	if most <= 0 {
		return
	}
	steps := t.Glyphs.Sparks
	for i, candle := range c.Candles[l.first:] {
		if !finite(candle.Volume) || candle.Volume <= 0 {
			continue
		}
		style := ui.Up
		if candle.Close < candle.Open {
			style = ui.Down
		}
		eighths := max(int(candle.Volume/most*float64(l.volume.H*len(steps))), 1)
		for y := l.volume.H - 1; y >= 0 && eighths > 0; y-- {
			glyph := t.Glyphs.Bar
			if eighths < len(steps) {
				glyph = steps[eighths-1]
			}
			l.volume.Put(l.column(i), y, style, glyph)
			eighths -= len(steps)
		}
	}
	l.volume.Text(l.width+2, 0, ui.Dim, ui.Say("%s", ui.Count(most)))
	l.volume.Text(l.width+2, 1, ui.Dim, "volume")
}

// drawTimes writes the times of candles at fixed distances, and the marks.
func (c Candles) drawTimes(l layout, t *ui.Theme) {
	form := timeForm(c.Timeframe)
	if len(c.Marks) > 0 {
		l.marks.Clip(l.width+2, 0, l.marks.W, ui.Warn, ui.Say("%c alert", t.Glyphs.Mark))
	}
	distance := len(form) + 6
	for i, candle := range c.Candles[l.first:] {
		x := l.column(i)
		if c.Marks[candle.Time] {
			l.marks.Put(x, 0, ui.Warn|ui.Bold, t.Glyphs.Mark)
		}
		if x%distance == 0 && x+len(form) <= l.plot.W {
			l.times.Text(x, 0, ui.Dim, ui.Say("%s", time.UnixMilli(candle.Time).In(ui.Zone(c.Zone)).Format(form)))
		}
	}
}

func timeForm(tf market.Timeframe) string {
	switch d := tf.Duration(); {
	case d >= 24*time.Hour:
		return "2006-01-02"
	case d >= time.Hour:
		return "01-02 15:04"
	default:
		return "15:04"
	}
}

func (c Candles) drawTag(l layout) {
	last := c.Candles[len(c.Candles)-1]
	style := ui.Up
	if last.Close < last.Open {
		style = ui.Down
	}
	tag := l.axis.Sub(0, l.half(last.Close)/2, l.axis.W, 1)
	tag.Fill(style | ui.Reverse)
	tag.Clip(1, 0, tag.W-1, style|ui.Reverse|ui.Bold, ui.Say("%s", formatPrice(last.Close, l.decimals)))
}

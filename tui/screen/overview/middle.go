package overview

import (
	"math"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/chart"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

func (s *Screen) drawPrices(a ui.Area, p *live.Picture) {
	type key struct {
		rev    uint64
		theme  *ui.Theme
		remark safetext.Text
	}
	remark := safetext.Text("24 h")
	if newest := newestPrice(p.Watch.Tickers); s.now.Sub(newest) > 15*time.Second && !newest.IsZero() {
		remark = ui.Say("%s old", ui.Seconds(s.now.Sub(newest)))
	}
	s.prices.Draw(a, key{p.Watch.Rev, s.Theme, remark}, func(a ui.Area) {
		rest := a.Heading(s.Theme, false, "Prices", remark)
		for y, t := range p.Watch.Tickers {
			if y == rest.H-1 && len(p.Watch.Tickers) > rest.H {
				rest.Clip(1, y, rest.W, ui.Dim, ui.Say("and %d more", len(p.Watch.Tickers)-y))
				return
			}
			ui.TickerRow(rest.Sub(0, y, rest.W, 1), s.Theme, t.Symbol, t.Price, t.Change, t.Moved, t.Err)
			if t.Err == "" {
				chart.Spark(rest.Sub(34, y, rest.W-34, 1), s.Theme, ui.First, t.Spark)
			}
		}
	})
}

func newestPrice(tickers []live.Ticker) (at time.Time) {
	for _, t := range tickers {
		if t.At.After(at) {
			at = t.At
		}
	}
	return at
}

// trend is one chart of the middle.
type trend struct {
	title safetext.Text
	lines []chart.Line
	more  safetext.Text // beside the newest figures
}

// trends are the charts, the most important first: the observer's hour, or what the
// console saw itself where the observer has none.
func trends(p *live.Picture) []trend {
	g, t := p.Gauges, p.Trends
	one := func(figures []float64) []chart.Line { return []chart.Line{{Figures: figures, Style: ui.First}} }
	if !t.Known {
		return []trend{
			{"Evaluations/s", one(g.Evaluations), ""}, {"Triggers/min", one(g.Triggers), ""},
			{"Deliveries/min", deliveries(g.Sent, g.Failed), ""}, {"Streams", one(g.Streams), ""},
		}
	}
	p95, millis := safetext.Text(""), make([]float64, len(t.P95))
	for i, v := range t.P95 {
		millis[i] = v * 1000
	}
	if n := len(millis); n > 0 && !math.IsNaN(millis[n-1]) {
		p95 = ui.Say("P95 %s", ui.Millis(millis[n-1]))
	}
	return []trend{
		{"Evaluations/s", one(t.Evaluations), p95}, {"Triggers/5m", one(t.Triggers), ""},
		{"Deliveries/5m", deliveries(t.Sent, t.Failed), ""}, {"Streams", one(t.Streams), ""}, {"P95 of an evaluation, ms", one(millis), ""},
	}
}

// drawCharts draws as many charts as there is room for.
func (s *Screen) drawCharts(a ui.Area, p *live.Picture) {
	charts := trends(p)
	columns, rows := 2, 1
	switch {
	case a.H >= 11 && a.W >= 120 && p.Trends.Known:
		columns, rows = 3, 2
	case a.H >= 11:
		rows = 2
	case a.W >= 120:
		columns = 4
	}
	if a.W < 46 {
		columns = 1
	}
	for i, c := range charts[:min(columns*rows, len(charts))] {
		x, y := i%columns, i/columns
		left, right := x*a.W/columns, (x+1)*a.W/columns
		top, bottom := y*a.H/rows, (y+1)*a.H/rows
		box := a.Sub(left, top, right-left-boolInt(x < columns-1), bottom-top)
		type key struct {
			rev, trends uint64
			theme       *ui.Theme
		}
		k := key{p.Gauges.Rev, p.Trends.Rev, s.Theme}
		if p.Trends.Known {
			k.rev = 0 // they show the hour alone
		}
		s.charts[i].Draw(box, k, func(a ui.Area) { s.drawTrend(a, c, p) })
	}
}

func (s *Screen) drawTrend(a ui.Area, c trend, p *live.Picture) {
	remark := remarkOf(c.lines)
	if c.more != "" {
		remark += ", " + c.more
	}
	why := safetext.Text("no figures yet")
	if p.Gauges.Err != "" {
		why = p.Gauges.Err
	}
	if !p.Trends.Known {
		chart.Lines(a.Heading(s.Theme, false, c.title, remark), s.Theme, c.lines, why)
		return
	}
	if wide := remark + " in 1 h"; ui.Width(c.title)+ui.Width(wide)+8 < a.W {
		remark = wide
	}
	for i := range c.lines {
		c.lines[i].Figures = chart.Fit(c.lines[i].Figures, a.W)
	}
	chart.Lines(a.Heading(s.Theme, false, c.title, remark), s.Theme, c.lines, why)
}

// deliveries are those sent, and those that failed once one did.
func deliveries(sent, failed []float64) []chart.Line {
	lines := []chart.Line{{Figures: sent, Style: ui.First}}
	for _, v := range failed {
		if v > 0 {
			return append(lines, chart.Line{Figures: failed, Style: ui.Second, Mark: 'x'})
		}
	}
	return lines
}

// remarkOf is the newest figure of each line.
func remarkOf(lines []chart.Line) safetext.Text {
	var text safetext.Text
	for i, l := range lines {
		if len(l.Figures) == 0 || math.IsNaN(l.Figures[len(l.Figures)-1]) {
			continue
		}
		newest := ui.Count(l.Figures[len(l.Figures)-1])
		if i > 0 {
			text += ui.Say(", %s failed", newest)
		} else {
			text += ui.Say("%s", newest)
		}
	}
	return text
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

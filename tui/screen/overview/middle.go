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

// drawCharts draws two or four charts, as there is room.
func (s *Screen) drawCharts(a ui.Area, p *live.Picture) {
	g := p.Gauges
	charts := []struct {
		title safetext.Text
		lines []chart.Line
	}{
		{"Evaluations/s", []chart.Line{{Figures: g.Evaluations, Style: ui.First}}},
		{"Triggers/min", []chart.Line{{Figures: g.Triggers, Style: ui.First}}},
		{"Deliveries/min", deliveries(g)},
		{"Streams", []chart.Line{{Figures: g.Streams, Style: ui.First}}},
	}
	columns, rows := 2, 1
	if a.H >= 11 {
		rows = 2
	} else if a.W >= 120 {
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
			rev   uint64
			theme *ui.Theme
		}
		s.charts[i].Draw(box, key{g.Rev, s.Theme}, func(a ui.Area) {
			rest := a.Heading(s.Theme, false, c.title, remarkOf(c.lines))
			why := safetext.Text("no figures yet")
			if g.Err != "" {
				why = g.Err
			}
			chart.Lines(rest, s.Theme, c.lines, why)
		})
	}
}

// deliveries are those sent, and those that failed once one did.
func deliveries(g live.Gauges) []chart.Line {
	lines := []chart.Line{{Figures: g.Sent, Style: ui.First}}
	for _, v := range g.Failed {
		if v > 0 {
			return append(lines, chart.Line{Figures: g.Failed, Style: ui.Second, Mark: 'x'})
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

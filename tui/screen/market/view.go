package market

import (
	"math"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/ta"
	"github.com/spark-ta/spark/tui/chart"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/live/sse"
	"github.com/spark-ta/spark/tui/ui"
)

// staleAfter is the silence after which a chart is called stale: the exchange
// sends a quiet symbol's candle at least every few seconds.
const staleAfter = 15 * time.Second

// drawHead draws symbol, timeframe, price and change at the left, and at the right
// how the stream stands.
func (s *Screen) drawHead(a ui.Area, p *live.Picture) {
	for x := range a.W {
		a.Put(x, 0, ui.Border, s.Theme.Glyphs.Rule)
	}
	x := a.Text(1, 0, ui.Title, ui.Say(" %s %s ", s.Series.Symbol, s.Series.Timeframe))
	for _, t := range p.Watch.Tickers {
		if t.Symbol != s.Series.Symbol || math.IsNaN(t.Price) {
			continue
		}
		x = a.Text(x, 0, ui.Bold, ui.Say(" %s ", ui.Price(t.Price)))
		style := ui.Up
		if t.Change < 0 {
			style = ui.Down
		}
		if !math.IsNaN(t.Change) {
			x = a.Text(x, 0, style, ui.Say("%s in 24 h ", ui.Percent(t.Change)))
		}
	}
	style, badge, more := s.badge(p.Chart)
	for _, text := range []safetext.Text{badge + more, badge} {
		if w := ui.Width(text) + 2; x+w+1 < a.W {
			a.Text(a.W-w-1, 0, style, " "+text+" ")
			return
		}
	}
}

// badge says how live the chart is, and more of it if there is room.
func (s *Screen) badge(c live.Chart) (style ui.Style, badge, more safetext.Text) {
	switch {
	case c.Series != s.Series || c.Loading:
		return ui.Dim, "LOADING", ""
	case c.Stream.Phase == sse.Waiting || c.Stream.Phase == sse.Refused:
		more = ui.Say(": %s", c.Stream.Cause)
		if d := c.Stream.Next.Sub(s.now); d > 0 {
			more = ui.Say("%s, retry in %s", more, ui.Seconds(d))
		}
		return ui.Bad, "STREAM LOST", more
	case c.Err != "":
		return ui.Bad, "NO CANDLES", ": " + c.Err
	case c.At.IsZero():
		return ui.Dim, "LOADING", ""
	case c.Stream.Phase != sse.Live:
		return ui.Dim, "CONNECTING", ""
	case s.now.Sub(c.At) > staleAfter:
		return ui.Warn, ui.Say("STALE %s", ui.Seconds(s.now.Sub(c.At))), ""
	case c.Latency > 0:
		style = ui.Good
		if c.Latency > 2*time.Second {
			style = ui.Warn
		}
		return style, ui.Say("LIVE %s", ui.Millis(float64(c.Latency.Microseconds())/1000)), ""
	default:
		return ui.Good, "LIVE", ""
	}
}

func (s *Screen) drawChart(a ui.Area, p *live.Picture) {
	type key struct {
		rev, feed uint64
		theme     *ui.Theme
		series    market.Series
		noBands   bool
		noVolume  bool
	}
	c := p.Chart
	k := key{c.Rev, p.Feed.Rev, s.Theme, s.Series, s.noBands, s.noVolume}
	s.chart.Draw(a, k, func(a ui.Area) {
		if c.Series != s.Series {
			c = live.Chart{Loading: true}
		}
		drawn := chart.Candles{
			Timeframe: s.Series.Timeframe, Candles: c.Candles, Volume: !s.noVolume, Zone: s.Zone,
			Marks: marks(p.Feed, s.Series),
		}
		if !s.noBands && len(c.Candles) > 0 {
			drawn.Bands = s.bands.of(c.Series, c.Candles)
		}
		drawn.Draw(a, s.Theme, why(c, p))
	})
}

// why says why there are no candles.
func why(c live.Chart, p *live.Picture) safetext.Text {
	switch {
	case c.Err != "":
		return "no candles: " + c.Err
	case p.Link.LastOK.IsZero():
		return "waiting for the daemon"
	case c.Loading:
		return "loading candles"
	default:
		return "the gateway has no candles of this series"
	}
}

// marks returns the open times of the candles in which an alert of the symbol
// fired, on any timeframe.
func marks(f live.Feed, series market.Series) map[int64]bool {
	var found map[int64]bool
	for _, e := range f.Events {
		if e.Kind != live.Trigger || e.Symbol != series.Symbol {
			continue
		}
		if found == nil {
			found = map[int64]bool{}
		}
		found[series.Timeframe.Open(e.Time.UnixMilli())] = true
	}
	return found
}

// bandCache holds the bands of the closed candles, so that an update of the open
// one costs one step.
type bandCache struct {
	series market.Series
	closed []closing // what the bands have seen
	bands  chart.Bands
	state  *ta.Bollinger
}

type closing struct {
	time  int64
	price float64
}

const (
	bandPeriod = 20
	bandWidth  = 2
)

// of returns Bollinger(20, 2) at each candle.
func (b *bandCache) of(series market.Series, candles []market.Candle) *chart.Bands {
	n := len(candles) - 1 // the last may be open and is only peeked at
	if !b.continues(series, candles[:n]) {
		*b = bandCache{series: series, state: ta.NewBollinger(bandPeriod, bandWidth)}
	}
	for _, c := range candles[len(b.closed):n] {
		b.append(b.state.Update(c.Close))
		b.closed = append(b.closed, closing{c.Time, c.Close})
	}
	v := b.state.Peek(candles[n].Close)
	// Appending to copies of full length would copy; the extra figure lives beyond
	// the cache's own length instead, and the next call overwrites it.
	return &chart.Bands{
		Upper:  append(b.bands.Upper, v.Upper),
		Middle: append(b.bands.Middle, v.Middle),
		Lower:  append(b.bands.Lower, v.Lower),
	}
}

func (b *bandCache) append(v ta.Bands) {
	b.bands.Upper = append(b.bands.Upper, v.Upper)
	b.bands.Middle = append(b.bands.Middle, v.Middle)
	b.bands.Lower = append(b.bands.Lower, v.Lower)
}

// continues reports whether the candles begin with those that the cache has seen:
// not after a hole was filled or a close corrected.
func (b *bandCache) continues(series market.Series, candles []market.Candle) bool {
	if b.state == nil || b.series != series || len(candles) < len(b.closed) {
		return false
	}
	for i, c := range b.closed {
		if c != (closing{candles[i].Time, candles[i].Close}) {
			return false
		}
	}
	return true
}

func (s *Screen) drawSide(a ui.Area, p *live.Picture) {
	type key struct {
		rev    uint64
		theme  *ui.Theme
		symbol market.Symbol
	}
	s.side.Draw(a, key{p.Watch.Rev, s.Theme, s.Series.Symbol}, func(a ui.Area) {
		rest := a.Heading(s.Theme, false, "Prices", "24 h")
		for y, t := range p.Watch.Tickers {
			row := rest.Sub(0, y, rest.W, 1)
			ui.TickerRow(row, s.Theme, t.Symbol, t.Price, t.Change, t.Moved, t.Err)
			if t.Err == "" {
				chart.Spark(row.Sub(34, 0, row.W-34, 1), s.Theme, ui.First, t.Spark)
			}
			if t.Symbol == s.Series.Symbol {
				row.Put(0, 0, ui.Accent|ui.Bold, s.Theme.Glyphs.Cursor)
			}
		}
	})
}

// drawTriggers lists the last triggers of the symbol.
func (s *Screen) drawTriggers(a ui.Area, p *live.Picture) {
	type key struct {
		rev    uint64
		theme  *ui.Theme
		symbol market.Symbol
	}
	s.triggers.Draw(a, key{p.Feed.Rev, s.Theme, s.Series.Symbol}, func(a ui.Area) {
		rest := a.Heading(s.Theme, false, ui.Say("Triggers of %s", s.Series.Symbol), "")
		y := 0
		for _, e := range p.Feed.Events {
			if e.Kind != live.Trigger || e.Symbol != s.Series.Symbol {
				continue
			}
			if y == rest.H {
				return
			}
			rest.Text(1, y, ui.Dim, ui.Say("%s", e.Time.In(ui.Zone(s.Zone)).Format("15:04:05")))
			rest.Clip(10, y, rest.W-10, ui.Warn, e.Text)
			y++
		}
		if y == 0 {
			rest.Clip(1, 0, rest.W, ui.Dim, "none since the console was opened")
		}
	})
}

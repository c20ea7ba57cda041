// Package market is the screen of one symbol: candlesticks with volume and
// Bollinger bands, live, with the triggers of its alerts marked; prices of the
// other symbols beside it and its last triggers below, where there is room.
//
// Which series is shown is the screen's own state. It asks for another one through
// Select and shows what the picture has: until the picture follows, it says that
// it is loading, and never draws candles of one series under the name of another.
package market

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// Room that a chart needs before others get any.
const (
	sideWidth  = ui.TickerWidth + 12
	wideEnough = 110
	tallEnough = 28
	frameRows  = 2 // of the terminal, around the screen
)

// Screen is the market screen.
type Screen struct {
	Theme  *ui.Theme
	Zone   *time.Location // of the times shown
	Series market.Series  // shown first
	// Select asks for the candles of a series. It must not block.
	Select func(market.Series)

	picture  *live.Picture
	now      time.Time
	noBands  bool
	noVolume bool

	chart, side, triggers ui.Panel
	bands                 bandCache
}

// Context names the keys that the screen understands.
func (s *Screen) Context() ui.Context { return ui.InMarket }

// Update takes a message: a picture, the clock, an action, or a series to show.
func (s *Screen) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case *live.Picture:
		s.picture = msg
	case ui.Clock:
		s.now = time.Time(msg)
	case *ui.Theme:
		s.Theme = msg
	case ui.ShowSymbol:
		return s.show(market.Series{Symbol: market.Symbol(msg), Timeframe: s.Series.Timeframe})
	case ui.ShowTimeframe:
		return s.show(market.Series{Symbol: s.Series.Symbol, Timeframe: market.Timeframe(msg)})
	case ui.Wheel:
		if msg > 0 {
			return s.act(ui.Longer)
		}
		return s.act(ui.Shorter)
	case ui.Action:
		return s.act(msg)
	}
	return nil
}

func (s *Screen) act(a ui.Action) tea.Cmd {
	switch a {
	case ui.PrevSymbol:
		return s.step(-1)
	case ui.NextSymbol:
		return s.step(1)
	case ui.Shorter:
		return s.stretch(-1)
	case ui.Longer:
		return s.stretch(1)
	case ui.NextFrame:
		return s.nextCommon()
	case ui.ToggleBands:
		s.noBands = !s.noBands
	case ui.ToggleVolume:
		s.noVolume = !s.noVolume
	}
	return nil
}

func (s *Screen) show(series market.Series) tea.Cmd {
	if series == s.Series {
		return nil
	}
	s.Series = series
	if s.Select == nil {
		return nil
	}
	return func() tea.Msg {
		s.Select(series)
		return nil
	}
}

// step goes n symbols along the ticker.
func (s *Screen) step(n int) tea.Cmd {
	symbols := s.Symbols()
	if len(symbols) == 0 {
		return nil
	}
	at := slices.Index(symbols, s.Series.Symbol)
	next := symbols[((at+n)%len(symbols)+len(symbols))%len(symbols)]
	return s.show(market.Series{Symbol: next, Timeframe: s.Series.Timeframe})
}

// stretch goes n timeframes longer.
func (s *Screen) stretch(n int) tea.Cmd {
	all := market.Timeframes()
	at := min(max(slices.Index(all, s.Series.Timeframe)+n, 0), len(all)-1)
	return s.show(market.Series{Symbol: s.Series.Symbol, Timeframe: all[at]})
}

// nextCommon goes to the next of the timeframes that people look at.
func (s *Screen) nextCommon() tea.Cmd {
	common := []market.Timeframe{market.M1, market.M5, market.M15, market.H1, market.H4, market.D1}
	next := common[0]
	for _, tf := range common {
		if tf > s.Series.Timeframe {
			next = tf
			break
		}
	}
	return s.show(market.Series{Symbol: s.Series.Symbol, Timeframe: next})
}

// Symbols returns the symbols of the ticker, in its order.
func (s *Screen) Symbols() []market.Symbol {
	if s.picture == nil {
		return nil
	}
	symbols := make([]market.Symbol, 0, len(s.picture.Watch.Tickers))
	for _, t := range s.picture.Watch.Tickers {
		symbols = append(symbols, t.Symbol)
	}
	return symbols
}

// hidden says what there is no room for.
func hidden(a ui.Area) safetext.Text {
	switch narrow, low := a.W < wideEnough, a.H < tallEnough; {
	case narrow && low:
		return ui.Say("prices and triggers are hidden below %d×%d", wideEnough, tallEnough+frameRows)
	case narrow:
		return ui.Say("prices are hidden below %d columns", wideEnough)
	case low:
		return ui.Say("triggers are hidden below %d rows", tallEnough+frameRows)
	}
	return ""
}

// View draws the screen onto a.
func (s *Screen) View(a ui.Area) {
	p := s.picture
	if p == nil {
		p = live.Blank()
	}
	head, rest := a.Top(1)
	s.drawHead(head, p)
	if note := hidden(a); note != "" {
		above, below := rest.Top(rest.H - 1)
		below.Clip(0, 0, below.W, ui.Dim, note)
		rest = above
	}
	if a.H >= tallEnough {
		above, below := rest.Top(rest.H - 7)
		s.drawTriggers(below, p)
		rest = above
	}
	if a.W >= wideEnough {
		left, right := rest.Left(rest.W - sideWidth)
		s.drawSide(right.Sub(1, 0, right.W-1, right.H), p)
		rest = left
	}
	s.drawChart(rest, p)
}

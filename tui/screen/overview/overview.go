// Package overview is the first screen: is everything well, and what happened
// last. From top to bottom: five cards, how hypercare stands, the fleet, prices beside live charts, and
// the feed of events. What does not fit is left out in that order from the end,
// except the feed, and said.
package overview

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// Smallest size that has room for prices and charts.
const (
	fullWidth  = 80
	fullHeight = 20
)

// Screen is the overview. Set Theme and Zone; its zero value shows an empty world.
type Screen struct {
	Theme *ui.Theme
	Zone  *time.Location // of the times shown

	picture *live.Picture
	now     time.Time

	inFleet bool   // the keys go to the fleet, not to the events
	fleet   int    // first instance shown
	chosen  uint64 // Seq of the chosen event; 0 follows the newest
	rows    int    // of events, at the last view

	cards, care, instances, prices, events ui.Panel
	charts                                 [5]ui.Panel
}

// Context names the keys that the screen understands.
func (s *Screen) Context() ui.Context { return ui.InOverview }

// Update takes a message: a picture, the clock, or an action.
func (s *Screen) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case *live.Picture:
		s.picture = msg
	case ui.Clock:
		s.now = time.Time(msg)
	case *ui.Theme:
		s.Theme = msg
	case ui.Wheel:
		s.move(int(msg))
	case ui.Action:
		return s.act(msg)
	}
	return nil
}

func (s *Screen) act(a ui.Action) tea.Cmd {
	switch a {
	case ui.LineUp:
		s.move(-1)
	case ui.LineDown:
		s.move(1)
	case ui.PageUp:
		s.move(-max(s.rows-1, 1))
	case ui.PageDown:
		s.move(max(s.rows-1, 1))
	case ui.Newest:
		s.move(-live.FeedLimit)
	case ui.Last:
		s.move(live.FeedLimit)
	case ui.Focus:
		s.inFleet = !s.inFleet
	case ui.Back:
		s.inFleet, s.fleet, s.chosen = false, 0, 0
	case ui.Open:
		if e, ok := s.event(); ok && e.Symbol != "" {
			return func() tea.Msg { return ui.ShowSymbol(e.Symbol) }
		} else if ok && e.Kind == live.Judgement {
			return func() tea.Msg { return ui.ShowCheck(e.Who) }
		}
	}
	return nil
}

// move goes n rows down in the panel that has the keys.
func (s *Screen) move(n int) {
	if s.inFleet {
		s.fleet = max(s.fleet+n, 0) // the view cuts it to the fleet's size
		return
	}
	events := s.feed().Events
	if len(events) == 0 {
		return
	}
	at := s.index()
	if at < 0 && n > 0 {
		n-- // the first step down chooses the newest
		at = 0
	}
	at = min(at+n, len(events)-1)
	if at < 0 {
		s.chosen = 0
		return
	}
	s.chosen = events[at].Seq
}

// index returns the row of the chosen event, −1 for none. An event that is no
// longer kept is replaced by the oldest that is.
func (s *Screen) index() int {
	events := s.feed().Events
	if s.chosen == 0 || len(events) == 0 {
		return -1
	}
	// Seq falls by one from entry to entry.
	return int(min(events[0].Seq-min(s.chosen, events[0].Seq), uint64(len(events)-1)))
}

func (s *Screen) event() (live.Event, bool) {
	events := s.feed().Events
	if len(events) == 0 {
		return live.Event{}, false
	}
	return events[max(s.index(), 0)], true
}

func (s *Screen) feed() live.Feed {
	if s.picture == nil {
		return live.Feed{}
	}
	return s.picture.Feed
}

// View draws the screen onto a.
func (s *Screen) View(a ui.Area) {
	p := s.picture
	if p == nil {
		p = live.Blank()
	}
	full := a.W >= fullWidth && a.H >= fullHeight
	cards, rest := a.Top(cardRows(a))
	s.drawCards(cards, p)
	care, rest := rest.Top(careRows(&p.Care))
	s.drawCare(care, p)

	fleetRows := min(max(len(p.Fleet.Instances), 1), max(a.H/7, 2)) + 2
	fleet, rest := rest.Top(fleetRows)
	s.drawFleet(fleet, p)

	if full {
		middle, below := rest.Top(middleRows(a.H))
		prices, charts := middle.Left(pricesWidth(a.W))
		s.drawPrices(prices, p)
		s.drawCharts(charts.Sub(1, 0, charts.W-1, charts.H), p)
		rest = below
	} else {
		body, note := rest.Top(rest.H - 1)
		note.Clip(0, 0, note.W, ui.Dim, ui.Say("prices and charts are hidden below %d×%d", fullWidth, fullHeight+2))
		rest = body
	}
	s.drawEvents(rest, p)
}

func cardRows(a ui.Area) int {
	if a.H < 12 {
		return 2
	}
	return 3
}

func middleRows(h int) int { return min(max(h*2/5, 6), 22) }

func pricesWidth(w int) int { return min(max(w*2/5, 36), 64) }

// stale returns the age of data that is older than three of its periods, and
// nothing for data that is not.
func (s *Screen) stale(at time.Time, period time.Duration) safetext.Text {
	if at.IsZero() || s.now.Sub(at) <= 3*period {
		return ""
	}
	return ui.Say("%s", ui.Seconds(s.now.Sub(at)))
}

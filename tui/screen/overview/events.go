package overview

import (
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

func (s *Screen) drawEvents(a ui.Area, p *live.Picture) {
	type key struct {
		rev     uint64
		theme   *ui.Theme
		focus   bool
		chosen  uint64
		waiting bool
	}
	s.rows = max(a.H-1, 1)
	chosen := s.index()
	waiting := p.Link.LastOK.IsZero()
	s.events.Draw(a, key{p.Feed.Rev, s.Theme, !s.inFleet, s.chosen, waiting}, func(a ui.Area) {
		rest := a.Heading(s.Theme, !s.inFleet, "Events", eventsRemark(p.Feed, chosen))
		if len(p.Feed.Events) == 0 {
			text := safetext.Text("none yet: triggers, deliveries and changes of leader appear here")
			if waiting {
				text = "waiting for the observer"
			}
			rest.Clip(1, 0, rest.W, ui.Dim, text)
			return
		}
		top := max(min(chosen-rest.H/2, len(p.Feed.Events)-rest.H), 0)
		for y := range rest.H {
			if top+y >= len(p.Feed.Events) {
				return
			}
			s.drawEvent(rest.Sub(0, y, rest.W, 1), p.Feed.Events[top+y], top+y == chosen)
		}
	})
}

func eventsRemark(f live.Feed, chosen int) safetext.Text {
	switch {
	case f.Total == 0:
		return ""
	case chosen > 0:
		return ui.Say("%d newer above, %d in all", chosen, f.Total)
	case f.Total > uint64(len(f.Events)):
		return ui.Say("newest %d of %d", len(f.Events), f.Total)
	default:
		return ui.Say("%d", f.Total)
	}
}

func (s *Screen) drawEvent(a ui.Area, e live.Event, chosen bool) {
	var extra ui.Style
	if chosen {
		extra = ui.Reverse
		a.Fill(ui.Reverse)
		a.Put(0, 0, extra, s.Theme.Glyphs.Cursor)
	}
	a.Text(1, 0, ui.Dim|extra, ui.Say("%s", e.Time.In(ui.Zone(s.Zone)).Format("15:04:05")))
	a.Text(10, 0, tone(e.Tone)|ui.Bold|extra, word(e.Kind))
	width := 12
	switch {
	case a.W >= 100:
		width = 20
	case a.W >= 80:
		width = 15
	}
	a.Clip(18, 0, width, ui.Plain|extra, e.Who)
	a.Clip(19+width, 0, a.W-19-width, tone(e.Tone)|extra, e.Text)
}

// word is the kind of an event in at most seven letters.
func word(k live.Kind) safetext.Text {
	switch k {
	case live.Trigger:
		return "TRIGGER"
	case live.Delivery:
		return "NOTIFY"
	case live.Leadership:
		return "LEADER"
	case live.Judgement:
		return "VERDICT"
	case live.Trouble:
		return "TROUBLE"
	default:
		return "LOG"
	}
}

func tone(t live.Tone) ui.Style {
	switch t {
	case live.Fine:
		return ui.Good
	case live.Warning:
		return ui.Warn
	case live.Failure:
		return ui.Bad
	default:
		return ui.Plain
	}
}

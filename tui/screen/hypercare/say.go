package hypercare

import (
	"fmt"
	"math"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// Style returns the colour of a verdict. It is never alone: the word stands there too.
func Style(v live.Verdict) ui.Style {
	switch v {
	case live.Pass:
		return ui.Good
	case live.Warn, live.Unknown:
		return ui.Warn
	case live.Fail:
		return ui.Bad
	case live.Waived:
		return ui.Info
	default:
		return ui.Dim
	}
}

// Elapsed writes the time since T0, such as "T+24:13".
func Elapsed(d time.Duration) safetext.Text {
	sign := '+'
	if d < 0 {
		sign, d = '-', -d
	}
	return ui.Say("T%c%02d:%02d", sign, int(d.Hours()), int(d.Minutes())%60)
}

// counted writes counts in w columns.
func counted(c live.Counts, w int) safetext.Text {
	if t := c.Words(); ui.Width(t) <= w {
		return t
	}
	return c.Letters()
}

// state says where a checkpoint stands.
func state(cp *live.Checkpoint) (safetext.Text, ui.Style) {
	word, tone := cp.Where()
	style := []ui.Style{live.Neutral: ui.Plain, live.Fine: ui.Good, live.Warning: ui.Warn, live.Failure: ui.Bad | ui.Bold}[tone]
	if cp.State == wire.CheckpointFuture {
		style = ui.Dim
	}
	return word, style
}

// runState is the state of the run in words.
func runState(r *live.Run) safetext.Text {
	switch r.State {
	case wire.RunRunning:
		return "running"
	case wire.RunExitReview:
		return "exit review"
	case wire.RunClosed:
		return "closed"
	}
	return "state unknown"
}

// relative writes when t is, seen from now.
func relative(t, now time.Time) safetext.Text {
	switch d := t.Sub(now); {
	case d > -time.Second && d < time.Second:
		return "now"
	case d > 0:
		return ui.Say("in %s", ui.Seconds(d))
	}
	return ui.Say("%s ago", ui.Seconds(now.Sub(t)))
}

// hint is the text, unless the console is read-only: it names a key that would act.
func (s *Screen) hint(t safetext.Text) safetext.Text {
	if s.ReadOnly {
		return ""
	}
	return t
}

// at writes a time, with its day if that is not today.
func (s *Screen) at(t time.Time) safetext.Text {
	if t.IsZero() {
		return "–"
	}
	zone := ui.Zone(s.Zone)
	t, now := t.In(zone), s.run().Now.In(zone)
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return ui.Say("%s", t.Format("15:04"))
	}
	return ui.Say("%s", t.Format("Jan 2 15:04"))
}

// when writes a time both ways: "03:20, 5m ago".
func (s *Screen) when(t time.Time) safetext.Text {
	if t.IsZero() {
		return "–"
	}
	return s.at(t) + ", " + relative(t, s.run().Now)
}

// share writes a share as a percentage with as many decimals as tell it from 1.
func share(v float64) safetext.Text {
	switch {
	case math.IsNaN(v):
		return "–"
	case v == 1, v == 0, math.Abs(v) >= 10:
		return ui.Say("%.0f%%", min(max(v, -1e4), 1e4)*100)
	case v > 0.99:
		return ui.Say("%.2f%%", v*100)
	}
	return ui.Say("%.1f%%", v*100)
}

// whole writes a share without decimals.
func whole(v float64) safetext.Text {
	if math.IsNaN(v) {
		return "–"
	}
	return ui.Say("%.0f%%", min(max(v, -1e4), 1e4)*100)
}

// events writes a number of events with its thousands apart.
func events(v float64) safetext.Text {
	if math.IsNaN(v) || math.Abs(v) > 1e12 {
		return "–"
	}
	if v != math.Trunc(v) {
		return ui.Say("%.1f", v)
	}
	s := fmt.Sprintf("%.0f", math.Abs(v))
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if v < 0 {
		s = "-" + s
	}
	return ui.Say("%s", s)
}

// figure writes a figure of an interval or a burn.
func figure(v float64) safetext.Text {
	if math.IsNaN(v) {
		return "–"
	}
	return ui.Say("%.4g", v)
}

// long writes a duration to the second: "14m24s".
func long(d time.Duration) safetext.Text {
	d = d.Round(time.Second)
	switch {
	case d >= time.Hour:
		return ui.Say("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return ui.Say("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return ui.Say("%ds", int(d.Seconds()))
}

// Short is an objective's figure in a few letters, "" if it was not measured. Of
// "P95 0.4 s" the figure is enough.
func Short(o *live.SLO) safetext.Text {
	show := o.Show
	if len(show) > 4 && show[:4] == "P95 " {
		show = show[4:]
	}
	switch {
	case math.IsNaN(o.Value):
		return ""
	case show != "" && ui.Width(show) <= 8:
		return show
	}
	return share(o.Value)
}

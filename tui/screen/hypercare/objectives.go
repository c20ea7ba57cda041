package hypercare

import (
	"math"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// objectives fills a page with a card for each SLO: value and target, the budget with
// the mark of even spending, the burns beside their limits, the forecast.
func (s *Screen) objectives(p *page) {
	r := s.run().Run
	if len(r.SLOs) == 0 {
		p.text(ui.Dim, "the plan has no objectives")
	}
	for i := range r.SLOs {
		if i > 0 {
			p.gap()
		}
		s.card(p, &r.SLOs[i])
	}
}

func (s *Screen) card(p *page, o *live.SLO) {
	r, h := s.run().Run, s.run()
	window := r.EndsAt.Sub(r.T0)
	value := part{Style(o.Verdict) | ui.Bold, ui.Say("%s since T0", share(o.Value))}
	if math.IsNaN(o.Value) {
		value = part{ui.Warn | ui.Bold, "not measured"}
	}
	p.row(part{Style(o.Verdict) | ui.Bold, o.Verdict.Word() + "  "}, part{ui.Title, o.Title})
	facts := []part{
		value, {ui.Plain, o.Show}, {ui.Plain, ui.Say("target %s at %s", share(o.Target), Elapsed(window))}, {ui.Dim, "n " + events(o.Events)},
	}
	if !math.IsNaN(o.Coverage) {
		facts = append(facts, part{ui.Dim, "coverage " + share(o.Coverage)})
	}
	p.flow(facts...)
	even := 0.0
	if window > 0 {
		even = min(max(float64(h.Elapsed())/float64(window), 0), 1)
	}
	s.budget(p, o, window, even)
	var burns []part
	for _, b := range o.Burns {
		style, firing := ui.Plain, safetext.Text("")
		if b.Firing {
			style, firing = ui.Bad|ui.Bold, " FIRING"
		}
		burns = append(burns, part{style, ui.Say("%s %s of %s%s", ui.Age(b.Long), figure(b.Rate), figure(b.Limit), firing)})
	}
	if len(burns) > 0 {
		p.flow(append([]part{{ui.Dim, "burn"}}, burns...)...)
	}
	var end []part
	if !math.IsNaN(o.Forecast) {
		style := ui.Plain
		if o.Forecast > 1 {
			style = ui.Warn
		}
		end = append(end, part{style, ui.Say("forecast %s of the budget at %s", whole(o.Forecast), Elapsed(window))})
	}
	if !math.IsNaN(o.AllowedTo) {
		end = append(end, part{ui.Dim, ui.Say("to stay inside, burn at most %s from here", figure(o.AllowedTo))})
	}
	p.flow(end...)
}

// budget adds the bar of an error budget.
func (s *Screen) budget(p *page, o *live.SLO, window time.Duration, even float64) {
	whole100 := time.Duration((1 - o.Target) * float64(window))
	total := safetext.Text("budget")
	if o.Target > 0 && o.Target < 1 && window > 0 {
		total = ui.Say("budget %s", long(whole100))
	}
	if math.IsNaN(o.Used) {
		p.flow(part{ui.Dim, total}, part{ui.Warn, "used: not measured"})
		return
	}
	style := ui.Good
	switch {
	case o.Used >= 1:
		style = ui.Bad
	case o.Used > even:
		style = ui.Warn
	}
	left := safetext.Text("nothing left")
	if o.Used < 1 {
		left = ui.Say("left %s", long(time.Duration((1-o.Used)*float64(whole100))))
	}
	p.row(part{ui.Dim, total + " "}, part{style, Bar(o.Used, even, min(max(p.w-ui.Width(total)-3, 10), 50), s.Theme)})
	p.flow(part{style | ui.Bold, ui.Say("used %s", whole(o.Used))}, part{ui.Dim, ui.Say("even spending: %s", whole(even))}, part{ui.Plain, left})
}

// Bar draws a share as a bar of w columns, with a mark where even spending would be.
func Bar(used, even float64, w int, t *ui.Theme) safetext.Text {
	inner := max(w-2, 1)
	full := int(min(max(used, 0), 1) * float64(inner))
	mark := min(int(min(max(even, 0), 1)*float64(inner)), inner-1)
	bar := make([]rune, 0, inner+2)
	bar = append(bar, '[')
	for i := range inner {
		switch {
		case i == mark:
			bar = append(bar, '|')
		case i < full:
			bar = append(bar, t.Glyphs.Bar)
		default:
			bar = append(bar, '.')
		}
	}
	return ui.Say("%s]", string(bar))
}

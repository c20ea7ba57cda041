package hypercare

import (
	"math"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/chart"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// drawCheck draws the evidence for the chosen check, and its graph beside or below.
func (s *Screen) drawCheck(a ui.Area) {
	c, cp := s.chosen()
	if c == nil {
		s.drawList(a)
		return
	}
	text, graph, note := a, a.Sub(0, 0, 0, 0), safetext.Text("")
	switch {
	case c.Graph == "":
	case a.W >= wideEnough:
		left, right := a.Left(a.W * 11 / 20)
		text, graph = left, right.Sub(1, 0, right.W-1, min(right.H, 24))
	case a.H >= graphHeight:
		text, graph = a.Top(a.H - min(max(a.H*2/5, 8), 14))
	default:
		note = ui.Say("graph hidden below %d rows", graphHeight+frameRows+3)
	}
	s.rows = text.H - 1
	s.drawEvidence(text, c, cp, note)
	if graph.W > 0 {
		s.drawGraph(graph, c)
	}
}

func (s *Screen) drawEvidence(a ui.Area, c *live.Check, cp *live.Checkpoint, note safetext.Text) {
	type key struct {
		rev   uint64
		theme *ui.Theme
		id    safetext.Text
		top   int
		note  safetext.Text
	}
	s.body.Draw(a, key{s.run().Rev, s.Theme, c.ID, s.pageTop, note}, func(a ui.Area) {
		p := page{w: a.W}
		s.evidence(&p, c, cp)
		_, rest := a.Top(1)
		s.pageTop = p.draw(rest, s.pageTop)
		remark := join(note, more(s.Theme, len(p.rows), s.pageTop, rest.H))
		a.Heading(s.Theme, true, ui.Say("%s %s", cp.ID, c.ID), remark)
	})
}

// evidence fills a page with all that is known of a check, what decides first.
func (s *Screen) evidence(p *page, c *live.Check, cp *live.Checkpoint) {
	verdict := c.Verdict.Word()
	flags := safetext.Text("")
	if c.Recovered {
		verdict += " (recovered)"
	}
	if c.Key {
		flags = "key check"
	}
	if c.Unwaivable {
		flags = join(flags, "cannot be waived")
	}
	if c.Fixed {
		flags = join(flags, "judged for good, short of a recheck")
	}
	p.row(part{Style(c.Verdict) | ui.Bold, verdict + "  "}, part{ui.Bold, c.Text})
	if c.NotApplicable != "" {
		p.text(ui.Dim, "not applicable: "+c.NotApplicable)
	}
	p.text(Style(c.Verdict), c.Sentence)
	p.gap()
	p.fact("value", ui.Plain|ui.Bold, c.Value)
	p.fact("threshold", ui.Plain, c.Threshold)
	p.fact("n", ui.Plain, amount(c))
	if c.Thin {
		p.fact("thin", ui.Warn, "too few events to be sure: the interval holds values on both sides of the threshold")
	}
	if !math.IsNaN(c.Coverage) {
		style, word := ui.Plain, safetext.Text("")
		if c.Coverage < 0.95 {
			style, word = ui.Warn, ", below the 95% that a window needs"
		}
		p.fact("coverage", style, share(c.Coverage)+word)
	}
	switch {
	case c.From.IsZero() && !c.To.IsZero():
		p.fact("asked", ui.Plain, ui.Say("%s, about that moment", s.at(c.To)))
	case !c.From.IsZero():
		p.fact("window", ui.Plain, ui.Say("%s to %s (%s)", s.at(c.From), s.at(c.To), long(c.To.Sub(c.From))))
	}
	if !c.JudgedAt.IsZero() {
		p.fact("judged", ui.Plain, s.when(c.JudgedAt))
	}
	if c.Manual() {
		p.fact("role", ui.Plain, c.Role)
		p.fact("evidence", ui.Plain, c.Evidence)
	}
	if !c.DueAt.IsZero() {
		p.fact("due", ui.Plain, s.when(c.DueAt))
	} else if c.Manual() {
		p.fact("due", ui.Plain, s.when(cp.DueAt))
	}
	p.fact("kind", ui.Dim, join(kind(c), flags))
	p.fact("runbook", ui.Info, c.Runbook)
	s.history(p, c)
	s.sources(p, c, cp)
}

func kind(c *live.Check) safetext.Text {
	t := c.Kind
	for _, more := range []safetext.Text{c.Mode, c.Source} {
		if more != "" {
			t += " " + more
		}
	}
	return t
}

// amount is the number of events behind the value, and its interval.
func amount(c *live.Check) safetext.Text {
	t := safetext.Text("")
	if !math.IsNaN(c.N) {
		t = events(c.N)
	}
	if !math.IsNaN(c.Low) && !math.IsNaN(c.High) {
		t = join(t, ui.Say("interval %s to %s", figure(c.Low), figure(c.High)))
	}
	return t
}

// history adds what happened to the check: attempts, episodes, people's words.
func (s *Screen) history(p *page, c *live.Check) {
	if w := c.Waiver; w != nil {
		p.head("Waiver")
		p.text(ui.Info, ui.Say("until %s, by %s (%s): %s", s.when(w.Expires), w.Who, w.Role, w.Reason))
		if c.HasOriginal {
			p.text(ui.Plain, ui.Say("behind it stands %s", c.Original.Word()))
		}
	}
	if c.Tick != nil {
		p.head("Tick")
		p.text(ui.Plain, s.remark(*c.Tick))
	}
	if len(c.Episodes) > 0 {
		p.head("Episodes")
		for _, e := range c.Episodes {
			until := safetext.Text("still going on")
			if !e.To.IsZero() {
				until = ui.Say("recovered after %s", long(e.To.Sub(e.From)))
			}
			linked := safetext.Text("no incident linked")
			if e.Incident != "" {
				linked = "incident " + e.Incident
			}
			p.text(Style(e.Verdict), ui.Say("%s %s, %s, %s: %s", s.at(e.From), e.Verdict.Word(), until, linked, e.Sentence))
		}
	}
	if n := len(c.Attempts); n > 0 {
		p.head("Attempts")
		if last := c.Attempts[n-1]; last.N > 1 && last.Verdict == live.Pass {
			p.text(ui.Plain, ui.Say("passed on attempt %d", last.N))
		}
		for _, at := range c.Attempts {
			why := safetext.Text("")
			if at.Reason != "" {
				why = ui.Say(" (recheck: %s)", at.Reason)
			}
			p.text(Style(at.Verdict), ui.Say("%d. %s %s%s: %s", at.N, s.at(at.At), at.Verdict.Word(), why, at.Sentence))
		}
		if c.Flag != "" {
			p.text(ui.Warn|ui.Bold, ui.Say("%s: %d rechecks", c.Flag, c.Rechecks))
		}
	}
	if len(c.Notes) > 0 {
		p.head("Notes")
		for _, n := range c.Notes {
			p.text(ui.Plain, s.remark(n))
		}
	}
}

func (s *Screen) remark(n live.Note) safetext.Text {
	who := n.Who
	if n.Role != "" {
		who = ui.Say("%s (%s)", n.Who, n.Role)
	}
	return ui.Say("%s %s: %s", s.at(n.At), who, n.Text)
}

// sources adds what was asked and what can be copied.
func (s *Screen) sources(p *page, c *live.Check, cp *live.Checkpoint) {
	if c.Query != "" {
		p.head(join("Query", c.Engine) + " (c copies)")
		p.text(ui.Plain, c.Query)
		p.fact("data", ui.Dim, c.Digest)
	}
	if command := commandOf(c, cp); command != "" {
		title := safetext.Text("Command (y copies)")
		if c.Command == "" {
			title = "Commands of the plan (y copies)"
		}
		p.head(title)
		p.text(ui.Info, command)
	}
}

// commandOf is the command to copy: the check's own, or those of its section, or all
// of the checkpoint, which may stand in a section of their own.
func commandOf(c *live.Check, cp *live.Checkpoint) safetext.Text {
	if c.Command != "" {
		return c.Command
	}
	all := safetext.Text("")
	for i := range cp.Sections {
		sec := &cp.Sections[i]
		own := safetext.Text("")
		for _, command := range sec.Commands {
			own += command + "\n"
		}
		for j := range sec.Checks {
			if &sec.Checks[j] == c && own != "" {
				return own[:len(own)-1]
			}
		}
		all += own
	}
	if all == "" {
		return ""
	}
	return all[:len(all)-1]
}

// graphOf returns the graph of a check: around the window of a check that is judged
// for good, up to now for one that is not.
func (s *Screen) graphOf(c *live.Check) live.GraphOf {
	if c.Graph == "" {
		return live.GraphOf{}
	}
	of := live.GraphOf{Query: c.Graph}
	if c.From.IsZero() {
		if c.Fixed && !c.To.IsZero() { // a moment: the hour around it
			if to := c.To.Add(30 * time.Minute).Truncate(time.Minute); to.Before(s.run().Now) {
				of.From, of.To = to.Add(-time.Hour), to
			}
		}
		return of
	}
	margin := max(c.To.Sub(c.From)/4, 15*time.Minute)
	of.From = c.From.Add(-margin).Truncate(time.Minute)
	if to := c.To.Add(margin).Truncate(time.Minute); c.Fixed && to.Before(s.run().Now) {
		of.To = to
	}
	return of
}

func (s *Screen) drawGraph(a ui.Area, c *live.Check) {
	type key struct {
		rev, run uint64
		theme    *ui.Theme
		query    safetext.Text
	}
	g := live.Graph{}
	if s.picture != nil {
		g = s.picture.Graph
	}
	s.graphs.Draw(a, key{g.Rev, s.run().Rev, s.Theme, c.Graph}, func(a ui.Area) {
		if g.Of.Query != c.Graph {
			g = live.Graph{Loading: true} // never one query's figures under another's name
		}
		drawn := chart.Graph{From: g.From, To: g.To, Zone: s.Zone, Marks: s.marks(c)}
		looks := []struct {
			style ui.Style
			mark  rune
		}{{ui.First, 0}, {ui.Second, 'x'}, {ui.Accent, 'o'}, {ui.Band, '+'}}
		remark := safetext.Text("")
		for i, l := range g.Lines[:min(len(g.Lines), len(looks))] {
			drawn.Lines = append(drawn.Lines, chart.Line{Figures: l.Figures, Style: looks[i].style, Mark: looks[i].mark})
			sign := looks[i].mark
			if sign == 0 {
				sign = s.Theme.Glyphs.Rule
			}
			if len(g.Lines) > 1 {
				remark = join(remark, ui.Say("%c %s", sign, l.Name))
			}
		}
		if g.More > 0 {
			remark = join(remark, ui.Say("%d more", g.More))
		}
		title := safetext.Text("Graph")
		if g.Err != "" {
			remark = "not up to date: " + g.Err
		}
		rest := a.Heading(s.Theme, false, title, "")
		if remark != "" && rest.H > 6 {
			legend, below := rest.Top(1)
			legend.Clip(1, 0, legend.W-1, ui.Dim, remark)
			rest = below
		}
		drawn.Draw(rest, s.Theme, empty(g))
	})
}

func empty(g live.Graph) safetext.Text {
	switch {
	case g.Err != "":
		return "no graph: " + g.Err
	case g.Loading:
		return "loading the graph"
	}
	return "the observer has no samples of this window"
}

// marks are what happened beside the figures: checkpoints, incidents, breaches.
func (s *Screen) marks(c *live.Check) []chart.Mark {
	r := s.run().Run
	var marks []chart.Mark
	for i := range r.Checkpoints {
		cp := &r.Checkpoints[i]
		marks = append(marks, chart.Mark{At: cp.OpensAt, Letter: '^', Text: cp.ID, Style: ui.Accent})
	}
	for _, e := range c.Episodes {
		marks = append(marks, chart.Mark{At: e.From, Letter: '!', Style: ui.Bad | ui.Bold})
	}
	for _, i := range r.Incidents {
		marks = append(marks, chart.Mark{At: i.OpenedAt, Letter: '*', Text: i.ID, Style: ui.Bad})
	}
	return marks
}

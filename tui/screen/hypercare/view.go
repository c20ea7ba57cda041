package hypercare

import (
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// Rows and columns from which there is room for more.
const (
	tableHeight = 19  // the timeline as a table
	wideEnough  = 110 // sentences beside the checks, graph beside the evidence
	graphHeight = 18  // a graph below the evidence
	frameRows   = 2   // of the terminal, around the screen
)

// View draws the screen onto a.
func (s *Screen) View(a ui.Area) {
	top, rest := a.Top(2)
	s.drawHead(top)
	body, last := rest.Top(rest.H - 1)
	h := s.run()
	switch {
	case h.Run == nil:
		s.drawNone(body)
	case s.open && s.view == checks:
		s.drawCheck(body)
	case s.view == checks:
		s.drawChecks(body)
	case s.view == objectives:
		s.drawPage(body, s.objectives)
	case s.view == incidents:
		s.drawIncidents(body)
	case s.view == decisions:
		s.drawDecisions(body)
	case s.view == exit:
		s.drawPage(body, s.exit)
	default:
		s.drawPage(body, s.reported)
	}
	if s.form != nil {
		s.form.draw(rest, s.Theme, s.waiting)
	}
	if s.question != nil {
		s.question.draw(rest, s.Theme)
		return
	}
	s.drawNotice(last)
}

// drawHead draws the run's name and state, and below the views.
func (s *Screen) drawHead(a ui.Area) {
	type key struct {
		rev   uint64
		theme *ui.Theme
		view  view
		open  bool
	}
	h := s.run()
	s.head.Draw(a, key{h.Rev, s.Theme, s.view, s.open}, func(a ui.Area) {
		title, remark := safetext.Text("Hypercare"), safetext.Text("")
		if r := h.Run; r != nil {
			title = r.Title
			remark = ui.Say("%s %s  %s  %s", r.Version, r.Profile, runState(r), r.Verdict.Word())
			if r.Rehearsal {
				title = "REHEARSAL " + title
			}
		}
		a.Heading(s.Theme, h.Run != nil && h.Run.Rehearsal, title, remark)
		s.drawTabs(a.Sub(0, 1, a.W, 1))
	})
}

func (s *Screen) drawTabs(a ui.Area) {
	x := 0
	for v := range views {
		name := ui.Say(" %s ", v)
		if n := s.badge(v); n != "" {
			name = ui.Say(" %s %s ", v, n)
		}
		style := ui.Dim
		if v == s.view {
			style = ui.Accent | ui.Bold | ui.Reverse
		}
		x = a.Clip(x, 0, a.W-x, style, name)
	}
}

// badge is what an operator should know of a view that is not in front.
func (s *Screen) badge(v view) safetext.Text {
	r := s.run().Run
	if r == nil {
		return ""
	}
	switch v {
	case incidents:
		if n, level := r.Open(); n > 0 {
			return ui.Say("%d L%d", n, level)
		}
	case decisions:
		n := 0
		for _, d := range r.Decisions {
			if d.Proposed {
				n++
			}
		}
		if n > 0 {
			return ui.Say("%d", n)
		}
	case exit:
		met := 0
		for _, c := range r.Exit {
			if c.Met {
				met++
			}
		}
		return ui.Say("%d/%d", met, len(r.Exit))
	}
	return ""
}

// drawNotice draws the last row: what is being asked, how it went, or who is not
// seen.
func (s *Screen) drawNotice(a ui.Area) {
	h := s.run()
	switch {
	case s.waiting != "":
		a.Clip(1, 0, a.W-2, ui.Warn, ui.Say("asking: %s …", s.waiting))
	case s.notice.text != "":
		a.Clip(1, 0, a.W-2, s.notice.style, s.notice.text)
	case h.Err != "":
		a.Clip(1, 0, a.W-2, ui.Bad, ui.Say("the run cannot be read: %s", h.Err))
	case h.Observer.Error != "":
		a.Clip(1, 0, a.W-2, ui.Bad, "the observer: "+h.Observer.Error)
	case h.Run != nil && h.Observer.Up < h.Observer.Targets:
		a.Clip(1, 0, a.W-2, ui.Warn, ui.Say("the observer sees %d of %d targets", h.Observer.Up, h.Observer.Targets))
	case h.Run != nil && len(h.Run.Gaps) > 0 && h.Now.Sub(h.Run.Gaps[len(h.Run.Gaps)-1].To) < time.Hour:
		g := h.Run.Gaps[len(h.Run.Gaps)-1]
		a.Clip(1, 0, a.W-2, ui.Warn, ui.Say("the observer did not look for %s until %s: %s", long(g.To.Sub(g.From)), s.at(g.To), g.What))
	case h.Run != nil && len(h.Run.Escalations) > 0 && anyOverdue(h.Run):
		e := h.Run.Escalations[len(h.Run.Escalations)-1]
		a.Clip(1, 0, a.W-2, ui.Warn, ui.Say("%s %s: %s", s.at(e.At), e.Who, e.Text))
	}
}

func anyOverdue(r *live.Run) bool {
	for i := range r.Checkpoints {
		if r.Checkpoints[i].Overdue > 0 && r.Checkpoints[i].State != wire.CheckpointClosed {
			return true
		}
	}
	return false
}

// drawNone says why there is no run, and what to do.
func (s *Screen) drawNone(a ui.Area) {
	type key struct {
		rev    uint64
		theme  *ui.Theme
		linked bool
	}
	h := s.run()
	linked := s.picture != nil && !s.picture.Link.LastOK.IsZero()
	s.body.Draw(a, key{h.Rev, s.Theme, linked}, func(a ui.Area) {
		p := page{w: a.W}
		switch {
		case h.Missing:
			p.text(ui.Warn|ui.Bold, "This daemon does not judge a hypercare plan.")
			p.text(ui.Plain, "It answers, but /api/hypercare is not there (HTTP 404): it is older than this console, or it has no observer.")
			p.gap()
			p.text(ui.Plain, "What to do:")
			p.text(ui.Plain, "1. Ask the observer: spark-tui --url http://HOST:4010")
			p.text(ui.Plain, "2. If that is the observer, start a newer spark-daemon there, with SPARK_ROLES containing observer.")
			p.text(ui.Dim, "This screen asks again every few seconds.")
		case h.At.IsZero() && h.Err != "":
			p.text(ui.Bad, "The run cannot be read: "+h.Err)
		case h.At.IsZero():
			p.text(ui.Dim, "waiting for the observer")
		case h.Plan.Err != "":
			p.text(ui.Bad|ui.Bold, "There is no run, and the plan cannot be used:")
			p.text(ui.Plain, h.Plan.Err)
			p.gap()
			p.text(ui.Dim, "spark-daemon plan lint names the file, the line and the column.")
		default:
			p.text(ui.Plain|ui.Bold, "No run has been started.")
			p.gap()
			p.text(ui.Plain, "This would be started:")
			p.fact("plan", ui.Bold, h.Plan.ID)
			p.fact("title", ui.Plain, h.Plan.Title)
			p.fact("digest", ui.Dim, h.Plan.Digest)
			p.fact("holds", ui.Plain, ui.Say("%d checkpoints, %d checks", h.Plan.Checkpoints, h.Plan.Checks))
			p.fact("observer", ui.Plain, ui.Say("sees %d of %d targets", h.Observer.Up, h.Observer.Targets))
			p.gap()
			p.text(ui.Plain, s.hint("S starts it: T+0 is the moment of the start. Nothing starts before you confirm the version."))
		}
		p.draw(a, 0)
	})
}

// drawPage draws a view that is one page of text.
func (s *Screen) drawPage(a ui.Area, fill func(*page)) {
	type key struct {
		rev      uint64
		theme    *ui.Theme
		view     view
		top      int
		closing  *live.Closing
		report   *live.Report
		askedFor safetext.Text
	}
	s.rows = a.H
	v := s.view
	s.body.Draw(a, key{s.run().Rev, s.Theme, v, s.tops[v], s.closing, s.report, s.waiting}, func(a ui.Area) {
		p := page{w: a.W}
		fill(&p)
		s.tops[v] = p.draw(a, s.tops[v])
		if m := more(s.Theme, len(p.rows), s.tops[v], a.H); m != "" {
			a.Right(a.W-1, a.H-1, ui.Dim, " "+m)
		}
	})
}

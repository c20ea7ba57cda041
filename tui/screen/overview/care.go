package overview

import (
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// careRows is the room of the line about hypercare: one row once an observer judges.
func careRows(h *live.Hypercare) int {
	if h.Run == nil && h.Plan.ID == "" {
		return 0
	}
	return 1
}

// drawCare draws how the run stands in one row: the open incidents, the verdicts of
// the checks that have come up so far, the checkpoint that needs somebody.
func (s *Screen) drawCare(a ui.Area, p *live.Picture) {
	if a.H == 0 {
		return
	}
	type key struct {
		rev   uint64
		theme *ui.Theme
	}
	s.care.Draw(a, key{p.Care.Rev, s.Theme}, func(a ui.Area) {
		h := &p.Care
		r := h.Run
		if r == nil {
			a.Clip(1, 0, a.W-1, ui.Dim, ui.Say("hypercare: plan %s is not started; 2 shows it", h.Plan.ID))
			return
		}
		x := a.Text(1, 0, ui.Title, "hypercare")
		x = a.Text(x+1, 0, ui.Bold, reached(r))
		if n, level := r.Open(); n > 0 {
			x = a.Text(x+2, 0, ui.Bad|ui.Bold, incidentsOpen(n, level))
		}
		c := soFar(r)
		if room := a.W - x - 2; ui.Width(c.Words()) > room {
			a.Clip(x+2, 0, room, ui.Plain, c.Letters())
			return
		}
		x++
		for _, v := range live.Verdicts() {
			if c[v] > 0 {
				x = a.Text(x+1, 0, tone(v.Tone()), ui.Say("%d %s", c[v], v.Word()))
			}
		}
		if at := r.Present(); at >= 0 {
			cp := &r.Checkpoints[at]
			word, how := cp.Where()
			if t := ui.Say("%s %s", cp.ID, word); x+3+ui.Width(t) <= a.W {
				a.Text(x+3, 0, tone(how), t)
			}
		}
	})
}

func incidentsOpen(n, level int) safetext.Text {
	if n == 1 {
		return ui.Say("1 incident L%d", level)
	}
	return ui.Say("%d incidents L%d", n, level)
}

// reached is the newest checkpoint that has opened.
func reached(r *live.Run) (id safetext.Text) {
	for i := range r.Checkpoints {
		if r.Checkpoints[i].State != wire.CheckpointFuture {
			id = r.Checkpoints[i].ID
		}
	}
	return id
}

// soFar counts the checks of the checkpoints that have opened.
func soFar(r *live.Run) (n live.Counts) {
	for i := range r.Checkpoints {
		if r.Checkpoints[i].State == wire.CheckpointFuture {
			continue
		}
		for v, k := range r.Checkpoints[i].Counts {
			n[v] += k
		}
	}
	return n
}

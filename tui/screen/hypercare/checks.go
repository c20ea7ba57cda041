package hypercare

import (
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// drawChecks draws the timeline and below it the checks of the chosen checkpoint.
func (s *Screen) drawChecks(a ui.Area) {
	r := s.run().Run
	if len(r.Checkpoints) == 0 {
		a.Clip(1, 0, a.W-1, ui.Warn, "the run has no checkpoints")
		return
	}
	rows := 2
	if a.H >= tableHeight {
		rows = min(len(r.Checkpoints), a.H*2/5)
	}
	timeline, rest := a.Top(rows)
	s.drawTimeline(timeline, rows == 2 && len(r.Checkpoints) != 2)
	s.drawList(rest)
}

// drawTimeline draws the checkpoints as a table, or in two rows.
func (s *Screen) drawTimeline(a ui.Area, strip bool) {
	type key struct {
		rev   uint64
		theme *ui.Theme
		place int
	}
	h := s.run()
	s.timeline.Draw(a, key{h.Rev, s.Theme, s.place()}, func(a ui.Area) {
		if strip {
			s.drawStrip(a)
			return
		}
		top := max(min(s.place()-a.H/2, len(h.Run.Checkpoints)-a.H), 0)
		for y := range a.H {
			s.drawCheckpoint(a.Sub(0, y, a.W, 1), &h.Run.Checkpoints[top+y], top+y == s.place())
		}
	})
}

func (s *Screen) drawCheckpoint(a ui.Area, cp *live.Checkpoint, chosen bool) {
	var extra ui.Style
	if chosen {
		extra = ui.Reverse
		a.Fill(extra)
		a.Put(0, 0, extra, s.Theme.Glyphs.Cursor)
	}
	a.Clip(2, 0, 7, ui.Bold|extra, cp.ID)
	x := 10
	if a.W >= 100 {
		a.Clip(x, 0, 24, ui.Plain|extra, cp.Title)
		x += 25
	}
	word, style := state(cp)
	a.Clip(x, 0, 14, style|extra, word)
	x += 15
	a.Clip(x, 0, 25, ui.Plain|extra, s.due(cp))
	x += 26
	style = Style(cp.Verdict)
	if cp.State == wire.CheckpointFuture {
		style = ui.Dim
	}
	if verdict := cp.Verdict.Word(); a.W >= 100 {
		a.Text(x, 0, style|ui.Bold|extra, verdict)
		x += 6
	}
	a.Clip(x, 0, a.W-x, style|extra, counted(cp.Counts, a.W-x))
}

// due says when a checkpoint has to be done, or when it was.
func (s *Screen) due(cp *live.Checkpoint) safetext.Text {
	now := s.run().Now
	switch {
	case cp.State == wire.CheckpointClosed && !cp.ClosedAt.IsZero():
		return "closed " + s.at(cp.ClosedAt)
	case cp.State == wire.CheckpointFuture:
		return ui.Say("opens %s, %s", relative(cp.OpensAt, now), s.at(cp.OpensAt))
	}
	return ui.Say("due %s, %s", relative(cp.DueAt, now), s.at(cp.DueAt))
}

// drawStrip draws all checkpoints in one row with their letters, and the chosen one
// in the next.
func (s *Screen) drawStrip(a ui.Area) {
	r := s.run().Run
	x := 0
	for i := range r.Checkpoints {
		cp := &r.Checkpoints[i]
		style := Style(cp.Verdict)
		if cp.State == wire.CheckpointFuture {
			style = ui.Dim
		}
		if i == s.place() {
			style |= ui.Reverse
		}
		x = a.Clip(x, 0, a.W-x, style, ui.Say(" %s %c", cp.ID, cp.Verdict.Letter()))
	}
	cp := &r.Checkpoints[s.place()]
	word, style := state(cp)
	x = a.Clip(1, 1, a.W-1, style, word)
	due := s.due(cp)
	x = a.Clip(x+2, 1, a.W-x-2, ui.Plain, due)
	a.Clip(x+2, 1, a.W-x-2, Style(cp.Verdict), counted(cp.Counts, a.W-x-2))
}

// line is a row of the list: the heading of a section, a check, or a command that can
// be copied.
type line struct {
	heading safetext.Text
	check   *live.Check
	command safetext.Text
}

// lines returns the rows of a checkpoint's list, and where the check is.
func lines(cp *live.Checkpoint, id safetext.Text) (list []line, at int) {
	for i := range cp.Sections {
		sec := &cp.Sections[i]
		list = append(list, line{heading: sec.Title})
		for j := range sec.Checks {
			if sec.Checks[j].ID == id {
				at = len(list)
			}
			list = append(list, line{check: &sec.Checks[j]})
		}
		for _, command := range sec.Commands {
			for _, row := range ui.Wrap(command, 1<<20) {
				list = append(list, line{command: row})
			}
		}
	}
	return list, at
}

// drawList draws the sections with their checks, the chosen one in sight.
func (s *Screen) drawList(a ui.Area) {
	type key struct {
		rev    uint64
		theme  *ui.Theme
		place  int
		chosen safetext.Text
	}
	c, cp := s.chosen()
	id := safetext.Text("")
	if c != nil {
		id = c.ID
	}
	s.rows = max(a.H-1, 1)
	s.body.Draw(a, key{s.run().Rev, s.Theme, s.place(), id}, func(a ui.Area) {
		list, at := lines(cp, id)
		signed := signing(cp)
		room := a.H - 1
		if c != nil && (a.H >= 14 || len(list)+3 <= room) {
			room -= 3 // the sentence of the chosen check, below
		}
		top := max(min(at-room/2, len(list)-room), 0)
		remark := signed
		if m := more(s.Theme, len(list), top, room); m != "" {
			remark = join(signed, m)
		}
		rest := a.Heading(s.Theme, true, ui.Say("%s %s", cp.ID, cp.Title), remark)
		for y := range min(room, len(list)-top) {
			l := list[top+y]
			switch {
			case l.check != nil:
				s.drawRow(rest.Sub(0, y, rest.W, 1), l.check, l.check.ID == id)
			case l.command != "":
				rest.Clip(2, y, rest.W-2, ui.Info, "$ "+l.command)
			default:
				rest.Clip(1, y, rest.W-1, ui.Title, l.heading)
			}
		}
		if room < a.H-1 {
			s.drawSentence(rest.Sub(0, room, rest.W, 3), c)
		}
	})
}

func join(a, b safetext.Text) safetext.Text {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", " + b
}

// signing says whose word a checkpoint has and lacks.
func signing(cp *live.Checkpoint) safetext.Text {
	missing := unsigned(cp)
	switch {
	case len(cp.SignOff) == 0:
		return ""
	case len(missing) == 0:
		return "signed off"
	}
	t := safetext.Text("sign-off of ")
	for i, role := range missing {
		if i > 0 {
			t += " and "
		}
		t += role
	}
	return t
}

func unsigned(cp *live.Checkpoint) []safetext.Text {
	var missing []safetext.Text
	for _, role := range cp.SignOff {
		found := false
		for _, s := range cp.Signed {
			found = found || s == role
		}
		if !found {
			missing = append(missing, role)
		}
	}
	return missing
}

func (s *Screen) drawRow(a ui.Area, c *live.Check, chosen bool) {
	var extra ui.Style
	if chosen {
		extra = ui.Reverse
		a.Fill(extra)
		a.Put(0, 0, extra, s.Theme.Glyphs.Cursor)
	}
	a.Text(2, 0, Style(c.Verdict)|ui.Bold|extra, c.Verdict.Word())
	if c.Key {
		a.Text(7, 0, ui.Accent|extra, "key")
	}
	value := short(c)
	w := min(ui.Width(value), a.W/3)
	text := a.W - 11 - w - 2
	if a.W >= wideEnough {
		text = min(max(a.W/3, 40), 64)
		end := a.Clip(11, 0, text, ui.Plain|extra, c.Text)
		x := max(end+2, 11+text+2)
		a.Clip(x, 0, 24, Style(c.Verdict)|extra, value)
		a.Clip(x+26, 0, a.W-x-26, ui.Dim|extra, c.Sentence)
		return
	}
	a.Clip(11, 0, text, ui.Plain|extra, c.Text)
	a.Clip(a.W-w-1, 0, w, Style(c.Verdict)|extra, value)
}

// short is what a row says of a check beside its verdict.
func short(c *live.Check) safetext.Text {
	switch {
	case c.Verdict == live.NotApplicable:
		return "not applicable"
	case c.Verdict == live.Waived && c.Original != live.Unknown:
		return ui.Say("was %s", c.Original.Word())
	case c.Recovered:
		return join(c.Value, "recovered")
	case c.Flag != "":
		return join(c.Value, c.Flag)
	case c.Thin:
		return join(c.Value, "thin")
	case c.Value != "":
		return c.Value
	case c.Manual() && c.Tick != nil:
		return c.Tick.Who
	case c.Manual() && c.Role != "":
		return c.Role
	}
	return ""
}

// drawSentence draws what the judge says of the chosen check.
func (s *Screen) drawSentence(a ui.Area, c *live.Check) {
	rest := a.Heading(s.Theme, false, c.ID, "enter shows the evidence")
	t := c.Sentence
	if c.NotApplicable != "" {
		t = c.NotApplicable
	}
	lines := ui.Wrap(t, rest.W-2)
	for y, l := range lines[:min(len(lines), rest.H)] {
		if y == rest.H-1 && len(lines) > rest.H {
			l += "…"
		}
		rest.Clip(1, y, rest.W-1, Style(c.Verdict), l)
	}
}

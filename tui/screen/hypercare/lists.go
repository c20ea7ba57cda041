package hypercare

import (
	"slices"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// sorted returns the incidents, the open ones first, the newest of them first.
func sorted(r *live.Run) []live.Incident {
	if r == nil {
		return nil
	}
	list := slices.Clone(r.Incidents)
	slices.SortStableFunc(list, func(a, b live.Incident) int {
		if open := a.ClosedAt.IsZero(); open != b.ClosedAt.IsZero() {
			if open {
				return -1
			}
			return 1
		}
		return b.OpenedAt.Compare(a.OpenedAt)
	})
	return list
}

// proposedFirst returns the decisions, those that wait for somebody first, then the
// newest.
func proposedFirst(r *live.Run) []live.Decision {
	if r == nil {
		return nil
	}
	list := slices.Clone(r.Decisions)
	slices.SortStableFunc(list, func(a, b live.Decision) int {
		if a.Proposed != b.Proposed {
			if a.Proposed {
				return -1
			}
			return 1
		}
		return b.At.Compare(a.At)
	})
	return list
}

type listKey struct {
	rev    uint64
	theme  *ui.Theme
	view   view
	chosen safetext.Text
}

func (s *Screen) drawIncidents(a ui.Area) {
	s.body.Draw(a, listKey{s.run().Rev, s.Theme, incidents, s.incident}, func(a ui.Area) {
		list := sorted(s.run().Run)
		if len(list) == 0 {
			a.Clip(1, 0, a.W-1, ui.Dim, "no incident: a breach of a key check opens one"+s.hint(", and so does i"))
			return
		}
		at := index(list, s.incident, func(i live.Incident) safetext.Text { return i.ID })
		rows := make([]ui.Cells, len(list))
		for i, in := range list {
			state, style := safetext.Text("OPEN"), ui.Bad|ui.Bold
			owner := in.Owner
			if !in.ClosedAt.IsZero() {
				state, style = "closed", ui.Good
			} else if owner == "" {
				owner = "nobody"
			}
			rows[i] = ui.Cells{
				{Text: state, Style: style}, {Text: ui.Say("L%d", in.Level), Style: levelStyle(in.Level)}, {Text: in.ID, Style: ui.Bold},
				{Text: s.at(in.OpenedAt), Style: ui.Plain}, {Text: owner, Style: ui.Plain}, {Text: in.Title, Style: ui.Plain},
			}
		}
		columns := []ui.Column{{Name: "STATE", Width: 6}, {Name: "LVL", Width: 3}, {Name: "ID", Width: 6}, {Name: "OPENED", Width: 11}, {Name: "OWNER", Width: 12}, {Name: "TITLE"}}
		columns[5].Width = max(a.W-44, 8)
		rest := s.table(a, columns, rows, at)
		p := page{w: rest.W}
		s.incidentPage(&p, &list[at])
		p.draw(rest, 0)
	})
}

func levelStyle(level int) ui.Style {
	if level >= 2 {
		return ui.Bad | ui.Bold
	}
	return ui.Warn
}

func (s *Screen) incidentPage(p *page, in *live.Incident) {
	p.text(ui.Bold, in.Title)
	p.fact("opened", ui.Plain, ui.Say("%s by %s", s.when(in.OpenedAt), in.OpenedBy))
	owner := in.Owner
	if owner == "" {
		owner = "nobody yet" + s.hint(": o takes it")
	}
	p.fact("owner", ui.Plain, owner)
	checks := safetext.Text("none linked") + s.hint(": l links one")
	if len(in.Checks) > 0 {
		checks = ""
		for _, c := range in.Checks {
			checks = join(checks, c)
		}
	}
	p.fact("checks", ui.Plain, checks)
	if !in.ClosedAt.IsZero() {
		p.fact("closed", ui.Good, ui.Say("%s by %s: %s", s.when(in.ClosedAt), in.ClosedBy, in.Result))
	}
	for _, n := range in.Notes {
		p.text(ui.Plain, s.remark(n))
	}
}

// table draws the part of a table that holds the chosen row into the upper half of a,
// and returns what is below a rule.
func (s *Screen) table(a ui.Area, columns []ui.Column, rows []ui.Cells, chosen int) ui.Area {
	room := min(len(rows), max(a.H/2-1, 1))
	top := max(min(chosen-room/2, len(rows)-room), 0)
	upper, rest := a.Top(room + 1)
	upper.Sub(1, 0, upper.W-1, upper.H).Table(columns, rows[top:top+room], chosen-top)
	remark := safetext.Text("")
	if len(rows) > room {
		remark = ui.Say("%d–%d of %d", top+1, top+room, len(rows))
	}
	s.rows = room
	return rest.Heading(s.Theme, false, "", remark)
}

func (s *Screen) drawDecisions(a ui.Area) {
	s.body.Draw(a, listKey{s.run().Rev, s.Theme, decisions, s.decision}, func(a ui.Area) {
		list := proposedFirst(s.run().Run)
		if len(list) == 0 {
			a.Clip(1, 0, a.W-1, ui.Dim, "no decision: a check proposes one where tuning may help"+s.hint(", d records one"))
			return
		}
		at := index(list, s.decision, func(d live.Decision) safetext.Text { return d.ID })
		rows := make([]ui.Cells, len(list))
		for i, d := range list {
			state, style := d.State, ui.Plain
			if d.Proposed {
				state, style = "PROPOSED", ui.Warn|ui.Bold
			}
			rows[i] = ui.Cells{
				{Text: state, Style: style}, {Text: d.Parameter, Style: ui.Bold},
				{Text: ui.Say("%s → %s", d.From, d.To), Style: ui.Plain}, {Text: d.Why, Style: ui.Plain},
			}
		}
		columns := []ui.Column{{Name: "STATE", Width: 9}, {Name: "PARAMETER", Width: 20}, {Name: "CHANGE", Width: 14}, {Name: "WHY"}}
		columns[3].Width = max(a.W-48, 8)
		rest := s.table(a, columns, rows, at)
		p := page{w: rest.W}
		s.decisionPage(&p, &list[at])
		p.draw(rest, 0)
	})
}

func (s *Screen) decisionPage(p *page, d *live.Decision) {
	p.text(ui.Bold, ui.Say("%s: %s → %s", d.Parameter, d.From, d.To))
	if d.Proposed {
		p.text(ui.Warn, "proposed, nobody decided"+s.hint(": d opens it"))
	} else {
		p.fact("decided", ui.Plain, ui.Say("%s by %s", s.when(d.At), d.Who))
	}
	p.fact("check", ui.Plain, d.Check)
	p.fact("why", ui.Plain, d.Why)
	p.fact("measured", ui.Plain, d.Figures)
	if !d.ReviewAt.IsZero() {
		p.fact("review", ui.Plain, s.when(d.ReviewAt))
	}
	if d.Effect != "" {
		p.fact("effect", ui.Plain, ui.Say("%s: %s", s.at(d.EffectAt), d.Effect))
	}
}

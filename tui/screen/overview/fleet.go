package overview

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

func (s *Screen) drawFleet(a ui.Area, p *live.Picture) {
	type key struct {
		rev    uint64
		theme  *ui.Theme
		focus  bool
		top    int
		remark safetext.Text
	}
	rows := max(a.H-2, 0)
	s.fleet = max(min(s.fleet, len(p.Fleet.Instances)-rows), 0)
	remark := s.fleetRemark(p.Fleet, rows)
	s.instances.Draw(a, key{p.Fleet.Rev, s.Theme, s.inFleet, s.fleet, remark}, func(a ui.Area) {
		rest := a.Heading(s.Theme, s.inFleet, "Fleet", remark)
		switch {
		case len(p.Fleet.Instances) > 0:
			columns, cells := fleetTable(rest.W, p.Fleet, s.Theme)
			rest.Table(columns, cells[s.fleet:], -1)
		case p.Fleet.At.IsZero():
			rest.Clip(1, 0, rest.W, ui.Dim, "waiting for the observer")
		default:
			rest.Clip(1, 0, rest.W, ui.Bad, "the observer knows no instance")
		}
	})
}

// fleetRemark says what the rows do not: which of them are seen, how many instances
// are down, how old it all is.
func (s *Screen) fleetRemark(f live.Fleet, rows int) safetext.Text {
	var facts []string
	if n := len(f.Instances); n > rows {
		facts = append(facts, fmt.Sprintf("%d–%d of %d", s.fleet+1, s.fleet+rows, n))
	}
	down := 0
	for _, i := range f.Instances {
		if !i.Up {
			down++
		}
	}
	if down > 0 {
		facts = append(facts, fmt.Sprintf("%d down", down))
	}
	if old := s.stale(f.At, 2*time.Second); f.Err != "" {
		facts = append(facts, string(f.Err))
	} else if old != "" {
		facts = append(facts, string(old)+" old")
	}
	return ui.Say("%s", strings.Join(facts, ", "))
}

// worstFirst orders the fleet for a table that may show a part of it: what is down,
// who leads, then by name as it comes.
func worstFirst(fleet []live.Instance) []live.Instance {
	rank := func(i live.Instance) int {
		switch {
		case !i.Up:
			return 0
		case i.Leader:
			return 1
		}
		return 2
	}
	sorted := slices.Clone(fleet)
	slices.SortStableFunc(sorted, func(a, b live.Instance) int { return rank(a) - rank(b) })
	return sorted
}

// fleetColumn is a column that may be left out: the higher the rank, the earlier.
type fleetColumn struct {
	ui.Column
	rank int
	cell func(live.Instance) (safetext.Text, ui.Style)
}

const leastName = 18 // columns for the instance before others are left out

func fleetTable(width int, f live.Fleet, t *ui.Theme) ([]ui.Column, []ui.Cells) {
	columns := fleetColumns(f, t)
	for name := width - spent(columns); name < leastName && len(columns) > 2; name = width - spent(columns) {
		worst := 0
		for i, c := range columns {
			if c.rank > columns[worst].rank {
				worst = i
			}
		}
		columns = append(columns[:worst], columns[worst+1:]...)
	}
	columns[0].Width = min(max(width-spent(columns), leastName), 40)

	shown := make([]ui.Column, len(columns))
	for i, c := range columns {
		shown[i] = c.Column
	}
	rows := make([]ui.Cells, len(f.Instances))
	for i, inst := range worstFirst(f.Instances) {
		row := make(ui.Cells, len(columns))
		for j, c := range columns {
			row[j].Text, row[j].Style = c.cell(inst)
		}
		rows[i] = row
	}
	return shown, rows
}

// spent returns the columns used by all but the name, spaces included.
func spent(columns []fleetColumn) int {
	n := 0
	for _, c := range columns[1:] {
		n += c.Width + 1
	}
	return n
}

func fleetColumns(f live.Fleet, t *ui.Theme) []fleetColumn {
	epoch := 5
	for _, i := range f.Instances {
		epoch = max(epoch, ui.Width(ui.Say("%d", i.Epoch))) // may be a time in ms
	}
	plain := func(f func(live.Instance) safetext.Text) func(live.Instance) (safetext.Text, ui.Style) {
		return func(i live.Instance) (safetext.Text, ui.Style) {
			if !i.Up {
				return f(i), ui.Dim
			}
			return f(i), ui.Plain
		}
	}
	col := func(rank, width int, name safetext.Text, right bool, f func(live.Instance) safetext.Text) fleetColumn {
		return fleetColumn{ui.Column{Name: name, Width: width, Right: right}, rank, plain(f)}
	}
	up := func(i live.Instance) safetext.Text {
		if i.StartedAt.IsZero() || !i.Up {
			return "–"
		}
		return ui.Say("%s", ui.Seconds(f.At.Sub(i.StartedAt)))
	}
	return []fleetColumn{
		{ui.Column{Name: "INSTANCE"}, 0, func(i live.Instance) (safetext.Text, ui.Style) {
			if i.Leader {
				return ui.Say("%c %s", t.Glyphs.Leader, i.ID), ui.Plain | ui.Bold
			}
			return "  " + i.ID, ui.Plain
		}},
		col(3, 13, "ROLES", false, roles),
		{ui.Column{Name: "STATE", Width: 6}, 0, state},
		col(5, epoch, "EPOCH", true, func(i live.Instance) safetext.Text { return ui.Say("%d", i.Epoch) }),
		col(2, 5, "CPU", true, func(i live.Instance) safetext.Text { return ui.Say("%.0f%%", min(max(i.CPU, 0), 999)*100) }),
		col(2, 6, "RSS", true, func(i live.Instance) safetext.Text { return ui.Say("%s", ui.Bytes(i.RSS)) }),
		col(4, 5, "STORE", true, func(i live.Instance) safetext.Text { return ui.Say("%s", ui.Millis(i.RedisMS)) }),
		col(4, 5, "UP", true, up),
		col(1, 5, "SEEN", true, func(i live.Instance) safetext.Text { return ui.Say("%s", ui.Age(i.Age)) }),
		col(6, 14, "VERSION", false, func(i live.Instance) safetext.Text { return i.Version }),
	}
}

// state is what an operator acts on first: that an instance is down, or leads without
// doing its work. The words fit six columns.
func state(i live.Instance) (safetext.Text, ui.Style) {
	switch {
	case !i.Up:
		return "DOWN", ui.Bad | ui.Bold
	case i.Phase == "paused":
		return "PAUSED", ui.Warn | ui.Bold
	case i.Phase == "suspect":
		return "DOUBT", ui.Warn | ui.Bold
	case i.Phase == "draining":
		return "ending", ui.Warn
	case i.Phase == "disabled":
		return "off", ui.Warn
	case i.Leader:
		return "leader", ui.Good
	default:
		return "up", ui.Good
	}
}

// roles shortens the known roles, so that all three fit.
func roles(i live.Instance) safetext.Text {
	short := map[safetext.Text]string{"executor": "exec", "gateway": "gate", "observer": "obs"}
	var parts []string
	for _, r := range i.Roles {
		if s, ok := short[r]; ok {
			parts = append(parts, s)
		} else {
			parts = append(parts, string(r))
		}
	}
	return safetext.Clean(strings.Join(parts, "+"))
}

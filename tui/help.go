package tui

import (
	"slices"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/ui"
)

// help is the overlay that lists every key, straight from the table.
type help struct {
	top int
}

func (h *help) move(a ui.Action) {
	if a == ui.LineUp {
		h.top = max(h.top-1, 0)
	} else {
		h.top++ // the view cuts it
	}
}

// helpLine is one row: a heading, or keys with what they do.
type helpLine struct {
	heading    bool
	keys, text safetext.Text
}

// helpLines returns the keys of the whole console, then those of the place, then the
// rest.
func helpLines(keys ui.Keymap, in ui.Context) []helpLine {
	var lines []helpLine
	contexts := slices.DeleteFunc(ui.Contexts(), func(c ui.Context) bool { return c == in })
	for _, c := range slices.Insert(contexts, 1, in) {
		lines = append(lines, helpLine{heading: true, text: ui.Say("%s", c)})
		for _, b := range keys.In(c) {
			text := ui.Say("%s", b.Help().Desc)
			if b.Command != "" {
				text = ui.Say("%s   :%s", text, b.Command)
			}
			lines = append(lines, helpLine{keys: ui.Say("%s", b.Help().Key), text: text})
		}
	}
	for _, l := range [][2]string{
		{":symbol BTCUSDT", "chart of a symbol"},
		{":timeframe 5m", "chart at a timeframe"},
	} {
		lines = append(lines, helpLine{keys: ui.Say("%s", l[0]), text: ui.Say("%s", l[1])})
	}
	return lines
}

func (h *help) view(a ui.Area, t *ui.Theme, keys ui.Keymap, in ui.Context) {
	lines := helpLines(keys, in)
	columns := max(a.W/leastWidth, 1)
	rows := max(min(a.H-1, (len(lines)+columns-1)/columns), 1)
	h.top = max(min(h.top, len(lines)-rows*columns), 0)
	remark := safetext.Text("")
	if left := len(lines) - h.top - rows*columns; left > 0 {
		remark = ui.Say("%d more %c", left, t.Glyphs.Dwn)
	}
	rest := a.Heading(t, true, "Keys", remark)
	for i, l := range lines[h.top:min(h.top+rows*columns, len(lines))] {
		row := rest.Sub(i/rows*leastWidth, i%rows, leastWidth, 1)
		if l.heading {
			row.Text(1, 0, ui.Title, l.text)
			continue
		}
		row.Text(3, 0, ui.Accent|ui.Bold, l.keys)
		row.Text(20, 0, ui.Plain, l.text)
	}
}

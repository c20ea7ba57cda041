package hypercare

import (
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/ui"
)

// part is a run of text in one style.
type part struct {
	style ui.Style
	text  safetext.Text
}

// page is rows of text, made for a width, of which an area shows a part.
type page struct {
	w    int
	rows [][]part
}

const labelRoom = 11

func (p *page) row(parts ...part) { p.rows = append(p.rows, parts) }

func (p *page) gap() { p.rows = append(p.rows, nil) }

// head adds a heading within the page.
func (p *page) head(t safetext.Text) {
	if len(p.rows) > 0 {
		p.gap()
	}
	p.row(part{ui.Title, t})
}

// text adds a text, wrapped.
func (p *page) text(s ui.Style, t safetext.Text) {
	for _, line := range ui.Wrap(t, p.w-1) {
		p.row(part{s, line})
	}
}

// fact adds a label and what it says, wrapped beside it. What is not known is left
// out.
func (p *page) fact(label safetext.Text, s ui.Style, t safetext.Text) {
	for i, line := range ui.Wrap(t, p.w-labelRoom-1) {
		name := safetext.Text("")
		if i == 0 {
			name = label
		}
		name += safetext.Text("            ")[:max(labelRoom-ui.Width(name), 1)]
		p.row(part{ui.Dim, name}, part{s, line})
	}
}

// flow adds facts beside each other, as many in a row as fit.
func (p *page) flow(facts ...part) {
	var row []part
	used := 0
	for _, f := range facts {
		if f.text == "" {
			continue
		}
		w := ui.Width(f.text)
		if used > 0 && used+3+w > p.w-1 {
			p.rows = append(p.rows, row)
			row, used = nil, 0
		}
		if used > 0 {
			row = append(row, part{ui.Plain, "   "})
			used += 3
		}
		row = append(row, f)
		used += w
	}
	if row != nil {
		p.rows = append(p.rows, row)
	}
}

// draw shows the page from row top on and returns top as far as it goes.
func (p *page) draw(a ui.Area, top int) int {
	top = max(min(top, len(p.rows)-a.H), 0)
	for y := range min(a.H, len(p.rows)-top) {
		x := 1
		for _, part := range p.rows[top+y] {
			if x >= a.W {
				break
			}
			x = a.Clip(x, y, a.W-x, part.style, part.text)
		}
	}
	return top
}

// more says how much of the page is hidden below and above.
func more(t *ui.Theme, rows, top, shown int) safetext.Text {
	switch above, below := top > 0, rows-top-shown; {
	case below > 0 && above:
		return ui.Say("%c%c %d more below", t.Glyphs.Up, t.Glyphs.Dwn, below)
	case below > 0:
		return ui.Say("%c %d more", t.Glyphs.Dwn, below)
	case above:
		return ui.Say("%c the end", t.Glyphs.Up)
	}
	return ""
}

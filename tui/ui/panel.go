package ui

import "github.com/spark-ta/spark/core/safetext"

// Panel is a rectangle that is drawn anew only when its key changed. Its zero
// value is ready.
type Panel struct {
	key    any
	canvas *Canvas
}

// Draw copies the panel onto a, after drawing it with draw if key or the size
// differs from the last time. The key must be comparable and name everything that
// draw looks at.
func (p *Panel) Draw(a Area, key any, draw func(Area)) {
	if p.canvas == nil || p.canvas.w != a.W || p.canvas.h != a.H {
		p.canvas = NewCanvas(a.W, a.H)
		p.key = nil
	}
	if p.key == nil || p.key != key {
		p.canvas.Clear()
		draw(p.canvas.Area())
		p.key = key
	}
	for y := range a.H {
		copy(a.c.cells[(a.y+y)*a.c.w+a.x:][:a.W], p.canvas.cells[y*a.W:])
	}
}

// Heading draws a rule with a title at its left and a remark at its right into
// the first row of a, and returns the rest.
func (a Area) Heading(t *Theme, focused bool, title, remark safetext.Text) Area {
	for x := range a.W {
		a.Put(x, 0, Border, t.Glyphs.Rule)
	}
	style := Title
	if focused {
		style = Title | Reverse
	}
	end := a.Clip(1, 0, a.W-2, style, " "+title+" ")
	if w := Width(remark) + 2; remark != "" && end+w < a.W {
		a.Text(a.W-w-1, 0, Dim, " "+remark+" ")
	}
	_, rest := a.Top(1)
	return rest
}

// Column is one column of a [Table].
type Column struct {
	Name  safetext.Text
	Width int
	Right bool // aligned to the right
}

// Cells is one row of a table: a text and a style for each column.
type Cells []struct {
	Text  safetext.Text
	Style Style
}

// Table draws a header and the rows that fit, and returns nothing: rows that do
// not fit are the caller's to count. The row chosen (−1 for none) is reversed.
func (a Area) Table(columns []Column, rows []Cells, chosen int) {
	x := 0
	for _, col := range columns {
		if x >= a.W {
			break
		}
		a.cellText(x, 0, col, Dim, col.Name)
		x += col.Width + 1
	}
	for y, row := range rows {
		if y+1 >= a.H {
			return
		}
		var extra Style
		if y == chosen {
			extra = Reverse
			a.Sub(0, y+1, a.W, 1).Fill(Reverse)
		}
		x := 0
		for i, col := range columns {
			if x >= a.W || i >= len(row) {
				break
			}
			a.cellText(x, y+1, col, row[i].Style|extra, row[i].Text)
			x += col.Width + 1
		}
	}
}

func (a Area) cellText(x, y int, col Column, s Style, t safetext.Text) {
	w := min(col.Width, a.W-x)
	if col.Right && Width(t) < w {
		a.Right(x+w, y, s, t)
		return
	}
	a.Clip(x, y, w, s, t)
}

package ui

import (
	"strings"
	"unicode"

	"github.com/clipperhouse/displaywidth"
	"github.com/mattn/go-runewidth"

	"github.com/spark-ta/spark/core/safetext"
)

// Style is a role in the theme, with attributes added by "|".
type Style uint16

// The roles. Plain is the terminal's own foreground.
const (
	Plain Style = iota
	Dim
	Title
	Accent
	Good
	Warn
	Bad
	Info
	Up
	Down
	Band
	Border
	First  // the first line of a chart
	Second // the second line of a chart
	roles
)

// Attributes that go with any role.
const (
	Bold    Style = 1 << 8
	Reverse Style = 1 << 9

	attributes = 4 // combinations of the two
	roleMask   = 0xff
)

type cell struct {
	r, mark rune // r is 0 in the second half of a wide character
	style   Style
}

// Canvas is a grid of cells. Whatever is drawn onto it, it renders as exactly its
// height in lines, none wider than its width.
type Canvas struct {
	w, h    int
	cells   []cell
	written int // length of the last rendering, which the next will be close to
}

// NewCanvas returns an empty canvas; negative sizes count as 0.
func NewCanvas(w, h int) *Canvas {
	w, h = max(w, 0), max(h, 0)
	c := &Canvas{w: w, h: h, cells: make([]cell, w*h)}
	c.Clear()
	return c
}

// Clear empties the canvas.
func (c *Canvas) Clear() {
	for i := range c.cells {
		c.cells[i] = cell{r: ' '}
	}
}

// Area returns the whole canvas.
func (c *Canvas) Area() Area { return Area{c: c, W: c.w, H: c.h} }

// Fade turns every cell into the role Dim, keeping reversed cells reversed: what
// is shown is old.
func (c *Canvas) Fade() {
	for i := range c.cells {
		c.cells[i].style = Dim | c.cells[i].style&Reverse
	}
}

// Render writes the canvas as lines of text with the theme's colours. Blanks at
// the ends of lines are left out.
func (c *Canvas) Render(t *Theme) string {
	var b strings.Builder
	b.Grow(max(c.written+c.written/16, c.w*c.h))
	for y := range c.h {
		if y > 0 {
			b.WriteByte('\n')
		}
		renderRow(&b, c.cells[y*c.w:(y+1)*c.w], t)
	}
	c.written = b.Len()
	return b.String()
}

func renderRow(b *strings.Builder, row []cell, t *Theme) {
	end := len(row)
	for end > 0 && row[end-1].r == ' ' && row[end-1].style&Reverse == 0 {
		end--
	}
	style := Plain
	for _, cl := range row[:end] {
		if cl.r == 0 {
			continue
		}
		if cl.style != style && (cl.r != ' ' || (cl.style|style)&Reverse != 0) {
			b.WriteString(t.sequence(cl.style))
			style = cl.style
		}
		b.WriteRune(cl.r)
		if cl.mark != 0 {
			b.WriteRune(cl.mark)
		}
	}
	if style != Plain {
		b.WriteString(t.sequence(Plain))
	}
}

// Area is a rectangle of a canvas. Drawing outside of it does nothing.
type Area struct {
	c    *Canvas
	x, y int
	W, H int
}

// Sub returns a rectangle within a, cut to a.
func (a Area) Sub(x, y, w, h int) Area {
	x, y = min(max(x, 0), a.W), min(max(y, 0), a.H)
	return Area{c: a.c, x: a.x + x, y: a.y + y, W: min(max(w, 0), a.W-x), H: min(max(h, 0), a.H-y)}
}

// Top cuts the first n rows off and returns them and the rest.
func (a Area) Top(n int) (top, rest Area) {
	n = min(max(n, 0), a.H)
	return a.Sub(0, 0, a.W, n), a.Sub(0, n, a.W, a.H-n)
}

// Left cuts the first n columns off and returns them and the rest.
func (a Area) Left(n int) (left, rest Area) {
	n = min(max(n, 0), a.W)
	return a.Sub(0, 0, n, a.H), a.Sub(n, 0, a.W-n, a.H)
}

// Put sets one cell to a character of width 1.
func (a Area) Put(x, y int, s Style, r rune) {
	if x < 0 || y < 0 || x >= a.W || y >= a.H {
		return
	}
	a.clearWide(x, y)
	*a.at(x, y) = cell{r: r, style: s}
}

// At returns the character and the style of a cell, and a blank outside.
func (a Area) At(x, y int) (rune, Style) {
	if x < 0 || y < 0 || x >= a.W || y >= a.H {
		return ' ', Plain
	}
	return a.at(x, y).r, a.at(x, y).style
}

func (a Area) at(x, y int) *cell { return &a.c.cells[(a.y+y)*a.c.w+a.x+x] }

// clearWide makes blanks of the halves of a wide character that the cell belongs
// to, so that none is ever left alone. The other half may lie outside of a.
func (a Area) clearWide(x, y int) {
	row := a.c.cells[(a.y+y)*a.c.w : (a.y+y+1)*a.c.w]
	i := a.x + x
	if row[i].r == 0 && i > 0 {
		row[i-1].r, row[i-1].mark = ' ', 0
		row[i].r = ' '
	}
	if i+1 < len(row) && row[i+1].r == 0 {
		row[i+1].r = ' '
	}
}

// Fill sets every cell to a blank in the style.
func (a Area) Fill(s Style) {
	for y := range a.H {
		for x := range a.W {
			a.Put(x, y, s, ' ')
		}
	}
}

// Text writes t from column x of row y on, cut at the right edge, and returns the
// column after it.
func (a Area) Text(x, y int, s Style, t safetext.Text) int {
	if y < 0 || y >= a.H {
		return x
	}
	for _, r := range string(t) {
		w := runeWidth(r)
		switch {
		case w < 0:
			continue
		case w == 0:
			if x > 0 && x <= a.W && a.at(x-1, y).r != 0 && a.at(x-1, y).r != ' ' && a.at(x-1, y).mark == 0 {
				a.at(x-1, y).mark = r
			}
			continue
		case x+w > a.W:
			return x
		case x < 0:
			x += w
			continue
		}
		a.Put(x, y, s, r)
		if w == 2 {
			a.clearWide(x+1, y)
			a.at(x+1, y).r, a.at(x+1, y).style = 0, s
		}
		x += w
	}
	return x
}

// Clip writes t into at most w columns from x on; what does not fit ends in an
// ellipsis, and a number that does not fit is left out whole: half of one reads as
// another. It returns the column after the last written one.
func (a Area) Clip(x, y, w int, s Style, t safetext.Text) int {
	w = min(w, a.W-x)
	if w <= 0 {
		return x
	}
	if Width(t) <= w {
		return a.Text(x, y, s, t)
	}
	end := a.Sub(x, y, w-1, 1).Text(0, 0, s, whole(t, w-1))
	a.Put(x+end, y, s, '…')
	return x + end + 1
}

// whole returns the beginning of t that fits into w columns and does not end within
// a number.
func whole(t safetext.Text, w int) safetext.Text {
	used, number := 0, -1 // where the number begins that the cut would hit
	for i, r := range string(t) {
		switch digit := r >= '0' && r <= '9'; {
		case digit && number < 0:
			number = i
		case !digit && r != '.' && r != ',':
			number = -1
		}
		if used += max(runeWidth(r), 0); used > w {
			if number >= 0 {
				return t[:number]
			}
			return t[:i]
		}
	}
	return t
}

// Right writes t so that it ends before column x, and returns where it begins.
func (a Area) Right(x, y int, s Style, t safetext.Text) int {
	begin := x - Width(t)
	a.Text(begin, y, s, t)
	return begin
}

// Width returns the number of columns that [Area.Text] uses for t.
func Width(t safetext.Text) int {
	n := 0
	for _, r := range string(t) {
		n += max(runeWidth(r), 0)
	}
	return n
}

// runeWidth returns the columns of one character, 0 for a mark that joins the one
// before, and -1 for what is left out.
//
// Terminals measure character by character or cluster by cluster, and Bubble Tea
// follows what the terminal says. So only what both ways agree on is kept: joiners,
// variation selectors, skin tones, flags' letters and the marks of most scripts
// would shift the rest of the line on one half of all terminals.
func runeWidth(r rune) int {
	switch {
	case r >= 0x20 && r < 0x7f:
		return 1
	case r < 0xa0:
		return -1
	case r >= 0x300 && r <= 0x36f:
		return 0
	case r >= 0x2500 && r <= 0x25cf, r >= 0x2800 && r <= 0x28ff:
		return 1 // lines, blocks, arrows and braille: ours, and the most frequent
	case r >= 0x1f1e6 && r <= 0x1f1ff, r >= 0x1f3fb && r <= 0x1f3ff:
		return -1
	case r >= 0x1160 && r <= 0x11ff, r >= 0xd7b0 && r <= 0xd7ff:
		return -1 // Hangul vowels and finals that join
	case unicode.In(r, unicode.M, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs):
		return -1
	}
	// Of a string, not of a character: an emoji that is one by itself, such as a check
	// mark, is measured as narrow by the libraries' functions for single characters.
	// And between others, which some scripts' letters join.
	w := displaywidth.String(string(r))
	if w == runewidth.StringWidth(string(r)) && w > 0 && displaywidth.String("a"+string(r)+"a") == w+2 {
		return w
	}
	return -1
}

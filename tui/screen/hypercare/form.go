package hypercare

import (
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/ui"
)

// field is one line of a form.
type field struct {
	label safetext.Text
	hint  safetext.Text // shown while the field has the keys
	least int           // characters that are required
	// check says what is wrong with a text that is there, "" if nothing is.
	check func(string) safetext.Text
	line  ui.Line
}

// wrong says what is wrong with the field, "" if nothing is.
func (f *field) wrong() safetext.Text {
	text := f.line.String()
	n := utf8.RuneCountInString(text)
	switch {
	case n == 0 && f.least > 0:
		return ui.Say("%s is required", f.label)
	case n < f.least:
		return ui.Say("%s: %d characters, at least %d are required", f.label, n, f.least)
	case n > 0 && f.check != nil:
		return f.check(text)
	}
	return ""
}

func newField(label, hint safetext.Text, least int, text string) *field {
	f := &field{label: label, hint: hint, least: least, line: ui.Line{Max: 500}}
	f.line.Set(text)
	return f
}

// form asks for what a deed needs.
type form struct {
	title  safetext.Text
	about  safetext.Text
	fields []*field
	at     int
	wrong  safetext.Text
	// done makes the deed of the texts, in the fields' order.
	done func(texts []string) deed
	gen  uint64 // of the request that is under way; 0: none
}

// deed is what a form comes to: a command, after a question if there is one.
type deed struct {
	question safetext.Text
	do       func(gen uint64) tea.Cmd
}

func (f *form) press(msg tea.KeyPressMsg) {
	if f.gen == 0 && len(f.fields) > 0 {
		f.wrong = ""
		f.fields[f.at].line.Press(msg)
	}
}

func (f *form) paste(text string) {
	if f.gen == 0 && len(f.fields) > 0 {
		f.fields[f.at].line.Paste(text)
	}
}

func (f *form) step(n int) { f.at = (f.at + n + len(f.fields)) % len(f.fields) }

// complete reports whether every field is right, and goes to the first that is not.
func (f *form) complete() bool {
	for i, field := range f.fields {
		if f.wrong = field.wrong(); f.wrong != "" {
			f.at = i
			return false
		}
	}
	return true
}

func (f *form) texts() []string {
	texts := make([]string, len(f.fields))
	for i, field := range f.fields {
		texts[i] = field.line.String()
	}
	return texts
}

const fieldRoom = 13

// draw draws the form over the end of a.
func (f *form) draw(a ui.Area, t *ui.Theme, waiting safetext.Text) {
	about := ui.Wrap(f.about, a.W-2)
	about = about[:min(len(about), max(a.H-len(f.fields)-4, 0))]
	rows := min(1+len(about)+len(f.fields)+2, a.H)
	box := a.Sub(0, a.H-rows, a.W, rows)
	box.Fill(ui.Plain)
	rest := box.Heading(t, true, f.title, ui.Say("%d of %d", f.at+1, len(f.fields)))
	for y, l := range about {
		rest.Text(1, y, ui.Dim, l)
	}
	_, rest = rest.Top(len(about))
	for y, field := range f.fields {
		style := ui.Dim
		if y == f.at {
			style = ui.Accent | ui.Bold
			rest.Put(0, y, style, t.Glyphs.Cursor)
		}
		rest.Clip(2, y, fieldRoom-1, style, field.label)
		field.line.Draw(rest.Sub(2+fieldRoom, y, rest.W-3-fieldRoom, 1), ui.Plain, y == f.at)
	}
	_, rest = rest.Top(len(f.fields))
	switch {
	case f.gen != 0:
		rest.Clip(2, 0, rest.W-2, ui.Warn, ui.Say("asking: %s …", waiting))
	case f.wrong != "":
		rest.Clip(2, 0, rest.W-2, ui.Bad|ui.Bold, f.wrong)
	case len(f.fields) > 0:
		rest.Clip(2, 0, rest.W-2, ui.Dim, f.fields[f.at].hint)
	}
}

// question is asked before a deed that cannot be taken back. The default is no.
type question struct {
	text safetext.Text
	deed deed
}

func (q *question) draw(a ui.Area, t *ui.Theme) {
	lines := ui.Wrap(q.text, a.W-4)
	lines = lines[:min(len(lines), max(a.H-4, 1))]
	rows := min(len(lines)+4, a.H)
	box := a.Sub(0, a.H-rows, a.W, rows)
	box.Fill(ui.Plain)
	rest := box.Heading(t, true, "Are you sure?", "")
	for y, l := range lines {
		rest.Text(2, y, ui.Bold, l)
	}
	y := len(lines) + 1
	x := rest.Text(2, y, ui.Reverse|ui.Bold, " No (enter) ")
	rest.Text(x+3, y, ui.Bad|ui.Bold, " Yes (shift Y) ")
}

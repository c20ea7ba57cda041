package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spark-ta/spark/core/safetext"
)

// markdown writes a document as GitHub reads it.
func markdown(d *document) []byte {
	w := &marks{watermark: d.Rehearsal}
	w.heading(1, d.Title)
	if d.Rehearsal {
		w.out.WriteString("> " + w.line(d.Watermark, quote) + "\n\n")
	}
	for _, s := range d.Sections {
		level := 2
		if s.Sub {
			level = 3
		}
		w.heading(level, s.Title)
		for i := range s.Blocks {
			w.block(&s.Blocks[i])
		}
	}
	return []byte(strings.TrimRight(w.out.String(), "\n") + "\n")
}

type marks struct {
	out       strings.Builder
	watermark bool
}

func (w *marks) heading(level int, title string) {
	w.out.WriteString(strings.Repeat("#", level) + " ")
	if w.watermark {
		w.out.WriteString("REHEARSAL: ")
	}
	w.out.WriteString(escape(title) + "\n\n")
}

func (w *marks) block(b *block) {
	switch {
	case b.Table != nil:
		w.table(b.Table)
	case b.Text != "":
		w.fence(b.Text)
	case b.Bars != nil:
		for _, r := range b.Bars {
			n := r.Width() / 5
			w.out.WriteString("- " + quote(r.Label) + " `[" + strings.Repeat("#", n) + strings.Repeat(".", 20-n) + "]` " + escape(r.Text) + "\n")
		}
	case b.Items != nil:
		for _, i := range b.Items {
			w.out.WriteString("- " + w.line(i, quote) + "\n")
		}
	default:
		w.out.WriteString(w.line(b.Words, quote) + "\n")
	}
	w.out.WriteByte('\n')
}

func (w *marks) table(t *table) {
	for i, h := range t.Head {
		if i == 0 {
			w.out.WriteByte('|')
		}
		w.out.WriteString(" " + escape(h) + " |")
	}
	w.out.WriteString("\n|" + strings.Repeat("---|", len(t.Head)) + "\n")
	for _, r := range t.Rows {
		w.out.WriteByte('|')
		for _, c := range r {
			w.out.WriteString(" " + w.line(c.Spans, quoteCell) + " |")
		}
		w.out.WriteByte('\n')
	}
}

// line writes spans on one line. What is bad is bold as well, so that it is found
// without colour.
func (w *marks) line(spans []span, quote func(string) string) string {
	var out strings.Builder
	for _, s := range spans {
		shown := seen(s.Text)
		text := strings.TrimSpace(shown)
		if text == "" {
			out.WriteString(shown)
			continue
		}
		before, after, _ := strings.Cut(shown, text)
		switch {
		case s.Code:
			text = quote(text)
		case s.Bold || s.Tone == "fail" || s.Tone == "unknown":
			text = "**" + escape(text) + "**"
		default:
			text = escape(text)
		}
		out.WriteString(before + text + after)
	}
	return strings.TrimSpace(out.String())
}

// fence writes text as it is, between marks that are longer than any in it.
func (w *marks) fence(text string) {
	text = strings.TrimRight(lines(text), "\n")
	n := longest(text, '`')
	marks := strings.Repeat("`", max(3, n+1))
	fmt.Fprintf(&w.out, "%stext\n%s\n%s\n", marks, text, marks)
}

// seen makes a text of anybody one line that can be seen: without what a terminal obeys
// or a reader cannot see, and without the code points that are no characters.
func seen(s string) string {
	return strings.Map(func(r rune) rune {
		if r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef {
			return utf8.RuneError
		}
		return r
	}, string(safetext.Clean(s)))
}

// lines cleans a text of several lines. Each on its own: the limit of the whole is the
// record's that it comes from.
func lines(text string) string {
	var out strings.Builder
	for l := range strings.Lines(text) {
		out.WriteString(seen(strings.TrimRight(l, "\r\n")) + "\n")
	}
	return out.String()
}

// longest is the length of the longest run of a byte.
func longest(s string, c byte) int {
	most, n := 0, 0
	for i := range len(s) {
		if s[i] != c {
			n = 0
			continue
		}
		n++
		most = max(most, n)
	}
	return most
}

// quote writes a text as code.
func quote(s string) string {
	s = strings.TrimSpace(seen(s))
	if s == "" {
		return ""
	}
	marks := strings.Repeat("`", longest(s, '`')+1)
	if s[0] == '`' || s[len(s)-1] == '`' {
		s = " " + s + " "
	}
	return marks + s + marks
}

// quoteCell does so in a table. There a bar ends the cell within code too, and readers
// do not agree on how backslashes before it count, so that it is written as an entity,
// which only an element can hold.
func quoteCell(s string) string {
	if !strings.Contains(s, "|") {
		return quote(s)
	}
	return "<code>" + strings.ReplaceAll(escape(s), `\|`, "&#124;") + "</code>"
}

// special are the characters that mean something within a line: for CommonMark, for
// GitHub's tables and strikethrough, and for its formulas.
const special = "\\`*_[]<&~|$"

const digits = "0123456789"

// escape writes a text of anybody so that it is read as it stands, behind other
// characters of its line or at its beginning.
func escape(s string) string {
	s = strings.Join(strings.Fields(seen(s)), " ")
	var out strings.Builder
	for i, r := range s {
		switch {
		case r == '@' && i > 0:
			// An escaped @ still makes an address of mail; one behind a comment does
			// not. A line that begins with a comment would be HTML up to its end.
			out.WriteString("<!-- -->@")
			continue
		case strings.ContainsRune(special, r),
			r == ':' && !clock(s[i+1:]),                              // https://…, :smile:
			r == '.' && i >= 3 && strings.EqualFold(s[i-3:i], "www"), // www.…
			i == 0 && strings.ContainsRune("#+-=>@", r):              // headings, lists, quotations
			out.WriteByte('\\')
		case (r == '.' || r == ')') && i > 0 && strings.Trim(s[:i], digits) == "" && (i+1 == len(s) || s[i+1] == ' '):
			out.WriteByte('\\') // lists with numbers
		}
		out.WriteRune(r)
	}
	return out.String()
}

// clock reports whether what follows a colon is a space, the end, or two digits as in a
// time of day.
func clock(rest string) bool {
	if rest == "" || rest[0] == ' ' {
		return true
	}
	n := len(rest) - len(strings.TrimLeft(rest, digits))
	return n == 2
}

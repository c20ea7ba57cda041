package ui

import (
	"unicode/utf8"

	"github.com/spark-ta/spark/core/safetext"
)

// Wrap cuts a text into lines of at most w columns, between words where it can, and
// at its own line breaks. An empty text has no lines; w is at least 1.
func Wrap(t safetext.Text, w int) []safetext.Text {
	w = max(w, 1)
	var out []safetext.Text
	for len(t) > 0 {
		line, rest := t, safetext.Text("")
		for i, r := range string(t) {
			if r == '\n' {
				line, rest = t[:i], t[i+1:]
				break
			}
		}
		out = append(out, fold(line, w)...)
		t = rest
	}
	return out
}

// fold cuts one line. A line without text stays an empty one.
func fold(t safetext.Text, w int) []safetext.Text {
	var out []safetext.Text
	for {
		used, blank, end := 0, 0, len(t)
		for i, r := range string(t) {
			if used += max(runeWidth(r), 0); used > w {
				end = i
				break
			}
			if r == ' ' {
				blank = i
			}
		}
		switch {
		case end == len(t):
			return append(out, t)
		case t[end] == ' ':
			blank = end
		case end == 0: // a wide character in one column: the area cuts it
			_, end = utf8.DecodeRuneInString(string(t))
		}
		if blank > 0 {
			out = append(out, t[:blank])
			t = t[blank+1:]
			continue
		}
		out = append(out, t[:end])
		t = t[end:]
	}
}

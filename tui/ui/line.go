package ui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// Line is a line of text under the operator's hands. (The library's text input
// reaches for the system's clipboard by running programs.)
type Line struct {
	// Max is the most characters it takes; 0 means 80.
	Max int

	text []rune
	at   int // cursor, 0…len(text)
}

func (l *Line) limit() int {
	if l.Max > 0 {
		return l.Max
	}
	return 80
}

// String returns the text.
func (l *Line) String() string { return string(l.text) }

// Set replaces the text and puts the cursor at its end.
func (l *Line) Set(s string) {
	l.text = []rune(s)
	l.text = l.text[:min(len(l.text), l.limit())]
	l.at = len(l.text)
}

// Insert adds text at the cursor: what was pasted comes as one line.
func (l *Line) Insert(s string) {
	for _, r := range s {
		if len(l.text) >= l.limit() {
			return
		}
		if r < ' ' {
			r = ' '
		}
		l.text = append(l.text, 0)
		copy(l.text[l.at+1:], l.text[l.at:])
		l.text[l.at] = r
		l.at++
	}
}

// Paste adds what was pasted, its blanks and line breaks as single blanks.
func (l *Line) Paste(s string) { l.Insert(strings.Join(strings.Fields(s), " ")) }

// cut removes the text between from and the cursor.
func (l *Line) cut(from int) {
	from = max(from, 0)
	l.text = append(l.text[:from], l.text[l.at:]...)
	l.at = from
}

// Press takes a key that has no other meaning.
func (l *Line) Press(k tea.KeyPressMsg) {
	switch k.String() {
	case "left":
		l.at = max(l.at-1, 0)
	case "right":
		l.at = min(l.at+1, len(l.text))
	case "home", "ctrl+a":
		l.at = 0
	case "end", "ctrl+e":
		l.at = len(l.text)
	case "backspace":
		l.cut(l.at - 1)
	case "delete":
		if l.at < len(l.text) {
			l.text = append(l.text[:l.at], l.text[l.at+1:]...)
		}
	case "ctrl+u":
		l.cut(0)
	case "ctrl+w":
		l.cut(l.word())
	default:
		l.Insert(k.Text)
	}
}

// word returns where the word before the cursor begins.
func (l *Line) word() int {
	at := l.at
	for at > 0 && l.text[at-1] == ' ' {
		at--
	}
	for at > 0 && l.text[at-1] != ' ' {
		at--
	}
	return at
}

// Draw writes the line into the first row of a, the cursor reversed if it is
// focused. A text that is too long shows the part around its cursor.
func (l *Line) Draw(a Area, s Style, focused bool) {
	from := 0
	if a.W > 1 && l.at > a.W-2 {
		from = l.at - (a.W - 2)
	}
	// The characters are drawn one by one, so that the cursor stands where it is
	// also beside characters of another width.
	x := 0
	for i := from; i <= len(l.text) && x < a.W; i++ {
		style, r := s, ' '
		if i < len(l.text) {
			r = l.text[i]
		}
		if focused && i == l.at {
			style |= Reverse
		} else if i == len(l.text) {
			break
		}
		x = a.Text(x, 0, style, Say("%c", r))
	}
}

package tui

import (
	tea "charm.land/bubbletea/v2"
)

// line is a line of text under the operator's hands. (The library's text input
// reaches for the system's clipboard by running programs.)
type line struct {
	text []rune
	at   int // cursor, 0…len(text)
}

const longestLine = 80

func (l *line) set(s string) {
	l.text = []rune(s)
	l.text = l.text[:min(len(l.text), longestLine)]
	l.at = len(l.text)
}

func (l *line) insert(s string) {
	for _, r := range s {
		if len(l.text) >= longestLine {
			return
		}
		l.text = append(l.text, 0)
		copy(l.text[l.at+1:], l.text[l.at:])
		l.text[l.at] = r
		l.at++
	}
}

// cut removes the text between from and the cursor.
func (l *line) cut(from int) {
	from = max(from, 0)
	l.text = append(l.text[:from], l.text[l.at:]...)
	l.at = from
}

func (l *line) press(k tea.KeyPressMsg) {
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
		l.insert(k.Text)
	}
}

// word returns where the word before the cursor begins.
func (l *line) word() int {
	at := l.at
	for at > 0 && l.text[at-1] == ' ' {
		at--
	}
	for at > 0 && l.text[at-1] != ' ' {
		at--
	}
	return at
}

// split returns the text before the cursor, under it (a blank at the end) and after.
func (l *line) split() (before, under, after string) {
	if l.at == len(l.text) {
		return string(l.text), " ", ""
	}
	return string(l.text[:l.at]), string(l.text[l.at : l.at+1]), string(l.text[l.at+1:])
}

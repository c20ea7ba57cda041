package ui

import (
	"image/color"
	"strings"

	"charm.land/lipgloss/v2"
)

// Scheme chooses the colours of a [Theme].
type Scheme uint8

// The schemes. Dark16 and Light16 use the sixteen colours of the terminal, for
// terminals that have no more; Mono uses none at all.
const (
	Dark Scheme = iota
	Light
	Dark16
	Light16
	Mono
)

// Theme turns styles into control sequences and holds the glyphs. It is immutable.
type Theme struct {
	Scheme Scheme
	Glyphs Glyphs

	sequences [roles * attributes]string
}

// NewTheme returns the theme of a scheme; plain is for terminals without Unicode.
func NewTheme(p Scheme, plain bool) *Theme {
	t := &Theme{Scheme: p, Glyphs: unicodeGlyphs()}
	if plain {
		t.Glyphs = asciiGlyphs()
	}
	for role := range roles {
		for _, attr := range []Style{0, Bold, Reverse, Bold | Reverse} {
			t.sequences[index(role|attr)] = sequence(p, role|attr)
		}
	}
	return t
}

func (t *Theme) sequence(s Style) string { return t.sequences[index(s)] }

func index(s Style) int { return int(s&roleMask)*attributes + int(s>>8)%attributes }

// sequence returns what switches from any style to s.
func sequence(p Scheme, s Style) string {
	const reset = "\x1b[m"
	role := s & roleMask
	style := lipgloss.NewStyle()
	if c := colour(p, role); c != nil {
		style = style.Foreground(c)
	}
	if s&Bold != 0 || role == Title {
		style = style.Bold(true)
	}
	if s&Reverse != 0 {
		style = style.Reverse(true)
	}
	if p == Mono && (role == Dim || role == Border) {
		style = style.Faint(true)
	}
	before, _, _ := strings.Cut(style.Render("x"), "x")
	return reset + before
}

// colour returns the foreground of a role, nil for the terminal's own.
//
// The figures of Dark and Light are at least 4.5:1 against black and #1e1e2e, and
// against white and #f4f4f4; a test holds them to it. Good and Bad differ in
// lightness too, and every state is also written as a word.
func colour(p Scheme, role Style) color.Color {
	table := map[Style][4]string{ // dark, light, dark 16, light 16
		Dim:    {"#8f95a8", "#5f6368", "8", "8"},
		Title:  {"#c3ccff", "#1f3a93", "15", "4"},
		Accent: {"#8ab4f8", "#1a56c4", "12", "4"},
		Good:   {"#7fd88f", "#1b6e2f", "10", "2"},
		Warn:   {"#f2c55c", "#7d5200", "11", "3"},
		Bad:    {"#ff8a80", "#b3261e", "9", "1"},
		Info:   {"#7fdbe6", "#00616e", "14", "6"},
		Up:     {"#7fd88f", "#1b6e2f", "10", "2"},
		Down:   {"#ff8a80", "#b3261e", "9", "1"},
		Band:   {"#b39ddb", "#5e35b1", "13", "5"},
		Border: {"#8a8fa5", "#6b6f76", "8", "8"},
		First:  {"#7fdbe6", "#00616e", "14", "6"},
		Second: {"#ff8a80", "#b3261e", "9", "1"},
	}
	figures, ok := table[role]
	if !ok || p > Light16 {
		return nil
	}
	return lipgloss.Color(figures[p])
}

// Glyphs are the characters that differ between Unicode and ASCII.
type Glyphs struct {
	ASCII   bool
	Rule    rune   // a horizontal line
	Dot     rune   // between facts
	Live    rune   // before a state that is fine
	Lost    rune   // before a state that is not
	Rise    rune   // a price went up
	Fall    rune   // a price went down
	Leader  rune   // beside the leading instance
	Cursor  rune   // beside the chosen row
	Mark    rune   // under a candle at which an alert fired
	Sparks  []rune // eight heights, lowest first
	Bar     rune   // fills a volume bar where Sparks cannot
	Up, Dwn rune   // there is more above, below
}

func unicodeGlyphs() Glyphs {
	return Glyphs{
		Rule: '─', Dot: '·', Live: '●', Lost: '✗', Rise: '▲', Fall: '▼', Leader: '★', Cursor: '▸', Mark: '▲',
		Sparks: []rune("▁▂▃▄▅▆▇█"), Bar: '█', Up: '↑', Dwn: '↓',
	}
}

func asciiGlyphs() Glyphs {
	return Glyphs{
		ASCII: true,
		Rule:  '-', Dot: '.', Live: 'o', Lost: 'x', Rise: '^', Fall: 'v', Leader: '*', Cursor: '>', Mark: '^',
		Sparks: []rune("__..--=#"), Bar: '#', Up: '^', Dwn: 'v',
	}
}

// ASCII replaces everything on the canvas that is not ASCII: the last step of a
// frame under [Glyphs.ASCII], so that no panel has to think of each character. A
// wide character becomes two question marks.
func (c *Canvas) ASCII() {
	for i := range c.cells {
		cl := &c.cells[i]
		cl.mark = 0
		switch r := cl.r; {
		case r == 0:
			cl.r = '?'
		case r > 0x7e:
			cl.r = toASCII(r)
		}
	}
}

func toASCII(r rune) rune {
	switch r {
	case '…':
		return '~'
	case '·', '•':
		return '.'
	case '─', '–', '—', '╴', '╶':
		return '-'
	case '│', '┃', '╷', '╵', '╻', '╹', '╽', '╿', '┤', '├', '█', '▀', '▄':
		return '|'
	case '╭', '╮':
		return '.'
	case '╰', '╯':
		return '\''
	case '┼', '┿', '╂', '╋':
		return '+'
	case '→':
		return '>'
	case '←':
		return '<'
	case '↑':
		return '^'
	case '↓':
		return 'v'
	case '×':
		return 'x'
	default:
		return '?'
	}
}

// Package safetext makes untrusted text safe to draw on a terminal.
//
// A terminal obeys what it is sent: text that carries escape sequences can set the
// clipboard, forge lines that were never logged, or switch the screen. Symbols,
// notes, log records, answers of vendors and versions of instances all come from
// elsewhere, so each becomes a [Text] where it enters, and whatever draws takes
// nothing else. The compiler keeps the boundary; a conversion Text(s) of anything
// but a constant is a mistake.
//
// # What is done
//
//   - Escape sequences are dropped whole: CSI, OSC, DCS, SOS, PM, APC and the short
//     ones, in their 7-bit form, as 8-bit bytes and as U+0080–U+009F. The text
//     between two sequences stays, so the name of a hyperlink is still there.
//   - A sequence that does not end within its line hides nothing: its introducer is
//     shown as a stand-in and what follows is text.
//   - Other control characters become their pictures (␀ … ␟, ␡), a tab four spaces,
//     a line break ↵ unless lines are wanted.
//   - Characters that are not seen or that reorder others (zero width, bidi
//     controls, tags, byte order marks, Unicode's own line breaks), C1 controls and
//     invalid UTF-8 become U+FFFD.
//   - What is too long is cut, and says so.
//
// Cleaning clean text changes nothing. The original should be kept where it has to
// be saved byte for byte; this is for eyes only.
package safetext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits in bytes. The marker of a cut counts.
const (
	MaxLine = 8 << 10  // of a line
	MaxText = 64 << 10 // of a text of several lines
)

// Cut is what a text that was too long ends in.
const Cut = "… [cut]"

// Text is text without control characters: only what [Clean] and
// [CleanMultiline] return, and constants.
type Text string

// Clean returns s as one line of at most [MaxLine] bytes.
func Clean(s string) Text {
	if plain(s) {
		return Text(s)
	}
	return scan(s, false)
}

// CleanMultiline returns s as lines that end in "\n", each of at most [MaxLine]
// bytes and all together of at most [MaxText].
func CleanMultiline(s string) Text {
	if plain(s) {
		return Text(s)
	}
	return scan(s, true)
}

// plain reports whether s is a line of printable ASCII that fits: nearly all are.
func plain(s string) bool {
	if len(s) > MaxLine {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// page gathers the output and keeps the limits.
type page struct {
	out   []byte
	lines bool
	start int  // of the line being written
	room  int  // where the line may be cut, so that the marker fits
	full  bool // nothing more is taken on this line
}

func scan(s string, lines bool) Text {
	p := page{out: make([]byte, 0, min(len(s)+16, MaxLine)), lines: lines}
	for i := 0; i < len(s); {
		if p.full && !lines || len(p.out) > MaxText {
			break
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if n := sequence(s[i:], r, size); n > 0 {
			i += n
			continue
		}
		if r == '\r' && strings.HasPrefix(s[i+1:], "\n") {
			i++ // the line break alone is written
			continue
		}
		p.write(r)
		i += size
	}
	return p.text()
}

// write adds the stand-in of r.
func (p *page) write(r rune) {
	switch {
	case r == '\n' && p.lines:
		p.out = append(p.out, '\n')
		p.start, p.room, p.full = len(p.out), len(p.out), false
		return
	case p.full:
		return
	case r == '\n':
		r = '↵'
	case r == '\t':
		for range 4 {
			p.write(' ')
		}
		return
	case r < ' ':
		r += '␀'
	case r == 0x7f:
		r = '␡'
	case hidden(r):
		r = utf8.RuneError
	}
	p.out = utf8.AppendRune(p.out, r)
	if n := len(p.out) - p.start; n <= MaxLine-len(Cut) {
		p.room = len(p.out)
	} else if n > MaxLine {
		p.out = append(p.out[:p.room], Cut...)
		p.full = true
	}
}

// text returns what was written; beyond [MaxText] the last line that fits is
// followed by the marker on its own.
func (p *page) text() Text {
	if len(p.out) <= MaxText {
		return Text(p.out)
	}
	end := strings.LastIndexByte(string(p.out[:MaxText-len(Cut)]), '\n') + 1
	return Text(append(p.out[:end], Cut...))
}

// hidden reports whether a reader could not see r, or would see others elsewhere
// because of it.
func hidden(r rune) bool {
	return r >= 0x80 && r < 0xa0 ||
		r > 0xa0 && unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

const escape = 0x1b

// control returns the C1 control that s starts with, as the letter that follows ESC
// in its 7-bit form, and the bytes it takes; 0 when there is none. r and size are
// what s decodes to.
func control(s string, r rune, size int) (letter byte, n int) {
	switch {
	case r == escape && len(s) > 1 && s[1] >= '@' && s[1] <= '_':
		return s[1], 2
	case r == utf8.RuneError && size == 1 && s[0] >= 0x80 && s[0] < 0xa0:
		return s[0] - 0x40, 1
	case r >= 0x80 && r < 0xa0:
		return byte(r) - 0x40, size
	}
	return 0, 0
}

// sequence returns the length of the complete escape sequence at the start of s, or
// 0 when there is none.
func sequence(s string, r rune, size int) int {
	letter, n := control(s, r, size)
	switch {
	case letter == '[':
		return end(s, n, '0', '?', '@')
	case letter == ']' || letter == 'P' || letter == 'X' || letter == '^' || letter == '_':
		return stringEnd(s, n)
	case letter != 0 && r == escape:
		return n
	case r == escape:
		return end(s, 1, 1, 0, '0')
	}
	return 0
}

// end returns where a sequence ends that has parameters from low to high, then
// intermediates (space to slash), then a final character from first to tilde; 0
// when it does not end.
func end(s string, i int, low, high, first byte) int {
	for i < len(s) && s[i] >= low && s[i] <= high {
		i++
	}
	for i < len(s) && s[i] >= ' ' && s[i] <= '/' {
		i++
	}
	if i < len(s) && s[i] >= first && s[i] <= '~' {
		return i + 1
	}
	return 0
}

// stringEnd returns where a control string ends that began before i: behind a
// string terminator or a bell. It does not end when another sequence or the next
// line begins first: what someone put on one line can't swallow the others.
func stringEnd(s string, i int) int {
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == '\a' {
			return i + 1
		}
		if letter, n := control(s[i:], r, size); letter == '\\' {
			return i + n
		} else if letter != 0 || r == escape || r == '\n' {
			return 0
		}
		i += size
	}
	return 0
}

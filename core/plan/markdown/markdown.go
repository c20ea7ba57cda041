// Package markdown reads the Markdown that people and the daemon both read: plans,
// scenarios and runbooks.
//
// [Read] turns a file into front matter and blocks with the byte offset of each, so
// that whatever is wrong later can be named by line and column. A [Document] gathers
// errors instead of stopping at the first: a person mends a file once. Nothing is
// rendered and nothing is written back.
//
// goldmark finds the blocks. What stands inside a line is read here: only codes,
// links, comments and boxes matter, the rest are words. That also keeps the time
// linear, which goldmark's inline parsers do not: 100 KB of "*a_" take minutes, and
// a plan may come from a stranger. For the same reason the size of a file, its lines
// and its nesting are bounded before goldmark sees them.
//
// # What is refused
//
// Invalid UTF-8, control characters and characters that are not seen or that reorder
// others, wherever they stand: what a reader approves is what the machine reads. A
// comment or a fence that does not end is refused too, because it would swallow the
// checks behind it without a word.
package markdown

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a file.
const (
	MaxText    = 256 << 10 // bytes
	MaxLine    = 4 << 10   // bytes
	MaxNesting = 16        // of lists and quotations
)

// Error is one thing that is wrong in a file. Lines and columns count from 1,
// columns in characters.
type Error struct {
	File   string
	Line   int
	Column int
	Text   string // a sentence with the fix
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// Errors are all things that are wrong in a file, in its order.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.As each single one.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, err := range e {
		out[i] = err
	}
	return out
}

// Document is a file that was read. Its methods are for one goroutine.
type Document struct {
	File   string
	Text   string // with "\n" as its only line break
	Blocks []Block

	front   string // without its lines of dashes
	frontAt int
	hasDash bool
	lines   []int // offset of each line's beginning
	errs    Errors
}

// Read reads a file. It returns a document in any case; [Document.Err] says what is
// wrong with it, together with what its user adds by [Document.Errorf].
func Read(file string, text []byte) *Document {
	d := &Document{File: file}
	if len(text) > MaxText {
		d.index("")
		d.Errorf(0, "the file has %d KiB, at most %d are read", len(text)>>10, MaxText>>10)
		return d
	}
	d.index(strings.ReplaceAll(strings.TrimPrefix(string(text), "\ufeff"), "\r\n", "\n"))
	if !d.clean() {
		return d
	}
	body := d.splitFront()
	d.Blocks = d.blocks(body)
	return d
}

func (d *Document) index(text string) {
	d.Text, d.lines = text, []int{0}
	for i := range len(text) {
		if text[i] == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
}

// Position returns the line and the column of a byte of Text.
func (d *Document) Position(offset int) (line, column int) {
	offset = max(0, min(offset, len(d.Text)))
	i := sort.SearchInts(d.lines, offset+1) - 1
	return i + 1, utf8.RuneCountInString(d.Text[d.lines[i]:offset]) + 1
}

// Offset is the inverse of Position; what lies outside gets the nearest byte.
func (d *Document) Offset(line, column int) int {
	i := max(0, min(line-1, len(d.lines)-1))
	at := d.lines[i]
	for range column - 1 {
		if at >= len(d.Text) || d.Text[at] == '\n' {
			break
		}
		_, n := utf8.DecodeRuneInString(d.Text[at:])
		at += n
	}
	return at
}

// Errorf adds an error at a byte of Text.
func (d *Document) Errorf(offset int, format string, args ...any) {
	line, column := d.Position(offset)
	d.errs = append(d.errs, &Error{d.File, line, column, fmt.Sprintf(format, args...)})
}

// Err returns all errors in the file's order as [Errors], or nil.
func (d *Document) Err() error {
	if len(d.errs) == 0 {
		return nil
	}
	out := slices.Clone(d.errs)
	slices.SortStableFunc(out, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Text, b.Text))
	})
	return slices.CompactFunc(out, func(a, b *Error) bool { return *a == *b })
}

// clean reports whether the file may be parsed: each character can be seen, no line
// is too long, nothing is nested too deeply.
func (d *Document) clean() bool {
	for i, at := range d.lines {
		end := len(d.Text)
		if i+1 < len(d.lines) {
			end = d.lines[i+1] - 1
		}
		line := d.Text[at:end]
		if len(line) > MaxLine {
			d.Errorf(at, "the line has %d bytes, at most %d are read", len(line), MaxLine)
		}
		if nesting(line) > MaxNesting {
			d.Errorf(at, "lists and quotations are nested more than %d deep", MaxNesting)
		}
		for j, r := range line {
			if why := refused(r, line[j:]); why != "" {
				d.Errorf(at+j, "%s is refused: remove it", why)
				break // one for each line is enough to find them
			}
		}
	}
	return len(d.errs) == 0
}

// nesting counts the marks of lists and quotations at the beginning of a line, and
// half of its indentation, which continues lists.
func nesting(line string) int {
	n, blank := 0, 0
	for i := 0; i < len(line); i++ {
		next := byte(' ')
		if i+1 < len(line) {
			next = line[i+1]
		}
		switch c := line[i]; {
		case c == ' ':
			blank++
		case c == '\t':
			blank += 4
		case c == '>', (c == '-' || c == '+' || c == '*') && (next == ' ' || next == '\t'):
			n++
		case c >= '0' && c <= '9' && (next == '.' || next == ')' || next >= '0' && next <= '9'):
		case (c == '.' || c == ')') && (next == ' ' || next == '\t'):
			n++
		default:
			return n + max(0, blank-64)/2
		}
	}
	return n
}

// refused says what a character is that a reader could not see, or "".
func refused(r rune, rest string) string {
	switch {
	case r >= ' ' && r < 0x7f:
		return ""
	case r == utf8.RuneError && !strings.HasPrefix(rest, "\ufffd"):
		return "a byte that is no UTF-8"
	case r == '\t':
		return ""
	case r < ' ', r >= 0x7f && r < 0xa0:
		return fmt.Sprintf("the control character U+%04X", r)
	case unicode.In(r, unicode.Bidi_Control):
		return fmt.Sprintf("the character U+%04X, which reorders others,", r)
	case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
		return fmt.Sprintf("the character U+%04X, which cannot be seen,", r)
	}
	return ""
}

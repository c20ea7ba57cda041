package chain

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds how deep arrays and objects may nest.
const maxDepth = 64

// Canonical returns the canonical form of one JSON value, the only form in which a
// value stands in a chain:
//
//   - no space between tokens;
//   - the keys of an object in the order of their bytes, each once;
//   - in strings \" \\ \b \t \n \f \r, and \u with four lower-case digits for other
//     control characters (C0, DEL, C1) and U+2028, U+2029; everything else as it is,
//     so that a line can be shown on a terminal and HTML is not escaped;
//   - numbers as encoding/json writes an int64, uint64 or float64.
//
// Space, the order of keys and escapes are put right. What cannot be put right
// without a guess is an error: a key that stands twice, a number in another form
// (1.0, 1E3, or more digits than a float64 has), invalid UTF-8, half a surrogate
// pair, more than 64 levels. NaN and infinities are no JSON.
func Canonical(value []byte) ([]byte, error) {
	c := canon{in: value, out: make([]byte, 0, len(value))}
	c.space()
	if err := c.value(0); err != nil {
		return nil, err
	}
	c.space()
	if c.pos < len(value) {
		return nil, c.wrong("something after the value")
	}
	return c.out, nil
}

// canon reads JSON from in and writes its canonical form to out.
type canon struct {
	in  []byte
	pos int
	out []byte

	members []member // of the objects that are open, innermost last
	swap    []byte   // to sort members with
}

// member is one "key":value of an object, which stands in out[start:end].
type member struct {
	key        []byte
	start, end int
}

func (c *canon) wrong(format string, args ...any) error {
	return fmt.Errorf("byte %d: %s", c.pos, fmt.Sprintf(format, args...))
}

// peek returns the next byte, or 0 at the end.
func (c *canon) peek() byte {
	if c.pos < len(c.in) {
		return c.in[c.pos]
	}
	return 0
}

func (c *canon) space() {
	for c.pos < len(c.in) {
		switch c.in[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

// literal reads exactly s and writes nothing.
func (c *canon) literal(s string) bool {
	if len(c.in)-c.pos < len(s) || string(c.in[c.pos:c.pos+len(s)]) != s {
		return false
	}
	c.pos += len(s)
	return true
}

func (c *canon) value(depth int) error {
	if depth > maxDepth {
		return c.wrong("more than %d levels", maxDepth)
	}
	switch b := c.peek(); {
	case b == '{':
		return c.object(depth)
	case b == '[':
		return c.array(depth)
	case b == '"':
		_, err := c.text()
		return err
	case b == '-' || '0' <= b && b <= '9':
		return c.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if c.literal(word) {
			c.out = append(c.out, word...)
			return nil
		}
	}
	return c.wrong("no JSON value")
}

func (c *canon) array(depth int) error {
	c.pos++
	c.out = append(c.out, '[')
	c.space()
	for first := true; c.peek() != ']'; first = false {
		if !first {
			if c.peek() != ',' {
				return c.wrong("neither , nor ] in an array")
			}
			c.pos++
			c.out = append(c.out, ',')
			c.space()
		}
		if err := c.value(depth + 1); err != nil {
			return err
		}
		c.space()
	}
	c.pos++
	c.out = append(c.out, ']')
	return nil
}

func (c *canon) object(depth int) error {
	c.pos++
	c.out = append(c.out, '{')
	base, sorted := len(c.members), true
	c.space()
	for first := true; c.peek() != '}'; first = false {
		if !first {
			if c.peek() != ',' {
				return c.wrong("neither , nor } in an object")
			}
			c.pos++
			c.out = append(c.out, ',')
			c.space()
		}
		m, err := c.member(depth)
		if err != nil {
			return err
		}
		if !first {
			sorted = sorted && bytes.Compare(c.members[len(c.members)-1].key, m.key) < 0
		}
		c.members = append(c.members, m)
		c.space()
	}
	c.pos++
	if !sorted {
		if err := c.sort(c.members[base:]); err != nil {
			return err
		}
	}
	c.members = c.members[:base]
	c.out = append(c.out, '}')
	return nil
}

func (c *canon) member(depth int) (member, error) {
	m := member{start: len(c.out)}
	if c.peek() != '"' {
		return m, c.wrong("no key in an object")
	}
	var err error
	if m.key, err = c.text(); err != nil {
		return m, err
	}
	c.space()
	if c.peek() != ':' {
		return m, c.wrong("no : after a key")
	}
	c.pos++
	c.out = append(c.out, ':')
	c.space()
	err = c.value(depth + 1)
	m.end = len(c.out)
	return m, err
}

// sort puts the members of the innermost object, the last of out, in order.
func (c *canon) sort(members []member) error {
	start := members[0].start
	slices.SortFunc(members, func(a, b member) int { return bytes.Compare(a.key, b.key) })
	c.swap = append(c.swap[:0], c.out[start:]...)
	c.out = c.out[:start]
	for i, m := range members {
		if i > 0 {
			if bytes.Equal(members[i-1].key, m.key) {
				return c.wrong("key %q stands twice in an object", m.key)
			}
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, c.swap[m.start-start:m.end-start]...)
	}
	return nil
}

// text reads a string and returns what it says, which may lie in the input.
func (c *canon) text() ([]byte, error) {
	start := c.pos + 1
	plain := true
	for i := start; i < len(c.in); {
		switch b := c.in[i]; {
		case b == '"':
			said := c.in[start:i]
			if !plain {
				var err error
				if said, err = c.unescape(said); err != nil {
					return nil, err
				}
				c.out = appendText(c.out, said)
			} else {
				c.out = append(c.out, c.in[start-1:i+1]...)
			}
			c.pos = i + 1
			return said, nil
		case b == '\\':
			plain = false
			i += 2
		case b < ' ':
			c.pos = i
			return nil, c.wrong("control character in a string")
		case b < 0x7f:
			i++
		default:
			r, size := utf8.DecodeRune(c.in[i:])
			if r == utf8.RuneError && size == 1 {
				c.pos = i
				return nil, c.wrong("invalid UTF-8")
			}
			plain = plain && !escaped(r)
			i += size
		}
	}
	return nil, c.wrong("string without an end")
}

// unescape returns what the inside of a string says.
func (c *canon) unescape(s []byte) ([]byte, error) {
	out := make([]byte, 0, len(s))
	for len(s) > 0 {
		if s[0] != '\\' {
			n := bytes.IndexByte(s, '\\')
			if n < 0 {
				n = len(s)
			}
			out, s = append(out, s[:n]...), s[n:]
			continue
		}
		// A backslash is never last: text took the byte behind it for a part of the
		// string.
		if i := bytes.IndexByte([]byte(`"\/bfnrt`), s[1]); i >= 0 {
			out, s = append(out, "\"\\/\b\f\n\r\t"[i]), s[2:]
			continue
		}
		r, ok := hexRune(s)
		size := 6
		if ok && 0xdc00 <= r && r < 0xe000 {
			ok = false
		}
		if ok && 0xd800 <= r && r < 0xdc00 {
			var low rune
			low, ok = hexRune(s[6:])
			ok = ok && 0xdc00 <= low && low < 0xe000
			r, size = 0x10000+(r-0xd800)<<10+(low-0xdc00), 12
		}
		if !ok {
			return nil, c.wrong("string with a wrong escape")
		}
		out, s = utf8.AppendRune(out, r), s[size:]
	}
	return out, nil
}

// hexRune reads \uXXXX.
func hexRune(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[2:6]), 16, 16)
	return rune(n), err == nil
}

// escaped reports whether a character beyond ASCII is written as an escape.
func escaped(r rune) bool {
	return 0x7f <= r && r < 0xa0 || r == 0x2028 || r == 0x2029
}

// appendText writes a string. Invalid UTF-8 must not reach it.
func appendText[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	for _, r := range string(s) {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			if i := bytes.IndexByte([]byte("\b\t\n\f\r"), byte(r)); i >= 0 {
				dst = append(dst, '\\', "btnfr"[i])
			} else {
				dst = fmt.Appendf(dst, `\u%04x`, r)
			}
		case escaped(r):
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// number reads a number, which must have the canonical form.
func (c *canon) number() error {
	start := c.pos
	if c.peek() == '-' {
		c.pos++
	}
	if c.peek() == '0' {
		c.pos++
	} else if !c.digits() {
		return c.wrong("number without digits")
	}
	whole := true
	if c.peek() == '.' {
		c.pos++
		whole = false
		if !c.digits() {
			return c.wrong("number without digits after its point")
		}
	}
	if b := c.peek(); b == 'e' || b == 'E' {
		c.pos++
		whole = false
		if b := c.peek(); b == '+' || b == '-' {
			c.pos++
		}
		if !c.digits() {
			return c.wrong("number without digits in its exponent")
		}
	}
	written := c.in[start:c.pos]
	if !whole || len(written) > 18 {
		if err := checkNumber(written, whole); err != nil {
			c.pos = start
			return c.wrong("%v", err)
		}
	}
	c.out = append(c.out, written...)
	return nil
}

func (c *canon) digits() bool {
	start := c.pos
	for '0' <= c.peek() && c.peek() <= '9' {
		c.pos++
	}
	return c.pos > start
}

// checkNumber returns an error unless encoding/json would write the number so.
func checkNumber(written []byte, whole bool) error {
	s := string(written)
	if whole {
		_, errInt := strconv.ParseInt(s, 10, 64)
		_, errUint := strconv.ParseUint(s, 10, 64)
		if errInt == nil || errUint == nil {
			return nil
		}
	}
	if len(s) > 64 {
		return errors.New("number with too many digits")
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return fmt.Errorf("number %s is out of range", s)
	}
	if form := appendFloat(nil, f); string(form) != s {
		return fmt.Errorf("number %s is not in its canonical form %s", s, form)
	}
	return nil
}

// appendFloat writes a float64 as encoding/json and ECMAScript do: the fewest digits
// that tell it from its neighbours, with an exponent below 1e-6 and from 1e21 on.
func appendFloat(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	if abs == 0 || 1e-6 <= abs && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-2] == '0' {
		dst = append(dst[:n-2], dst[n-1]) // e-09 is written e-9
	}
	return dst
}

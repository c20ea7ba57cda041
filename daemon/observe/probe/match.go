package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spark-ta/spark/core/wire"
)

// Match is a parsed source of kind log: which records are counted.
//
//	"became leader"
//	level=error and not "closed by peer"
//	level>=warn and (instance=executor-1 or channel=telegram)
//
// A text in quotes is looked for in the message and in key=value of the attributes,
// as grep would. level, msg and instance are the record's own; any other key is an
// attribute. = compares whole values, ~ looks for a part; >= orders levels. not
// binds closest, then and, then or.
type Match struct {
	root matcher
}

// Limits of an expression.
const (
	maxMatch = 4 << 10 // bytes
	maxNest  = 32
)

// Matches reports whether a record is counted.
func (m Match) Matches(r wire.LogRecord) bool { return m.root.matches(r) }

type matcher interface {
	matches(wire.LogRecord) bool
	String() string
}

type (
	anyOf  []matcher
	allOf  []matcher
	none   struct{ of matcher }
	phrase string
	field  struct{ key, op, value string }
)

func (m anyOf) matches(r wire.LogRecord) bool {
	return slices.ContainsFunc(m, func(t matcher) bool { return t.matches(r) })
}

func (m allOf) matches(r wire.LogRecord) bool {
	return !slices.ContainsFunc(m, func(t matcher) bool { return !t.matches(r) })
}

func (m none) matches(r wire.LogRecord) bool { return !m.of.matches(r) }

func (m phrase) matches(r wire.LogRecord) bool {
	if strings.Contains(r.Message, string(m)) || strings.Contains("level="+r.Level, string(m)) {
		return true
	}
	for k, v := range r.Attrs {
		if strings.Contains(k+"="+v, string(m)) {
			return true
		}
	}
	return false
}

func (m field) matches(r wire.LogRecord) bool {
	var v string
	switch m.key {
	case "level":
		if m.op == ">=" {
			return slices.Index(logLevels(), strings.ToLower(r.Level)) >= slices.Index(logLevels(), m.value)
		}
		v = strings.ToLower(r.Level)
	case "msg":
		v = r.Message
	case "instance":
		v = r.Instance
	default:
		var ok bool
		if v, ok = r.Attrs[m.key]; !ok {
			return false
		}
	}
	if m.op == "~" {
		return strings.Contains(v, m.value)
	}
	return v == m.value
}

// logLevels are the levels, least first.
func logLevels() []string { return []string{"debug", "info", "warn", "error"} }

// String writes the expression so that it parses to the same.
func (m Match) String() string { return m.root.String() }

func (m anyOf) String() string { return joined(m, " or ") }

func (m allOf) String() string { return joined(m, " and ") }

func (m none) String() string { return "not " + m.of.String() }

func (m phrase) String() string { return quote(string(m)) }

func (m field) String() string { return m.key + m.op + quote(m.value) }

func joined(terms []matcher, word string) string {
	texts := make([]string, len(terms))
	for i, t := range terms {
		texts[i] = t.String()
	}
	return "(" + strings.Join(texts, word) + ")"
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// ParseMatch parses the text of a log source. Lines that begin with # are comments.
func ParseMatch(text string) (Match, error) {
	p := parser{rest: strings.Join(statement(text), " ")}
	switch {
	case len(p.rest) > maxMatch:
		return Match{}, fmt.Errorf("expression of more than %d bytes", maxMatch)
	case !utf8.ValidString(p.rest) || !printable(strings.ReplaceAll(p.rest, "\t", " ")):
		return Match{}, errors.New("expression with characters that are not printable")
	}
	m, err := p.or(0)
	if err != nil {
		return Match{}, err
	}
	p.space()
	if p.rest != "" {
		return Match{}, fmt.Errorf("before %.30q: want and, or, or the end", p.rest)
	}
	return Match{m}, nil
}

type parser struct {
	rest string
}

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \t") }

// word takes a keyword.
func (p *parser) word(w string) bool {
	p.space()
	after, ok := strings.CutPrefix(p.rest, w)
	if !ok || after != "" && (wordByte(after[0]) || strings.IndexByte("=~>", after[0]) >= 0) {
		return false
	}
	p.rest = after
	return true
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-./:%", c) >= 0 || c >= 0x80
}

func (p *parser) or(depth int) (matcher, error) { return p.list(depth, "or", p.and) }

func (p *parser) and(depth int) (matcher, error) { return p.list(depth, "and", p.not) }

func (p *parser) list(depth int, word string, next func(int) (matcher, error)) (matcher, error) {
	var terms []matcher
	for {
		m, err := next(depth)
		if err != nil {
			return nil, err
		}
		terms = append(terms, m)
		if !p.word(word) {
			break
		}
	}
	switch {
	case len(terms) == 1:
		return terms[0], nil
	case word == "or":
		return anyOf(terms), nil
	default:
		return allOf(terms), nil
	}
}

func (p *parser) not(depth int) (matcher, error) {
	if depth > maxNest {
		return nil, fmt.Errorf("nested more than %d deep", maxNest)
	}
	if p.word("not") {
		m, err := p.not(depth + 1)
		return none{m}, err
	}
	return p.term(depth)
}

func (p *parser) term(depth int) (matcher, error) {
	p.space()
	switch {
	case p.rest == "":
		return nil, errors.New(`at the end: want a "text", key=value or (`)
	case p.rest[0] == '(':
		p.rest = p.rest[1:]
		m, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.space(); !strings.HasPrefix(p.rest, ")") {
			return nil, fmt.Errorf("before %.30q: want )", p.rest)
		}
		p.rest = p.rest[1:]
		return m, nil
	case p.rest[0] == '"':
		s, err := p.quoted()
		if err == nil && s == "" {
			err = errors.New("an empty text is in every record")
		}
		return phrase(s), err
	default:
		return p.field()
	}
}

func (p *parser) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), nil
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("%.30q: the text does not end", p.rest)
}

func (p *parser) bare() string {
	n := 0
	for n < len(p.rest) && wordByte(p.rest[n]) {
		n++
	}
	w := p.rest[:n]
	p.rest = p.rest[n:]
	return w
}

func (p *parser) field() (matcher, error) {
	at := p.rest
	f := field{key: p.bare()}
	for _, op := range []string{">=", "=", "~"} {
		if after, ok := strings.CutPrefix(p.rest, op); ok {
			f.op, p.rest = op, after
			break
		}
	}
	if f.key == "" || f.op == "" {
		return nil, fmt.Errorf(`before %.30q: want a "text", key=value or (`, at)
	}
	if strings.HasPrefix(p.rest, `"`) {
		var err error
		if f.value, err = p.quoted(); err != nil {
			return nil, err
		}
	} else if f.value = p.bare(); f.value == "" {
		return nil, fmt.Errorf("%.30q: want a value", at)
	}
	if f.key == "level" && f.op != "~" && !slices.Contains(logLevels(), f.value) {
		return nil, fmt.Errorf("level %.20q is not one of debug, info, warn, error", f.value)
	}
	if f.op == ">=" && f.key != "level" {
		return nil, fmt.Errorf("%s>=: only level has an order", f.key)
	}
	return f, nil
}

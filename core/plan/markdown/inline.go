package markdown

import (
	"sort"
	"strings"
)

// SpanKind is the kind of a span.
type SpanKind uint8

// The kinds of spans.
const (
	Words  SpanKind = iota // as written, emphasis included; white space is one space
	Code                   // between backticks
	Link                   // Text and Dest
	Hidden                 // Options of <!-- hc … --> within a line
)

// Span is a piece of a line.
type Span struct {
	Kind    SpanKind
	Text    string
	Dest    string // where a link leads
	At      int    // of its first character behind the marks
	Options []Option
}

// Plain joins spans as they are read: codes in their backticks, links by their words.
func Plain(spans []Span) string {
	var b strings.Builder
	for _, s := range spans {
		switch s.Kind {
		case Code:
			b.WriteString("`" + s.Text + "`")
		case Words, Link:
			b.WriteString(s.Text)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// inline splits the text of a block. Codes bind most tightly, then comments, then
// links, as in CommonMark. The time is linear.
func (d *Document) inline(lines []Line) []Span {
	sc := scanner{doc: d, runs: map[int][]int{}}
	for _, l := range lines {
		sc.starts = append(sc.starts, sc.text.Len())
		sc.ats = append(sc.ats, l.At)
		sc.text.WriteString(l.Text)
		if !strings.HasSuffix(l.Text, "\n") {
			sc.text.WriteByte('\n')
		}
	}
	sc.s = strings.TrimRight(sc.text.String(), " \t\n")
	sc.countRuns()
	return sc.scan()
}

type scanner struct {
	doc    *Document
	text   strings.Builder
	s      string
	starts []int // of each line in s
	ats    []int // the same in the document
	runs   map[int][]int
	out    []Span
	plain  int // where the words began that are not yet in out
}

// at returns the offset in the document of a byte of s.
func (sc *scanner) at(i int) int {
	n := sort.SearchInts(sc.starts, i+1) - 1
	return sc.ats[n] + i - sc.starts[n]
}

// countRuns notes the beginnings of runs of backticks by their length.
func (sc *scanner) countRuns() {
	for i := 0; i < len(sc.s); i++ {
		j := i
		for j < len(sc.s) && sc.s[j] == '`' {
			j++
		}
		if j > i {
			sc.runs[j-i] = append(sc.runs[j-i], i)
			i = j
		}
	}
}

// closing returns the next run of n backticks from i on.
func (sc *scanner) closing(n, i int) (int, bool) {
	r := sc.runs[n]
	for len(r) > 0 && r[0] < i {
		r = r[1:]
	}
	sc.runs[n] = r
	if len(r) == 0 {
		return 0, false
	}
	return r[0], true
}

func (sc *scanner) scan() []Span {
	for i := 0; i < len(sc.s); {
		switch {
		case sc.s[i] == '\\' && i+1 < len(sc.s) && sc.s[i+1] != '\n':
			i += 2
		case sc.s[i] == '`':
			i = sc.code(i)
		case strings.HasPrefix(sc.s[i:], "<!--"):
			i = sc.comment(i)
		case sc.s[i] == '[':
			i = sc.link(i)
		default:
			i++
		}
	}
	sc.words(len(sc.s))
	return sc.out
}

// words ends the words before i.
func (sc *scanner) words(i int) {
	if i > sc.plain {
		sc.out = append(sc.out, Span{Kind: Words, Text: unescape(flat(sc.s[sc.plain:i])), At: sc.at(sc.plain)})
	}
	sc.plain = i
}

func (sc *scanner) code(i int) int {
	n := 0
	for i+n < len(sc.s) && sc.s[i+n] == '`' {
		n++
	}
	end, ok := sc.closing(n, i+n)
	if !ok {
		return i + n
	}
	sc.words(i)
	inner := strings.ReplaceAll(sc.s[i+n:end], "\n", " ")
	at := i + n
	if len(inner) > 2 && inner[0] == ' ' && inner[len(inner)-1] == ' ' {
		inner, at = inner[1:len(inner)-1], at+1
	}
	sc.out = append(sc.out, Span{Kind: Code, Text: inner, At: sc.at(at)})
	sc.plain = end + n
	return sc.plain
}

func (sc *scanner) comment(i int) int {
	length := strings.Index(sc.s[i:], "-->")
	if length < 0 {
		sc.doc.Errorf(sc.at(i), "the comment does not end: close it with -->")
		sc.words(i)
		sc.plain = len(sc.s)
		return sc.plain
	}
	sc.words(i)
	if b, ok := sc.doc.comment(sc.s[i:i+length], sc.at(i)); ok {
		sc.out = append(sc.out, Span{Kind: Hidden, At: b.At, Options: b.Options})
	}
	sc.plain = i + length + len("-->")
	return sc.plain
}

// link reads [words](dest). Words of a link hold no brackets and end within the
// line, which keeps the time linear and is all that runbooks need.
func (sc *scanner) link(i int) int {
	end := strings.IndexAny(sc.s[i+1:], "[]\n")
	if end < 0 {
		return i + 1
	}
	end += i + 1
	if !strings.HasPrefix(sc.s[end:], "](") {
		return i + 1
	}
	stop := strings.IndexAny(sc.s[end+2:], ") \n")
	if stop < 0 || sc.s[end+2+stop] != ')' {
		return i + 1
	}
	sc.words(i)
	dest := end + 2
	sc.out = append(sc.out, Span{Kind: Link, Text: unescape(sc.s[i+1 : end]), Dest: sc.s[dest : dest+stop], At: sc.at(i + 1)})
	sc.plain = dest + stop + 1
	return sc.plain
}

// flat makes each run of white space one space.
func flat(s string) string {
	var b strings.Builder
	blank := false
	for i := range len(s) {
		if c := s[i]; c == ' ' || c == '\t' || c == '\n' {
			blank = true
			continue
		}
		if blank {
			b.WriteByte(' ')
			blank = false
		}
		b.WriteByte(s[i])
	}
	if blank {
		b.WriteByte(' ')
	}
	return b.String()
}

// unescape removes backslashes before punctuation.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Escape makes a text of a person one line of Markdown that shows it as it is: it
// opens no block, no link, no code and no comment.
func Escape(s string) string {
	var b strings.Builder
	for i, r := range strings.Join(strings.Fields(s), " ") {
		if refused(r, string(r)) != "" {
			r = '\ufffd'
		}
		if strings.ContainsRune("\\`*_[]<>|", r) || i == 0 && strings.ContainsRune("#+-=~", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	out := b.String()
	if n := strings.TrimLeft(out, "0123456789"); n != out && (strings.HasPrefix(n, ". ") || strings.HasPrefix(n, ") ")) {
		out = out[:len(out)-len(n)] + `\` + n // not the first item of a list
	}
	return out
}

// StartsItem reports whether a line without its indentation begins an item of a list.
func StartsItem(line string) bool {
	for _, mark := range []string{"- ", "* ", "+ "} {
		if strings.HasPrefix(line, mark) {
			return true
		}
	}
	rest := strings.TrimLeft(line, "0123456789")
	return rest != line && (strings.HasPrefix(rest, ". ") || strings.HasPrefix(rest, ") "))
}

package markdown

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// Kind is the kind of a block.
type Kind uint8

// The kinds of blocks.
const (
	Other   Kind = iota // a table, a rule, a quotation, HTML: for people
	Heading             // Level, Spans
	Prose               // Spans
	Task                // Checked, Spans, Blocks: an item with a box
	Bullet              // Spans, Blocks: an item without one
	Fence               // Language, Info, Lines
	Comment             // Options of <!-- hc … -->
)

// Block is one block of a document.
type Block struct {
	Kind    Kind
	At      int    // of a task its box, of an item its words, else its first character
	Level   int    // of a heading, 1 to 6
	Spans   []Span // the words of a heading, of a paragraph, of an item's first paragraph
	Blocks  []Block
	Checked bool

	Language string // of a fence, the first word behind its marks
	Info     string // the rest
	InfoAt   int
	Lines    []Line
	Options  []Option
}

// Line is one line of a fence without its indentation and its line break.
type Line struct {
	Text string
	At   int
}

// Body returns the lines of a fence.
func (b *Block) Body() string {
	var s strings.Builder
	for i, l := range b.Lines {
		if i > 0 {
			s.WriteByte('\n')
		}
		s.WriteString(l.Text)
	}
	return s.String()
}

// blockParser finds blocks only: inline text is read by spans. It is safe for
// concurrent use.
var blockParser = parser.NewParser(parser.WithBlockParsers(parser.DefaultBlockParsers()...))

// reader turns goldmark's tree into blocks. The tree's offsets count from the end of
// the front matter.
type reader struct {
	doc  *Document
	src  []byte
	base int
	// Lines on which a fence begins. Marks too far left to close a fence of an item
	// begin another one, which would swallow what follows.
	opens map[int]bool
}

func (d *Document) blocks(base int) []Block {
	r := reader{d, []byte(d.Text[base:]), base, map[int]bool{}}
	root := r.parse()
	r.findOpens(root)
	return r.children(root)
}

func (r reader) findOpens(n ast.Node) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if f, ok := c.(*ast.FencedCodeBlock); ok {
			line, _ := r.doc.Position(r.base + max(0, f.Pos()))
			r.opens[line] = true
		} else if c.Type() == ast.TypeBlock {
			r.findOpens(c)
		}
	}
}

// parse keeps a fault of the library from ending the process: the file may come from
// a request.
func (r reader) parse() (root ast.Node) {
	defer func() {
		if recover() != nil {
			r.doc.Errorf(r.base, "the Markdown cannot be read")
			root = ast.NewDocument()
		}
	}()
	return blockParser.Parse(text.NewReader(r.src))
}

func (r reader) children(n ast.Node) []Block {
	var out []Block
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if l, ok := c.(*ast.List); ok {
			for i := l.FirstChild(); i != nil; i = i.NextSibling() {
				out = append(out, r.item(i))
			}
			continue
		}
		if h, ok := c.(*ast.HTMLBlock); ok {
			out = append(out, r.html(h)...)
			continue
		}
		out = append(out, r.block(c))
	}
	return out
}

func (r reader) block(n ast.Node) Block {
	b := Block{At: r.base + max(0, n.Pos())}
	switch n := n.(type) {
	case *ast.Heading:
		b.Kind, b.Level, b.Spans = Heading, n.Level, r.spans(n)
	case *ast.Paragraph, *ast.TextBlock:
		b.Kind, b.Spans = Prose, r.spans(n)
		for i := range n.Lines().Len() {
			if l := n.Lines().At(i); glued.Match(l.Value(r.src)) {
				r.doc.Errorf(r.base+l.Start, `a task is written "- [ ] words": a space behind the dash is missing`)
			}
		}
	case *ast.FencedCodeBlock:
		r.fence(n, &b)
	case *ast.Blockquote:
		b.Blocks = r.children(n)
	}
	return b
}

// looksLikeBox finds what was meant as a box and is none, so that a check does not
// turn into prose unnoticed.
var looksLikeBox = regexp.MustCompile(`^\[[ xX]?\](?:\S|$)|^\[\]|^\[ {2,}\]`)

var glued = regexp.MustCompile(`^\s*[-*+]\[[ xX]?\]`)

func (r reader) item(n ast.Node) Block {
	b := Block{Kind: Bullet, At: r.base + max(0, n.Pos())}
	blocks := r.children(n)
	if len(blocks) > 0 && blocks[0].Kind == Prose {
		b.Spans, b.At, blocks = blocks[0].Spans, blocks[0].At, blocks[1:]
	}
	b.Blocks = blocks
	if len(b.Spans) == 0 || b.Spans[0].Kind != Words {
		return b
	}
	words := b.Spans[0].Text
	if len(words) > 3 && words[0] == '[' && words[2] == ']' && strings.IndexByte(" xX", words[1]) >= 0 && words[3] == ' ' {
		b.Kind, b.Checked = Task, words[1] != ' '
		b.Spans[0].Text, b.Spans[0].At = strings.TrimPrefix(words[4:], " "), b.Spans[0].At+4
		return b
	}
	if looksLikeBox.MatchString(words) {
		r.doc.Errorf(b.At, `a task is written "- [ ] words": a space in the box and one behind it`)
	}
	return b
}

var fenceMarks = regexp.MustCompile("^[ \t>]*(`{3,}|~{3,})[ \t]*\n?$")

func (r reader) fence(n *ast.FencedCodeBlock, b *Block) {
	b.Kind = Fence
	end := max(0, n.Pos())
	if n.Info != nil {
		end = n.Info.Segment.Start
		info := string(n.Info.Segment.Value(r.src))
		b.InfoAt = r.base + end
		b.Language = info
		if i := strings.IndexAny(info, " \t{"); i >= 0 {
			b.Language, b.Info = info[:i], info[i:]
			b.InfoAt += i
		}
	}
	if i := bytes.IndexByte(r.src[end:], '\n'); i >= 0 {
		end += i + 1
	} else {
		end = len(r.src)
	}
	for i := range n.Lines().Len() {
		s := n.Lines().At(i)
		b.Lines = append(b.Lines, Line{strings.TrimRight(string(s.Value(r.src)), "\n"), r.base + s.Start})
		end = s.Stop
	}
	// goldmark does not tell whether the closing marks are there.
	last, _, _ := bytes.Cut(r.src[end:], []byte("\n"))
	if line, _ := r.doc.Position(r.base + end); !fenceMarks.Match(last) || r.opens[line] {
		r.doc.Errorf(b.At, "the fence does not end: close it with the marks it began with, as far indented")
	}
}

var hcComment = regexp.MustCompile(`<!--\s*hc\b`)

// html returns the options that a block of HTML holds.
func (r reader) html(n *ast.HTMLBlock) []Block {
	start, stop := max(0, n.Pos()), 0
	for i := range n.Lines().Len() {
		if l := n.Lines().At(i); i == 0 {
			start, stop = l.Start, l.Stop
		} else {
			stop = l.Stop
		}
	}
	if n.HasClosure() {
		if n.Lines().Len() == 0 {
			start = n.ClosureLine.Start
		}
		stop = n.ClosureLine.Stop
	}
	html := string(r.src[start:max(start, stop)])
	var out []Block
	for at := 0; ; {
		i := strings.Index(html[at:], "<!--")
		if i < 0 {
			return out
		}
		at += i
		length := strings.Index(html[at:], "-->")
		if length < 0 {
			r.doc.Errorf(r.base+start+at, "the comment does not end: close it with -->")
			return out
		}
		if b, ok := r.doc.comment(html[at:at+length], r.base+start+at); ok {
			out = append(out, b)
		}
		at += length
	}
}

// comment reads a comment without its closing mark; ok is false for one that is for
// people.
func (d *Document) comment(s string, at int) (Block, bool) {
	m := hcComment.FindStringIndex(s)
	if m == nil || m[0] != 0 {
		return Block{}, false
	}
	return Block{Kind: Comment, At: at, Options: d.ParseOptions(s[m[1]:], at+m[1])}, true
}

// spans reads the inline text of a block.
func (r reader) spans(n ast.Node) []Span {
	var lines []Line
	for i := range n.Lines().Len() {
		s := n.Lines().At(i)
		lines = append(lines, Line{string(r.src[s.Start:s.Stop]), r.base + s.Start})
	}
	return r.doc.inline(lines)
}

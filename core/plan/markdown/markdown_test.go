package markdown_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/plan/markdown"
)

// outline writes blocks with their places, one a line.
func outline(d *markdown.Document, blocks []markdown.Block, indent string) string {
	var out strings.Builder
	kinds := []string{"other", "heading", "prose", "task", "bullet", "fence", "comment"}
	for _, b := range blocks {
		line, column := d.Position(b.At)
		fmt.Fprintf(&out, "%s%d:%d %s", indent, line, column, kinds[b.Kind])
		if b.Level > 0 {
			fmt.Fprintf(&out, " %d", b.Level)
		}
		if b.Checked {
			out.WriteString(" checked")
		}
		for _, s := range b.Spans {
			l, c := d.Position(s.At)
			fmt.Fprintf(&out, " %d:%d%s%q", l, c, []string{"", "code", "link", "hidden"}[s.Kind], s.Text+s.Dest)
		}
		if b.Kind == markdown.Fence {
			fmt.Fprintf(&out, " %s%q %q", b.Language, b.Info, b.Body())
		}
		for _, o := range b.Options {
			l, c := d.Position(o.From)
			fmt.Fprintf(&out, " %s=%q@%d:%d", o.Key, o.Value, l, c)
		}
		out.WriteString("\n" + outline(d, b.Blocks, indent+"  "))
	}
	return out.String()
}

func TestReadFindsBlocksAndTheirPlaces(t *testing.T) {
	const text = `# Ti*tle* ` + "`x`" + `

Prose \` + "`" + `not code\` + "`" + ` with [a link](to.md) and <!-- for people --> words
over two lines, ` + "``a ` b``" + `.

- [ ] ≥ one ` + "`a.b`" + ` <!-- hc role=lead -->
  <!-- hc due=5m
       why="a \"b\""
  -->

  ~~~promql every=15s
  up
    == 1

  ~~~
- [x] two
  - three
    1. [ ] four
- plain

> quoted
`
	d := markdown.Read("t.md", []byte(text))
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	want := `1:1 heading 1 1:3"Ti*tle* " 1:12code"x"
3:1 prose 3:1"Prose ` + "`not code`" + ` with " 3:26link"a linkto.md" 3:40" and " 3:64" words over two lines, " 4:19code"a ` + "`" + ` b" 4:26"."
6:3 task 6:7"≥ one " 6:14code"a.b" 6:18" " 6:19hidden""
  7:3 comment due="5m"@7:15 why="a \"b\""@8:13
  11:3 fence promql" every=15s" "up\n  == 1\n"
16:3 task checked 16:7"two"
  17:5 bullet 17:5"three"
    18:8 task 18:12"four"
19:3 bullet 19:3"plain"
21:1 other
  21:3 prose 21:3"quoted"
`
	if diff := cmp.Diff(want, outline(d, d.Blocks, "")); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
}

func TestPositionAndOffsetAreInverse(t *testing.T) {
	d := markdown.Read("t.md", []byte("a≥b\n\n→ c\nlast"))
	for i := 0; i <= len(d.Text); i++ {
		if i < len(d.Text) && d.Text[i]&0xc0 == 0x80 {
			continue // inside a character
		}
		line, column := d.Position(i)
		if got := d.Offset(line, column); got != i {
			t.Errorf("byte %d is %d:%d, which is byte %d", i, line, column, got)
		}
	}
	for _, at := range [][2]int{{0, 0}, {-1, 5}, {99, 1}, {1, 99}} {
		if got := d.Offset(at[0], at[1]); got < 0 || got > len(d.Text) {
			t.Errorf("Offset(%v) = %d", at, got)
		}
	}
}

func TestParseOptions(t *testing.T) {
	tests := []struct{ in, want, err string }{
		{"", "", ""},
		{" a=1  b-c=x,y flag ", `a="1" b-c="x,y" flag`, ""},
		{`a="x y" b='it "is"' c="a \" b \\ c"`, `a="x y" b="it \"is\"" c="a \" b \\ c"`, ""},
		{`q=sum(x{a="b"})`, `q="sum(x{a=\"b\"})"`, ""},
		{`{"a": "1", "n": 2.50, "on": true, "off": false}`, `a="1" n="2.50" on`, ""},
		{`a=`, "", "1:1: a= has no value"},
		{`a="x`, "", "1:3: the value of a does not end"},
		{`a="x"b=1`, "", "1:6: a space is missing behind the value of a"},
		{`a:1`, "", `1:2: ":" has no meaning behind a`},
		{`=1`, "", `1:1: key=value or key="a value" is meant here`},
		{`a=1 a=2`, `a="1"`, "1:5: a is stated twice"},
		{`{"a": [1]}`, "", "1:3: a has to be a text, a number or true"},
		{`{"a": 1} b`, `a="1"`, `1:9: "b" is left over`},
		{`{"a"`, "", "1:1: this is no JSON object"},
	}
	for _, tt := range tests {
		d := markdown.Read("o", []byte(tt.in))
		var got []string
		for _, o := range d.ParseOptions(tt.in, 0) {
			if o.Bare {
				got = append(got, o.Key)
				continue
			}
			got = append(got, fmt.Sprintf("%s=%q", o.Key, o.Value))
		}
		if g := strings.Join(got, " "); g != tt.want {
			t.Errorf("%s: options %s, want %s", tt.in, g, tt.want)
		}
		if err := d.Err(); (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), "o:"+tt.err) {
			t.Errorf("%s: error %v, want %s", tt.in, err, tt.err)
		}
	}
}

func TestApplyHandsOptionsOut(t *testing.T) {
	const text = "a=1 flag flag2=x b nme=3 bad=4"
	d := markdown.Read("o", []byte(text))
	var a string
	flag := false
	d.Apply(d.ParseOptions(text, 0), map[string]markdown.Setter{
		"a":    func(v string) error { a = v; return nil },
		"b":    func(string) error { return nil },
		"name": func(string) error { return nil },
		"bad":  func(string) error { return errors.New("no good") },
	}, map[string]func(){"flag": func() { flag = true }, "flag2": func() {}})
	if a != "1" || !flag {
		t.Errorf("a = %q, flag = %v", a, flag)
	}
	want := `o:1:10: flag2 takes no value
o:1:18: b needs a value: b=…
o:1:20: unknown option "nme": did you mean name?
o:1:30: bad: no good`
	if diff := cmp.Diff(want, d.Err().Error()); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestDecodeFront(t *testing.T) {
	type inner struct {
		Most int `yaml:"most"`
	}
	type front struct {
		Kind  markdown.Scalar            `yaml:"kind"`
		Names []string                   `yaml:"names"`
		More  map[string]markdown.Scalar `yaml:"more"`
		Exit  inner                      `yaml:"exit"`
	}
	tests := []struct{ in, want string }{
		{"---\nkind: plan\nnames: [a, b]\nmore: { x: 1e3, y: \"q\" }\nexit: { most: 2 }\n---\n# T\n", ""},
		{"# T\n", "f:1:1: front matter is missing"},
		{"---\n---\n", "f:2:1: the front matter is empty"},
		{"---\nkind: a\n...\nkind: b\n---\n", "f:2:1: the front matter holds a second document"},
		{"---\nkid: plan\n---\n", `f:2:1: unknown key "kid": did you mean kind?`},
		{"---\nexit:\n  mosst: 2\n---\n", `f:3:3: unknown key "mosst": did you mean most?`},
		{"---\nexit: { most: few }\n---\n", `f:2:15: "few" is no whole number`},
		{"---\nnames: alice\n---\n", `f:2:8: "alice" is no list: write [a, b]`},
		{"---\nexit: soon\n---\n", `f:2:7: "soon" is no map: write { key: value }`},
		{"---\nkind: {\n---\n", "f:"},
		{"---\nkind: \"x\n---\n", "f:"},
		{"---\n\tkind: x\n---\n", "f:2:1: found character that cannot start any token"},
	}
	for _, tt := range tests {
		d := markdown.Read("f", []byte(tt.in))
		var f front
		d.DecodeFront(&f)
		if err := d.Err(); (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.in, err, tt.want)
		}
	}
	d := markdown.Read("f", []byte(tests[0].in))
	var f front
	d.DecodeFront(&f)
	line, column := d.Position(d.At(f.More["x"]))
	if x, y := f.More["x"], f.More["y"]; x.Text != "1e3" || x.Quoted || !y.Quoted || line != 4 || column != 12 {
		t.Errorf("x = %+v at %d:%d, y = %+v", x, line, column, y)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"window", "grace", "signoff", "every", "min-events", "by", "key"}
	for word, want := range map[string]string{
		"windw": "window", "widnow": "window", "Grace": "grace", "sign-off": "signoff", "min_events": "min-events", "bye": "by", "kee": "key",
		"elephant": "", "x": "", strings.Repeat("w", 100): "",
	} {
		if got := markdown.Suggest(word, known); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestEscapedTextIsShownAsItIs(t *testing.T) {
	for _, s := range []string{"# a", "- a", "1. a", "12) a", "+ a", "> a", "`a`", "<!-- a", "[ ] a", "a\n\n- [ ] b", "=== ", "~~~", "*a*", `\`, "| a |", "plain"} {
		d := markdown.Read("e", []byte("- [ ] x\n\n  "+markdown.Escape(s)+"\n"))
		if err := d.Err(); err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		if len(d.Blocks) != 1 || len(d.Blocks[0].Blocks) != 1 || d.Blocks[0].Blocks[0].Kind != markdown.Prose {
			t.Errorf("%q became\n%s", s, outline(d, d.Blocks, ""))
			continue
		}
		if got, want := markdown.Plain(d.Blocks[0].Blocks[0].Spans), strings.Join(strings.Fields(s), " "); got != want {
			t.Errorf("%q is shown as %q", want, got)
		}
	}
}

// What takes goldmark's inline parsers minutes is read in the time of its length; a
// regression makes this test run into its time limit rather than flake.
func TestHostileTextIsLinear(t *testing.T) {
	for _, unit := range []string{"[", "*a_", "[a](", "`a``", "<!--", "![[]()", "*a **a ", "](", "[a][b", "\\`", "- a\n", "# a\n", "a\n-\n", "<div>\n\n", "\t- x\n", "> ", "- "} {
		line := strings.Repeat(unit, 4000/len(unit))
		if strings.HasSuffix(unit, "\n") {
			line = unit
		}
		markdown.Read("h", []byte(strings.Repeat(strings.TrimSuffix(line, "\n")+"\n", (markdown.MaxText/4)/(len(line)+1))))
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"---\na: 1\n---\n# T\n\n- [ ] a `b.c`\n  ```x y=1\n  z\n  ```\n", "<!-- hc a=\"b\" c -->\n", "- [ ] [a](b) ``c ` d``\n  - e\n\n> f\n", "~~~\n", "<!--", "\ufeff---\r\n---\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := markdown.Read("f", text)
		var v struct {
			A markdown.Scalar `yaml:"a"`
		}
		d.DecodeFront(&v)
		var walk func(blocks []markdown.Block)
		walk = func(blocks []markdown.Block) {
			for _, b := range blocks {
				if b.At < 0 || b.At > len(d.Text) {
					t.Errorf("a block at byte %d of %d", b.At, len(d.Text))
				}
				for _, s := range b.Spans {
					if s.At < 0 || s.At > len(d.Text) || s.Kind == markdown.Code && s.Text != "" && !strings.HasPrefix(d.Text[s.At:], s.Text[:1]) && s.Text[0] != ' ' {
						t.Errorf("a span %+v is not where it says", s)
					}
				}
				walk(b.Blocks)
			}
		}
		walk(d.Blocks)
	})
}

func FuzzParseOptions(f *testing.F) {
	for _, s := range []string{`a=1 b="c d" e`, `{"a": 1, "b": true}`, `a='x\'y'`, "{", `a="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := markdown.Read("f", []byte(s))
		for _, o := range d.ParseOptions(s, 0) {
			if o.Key == "" && !strings.HasPrefix(strings.TrimLeft(s, " \t\n"), "{") || o.At < 0 || o.From > len(s) {
				t.Errorf("%q: option %+v", s, o)
			}
		}
	})
}

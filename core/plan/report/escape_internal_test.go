package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"html"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	render "github.com/yuin/goldmark/renderer/html"
)

// everywhere is a document with a text in each place that one can have.
func everywhere(text string) *document {
	d := &document{Title: text, Rehearsal: true, Watermark: in(bold(text), plain(" "+text))}
	s := d.add(text)
	s.say(plain(text))
	s.say(bold(text))
	s.say(code(text))
	s.say(plain("before "), plain(text), plain(" after"))
	s.list([][]span{in(plain(text)), in(code(text), plain(" "+text))})
	t := s.table(text, "b")
	t.row(in(plain(text)), in(code(text)))
	t.row(in(span{Text: text, Tone: "fail"}), in(plain("x "), plain(text)))
	s.Blocks = append(s.Blocks, block{Bars: []bar{{text, 0.5, text, "pass"}}})
	d.sub(text).text(text)
	return d
}

var github = goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote), goldmark.WithRendererOptions(render.WithUnsafe()))

var anyTag = regexp.MustCompile(`<!--.*?-->|</?([a-z0-9]+)[^>]*>`)

// shape returns the elements that Markdown becomes, and its words.
func shape(t *testing.T, md []byte) (elements, text string) {
	t.Helper()
	var out bytes.Buffer
	if err := github.Convert(md, &out); err != nil {
		t.Fatal(err)
	}
	var names strings.Builder
	for _, m := range anyTag.FindAllStringSubmatch(out.String(), -1) {
		if m[1] != "" {
			names.WriteString(m[0] + "\n")
		}
	}
	return names.String(), html.UnescapeString(anyTag.ReplaceAllString(out.String(), ""))
}

// nodes returns the elements of a page, and its words.
func nodes(t *testing.T, page []byte) (elements, text string) {
	t.Helper()
	var names, words strings.Builder
	for d := xml.NewDecoder(bytes.NewReader(page)); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names.String(), words.String()
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			names.WriteString("<" + tok.Name.Local)
			for _, a := range tok.Attr {
				if a.Value != "short" { // depends on how long a text is
					names.WriteString(" " + a.Name.Local)
				}
			}
			names.WriteString(">\n")
		case xml.EndElement:
			names.WriteString("</" + tok.Name.Local + ">\n")
		case xml.CharData:
			words.Write(tok)
		}
	}
}

func FuzzTextIsNeverMarkup(f *testing.F) {
	for _, s := range []string{
		"x", "a | b", `\|`, "\\", "`", "``` x", "**", "_a_", "~x~", "<b>", "&lt;", "[a](b)", "![", "https://a.bc", "www.a.bc", "a@b.cd", "mailto:a@b.cd",
		"xmpp:a@b.cd", "ftp://a.bc/", "# a", "1. a", "1) a", "- a", "+ a", "> a", "---", "===", "- [x] a", ":+1:", "$a$", "[^1]", "<!-- a", "-->", "a\nb", "\x1b[31m", "\u202e",
		"\u2028", "\u00a0", "{{.}}", "</style>", "]]>", "'\"", "\x00", "\xff", "WWW.a.bc", "a <!-- -->@b", "@", "@a <b>b</b> www.a.bc", "a @ <b>b</b>", strings.Repeat("`|", 30), "|\\|\\\\|", "hTTps://a.bc", "a\u0085b", "\ufffe", "\uffff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clean := strings.Join(strings.Fields(seen(text)), " ")
		if clean == "" || len(text) > 2000 {
			return
		}
		wantMD, _ := shape(t, markdown(everywhere("x")))
		md := markdown(everywhere(text))
		got, read := shape(t, md)
		if got != wantMD {
			t.Errorf("%q changes the Markdown:\n%s", text, md)
		}
		if n := strings.Count(strings.Join(strings.Fields(read), " "), clean); n < 10 && !strings.Contains(text, "\n") {
			t.Errorf("%q stands %d times in the Markdown:\n%s\n%s", clean, n, md, read)
		}
		plainPage, err := page(everywhere("x"))
		if err != nil {
			t.Fatal(err)
		}
		wantPage, _ := nodes(t, plainPage)
		out, err := page(everywhere(text))
		if err != nil {
			t.Fatal(err)
		}
		gotPage, words := nodes(t, out)
		if gotPage != wantPage {
			t.Errorf("%q changes the page", text)
		}
		if !strings.Contains(words, seen(text)) {
			t.Errorf("%q does not stand in the page", text)
		}
		for name, b := range map[string][]byte{"Markdown": md, "HTML": out} {
			if i := bytes.IndexFunc(b, hiddenRune); i >= 0 {
				t.Errorf("%s of %q has a hidden character at byte %d", name, text, i)
			}
		}
		raw, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		seen := visible(raw)
		var was, back string
		if json.Unmarshal(raw, &was) != nil || json.Unmarshal(seen, &back) != nil || was != back {
			t.Errorf("JSON of %q becomes %q", was, back)
		}
		if i := bytes.IndexFunc(seen, hiddenRune); i >= 0 {
			t.Errorf("JSON of %q has a hidden character at byte %d", text, i)
		}
	})
}

func hiddenRune(r rune) bool {
	return r != '\n' && unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

package report

import (
	_ "embed"
	"html"
	"strconv"
	"strings"
)

//go:embed page.css
var style string

// page writes a document as one file that needs no other: no script, no picture, no
// font and no address to load from.
//
// It is written by hand and not by html/template, whose use of reflection makes the
// linker keep every method of every type: it doubled the daemon's binary. Whatever
// comes from outside passes through [inside], which escapes for text and for quoted
// attributes alike; all else is written here.
func page(d *document) ([]byte, error) {
	var p pageWriter
	title := inside(d.Title)
	if d.Rehearsal {
		title = "REHEARSAL: " + title
	}
	p.put(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
<meta name="color-scheme" content="light dark"/>
<title>`, title, "</title>\n<style>\n", style, "</style>\n</head>\n")
	if d.Rehearsal {
		p.put(`<body class="watermark">`, "\n", `<p class="rehearsal">`)
		p.spans(d.Watermark)
		p.put("</p>\n")
	} else {
		p.put("<body>\n")
	}
	p.put("<h1>", title, "</h1>")
	for i := range d.Sections {
		p.section(d.Sections[i], d.Rehearsal)
	}
	p.put("\n</body>\n</html>\n")
	return []byte(p.String()), nil
}

// inside makes text from outside fit to stand in an element or between double quotes.
func inside(s string) string { return html.EscapeString(seen(s)) }

type pageWriter struct{ strings.Builder }

func (p *pageWriter) put(parts ...string) {
	for _, s := range parts {
		p.WriteString(s)
	}
}

func (p *pageWriter) section(s *section, rehearsal bool) {
	p.put("\n<section")
	if s.Fresh {
		p.put(` class="fresh"`)
	}
	tag, mark := "h2", ""
	if s.Sub {
		tag = "h3"
	}
	if rehearsal {
		mark = "REHEARSAL: "
	}
	p.put(">\n<", tag, ">", mark, inside(s.Title), "</", tag, ">")
	for i := range s.Blocks {
		p.block(&s.Blocks[i])
	}
	p.put("\n</section>")
}

func (p *pageWriter) block(b *block) {
	switch {
	case b.Table != nil:
		p.table(b.Table)
	case b.Text != "":
		p.put("\n<pre>", html.EscapeString(strings.TrimRight(lines(b.Text), "\n")), "</pre>")
	case len(b.Bars) > 0:
		for _, bar := range b.Bars {
			p.put("\n", `<div class="budget"><code>`, inside(bar.Label), "</code> ", inside(bar.Text), `<div class="track `, inside(bar.Tone),
				`"><div style="width: `, strconv.Itoa(bar.Width()), `%"></div></div></div>`)
		}
	case len(b.Items) > 0:
		p.put("\n<ul>")
		for _, item := range b.Items {
			p.put("\n<li>")
			p.spans(item)
			p.put("</li>")
		}
		p.put("\n</ul>")
	default:
		p.put("\n<p>")
		p.spans(b.Words)
		p.put("</p>")
	}
}

func (p *pageWriter) table(t *table) {
	p.put("\n<table")
	if t.Wide() {
		p.put(` class="wide"`)
	}
	p.put(">\n<thead><tr>")
	for _, h := range t.Head {
		p.put("<th>", inside(h), "</th>")
	}
	p.put("</tr></thead>\n<tbody>")
	for _, row := range t.Rows {
		p.put("\n<tr>")
		for _, c := range row {
			p.put("<td")
			if c.Short() {
				p.put(` class="short"`)
			}
			p.put(` data-label="`, inside(c.Label), `">`)
			p.spans(c.Spans)
			p.put("</td>")
		}
		p.put("</tr>")
	}
	p.put("\n</tbody>\n</table>")
}

func (p *pageWriter) spans(spans []span) {
	for _, s := range spans {
		text := inside(s.Text)
		switch {
		case s.Code:
			p.put("<code>", text, "</code>")
		case s.Tone != "":
			p.put(`<b class="`, inside(s.Tone), `">`, text, "</b>")
		case s.Bold:
			p.put("<b>", text, "</b>")
		default:
			p.put(text)
		}
	}
}

package plan

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spark-ta/spark/core/plan/markdown"
)

var checkID = regexp.MustCompile(`^[a-z0-9]+(?:\.[a-z0-9-]+)+$`)

// task reads one item with a box: a check.
func (r *planReader) task(b *markdown.Block) {
	if r.checkpoint == nil {
		r.doc.Errorf(b.At, `this task would never be judged: it stands under no checkpoint ("## T+15m - title")`)
		return
	}
	c := &Check{Kind: Manual}
	c.Line, c.Column = r.doc.Position(b.At)
	s := &site{at: b.At, checked: b.Checked, parts: map[string]place{}}
	r.sites[c] = s
	r.words(c, s, b)
	var fence *markdown.Block
	for i := range b.Blocks {
		switch n := &b.Blocks[i]; n.Kind {
		case markdown.Comment:
			r.itemOptions(c, s, n.Options)
		case markdown.Fence:
			if fence != nil {
				r.doc.Errorf(n.At, "the item has a second fence: one item asks one question, write a second item")
				continue
			}
			fence = n
		case markdown.Prose:
			r.itemProse(c, s, n)
		case markdown.Bullet:
			c.Text = appendWords(c.Text, n)
			r.lost(n)
		case markdown.Task:
			r.doc.Errorf(n.At, "a task inside a task would never be judged: write a plain bullet or an item of its own")
		default:
			r.lost(n)
		}
	}
	if fence != nil {
		r.fence(c, s, fence)
	}
	sec := r.sectionHere()
	sec.Checks = append(sec.Checks, c)
}

// words reads an item's first paragraph: words, trailing link, id and flags.
func (r *planReader) words(c *Check, s *site, b *markdown.Block) {
	var spans []markdown.Span
	for _, sp := range b.Spans {
		if sp.Kind == markdown.Hidden {
			r.itemOptions(c, s, sp.Options)
			continue
		}
		spans = append(spans, sp)
	}
	spans = r.trailingLink(c, s, trimBlank(spans))
	first := len(spans)
	for i := len(spans) - 1; i >= 0; i-- {
		if spans[i].Kind == markdown.Code {
			first = i
		} else if !blank(spans[i]) {
			break
		}
	}
	id := first
	for id < len(spans) && (spans[id].Kind != markdown.Code || !checkID.MatchString(spans[id].Text)) {
		id++
	}
	c.Text = markdown.Plain(spans[:min(id, len(spans))])
	if id == len(spans) {
		hint := ""
		if first < len(spans) {
			hint = fmt.Sprintf("; `%s` is no id, which has a dot and lower case words", spans[first].Text)
		}
		r.doc.Errorf(b.At, "the item has no id: end its first paragraph with one such as `redis.persistence`%s", hint)
		return
	}
	c.ID = spans[id].Text
	if other := r.ids[c.ID]; other != nil {
		r.doc.Errorf(spans[id].At, "the id %s is already that of line %d: each check has its own", c.ID, other.Line)
	} else {
		r.ids[c.ID] = c
	}
	for _, sp := range spans[id+1:] {
		switch {
		case sp.Kind != markdown.Code:
		case sp.Text == "key":
			c.Key = true
		case sp.Text == "unwaivable":
			c.Unwaivable = true
		default:
			r.doc.Errorf(sp.At, "%s", markdown.Unknown("flag", sp.Text, []string{"key", "unwaivable"}))
		}
	}
	if c.Text == "" {
		r.doc.Errorf(b.At, "the item %s has no words: say what is to be true", c.ID)
	}
}

func blank(s markdown.Span) bool {
	return s.Kind == markdown.Words && strings.TrimSpace(s.Text) == ""
}

func trimBlank(spans []markdown.Span) []markdown.Span {
	for len(spans) > 0 && blank(spans[len(spans)-1]) {
		spans = spans[:len(spans)-1]
	}
	return spans
}

// trailingLink takes "-> [words](file.md)" off the end.
func (r *planReader) trailingLink(c *Check, s *site, spans []markdown.Span) []markdown.Span {
	n := len(spans)
	if n < 2 || spans[n-1].Kind != markdown.Link || spans[n-2].Kind != markdown.Words {
		return spans
	}
	before := strings.TrimRight(spans[n-2].Text, " ")
	rest, ok := strings.CutSuffix(before, "->")
	if !ok {
		if rest, ok = strings.CutSuffix(before, "→"); !ok {
			return spans
		}
	}
	r.runbook(c, s, spans[n-1])
	out := slices.Clone(spans[:n-1])
	out[n-2].Text = rest
	return trimBlank(out)
}

// arrowLink returns the link of a paragraph that is nothing but "-> [words](file.md)".
func arrowLink(spans []markdown.Span) *markdown.Span {
	spans = trimBlank(spans)
	if len(spans) != 2 || spans[0].Kind != markdown.Words || spans[1].Kind != markdown.Link {
		return nil
	}
	if w := strings.TrimSpace(spans[0].Text); w != "->" && w != "→" {
		return nil
	}
	return &spans[1]
}

// runbook keeps the path below runbooks/, wherever below it the plan lies.
func (r *planReader) runbook(c *Check, s *site, link markdown.Span) {
	dest, _, _ := strings.Cut(link.Dest, "#")
	clean := strings.TrimPrefix(path.Clean("/" + dest)[1:], "runbooks/")
	switch {
	case c.Runbook != "":
		r.doc.Errorf(link.At, "the item has a second runbook: one is offered when the check is not green")
	case strings.Contains(dest, ":") || strings.HasPrefix(dest, "/") || path.Ext(clean) != ".md":
		r.doc.Errorf(link.At, "%q is no runbook: link to a .md file by its relative path", link.Dest)
	default:
		c.Runbook = clean
		s.parts["runbook"] = place{clean, link.At}
	}
}

func (r *planReader) itemProse(c *Check, s *site, b *markdown.Block) {
	var spans []markdown.Span
	for _, sp := range b.Spans {
		if sp.Kind == markdown.Hidden {
			r.itemOptions(c, s, sp.Options)
			continue
		}
		spans = append(spans, sp)
	}
	if l := arrowLink(spans); l != nil {
		r.runbook(c, s, *l)
	}
}

// appendWords adds a bullet of the item to its words.
func appendWords(text string, b *markdown.Block) string {
	words := markdown.Plain(b.Spans)
	switch {
	case words == "":
	case text == "":
		text = words
	case strings.HasSuffix(text, ":"):
		text += " " + words
	default:
		text += "; " + words
	}
	for i := range b.Blocks {
		if b.Blocks[i].Kind == markdown.Bullet {
			text = appendWords(text, &b.Blocks[i])
		}
	}
	return text
}

// itemOptions reads <!-- hc … --> of an item.
func (r *planReader) itemOptions(c *Check, s *site, options []markdown.Option) {
	for _, o := range options {
		if _, twice := s.parts[o.Key]; twice {
			r.doc.Errorf(o.At, "%s is stated twice", o.Key)
		}
		s.parts[o.Key] = place{o.Value, o.From}
	}
	proposal := &Proposal{}
	values := map[string]markdown.Setter{
		"role": func(v string) error {
			if !slug.MatchString(v) {
				return fmt.Errorf("%q has to be lower case words joined by dashes", v)
			}
			c.Role = v
			r.roles = append(r.roles, place{v, s.parts["role"].at})
			return nil
		},
		"evidence": func(v string) error {
			if v != "note" {
				return fmt.Errorf("%q is unknown: there is note", v)
			}
			c.Evidence = v
			return nil
		},
		"due": positive(&c.Due),
		"incident": func(v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > 3 {
				return fmt.Errorf("%q is no level: 1, 2 or 3", v)
			}
			c.Incident = n
			return nil
		},
		"decide": text(&proposal.Parameter),
		"from":   text(&proposal.From),
		"to":     text(&proposal.To),
		"why":    text(&proposal.Why),
		"graph":  text(&c.Source.Graph),
	}
	for _, profile := range Profiles() {
		values["na-"+profile] = func(v string) error {
			if c.NotIn == nil {
				c.NotIn = map[string]string{}
			}
			c.NotIn[profile] = v
			if strings.TrimSpace(v) == "" {
				return fmt.Errorf("a reason is missing")
			}
			return nil
		}
	}
	r.doc.Apply(options, values, nil)
	switch {
	case *proposal == (Proposal{}):
	case proposal.Parameter == "":
		r.doc.Errorf(options[0].At, "from, to and why belong to a proposal: decide=PARAMETER is missing")
	case proposal.To == "" || proposal.Why == "":
		r.doc.Errorf(s.parts["decide"].at, `a proposal says what to do and why: to=… and why="…"`)
		c.Decide = proposal
	default:
		c.Decide = proposal
	}
}

// text sets a text.
func text(to *string) markdown.Setter {
	return func(v string) error {
		*to = v
		return nil
	}
}

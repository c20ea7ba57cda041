package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/plan/markdown"
)

// Error is one thing that is wrong in a plan, with its place.
type Error = markdown.Error

// Errors are all things that are wrong in a plan.
type Errors = markdown.Errors

// Parse reads a plan. It is strict: what it does not know is an error with the word
// that was probably meant, and a task that would never be judged is an error too.
// The error is [Errors] with everything that was found; the plan is then nil.
// It never panics and takes a time that is linear in the text.
func Parse(file string, text []byte) (*Plan, error) {
	r := read(file, text)
	if err := r.doc.Err(); err != nil {
		return nil, err
	}
	return r.plan, nil
}

// planReader is a plan while it is read. It keeps the places of everything, which
// the lint needs and a plan does not.
type planReader struct {
	doc        *markdown.Document
	plan       *Plan
	checkpoint *Checkpoint // that is being read, nil between them
	section    *Section
	titled     bool
	ids        map[string]*Check
	sites      map[*Check]*site
	roles      []place // of the front matter, of checkpoints and of items
	params     map[string]int
	blind      bool // the front matter could not be read: parameters are not known
}

// site holds where the parts of a check stand.
type site struct {
	at      int
	checked bool
	fence   int
	query   []markdown.Line
	parts   map[string]place // by the word of the option or comment line
}

// place is a text and where it stands.
type place struct {
	text string
	at   int
}

func read(file string, text []byte) *planReader {
	r := &planReader{
		doc: markdown.Read(file, text), ids: map[string]*Check{}, sites: map[*Check]*site{}, params: map[string]int{},
		plan: &Plan{Params: map[string]Value{}},
	}
	r.plan.Text = r.doc.Text
	if r.doc.Err() != nil && len(r.doc.Blocks) == 0 {
		return r
	}
	r.front()
	for i := range r.doc.Blocks {
		r.block(&r.doc.Blocks[i])
	}
	if !r.titled {
		r.doc.Errorf(0, `the plan has no title: write "# Title" behind the front matter`)
	}
	if len(r.plan.Checkpoints) == 0 {
		r.doc.Errorf(0, `the plan has no checkpoint: write "## T+15m - title"`)
	}
	if r.doc.Err() == nil {
		r.plan.digest()
	}
	return r
}

// frontMatter is the front matter as YAML has it.
type frontMatter struct {
	Kind    markdown.Scalar            `yaml:"kind"`
	ID      markdown.Scalar            `yaml:"id"`
	Schema  markdown.Scalar            `yaml:"schema"`
	Service markdown.Scalar            `yaml:"service"`
	Params  map[string]markdown.Scalar `yaml:"params"`
	SignOff []markdown.Scalar          `yaml:"signoff"`
	Exit    struct {
		OpenWaivers markdown.Scalar `yaml:"open_waivers"`
		UserIssues  markdown.Scalar `yaml:"user_issues"`
	} `yaml:"exit"`
}

// Kinds of plans.
const (
	KindHypercare = "hypercare-plan"
	KindGoLive    = "go-live-plan"
)

var (
	slug      = regexp.MustCompile(`^[a-z0-9]+(?:-[a-z0-9]+)*$`)
	paramName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// front reads the front matter. Limits that are not stated are the defaults of the
// exit: two waivers, fewer than two issues of users.
func (r *planReader) front() {
	var f frontMatter
	before := r.doc.Err()
	r.doc.DecodeFront(&f)
	if before == nil && r.doc.Err() != nil {
		r.blind = true // what is missing may be what could not be read
		return
	}
	p := r.plan
	p.Kind = r.need("kind", f.Kind)
	if p.Kind != "" && p.Kind != KindHypercare && p.Kind != KindGoLive {
		r.doc.Errorf(r.doc.At(f.Kind), "%s", markdown.Unknown("kind", p.Kind, []string{KindHypercare, KindGoLive}))
	}
	if p.ID = r.need("id", f.ID); p.ID != "" && !slug.MatchString(p.ID) {
		r.doc.Errorf(r.doc.At(f.ID), "the id %q has to be lower case words joined by dashes", p.ID)
	}
	if s := r.need("schema", f.Schema); s != "" && s != "1" {
		r.doc.Errorf(r.doc.At(f.Schema), "schema %s is unknown: this program reads 1", s)
	}
	p.Schema, p.Service = 1, r.need("service", f.Service)
	p.Exit = Exit{r.count("open_waivers", f.Exit.OpenWaivers), r.count("user_issues", f.Exit.UserIssues)}
	for _, name := range sortedKeys(f.Params) {
		r.param(name, f.Params[name])
	}
	for _, s := range f.SignOff {
		p.SignOff = r.addRole(p.SignOff, s.Text, r.doc.At(s))
	}
	if len(p.SignOff) == 0 {
		r.doc.Errorf(0, "nobody signs the exit: write signoff: [operations-lead, development-lead]")
	}
}

// need returns a value that has to be stated.
func (r *planReader) need(key string, s markdown.Scalar) string {
	if s.Text == "" {
		r.doc.Errorf(0, "%s: is missing in the front matter", key)
	}
	return s.Text
}

func (r *planReader) count(key string, s markdown.Scalar) int {
	if s.Text == "" {
		return 2
	}
	n, err := strconv.Atoi(s.Text)
	if err != nil || n < 0 || n > 1000 {
		r.doc.Errorf(r.doc.At(s), "%s has to be a whole number from 0 to 1000, not %q", key, s.Text)
	}
	return n
}

func (r *planReader) param(name string, s markdown.Scalar) {
	at := r.doc.At(s)
	r.params[name] = at
	if !paramName.MatchString(name) || name == "window" {
		r.doc.Errorf(at, "%q cannot be a parameter's name: lower case words joined by _, and not window", name)
	}
	v, err := ParseValue(s.Text)
	switch {
	case err == nil:
	case s.Quoted:
		v = Text(s.Text)
	default:
		r.doc.Errorf(at, "%v; a text stands in quotes", err)
	}
	r.plan.Params[name] = v
}

// addRole adds a role to a list of those who sign.
func (r *planReader) addRole(roles []string, role string, at int) []string {
	switch {
	case !slug.MatchString(role):
		r.doc.Errorf(at, "the role %q has to be lower case words joined by dashes, such as operations-lead", role)
	case slices.Contains(roles, role):
		r.doc.Errorf(at, "the role %s is named twice", role)
	}
	r.roles = append(r.roles, place{role, at})
	return append(roles, role)
}

// block reads a block at the top of the document.
func (r *planReader) block(b *markdown.Block) {
	switch b.Kind {
	case markdown.Heading:
		r.heading(b)
	case markdown.Task:
		r.task(b)
	case markdown.Fence:
		r.topFence(b)
	case markdown.Comment:
		r.checkpointOptions(b.Options, b.At)
	case markdown.Prose:
		r.prose(b)
	default:
		r.lost(b)
	}
}

func (r *planReader) heading(b *markdown.Block) {
	title := markdown.Plain(b.Spans)
	switch b.Level {
	case 1:
		if r.titled {
			r.doc.Errorf(b.At, "the plan has a second title: use ## for what belongs to it")
		}
		r.titled, r.plan.Title = true, title
	case 2:
		r.checkpoint, r.section = nil, nil
		if strings.HasPrefix(title, "T+") || strings.HasPrefix(title, "t+") {
			r.newCheckpoint(b, title)
		}
	case 3:
		if r.checkpoint != nil {
			r.section = &Section{Title: title}
			r.checkpoint.Sections = append(r.checkpoint.Sections, r.section)
		}
	}
	for _, s := range b.Spans {
		if s.Kind == markdown.Hidden {
			if b.Level != 2 {
				r.doc.Errorf(s.At, "options belong under the heading of a checkpoint or into an item")
				continue
			}
			r.checkpointOptions(s.Options, s.At)
		}
	}
}

// offsetWords reads what follows "T+": 0, 15m, 15 Minutes.
var offsetWords = regexp.MustCompile(`^[Tt]\+(?:(0)|([0-9][0-9a-z.]*[a-z])|([0-9]+) +(?i:(minute|hour|day)s?))(?:$|[^0-9A-Za-z.].*$)`)

func (r *planReader) newCheckpoint(b *markdown.Block, title string) {
	c := &Checkpoint{}
	c.Line, _ = r.doc.Position(b.At)
	r.checkpoint = c
	m := offsetWords.FindStringSubmatchIndex(title)
	var err error
	switch {
	case m == nil:
		err = fmt.Errorf("no offset")
	case m[4] >= 0:
		c.Offset, err = ParseDuration(title[m[4]:m[5]])
	case m[6] >= 0:
		c.Offset, err = ParseDuration(title[m[6]:m[7]] + strings.ToLower(title[m[8]:m[8]+1]))
	}
	if err != nil {
		r.doc.Errorf(b.At, `%q is no checkpoint: write "## T+0", "## T+15m - title" or "## T+15 Minutes"`, title)
		return
	}
	rest := title[max(m[3], m[5], 0):]
	if m[8] >= 0 {
		rest = strings.TrimLeft(title[m[9]:], "sS")
	}
	rest = strings.Trim(rest, " -–—:")
	if strings.HasPrefix(rest, "(") && strings.HasSuffix(rest, ")") && strings.Count(rest, "(") == 1 {
		rest = rest[1 : len(rest)-1]
	}
	c.ID, c.Title = "T+"+FormatDuration(c.Offset), rest
	c.Window, c.Grace = 10*time.Minute, 5*time.Minute
	if c.Offset == 0 {
		c.ID = "T+0"
	}
	if c.Offset > time.Hour {
		c.Window, c.Grace = 30*time.Minute, 30*time.Minute
	}
	if n := len(r.plan.Checkpoints); n > 0 && r.plan.Checkpoints[n-1].Offset >= c.Offset {
		r.doc.Errorf(b.At, "%s follows %s: checkpoints stand in the order of their times", c.ID, r.plan.Checkpoints[n-1].ID)
	}
	r.plan.Checkpoints = append(r.plan.Checkpoints, c)
}

func (r *planReader) checkpointOptions(options []markdown.Option, at int) {
	c := r.checkpoint
	if c == nil || len(c.Sections) > 0 {
		r.doc.Errorf(at, "these options belong to nothing: put them directly under the heading of a checkpoint, or indent them by two to belong to the item above")
		return
	}
	r.doc.Apply(options, map[string]markdown.Setter{
		"window": positive(&c.Window),
		"grace":  positive(&c.Grace),
		"signoff": func(v string) error {
			for role := range strings.SplitSeq(v, ",") {
				c.SignOff = r.addRole(c.SignOff, strings.TrimSpace(role), at)
			}
			return nil
		},
	}, nil)
}

// positive sets a duration above zero.
func positive(d *time.Duration) markdown.Setter {
	return func(v string) error {
		n, err := ParseDuration(v)
		if err == nil && n <= 0 {
			err = fmt.Errorf("%s has to be above zero", v)
		}
		*d = n
		return err
	}
}

var shells = []string{"bash", "sh", "shell", "console"}

// topFence reads a fence outside of items: commands to copy.
func (r *planReader) topFence(b *markdown.Block) {
	switch {
	case slices.Contains(Sources(), b.Language):
		r.doc.Errorf(b.At, "this %s fence belongs to no item: indent it by two under its task", b.Language)
	case r.checkpoint != nil && slices.Contains(shells, b.Language):
		s := r.sectionHere()
		s.Commands = append(s.Commands, b.Body())
	}
}

// sectionHere returns the present section; what stands before the first heading has
// one without a title.
func (r *planReader) sectionHere() *Section {
	if r.section == nil {
		r.section = &Section{}
		r.checkpoint.Sections = append(r.checkpoint.Sections, r.section)
	}
	return r.section
}

// prose is for people, unless it was meant for the machine.
func (r *planReader) prose(b *markdown.Block) {
	for _, s := range b.Spans {
		if s.Kind == markdown.Hidden {
			r.doc.Errorf(s.At, "these options belong to nothing: put them under a heading of a checkpoint or into an item")
		}
	}
	if l := arrowLink(b.Spans); l != nil && r.checkpoint != nil {
		r.doc.Errorf(b.At, "this link to %s belongs to no item: indent it by two under its task", l.Dest)
	}
}

// lost finds what is hidden in lists, quotations and HTML where no one looks for it.
func (r *planReader) lost(b *markdown.Block) {
	for i := range b.Blocks {
		c := &b.Blocks[i]
		switch {
		case c.Kind == markdown.Task:
			r.doc.Errorf(c.At, "this task would never be judged: put it at the top level of a checkpoint")
		case c.Kind == markdown.Comment:
			r.doc.Errorf(c.At, "these options belong to nothing: put them into a task")
		case c.Kind == markdown.Fence && slices.Contains(Sources(), c.Language):
			r.doc.Errorf(c.At, "this %s fence belongs to no task: indent it by two under its task", c.Language)
		default:
			r.lost(c)
		}
	}
}

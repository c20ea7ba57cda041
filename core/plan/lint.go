package plan

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/plan/markdown"
)

// Severity says how bad a fault is.
type Severity uint8

// The severities.
const (
	Warning Severity = iota // worth a thought
	Mistake                 // written "error": the plan cannot be believed
)

// String returns the severity as a word.
func (s Severity) String() string { return [...]string{"warning", "error"}[s] }

// Fault is one remark of the lint. Code is a word of a closed set, for counting and
// for tests.
type Fault struct {
	Line     int
	Column   int // in characters, from 1
	Severity Severity
	Code     string
	Text     string
}

// LintOptions hold what only the daemon knows. A function that is nil leaves its
// question unasked.
type LintOptions struct {
	Metrics     func(name string) bool                                   // the metric exists
	Syntax      func(expr string) (metrics []string, pos int, err error) // reads PromQL; pos is the byte of an error, below 0 unknown
	Newer       func(expr string) bool                                   // needs a newer Prometheus than a remote one may be
	Remote      bool                                                     // PromQL is asked of a remote server
	Runbooks    func(path string) bool                                   // the file exists below runbooks/
	Commands    func(name string) bool                                   // configuration permits the command
	Environment func(name string) bool                                   // the variable exists
	Probe       func(language, query string) error                       // reads a query that is not PromQL
	Seen        func(id string) (failed, unknown bool)                   // by any scenario
}

// LintFile parses and lints. Errors of the parser come as faults with the code
// "parse", and then nothing else is looked for.
func LintFile(file string, text []byte, o LintOptions) (*Plan, []Fault) {
	p, err := Parse(file, text)
	if err == nil {
		return p, Lint(p, o)
	}
	var out []Fault
	if errs := (Errors)(nil); errors.As(err, &errs) {
		for _, e := range errs {
			out = append(out, Fault{e.Line, e.Column, Mistake, "parse", e.Text})
		}
	}
	return nil, out
}

// Lint finds what a plan that can be parsed has wrong, in the order of its lines.
func Lint(p *Plan, o LintOptions) []Fault {
	l := linter{r: read("", []byte(p.Text)), p: p, o: o, used: map[string]bool{}}
	for _, c := range p.Checkpoints {
		l.checkpoint(c)
	}
	l.parameters()
	l.roles()
	slices.SortStableFunc(l.out, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(b.Severity, a.Severity))
	})
	return slices.Compact(l.out)
}

// linter reads the plan's text again for the places of its parts, which a plan does
// not carry.
type linter struct {
	r    *planReader
	p    *Plan
	o    LintOptions
	used map[string]bool // parameters
	out  []Fault

	// Of the check at hand.
	c *Check
	s *site
}

func (l *linter) add(at int, severity Severity, code, format string, args ...any) {
	line, column := l.r.doc.Position(at)
	l.out = append(l.out, Fault{line, column, severity, code, fmt.Sprintf(format, args...)})
}

// maxManual items of a checkpoint are what a person does with care in its window.
const maxManual = 9

func (l *linter) checkpoint(c *Checkpoint) {
	at := l.r.doc.Offset(c.Line, 1)
	manual := 0
	for _, k := range c.Checks() {
		if k.Kind == Manual {
			manual++
		}
		l.check(c, k)
	}
	switch {
	case len(c.Checks()) == 0:
		l.add(at, Warning, "no-checks", "%s has no checks: it closes by itself", c.ID)
	case manual > maxManual:
		l.add(at, Warning, "many-manual", "%s has %d manual items, more than %d are ticked without reading: move some or let the machine look", c.ID, manual, maxManual)
	}
}

func (l *linter) check(c *Checkpoint, k *Check) {
	l.c, l.s = k, l.r.sites[l.r.ids[k.ID]]
	if l.s == nil {
		l.s = &site{at: l.r.doc.Offset(k.Line, k.Column)}
	}
	if l.s.checked {
		l.add(l.s.at, Warning, "ticked", "the box of %s is ticked: verdicts stand in the journal, a plan has empty boxes", k.ID)
	}
	l.runbook()
	l.proposal()
	if k.Kind == Manual {
		return
	}
	l.coverage()
	l.promql()
	l.units()
	l.evidence()
	l.times(c)
	if l.o.Commands != nil && k.Source.Run != "" && !l.o.Commands(k.Source.Run) {
		l.add(l.s.parts["run"].at, Mistake, "unknown-command", "configuration names no command %s: add it there or remove this line", k.Source.Run)
	}
	if l.o.Probe != nil && !isPromQL(k.Source.Language) && k.Source.Language != SourceRun && k.Source.Language != SourceCommand {
		if err := l.o.Probe(k.Source.Language, k.Source.Query); err != nil {
			l.add(l.at(0), Mistake, "query", "%v", err)
		}
	}
}

func isPromQL(language string) bool {
	return language == SourcePromQL || language == SourceSLO || language == SourceTrend
}

func (l *linter) runbook() {
	switch {
	case l.c.Runbook != "":
		if l.o.Runbooks != nil && !l.o.Runbooks(l.c.Runbook) {
			l.add(l.s.parts["runbook"].at, Mistake, "unknown-runbook", "there is no runbook %s", l.c.Runbook)
		}
	case l.c.Key && l.c.Kind != Manual:
		l.add(l.s.at, Mistake, "no-runbook", "the key check %s has no runbook: add -> [what to do](file.md) for whoever is woken by it", l.c.ID)
	}
}

var variable = regexp.MustCompile(`^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$`)

func (l *linter) proposal() {
	d := l.c.Decide
	if d == nil {
		return
	}
	at := l.s.parts["decide"].at
	if l.o.Environment != nil && variable.MatchString(d.Parameter) && !l.o.Environment(d.Parameter) {
		l.add(at, Mistake, "unknown-variable", "there is no variable %s", d.Parameter)
	}
	if d.From == d.To {
		l.add(at, Mistake, "no-change", "the proposal changes %s from %s to the same", d.Parameter, d.From)
	}
}

// coverage wants a scenario that made the check fail and one that made it unknown:
// a check that was never seen failing may not be able to. What the run knows of
// itself is never unknown.
func (l *linter) coverage() {
	if l.o.Seen == nil || l.c.Kind != Auto {
		return
	}
	failed, unknown := l.o.Seen(l.c.ID)
	severity := Warning
	if l.c.Key {
		severity = Mistake
	}
	if !failed {
		l.add(l.s.at, severity, "never-failed", "no scenario made %s fail: write one that does", l.c.ID)
	}
	if !unknown && l.c.Source.Language != SourceRun {
		l.add(l.s.at, severity, "never-unknown", "no scenario made %s unknown: write one that does", l.c.ID)
	}
}

// evidence finds checks that may pass on too little.
func (l *linter) evidence() {
	src := &l.c.Source
	switch {
	case src.Language == SourcePromQL && src.MinEvents > 0 && src.Events == "":
		l.add(l.fencePart("min-events", "unknown-if"), Mistake, "no-events", "nothing counts the events of %s, so that it is always unknown: add # events: PROMQL", l.c.ID)
	case src.Events != "" && src.MinEvents == 0:
		l.add(l.fencePart("events"), Warning, "no-min-events", "the events of %s are counted, but no least number is stated: add min-events=20", l.c.ID)
	case src.Language == SourceSLO && src.MinEvents == 0 && countsEvents(src.Total), l.c.Mode == Window && src.Language == SourcePromQL && src.MinEvents == 0 && isRate(src.Query):
		l.add(l.s.fence, Warning, "no-min-events", "%s is a rate without a least number of events: one event would decide; add min-events=20", l.c.ID)
	}
	if src.Empty == Pass && l.c.Key {
		l.add(l.fencePart("empty"), Warning, "empty-pass", "the key check %s passes when nothing answers", l.c.ID)
	}
}

// fencePart returns where the first of the parts stands that is there.
func (l *linter) fencePart(words ...string) int {
	for _, w := range words {
		if p, ok := l.s.parts[w]; ok {
			return p.at
		}
	}
	return l.s.fence
}

func (l *linter) times(c *Checkpoint) {
	src := &l.c.Source
	every, settle := src.Every, src.Settle
	if every == 0 {
		every = DefaultEvery
	}
	if settle == 0 {
		settle = 3
	}
	if need := time.Duration(settle-1) * every; l.c.Mode == Point && need >= c.Window {
		l.add(l.fencePart("settle", "every"), Mistake, "never-settles", "%d samples every %s take longer than the window of %s", settle, FormatDuration(every), FormatDuration(c.Window))
	}
	if l.c.Mode == Window && src.Window > c.Offset && c.Offset > 0 && src.Language != SourceLog {
		l.add(l.fencePart("window"), Warning, "long-window", "the window of %s reaches before T0, %s is judged over %s", FormatDuration(src.Window), l.c.ID, FormatDuration(c.Offset))
	}
}

// parameters finds those that nothing uses. What is not defined was found on the way.
func (l *linter) parameters() {
	for _, s := range l.r.sites {
		for _, p := range s.parts {
			for _, m := range parameterName.FindAllStringSubmatch(p.text, -1) {
				l.used[m[1]] = true
			}
		}
	}
	for _, c := range l.p.Checks() {
		for _, name := range append(l.p.parametersOf(c), c.Source.Each) {
			l.used[name] = true
		}
	}
	for _, name := range sortedKeys(l.p.Params) {
		if !l.used[name] {
			l.add(l.r.params[name], Warning, "unused-parameter", "nothing uses the parameter %s", name)
		}
	}
}

// roles finds roles that are probably misspelt, and signatories whom nothing asks
// before the exit.
func (l *linter) roles() {
	count := map[string]int{}
	first := map[string]int{}
	for _, p := range l.r.roles {
		if count[p.text]++; count[p.text] == 1 {
			first[p.text] = p.at
		}
	}
	for _, role := range slices.Sorted(maps.Keys(count)) {
		if slices.Contains(l.p.SignOff, role) {
			if count[role] == 1 {
				l.add(first[role], Warning, "idle-role", "%s signs the exit, but no item and no checkpoint asks for that role before", role)
			}
			continue
		}
		if near := markdown.Suggest(role, l.p.SignOff); near != "" {
			l.add(first[role], Warning, "unknown-role", "the role %s does not sign: did you mean %s?", role, near)
		}
	}
}

// at returns the place of a byte of the query.
func (l *linter) at(offset int) int {
	for i, line := range l.s.query {
		n := len(strings.TrimRight(line.Text, " \t")) // as in the query
		if offset <= n || i == len(l.s.query)-1 {
			return line.At + min(offset, n)
		}
		offset -= n + 1
	}
	return l.s.fence
}

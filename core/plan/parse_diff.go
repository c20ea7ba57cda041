package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Diff compares two plans by the digests of their checks: ids in the order of the
// plan they stand in, and what changed as text in the manner of a unified diff. A
// check whose words, link or graph changed is in the text but not in changed: its
// verdict stays. The texts of people are not compared.
func Diff(before, after *Plan) (added, removed, changed []string, text string) {
	d := differ{}
	d.section("the plan", planLines(before), planLines(after))
	old := index(before)
	for _, c := range after.Checkpoints {
		for _, k := range c.Checks() {
			was, ok := old[k.ID]
			switch {
			case !ok:
				added = append(added, k.ID)
				d.section(k.ID, nil, after.lines(c, k))
				continue
			case was.check.Digest != k.Digest:
				changed = append(changed, k.ID)
			}
			d.section(k.ID, before.lines(was.at, was.check), after.lines(c, k))
		}
	}
	fresh := index(after)
	for _, k := range before.Checks() {
		if _, ok := fresh[k.ID]; !ok {
			removed = append(removed, k.ID)
			d.section(k.ID, before.lines(old[k.ID].at, k), nil)
		}
	}
	return added, removed, changed, d.out.String()
}

type placed struct {
	at    *Checkpoint
	check *Check
}

func index(p *Plan) map[string]placed {
	out := map[string]placed{}
	for _, c := range p.Checkpoints {
		for _, k := range c.Checks() {
			out[k.ID] = placed{c, k}
		}
	}
	return out
}

type differ struct{ out strings.Builder }

// section writes the lines that only one side has, under the name of what they are
// about. Lines are "name: value", and a name's old value stands before its new one.
func (d *differ) section(name string, before, after []string) {
	if slices.Equal(before, after) {
		return
	}
	fmt.Fprintf(&d.out, "@@ %s @@\n", name)
	i, j := 0, 0
	for i < len(before) || j < len(after) {
		switch {
		case i < len(before) && j < len(after) && before[i] == after[j]:
			i, j = i+1, j+1
		case i < len(before) && !slices.Contains(after[j:], before[i]):
			fmt.Fprintf(&d.out, "- %s\n", before[i])
			i++
		case j < len(after):
			fmt.Fprintf(&d.out, "+ %s\n", after[j])
			j++
		default:
			fmt.Fprintf(&d.out, "- %s\n", before[i])
			i++
		}
	}
}

// planLines describes what does not belong to a check.
func planLines(p *Plan) []string {
	l := lines{}
	l.add("kind", p.Kind)
	l.add("title", p.Title)
	l.add("service", p.Service)
	l.add("sign-off", strings.Join(p.SignOff, ", "))
	l.add("exit", fmt.Sprintf("at most %d open waivers, fewer than %d issues of users", p.Exit.OpenWaivers, p.Exit.UserIssues))
	for _, name := range sortedKeys(p.Params) {
		l.add("$"+name, p.Params[name].String())
	}
	for _, c := range p.Checkpoints {
		l.add(c.ID, fmt.Sprintf("%s (window %s, grace %s)", c.Title, FormatDuration(c.Window), FormatDuration(c.Grace)))
		l.add(c.ID+" sign-off", strings.Join(c.SignOff, ", "))
		for _, s := range c.Sections {
			for _, cmd := range s.Commands {
				l.add(c.ID+" commands", cmd)
			}
		}
	}
	return l
}

type lines []string

// add adds a value, each further line of it indented; nothing for an empty one.
func (l *lines) add(name, value string) {
	if value = strings.TrimSpace(value); value == "" {
		return
	}
	for i, s := range strings.Split(value, "\n") {
		if i == 0 {
			*l = append(*l, name+": "+s)
		} else {
			*l = append(*l, "    "+s)
		}
	}
}

func (l *lines) duration(name string, d time.Duration) {
	if d > 0 {
		l.add(name, FormatDuration(d))
	}
}

func (l *lines) condition(name string, e *Expect) {
	if e != nil {
		l.add(name, e.Text)
	}
}

func (l *lines) flag(name string, set bool) {
	if set {
		l.add(name, "yes")
	}
}

// lines describes a check as a person reads it.
func (p *Plan) lines(c *Checkpoint, k *Check) []string {
	l, s := lines{}, &k.Source
	l.add("at", c.ID)
	l.add("words", k.Text)
	l.flag("key", k.Key)
	l.flag("unwaivable", k.Unwaivable)
	l.add("kind", k.Kind.String())
	l.add("source", s.Language)
	if k.Kind == Auto {
		l.add("mode", k.Mode.String())
	}
	l.add("query", s.Query)
	l.add("good", s.Good)
	l.add("total", s.Total)
	l.condition("expect", s.Expect)
	l.condition("fail-if", s.FailIf)
	l.condition("warn-if", s.WarnIf)
	for _, f := range s.FailAfter {
		l.add("fail-after", strings.TrimSpace(FormatDuration(f.For)+" "+patienceWords(f)))
	}
	if s.Target > 0 {
		l.add("target", FormatNumber(s.Target, UnitShare))
	}
	l.flag("burn", s.Burn)
	if s.Limit > 0 {
		l.add("limit", FormatNumber(s.Limit, ""))
	}
	l.add("by", s.By)
	l.duration("horizon", s.Horizon)
	l.duration("window", s.Window)
	l.duration("every", s.Every)
	l.duration("unknown without data for", s.UnknownAfter)
	l.numbers(s)
	l.add("events", s.Events)
	l.add("baseline", s.Baseline)
	l.flag("empty is a pass", s.Empty == Pass)
	l.add("each", s.Each)
	l.add("run", s.Run)
	l.add("show", strings.TrimSpace(s.Show+" "+s.ShowUnit))
	l.add("graph", s.Graph)
	l.people(k)
	for _, name := range p.parametersOf(k) {
		if v, ok := p.Params[name]; ok {
			l.add("$"+name, v.String())
		}
	}
	return l
}

func patienceWords(f Patience) string {
	if f.Op == "" {
		return ""
	}
	return f.Op + " " + FormatNumber(f.Value, "")
}

func (l *lines) numbers(s *Source) {
	if s.Settle > 0 {
		l.add("settle", fmt.Sprint(s.Settle))
	}
	if s.MinEvents > 0 {
		l.add("least events", FormatNumber(s.MinEvents, ""))
	}
	if s.MinCoverage > 0 {
		l.add("least coverage", FormatNumber(s.MinCoverage, UnitShare))
	}
}

func (l *lines) people(k *Check) {
	l.add("role", k.Role)
	l.add("evidence", k.Evidence)
	l.duration("due", k.Due)
	l.add("runbook", k.Runbook)
	if k.Incident > 0 {
		l.add("incident", fmt.Sprintf("level %d", k.Incident))
	}
	if d := k.Decide; d != nil {
		l.add("proposes", fmt.Sprintf("%s from %q to %q: %s", d.Parameter, d.From, d.To, d.Why))
	}
	for _, profile := range sortedKeys(k.NotIn) {
		l.add("not in "+profile, k.NotIn[profile])
	}
}

package rehearse

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/markdown"
	"github.com/spark-ta/spark/daemon/observe/sample"
)

// Every is the time between scrapes in a rehearsal.
const Every = 15 * time.Second

// Scenario is a world with its faults, its people and what is expected of the judge.
type Scenario struct {
	File      string
	ID        string
	Title     string
	Plan      string // id of a plan; hypercare by default
	Profile   string
	Version   string
	Seed      uint64
	Lead      time.Duration // of the world before T0
	Until     time.Duration // after T0, at most
	Instances []Instance

	series []seriesText
	faults []fault
	people []scripted
	expect []expectation
}

// Begin is when the world begins, before T0.
func (s *Scenario) Begin() time.Time { return Epoch.Add(-s.Lead) }

// Instance is a process of the simulated fleet.
type Instance struct {
	Name string
	Role string // as its label says: executor, or several joined by commas
}

// seriesText is one line of a series fence.
type seriesText struct {
	name     string
	matchers []*labels.Matcher
	values   []segment
	at       time.Duration // since T0
	timed    bool          // false: from the world's beginning on
	add      bool
	saw      float64
	period   time.Duration
	noise    float64
}

// labels are those of a new series: every matcher must be an equality.
func (x seriesText) labels() (labels.Labels, error) {
	pairs := []string{sample.NameLabel, x.name}
	for _, m := range x.matchers {
		if m.Type != labels.MatchEqual {
			return labels.EmptyLabels(), fmt.Errorf("%s matches no series of the world", cmp.Or(x.name, m.String()))
		}
		if m.Name != sample.NameLabel {
			pairs = append(pairs, m.Name, m.Value)
		}
	}
	return labels.FromStrings(pairs...), nil
}

type faultKind uint8

const (
	faultDown faultKind = iota
	faultAway           // of the observer itself
	faultClock
)

// fault is something that happens to the world.
type fault struct {
	kind     faultKind
	instance string // "" for all
	from, to time.Duration
	restart  bool // its counters begin anew afterwards
	renamed  bool // and it is another instance then
	step     time.Duration
}

// down reports whether an instance cannot be scraped.
func (s *Scenario) down(instance string, since time.Duration) bool {
	return slices.ContainsFunc(s.faults, func(f fault) bool {
		return f.kind == faultDown && (f.instance == "" || f.instance == instance) && f.from <= since && since < f.to
	})
}

// restarted reports whether an instance begins anew at this tick, and whether under
// another name.
func (s *Scenario) restarted(instance string, since time.Duration) (anew, renamed bool) {
	for _, f := range s.faults {
		if f.restart && f.instance == instance && f.to <= since && since < f.to+Every {
			anew, renamed = true, renamed || f.renamed
		}
	}
	return anew, renamed
}

// away reports whether the observer does not look at this time.
func (s *Scenario) away(since time.Duration) bool {
	return slices.ContainsFunc(s.faults, func(f fault) bool { return f.kind == faultAway && f.from <= since && since < f.to })
}

// back reports whether the observer comes back at this tick, and since when it was
// away.
func (s *Scenario) back(since time.Duration) (time.Duration, bool) {
	for _, f := range s.faults {
		if f.kind == faultAway && f.to <= since && since < f.to+Every {
			return f.from, true
		}
	}
	return 0, false
}

// front is the front matter of a scenario.
type front struct {
	Kind      string            `yaml:"kind"`
	ID        string            `yaml:"id"`
	Extends   string            `yaml:"extends"`
	Plan      string            `yaml:"plan"`
	Profile   string            `yaml:"profile"`
	Version   string            `yaml:"version"`
	Seed      uint64            `yaml:"seed"`
	Lead      string            `yaml:"lead"`
	Until     string            `yaml:"until"`
	Instances map[string]string `yaml:"instances"`
	Order     []string          `yaml:"order"` // of the instances; by name otherwise
}

// Parse reads a scenario. load gives the text of the one that it extends.
func Parse(file string, text []byte, load func(id string) (string, []byte, error)) (*Scenario, error) {
	return parseScenario(file, text, load, 0)
}

func parseScenario(file string, text []byte, load func(string) (string, []byte, error), depth int) (*Scenario, error) {
	d := markdown.Read(file, text)
	var f front
	d.DecodeFront(&f)
	if f.Kind != "scenario" {
		d.Errorf(0, "kind: scenario is meant in the front matter, not %q", f.Kind)
	}
	s := &Scenario{Plan: "hypercare", Profile: "compose", Version: "v1.0.0", Lead: 30 * time.Minute, Until: 50 * time.Hour}
	if f.Extends != "" && depth < 5 {
		base, baseText, err := load(f.Extends)
		if err == nil {
			s, err = parseScenario(base, baseText, load, depth+1)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: extends %s: %w", file, f.Extends, err)
		}
		s.expect = nil // what is expected is said anew; people and world are taken on
	}
	s.File, s.ID = file, f.ID
	s.settings(d, f)
	r := reader{d: d, s: s}
	for i := range d.Blocks {
		r.block(&d.Blocks[i])
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Scenario) settings(d *markdown.Document, f front) {
	set := func(into *string, v string) {
		if v != "" {
			*into = v
		}
	}
	set(&s.Plan, f.Plan)
	set(&s.Profile, f.Profile)
	set(&s.Version, f.Version)
	if f.Seed != 0 {
		s.Seed = f.Seed
	}
	for _, t := range []struct {
		text string
		into *time.Duration
	}{{f.Lead, &s.Lead}, {f.Until, &s.Until}} {
		if t.text == "" {
			continue
		}
		v, err := plan.ParseDuration(t.text)
		if err != nil {
			d.Errorf(0, "%v", err)
		}
		*t.into = v.Truncate(Every)
	}
	if len(f.Instances) > 0 {
		s.Instances = nil
		for name, role := range f.Instances {
			s.Instances = append(s.Instances, Instance{name, role})
		}
		slices.SortFunc(s.Instances, func(a, b Instance) int { return strings.Compare(a.Name, b.Name) })
	}
}

// reader reads the fences of a scenario.
type reader struct {
	d *markdown.Document
	s *Scenario
}

func (r *reader) block(b *markdown.Block) {
	switch {
	case b.Kind == markdown.Heading && b.Level == 1 && markdown.Plain(b.Spans) != "":
		r.s.Title = markdown.Plain(b.Spans)
	case b.Kind != markdown.Fence:
	case b.Language == "series":
		r.seriesFence(b)
	case b.Language == "faults":
		r.each(b, r.fault)
	case b.Language == "people":
		if strings.TrimSpace(b.Info) == "anew" { // those of the base stay at home
			r.s.people = nil
		}
		r.each(b, r.person)
	case b.Language == "expect":
		r.each(b, r.expectation)
	default:
		r.d.Errorf(b.At, "a fence of language %q has no meaning here; there are series, faults, people, expect", b.Language)
	}
}

// each reads the lines of a fence; # begins a comment.
func (r *reader) each(b *markdown.Block, read func(line string) error) {
	for _, l := range b.Lines {
		text := strings.TrimSpace(l.Text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if err := read(text); err != nil {
			r.d.Errorf(l.At, "%v", err)
		}
	}
}

func (r *reader) seriesFence(b *markdown.Block) {
	var proto seriesText
	r.d.Apply(r.d.ParseOptions(b.Info, b.InfoAt), map[string]markdown.Setter{
		"at": func(v string) (err error) {
			proto.timed = true
			proto.at, err = offset(v)
			return err
		},
		"saw": func(v string) error {
			size, period, ok := strings.Cut(v, "/")
			n, err := plan.ParseValue(size)
			if err != nil || !ok {
				return fmt.Errorf("saw=20MB/10m is meant")
			}
			proto.saw = n.Num
			proto.period, err = plan.ParseDuration(period)
			return err
		},
		"noise": func(v string) error {
			n, err := plan.ParseValue(v)
			proto.noise = n.Num
			return err
		},
	}, map[string]func(){"add": func() { proto.add = true }})
	r.each(b, func(line string) error {
		x := proto
		selector, sequence := cutSelector(line)
		ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(selector)
		if err != nil {
			return err
		}
		x.matchers = ms
		for _, m := range ms {
			if m.Name == sample.NameLabel && m.Type == labels.MatchEqual {
				x.name = m.Value
			}
		}
		if x.values, err = parseSequence(sequence); err != nil {
			return err
		}
		r.s.series = append(r.s.series, x)
		return nil
	})
}

// cutSelector splits "name{…} values" behind the selector.
func cutSelector(line string) (selector, rest string) {
	quoted := false
	for i := range len(line) {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case c == '}' && !quoted:
			return line[:i+1], line[i+1:]
		case c == ' ' && !quoted && !strings.Contains(line[:i], "{"):
			return line[:i], line[i:]
		}
	}
	return line, ""
}

// offset reads T+2h30m, or T-10m for a time before T0.
func offset(s string) (time.Duration, error) {
	if rest, ok := strings.CutPrefix(s, "T-"); ok {
		d, err := plan.ParseDuration(rest)
		return -d, err
	}
	rest, ok := strings.CutPrefix(s, "T+")
	if !ok {
		return 0, fmt.Errorf("%q: T+2h30m is meant", s)
	}
	return plan.ParseDuration(rest)
}

// fault reads one of
//
//	T+2h down executor-1 for 10m
//	T+2h restart executor-1 for 30s
//	every 4m from T+2h to T+3h crash executor-1 for 30s     comes back as executor-1.1
//	T+5h outage for 30m              nothing can be scraped
//	T-10m outage for 1h
//	T+6h observer away for 5m
//	T+3h clock +5m
func (r *reader) fault(line string) error {
	times, rest, err := schedule(strings.Fields(line))
	if err != nil {
		return err
	}
	for _, at := range times {
		f, err := r.oneFault(at, rest)
		if err != nil {
			return err
		}
		r.s.faults = append(r.s.faults, f)
	}
	return nil
}

func (r *reader) oneFault(at time.Duration, w []string) (fault, error) {
	f := fault{from: at.Truncate(Every)}
	lasts := func(words []string) error {
		if len(words) != 2 || words[0] != "for" {
			return fmt.Errorf("for how long?")
		}
		d, err := plan.ParseDuration(words[1])
		f.to = f.from + max(Every, d.Truncate(Every))
		return err
	}
	switch {
	case len(w) == 4 && slices.Contains([]string{"down", "restart", "crash"}, w[0]):
		f.instance, f.restart, f.renamed = w[1], w[0] != "down", w[0] == "crash"
		if !slices.ContainsFunc(r.s.Instances, func(i Instance) bool { return i.Name == w[1] }) {
			return f, fmt.Errorf("there is no instance %q", w[1])
		}
		return f, lasts(w[2:])
	case len(w) == 3 && w[0] == "outage":
		return f, lasts(w[1:])
	case len(w) == 4 && w[0] == "observer" && w[1] == "away":
		f.kind = faultAway
		return f, lasts(w[2:])
	case len(w) == 2 && w[0] == "clock":
		f.kind = faultClock
		d, err := plan.ParseDuration(strings.TrimLeft(w[1], "+-"))
		if f.step = d; strings.HasPrefix(w[1], "-") {
			f.step = -d
		}
		return f, err
	}
	return f, fmt.Errorf("down, restart, crash, outage, observer away or clock is meant, not %q", strings.Join(w, " "))
}

// maxTimes bounds what "every" stands for: two days of scrapes.
const maxTimes = 48 * 3600 / 15

// schedule reads the times at the beginning of a line: T+2h, or every 30m from T+0 to
// T+4h.
func schedule(w []string) (times []time.Duration, rest []string, err error) {
	if len(w) > 6 && w[0] == "every" && w[2] == "from" && w[4] == "to" {
		step, err := plan.ParseDuration(w[1])
		if err != nil {
			return nil, nil, err
		}
		from, err := offset(w[3])
		if err != nil {
			return nil, nil, err
		}
		to, err := offset(w[5])
		if err != nil || step < Every {
			return nil, nil, fmt.Errorf("every 30m from T+0s to T+4h is meant")
		}
		if (to-from)/step > maxTimes {
			return nil, nil, fmt.Errorf("more than %d times", maxTimes)
		}
		for at := from; at <= to; at += step {
			times = append(times, at)
		}
		return times, w[6:], nil
	}
	if len(w) < 2 {
		return nil, nil, fmt.Errorf("a time such as T+2h and what happens is meant")
	}
	at, err := offset(w[0])
	return []time.Duration{at}, w[1:], err
}

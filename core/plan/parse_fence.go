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

// belongs lists for options and comment lines of a fence the languages in which they
// mean something; the others mean something in all.
var belongs = map[string][]string{
	"target":     {SourceSLO},
	"burn":       {SourceSLO},
	"good":       {SourceSLO},
	"total":      {SourceSLO},
	"show":       {SourceSLO},
	"by":         {SourceTrend},
	"limit":      {SourceTrend},
	"horizon":    {SourceTrend},
	"events":     {SourcePromQL},
	"baseline":   {SourcePromQL},
	"min-events": {SourcePromQL, SourceSLO, SourceLog},
	"run":        {SourceCommand},
	"each":       {SourceHTTP, SourceLog, SourceRedis, SourceDocker, SourceGrafana, SourceCanary},
}

// fence reads an item's source.
func (r *planReader) fence(c *Check, s *site, b *markdown.Block) {
	s.fence = b.At
	if !slices.Contains(Sources(), b.Language) {
		if slices.Contains(shells, b.Language) {
			r.doc.Errorf(b.At, "no shell is run from a plan: use a command fence, or move the fence out of the item")
			return
		}
		r.doc.Errorf(b.At, "%s", markdown.Unknown("kind of source", b.Language, Sources()))
		return
	}
	c.Kind = Auto
	if b.Language == SourceCommand {
		c.Kind = Command
	}
	src := &c.Source
	src.Language, src.Empty = b.Language, NoData
	mode := r.fenceOptions(c, s, b)
	r.body(c, s, b)
	r.mode(c, s, mode)
	r.complete(c, s)
}

// foreign reports an option or comment line that means nothing in this language.
func (r *planReader) foreign(c *Check, word string, at int) bool {
	langs := belongs[word]
	if langs == nil || slices.Contains(langs, c.Source.Language) {
		return false
	}
	r.doc.Errorf(at, "%s means nothing in a %s fence: it belongs to %s", word, c.Source.Language, strings.Join(langs, ", "))
	return true
}

var modeWords = []string{"point", "window", "invariant", "trend"}

func (r *planReader) fenceOptions(c *Check, s *site, b *markdown.Block) (mode string) {
	src := &c.Source
	var options []markdown.Option
	for _, o := range r.doc.ParseOptions(b.Info, b.InfoAt) {
		if !r.foreign(c, o.Key, o.At) {
			options = append(options, o)
			r.part(s, o.Key, o.Value, o.From)
		}
	}
	r.doc.Apply(options, map[string]markdown.Setter{
		"mode": func(v string) error {
			if mode = v; !slices.Contains(modeWords, v) {
				return fmt.Errorf("%s", markdown.Unknown("mode", v, modeWords))
			}
			return nil
		},
		"every":        ranged(&src.Every, time.Second, time.Hour),
		"window":       positive(&src.Window),
		"horizon":      positive(&src.Horizon),
		"settle":       settle(&src.Settle),
		"min-events":   r.number(&src.MinEvents, ""),
		"min-coverage": r.share(&src.MinCoverage),
		"target":       r.share(&src.Target),
		"limit":        r.number(&src.Limit, UnitBytes, UnitSeconds),
		"by":           text(&src.By),
		"each": func(v string) error {
			src.Each = strings.TrimPrefix(strings.TrimPrefix(v, "$"), "targets.")
			return nil
		},
		"empty":  src.setEmpty,
		"events": text(&src.Events),
	}, map[string]func(){"burn": func() { src.Burn = true }})
	return mode
}

// part notes where a part stands; the first one counts.
func (r *planReader) part(s *site, word, value string, at int) {
	if _, ok := s.parts[word]; !ok {
		s.parts[word] = place{value, at}
	}
}

func (src *Source) setEmpty(v string) error {
	switch v {
	case "pass":
		src.Empty = Pass
	case "unknown":
		src.Empty = NoData
	default:
		return fmt.Errorf("%q is unknown: an answer without series is pass or unknown", v)
	}
	return nil
}

func ranged(to *time.Duration, low, high time.Duration) markdown.Setter {
	return func(v string) error {
		d, err := ParseDuration(v)
		if err == nil && (d < low || d > high) {
			err = fmt.Errorf("%s is not between %s and %s", v, FormatDuration(low), FormatDuration(high))
		}
		*to = d
		return err
	}
}

func settle(to *int) markdown.Setter {
	return func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 20 {
			return fmt.Errorf("%q is no number of samples from 1 to 20", v)
		}
		*to = n
		return nil
	}
}

// resolve reads a value or $parameter.
func (r *planReader) resolve(v string) (Value, error) {
	name, ok := strings.CutPrefix(v, "$")
	if !ok {
		return ParseValue(v)
	}
	p, ok := r.plan.Params[name]
	switch {
	case r.blind:
		return Value{}, nil
	case !ok:
		return Value{}, fmt.Errorf("%s", markdown.Unknown("parameter", name, sortedKeys(r.plan.Params)))
	case p.IsText:
		return Value{}, fmt.Errorf("the parameter %s is a text, a number is needed", name)
	}
	return p, nil
}

// number sets a number that is not negative, without a unit or with one of those given.
func (r *planReader) number(to *float64, units ...string) markdown.Setter {
	return func(s string) error {
		v, err := r.resolve(s)
		if err != nil {
			return err
		}
		if v.Num < 0 {
			return fmt.Errorf("%s is negative", s)
		}
		if v.Unit != "" && !slices.Contains(units, v.Unit) {
			return fmt.Errorf("%s has the wrong unit", s)
		}
		*to = v.Num
		return nil
	}
}

// share sets a share from 0 to 1. A plain 98 is refused: nobody means 9800 %.
func (r *planReader) share(to *float64) markdown.Setter {
	return func(s string) error {
		v, err := r.resolve(s)
		switch {
		case err != nil:
			return err
		case v.Unit != "" && v.Unit != UnitShare:
			return fmt.Errorf("%s is no share: write it as 99.5%%", s)
		case v.Unit == "" && v.Num > 1 && v.Num <= 100:
			return fmt.Errorf("%s is more than everything: %s%% is meant", s, strings.TrimPrefix(s, "$"))
		case v.Num < 0 || v.Num > 1:
			return fmt.Errorf("%s is not between 0%% and 100%%", s)
		}
		*to = v.Num
		return nil
	}
}

// directive finds comment lines that may be for the machine.
var directive = regexp.MustCompile(`^\s*#\s*([A-Za-z][A-Za-z-]*)\s*:\s*(.*?)\s*$`)

var directives = []string{
	"expect", "fail-if", "warn-if", "fail-after", "unknown-if", "empty", "good", "total", "show", "events", "baseline", "graph", "run",
}

// body reads a fence's lines: comment lines for the machine, the rest is the query.
func (r *planReader) body(c *Check, s *site, b *markdown.Block) {
	var query []string
	for _, l := range b.Lines {
		var m []int
		if strings.IndexByte(l.Text, '#') >= 0 { // most lines are none
			m = directive.FindStringSubmatchIndex(l.Text)
		}
		if m != nil {
			word, value := l.Text[m[2]:m[3]], l.Text[m[4]:m[5]]
			if slices.Contains(directives, word) {
				if !r.foreign(c, word, l.At+m[2]) {
					r.directive(c, s, word, place{value, l.At + m[4]}, l.At+m[2])
				}
				continue
			}
			if near := markdown.Suggest(word, directives); near != "" && len(word) > 2 {
				r.doc.Errorf(l.At+m[2], "%s", markdown.Unknown("comment line", word, directives))
				continue
			}
		}
		query, s.query = append(query, strings.TrimRight(l.Text, " \t")), append(s.query, l)
	}
	for len(query) > 0 && query[0] == "" {
		query, s.query = query[1:], s.query[1:]
	}
	c.Source.Query = strings.TrimRight(strings.Join(query, "\n"), "\n")
}

func (r *planReader) directive(c *Check, s *site, word string, v place, at int) {
	src := &c.Source
	_, twice := s.parts[word]
	list := word == "fail-after" || word == "unknown-if"
	switch {
	case v.text == "":
		r.doc.Errorf(at, "%s: has no value", word)
		return
	case twice && !list:
		r.doc.Errorf(at, "%s is stated twice", word)
		return
	}
	r.part(s, word, v.text, v.at)
	var err error
	switch word {
	case "expect":
		src.Expect = r.condition(v)
	case "fail-if":
		src.FailIf = r.condition(v)
	case "warn-if":
		src.WarnIf = r.condition(v)
	case "fail-after":
		err = r.failAfter(src, v.text)
	case "unknown-if":
		err = r.unknownIf(src, v.text)
	case "empty":
		err = src.setEmpty(v.text)
	case "good":
		src.Good = v.text
	case "total":
		src.Total = v.text
	case "show":
		src.Show, src.ShowUnit, err = splitShow(v.text)
		s.parts[word] = place{src.Show, v.at}
	case "events":
		src.Events = v.text
	case "baseline":
		src.Baseline = v.text
	case "graph":
		src.Graph = v.text
	case "run":
		src.Run = v.text
		if !slug.MatchString(v.text) {
			err = fmt.Errorf("%q is no name of a command: lower case words joined by dashes", v.text)
		}
	}
	if err != nil {
		r.doc.Errorf(v.at, "%s: %v", word, err)
	}
}

var column = regexp.MustCompile(`^column (\d+): `)

// condition reads an expectation; the place of an error is the one inside it.
func (r *planReader) condition(v place) *Expect {
	e, err := ParseExpect(v.text)
	if err == nil {
		return e
	}
	text, at := err.Error(), v.at
	if m := column.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		text, at = text[len(m[0]):], at+n-1
	}
	r.doc.Errorf(at, "%s", text)
	return nil
}

// failAfter reads "30s" or "15s above 1, 60s at 0".
func (r *planReader) failAfter(src *Source, s string) error {
	for clause := range strings.SplitSeq(s, ",") {
		f := strings.Fields(clause)
		if len(f) != 1 && (len(f) != 3 || f[1] != "above" && f[1] != "below" && f[1] != "at") {
			return fmt.Errorf("%q is not understood: write 30s, or 15s above 1, 60s at 0", strings.TrimSpace(clause))
		}
		d, err := ParseDuration(f[0])
		if err != nil {
			return err
		}
		p := Patience{For: d}
		if len(f) == 3 {
			v, err := r.resolve(f[2])
			if err != nil {
				return err
			}
			p.Op, p.Value = f[1], v.Num
		}
		src.FailAfter = append(src.FailAfter, p)
	}
	return nil
}

// unknownIf reads "no data for 60s", "coverage < 90%" and "events < 20", which may be
// joined by "or".
func (r *planReader) unknownIf(src *Source, s string) error {
	for clause := range strings.SplitSeq(s, " or ") {
		f := strings.Fields(clause)
		last := ""
		if len(f) > 0 {
			last = f[len(f)-1]
		}
		var err error
		switch {
		case len(f) == 4 && f[0] == "no" && f[1] == "data" && f[2] == "for":
			err = ranged(&src.UnknownAfter, time.Second, 24*time.Hour)(last)
		case len(f) == 3 && f[0] == "coverage" && f[1] == "<":
			err = r.share(&src.MinCoverage)(last)
		case len(f) == 3 && f[0] == "events" && f[1] == "<":
			err = r.number(&src.MinEvents, "")(last)
		default:
			err = fmt.Errorf("%q is not understood: write no data for 60s, coverage < 90%% or events < 20", strings.TrimSpace(clause))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// splitShow reads "PROMQL as s".
func splitShow(s string) (query, unit string, err error) {
	i := strings.LastIndex(s, " as ")
	if i < 0 {
		return s, "", nil
	}
	query, unit = strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+4:])
	if unit == "" || strings.ContainsAny(unit, " (){}[]\"") {
		return s, "", fmt.Errorf("%q is no unit: write PROMQL as s", unit)
	}
	return query, unit, nil
}

// mode decides over which time a check is judged.
func (r *planReader) mode(c *Check, s *site, stated string) {
	fixed := map[string]Mode{SourceSLO: Window, SourceTrend: Trend}
	if m, ok := fixed[c.Source.Language]; ok {
		if c.Mode = m; stated != "" && stated != m.String() {
			r.doc.Errorf(s.parts["mode"].at, "a %s is always judged as mode=%s", c.Source.Language, m)
		}
		return
	}
	switch stated {
	case "window":
		c.Mode = Window
	case "invariant":
		c.Mode = Invariant
	case "trend":
		r.doc.Errorf(s.parts["mode"].at, "mode=trend needs a trend fence")
	case "":
		if c.Source.Language == SourcePromQL && (strings.Contains(c.Source.Query, "$window") || c.Source.Baseline != "") {
			c.Mode = Window
		}
	}
}

// complete finds what is missing and what does not fit together.
func (r *planReader) complete(c *Check, s *site) {
	src := &c.Source
	wantsExpect := src.Language != SourceSLO && src.Language != SourceTrend && (src.Language != SourceCommand || src.Run != "")
	_, tried := s.parts["expect"]
	switch {
	case wantsExpect && !tried:
		r.doc.Errorf(s.fence, "the fence expects nothing: add a line such as # expect: value == 1")
	case src.Language == SourceSLO && src.Good == "" || src.Language == SourceSLO && src.Total == "":
		r.doc.Errorf(s.fence, "an slo counts: add the lines # good: PROMQL and # total: PROMQL")
	case src.Query == "" && src.Language != SourceSLO && src.Language != SourceRun:
		r.doc.Errorf(s.fence, "the fence asks nothing: its query is missing")
	}
	if _, stated := s.parts["target"]; src.Language == SourceSLO && !stated {
		r.doc.Errorf(s.fence, "an slo has a target: add target=99.5%% behind the word slo")
	}
	if p, ok := s.parts["expect"]; ok && !wantsExpect && src.Language != SourceCommand {
		r.doc.Errorf(p.at, "a %s states what it expects by its options: remove this line", src.Language)
	}
	if p, ok := s.parts["fail-after"]; ok && c.Mode != Invariant {
		r.doc.Errorf(p.at, "fail-after belongs to an invariant: a %s check is judged at its time", c.Mode)
	}
	if src.FailIf != nil && src.WarnIf != nil {
		r.doc.Errorf(s.parts["warn-if"].at, "fail-if and warn-if say the same from two sides: keep one of them")
	}
}

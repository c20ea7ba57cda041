package plan

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/stat"
)

// Finding is what a verdict rests on.
type Finding struct {
	Sentence  string
	Value     string
	Threshold string
	N         *float64 // events or series behind the value
	Low, High *float64 // 95 % interval of the value
	Coverage  *float64 // 0 to 1
	From, To  time.Time
	Query     string
	Engine    string
	Digest    string
	Thin      bool
	Series    []Series // the answer, capped
}

// z95 makes intervals of 95 %.
const z95 = 1.959964

// What is kept of an answer.
const (
	maxSeries = 20
	maxFields = 12
	maxWord   = 200 // bytes of a text
)

// judge gives the verdict on an observation. No path leads from an empty answer to a
// pass but the plan's own "# empty: pass".
func (m *Machine) judge(c *Check, o Observation) (Verdict, Finding) {
	f := Finding{Query: o.Query, Engine: o.Engine, From: o.From, To: o.To, Digest: o.Digest, Series: capped(o.Series)}
	if o.Coverage >= 0 {
		f.Coverage = &o.Coverage
	}
	if o.Events >= 0 {
		f.N = &o.Events
	}
	if c.Source.Expect != nil {
		f.Threshold = c.Source.Expect.Resolve(m.s.Plan.Params)
	}
	if o.Err != "" {
		f.Sentence = "could not be asked: " + o.Err
		return NoData, f
	}
	if least := c.leastCoverage(); o.Coverage >= 0 && o.Coverage < least {
		f.Sentence = fmt.Sprintf("only %s of the samples were seen, %s are needed", percent(o.Coverage), percent(least))
		return NoData, f
	}
	switch {
	case c.Source.Language == SourceSLO:
		return m.judgeSLO(c, o, f)
	case len(o.Series) == 0 && c.Source.Empty == Pass:
		f.Sentence = "there is nothing of the kind, as the plan allows"
		return Pass, f
	case len(o.Series) == 0:
		f.Sentence = "there is no data for it"
		return NoData, f
	case c.Mode == Trend:
		return m.judgeTrend(c, o, f)
	}
	if c.Source.MinEvents > 0 && o.Events < c.Source.MinEvents {
		f.Sentence = "only " + plural(int(max(0, o.Events)), "event") + ", " + FormatNumber(c.Source.MinEvents, "") + " are needed to tell"
		return NoData, f
	}
	return m.judgeExpectation(c, o, f)
}

// leastCoverage is the share of samples, or for a state at one time of the targets,
// below which nothing is said.
func (c *Check) leastCoverage() float64 {
	switch {
	case c.Source.MinCoverage > 0:
		return c.Source.MinCoverage
	case c.Mode == Window || c.Mode == Trend:
		return 0.95
	}
	return 0.5
}

func (m *Machine) judgeExpectation(c *Check, o Observation, f Finding) (Verdict, Finding) {
	e := c.Source.Expect
	if e == nil {
		f.Sentence = "the plan expects nothing of it"
		return NoData, f
	}
	for _, s := range o.Series {
		if len(s.Fields) == 0 { // to be counted is not enough to be good
			f.Sentence = strings.TrimSpace(clip(s.Name) + " answered nothing")
			return NoData, f
		}
		if v, ok := s.Fields[FieldValue]; ok && !v.IsText && math.IsNaN(v.Num) {
			f.Sentence = "the answer is not a number: nothing happened that could be measured"
			return NoData, f
		}
	}
	misses, missing := e.satisfied(o.Series, m.s.Plan.Params)
	words := m.shown(c)
	f.Value = describe(o.Series, words)
	m.interval(c, o, &f)
	if missing != "" {
		f.Sentence = fmt.Sprintf("the answer lacks %q, so it cannot be judged", missing)
		return NoData, f
	}
	if len(misses) == 0 {
		f.Sentence = f.Value + ", as expected (" + f.Threshold + ")"
		return Pass, f
	}
	verdict := Fail
	if w := c.Source.WarnIf; w != nil && m.holds(w, o.Series, misses) {
		verdict = Warn
	}
	if w := c.Source.FailIf; w != nil && !m.holdsAny(w, o.Series, misses) {
		verdict = Warn
	}
	if len(o.Series) == 1 {
		f.Sentence = f.Value + ", expected " + f.Threshold
		return verdict, f
	}
	bad := make([]Series, 0, len(misses))
	for _, i := range misses {
		bad = append(bad, o.Series[i])
	}
	f.Sentence = fmt.Sprintf("%d of %d miss %s: %s", len(misses), len(o.Series), f.Threshold, describe(bad, words))
	return verdict, f
}

// holds reports whether a condition holds for all of the series that missed.
func (m *Machine) holds(e *Expect, series []Series, misses []int) bool {
	not, _ := e.satisfied(series, m.s.Plan.Params)
	return !slices.ContainsFunc(misses, func(i int) bool { return slices.Contains(not, i) })
}

// holdsAny reports whether a condition holds for one of them.
func (m *Machine) holdsAny(e *Expect, series []Series, misses []int) bool {
	not, _ := e.satisfied(series, m.s.Plan.Params)
	return slices.ContainsFunc(misses, func(i int) bool { return !slices.Contains(not, i) })
}

// interval adds n and the Wilson interval to a share that was counted, and says when
// it straddles what is expected.
func (m *Machine) interval(c *Check, o Observation, f *Finding) {
	if o.Events <= 0 || len(o.Series) != 1 {
		return
	}
	v, ok := o.Series[0].Fields[FieldValue]
	if !ok || v.IsText || v.Num < 0 || v.Num > 1 {
		return
	}
	for _, k := range c.Source.Expect.limits(m.s.Plan.Params) {
		if k.Unit != UnitShare {
			continue
		}
		low, high := stat.Wilson(v.Num*o.Events, o.Events, z95)
		f.Low, f.High = &low, &high
		f.Thin = f.Thin || low < k.Num && k.Num < high
	}
}

// limits are the constants and parameters of a condition.
func (e *Expect) limits(params map[string]Value) []Value {
	out := e.Constants()
	_, names := e.Fields()
	for _, n := range names {
		if v, ok := params[n]; ok {
			out = append(out, v)
		}
	}
	return out
}

// shown are the fields that a finding tells, with the unit that the plan gives them.
type shownFields struct {
	fields []string
	unit   string
}

func (m *Machine) shown(c *Check) shownFields {
	words, _ := c.Source.Expect.Fields()
	var out shownFields
	for _, l := range c.Source.Expect.limits(m.s.Plan.Params) {
		if l.Unit != "" && !l.IsText {
			out.unit = l.Unit
		}
	}
	out.fields = words
	if !slices.Contains(words, FieldValue) && (len(words) == 0 || c.Source.Language == SourcePromQL) {
		out.fields = append(out.fields, FieldValue)
	}
	return out
}

// describe tells the values of series in a few words: each of up to three, else the
// range of what they have in common.
func describe(series []Series, w shownFields) string {
	if len(series) <= 3 {
		var parts []string
		for _, s := range series {
			text := s.told(w)
			if len(series) > 1 || s.Name != "" && s.Name != "{}" && w.hasName(s) {
				text = strings.TrimSpace(s.Name + " " + text)
			}
			parts = append(parts, text)
		}
		return strings.Join(parts, "; ")
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range series {
		if v, ok := s.Fields[FieldValue]; ok && !v.IsText {
			low, high = min(low, v.Num), max(high, v.Num)
		}
	}
	text := fmt.Sprintf("%d series", len(series))
	if low <= high {
		text += ", " + FormatNumber(low, w.unit) + " to " + FormatNumber(high, w.unit)
	}
	return text
}

// hasName says whether a single series is worth naming.
func (w shownFields) hasName(s Series) bool {
	return !strings.HasPrefix(s.Name, "{") && s.Name != "run"
}

func (s Series) told(w shownFields) string {
	var parts []string
	for _, name := range w.fields {
		v, ok := s.Fields[name]
		if !ok {
			continue
		}
		text := v.Text
		if !v.IsText {
			unit := v.Unit
			if unit == "" && (name == FieldValue || strings.Contains(name, "memory") || strings.HasSuffix(name, "_size") || name == "latency") {
				unit = w.unit
			}
			text = FormatNumber(v.Num, unit)
		}
		if name != FieldValue {
			text = name + " " + text
		}
		parts = append(parts, clip(text))
	}
	return strings.Join(parts, ", ")
}

func clip(s string) string {
	if len(s) <= maxWord {
		return s
	}
	return strings.ToValidUTF8(s[:maxWord], "") + "…"
}

func (m *Machine) judgeSLO(c *Check, o Observation, f Finding) (Verdict, Finding) {
	f.Threshold = "≥ " + FormatNumber(c.Source.Target, UnitShare)
	f.N = &o.Total
	least := max(1, c.Source.MinEvents)
	if math.IsNaN(o.Total) || math.IsNaN(o.Good) || o.Total < least {
		n := 0.0
		if !math.IsNaN(o.Total) {
			n = o.Total
		}
		f.Sentence = "only " + FormatNumber(math.Floor(n), "") + " events, " + FormatNumber(least, "") + " are needed to tell"
		return NoData, f
	}
	good := min(o.Good, o.Total)
	share := good / o.Total
	low, high := stat.Wilson(good, o.Total, z95)
	f.Low, f.High = &low, &high
	f.Value = FormatNumber(share, UnitShare)
	f.Thin = low < c.Source.Target && c.Source.Target < high
	f.Sentence = fmt.Sprintf("%s of %s events are good (%s to %s), the target is %s", f.Value, FormatNumber(math.Round(o.Total), ""),
		FormatNumber(low, UnitShare), FormatNumber(high, UnitShare), FormatNumber(c.Source.Target, UnitShare))
	if o.Shown != nil {
		f.Sentence = c.shownFigure(*o.Shown) + "; " + f.Sentence
	}
	if f.Thin {
		f.Sentence += "; too few to be sure"
	}
	if share < c.Source.Target {
		return Fail, f
	}
	return Pass, f
}

func (c *Check) shownFigure(v float64) string {
	return FormatNumber(v, c.Source.ShowUnit)
}

// judgeTrend tests each series and takes the worst; the sentence is that of the
// series that grows, else a summary.
func (m *Machine) judgeTrend(c *Check, o Observation, f Finding) (Verdict, Finding) {
	o.Series = slices.Clone(o.Series)
	unit := stat.Plain
	switch {
	case strings.Contains(c.Source.Query, "_bytes"):
		unit = stat.Bytes
	case strings.Contains(c.Source.Query, "cpu_seconds"):
		unit = stat.Share
	}
	worst, young := NotApplicable, 0
	var sentences []string
	for i, s := range o.Series {
		starts := make([]int64, 0, len(s.Starts))
		for _, t := range s.Starts {
			starts = append(starts, ms(t))
		}
		t := m.detector.Judge(s.Points, starts, stat.Options{Unit: unit, From: ms(o.From), To: ms(o.To), Limit: c.Source.Limit})
		v := trendVerdict(t.Verdict(o.To.Sub(m.s.T0)))
		if v == NoData {
			young++ // a process that was replaced; those that can be judged decide
		} else if v.weight() > worst.weight() {
			worst, sentences = v, nil
		}
		if v == worst {
			sentences = append(sentences, s.Name+" "+t.String())
		}
		o.Series[i] = Series{Name: s.Name, Fields: map[string]Value{
			"slope": Number(t.Slope), "low": Number(t.Low), "high": Number(t.High), "level": Number(t.Level), "coverage": Number(t.Coverage),
		}}
		if len(o.Series) == 1 {
			f.Value = FormatNumber(t.Slope, map[stat.Unit]string{stat.Bytes: UnitBytes}[unit]) + "/h"
			f.Low, f.High = &t.Low, &t.High
		}
	}
	f.Series = capped(o.Series)
	if worst == NotApplicable {
		f.Sentence = fmt.Sprintf("none of %s has run long enough to tell", pluralOf(young, "process", "processes"))
		return NoData, f
	}
	if young > 0 {
		sentences = append(sentences, pluralOf(young, "younger process", "younger processes")+" cannot be judged yet")
	}
	if len(sentences) > 4 {
		sentences = append(sentences[:3], fmt.Sprintf("and %d more", len(sentences)-3))
	}
	f.Sentence = strings.Join(sentences, "; ")
	return worst, f
}

func trendVerdict(v stat.Verdict) Verdict {
	switch v {
	case stat.Pass:
		return Pass
	case stat.Warn:
		return Warn
	case stat.Fail:
		return Fail
	}
	return NoData
}

func percent(share float64) string { return FormatNumber(math.Floor(share*1000)/1000, UnitShare) }

// capped keeps what a record can hold.
func capped(series []Series) []Series {
	if len(series) > maxSeries {
		series = series[:maxSeries]
	}
	out := make([]Series, 0, len(series))
	for _, s := range series {
		fields := map[string]Value{}
		for i, name := range sortedKeys(s.Fields) {
			if i == maxFields {
				break
			}
			v := s.Fields[name]
			v.Text = clip(v.Text)
			fields[name] = v
		}
		out = append(out, Series{Name: clip(s.Name), Fields: fields})
	}
	return out
}

package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spark-ta/spark/core/plan/markdown"
)

// promql looks at every expression of a check: syntax, parameters, metrics, and words
// that a remote server may not know.
func (l *linter) promql() {
	src := &l.c.Source
	if isPromQL(src.Language) && src.Query != "" {
		l.expression(src.Query, l.at)
	}
	for _, word := range []string{"good", "total", "show", "events", "baseline", "graph"} {
		if p, ok := l.s.parts[word]; ok {
			l.expression(p.text, func(offset int) int { return p.at + offset })
		}
	}
	for _, word := range []string{"expect", "fail-if", "warn-if"} {
		e := map[string]*Expect{"expect": src.Expect, "fail-if": src.FailIf, "warn-if": src.WarnIf}[word]
		if e == nil {
			continue
		}
		_, params := e.Fields()
		for _, name := range params {
			at := l.s.parts[word].at + max(0, strings.Index(e.Text, "$"+name))
			l.defined(name, at)
		}
	}
	if each := src.Each; each != "" && !slices.Contains([]string{"executors", "gateways", "observers", "all"}, each) {
		if v, ok := l.p.Params[each]; !ok || !v.IsText {
			l.add(l.s.parts["each"].at, Mistake, "undefined-parameter", "%s is neither executors, gateways, observers or all nor a parameter with an address in quotes", each)
		}
	}
}

func (l *linter) defined(name string, at int) bool {
	_, ok := l.p.Params[name]
	if !ok {
		l.add(at, Mistake, "undefined-parameter", "%s", markdown.Unknown("parameter", name, sortedKeys(l.p.Params)))
	}
	return ok
}

// expression looks at one expression; place maps its bytes to the document.
func (l *linter) expression(expr string, place func(offset int) int) {
	full, back, ok := l.substituted(expr, place)
	if !ok {
		return // the expression is not what it will be
	}
	if l.o.Remote && l.o.Newer != nil && l.o.Newer(full) {
		l.add(place(0), Mistake, "newer-syntax", "a remote Prometheus may be too old for this expression: it uses words of newer versions")
	}
	if l.o.Syntax == nil {
		return
	}
	metrics, pos, err := l.o.Syntax(full)
	if err != nil {
		l.add(place(back(max(0, pos))), Mistake, "promql", "%v", err)
		return
	}
	for _, m := range metrics {
		if l.o.Metrics != nil && !l.o.Metrics(m) {
			l.add(place(wordIndex(expr, m)), Mistake, "unknown-metric", "no instance has a metric %s", m)
		}
	}
}

// substituted fills parameters in, and gives the way back from bytes of the result.
func (l *linter) substituted(expr string, place func(offset int) int) (full string, back func(int) int, ok bool) {
	type shift struct{ from, original int }
	shifts := []shift{{0, 0}}
	var out strings.Builder
	last, ok := 0, true
	for _, m := range parameterName.FindAllStringSubmatchIndex(expr, -1) {
		name := expr[m[2]:m[3]]
		out.WriteString(expr[last:m[0]])
		last = m[1]
		switch {
		case name == "window":
			out.WriteString("300s")
		case l.defined(name, place(m[0])):
			v := l.p.Params[name]
			if v.IsText {
				out.WriteString(v.Text)
			} else {
				out.WriteString(strconv.FormatFloat(v.Num, 'f', -1, 64))
			}
		default:
			ok = false
		}
		shifts = append(shifts, shift{out.Len(), m[1]})
	}
	out.WriteString(expr[last:])
	return out.String(), func(offset int) int {
		i := len(shifts) - 1
		for i > 0 && shifts[i].from > offset {
			i--
		}
		original := shifts[i].original + offset - shifts[i].from
		if i+1 < len(shifts) {
			original = min(original, shifts[i+1].original)
		}
		return original
	}, ok
}

// wordIndex returns where a word begins that is no part of a longer one.
func wordIndex(s, word string) int {
	for from := 0; ; {
		i := strings.Index(s[from:], word)
		if i < 0 {
			return 0
		}
		i += from
		end := i + len(word)
		if (i == 0 || !isNameByte(s[i-1])) && (end == len(s) || !isNameByte(s[end])) {
			return i
		}
		from = end
	}
}

func isNameByte(c byte) bool {
	return c == '_' || c == ':' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// What an expression's value is. The units of values stand for themselves.
const (
	unitUnknown = ""
	unitCount   = "count"
	unitPercent = "percent" // a ratio times 100
)

var (
	promqlComments = regexp.MustCompile(`(?m)#.*$`)
	promqlTexts    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'`)
	promqlBraces   = regexp.MustCompile(`\{[^{}]*\}|\[[^\[\]]*\]`)
	promqlLabels   = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)`)
	promqlNames    = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?`)
	promqlRate     = regexp.MustCompile(`\b(?:rate|irate|deriv)\s*\(`)
	promqlCount    = regexp.MustCompile(`^[\s(]*(?:count|count_over_time|absent|absent_over_time|changes|resets|group)\s*\(`)
	promqlHundred  = regexp.MustCompile(`\*\s*100(?:\.0)?\b|\b100(?:\.0)?\s*\*`)
	promqlKeywords = []string{"bool", "offset", "and", "or", "unless", "inf", "nan", "start", "end"}
)

// bare removes what is no arithmetic: comments, labels, ranges.
func bare(expr string) string {
	expr = promqlTexts.ReplaceAllString(expr, `""`)
	expr = promqlComments.ReplaceAllString(expr, "")
	expr = promqlBraces.ReplaceAllString(expr, "")
	return promqlLabels.ReplaceAllString(expr, "")
}

// isRate reports whether few events can move an expression far: a quantile, or a
// count of events divided by another. Averages and gauges are samples, whose number
// is known from the coverage.
func isRate(expr string) bool {
	b := bare(expr)
	left, right, divided := strings.Cut(b, "/")
	return strings.Contains(b, "histogram_quantile") || divided && countsEvents(left) && countsEvents(right)
}

// countsEvents reports whether an expression has a counter of events.
func countsEvents(expr string) bool {
	return slices.ContainsFunc(promqlNames.FindAllString(bare(expr), -1), func(w string) bool {
		return unitOfName(strings.TrimSpace(w), false) == unitCount
	})
}

// unitOfName returns the unit that a metric's name promises.
func unitOfName(name string, quantile bool) string {
	if base, ok := strings.CutSuffix(name, "_bucket"); ok {
		if quantile {
			return unitOfName(base, false)
		}
		return unitCount
	}
	if strings.HasSuffix(name, "_count") {
		return unitCount
	}
	base := strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_total")
	switch {
	case strings.HasSuffix(base, "_seconds"):
		return UnitSeconds
	case strings.HasSuffix(base, "_bytes"):
		return UnitBytes
	case strings.HasSuffix(base, "_ratio"):
		return UnitShare
	case base != name && strings.HasSuffix(name, "_total"):
		return unitCount
	}
	return unitUnknown
}

// unitOf guesses what an expression's value is, from the names of its metrics and the
// shape of its arithmetic. Where it cannot be sure it says unitUnknown: a wrong
// warning costs more trust than a missing one.
func unitOf(expr string) string {
	b := bare(expr)
	quantile := strings.Contains(b, "histogram_quantile")
	if promqlCount.MatchString(b) && !strings.Contains(b, "/") {
		return unitCount
	}
	left, right, divided := strings.Cut(b, "/")
	unit, same := namesUnit(left, quantile)
	if divided {
		other, alike := namesUnit(right, quantile)
		if !same || !alike || unit != other || unit == unitUnknown || strings.Contains(right, "/") {
			return unitUnknown
		}
		if promqlHundred.MatchString(b) {
			return unitPercent
		}
		return UnitShare
	}
	switch {
	case !same || strings.Contains(b, "*") || strings.Contains(b, "time("):
		return unitUnknown
	case promqlRate.MatchString(b) && !quantile && unit == UnitSeconds:
		return UnitShare // seconds of a second
	}
	return unit
}

// namesUnit returns the unit of all names of an expression; same is false when they
// differ.
func namesUnit(b string, quantile bool) (unit string, same bool) {
	first := true
	for _, w := range promqlNames.FindAllString(b, -1) {
		if strings.HasSuffix(w, "(") || slices.Contains(promqlKeywords, strings.ToLower(strings.TrimSpace(w))) {
			continue
		}
		u := unitOfName(strings.TrimSpace(w), quantile)
		if !first && u != unit {
			return unitUnknown, false
		}
		unit, first = u, false
	}
	return unit, !first
}

// unitOfField returns the unit of a field of an answer that is not PromQL.
func unitOfField(name string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case last == "latency" || last == "took" || strings.HasSuffix(last, "_seconds"):
		return UnitSeconds
	case strings.HasSuffix(last, "_bytes") || last == "aof_current_size" || last == "used_memory" || last == "used_memory_rss" || last == "maxmemory":
		return UnitBytes
	case slices.Contains([]string{"status", "count", "restarts", "incidents", "critical", "open", "user_issues", "major_user_issues", "waivers", "dashboards", "panels", "panels_with_data", "epoch"}, last):
		return unitCount
	}
	return unitUnknown
}

// units finds limits whose unit contradicts what they are compared with.
func (l *linter) units() {
	src := &l.c.Source
	value := unitUnknown
	if src.Language == SourcePromQL {
		value = unitOf(src.Query)
	}
	for word, e := range map[string]*Expect{"expect": src.Expect, "fail-if": src.FailIf, "warn-if": src.WarnIf} {
		if e == nil {
			continue
		}
		for _, c := range e.comparisons() {
			unit := value
			if c.field != FieldValue || src.Language != SourcePromQL {
				unit = unitOfField(c.field)
			}
			limit := c.limit
			if c.parameter != "" {
				limit = l.p.Params[c.parameter]
			}
			if why := contradiction(unit, limit); why != "" {
				l.add(l.s.parts[word].at, Mistake, "unit", "%s: %s", e.Text, why)
			}
		}
	}
	if p, ok := l.s.parts["limit"]; ok && src.Language == SourceTrend {
		if v, err := l.r.resolve(p.text); err == nil {
			if why := contradiction(unitOf(src.Query), v); why != "" {
				l.add(p.at, Mistake, "unit", "limit=%s: %s", p.text, why)
			}
		}
	}
	if u, ok := units[src.ShowUnit]; ok && src.Show != "" && u.unit != "" {
		if why := contradiction(unitOf(src.Show), Value{Num: 0, Unit: u.unit}); why != "" {
			l.add(l.s.parts["show"].at, Mistake, "unit", "as %s: %s", src.ShowUnit, why)
		}
	}
}

// contradiction says why a limit cannot be one of a value with this unit, or "".
func contradiction(unit string, limit Value) string {
	if unit == unitUnknown || limit.IsText {
		return ""
	}
	switch {
	case unit == UnitShare && limit.Unit == "" && (limit.Num > 1 || limit.Num < -1):
		return fmt.Sprintf("the value is a ratio from 0 to 1, so that %s is never reached: write %s%%", limit, limit)
	case unit == UnitShare && limit.Unit == UnitShare, unit == limit.Unit, limit.Unit == "":
		return ""
	case unit == unitPercent && limit.Unit == UnitShare:
		return fmt.Sprintf("the value is multiplied by 100 and %s is a share: drop one of them", limit)
	case unit == unitCount && limit.Unit == UnitShare:
		return "a count is compared with a share: divide by the total, or write a number"
	}
	names := map[string]string{UnitShare: "a share", UnitBytes: "in bytes", UnitSeconds: "in seconds", unitCount: "a count", unitPercent: "in percent"}
	return fmt.Sprintf("the value is %s and %s is %s", names[unit], limit, names[limit.Unit])
}

// comparison is a field compared with a constant or a parameter.
type comparison struct {
	field     string
	limit     Value
	parameter string
}

// comparisons lists the comparisons of a condition with a number on one side.
func (e *Expect) comparisons() []comparison {
	var out []comparison
	leaves(e.root, func(n node) {
		switch n := n.(type) {
		case cmpNode:
			field, limit := n.left, n.right
			if field.kind != word {
				field, limit = limit, field
			}
			switch {
			case field.kind != word:
			case limit.kind == parameter:
				out = append(out, comparison{field.name, Value{IsText: true}, limit.name})
			case limit.kind == constant:
				out = append(out, comparison{field.name, limit.v, ""})
			}
		}
	})
	return out
}

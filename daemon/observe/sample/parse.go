package sample

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
)

// SyntaxError is an expression that cannot be evaluated, with the place.
type SyntaxError struct {
	Line, Column int // both from 1; columns are characters
	Msg          string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Msg)
}

// dialect is what we understand: PromQL with the functions that Prometheus calls
// experimental, such as mad_over_time.
func dialect() parser.Parser {
	return parser.NewParser(parser.Options{EnableExperimentalFunctions: true})
}

// Parse checks an expression and returns the names of the metrics that it selects,
// sorted. A selector that names no metric, or a pattern, adds none. The error is a
// [*SyntaxError].
func Parse(expr string) (metrics []string, err error) {
	e, err := dialect().ParseExpr(expr)
	if err != nil {
		return nil, syntaxError(expr, err)
	}
	names := map[string]bool{}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if vs, ok := n.(*parser.VectorSelector); ok {
			for _, m := range vs.LabelMatchers {
				if m.Name == NameLabel && m.Type == labels.MatchEqual {
					names[m.Value] = true
				}
			}
		}
		return nil
	})
	return slices.Sorted(maps.Keys(names)), nil
}

// syntaxError turns an error of the parser into ours.
func syntaxError(expr string, err error) *SyntaxError {
	msg, pos := err.Error(), posrange.Pos(0)
	if list, ok := errors.AsType[parser.ParseErrors](err); ok && len(list) > 0 {
		msg, pos = list[0].Err.Error(), list[0].PositionRange.Start
	} else if one, ok := errors.AsType[*parser.ParseErr](err); ok {
		msg, pos = one.Err.Error(), one.PositionRange.Start
	}
	before := expr[:min(max(int(pos), 0), len(expr))]
	line := before[strings.LastIndexByte(before, '\n')+1:]
	return &SyntaxError{
		Line:   1 + strings.Count(before, "\n"),
		Column: 1 + utf8.RuneCountInString(line),
		Msg:    msg,
	}
}

// functions242 are the functions of Prometheus 2.42 that the pinned engine has as
// well. (holt_winters has another name there.)
const functions242 = ` abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes
 clamp clamp_max clamp_min cos cosh count_over_time day_of_month day_of_week day_of_year days_in_month deg
 delta deriv exp floor histogram_count histogram_fraction histogram_quantile histogram_sum hour idelta
 increase irate label_join label_replace last_over_time ln log10 log2 max_over_time min_over_time minute
 month pi predict_linear present_over_time quantile_over_time rad rate resets round scalar sgn sin sinh
 sort sort_desc sqrt stddev_over_time stdvar_over_time sum_over_time tan tanh time timestamp vector year `

var old = set(strings.Fields(functions242))

func set(words []string) map[string]bool {
	out := make(map[string]bool, len(words))
	for _, w := range words {
		out[w] = true
	}
	return out
}

// NewerSyntax reports whether Prometheus 2.42 refuses an expression that Parse
// takes: newer functions and aggregations, anchored and smoothed, fill, arithmetic
// in durations, numbers for durations and durations for numbers, quoted names.
// Of an expression that Parse refuses it says false.
func NewerSyntax(expr string) bool {
	e, err := dialect().ParseExpr(expr)
	if err != nil {
		return false
	}
	newer := newerTokens(expr)
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		newer = newer || newerNode(n)
		return nil
	})
	return newer
}

func newerNode(n parser.Node) bool {
	switch n := n.(type) {
	case *parser.Call:
		return !old[n.Func.Name]
	case *parser.AggregateExpr:
		return n.Op.IsExperimentalAggregator()
	case *parser.BinaryExpr:
		fill := n.VectorMatching != nil && (n.VectorMatching.FillValues.LHS != nil || n.VectorMatching.FillValues.RHS != nil)
		return fill || n.Op == parser.TRIM_UPPER || n.Op == parser.TRIM_LOWER
	case *parser.NumberLiteral:
		return n.Duration
	case *parser.MatrixSelector:
		return n.RangeExpr != nil
	case *parser.SubqueryExpr:
		return n.RangeExpr != nil || n.StepExpr != nil || n.OriginalOffsetExpr != nil
	case *parser.VectorSelector:
		return n.Anchored || n.Smoothed || n.OriginalOffsetExpr != nil || n.Name != "" && !model.LegacyValidation.IsValidMetricName(n.Name)
	}
	return false
}

// newerTokens finds what the syntax tree no longer shows: x[300], offset 60, @ 5m,
// 1_000 and names in quotes.
func newerTokens(expr string) bool {
	var items []parser.Item
	for l := parser.Lex(expr); ; {
		var it parser.Item
		l.NextItem(&it)
		if it.Typ == parser.EOF || it.Typ == parser.ERROR {
			break
		}
		items = append(items, it)
	}
	at := func(i int) parser.ItemType {
		if i < 0 || i >= len(items) {
			return parser.EOF
		}
		return items[i].Typ
	}
	brackets, grouping := 0, false
	for i, it := range items {
		before := at(i - 1)
		if before == parser.SUB || before == parser.ADD {
			before = at(i - 2)
		}
		switch it.Typ {
		case parser.LEFT_BRACKET:
			brackets++
		case parser.RIGHT_BRACKET:
			brackets--
		case parser.LEFT_PAREN:
			switch at(i - 1) {
			case parser.BY, parser.WITHOUT, parser.ON, parser.IGNORING, parser.GROUP_LEFT, parser.GROUP_RIGHT:
				grouping = true
			}
		case parser.RIGHT_PAREN:
			grouping = false
		case parser.NUMBER:
			if brackets > 0 || before == parser.OFFSET || strings.Contains(it.Val, "_") {
				return true
			}
		case parser.DURATION:
			if before == parser.AT {
				return true
			}
		case parser.STRING:
			name := at(i-1) == parser.LEFT_BRACE || at(i-1) == parser.COMMA && inBraces(items[:i])
			if grouping || name {
				return true
			}
		}
	}
	return false
}

// inBraces reports whether a selector is open at the end of items.
func inBraces(items []parser.Item) bool {
	for i := len(items) - 1; i >= 0; i-- {
		switch items[i].Typ {
		case parser.LEFT_BRACE:
			return true
		case parser.RIGHT_BRACE, parser.LEFT_PAREN:
			return false
		}
	}
	return false
}

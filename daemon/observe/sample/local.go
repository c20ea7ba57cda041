package sample

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// EngineVersion is the release of Prometheus whose engine answers here.
const EngineVersion = "3.16.0"

// Local answers from a [Store] with Prometheus' engine. It is a [Querier], a
// [Lister] and a [Raw], and safe for any number of callers.
type Local struct {
	store    *Store
	engine   *promql.Engine
	lookBack time.Duration
}

// LocalOptions limit what a query may take. Zero values mean the defaults.
type LocalOptions struct {
	Timeout    time.Duration // of one query; 0 means 10 s
	MaxSamples int           // in memory at one time for one query; 0 means 6 million, all of 48 h
}

// NewLocal returns a Querier over the store.
func NewLocal(s *Store, opt LocalOptions) *Local {
	if opt.Timeout == 0 {
		opt.Timeout = 10 * time.Second
	}
	if opt.MaxSamples == 0 {
		opt.MaxSamples = 6e6
	}
	step := s.opt.Interval.Milliseconds()
	l := &Local{store: s, lookBack: 3 * s.opt.Interval}
	l.engine = promql.NewEngine(promql.EngineOpts{
		MaxSamples:               opt.MaxSamples,
		Timeout:                  opt.Timeout,
		LookbackDelta:            l.lookBack,
		NoStepSubqueryIntervalFn: func(int64) int64 { return step },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   dialect(),
	})
	return l
}

// Instant implements [Querier].
func (l *Local) Instant(ctx context.Context, expr string, at time.Time) (Vector, error) {
	q, err := l.engine.NewInstantQuery(ctx, l.store, nil, expr, at)
	if err != nil {
		return nil, trouble(expr, err)
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, trouble(expr, res.Err)
	}
	var out Vector
	switch v := res.Value.(type) {
	case promql.Vector:
		out = make(Vector, 0, len(v))
		for i := range v {
			if v[i].H != nil {
				return nil, errHistogram()
			}
			out = append(out, Sample{Labels: plain(v[i].Metric), T: v[i].T, V: v[i].F})
		}
		if !ordered(expr) {
			slices.SortFunc(out, func(a, b Sample) int { return a.Labels.Compare(b.Labels) })
		}
	case promql.Scalar:
		out = Vector{{T: v.T, V: v.V}}
	default:
		return nil, &QueryError{TroubleBadData, "the expression is a " + parser.DocumentedType(res.Value.Type()) + ", not a scalar or an instant vector"}
	}
	return out, warnings(expr, res.Warnings)
}

// Range implements [Querier].
func (l *Local) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (Matrix, error) {
	if err := checkRange(from, to, step); err != nil {
		return nil, err
	}
	q, err := l.engine.NewRangeQuery(ctx, l.store, nil, expr, from, to, step)
	if err != nil {
		return nil, trouble(expr, err)
	}
	return matrix(ctx, q, expr)
}

// Samples implements [Raw].
func (l *Local) Samples(ctx context.Context, expr string, at time.Time) (Matrix, error) {
	q, err := l.engine.NewInstantQuery(ctx, l.store, nil, expr, at)
	if err != nil {
		return nil, trouble(expr, err)
	}
	return matrix(ctx, q, expr)
}

func checkRange(from, to time.Time, step time.Duration) error {
	switch {
	case step < time.Millisecond:
		return &QueryError{TroubleBadData, "the step of a range is at least 1 ms"}
	case to.Before(from):
		return &QueryError{TroubleBadData, "a range must not end before it begins"}
	}
	return nil
}

// matrix runs a query whose result is a matrix, and closes it.
func matrix(ctx context.Context, q promql.Query, expr string) (Matrix, error) {
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, trouble(expr, res.Err)
	}
	m, ok := res.Value.(promql.Matrix)
	if !ok {
		return nil, &QueryError{TroubleBadData, "the expression is a " + parser.DocumentedType(res.Value.Type()) + ", not a range vector"}
	}
	out := make(Matrix, 0, len(m))
	for i := range m {
		if len(m[i].Histograms) > 0 {
			return nil, errHistogram()
		}
		s := Series{Labels: plain(m[i].Metric), Points: make([]Point, len(m[i].Floats))}
		for k, p := range m[i].Floats {
			s.Points[k] = Point{T: p.T, V: p.F}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Series) int { return a.Labels.Compare(b.Labels) })
	return out, warnings(expr, res.Warnings)
}

func errHistogram() error {
	return &QueryError{TroubleExecution, "native histograms are not supported"}
}

// Info implements [Querier].
func (l *Local) Info(context.Context) (Source, error) {
	src := Source{Kind: KindLocal, Version: EngineVersion, LookBack: l.lookBack}
	if v := l.store.view.Load(); v.samples > 0 {
		src.First, src.Last = time.UnixMilli(v.first).UTC(), time.UnixMilli(v.last).UTC()
	}
	return src, nil
}

// Series implements [Lister].
func (l *Local) Series(_ context.Context, matchers []string, from, to time.Time, limit int) ([]Labels, error) {
	var out []Labels
	err := l.each(matchers, from, to, func(ls labels.Labels) { out = append(out, plain(ls)) })
	slices.SortFunc(out, Labels.Compare)
	return first(out, limit), err
}

// LabelNames implements [Lister].
func (l *Local) LabelNames(_ context.Context, matchers []string, from, to time.Time, limit int) ([]string, error) {
	seen := map[string]bool{}
	err := l.each(matchers, from, to, func(ls labels.Labels) {
		ls.Range(func(l labels.Label) { seen[l.Name] = true })
	})
	return first(slices.Sorted(maps.Keys(seen)), limit), err
}

// LabelValues implements [Lister].
func (l *Local) LabelValues(_ context.Context, name string, matchers []string, from, to time.Time, limit int) ([]string, error) {
	seen := map[string]bool{}
	err := l.each(matchers, from, to, func(ls labels.Labels) {
		if v := ls.Get(name); v != "" {
			seen[v] = true
		}
	})
	return first(slices.Sorted(maps.Keys(seen)), limit), err
}

// each calls yield once for every series that one of the selectors matches.
func (l *Local) each(selectors []string, from, to time.Time, yield func(labels.Labels)) error {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	if !from.IsZero() {
		lo = from.UnixMilli()
	}
	if !to.IsZero() {
		hi = to.UnixMilli()
	}
	sets := [][]*labels.Matcher{nil}
	if len(selectors) > 0 {
		sets = nil
	}
	for _, s := range selectors {
		ms, err := dialect().ParseMetricSelector(s)
		if err != nil {
			return syntaxError(s, err)
		}
		sets = append(sets, ms)
	}
	v := l.store.view.Load()
	seen := map[uint32]bool{}
	for _, ms := range sets {
		v.match(lo, hi, ms, func(i uint32) {
			if !seen[i] {
				seen[i] = true
				yield(v.labels[i])
			}
		})
	}
	return nil
}

func first[T any](list []T, limit int) []T {
	if limit > 0 && len(list) > limit {
		return list[:limit]
	}
	return list
}

// plain takes labels out of Prometheus' form.
func plain(ls labels.Labels) Labels {
	out := make(Labels, 0, ls.Len())
	ls.Range(func(l labels.Label) { out = append(out, Label{l.Name, l.Value}) })
	return out
}

// ordered reports whether the order of a result is part of it.
func ordered(expr string) bool {
	if !strings.Contains(expr, "sort") { // nearly always, and much cheaper
		return false
	}
	e, err := dialect().ParseExpr(expr)
	for err == nil {
		switch n := e.(type) {
		case *parser.ParenExpr:
			e = n.Expr
			continue
		case *parser.Call:
			return strings.HasPrefix(n.Func.Name, "sort")
		}
		break
	}
	return false
}

// warnings makes an error of what the engine warns of. Its infos, such as "this may
// be no counter", say nothing about the answer.
func warnings(expr string, a annotations.Annotations) error {
	if len(a) == 0 {
		return nil
	}
	if w, _ := a.AsStrings(expr, 10, 1); len(w) > 0 {
		slices.Sort(w)
		return Warnings(w)
	}
	return nil
}

// trouble puts an error of the engine into one of our classes.
func trouble(expr string, err error) error {
	if _, ok := errors.AsType[parser.ParseErrors](err); ok {
		return syntaxError(expr, err)
	}
	if _, ok := errors.AsType[*parser.ParseErr](err); ok {
		return syntaxError(expr, err)
	}
	kind := TroubleExecution
	if _, ok := errors.AsType[promql.ErrQueryTimeout](err); ok || errors.Is(err, context.DeadlineExceeded) {
		kind = TroubleTimeout
	} else if _, ok := errors.AsType[promql.ErrQueryCanceled](err); ok || errors.Is(err, context.Canceled) {
		kind = TroubleCanceled
	} else if strings.HasPrefix(err.Error(), "invalid expression type") {
		kind = TroubleBadData
	}
	return &QueryError{kind, err.Error()}
}

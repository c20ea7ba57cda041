package sample

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/spark-ta/spark/core/wire"
)

// PathBuildInfo is asked by Grafana, which decides by the version what it may use.
const PathBuildInfo = "/api/v1/status/buildinfo"

const (
	maxForm  = 1 << 20 // bytes of a request's body, as a long expression is posted
	maxSteps = 11000   // of a range, as in Prometheus
)

// API serves the reading half of Prometheus' HTTP interface from any Querier and
// Lister. Answers, classes of errors and status codes are Prometheus'.
type API struct {
	Querier Querier
	Lister  Lister
	// Raw answers queries for a range of raw samples; nil refuses them.
	Raw Raw
	// Timeout is the most that a query may take, and what one takes that asks for
	// nothing else; 0 means 30 s.
	Timeout time.Duration
	// AtOnce is how many queries run at the same time; the others wait within their
	// timeout. 0 means 4.
	AtOnce int
}

// Routes returns the handlers by pattern of net/http. Each answers GET and POST with
// the parameters in the query or in a form.
func (a *API) Routes() map[string]http.Handler {
	turn := make(chan struct{}, cmp.Or(a.AtOnce, 4))
	on := func(f func(ctx context.Context, p *params) (answer, error)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, turn, f) })
	}
	return map[string]http.Handler{
		wire.PathQuery:       on(a.query),
		wire.PathQueryRange:  on(a.queryRange),
		wire.PathSeries:      on(a.series),
		wire.PathLabels:      on(a.labelNames),
		wire.PathLabelValues: on(a.labelValues),
		PathBuildInfo:        on(a.buildInfo),
	}
}

// serve reads the parameters, waits for a turn, and writes the answer.
func (a *API) serve(w http.ResponseWriter, r *http.Request, turn chan struct{}, f func(context.Context, *params) (answer, error)) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		refuse(w, http.StatusMethodNotAllowed, TroubleBadData, "use GET or POST")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, TroubleBadData, "error parsing form values: "+err.Error())
		return
	}
	p := &params{form: r.Form, name: r.PathValue("name"), now: time.Now()}
	timeout := cmp.Or(a.Timeout, 30*time.Second)
	if asked := p.duration("timeout", timeout); asked > 0 {
		timeout = min(timeout, asked)
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	var out answer
	err := p.err
	if err == nil {
		select {
		case turn <- struct{}{}:
			out, err = f(ctx, p)
			<-turn
		case <-ctx.Done():
			err = &QueryError{TroubleTimeout, "query timed out while waiting for its turn"}
		}
	}
	if warned, ok := errors.AsType[Warnings](err); ok {
		out.warnings, err = append(out.warnings, warned...), nil
	}
	if err != nil {
		status, kind := class(err)
		refuse(w, status, kind, err.Error())
		return
	}
	out.write(w)
}

// class returns the status and the word for an error.
func class(err error) (int, Trouble) {
	if _, ok := errors.AsType[*SyntaxError](err); ok {
		return http.StatusBadRequest, TroubleBadData
	}
	if e, ok := errors.AsType[*QueryError](err); ok {
		switch e.Trouble {
		case TroubleBadData:
			return http.StatusBadRequest, e.Trouble
		case TroubleExecution:
			return http.StatusUnprocessableEntity, e.Trouble
		case TroubleTimeout, TroubleUnavailable, TroubleCanceled:
			return http.StatusServiceUnavailable, e.Trouble
		}
	}
	return http.StatusInternalServerError, "internal"
}

func bad(format string, args ...any) error {
	return &QueryError{TroubleBadData, fmt.Sprintf(format, args...)}
}

func (a *API) query(ctx context.Context, p *params) (answer, error) {
	at, limit, expr := p.time("time", p.now), p.limit(), p.form.Get("query")
	if p.err != nil {
		return answer{}, p.err
	}
	e, err := dialect().ParseExpr(expr)
	if err != nil {
		return answer{}, invalid("query", syntaxError(expr, err))
	}
	switch e.Type() {
	case parser.ValueTypeString:
		return answer{data: appendText(at, text(e))}, nil
	case parser.ValueTypeMatrix:
		if a.Raw == nil {
			return answer{}, bad("invalid parameter \"query\": raw samples are not served here")
		}
		m, err := a.Raw.Samples(ctx, expr, at)
		data, more := appendMatrix(m, limit)
		return answer{data: data, warnings: more}, err
	}
	v, err := a.Querier.Instant(ctx, expr, at)
	if e.Type() == parser.ValueTypeScalar && len(v) == 1 {
		return answer{data: appendScalar(v[0])}, err
	}
	data, more := appendVector(v, limit)
	return answer{data: data, warnings: more}, err
}

// text returns the value of a string, which may stand in parentheses.
func text(e parser.Expr) string {
	for {
		switch n := e.(type) {
		case *parser.ParenExpr:
			e = n.Expr
		case *parser.StringLiteral:
			return n.Val
		default:
			return ""
		}
	}
}

func (a *API) queryRange(ctx context.Context, p *params) (answer, error) {
	from, to := p.time("start", time.Time{}), p.time("end", time.Time{})
	step, limit, expr := p.duration("step", 0), p.limit(), p.form.Get("query")
	switch {
	case p.err != nil:
		return answer{}, p.err
	case from.IsZero() || to.IsZero():
		return answer{}, bad("invalid parameter: start and end are needed")
	case to.Before(from):
		return answer{}, bad("invalid parameter \"end\": end timestamp must not be before start time")
	case step < time.Millisecond:
		return answer{}, bad("invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer")
	case to.Sub(from)/step > maxSteps:
		return answer{}, bad("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
	}
	if _, err := Parse(expr); err != nil {
		return answer{}, invalid("query", err)
	}
	m, err := a.Querier.Range(ctx, expr, from, to, step)
	data, more := appendMatrix(m, limit)
	return answer{data: data, warnings: more}, err
}

// matchers checks selectors, so that a remote source is not asked in vain.
func (p *params) matchers() []string {
	list := p.form["match[]"]
	for _, m := range list {
		if _, err := dialect().ParseMetricSelector(m); err != nil && p.err == nil {
			p.err = invalid("match[]", syntaxError(m, err))
		}
	}
	return list
}

func (a *API) series(ctx context.Context, p *params) (answer, error) {
	ms, from, to, limit := p.matchers(), p.time("start", time.Time{}), p.time("end", time.Time{}), p.limit()
	switch {
	case p.err != nil:
		return answer{}, p.err
	case len(ms) == 0:
		return answer{}, bad("no match[] parameter provided")
	}
	list, err := a.Lister.Series(ctx, ms, from, to, oneMore(limit))
	list, more := cut(list, limit)
	return answer{data: appendSeries(list), warnings: more}, err
}

func (a *API) labelNames(ctx context.Context, p *params) (answer, error) {
	ms, from, to, limit := p.matchers(), p.time("start", time.Time{}), p.time("end", time.Time{}), p.limit()
	if p.err != nil {
		return answer{}, p.err
	}
	list, err := a.Lister.LabelNames(ctx, ms, from, to, oneMore(limit))
	list, more := cut(list, limit)
	return answer{data: appendStrings(list), warnings: more}, err
}

func (a *API) labelValues(ctx context.Context, p *params) (answer, error) {
	ms, from, to, limit := p.matchers(), p.time("start", time.Time{}), p.time("end", time.Time{}), p.limit()
	switch {
	case p.err != nil:
		return answer{}, p.err
	case !model.UTF8Validation.IsValidLabelName(p.name):
		return answer{}, bad("invalid label name: %q", p.name)
	}
	list, err := a.Lister.LabelValues(ctx, p.name, ms, from, to, oneMore(limit))
	list, more := cut(list, limit)
	return answer{data: appendStrings(list), warnings: more}, err
}

// oneMore asks for one result more than is shown, to see whether any was left out.
func oneMore(limit int) int {
	if limit == 0 {
		return 0
	}
	return limit + 1
}

func cut[T any](list []T, limit int) ([]T, []string) {
	if limit > 0 && len(list) > limit {
		return list[:limit], []string{truncated}
	}
	return list, nil
}

// truncated is Prometheus' warning.
const truncated = "results truncated due to limit"

func (a *API) buildInfo(ctx context.Context, _ *params) (answer, error) {
	src, err := a.Querier.Info(ctx)
	if err != nil {
		return answer{}, err
	}
	d := append([]byte(nil), `{"version":`...)
	d = appendJSON(d, src.Version)
	d = append(d, `,"revision":"","branch":"","buildUser":"","buildDate":"","goVersion":""}`...)
	return answer{data: d}, nil
}

// invalid names the parameter that an error is about.
func invalid(param string, err error) error {
	return bad("invalid parameter %s: %v", strconv.Quote(param), err)
}

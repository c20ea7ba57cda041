package sample

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// maxPoints is how many points of a series a server gives at once.
const maxPoints = 11000

// Remote answers from a Prometheus server. It is a [Querier], a [Lister] and a
// [Raw], and safe for any number of callers.
type Remote struct {
	api      v1.API
	host     string
	secrets  []string // what must not be in an error
	lookBack time.Duration
	timeout  time.Duration
}

// RemoteOptions of a server. Zero values mean the defaults.
type RemoteOptions struct {
	// LookBack is what the server uses; it is stated, not set. 0 means 5 min.
	LookBack time.Duration
	Timeout  time.Duration // of one request; 0 means 30 s
	// Transport makes the requests; nil means the client library's own.
	Transport http.RoundTripper
}

// NewRemote returns a Querier for the server at an http or https URL, which may hold
// a user and a password and a path before /api. It asks nothing yet. No error, of
// this function or of the Querier, repeats the URL.
func NewRemote(address string, opt RemoteOptions) (*Remote, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("address of Prometheus: want http://host:port or https://host:port")
	}
	if opt.LookBack == 0 {
		opt.LookBack = 5 * time.Minute
	}
	if opt.Timeout == 0 {
		opt.Timeout = 30 * time.Second
	}
	if opt.Transport == nil {
		opt.Transport = api.DefaultRoundTripper
	}
	r := &Remote{host: u.Host, lookBack: opt.LookBack, timeout: opt.Timeout}
	if u.User != nil {
		password, _ := u.User.Password()
		opt.Transport = &basicAuth{next: opt.Transport, host: u.Host, user: u.User.Username(), password: password}
		r.secrets = append(r.secrets, password, url.QueryEscape(password), u.User.String())
		u.User = nil
	}
	for _, vs := range u.Query() {
		r.secrets = append(r.secrets, vs...)
	}
	r.secrets = append(r.secrets, u.RawQuery)
	r.secrets = slices.DeleteFunc(r.secrets, func(s string) bool { return s == "" })
	c, err := api.NewClient(api.Config{Address: u.String(), RoundTripper: opt.Transport})
	if err != nil {
		return nil, r.trouble(err)
	}
	r.api = v1.NewAPI(c)
	return r, nil
}

// basicAuth signs requests to one host; a redirect to another gets nothing.
type basicAuth struct {
	next                 http.RoundTripper
	host, user, password string
}

func (b *basicAuth) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == b.host {
		req = req.Clone(req.Context())
		req.SetBasicAuth(b.user, b.password)
	}
	return b.next.RoundTrip(req)
}

// Instant implements [Querier].
func (r *Remote) Instant(ctx context.Context, expr string, at time.Time) (Vector, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	v, w, _, err := r.api.Query(ctx, expr, at)
	if err != nil {
		return nil, r.trouble(err)
	}
	var out Vector
	switch v := v.(type) {
	case model.Vector:
		out = make(Vector, 0, len(v))
		for _, s := range v {
			if s.Histogram != nil {
				return nil, errHistogram()
			}
			out = append(out, Sample{Labels: plainSet(s.Metric), T: int64(s.Timestamp), V: float64(s.Value)})
		}
		if !ordered(expr) {
			slices.SortFunc(out, func(a, b Sample) int { return a.Labels.Compare(b.Labels) })
		}
	case *model.Scalar:
		out = Vector{{T: int64(v.Timestamp), V: float64(v.Value)}}
	default:
		return nil, &QueryError{TroubleBadData, "the expression is not a scalar or an instant vector"}
	}
	return out, r.warned(w)
}

// Range implements [Querier]. More than 11,000 points are asked for in parts.
func (r *Remote) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (Matrix, error) {
	if err := checkRange(from, to, step); err != nil {
		return nil, err
	}
	var out Matrix
	var warned v1.Warnings
	place := map[string]int{}
	for ; !from.After(to); from = from.Add(maxPoints * step) {
		end := from.Add((maxPoints - 1) * step)
		if end.After(to) {
			end = to
		}
		part, w, err := r.part(ctx, expr, v1.Range{Start: from, End: end, Step: step})
		if err != nil {
			return nil, err
		}
		warned = append(warned, w...)
		for _, s := range part {
			key := s.Labels.String()
			i, ok := place[key]
			if !ok {
				place[key] = len(out)
				out = append(out, s)
				continue
			}
			out[i].Points = append(out[i].Points, s.Points...)
		}
	}
	slices.SortFunc(out, func(a, b Series) int { return a.Labels.Compare(b.Labels) })
	return out, r.warned(warned)
}

func (r *Remote) part(ctx context.Context, expr string, rg v1.Range) (Matrix, v1.Warnings, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	v, w, _, err := r.api.QueryRange(ctx, expr, rg)
	if err != nil {
		return nil, nil, r.trouble(err)
	}
	m, err := plainMatrix(v)
	return m, w, err
}

// Samples implements [Raw].
func (r *Remote) Samples(ctx context.Context, expr string, at time.Time) (Matrix, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	v, w, _, err := r.api.Query(ctx, expr, at)
	if err != nil {
		return nil, r.trouble(err)
	}
	m, err := plainMatrix(v)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(m, func(a, b Series) int { return a.Labels.Compare(b.Labels) })
	return m, r.warned(w)
}

func plainMatrix(v model.Value) (Matrix, error) {
	m, ok := v.(model.Matrix)
	if !ok {
		return nil, &QueryError{TroubleBadData, "the expression is not a range vector"}
	}
	out := make(Matrix, 0, len(m))
	for _, s := range m {
		if len(s.Histograms) > 0 {
			return nil, errHistogram()
		}
		p := make([]Point, len(s.Values))
		for i, v := range s.Values {
			p[i] = Point{T: int64(v.Timestamp), V: float64(v.Value)}
		}
		out = append(out, Series{Labels: plainSet(s.Metric), Points: p})
	}
	return out, nil
}

// Info implements [Querier].
func (r *Remote) Info(ctx context.Context) (Source, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	build, err := r.api.Buildinfo(ctx)
	if err != nil {
		return Source{}, r.trouble(err)
	}
	src := Source{Kind: KindRemote, Version: build.Version, LookBack: r.lookBack, BirthBlind: true}
	// What only speaks Prometheus' language need not have a head to tell of.
	if db, err := r.api.TSDB(ctx); err == nil && db.HeadStats.MaxTime > 0 && db.HeadStats.MinTime <= db.HeadStats.MaxTime {
		src.First = time.UnixMilli(int64(db.HeadStats.MinTime)).UTC()
		src.Last = time.UnixMilli(int64(db.HeadStats.MaxTime)).UTC()
	}
	return src, nil
}

// Series implements [Lister].
func (r *Remote) Series(ctx context.Context, matchers []string, from, to time.Time, limit int) ([]Labels, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if len(matchers) == 0 {
		matchers = []string{`{` + NameLabel + `!=""}`} // a server wants at least one
	}
	sets, w, _, err := r.api.Series(ctx, matchers, from, to, v1.WithLimit(uint64(max(limit, 0))))
	if err != nil {
		return nil, r.trouble(err)
	}
	out := make([]Labels, 0, len(sets))
	for _, s := range sets {
		out = append(out, plainSet(model.Metric(s)))
	}
	slices.SortFunc(out, Labels.Compare)
	return first(out, limit), r.warned(w)
}

// LabelNames implements [Lister].
func (r *Remote) LabelNames(ctx context.Context, matchers []string, from, to time.Time, limit int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	names, w, _, err := r.api.LabelNames(ctx, matchers, from, to, v1.WithLimit(uint64(max(limit, 0))))
	if err != nil {
		return nil, r.trouble(err)
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return first(out, limit), r.warned(w)
}

// LabelValues implements [Lister].
func (r *Remote) LabelValues(ctx context.Context, name string, matchers []string, from, to time.Time, limit int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	values, w, _, err := r.api.LabelValues(ctx, name, matchers, from, to, v1.WithLimit(uint64(max(limit, 0))))
	if err != nil {
		return nil, r.trouble(err)
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return first(out, limit), r.warned(w)
}

func plainSet(m model.Metric) Labels {
	out := make(Labels, 0, len(m))
	for n, v := range m {
		out = append(out, Label{string(n), string(v)})
	}
	slices.SortFunc(out, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (r *Remote) warned(w v1.Warnings) error {
	if len(w) == 0 {
		return nil
	}
	out := slices.Clone([]string(w))
	for i := range out {
		out[i] = r.scrub(out[i])
	}
	slices.Sort(out)
	return Warnings(slices.Compact(out))
}

// trouble puts an error of the client into one of our classes.
func (r *Remote) trouble(err error) error {
	kind := TroubleUnavailable
	var msg string
	if e, ok := errors.AsType[*v1.Error](err); ok {
		switch e.Type {
		case v1.ErrBadData:
			kind = TroubleBadData
		case v1.ErrExec:
			kind = TroubleExecution
		case v1.ErrTimeout:
			kind = TroubleTimeout
		case v1.ErrCanceled:
			kind = TroubleCanceled
		}
		msg = e.Msg
	} else {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the address
		}
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			kind = TroubleTimeout
		case errors.Is(err, context.Canceled):
			kind = TroubleCanceled
		}
		msg = err.Error()
	}
	return &QueryError{kind, "prometheus at " + r.host + ": " + r.scrub(msg)}
}

func (r *Remote) scrub(s string) string {
	for _, secret := range r.secrets {
		s = strings.ReplaceAll(s, secret, "xxxxx")
	}
	return s
}

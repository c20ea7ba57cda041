package observe

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/stat"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/sample"
)

// Prober asks a source that is no query. The window is that of the evaluation.
type Prober interface {
	Probe(ctx context.Context, c *plan.Check, query string, from, to time.Time) plan.Observation
}

// asker answers queries from the samples, and the rest through its prober.
type asker struct {
	querier sample.Querier
	source  sample.Source // as last told
	prober  Prober
	every   time.Duration // between scrapes

	mu     sync.Mutex
	shares map[[2]int64]float64 // guarded by mu; coverage by window, of the newest time
	newest int64                // guarded by mu
}

// Ask implements Asker.
func (a *asker) Ask(ctx context.Context, s *plan.State, e plan.Evaluate) plan.Observation {
	o := plan.Observation{Coverage: -1, Events: -1, Engine: a.engine(), From: e.From, To: e.At}
	if a.dark(ctx, e) { // nobody answered: the question would be as empty, and dear
		o.Coverage = 0
		return o
	}
	switch {
	case e.Purpose == plan.ForPresence:
		o.Coverage = a.coverage(ctx, e)
	case e.Purpose == plan.ForBurn:
		a.burn(ctx, s, e, &o)
	case e.Check.Source.Language == plan.SourceSLO:
		a.slo(ctx, s, e, &o)
	case e.Check.Source.Baseline != "":
		a.spike(ctx, s, e, &o)
	case e.Check.Source.Language == plan.SourceTrend:
		a.trend(ctx, s, e, &o)
	case e.Check.Source.Language == plan.SourcePromQL:
		a.promql(ctx, s, e, &o)
	default:
		query := s.Plan.Substitute(e.Check.Source.Query, window(e))
		o = a.prober.Probe(ctx, e.Check, query, e.From, e.At)
		o.From, o.To, o.Query = e.From, e.At, query
	}
	return o
}

// dark reports whether nothing at all was seen of what an evaluation is about.
func (a *asker) dark(ctx context.Context, e plan.Evaluate) bool {
	switch e.Check.Source.Language {
	case plan.SourcePromQL, plan.SourceSLO, plan.SourceTrend:
		return e.Purpose != plan.ForPresence && a.coverage(ctx, e) == 0
	}
	return false
}

func (a *asker) engine() string {
	return "promql " + string(a.source.Kind) + " " + a.source.Version
}

// window is the length of time that $window stands for.
func window(e plan.Evaluate) time.Duration {
	if e.From.IsZero() || !e.From.Before(e.At) {
		return 5 * time.Minute
	}
	return e.At.Sub(e.From)
}

func (a *asker) promql(ctx context.Context, s *plan.State, e plan.Evaluate, o *plan.Observation) {
	o.Query = s.Plan.Substitute(e.Check.Source.Query, window(e))
	v, err := a.querier.Instant(ctx, o.Query, e.At)
	if err != nil {
		o.Err = err.Error()
		return
	}
	o.Digest = v.Digest()
	for _, x := range v {
		o.Series = append(o.Series, plan.Series{Name: nameOf(x.Labels), Fields: map[string]plan.Value{plan.FieldValue: plan.Number(x.V)}})
	}
	if e.Check.Source.Events != "" {
		n, err := a.number(ctx, s.Plan.Substitute(e.Check.Source.Events, window(e)), e.At)
		if err != nil {
			o.Err, o.Series = err.Error(), nil
			return
		}
		o.Events = n
	}
	o.Coverage = a.coverage(ctx, e)
}

// number is the sum of what a query answers; nothing is 0.
func (a *asker) number(ctx context.Context, query string, at time.Time) (float64, error) {
	v, err := a.querier.Instant(ctx, query, at)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, x := range v {
		if !math.IsNaN(x.V) {
			sum += x.V
		}
	}
	return sum, nil
}

// measure asks for the good and all events of a window.
func (a *asker) measure(ctx context.Context, s *plan.State, c *plan.Check, at time.Time, w time.Duration) (good, total float64, err error) {
	if good, err = a.number(ctx, s.Plan.Substitute(c.Source.Good, w), at); err != nil {
		return 0, 0, err
	}
	total, err = a.number(ctx, s.Plan.Substitute(c.Source.Total, w), at)
	return good, total, err
}

func (a *asker) slo(ctx context.Context, s *plan.State, e plan.Evaluate, o *plan.Observation) {
	w := window(e)
	o.Query = s.Plan.Substitute("("+e.Check.Source.Good+") / ("+e.Check.Source.Total+")", w)
	var err error
	if o.Good, o.Total, err = a.measure(ctx, s, e.Check, e.At, w); err != nil {
		o.Err = err.Error()
		return
	}
	a.show(ctx, s, e, w, o)
	o.Coverage = a.coverage(ctx, e)
}

// show adds the figure that people know.
func (a *asker) show(ctx context.Context, s *plan.State, e plan.Evaluate, w time.Duration, o *plan.Observation) {
	if e.Check.Source.Show == "" {
		return
	}
	v, err := a.querier.Instant(ctx, s.Plan.Substitute(e.Check.Source.Show, w), e.At)
	if err == nil && len(v) == 1 && !math.IsNaN(v[0].V) {
		o.Shown = &v[0].V
	}
}

// burn measures the windows of burn rates. They do not reach back before T0.
func (a *asker) burn(ctx context.Context, s *plan.State, e plan.Evaluate, o *plan.Observation) {
	clip := func(w time.Duration) time.Duration { return max(time.Minute, min(w, e.At.Sub(s.T0))) }
	for _, t := range e.Tiers {
		tier := plan.Tier{Name: t.Name}
		var err error
		if tier.LongGood, tier.LongTotal, err = a.measure(ctx, s, e.Check, e.At, clip(t.Long)); err == nil {
			tier.ShortGood, tier.ShortTotal, err = a.measure(ctx, s, e.Check, e.At, clip(t.Short))
		}
		if err != nil {
			o.Err = err.Error()
			return
		}
		o.Tiers = append(o.Tiers, tier)
	}
	if !e.From.IsZero() {
		a.slo(ctx, s, e, o)
	}
}

// spikeStep is how far apart the quarters of an hour are that are compared.
const spikeStep = 5 * time.Minute

// spike finds the quarter of an hour that stands out most from the six hours before it:
// the one least likely by chance.
func (a *asker) spike(ctx context.Context, s *plan.State, e plan.Evaluate, o *plan.Observation) {
	o.Query = s.Plan.Substitute(e.Check.Source.Query, window(e))
	recent, err := a.querier.Range(ctx, o.Query, e.From, e.At, spikeStep)
	if err != nil {
		o.Err = err.Error()
		return
	}
	base, err := a.querier.Range(ctx, s.Plan.Substitute(e.Check.Source.Baseline, window(e)), e.From, e.At, spikeStep)
	if err != nil {
		o.Err = err.Error()
		return
	}
	o.Digest = recent.Digest()
	if len(recent) != 1 || len(base) > 1 {
		if len(recent) > 1 || len(base) > 1 {
			o.Err = "a spike is looked for in one series: sum the query and its baseline"
		}
		return
	}
	before := map[int64]float64{}
	for _, x := range base {
		for _, p := range x.Points {
			before[p.T] = p.V
		}
	}
	worst := stat.Spike{P: 1}
	for _, p := range recent[0].Points {
		if k := stat.NewSpike(p.V, plan.SpikeWindow, before[p.T], plan.SpikeBase); k.Enough && (k.Spiked && !worst.Spiked || k.Spiked == worst.Spiked && k.P < worst.P) {
			worst = k
		}
	}
	o.Series = []plan.Series{{Name: "{}", Fields: map[string]plan.Value{
		"events": plan.Number(math.Round(worst.Events)), "ratio": plan.Number(worst.Ratio), "p": plan.Number(worst.P),
	}}}
	o.Coverage = a.coverage(ctx, e)
}

const (
	trendStep = time.Minute
	// gone is how long a series may be without samples and still belong to a process
	// that runs.
	gone = 10 * time.Minute
)

func (a *asker) trend(ctx context.Context, s *plan.State, e plan.Evaluate, o *plan.Observation) {
	o.Query = s.Plan.Substitute(e.Check.Source.Query, window(e))
	m, err := a.querier.Range(ctx, o.Query, e.From, e.At, trendStep)
	if err != nil {
		o.Err = err.Error()
		return
	}
	starts, err := a.querier.Range(ctx, "process_start_time_seconds", e.From, e.At, trendStep)
	if err != nil {
		o.Err = err.Error()
		return
	}
	o.Digest = m.Digest()
	for _, x := range m {
		if n := len(x.Points); n == 0 || e.At.UnixMilli()-x.Points[n-1].T > gone.Milliseconds() {
			continue // the process has ended
		}
		line := plan.Series{Name: nameOf(x.Labels), Points: make([]stat.Point, 0, len(x.Points)), Starts: startsOf(starts, x.Labels.Get("instance"))}
		if by := x.Labels.Get(e.Check.Source.By); by != "" {
			line.Name = by
		}
		for _, p := range x.Points {
			line.Points = append(line.Points, stat.Point{T: p.T, V: p.V})
		}
		o.Series = append(o.Series, line)
	}
	o.Coverage = a.coverage(ctx, e)
}

// startsOf lists the times at which an instance was started.
func startsOf(m sample.Matrix, instance string) []time.Time {
	var out []time.Time
	for _, x := range m {
		if x.Labels.Get("instance") != instance {
			continue
		}
		last := math.NaN()
		for _, p := range x.Points {
			if p.V != last {
				out = append(out, time.UnixMilli(int64(p.V*1000)))
			}
			last = p.V
		}
	}
	return out
}

// coverage is the share of the samples that were to be expected: in a window by the
// observer's own ticks and by the scrapes that worked, at one time by the targets
// that answered. Below 0 when it cannot be told.
func (a *asker) coverage(ctx context.Context, e plan.Evaluate) float64 {
	from, to := e.From, e.At
	if from.IsZero() || e.Check.Mode == plan.Point || e.Check.Mode == plan.Invariant {
		from = to
	}
	key := [2]int64{from.UnixMilli(), to.UnixMilli()}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.newest != key[1] || a.shares == nil {
		a.shares, a.newest = map[[2]int64]float64{}, key[1]
	}
	if v, ok := a.shares[key]; ok {
		return v
	}
	v := a.share(ctx, from, to)
	a.shares[key] = v
	return v
}

func (a *asker) share(ctx context.Context, from, to time.Time) float64 {
	if from.Equal(to) {
		v, err := a.querier.Instant(ctx, "avg("+wire.SeriesUp+")", to)
		if err != nil || len(v) != 1 {
			return 0
		}
		return v[0].V
	}
	w := fmt.Sprintf("[%ds]", int64(to.Sub(from).Seconds()))
	up, err := a.querier.Instant(ctx, "sum(sum_over_time("+wire.SeriesUp+w+")) / sum(count_over_time("+wire.SeriesUp+w+"))", to)
	if err != nil || len(up) != 1 {
		return 0
	}
	if a.source.Kind == sample.KindRemote {
		return up[0].V // it does not say how often it looked
	}
	ticks, err := a.number(ctx, "max(count_over_time("+wire.SeriesTick+w+"))", to)
	if err != nil {
		return 0
	}
	expected := math.Floor(to.Sub(from).Seconds() / a.every.Seconds())
	if expected < 1 {
		return up[0].V
	}
	// One tick more or less is a matter of where the window's ends lie.
	return up[0].V * min(1, (ticks+1)/expected)
}

// nameOf names a series in few words: by its only telling label, else by all of them.
func nameOf(ls sample.Labels) string {
	var rest []sample.Label
	for _, l := range ls {
		switch l.Name {
		case "__name__", "job", "role":
		default:
			rest = append(rest, l)
		}
	}
	switch len(rest) {
	case 0:
		return "{}"
	case 1:
		return rest[0].Value
	}
	var b strings.Builder
	for i, l := range rest {
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString(l.Value)
	}
	return b.String()
}

// NewAsker answers queries from samples and the rest through a prober. every is the
// time between scrapes.
func NewAsker(q sample.Querier, source sample.Source, p Prober, every time.Duration) Asker {
	return &asker{querier: q, source: source, prober: p, every: every}
}

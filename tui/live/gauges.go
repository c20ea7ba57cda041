package live

import (
	"context"
	"io"
	"math"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

const (
	gaugesKept = 300                                // ten minutes of figures
	minute     = int(time.Minute / GaugesEvery)     // figures in the last minute
	maxScrapes = 16                                 // instances asked at once
	evalCount  = wire.MetricEvalDuration + "_count" // evaluations so far
)

// totals are the sums and the greatest values of one metrics page.
type totals map[string]figure

type figure struct{ sum, most float64 }

// counters are the metrics of which the increase matters. A process that was
// restarted begins at 0 again, so each is followed by instance.
func counters() []string {
	return []string{evalCount, wire.MetricAlertsTriggered, wire.MetricNotificationsSent, wire.MetricNotificationsFailed, wire.MetricNotificationsDead}
}

func gaugeNames() []string {
	return []string{
		wire.MetricAlertsActive, wire.MetricOutboxDepth, wire.MetricOutboxOldest, wire.MetricStreamsConnected,
		wire.MetricUpstreamConnected, wire.MetricCandleAge,
	}
}

// runGauges scrapes every instance.
func (l *Live) runGauges(ctx context.Context) error {
	h := history{last: map[string]totals{}}
	wanted := map[string]bool{}
	for _, name := range append(counters(), gaugeNames()...) {
		wanted[name] = true
	}
	return l.every(ctx, GaugesEvery, l.gauges, func(ctx context.Context) {
		urls := l.places.metricURLs()
		if len(urls) == 0 {
			return
		}
		pages, err := l.scrape(ctx, urls[:min(len(urls), maxScrapes)], wanted)
		if ctx.Err() != nil {
			return
		}
		g := h.add(time.Now(), pages)
		g.Of = len(urls)
		g.Err = cause(err)
		l.board.change(func(p *Picture, rev uint64) {
			g.Rev = rev
			if g.Scraped == 0 {
				g.At = p.Gauges.At
			}
			p.Gauges = g
		})
	})
}

// scrape asks all instances at once and returns the pages of those that answered,
// by URL, and one of the errors of the others.
func (l *Live) scrape(ctx context.Context, urls []string, wanted map[string]bool) (map[string]totals, error) {
	pages, errs := make([]totals, len(urls)), make([]error, len(urls))
	parallel(len(urls), func(i int) {
		page := totals{}
		errs[i] = l.read(ctx, urls[i], askPatience, func(r io.Reader) error {
			return readExposition(r, func(s sample) {
				if wanted[s.name] {
					page.add(s)
				}
			})
		})
		pages[i] = page
	})
	answered := map[string]totals{}
	var failed error
	for i, err := range errs {
		if err != nil {
			failed = err
			continue
		}
		answered[urls[i]] = pages[i]
	}
	return answered, failed
}

func (t totals) add(s sample) {
	f, seen := t[s.name]
	f.sum += s.value
	if !seen || s.value > f.most {
		f.most = s.value
	}
	t[s.name] = f
}

// history turns pages into series. It belongs to one goroutine.
type history struct {
	last      map[string]totals // newest page by instance
	at        time.Time
	increases map[string][]float64 // by counter, one entry each scrape
	streams   []float64
}

func (h *history) add(now time.Time, pages map[string]totals) Gauges {
	if h.increases == nil {
		h.increases = map[string][]float64{}
	}
	elapsed := now.Sub(h.at).Seconds()
	if !h.at.IsZero() {
		h.skip(int(now.Sub(h.at)/GaugesEvery) - 1)
	}
	for _, name := range counters() {
		h.increases[name] = keep(h.increases[name], h.increase(name, pages))
	}
	first := h.at.IsZero()
	h.at = now
	if len(h.last) > 4*maxScrapes {
		clear(h.last) // instances of long ago; those that answered follow now
	}
	for u, page := range pages {
		h.last[u] = page
	}

	g := unknownGauges()
	g.Scraped = len(pages)
	if len(pages) > 0 {
		g.At = now
	}
	present(&g, pages)
	h.streams = keep(h.streams, g.StreamsNow)
	g.Streams = append([]float64(nil), h.streams...)
	rates := h.increases[evalCount]
	if first || elapsed <= 0 {
		rates[len(rates)-1] = math.NaN()
	} else {
		rates[len(rates)-1] /= elapsed
	}
	g.Evaluations = append([]float64(nil), rates...)
	g.EvaluationsNow = rates[len(rates)-1]
	g.Triggers = lastMinute(h.increases[wire.MetricAlertsTriggered])
	g.Sent = lastMinute(h.increases[wire.MetricNotificationsSent])
	g.Failed = lastMinute(h.increases[wire.MetricNotificationsFailed])
	return g
}

// skip makes a hole of n figures: the time in which there was no link.
func (h *history) skip(n int) {
	for range min(n, gaugesKept) {
		for _, name := range counters() {
			h.increases[name] = keep(h.increases[name], math.NaN())
		}
		h.streams = keep(h.streams, math.NaN())
	}
}

// increase returns by how much a counter grew since the last look, over all
// instances that were seen before; NaN if no instance answered.
func (h *history) increase(name string, pages map[string]totals) float64 {
	if len(pages) == 0 {
		return math.NaN()
	}
	grown := 0.0
	for u, page := range pages {
		before, seen := h.last[u]
		if !seen {
			continue
		}
		d := page[name].sum - before[name].sum
		if d < 0 {
			d = page[name].sum // restarted
		}
		if !math.IsNaN(d) && !math.IsInf(d, 0) {
			grown += d
		}
	}
	return grown
}

// present fills in the figures of this moment.
func present(g *Gauges, pages map[string]totals) {
	all := totals{}
	for _, page := range pages {
		for name, f := range page {
			t, seen := all[name]
			if !seen {
				t.most = f.most
			}
			all[name] = figure{sum: t.sum + f.sum, most: max(t.most, f.most)}
		}
	}
	sum := func(to *float64, name string) {
		if f, ok := all[name]; ok {
			*to = f.sum
		}
	}
	most := func(to *float64, name string) {
		if f, ok := all[name]; ok {
			*to = f.most
		}
	}
	sum(&g.TriggersTotal, wire.MetricAlertsTriggered)
	sum(&g.SentTotal, wire.MetricNotificationsSent)
	sum(&g.FailedTotal, wire.MetricNotificationsFailed)
	sum(&g.DeadTotal, wire.MetricNotificationsDead)
	sum(&g.StreamsNow, wire.MetricStreamsConnected)
	sum(&g.Upstreams, wire.MetricUpstreamConnected)
	most(&g.ActiveAlerts, wire.MetricAlertsActive) // the same on every instance
	most(&g.OutboxDepth, wire.MetricOutboxDepth)
	most(&g.OutboxOldest, wire.MetricOutboxOldest)
	most(&g.CandleAge, wire.MetricCandleAge)
}

// lastMinute returns, for each scrape, the increases of the minute up to it.
func lastMinute(increases []float64) []float64 {
	out := make([]float64, len(increases))
	for i := range increases {
		if math.IsNaN(increases[i]) {
			out[i] = math.NaN()
			continue
		}
		for _, v := range increases[max(i-minute+1, 0) : i+1] {
			if !math.IsNaN(v) {
				out[i] += v
			}
		}
	}
	return out
}

// keep appends v and drops the oldest figure over the limit.
func keep(figures []float64, v float64) []float64 {
	figures = append(figures, v)
	if len(figures) > gaugesKept {
		figures = figures[:copy(figures, figures[1:])]
	}
	return figures
}

// unknownGauges has NaN wherever a figure is not known.
func unknownGauges() Gauges {
	nan := math.NaN()
	return Gauges{
		ActiveAlerts: nan, TriggersTotal: nan, SentTotal: nan, FailedTotal: nan, DeadTotal: nan, OutboxDepth: nan,
		OutboxOldest: nan, StreamsNow: nan, Upstreams: nan, CandleAge: nan, EvaluationsNow: nan,
	}
}

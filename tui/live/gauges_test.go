package live

import (
	"math"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

func page(evaluations, triggers float64) totals {
	return totals{
		evalCount:                      {sum: evaluations},
		wire.MetricAlertsTriggered:     {sum: triggers},
		wire.MetricStreamsConnected:    {sum: 2, most: 2},
		wire.MetricAlertsActive:        {sum: 5, most: 5},
		wire.MetricNotificationsSent:   {sum: 1},
		wire.MetricNotificationsDead:   {},
		wire.MetricUpstreamConnected:   {sum: 1, most: 1},
		wire.MetricOutboxDepth:         {sum: 3, most: 3},
		wire.MetricCandleAge:           {sum: 9, most: 4},
		wire.MetricOutboxOldest:        {sum: 1, most: 1},
		wire.MetricNotificationsFailed: {},
	}
}

func last(figures []float64) float64 { return figures[len(figures)-1] }

func TestGaugesRateIsTheIncreaseOfEachInstance(t *testing.T) {
	h := history{last: map[string]totals{}}
	at := time.UnixMilli(1_700_000_000_000)
	add := func(pages map[string]totals) Gauges {
		at = at.Add(GaugesEvery)
		return h.add(at, pages)
	}
	g := add(map[string]totals{"a": page(1000, 10)})
	if !math.IsNaN(last(g.Evaluations)) {
		t.Errorf("first scrape gives a rate of %v, want none", last(g.Evaluations))
	}
	if g = add(map[string]totals{"a": page(1020, 11)}); last(g.Evaluations) != 10 || last(g.Triggers) != 1 {
		t.Errorf("rate %v, triggers %v; want 10/s and 1", last(g.Evaluations), last(g.Triggers))
	}
	// A new instance's history is not an increase.
	if g = add(map[string]totals{"a": page(1040, 11), "b": page(9000, 500)}); last(g.Evaluations) != 10 || last(g.Triggers) != 1 {
		t.Errorf("with a new instance: rate %v, triggers %v; want 10/s and 1", last(g.Evaluations), last(g.Triggers))
	}
	// A restart begins at 0 again.
	if g = add(map[string]totals{"a": page(4, 0), "b": page(9000, 502)}); last(g.Evaluations) != 2 || last(g.Triggers) != 3 {
		t.Errorf("after a restart: rate %v, triggers %v; want 2/s and 3", last(g.Evaluations), last(g.Triggers))
	}
	if g.ActiveAlerts != 5 || g.StreamsNow != 4 || g.Upstreams != 2 || g.CandleAge != 4 || g.TriggersTotal != 502 {
		t.Errorf("alerts %v, streams %v, upstreams %v, candle age %v, triggers %v; want the greatest 5, sums 4 and 2, the greatest 4, sum 502",
			g.ActiveAlerts, g.StreamsNow, g.Upstreams, g.CandleAge, g.TriggersTotal)
	}
}

func TestGaugesForgetTriggersAfterAMinute(t *testing.T) {
	h := history{last: map[string]totals{}}
	at := time.UnixMilli(0)
	for i := range 60 {
		at = at.Add(GaugesEvery)
		triggers := 0.0
		if i >= 10 {
			triggers = 6
		}
		g := h.add(at, map[string]totals{"a": page(0, triggers)})
		want := 0.0
		if i >= 10 && i < 40 {
			want = 6
		}
		if last(g.Triggers) != want {
			t.Errorf("scrape %d: %v triggers in the last minute, want %v", i, last(g.Triggers), want)
		}
	}
}

func TestGaugesLeaveAHoleWhereNothingWasScraped(t *testing.T) {
	h := history{last: map[string]totals{}}
	at := time.UnixMilli(0)
	h.add(at, map[string]totals{"a": page(0, 0)})
	g := h.add(at.Add(GaugesEvery), nil)
	if !math.IsNaN(last(g.Evaluations)) || !math.IsNaN(last(g.Streams)) || !math.IsNaN(g.ActiveAlerts) || !math.IsNaN(last(g.Triggers)) {
		t.Errorf("no instance answered, but %v %v %v %v are figures", last(g.Evaluations), last(g.Streams), g.ActiveAlerts, last(g.Triggers))
	}
	g = h.add(at.Add(11*GaugesEvery), map[string]totals{"a": page(100, 0)})
	if len(g.Evaluations) != 12 || !math.IsNaN(g.Evaluations[10]) {
		t.Errorf("%d figures for eleven periods, the one before the last is %v; want 12 and a hole", len(g.Evaluations), g.Evaluations[10])
	}
	for range 2 * gaugesKept {
		at = at.Add(GaugesEvery)
		g = h.add(at.Add(11*GaugesEvery), map[string]totals{"a": page(100, 0)})
	}
	if len(g.Evaluations) != gaugesKept || len(g.Streams) != gaugesKept {
		t.Errorf("%d figures kept, want %d", len(g.Evaluations), gaugesKept)
	}
}

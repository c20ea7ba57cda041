package live

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// TrendsOver is the window of [Trends].
const TrendsOver = time.Hour

const (
	trendsEvery = 15 * time.Second
	trendsStep  = 30 * time.Second
)

// Trends are the last hour of the fleet's figures, as the observer recorded them;
// NaN is a hole. Unlike [Gauges] they are there from the first frame on.
type Trends struct {
	Rev         uint64
	Known       bool // the observer has figures
	At          time.Time
	Err         safetext.Text
	Evaluations []float64 // a second, over 5 minutes
	Triggers    []float64 // in 5 minutes
	Sent        []float64 // notifications in 5 minutes
	Failed      []float64 // failed attempts in 5 minutes
	Streams     []float64
	P95         []float64 // seconds an evaluation takes
}

func trendQueries(t *Trends) []struct {
	query string
	into  *[]float64
} {
	increase := func(name string) string { return fmt.Sprintf("sum(increase(%s[5m]))", name) }
	return []struct {
		query string
		into  *[]float64
	}{
		{fmt.Sprintf("sum(rate(%s_count[5m]))", wire.MetricEvalDuration), &t.Evaluations},
		{increase(wire.MetricAlertsTriggered), &t.Triggers},
		{increase(wire.MetricNotificationsSent), &t.Sent},
		{increase(wire.MetricNotificationsFailed), &t.Failed},
		{fmt.Sprintf("sum(%s)", wire.MetricStreamsConnected), &t.Streams},
		{fmt.Sprintf("histogram_quantile(0.95, sum by (le) (rate(%s_bucket[5m])))", wire.MetricEvalDuration), &t.P95},
	}
}

// runTrends asks the observer for the last hour. One that cannot answer is asked
// again later; until it does the picture has no trends, and gauges do.
func (l *Live) runTrends(ctx context.Context) error {
	return l.every(ctx, trendsEvery, nil, func(ctx context.Context) {
		t, err := l.trends(ctx)
		if ctx.Err() != nil {
			return
		}
		var code status
		l.board.change(func(p *Picture, rev uint64) {
			switch {
			case errors.As(err, &code):
				p.Trends = Trends{Rev: rev, Err: cause(err)} // it does not serve queries
			case err != nil:
				p.Trends.Rev, p.Trends.Err = rev, cause(err)
			default:
				t.Rev = rev
				p.Trends = t
			}
		})
	})
}

func (l *Live) trends(ctx context.Context) (Trends, error) {
	var t Trends
	to := l.now().Truncate(trendsStep)
	for _, q := range trendQueries(&t) {
		series, err := l.queryRange(ctx, q.query, to.Add(-TrendsOver), to, trendsStep)
		if err != nil {
			return t, err
		}
		if len(series) > 0 {
			*q.into = series[0].Figures
			t.Known = t.Known || hasFigure(series[0].Figures)
		}
	}
	t.At = time.Now()
	return t, nil
}

func hasFigure(figures []float64) bool {
	for _, v := range figures {
		if !math.IsNaN(v) {
			return true
		}
	}
	return false
}

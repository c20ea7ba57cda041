package live

import (
	"context"
	"errors"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

const (
	healthEvery = time.Second
	alertsEvery = 5 * time.Second
	alertsLimit = 500 // the summary's reach; the gauge alerts_active counts all
)

// errNoExecutor and its like say what is missing in the fleet.
var (
	errNoExecutor = errors.New("no executor is up")
	errNoGateway  = errors.New("no gateway is up")
)

// runHealth reads the health of the leading executor.
func (l *Live) runHealth(ctx context.Context) error {
	return l.every(ctx, healthEvery, l.health, func(ctx context.Context) {
		base := l.places.executorURL()
		if base == "" {
			if l.board.look().Fleet.At.IsZero() {
				return // the fleet is not known yet: that is no failure
			}
			l.healthFailed(errNoExecutor)
			return
		}
		var w wire.Health
		err := l.get(ctx, base+wire.PathHealth, askPatience, &w)
		if ctx.Err() != nil {
			return
		}
		var code status
		if err != nil && !(errors.As(err, &code) && w.Instance != "") {
			l.healthFailed(err)
			return
		}
		h := healthOf(w)
		h.At = time.Now()
		l.board.change(func(p *Picture, rev uint64) {
			h.Rev = rev
			p.Health = h
		})
	})
}

func (l *Live) healthFailed(err error) {
	l.board.change(func(p *Picture, rev uint64) { p.Health.Rev, p.Health.Err = rev, cause(err) })
}

func healthOf(w wire.Health) Health {
	h := Health{
		Known: true, OK: w.OK, Instance: safetext.Clean(w.Instance), Version: safetext.Clean(w.Version),
		Uptime: time.Duration(min(max(w.Uptime, 0), 1e9) * float64(time.Second)),
		Holder: safetext.Clean(w.Leader.Holder), Epoch: w.Leader.Epoch,
		Lease:   time.Duration(w.Leader.LeaseRemainingMS) * time.Millisecond,
		RedisOK: w.Redis.OK, RedisMS: w.Redis.LatencyMS, Embedded: w.Redis.Embedded,
		MarketOK: w.Market.OK, MarketMS: math.NaN(), Degraded: w.Degraded, Draining: w.Draining,
	}
	if w.Market.AgeMS != nil {
		h.MarketMS = float64(*w.Market.AgeMS)
	}
	for _, r := range w.Reasons[:min(len(w.Reasons), 16)] {
		h.Reasons = append(h.Reasons, safetext.Clean(r))
	}
	return h
}

// runAlerts reads the alerts: their summary, and the symbols worth watching.
func (l *Live) runAlerts(ctx context.Context) error {
	return l.every(ctx, alertsEvery, l.alerts, func(ctx context.Context) {
		base := l.places.executorURL()
		if base == "" {
			return // the health says so
		}
		query := url.Values{"limit": {"500"}}
		var list wire.AlertList
		err := l.get(ctx, join(base, wire.PathAlertsList, query), 4*time.Second, &list)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.board.change(func(p *Picture, rev uint64) { p.Alerts.Rev, p.Alerts.Err = rev, cause(err) })
			return
		}
		a := summary(list)
		l.board.change(func(p *Picture, rev uint64) {
			a.Rev = rev
			p.Alerts = a
		})
		l.choice.watch(symbolsOf(list.Items))
	})
}

func summary(list wire.AlertList) Alerts {
	items := list.Items[:min(len(list.Items), alertsLimit)]
	a := Alerts{Known: true, Total: len(items), More: list.NextCursor != "" || len(list.Items) > alertsLimit}
	counts := map[string]int{}
	for _, w := range items {
		if w.Active {
			a.Active++
		}
		if w.LastError != nil && *w.LastError != "" {
			a.Failed++
		}
		counts[w.State]++
	}
	for state, n := range counts {
		a.States = append(a.States, StateCount{safetext.Clean(state), n})
	}
	slices.SortFunc(a.States, func(x, y StateCount) int {
		if x.N != y.N {
			return y.N - x.N
		}
		return strings.Compare(string(x.State), string(y.State))
	})
	return a
}

// symbolsOf returns the symbols of active alerts in alphabetical order.
func symbolsOf(items []wire.Alert) []market.Symbol {
	var found []market.Symbol
	for _, w := range items {
		if s, err := market.ParseSymbol(w.Symbol); err == nil && w.Active {
			found = append(found, s)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

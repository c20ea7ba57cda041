package daemon

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// pulse is what is looked at each second, for the health answers and the gauges.
type pulse struct {
	draining atomic.Bool

	mu       sync.Mutex
	seen     bool          // guarded by mu; the store has answered or failed once
	storeErr error         // guarded by mu; nil while the store answers
	latency  time.Duration // guarded by mu; of the newest answer

	reconnects, gapsFilled int64     // the loop's own: what was counted already
	led                    time.Time // the loop's own: up to when leading was counted
	known                  map[string][]string
	cpu                    cpuMeter
}

const pulseEvery = time.Second

// runPulse looks until ctx ends.
func (h *house) runPulse(ctx context.Context) error {
	h.pulse.known = map[string][]string{}
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		h.feelStore(ctx)
		h.feelLeader()
		h.feelMarket()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (h *house) feelStore(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pulseEvery)
	defer cancel()
	latency, err := h.store.Ping(ctx)
	p := &h.pulse
	p.mu.Lock()
	p.seen, p.storeErr = true, err
	if err == nil {
		p.latency = latency
	}
	p.mu.Unlock()
	if err != nil {
		h.meter.Set(wire.MetricRedisUp, 0)
		return
	}
	h.meter.Set(wire.MetricRedisUp, 1)
	if active, err := h.store.ActiveCount(ctx); err == nil {
		h.meter.Set(wire.MetricAlertsActive, float64(active))
	}
	if depth, err := h.store.Depth(ctx, time.Now().UnixMilli()); err == nil {
		h.meter.Set(wire.MetricOutboxDepth, float64(depth.Waiting))
		h.meter.Set(wire.MetricOutboxOldest, depth.Oldest.Seconds())
	}
}

func (h *house) feelLeader() {
	now := time.Now()
	s := h.elector.Status()
	h.meter.Set(wire.MetricLeaderEpoch, float64(s.Token.Epoch))
	if !s.Leading {
		h.meter.Set(wire.MetricIsLeader, 0)
		h.meter.Set(wire.MetricLeaderHeld, 0)
		h.pulse.led = time.Time{}
		return
	}
	from := h.pulse.led
	if from.Before(s.Since) {
		from = s.Since
	}
	h.pulse.led = now
	h.meter.Set(wire.MetricIsLeader, 1)
	h.meter.Set(wire.MetricLeaderHeld, now.Sub(s.Since).Seconds())
	h.meter.Add(wire.MetricLeaderHeldTotal, max(0, now.Sub(from).Seconds()))
}

func (h *house) feelMarket() {
	state, stats := h.feed.State(), h.feed.Stats()
	up := 0.0
	if state.Connected && len(state.Series) > 0 {
		up = 1
	}
	h.meter.Set(wire.MetricUpstreamConnected, up, h.o.MarketSource)
	reconnects := h.exchange.Stats().Reconnects
	h.meter.Add(wire.MetricReconnects, float64(reconnects-h.pulse.reconnects))
	h.meter.Add(wire.MetricGapsFilled, float64(stats.GapsFilled-h.pulse.gapsFilled))
	h.pulse.reconnects, h.pulse.gapsFilled = reconnects, stats.GapsFilled
	followed := map[string][]string{}
	for _, s := range state.Series {
		if s.Newest.IsZero() {
			continue
		}
		labels := []string{string(s.Series.Symbol), s.Series.Timeframe.String()}
		followed[s.Series.String()] = labels
		h.meter.Set(wire.MetricCandleAge, time.Since(s.Newest).Seconds(), labels...)
	}
	for name, labels := range h.pulse.known {
		if followed[name] == nil {
			h.meter.Forget(wire.MetricCandleAge, labels...)
		}
	}
	h.pulse.known = followed
}

// storeState returns whether the store answered when last asked, and how fast.
func (h *house) storeState() (time.Duration, error) {
	h.pulse.mu.Lock()
	defer h.pulse.mu.Unlock()
	if !h.pulse.seen {
		return 0, fmt.Errorf("not asked yet")
	}
	return h.pulse.latency, h.pulse.storeErr
}

// staleAfter is three update periods of the exchange, and not less than the feed
// itself takes to notice.
const staleAfter = 15 * time.Second

// health judges the process in one role. The table is in the outside contract.
func (h *house) health(role string) wire.Health {
	latency, storeErr := h.storeState()
	lead := h.elector.Status()
	market := h.feed.State()
	out := wire.Health{
		Uptime: time.Since(h.began).Seconds(), Version: h.o.Version, Roles: h.o.Roles, Instance: h.id,
		Leader: wire.LeaderHealth{IsLeader: lead.Leading, Holder: lead.Token.Holder, Epoch: lead.Token.Epoch, LeaseRemainingMS: lead.Remaining.Milliseconds()},
		Redis:  wire.RedisHealth{OK: storeErr == nil, LatencyMS: float64(latency.Microseconds()) / 1000, Embedded: h.engineStore != nil},
	}
	if !market.Newest.IsZero() {
		age := time.Since(market.Newest).Milliseconds()
		out.Market.AgeMS = &age
	}
	stale := market.Silent(time.Now()) > staleAfter
	out.Market.OK = market.Connected && !stale
	if h.pulse.draining.Load() {
		out.Draining = true
		out.Reasons = append(out.Reasons, "draining")
	}
	switch role {
	case wire.RoleExecutor:
		if storeErr != nil {
			out.Reasons = append(out.Reasons, "store: "+storeErr.Error())
		}
		if lead.Leading && stale {
			out.Reasons = append(out.Reasons, "market data is stale")
		}
	case wire.RoleGateway:
		out.Degraded = storeErr != nil
		if !market.Connected || stale {
			out.Reasons = append(out.Reasons, "the exchange is not reached")
		}
	}
	out.OK = len(out.Reasons) == 0
	return out
}

// ready says whether a role may be sent work.
func (h *house) ready(role string) (bool, []string) {
	if h.pulse.draining.Load() {
		return false, []string{"draining"}
	}
	if _, err := h.storeState(); err != nil && role == wire.RoleExecutor {
		return false, []string{"store: " + err.Error()}
	}
	return true, nil
}

// fleet is what the observer knows of the instances: this one. Others are found
// through the registry, which later versions keep.
func (h *house) fleet() wire.Fleet {
	now := time.Now()
	lead := h.elector.Status()
	latency, storeErr := h.storeState()
	cpu, rss := h.pulse.cpu.read(h.meter, now)
	urls := map[string]string{}
	for _, d := range h.doors {
		urls[d.role] = d.url
	}
	return wire.Fleet{OK: true, Now: now.UnixMilli(), Instances: []wire.Instance{{
		ID: h.id, Roles: h.o.Roles, Version: h.o.Version, Up: storeErr == nil, Leader: lead.Leading, Epoch: lead.Token.Epoch,
		StartedAt: h.began.UnixMilli(), CPU: cpu, RSSBytes: rss, RedisLatencyMS: float64(latency.Microseconds()) / 1000,
		URLs: urls, MetricsURL: h.doors[0].url + wire.PathMetrics,
	}}}
}

// cpuMeter turns the process collector's counter into a rate.
type cpuMeter struct {
	mu   sync.Mutex
	at   time.Time // guarded by mu
	used float64   // guarded by mu
	rate float64   // guarded by mu
}

// read returns cores in use since the last look at least a second ago, and the
// resident memory in bytes; zero where the system does not tell.
func (c *cpuMeter) read(m *meter, now time.Time) (cores float64, rss int64) {
	families, err := m.registry.Gather()
	if err != nil {
		return 0, 0
	}
	var used float64
	for _, f := range families {
		switch f.GetName() {
		case "process_cpu_seconds_total":
			used = f.GetMetric()[0].GetCounter().GetValue()
		case "process_resident_memory_bytes":
			rss = int64(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := now.Sub(c.at).Seconds(); c.at.IsZero() {
		c.at, c.used = now, used
	} else if since >= 1 {
		c.rate = (used - c.used) / since
		c.at, c.used = now, used
	}
	return c.rate, rss
}

func (h *house) addresses() Addresses {
	a := Addresses{PID: os.Getpid()}
	for _, d := range h.doors {
		switch d.role {
		case wire.RoleExecutor:
			a.Executor = d.url
		case wire.RoleGateway:
			a.Gateway = d.url
		case wire.RoleObserver:
			a.Observer = d.url
		}
	}
	if h.sim != nil {
		a.Simulator = "http://" + h.sim.Addr()
	}
	return a
}

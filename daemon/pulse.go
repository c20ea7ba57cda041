package daemon

import (
	"context"
	"fmt"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/store"
)

// pulse is what is looked at each second, for the health answers and the gauges.
type pulse struct {
	draining atomic.Bool

	mu      sync.Mutex
	members []store.Member // guarded by mu; as last read
	now     int64          // guarded by mu; the store's clock then

	reconnects, gapsFilled int64     // the loop's own: what was counted already
	led                    time.Time // the loop's own: up to when leading was counted
	known                  map[string][]string
	cpu                    cpuMeter
}

const (
	pulseEvery = time.Second
	countEvery = 5 // beats of the pulse between counts of what the store holds
)

// runPulse looks until ctx ends.
func (h *house) runPulse(ctx context.Context) error {
	h.pulse.known = map[string][]string{}
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		if n%countEvery == 0 {
			h.count(ctx)
		}
		h.feelLeader()
		h.feelMarket()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// count reads what the store holds, for the gauges that every instance has.
func (h *house) count(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pulseEvery)
	defer cancel()
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
	holder, _, _ := h.leader()
	h.meter.Set(wire.MetricLeaderEpoch, float64(holder.Epoch))
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
	h.heart.mu.Lock()
	defer h.heart.mu.Unlock()
	if !h.heart.felt {
		return 0, fmt.Errorf("not asked yet")
	}
	return h.heart.latency, h.heart.err
}

// staleAfter is three update periods of the exchange, and not less than the feed
// itself takes to notice.
const staleAfter = 15 * time.Second

// health judges the process in one role. The table is in the outside contract.
func (h *house) health(role string) wire.Health {
	latency, storeErr := h.storeState()
	holder, left, leads := h.leader()
	market := h.feed.State()
	control, _ := h.switches()
	out := wire.Health{
		Uptime: time.Since(h.began).Seconds(), Version: h.o.Version, Roles: h.o.Roles, Instance: h.id,
		Leader:    wire.LeaderHealth{IsLeader: leads, Holder: holder.Holder, Epoch: holder.Epoch, LeaseRemainingMS: left.Milliseconds()},
		Redis:     wire.RedisHealth{OK: storeErr == nil, LatencyMS: float64(latency.Microseconds()) / 1000, Embedded: h.engineStore != nil},
		Scheduler: wire.SchedulerHealth{Enabled: !h.o.SchedulerDisabled, Paused: control.Paused, Version: control.Version},
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
		if leads && stale {
			out.Reasons = append(out.Reasons, "market data is stale")
		}
	case wire.RoleGateway:
		out.Degraded = storeErr != nil
		if !market.Connected || stale {
			out.Reasons = append(out.Reasons, "the exchange is not reached")
		}
	}
	if role == wire.RoleObserver && h.judge != nil {
		if err := h.judge.Err(); err != nil {
			out.Reasons = append(out.Reasons, "hypercare: "+err.Error())
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

// fleet is what the observer knows of the instances: those that are registered, and
// itself. While the store does not answer, the others are shown as last seen.
func (h *house) fleet(ctx context.Context) wire.Fleet {
	ctx, cancel := context.WithTimeout(ctx, pulseEvery)
	defer cancel()
	members, clock, err := h.store.Members(ctx)
	p := &h.pulse
	p.mu.Lock()
	if err == nil {
		p.members, p.now = members, clock
	}
	members, clock = p.members, p.now
	p.mu.Unlock()

	now := time.Now()
	self := h.self()
	_, storeErr := h.storeState()
	out := wire.Fleet{OK: true, Now: now.UnixMilli()}
	own := instance(self)
	own.Up, own.AgeMS = storeErr == nil, 0
	for _, d := range h.doors {
		own.URLs[d.role] = d.url
	}
	own.MetricsURL = h.doors[0].url + wire.PathMetrics
	out.Instances = append(out.Instances, own)
	for _, m := range members {
		if m.ID == h.id {
			continue
		}
		i := instance(m)
		i.Up, i.AgeMS = err == nil && m.Alive(clock), max(0, clock-m.At)
		i.Leader = i.Leader && i.Up
		out.Instances = append(out.Instances, i)
	}
	return out
}

// instance is a member as clients see it.
func instance(m store.Member) wire.Instance {
	i := wire.Instance{
		ID: m.ID, Roles: m.Roles, Version: m.Version, Phase: m.Phase, Epoch: m.Epoch,
		Leader:    m.Phase == store.PhaseLeader || m.Phase == store.PhasePaused || m.Phase == store.PhaseSuspect,
		StartedAt: m.StartedAt, CPU: m.CPU, RSSBytes: m.RSSBytes, RedisLatencyMS: m.LatencyMS, URLs: maps.Clone(m.URLs),
	}
	if i.URLs == nil {
		i.URLs = map[string]string{}
	}
	for _, role := range wire.Roles() {
		if u := m.URLs[role]; u != "" {
			i.MetricsURL = u + wire.PathMetrics
			break
		}
	}
	return i
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

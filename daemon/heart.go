package daemon

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/lease"
	"github.com/spark-ta/spark/daemon/store"
)

// heart registers this instance and brings back what the fleet agreed on: who leads,
// and whether the scheduler is paused. Its beat is also how the store is felt.
type heart struct {
	wake chan struct{} // capacity 1: beat now; a second one is dropped

	mu      sync.Mutex
	known   bool          // guarded by mu; a beat has been answered
	glance  store.Glance  // guarded by mu; of the newest answer
	at      time.Time     // guarded by mu; when it came
	latency time.Duration // guarded by mu
	err     error         // guarded by mu; nil while the store answers
	felt    bool          // guarded by mu; the store has answered or failed once
	turned  chan struct{} // closed when the switches change; guarded by mu
}

// beatEvery is the period of the heartbeat. The health answer follows a loss of the
// store within two beats.
const (
	beatEvery     = time.Second
	beatTimeout   = 900 * time.Millisecond
	embeddedBeats = 5 // on the embedded store every fifth: each is a write to the disk
	tidyBeats     = 600
)

// nudge wakes the heart.
func (h *heart) nudge() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// runHeart beats until ctx ends, and then takes the instance out of the registry.
func (h *house) runHeart(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	woken := true
	for n := 0; ; n++ {
		h.beat(ctx, n, woken)
		select {
		case <-ctx.Done():
			h.leave(ctx)
			return nil
		case <-tick.C:
			woken = false
		case <-h.heart.wake:
			woken = true
		}
	}
}

// beat sends the nth heartbeat, or on the embedded store mostly asks for a sign of
// life only.
func (h *house) beat(ctx context.Context, n int, woken bool) {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	began := time.Now()
	if h.engineStore != nil && !woken && n%embeddedBeats != 0 {
		_, err := h.store.Ping(ctx)
		h.heard(nil, time.Since(began), err)
		return
	}
	g, err := h.store.Beat(ctx, h.self(), n%tidyBeats == 0)
	if err != nil {
		h.heard(nil, time.Since(began), err)
		return
	}
	h.heard(&g, time.Since(began), nil)
}

// heard keeps what a beat brought, and says what changed.
func (h *house) heard(g *store.Glance, took time.Duration, err error) {
	p := &h.heart
	p.mu.Lock()
	was, known, wasErr, felt := p.glance.Control, p.known, p.err, p.felt
	p.felt, p.err = true, err
	if err == nil {
		p.latency = took
	}
	if g != nil {
		p.glance, p.known, p.at = *g, true, time.Now()
		if !known || g.Control.Paused != was.Paused {
			if p.turned != nil {
				close(p.turned)
				p.turned = nil
			}
		}
	}
	p.mu.Unlock()
	up := 1.0
	if err != nil {
		up = 0
	}
	h.meter.Set(wire.MetricRedisUp, up)
	switch {
	case err != nil && (wasErr == nil || !felt):
		h.log.Warn("store does not answer", "err", err)
	case err == nil && wasErr != nil:
		h.log.Info("store answers")
	}
	if g == nil {
		return
	}
	switch c := g.Control; {
	case c.Paused && (!known || !was.Paused):
		h.log.Warn(wire.LogSchedulerPaused, "by", c.By, "reason", c.Reason, "version", c.Version)
	case !c.Paused && was.Paused:
		h.log.Info(wire.LogSchedulerResumed, "by", c.By, "reason", c.Reason, "version", c.Version)
	}
}

func (h *house) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := h.store.Leave(ctx, h.id); err != nil {
		h.log.Debug("not taken out of the registry, it is forgotten by itself", "err", err)
	}
}

// self is this instance as it registers itself.
func (h *house) self() store.Member {
	lead := h.elector.Status()
	h.heart.mu.Lock()
	paused, latency := h.heart.glance.Control.Paused, h.heart.latency
	h.heart.mu.Unlock()
	phase, epoch := store.PhaseFollower, int64(0)
	switch {
	case h.pulse.draining.Load():
		phase = store.PhaseDraining
	case !h.has(wire.RoleExecutor):
		phase = store.PhaseNone
	case lead.Suspect:
		phase = store.PhaseSuspect
	case lead.Leading && paused:
		phase = store.PhasePaused
	case lead.Leading:
		phase = store.PhaseLeader
	case h.o.SchedulerDisabled:
		phase = store.PhaseDisabled
	}
	if lead.Leading {
		epoch = lead.Token.Epoch
	}
	cpu, rss := h.pulse.cpu.read(h.meter, time.Now())
	urls := map[string]string{}
	for _, d := range h.doors {
		urls[d.role] = d.public
	}
	return store.Member{
		ID: h.id, Roles: h.o.Roles, Version: h.o.Version, URLs: urls, StartedAt: h.began.UnixMilli(),
		Phase: phase, Epoch: epoch, ProgressMS: h.progress().Milliseconds(), CPU: cpu, RSSBytes: rss,
		LatencyMS: float64(latency.Microseconds()) / 1000, Process: lease.Self(),
	}
}

// progress is the age of the newest turn of the engine's loop, 0 while it is not to
// turn.
func (h *house) progress() time.Duration {
	if c, known := h.switches(); !known || c.Paused {
		return 0
	}
	return h.engine.Progress()
}

// switches returns the fleet's switches, and false before they are known.
func (h *house) switches() (store.Control, bool) {
	h.heart.mu.Lock()
	defer h.heart.mu.Unlock()
	return h.heart.glance.Control, h.heart.known
}

// turn returns a channel that is closed when the switches change.
func (h *house) turn() <-chan struct{} {
	h.heart.mu.Lock()
	defer h.heart.mu.Unlock()
	if h.heart.turned == nil {
		h.heart.turned = make(chan struct{})
	}
	return h.heart.turned
}

// leader returns who leads, as far as this instance knows: its own belief, or what
// the newest heartbeat brought.
func (h *house) leader() (holder store.Token, left time.Duration, leads bool) {
	if s := h.elector.Status(); s.Leading {
		return s.Token, s.Remaining, true
	}
	h.heart.mu.Lock()
	defer h.heart.mu.Unlock()
	g := h.heart.glance
	if g.Leader.Holder == "" || !h.heart.known {
		return store.Token{}, 0, false
	}
	return g.Leader, max(0, g.Remaining-time.Since(h.heart.at)), false
}

// lead evaluates while the fleet is not paused, for as long as the term lasts. A
// paused leader keeps its lease.
func (h *house) lead(ctx context.Context, token store.Token) error {
	h.heart.nudge() // the registry is to show the new phase
	defer h.heart.nudge()
	for ctx.Err() == nil {
		turned := h.turn()
		c, known := h.switches()
		if !known || c.Paused {
			select {
			case <-ctx.Done():
			case <-turned:
			}
			continue
		}
		if err := h.leadUntil(ctx, turned, token); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return ctx.Err()
}

// leadUntil evaluates until ctx ends or the switches change.
func (h *house) leadUntil(ctx context.Context, turned <-chan struct{}, token store.Token) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1) // one answer, from the goroutine below
	go func() { ended <- h.engine.Lead(working, token) }()
	select {
	case err := <-ended:
		return err
	case <-turned:
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return err // the store refused it, say, at that very moment
		}
		return nil
	case <-ctx.Done():
		return <-ended
	}
}

// advertised is the address that other machines can use: an instance that listens on
// every address names one that is its own.
func advertised(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil || !ap.Addr().IsUnspecified() {
		return reachable(a)
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return reachable(a)
	}
	for _, o := range own {
		if p, err := netip.ParsePrefix(o.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return netip.AddrPortFrom(p.Addr(), ap.Port()).String()
		}
	}
	return reachable(a)
}

package daemon

import (
	"context"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// live runs everything but the store. ctx ends the work; outer outlives it by as
// long as the work takes to end.
func (h *house) live(ctx, outer context.Context) error {
	outer, stop := context.WithCancel(outer)
	defer stop()
	ended := make(chan struct{})
	h.furnish(ended)
	parts := []component{
		{"exchange", h.exchange.Run},
		{"feed", h.feed.Run},
		{"pulse", h.runPulse},
		{"heart", h.runHeart},
		{"hints", h.runHints},
		{"streams", h.hub.Run},
		{"work", func(context.Context) error {
			defer stop()
			defer close(ended)
			return h.work(ctx, outer)
		}},
	}
	if j := h.judge; j != nil {
		parts = append(parts, component{"observer", j.Run}, component{"canary", j.canary.Run}, component{"calls", j.runCalls(h.log)}, component{"events", h.runFollow})
	}
	if h.sim != nil {
		parts = append(parts, component{"simulator", h.sim.Run})
	}
	for _, d := range h.doors {
		parts = append(parts, component{d.role, d.run})
	}
	return runAll(outer, parts...)
}

// work leads or follows and delivers until ctx ends, and then ends in good order:
// not ready, leadership handed over, streams ended over the drain time while
// deliveries under way finish.
func (h *house) work(ctx, outer context.Context) error {
	parts := []component{{"drain", func(ctx context.Context) error {
		<-ctx.Done()
		h.pulse.draining.Store(true)
		h.heart.nudge()
		h.log.Info("draining", "seconds", h.o.DrainSec)
		h.hub.Drain(outer, time.Duration(h.o.DrainSec)*time.Second)
		return nil
	}}, {"ready", h.runReady}}
	if h.has(wire.RoleExecutor) {
		parts = append(parts, component{"outbox", h.relay.Run})
		if h.o.SchedulerDisabled {
			h.log.Warn(wire.LogSchedulerDisabled, "reason", wire.EnvSchedulerEnabled+"=false")
		} else {
			parts = append(parts, component{"lease", func(ctx context.Context) error { return h.elector.Run(ctx, h.lead) }})
		}
	}
	return runAll(ctx, parts...)
}

// runReady tells once that the process can do its job.
func (h *house) runReady(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := h.storeState(); err == nil {
			h.log.Info("ready", "after", time.Since(h.began).Round(time.Millisecond))
			h.startHypercare(ctx)
			if h.o.Ready != nil {
				h.o.Ready(h.addresses())
			}
			<-ctx.Done()
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// runHints listens for changes of the lock and of the switches. The embedded store has
// one instance, which changes them itself.
func (h *house) runHints(ctx context.Context) error {
	if h.engineStore != nil {
		<-ctx.Done()
		return nil
	}
	h.store.Watch(ctx, func() {
		h.heart.nudge()
		select {
		case h.hints <- struct{}{}:
		default:
		}
	})
	return nil
}

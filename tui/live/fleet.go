package live

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

const (
	fleetEvery   = 2 * time.Second
	askPatience  = 1500 * time.Millisecond
	maxInstances = 64
)

// runFleet reads the fleet and learns from it where the roles listen.
func (l *Live) runFleet(ctx context.Context) error {
	var clock skewClock
	return l.every(ctx, fleetEvery, nil, func(ctx context.Context) {
		sent := time.Now()
		var fleet wire.Fleet
		err := l.get(ctx, l.URL+wire.PathFleet, askPatience, &fleet)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			nudge(l.pulse)
			l.board.change(func(p *Picture, rev uint64) {
				p.Fleet.Rev, p.Fleet.Err = rev, cause(err)
			})
			return
		}
		skew := clock.add(sent, time.Now(), time.UnixMilli(fleet.Now))
		at := time.UnixMilli(fleet.Now).Add(-skew)
		fleet.Instances = fleet.Instances[:min(len(fleet.Instances), maxInstances)]
		if l.places.learn(fleet.Instances) {
			for _, wake := range []chan struct{}{l.health, l.alerts, l.gauges} {
				nudge(wake) // they could not ask, or asked one that is gone
			}
		}
		instances := instancesOf(fleet.Instances)
		l.board.change(func(p *Picture, rev uint64) {
			p.Skew = skew
			p.Fleet = Fleet{Rev: rev, At: at, Instances: instances}
		})
	})
}

func instancesOf(in []wire.Instance) []Instance {
	out := make([]Instance, 0, len(in))
	for _, w := range in {
		i := Instance{
			ID: safetext.Clean(w.ID), Version: safetext.Clean(w.Version), Phase: safetext.Clean(w.Phase), Up: w.Up, Leader: w.Leader, Epoch: w.Epoch,
			Age: time.Duration(w.AgeMS) * time.Millisecond, CPU: w.CPU, RSS: w.RSSBytes, RedisMS: w.RedisLatencyMS,
		}
		for _, r := range w.Roles[:min(len(w.Roles), 8)] {
			i.Roles = append(i.Roles, safetext.Clean(r))
		}
		if w.StartedAt > 0 {
			i.StartedAt = time.UnixMilli(w.StartedAt)
		}
		out = append(out, i)
	}
	slices.SortStableFunc(out, func(a, b Instance) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// skewClock estimates how far the daemon's clock is ahead of ours: by the answer
// that travelled least among the last eight.
type skewClock struct {
	samples []struct{ rtt, skew time.Duration }
}

func (c *skewClock) add(sent, received, theirs time.Time) time.Duration {
	rtt := received.Sub(sent)
	c.samples = append(c.samples, struct{ rtt, skew time.Duration }{rtt, theirs.Sub(sent.Add(rtt / 2))})
	if len(c.samples) > 8 {
		c.samples = c.samples[1:]
	}
	best := c.samples[0]
	for _, s := range c.samples {
		if s.rtt < best.rtt {
			best = s
		}
	}
	return best.skew
}

// places knows where the roles listen.
type places struct {
	mu       sync.Mutex
	executor string        // guarded by mu, like the rest
	gateway  string        // the one in use stays in use while it is up
	metrics  []string      // sorted, each once
	changed  chan struct{} // closed and replaced when the gateway changed
}

func newPlaces() *places { return &places{changed: make(chan struct{})} }

// learn takes the places from a fleet, and reports whether those to ask changed.
func (p *places) learn(fleet []wire.Instance) bool {
	var executor string
	var gateways, metrics []string
	for _, i := range fleet {
		if !i.Up {
			continue
		}
		if u := baseURL(i.URLs[wire.RoleExecutor]); u != "" && (executor == "" || i.Leader) {
			executor = u
		}
		if u := baseURL(i.URLs[wire.RoleGateway]); u != "" {
			gateways = append(gateways, u)
		}
		if u := baseURL(i.MetricsURL); u != "" {
			metrics = append(metrics, u)
		}
	}
	slices.Sort(metrics)
	slices.Sort(gateways)
	p.mu.Lock()
	defer p.mu.Unlock()
	metrics = slices.Compact(metrics)
	news := p.executor != executor || !slices.Equal(p.metrics, metrics)
	p.executor, p.metrics = executor, metrics
	if len(gateways) > 0 && !slices.Contains(gateways, p.gateway) {
		p.setGateway(gateways[0])
	}
	return news
}

func (p *places) setGateway(u string) {
	p.gateway = u
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *places) executorURL() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.executor
}

func (p *places) metricURLs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.metrics
}

// gatewayURL returns the gateway in use, "" if none is known, and a channel that
// is closed when it changes.
func (p *places) gatewayURL() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gateway, p.changed
}

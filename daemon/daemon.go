// Package daemon wires the parts of spark-daemon together and is the one place
// that starts them.
//
// [Run] nests what must end in order and sets side by side what need not:
//
//	store (embedded engine, when no Redis is configured)
//	└─ servers ∥ market feed ∥ stream hub ∥ outbox relay ∥ heart ∥ hints ∥ gauges ∥ observer ∥ lease.Run(lead)
//	                                                                                └─ engine
//
// Each part is one blocking Run(ctx) error. The end goes the other way: at the end
// of the context the process is not ready at once, leadership is handed over, open
// streams end over the drain time, deliveries under way are finished or given back,
// then the listeners close, then the store.
//
// Packages below know core, the nouns of daemon/store and what they specialise; that
// they fit together is proven here, where they are assigned to each other.
package daemon

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/engine"
	"github.com/spark-ta/spark/daemon/event"
	"github.com/spark-ta/spark/daemon/exchange/binance"
	"github.com/spark-ta/spark/daemon/exchange/sim"
	"github.com/spark-ta/spark/daemon/feed"
	"github.com/spark-ta/spark/daemon/lease"
	"github.com/spark-ta/spark/daemon/notify"
	"github.com/spark-ta/spark/daemon/notify/webhook"
	"github.com/spark-ta/spark/daemon/outbox"
	"github.com/spark-ta/spark/daemon/store/embedded"
	"github.com/spark-ta/spark/daemon/store/redis"
	"github.com/spark-ta/spark/daemon/stream"
)

// Sizes of the logs kept in memory.
const (
	keptRecords = 2000
	keptEvents  = 1000
)

// house is a process at work: the parts, and what they say of themselves.
type house struct {
	o       Options
	log     *slog.Logger
	meter   *meter
	records *event.Log
	events  *event.Log // of this instance
	// fleetEvents are those of all instances, in the observer.
	fleetEvents *event.Log
	began       time.Time
	id          string
	pulse       pulse
	heart       heart
	hints       chan struct{} // capacity 1: the lock may have changed; a second one is dropped

	engineStore *embedded.Engine // nil with a Redis server
	store       *redis.Store
	sim         *sim.Server // nil unless the market is simulated
	exchange    *binance.Client
	feed        *feed.Feed
	hub         *stream.Hub
	channels    map[string]notify.Notifier
	engine      *engine.Engine
	elector     *lease.Elector
	relay       *outbox.Relay
	judge       *judge // nil without the observer's role
	doors       []*door
}

// Run is the life of a process: it returns after everything has ended, nil when
// that was because ctx ended.
func Run(ctx context.Context, o Options) (err error) {
	h, err := build(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	h.log.Info("starting", "version", o.Version, "roles", strings.Join(o.Roles, ","), "instance", h.id, "market", o.MarketSource, "store", h.storeName())

	// The outer parts outlive the end of ctx by as long as the inner ones take to
	// end, so that they can still write.
	outer, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	err = runAll(outer,
		component{"store", h.runStore},
		component{"life", func(outer context.Context) error {
			defer stop()
			return h.live(ctx, outer)
		}},
	)
	h.log.Info("stopped", "after", time.Since(h.began).Round(time.Millisecond))
	return err
}

// build makes the parts; it starts none, but opens the data directory and the
// listeners, so that a mistake shows at once.
func build(ctx context.Context, o Options) (*house, error) {
	h := &house{o: o, began: time.Now(), id: o.InstanceID, hints: make(chan struct{}, 1)}
	h.heart.wake = make(chan struct{}, 1)
	if h.id == "" {
		id, err := instanceID()
		if err != nil {
			return nil, err
		}
		h.id = id
	}
	h.meter = newMeter(o.Version, o.Revision)
	h.records = event.NewLog(keptRecords, h.began.UnixMilli())
	h.events, h.fleetEvents = newEvents(h.began), newEvents(h.began)
	var level slog.LevelVar
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		return nil, fmt.Errorf("log level %q: %w", o.LogLevel, err)
	}
	h.log = newLogger(o.LogTo, o.LogFormat, &level, o.Secrets, h.meter, h.records, h.events, h.id)
	for _, step := range []func() error{h.buildDoors, h.buildStore, h.buildMarket, h.buildDelivery, h.buildLeader} {
		if err := step(); err != nil {
			return nil, errors.Join(err, h.close())
		}
	}
	if err := h.buildJudge(ctx); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// instanceID is unique by construction: host, process and chance.
func instanceID() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	var b [2]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("instance id: %w", err)
	}
	return host + "-" + strconv.Itoa(os.Getpid()) + "-" + hex.EncodeToString(b[:]), nil
}

func (h *house) has(role string) bool { return slices.Contains(h.o.Roles, role) }

func (h *house) storeName() string {
	if h.engineStore != nil {
		return "embedded"
	}
	return "redis"
}

// buildStore opens the embedded engine when no Redis is configured, and the one
// client that serves both.
func (h *house) buildStore() error {
	url := h.o.RedisURL
	if url == "" {
		e, err := embedded.Open(embedded.Options{Dir: h.o.DataDir, Log: h.log})
		if err != nil {
			return err
		}
		h.engineStore = e
		url = "redis://" + e.Addr()
	}
	s, err := redis.Open(redis.Options{
		URL: url, Namespace: h.o.RedisNamespace, HistoryLimit: h.o.HistoryLimit, CooldownSec: h.o.CooldownSec, Log: h.log,
		Version: h.o.Version,
		Observe: func(_ string, d time.Duration, _ error) { h.meter.Observe(wire.MetricRedisDuration, d.Seconds()) },
	})
	h.store = s
	return err
}

func (h *house) buildMarket() error {
	rest, ws := h.o.BinanceREST, h.o.BinanceWS
	speed := 1.0
	if h.o.MarketSource == "sim" {
		s, err := sim.New(sim.Options{
			Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(h.o.Sim.Port)),
			Seed: h.o.Sim.Seed, Speed: h.o.Sim.Speed, Demo: h.o.Sim.Demo,
			FramePeriod: time.Duration(h.o.Sim.FrameMS) * time.Millisecond, Log: h.log,
		})
		if err != nil {
			return err
		}
		h.sim = s
		rest, ws = "http://"+s.Addr(), "ws://"+s.Addr()
		if h.o.Sim.Speed > 0 {
			speed = h.o.Sim.Speed
		}
		if h.o.Sim.WebhookSink && h.o.WebhookURL == "" {
			h.o.WebhookURL = rest + "/sink"
			h.o.AllowedHosts = append(h.o.AllowedHosts, s.Addr())
		}
	}
	h.exchange = &binance.Client{REST: rest, WS: ws, Log: h.log, Speed: speed}
	if speed != 1 { // an error of the speed adds up
		h.exchange.Limits.ClockAge = 5 * time.Second
	}
	h.feed = &feed.Feed{Exchange: h.exchange, Log: h.log, UpdatePeriod: time.Duration(h.o.Sim.FrameMS) * time.Millisecond}
	h.hub = h.newHub()
	return nil
}

func (h *house) buildDelivery() error {
	h.channels = map[string]notify.Notifier{}
	if h.o.WebhookURL != "" {
		n, err := webhook.New(webhook.Options{URL: h.o.WebhookURL, Secret: h.o.WebhookSecret, AllowedHosts: h.o.AllowedHosts})
		if err != nil {
			return fmt.Errorf("%s: %w", wire.EnvWebhookURL, err)
		}
		if err := n.Objection(); err != nil {
			h.log.Warn("no notification will be delivered", "channel", "webhook", "error", err, "set", wire.EnvNotifyAllowed)
		}
		h.channels["webhook"] = n
	}
	h.relay = &outbox.Relay{
		Store: h.store, Channels: h.channels, Consumer: h.id, Log: h.log,
		Wake: h.store.Woken(), RateLimit: func() int { return h.o.NotifyRate }, Hooks: h.deliveryHooks(),
		Idle: time.Second, // what this process triggers wakes it; this is for what others left behind
	}
	return nil
}

func (h *house) channelNames() []string {
	names := make([]string, 0, len(h.channels))
	for n := range h.channels {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (h *house) deliveryHooks() outbox.Hooks {
	m := h.meter
	return outbox.Hooks{
		Sent: func(c string, d time.Duration) {
			m.Add(wire.MetricNotificationsSent, 1, c)
			m.Observe(wire.MetricNotificationLatency, d.Seconds(), c)
		},
		Failed:   func(c, reason string) { m.Add(wire.MetricNotificationsFailed, 1, c, reason) },
		Retried:  func(c string) { m.Add(wire.MetricNotificationsRetried, 1, c) },
		Repeated: func(c string) { m.Add(wire.MetricNotificationsRepeated, 1, c) },
		Dead:     func(c string) { m.Add(wire.MetricNotificationsDead, 1, c) },
		Changed:  func(e wire.NotifyEvent) { h.events.Append(wire.EventNotify, e) },
	}
}

func (h *house) buildLeader() error {
	h.engine = &engine.Engine{
		Alerts: h.store, Ledger: h.store, Marker: h.store, Market: marketOf{h.feed}, Meter: h.meter, Log: h.log,
		Channels: h.channelNames,
		OnEvent:  func(e alert.Event) { h.events.Append(wire.EventAlert, wire.FromEvent(e, nil)) },
		Interval: time.Duration(h.o.IntervalSec) * time.Second,
		Trust:    func(ctx context.Context) error { return h.elector.Trust(ctx) },
		Since:    func() int64 { c, _ := h.switches(); return c.ResumedAt },
	}
	h.elector = &lease.Elector{
		Store: h.store, Holder: h.id, Lease: time.Duration(h.o.LeaseSec) * time.Second, Log: h.log,
		Hints: h.hints, Progress: h.progress, Witness: lease.Witness, OnChange: h.leadership,
	}
	return nil
}

// leadership turns changes of the own leadership into metrics and events.
func (h *house) leadership(c lease.Change) {
	if c.State == lease.Became {
		h.meter.Add(wire.MetricLeaderElected, 1)
	}
	h.events.Append(wire.EventLeader, wire.LeaderEvent{
		Time: time.Now().UnixMilli(), State: c.State, Holder: c.Token.Holder, Epoch: c.Token.Epoch, Reason: c.Reason,
	})
}

func (h *house) runStore(ctx context.Context) error {
	if h.engineStore == nil {
		<-ctx.Done()
		return nil
	}
	return h.engineStore.Run(ctx)
}

// close closes what build has opened and Run has not.
func (h *house) close() error {
	var errs []error
	for _, d := range h.doors {
		errs = append(errs, d.close())
	}
	if h.judge != nil {
		errs = append(errs, h.judge.Close())
		if h.judge.docker != nil {
			errs = append(errs, h.judge.docker.Close())
		}
	}
	if h.store != nil {
		errs = append(errs, h.store.Close())
	}
	if h.engineStore != nil {
		errs = append(errs, h.engineStore.Close())
	}
	return errors.Join(errs...)
}

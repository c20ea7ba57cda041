package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/api"
)

// door is one role's listener and what is answered there.
type door struct {
	role     string
	listener net.Listener
	url      string       // for this machine
	public   string       // for other machines
	handler  http.Handler // set before run
	cert     string
	key      string
	log      *slog.Logger
}

// buildDoors opens the listeners.
func (h *house) buildDoors() error {
	ports := map[string]int{wire.RoleExecutor: h.o.ExecutorPort, wire.RoleGateway: h.o.GatewayPort, wire.RoleObserver: h.o.ObserverPort}
	scheme := "http://"
	if h.o.TLSCert != "" {
		scheme = "https://"
		for _, f := range []string{h.o.TLSCert, h.o.TLSKey} {
			if _, err := os.Stat(f); err != nil {
				return fmt.Errorf("TLS: %w", err)
			}
		}
	}
	for _, role := range h.o.Roles {
		l, err := net.Listen("tcp", net.JoinHostPort(h.o.Bind, strconv.Itoa(ports[role])))
		if err != nil && h.o.AnyPort {
			l, err = net.Listen("tcp", net.JoinHostPort(h.o.Bind, "0"))
		}
		if err != nil {
			return fmt.Errorf("%s: %w (another port: %s)", role, err, portVariable(role))
		}
		h.doors = append(h.doors, &door{
			role: role, listener: l, url: scheme + reachable(l.Addr()), public: scheme + advertised(l.Addr()),
			cert: h.o.TLSCert, key: h.o.TLSKey, log: h.log,
		})
	}
	return nil
}

func portVariable(role string) string {
	switch role {
	case wire.RoleExecutor:
		return wire.EnvExecutorPort
	case wire.RoleGateway:
		return wire.EnvWebPort
	default:
		return wire.EnvObserverPort
	}
}

// reachable is the address to use from this machine.
func reachable(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	addr := ap.Addr().Unmap()
	if addr.IsUnspecified() {
		addr = netip.MustParseAddr("127.0.0.1")
	}
	return netip.AddrPortFrom(addr, ap.Port()).String()
}

// run serves until ctx ends; requests under way then have a second.
func (d *door) run(ctx context.Context) error {
	s := &http.Server{
		Handler:           d.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second, // streams set deadlines of their own
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1) // one answer, from the goroutine below
	go func() {
		if d.cert != "" {
			served <- s.ServeTLS(d.listener, d.cert, d.key)
		} else {
			served <- s.Serve(d.listener)
		}
	}()
	d.log.Info("listening", "role", d.role, "url", d.url)
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.Shutdown(farewell) != nil {
		_ = s.Close() // whoever still talks has had a second
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (d *door) close() error {
	if err := d.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// furnish gives each door its calls. ended is closed when streams of events are to
// end.
func (h *house) furnish(ended <-chan struct{}) {
	gate := api.Gate{APIToken: h.o.APIToken, OpsToken: h.o.OpsToken, Loopback: loopback(h.o.Bind)}
	metrics := promhttp.HandlerFor(h.meter.registry, promhttp.HandlerOpts{})
	for _, d := range h.doors {
		rt := api.NewRouter(h.log)
		(&api.Instance{
			Health: func() wire.Health { return h.health(d.role) }, Ready: func() (bool, []string) { return h.ready(d.role) },
			Metrics: metrics, Logs: h.records, Gate: gate, Ended: ended,
		}).AddTo(rt)
		if d.role != wire.RoleObserver {
			(&api.Events{Own: h.events, Ended: ended}).AddTo(rt)
		}
		switch d.role {
		case wire.RoleExecutor:
			(&api.Alerts{
				Reader: h.store, Writer: h.store, Candles: candles{h.feed}, Counter: h.meter, Gate: gate,
				CooldownSec: h.o.CooldownSec, History: h.o.HistoryLimit, Channels: h.channelNames, Inspect: h.engine.Inspect,
			}).AddTo(rt)
			(&api.Scheduler{Store: h.store, Enabled: !h.o.SchedulerDisabled, Gate: gate, Changed: h.heart.nudge}).AddTo(rt)
		case wire.RoleGateway:
			(&api.Market{Candles: candles{h.feed}, Stream: h.hub}).AddTo(rt)
		case wire.RoleObserver:
			(&api.Observe{Fleet: h.fleet, Lock: h.lock, Events: h.fleetEvents, Own: h.events, Ended: ended, Hypercare: h.hypercare(gate), Queries: h.queries(), Gate: gate}).AddTo(rt)
		}
		d.handler = rt
	}
}

func loopback(bind string) bool {
	if bind == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(bind)
	return err == nil && a.IsLoopback()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon"
	"github.com/spark-ta/spark/daemon/api"
	"github.com/spark-ta/spark/daemon/event"
	"github.com/spark-ta/spark/daemon/observe"
	"github.com/spark-ta/spark/daemon/observe/rehearse"
	samples "github.com/spark-ta/spark/daemon/observe/sample"
)

// watch lets others see a rehearsal as they see a deployment: it answers the
// observer's calls for the simulated fleet.
type watch struct {
	r      *rehearse.Rehearsal
	events *event.Log
	began  time.Time
	ended  chan struct{} // closed when open streams are to end
	ready  string        // file to write the address to; may be empty
}

// keptNews is how many events are kept for who comes back.
const keptNews = 1000

// options tell the watch of what happens, when somebody may watch.
func (w *watch) options(speed float64) rehearse.Options {
	o := rehearse.Options{Coverage: coverageOf}
	if speed > 0 {
		w.began = time.Now()
		w.events = event.NewLog(keptNews, w.began.UnixMilli())
		o.Changed = w.changed
	}
	return o
}

// changed is called by the driver, which holds the state meanwhile.
func (w *watch) changed(c observe.Change) {
	observe.Publish(w.r.Driver.Machine.State(), c, w.events.Append)
}

// paced runs a rehearsal by the clock on the wall, with the observer's calls beside it.
func (p *program) paced(ctx context.Context, r *rehearse.Rehearsal, w *watch, speed float64, addr string, show func(time.Duration), clear func()) error {
	w.r = r
	listener, err := net.Listen("tcp", addr)
	var network *net.OpError
	switch {
	case errors.As(err, &network) && network.Op == "listen" && network.Addr == nil:
		return fmt.Errorf("%w: --serve %.100q: want HOST:PORT", errUsage, addr)
	case err != nil:
		return fmt.Errorf("%w (another one: --serve HOST:PORT)", err)
	}
	server := &http.Server{
		Handler: w.router(p.getenv(wire.EnvOpsToken), listener.Addr()), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	served := make(chan error, 1) // one answer, from the goroutine below
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(p.stderr, "spark-daemon: rehearsing %s at %gx: http://%s (SPARK_URL=http://%s spark-tui)\n", r.Scenario.ID, speed, listener.Addr(), listener.Addr())

	if w.ready != "" {
		if err = writeReady(w.ready, daemon.Addresses{Observer: "http://" + listener.Addr().String(), PID: os.Getpid()}); err != nil {
			_ = server.Close()
			return errors.Join(err, <-served)
		}
	}
	var shown time.Time
	err = r.Pace(ctx, func() float64 {
		if time.Since(shown) > time.Second {
			shown = time.Now()
			show(r.Since())
		}
		return speed
	})
	clear()
	if err == nil && (terminal(p.stdout) || w.ready != "") {
		fmt.Fprintf(p.stderr, "spark-daemon: the rehearsal is over; http://%s stays until Ctrl-C\n", listener.Addr())
		<-ctx.Done()
	}
	close(w.ended)
	farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if server.Shutdown(farewell) != nil {
		_ = server.Close() // whoever still talks has had a second
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// router answers as an observer does. Without a token who is on this machine may act.
func (w *watch) router(token string, at net.Addr) *api.Router {
	local, err := netip.ParseAddrPort(at.String())
	gate := api.Gate{OpsToken: token, Loopback: err == nil && local.Addr().IsLoopback()}
	rt := api.NewRouter(slog.New(slog.DiscardHandler))
	(&api.Instance{
		Health: func() wire.Health {
			v, _ := buildVersion()
			return wire.Health{OK: true, Uptime: time.Since(w.began).Seconds(), Version: v, Roles: []string{wire.RoleObserver}, Instance: "rehearsal", Redis: wire.RedisHealth{OK: true}}
		},
		Ready: func() (bool, []string) { return true, nil }, Metrics: http.NotFoundHandler(),
		Logs: event.NewLog(1, w.began.UnixMilli()), Gate: gate, Ended: w.ended,
	}).AddTo(rt)
	queries := (&samples.API{Querier: w.r.Querier, Lister: w.r.Querier, Raw: w.r.Querier}).Routes()
	queries[wire.PathQuery] = w.atVirtualTime(queries[wire.PathQuery])
	(&api.Observe{
		Fleet: w.fleet, Lock: w.lock, Events: w.events, Ended: w.ended, Gate: gate, Queries: queries,
		Hypercare: &api.Hypercare{Judge: w.r.Desk, Coverage: coverageOf, Gate: gate},
	}).AddTo(rt)
	return rt
}

// atVirtualTime makes a query that names no time one of now, as the rehearsal has it.
func (w *watch) atVirtualTime(query http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); !q.Has("time") { // one in a form goes before it
			q.Set("time", fmt.Sprintf("%.3f", float64(w.r.Now().UnixMilli())/1000))
			r.URL.RawQuery = q.Encode()
		}
		query.ServeHTTP(rw, r)
	})
}

// fleet is what the newest samples say of the simulated instances. They have no
// addresses: nobody answers there.
func (w *watch) fleet(ctx context.Context) wire.Fleet {
	now := w.r.Now()
	newest := func(query string) map[string]float64 {
		out := map[string]float64{}
		v, err := w.r.Querier.Instant(ctx, query, now)
		if err != nil {
			return out // unknown values are left out, as of an instance that is not seen
		}
		for _, s := range v {
			out[s.Labels.Get("instance")] = s.V
		}
		return out
	}
	up, leads, epoch := newest(wire.SeriesUp), newest(wire.MetricIsLeader), newest(wire.MetricLeaderEpoch)
	memory, cpu, started := newest("process_resident_memory_bytes"), newest("rate(process_cpu_seconds_total[1m])"), newest("process_start_time_seconds")
	out := wire.Fleet{OK: true, Now: now.UnixMilli(), Instances: []wire.Instance{}}
	for _, i := range w.r.Scenario.Instances {
		roles := strings.Split(i.Role, ",")
		phase := "none"
		switch {
		case leads[i.Name] == 1:
			phase = "leader"
		case slices.Contains(roles, wire.RoleExecutor):
			phase = "follower"
		}
		out.Instances = append(out.Instances, wire.Instance{
			ID: i.Name, Roles: roles, Version: w.r.Scenario.Version, Up: up[i.Name] == 1, Phase: phase, Leader: leads[i.Name] == 1,
			Epoch: int64(epoch[i.Name]), StartedAt: int64(started[i.Name] * 1000), CPU: cpu[i.Name], RSSBytes: int64(memory[i.Name]), URLs: map[string]string{},
		})
	}
	return out
}

// lock is the simulated lock.
func (w *watch) lock(context.Context) (wire.Lock, error) {
	holder, epoch := w.r.Lock()
	out := wire.Lock{OK: true, Key: "rehearsal", State: "free", Sentence: "nobody holds the simulated lock"}
	if holder != "" {
		out.State, out.Sentence = "held", holder+" holds the simulated lock"
		out.Holder, out.Epoch, out.HolderAlive, out.LeaseRemainingMS = holder, int64(epoch), true, (30 * time.Second).Milliseconds()
	}
	return out, nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// world is a Redis, two real daemons with a simulated market each, and a receiver of
// their notifications, which outlives them.
type world struct {
	*bench
	dir      string
	server   *server
	rng      *rand.Rand
	daemons  []*daemon
	receiver *http.Server
	sink     string // its address

	mu      sync.Mutex
	created []string            // alerts that a call has acknowledged; guarded by mu
	ids     map[string][]string // alert → ids under which it was notified; guarded by mu
	repeats int                 // guarded by mu
}

// daemon is one process of spark-daemon.
type daemon struct {
	id   string
	cmd  *exec.Cmd
	log  string
	at   string // of the executor's API; guarded by the world's mu, as is the rest
	lead bool
}

// playDaemons: every alert that a call has acknowledged fires once, whatever is killed
// meanwhile.
func playDaemons(ctx context.Context, b *bench, n int, seed uint64, t *tally) (err error) {
	w, err := b.newWorld(ctx, seed)
	if err != nil {
		return err
	}
	defer w.close()
	making, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	group.Go(func() { w.demand(making) })
	for round := range n {
		if err = w.round(ctx, round); err != nil {
			break
		}
		t.mu.Lock()
		t.rounds++
		t.mu.Unlock()
	}
	stop()
	group.Wait()
	if err != nil {
		return err
	}
	return w.judge(ctx, t)
}

func (b *bench) newWorld(ctx context.Context, seed uint64) (*world, error) {
	dir, err := os.MkdirTemp(b.dir, "daemons-")
	if err != nil {
		return nil, err
	}
	w := &world{bench: b, dir: dir, rng: rand.New(rand.NewPCG(seed, 3)), ids: map[string][]string{}}
	l, err := listen()
	if err != nil {
		return nil, err
	}
	w.sink = l.Addr().String()
	w.receiver = &http.Server{Handler: http.HandlerFunc(w.receive), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = w.receiver.Serve(l) }()
	if w.server, err = newServer(b.run, filepath.Join(dir, "redis")); err != nil {
		return nil, err
	}
	if err := w.server.start(ctx); err != nil {
		return nil, err
	}
	if _, err := w.server.do("HSET", sparkTerm, "holder", "before", "epoch", "7", "nonce", "n", "state", "released"); err != nil {
		return nil, err
	}
	for range 2 {
		if err := w.join(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// join starts a daemon.
func (w *world) join() error {
	d := &daemon{id: fmt.Sprintf("d%d", len(w.daemons)+1)}
	d.log = filepath.Join(w.dir, d.id+".log")
	d.cmd = exec.Command(w.daemon)
	d.cmd.Env = append(os.Environ(),
		"REDIS_URL=redis://"+w.server.addr(), "SCHEDULER_ID="+d.id, "SCHEDULER_LEASE_SEC=2", "MARKET_SOURCE=sim", "SPARK_ROLES=executor",
		"EXECUTOR_PORT=0", "SPARK_DATA_DIR="+filepath.Join(w.dir, d.id), "SPARK_DRAIN_SEC=0", "NOTIFY_RATE_LIMIT=0",
		"NOTIFY_WEBHOOK_URL=http://"+w.sink, "NOTIFY_ALLOWED_HOSTS="+w.sink)
	log, err := os.Create(d.log)
	if err != nil {
		return err
	}
	d.cmd.Stdout = io.MultiWriter(log, &lines{each: func(s string) { w.heard(d, s) }})
	d.cmd.Stderr = d.cmd.Stdout
	w.mu.Lock()
	w.daemons = append(w.daemons, d)
	w.mu.Unlock()
	return w.run.start(d.cmd)
}

// heard reads a daemon's log.
func (w *world) heard(d *daemon, line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case strings.Contains(line, "msg=listening") && strings.Contains(line, "role=executor"):
		_, rest, _ := strings.Cut(line, "url=")
		d.at, _, _ = strings.Cut(rest, " ")
	case strings.Contains(line, wire.LogBecameLeader):
		d.lead = true
	case strings.Contains(line, wire.LogLostLeadership), strings.Contains(line, wire.LogResigned):
		d.lead = false
	}
}

// live returns the daemons that run, the leader first.
func (w *world) live() (all []*daemon, led bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.daemons {
		switch {
		case d.cmd == nil:
		case d.lead:
			all, led = slices.Insert(all, 0, d), true
		default:
			all = append(all, d)
		}
	}
	return all, led
}

// wait asks every 10 ms for a minute.
func (w *world) wait(ctx context.Context, what string, holds func() bool) error {
	for began := time.Now(); !holds(); {
		if time.Since(began) > time.Minute {
			return fmt.Errorf("%s: %w (logs in %s)", what, errLate, w.dir)
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// round kills or stops something while alerts are created and fire.
func (w *world) round(ctx context.Context, round int) error {
	if err := w.wait(ctx, "two daemons, one of which leads", func() bool {
		all, led := w.live()
		return led && len(all) == 2 && all[1].at != ""
	}); err != nil {
		return err
	}
	if err := sleep(ctx, time.Duration(300+w.rng.IntN(700))*time.Millisecond); err != nil {
		return err
	}
	all, _ := w.live()
	victim := all[0]
	switch round % 4 {
	case 0, 2:
		w.end(victim, syscall.SIGKILL)
	case 1:
		w.server.stop(syscall.SIGTERM)
		if err := sleep(ctx, time.Duration(w.rng.IntN(3000))*time.Millisecond); err != nil {
			return err
		}
		return w.server.start(ctx)
	case 3:
		w.end(victim, syscall.SIGTERM)
	}
	return w.join()
}

func (w *world) end(d *daemon, how syscall.Signal) {
	w.run.stop(d.cmd, how)
	w.mu.Lock()
	defer w.mu.Unlock()
	d.cmd, d.lead = nil, false
}

// demand creates alerts that fire at once and only once, and remembers those that were
// acknowledged.
func (w *world) demand(ctx context.Context) {
	client := &http.Client{Timeout: 2 * time.Second}
	for n := 0; ctx.Err() == nil; n++ {
		_ = sleep(ctx, 50*time.Millisecond)
		all, _ := w.live()
		if len(all) == 0 {
			continue
		}
		w.mu.Lock()
		at := all[n%len(all)].at
		w.mu.Unlock()
		if at == "" {
			continue
		}
		if id, err := create(ctx, client, at); err == nil {
			w.mu.Lock()
			w.created = append(w.created, id)
			w.mu.Unlock()
		}
	}
}

func create(ctx context.Context, client *http.Client, at string) (string, error) {
	body, err := json.Marshal(wire.CreateAlert{
		Symbol: "BTCUSDT", Timeframe: "1m", Type: "price", Trigger: "once", Params: map[string]any{"op": ">", "level": 1e-9},
	})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at+wire.PathAlertsCreate, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var made wire.AlertCreated
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil {
		return "", err
	}
	if !made.OK || made.ID == "" {
		return "", errors.New("not created")
	}
	return made.ID, nil
}

// receive takes a notification. Its id is what a receiver tells repeats by.
func (w *world) receive(rw http.ResponseWriter, req *http.Request) {
	var n wire.Notification
	if err := json.NewDecoder(req.Body).Decode(&n); err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	id := req.Header.Get("webhook-id")
	alert, _, _ := strings.Cut(n.Data.ID, ":")
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Contains(w.ids[alert], id) {
		w.repeats++
		return
	}
	w.ids[alert] = append(w.ids[alert], id)
}

// judge waits until every acknowledged alert has been notified; claims of those who
// were killed are taken over after 45 s.
func (w *world) judge(ctx context.Context, t *tally) error {
	missing := func() (ids []string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, a := range w.created {
			if len(w.ids[a]) == 0 {
				ids = append(ids, a)
			}
		}
		return ids
	}
	began := time.Now()
	for len(missing()) > 0 && time.Since(began) < 90*time.Second {
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	var v verdict
	for _, id := range missing() {
		v.findings = append(v.findings, finding{foundLost, 0, fmt.Sprintf("alert %s never notified (logs in %s)", id, w.dir)})
	}
	w.mu.Lock()
	v.effects = len(w.created)
	for alert, ids := range w.ids {
		if len(ids) > 1 {
			v.findings = append(v.findings, finding{foundTwice, 0, fmt.Sprintf("alert %s notified under %v", alert, ids)})
		}
	}
	repeats := w.repeats
	w.mu.Unlock()
	for range repeats {
		t.hit("repeated")
	}
	t.took("last notification", time.Since(began))
	t.done(v)
	if len(v.findings) > 0 {
		w.dir = "" // kept
	}
	return nil
}

func (w *world) close() {
	all, _ := w.live()
	for _, d := range all {
		w.end(d, syscall.SIGKILL)
	}
	if w.server != nil {
		w.server.stop(syscall.SIGKILL)
	}
	_ = w.receiver.Close()
	if w.dir != "" {
		_ = os.RemoveAll(w.dir)
	}
}

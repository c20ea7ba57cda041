package storetest_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/store/redis"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	p := start(t).data()
	settled(t, p.client)
	s := openStore(t, "redis://"+p.addr)
	hints := watched(t, s)
	lead(t, s, "a", time.Hour)
	expect := func(what string, args ...any) {
		t.Helper()
		// What is under way already may not be taken for what is to come.
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for before := int64(-1); hints.Load() != before; <-tick.C {
			before = hints.Load()
		}
		before := hints.Load()
		p.do(args...)
		more(t, hints, before, what)
	}
	expect("hint of DEL", "DEL", lockKey)
	expect("hint of SET by hand", "SET", lockKey, "me", "PX", 30_000)
	expect("hint of FLUSHALL", "FLUSHALL")
	expect("hint of what was published", "PUBLISH", "{"+lockKey+"}:events", "deposed 1")
	expect("hint after the connection was killed", "CLIENT", "KILL", "TYPE", "pubsub")
	expect("hint of SET on the new connection", "SET", lockKey, "me", "PX", 100)
	p.wait("end of the lock", func(ctx context.Context) bool { return p.client.Exists(ctx, lockKey).Val() == 0 })
}

// TestWatchEndsWithAHungServer: a read that is under way does not end with its context.
func TestWatchEndsWithAHungServer(t *testing.T) {
	t.Parallel()
	p := start(t).data()
	for _, connected := range []bool{true, false} {
		s, err := redis.Open(redis.Options{URL: "redis://" + p.addr, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		heard := make(chan struct{}, 100) // far more than there are
		done := make(chan struct{})
		watch := func() { defer close(done); s.Watch(ctx, func() { heard <- struct{}{} }) }
		if connected {
			go watch()
			<-heard
		}
		resume := p.stop()
		if !connected {
			go watch()
		}
		began := time.Now()
		cancel()
		<-done
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("connected %t: Watch ended %s after its context, with a timeout of 1 s", connected, took)
		}
		resume()
		_ = s.Close()
	}
}

// TestWatchCostsNothing: who watches sends nothing, however often the lease is renewed.
func TestWatchCostsNothing(t *testing.T) {
	t.Parallel()
	const renewals = 50
	p := start(t).data()
	settled(t, p.client)
	s := openStore(t, "redis://"+p.addr)
	hints := watched(t, s)
	a := lead(t, s, "a", time.Hour)
	if _, err := s.Renew(t.Context(), a.Token, time.Hour, 0); err != nil { // the script is loaded
		t.Fatal(err)
	}
	p.do("CONFIG", "RESETSTAT")
	for range renewals {
		if _, err := s.Renew(t.Context(), a.Token, time.Hour, 0); err != nil {
			t.Fatal(err)
		}
	}
	calls := map[string]int{}
	for _, m := range regexp.MustCompile(`cmdstat_([^:]+):calls=(\d+)`).FindAllStringSubmatch(p.client.Info(t.Context(), "commandstats").Val(), -1) {
		calls[m[1]], _ = strconv.Atoi(m[2])
	}
	if calls["evalsha"] != renewals {
		t.Errorf("%d scripts for %d renewals", calls["evalsha"], renewals)
	}
	for _, name := range []string{"subscribe", "hello", "ping", "client|tracking", "publish", "get", "eval"} {
		if most := map[string]int{"get": renewals}[name]; calls[name] > most {
			t.Errorf("%s was sent %d times, want at most %d: %s", name, calls[name], most, fmt.Sprint(calls))
		}
	}
	t.Logf("%d renewals: %v, %d hints", renewals, calls, hints.Load())
	if n := hints.Load(); n > 2*renewals+10 {
		t.Errorf("%d hints for %d renewals", n, renewals)
	}
}

// Package storetest says as tests what a store does, and runs them on every back
// end: the embedded store, a real redis-server, Sentinel and a Cluster.
//
//	storetest.Run(t, func(t testing.TB) redis.Options { … an empty server … })
//
// The tests are in terms of what callers see; only where damage must be made, or a
// promise to operators is kept (GET of the lock shows the holder), do they touch
// keys. They assume no time: clocks that matter are arguments, or the server's.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
)

// Open returns the options of a store on a server without keys.
type Open func(t testing.TB) redis.Options

// Run runs every test on servers made by open.
func Run(t *testing.T, open Open) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"alerts", alertTests()},
		{"damage", damageTests()},
		{"lease", leaseTests()},
		{"fleet", fleetTests()},
		{"trigger", triggerTests()},
		{"outbox", outboxTests()},
		{"changes", changeTests()},
		{"together", togetherTests()},
		{"fsck", fsckTests()},
		{"transfer", transferTests()},
	} {
		for _, tt := range group.tests {
			t.Run(group.name+"/"+tt.name, func(t *testing.T) { tt.run(t, newEnv(t, open)) })
		}
	}
}

type test struct {
	name string
	run  func(t *testing.T, e *env)
}

// env is a store with the means to look behind it.
type env struct {
	*redis.Store
	ctx  context.Context
	raw  *goredis.Client
	opts redis.Options
	ns   string

	prefix string // of all keys but the lock
}

func newEnv(t testing.TB, open Open) *env {
	t.Helper()
	opts := open(t)
	opts.Timeout = time.Minute // a busy machine must not turn answers into repeats
	s, err := redis.Open(opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	raw := Raw(t, opts)
	t.Cleanup(func() { _ = s.Close() })
	e := &env{Store: s, ctx: t.Context(), raw: raw, opts: opts, ns: redis.DefaultNamespace}
	if isCluster(opts.URL) {
		e.prefix = "{" + e.ns + ":scheduler:lock}:"
	} else {
		e.prefix = e.ns + ":"
	}
	return e
}

// another returns a second store on the same server, as another process has it.
func (e *env) another(t testing.TB, change func(*redis.Options)) *redis.Store {
	t.Helper()
	opts := e.opts
	if change != nil {
		change(&opts)
	}
	s, err := redis.Open(opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (e *env) key(name string) string {
	if name == "scheduler:lock" {
		return e.ns + ":" + name // the same everywhere
	}
	return e.prefix + name
}

// do sends a raw command that must succeed.
func (e *env) do(t testing.TB, args ...any) any {
	t.Helper()
	v, err := e.raw.Do(e.ctx, args...).Result()
	if err != nil && !errors.Is(err, goredis.Nil) {
		t.Fatalf("%v: %v", args, err)
	}
	return v
}

// settled makes the server look as if it had seen a leader before, so that the
// guard of a server that has just started is out of the way.
func (e *env) settled(t testing.TB) {
	t.Helper()
	e.do(t, "HSET", "{"+e.key("scheduler:lock")+"}:term", "holder", "before", "epoch", "7", "nonce", "n", "state", "released", "until", "1")
}

// lead makes holder the leader.
func (e *env) lead(t testing.TB, holder string) store.Token {
	t.Helper()
	e.settled(t)
	g, err := e.Acquire(e.ctx, holder, "nonce-"+holder, time.Hour, 0)
	if err != nil || !g.Held {
		t.Fatalf("Acquire(%s) = %+v, %v, want it held", holder, g, err)
	}
	return g.Token
}

// Base is the time at which the tests take place, ms.
const base = int64(1_790_000_000_000)

// sample returns the n-th of a sequence of alerts, each newer than the one before.
func sample(n int) alert.Alert {
	return alert.Alert{
		ID: fmt.Sprintf("0198c0de-0000-7000-8000-%012d", n), Rev: 1,
		Series: market.Series{Symbol: "BTCUSDT", Timeframe: timeframe("1m")},
		Params: alert.Price{Op: alert.OpAbove, Level: 0.0000123},
		Mode:   alert.Intrabar, CooldownSec: 300, Severity: alert.Info, Channels: []string{"webhook"},
		Note: "naïve <b>note</b>\n", Active: true, CreatedAt: base + int64(n), UpdatedAt: base + int64(n),
	}
}

func timeframe(s string) market.Timeframe {
	tf, err := market.ParseTimeframe(s)
	if err != nil {
		panic(err) // a constant of the tests
	}
	return tf
}

// event returns the event of an alert at its n-th minute, to the given channels.
func event(a alert.Alert, n int, channels ...string) alert.Event {
	at := base + int64(n)*60_000
	return alert.Event{
		ID: a.EventID(at, at), AlertID: a.ID, Rev: a.Rev, Series: a.Series, Type: a.Type(), Mode: a.Mode,
		Reason: "price>0.0000123", Value: map[string]float64{"close": 0.1 + 0.2}, Price: 0.30000000000000004,
		Bar: at, Time: at + 5, Epoch: 3, Severity: a.Severity, Channels: channels, Note: a.Note,
	}
}

// create writes alerts that must not exist.
func (e *env) create(t testing.TB, alerts ...alert.Alert) {
	t.Helper()
	for _, a := range alerts {
		if err := e.CreateAlert(e.ctx, a); err != nil {
			t.Fatalf("CreateAlert(%s): %v", a.ID, err)
		}
	}
}

// trigger writes events that must be accepted.
func (e *env) trigger(t testing.TB, tok store.Token, events ...alert.Event) {
	t.Helper()
	results, err := e.Trigger(e.ctx, tok, events, base)
	if err != nil {
		t.Fatalf("Trigger: %v", err)
	}
	for i, r := range results {
		if r != store.TriggerAccepted {
			t.Fatalf("Trigger: result %d = %v, want accepted", i, r)
		}
	}
}

// dump returns everything the server holds, as text: keys, types and contents.
func (e *env) dump(t testing.TB) string {
	t.Helper()
	text, err := Dump(e.ctx, e.raw)
	if err != nil {
		t.Fatalf("Dump: %v", err)
	}
	return text
}

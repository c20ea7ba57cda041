package storetest_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
)

const lockKey, termKey = "spark:alerts:scheduler:lock", "{spark:alerts:scheduler:lock}:term"

// settled makes a server look as if it had seen a leader.
func settled(t testing.TB, c *goredis.Client) {
	t.Helper()
	if err := c.HSet(t.Context(), termKey, "holder", "before", "epoch", "7", "nonce", "n", "state", "released", "until", "1").Err(); err != nil {
		t.Fatal(err)
	}
}

func openStore(t testing.TB, url string) *redis.Store {
	t.Helper()
	s, err := redis.Open(redis.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// watched counts the hints that a store gives.
func watched(t testing.TB, s *redis.Store) *atomic.Int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var hints atomic.Int64
	go func() {
		defer close(done)
		s.Watch(ctx, func() { hints.Add(1) })
	}()
	t.Cleanup(func() { cancel(); <-done })
	more(t, &hints, 0, "the first hint")
	return &hints
}

// more waits for a hint after the first n.
func more(t testing.TB, hints *atomic.Int64, n int64, what string) {
	t.Helper()
	eventually(t, what, func(context.Context) bool { return hints.Load() > n }, func() string { return "" })
}

// lead acquires as soon as that is possible. Until then nothing may be heard but that
// the store is not available.
func lead(t testing.TB, s *redis.Store, holder string, lease time.Duration) store.Grant {
	t.Helper()
	var g store.Grant
	var err error
	eventually(t, holder+" in the lead", func(ctx context.Context) bool {
		g, err = s.Acquire(ctx, holder, "nonce of "+holder, lease, 0)
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("Acquire(%s): %v", holder, err)
		}
		return g.Held
	}, func() string { return errors.Join(err).Error() })
	return g
}

// mustBeOver wants a term to have no effect.
func mustBeOver(t testing.TB, s *redis.Store, tok store.Token) {
	t.Helper()
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Renew":   func() error { _, err := s.Renew(ctx, tok, time.Minute, 0); return err },
		"Verify":  func() error { _, err := s.Verify(ctx, tok); return err },
		"Trigger": func() error { _, err := s.Trigger(ctx, tok, []alert.Event{{ID: "e", AlertID: "a"}}, 1); return err },
		"Advance": func() error {
			return s.Advance(ctx, tok, []store.Watermark{{Series: market.Series{Symbol: "BTCUSDT"}, Bar: 1}})
		},
	} {
		if err := call(); !errors.Is(err, store.ErrFenced) {
			t.Errorf("%s with a former token = %v, want ErrFenced", name, err)
		}
	}
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	d := startSentinels(t)
	old, next := d.master(), d.replica()
	settled(t, old.client)
	s := openStore(t, d.url)
	hints := watched(t, s)
	a := lead(t, s, "a", 4*time.Second)
	if err := s.CreateAlert(t.Context(), alert.Alert{ID: "kept", Params: alert.Price{Op: alert.OpAbove, Level: 1}}); err != nil {
		t.Fatal(err)
	}
	heard := hints.Load()
	old.kill()
	eventually(t, "answer of the new master", func(ctx context.Context) bool {
		_, err := s.Verify(ctx, a.Token)
		if err != nil && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrFenced) {
			t.Fatalf("Verify meanwhile = %v", err)
		}
		return err == nil || errors.Is(err, store.ErrFenced)
	}, func() string { return "" })
	more(t, hints, heard, "hint after the failover")

	// One server alone confirms nothing, so nobody leads until it has a replica.
	next.wait("the end of the lease", func(ctx context.Context) bool { return next.client.Exists(ctx, lockKey).Val() == 0 })
	if g, err := s.Acquire(t.Context(), "b", "alone", time.Minute, 0); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Acquire without a replica = %+v, %v, want it unavailable", g, err)
	}
	if v := next.client.Get(t.Context(), lockKey).Val(); v != "" {
		t.Errorf("the lock is %q, want the grant given back", v)
	}
	third := start(t) // Sentinels wait long before they turn a former master into a replica
	third.args = slices.Clone(old.args)
	third.login("da:ta")
	third.data().do("REPLICAOF", "127.0.0.1", next.port())
	b := lead(t, s, "b", time.Minute)
	if b.Token.Epoch <= a.Token.Epoch {
		t.Errorf("epoch %d after %d, want it to grow", b.Token.Epoch, a.Token.Epoch)
	}
	mustBeOver(t, s, a.Token)
	heard = hints.Load()
	next.do("DEL", lockKey)
	more(t, hints, heard, "hint of DEL on the new master")
	if list, damage, err := s.Alerts(t.Context()); err != nil || len(list)+len(damage) != 1 {
		t.Errorf("Alerts = %v, %v, %v, want the one of before", list, damage, err)
	}
}

// TestAHungSentinelCostsNothing: the others are asked too.
func TestAHungSentinelCostsNothing(t *testing.T) {
	t.Parallel()
	d := startSentinels(t)
	settled(t, d.master().client)
	defer d.keep[0].stop()()
	s := openStore(t, d.url)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Ping(ctx); err != nil {
		t.Errorf("Ping = %v", err)
	}
	if g := lead(t, s, "a", time.Minute); !g.Held {
		t.Errorf("Acquire = %+v", g)
	}
}

// TestWithoutItsReplicaNothingIsConfirmed: a master that is cut off from its replica
// grants no lease, and lets no renewal count.
func TestWithoutItsReplicaNothingIsConfirmed(t *testing.T) {
	t.Parallel()
	master, replica := start(t).data(), start(t).data()
	replica.do("REPLICAOF", "127.0.0.1", master.port())
	replica.wait("link to the master", func(context.Context) bool { return replica.info("replication", "master_link_status:up") })
	settled(t, master.client)
	url := "redis://" + master.addr
	one, none := openStore(t, url+"?wait=1"), openStore(t, url)
	a := lead(t, one, "a", time.Hour)
	if _, err := one.Renew(t.Context(), a.Token, time.Hour, 0); err != nil {
		t.Fatalf("Renew: %v", err)
	}

	resume := replica.stop()
	if g, err := one.Renew(t.Context(), a.Token, time.Hour, 0); !errors.Is(err, store.ErrUnavailable) || g.Held {
		t.Errorf("Renew = %+v, %v, want it not to count", g, err)
	}
	if err := one.Release(t.Context(), a.Token); err != nil {
		t.Fatal(err)
	}
	if g, err := one.Acquire(t.Context(), "b", "n1", time.Hour, 0); !errors.Is(err, store.ErrUnavailable) || g.Held {
		t.Errorf("Acquire = %+v, %v, want no lease", g, err)
	}
	if v := master.client.Get(t.Context(), lockKey).Val(); v != "" {
		t.Errorf("the lock is %q, want the grant given back", v)
	}
	// What another connection wrote is not confirmed by a connection that wrote nothing.
	if g, err := none.Acquire(t.Context(), "c", "n2", time.Hour, 0); err != nil || !g.Held {
		t.Fatalf("Acquire without confirmation = %+v, %v", g, err)
	}
	if g, err := openStore(t, url+"?wait=1").Acquire(t.Context(), "c", "n2", time.Hour, 0); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Acquire repeated = %+v, %v, want no lease", g, err)
	}
	resume()
	d := lead(t, one, "d", time.Hour)
	mustBeOver(t, one, a.Token)
	if _, err := one.Renew(t.Context(), d.Token, time.Hour, 0); err != nil {
		t.Errorf("Renew with the replica back: %v", err)
	}
}

func TestClusterFailover(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 1)
	first, second := d.nodes[1], d.nodes[3]
	settled(t, first.client)
	s := openStore(t, d.url)
	hints := watched(t, s)
	a := lead(t, s, "a", time.Hour)

	// A planned failover loses nothing: the term goes on.
	heard := hints.Load()
	second.do("CLUSTER", "FAILOVER")
	second.wait("the master's role", func(context.Context) bool {
		if _, err := s.Renew(t.Context(), a.Token, time.Hour, 0); err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("Renew during a failover = %v", err)
		}
		return second.info("replication", "role:master")
	})
	eventually(t, "renewal on the new master", func(ctx context.Context) bool {
		_, err := s.Renew(ctx, a.Token, 4*time.Second, 0)
		return err == nil
	}, func() string { return "" })
	if left := second.client.PTTL(t.Context(), lockKey).Val(); left <= 0 || left > 4*time.Second {
		t.Errorf("the lock on the new master ends in %s, want what the renewal said", left)
	}
	first.wait("link to the new master", func(context.Context) bool { return first.info("replication", "master_link_status:up") })
	more(t, hints, heard, "hint after the planned failover")

	// One that was not planned.
	heard = hints.Load()
	second.kill()
	b := lead(t, s, "b", time.Minute)
	if b.Token.Epoch <= a.Token.Epoch {
		t.Errorf("epoch %d after %d, want it to grow", b.Token.Epoch, a.Token.Epoch)
	}
	mustBeOver(t, s, a.Token)
	more(t, hints, heard, "hint after the failover")
	heard = hints.Load()
	first.do("DEL", lockKey)
	more(t, hints, heard, "hint of DEL on the new master")
}

// TestANodeOfAClusterIsToldApart: with a URL that says nothing of a Cluster the names
// of keys are others, so the store must not work half.
func TestANodeOfAClusterIsToldApart(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 0)
	s := openStore(t, "redis://"+d.nodes[0].addr)
	if err := s.CreateAlert(t.Context(), alert.Alert{ID: "a", Params: alert.Price{Op: alert.OpAbove, Level: 1}}); err == nil {
		t.Error("CreateAlert on a node of a Cluster = nil, want an error")
	}
	s = openStore(t, "redis+cluster://"+start(t).data().addr)
	if _, err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Ping of a server that is no node = %v, want ErrUnavailable", err)
	}
}

func TestRegression06RedisDownAtStartAndLostLater(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := openStore(t, "redis://"+p.addr)
	for id := range 3 {
		if _, err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("Ping without a server = %v, want ErrUnavailable", err)
		}
		if err := s.CreateAlert(t.Context(), alert.Alert{ID: "a"}); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("CreateAlert without a server = %v, want ErrUnavailable", err)
		}
		if id == 0 {
			p.data()
		} else {
			p.run()
		}
		eventually(t, "recovery", func(ctx context.Context) bool { _, err := s.Ping(ctx); return err == nil }, func() string { return "" })
		if err := s.CreateAlert(t.Context(), alert.Alert{ID: "a", Params: alert.Price{Op: alert.OpAbove, Level: 1}}); err != nil {
			t.Fatalf("CreateAlert with the server back = %v", err)
		}
		resume := p.stop()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if _, err := s.Ping(ctx); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Ping of a server that hangs = %v, want ErrUnavailable", err)
		}
		cancel()
		resume()
		p.kill()
	}
}

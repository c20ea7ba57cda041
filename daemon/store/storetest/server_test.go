package storetest_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store/redis"
	"github.com/spark-ta/spark/daemon/store/storetest"
)

func TestRedisServer(t *testing.T) { storetest.Run(t, server(t)) }

// TestAServerThatHasJustStartedMayHaveLostATerm: without a term nobody leads before
// the server runs for a lease.
func TestAServerThatHasJustStartedMayHaveLostATerm(t *testing.T) {
	s, err := redis.Open(server(t)(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	g, err := s.Acquire(t.Context(), "h", "n", time.Hour, 0)
	if err != nil || g.Held || g.Remaining <= 59*time.Minute || g.Remaining > time.Hour {
		t.Errorf("Acquire = %+v, %v, want it refused for the rest of the hour", g, err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !g.Held; <-tick.C {
		if g, err = s.Acquire(t.Context(), "h", "n", time.Second, 0); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %+v after a minute", g)
		}
	}
}

// server starts one redis-server on a socket of its own; each Open empties it.
func server(t testing.TB) storetest.Open {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "spark") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	opts := redis.Options{
		URL: "redis://localhost",
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	client := goredis.NewClient(&goredis.Options{Dialer: opts.Dial, Protocol: 2})
	t.Cleanup(func() { _ = client.Close() })
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); client.Ping(t.Context()).Err() != nil; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer")
		}
	}
	return func(t testing.TB) redis.Options {
		t.Helper()
		if err := client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return opts
	}
}

func BenchmarkRedisServer(b *testing.B) { storetest.Bench(b, server(b)) }

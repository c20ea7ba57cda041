package storetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/store/embedded"
	"github.com/spark-ta/spark/daemon/store/redis"
	"github.com/spark-ta/spark/daemon/store/storetest"
)

func TestEmbedded(t *testing.T) {
	t.Parallel() // waits for the disk most of the time
	storetest.Run(t, inProcess)
}

// TestTheFirstLeaderNeedNotWait: the directory is the memory, so a new one has lost
// nothing.
func TestTheFirstLeaderNeedNotWait(t *testing.T) {
	s, err := redis.Open(inProcess(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if g, err := s.Acquire(t.Context(), "h", "n", time.Hour, 0); err != nil || !g.Held {
		t.Errorf("Acquire = %+v, %v, want it held", g, err)
	}
}

// inProcess starts an engine in a directory of its own.
func inProcess(t testing.TB) redis.Options {
	t.Helper()
	e, err := embedded.Open(embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return redis.Options{URL: e.URL()}
}

func BenchmarkEmbedded(b *testing.B) { storetest.Bench(b, inProcess) }

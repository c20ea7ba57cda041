package outbox_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/notify"
	"github.com/spark-ta/spark/daemon/notify/webhook"
	"github.com/spark-ta/spark/daemon/outbox"
	"github.com/spark-ta/spark/daemon/store"
)

// TestRegression07OverHTTP is the regression with the real channel: a receiver that
// answers 500 to the first two attempts of each delivery.
func TestRegression07OverHTTP(t *testing.T) {
	const deliveries = 149
	var (
		mu     sync.Mutex
		came   = map[string]int{}
		bodies = map[string]string{}
		done   = make(chan struct{})
		okayed int
	)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id := r.Header.Get("Webhook-Id")
		mu.Lock()
		defer mu.Unlock()
		came[id]++
		if first, ok := bodies[id]; ok && first != string(body) {
			t.Errorf("attempt %d of %s has another body", came[id], id)
		}
		bodies[id] = string(body)
		if came[id] <= 2 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if okayed++; okayed == deliveries {
			close(done)
		}
	}))
	defer server.Close()
	n, err := webhook.New(webhook.Options{URL: server.URL, AllowedHosts: []string{strings.TrimPrefix(server.URL, "http://")}})
	if err != nil {
		t.Fatal(err)
	}
	s := newShelf()
	s.put(deliveries, "webhook")
	stop := start(t.Context(), &outbox.Relay{
		Store: s, Channels: map[string]notify.Notifier{"webhook": n}, Idle: 5 * time.Millisecond,
		Schedule: outbox.Schedule{Delays: []time.Duration{10 * time.Millisecond}, MaxAge: time.Hour},
	})
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("not delivered within 30 s")
	}
	stop() // an attempt under way is finished and recorded
	expectCounts(t, s, 0, deliveries, 0)
	mu.Lock()
	defer mu.Unlock()
	for id, n := range came {
		if n != 3 {
			t.Errorf("%s came %d times, want 3", id, n)
		}
	}
}

// belt is a store without end that costs nothing.
type belt struct{ left atomic.Int64 }

func (b *belt) Claim(_ context.Context, _ string, most int, _ time.Duration, _ int64) ([]store.Delivery, error) {
	out := make([]store.Delivery, 0, most)
	for len(out) < most && b.left.Load() > 0 { // claimed by one goroutine only
		b.left.Add(-1)
		out = append(out, store.Delivery{ID: "id", Channel: "webhook", Attempts: 1, Claim: "c"})
	}
	return out, nil
}

func (b *belt) Finish(_ context.Context, o store.Outcome) error {
	if o.State == store.Retrying { // the line was full
		b.left.Add(1)
	}
	return nil
}

func (b *belt) Promote(context.Context, int64, int) (int, int64, error) { return 0, 0, nil }

// BenchmarkDelivery is one delivery through claim, line, attempt and finish, with a
// store and a channel that cost nothing.
func BenchmarkDelivery(b *testing.B) {
	s := new(belt)
	s.left.Store(int64(b.N))
	var sent sync.WaitGroup
	sent.Add(b.N)
	b.ReportAllocs()
	b.ResetTimer()
	stop := start(b.Context(), &outbox.Relay{
		Store: s, Channels: map[string]notify.Notifier{"webhook": instant{}}, Idle: time.Millisecond,
		Hooks: outbox.Hooks{Sent: func(string, time.Duration) { sent.Done() }},
	})
	sent.Wait()
	b.StopTimer()
	stop()
}

type instant struct{}

func (instant) Notify(context.Context, notify.Message) notify.Result { return accepted }

package main

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// receiver is a webhook's receiver that outlives the daemons.
type receiver struct {
	mu    sync.Mutex
	byID  map[string]string // delivery → event; guarded by mu
	times map[string]int    // event → arrivals; guarded by mu
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	data, err := io.ReadAll(req.Body)
	var n wire.Notification
	if err != nil || json.Unmarshal(data, &n) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[req.Header.Get("webhook-id")] = n.Data.ID
	r.times[n.Data.ID]++
}

// TestKilledInTheMiddleOfTriggersNothingIsLost kills the daemon at random moments
// while alerts fire many times a second. What it has acknowledged must be there
// afterwards: alerts that a call returned, events that were logged as triggered, and
// for each event a delivery that arrives.
func TestKilledInTheMiddleOfTriggersNothingIsLost(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	got := &receiver{byID: map[string]string{}, times: map[string]int{}}
	srv := httptest.NewServer(got)
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{
		"NOTIFY_WEBHOOK_URL": srv.URL, "NOTIFY_ALLOWED_HOSTS": u.Host, "NOTIFY_RATE_LIMIT": "0",
		"ALERT_COOLDOWN_SEC": "0", "ALERT_HISTORY_LIMIT": "10000", "SCHEDULER_LEASE_SEC": "2",
	}
	dir := t.TempDir()
	var alerts []string // acknowledged
	events := map[string]bool{}
	for round := range rounds {
		p := start(t, dir, vars, "--speed", "60")
		for _, symbol := range []string{"BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT"} {
			var made wire.AlertCreated
			in := wire.CreateAlert{Symbol: symbol, Timeframe: "1m", Type: "price", Params: map[string]any{"op": ">", "level": 1e-9}}
			if err := call(t.Context(), http.MethodPost, p.at.Executor+wire.PathAlertsCreate, in, &made); err != nil {
				t.Fatalf("round %d: %v\n%s", round, err, p.dump())
			}
			alerts = append(alerts, made.ID)
		}
		// With the first alerts a candle a second fires; later rounds fire more.
		want := 4 + rand.IntN(40)
		wait(t, 30*time.Second, "triggers", func() bool { return len(p.matching(wire.LogTriggered)) >= want }, p.dump)
		p.kill()
		for _, record := range p.matching(wire.LogTriggered) {
			events[field(record, "event")] = true
		}
	}

	p := start(t, dir, vars)
	known := map[string]bool{}
	for _, id := range alerts {
		var h wire.AlertHistory
		if status := get(t, p.at.Executor+wire.PathAlertsHistory+"?limit=10000&id="+id, &h); status != http.StatusOK {
			t.Errorf("acknowledged alert %s is lost: %d", id, status)
		}
		for _, e := range h.Events {
			if known[e.ID] {
				t.Errorf("event %s stands twice in the history", e.ID)
			}
			known[e.ID] = true
			if len(e.Delivery) != 1 {
				t.Errorf("event %s has deliveries %v, want one", e.ID, e.Delivery)
			}
		}
	}
	for id := range events {
		if !known[id] {
			// The demo's own alerts fire as well; their history counts too.
			alert := id[:36]
			var h wire.AlertHistory
			get(t, p.at.Executor+wire.PathAlertsHistory+"?limit=10000&id="+alert, &h)
			found := false
			for _, e := range h.Events {
				found = found || e.ID == id
			}
			if !found {
				t.Errorf("event %s was logged as triggered and is lost", id)
			}
		}
	}
	// Claims of the killed are taken over once they lapse, 45 s at the most.
	missing := func() int {
		got.mu.Lock()
		defer got.mu.Unlock()
		n := 0
		for id := range known {
			if got.times[id] == 0 {
				n++
			}
		}
		return n
	}
	wait(t, 90*time.Second, "delivery of every event", func() bool { return missing() == 0 }, p.dump)
	got.mu.Lock()
	defer got.mu.Unlock()
	ids := map[string]string{}
	repeats := 0
	for delivery, event := range got.byID {
		if other, ok := ids[event]; ok {
			t.Errorf("event %s came under two ids, %s and %s", event, other, delivery)
		}
		ids[event] = delivery
		repeats += got.times[event] - 1
	}
	t.Logf("%d rounds: %d alerts, %d events logged, %d in history, %d delivered, %d repeats with the same id", rounds, len(alerts), len(events), len(known), len(ids), repeats)
}

package probe_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/eval"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/api"
	"github.com/spark-ta/spark/daemon/event"
	"github.com/spark-ta/spark/daemon/observe/probe"
	"github.com/spark-ta/spark/daemon/store"
)

// shelf keeps alerts for the product's own handlers.
type shelf struct {
	mu      sync.Mutex
	alerts  []alert.Alert
	created int
}

func (s *shelf) find(id string) (int, error) {
	i := slices.IndexFunc(s.alerts, func(a alert.Alert) bool { return a.ID == id })
	if i < 0 {
		return i, store.ErrNotFound
	}
	return i, nil
}

func (s *shelf) Alerts(context.Context) ([]alert.Alert, []store.Damage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.alerts), nil, nil
}

func (s *shelf) Alert(_ context.Context, id string) (alert.Alert, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(id)
	if err != nil {
		return alert.Alert{}, err
	}
	return s.alerts[i], nil
}

func (s *shelf) History(context.Context, string, int) ([]store.EventRecord, error) { return nil, nil }

func (s *shelf) CreateAlert(_ context.Context, a alert.Alert) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alerts = append([]alert.Alert{a}, s.alerts...)
	s.created++
	return nil
}

func (s *shelf) SetActive(context.Context, string, bool, int64) (alert.Alert, error) {
	return alert.Alert{}, store.ErrNotFound
}

func (s *shelf) DeleteAlert(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(id)
	if err == nil {
		s.alerts = slices.Delete(s.alerts, i, i+1)
	}
	return err
}

// Candles are at one price.
func (s *shelf) Candles(_ context.Context, series market.Series, limit int) ([]market.Candle, string, error) {
	out := make([]market.Candle, 0, limit)
	for i := range limit {
		out = append(out, market.Candle{
			Time: int64(i) * series.Timeframe.Duration().Milliseconds(), Open: 100, High: 100, Low: 100, Close: 100,
			Volume: 1, Trades: 1, Closed: i < limit-1,
		})
	}
	return out, wire.CacheMiss, nil
}

func (s *shelf) Add(string, float64, ...string) {}

// product serves the handlers of an executor.
func product(t *testing.T, s *shelf, logs *event.Log) string {
	rt := api.NewRouter(slog.New(slog.DiscardHandler))
	gate := api.Gate{APIToken: secret, OpsToken: secret}
	(&api.Alerts{
		Reader: s, Writer: s, Candles: s, Counter: s, Gate: gate, CooldownSec: 300, History: 100,
		Channels: func() []string { return nil },
		Inspect:  func(string) (eval.View, bool) { return eval.View{}, false },
	}).AddTo(rt)
	(&api.Instance{
		Health: func() wire.Health { return wire.Health{OK: true} }, Ready: func() (bool, []string) { return true, nil },
		Metrics: http.NotFoundHandler(), Logs: logs, Gate: gate,
	}).AddTo(rt)
	srv := httptest.NewServer(rt)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestTheAlertCanaryOnTheProduct(t *testing.T) {
	minute, err := market.ParseTimeframe("1m")
	if err != nil {
		t.Fatal(err)
	}
	series := market.Series{Symbol: "BTCUSDT", Timeframe: minute}
	s := &shelf{alerts: []alert.Alert{{
		ID: "0198c1d2-0000-7000-8000-000000000000", Series: series, Params: alert.Price{Op: alert.OpAbove, Level: 1e15}, Mode: alert.Intrabar,
		Note: "hypercare canary left behind", CreatedAt: 1,
	}}}
	url := product(t, s, event.NewLog(10, 0))
	a := probe.AlertCanary{Limits: limits(), Client: &http.Client{}, Token: secret}
	r := a.Walk(t.Context(), probe.Canary{Alert: true}, []probe.Target{{Name: "e", URL: url}})[0]
	if r.Err != nil {
		t.Errorf("error = %v", r.Err)
	}
	same(t, r, map[string]any{"ok": 1.0, "created": 1.0, "tested": 1.0, "read": 1.0, "deleted": 1.0, "leftovers": 1.0})
	if s.created != 1 || len(s.alerts) != 0 {
		t.Errorf("%d alerts were created and %d are left, want 1 and 0", s.created, len(s.alerts))
	}
}

func TestTheLogOfTheProduct(t *testing.T) {
	const started = int64(5_000_000)
	logs := event.NewLog(3, started)
	write := func(at int64, msg string) {
		logs.Insert(wire.EventLog, func(seq int64) any {
			return wire.LogRecord{Seq: seq, Time: started + at, Level: "info", Message: msg}
		})
	}
	targets := []probe.Target{{Name: "e", URL: product(t, &shelf{}, logs), Started: started}}
	m, err := probe.ParseMatch(`"became leader"`)
	if err != nil {
		t.Fatal(err)
	}
	l := probe.Log{Limits: limits(), From: probe.Instances{Client: &http.Client{}, Token: secret}}
	complete := func(since int64) (count, complete probe.Value) {
		r := l.Count(t.Context(), m, time.UnixMilli(started+since), time.UnixMilli(started+1000), targets)[0]
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		return r.Fields["count"], r.Fields["complete"]
	}
	write(10, "begun")
	write(20, wire.LogBecameLeader)
	if n, whole := complete(-100); n != probe.Number(1) || whole != probe.Number(1) {
		t.Errorf("count %v, complete %v of a process that has kept all; want 1 and 1", n, whole)
	}
	write(30, "x")
	write(40, "y") // the first record is thrown away
	if n, whole := complete(-100); n != probe.Number(1) || whole != probe.Number(0) {
		t.Errorf("count %v, complete %v of one that has lost a record; want 1 and 0", n, whole)
	}
	if _, whole := complete(20); whole != probe.Number(1) {
		t.Errorf("complete %v of a window that the rest covers; want 1", whole)
	}
}

package probe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/probe"
)

func TestParseCanary(t *testing.T) {
	for text, want := range map[string]probe.Canary{
		"stream": {Stream: true}, "alert": {Alert: true}, "# x\nalert\nnotify": {Alert: true, Notify: true},
	} {
		if got, err := probe.ParseCanary(text); err != nil || got != want {
			t.Errorf("ParseCanary(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "stream alert", "delete"} {
		if got, err := probe.ParseCanary(text); err == nil {
			t.Errorf("ParseCanary(%q) = %+v, want an error", text, got)
		}
	}
}

// gateway streams what a test writes; each connection gets a pipe.
type gateway struct {
	mu    sync.Mutex
	pipes []*io.PipeWriter
	asked []*http.Request
	fail  error
	not   bool // answers with a page
}

func (g *gateway) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r)
	if g.fail != nil {
		return nil, g.fail
	}
	if g.not {
		return &http.Response{StatusCode: 502, Header: http.Header{"Content-Type": {"text/html"}}, Body: http.NoBody}, nil
	}
	read, write := io.Pipe()
	g.pipes = append(g.pipes, write)
	context.AfterFunc(r.Context(), func() { write.CloseWithError(context.Cause(r.Context())) })
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: read}, nil
}

// say writes to the newest stream.
func (g *gateway) say(text string) {
	g.mu.Lock()
	w := g.pipes[len(g.pipes)-1]
	g.mu.Unlock()
	_, _ = io.WriteString(w, text)
	synctest.Wait()
}

func (g *gateway) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// watched starts a canary on one gateway, in a bubble; stop ends it.
func watched(t *testing.T, g *gateway) (c *probe.StreamCanary, stop func()) {
	c = &probe.StreamCanary{
		Limits: limits(), Client: &http.Client{Transport: g},
		Gateways: func() []probe.Target { return []probe.Target{{Name: "web", URL: "http://web"}} },
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	synctest.Wait()
	return c, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if got := c.Sample(time.Now()); len(got) != 0 {
			t.Errorf("samples after the end = %+v, want none", got)
		}
	}
}

// connections returns how many streams were opened, and asked for.
func (g *gateway) connections() (opened, asked int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.pipes), len(g.asked)
}

// end ends the newest stream.
func (g *gateway) end() {
	g.mu.Lock()
	w := g.pipes[len(g.pipes)-1]
	g.mu.Unlock()
	_ = w.Close()
}

func alive(t *testing.T, c *probe.StreamCanary, want string) {
	t.Helper()
	out := c.Sample(time.Now())
	if len(out) != 1 {
		t.Fatalf("%d samples, want 1", len(out))
	}
	got := "unknown"
	if v, ok := out[0].Fields["alive"]; ok {
		got = fmt.Sprint(v.Num)
	}
	if got != want {
		t.Errorf("alive = %s, want %s (%+v)", got, want, out[0])
	}
	safe(t, out[0])
}

func TestAStreamLivesWhileItBeats(t *testing.T) {
	g := &gateway{}
	synctest.Test(t, func(t *testing.T) {
		c, stop := watched(t, g)
		defer stop()
		alive(t, c, "unknown")
		g.mu.Lock()
		r := g.asked[0]
		g.mu.Unlock()
		if r.Header.Get("Spark-Canary") != "1" || r.URL.String() != "http://web/api/marketdata/stream?symbol=BTCUSDT&timeframe=1m" {
			t.Errorf("asked %s with %v", r.URL, r.Header)
		}
		for _, beat := range []string{"retry: 2000\n\ndata: {\"type\":\"open\"}\n\n", ": ping\n\n", "id: 1\ndata: {\"type\":\"kline\"}\n\n", "data: {\"type\":\"gap\"}\n\n"} {
			g.say(beat)
			alive(t, c, "1")
			time.Sleep(19 * time.Second)
			alive(t, c, "1")
		}
		// What is no beat does not count as one.
		g.say("data: {\"type\":\"error\",\"message\":\"x\"}\n\ndata: {\"type\":\"close\"}\n\nevent: x\ndata: garbage\n\n")
		time.Sleep(2 * time.Second)
		alive(t, c, "0")
		if got := c.Sample(time.Now())[0].Fields["age"].Num; got != 21 {
			t.Errorf("age = %v, want 21", got)
		}
		g.say(": ping\n\n")
		alive(t, c, "1")
	})
}

func TestASilentStreamIsMadeAnew(t *testing.T) {
	g := &gateway{}
	synctest.Test(t, func(t *testing.T) {
		c, stop := watched(t, g)
		defer stop()
		g.say(": ping\n\n")
		time.Sleep(29 * time.Second)
		if n, _ := g.connections(); n != 1 {
			t.Fatalf("%d connections before the patience is over, want 1", n)
		}
		alive(t, c, "0")
		time.Sleep(2 * time.Second)
		if n, _ := g.connections(); n != 2 {
			t.Fatalf("%d connections after, want 2", n)
		}
		if got := c.Sample(time.Now())[0]; got.Err == nil || !strings.Contains(got.Err.Error(), "silent") {
			t.Errorf("error = %v, want that it was silent", got.Err)
		}
		g.say(": ping\n\n")
		alive(t, c, "1")
		if got := c.Sample(time.Now())[0]; got.Err != nil || got.Fields["reconnects"].Num != 1 {
			t.Errorf("sample = %+v, want one reconnect and no error", got)
		}
	})
}

func TestAStreamThatEndsIsMadeAnewSoon(t *testing.T) {
	g := &gateway{}
	synctest.Test(t, func(t *testing.T) {
		c, stop := watched(t, g)
		defer stop()
		g.say(": ping\n\n")
		g.end()
		time.Sleep(time.Second)
		if n, _ := g.connections(); n != 2 {
			t.Fatalf("%d connections a second after the end, want 2", n)
		}
		alive(t, c, "1") // a pause that short is no outage

		g.set(func() { g.fail = errors.New("refused \x1b[31m" + secret) })
		g.end()
		time.Sleep(time.Minute)
		alive(t, c, "0")
		failed(t, c.Sample(time.Now())[0], "refused ***")
		if _, n := g.connections(); n < 8 || n > 14 {
			t.Errorf("asked %d times in a minute of failure, want about 10", n)
		}
		g.set(func() { g.fail, g.not = nil, true })
		time.Sleep(10 * time.Second)
		failed(t, c.Sample(time.Now())[0], "status 502")
		g.set(func() { g.not = false })
		time.Sleep(11 * time.Second)
		g.say(": ping\n\n")
		alive(t, c, "1")
	})
}

func TestAGatewayThatNeverBeatsIsDead(t *testing.T) {
	g := &gateway{fail: errors.New("refused")}
	synctest.Test(t, func(t *testing.T) {
		c, stop := watched(t, g)
		defer stop()
		time.Sleep(20 * time.Second)
		alive(t, c, "unknown")
		time.Sleep(time.Second)
		alive(t, c, "0")
	})
}

func TestGatewaysComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		list := []probe.Target{{Name: "a", URL: "http://a"}, {Name: "b", URL: "http://b"}}
		g := &gateway{}
		c := &probe.StreamCanary{Limits: limits(), Client: &http.Client{Transport: g}, Gateways: func() []probe.Target {
			mu.Lock()
			defer mu.Unlock()
			return list
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		names := func() (out []string) {
			for _, r := range c.Sample(time.Now()) {
				out = append(out, r.Target)
			}
			return out
		}
		if got := names(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("gateways = %v", got)
		}
		mu.Lock()
		list = []probe.Target{{Name: "b", URL: "http://moved"}}
		mu.Unlock()
		time.Sleep(2 * time.Second)
		if _, n := g.connections(); !slices.Equal(names(), []string{"b"}) || n != 3 {
			t.Errorf("gateways = %v after %d connections, want b after 3", names(), n)
		}
		cancel()
		<-done
	})
}

// executor keeps alerts like the real one, as far as a canary can tell.
type executor struct {
	mu     sync.Mutex
	alerts []wire.Alert
	now    int64
	fail   map[string]int // path → status
	hang   string         // path that makes the change and does not answer
	lies   bool           // the test triggers

	hanging func() // called when it hangs
}

func (e *executor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+secret {
		w.WriteHeader(401)
		return
	}
	e.mu.Lock()
	status, hang := e.fail[r.URL.Path], e.hang == r.URL.Path
	var out any
	if status == 0 {
		status, out = e.answer(r)
	}
	e.mu.Unlock()
	if hang {
		if e.hanging != nil {
			e.hanging()
		}
		<-r.Context().Done()
		return
	}
	w.WriteHeader(status)
	if status != 200 {
		out = wire.Error{Error: "no: \x1b[2J" + secret}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (e *executor) answer(r *http.Request) (int, any) {
	var id wire.AlertID
	switch r.URL.Path {
	case wire.PathAlertsCreate:
		var in wire.CreateAlert
		if json.NewDecoder(r.Body).Decode(&in) != nil || r.Header.Get("Content-Type") != "application/json" {
			return 400, nil
		}
		a := wire.Alert{ID: fmt.Sprint("id-", len(e.alerts)), Symbol: in.Symbol, Type: in.Type, Note: in.Note, CreatedAt: e.now, Active: true}
		e.alerts = append(e.alerts, a)
		return 200, wire.AlertCreated{OK: true, ID: a.ID, Alert: a}
	case wire.PathAlertsList:
		return 200, wire.AlertList{OK: true, Items: e.alerts}
	case wire.PathAlertsGet:
		id.ID = r.URL.Query().Get("id")
	case wire.PathNotifyTest:
		return 200, map[string]any{"ok": false, "sent": 1, "results": []any{
			map[string]any{"channel": "telegram", "ok": true}, map[string]any{"channel": "webhook", "ok": false, "error": "http_5xx"}}}
	default:
		if json.NewDecoder(r.Body).Decode(&id) != nil {
			return 400, nil
		}
	}
	i := slices.IndexFunc(e.alerts, func(a wire.Alert) bool { return a.ID == id.ID })
	if i < 0 {
		return 404, nil
	}
	switch r.URL.Path {
	case wire.PathAlertsGet:
		return 200, wire.AlertGot{OK: true, Alert: e.alerts[i]}
	case wire.PathAlertsTest:
		return 200, wire.AlertTested{OK: true, Triggered: e.lies}
	case wire.PathAlertsDelete:
		e.alerts = slices.Delete(e.alerts, i, i+1)
		return 200, wire.Done{OK: true}
	}
	return 404, nil
}

func walk(ctx context.Context, t *testing.T, e *executor, what string) probe.Result {
	srv := httptest.NewServer(e)
	defer srv.Close()
	c, err := probe.ParseCanary(what)
	if err != nil {
		t.Fatal(err)
	}
	a := probe.AlertCanary{Limits: limits(), Client: &http.Client{}, Token: secret}
	if e.hang != "" {
		a.Timeout = 2 * time.Second // the steps before it must not be what is late
	}
	r := a.Walk(ctx, c, []probe.Target{{Name: "e", URL: srv.URL}})[0]
	safe(t, r)
	return r
}

func TestTheWayOfAnAlert(t *testing.T) {
	e := &executor{now: 1_000_000}
	r := walk(t.Context(), t, e, "alert notify")
	if r.Fields["latency"].Num <= 0 {
		t.Errorf("latency = %v, want one", r.Fields["latency"])
	}
	same(t, r, map[string]any{
		"ok": 1.0, "created": 1.0, "tested": 1.0, "read": 1.0, "deleted": 1.0, "leftovers": 0.0,
		"notified": 0.0, "sent": 1.0, "channel.telegram": 1.0, "channel.webhook": 0.0,
	})
	failed(t, r, "notify: webhook: http_5xx")
	if len(e.alerts) != 0 {
		t.Errorf("left behind: %+v", e.alerts)
	}
}

func TestACanaryNeverLeavesAnAlert(t *testing.T) {
	for name, c := range map[string]struct {
		e      *executor
		reason string
	}{
		"create refused":    {&executor{fail: map[string]int{wire.PathAlertsCreate: 500}}, "create: status 500: no: ***"},
		"create unanswered": {&executor{hang: wire.PathAlertsCreate}, "create: no answer within"},
		"test refused":      {&executor{fail: map[string]int{wire.PathAlertsTest: 503}}, "test: status 503"},
		"test hangs":        {&executor{hang: wire.PathAlertsTest}, "test: no answer within"},
		"test triggers":     {&executor{lies: true}, "was reached"},
		"read refused":      {&executor{fail: map[string]int{wire.PathAlertsGet: 404}}, "read: status 404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := c.e
			r := walk(t.Context(), t, e, "alert")
			failed(t, r, c.reason)
			if len(e.alerts) != 0 || r.Fields["ok"] != probe.Number(0) {
				t.Errorf("left behind %+v, fields %+v", e.alerts, r.Fields)
			}
		})
	}
}

func TestACanaryThatIsInterruptedCleansUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e := &executor{hang: wire.PathAlertsTest, hanging: cancel}
	failed(t, walk(ctx, t, e, "alert"), "canceled")
	if len(e.alerts) != 0 {
		t.Errorf("left behind: %+v", e.alerts)
	}
}

func TestWhatACrashLeftIsTakenAway(t *testing.T) {
	const now = int64(10_000_000)
	e := &executor{now: now, alerts: []wire.Alert{
		{ID: "old", Note: "hypercare canary 1", CreatedAt: now - 11*60_000},
		{ID: "other", Note: "hypercare canary 2", CreatedAt: now - 9*60_000},
		{ID: "user", Note: "my hypercare canary 1", CreatedAt: 0},
	}}
	r := walk(t.Context(), t, e, "alert")
	if r.Err != nil || r.Fields["leftovers"] != probe.Number(1) || r.Fields["ok"] != probe.Number(1) {
		t.Errorf("result = %+v, want one leftover", r)
	}
	var left []string
	for _, a := range e.alerts {
		left = append(left, a.ID)
	}
	if !slices.Equal(left, []string{"other", "user"}) {
		t.Errorf("left: %v, want other and user", left)
	}
}

func TestACanaryThatCannotDelete(t *testing.T) {
	e := &executor{fail: map[string]int{wire.PathAlertsDelete: 500}}
	r := walk(t.Context(), t, e, "alert")
	failed(t, r, "delete: status 500")
	if r.Fields["deleted"] != probe.Number(0) || r.Fields["ok"] != probe.Number(0) {
		t.Errorf("fields = %+v, want not deleted and not ok", r.Fields)
	}
}

package stream_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/stream"
)

// exchange is a source whose news the test writes.
type exchange struct {
	mu     sync.Mutex
	closed map[market.Series][]market.Candle
	subs   map[market.Series]map[*subscription]struct{}
	opened int
	came   chan struct{} // closed, and made anew, at each subscription that comes or goes
}

type subscription struct {
	x       *exchange
	series  market.Series
	pending []stream.Update
	wake    chan struct{}
}

func newExchange() *exchange {
	return &exchange{
		closed: map[market.Series][]market.Candle{}, subs: map[market.Series]map[*subscription]struct{}{},
		came: make(chan struct{}),
	}
}

func (x *exchange) Subscribe(series market.Series) stream.Subscription {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := &subscription{x: x, series: series, wake: make(chan struct{}, 1)}
	if x.subs[series] == nil {
		x.subs[series] = map[*subscription]struct{}{}
	}
	x.subs[series][s] = struct{}{}
	x.opened++
	close(x.came)
	x.came = make(chan struct{})
	s.pending = []stream.Update{{Kind: stream.Whole}}
	s.wake <- struct{}{}
	return s
}

func (s *subscription) Next(ctx context.Context) ([]stream.Update, error) {
	for {
		s.x.mu.Lock()
		out := s.pending
		s.pending = nil
		s.x.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *subscription) Snapshot() []market.Candle {
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	return append([]market.Candle(nil), s.x.closed[s.series]...)
}

func (s *subscription) Close() {
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	delete(s.x.subs[s.series], s)
	close(s.x.came)
	s.x.came = make(chan struct{})
}

func (x *exchange) push(series market.Series, updates ...stream.Update) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, u := range updates {
		if u.Kind == stream.Candle && u.Candle.Closed {
			x.closed[series] = append(x.closed[series], u.Candle)
		}
	}
	for s := range x.subs[series] {
		s.pending = append(s.pending, updates...)
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (x *exchange) subscriptions() (now, ever int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, subs := range x.subs {
		now += len(subs)
	}
	return now, x.opened
}

// awaitSubscriptions waits until so many subscriptions are open.
func (x *exchange) awaitSubscriptions(t *testing.T, want int) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		x.mu.Lock()
		came := x.came
		x.mu.Unlock()
		now, _ := x.subscriptions()
		if now == want {
			return
		}
		select {
		case <-came:
		case <-limit:
			t.Fatalf("%d subscriptions, want %d", now, want)
		}
	}
}

var btc = market.Series{Symbol: "BTCUSDT", Timeframe: market.M1}

// bar is the n-th closed candle, whose last frame came 12 ms after its close.
func bar(n int64) market.Candle {
	p := 65000 + float64(n)
	return market.Candle{Time: n * 60_000, Open: p, High: p + 1, Low: p - 1, Close: p + 0.5, Volume: 1.25, Trades: 10, Event: (n+1)*60_000 + 12, Closed: true}
}

// tick is a state of the n-th candle while it is open, so many ms after its start.
func tick(n, ms int64) market.Candle {
	c := bar(n)
	c.Closed, c.Event, c.Trades, c.Volume = false, n*60_000+ms, 1, float64(ms)
	return c
}

func update(c market.Candle) stream.Update { return stream.Update{Kind: stream.Candle, Candle: c} }

// run runs the hub until the test's end.
func run(t *testing.T, h *stream.Hub) {
	t.Helper()
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// serve puts the hub behind a real server whose timeouts are those of requests.
func serve(t *testing.T, h *stream.Hub) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ReadTimeout, s.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	s.Start()
	run(t, h) // ends before the server closes, which waits for the streams
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

// sseEvent is one dispatched event.
type sseEvent struct {
	id   string // the last event id when it was dispatched
	name string
	data string
}

// reader is a parser of event streams by the HTML standard.
type reader struct {
	lines  *bufio.Reader
	lastID string
	retry  int
	pings  int
}

func newReader(r io.Reader) *reader { return &reader{lines: bufio.NewReader(r)} }

// line ends at LF, CR or CRLF.
func (r *reader) line() (string, error) {
	var b strings.Builder
	for {
		c, err := r.lines.ReadByte()
		switch {
		case err != nil:
			return "", err
		case c == '\n':
			return b.String(), nil
		case c == '\r':
			if next, err := r.lines.Peek(1); err == nil && next[0] == '\n' {
				_, _ = r.lines.ReadByte()
			}
			return b.String(), nil
		}
		b.WriteByte(c)
	}
}

func (r *reader) next() (sseEvent, error) {
	var e sseEvent
	var data []string
	for {
		line, err := r.line()
		if err != nil {
			return sseEvent{}, err
		}
		if line == "" {
			if data == nil {
				e.name = ""
				continue
			}
			e.id, e.data = r.lastID, strings.Join(data, "\n")
			return e, nil
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "":
			r.pings++
		case "data":
			data = append(data, value)
		case "event":
			e.name = value
		case "id":
			if !strings.Contains(value, "\x00") {
				r.lastID = value
			}
		case "retry":
			if n, err := strconv.Atoi(value); err == nil && strings.Trim(value, "0123456789") == "" {
				r.retry = n
			}
		}
	}
}

// message returns the next event's JSON, checked against the contract's type.
func (r *reader) message(t *testing.T) wire.StreamMessage {
	t.Helper()
	e, err := r.next()
	if err != nil {
		t.Fatalf("stream ended: %v", err)
	}
	return decode(t, e)
}

func decode(t *testing.T, e sseEvent) wire.StreamMessage {
	t.Helper()
	var m wire.StreamMessage
	d := json.NewDecoder(strings.NewReader(e.data))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || e.name != "" {
		t.Fatalf("event %+v: %v", e, err)
	}
	return m
}

// open connects to a stream and expects 200.
func open(t *testing.T, url string, header ...string) (*reader, func()) {
	t.Helper()
	resp := get(t, http.MethodGet, url, header...)
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("GET %s = %d %s", url, resp.StatusCode, body)
	}
	return newReader(resp.Body), func() { resp.Body.Close() }
}

func get(t *testing.T, method, url string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// gated is a response whose writes wait to be let through, each on its own.
type gated struct {
	header http.Header
	status int
	gate   chan struct{} // one token lets one write through; nil lets all

	mu       sync.Mutex
	writes   []string
	flushes  int
	deadline time.Time
}

func newGated() *gated { return &gated{header: http.Header{}} }

func (g *gated) Header() http.Header { return g.header }

func (g *gated) WriteHeader(status int) { g.status = status }

func (g *gated) SetWriteDeadline(d time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.deadline = d
	return nil
}

func (g *gated) FlushError() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flushes++
	return nil
}

func (g *gated) Write(p []byte) (int, error) {
	g.mu.Lock()
	gate, deadline := g.gate, g.deadline
	g.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-time.After(time.Until(deadline)):
			return 0, errors.Join(errors.New("write"), os.ErrDeadlineExceeded)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes = append(g.writes, string(p))
	return len(p), nil
}

// taken returns the writes so far.
func (g *gated) taken() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.writes...)
}

// block lets nothing through until the returned function lets one through.
func (g *gated) block() (let func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gate = make(chan struct{})
	return func() { g.gate <- struct{}{} }
}

// connect starts a stream in process; left tells when its handler has returned.
func connect(ctx context.Context, h *stream.Hub, g *gated, target string, header ...string) (leave func(), left <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	done := make(chan struct{})
	go func() { defer close(done); h.ServeHTTP(g, r) }()
	return func() { cancel(); <-done }, done
}

package sim_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/spark-ta/spark/daemon/exchange/sim"
)

// noon is when most of the test exchanges start.
var noon = time.Date(2026, 6, 3, 12, 0, 0, 0, time.UTC)

// start runs an exchange until the test ends. Unless the test says otherwise, time
// runs at 600 times its speed, frames come every 20 ms and nothing is limited.
func start(t testing.TB, o sim.Options) *sim.Server {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	if o.Speed == 0 {
		o.Speed = 600
	}
	if o.Start.IsZero() {
		o.Start = noon
	}
	if o.FramePeriod == 0 {
		o.FramePeriod = 20 * time.Millisecond
	}
	if o.Limits == (sim.Limits{}) {
		o.Limits = sim.Limits{Weight: -1, Connects: -1, Messages: -1}
	}
	s, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return s
}

// get asks the exchange and returns status, header and body.
func get(t testing.TB, url string) (int, http.Header, string) {
	t.Helper()
	return request(t, http.MethodGet, url, "", nil)
}

func request(t testing.TB, method, url, body string, header map[string]string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// rows asks for klines.
func rows(t testing.TB, s *sim.Server, query string) [][]any {
	t.Helper()
	status, _, body := get(t, s.URL()+"/api/v3/klines?"+query)
	if status != 200 {
		t.Fatalf("klines?%s: %d %s", query, status, body)
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	var all [][]any
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// kline is a kline event with the figures as they were written.
type kline struct {
	Event string `json:"e"`
	Time  int64  `json:"E"`
	K     struct {
		Open     json.Number `json:"t"`
		Close    json.Number `json:"T"`
		Interval string      `json:"i"`
		First    int64       `json:"f"`
		Last     int64       `json:"L"`
		O        string      `json:"o"`
		C        string      `json:"c"`
		H        string      `json:"h"`
		L        string      `json:"l"`
		Volume   string      `json:"v"`
		Trades   json.Number `json:"n"`
		Closed   bool        `json:"x"`
		Quote    string      `json:"q"`
		BuyBase  string      `json:"V"`
		BuyQuote string      `json:"Q"`
	} `json:"k"`
}

// row returns the event in the order of a REST row.
func (k kline) row() []any {
	return []any{k.K.Open, k.K.O, k.K.H, k.K.L, k.K.C, k.K.Volume, k.K.Close, k.K.Quote, k.K.Trades, k.K.BuyBase, k.K.BuyQuote, "0"}
}

// client is a raw client of the streams.
type client struct {
	*websocket.Conn
	t testing.TB
}

// dial connects to a path such as "/ws".
func dial(t testing.TB, s *sim.Server, path string) *client {
	t.Helper()
	ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), s.StreamURL()+path, nil)
	if err != nil {
		t.Fatalf("dial %s: %v (%v)", path, err, resp)
	}
	t.Cleanup(func() { ws.Close() })
	return &client{ws, t}
}

// next returns the next message.
func (c *client) next() string {
	c.t.Helper()
	message, err := c.read()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return message
}

func (c *client) read() (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	_, message, err := c.ReadMessage()
	return string(message), err
}

// kline returns the next message, which must be a kline event.
func (c *client) kline() kline {
	c.t.Helper()
	text := c.next()
	var k kline
	// Field names of one letter differ in case only; the decoder prefers the exact one.
	if err := json.Unmarshal([]byte(text), &k); err != nil || k.Event != "kline" {
		c.t.Fatalf("message %.200q is no kline: %v", text, err)
	}
	return k
}

// closedKline returns the next event of a closed candle.
func (c *client) closedKline() kline {
	c.t.Helper()
	for {
		if k := c.kline(); k.K.Closed {
			return k
		}
	}
}

// say sends a control message and returns the reply; events before it are skipped.
func (c *client) say(text string) string {
	c.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatalf("write: %v", err)
	}
	for {
		reply := c.next()
		if strings.HasPrefix(reply, `{"result"`) || strings.HasPrefix(reply, `{"code"`) {
			return reply
		}
	}
}

// inject orders a fault.
func inject(t testing.TB, s *sim.Server, f sim.Fault) {
	t.Helper()
	if err := s.Inject(f); err != nil {
		t.Fatal(err)
	}
}

func decodeJSON(t testing.TB, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%.200q: %v", text, err)
	}
}

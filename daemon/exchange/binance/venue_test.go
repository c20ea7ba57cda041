package binance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/exchange/binance"
)

// venue serves streams over pipes in the memory of the test, so that hours of
// protocol pass in a synctest bubble.
type venue struct {
	conns  chan net.Conn
	server *http.Server

	mu     sync.Mutex
	refuse func(n int) int // status with which to refuse the n-th handshake, 0 to accept
	dials  []time.Time
	peers  []*peer
	kept   int // connections that are open
}

// peer is one connection as the exchange sees it.
type peer struct {
	ws      *websocket.Conn
	gone    chan struct{} // closed when it has ended
	writing sync.Mutex

	mu       sync.Mutex
	streams  map[string]bool
	messages []time.Time // everything the client sent, pings and pongs included
	texts    []string
	pongs    []string
	mute     bool // does not answer pings
}

type address struct{}

func (address) Network() string { return "pipe" }
func (address) String() string  { return "pipe" }

func (v *venue) Accept() (net.Conn, error) {
	c, ok := <-v.conns
	if !ok {
		return nil, io.EOF
	}
	return c, nil
}
func (v *venue) Addr() net.Addr { return address{} }
func (v *venue) Close() error   { close(v.conns); return nil } // after the client's end: nobody dials any more

func (v *venue) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case v.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (v *venue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	v.dials = append(v.dials, time.Now())
	status := 0
	if v.refuse != nil {
		status = v.refuse(len(v.dials))
	}
	v.mu.Unlock()
	if status != 0 {
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(status)
		return
	}
	ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	p := &peer{ws: ws, gone: make(chan struct{}), streams: map[string]bool{}}
	for _, name := range strings.Split(r.URL.Query().Get("streams"), "/") {
		p.streams[name] = true
	}
	v.mu.Lock()
	v.peers = append(v.peers, p)
	v.kept++
	v.mu.Unlock()
	p.read()
	ws.Close()
	v.mu.Lock()
	v.kept--
	v.mu.Unlock()
	close(p.gone)
}

func (p *peer) read() {
	note := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.messages = append(p.messages, time.Now())
	}
	p.ws.SetPongHandler(func(payload string) error {
		note()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pongs = append(p.pongs, payload)
		return nil
	})
	p.ws.SetPingHandler(func(payload string) error {
		note()
		p.mu.Lock()
		mute := p.mute
		p.mu.Unlock()
		if mute {
			return nil
		}
		return p.ws.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(time.Second))
	})
	for {
		_, data, err := p.ws.ReadMessage()
		if err != nil {
			return
		}
		note()
		var m struct {
			Method string   `json:"method"`
			Params []string `json:"params"`
			ID     int64    `json:"id"`
		}
		if json.Unmarshal(data, &m) != nil {
			return
		}
		p.mu.Lock()
		p.texts = append(p.texts, m.Method)
		for _, name := range m.Params {
			if m.Method == "SUBSCRIBE" {
				p.streams[name] = true
			} else {
				delete(p.streams, name)
			}
		}
		p.mu.Unlock()
		p.send(fmt.Sprintf(`{"result":null,"id":%d}`, m.ID))
	}
}

func (p *peer) send(text string) {
	p.writing.Lock()
	defer p.writing.Unlock()
	_ = p.ws.WriteMessage(websocket.TextMessage, []byte(text)) // a test that cuts does not care
}

func (p *peer) subscribed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for name := range p.streams {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// cut ends a connection without a word.
func (p *peer) cut() { p.ws.Close() }

// last returns the connection made last.
func (v *venue) last(t *testing.T) *peer {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.peers) == 0 {
		t.Fatal("no connection")
	}
	return v.peers[len(v.peers)-1]
}

func (v *venue) counts() (dials, open int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.dials), v.kept
}

// bubble runs a test with a venue and a running client; in the end everything
// must be gone, or the bubble panics.
func bubble(t *testing.T, limits binance.Limits, test func(*testing.T, *venue, *binance.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := &venue{conns: make(chan net.Conn)}
		v.server = &http.Server{Handler: v, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = v.server.Serve(v) // its error is that of Close
		}()
		c := &binance.Client{
			WS:     "ws://ws.test",
			REST:   "http://rest.test",
			HTTP:   &http.Client{Transport: &office{kline: always(answer{status: 200, body: "[]"})}},
			Dialer: &websocket.Dialer{NetDialContext: v.dial, HandshakeTimeout: 10 * time.Second},
			Limits: limits,
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		test(t, v, c)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		synctest.Wait()
		if _, open := v.counts(); open != 0 {
			t.Errorf("%d connections are open after Run", open)
		}
		if got := c.Stats().Connections; got != 0 {
			t.Errorf("%d connections counted after Run", got)
		}
		_ = v.server.Close()
		<-served
	})
}

// ear listens to one series.
type ear struct {
	stop func() // and wait

	mu      sync.Mutex
	candles []market.Candle
	states  []bool
}

func listen(t *testing.T, c *binance.Client, series market.Series) *ear {
	e := &ear{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Stream(ctx, series, func(candle market.Candle, received time.Time) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if received.After(time.Now()) || received.IsZero() {
				t.Errorf("received at %v", received)
			}
			e.candles = append(e.candles, candle)
		}, func(up bool) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.states = append(e.states, up)
		}) // its error is ctx's
	}()
	e.stop = func() {
		cancel()
		<-done
	}
	return e
}

func (e *ear) heard() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.candles)
}

func (e *ear) connected() []bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.states)
}

// klineOf returns a frame of a series.
func klineOf(s market.Series, combined bool) string {
	text := fmt.Sprintf(`{"e":"kline","E":%d,"s":%q,"k":{"t":60000,"T":119999,"s":%q,"i":%q,"f":1,"L":2,"o":"1","c":"1","h":"1","l":"1","v":"1","n":2,"x":false,"q":"1","V":"1","Q":"1","B":"0"}}`,
		time.Now().UnixMilli(), s.Symbol, s.Symbol, s.Timeframe)
	if !combined {
		return text
	}
	return fmt.Sprintf(`{"stream":"%s@kline_%s","data":%s}`, strings.ToLower(string(s.Symbol)), s.Timeframe, text)
}

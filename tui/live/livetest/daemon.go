// Package livetest is a daemon small enough for tests of the console: it answers
// the calls that the console makes, from what a test tells it, over real HTTP. It
// can die and come back at the same address. A request that would change something
// fails the test unless the daemon judges. No program links it.
package livetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
)

// Daemon is a fake daemon of all roles. Its methods may be called at any time.
type Daemon struct {
	URL string

	t      testing.TB
	mu     sync.Mutex
	stop   func() // nil while stopped
	fleet  wire.Fleet
	health wire.Health
	alerts []wire.Alert
	page   string
	refuse map[market.Symbol]bool

	events  []message
	eventID int64
	streams map[*stream]struct{} // of candles
	wake    chan struct{}        // closed with each event
	asked   map[string]int
	resumes []string
	judge   *judge // nil: an older daemon
}

type message struct {
	id   int64
	text string
}

// stream is one open stream of candles.
type stream struct {
	symbols  map[string]bool
	frame    string
	messages chan string
}

// Start returns a running daemon with one healthy instance that leads.
func Start(t testing.TB) *Daemon {
	t.Helper()
	d := &Daemon{
		t: t, streams: map[*stream]struct{}{}, wake: make(chan struct{}), asked: map[string]int{}, refuse: map[market.Symbol]bool{},
		page: "# TYPE alerts_active gauge\nalerts_active 3\n",
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.URL = "http://" + listener.Addr().String()
	age := int64(120)
	d.health = wire.Health{
		OK: true, Uptime: 3720, Version: "v1.2.3", Roles: wire.Roles(), Instance: "node-a",
		Leader: wire.LeaderHealth{IsLeader: true, Holder: "node-a", Epoch: 7, LeaseRemainingMS: 31_000},
		Redis:  wire.RedisHealth{OK: true, LatencyMS: 0.4, Embedded: true},
		Market: wire.MarketHealth{OK: true, AgeMS: &age},
	}
	d.fleet = wire.Fleet{OK: true, Instances: []wire.Instance{d.Instance("node-a")}}
	d.fleet.Instances[0].Leader = true
	d.serve(listener)
	t.Cleanup(d.Stop)
	return d
}

// Instance returns an instance of all roles that is up and listens here.
func (d *Daemon) Instance(id string) wire.Instance {
	return wire.Instance{
		ID: id, Roles: wire.Roles(), Version: "v1.2.3", Up: true, Epoch: 7, StartedAt: time.Now().Add(-time.Hour).UnixMilli(),
		AgeMS: 300, CPU: 0.04, RSSBytes: 41_000_000, RedisLatencyMS: 0.4,
		URLs:       map[string]string{wire.RoleExecutor: d.URL, wire.RoleGateway: d.URL, wire.RoleObserver: d.URL},
		MetricsURL: d.URL + wire.PathMetrics,
	}
}

func (d *Daemon) serve(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc(wire.PathLive, d.json(func() any { return wire.Ready{OK: true} }))
	mux.HandleFunc(wire.PathFleet, d.json(func() any { f := d.fleet; f.Now = time.Now().UnixMilli(); return f }))
	mux.HandleFunc(wire.PathAlertsList, d.json(func() any { return wire.AlertList{OK: true, Items: d.alerts} }))
	mux.HandleFunc(wire.PathHealth, d.answerHealth)
	mux.HandleFunc(wire.PathMetrics, d.answerMetrics)
	mux.HandleFunc(wire.PathCandles, d.answerCandles)
	mux.HandleFunc(wire.PathEvents, d.answerEvents)
	mux.HandleFunc(wire.PathStream, d.answerStream)
	mux.HandleFunc(wire.PathHypercare, d.answerJudge)
	mux.HandleFunc(wire.PathHypercare+"/", d.answerJudge)
	mux.HandleFunc(wire.PathIncidents, d.answerJudge)
	mux.HandleFunc(wire.PathIncidents+"/", d.answerJudge)
	mux.HandleFunc(wire.PathQueryRange, d.answerQuery)
	// A connection that is accepted while the server closes escapes it: the context
	// ends its handler, which would otherwise stream for ever.
	ctx, cancel := context.WithCancel(d.t.Context())
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.mu.Lock()
			d.asked[r.URL.Path]++
			mayChange := d.judge != nil && r.Method == http.MethodPost
			d.mu.Unlock()
			if r.Method == http.MethodGet && r.Header.Get("Authorization") != "" {
				d.t.Errorf("a token went with %s", r.URL)
			}
			if r.Method != http.MethodGet && !mayChange {
				d.t.Errorf("the console asked to change something: %s %s", r.Method, r.URL)
			}
			mux.ServeHTTP(w, r)
		}),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // its error says that it was closed
	}()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop = func() {
		_ = server.Close()
		cancel()
		<-served
	}
}

// Stop ends the daemon as a crash would: connections break, the port refuses.
func (d *Daemon) Stop() {
	d.mu.Lock()
	stop := d.stop
	d.stop = nil
	d.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Restart brings a stopped daemon back at its address. The port may be taken for a
// moment by what is left of old connections.
func (d *Daemon) Restart() {
	d.t.Helper()
	address := strings.TrimPrefix(d.URL, "http://")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if l, err := net.Listen("tcp", address); err == nil {
			d.serve(l)
			return
		}
		<-tick.C
	}
	d.t.Fatalf("%s stays taken", address)
}

// Change lets f change what the daemon answers.
func (d *Daemon) Change(f func(fleet *wire.Fleet, health *wire.Health, alerts *[]wire.Alert, metrics *string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.fleet, &d.health, &d.alerts, &d.page)
}

// Refuse makes the gateway answer 400 to a symbol.
func (d *Daemon) Refuse(s market.Symbol) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse[s] = true
}

// Asked returns how often a path was asked for.
func (d *Daemon) Asked(path string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[path]
}

// Resumes returns the Last-Event-ID of each connection to the events.
func (d *Daemon) Resumes() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.resumes...)
}

// Event publishes an event of the observer.
func (d *Daemon) Event(name string, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		d.t.Error(err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.eventID++
	d.events = append(d.events, message{d.eventID, fmt.Sprintf("event: %s\nid: %d\ndata: %s\n\n", name, d.eventID, data)})
	close(d.wake)
	d.wake = make(chan struct{})
}

// Candle sends one state of a candle to the streams that follow it, and returns how
// many there are.
func (d *Daemon) Candle(s market.Symbol, tf market.Timeframe, c market.Candle) int {
	data, err := json.Marshal(wire.StreamMessage{
		Type: wire.StreamKline, Symbol: string(s), Timeframe: tf.String(),
		Data: &wire.StreamCandle{Candle: wire.FromCandle(c), Closed: c.Closed},
	})
	if err != nil {
		d.t.Error(err)
		return 0
	}
	text := fmt.Sprintf("id: %d\ndata: %s\n\n", c.Event, data)
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for st := range d.streams {
		if st.symbols[string(s)] && st.frame == tf.String() {
			st.messages <- text
			n++
		}
	}
	return n
}

// Streams returns how many streams of candles are open.
func (d *Daemon) Streams() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.streams)
}

// Candles returns n candles up to the one that is open now: the same for the same
// symbol, timeframe and time.
func Candles(s market.Symbol, tf market.Timeframe, now time.Time, n int) []market.Candle {
	base := 100.0
	for _, c := range s {
		base += float64(c)
	}
	var out []market.Candle
	for i := range n {
		at := tf.Add(now.UnixMilli(), i-n+1)
		k := float64((at / tf.Duration().Milliseconds()) % 17)
		open := base + k
		c := market.Candle{Time: at, Open: open, Close: base + float64((int(k)+5)%17), Volume: 1 + k}
		c.High, c.Low = max(c.Open, c.Close)+1, min(c.Open, c.Close)-1
		c.Closed = i < n-1
		out = append(out, c)
	}
	return out
}

func (d *Daemon) json(body func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		d.mu.Lock()
		data, err := json.Marshal(body())
		d.mu.Unlock()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(data)
	}
}

func (d *Daemon) answerHealth(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	h := d.health
	d.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if !h.OK {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(h)
}

func (d *Daemon) answerMetrics(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = w.Write([]byte(d.page))
}

func (d *Daemon) answerCandles(w http.ResponseWriter, r *http.Request) {
	symbol := market.Symbol(r.FormValue("symbol"))
	tf, err := market.ParseTimeframe(r.FormValue("timeframe"))
	n, bad := strconv.Atoi(r.FormValue("limit"))
	d.mu.Lock()
	refused := d.refuse[symbol]
	d.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if err != nil || bad != nil || refused {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(wire.Error{Error: "no such symbol", Code: wire.CodeInvalidSym})
		return
	}
	answer := []wire.Candle{}
	for _, c := range Candles(symbol, tf, time.Now(), n) {
		answer = append(answer, wire.FromCandle(c))
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (d *Daemon) answerEvents(w http.ResponseWriter, r *http.Request) {
	resume := r.Header.Get(wire.HeaderLastEventID)
	after, _ := strconv.ParseInt(resume, 10, 64)
	d.mu.Lock()
	d.resumes = append(d.resumes, resume)
	d.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	_, _ = w.Write([]byte("retry: 50\n\n"))
	for {
		_ = rc.Flush()
		d.mu.Lock()
		wake := d.wake
		pending := d.events
		d.mu.Unlock()
		for _, m := range pending {
			if m.id > after {
				_, _ = w.Write([]byte(m.text))
				after = m.id
			}
		}
		_ = rc.Flush()
		select {
		case <-wake:
		case <-r.Context().Done():
			return
		}
	}
}

func (d *Daemon) answerStream(w http.ResponseWriter, r *http.Request) {
	st := &stream{symbols: map[string]bool{}, frame: r.FormValue("timeframe"), messages: make(chan string, 1024)}
	for _, s := range strings.Split(r.FormValue("symbols")+","+r.FormValue("symbol"), ",") {
		st.symbols[s] = true
	}
	d.mu.Lock()
	d.streams[st] = struct{}{}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.streams, st)
		d.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	_, _ = w.Write([]byte("retry: 50\n\ndata: {\"type\":\"open\"}\n\n"))
	for {
		_ = rc.Flush()
		select {
		case text := <-st.messages:
			_, _ = w.Write([]byte(text))
		case <-r.Context().Done():
			return
		}
	}
}

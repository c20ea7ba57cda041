package sim_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/spark-ta/spark/daemon/exchange/sim"
)

// descriptors returns the number of open files of this process, -1 where it
// cannot be known.
func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(entries)
}

func TestRunLeavesNothingBehind(t *testing.T) {
	// Not the default client: its idle connections would be counted.
	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	transport.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	goroutines, files := runtime.NumGoroutine(), descriptors()
	for range 3 {
		s, err := sim.New(sim.Options{Log: discard(), Speed: 600, FramePeriod: 10 * time.Millisecond, Limits: sim.Limits{Connects: -1}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()

		var conns []*websocket.Conn
		for i := range 20 {
			path := fmt.Sprintf("/stream?streams=btcusdt@kline_1m/ethusdt@trade/adausdt@kline_%dm", []int{1, 3, 5}[i%3])
			ws, _, err := websocket.DefaultDialer.DialContext(ctx, s.StreamURL()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, ws)
			if _, _, err := ws.ReadMessage(); err != nil {
				t.Fatal(err)
			}
		}
		resp, err := client.Get(s.URL() + "/api/v3/time")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		// One that hangs in a delay, one that is frozen, one that never reads.
		inject(t, s, sim.Fault{Kind: sim.Slow, DelayMS: 60_000})
		hung := make(chan struct{})
		go func() {
			defer close(hung)
			if resp, err := client.Get(s.URL() + "/api/v3/ping"); err == nil {
				resp.Body.Close()
			}
		}()
		inject(t, s, sim.Fault{Kind: sim.Freeze, Count: 1})
		idle, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}

		begin := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("Run took %s to end", took)
		}
		<-hung
		idle.Close()
		for _, ws := range conns {
			ws.Close()
		}
		if ws, _, err := websocket.DefaultDialer.Dial(s.StreamURL()+"/ws", nil); err == nil {
			ws.Close()
			t.Error("the server still listens")
		}
	}
	transport.CloseIdleConnections()
	eventually(t, "as many goroutines and files as before", func() bool {
		return runtime.NumGoroutine() <= goroutines && descriptors() <= files
	})
}

func TestClientsAreToldWhenTheServerEnds(t *testing.T) {
	s, err := sim.New(sim.Options{Log: discard()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := dial(t, s, "/ws")
	c.say(`{"method":"LIST_SUBSCRIPTIONS","id":1}`)
	cancel()
	if text := c.next(); text[:21] != `{"e":"serverShutdown"` {
		t.Errorf("last event %s, want serverShutdown", text)
	}
	if code := c.ended(); code != websocket.CloseGoingAway {
		t.Errorf("close code %d, want 1001", code)
	}
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// A client that does not read is cut off and holds up nobody else.
func TestAClientThatFallsBehindIsCutOff(t *testing.T) {
	s := start(t, sim.Options{FramePeriod: 5 * time.Millisecond})
	dial(t, s, "/ws/"+minuteStream) // never reads
	reader := dial(t, s, "/ws/"+minuteStream)
	for range 12 {
		inject(t, s, sim.Fault{Kind: sim.Garbage, Shape: sim.ShapeHuge})
		for len(reader.next()) < 4<<20 {
		}
	}
	reader.kline()
	eventually(t, "one connection", func() bool { return s.Stats().Connections == 1 })
}

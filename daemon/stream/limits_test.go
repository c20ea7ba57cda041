package stream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/stream"
)

func refusal(t *testing.T, resp *http.Response) wire.Error {
	t.Helper()
	var e wire.Error
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		t.Fatal(err)
	}
	if after := resp.Header.Get("Retry-After"); after != strconv.Itoa(e.RetryAfter) || e.RetryAfter < 1 {
		t.Errorf("Retry-After %q beside retryAfter %d", after, e.RetryAfter)
	}
	return e
}

// awaitConnected waits until so many streams are open.
func awaitConnected(t *testing.T, url string, want int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for {
		got := get(t, http.MethodHead, url+path).Header.Get(wire.HeaderStreamsConnected)
		if got == strconv.Itoa(want) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s streams connected, want %d", got, want)
		}
	}
}

func TestLimitPerAddress(t *testing.T) {
	var limit atomic.Int64
	limit.Store(3)
	url := serve(t, &stream.Hub{
		Source: newExchange(), MaxPerAddr: func() int { return int(limit.Load()) },
		ClientAddr: stream.AddrBehind(nil),
	})
	var leave func()
	for range 3 {
		_, leave = open(t, url+path)
	}
	for i := range 3 { // whatever it says about itself
		resp := get(t, http.MethodGet, url+path, "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i), "X-Real-Ip", fmt.Sprintf("203.0.113.%d", i))
		if e := refusal(t, resp); resp.StatusCode != http.StatusTooManyRequests || e.Code != wire.CodeRateLimit {
			t.Errorf("fourth stream = %d %+v, want 429 RATE_LIMIT", resp.StatusCode, e)
		}
	}
	leave()
	awaitConnected(t, url, 2)
	open(t, url+path)
	limit.Store(4) // at run time
	open(t, url+path)
	if resp := get(t, http.MethodGet, url+path); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("fifth of 4 = %d, want 429", resp.StatusCode)
	}
	if got := get(t, http.MethodHead, url+path).Header.Get(wire.HeaderStreamsErrors); got != "4" {
		t.Errorf("errors = %s, want 4", got)
	}
}

func TestLimitInTotal(t *testing.T) {
	url := serve(t, &stream.Hub{Source: newExchange(), MaxTotal: func() int { return 2 }})
	open(t, url+path)
	open(t, url+path)
	resp := get(t, http.MethodGet, url+path)
	if e := refusal(t, resp); resp.StatusCode != http.StatusServiceUnavailable || e.Code != wire.CodeUnavailable {
		t.Errorf("third of 2 = %d %+v, want 503 UNAVAILABLE", resp.StatusCode, e)
	}
}

func TestOneIPv6CustomerIsOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addr := make(chan string, 1)
		h := &stream.Hub{
			Source: newExchange(), MaxPerAddr: func() int { return 1 },
			ClientAddr: func(*http.Request) netip.Addr { return netip.MustParseAddr(<-addr) },
		}
		run(t, h)
		for _, tt := range []struct {
			addr string
			want int
		}{
			{"2001:db8:1:2::1", 200},
			{"2001:db8:1:2:ffff::9", 429}, // the same /64
			{"2001:db8:1:3::1", 200},
			{"192.0.2.1", 200},
			{"192.0.2.2", 200},
			{"192.0.2.1", 429},
		} {
			addr <- tt.addr
			g := newGated()
			leave, _ := connect(t.Context(), h, g, path)
			synctest.Wait()
			if g.status != tt.want {
				t.Errorf("stream of %s = %d, want %d", tt.addr, g.status, tt.want)
			}
			defer leave()
		}
	})
}

func TestAddrBehind(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tests := []struct {
		remote  string
		forward []string
		want    string
	}{
		{"198.51.100.7:1234", nil, "198.51.100.7"},
		{"198.51.100.7:1234", []string{"1.1.1.1"}, "198.51.100.7"}, // not a proxy: not believed
		{"10.0.0.1:1234", nil, "10.0.0.1"},
		{"10.0.0.1:1234", []string{"198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:1234", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7"}, // the client wrote 1.1.1.1
		{"10.0.0.1:1234", []string{"1.1.1.1", "198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		{"10.0.0.1:1234", []string{"198.51.100.7, garbage"}, "10.0.0.1"},
		{"10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"[fd00::1]:1234", []string{"[2001:db8::5]:443"}, "2001:db8::5"},
		{"10.0.0.1:1234", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"[::ffff:198.51.100.7]:1", nil, "198.51.100.7"},
	}
	for _, tt := range tests {
		r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{"X-Forwarded-For": tt.forward}}
		if got := stream.AddrBehind(proxies)(r); got.String() != tt.want {
			t.Errorf("address of %s by %q = %s, want %s", tt.remote, tt.forward, got, tt.want)
		}
	}
}

// TestRegression12 is the regression about streams: 8 short-lived clients left 8
// upstream sockets open for ever, X-Forwarded-For bypassed the limit (see
// TestLimitPerAddress) and each client had an upstream of its own.
func TestRegression12ShortLivedClientsLeaveNoUpstream(t *testing.T) {
	x := newExchange()
	url := serve(t, &stream.Hub{Source: x, Linger: 20 * time.Millisecond, MaxPerAddr: func() int { return 100 }})
	var leaves []func()
	for range 8 {
		r, leave := open(t, url+path+"?symbol=BTCUSDT&timeframe=1m")
		r.message(t)
		leaves = append(leaves, leave)
	}
	x.awaitSubscriptions(t, 1)
	if _, ever := x.subscriptions(); ever != 1 {
		t.Errorf("8 clients made %d upstream subscriptions, want 1", ever)
	}
	for _, leave := range leaves {
		leave()
	}
	x.awaitSubscriptions(t, 0)
	awaitConnected(t, url, 0)
}

func TestATopicOutlivesItsLastReaderByALinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange()
		h := &stream.Hub{Source: x}
		run(t, h)
		for range 3 { // each comes back in time
			leave, _ := connect(t.Context(), h, newGated(), path)
			synctest.Wait()
			leave()
			<-time.After(4 * time.Second)
		}
		if now, ever := x.subscriptions(); now != 1 || ever != 1 {
			t.Errorf("%d subscriptions now, %d ever; want 1 and 1", now, ever)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		if now, _ := x.subscriptions(); now != 0 {
			t.Errorf("%d subscriptions after the linger, want 0", now)
		}
	})
}

func TestAClientThatCannotBeWrittenToIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange()
		var reasons []string
		dropped, connected := 0, 0
		h := &stream.Hub{Source: x, Hooks: stream.Hooks{
			Failed: func(reason string) { reasons = append(reasons, reason) }, Dropped: func() { dropped++ },
			Connected: func(delta int) { connected += delta },
		}}
		run(t, h)
		stalled, well := newGated(), newGated()
		_, left := connect(t.Context(), h, stalled, path)
		leave, _ := connect(t.Context(), h, well, path)
		synctest.Wait()
		stalled.block()
		began := time.Now()
		x.push(btc, update(tick(1, 1)))
		<-left
		if took := time.Since(began); took < 5*time.Second || took > 10*time.Second {
			t.Errorf("cut off after %v, want 5 to 10 s", took)
		}
		synctest.Wait()
		if dropped != 1 || connected != 1 || fmt.Sprint(reasons) != "["+wire.StreamSlow+"]" {
			t.Errorf("%d dropped, %d connected, failures %v; want 1, 1 and slow_client", dropped, connected, reasons)
		}
		if all := strings.Join(well.taken(), ""); !strings.Contains(all, `"t":60000`) {
			t.Errorf("the other client got %q", all)
		}
		leave()
	})
}

// TestAStalledSocketIsCutOff is the same over TCP: a client that reads nothing, while
// another one reads all.
func TestAStalledSocketIsCutOff(t *testing.T) {
	x := newExchange()
	var reasons sync.Map
	h := &stream.Hub{Source: x, WriteTimeout: 50 * time.Millisecond, Hooks: stream.Hooks{Failed: func(reason string) { reasons.Store(reason, true) }}}
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		return ctx
	}
	s.Start()
	run(t, h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	stalled, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	_ = stalled.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(stalled, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	well, _ := open(t, s.URL+path)
	well.message(t)
	x.awaitSubscriptions(t, 1)
	awaitConnected(t, s.URL, 2)
	limit := time.After(20 * time.Second)
	for n := int64(0); ; n++ {
		x.push(btc, update(bar(n)))
		if m := well.message(t); m.Data == nil || m.Data.Time != n*60_000 {
			t.Fatalf("the other client got %+v, want candle %d", m, n)
		}
		if _, ok := reasons.Load(wire.StreamSlow); ok {
			break
		}
		select {
		case <-limit:
			t.Fatalf("not cut off after %d candles", n)
		default:
		}
	}
	awaitConnected(t, s.URL, 1)
}

func TestDrainEndsStreamsEvenlyAndCleanly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams = 100
		x := newExchange()
		h := &stream.Hub{Source: x, MaxPerAddr: func() int { return 1000 }}
		run(t, h)
		began := time.Now()
		perSecond := map[int]int{}
		ends := make(chan time.Duration, streams)
		for range streams {
			g := newGated()
			_, left := connect(t.Context(), h, g, path)
			go func() {
				<-left
				if all := strings.Join(g.taken(), ""); !strings.HasSuffix(all, `data: {"type":"close","reason":"drain"}`+"\n\n") {
					t.Errorf("stream ended with %q", all)
				}
				ends <- time.Since(began)
			}()
		}
		synctest.Wait()
		h.Drain(t.Context(), 10*time.Second)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Drain took %v, want at most 10 s", took)
		}
		for range streams {
			perSecond[int((<-ends).Seconds())]++
		}
		for s, n := range perSecond {
			if n > 2*streams/10 {
				t.Errorf("%d streams ended in second %d, want at most twice the mean", n, s)
			}
		}
		// A stream that comes late is opened, and ended at once.
		g := newGated()
		_, left := connect(t.Context(), h, g, path)
		<-left
		if all := strings.Join(g.taken(), ""); g.status != http.StatusOK || !strings.Contains(all, "retry: ") || !strings.Contains(all, `"reason":"drain"`) {
			t.Errorf("a late stream = %d %q, want 200, retry and close", g.status, all)
		}
	})
}

func TestDrainedStreamsEndCleanlyOverHTTP(t *testing.T) {
	x := newExchange()
	h := &stream.Hub{Source: x}
	url := serve(t, h)
	r, _ := open(t, url+path)
	r.message(t)
	h.Drain(t.Context(), 0)
	if m := r.message(t); m.Type != wire.StreamClose || m.Reason != "drain" {
		t.Errorf("last message = %+v, want close", m)
	}
	if _, err := r.next(); err == nil || err.Error() != "EOF" { // an unclean end of chunks is an unexpected EOF
		t.Errorf("end = %v, want EOF", err)
	}
}

func TestRunsEndEndsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &stream.Hub{Source: newExchange(), Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		g := newGated()
		_, left := connect(t.Context(), h, g, path)
		synctest.Wait()
		cancel()
		<-left
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if all := strings.Join(g.taken(), ""); !strings.Contains(all, `"reason":"shutdown"`) {
			t.Errorf("stream ended with %q", all)
		}
		late := newGated()
		_, left = connect(t.Context(), h, late, path)
		<-left
		if late.status != http.StatusServiceUnavailable {
			t.Errorf("a stream after the end = %d, want 503", late.status)
		}
	})
}

func TestTheObserversCanaryIsCountedNowhere(t *testing.T) {
	var opened atomic.Int64
	url := serve(t, &stream.Hub{
		Source: newExchange(), MaxPerAddr: func() int { return 1 }, ClientAddr: stream.AddrBehind(nil),
		Hooks: stream.Hooks{Opened: func() { opened.Add(1) }},
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(canary bool) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if canary {
			req.Header.Set(wire.HeaderCanary, "1")
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	if resp := open(true); resp.StatusCode != http.StatusOK || resp.Header.Get(wire.HeaderStreamsConnected) != "0" {
		t.Errorf("canary: status %d, %s connected", resp.StatusCode, resp.Header.Get(wire.HeaderStreamsConnected))
	}
	if resp := open(false); resp.StatusCode != http.StatusOK || resp.Header.Get(wire.HeaderStreamsConnected) != "1" {
		t.Errorf("a user beside it: status %d, %s connected", resp.StatusCode, resp.Header.Get(wire.HeaderStreamsConnected))
	}
	// The second that says so is an ordinary stream, and one is the limit.
	if resp := open(true); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a second canary of the address: status %d, want 429", resp.StatusCode)
	}
	if opened.Load() != 1 {
		t.Errorf("%d streams were counted as opened, want the user's", opened.Load())
	}
}

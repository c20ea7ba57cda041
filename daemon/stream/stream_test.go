package stream_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/stream"
)

const path = "/api/marketdata/stream"

func TestWireFormat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange()
		x.push(btc, update(bar(0)), update(bar(1)))
		h := &stream.Hub{Source: x}
		run(t, h)
		g := newGated()
		leave, _ := connect(t.Context(), h, g, path)
		synctest.Wait()
		tiny := tick(2, 1500)
		tiny.Open, tiny.High, tiny.Low, tiny.Close = 0.0000123, 0.0000124, 0.0000122, 0.0000123
		x.push(btc, update(tiny))
		synctest.Wait()
		x.push(btc, update(bar(2)), update(tick(3, 100)))
		synctest.Wait()
		x.push(btc, stream.Update{Kind: stream.Stale, Err: errors.New(`exchange says "no"`)})
		synctest.Wait()
		leave()

		got := strings.Join(g.taken(), "│\n")
		got = regexp.MustCompile(`retry: [234]\d\d\d\n`).ReplaceAllString(got, "retry: NNNN\n")
		// The greeting and what is known already may leave in one write or in two.
		got = strings.Replace(got, "│\nid: 120012", "id: 120012", 1)
		want := `retry: NNNN

data: {"type":"open","symbol":"BTCUSDT","timeframe":"1m"}

id: 120012
data: {"type":"kline","symbol":"BTCUSDT","timeframe":"1m","data":{"t":60000,"o":65001,"h":65002,"l":65000,"c":65001.5,"v":1.25,"x":true}}

│
id: 121500
data: {"type":"kline","symbol":"BTCUSDT","timeframe":"1m","data":{"t":120000,"o":0.0000123,"h":0.0000124,"l":0.0000122,"c":0.0000123,"v":1500,"x":false}}

│
id: 180012
data: {"type":"kline","symbol":"BTCUSDT","timeframe":"1m","data":{"t":120000,"o":65002,"h":65003,"l":65001,"c":65002.5,"v":1.25,"x":true}}

id: 180100
data: {"type":"kline","symbol":"BTCUSDT","timeframe":"1m","data":{"t":180000,"o":65003,"h":65004,"l":65002,"c":65003.5,"v":100,"x":false}}

│
data: {"type":"error","symbol":"BTCUSDT","timeframe":"1m","message":"exchange says \"no\""}

`
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("stream (-want +got):\n%s", diff)
		}
		if g.status != http.StatusOK || g.flushes != len(g.taken()) {
			t.Errorf("status %d, %d flushes for %d writes; want 200 and one each", g.status, g.flushes, len(g.taken()))
		}
	})
}

func TestHeaders(t *testing.T) {
	x := newExchange()
	url := serve(t, &stream.Hub{Source: x})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		resp := get(t, method, url+path)
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no",
			"X-Streams-Messages": "0", "X-Streams-Errors": "0", "X-Streams-Connected": "1",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", method, name, got, want)
			}
		}
	}
}

func TestHEADOpensNoStream(t *testing.T) {
	x := newExchange()
	url := serve(t, &stream.Hub{Source: x, MaxPerAddr: func() int { return 0 }})
	resp := get(t, http.MethodHead, url+path)
	if now, ever := x.subscriptions(); resp.StatusCode != http.StatusOK || now != 0 || ever != 0 || resp.Header.Get(wire.HeaderStreamsConnected) != "0" {
		t.Errorf("HEAD = %d, %d subscriptions ever, connected %s; want 200 and none", resp.StatusCode, ever, resp.Header.Get(wire.HeaderStreamsConnected))
	}
}

func TestStreamOutlivesTheServersTimeouts(t *testing.T) {
	x := newExchange()
	url := serve(t, &stream.Hub{Source: x}) // 300 ms to read and to write a request
	r, _ := open(t, url+path)
	r.message(t)
	for i := range int64(5) {
		<-time.After(200 * time.Millisecond)
		x.push(btc, update(tick(1, i+1)))
		if m := r.message(t); m.Data == nil || m.Data.Volume != float64(i+1) {
			t.Fatalf("message %d = %+v", i, m)
		}
	}
}

func TestSeveralSymbolsOnOneStream(t *testing.T) {
	x := newExchange()
	url := serve(t, &stream.Hub{Source: x})
	r, _ := open(t, url+path+"?symbols=btcusdt,ETHUSDT,BTCUSDT&timeframe=1h")
	for _, symbol := range []string{"BTCUSDT", "ETHUSDT"} {
		if m := r.message(t); m.Type != wire.StreamOpen || m.Symbol != symbol || m.Timeframe != "1h" {
			t.Errorf("message = %+v, want open of %s", m, symbol)
		}
	}
	x.awaitSubscriptions(t, 2)
	eth := market.Series{Symbol: "ETHUSDT", Timeframe: market.H1}
	c := bar(0)
	c.Event = 3_600_012
	x.push(eth, update(c))
	if m := r.message(t); m.Symbol != "ETHUSDT" || m.Data == nil || !m.Data.Closed {
		t.Errorf("message = %+v, want the closed candle of ETHUSDT", m)
	}
}

func TestBadQueries(t *testing.T) {
	x := newExchange()
	url := serve(t, &stream.Hub{Source: x})
	tests := []struct {
		query, field string
		code         wire.Code
	}{
		{"symbol=B", "symbol", wire.CodeInvalidSym},
		{"symbol=BTC-USDT", "symbol", wire.CodeInvalidSym},
		{"symbols=BTCUSDT,,ETHUSDT", "symbols", wire.CodeInvalidSym},
		{"symbols=" + strings.Repeat("BTCUSDT,", 50) + "ETHUSDT", "symbols", wire.CodeInvalidInput},
		{"symbol=BTCUSDT&symbols=ETHUSDT", "symbols", wire.CodeInvalidInput},
		{"timeframe=7m", "timeframe", wire.CodeInvalidInput},
		{"symbol=%zz", "query", wire.CodeInvalidInput},
		{"symbl=ETHUSDT", "symbl", wire.CodeInvalidInput},
		{"symbol=BTCUSDT&symbol=ETHUSDT", "symbol", wire.CodeInvalidInput},
		{"symbol=", "symbol", wire.CodeInvalidSym},
		{"symbols=", "symbols", wire.CodeInvalidSym},
		{"timeframe=", "timeframe", wire.CodeInvalidInput},
	}
	for _, tt := range tests {
		resp := get(t, http.MethodGet, url+path+"?"+tt.query)
		var e wire.Error
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
			t.Errorf("%s: %v", tt.query, err)
		}
		if resp.StatusCode != http.StatusBadRequest || e.Field != tt.field || e.Code != tt.code || e.Error == "" || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%.40s = %d %+v, want 400, field %s, code %s", tt.query, resp.StatusCode, e, tt.field, tt.code)
		}
	}
	if got := get(t, http.MethodHead, url+path).Header.Get(wire.HeaderStreamsErrors); got != fmt.Sprint(len(tests)) {
		t.Errorf("errors = %s, want %d", got, len(tests))
	}
	if resp := get(t, http.MethodPost, url+path); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST = %d, want 405", resp.StatusCode)
	}
}

// klines returns the open times of the candles in writes, closed ones plain and open
// ones with a question mark, and the other events by name.
func klines(t *testing.T, writes []string) []string {
	t.Helper()
	var out []string
	r := newReader(strings.NewReader(strings.Join(writes, "")))
	for {
		e, err := r.next()
		if err != nil {
			return out
		}
		m := decode(t, e)
		switch {
		case m.Data == nil:
			out = append(out, m.Type)
		case m.Data.Closed:
			out = append(out, fmt.Sprint(m.Data.Time/60_000))
		default:
			out = append(out, fmt.Sprint(m.Data.Time/60_000, "?"))
		}
	}
}

func TestASlowReaderGetsEveryClosedCandleAndOneOpenState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange()
		x.push(btc, update(bar(0)))
		h := &stream.Hub{Source: x}
		run(t, h)
		g := newGated()
		leave, _ := connect(t.Context(), h, g, path)
		synctest.Wait()
		// It takes a write every 4 s, a tenth of what a candle of 40 updates brings.
		let := g.block()
		var want []string
		for n := int64(1); n <= 100; n++ {
			for ms := int64(0); ms < 40; ms++ {
				x.push(btc, update(tick(n, 1+ms)))
				if ms%10 == 0 {
					synctest.Wait()
					<-time.After(time.Second)
				}
			}
			x.push(btc, update(bar(n)))
			want = append(want, fmt.Sprint(n))
			synctest.Wait()
			if n%2 == 0 {
				let()
			}
		}
		for range 5 {
			synctest.Wait()
			select {
			case g.gate <- struct{}{}:
			default:
			}
		}
		synctest.Wait()
		leave()
		var got []string
		for i, w := range g.taken() {
			open := 0
			for _, k := range klines(t, []string{w}) {
				if strings.HasSuffix(k, "?") {
					open++
				} else if i >= 2 && k != "open" { // after the greeting
					got = append(got, k)
				}
			}
			if open > 1 {
				t.Errorf("write %d has %d states of the open candle, want at most 1", i, open)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("closed candles (-want +got):\n%s", diff)
		}
		if n := len(g.taken()); n > 60 {
			t.Errorf("%d writes, want about one for two candles", n)
		}
	})
}

func TestOverrunIsToldAndRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange()
		x.push(btc, update(bar(0)))
		h := &stream.Hub{Source: x, Ring: 4, WriteTimeout: time.Hour}
		run(t, h)
		g := newGated()
		leave, _ := connect(t.Context(), h, g, path)
		synctest.Wait()
		let := g.block()
		x.push(btc, update(tick(1, 1)))
		synctest.Wait() // this write is stuck
		for n := int64(1); n <= 9; n++ {
			x.push(btc, update(bar(n)))
			synctest.Wait()
		}
		x.push(btc, update(tick(10, 1)))
		synctest.Wait()
		before := len(g.taken())
		let()
		synctest.Wait()
		let()
		synctest.Wait()
		leave()
		want := []string{"1?", "gap", "6", "7", "8", "9", "10?"}
		if diff := cmp.Diff(want, klines(t, g.taken()[before:])); diff != "" {
			t.Errorf("after the stall (-want +got):\n%s", diff)
		}
	})
}

func TestABrokenSourceIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange()
		x.push(btc, update(bar(0)), update(bar(1)))
		h := &stream.Hub{Source: x}
		run(t, h)
		g := newGated()
		leave, _ := connect(t.Context(), h, g, path)
		synctest.Wait()
		before := len(g.taken())
		x.mu.Lock()
		x.closed[btc] = []market.Candle{bar(7), bar(8)}
		x.mu.Unlock()
		x.push(btc, stream.Update{Kind: stream.Broken}, update(tick(9, 1)))
		synctest.Wait()
		leave()
		if diff := cmp.Diff([]string{"gap", "7", "8", "9?"}, klines(t, g.taken()[before:])); diff != "" {
			t.Errorf("after the break (-want +got):\n%s", diff)
		}
	})
}

func TestTroubleThatHealsNeedsNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange()
		x.push(btc, update(bar(0)))
		var failures []string
		h := &stream.Hub{Source: x, Hooks: stream.Hooks{Failed: func(reason string) { failures = append(failures, reason) }}}
		run(t, h)
		g := newGated()
		leave, _ := connect(t.Context(), h, g, path)
		synctest.Wait()
		before := len(g.taken())
		stale := stream.Update{Kind: stream.Stale, Err: errors.New("silent")}
		x.push(btc, stale)
		synctest.Wait()
		x.push(btc, stale) // no news
		synctest.Wait()
		corrected := bar(1)
		corrected.Trades++
		corrected.Volume = 2
		x.push(btc, update(bar(1)), stream.Update{Kind: stream.Whole}, update(tick(2, 1)))
		synctest.Wait()
		x.push(btc, update(corrected)) // corrections are sent again
		synctest.Wait()
		x.push(btc, update(bar(1)), update(bar(0)), update(tick(1, 5))) // old states are not
		synctest.Wait()
		leave()
		if diff := cmp.Diff([]string{"error", "1", "2?", "1"}, klines(t, g.taken()[before:])); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{wire.StreamUpstream}, failures); diff != "" {
			t.Errorf("failures (-want +got):\n%s", diff)
		}
	})
}

func TestHeartbeatOnlyInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange()
		h := &stream.Hub{Source: x}
		run(t, h)
		g := newGated()
		leave, _ := connect(t.Context(), h, g, path)
		for i := range int64(10) { // 100 s without silence
			<-time.After(10 * time.Second)
			x.push(btc, update(tick(1, i)))
		}
		synctest.Wait()
		if all := strings.Join(g.taken(), ""); strings.Contains(all, ": ping") {
			t.Errorf("a ping without silence:\n%s", all)
		}
		before := len(g.taken())
		<-time.After(time.Minute + time.Second)
		synctest.Wait()
		leave()
		got := g.taken()[before:]
		if len(got) != 4 || got[0] != ": ping\n\n" {
			t.Errorf("a minute of silence = %q, want 4 pings", got)
		}
	})
}

func TestLifetimeIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange()
		h := &stream.Hub{Source: x, MaxPerAddr: func() int { return 100 }}
		run(t, h)
		began := time.Now()
		ends := map[time.Duration]bool{}
		results := make(chan time.Duration, 50)
		for range 50 {
			g := newGated()
			_, left := connect(t.Context(), h, g, path)
			go func() {
				<-left
				if all := strings.Join(g.taken(), ""); !strings.HasSuffix(all, `data: {"type":"close","reason":"lifetime"}`+"\n\n") {
					t.Errorf("stream ended with %q", all[max(0, len(all)-80):])
				}
				results <- time.Since(began)
			}()
		}
		for range 50 {
			d := <-results
			ends[d] = true
			if d < 24*time.Minute || d > 36*time.Minute+15*time.Second {
				t.Errorf("a stream lived %v, want 30 min ± 20 %%", d)
			}
		}
		if len(ends) < 40 {
			t.Errorf("50 streams ended at %d different times, want them spread", len(ends))
		}
	})
}

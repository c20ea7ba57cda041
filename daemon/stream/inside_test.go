package stream

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/market"
)

func FuzzParseQuery(f *testing.F) {
	f.Add("symbol=BTCUSDT&timeframe=1m")
	f.Add("symbols=BTCUSDT,ETHUSDT&timeframe=1M")
	f.Add("symbols=,,,&symbol=")
	f.Add("%zz=1;2")
	f.Fuzz(func(t *testing.T, raw string) {
		all, bad := parseQuery(raw)
		if bad != nil {
			if bad.Code.Status() != http.StatusBadRequest || bad.Field == "" || bad.Error == "" {
				t.Errorf("parseQuery(%q) = %+v, want a complete 400", raw, bad)
			}
			return
		}
		if len(all) == 0 || len(all) > maxSymbols {
			t.Errorf("parseQuery(%q) = %d series", raw, len(all))
		}
		for _, s := range all {
			if again, err := market.ParseSymbol(string(s.Symbol)); err != nil || again != s.Symbol || s.Timeframe == market.NoTimeframe {
				t.Errorf("parseQuery(%q) = %v", raw, s)
			}
		}
	})
}

func FuzzParseResume(f *testing.F) {
	f.Add("123", "", 1)
	f.Add("", "456", 2)
	f.Add("-1", "x", 50)
	f.Add("9223372036854775807", "", 3)
	f.Fuzz(func(t *testing.T, header, query string, series int) {
		r := parseResume(header, query, series)
		if r.given != (header != "" || query != "") || r.known && !r.given || r.id < 0 {
			t.Fatalf("parseResume(%q, %q) = %+v", header, query, r)
		}
		// No id, however odd, may place a reader outside the ring.
		tp := filled(8)
		if from, _ := tp.place(r); from < tp.first || from > tp.next {
			t.Fatalf("place(%+v) = %d, want %d to %d", r, from, tp.first, tp.next)
		}
	})
}

func FuzzAddrBehind(f *testing.F) {
	f.Add("10.0.0.1:1", "1.2.3.4, [::1]:5, x")
	f.Add("[fe80::1%eth0]:1", "fe80::1%eth0")
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}
	f.Fuzz(func(t *testing.T, remoteAddr, forwarded string) {
		r := &http.Request{RemoteAddr: remoteAddr, Header: http.Header{"X-Forwarded-For": {forwarded}}}
		a := AddrBehind(proxies)(r)
		if a.Zone() != "" || a.Is4In6() {
			t.Errorf("address by %q and %q = %v", remoteAddr, forwarded, a)
		}
		_ = slotOf(a)
	})
}

func filled(n int64) *topic {
	tp := newTopic(market.Series{Symbol: "BTCUSDT", Timeframe: market.M1}, 512)
	tp.apply([]Update{{Kind: Whole}}, func() []market.Candle { return nil })
	for i := range n {
		tp.apply([]Update{{Kind: Candle, Candle: state(i, true, 0)}}, nil)
	}
	return tp
}

func state(n int64, closed bool, ms int64) market.Candle {
	c := market.Candle{Time: n * 60_000, Open: 65000.01, High: 65012.3, Low: 64999.99, Close: 65003.45, Volume: 12.34567, Trades: 100 + ms, Event: n*60_000 + ms, Closed: closed}
	if closed {
		c.Event = c.Time + 60_012
	}
	return c
}

// TestFanOutIsEncodedOnce proves that what a further subscriber costs is a copy: its
// batch is kept, and the frame is shared.
func TestFanOutIsEncodedOnce(t *testing.T) {
	tp := filled(10)
	c := cursor{topic: tp}
	var b batch
	tp.pending(&c, resume{}, &b)
	before := tp.next
	tp.apply([]Update{{Kind: Candle, Candle: state(10, false, 1)}}, nil)
	b.bytes = make([]byte, 0, 1024)
	allocs := testing.AllocsPerRun(100, func() {
		for range 100 {
			b.reset()
			c = cursor{topic: tp, placed: true, next: before}
			tp.pending(&c, resume{}, &b)
		}
	})
	if allocs != 0 || len(b.bytes) == 0 {
		t.Errorf("%v allocations for 100 subscribers that got %d bytes each, want none", allocs, len(b.bytes))
	}
}

func BenchmarkEncode(b *testing.B) {
	tp := filled(1)
	c := state(1, false, 1)
	b.ReportAllocs()
	for b.Loop() {
		if len(tp.encodeCandle(c)) == 0 {
			b.Fatal("nothing encoded")
		}
	}
}

// sink is a response that only counts its writes.
type sink struct {
	header http.Header
	done   *sync.WaitGroup
	on     *atomic.Bool
}

func (s *sink) Header() http.Header              { return s.header }
func (s *sink) WriteHeader(int)                  {}
func (s *sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) FlushError() error                { return nil }
func (s *sink) Write(p []byte) (int, error) {
	if s.on.Load() {
		s.done.Done()
	}
	return len(p), nil
}

// BenchmarkFanOut1000 takes one update to 1,000 connections, each in its goroutine;
// what the kernel charges for the writes is not in it.
func BenchmarkFanOut1000(b *testing.B) {
	const conns = 1000
	tp := filled(10)
	h := &Hub{}
	h.lock()
	h.mu.Unlock()
	var (
		written sync.WaitGroup
		ended   sync.WaitGroup
		on      atomic.Bool
	)
	var all []*conn
	var greeted sync.WaitGroup
	for range conns {
		w := &sink{header: http.Header{}, done: &written, on: &on}
		c := &conn{hub: h, out: w, control: http.NewResponseController(w), wake: make(chan struct{}, 1), bye: make(chan string, 1), cursors: []cursor{{topic: tp}}}
		tp.join(c)
		all = append(all, c)
		greeted.Add(1)
		ended.Go(func() {
			_ = c.flush(c.greeting())
			greeted.Done()
			for range c.wake {
				_ = c.flush(c.gather())
			}
		})
	}
	greeted.Wait()
	on.Store(true)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		written.Add(conns)
		tp.apply([]Update{{Kind: Candle, Candle: state(10, false, int64(i+1))}}, nil)
		written.Wait()
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/conns, "ns/event")
	for _, c := range all {
		tp.leave(c)
		close(c.wake)
	}
	ended.Wait()
}

func TestEventsAreOneLineOfJSON(t *testing.T) {
	tp := filled(0)
	tp.complain(fmt.Errorf("two\nlines\r\nand %s", strings.Repeat("x", 300)))
	if body := strings.TrimSuffix(string(tp.notice), "\n\n"); strings.ContainsAny(body, "\r\n") || len(body) > 400 {
		t.Errorf("notice = %q, want one short line", body)
	}
}

package sim

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// BenchmarkKlines asks for 1,000 candles, the caches being warm.
func BenchmarkKlines(b *testing.B) {
	s, err := New(Options{Log: slog.New(slog.DiscardHandler), Limits: Limits{Weight: -1}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.listener.Close()
	h := s.handler()
	for _, name := range []string{"1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/api/v3/klines?symbol=BTCUSDT&limit=1000&interval="+name, nil)
			w := httptest.NewRecorder()
			begin := time.Now()
			h.ServeHTTP(w, r)
			b.ReportMetric(float64(time.Since(begin).Microseconds())/1000, "ms/cold")
			for b.Loop() {
				w = httptest.NewRecorder()
				h.ServeHTTP(w, r)
			}
			if w.Code != http.StatusOK {
				b.Fatal(w.Body.String())
			}
		})
	}
}

func BenchmarkKlineFrame(b *testing.B) {
	l := listings()[0]
	t := newTape(l, newGenerated(l, 1, nil))
	iv, err := parseInterval("1m")
	if err != nil {
		b.Fatal(err)
	}
	now := int64(1_780_488_042_000)
	open := iv.open(now)
	b.Run("compute", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t.candle(iv, open, now)
		}
	})
	c := t.candle(iv, open, now)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			newFrame("btcusdt@kline_1m", appendKline(make([]byte, 0, 420), &l, iv, c, false, now), false)
		}
	})
}

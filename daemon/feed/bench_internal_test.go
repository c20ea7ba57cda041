package feed

import (
	"context"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/market"
)

// still is an exchange whose clock stands and that nobody asks for anything else.
type still struct{ now time.Time }

func (still) Klines(context.Context, market.Series, int, int64, int64) ([]market.Candle, error) {
	panic("asked for candles")
}

func (still) Stream(context.Context, market.Series, func(market.Candle, time.Time), func(bool)) error {
	panic("asked for a stream")
}

func (s still) Now() time.Time { return s.now }

// BenchmarkFrame is the way of a frame from the socket to ten readers who do not
// read: what conflation costs.
func BenchmarkFrame(b *testing.B) {
	series := market.Series{Symbol: "BTCUSDT", Timeframe: market.M1}
	u := newUpstream(&Feed{Exchange: still{time.UnixMilli((Depth - 1) * 60_000)}}, series)
	for range 10 {
		u.join()
	}
	rows := make([]market.Candle, Depth)
	for i := range rows {
		rows[i] = market.Candle{Time: int64(i) * 60_000, Open: 1, High: 2, Low: 1, Close: 2, Volume: 1, Trades: 1, Event: 1, Closed: true}
	}
	rows[Depth-1].Closed = false
	for _, c := range rows {
		u.window.Apply(c)
	}
	c := rows[Depth-1]
	u.ready, u.next = true, c.Time
	received := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		c.Trades++
		u.frame(c, received)
	}
	if got := u.feed.Stats().OutOfOrder + u.feed.Stats().Duplicates; got != 0 {
		b.Fatalf("%d frames were dropped", got)
	}
}

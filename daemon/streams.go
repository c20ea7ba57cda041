package daemon

import (
	"context"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/feed"
	"github.com/spark-ta/spark/daemon/stream"
)

func (h *house) newHub() *stream.Hub {
	m := h.meter
	hub := &stream.Hub{
		Source: streamsOf{h.feed}, Log: h.log,
		MaxPerAddr: func() int { return h.o.MaxStreams },
		MaxTotal:   func() int { return h.o.MaxStreamsTotal },
		Hooks: stream.Hooks{
			Connected: func(delta int) { m.gauges[wire.MetricStreamsConnected].WithLabelValues().Add(float64(delta)) },
			Opened:    func() { m.Add(wire.MetricStreamsOpened, 1) },
			Messages:  func(kind string, n int) { m.Add(wire.MetricStreamsMessages, float64(n), kind) },
			Failed:    func(reason string) { m.Add(wire.MetricStreamsErrors, 1, reason) },
			Dropped:   func() { m.Add(wire.MetricStreamsDropped, 1) },
			Delivered: func(d time.Duration) { m.Observe(wire.MetricStreamDelivery, d.Seconds()) },
		},
	}
	if len(h.o.TrustedProxies) > 0 {
		hub.ClientAddr = stream.AddrBehind(h.o.TrustedProxies)
	}
	return hub
}

// streamsOf shows the feed to the hub in the hub's words.
type streamsOf struct{ feed *feed.Feed }

func (s streamsOf) Subscribe(series market.Series) stream.Subscription {
	return follower{s.feed.Subscribe(series)}
}

type follower struct{ *feed.Subscription }

func (f follower) Next(ctx context.Context) ([]stream.Update, error) {
	updates, err := f.Subscription.Next(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]stream.Update, 0, len(updates))
	for _, u := range updates {
		s := stream.Update{Candle: u.Candle, Received: u.Received, Err: u.Err}
		switch u.Kind {
		case feed.Live, feed.Revised:
			s.Kind = stream.Candle
		case feed.Filled:
			s.Kind, s.Received = stream.Candle, time.Time{}
		case feed.Fresh:
			s.Kind = stream.Whole
		case feed.Gap:
			s.Kind = stream.Broken
		case feed.Stale:
			s.Kind = stream.Stale
		}
		out = append(out, s)
	}
	return out, nil
}

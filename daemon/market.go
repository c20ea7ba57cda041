package daemon

import (
	"context"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/engine"
	"github.com/spark-ta/spark/daemon/feed"
)

// marketOf shows the feed to the engine in the engine's words.
type marketOf struct{ feed *feed.Feed }

func (m marketOf) Read(series market.Series) engine.Reader {
	return reader{m.feed.Subscribe(series)}
}

type reader struct{ *feed.Subscription }

func (r reader) Next(ctx context.Context) ([]engine.Update, error) {
	updates, err := r.Subscription.Next(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]engine.Update, 0, len(updates))
	for _, u := range updates {
		e := engine.Update{Candle: u.Candle, Received: u.Received, Err: u.Err}
		switch u.Kind {
		case feed.Live, feed.Filled, feed.Revised:
			e.Has = true
		case feed.Fresh, feed.Gap:
			e.Whole = true
		case feed.Stale:
		}
		out = append(out, e)
	}
	return out, nil
}

// candles answers the candle calls from the feed.
type candles struct{ feed *feed.Feed }

func (c candles) Candles(ctx context.Context, series market.Series, limit int) ([]market.Candle, string, error) {
	got, status, err := c.feed.Candles(ctx, series, limit)
	return got, status.String(), err
}

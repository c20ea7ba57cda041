package api

import (
	"errors"
	"net/http"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
)

// Market answers the gateway's calls.
type Market struct {
	Candles Candles
	Stream  http.Handler // GET and HEAD of wire.PathStream
}

// AddTo adds the calls to a router.
func (h *Market) AddTo(rt *Router) {
	rt.on(http.MethodGet, wire.PathCandles, h.candles)
	rt.on(http.MethodGet, wire.PathStream, func(w http.ResponseWriter, r *http.Request) error {
		h.Stream.ServeHTTP(w, r)
		return nil
	})
}

// Defaults of the candles call: an unquoted curl reaches us with the symbol alone.
const (
	defaultSymbol    = "BTCUSDT"
	defaultTimeframe = "1h"
	defaultCandles   = 200
)

func (h *Market) candles(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "symbol", "timeframe", "limit")
	if err != nil {
		return err
	}
	symbol, err := market.ParseSymbol(given(q, "symbol", defaultSymbol))
	if err != nil {
		return err
	}
	tf, err := market.ParseTimeframe(given(q, "timeframe", defaultTimeframe))
	if err != nil {
		return err
	}
	limit, err := wholeNumber(q, "limit", defaultCandles, 1, 1000)
	if err != nil {
		return err
	}
	candles, cache, err := h.Candles.Candles(r.Context(), market.Series{Symbol: symbol, Timeframe: tf}, limit)
	if errors.Is(err, market.ErrSymbol) {
		return err
	}
	if err != nil {
		return &refusal{code: wire.CodeUnavailable, text: "the exchange gives no candles of " + string(symbol) + ": " + err.Error(), retryAfter: 5}
	}
	w.Header().Set(wire.HeaderCache, cache)
	if cache == wire.CacheStale {
		w.Header().Set("Warning", `110 - "Response is Stale"`)
	}
	out := make([]wire.Candle, 0, len(candles))
	for _, c := range candles {
		out = append(out, wire.FromCandle(c))
	}
	reply(w, http.StatusOK, out)
	return nil
}

// given returns a parameter, or the default when it is absent. One that is there
// and empty is a mistake, and is returned as it is.
func given(q map[string]string, name, def string) string {
	if v, ok := q[name]; ok {
		return v
	}
	return def
}

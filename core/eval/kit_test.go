package eval_test

import (
	"math"
	"math/rand/v2"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/eval"
	"github.com/spark-ta/spark/core/market"
)

var series = market.Series{Symbol: "BTCUSDT", Timeframe: market.M1}

const (
	start  = int64(1_700_000_040_000) // on the grid of minutes
	minute = int64(60_000)
)

// candle returns the first state of a candle.
func candle(bar int64, price float64) market.Candle {
	return market.Candle{Time: bar, Open: price, High: price, Low: price, Close: price, Volume: 1, Trades: 1, Event: bar}
}

// moved returns the state after a trade.
func moved(c market.Candle, price float64) market.Candle {
	c.Close = price
	c.High, c.Low = max(c.High, price), min(c.Low, price)
	c.Volume++
	c.Trades++
	c.Event++
	return c
}

// closed returns the candles of the given closes, one a minute.
func closed(bar int64, closes ...float64) []market.Candle {
	candles := make([]market.Candle, len(closes))
	for i, x := range closes {
		candles[i] = candle(bar+int64(i)*minute, x)
		candles[i].Closed = true
	}
	return candles
}

// walk returns closed candles with shadows, of a seeded random walk.
func walk(seed uint64, n int, price float64) []market.Candle {
	r := rand.New(rand.NewPCG(seed, 5))
	candles := make([]market.Candle, n)
	for i := range candles {
		c := candle(start+int64(i)*minute, price)
		for range 4 {
			price *= math.Exp(r.NormFloat64() * 0.002)
			c = moved(c, price)
		}
		c.Closed = true
		candles[i] = c
	}
	return candles
}

// states returns the path of a closed candle: open, the extremes in the order of
// its colour, close.
func states(c market.Candle) []market.Candle {
	first, second := c.Low, c.High
	if c.Close < c.Open {
		first, second = c.High, c.Low
	}
	s := candle(c.Time, c.Open)
	path := []market.Candle{s}
	for _, x := range []float64{first, second} {
		s = moved(s, x)
		path = append(path, s)
	}
	return append(path, c)
}

func priced(id string, mode alert.Mode, op alert.Op, level float64) alert.Alert {
	return alert.Alert{ID: id, Rev: 1, Series: series, Mode: mode, Active: true, Severity: alert.Warning, Params: alert.Price{Op: op, Level: level}}
}

func banded(id string, mode alert.Mode, period int, k float64) alert.Alert {
	return alert.Alert{ID: id, Rev: 1, Series: series, Mode: mode, Active: true, Severity: alert.Warning,
		Params: alert.BBBreak{Period: period, StdDev: k, Side: alert.Both}}
}

// steps runs a set through candle states, each at its event's time, and returns
// what came of it.
func steps(set *eval.Set, candles ...market.Candle) eval.Result {
	var out eval.Result
	for _, c := range candles {
		set.Step(c.Event, c, &out)
	}
	return out
}

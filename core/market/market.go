// Package market holds the nouns that an exchange speaks in: symbols,
// timeframes and candles, and the rules by which candles are checked, merged
// and built.
//
// It is pure: no clock, no I/O, no goroutine. Times are milliseconds since the
// Unix epoch in UTC, because that is what every exchange sends and what the
// outside contract shows. Prices and volumes are float64 and are never rounded;
// a coin at 0.0000123 is as good as one at 90,000.
//
// A candle is state, not a change: each update of a candle carries the whole of
// it. Merging therefore replaces and never adds, which is what keeps volumes
// from being counted twice when the same candle arrives by stream and by REST
// (see [Window]).
package market

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
)

// ErrSymbol is wrapped by the error of [ParseSymbol].
var ErrSymbol = errors.New("invalid symbol")

// ErrTimeframe is wrapped by the error of [ParseTimeframe].
var ErrTimeframe = errors.New("invalid timeframe")

// Symbol is the exchange's name of a traded pair in upper case, such as
// "BTCUSDT": 3 to 20 characters of A–Z and 0–9.
type Symbol string

var symbolPattern = regexp.MustCompile(`^[A-Za-z0-9]{3,20}$`)

// ParseSymbol returns s in upper case, or an error that wraps [ErrSymbol].
func ParseSymbol(s string) (Symbol, error) {
	// The pattern is for s as it came: some letters that are not ASCII (ı, ſ) have
	// an upper case that is.
	if len(s) > 20 || !symbolPattern.MatchString(s) {
		return "", fmt.Errorf("%w %.64q: 3 to 20 letters and digits, such as BTCUSDT", ErrSymbol, s)
	}
	return Symbol(strings.ToUpper(s)), nil
}

// Series names one stream of candles: a symbol at a timeframe.
type Series struct {
	Symbol    Symbol
	Timeframe Timeframe
}

// String returns "BTCUSDT/1m".
func (s Series) String() string { return string(s.Symbol) + "/" + s.Timeframe.String() }

// Candle is the whole state of one candle at one moment.
type Candle struct {
	Time   int64 // open time, ms; the candle's identity within its series
	Open   float64
	High   float64
	Low    float64
	Close  float64
	Volume float64 // in the base asset
	Trades int64   // number of trades; 0 for an empty candle
	Event  int64   // ms of the exchange's event that carried this state; a candle read by REST has its close time
	Closed bool    // no further update will come
}

// ErrCandle is wrapped by every error of [Candle.Validate].
var ErrCandle = errors.New("bad candle")

// Validate reports whether the figures can be those of a candle of the given
// timeframe: finite, positive prices, low ≤ open, close ≤ high, a volume that is
// not negative and an open time on the timeframe's grid.
func (c Candle) Validate(tf Timeframe) error {
	for _, f := range [...]struct {
		name  string
		value float64
	}{{"open", c.Open}, {"high", c.High}, {"low", c.Low}, {"close", c.Close}} {
		if math.IsNaN(f.value) || math.IsInf(f.value, 0) || f.value <= 0 {
			return fmt.Errorf("%w: %s %v is not a positive price", ErrCandle, f.name, f.value)
		}
	}
	switch {
	case math.IsNaN(c.Volume) || math.IsInf(c.Volume, 0) || c.Volume < 0:
		return fmt.Errorf("%w: volume %v", ErrCandle, c.Volume)
	case c.High < c.Low:
		return fmt.Errorf("%w: high %v below low %v", ErrCandle, c.High, c.Low)
	case c.Open > c.High || c.Open < c.Low:
		return fmt.Errorf("%w: open %v outside %v…%v", ErrCandle, c.Open, c.Low, c.High)
	case c.Close > c.High || c.Close < c.Low:
		return fmt.Errorf("%w: close %v outside %v…%v", ErrCandle, c.Close, c.Low, c.High)
	case c.Trades < 0:
		return fmt.Errorf("%w: %d trades", ErrCandle, c.Trades)
	case c.Time < 0 || c.Time > maxTime:
		return fmt.Errorf("%w: open time %d", ErrCandle, c.Time)
	case tf.Open(c.Time) != c.Time:
		return fmt.Errorf("%w: open time %d is not on the %s grid", ErrCandle, c.Time, tf)
	}
	return nil
}

// maxTime is the year 2200 in ms: far enough for every candle, near enough that
// calendar arithmetic and float64 keep it exact.
const maxTime = 7_258_118_400_000

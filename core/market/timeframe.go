package market

import (
	"fmt"
	"strings"
	"time"
)

// Timeframe is the length of a candle. Its zero value is no timeframe.
type Timeframe uint8

// The timeframes of the outside contract, shortest first. M1 is one minute,
// Month is a calendar month in UTC.
const (
	NoTimeframe Timeframe = iota
	M1
	M3
	M5
	M15
	M30
	H1
	H2
	H4
	H6
	H8
	H12
	D1
	D3
	W1
	Month
)

var timeframes = [...]struct {
	name string
	ms   int64 // nominal; a month varies and has its own arithmetic
}{
	M1:    {"1m", 60_000},
	M3:    {"3m", 3 * 60_000},
	M5:    {"5m", 5 * 60_000},
	M15:   {"15m", 15 * 60_000},
	M30:   {"30m", 30 * 60_000},
	H1:    {"1h", 3_600_000},
	H2:    {"2h", 2 * 3_600_000},
	H4:    {"4h", 4 * 3_600_000},
	H6:    {"6h", 6 * 3_600_000},
	H8:    {"8h", 8 * 3_600_000},
	H12:   {"12h", 12 * 3_600_000},
	D1:    {"1d", 86_400_000},
	D3:    {"3d", 3 * 86_400_000},
	W1:    {"1w", 7 * 86_400_000},
	Month: {"1M", 30 * 86_400_000},
}

// Timeframes returns all timeframes, shortest first.
func Timeframes() []Timeframe {
	all := make([]Timeframe, 0, len(timeframes)-1)
	for tf := M1; int(tf) < len(timeframes); tf++ {
		all = append(all, tf)
	}
	return all
}

// ParseTimeframe reads a name such as "1m" or "1M" (case matters: a minute is
// not a month). Its error wraps [ErrTimeframe] and lists what is allowed.
func ParseTimeframe(s string) (Timeframe, error) {
	for tf := M1; int(tf) < len(timeframes); tf++ {
		if timeframes[tf].name == s {
			return tf, nil
		}
	}
	return NoTimeframe, fmt.Errorf("%w %.16q: one of %s", ErrTimeframe, s, TimeframeNames())
}

// TimeframeNames returns all names, separated by spaces.
func TimeframeNames() string {
	names := make([]string, 0, len(timeframes))
	for _, tf := range Timeframes() {
		names = append(names, tf.String())
	}
	return strings.Join(names, " ")
}

// String returns the name, such as "15m"; of the zero value, "none".
func (tf Timeframe) String() string {
	if !tf.known() {
		return "none"
	}
	return timeframes[tf].name
}

// Duration returns the nominal length; a month counts 30 days. Use [Timeframe.Next]
// to walk candles.
func (tf Timeframe) Duration() time.Duration {
	if !tf.known() {
		return 0
	}
	return time.Duration(timeframes[tf].ms) * time.Millisecond
}

const (
	dayMS = 86_400_000
	// mondayMS is 1970-01-05, the first Monday of the epoch: weeks open on Monday.
	mondayMS = 4 * dayMS
)

// known reports whether tf is one of the contract's.
func (tf Timeframe) known() bool { return tf != NoTimeframe && int(tf) < len(timeframes) }

// Open returns the open time of the candle that contains the moment ms.
// It returns 0 for what is no timeframe.
func (tf Timeframe) Open(ms int64) int64 {
	if !tf.known() {
		return 0
	}
	switch tf {
	case Month:
		t := time.UnixMilli(ms).UTC()
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	case W1:
		return floor(ms-mondayMS, timeframes[W1].ms) + mondayMS
	default:
		return floor(ms, timeframes[tf].ms)
	}
}

// Next returns the open time of the candle after the one that contains ms.
func (tf Timeframe) Next(ms int64) int64 { return tf.Add(ms, 1) }

// Add returns the open time of the candle n candles after (or, negative, before)
// the one that contains ms.
func (tf Timeframe) Add(ms int64, n int) int64 {
	if !tf.known() {
		return 0
	}
	open := tf.Open(ms)
	switch tf {
	case Month:
		t := time.UnixMilli(open).UTC()
		return time.Date(t.Year(), t.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	default:
		return open + int64(n)*timeframes[tf].ms
	}
}

// CloseTime returns the last millisecond of the candle that contains ms, as
// exchanges report it: the next open time less one.
func (tf Timeframe) CloseTime(ms int64) int64 { return tf.Next(ms) - 1 }

// floor returns the greatest multiple of step that is not above ms.
func floor(ms, step int64) int64 {
	q := ms / step
	if ms%step < 0 {
		q--
	}
	return q * step
}

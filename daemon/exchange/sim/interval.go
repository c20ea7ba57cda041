package sim

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spark-ta/spark/core/market"
)

// interval is the length of a candle as the protocol names it: a timeframe, or
// one second; its days begin offset before those of UTC.
type interval struct {
	name   string
	tf     market.Timeframe // NoTimeframe means a second
	offset int64            // ms that local time is ahead of UTC
}

const second = "1s"

// parseInterval reads a name such as "1m"; case matters.
func parseInterval(name string) (interval, error) {
	if name == second {
		return interval{name: second}, nil
	}
	tf, err := market.ParseTimeframe(name)
	if err != nil {
		return interval{}, err
	}
	return interval{name: name, tf: tf}, nil
}

// open returns the open time of the candle that contains ms ≥ 0.
func (iv interval) open(ms int64) int64 {
	if iv.tf == market.NoTimeframe {
		return ms - ms%1000
	}
	return iv.tf.Open(ms+iv.offset) - iv.offset
}

// add returns the open time n candles after the one that contains ms.
func (iv interval) add(ms int64, n int) int64 {
	if iv.tf == market.NoTimeframe {
		return iv.open(ms) + int64(n)*1000
	}
	return iv.tf.Add(ms+iv.offset, n) - iv.offset
}

// parseZone reads a time zone as the klines endpoint takes it ("5", "-1:00",
// "05:45", within -12:00 … +14:00) and returns it in ms ahead of UTC.
func parseZone(s string) (int64, error) {
	bad := fmt.Errorf("time zone %.16q: within -12:00 and +14:00", s)
	sign := int64(1)
	body := s
	if rest, ok := strings.CutPrefix(body, "-"); ok {
		sign, body = -1, rest
	} else {
		body = strings.TrimPrefix(body, "+")
	}
	hours, minutes, split := strings.Cut(body, ":")
	if split && len(minutes) != 2 {
		return 0, bad
	}
	if !split {
		minutes = "0"
	}
	h, errH := strconv.ParseUint(hours, 10, 8)
	m, errM := strconv.ParseUint(minutes, 10, 8)
	if errH != nil || errM != nil || len(hours) > 2 || m > 59 {
		return 0, bad
	}
	zone := sign * (int64(h)*60 + int64(m))
	if zone < -12*60 || zone > 14*60 {
		return 0, bad
	}
	return zone * minuteMS, nil
}

package sim

import "strings"

// stream is what a stream's name says.
type stream struct {
	symbol string // upper case
	event  string // kline, trade, aggTrade, bookTicker, miniTicker
	interval
}

// east is the only other time zone in which candles are streamed.
const east = "@+08:00"

// parseStream reads a stream's name. Names with capital letters in the symbol,
// unknown events or intervals are no streams: the exchange takes a subscription to
// them and never sends anything.
func parseStream(name string) (stream, bool) {
	symbol, event, ok := strings.Cut(name, "@")
	if !ok || symbol == "" || len(name) > 64 || symbol != strings.ToLower(symbol) {
		return stream{}, false
	}
	s := stream{symbol: strings.ToUpper(symbol), event: event}
	switch event {
	case "trade", "aggTrade", "bookTicker", "miniTicker":
		return s, true
	}
	length, ok := strings.CutPrefix(event, "kline_")
	if !ok {
		return stream{}, false
	}
	s.event = "kline"
	length, eastern := strings.CutSuffix(length, east)
	iv, err := parseInterval(length)
	if err != nil {
		return stream{}, false
	}
	s.interval = iv
	if eastern {
		s.offset = 8 * hourMS
	}
	return s, true
}

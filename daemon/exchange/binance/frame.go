package binance

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spark-ta/spark/core/market"
)

// errFrame is wrapped by every error of decode.
var errFrame = errors.New("bad frame")

// maxFrame bounds a frame in bytes. A kline in its wrapper has about 450; the
// largest documented event (all tickers of the market) stays under 1 MB.
const maxFrame = 1 << 20

type frameKind uint8

const (
	otherFrame    frameKind = iota // well-formed, and not for us
	klineFrame                     // a state of a candle
	replyFrame                     // the exchange did what a control message asked
	refusalFrame                   // the exchange refused a control message
	shutdownFrame                  // this connection will be closed soon
)

// frame is what a text frame says. Its slices point into the text.
type frame struct {
	kind     frameKind
	stream   []byte // name given by the combined wrapper; nil without one
	symbol   []byte // of a kline, upper case
	interval []byte // of a kline
	candle   market.Candle
	reason   []byte // of a refusal: its JSON, at most 200 bytes; untrusted
}

// decode reads one text frame, raw or in the combined wrapper. Events that it
// does not know are no error; what is not JSON, or a kline with a field missing
// or of the wrong type, is one that wraps errFrame.
func decode(data []byte) (frame, error) {
	if len(data) > maxFrame {
		return frame{}, fmt.Errorf("%w: %d bytes", errFrame, len(data))
	}
	if !json.Valid(data) {
		return frame{}, fmt.Errorf("%w: not JSON: %.48q", errFrame, data)
	}
	var f frame
	var wrapped []byte
	isReply := false
	for key, value := range members(data) {
		switch string(key) {
		case "stream":
			f.stream, _ = text(value)
		case "data":
			wrapped = value
		case "result":
			isReply = true
		case "code", "error":
			f.reason = data[:min(len(data), 200)]
		}
	}
	switch {
	case f.stream != nil && wrapped != nil:
		return f.event(wrapped)
	case f.reason != nil:
		f.kind = refusalFrame
		return f, nil
	case isReply:
		f.kind = replyFrame
		return f, nil
	}
	return f.event(data)
}

// event reads a raw event. Arrays and events without a type are other frames.
func (f frame) event(data []byte) (frame, error) {
	var kind, envelope, k []byte
	for key, value := range members(data) {
		switch string(key) {
		case "e":
			kind, _ = text(value)
		case "E":
			envelope = value
		case "k":
			k = value
		}
	}
	switch string(kind) {
	case "serverShutdown":
		f.kind = shutdownFrame
		return f, nil
	case "kline":
	default:
		return f, nil
	}
	at, err := integer(envelope)
	if err != nil {
		return frame{}, fmt.Errorf("%w: kline event time: %v", errFrame, err)
	}
	f.candle.Event = at
	if err := f.kline(k); err != nil {
		return frame{}, fmt.Errorf("%w: kline: %v", errFrame, err)
	}
	if f.stream != nil && !named(f.stream, f.symbol, f.interval) {
		return frame{}, fmt.Errorf("%w: kline of %.24q %.4q in stream %.48q", errFrame, f.symbol, f.interval, f.stream)
	}
	f.kind = klineFrame
	return f, nil
}

// kline reads the k object. An empty candle has −1 as its trade ids and says
// zero trades, whatever else it says.
func (f *frame) kline(k []byte) error {
	const all = 1<<12 - 1
	var have uint
	first, last := int64(0), int64(0)
	c := &f.candle
	for key, value := range members(k) {
		if len(key) != 1 {
			continue
		}
		var err error
		bit := uint(0)
		switch key[0] {
		case 't':
			c.Time, err = integer(value)
			bit = 1 << 0
		case 's':
			f.symbol, err = word(value)
			bit = 1 << 1
		case 'i':
			f.interval, err = word(value)
			bit = 1 << 2
		case 'f':
			first, err = integer(value)
			bit = 1 << 3
		case 'L':
			last, err = integer(value)
			bit = 1 << 4
		case 'o':
			c.Open, err = decimal(value)
			bit = 1 << 5
		case 'h':
			c.High, err = decimal(value)
			bit = 1 << 6
		case 'l':
			c.Low, err = decimal(value)
			bit = 1 << 7
		case 'c':
			c.Close, err = decimal(value)
			bit = 1 << 8
		case 'v':
			c.Volume, err = decimal(value)
			bit = 1 << 9
		case 'n':
			c.Trades, err = integer(value)
			bit = 1 << 10
		case 'x':
			c.Closed = string(value) == "true"
			if !c.Closed && string(value) != "false" {
				err = fmt.Errorf("%.16q is not a boolean", value)
			}
			bit = 1 << 11
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		have |= bit
	}
	if have != all {
		return fmt.Errorf("%d of its fields are missing", missing(all&^have))
	}
	if first == -1 && last == -1 {
		c.Trades = 0
	}
	return nil
}

func missing(bits uint) (n int) {
	for ; bits != 0; bits &= bits - 1 {
		n++
	}
	return n
}

// word reads a short string of letters and digits.
func word(value []byte) ([]byte, error) {
	inner, ok := text(value)
	if !ok || len(inner) == 0 || len(inner) > 20 {
		return nil, fmt.Errorf("%.32q is not a name", value)
	}
	for _, b := range inner {
		if (b < '0' || b > '9') && (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') {
			return nil, fmt.Errorf("%.32q is not a name", value)
		}
	}
	return inner, nil
}

// appendName appends the stream name of a kline, such as "btcusdt@kline_1m":
// the symbol in lower case, the interval as it is (1m is not 1M).
func appendName(dst, symbol, interval []byte) []byte {
	for _, b := range symbol {
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		dst = append(dst, b)
	}
	dst = append(dst, "@kline_"...)
	return append(dst, interval...)
}

// streamName returns the name of a series' stream.
func streamName(s market.Series) string {
	return string(appendName(nil, []byte(s.Symbol), []byte(s.Timeframe.String())))
}

// named reports whether stream is the name of the kline of symbol and interval.
func named(stream, symbol, interval []byte) bool {
	var buf [64]byte
	return string(stream) == string(appendName(buf[:0], symbol, interval))
}

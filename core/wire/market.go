package wire

import "github.com/spark-ta/spark/core/market"

// Candle is a candle of the candles endpoint; Closed is sent on streams only.
type Candle struct {
	Time   int64   `json:"t"` // open time, ms
	Open   float64 `json:"o"`
	High   float64 `json:"h"`
	Low    float64 `json:"l"`
	Close  float64 `json:"c"`
	Volume float64 `json:"v"`
}

// StreamCandle is a candle within a stream's message.
type StreamCandle struct {
	Candle
	Closed bool `json:"x"`
}

// FromCandle converts a candle.
func FromCandle(c market.Candle) Candle {
	return Candle{Time: c.Time, Open: c.Open, High: c.High, Low: c.Low, Close: c.Close, Volume: c.Volume}
}

// Types of a stream's messages.
const (
	StreamOpen  = "open"
	StreamKline = "kline"
	StreamGap   = "gap"
	StreamError = "error"
	StreamClose = "close"
)

// StreamMessage is the JSON of one event of [PathStream].
type StreamMessage struct {
	Type      string        `json:"type"`
	Symbol    string        `json:"symbol,omitempty"`
	Timeframe string        `json:"timeframe,omitempty"`
	Data      *StreamCandle `json:"data,omitempty"`
	Message   string        `json:"message,omitempty"`
	Reason    string        `json:"reason,omitempty"`
}

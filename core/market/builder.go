package market

// Builder makes the candles of one timeframe out of finer pieces: trades (Add)
// or candles of a shorter timeframe that divides it (Merge). Set Timeframe.
//
// Pieces must come in the order of time.
type Builder struct {
	Timeframe Timeframe

	current Candle
	started bool
}

// Add takes a trade and returns the state of its candle.
func (b *Builder) Add(ms int64, price, quantity float64) Candle {
	return b.Merge(Candle{Time: ms, Open: price, High: price, Low: price, Close: price, Volume: quantity, Trades: 1, Event: ms})
}

// Merge takes a piece and returns the state of the candle that holds it. A piece
// is merged whole: give each shorter candle once, when it is closed.
func (b *Builder) Merge(c Candle) Candle {
	open := b.Timeframe.Open(c.Time)
	if !b.started || open != b.current.Time {
		b.started = true
		b.current = c
		b.current.Time = open
		b.current.Closed = false
	} else {
		cur := &b.current
		cur.High = max(cur.High, c.High)
		cur.Low = min(cur.Low, c.Low)
		cur.Close = c.Close
		cur.Volume += c.Volume
		cur.Trades += c.Trades
		cur.Event = c.Event
	}
	return b.current
}

// Current returns the candle under construction, and false before the first piece.
func (b *Builder) Current() (Candle, bool) { return b.current, b.started }

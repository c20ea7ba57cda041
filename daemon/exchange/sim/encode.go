package sim

import "strconv"

// appendDecimal appends v·10^-decimals with eight decimals, as the exchange writes
// all prices and quantities. decimals is 0 to 8.
func appendDecimal(dst []byte, v int64, decimals int) []byte {
	unit := int64(1)
	for range decimals {
		unit *= 10
	}
	dst = strconv.AppendInt(dst, v/unit, 10)
	dst = append(dst, '.')
	rest := v % unit
	for range decimals {
		unit /= 10
		dst = append(dst, byte('0'+rest/unit))
		rest %= unit
	}
	return append(dst, "00000000"[decimals:]...)
}

// appendQuoted is appendDecimal in quotation marks.
func appendQuoted(dst []byte, v int64, decimals int) []byte {
	return append(appendDecimal(append(dst, '"'), v, decimals), '"')
}

// appendRow appends a candle as an element of the klines reply; unit is 1 for
// times in ms and 1,000 for times in µs.
func appendRow(dst []byte, l *listing, c candle, unit int64) []byte {
	dst = strconv.AppendInt(append(dst, '['), c.open*unit, 10)
	for _, price := range [...]int64{c.cell.open, c.high, c.low, c.cell.close} {
		dst = appendQuoted(append(dst, ','), price, l.tick)
	}
	dst = appendQuoted(append(dst, ','), c.volume, l.step)
	dst = strconv.AppendInt(append(dst, ','), (c.close+1)*unit-1, 10)
	dst = appendQuoted(append(dst, ','), c.turnover, l.tick+l.step)
	dst = strconv.AppendInt(append(dst, ','), c.trades, 10)
	dst = appendQuoted(append(dst, ','), c.buyVolume, l.step)
	dst = appendQuoted(append(dst, ','), c.buyTurnover, l.tick+l.step)
	return append(dst, `,"0"]`...)
}

// field appends the name of a field after the first.
func field(dst []byte, name string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

func appendEvent(dst []byte, name string, event int64, l *listing) []byte {
	dst = append(dst, `{"e":"`...)
	dst = append(dst, name...)
	dst = append(dst, `","E":`...)
	dst = strconv.AppendInt(dst, event, 10)
	dst = append(field(dst, "s"), '"')
	dst = append(dst, l.symbol...)
	return append(dst, '"')
}

// appendKline appends a kline event.
func appendKline(dst []byte, l *listing, iv interval, c candle, closed bool, event int64) []byte {
	dst = appendEvent(dst, "kline", event, l)
	dst = append(field(dst, "k"), `{"t":`...)
	dst = strconv.AppendInt(dst, c.open, 10)
	dst = strconv.AppendInt(field(dst, "T"), c.close, 10)
	dst = append(field(dst, "s"), '"')
	dst = append(dst, l.symbol...)
	dst = append(dst, `","i":"`...)
	dst = append(dst, iv.name...)
	dst = append(dst, '"')
	dst = strconv.AppendInt(field(dst, "f"), c.firstID(), 10)
	dst = strconv.AppendInt(field(dst, "L"), c.lastID(), 10)
	dst = appendQuoted(field(dst, "o"), c.cell.open, l.tick)
	dst = appendQuoted(field(dst, "c"), c.cell.close, l.tick)
	dst = appendQuoted(field(dst, "h"), c.high, l.tick)
	dst = appendQuoted(field(dst, "l"), c.low, l.tick)
	dst = appendQuoted(field(dst, "v"), c.volume, l.step)
	dst = strconv.AppendInt(field(dst, "n"), c.trades, 10)
	dst = strconv.AppendBool(field(dst, "x"), closed)
	dst = appendQuoted(field(dst, "q"), c.turnover, l.tick+l.step)
	dst = appendQuoted(field(dst, "V"), c.buyVolume, l.step)
	dst = appendQuoted(field(dst, "Q"), c.buyTurnover, l.tick+l.step)
	return append(dst, `,"B":"0"}}`...)
}

// appendTrade appends a trade event.
func appendTrade(dst []byte, l *listing, t trade, event int64) []byte {
	dst = appendEvent(dst, "trade", event, l)
	dst = strconv.AppendInt(field(dst, "t"), t.id, 10)
	dst = appendQuoted(field(dst, "p"), t.price, l.tick)
	dst = appendQuoted(field(dst, "q"), t.quantity, l.step)
	dst = strconv.AppendInt(field(dst, "T"), t.time, 10)
	dst = strconv.AppendBool(field(dst, "m"), t.maker)
	return append(dst, `,"M":true}`...)
}

// appendAggTrade appends an aggregated trade, which here is always of one trade.
func appendAggTrade(dst []byte, l *listing, t trade, event int64) []byte {
	dst = appendEvent(dst, "aggTrade", event, l)
	dst = strconv.AppendInt(field(dst, "a"), t.id, 10)
	dst = appendQuoted(field(dst, "p"), t.price, l.tick)
	dst = appendQuoted(field(dst, "q"), t.quantity, l.step)
	dst = strconv.AppendInt(field(dst, "f"), t.id, 10)
	dst = strconv.AppendInt(field(dst, "l"), t.id, 10)
	dst = strconv.AppendInt(field(dst, "T"), t.time, 10)
	dst = strconv.AppendBool(field(dst, "m"), t.maker)
	return append(dst, `,"M":true}`...)
}

// appendBookTicker appends the best bid and ask after a trade: a tick apart, the
// trade at the side that it took. This event has neither type nor time.
func appendBookTicker(dst []byte, l *listing, t trade) []byte {
	bid, ask := t.price, t.price+1
	if !t.maker && t.price > 1 {
		bid, ask = t.price-1, t.price
	}
	dst = strconv.AppendInt(append(dst, `{"u":`...), t.id, 10)
	dst = append(field(dst, "s"), '"')
	dst = append(dst, l.symbol...)
	dst = append(dst, '"')
	dst = appendQuoted(field(dst, "b"), bid, l.tick)
	dst = appendQuoted(field(dst, "B"), t.quantity+t.id%17+1, l.step)
	dst = appendQuoted(field(dst, "a"), ask, l.tick)
	dst = appendQuoted(field(dst, "A"), t.quantity+t.id%23+1, l.step)
	return append(dst, '}')
}

// appendMiniTicker appends the summary of the last 24 hours.
func appendMiniTicker(dst []byte, l *listing, c cell, event int64) []byte {
	dst = appendEvent(dst, "24hrMiniTicker", event, l)
	dst = appendQuoted(field(dst, "c"), c.close, l.tick)
	dst = appendQuoted(field(dst, "o"), c.open, l.tick)
	dst = appendQuoted(field(dst, "h"), c.high, l.tick)
	dst = appendQuoted(field(dst, "l"), c.low, l.tick)
	dst = appendQuoted(field(dst, "v"), c.volume, l.step)
	dst = appendQuoted(field(dst, "q"), c.turnover, l.tick+l.step)
	return append(dst, '}')
}

package sim

// cell is the content of a stretch of time: prices in ticks, quantities in steps,
// turnover in ticks × steps. Without trades all four prices are the last price
// before.
type cell struct {
	open, high, low, close int64
	volume, turnover       int64
	buyVolume, buyTurnover int64 // of which the buyer was the taker
	trades                 int64
	first                  int64 // id of the first trade, if there is one
}

// add appends the cell of the time that follows.
func (c *cell) add(d cell) {
	if d.trades == 0 {
		if c.trades == 0 && c.close == 0 {
			*c = d
		}
		return
	}
	if c.trades == 0 {
		*c = d
		return
	}
	c.high = max(c.high, d.high)
	c.low = min(c.low, d.low)
	c.close = d.close
	c.volume += d.volume
	c.turnover += d.turnover
	c.buyVolume += d.buyVolume
	c.buyTurnover += d.buyTurnover
	c.trades += d.trades
}

// addTrade appends a trade.
func (c *cell) addTrade(t trade) {
	d := cell{
		open: t.price, high: t.price, low: t.price, close: t.price,
		volume: t.quantity, turnover: t.quantity * t.price, trades: 1, first: t.id,
	}
	if !t.maker {
		d.buyVolume, d.buyTurnover = d.volume, d.turnover
	}
	c.add(d)
}

// flat is the cell of a stretch without trades.
func flat(price int64) cell { return cell{open: price, high: price, low: price, close: price} }

// firstID and lastID return the ids of the trades, -1 when there are none.
func (c cell) firstID() int64 {
	if c.trades == 0 {
		return -1
	}
	return c.first
}

func (c cell) lastID() int64 {
	if c.trades == 0 {
		return -1
	}
	return c.first + c.trades - 1
}

// trade is one trade.
type trade struct {
	id       int64
	time     int64 // ms
	price    int64 // ticks
	quantity int64 // steps
	maker    bool  // the buyer was the maker
}

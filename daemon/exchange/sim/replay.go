package sim

import (
	"fmt"
	"io"
	"sort"

	"github.com/spark-ta/spark/core/market"
)

// ReplaySource is a candle file that takes the place of a symbol: the file's
// header is `t,o,h,l,c,v`, t is in ms and rises, the file may be packed with gzip.
//
// Candles before [Options.Start] are the symbol's history; those after it are
// played as trades: from the open to the low, the high and the close of a rising
// candle, from the open to the high, the low and the close of a falling one. If
// Start is not within the file, the file is moved in time so that History of its
// candles lie before Start. Before its first candle the symbol did not exist;
// after its last one, and where candles are missing, nothing is traded.
type ReplaySource struct {
	Symbol  market.Symbol
	Name    string    // of the file, for errors
	Reader  io.Reader // read to its end by [New]
	History int       // candles; 0 means half of the file
}

const (
	minTrades = 4     // of a candle that moves: open, low, high, close
	replayGap = 2_500 // ms between two trades
)

// replayed plays a file.
type replayed struct {
	*candleFile
	shift int64   // what is added to the file's times
	ids   []int64 // of the first trade of each row, and the one after the last
}

// newReplayed reads a file and decides where it lies in virtual time.
func newReplayed(src ReplaySource, start int64) (listing, *replayed, error) {
	if _, err := market.ParseSymbol(string(src.Symbol)); err != nil {
		return listing{}, nil, err
	}
	f, err := readCandles(src.Name, src.Reader)
	if err != nil {
		return listing{}, nil, err
	}
	p := &replayed{candleFile: f, ids: make([]int64, 1, len(f.rows)+1)}
	p.ids[0] = 1
	for i := range f.rows {
		p.ids = append(p.ids, p.ids[i]+p.count(i))
	}
	first, last := f.rows[0].time, f.rows[len(f.rows)-1].time
	if start < first || start >= last+f.length {
		history := src.History
		if history <= 0 {
			history = len(f.rows) / 2
		}
		if history >= len(f.rows) {
			return listing{}, nil, fmt.Errorf("%w %s: %d candles of history leave none of %d to play", ErrCandleFile, src.Name, history, len(f.rows))
		}
		p.shift = start - start%f.length - f.rows[history].time
	}
	if first+p.shift < 0 {
		return listing{}, nil, fmt.Errorf("%w %s: the history would begin before 1970", ErrCandleFile, src.Name)
	}
	l := listingOf(src.Symbol)
	l.tick, l.step = f.tick, f.step
	l.halted = func(now int64) bool { return now >= last+f.length+p.shift }
	return l, p, nil
}

// count returns the number of trades of a row.
func (p *replayed) count(i int) int64 {
	row := p.rows[i]
	return min(row.volume, max(minTrades, p.length/replayGap))
}

func (p *replayed) listed() int64 { return p.rows[0].time + p.shift }

// row returns the index of the last row that opens at or before ms, -1 if none.
func (p *replayed) row(ms int64) int {
	return sort.Search(len(p.rows), func(i int) bool { return p.rows[i].time+p.shift > ms }) - 1
}

func (p *replayed) minutes(dst []cell, day int64) []cell {
	last := int64(0)
	if i := p.row(day*dayMS - 1); i >= 0 {
		last = p.rows[i].close
	}
	var buf []trade
	for open := day * dayMS; open < (day+1)*dayMS; open += minuteMS {
		if open < p.listed() {
			dst = append(dst, cell{})
			continue
		}
		buf = p.trades(buf[:0], open)
		if len(buf) == 0 {
			if i := p.row(open); last == 0 && i >= 0 {
				last = p.rows[i].open
			}
			dst = append(dst, flat(last))
			continue
		}
		var c cell
		for _, t := range buf {
			c.addTrade(t)
		}
		dst = append(dst, c)
		last = c.close
	}
	return dst
}

func (p *replayed) trades(dst []trade, ms int64) []trade {
	i := p.row(ms)
	if i < 0 {
		return dst
	}
	open := p.rows[i].time + p.shift
	n := p.count(i)
	if n == 0 || ms >= open+p.length {
		return dst
	}
	// The k-th trade is at open + k·length/n, rounded down.
	k := (ms-open)*n/p.length - 1
	for k = max(k, 0); k < n; k++ {
		at := open + k*p.length/n
		if at < ms {
			continue
		}
		if at >= ms+minuteMS {
			break
		}
		dst = append(dst, p.trade(i, k, n, at))
	}
	return dst
}

// trade returns the k-th of a row's n trades.
func (p *replayed) trade(i int, k, n, at int64) trade {
	row := p.rows[i]
	t := trade{id: p.ids[i] + k, time: at, price: row.price(k, n)}
	t.quantity = part(row.volume, k+1, n) - part(row.volume, k, n)
	before := row.open
	if k > 0 {
		before = row.price(k-1, n)
	}
	t.maker = t.price < before || t.price == before && row.close < row.open
	return t
}

// price returns where the k-th of n trades stands on the way from the open to the
// close by way of both extremes, each third a straight line.
func (r fileRow) price(k, n int64) int64 {
	way := [4]int64{r.open, r.low, r.high, r.close}
	if r.close < r.open {
		way[1], way[2] = r.high, r.low
	}
	if n < minTrades {
		return r.open // it does not move
	}
	stop := [4]int64{0, (n - 1) / 3, 2 * (n - 1) / 3, n - 1}
	leg := 0
	for leg < 2 && k > stop[leg+1] {
		leg++
	}
	length := stop[leg+1] - stop[leg]
	return way[leg] + (way[leg+1]-way[leg])*(k-stop[leg])/length
}

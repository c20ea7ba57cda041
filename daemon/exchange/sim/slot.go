package sim

// shape describes the trades of one slot. Trade i and trade n-1-i are a pair:
// the same quantity and side, prices mirrored about the middle. An odd one out
// stands in the middle. So volume × middle is the turnover, and the extremes are
// known from the widest pair alone.
type shape struct {
	draw   draw
	slot   int64 // since 1970
	first  int64 // id of the first trade
	n      int64 // trades, at least one
	middle int64 // price
	lead   int64 // first price less the middle
	reach  int64 // highest price less the middle
	wide   int64 // the pair that has the reach, 0 when it is the first

	pairs, buys       int64 // buys: pairs whose buyer is the taker
	buyHalf, sellHalf int64 // quantity of one half of all buying, selling pairs
	odd               int64 // quantity of the odd trade; 0 when there is none
	oddBuy            bool
}

// shape decides the figures of slot i of a day; it must have trades.
func (g *generated) shape(p *dayPlan, i int) shape {
	const half = 1 << (subTick - 1)
	open, end := (p.path[i]+half)>>subTick, (p.path[i+1]+half)>>subTick
	sh := shape{
		draw:   g.draw,
		slot:   p.day*daySlots + int64(i),
		first:  p.id + int64(p.first[i]),
		n:      int64(p.first[i+1] - p.first[i]),
		middle: (open + end) >> 1,
	}
	random := g.draw.at(drawSlot, sh.slot)
	sh.pairs = sh.n / 2
	if sh.n > 1 {
		sh.lead = open - sh.middle
		sh.reach = max(sh.lead, -sh.lead)
	}
	if sh.pairs > 1 {
		// A wick of up to about one deviation of the slot's own move.
		wick := below(mix(random), p.path[0]>>subTick*g.sigma/54_000_000+2)
		sh.reach = min(sh.reach+wick, max(sh.reach, sh.middle/4))
		sh.wide = 1 + below(mix(random^1), sh.pairs-1)
	}
	share := 35 + int64(random&0xff)*30>>8 // per cent of the pairs that buy
	if end > open {
		share += 10
	} else if end < open {
		share -= 10
	}
	sh.buys = (sh.pairs*share + 50) / 100
	sh.buyHalf = quantity(random>>8, sh.buys, g.size)
	sh.sellHalf = quantity(random>>20, sh.pairs-sh.buys, g.size)
	if sh.n%2 == 1 {
		sh.odd = quantity(random>>32, 1, g.size)
		sh.oddBuy = random>>63 == 1
	}
	return sh
}

// quantity returns what n trades of a mean size move together: between a quarter
// and about twice as much, never less than a step each.
func quantity(random uint64, n, size int64) int64 {
	u := int64(random & 0xfff)
	return max(n, n*size*(256+u*u>>13)/1024)
}

// cell returns the candle of the slot.
func (sh *shape) cell() cell {
	c := cell{
		open: sh.middle + sh.lead, high: sh.middle + sh.reach, low: sh.middle - sh.reach, close: sh.middle - sh.lead,
		volume: 2*(sh.buyHalf+sh.sellHalf) + sh.odd, buyVolume: 2 * sh.buyHalf,
		trades: sh.n, first: sh.first,
	}
	if sh.oddBuy {
		c.buyVolume += sh.odd
	}
	c.turnover = c.volume * sh.middle
	c.buyTurnover = c.buyVolume * sh.middle
	return c
}

// trades appends the trades of the slot.
func (sh *shape) trades(dst []trade) []trade {
	start := sh.slot * slotMS
	for i := range sh.n {
		from, to := slotMS*i/sh.n, slotMS*(i+1)/sh.n
		t := trade{id: sh.first + i, price: sh.middle}
		t.time = start + from
		if to > from {
			t.time += below(sh.draw.at(drawTime, sh.slot<<16+i), to-from)
		}
		switch {
		case i < sh.pairs:
			t.price += sh.offset(i)
			t.quantity, t.maker = sh.pair(i)
		case i >= sh.n-sh.pairs:
			t.price -= sh.offset(sh.n - 1 - i)
			t.quantity, t.maker = sh.pair(sh.n - 1 - i)
		default:
			t.quantity, t.maker = sh.odd, !sh.oddBuy
		}
		dst = append(dst, t)
	}
	return dst
}

// offset returns the distance of the j-th pair's earlier trade from the middle.
func (sh *shape) offset(j int64) int64 {
	if j == 0 {
		return sh.lead
	}
	random := sh.draw.at(drawTrade, sh.slot<<16+j)
	if j == sh.wide {
		if random&1 == 0 {
			return -sh.reach
		}
		return sh.reach
	}
	noise := below(random, sh.reach+1) - sh.reach/2
	return min(max(sh.lead*(sh.pairs-j)/sh.pairs+noise, -sh.reach), sh.reach)
}

// pair returns the quantity of each trade of the j-th pair, and whether the buyer
// was the maker. The buying pairs are spread evenly; two neighbours of one side
// differ by what one takes from the other.
func (sh *shape) pair(j int64) (quantity int64, maker bool) {
	k := j * sh.buys / sh.pairs
	half, count, side := sh.buyHalf, sh.buys, drawBuy
	if (j+1)*sh.buys/sh.pairs == k {
		maker = true
		k, half, count, side = j-k, sh.sellHalf, sh.pairs-sh.buys, drawSell
	}
	quantity = half / count
	if k^1 < count {
		delta := below(sh.draw.at(side, sh.slot<<16+k>>1), quantity)
		if k&1 == 0 {
			quantity += delta
		} else {
			quantity -= delta
		}
	}
	if k < half%count {
		quantity++
	}
	return quantity, maker
}

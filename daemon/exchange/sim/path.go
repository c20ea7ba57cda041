package sim

import (
	"math"
	"sync"
)

const (
	minuteMS    = 60_000
	hourMS      = 60 * minuteMS
	dayMS       = 24 * hourMS
	slotMS      = 30_000
	daySlots    = dayMS / slotMS
	minuteSlots = minuteMS / slotMS

	// firstDay is 2000-01-01, the first day of trading, in days since 1970.
	firstDay = 10_957

	// subTick is the number of binary digits that the path keeps below a tick, so
	// that a coin of a thousand ticks still has a walk and not a staircase.
	subTick = 16

	octaves = 8 // of the price at midnight: periods of 1, 2, 4 … 128 days
)

// generated makes the trades of one symbol. It is safe for concurrent use.
type generated struct {
	listing
	draw   draw
	spread [daySlots + 1]int64         // deviation of the middle of a bridge of n slots, of a day's, <<20
	kick   func(ms, price int64) int64 // what a demo adds to the path; may be nil
	mu     sync.Mutex                  // guards the rest
	before []int64                     // trades before the i-th day of trading
	plans  recent[int64, *dayPlan]     // of the days whose trades were looked at last
}

// dayPlan is what all slots of a day have to know.
type dayPlan struct {
	day   int64
	id    int64               // of the first trade
	path  [daySlots + 1]int64 // price at the slots' edges, ticks << subTick
	first [daySlots + 1]int32 // trades of the day before the slot
}

func newGenerated(l listing, seed uint64, kick func(ms, price int64) int64) *generated {
	g := &generated{listing: l, draw: newDraw(seed, string(l.symbol)), kick: kick, before: []int64{1}}
	g.plans.limit = 3
	for n := range g.spread {
		// A square root is exact to the last bit everywhere, unlike an exponential.
		g.spread[n] = int64(math.Sqrt(float64(n)*(1<<40)/daySlots)) / 2
	}
	return g
}

// anchor returns the price at the beginning of a day, ticks << subTick.
func (g *generated) anchor(day int64) int64 {
	// Half the deviation of a day per octave, growing with the root of its
	// period, makes one day's move deviate by about sigma.
	root := [octaves]int64{1000, 1414, 2000, 2828, 4000, 5657, 8000, 11314}
	sum := int64(0)
	for k := range octaves {
		period := int64(1) << k
		i, into := day>>k, day&(period-1)
		a := bell(g.draw.at(drawAnchor+uint64(k)<<8, i))
		b := bell(g.draw.at(drawAnchor+uint64(k)<<8, i+1))
		sum += (a*(period-into) + b*into) / period * root[k] / 2000
	}
	millionths := max(-600_000, sum*g.sigma>>15)
	return g.price << subTick / 1_000_000 * (1_000_000 + millionths)
}

// plan computes a day.
func (g *generated) plan(p *dayPlan, day int64) {
	p.day = day
	p.path[0], p.path[daySlots] = g.anchor(day), g.anchor(day+1)
	b := bridge{g: g, path: &p.path, day: day, deviation: p.path[0] / 1_000_000 * g.sigma}
	b.fill(0, daySlots, 1<<10)
	if g.kick != nil {
		for s := range p.path {
			p.path[s] += g.kick(day*dayMS+int64(s)*slotMS, p.path[s])
		}
	}
	var trades int64
	p.id, trades = g.ids(day)
	g.share(p, trades)
}

// bridge fills in a day's path between its two ends.
type bridge struct {
	g         *generated
	path      *[daySlots + 1]int64
	day       int64
	deviation int64 // of a day's move, ticks << subTick
}

// fill displaces the middle between two known points and goes on with the halves.
// The volatility (1<<10 is the ordinary one) is handed down and varied a little at
// each level: neighbours share most of their ancestors, so calm and hectic
// stretches cluster.
func (b *bridge) fill(lo, hi int, volatility int64) {
	mid := (lo + hi) / 2
	if mid == lo {
		return
	}
	random := b.g.draw.at(drawPath, b.day*daySlots+int64(mid))
	move := b.deviation * b.g.spread[hi-lo] >> 20 * volatility >> 10
	x := (b.path[lo]+b.path[hi])/2 + move*bell(random)>>15
	b.path[mid] = max(x, 8<<subTick)
	volatility = volatility * (1024 - 220 + 440*int64(random>>48)>>16) >> 10
	b.fill(lo, mid, volatility)
	b.fill(mid, hi, volatility)
}

// ids returns the id of a day's first trade and the number of its trades.
func (g *generated) ids(day int64) (first, trades int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := int(day - firstDay)
	for len(g.before) <= i+1 {
		d := firstDay + int64(len(g.before)) - 1
		n := g.perDay*7/10 + below(g.draw.at(drawDay, d), g.perDay*6/10)
		g.before = append(g.before, g.before[len(g.before)-1]+n)
	}
	return g.before[i], g.before[i+1] - g.before[i]
}

// share divides a day's trades among its slots by weight. The first slot always
// has one, so no day looks back at the day before.
func (g *generated) share(p *dayPlan, trades int64) {
	busy := [24]int64{9, 9, 8, 8, 7, 7, 8, 10, 11, 10, 10, 10, 11, 14, 16, 15, 14, 12, 11, 10, 10, 9, 9, 9}
	ordinary := max(1, p.path[0]/1_000_000*g.sigma*g.spread[1]>>19)
	var weight [daySlots + 1]int64
	burst := int64(0)
	for s := range daySlots {
		if s%minuteSlots == 0 {
			u := int64(g.draw.at(drawMinute, p.day*1440+int64(s/minuteSlots)) >> 54)
			burst = 64 + u*u*u>>20 // 64 … 1,087, rarely large
		}
		move := p.path[s+1] - p.path[s]
		excite := min(128+128*max(move, -move)/ordinary, 1024)
		weight[s+1] = weight[s] + busy[s/(daySlots/24)]*burst*excite
	}
	for s := 1; s < daySlots; s++ {
		p.first[s] = int32(1 + part(trades-1, weight[s], weight[daySlots]))
	}
	p.first[daySlots] = int32(trades)
}

// listed returns the moment of the first trade, or less.
func (g *generated) listed() int64 { return firstDay * dayMS }

// minutes appends the candles of a day's minutes.
func (g *generated) minutes(dst []cell, day int64) []cell {
	var p dayPlan // one that is looked at once stays on the stack
	g.plan(&p, day)
	last := int64(0)
	for s := 0; s < daySlots; s += minuteSlots {
		var c cell
		for i := s; i < s+minuteSlots; i++ {
			if p.first[i] == p.first[i+1] {
				c.add(flat(last))
				continue
			}
			sh := g.shape(&p, i)
			c.add(sh.cell())
			last = c.close
		}
		dst = append(dst, c)
	}
	return dst
}

// trades appends the trades of the minute that opens at ms, in order.
func (g *generated) trades(dst []trade, ms int64) []trade {
	day := ms / dayMS
	g.mu.Lock()
	p, ok := g.plans.get(day)
	g.mu.Unlock()
	if !ok {
		p = new(dayPlan)
		g.plan(p, day)
		g.mu.Lock()
		g.plans.put(day, p)
		g.mu.Unlock()
	}
	s := int(ms % dayMS / slotMS)
	for i := s; i < s+minuteSlots; i++ {
		if p.first[i] != p.first[i+1] {
			sh := g.shape(p, i)
			dst = sh.trades(dst)
		}
	}
	return dst
}

package sim

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const dayMinutes = dayMS / minuteMS

// source is where the trades of a symbol come from. It answers for all times from
// listed() on, the future included, and always the same.
type source interface {
	// listed returns the open time of the first minute, ms.
	listed() int64
	// minutes appends the candles of a day's minutes, 1,440 of them; those before
	// the listing are zero.
	minutes(dst []cell, day int64) []cell
	// trades appends the trades of the minute that opens at ms, in order.
	trades(dst []trade, ms int64) []trade
}

// tape answers questions about one symbol: candles of any length up to any
// moment. It is safe for concurrent use; it computes outside its lock, so a long
// look into the past holds nobody up.
type tape struct {
	listing
	source source

	mu    sync.Mutex // guards the caches
	days  map[int64]cell
	hours recent[int64, []cell] // by day: 640 days are 1.3 MB
	fine  recent[int64, []cell] // minutes by day: 4 days are 0.5 MB
}

func newTape(l listing, s source) *tape {
	t := &tape{listing: l, source: s, days: make(map[int64]cell)}
	t.hours.limit, t.fine.limit = 640, 4
	return t
}

// minutesOf returns the minutes of a day. The slice must not be written to.
func (t *tape) minutesOf(day int64) []cell {
	t.mu.Lock()
	cells, ok := t.fine.get(day)
	t.mu.Unlock()
	if ok {
		return cells
	}
	cells = t.source.minutes(make([]cell, 0, dayMinutes), day)
	t.keep(day, cells, true)
	return cells
}

// keep stores the sums of a day, and its minutes if they are wanted again soon.
func (t *tape) keep(day int64, minutes []cell, fine bool) (hours []cell) {
	hours = make([]cell, 24)
	var total cell
	for h := range hours {
		for _, c := range minutes[h*60 : h*60+60] {
			hours[h].add(c)
		}
		total.add(hours[h])
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.days[day] = total
	t.hours.put(day, hours)
	if fine {
		t.fine.put(day, minutes)
	}
	return hours
}

// scratch is room for the minutes of a day that are not kept.
type scratch []cell

func newScratch() scratch { return make(scratch, 0, dayMinutes) }

func (t *tape) hoursOf(day int64) []cell {
	t.mu.Lock()
	hours, ok := t.hours.get(day)
	t.mu.Unlock()
	if ok {
		return hours
	}
	return t.keep(day, t.source.minutes(newScratch(), day), false)
}

func (t *tape) dayOf(day int64, room scratch) cell {
	t.mu.Lock()
	total, ok := t.days[day]
	t.mu.Unlock()
	if ok {
		return total
	}
	t.keep(day, t.source.minutes(room, day), false)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.days[day]
}

// warm computes the days of a long stretch on all processors at once.
func (t *tape) warm(from, to int64) {
	var missing []int64
	t.mu.Lock()
	for day := max(from, t.source.listed()) / dayMS; (day+1)*dayMS <= to; day++ {
		if _, ok := t.days[day]; !ok {
			missing = append(missing, day)
		}
	}
	t.mu.Unlock()
	if len(missing) < 32 {
		return
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			room := newScratch()
			for i := next.Add(1) - 1; i < int64(len(missing)); i = next.Add(1) - 1 {
				t.dayOf(missing[i], room)
			}
		})
	}
	workers.Wait()
}

// span returns what happened from a moment up to, and not including, another. It
// adds up the longest known stretches: days, hours, minutes, trades.
func (t *tape) span(from, to int64) cell {
	var sum cell
	at := max(from, t.source.listed())
	for at < to {
		day := at / dayMS
		switch {
		case at%dayMS == 0 && at+dayMS <= to:
			sum.add(t.dayOf(day, nil))
			at += dayMS
		case at%hourMS == 0 && at+hourMS <= to:
			sum.add(t.hoursOf(day)[at%dayMS/hourMS])
			at += hourMS
		case at%minuteMS == 0 && at+minuteMS <= to:
			sum.add(t.minutesOf(day)[at%dayMS/minuteMS])
			at += minuteMS
		default:
			next := min(to, at-at%minuteMS+minuteMS)
			sum.add(t.within(at, next))
			at = next
		}
	}
	return sum
}

// within is span for a stretch inside one minute.
func (t *tape) within(from, to int64) cell {
	minute := from - from%minuteMS
	var sum cell
	last := int64(0)
	for _, tr := range t.source.trades(make([]trade, 0, 128), minute) {
		switch {
		case tr.time < from:
			last = tr.price
		case tr.time < to:
			sum.addTrade(tr)
		}
	}
	if sum.trades > 0 {
		return sum
	}
	if last == 0 {
		last = t.before(minute)
	}
	return flat(last)
}

// before returns the last price before a minute; at the listing, the first one.
func (t *tape) before(minute int64) int64 {
	if minute <= t.source.listed() {
		minute = t.source.listed()
		return t.minutesOf(minute / dayMS)[minute%dayMS/minuteMS].open
	}
	minute -= minuteMS
	return t.minutesOf(minute / dayMS)[minute%dayMS/minuteMS].close
}

// between appends the trades after one moment, up to and including another.
func (t *tape) between(dst []trade, after, until int64) []trade {
	var buf []trade
	for minute := (after + 1) - (after+1)%minuteMS; minute <= until; minute += minuteMS {
		if minute < t.source.listed() {
			continue
		}
		buf = t.source.trades(buf[:0], minute)
		for _, tr := range buf {
			if tr.time > after && tr.time <= until {
				dst = append(dst, tr)
			}
		}
	}
	return dst
}

// candle is one candle as far as it has come.
type candle struct {
	open, close int64 // ms; close is the last one
	cell
}

// candle returns the candle that opens at a time on the grid, as it stands now.
func (t *tape) candle(iv interval, open, now int64) candle {
	next := iv.add(open, 1)
	return candle{open: open, close: next - 1, cell: t.span(open, min(next, now+1))}
}

// candles returns up to limit candles that are there now, oldest first. With from
// ≥ 0: the oldest that open at or after it; otherwise the newest. None opens after
// until.
func (t *tape) candles(iv interval, from, until int64, limit int, now int64) []candle {
	earliest := iv.open(t.source.listed())
	newest := iv.open(min(now, until))
	if until < 0 || until < earliest {
		return nil
	}
	open := max(iv.add(newest, 1-limit), earliest)
	if from >= 0 {
		open = iv.open(from)
		if open < from {
			open = iv.add(open, 1)
		}
		open = max(open, earliest)
	}
	t.warm(open, min(iv.add(open, limit), now+1))
	var all []candle
	for len(all) < limit && open <= newest {
		c := t.candle(iv, open, now)
		all = append(all, c)
		open = c.close + 1
	}
	return all
}

package sim

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxCatchUp = 1000                  // closed candles sent at once on one stream
	leastPause = 2 * time.Millisecond  // between two looks at the market
	maxTrades  = 20 * dayMS / minuteMS // ms of trades sent at once; only a stopped process needs more
)

// frame is an event of a stream, shared by all connections.
type frame struct {
	stream  string
	raw     []byte
	wrapped []byte // for combined connections
	closed  bool   // of a candle that will not change any more
}

func newFrame(stream string, raw []byte, closed bool) *frame {
	wrapped := make([]byte, 0, len(raw)+len(stream)+24)
	wrapped = append(wrapped, `{"stream":"`...)
	wrapped = append(wrapped, stream...)
	wrapped = append(wrapped, `","data":`...)
	wrapped = append(append(wrapped, raw...), '}')
	return &frame{stream: stream, raw: raw, wrapped: wrapped, closed: closed}
}

// board knows who reads which stream, and writes the streams.
type board struct {
	clock  clock
	tapes  map[string]*tape
	faults *faults
	frames atomic.Int64 // events made
	lost   atomic.Int64 // events left out by a fault

	framePeriod, tradePeriod time.Duration

	changed chan struct{} // capacity 1: a topic was added

	mu     sync.Mutex // guards the topics
	topics []*topic   // by name, so that two runs send in one order
}

// topic is a stream that somebody reads.
type topic struct {
	name    string
	stream  stream
	tape    *tape
	readers []*conn // by age
	cursor  int64   // kline: open time of the candle under way; otherwise the time up to which all is sent
	held    *frame  // to be sent after the next one
}

func (b *board) find(name string) (int, bool) {
	return slices.BinarySearchFunc(b.topics, name, func(t *topic, name string) int { return strings.Compare(t.name, name) })
}

// join lets a connection read a stream; names that are no streams are ignored.
func (b *board) join(c *conn, name string) {
	s, ok := parseStream(name)
	if !ok || b.tapes[s.symbol] == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.find(name)
	if !ok {
		t := &topic{name: name, stream: s, tape: b.tapes[s.symbol], cursor: b.clock.now()}
		if s.event == "kline" {
			t.cursor = s.open(t.cursor)
		}
		b.topics = slices.Insert(b.topics, i, t)
		select {
		case b.changed <- struct{}{}:
		default:
		}
	}
	t := b.topics[i]
	if !slices.Contains(t.readers, c) {
		t.readers = append(t.readers, c)
	}
}

// leave ends what join began.
func (b *board) leave(c *conn, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.find(name)
	if !ok {
		return
	}
	t := b.topics[i]
	t.readers = slices.DeleteFunc(t.readers, func(r *conn) bool { return r == c })
	if len(t.readers) == 0 {
		b.topics = slices.Delete(b.topics, i, i+1)
	}
}

// readers returns the number of connections for each stream that has any.
func (b *board) readers() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[string]int, len(b.topics))
	for _, t := range b.topics {
		all[t.name] = len(t.readers)
	}
	return all
}

// schedule is when the next regular updates are due.
type schedule struct {
	candles, seconds, trades time.Time
}

// run writes the streams until the context ends.
func (b *board) run(ctx context.Context) {
	now := time.Now()
	due := schedule{candles: now.Add(b.framePeriod), seconds: now.Add(b.framePeriod / 2), trades: now.Add(b.tradePeriod)}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.changed:
		case <-timer.C:
			b.step(time.Now(), &due)
		}
		wake, any := b.wake(time.Now(), due)
		if any {
			timer.Reset(max(time.Until(wake), leastPause))
		} else {
			timer.Stop()
		}
	}
}

// wake returns when something has to be looked at next: a regular update, or the
// end of a candle, whichever comes first.
func (b *board) wake(now time.Time, due schedule) (at time.Time, any bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at = now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	v := b.clock.at(now)
	for _, t := range b.topics {
		switch {
		case t.stream.event == "miniTicker":
			sooner(due.seconds)
		case t.stream.event != "kline":
			sooner(due.trades)
		case t.stream.name == second:
			sooner(due.seconds)
			sooner(b.clock.real(v - v%1000 + 1000))
		default:
			sooner(due.candles)
			sooner(b.clock.real(v - v%minuteMS + minuteMS))
		}
	}
	return at, len(b.topics) > 0
}

// next moves a due time past the present and reports whether it had come.
func next(due *time.Time, period time.Duration, now time.Time) bool {
	if now.Before(*due) {
		return false
	}
	*due = due.Add(period * (now.Sub(*due)/period + 1))
	return true
}

// step sends what happened on each stream since the last step.
func (b *board) step(now time.Time, due *schedule) {
	candles := next(&due.candles, b.framePeriod, now)
	seconds := next(&due.seconds, b.framePeriod/2, now)
	trades := next(&due.trades, b.tradePeriod, now)
	v := b.clock.at(now)
	event := v + b.faults.delay(Skew, now)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.topics {
		if _, stalled := b.faults.frame(Stall, t.name, false, now); stalled {
			continue
		}
		switch t.stream.event {
		case "kline":
			regular := candles
			if t.stream.name == second {
				regular = seconds
			}
			b.klines(t, v, event, regular, now)
		case "miniTicker":
			if seconds {
				c := t.tape.span(v-dayMS+1, v+1)
				b.send(t, newFrame(t.name, appendMiniTicker(make([]byte, 0, 256), &t.tape.listing, c, event), false), now)
			}
		default:
			if trades {
				b.trades(t, v, event, now)
			}
		}
	}
}

// klines sends the candles that closed, and the open one if it is new or a
// regular update is due.
func (b *board) klines(t *topic, v, event int64, regular bool, now time.Time) {
	for n := 0; ; n++ {
		end := t.stream.add(t.cursor, 1)
		if end > v {
			break
		}
		if n >= maxCatchUp {
			t.cursor = t.stream.open(v)
			break
		}
		b.kline(t, v, event, true, now)
		t.cursor = end
		regular = true
	}
	if regular {
		b.kline(t, v, event, false, now)
	}
}

func (b *board) kline(t *topic, v, event int64, closed bool, now time.Time) {
	c := t.tape.candle(t.stream.interval, t.cursor, v)
	raw := appendKline(make([]byte, 0, 420), &t.tape.listing, t.stream.interval, c, closed, event)
	b.send(t, newFrame(t.name, raw, closed), now)
}

// trades sends the trades since the last time.
func (b *board) trades(t *topic, v, event int64, now time.Time) {
	after := max(t.cursor, v-maxTrades)
	t.cursor = v
	for _, tr := range t.tape.between(nil, after, v) {
		raw := make([]byte, 0, 224)
		switch t.stream.event {
		case "trade":
			raw = appendTrade(raw, &t.tape.listing, tr, event)
		case "aggTrade":
			raw = appendAggTrade(raw, &t.tape.listing, tr, event)
		default:
			raw = appendBookTicker(raw, &t.tape.listing, tr)
		}
		b.send(t, newFrame(t.name, raw, false), now)
	}
}

// send applies the faults of frames and hands the frame to its readers.
func (b *board) send(t *topic, f *frame, now time.Time) {
	b.frames.Add(1)
	if _, hit := b.faults.frame(Gap, t.name, f.closed, now); hit {
		b.lost.Add(1)
		return
	}
	if fault, hit := b.faults.frame(Garbage, t.name, f.closed, now); hit {
		f.raw = b.faults.rubbish(fault.Shape, f.raw)
		f.wrapped = f.raw
	}
	if t.held == nil {
		if _, hit := b.faults.frame(Reorder, t.name, f.closed, now); hit {
			t.held = f
			return
		}
	}
	t.deliver(f)
	if _, hit := b.faults.frame(Duplicate, t.name, f.closed, now); hit {
		t.deliver(f)
	}
	if t.held != nil {
		t.deliver(t.held)
		t.held = nil
	}
}

func (t *topic) deliver(f *frame) {
	for _, c := range t.readers {
		c.push(f)
	}
}

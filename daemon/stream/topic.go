package stream

import (
	"context"
	"encoding/json"
	"slices"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
)

// frame is one encoded event of a candle, shared by all connections and never
// changed.
type frame struct {
	data     []byte
	candle   market.Candle
	received time.Time // zero for what came with a snapshot
	// stamp orders closed candles as ids do, and grows with each of them. A reader
	// whose last id is smaller may lack the candle. It is the candle's id, or one
	// more than the newest id before it when that is not less. Of a candle read by
	// REST it is restLag later than its id: on another gateway the same close may
	// have come by stream, with an id that much later.
	stamp int64
}

// restLag is how long, in ms, after a candle's close time its last frame may say that
// it happened.
const restLag = 2000

// topic is one series. The Hub's lock guards readers, idleSince and cancel; its own
// guards the rest.
type topic struct {
	series    market.Series
	readers   int
	idleSince time.Time
	cancel    context.CancelFunc // nil until Run has started it

	opening, gap []byte // encoded once

	mu     sync.Mutex
	ready  bool    // a snapshot was read
	ring   []frame // closed ones; number n is at n % len
	first  uint64  // number of the oldest one kept
	next   uint64  // number of the next one
	open   frame   // data is nil when there is none
	rev    uint64  // of open; grows with each state
	newest int64   // id: the largest so far
	notice []byte  // error event of the present trouble, nil without one
	mark   uint64  // of notice
	conns  map[*conn]struct{}
}

func newTopic(series market.Series, ring int) *topic {
	t := &topic{series: series, ring: make([]frame, ring), first: 1, next: 1, conns: map[*conn]struct{}{}}
	t.opening = t.event(wire.StreamMessage{Type: wire.StreamOpen})
	t.gap = t.event(wire.StreamMessage{Type: wire.StreamGap})
	return t
}

// event encodes a message without an id.
func (t *topic) event(m wire.StreamMessage) []byte {
	m.Symbol, m.Timeframe = string(t.series.Symbol), t.series.Timeframe.String()
	return encode(nil, m)
}

// encode appends one event. Its JSON has no line break, so it needs one data line.
func encode(dst []byte, m wire.StreamMessage) []byte {
	body, err := json.Marshal(m)
	if err != nil { // a float that is no number; the source promises there is none
		return dst
	}
	dst = append(dst, "data: "...)
	dst = append(dst, body...)
	return append(dst, "\n\n"...)
}

func (t *topic) encodeCandle(c market.Candle) []byte {
	dst := make([]byte, 0, 224)
	dst = append(dst, "id: "...)
	dst = strconv.AppendInt(dst, c.Event, 10)
	dst = append(dst, '\n')
	return encode(dst, wire.StreamMessage{
		Type: wire.StreamKline, Symbol: string(t.series.Symbol), Timeframe: t.series.Timeframe.String(),
		Data: &wire.StreamCandle{Candle: wire.FromCandle(c), Closed: c.Closed},
	})
}

func (t *topic) join(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns[c] = struct{}{}
}

func (t *topic) leave(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// failure is the reason to count when the series has become stale: none while
// nobody reads it.
func (t *topic) failure() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.conns) == 0 {
		return ""
	}
	return wire.StreamUpstream
}

// apply takes updates and wakes the connections. It reports whether the series has
// newly become stale.
func (t *topic) apply(updates []Update, snapshot func() []market.Candle) (stale bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range updates {
		switch u.Kind {
		case Candle:
			if t.ready {
				t.take(u.Candle, u.Received)
			}
		case Whole:
			t.heal()
			t.merge(snapshot())
		case Broken:
			t.heal()
			t.restart(snapshot())
		case Stale:
			stale = t.notice == nil || stale
			t.complain(u.Err)
		case Unknown:
		}
	}
	for c := range t.conns {
		c.rouse()
	}
	return stale
}

// take adds one state of one candle. A state that is older than what the topic has
// says nothing; a closed candle that comes again is a correction, or known.
func (t *topic) take(c market.Candle, received time.Time) {
	if last, ok := t.lastClosed(); ok && c.Time <= last.candle.Time && (!c.Closed || t.outdated(c)) {
		return
	}
	f := frame{data: t.encodeCandle(c), candle: c, received: received}
	if !c.Closed {
		if t.open.data != nil && (c.Time < t.open.candle.Time || c == t.open.candle) {
			return
		}
		t.open = f
		t.rev++
		t.newest = max(t.newest, c.Event)
		return
	}
	if t.open.data != nil && t.open.candle.Time <= c.Time {
		t.open = frame{}
	}
	f.stamp = c.Event
	if c.Event == t.series.Timeframe.CloseTime(c.Time) {
		f.stamp += restLag
	}
	f.stamp = max(f.stamp, t.newest+1)
	if last, ok := t.lastClosed(); ok {
		f.stamp = max(f.stamp, last.stamp+1)
	}
	t.newest = max(t.newest, c.Event)
	t.ring[t.next%uint64(len(t.ring))] = f
	t.next++
	if t.next-t.first > uint64(len(t.ring)) {
		t.first++
	}
}

func (t *topic) lastClosed() (frame, bool) {
	if t.next == t.first {
		return frame{}, false
	}
	return t.ring[(t.next-1)%uint64(len(t.ring))], true
}

// outdated reports whether a closed candle, not later than the last, is no news: the
// ring has it, or a state of it with more trades, or does not reach back so far.
func (t *topic) outdated(c market.Candle) bool {
	for n := t.next; n > t.first; n-- {
		known := t.ring[(n-1)%uint64(len(t.ring))].candle
		if known.Time == c.Time {
			same := known
			same.Event = c.Event
			return same == c || c.Trades < known.Trades
		}
	}
	return c.Time < t.ring[t.first%uint64(len(t.ring))].candle.Time
}

// merge takes a snapshot that continues what the topic has; one that does not
// restarts it.
func (t *topic) merge(candles []market.Candle) {
	last, ok := t.lastClosed()
	if !t.ready || !ok {
		t.seed(candles)
		return
	}
	if len(candles) > 0 && candles[0].Time > t.series.Timeframe.Next(last.candle.Time) {
		t.restart(candles)
		return
	}
	for _, c := range candles {
		if c.Time > last.candle.Time {
			t.take(c, time.Time{})
		}
	}
}

// restart replaces everything. The number that is skipped puts every cursor behind
// the ring, which is what a gap is.
func (t *topic) restart(candles []market.Candle) {
	if t.ready {
		t.next++
	}
	t.first = t.next
	t.open = frame{}
	t.seed(candles)
}

func (t *topic) seed(candles []market.Candle) {
	t.ready = true
	for _, c := range candles[max(0, len(candles)-len(t.ring)-1):] {
		t.take(c, time.Time{})
	}
}

// complain makes the present trouble known once.
func (t *topic) complain(err error) {
	const most = 200
	text := "market data is stale"
	if err != nil {
		text = err.Error()
	}
	if len(text) > most {
		text = text[:most]
	}
	notice := t.event(wire.StreamMessage{Type: wire.StreamError, Message: text})
	if !slices.Equal(notice, t.notice) {
		t.notice = notice
		t.mark++
	}
}

func (t *topic) heal() { t.notice = nil }

// place decides where a connection begins: with the last closed candle, or after the
// id that it has seen. gap says that something between may be missing.
func (t *topic) place(since resume) (from uint64, gap bool) {
	switch {
	case !since.given:
		return max(t.first, t.next-1), false
	case t.first == t.next:
		return t.first, true
	case !since.known, since.id > t.newest+tolerance, since.id < t.ring[t.first%uint64(len(t.ring))].candle.Event:
		return t.first, true
	}
	seen := since.id - since.overlap
	n := sort.Search(int(t.next-t.first), func(i int) bool {
		return t.ring[(t.first+uint64(i))%uint64(len(t.ring))].stamp > seen
	})
	return t.first + uint64(n), false
}

// tolerance is how far, in ms, an id may be ahead of what this gateway has seen:
// another one may be a little faster.
const tolerance = 60_000

// pending moves a cursor to the present and adds to the batch what lies between.
func (t *topic) pending(c *cursor, since resume, b *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ready {
		gap := false
		if !c.placed {
			c.next, gap = t.place(since)
			c.placed = true
		} else if c.next < t.first {
			c.next, c.rev, gap = t.first, 0, true
		}
		if gap {
			b.event(t.gap)
		}
		for ; c.next < t.next; c.next++ {
			b.candle(t.ring[c.next%uint64(len(t.ring))])
		}
		if t.open.data != nil && c.rev != t.rev {
			b.candle(t.open)
		}
		c.rev = t.rev
	}
	if t.notice != nil && c.mark != t.mark {
		b.event(t.notice)
	}
	c.mark = t.mark
}

// batch gathers what one write carries.
type batch struct {
	bytes        []byte
	open, closed int
	received     time.Time // of the newest frame
}

func (b *batch) reset() { *b = batch{bytes: b.bytes[:0]} }

func (b *batch) event(data []byte) { b.bytes = append(b.bytes, data...) }

func (b *batch) candle(f frame) {
	b.bytes = append(b.bytes, f.data...)
	if f.candle.Closed {
		b.closed++
	} else {
		b.open++
	}
	if f.received.After(b.received) {
		b.received = f.received
	}
}

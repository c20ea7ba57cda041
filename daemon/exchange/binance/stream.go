package binance

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/market"
)

// stream is one wanted series. Client.mu guards it; listeners is replaced as a
// whole, so that a reader may walk it after letting go of the mutex.
type stream struct {
	series    market.Series
	listeners []*listener
	line      *line
}

// listener is one call of Stream. Its mutex makes the calls of its functions
// follow one another, and ends them before Stream returns.
type listener struct {
	frame     func(market.Candle, time.Time)
	connected func(bool)

	mu    sync.Mutex
	seq   uint64 // of the connection state last told
	ended bool
}

func (l *listener) deliver(c market.Candle, received time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.frame(c, received)
	}
}

// tell passes on the state of a connection, unless a newer one was told already.
func (l *listener) tell(seq uint64, up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended && seq > l.seq {
		l.seq = seq
		l.connected(up)
	}
}

func (l *listener) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// Stream delivers the states of a series' candles until ctx ends, and returns
// ctx's error. frame gets each as it came, with the time at which it came off
// the socket: twice, late or out of order if that is how it arrived. connected
// is told when the connection that carries the series opens and breaks. Neither
// is called any more once Stream has returned; neither may block, or wait for
// this call's end.
//
// A series that nobody lists delivers nothing; ask Klines first. A caller who
// has proof that its stream is dead ends the call and makes a new one: within a
// minute of its end a series is not put on the connection it was on.
func (c *Client) Stream(ctx context.Context, series market.Series, frame func(c market.Candle, received time.Time), connected func(up bool)) error {
	c.ready()
	l := &listener{frame: frame, connected: connected}
	name := streamName(series)
	seq, up := c.listen(name, series, l)
	if up {
		l.tell(seq, up)
	}
	<-ctx.Done()
	l.end()
	c.leave(name, l)
	return ctx.Err()
}

// listen adds a listener, and its stream to a connection if it is new.
func (c *Client) listen(name string, series market.Series, l *listener) (seq uint64, up bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[name]
	if s == nil {
		s = &stream{series: series, line: c.place(name)}
		c.streams[name] = s
		s.line.names[name] = struct{}{}
		s.line.signal()
	}
	s.listeners = append(slices.Clip(s.listeners), l)
	return s.line.seq, s.line.up
}

// place returns a line with room that the stream has not just left. The caller
// holds mu.
func (c *Client) place(name string) *line {
	for _, l := range c.lines {
		left, was := l.left[name]
		if len(l.names) < c.Limits.StreamsPerConnection && (!was || time.Since(left) > time.Minute) {
			return l
		}
	}
	c.epoch++
	l := &line{
		client: c, changed: make(chan struct{}, 1), seq: c.epoch,
		names: map[string]struct{}{}, left: map[string]time.Time{}, links: map[*link]struct{}{},
	}
	c.lines = append(c.lines, l)
	c.unstarted = append(c.unstarted, l)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return l
}

// leave removes a listener, and its stream if it was the last one. A line
// without streams is taken out and ends.
func (c *Client) leave(name string, gone *listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[name]
	s.listeners = slices.DeleteFunc(slices.Clone(s.listeners), func(l *listener) bool { return l == gone })
	if len(s.listeners) > 0 {
		return
	}
	delete(c.streams, name)
	l := s.line
	delete(l.names, name)
	for old, at := range l.left {
		if time.Since(at) > time.Minute {
			delete(l.left, old)
		}
	}
	l.left[name] = time.Now()
	if len(l.names) == 0 {
		c.lines = slices.DeleteFunc(c.lines, func(other *line) bool { return other == l })
		c.unstarted = slices.DeleteFunc(c.unstarted, func(other *line) bool { return other == l })
	}
	l.signal()
}

// deliver hands a candle to whoever listens to the stream, and reports whether
// anybody does.
func (c *Client) deliver(name []byte, candle market.Candle, received time.Time) bool {
	c.mu.Lock()
	s := c.streams[string(name)]
	var listeners []*listener
	if s != nil {
		listeners = s.listeners
	}
	c.mu.Unlock()
	for _, l := range listeners {
		l.deliver(candle, received)
	}
	return s != nil
}

// Run keeps the connections for all calls of Stream until ctx ends, and returns
// nil after every connection is closed. One Run at a time; it may run again
// later.
func (c *Client) Run(ctx context.Context) error {
	c.ready()
	var lines sync.WaitGroup
	defer lines.Wait()
	c.mu.Lock()
	c.unstarted = slices.Clone(c.lines)
	c.mu.Unlock()
	for {
		c.mu.Lock()
		start := c.unstarted
		c.unstarted = nil
		c.mu.Unlock()
		for _, l := range start {
			lines.Go(func() { l.run(ctx) })
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// dialWindow counts connection attempts in a sliding window of five minutes.
type dialWindow struct {
	mu    sync.Mutex
	times []time.Time
}

// wait returns when another attempt is allowed, having counted it.
func (w *dialWindow) wait(ctx context.Context, limit int) error {
	for {
		pause := w.take(limit)
		if pause <= 0 {
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (w *dialWindow) take(limit int) (pause time.Duration) {
	const window = 5 * time.Minute
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for len(w.times) > 0 && now.Sub(w.times[0]) >= window {
		w.times = w.times[1:]
	}
	if len(w.times) >= limit {
		return window - now.Sub(w.times[0])
	}
	w.times = append(w.times, now)
	return 0
}

// sleep waits for d or the end of ctx, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

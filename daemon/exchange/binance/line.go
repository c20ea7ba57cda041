package binance

import (
	"context"
	"math/rand/v2"
	"time"
)

// line is a place for up to Limits.StreamsPerConnection streams. It keeps one
// connection (link) alive for them, two while the second takes over.
type line struct {
	client  *Client
	changed chan struct{} // capacity 1: the set of names changed

	// Client.mu guards what follows.
	names map[string]struct{}  // wanted now
	left  map[string]time.Time // when a name was given up
	links map[*link]struct{}   // connections to keep in step with names
	up    bool                 // a connection is open
	seq   uint64               // number of the change of up, counted over all lines
}

// signal tells the line and its connections that names changed. The caller holds
// Client.mu.
func (l *line) signal() {
	chans := []chan struct{}{l.changed}
	for k := range l.links {
		chans = append(chans, k.dirty)
	}
	for _, ch := range chans {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// setUp notes the state of the line and tells every listener of its streams.
func (l *line) setUp(up bool) {
	c := l.client
	c.mu.Lock()
	c.epoch++
	l.up, l.seq = up, c.epoch
	seq := l.seq
	var listeners []*listener
	for name := range l.names {
		listeners = append(listeners, c.streams[name].listeners...)
	}
	c.mu.Unlock()
	for _, listener := range listeners {
		listener.tell(seq, up)
	}
}

func (l *line) empty() bool {
	l.client.mu.Lock()
	defer l.client.mu.Unlock()
	return len(l.names) == 0
}

type linkEventKind uint8

const (
	linkOpened   linkEventKind = iota // the handshake is done
	linkSettled                       // every stream has brought a frame
	linkShutdown                      // the exchange will close it
	linkEnded                         // the last event of each link
)

type linkEvent struct {
	link *link
	kind linkEventKind
	err  error // of linkEnded
}

// succession is the state of a line's loop: which connection serves, which one
// is to follow it, and when to try again.
type succession struct {
	line          *line
	events        chan linkEvent
	current, next *link // nil for none
	nextOpen      bool  // the handshake of next is done
	alive         int   // links whose end has not been seen
	attempt       int   // failures in a row
	opened        time.Time
	broke         bool        // current was lost, not replaced
	retry         *time.Timer // make next
	life          *time.Timer // current is old
	overlap       *time.Timer // next had time enough to bring every stream
}

// run serves the line's streams until ctx ends or no stream is left, and returns
// when its connections are closed.
func (l *line) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &succession{
		line: l, events: make(chan linkEvent),
		retry: time.NewTimer(l.client.pauseLeft()), life: stopped(), overlap: stopped(),
	}
	defer s.retry.Stop()
	defer s.life.Stop()
	defer s.overlap.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-l.changed:
			if l.empty() {
				cancel()
			}
		case <-s.retry.C:
			s.launch(ctx)
		case <-s.life.C:
			s.launch(ctx)
		case <-s.overlap.C:
			s.swap()
		case e := <-s.events:
			s.handle(ctx, e)
		}
	}
	for s.alive > 0 {
		if e := <-s.events; e.kind == linkEnded {
			s.alive--
		}
	}
	if s.current != nil {
		l.setUp(false)
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// launch begins a connection that will take over, unless one is under way.
func (s *succession) launch(ctx context.Context) {
	if s.next != nil {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	s.next = newLink(s.line, stop)
	s.nextOpen = false
	s.alive++
	go func(k *link) {
		defer stop()
		k.run(ctx, s.events)
	}(s.next)
}

func (s *succession) handle(ctx context.Context, e linkEvent) {
	c := s.line.client
	switch e.kind {
	case linkOpened:
		if e.link != s.next {
			return
		}
		s.nextOpen = true
		if s.current != nil {
			s.overlap.Reset(c.Limits.Overlap)
			return
		}
		if s.broke {
			s.broke = false
			c.counts.reconnects.Add(1)
		}
		s.promote()
		s.line.setUp(true)
	case linkSettled:
		if e.link == s.next && s.current != nil {
			s.swap()
		}
	case linkShutdown:
		if e.link == s.current {
			c.Log.Info("exchange announced a shutdown, changing connections")
			s.launch(ctx)
		}
	case linkEnded:
		s.alive--
		s.ended(e)
	}
}

// promote makes next the connection that serves.
func (s *succession) promote() {
	life := s.line.client.Limits.Life
	s.current, s.next, s.nextOpen = s.next, nil, false
	s.opened = time.Now()
	s.overlap.Stop()
	s.retry.Stop()
	s.life.Reset(life - time.Duration(rand.Int64N(int64(life/50)+1)))
}

// swap lets go of the old connection once the new one serves.
func (s *succession) swap() {
	if s.current == nil || s.next == nil || !s.nextOpen {
		return
	}
	old := s.current
	s.promote()
	s.attempt = 0
	s.line.client.counts.renewals.Add(1)
	old.stop()
}

// ended decides what follows the end of a connection.
func (s *succession) ended(e linkEvent) {
	c := s.line.client
	switch e.link {
	case s.current:
		s.current = nil
		s.life.Stop()
		if time.Since(s.opened) >= healthyAfter {
			s.attempt = 0
		}
		if s.nextOpen {
			c.counts.reconnects.Add(1)
			s.promote()
			return
		}
		s.broke = true
		s.line.setUp(false)
		if s.next != nil {
			return // its end, or its opening, comes by itself
		}
	case s.next:
		s.next, s.nextOpen = nil, false
		s.overlap.Stop()
	default:
		return // replaced, as planned
	}
	if s.line.empty() {
		return
	}
	wait := max(s.backoff(), c.pauseLeft())
	c.Log.Warn("exchange connection ended", "error", e.err, "retry_in", wait)
	s.retry.Reset(wait)
}

// healthyAfter is how long a connection must last to count as a success; one
// that is cut at once, again and again, must not be tried at the shortest pause.
const healthyAfter = 10 * time.Second

// backoff returns the next pause: full jitter below a bound that doubles.
func (s *succession) backoff() time.Duration {
	l := s.line.client.Limits
	bound := l.BackoffMax
	if s.attempt < 20 {
		bound = min(bound, l.BackoffMin<<s.attempt)
	}
	s.attempt++
	return time.Duration(rand.Int64N(int64(bound) + 1))
}

// pauseLeft returns how long the exchange still wants silence.
func (c *Client) pauseLeft() time.Duration {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	return max(time.Until(c.budget.until), 0)
}

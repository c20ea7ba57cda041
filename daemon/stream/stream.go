// Package stream fans candles out to any number of server-sent event streams.
//
// It owns the way from one series' updates to the bytes on each connection: the
// encoding, what a reader has missed, who may connect, and how streams end. Where
// candles come from is a [Source]; daemon/feed guarantees order and completeness,
// and this package keeps both.
//
// # Data
//
//	Source ─ one subscription per series ─▶ topic ─┬─ cursor of connection 1
//	                                               ├─ cursor of connection 2
//	                                               └─ …
//
// A topic holds a ring of the newest closed candles and the present open one, each
// encoded once. A connection holds a cursor per topic (the next closed candle, the
// open state it has) and no queue. What is pending for it follows from the two: the
// closed candles after the cursor, then the open one if it is newer. So an open
// candle's passed states cost nothing and are skipped for whoever is slow; a closed
// candle is never skipped while it is in the ring; and a reader that has stalled
// costs nothing while it stalls. One that falls out of the ring is told ("gap") and
// gets what the ring has.
//
// All that is pending goes out in one write and one flush.
//
// # Resuming
//
// The id of an event is the time of the exchange's event in ms, the same on every
// gateway. A reader that comes back with its last id gets the closed candles that
// became known after it, and the open one. Delivery is at least once: a candle is
// told apart by its series and open time, and replaces what the reader has. A
// stream of several series resumes from a minute earlier, because one id stands for
// all of them. An id that is older than the ring, later than the exchange's clock or
// no number is answered with "gap" and all of the ring.
//
// # Connections
//
// A slot is taken per client address (IPv6 by /64), after the query was found good
// and never for HEAD, and is free again when the handler returns. A write has at
// least 5 s; who does not take it is cut off and counted. A comment follows 15 s of
// silence. A stream ends by itself after 30 min, give or take a fifth, so that
// connections spread over gateways again; every end that is ours is a clean end of
// the response, after which browsers come back by themselves.
//
// # Goroutines
//
// [Hub.Run] owns one goroutine per topic. A topic is made by its first reader and
// outlives its last by a linger. Connections live in their handlers' goroutines,
// which belong to the server; they end when Run ends.
package stream

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-ta/spark/core/market"
)

// Source is where candles come from.
type Source interface {
	// Subscribe begins to read a series. It does not fail: what is wrong comes as
	// an update of kind [Stale].
	Subscribe(series market.Series) Subscription
}

// Subscription reads one series. Closed candles come in order, each once, none
// missing in between unless [Broken] says so.
type Subscription interface {
	// Next waits for updates and returns all that are pending, in order. It returns
	// ctx's error when ctx ends.
	Next(ctx context.Context) ([]Update, error)
	// Snapshot returns the newest candles, oldest first; all closed but perhaps the
	// last.
	Snapshot() []market.Candle
	Close()
}

// Kind says what an update means.
type Kind uint8

// The kinds of updates.
const (
	Unknown Kind = iota
	Candle       // a state of a candle: open, closed, or closed once more because it was corrected
	Whole        // the snapshot is complete and current
	Broken       // what follows does not continue what came before; read the snapshot
	Stale        // the exchange may know more than we do; Err says why
)

// Update is one piece of news of a series.
type Update struct {
	Kind     Kind
	Candle   market.Candle // of kind Candle; its Event becomes the id
	Received time.Time     // when the exchange's frame arrived; zero when it was none
	Err      error         // of kind Stale
}

// Hooks count. Each may be nil, and is called from several goroutines.
type Hooks struct {
	Connected func(delta int)             // streams open now
	Opened    func()                      // a stream began
	Messages  func(kind string, n int)    // candles written: open or closed
	Failed    func(reason string)         // refused or ended badly; a Stream… reason of core/wire
	Dropped   func()                      // cut off because it could not be written to
	Delivered func(latency time.Duration) // exchange's frame to written, once per write
}

// Hub is the handler of the stream's path. Set the exported fields before Run;
// Source and Log are required.
type Hub struct {
	Source Source
	Log    *slog.Logger
	// ClientAddr tells clients apart; nil means by the connection's address. See
	// [AddrBehind].
	ClientAddr func(*http.Request) netip.Addr
	// MaxPerAddr and MaxTotal are asked for each new stream, so they may change at
	// any time; nil means 3 and 20,000.
	MaxPerAddr func() int
	MaxTotal   func() int
	Hooks      Hooks

	Ring         int           // closed candles kept per topic; 0 means 512
	Linger       time.Duration // life of a topic after its last reader; 0 means 5 s
	Lifetime     time.Duration // of a stream, ± 20 %; 0 means 30 min
	Heartbeat    time.Duration // longest silence; 0 means 15 s
	WriteTimeout time.Duration // a write has this long to twice as long; 0 means 5 s

	opened, messages, failed atomic.Int64
	connected                atomic.Int64

	mu       sync.Mutex // guards what follows; taken before a topic's
	poke     chan struct{}
	ended    chan struct{} // closed when Run ends
	over     bool          // Run has ended
	left     chan struct{} // closed, and made anew, when a stream ends
	draining bool
	topics   map[market.Series]*topic
	unborn   []*topic // to be started by Run
	conns    map[*conn]struct{}
	perAddr  map[netip.Prefix]int
	canaries map[netip.Prefix]bool
}

// lock locks and makes what a literal leaves out.
func (h *Hub) lock() {
	h.mu.Lock()
	if h.topics != nil {
		return
	}
	h.poke = make(chan struct{}, 1)
	h.ended = make(chan struct{})
	h.left = make(chan struct{})
	h.topics = map[market.Series]*topic{}
	h.conns = map[*conn]struct{}{}
	h.perAddr = map[netip.Prefix]int{}
	h.canaries = map[netip.Prefix]bool{}
}

// Run keeps the topics until ctx ends; then it ends all streams and returns nil.
func (h *Hub) Run(ctx context.Context) error {
	var topics sync.WaitGroup
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		h.lock()
		for _, t := range h.unborn {
			topicCtx, cancel := context.WithCancel(ctx)
			t.cancel = cancel
			topics.Go(func() { defer cancel(); h.follow(topicCtx, t) })
		}
		h.unborn = nil
		timer.Reset(h.retireLocked(time.Now()))
		poke := h.poke
		h.mu.Unlock()
		select {
		case <-poke:
		case <-timer.C:
		case <-ctx.Done():
			h.lock()
			h.over = true
			close(h.ended)
			h.mu.Unlock()
			topics.Wait()
			return nil
		}
	}
}

// retireLocked ends topics that nobody has read for a while and returns when to look
// again.
func (h *Hub) retireLocked(now time.Time) time.Duration {
	next := time.Hour
	for series, t := range h.topics {
		if t.readers > 0 || t.cancel == nil {
			continue
		}
		if left := t.idleSince.Add(orElse(h.Linger, 5*time.Second)).Sub(now); left > 0 {
			next = min(next, left)
			continue
		}
		t.cancel()
		delete(h.topics, series)
	}
	return next
}

func (h *Hub) pokeLocked() {
	select {
	case h.poke <- struct{}{}:
	default:
	}
}

// follow feeds one topic until ctx ends.
func (h *Hub) follow(ctx context.Context, t *topic) {
	sub := h.Source.Subscribe(t.series)
	defer sub.Close()
	for {
		updates, err := sub.Next(ctx)
		if err != nil {
			if ctx.Err() == nil { // the source has ended before us
				h.Log.Warn("market data ended", "series", t.series.String(), "err", err)
				t.apply([]Update{{Kind: Stale, Err: err}}, sub.Snapshot)
				h.fail(t.failure())
			}
			return
		}
		stale := t.apply(updates, sub.Snapshot)
		if stale {
			h.fail(t.failure())
		}
	}
}

// join gives a connection its topics; the caller holds the lock.
func (h *Hub) joinLocked(c *conn, all []market.Series) {
	for _, series := range all {
		t := h.topics[series]
		if t == nil {
			t = newTopic(series, orElse(h.Ring, 512))
			h.topics[series] = t
			h.unborn = append(h.unborn, t)
			h.pokeLocked()
		}
		t.readers++
		t.join(c)
		c.cursors = append(c.cursors, cursor{topic: t})
	}
}

func (h *Hub) leaveLocked(c *conn) {
	for _, cur := range c.cursors {
		t := cur.topic
		t.leave(c)
		if t.readers--; t.readers == 0 {
			t.idleSince = time.Now()
			h.pokeLocked()
		}
	}
}

func (h *Hub) fail(reason string) {
	if reason == "" {
		return
	}
	h.failed.Add(1)
	if h.Hooks.Failed != nil {
		h.Hooks.Failed(reason)
	}
}

// orElse returns v, or otherwise when v is its zero.
func orElse[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// Package binance speaks Binance's public spot protocol: candles by REST and
// candles by WebSocket. It knows the wire and nothing else; what a candle is
// stands in core/market, and who wants which candles is daemon/feed's business.
//
// # What it guarantees
//
// REST ([Client.Klines], [Client.Symbols]): prices are read from their decimal
// strings without loss. A row is closed when the exchange's clock has passed its
// close time, not ours. At most half of the exchange's request weight is used;
// after 429 and 418 no request leaves before Retry-After is over, whoever asks.
// Nothing is retried here: an error says how long to wait, the caller decides.
//
// Streams ([Client.Stream]): a call delivers the frames of one series until its
// context ends. Series share connections, at most 200 on each. A broken
// connection is made anew after a back-off with full jitter (250 ms to 30 s) and
// subscribes again to whatever is wanted then. Before the exchange's limit of
// 24 hours, and when it announces a shutdown, a second connection takes over
// before the first is closed, so frames may come twice and never stop. Frames are
// delivered as they came: order, repetition and plausibility are the feed's to
// judge, because only it has the candles before.
//
// # Manners
//
// One connection sends at most 3 messages a second, pongs and pings included
// (Binance cuts off at 5). All connections together make at most 300 attempts in
// 5 minutes. A pong carries its ping's payload. Our own ping every 15 s proves a
// half-open connection within 40 s even when the market is quiet.
//
// # Frames
//
// The decoder is strict about klines and indifferent to everything else: unknown
// events, events without a type and arrays are counted and passed over. Garbage
// is counted, logged at most once a minute, and ends the connection only after
// 100 bad frames in a row, because then it is not Binance that is speaking.
//
// # Life
//
// [Client.Run] owns every connection and returns after all of them have ended.
// Stream may be called before Run starts; it waits. Klines and Symbols need no
// Run. The exchange's clock is asked when it is needed, every 10 minutes at most,
// or earlier when frames disagree with it.
package binance

import (
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Binance's public endpoints. The mirrors serve the same market, public data
// only, and answer from places where the main ones refuse with HTTP 451.
const (
	DefaultREST = "https://api.binance.com"
	DefaultWS   = "wss://stream.binance.com:9443"
	MirrorREST  = "https://data-api.binance.vision"
	MirrorWS    = "wss://data-stream.binance.vision"
)

// Client speaks to one exchange. Set the fields before the first call; the zero
// value speaks to Binance's public endpoints.
type Client struct {
	REST   string            // base URL without a path; empty: DefaultREST, and MirrorREST once that refuses our location
	WS     string            // base URL without a path; empty: DefaultWS, and MirrorWS once that refuses our location
	HTTP   *http.Client      // nil: a client with a timeout of 10 s
	Dialer *websocket.Dialer // nil: a dialer with a handshake timeout of 10 s
	Log    *slog.Logger      // nil: nothing is logged
	Limits Limits

	// Speed is the exchange's seconds per second of ours: 0 means 1, as every
	// real exchange has it. A simulator may run faster.
	Speed float64

	once    sync.Once
	slots   chan struct{} // one token for each REST request under way
	budget  budget
	clock   clock
	symbols listing
	garbage seldom
	counts  counts
	dials   dialWindow

	// mu guards what follows.
	mu        sync.Mutex
	rest, ws  string             // the bases in use
	epoch     uint64             // changes of state of all lines
	streams   map[string]*stream // by stream name, such as "btcusdt@kline_1m"
	lines     []*line            // connections that may take streams
	unstarted []*line            // to be started by Run
	wake      chan struct{}      // tells Run of unstarted lines
}

// Limits are the exchange's limits and our distance from them. Zero fields have
// the defaults named here.
type Limits struct {
	StreamsPerConnection int           // 200; Binance takes 1,024, fewer keep the damage of a cut small
	DialsPer5Min         int           // 300
	MessageGap           time.Duration // 334 ms between two messages of a connection
	Life                 time.Duration // 23 h; less up to 2 % by chance, so that connections do not renew together
	Ping                 time.Duration // 15 s between our pings
	Silence              time.Duration // 40 s without any frame, pongs included, is the end of a connection
	Overlap              time.Duration // 5 s: how long a new connection may take to bring every stream before the old one goes
	BackoffMin           time.Duration // 250 ms
	BackoffMax           time.Duration // 30 s
	ClockAge             time.Duration // 10 min between questions for the exchange's time
}

func orDefault[T int | time.Duration](value *T, def T) {
	if *value <= 0 {
		*value = def
	}
}

// ready fills in what the literal left out.
func (c *Client) ready() {
	c.once.Do(func() {
		c.rest, c.ws = c.REST, c.WS
		if c.rest == "" {
			c.rest = DefaultREST
		}
		if c.ws == "" {
			c.ws = DefaultWS
		}
		if c.HTTP == nil {
			c.HTTP = &http.Client{Timeout: requestTimeout}
		}
		if c.Dialer == nil {
			c.Dialer = &websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: requestTimeout}
		}
		if c.Log == nil {
			c.Log = slog.New(slog.DiscardHandler)
		}
		if c.Speed <= 0 {
			c.Speed = 1
		}
		l := &c.Limits
		orDefault(&l.StreamsPerConnection, 200)
		orDefault(&l.DialsPer5Min, 300)
		orDefault(&l.MessageGap, 334*time.Millisecond)
		orDefault(&l.Life, 23*time.Hour)
		orDefault(&l.Ping, 15*time.Second)
		orDefault(&l.Silence, 40*time.Second)
		orDefault(&l.Overlap, 5*time.Second)
		orDefault(&l.BackoffMin, 250*time.Millisecond)
		orDefault(&l.BackoffMax, 30*time.Second)
		orDefault(&l.ClockAge, 10*time.Minute)
		l.StreamsPerConnection = min(l.StreamsPerConnection, 1024)
		c.slots = make(chan struct{}, concurrentRequests)
		c.streams = map[string]*stream{}
		c.wake = make(chan struct{}, 1)
	})
}

// Stats are figures since the client was made, except where they say "now".
type Stats struct {
	Connections  int64 // now open
	Streams      int64 // now wanted
	Dials        int64 // connection attempts
	Reconnects   int64 // connections made in the place of one that broke
	Renewals     int64 // connections made before the one they replace was closed
	Frames       int64 // klines delivered
	OtherFrames  int64 // well-formed frames that are no klines anybody wants
	BadFrames    int64 // garbage
	Refusals     int64 // control messages that the exchange answered with an error
	MessagesSent int64 // control messages, pings and pongs
	Requests     int64 // REST requests sent
	RateLimited  int64 // answers 429 and 418
	UsedWeight   int64 // request weight used in the exchange's current minute, as last reported
}

type counts struct {
	connections, dials, reconnects, renewals           atomic.Int64
	frames, otherFrames, badFrames, refusals, messages atomic.Int64
	requests, rateLimited                              atomic.Int64
}

// Stats returns the client's figures.
func (c *Client) Stats() Stats {
	c.ready()
	c.mu.Lock()
	streams := len(c.streams)
	c.mu.Unlock()
	n := &c.counts
	return Stats{
		Connections: n.connections.Load(), Streams: int64(streams), Dials: n.dials.Load(),
		Reconnects: n.reconnects.Load(), Renewals: n.renewals.Load(), Frames: n.frames.Load(),
		OtherFrames: n.otherFrames.Load(), BadFrames: n.badFrames.Load(), Refusals: n.refusals.Load(),
		MessagesSent: n.messages.Load(), Requests: n.requests.Load(), RateLimited: n.rateLimited.Load(),
		UsedWeight: c.budget.usedNow(),
	}
}

// seldom lets one message a minute through and counts the others.
type seldom struct {
	mu      sync.Mutex
	last    time.Time
	skipped int64
}

// now reports whether to speak, and how many messages were swallowed since the
// last time.
func (s *seldom) now() (skipped int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := time.Now()
	if !s.last.IsZero() && t.Sub(s.last) < time.Minute {
		s.skipped++
		return 0, false
	}
	skipped, s.skipped, s.last = s.skipped, 0, t
	return skipped, true
}

// Package live is the console's view of the world: it owns every request and
// stream to the daemon, and publishes immutable pictures.
//
// # What runs
//
//	pulse    GET /livez of the observer each second: the state of the link
//	fleet    GET /api/fleet every 2 s: the instances and where their roles listen
//	events   GET /api/events: triggers, deliveries, terms, resumed by the last id
//	health   GET /health of the leading executor each second
//	alerts   GET /alerts/list every 5 s and soon after an event
//	gauges   GET /metrics of every instance every 2 s
//	care     GET /api/hypercare every 2 s while it is shown, every 5 s else, and soon
//	         after a verdict or an incident
//	trends   six range queries of the observer every 15 s: the last hour
//	graph    the range query of the chosen check every 15 s
//	changes  the operator's, one after the other; reads of reports beside them
//	market   candles by REST and one stream per gateway: the chart's series and
//	         the ticker's symbols share a stream of the chart's timeframe
//	bridge   the one that publishes
//
// Only the pulse asks while the observer does not answer; the rest waits for the
// link, so a daemon that comes back is not met by a storm. What was known stays in
// the picture; the reader sees its age.
//
// # Guarantees
//
// At most ten pictures a second, each a shallow copy whose parts nobody writes to
// again. Gauges and prices are the latest; events are never lost between two
// pictures: the newest 500 are kept, and Total counts all. An event that the
// daemon sends twice (delivery is at least once) is shown once. Text from outside
// is cleaned before it is stored; figures that cannot be (NaN prices, candles off
// the grid) are dropped.
//
// No goroutine outlives [Live.Run], and a panic in any of them comes back as its
// error, so that the terminal can be restored.
package live

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
)

// Live follows one daemon or fleet. Create it with [New].
type Live struct {
	// URL is the base URL of the observer.
	URL string
	// Token is of operations; it goes with changes, to the observer, and nowhere else.
	Token string
	// HTTP makes all requests. It must have no Timeout.
	HTTP *http.Client
	// Symbols are always watched; those of alerts are added.
	Symbols []market.Symbol
	// Publish takes each picture. It may block: pictures wait, nothing else does.
	Publish func(*Picture)
	Log     *slog.Logger

	board  *board
	places *places
	choice *choice
	up     *gate
	pulse  chan struct{} // asks for a pulse now
	health chan struct{} // asks for the health now
	alerts chan struct{} // asks for the alerts soon
	gauges chan struct{} // asks for the metrics now
	// marketUp tells the stream of the market that the link came up.
	marketUp <-chan struct{}
	care     *care
	changes  chan asked    // taken by runChanges
	reads    chan asked    // taken by runReads
	ended    chan struct{} // closed when Run has ended
}

// New returns a Live that shows the series first. It starts nothing.
func New(l Live, first market.Series) *Live {
	l.URL = strings.TrimRight(l.URL, "/")
	l.board = newBoard()
	l.places = newPlaces()
	l.choice = newChoice(first)
	l.up = newGate()
	l.marketUp = l.up.onOpen()
	l.pulse = make(chan struct{}, 1)
	l.health = make(chan struct{}, 1)
	l.alerts = make(chan struct{}, 1)
	l.gauges = make(chan struct{}, 1)
	l.care = newCare()
	l.changes, l.reads = make(chan asked), make(chan asked)
	l.ended = make(chan struct{})
	return &l
}

// NewClient returns the HTTP client that a Live wants: answers' headers within
// 10 s, connections kept, redirects to other hosts refused.
func NewClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: 10 * time.Second,
			IdleConnTimeout:       60 * time.Second,
			MaxIdleConnsPerHost:   4,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) >= 3 || req.URL.Host != via[0].URL.Host {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
}

// Select makes the series that of the chart. It does not block.
func (l *Live) Select(s market.Series) { l.choice.set(s) }

// Run follows the daemon until ctx ends, and returns ctx's error then. It returns
// earlier only with a [PanicError].
func (l *Live) Run(ctx context.Context) error {
	defer close(l.ended)
	url, series := safetext.Clean(l.URL), l.choice.get()
	l.board.change(func(p *Picture, rev uint64) {
		p.URL = url
		p.Link.Since = time.Now()
		p.Gauges = unknownGauges()
		p.Chart = Chart{Rev: rev, Series: series, Loading: true}
		p.Watch = Watch{Rev: rev, Tickers: tickersOf(l.Symbols)}
	})
	return together(ctx,
		func(ctx context.Context) error { return l.board.bridge(ctx, l.Publish) },
		l.runPulse, l.runFleet, l.runEvents, l.runHealth, l.runAlerts, l.runGauges, l.runMarket,
		l.runCare, l.runTrends, l.runGraph, l.runChanges, l.runReads,
	)
}

// PanicError is a panic of one of the goroutines of [Live.Run].
type PanicError struct {
	Value any
	Stack []byte
}

// Error returns the panic's value and stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// together runs the parts side by side until one returns, ends the others, waits
// for them, and returns the first error.
func together(ctx context.Context, parts ...func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, part := range parts {
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					cancel(&PanicError{Value: v, Stack: debug.Stack()})
				}
			}()
			cancel(part(ctx))
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// parallel calls f for 0 … n−1 at once and returns when all have. A panic of one
// becomes a panic of the caller.
func parallel(n int, f func(int)) {
	var wg sync.WaitGroup
	panics := make(chan any, n)
	for i := range n {
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					panics <- v
				}
			}()
			f(i)
		})
	}
	wg.Wait()
	select {
	case v := <-panics:
		panic(v)
	default:
	}
}

// every calls f, then again each time the distance has passed or wake is sent to,
// until ctx ends. While the link is down it waits.
func (l *Live) every(ctx context.Context, distance time.Duration, wake <-chan struct{}, f func(context.Context)) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		case <-wake:
		}
		if err := l.up.wait(ctx); err != nil {
			return err
		}
		f(ctx)
		t.Reset(distance)
	}
}

// nudge sends to a channel of capacity 1 unless it is full.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// gate lets waiters through while it is open.
type gate struct {
	mu    sync.Mutex
	open  chan struct{}   // closed while the gate is open; guarded by mu
	bells []chan struct{} // rung each time it opens; guarded by mu
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

// onOpen returns a channel that gets a value each time the gate opens, so that a
// stream that waits for its next attempt makes it at once.
func (g *gate) onOpen() <-chan struct{} {
	bell := make(chan struct{}, 1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bells = append(g.bells, bell)
	return bell
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		if !open {
			g.open = make(chan struct{})
		}
	default:
		if open {
			close(g.open)
			for _, bell := range g.bells {
				nudge(bell)
			}
		}
	}
}

func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

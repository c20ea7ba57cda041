package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/spark-ta/spark/core/market"
)

// Server is an exchange. [New] makes one, [Server.Run] lets it work.
type Server struct {
	opts     Options
	listener net.Listener
	clock    clock
	names    []string // of the symbols, in alphabetical order
	tapes    map[string]*tape
	faults   faults
	limiter  limiter
	board    board
	sink     sink
	requests atomic.Int64
	klines   atomic.Int64
	server   http.Server
	upgrader websocket.Upgrader

	mu       sync.Mutex // guards the rest
	conns    []*conn    // by age
	handlers sync.WaitGroup
	stopping bool
}

// New checks the options, reads the candle files and listens; it starts nothing.
// Virtual time runs from here on. Call Run in any case: it closes the listener.
// An error about a candle file wraps [ErrCandleFile].
func New(o Options) (*Server, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts:    opts,
		clock:   clock{base: time.Now(), start: opts.Start.UnixMilli(), speed: opts.Speed},
		tapes:   make(map[string]*tape),
		limiter: limiter{Limits: opts.Limits},
	}
	for i, l := range listings() {
		var kick func(ms, price int64) int64
		if opts.Demo {
			kick = kicks(s.clock.start, i, l.sigma)
		}
		s.tapes[string(l.symbol)] = newTape(l, newGenerated(l, opts.Seed, kick))
	}
	for _, src := range opts.Replay {
		l, p, err := newReplayed(src, s.clock.start)
		if err != nil {
			return nil, fmt.Errorf("replay %s: %w", src.Symbol, err)
		}
		s.tapes[string(l.symbol)] = newTape(l, p)
	}
	s.names = slices.Sorted(maps.Keys(s.tapes))
	s.board = board{
		clock: s.clock, tapes: s.tapes, faults: &s.faults, changed: make(chan struct{}, 1),
		framePeriod: opts.FramePeriod, tradePeriod: opts.TradePeriod,
	}
	// Anyone may connect from any page, as at the exchange.
	s.upgrader.CheckOrigin = func(*http.Request) bool { return true }
	if s.listener, err = net.Listen("tcp", opts.Addr); err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	return s, nil
}

// Addr returns the address on which the server listens, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL returns the base of the REST interface, such as "http://127.0.0.1:4080".
func (s *Server) URL() string { return "http://" + s.Addr() }

// StreamURL returns the base of the streams, such as "ws://127.0.0.1:4080";
// "/ws" and "/stream" follow.
func (s *Server) StreamURL() string { return "ws://" + s.Addr() }

// Now returns the virtual time.
func (s *Server) Now() time.Time { return time.UnixMilli(s.clock.now()).UTC() }

// Symbols returns the symbols that are served, in alphabetical order.
func (s *Server) Symbols() []market.Symbol {
	all := make([]market.Symbol, len(s.names))
	for i, name := range s.names {
		all[i] = market.Symbol(name)
	}
	return all
}

// Run serves until the context ends, then tells the clients (serverShutdown and a
// close frame), and returns after everything it started has returned. It may be
// called once. The error is nil after a clean end.
func (s *Server) Run(ctx context.Context) error {
	s.server = http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all.Go(func() { s.board.run(ctx) })
	all.Go(func() {
		<-ctx.Done()
		s.mu.Lock()
		s.stopping = true
		s.mu.Unlock()
		s.handlers.Wait()
		// Requests have seen the same context end: this is short.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if s.server.Shutdown(end) != nil {
			if err := s.server.Close(); err != nil {
				s.opts.Log.Debug("exchange simulator: close", "error", err)
			}
		}
	})
	s.opts.Log.Info("exchange simulator listens", "addr", s.Addr(), "seed", s.opts.Seed, "speed", s.opts.Speed)
	err := s.server.Serve(s.listener)
	cancel()
	all.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("sim: %w", err)
}

// Inject orders a fault. The error says what is wrong with it.
func (s *Server) Inject(f Fault) error {
	f, err := f.check()
	if err != nil {
		return err
	}
	switch f.Kind {
	case Close, Cut, Freeze, Shutdown:
		s.hitConns(f)
		return nil
	}
	return s.faults.add(f, time.Now())
}

// Faults returns the faults that lie in wait, oldest first, with what is left of
// their counts and durations.
func (s *Server) Faults() []Fault { return s.faults.list(time.Now()) }

// ClearFaults forgets all faults that lie in wait. Frozen connections stay so.
func (s *Server) ClearFaults() { s.faults.clear() }

// hitConns applies a fault to the oldest connections.
func (s *Server) hitConns(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hit := s.conns
	if f.Count > 0 {
		hit = hit[:min(f.Count, len(hit))]
	}
	for _, c := range hit {
		switch f.Kind {
		case Close:
			c.stop(ending{code: websocket.CloseNormalClosure, text: "closed on command"})
		case Cut:
			c.stop(ending{reset: true})
		case Freeze:
			c.frozen.Store(true)
			if f.ForMS > 0 {
				c.after(time.Duration(f.ForMS)*time.Millisecond, ending{reset: true})
			}
		case Shutdown:
			c.announce()
			c.after(time.Duration(f.DelayMS)*time.Millisecond, ending{code: websocket.CloseGoingAway, text: "server shutdown"})
		}
	}
}

// Stats is what the server has done so far, and does now.
type Stats struct {
	Now         int64          `json:"now"` // virtual ms
	Connections int            `json:"connections"`
	Streams     map[string]int `json:"streams"`  // readers of each stream that has any
	Requests    int64          `json:"requests"` // of /api/
	Klines      int64          `json:"klines"`   // of those, for candles
	Frames      int64          `json:"frames"`   // events, before they are handed to connections
	Lost        int64          `json:"lost"`     // events left out by a gap
}

// Stats returns the present figures.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	conns := len(s.conns)
	s.mu.Unlock()
	return Stats{
		Now: s.clock.now(), Connections: conns, Streams: s.board.readers(),
		Requests: s.requests.Load(), Klines: s.klines.Load(),
		Frames: s.board.frames.Load(), Lost: s.board.lost.Load(),
	}
}

// enter registers a connection; it refuses when the server is stopping.
func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.handlers.Add(1)
	s.conns = append(s.conns, c)
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	s.conns = slices.DeleteFunc(s.conns, func(o *conn) bool { return o == c })
	s.mu.Unlock()
	s.handlers.Done()
}

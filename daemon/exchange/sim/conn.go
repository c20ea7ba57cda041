package sim

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	maxMessage   = 64 << 10 // from a client; 1,024 names of streams fit
	writeTimeout = 10 * time.Second
	closeTimeout = time.Second
)

// ending is how a connection ends.
type ending struct {
	code  int // of the close frame
	text  string
	reset bool // no close frame, no FIN
}

// conn is one WebSocket connection. Its reader is the goroutine of [conn.serve],
// its writer one more that serve starts and waits for.
type conn struct {
	ws     *websocket.Conn
	board  *board
	opts   *Options
	outbox outbox
	end    chan ending      // capacity 1: the first reason wins
	later  chan appointment // capacity 1: the first one counts
	pongs  chan int64       // capacity 1: numbers of pings answered

	combined atomic.Bool
	frozen   atomic.Bool

	mu      sync.Mutex // guards streams
	streams []string   // in the order of subscription

	window   time.Time // the reader's: beginning of the second that is counted
	messages int
}

// appointment is an end that has been set for later.
type appointment struct {
	in time.Duration
	ending
}

// errTooFast ends the reader.
var errTooFast = errors.New("too many messages")

// push hands an event over. It never blocks.
func (c *conn) push(f *frame) {
	message := f.raw
	if c.combined.Load() {
		message = f.wrapped
	}
	c.put(message)
}

func (c *conn) put(message []byte) {
	if !c.frozen.Load() && !c.outbox.put(message) {
		c.stop(ending{code: websocket.ClosePolicyViolation, text: "too slow", reset: true})
		_ = c.ws.NetConn().SetWriteDeadline(time.Now()) // the writer hangs in a write
	}
}

// announce tells the client that the server will end the connection.
func (c *conn) announce() {
	raw := append([]byte(`{"e":"serverShutdown","E":`), strconv.FormatInt(c.board.clock.now(), 10)+"}"...)
	c.push(newFrame("!serverShutdown", raw, false))
}

// stop makes the writer end the connection.
func (c *conn) stop(e ending) {
	select {
	case c.end <- e:
	default:
	}
}

// after makes the writer end the connection in a while.
func (c *conn) after(d time.Duration, e ending) {
	select {
	case c.later <- appointment{d, e}:
	default:
	}
}

// serve runs the connection until either side ends it.
func (c *conn) serve(ctx context.Context, names []string) {
	var writer sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	writer.Go(func() { c.write(ctx) })
	// A write to a client that does not read must not hold up the end.
	unblock := context.AfterFunc(ctx, func() { _ = c.ws.NetConn().SetWriteDeadline(time.Now().Add(closeTimeout)) })
	defer unblock()
	if c.subscribe(names) {
		c.read()
	} else {
		c.stop(ending{code: websocket.ClosePolicyViolation, text: "too many streams"})
	}
	// Whatever the reader ended with, the writer says goodbye and closes.
	c.stop(ending{code: websocket.CloseNormalClosure})
	writer.Wait()
	cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.streams {
		c.board.leave(c, name)
	}
	c.streams = nil
}

// read handles what the client sends until the connection is closed.
func (c *conn) read() {
	c.ws.SetReadLimit(maxMessage)
	c.ws.SetPingHandler(func(payload string) error {
		if err := c.count(); err != nil || c.frozen.Load() {
			return err
		}
		return c.ws.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(writeTimeout))
	})
	c.ws.SetPongHandler(func(payload string) error {
		if n, err := strconv.ParseInt(payload, 10, 64); err == nil {
			select {
			case c.pongs <- n:
			default:
			}
		}
		return c.count()
	})
	for {
		kind, message, err := c.ws.ReadMessage()
		if err == nil {
			err = c.count()
		}
		switch {
		case errors.Is(err, errTooFast):
			c.stop(ending{code: websocket.ClosePolicyViolation, text: "Too many requests"})
			return
		case errors.Is(err, websocket.ErrReadLimit):
			c.stop(ending{code: websocket.CloseMessageTooBig})
			return
		case err != nil:
			return
		case c.frozen.Load():
		case kind != websocket.TextMessage:
			c.put((&controlError{code: 3, msg: "Invalid JSON: expected value at line 1 column 1"}).body())
		default:
			c.put(c.obey(message))
		}
	}
}

// count books a message of any kind.
func (c *conn) count() error {
	now := time.Now()
	if now.Sub(c.window) >= time.Second {
		c.window, c.messages = now, 0
	}
	c.messages++
	if limit := c.opts.Limits.Messages; limit >= 0 && c.messages > limit && !c.frozen.Load() {
		return errTooFast
	}
	return nil
}

// obey carries out a control message and returns the reply.
func (c *conn) obey(message []byte) []byte {
	cmd, refused := parseCommand(message)
	if refused != nil {
		return refused.body()
	}
	switch cmd.method {
	case "SUBSCRIBE":
		if !c.subscribe(cmd.streams()) {
			e := invalid("too many streams, the limit of a connection is %d", c.opts.Limits.Streams)
			e.id = cmd.id
			return e.body()
		}
	case "UNSUBSCRIBE":
		c.unsubscribe(cmd.streams())
	case "LIST_SUBSCRIPTIONS":
		c.mu.Lock()
		defer c.mu.Unlock()
		return cmd.reply(append([]string{}, c.streams...))
	case "GET_PROPERTY":
		return cmd.reply(c.combined.Load())
	case "SET_PROPERTY":
		c.combined.Store(string(cmd.params[1]) == "true")
	}
	return cmd.reply(nil)
}

// subscribe adds all of the streams or, over the limit, none.
func (c *conn) subscribe(names []string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.streams)
	for _, name := range names {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	if limit := c.opts.Limits.Streams; limit >= 0 && len(all) > limit {
		return false
	}
	for _, name := range all[len(c.streams):] {
		c.board.join(c, name)
	}
	c.streams = all
	return true
}

func (c *conn) unsubscribe(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if i := slices.Index(c.streams, name); i >= 0 {
			c.streams = slices.Delete(c.streams, i, i+1)
			c.board.leave(c, name)
		}
	}
}

// write writes frames and pings, and ends the connection.
func (c *conn) write(ctx context.Context) {
	pings := time.NewTicker(c.opts.PingPeriod)
	defer pings.Stop()
	notice := time.NewTimer(c.opts.Life - c.opts.ShutdownNotice)
	defer notice.Stop()
	life := time.NewTimer(c.opts.Life)
	defer life.Stop()
	last := ending{code: websocket.CloseNormalClosure, text: "connection lifetime"}
	answer := time.NewTimer(c.opts.PongTimeout)
	answer.Stop()
	defer answer.Stop()
	sent, answered := int64(0), int64(0)
	for {
		select {
		case <-ctx.Done():
			c.announce()
			c.flush(closeTimeout)
			c.close(ending{code: websocket.CloseGoingAway, text: "server shutdown"})
			return
		case e := <-c.end:
			if !e.reset {
				c.flush(closeTimeout)
			}
			c.close(e)
			return
		case <-c.outbox.filled:
			if !c.flush(writeTimeout) {
				c.close(ending{reset: true})
				return
			}
		case <-notice.C:
			c.announce()
		case a := <-c.later:
			last = a.ending
			life.Reset(a.in)
		case <-life.C:
			c.stop(last)
		case <-pings.C:
			if c.frozen.Load() {
				continue
			}
			sent++
			if sent == answered+1 {
				answer.Reset(c.opts.PongTimeout)
			}
			// An error shows at the next write or in the reader.
			_ = c.ws.WriteControl(websocket.PingMessage, strconv.AppendInt(nil, sent, 10), time.Now().Add(writeTimeout))
		case n := <-c.pongs:
			if n <= answered || n > sent {
				continue
			}
			answered = n
			answer.Stop()
			if answered < sent {
				answer.Reset(c.opts.PongTimeout)
			}
		case <-answer.C:
			if !c.frozen.Load() {
				c.stop(ending{code: websocket.ClosePolicyViolation, text: "Pong timeout"})
			}
		}
	}
}

// flush writes what is in the outbox; the client has to take it in time.
func (c *conn) flush(timeout time.Duration) bool {
	if c.ws.SetWriteDeadline(time.Now().Add(timeout)) != nil {
		return false
	}
	for _, message := range c.outbox.take() {
		if c.frozen.Load() {
			return true
		}
		if c.ws.WriteMessage(websocket.TextMessage, message) != nil {
			return false
		}
	}
	return true
}

// close ends the connection on the wire, which ends the reader too.
func (c *conn) close(e ending) {
	if tcp, ok := c.ws.NetConn().(*net.TCPConn); ok && (e.reset || c.frozen.Load()) {
		// Without lingering the kernel sends a reset.
		_ = tcp.SetLinger(0)
	} else if !e.reset {
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(e.code, e.text), time.Now().Add(closeTimeout))
	}
	_ = c.ws.Close()
}

package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// Reasons of the event that closes a stream.
const (
	closeDrain    = "drain"
	closeLifetime = "lifetime"
	closeShutdown = "shutdown"
)

// Seconds to wait that a refusal names.
const (
	retryAddr  = 10
	retryTotal = 5
)

// conn is one stream.
type conn struct {
	hub     *Hub
	wake    chan struct{} // capacity 1: something may be pending
	bye     chan string   // capacity 1: the reason to end
	cursors []cursor
	since   resume
	canary  bool // the observer's own: counted nowhere

	out      http.ResponseWriter
	control  *http.ResponseController
	deadline time.Time // of the present write deadline
	last     time.Time // of the last write
	batch    batch
}

// cursor is what a connection has of one topic.
type cursor struct {
	topic  *topic
	placed bool
	next   uint64 // number of the next closed candle
	rev    uint64 // of the open candle's state that was sent
	mark   uint64 // of the notice that was sent
}

// rouse tells a connection to look.
func (c *conn) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// end asks a connection to end; the first reason counts.
func (c *conn) end(reason string) {
	select {
	case c.bye <- reason:
	default:
	}
}

// ServeHTTP answers GET with a stream, and HEAD with its headers alone.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.counters(w.Header())
	switch r.Method {
	case http.MethodHead:
		streamHeaders(w.Header())
		w.WriteHeader(http.StatusOK)
		return
	case http.MethodGet:
	default:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, wire.Error{Error: "only GET and HEAD", Code: wire.CodeInvalidInput})
		return
	}
	all, bad := parseQuery(r.URL.RawQuery)
	if bad != nil {
		h.fail(wire.StreamBadInput)
		refuse(w, bad.Code.Status(), *bad)
		return
	}
	c := &conn{
		hub: h, out: w, control: http.NewResponseController(w),
		wake: make(chan struct{}, 1), bye: make(chan string, 1),
		since: parseResume(r.Header.Get(wire.HeaderLastEventID), r.URL.Query().Get("lastEventId"), len(all)),
	}
	leave, refused := h.admit(c, r, all)
	if refused != nil {
		h.fail(wire.StreamLimit)
		w.Header().Set("Retry-After", strconv.Itoa(refused.RetryAfter))
		refuse(w, refused.Code.Status(), *refused)
		return
	}
	defer leave()
	h.counters(w.Header()) // this one included
	if reason := c.serve(r.Context()); reason != "" && !c.canary {
		h.fail(reason)
	}
}

func (h *Hub) counters(header http.Header) {
	header.Set(wire.HeaderStreamsConnected, strconv.FormatInt(h.connected.Load(), 10))
	header.Set(wire.HeaderStreamsMessages, strconv.FormatInt(h.messages.Load(), 10))
	header.Set(wire.HeaderStreamsErrors, strconv.FormatInt(h.failed.Load(), 10))
}

func streamHeaders(header http.Header) {
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no")
}

func refuse(w http.ResponseWriter, status int, e wire.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e) // the caller has gone if this fails
}

// serve writes until the stream ends. It returns the reason to count when it ended
// badly, empty otherwise.
func (c *conn) serve(ctx context.Context) (failure string) {
	h := c.hub
	streamHeaders(c.out.Header())
	c.out.WriteHeader(http.StatusOK)

	heartbeat := orElse(h.Heartbeat, 15*time.Second)
	endAt := time.Now().Add(time.Duration(float64(orElse(h.Lifetime, 30*time.Minute)) * (0.8 + 0.4*rand.Float64())))
	if err := c.flush(c.greeting()); err != nil {
		return c.judge(ctx, err)
	}
	timer := time.NewTimer(heartbeat)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ""
		case <-h.ended:
			return c.close(ctx, closeShutdown)
		case reason := <-c.bye:
			return c.close(ctx, reason)
		case <-c.wake:
			err = c.flush(c.gather())
		case now := <-timer.C:
			switch {
			case !now.Before(endAt):
				return c.close(ctx, closeLifetime)
			case now.Sub(c.last) >= heartbeat:
				c.batch.reset()
				c.batch.event([]byte(": ping\n\n"))
				err = c.flush(&c.batch)
			}
			timer.Reset(max(0, min(c.last.Add(heartbeat).Sub(now), endAt.Sub(now))))
		}
		if err != nil {
			return c.judge(ctx, err)
		}
	}
}

// greeting is the first write: when to come back, what this is, and all there is.
func (c *conn) greeting() *batch {
	b := &c.batch
	b.bytes = fmt.Appendf(b.bytes, "retry: %d\n\n", 2000+rand.IntN(2001))
	for i := range c.cursors {
		b.event(c.cursors[i].topic.opening)
	}
	return c.add(b)
}

func (c *conn) gather() *batch {
	c.batch.reset()
	return c.add(&c.batch)
}

func (c *conn) add(b *batch) *batch {
	for i := range c.cursors {
		cur := &c.cursors[i]
		cur.topic.pending(cur, c.since, b)
	}
	return b
}

// close writes what is pending and a last event.
func (c *conn) close(ctx context.Context, reason string) (failure string) {
	b := c.gather()
	b.bytes = encode(b.bytes, wire.StreamMessage{Type: wire.StreamClose, Reason: reason})
	if err := c.flush(b); err != nil {
		return c.judge(ctx, err)
	}
	return ""
}

// flush writes a batch at once, under a deadline of its own: the server's is that of a
// request. It is moved seldom, because that costs a timer.
func (c *conn) flush(b *batch) error {
	if len(b.bytes) == 0 {
		return nil
	}
	h := c.hub
	now := time.Now()
	limit := orElse(h.WriteTimeout, 5*time.Second)
	if c.deadline.Sub(now) < limit {
		c.deadline = now.Add(2 * limit)
		if err := c.control.SetWriteDeadline(c.deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
	}
	if _, err := c.out.Write(b.bytes); err != nil {
		return err
	}
	if err := c.control.Flush(); err != nil {
		return err
	}
	c.last = time.Now()
	if !c.canary {
		h.written(b, c.last)
	}
	if cap(b.bytes) > 16<<10 { // a snapshot's worth is not kept for every connection
		b.bytes = nil
	}
	return nil
}

func (h *Hub) written(b *batch, now time.Time) {
	h.messages.Add(int64(b.open + b.closed))
	if h.Hooks.Messages != nil {
		if b.open > 0 {
			h.Hooks.Messages("open", b.open)
		}
		if b.closed > 0 {
			h.Hooks.Messages("closed", b.closed)
		}
	}
	if h.Hooks.Delivered != nil && !b.received.IsZero() {
		h.Hooks.Delivered(max(0, now.Sub(b.received)))
	}
}

// judge says what a failed write means: a client that left is no failure.
func (c *conn) judge(ctx context.Context, err error) (failure string) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		if c.hub.Hooks.Dropped != nil && !c.canary {
			c.hub.Hooks.Dropped()
		}
		return wire.StreamSlow
	case ctx.Err() != nil, errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		return ""
	default:
		c.hub.Log.Debug("stream write failed", "err", err)
		return wire.StreamWrite
	}
}

package binance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	writeTimeout = 5 * time.Second
	// maxMessage bounds what is read, and thrown away, of a frame that is too long.
	maxMessage = 64 << 20
	// badFramesInARow end a connection: then it is not the exchange that speaks.
	badFramesInARow = 100
	// streamsInURL and streamsInMessage keep request lines under 2 kB and control
	// messages under 4 kB.
	streamsInURL     = 50
	streamsInMessage = 100
)

// errGarbage ends a connection.
var errGarbage = errors.New("100 bad frames in a row")

// link is one WebSocket connection: a reader, which is run's own goroutine, and
// a writer.
type link struct {
	line  *line
	stop  context.CancelFunc
	dirty chan struct{} // capacity 1: names changed
	pongs chan string   // capacity 1: payload of the newest ping

	sent    map[string]struct{} // subscribed on this connection; the writer's own
	nextID  int64               // of control messages; the writer's own
	awaited map[string]struct{} // streams that have not brought a frame; the reader's own
	buf     bytes.Buffer        // the reader's own
	name    []byte              // the reader's own
}

func newLink(l *line, stop context.CancelFunc) *link {
	return &link{
		line: l, stop: stop, dirty: make(chan struct{}, 1), pongs: make(chan string, 1),
		sent: map[string]struct{}{}, awaited: map[string]struct{}{},
	}
}

// run connects and serves until the connection breaks or ctx ends. Its last
// event is linkEnded; the receiver must take every event.
func (k *link) run(ctx context.Context, events chan<- linkEvent) {
	err := k.serve(ctx, events)
	events <- linkEvent{k, linkEnded, err}
}

func (k *link) serve(ctx context.Context, events chan<- linkEvent) error {
	c := k.line.client
	if err := c.dials.wait(ctx, c.Limits.DialsPer5Min); err != nil {
		return err
	}
	ws, err := k.dial(ctx)
	if err != nil {
		return err
	}
	c.counts.connections.Add(1)
	defer c.counts.connections.Add(-1)
	k.join()
	defer k.part()
	events <- linkEvent{k, linkOpened, nil}

	ctx, cancel := context.WithCancelCause(ctx)
	var writer sync.WaitGroup
	writer.Go(func() {
		defer ws.Close() // ends the reader
		cancel(k.speak(ctx, ws))
	})
	err = k.listen(ws, events)
	cancel(err)
	writer.Wait()
	return context.Cause(ctx) // the first of the two to fail tells why
}

// dial opens the connection with the first streams in its address.
func (k *link) dial(ctx context.Context) (*websocket.Conn, error) {
	c := k.line.client
	c.mu.Lock()
	base := c.ws
	names := make([]string, 0, len(k.line.names))
	for name := range k.line.names {
		names = append(names, name)
		k.awaited[name] = struct{}{}
	}
	c.mu.Unlock()
	if len(names) == 0 {
		return nil, errors.New("no stream is wanted")
	}
	slices.Sort(names)
	names = names[:min(len(names), streamsInURL)]
	for _, name := range names {
		k.sent[name] = struct{}{}
	}
	c.counts.dials.Add(1)
	ws, resp, err := c.Dialer.DialContext(ctx, base+"/stream?streams="+strings.Join(names, "/"), nil) //nolint:bodyclose // the dialer has read it and hands out a copy
	if err == nil {
		return ws, nil
	}
	if resp == nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusTeapot:
		return nil, c.refused(resp, nil)
	case http.StatusUnavailableForLegalReasons, http.StatusForbidden:
		c.fallBack(base)
		return nil, ErrRestricted
	}
	return nil, fmt.Errorf("connect: %w (HTTP %d)", err, resp.StatusCode)
}

// join and part make the line signal its changes to this connection.
func (k *link) join() {
	c := k.line.client
	c.mu.Lock()
	defer c.mu.Unlock()
	k.line.links[k] = struct{}{}
	select {
	case k.dirty <- struct{}{}: // what changed during the handshake
	default:
	}
}

func (k *link) part() {
	c := k.line.client
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(k.line.links, k)
}

// speak writes everything that is written on the connection, one message at a
// time with a pause after each, until ctx ends or a write fails.
func (k *link) speak(ctx context.Context, ws *websocket.Conn) error {
	limits := k.line.client.Limits
	ping := time.NewTicker(limits.Ping)
	defer ping.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
			_ = ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
			return ctx.Err()
		case payload := <-k.pongs:
			err = ws.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(writeTimeout))
		case <-ping.C:
			err = ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout))
		case <-k.dirty:
			message, more := k.reconcile()
			if message == nil {
				continue
			}
			if more {
				select {
				case k.dirty <- struct{}{}:
				default:
				}
			}
			_ = ws.SetWriteDeadline(time.Now().Add(writeTimeout)) // a failure shows in the write
			err = ws.WriteMessage(websocket.TextMessage, message)
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		k.line.client.counts.messages.Add(1)
		if err := sleep(ctx, limits.MessageGap); err != nil {
			continue // the select above says goodbye
		}
	}
}

// reconcile returns the next control message that brings the exchange closer to
// what is wanted, nil when nothing is left, and whether more will follow.
func (k *link) reconcile() (message []byte, more bool) {
	c := k.line.client
	var add, drop []string
	c.mu.Lock()
	for name := range k.line.names {
		if _, ok := k.sent[name]; !ok {
			add = append(add, name)
		}
	}
	for name := range k.sent {
		if _, ok := k.line.names[name]; !ok {
			drop = append(drop, name)
		}
	}
	c.mu.Unlock()
	slices.Sort(add)
	slices.Sort(drop)
	method, names := "UNSUBSCRIBE", drop
	if len(drop) == 0 {
		method, names = "SUBSCRIBE", add
	}
	if len(names) == 0 {
		return nil, false
	}
	more = len(add)+len(drop) > min(len(names), streamsInMessage)
	names = names[:min(len(names), streamsInMessage)]
	for _, name := range names {
		if method == "SUBSCRIBE" {
			k.sent[name] = struct{}{}
		} else {
			delete(k.sent, name)
		}
	}
	k.nextID++
	message, err := json.Marshal(struct {
		Method string   `json:"method"`
		Params []string `json:"params"`
		ID     int64    `json:"id"`
	}{method, names, k.nextID})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return message, more
}

// listen reads until the connection breaks.
func (k *link) listen(ws *websocket.Conn, events chan<- linkEvent) error {
	c := k.line.client
	alive := func() error { return ws.SetReadDeadline(time.Now().Add(c.Limits.Silence)) }
	ws.SetReadLimit(maxMessage)
	ws.SetPongHandler(func(string) error { return alive() })
	ws.SetPingHandler(func(payload string) error {
		select {
		case <-k.pongs: // only the newest ping needs its answer
		default:
		}
		k.pongs <- payload // room is sure: this goroutine is the only sender
		return alive()
	})
	bad := 0
	for {
		if err := alive(); err != nil {
			return err
		}
		kind, r, err := ws.NextReader()
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		received := time.Now()
		k.buf.Reset()
		if _, err = k.buf.ReadFrom(io.LimitReader(r, maxFrame+1)); err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if kind != websocket.TextMessage {
			err = fmt.Errorf("%w: not text", errFrame)
		} else {
			err = k.take(k.buf.Bytes(), received, events)
		}
		if err == nil {
			bad = 0
			continue
		}
		bad++
		c.counts.badFrames.Add(1)
		if skipped, ok := c.garbage.now(); ok {
			c.Log.Warn("bad frame from the exchange", "error", err, "skipped_like_it", skipped)
		}
		if bad >= badFramesInARow {
			return errGarbage
		}
	}
}

// take acts on one text frame. Its error is decode's.
func (k *link) take(data []byte, received time.Time, events chan<- linkEvent) error {
	c := k.line.client
	f, err := decode(data)
	if err != nil {
		return err
	}
	switch f.kind {
	case shutdownFrame:
		events <- linkEvent{k, linkShutdown, nil}
	case refusalFrame:
		c.counts.refusals.Add(1)
		if skipped, ok := c.garbage.now(); ok {
			c.Log.Warn("exchange refused a control message", "answer", fmt.Sprintf("%q", f.reason), "skipped_like_it", skipped)
		}
	case klineFrame:
		k.name = appendName(k.name[:0], f.symbol, f.interval)
		c.clock.doubt(f.candle.Event, c.Speed)
		if !c.deliver(k.name, f.candle, received) {
			c.counts.otherFrames.Add(1) // its subscription has just ended
			return nil
		}
		c.counts.frames.Add(1)
		if len(k.awaited) > 0 {
			delete(k.awaited, string(k.name))
			if len(k.awaited) == 0 {
				events <- linkEvent{k, linkSettled, nil}
			}
		}
	case otherFrame:
		c.counts.otherFrames.Add(1)
	case replyFrame:
	}
	return nil
}

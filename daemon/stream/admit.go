package stream

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
)

// admit takes a slot and joins the topics, or says why not. leave gives both back.
func (h *Hub) admit(c *conn, r *http.Request, all []market.Series) (leave func(), refused *wire.Error) {
	addr := remote(r)
	if h.ClientAddr != nil {
		addr = h.ClientAddr(r)
	}
	slot := slotOf(addr)
	perAddr, total := 3, 20_000
	if h.MaxPerAddr != nil {
		perAddr = h.MaxPerAddr()
	}
	if h.MaxTotal != nil {
		total = h.MaxTotal()
	}
	h.lock()
	defer h.mu.Unlock()
	// One stream of each address may be a canary: it takes no slot of a user and is
	// counted nowhere. Whoever pretends to be one gains a single stream.
	c.canary = r.Header.Get(wire.HeaderCanary) != "" && !h.canaries[slot]
	switch {
	case h.over:
		return nil, &wire.Error{Error: "shutting down", Code: wire.CodeUnavailable, RetryAfter: retryTotal}
	case len(h.conns) >= total:
		return nil, &wire.Error{Error: fmt.Sprintf("all %d streams of this gateway are taken", total), Code: wire.CodeUnavailable, RetryAfter: retryTotal}
	case h.perAddr[slot] >= perAddr && !c.canary:
		return nil, &wire.Error{Error: fmt.Sprintf("all %d streams of your address are taken", perAddr), Code: wire.CodeRateLimit, RetryAfter: retryAddr}
	}
	h.conns[c] = struct{}{}
	h.joinLocked(c, all)
	if h.draining { // opened all the same: a browser never retries a 503
		c.end(closeDrain)
	}
	if c.canary {
		h.canaries[slot] = true
	} else {
		h.enterLocked(slot)
	}
	return func() {
		h.lock()
		defer h.mu.Unlock()
		h.leaveLocked(c)
		delete(h.conns, c)
		if c.canary {
			delete(h.canaries, slot)
		} else {
			h.exitLocked(slot)
		}
		close(h.left)
		h.left = make(chan struct{})
	}, nil
}

// enterLocked takes a slot of an address, exitLocked gives it back.
func (h *Hub) enterLocked(slot netip.Prefix) {
	h.perAddr[slot]++
	h.count(1)
	h.opened.Add(1)
	if h.Hooks.Opened != nil {
		h.Hooks.Opened()
	}
}

func (h *Hub) exitLocked(slot netip.Prefix) {
	if h.perAddr[slot]--; h.perAddr[slot] == 0 {
		delete(h.perAddr, slot)
	}
	h.count(-1)
}

func (h *Hub) count(delta int) {
	h.connected.Add(int64(delta))
	if h.Hooks.Connected != nil {
		h.Hooks.Connected(delta)
	}
}

// Drain ends the streams that are open, evenly over d, each with a close event and a
// clean end. Streams that begin meanwhile end at once. It returns when all have
// ended, or when ctx does.
func (h *Hub) Drain(ctx context.Context, d time.Duration) {
	h.lock()
	h.draining = true
	open := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		open = append(open, c)
	}
	h.mu.Unlock()
	began := time.Now()
	for i, c := range open {
		if !pause(ctx, time.Until(began.Add(d*time.Duration(i)/time.Duration(len(open))))) {
			return
		}
		c.end(closeDrain)
	}
	for {
		h.lock()
		n, left := len(h.conns), h.left
		h.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-left:
		case <-ctx.Done():
			return
		}
	}
}

// pause waits, and reports whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

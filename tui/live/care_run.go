package live

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

const (
	careEvery    = 2 * time.Second
	careIdle     = 5 * time.Second // while another screen is in front
	carePatience = 4 * time.Second
)

// care is what the operator wants to see of the run.
type care struct {
	mu     sync.Mutex
	shown  bool    // guarded by mu, like the rest
	graph  GraphOf // zero: none
	urgent bool    // an event or a request changed something
	wake   chan struct{}
	redraw chan struct{} // another graph was chosen
}

func newCare() *care {
	return &care{wake: make(chan struct{}, 1), redraw: make(chan struct{}, 1)}
}

// hurry has the run read soon.
func (c *care) hurry() {
	c.mu.Lock()
	c.urgent = true
	c.mu.Unlock()
	nudge(c.wake)
}

// due reports whether the run should be read, d after it was read last.
func (c *care) due(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := c.urgent || c.shown || d >= careIdle-careEvery/4
	c.urgent = false
	return due
}

// Show says whether the run is in front of the operator, and then is read more
// often. It does not block.
func (l *Live) Show(shown bool) {
	l.care.mu.Lock()
	changed := l.care.shown != shown
	l.care.shown = shown
	l.care.mu.Unlock()
	if changed && shown {
		l.care.hurry()
	}
}

// runCare reads the run: every 2 s while it is shown, every 5 s else, and at once
// after an event of it.
func (l *Live) runCare(ctx context.Context) error {
	var last time.Time
	return l.every(ctx, careEvery, l.care.wake, func(ctx context.Context) {
		if !l.care.due(time.Since(last)) {
			return
		}
		last = time.Now()
		var w wire.Hypercare
		err := l.get(ctx, l.URL+wire.PathHypercare, carePatience, &w)
		if ctx.Err() != nil {
			return
		}
		var code status
		if errors.As(err, &code) && (code.code == http.StatusNotFound || code.code == http.StatusNotImplemented) {
			l.board.change(func(p *Picture, rev uint64) { p.Care = Hypercare{Rev: rev, At: last, Missing: true} })
			return
		}
		if err != nil {
			l.board.change(func(p *Picture, rev uint64) { p.Care.Rev, p.Care.Err = rev, cause(err) })
			return
		}
		h := HypercareOf(w)
		h.At = time.Now()
		l.board.change(func(p *Picture, rev uint64) {
			h.Rev = rev
			p.Care = h
		})
	})
}

package live

import (
	"context"
	"io"
	"math/rand/v2"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live/sse"
)

// The pulse. A freeze is noticed after at most pulseEvery+pulsePatience, a death at
// once: the event stream breaks and asks for a pulse.
const (
	pulseEvery    = time.Second
	pulsePatience = 900 * time.Millisecond
	pulseLongest  = 5 * time.Second
)

// runPulse watches whether the observer answers.
func (l *Live) runPulse(ctx context.Context) error {
	failures := 0
	for {
		start := time.Now()
		err := l.read(ctx, l.URL+wire.PathLive, pulsePatience, func(io.Reader) error { return nil })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait := pulseEvery
		if err == nil {
			failures = 0
			l.answered(time.Since(start))
		} else {
			failures++
			bound := min(pulseEvery/4<<min(failures, 10), pulseLongest)
			wait = bound/2 + rand.N(bound/2+1)
			l.failed(err, failures, wait)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		case <-l.pulse:
			t.Stop()
		}
	}
}

// answered notes that the observer lives.
func (l *Live) answered(rtt time.Duration) {
	now := time.Now()
	l.board.change(func(p *Picture, _ uint64) {
		if p.Link.State != Connected {
			p.Link.Since = now
		}
		p.Link.State, p.Link.Attempts, p.Link.Cause, p.Link.Next = Connected, 0, "", time.Time{}
		p.Link.LastOK, p.Link.RTT = now, rtt
	})
	l.up.set(true)
}

func (l *Live) failed(err error, failures int, wait time.Duration) {
	now := time.Now()
	l.up.set(false)
	l.board.change(func(p *Picture, _ uint64) {
		if p.Link.State == Connected {
			p.Link.State, p.Link.Since = Lost, now
		}
		p.Link.Attempts, p.Link.Cause, p.Link.Next = failures, cause(err), now.Add(wait)
	})
	l.Log.Debug("no pulse", "url", l.URL, "attempts", failures, "error", err)
}

// eventStatus takes the state of the event stream into the picture, and has the
// link checked when the stream broke.
func (l *Live) eventStatus(s sse.Status) {
	l.board.change(func(p *Picture, _ uint64) { p.Link.Events = s })
	if s.Phase == sse.Waiting {
		nudge(l.pulse)
	}
}

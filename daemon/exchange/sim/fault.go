package sim

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Kind says what a fault does.
type Kind string

// The faults. Those of connections happen at once, to Count connections in the
// order in which they were made, or to all; the others lie in wait.
const (
	// Close ends connections with a close frame.
	Close Kind = "close"
	// Cut resets connections without a close frame.
	Cut Kind = "cut"
	// Freeze leaves connections open and silent, pings included, whatever the
	// client sends: what a lost route looks like. After ForMS they are reset;
	// without it, when the client or the server ends.
	Freeze Kind = "freeze"
	// Shutdown sends serverShutdown and closes after DelayMS.
	Shutdown Kind = "shutdown"

	// Stall holds back all frames for ForMS; what was due comes afterwards.
	Stall Kind = "stall"
	// Gap leaves out frames.
	Gap Kind = "gap"
	// Duplicate sends frames twice.
	Duplicate Kind = "duplicate"
	// Reorder sends a frame after the next one of its stream.
	Reorder Kind = "reorder"
	// Garbage sends rubbish in place of frames, of the given Shape.
	Garbage Kind = "garbage"

	// Slow answers requests after DelayMS.
	Slow Kind = "slow"
	// Status answers requests with an HTTP status and the exchange's body.
	Status Kind = "status"
	// Lag answers klines as they were DelayMS (virtual) ago.
	Lag Kind = "lag"
	// Skew shifts serverTime and the event times of streams by DelayMS, which
	// may be negative. The market keeps its time.
	Skew Kind = "skew"
)

// The shapes of garbage. Without a shape they take turns.
const (
	ShapeText      = "text"      // not JSON
	ShapeTypes     = "types"     // JSON with the wrong types
	ShapeTruncated = "truncated" // the first half of the frame
	ShapeHuge      = "huge"      // 4 MiB
)

// Fault is an order to misbehave. With neither Count nor ForMS it acts once, or,
// if it is of a kind that only makes sense with a duration, it is refused.
type Fault struct {
	Kind    Kind   `json:"kind"`
	Count   int    `json:"count,omitempty"`    // frames, requests or connections still to hit
	ForMS   int64  `json:"for_ms,omitempty"`   // how long it lies in wait, real ms
	DelayMS int64  `json:"delay_ms,omitempty"` // see the kinds
	Stream  string `json:"stream,omitempty"`   // only frames of this stream
	Closed  bool   `json:"closed,omitempty"`   // only frames of closed candles
	Path    string `json:"path,omitempty"`     // only requests whose path begins so; "/api/" if empty. "/ws" and "/stream" refuse handshakes
	Status  int    `json:"status,omitempty"`   // of kind status: 400 to 599
	Shape   string `json:"shape,omitempty"`    // of kind garbage
}

const (
	maxFaults  = 1000
	maxFaultMS = 7 * 24 * 3_600_000
)

// check returns the fault with its defaults, or what is wrong with it.
func (f Fault) check() (Fault, error) {
	if f.Count < 0 || f.ForMS < 0 || f.ForMS > maxFaultMS || f.DelayMS > maxFaultMS || f.DelayMS < -maxFaultMS {
		return f, fmt.Errorf("fault %s: count %d, for_ms %d, delay_ms %d: not below 0, at most a week", f.Kind, f.Count, f.ForMS, f.DelayMS)
	}
	lasting := false
	switch f.Kind {
	case Close, Cut, Freeze, Shutdown:
		if f.Kind != Shutdown && f.DelayMS != 0 || f.DelayMS < 0 {
			return f, fmt.Errorf("fault %s: delay_ms %d", f.Kind, f.DelayMS)
		}
		return f, nil
	case Gap, Duplicate, Reorder:
	case Garbage:
		switch f.Shape {
		case "", ShapeText, ShapeTypes, ShapeTruncated, ShapeHuge:
		default:
			return f, fmt.Errorf("fault garbage: shape %.32q: text, types, truncated or huge", f.Shape)
		}
	case Slow:
		if f.DelayMS <= 0 {
			return f, fmt.Errorf("fault slow: delay_ms %d: above 0", f.DelayMS)
		}
	case Status:
		if f.Status < 400 || f.Status > 599 {
			return f, fmt.Errorf("fault status: status %d: 400 to 599", f.Status)
		}
	case Stall:
		lasting = true
	case Lag:
		lasting = true
		if f.DelayMS <= 0 {
			return f, fmt.Errorf("fault lag: delay_ms %d: above 0", f.DelayMS)
		}
	case Skew:
		lasting = true
	default:
		return f, fmt.Errorf("fault kind %.32q: one of close cut freeze shutdown stall gap duplicate reorder garbage slow status lag skew", f.Kind)
	}
	if lasting && (f.ForMS == 0 || f.Count != 0) {
		return f, fmt.Errorf("fault %s: needs for_ms and takes no count", f.Kind)
	}
	if !lasting && f.Count == 0 && f.ForMS == 0 {
		f.Count = 1
	}
	if f.Path == "" {
		f.Path = "/api/"
	}
	return f, nil
}

// faults holds the faults that lie in wait.
type faults struct {
	mu      sync.Mutex
	waiting []*waitingFault
	turn    int // of the shapes of garbage
}

type waitingFault struct {
	Fault
	until time.Time // zero: until Count is used up
}

func (f *faults) add(fault Fault, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) >= maxFaults {
		return fmt.Errorf("%d faults wait already", maxFaults)
	}
	w := &waitingFault{Fault: fault}
	if fault.ForMS > 0 {
		w.until = now.Add(time.Duration(fault.ForMS) * time.Millisecond)
	}
	f.waiting = append(f.waiting, w)
	return nil
}

// list returns the faults that still wait, with what is left of them.
func (f *faults) list(now time.Time) []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expire(now)
	all := make([]Fault, 0, len(f.waiting))
	for _, w := range f.waiting {
		left := w.Fault
		if !w.until.IsZero() {
			left.ForMS = max(1, w.until.Sub(now).Milliseconds())
		}
		all = append(all, left)
	}
	return all
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = nil
}

func (f *faults) expire(now time.Time) {
	kept := f.waiting[:0]
	for _, w := range f.waiting {
		if w.until.IsZero() || now.Before(w.until) {
			kept = append(kept, w)
		}
	}
	clear(f.waiting[len(kept):])
	f.waiting = kept
}

// take returns the oldest fault of a kind that matches and counts it down.
func (f *faults) take(kind Kind, now time.Time, match func(Fault) bool) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		return Fault{}, false
	}
	f.expire(now)
	for i, w := range f.waiting {
		if w.Kind != kind || !match(w.Fault) {
			continue
		}
		hit := w.Fault
		if w.Count > 0 {
			w.Count--
			if w.Count == 0 {
				f.waiting = append(f.waiting[:i], f.waiting[i+1:]...)
			}
		}
		return hit, true
	}
	return Fault{}, false
}

// frame looks for a fault of a kind that hits a frame.
func (f *faults) frame(kind Kind, stream string, closed bool, now time.Time) (Fault, bool) {
	return f.take(kind, now, func(w Fault) bool {
		return (w.Stream == "" || w.Stream == stream) && (!w.Closed || closed)
	})
}

// request looks for a fault of a kind that hits a request.
func (f *faults) request(kind Kind, path string, now time.Time) (Fault, bool) {
	return f.take(kind, now, func(w Fault) bool { return strings.HasPrefix(path, w.Path) })
}

// delay returns the delay in ms of a lasting fault (lag, skew), 0 without one.
func (f *faults) delay(kind Kind, now time.Time) int64 {
	w, _ := f.take(kind, now, func(Fault) bool { return true })
	return w.DelayMS
}

// rubbish returns what a garbage fault puts in place of a frame.
func (f *faults) rubbish(shape string, frame []byte) []byte {
	if shape == "" {
		f.mu.Lock()
		shape = [...]string{ShapeText, ShapeTypes, ShapeTruncated}[f.turn%3]
		f.turn++
		f.mu.Unlock()
	}
	switch shape {
	case ShapeTypes:
		return []byte(`{"e":"kline","E":"soon","s":7,"k":{"t":"now","T":null,"s":[],"i":{},"o":1,"c":true,"x":"yes","n":1.5}}`)
	case ShapeTruncated:
		return frame[:len(frame)/2]
	case ShapeHuge:
		return []byte(`{"e":"kline","pad":"` + strings.Repeat("x", 4<<20) + `"}`)
	default:
		return []byte("<html>\x00\xff\xfe502 Bad Gateway</html>")
	}
}

// statusRefusal is what the exchange writes with a status.
func statusRefusal(status int, now time.Time) *refusal {
	switch status {
	case http.StatusTooManyRequests:
		return overRefusal(6000)
	case http.StatusTeapot:
		return banRefusal(now.Add(firstBan))
	case http.StatusUnavailableForLegalReasons:
		return &refusal{status: status, code: 0, msg: "Service unavailable from a restricted location according to 'b. Eligibility' in https://www.binance.com/en/terms. Please contact customer service if you believe you received this message in error."}
	case http.StatusForbidden:
		return &refusal{status: status, code: 0, msg: "Forbidden"}
	}
	if status >= 500 {
		return &refusal{status: status, code: -1001, msg: "Internal error; unable to process your request. Please try again."}
	}
	return &refusal{status: status, code: -1000, msg: "An unknown error occurred while processing the request."}
}

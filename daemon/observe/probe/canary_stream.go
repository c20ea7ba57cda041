package probe

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// StreamCanary keeps one stream open to each gateway, as a client would, and says
// whether it lives: that is what the availability of streams is counted from.
//
// A beat is a candle, the opening message, a gap or a heartbeat comment. An error or
// a farewell is none. A stream that is silent for longer than half again the limit
// is given up and made anew, because a connection can stand and carry nothing; one
// that ends is made anew at once, and then after 0.5 s, 1 s, … 8 s.
type StreamCanary struct {
	Limits
	// Client has no timeout of its own: a stream does not end.
	Client *http.Client
	// Gateways returns the gateways that should be there. It is asked every second
	// and answers at once.
	Gateways func() []Target

	Symbol    string        // empty means BTCUSDT
	Timeframe string        // empty means 1m
	Silence   time.Duration // 0 means 20 s: a gateway's heartbeat comes after 15

	mu      sync.Mutex
	watches map[string]*watch // by gateway; guarded by mu
}

// watch is one gateway's stream.
type watch struct {
	target Target
	stop   context.CancelFunc

	mu       sync.Mutex
	since    time.Time // when the watch began; guarded by mu, as what follows
	beat     time.Time // the last one; zero before the first
	connects int
	last     error // why the last connection ended
}

// Run watches until ctx ends, and returns nil after the last stream is closed.
func (c *StreamCanary) Run(ctx context.Context) error {
	var streams sync.WaitGroup
	defer streams.Wait()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		c.follow(ctx, &streams)
		select {
		case <-ctx.Done():
			c.mu.Lock()
			c.watches = nil
			c.mu.Unlock()
			return nil
		case <-tick.C:
		}
	}
}

// follow begins and ends watches as the gateways come and go.
func (c *StreamCanary) follow(ctx context.Context, streams *sync.WaitGroup) {
	listed := map[string]Target{}
	for _, t := range c.Gateways() {
		listed[t.Name] = t
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watches == nil {
		c.watches = map[string]*watch{}
	}
	for name, w := range c.watches {
		if t, ok := listed[name]; !ok || t.URL != w.target.URL {
			w.stop()
			delete(c.watches, name)
		}
	}
	for name, t := range listed {
		if c.watches[name] == nil {
			inner, stop := context.WithCancel(ctx)
			w := &watch{target: t, stop: stop, since: time.Now()}
			c.watches[name] = w
			streams.Go(func() { defer stop(); c.keep(inner, w) })
		}
	}
}

func (c *StreamCanary) silence() time.Duration {
	if c.Silence > 0 {
		return c.Silence
	}
	return 20 * time.Second
}

// Sample says for each gateway, in the order of names: alive (1 when a beat came
// within the silence before now, 0 when not; absent while a gateway that was just
// listed has had no time for one), age (seconds since the last beat), reconnects.
// Err is why the last stream ended, while there is none.
func (c *StreamCanary) Sample(now time.Time) []Result {
	c.mu.Lock()
	watches := make([]*watch, 0, len(c.watches))
	for _, w := range c.watches {
		watches = append(watches, w)
	}
	c.mu.Unlock()
	slices.SortFunc(watches, func(a, b *watch) int { return cmp.Compare(a.target.Name, b.target.Name) })
	out := make([]Result, 0, len(watches))
	for _, w := range watches {
		out = append(out, c.judge(w, now))
	}
	return out
}

func (c *StreamCanary) judge(w *watch, now time.Time) Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := Result{Target: w.target.Name, Fields: fields{"reconnects": Number(float64(max(0, w.connects-1)))}}
	switch {
	case !w.beat.IsZero():
		age := now.Sub(w.beat)
		r.Fields["alive"], r.Fields["age"] = Truth(age <= c.silence()), Number(max(0, age.Seconds()))
	case now.Sub(w.since) > c.silence():
		r.Fields["alive"] = Number(0)
	}
	if w.last != nil {
		r.Err = &failure{text: c.safe(explain(w.last, c.silence()), maxReason), cause: w.last}
	}
	return r
}

// keep holds a stream open, again and again.
func (c *StreamCanary) keep(ctx context.Context, w *watch) {
	const least, most = 500 * time.Millisecond, 8 * time.Second
	pause := least
	for {
		before := w.lastBeat()
		err := c.stream(ctx, w)
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		w.last = err
		w.mu.Unlock()
		if w.lastBeat() != before {
			pause = least
		}
		// Gateways that restart together must not be asked together.
		t := time.NewTimer(pause + rand.N(pause/4+1))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		pause = min(2*pause, most)
	}
}

func (w *watch) lastBeat() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.beat
}

var errSilent = errors.New("the stream is silent")

// stream is one connection. It returns why it ended.
func (c *StreamCanary) stream(ctx context.Context, w *watch) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := c.silence() + c.silence()/2
	alarm := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer alarm.Stop()
	query := url.Values{"symbol": {cmp.Or(c.Symbol, "BTCUSDT")}, "timeframe": {cmp.Or(c.Timeframe, "1m")}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.target.URL+wire.PathStream+"?"+query.Encode(), nil)
	if err != nil {
		return bare(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set(wire.HeaderCanary, "1")
	client := *c.Client
	client.CheckRedirect = sameHost
	w.mu.Lock()
	w.connects++
	w.mu.Unlock()
	resp, err := client.Do(req)
	if err != nil {
		return because(ctx, err)
	}
	defer resp.Body.Close()
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		return fmt.Errorf("status %d, %.60q where a stream was asked for", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4<<10), 256<<10)
	for lines.Scan() {
		if isBeat(lines.Bytes()) {
			alarm.Reset(patience)
			w.mu.Lock()
			w.beat, w.last = time.Now(), nil
			w.mu.Unlock()
		}
	}
	if err := lines.Err(); err != nil {
		return because(ctx, err)
	}
	return errors.New("the gateway ended the stream")
}

// because prefers why a context ended to what the network made of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return bare(err)
}

// isBeat reports whether a line of a stream shows that it works.
func isBeat(line []byte) bool {
	if bytes.HasPrefix(line, []byte(":")) {
		return true
	}
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok {
		return false
	}
	var m wire.StreamMessage
	if json.Unmarshal(data, &m) != nil {
		return false
	}
	return m.Type == wire.StreamKline || m.Type == wire.StreamOpen || m.Type == wire.StreamGap
}

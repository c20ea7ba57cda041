package binance

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// clock is what we know of the exchange's clock: a moment of it, the moment of
// ours at which we learned it, and how wrong it may be.
type clock struct {
	asking sync.Mutex // held while a request for the time is under way

	mu      sync.Mutex
	server  time.Time // zero: never asked
	local   time.Time
	slack   time.Duration // half of the request's round trip
	suspect bool          // frames disagree
	tried   time.Time
}

// suspicion is how far an event's time may be from the clock before the clock
// is asked again.
const suspicion = 5 * time.Second

// Now returns the exchange's time: that of our own clock until the exchange was
// asked for the first time.
func (c *Client) Now() time.Time {
	c.ready()
	now, _ := c.clock.read(c.Speed)
	return now
}

func (k *clock) read(speed float64) (now time.Time, slack time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.server.IsZero() {
		return time.Now(), 0
	}
	return k.server.Add(time.Duration(float64(time.Since(k.local)) * speed)), k.slack
}

// doubt notes the time of an event that just arrived: if it is far from what we
// believe, the next request for candles asks for the time first.
func (k *clock) doubt(event int64, speed float64) {
	now, _ := k.read(speed)
	off := now.Sub(time.UnixMilli(event)).Abs()
	if off <= time.Duration(float64(suspicion)*max(speed, 1)) {
		return
	}
	k.mu.Lock()
	k.suspect = true
	k.mu.Unlock()
}

// due reports whether the exchange should be asked: never asked, asked too long
// ago, or in doubt; in doubt at most every 10 s, or an event that is really old
// would cost a request each time.
func (k *clock) due(age time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.server.IsZero():
		return true
	case time.Since(k.tried) < min(age, 10*time.Second):
		return false
	}
	return k.suspect || time.Since(k.local) >= age
}

// sync makes sure that the clock is known and not too old. With an old clock a
// failure is no error: quartz drifts by milliseconds in the time of an outage.
func (c *Client) sync(ctx context.Context) error {
	if !c.clock.due(c.Limits.ClockAge) {
		return nil
	}
	c.clock.asking.Lock()
	defer c.clock.asking.Unlock()
	if !c.clock.due(c.Limits.ClockAge) {
		return nil
	}
	known := c.clock.start()
	sent := time.Now()
	body, err := c.get(ctx, "/api/v3/time", nil, 1)
	if err == nil {
		var answer struct {
			ServerTime int64 `json:"serverTime"`
		}
		if err = json.Unmarshal(body, &answer); err != nil || answer.ServerTime <= 0 {
			err = fmt.Errorf("%w: time: %.64q", ErrAnswer, body)
		} else {
			c.clock.set(time.UnixMilli(answer.ServerTime), sent, time.Now())
			return nil
		}
	}
	if known {
		c.Log.Warn("exchange clock not read, keeping the last reading", "error", err)
		return nil
	}
	return fmt.Errorf("exchange clock: %w", err)
}

func (k *clock) start() (known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried = time.Now()
	return !k.server.IsZero()
}

func (k *clock) set(server, sent, received time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.slack = received.Sub(sent) / 2
	k.server, k.local, k.suspect = server, received.Add(-k.slack), false
}

package observe

import (
	"sync"
	"time"
)

// clock gives times that never go back and never jump because somebody set the wall
// clock: deadlines and samples are as far apart as they were in truth. A time in which
// the machine slept is real, and is told as a gap.
type clock struct {
	wall func() time.Time     // with a monotonic reading
	boot func() time.Duration // since boot, sleep included; false when unknown
	mu   sync.Mutex
	base time.Time     // guarded by mu; what Now counts from, with its monotonic reading
	plus time.Duration // guarded by mu; sleep since base
	seen time.Duration // guarded by mu; boot at the newest look
	last time.Time     // guarded by mu; wall at the newest look
}

func newClock() *clock {
	c := &clock{wall: time.Now, boot: sinceBoot}
	c.base = c.wall()
	c.last, c.seen = c.base, c.boot()
	return c
}

// Now is the time as the observer counts it.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *clock) now() time.Time { return c.base.Add(c.wall().Sub(c.base) + c.plus) }

// stepped is the least change of the wall clock that is told.
const stepped = 2 * time.Second

// look compares the clocks: slept is how long the machine was asleep since the last
// look, step by how much the wall clock was set.
func (c *clock) look() (slept, step time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, boot := c.wall(), c.boot()
	ran := wall.Sub(c.last) // monotonic: does not count sleep on Linux
	if awake := boot - c.seen; boot > 0 && awake-ran > stepped {
		slept = awake - ran
		c.plus += slept
	}
	step = wall.Round(0).Sub(c.last.Round(0)) - ran - slept
	if step.Abs() < stepped {
		step = 0
	}
	c.last, c.seen = wall, boot
	return slept, step
}

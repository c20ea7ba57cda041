package observe

import (
	"testing"
	"time"
)

func TestClockTellsSleepFromSteps(t *testing.T) {
	start := time.Now()
	var mono, boot time.Duration
	c := &clock{
		// Stripping the monotonic reading is how a step of the wall clock shows; here
		// both are the same reading, moved by what was set.
		wall: func() time.Time { return start.Add(mono) },
		boot: func() time.Duration { return time.Hour + boot },
	}
	c.base, c.last, c.seen = start, start, time.Hour
	mono, boot = time.Minute, time.Minute
	if slept, step := c.look(); slept != 0 || step != 0 {
		t.Errorf("a quiet minute: slept %v, step %v", slept, step)
	}
	mono, boot = 2*time.Minute, 2*time.Minute+time.Hour
	if slept, _ := c.look(); slept != time.Hour {
		t.Errorf("an hour of sleep: slept %v", slept)
	}
	if got := c.Now().Sub(start); got != 2*time.Minute+time.Hour {
		t.Errorf("Now after the sleep is %v after the start, want 1h2m", got)
	}
}

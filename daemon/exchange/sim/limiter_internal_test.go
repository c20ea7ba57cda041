package sim

import (
	"testing"
	"time"
)

func TestLimiterCountsByAddressAndMinute(t *testing.T) {
	l := limiter{Limits: Limits{Weight: 10, Connects: 2}}
	t0 := time.Unix(1_700_000_040, 0) // a full minute
	steps := []struct {
		after   time.Duration
		address string
		weight  int
		used    int
		status  int
		wait    time.Duration
	}{
		{0, "a", 6, 6, 0, 0},
		{time.Second, "a", 4, 10, 0, 0},
		{2 * time.Second, "b", 10, 10, 0, 0},
		{20 * time.Second, "a", 1, 11, 429, 40 * time.Second},
		{60 * time.Second, "a", 10, 10, 0, 0},
		{61 * time.Second, "a", 1, 11, 429, 59 * time.Second},
		{62 * time.Second, "a", 1, 12, 429, 58 * time.Second},
		{63 * time.Second, "a", 1, 13, 429, 57 * time.Second},
		{64 * time.Second, "a", 1, 14, 418, 2 * time.Minute},
		{124 * time.Second, "a", 1, 0, 418, time.Minute},
		{125 * time.Second, "b", 1, 1, 0, 0},
		{184 * time.Second, "a", 1, 1, 0, 0},
		{185 * time.Second, "a", 10, 11, 429, 55 * time.Second},
		{186 * time.Second, "a", 1, 12, 429, 54 * time.Second},
		{187 * time.Second, "a", 1, 13, 429, 53 * time.Second},
		{188 * time.Second, "a", 1, 14, 418, 4 * time.Minute}, // longer than the first time
	}
	for i, s := range steps {
		used, wait, r := l.request(s.address, s.weight, t0.Add(s.after))
		status := 0
		if r != nil {
			status = r.status
		}
		if used != s.used || wait != s.wait || status != s.status {
			t.Errorf("step %d: used %d, wait %s, status %d, want %d, %s, %d", i, used, wait, status, s.used, s.wait, s.status)
		}
	}
	t0 = time.Unix(1_700_000_100, 0) // a full five minutes
	for i, want := range []time.Duration{0, 0, 5 * time.Minute} {
		if wait := l.connect("c", t0); wait != want {
			t.Errorf("connect %d: wait %s, want %s", i, wait, want)
		}
	}
	if wait := l.connect("c", t0.Add(5*time.Minute)); wait != 0 {
		t.Errorf("connect in the next window: wait %s, want 0", wait)
	}
}

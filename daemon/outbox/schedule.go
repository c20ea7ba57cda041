package outbox

import (
	"math/rand/v2"
	"time"
)

// Schedule says when a delivery that failed is tried again.
type Schedule struct {
	// Delays are the pauses after the first attempt, the second and so on; the last
	// one repeats.
	Delays []time.Duration
	// MaxAge is the age, counted from the first attempt, beyond which no attempt
	// begins.
	MaxAge time.Duration
}

// Webhook returns the schedule for receivers that drop repeats by their id: patient,
// for two days.
func Webhook() Schedule {
	return Schedule{
		Delays: []time.Duration{
			5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
			time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
		},
		MaxAge: 48 * time.Hour,
	}
}

// after returns the pause after so many attempts, give or take a fifth.
func (s Schedule) after(attempts int) time.Duration {
	i := min(max(attempts, 1), len(s.Delays)) - 1
	return jitter(s.Delays[i])
}

// jitter spreads d by a fifth either way.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

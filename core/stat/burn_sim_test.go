package stat_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/stat"
)

const (
	faultHour = 20 // after the begin of the run
	maxTicks  = 48 * 240
)

// traffic is a service of which events are counted: probes, or events by chance, of
// which a share is bad, and in a fault from T+20h on another one.
type traffic struct {
	name   string
	target float64
	tick   int64   // ms between two steps
	probes float64 // an hour, evenly
	hourly float64 // instead, by chance
	usual  float64 // bad share
	fault  float64 // bad share while it lasts
	last   time.Duration
}

// past is the counts of a run as running totals.
type past struct{ bad, total [maxTicks + 1]float64 }

func (p *past) window(now int, tick int64, length time.Duration) stat.Window {
	from := max(0, now-int(length.Milliseconds()/tick))
	return stat.Window{Bad: p.bad[now] - p.bad[from], Total: p.total[now] - p.total[from]}
}

func (p *past) fill(r *rand.Rand, s traffic) {
	tick := s.tick
	runTicks, faultTick := int(48*hour/tick), int(faultHour*hour/tick)
	end := faultTick + int(s.last.Milliseconds()/tick)
	for i := range runTicks {
		share, bad := s.usual, 0
		if s.last > 0 && i >= faultTick && i < end {
			share = s.fault
		}
		n := int(s.probes * float64(tick) / float64(hour))
		if s.hourly > 0 {
			n = poisson(r, s.hourly*float64(tick)/float64(hour))
		}
		for range n {
			if r.Float64() < share {
				bad++
			}
		}
		p.bad[i+1], p.total[i+1] = p.bad[i]+float64(bad), p.total[i]+float64(n)
	}
}

func poisson(r *rand.Rand, mean float64) int {
	n := 0
	for left := math.Exp(-mean); ; n++ {
		if left /= r.Float64(); left > 1 {
			return n
		}
	}
}

// outcome is what one tier did in the runs of a traffic.
type outcome struct {
	alarms  float64 // share of runs that fired without a fault, in those without one: at all
	found   float64 // share of runs with a fault that fired after it
	delay   float64 // minutes from the fault until then, median
	slowest float64
	flips   int     // changes in the worst run
	calm    float64 // share of runs with at most two changes
	over    float64 // minutes from the end of the fault until cleared, median
}

func simulate(s traffic, runs int) [3]outcome {
	var out [3]outcome
	var delays, overs [3][]float64
	p := new(past)
	end := 48 * hour
	if s.last > 0 && s.last <= time.Hour {
		end = 36 * hour // by then the longest window has forgotten it
	}
	tick := s.tick
	runTicks, faultTick := int(end/tick), int(faultHour*hour/tick)
	for i := range runs {
		p.fill(rand.New(rand.NewPCG(uint64(i), 6)), s)
		b := stat.Burn{Objective: stat.Objective{Target: s.target}}
		tiers := b.Tiers()
		var flips [3]int
		var early, late [3]bool
		var cleared [3]int
		for now := 1; now <= runTicks; now++ {
			var readings [3]stat.Reading
			for k, t := range tiers {
				readings[k] = stat.Reading{Long: p.window(now, tick, t.Long), Short: p.window(now, tick, t.Short)}
			}
			for k, e := range b.Step(start+int64(now)*tick, readings) {
				if e == stat.Same {
					continue
				}
				flips[k]++
				if e == stat.Cleared {
					cleared[k] = now
					continue
				}
				if s.last == 0 || now <= faultTick {
					early[k] = true
				} else if !late[k] {
					late[k] = true
					delays[k] = append(delays[k], float64(now-faultTick)*float64(tick)/60_000)
				}
			}
		}
		for k := range out {
			out[k].flips = max(out[k].flips, flips[k])
			if flips[k] <= 2 {
				out[k].calm += 1 / float64(runs)
			}
			if early[k] {
				out[k].alarms += 1 / float64(runs)
			}
			if late[k] {
				out[k].found += 1 / float64(runs)
				if cleared[k] > 0 {
					overs[k] = append(overs[k], float64(cleared[k]-faultTick)*float64(tick)/60_000-s.last.Minutes())
				}
			}
		}
	}
	for k := range out {
		out[k].delay, out[k].over = median(delays[k]), median(overs[k])
		if n := len(delays[k]); n > 0 {
			out[k].slowest = delays[k][n-1]
		}
	}
	return out
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// limits of what a tier may do; a NaN isn't looked at.
type limits struct {
	alarms float64 // at most, share of runs
	delay  float64 // at most, minutes, found in nearly all runs
	over   float64 // at most, minutes
	calm   float64 // at least, share of runs with one alarm
}

// TestBurnTiersFindFaultsAndKeepStill is the table of the research note (section 6.3)
// with what this state machine makes of it; its figures stand behind each row.
func TestBurnTiersFindFaultsAndKeepStill(t *testing.T) {
	no := math.NaN()
	const sse, notify, q, m = .995, .98, 15 * second, 60 * second
	runs := 300
	if few() {
		runs = 40
	}
	for _, test := range []struct {
		traffic
		want [3]limits
	}{
		// 0, 0, 1.7 % of runs
		{traffic{"SSE, 4 probes, 0.25 % errors, no fault", sse, m, 960, 0, .0025, 0, 0},
			[3]limits{{0, no, no, 1}, {0, no, no, 1}, {.02, no, no, .99}}},
		// 0, 0, 4.7 % of runs
		{traffic{"SSE, 1 probe, 0.25 % errors, no fault", sse, m, 240, 0, .0025, 0, 0},
			[3]limits{{0, no, no, 1}, {0, no, no, 1}, {.03, no, no, .99}}},
		// 1.5, 2.9, 4.4 min
		{traffic{"SSE, full outage of 10 min", sse, q, 960, 0, 0, 1, 10 * time.Minute},
			[3]limits{{0, 2, 20, 1}, {0, 3, 35, 1}, {0, 5.5, 80, 1}}},
		{traffic{"SSE, the same, 0.25 % errors besides", sse, q, 960, 0, .0025, 1, 10 * time.Minute},
			[3]limits{{0, 2, 20, 1}, {0, 3, 70, .99}, {.02, 5, 180, .97}}},
		// 15, 28, 44 min
		{traffic{"SSE, 10 % errors for 1 h", sse, m, 960, 0, .0025, .1, time.Hour},
			[3]limits{{0, 16, 20, .99}, {0, 30, 60, .99}, {.02, 45, 180, .97}}},
		// 2.7 % of runs, 147, 227 min
		{traffic{"SSE, 2 % errors to the end", sse, m, 960, 0, .0025, .02, 28 * time.Hour},
			[3]limits{{0, no, no, .99}, {0, 160, no, .95}, {.02, 230, no, .97}}},
		// 0, 0, 0.3 % of runs
		{traffic{"notifications, 5/h, 1 % errors, no fault", notify, m, 0, 5, .01, 0, 0},
			[3]limits{{0, no, no, 1}, {0, no, no, 1}, {.01, no, no, .99}}},
		// 5.7, 5.5 min; 12 events in 180 are 6.4 %, and at one a minute that is 11 min,
		// unless the long window isn't full yet
		{traffic{"notifications, 60/h, all fail for 1 h", notify, m, 0, 60, .01, 1, time.Hour},
			[3]limits{{0, 8, 90, 1}, {0, 12, 200, 1}, {.03, 16, no, .96}}},
		// 150, 59, 53 min
		{traffic{"notifications, 5/h, all fail to the end", notify, m, 0, 5, .01, 1, 28 * time.Hour},
			[3]limits{{0, 160, no, 1}, {0, 60, no, 1}, {.01, 60, no, .99}}},
	} {
		out := simulate(test.traffic, runs)
		for k, o := range out {
			t.Logf("%-40s %c  alarms without fault %4.1f %%, found %5.1f %% after %6.1f min, cleared after %6.1f min, one alarm %5.1f %%, most changes %d",
				test.name, 'A'+k, 100*o.alarms, 100*o.found, o.delay, o.over, 100*o.calm, o.flips)
			w := test.want[k]
			slack := 0.0
			if few() {
				slack = .03 // one run in forty
			}
			if o.alarms > w.alarms+slack || o.calm < w.calm-slack-1e-9 {
				t.Errorf("%s, tier %c: alarms without fault in %.3f, one alarm in %.3f of runs, want at most %v and at least %v", test.name, 'A'+k, o.alarms, o.calm, w.alarms, w.calm)
			}
			if !math.IsNaN(w.delay) && (!(o.delay <= w.delay) || o.found < .98) {
				t.Errorf("%s, tier %c: found in %.3f of runs after %v min, want after %v", test.name, 'A'+k, o.found, o.delay, w.delay)
			}
			if k == 0 && test.probes > 0 && test.fault == 1 && o.slowest > 2 {
				t.Errorf("%s: noticed after %v min in the slowest run, want 2", test.name, o.slowest)
			}
			if !math.IsNaN(w.over) && !(o.over <= w.over) {
				t.Errorf("%s, tier %c: cleared %v min after the end, want %v", test.name, 'A'+k, o.over, w.over)
			}
		}
	}
}

package stat_test

import (
	"math"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/stat"
)

func TestTiersScaleWithTheRun(t *testing.T) {
	for _, test := range []struct {
		run  time.Duration
		long [3]time.Duration
	}{
		{0, [3]time.Duration{30 * time.Minute, 3 * time.Hour, 12 * time.Hour}},
		{48 * time.Hour, [3]time.Duration{30 * time.Minute, 3 * time.Hour, 12 * time.Hour}},
		{96 * time.Minute, [3]time.Duration{time.Minute, 6 * time.Minute, 24 * time.Minute}},
	} {
		for i, tier := range (stat.Objective{Target: 0.995, Run: test.run}).Tiers() {
			if tier.Long != test.long[i] || tier.Short != tier.Long/12 || !near(tier.Burn, []float64{9.6, 3.2, 1.4}[i], 1e-9) {
				t.Errorf("run of %v: %+v, want %v and a twelfth", test.run, tier, test.long[i])
			}
		}
	}
}

func TestBurnRate(t *testing.T) {
	for _, test := range []struct {
		target, bad, total, want float64
	}{
		{.995, 5, 1000, 1}, {.995, 1000, 1000, 200}, {.98, 192, 1000, 9.6}, {.98, 0, 5, 0},
		{1, 1, 5, math.Inf(1)}, {1, 0, 5, 0}, {1.5, 1, 5, math.Inf(1)}, {.5, 9, 5, 2},
		{.98, 0, 0, math.NaN()}, {.98, math.NaN(), 5, math.NaN()}, {.98, 1, math.Inf(1), math.NaN()}, {.98, -1, 5, math.NaN()},
	} {
		got := stat.Objective{Target: test.target}.Burn(stat.Window{Bad: test.bad, Total: test.total})
		if !near(got, test.want, 1e-9) && got != test.want && !(math.IsNaN(got) && math.IsNaN(test.want)) {
			t.Errorf("%v: burn of %v in %v = %v, want %v", test.target, test.bad, test.total, got, test.want)
		}
	}
}

// same makes the readings of the first tier; the others see nothing.
func same(long, short stat.Window) [3]stat.Reading {
	return [3]stat.Reading{{Long: long, Short: short}}
}

func TestBurnStepByStep(t *testing.T) {
	const minute = 60 * second
	var (
		none  = stat.Window{}
		calm  = same(stat.Window{Bad: 1, Total: 480}, stat.Window{Total: 40})
		hot   = same(stat.Window{Bad: 40, Total: 480}, stat.Window{Bad: 40, Total: 40})
		below = same(stat.Window{Bad: 20, Total: 480}, stat.Window{Bad: 2, Total: 40}) // under 23, over 13.4
		quiet = same(stat.Window{Bad: 40, Total: 480}, stat.Window{Total: 40})
		echo  = same(stat.Window{Bad: 40, Total: 480}, stat.Window{Bad: 3, Total: 40}) // 7.5 %, the tier is at 4.8
		blind = same(stat.Window{Bad: 40, Total: 480}, none)
		few   = same(stat.Window{Bad: 4, Total: 4}, stat.Window{Bad: 4, Total: 4})
		five  = same(stat.Window{Bad: 5, Total: 5}, stat.Window{Bad: 5, Total: 5})
		sick  = same(stat.Window{Bad: math.NaN(), Total: 480}, stat.Window{Bad: math.Inf(1), Total: 40})
	)
	type step struct {
		at      int64 // minutes
		reading [3]stat.Reading
		want    stat.Edge
	}
	for name, steps := range map[string][]step{
		"keeps firing for 15 min after the last heat": {
			{0, calm, stat.Same}, {1, hot, stat.Fired}, {2, hot, stat.Same}, {3, calm, stat.Same},
			{16, calm, stat.Same}, {17, calm, stat.Cleared}, {18, calm, stat.Same},
		},
		"does not clear between the rate and its re-arm": {
			{0, hot, stat.Fired}, {10, below, stat.Same}, {100, below, stat.Same}, {101, calm, stat.Same}, {115, calm, stat.Cleared},
		},
		"quiet ends it before the long window does": {
			{0, hot, stat.Fired}, {1, quiet, stat.Same}, {14, quiet, stat.Same}, {15, quiet, stat.Cleared},
			{16, echo, stat.Same}, {17, hot, stat.Fired},
		},
		"an echo is over when the long window is calm": {
			{0, hot, stat.Fired}, {15, quiet, stat.Cleared}, {16, calm, stat.Same}, {17, echo, stat.Fired},
		},
		"an empty window changes nothing": {
			{0, hot, stat.Fired}, {20, blind, stat.Same}, {40, blind, stat.Same}, {41, quiet, stat.Same}, {55, quiet, stat.Cleared},
			{56, blind, stat.Same}, {57, sick, stat.Same},
		},
		"four bad events are too few": {{0, few, stat.Same}, {1, five, stat.Fired}},
		"a clock that goes back": {
			{100, hot, stat.Fired}, {10, calm, stat.Same}, {24, calm, stat.Same}, {25, calm, stat.Cleared},
		},
	} {
		b := stat.Burn{Objective: stat.Objective{Target: 0.995}}
		firing := false
		for _, s := range steps {
			b = stat.Burn{Objective: b.Objective, State: b.State} // stored and read back
			got := b.Step(start+s.at*minute, s.reading)
			if got != [3]stat.Edge{s.want} {
				t.Errorf("%s: at %d min %v, want %v", name, s.at, got, s.want)
			}
			firing = s.want == stat.Fired || firing && s.want != stat.Cleared
			if b.Firing(0) != firing || b.Firing(1) {
				t.Errorf("%s: at %d min firing %v, want %v", name, s.at, b.Firing(0), firing)
			}
		}
	}
}

func TestBudget(t *testing.T) {
	o := stat.Objective{Target: 0.995}
	if got := o.Time(); got != 14*time.Minute+24*time.Second {
		t.Errorf("Time() = %v, want 14m24s", got)
	}
	// The example of the research note: 58 % used at half time.
	b, ok := o.Budget(stat.Window{Bad: 58, Total: 10_000}, 24*time.Hour)
	if !ok || !near(b.Used, .58, 1e-9) || !near(b.Left, .42, 1e-9) || !near(b.Forecast, 1.16, 1e-9) || !near(b.Allowed, .84, 1e-9) {
		t.Errorf("Budget = %+v, want 58 %% used, 116 %% forecast, 0.84 allowed", b)
	}
	if got := b.LeftTime.Round(time.Second); got != 6*time.Minute+3*time.Second {
		t.Errorf("left %v, want 6m3s", got)
	}
	if got := b.ForecastAt(0.5); !near(got, .83, 1e-9) {
		t.Errorf("at a burn of 0.5: %v, want 0.83", got)
	}
	if b, _ := o.Budget(stat.Window{Bad: 200, Total: 10_000}, 24*time.Hour); !near(b.Used, 2, 1e-9) || b.Allowed != 0 || b.LeftTime != -(14*time.Minute+24*time.Second) {
		t.Errorf("overdrawn: %+v", b)
	}
	if b, ok := o.Budget(stat.Window{Total: 10}, 100*time.Hour); !ok || b.Used != 0 || b.Left != 1 || b.Allowed != 0 {
		t.Errorf("after the end: %+v", b)
	}
	for _, w := range []stat.Window{{}, {Bad: math.NaN(), Total: 5}, {Bad: 1, Total: math.Inf(1)}} {
		if b, ok := o.Budget(w, time.Hour); ok {
			t.Errorf("of %+v: %+v, want none", w, b)
		}
	}
	if _, ok := o.Budget(stat.Window{Total: 5}, 0); ok {
		t.Error("there is a budget before the begin")
	}
}

func TestNothingIsAllocated(t *testing.T) {
	b := stat.Burn{Objective: stat.Objective{Target: 0.995}}
	now := int64(start)
	readings := same(stat.Window{Bad: 40, Total: 480}, stat.Window{Bad: 40, Total: 40})
	if got := testing.AllocsPerRun(100, func() { now += 15 * second; b.Step(now, readings) }); got != 0 {
		t.Errorf("%v allocations a step of the tiers", got)
	}
	points := every(48, func(h float64) float64 { return 100*mb + 2*mb*h })
	starts := []int64{start + 10*hour}
	var d stat.Detector
	d.Judge(points, starts, stat.Options{Unit: stat.Bytes})
	if got := testing.AllocsPerRun(10, func() { d.Judge(points, starts, stat.Options{Unit: stat.Bytes}) }); got != 0 {
		t.Errorf("%v allocations a verdict", got)
	}
	if got := testing.AllocsPerRun(100, func() { stat.NewSpike(10, time.Hour, 100, 6*time.Hour) }); got != 0 {
		t.Errorf("%v allocations a spike", got)
	}
}

func BenchmarkStep(b *testing.B) {
	t := stat.Burn{Objective: stat.Objective{Target: 0.995}}
	w := stat.Reading{Long: stat.Window{Bad: 1, Total: 480}, Short: stat.Window{Total: 40}}
	now := int64(start)
	b.ReportAllocs()
	for b.Loop() {
		now += 15 * second
		t.Step(now, [3]stat.Reading{w, w, w})
	}
}

func BenchmarkSpike(b *testing.B) {
	for b.Loop() {
		stat.NewSpike(120, 15*time.Minute, 900, 6*time.Hour)
	}
}

package eval_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/eval"
	"github.com/spark-ta/spark/core/market"
)

// crowd returns a set of n alerts around the price of 100: half of them levels, half
// breaks of one of five bands, of every mode, with a cooldown.
func crowd(n int) *eval.Set {
	r := rand.New(rand.NewPCG(uint64(n), 3))
	set := eval.NewSet(series, eval.Options{})
	for i := range n {
		mode := pick(r, alert.Intrabar, alert.Intrabar, alert.OnClose, alert.Minute)
		a := priced(fmt.Sprint(i), mode, pick(r, alert.OpAbove, alert.OpBelow, alert.OpCrosses, alert.OpCrossesUp), 50+100*r.Float64())
		if i%2 == 0 {
			a = banded(fmt.Sprint(i), mode, 20, pick(r, 2, 2.5, 3, 3.5, 4))
		}
		a.CooldownSec = 300
		set.Put(a)
	}
	set.Warm(walk(71, 200, 100))
	return set
}

// ticks returns states of one candle that move by no more than a hundredth of a per
// cent about the last close, so that hardly anything fires.
func ticks(n int) []market.Candle {
	history := walk(71, 200, 100)
	last := history[len(history)-1]
	r := rand.New(rand.NewPCG(73, 1))
	c := candle(last.Time+minute, last.Close)
	out := make([]market.Candle, n)
	for i := range out {
		c = moved(c, last.Close*(1+(r.Float64()-0.5)*1e-4))
		out[i] = c
	}
	return out
}

func TestNothingIsAllocatedWhileNothingFires(t *testing.T) {
	set := crowd(10_000)
	states := ticks(1100)
	var out eval.Result
	for _, c := range states[:100] {
		out.Reset()
		set.Step(c.Time, c, &out)
	}
	i, fired := 100, 0
	if got := testing.AllocsPerRun(900, func() {
		out.Reset()
		set.Step(states[i].Time, states[i], &out)
		fired += len(out.Triggers)
		i++
	}); got != 0 || fired != 0 {
		t.Errorf("%v allocations a step with %d triggers, want none", got, fired)
	}
}

func BenchmarkStep(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		set := crowd(n)
		states := ticks(4096)
		var out eval.Result
		for _, c := range states {
			set.Step(c.Time, c, &out)
		}
		b.Run(fmt.Sprintf("tick/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i, event := 0, states[len(states)-1].Event
			for b.Loop() {
				c := states[i&4095]
				c.Event = event
				out.Reset()
				set.Step(c.Time, c, &out)
				i++
			}
		})
	}
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("candle/%d", n), func(b *testing.B) {
			// Four states and the close of a moving price, triggers and suppressions
			// included: per step.
			set := crowd(n)
			r := rand.New(rand.NewPCG(79, 1))
			bar, price := start+200*minute, 100.0
			var out eval.Result
			triggers := 0
			for b.Loop() {
				c := candle(bar, price)
				for i := range 5 {
					price = max(60, min(140, price*(1+(r.Float64()-0.5)*0.004)))
					c = moved(c, price)
					c.Closed = i == 4
					out.Reset()
					set.Step(bar+int64(i)*12_000, c, &out)
					triggers += len(out.Triggers)
				}
				bar += minute
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5, "ns/step")
			b.ReportMetric(float64(triggers)/float64(b.N), "triggers/op")
		})
	}
}

func BenchmarkPut(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				crowd(n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/alert")
		})
	}
}

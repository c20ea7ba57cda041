package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/daemon/store"
)

// Bench measures the hot calls on servers made by open.
func Bench(b *testing.B, open Open) {
	for _, size := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("Trigger/events=", size), func(b *testing.B) { benchTrigger(b, newEnv(b, open), size) })
	}
	b.Run("ClaimFinish", func(b *testing.B) { benchClaim(b, newEnv(b, open)) })
	b.Run("ClaimNothing", func(b *testing.B) { benchIdle(b, newEnv(b, open)) })
	b.Run("Renew", func(b *testing.B) { benchRenew(b, newEnv(b, open)) })
	b.Run("Alerts/5000", func(b *testing.B) { benchList(b, newEnv(b, open)) })
}

// benchTrigger writes batches of events, each of another alert, with one delivery
// each.
func benchTrigger(b *testing.B, e *env, size int) {
	tok := e.lead(b, "h")
	alerts := make([]alert.Alert, size)
	for i := range alerts {
		alerts[i] = sample(i)
	}
	e.create(b, alerts...)
	n := 0
	for b.Loop() {
		n++
		events := make([]alert.Event, size)
		for i, a := range alerts {
			events[i] = event(a, n, "webhook")
		}
		e.trigger(b, tok, events...)
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}

// benchClaim claims ten deliveries and finishes them, with a hundred waiting.
func benchClaim(b *testing.B, e *env) {
	tok := e.lead(b, "h")
	a := sample(1)
	e.create(b, a)
	n := 0
	fill := func() {
		events := make([]alert.Event, 100)
		for i := range events {
			n++
			events[i] = event(a, n, "webhook")
		}
		e.trigger(b, tok, events...)
	}
	fill()
	done := 0
	for b.Loop() {
		if done%100 == 0 {
			b.StopTimer()
			fill()
			b.StartTimer()
		}
		for _, d := range claim(b, e, "relay-1", 10, patient) {
			finish(b, e, d, store.Outcome{State: store.Sent})
			done++
		}
	}
	b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "deliveries/s")
}

func benchIdle(b *testing.B, e *env) {
	claim(b, e, "relay-1", 10, patient)
	for b.Loop() {
		claim(b, e, "relay-1", 10, patient)
	}
}

func benchRenew(b *testing.B, e *env) {
	tok := e.lead(b, "h")
	for b.Loop() {
		if _, err := e.Renew(e.ctx, tok, time.Hour, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func benchList(b *testing.B, e *env) {
	for i := range 5000 {
		e.create(b, sample(i))
	}
	for b.Loop() {
		if list, _, err := e.Alerts(e.ctx); err != nil || len(list) != 5000 {
			b.Fatal(len(list), err)
		}
	}
}

package sample_test

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/value"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/sample"
)

// datasetSteps is two hours of scrapes.
const datasetSteps = 480

var stale = math.Float64frombits(value.StaleNaN)

// fill writes the samples of the golden queries: three executors and a gateway, a
// restart, a failed scrape, a series that was born, one that fell silent without a
// marker, a change of leaders. It is arithmetic, so that everybody gets the same.
func fill(t testing.TB, s *sample.Store) {
	t.Helper()
	put := func(step, target int, v float64, kv ...string) {
		ts := epoch.UnixMilli() + int64(step)*interval.Milliseconds() + int64(target)*1100
		if err := s.Add(s.Series(set(kv...)), ts, v); err != nil {
			t.Fatalf("%v at step %d: %v", kv, step, err)
		}
	}
	for i := range datasetSteps {
		for k := 1; k <= 3; k++ {
			executor(put, i, k)
		}
		gateway(put, i)
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

type putFunc func(step, target int, v float64, kv ...string)

// wave is a number in [0, n) that looks like noise.
func wave(i, k, n int) float64 { return float64((i*i*7 + i*13 + k*29 + i*k*3) % n) }

// executor k at step i. Executor 2 restarts at step 200, executor 3 does not answer
// from step 100 to 119, executor 1 leads until step 240 and 2 from 238 on.
func executor(put putFunc, i, k int) {
	in := []string{"", "executor-1:4001", "executor-2:4001", "executor-3:4001"}[k]
	gone := k == 3 && i >= 100 && i < 120
	with := func(v float64, name string, kv ...string) {
		switch {
		case gone && i > 100:
			return
		case gone:
			v = stale
		}
		put(i, k, v, append([]string{"__name__", name, "job", "executor", "instance", in}, kv...)...)
	}
	up := 1.0
	if gone {
		up = 0
	}
	put(i, k, up, "__name__", "up", "job", "executor", "instance", in)

	age := i // steps since the process began
	if k == 2 && i >= 200 {
		age = i - 200
	}
	leads := 0.0
	if k == 1 && i < 240 || k == 2 && i >= 238 {
		leads = 1
	}
	with(leads, wire.MetricIsLeader)
	with(1+math.Floor(float64(i)/240), wire.MetricLeaderEpoch)
	with(40+wave(i/8, k, 9), wire.MetricAlertsActive)
	with(2e8+float64(i)*2048*float64(k)+wave(i, k, 1000)*1e4, "process_resident_memory_bytes")
	with(float64(age)*0.31*float64(k), "process_cpu_seconds_total")
	for n, typ := range []string{"price", "rsi", "macd_cross"} {
		with(float64(age*(n+1)/3)+math.Floor(float64(age)/7), wire.MetricAlertsTriggered, "type", typ)
	}
	for n, ch := range []string{"telegram", "webhook"} {
		with(float64(age*(5-n)), wire.MetricNotificationsSent, "channel", ch)
		with(math.Floor(float64(age)/float64(40+n*15)), wire.MetricNotificationsFailed, "channel", ch, "reason", wire.FailTimeout)
		with(math.Floor(float64(age)/90), wire.MetricNotificationsFailed, "channel", ch, "reason", wire.FailHTTP5xx)
	}
	if k == 1 && i >= 149 {
		with(math.Max(0, float64(i-149)*3), wire.MetricAlertsErrors, "type", "price")
	}
	buckets(with, age, k)
	if i%16 == 3 {
		with(float64(i)*0.25, wire.MetricLastSuccess) // sparser than the look-back
	}
}

// buckets is a histogram whose observations grow slower with time.
func buckets(with func(v float64, name string, kv ...string), age, k int) {
	total := float64(age * 6)
	for n, le := range []string{"0.001", "0.01", "0.1", "0.5", "2", "10"} {
		share := 1 - math.Pow(0.35+float64(k)*0.03, float64(n+1))
		with(math.Floor(total*share), wire.MetricEvalDuration+"_bucket", "le", le)
	}
	with(total, wire.MetricEvalDuration+"_bucket", "le", "+Inf")
	with(total, wire.MetricEvalDuration+"_count")
	with(total*0.037*float64(k), wire.MetricEvalDuration+"_sum")
}

// gateway at step i. Its count of streams ends at step 300, unmarked.
func gateway(put putFunc, i int) {
	with := func(v float64, name string, kv ...string) {
		put(i, 0, v, append([]string{"__name__", name, "job", "gateway", "instance", "gateway-1:3000"}, kv...)...)
	}
	with(1, "up")
	if i < 300 {
		with(wave(i/4, 1, 23), wire.MetricStreamsConnected)
	}
	with(float64(i*17), wire.MetricStreamsMessages, "kind", "open")
	with(float64(i), wire.MetricStreamsMessages, "kind", "closed")
	with(math.Floor(float64(i)/33), wire.MetricStreamsErrors, "reason", wire.StreamSlow)
	with(math.Floor(float64(i)/111), wire.MetricStreamsErrors, "reason", wire.StreamUpstream)
	with(wave(i, 2, 11)/4, wire.MetricCandleAge, "symbol", "BTCUSDT", "timeframe", "1m")
	with(wave(i, 3, 13)/4, wire.MetricCandleAge, "symbol", "ETHUSDT", "timeframe", "1h")
	with(wave(i, 2, 2), wire.MetricUpstreamConnected, "exchange", "binance")
}

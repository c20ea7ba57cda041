package plan_test

import (
	"math"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/plan"
)

func TestParseValue(t *testing.T) {
	tests := []struct {
		in   string
		num  float64
		unit string
	}{
		{"0", 0, ""}, {"42", 42, ""}, {"-3", -3, ""}, {"2.5", 2.5, ""}, {".5", 0.5, ""}, {"1e3", 1000, ""}, {" 7 ", 7, ""},
		{"98%", 0.98, plan.UnitShare}, {"99.5 %", 0.995, plan.UnitShare},
		{"1B", 1, plan.UnitBytes}, {"2KB", 2e3, plan.UnitBytes}, {"500MB", 500e6, plan.UnitBytes}, {"1GB", 1e9, plan.UnitBytes},
		{"2KiB", 2048, plan.UnitBytes}, {"512MiB", 512 << 20, plan.UnitBytes}, {"1.5 GiB", 1.5 * (1 << 30), plan.UnitBytes},
		{"250ms", 0.25, plan.UnitSeconds}, {"2s", 2, plan.UnitSeconds}, {"15m", 900, plan.UnitSeconds}, {"2h", 7200, plan.UnitSeconds}, {"7d", 604800, plan.UnitSeconds},
	}
	for _, tt := range tests {
		v, err := plan.ParseValue(tt.in)
		if err != nil || math.Abs(v.Num-tt.num) > 1e-12*math.Abs(tt.num) || v.Unit != tt.unit || v.IsText {
			t.Errorf("ParseValue(%q) = %+v, %v, want %v %q", tt.in, v, err, tt.num, tt.unit)
		}
	}
	for _, in := range []string{"", "%", "s", ".", "-", "ok", "3 furlongs", "1mb", "1Mb", "5xx", "1.2.3", "NaN", "Inf", "+Inf", "1e400", "1e308GiB", "1 2", "1,5", "0x10"} {
		if v, err := plan.ParseValue(in); err == nil {
			t.Errorf("ParseValue(%q) = %+v, want an error", in, v)
		}
	}
}

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		in   string
		want time.Duration
	}{
		{"0", 0}, {"0s", 0}, {"90s", 90 * time.Second}, {"15m", 15 * time.Minute}, {"1h30m", 90 * time.Minute}, {"2d", 2 * day},
		{"1.5h", 90 * time.Minute}, {"250ms", 250 * time.Millisecond}, {"1d12h", 36 * time.Hour}, {" 5m ", 5 * time.Minute}, {"400d", 400 * day},
	}
	for _, tt := range tests {
		if got, err := plan.ParseDuration(tt.in); err != nil || got != tt.want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"", " ", "15", "m", "15 m", "-5m", "5M", "15m30", "1h-30m", "401d", "400d400d", "1e3s", "5%", "5MB", ".", "1..5s", "NaNs"} {
		if got, err := plan.ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", in, got)
		}
	}
}

func TestFormatDurationIsRead(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0s"}, {15 * time.Minute, "15m"}, {time.Hour, "1h"}, {90 * time.Minute, "1h30m"}, {48 * time.Hour, "48h"}, {20 * time.Hour, "20h"},
		{100 * time.Second, "1m40s"}, {1500 * time.Millisecond, "1.5s"}, {250 * time.Millisecond, "250ms"}, {time.Hour + time.Second, "1h0m1s"},
	} {
		if got := plan.FormatDuration(tt.d); got != tt.want {
			t.Errorf("FormatDuration(%d) = %q, want %q", tt.d, got, tt.want)
		}
	}
	for d := time.Millisecond; d < 400*24*time.Hour; d = d*7/3 + 11*time.Millisecond {
		d = d.Round(time.Millisecond)
		if got, err := plan.ParseDuration(plan.FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%v is written %q and read %v, %v", d, plan.FormatDuration(d), got, err)
		}
	}
}

func TestFormatNumber(t *testing.T) {
	tests := []struct {
		n    float64
		unit string
		want string
	}{
		{0, "", "0"}, {math.Copysign(0, -1), "", "0"}, {3, "", "3"}, {2.5, "", "2.5"}, {1.0 / 3, "", "0.3333"}, {1e15, "", "1e+15"}, {0.00001, "", "1e-05"}, {-2, "", "-2"},
		{0.9942, "%", "99.42 %"}, {1, "%", "100 %"}, {0.995, "%", "99.5 %"}, {0, "%", "0 %"},
		{512 << 20, "bytes", "512 MiB"}, {500e6, "bytes", "476.8 MiB"}, {1 << 30, "bytes", "1 GiB"}, {2048, "bytes", "2 KiB"}, {5, "bytes", "5 B"}, {-1 << 20, "bytes", "-1 MiB"},
		{0, "s", "0 s"}, {0.00025, "s", "250 µs"}, {0.25, "s", "250 ms"}, {1.5, "s", "1.5 s"}, {90, "s", "90 s"}, {900, "s", "15m"}, {1e12, "s", "1000000000000 s"}, {-3, "s", "-3 s"},
		{math.Inf(1), "s", "+Inf s"}, {math.Inf(-1), "", "-Inf"}, {math.NaN(), "%", "NaN"}, {math.Inf(1), "bytes", "+Inf GiB"}, {4, "events", "4 events"},
	}
	for _, tt := range tests {
		if got := plan.FormatNumber(tt.n, tt.unit); got != tt.want {
			t.Errorf("FormatNumber(%v, %q) = %q, want %q", tt.n, tt.unit, got, tt.want)
		}
	}
}

func TestSubstituteFillsWholeNames(t *testing.T) {
	p := &plan.Plan{Params: map[string]plan.Value{
		"a": plan.Number(1), "a_b": {Num: 0.98, Unit: "%"}, "window_x": plan.Number(7), "memory": {Num: 500e6, Unit: "bytes"}, "url": plan.Text("http://x"),
	}}
	const query = `x[$window] > $a and $a_b < $window_x or $a_c + $memory{b=~"c$"} $1 $url`
	const want = `x[90s] > 1 and 0.98 < 7 or $a_c + 500000000{b=~"c$"} $1 http://x`
	if got := p.Substitute(query, 89500*time.Millisecond); got != want {
		t.Errorf("Substitute = %s, want %s", got, want)
	}
}

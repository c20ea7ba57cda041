package stat_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/stat"
)

// every returns samples a minute of a function of the hours.
func every(hours float64, f func(h float64) float64) []stat.Point {
	var out []stat.Point
	for i := range int(hours * 60) {
		out = append(out, stat.Point{T: start + int64(i)*60*second, V: f(float64(i) / 60)})
	}
	return out
}

func judge(points []stat.Point, starts []int64, o stat.Options) stat.Trend {
	return new(stat.Detector).Judge(points, starts, o)
}

func near(a, b, by float64) bool { return math.Abs(a-b) <= by }

func TestTrendOfALineIsTheLine(t *testing.T) {
	got := judge(every(48, func(h float64) float64 { return 100*mb + 2*mb*h }), nil,
		stat.Options{Unit: stat.Bytes, Limit: 512 << 20})
	if !got.Enough || !got.Flagged || got.Reason != "" {
		t.Fatalf("Judge = %+v, want flagged", got)
	}
	for name, v := range map[string]float64{"slope": got.Slope, "low": got.Low, "high": got.High, "first half": got.Halves[0], "second half": got.Halves[1]} {
		if !near(v, 2*mb, 1) {
			t.Errorf("%s = %v, want 2 MB/h", name, v)
		}
	}
	if got.Buckets != 188 || got.Expected != 192 || got.Coverage != 1 || got.Span != 48*time.Hour {
		t.Errorf("%d of %d buckets, coverage %v, span %v, want 188 of 192, 1, 48 h", got.Buckets, got.Expected, got.Coverage, got.Span)
	}
	// 100 + 2·48 MB at the end, from there (536.87 − 196) / 2 hours.
	if want := (512*1.048576 - 196) / 2; !near(got.TimeToLimit.Hours(), want, 0.5) {
		t.Errorf("limit in %v h, want %v", got.TimeToLimit.Hours(), want)
	}
}

// fallsBack grows by 1 MB/h, but its last third lies no higher than the one before.
func fallsBack(h float64) float64 {
	v := 100*mb + mb*h
	switch {
	case h >= 34:
		v -= 15 * mb
	case h > 17:
		v += 15 * mb
	}
	return v
}

func TestTrendNamesWhatSpeaksAgainstALeak(t *testing.T) {
	for _, test := range []struct {
		name   string
		f      func(h float64) float64
		reason string
	}{
		{"constant", func(float64) float64 { return 100 * mb }, "too slow"},
		{"falls", func(h float64) float64 { return 200*mb - 2*mb*h }, "too slow"},
		{"below the effect size", func(h float64) float64 { return 100*mb + 0.5*mb*h }, "too slow"},
		{"saturates", func(h float64) float64 { return 100*mb + 60*mb*(1-math.Exp(-h/12)) }, "flattens out"},
		{"starts late", func(h float64) float64 { return 100*mb + 4*mb*max(0, h-22) }, "first half"},
		{"falls back in the last third", fallsBack, "every third"},
		{"wave of the length of the window", func(h float64) float64 { return 100*mb + 2*mb*h + 200*mb*math.Sin(h/2) }, "noise"},
	} {
		got := judge(every(48, test.f), nil, stat.Options{Unit: stat.Bytes})
		if !got.Enough || got.Flagged || !strings.Contains(got.Reason, test.reason) {
			t.Errorf("%s: flagged %v, reason %q, want %q", test.name, got.Flagged, got.Reason, test.reason)
		}
		if got.Verdict(48*time.Hour) != stat.Pass {
			t.Errorf("%s: verdict %v, want pass", test.name, got.Verdict(48*time.Hour))
		}
	}
}

// A restart gives the memory back: over the whole window the series is level.
func TestTrendSeesThroughRestarts(t *testing.T) {
	leaking := every(48, func(h float64) float64 { return 100*mb + 3*mb*math.Mod(h, 12) })
	starts := []int64{start + 12*hour, start + 24*hour, start + 36*hour}
	if got := judge(leaking, starts, stat.Options{Unit: stat.Bytes}); !got.Flagged || !near(got.Slope, 3*mb, 1) || got.Span != 12*time.Hour || got.Buckets != 4*44 {
		t.Errorf("with restarts: %+v, want 3 MB/h flagged in runs of 12 h and 176 buckets", got)
	} else if v := got.Verdict(48 * time.Hour); v != stat.Warn {
		t.Errorf("runs of 12 h: verdict %v, want a warning", v)
	}
	if got := judge(leaking, nil, stat.Options{Unit: stat.Bytes}); got.Flagged {
		t.Errorf("without the restarts it is %+v, and the test shows nothing", got)
	}
	// Each new process needs more than the one before, and then stays level.
	steps := every(48, func(h float64) float64 { return 100*mb + 40*mb*math.Floor(h/12) })
	if got := judge(steps, starts, stat.Options{Unit: stat.Bytes}); got.Flagged || got.Slope != 0 {
		t.Errorf("level runs: %+v, want no slope", got)
	}
}

func TestTrendIsUnknownWithoutEvidence(t *testing.T) {
	line := func(h float64) float64 { return 100*mb + 3*mb*h }
	hourly := []int64{}
	for h := range int64(48) {
		hourly = append(hourly, start+2*h*hour)
	}
	bad := every(48, func(float64) float64 { return math.NaN() })
	for i := range bad {
		if i%2 == 0 {
			bad[i].V = math.Inf(1 - i%4)
		}
	}
	hole := every(48, line)
	hole = append(hole[:12*60:12*60], hole[47*60:]...)
	for _, test := range []struct {
		name   string
		points []stat.Point
		starts []int64
	}{
		{"nothing", nil, nil},
		{"one point", every(1.0/60, line), nil},
		{"the same time", make([]stat.Point, 100), nil},
		{"no numbers", bad, nil},
		{"beyond every number", every(48, func(float64) float64 { return 1e200 }), nil},
		{"11 buckets after the warm-up", every(3.75, line), nil},
		{"a restart every two hours", every(48, line), hourly},
		{"a hole in the second half", hole, nil},
		{"times without meaning", []stat.Point{{T: math.MinInt64, V: 1}, {T: math.MaxInt64, V: 2}}, []int64{math.MinInt64, math.MaxInt64}},
	} {
		got := judge(test.points, test.starts, stat.Options{Unit: stat.Bytes})
		if got.Enough || got.Flagged || got.Reason == "" || got.Verdict(48*time.Hour) != stat.Unknown {
			t.Errorf("%s: %+v, want unknown with a reason", test.name, got)
		}
	}
	if got := judge(every(4, line), nil, stat.Options{Unit: stat.Bytes}); !got.Enough || got.Buckets != 12 {
		t.Errorf("12 buckets: %+v, want enough", got)
	}
}

func TestTrendDoesNotDependOnOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	points := memory(nil, r, 180, 48, leaks[0])
	o := stat.Options{Unit: stat.Bytes, Limit: 512 << 20}
	want := judge(points, nil, o)
	r.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	if got := judge(points, nil, o); got != want {
		t.Errorf("shuffled: %+v, want %+v", got, want)
	}
	for i := range points {
		if i%500 == 0 {
			points = append(points, stat.Point{T: points[i].T, V: math.NaN()})
		}
	}
	if got := judge(points, nil, o); got != want {
		t.Errorf("with numbers that are none: %+v, want %+v", got, want)
	}
}

func TestTrendCoverageAndWindow(t *testing.T) {
	points := every(48, func(h float64) float64 { return 100*mb + 3*mb*h })
	holed := append(points[:20*60:20*60], points[24*60:]...)
	if got := judge(holed, nil, stat.Options{Unit: stat.Bytes}); !got.Flagged || got.Expected != 192 || got.Buckets != 172 || !near(got.Coverage, 176./192, 1e-9) {
		t.Errorf("a hole of 4 h: %+v, want 172 of 192 buckets, 176 seen", got)
	}
	// Two samples of fifteen are no bucket, eight are.
	thin := append(points[:20*60+2:20*60+2], points[20*60+15:]...)
	thin = append(thin[:30*60-13+8:30*60-13+8], thin[30*60-13+15:]...)
	if got := judge(thin, nil, stat.Options{Unit: stat.Bytes}); got.Buckets != 187 || !near(got.Coverage, 191./192, 1e-9) {
		t.Errorf("a thin bucket: %+v, want one of 188 left out", got)
	}
	// The window is longer than the series: what isn't there lowers the coverage.
	got := judge(points, nil, stat.Options{Unit: stat.Bytes, From: start - 48*hour, To: start + 48*hour})
	if got.Expected != 384 || got.Coverage != 0.5 {
		t.Errorf("twice the window: %+v, want half covered", got)
	}
	got = judge(points, nil, stat.Options{Unit: stat.Bytes, From: start + 24*hour, To: start + 36*hour})
	if got.Expected != 48 || got.Buckets != 44 || got.Span != 12*time.Hour {
		t.Errorf("a quarter of the window: %+v, want 44 of 48", got)
	}
	// The process is known to have been up before: nothing to drop.
	if got := judge(points, []int64{start - 5*hour}, stat.Options{Unit: stat.Bytes}); got.Buckets != 192 {
		t.Errorf("warm before the window: %d buckets, want 192", got.Buckets)
	}
	// A window of years keeps its newest part and its memory small.
	old := append([]stat.Point{{T: 1, V: 5}}, points...)
	if got := judge(old, nil, stat.Options{Unit: stat.Bytes}); !got.Flagged || got.Expected != 1024 {
		t.Errorf("one sample of 1970: %+v, want the newest 1024 buckets", got)
	}
}

func TestTrendVerdictByTime(t *testing.T) {
	const day = 24 * time.Hour
	leak := func(left, span time.Duration) stat.Trend {
		return stat.Trend{Enough: true, Flagged: true, TimeToLimit: left, Span: span}
	}
	for _, test := range []struct {
		name    string
		trend   stat.Trend
		elapsed time.Duration
		want    stat.Verdict
	}{
		{"nothing known", stat.Trend{}, 2 * day, stat.Unknown},
		{"no leak", stat.Trend{Enough: true}, 2 * day, stat.Pass},
		{"an hour from the limit, early", leak(time.Hour, 12*time.Hour), 12 * time.Hour, stat.Warn},
		{"just before a day", leak(time.Hour, day), day - 1, stat.Warn},
		{"a day, limit within two", leak(47*time.Hour, day), day, stat.Fail},
		{"a day, the last bucket missing", leak(47*time.Hour, day-15*time.Minute), day, stat.Fail},
		{"a day, limit later", leak(2*day, day), day, stat.Warn},
		{"two days, limit within the week", leak(7*day-1, 2*day), 2 * day, stat.Fail},
		{"two days, limit later", leak(7*day, 2*day), 2 * day, stat.Warn},
		{"two days, no limit", leak(stat.Never, 2*day), 2 * day, stat.Warn},
		{"two days in runs of one", leak(3*day, day), 2 * day, stat.Warn},
		{"two days in short runs", leak(time.Hour, 12*time.Hour), 2 * day, stat.Warn},
	} {
		if got := test.trend.Verdict(test.elapsed); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestTrendInWords(t *testing.T) {
	const day = 24 * time.Hour
	leak := stat.Trend{
		Enough: true, Flagged: true, Unit: stat.Bytes, Limit: 512 << 20, TimeToLimit: 11 * day,
		Slope: 1.2 * mb, Low: 0.9 * mb, High: 1.5 * mb, Buckets: 188, Expected: 192,
	}
	with := func(f func(*stat.Trend)) stat.Trend {
		c := leak
		f(&c)
		return c
	}
	for _, test := range []struct {
		trend stat.Trend
		want  string
	}{
		{leak, "grows 1.2 MB/h (0.9 to 1.5), limit 512 MiB in 11 days; both halves agree; 188 of 192 buckets"},
		{with(func(t *stat.Trend) { t.Limit = 0 }), "grows 1.2 MB/h (0.9 to 1.5); both halves agree; 188 of 192 buckets"},
		{with(func(t *stat.Trend) { t.TimeToLimit = 0; t.Limit = 5e8 }), "grows 1.2 MB/h (0.9 to 1.5), has reached its limit of 500 MB; both halves agree; 188 of 192 buckets"},
		{with(func(t *stat.Trend) { t.TimeToLimit = stat.Never }), "grows 1.2 MB/h (0.9 to 1.5), limit 512 MiB not in sight; both halves agree; 188 of 192 buckets"},
		{with(func(t *stat.Trend) { t.TimeToLimit = 90 * time.Minute; t.Slope = 123.4 * mb }), "grows 123 MB/h (0.9 to 1.5), limit 512 MiB in 90 minutes; both halves agree; 188 of 192 buckets"},
		{with(func(t *stat.Trend) { t.TimeToLimit = 40 * time.Hour }), "grows 1.2 MB/h (0.9 to 1.5), limit 512 MiB in 40 hours; both halves agree; 188 of 192 buckets"},
		{with(func(t *stat.Trend) { t.TimeToLimit = 2000 * day }), "grows 1.2 MB/h (0.9 to 1.5), limit 512 MiB in 5 years; both halves agree; 188 of 192 buckets"},
		{
			stat.Trend{Enough: true, Flagged: true, Unit: stat.Share, Limit: 0.2, TimeToLimit: 3 * day, Slope: 0.002, Low: 0.001, High: 0.003, Buckets: 92, Expected: 96},
			"grows 0.2 percentage points/h (0.1 to 0.3), limit 20 % in 3 days; both halves agree; 92 of 96 buckets",
		},
		{
			stat.Trend{Enough: true, Flagged: true, Slope: 12, Low: 9.4, High: 15, Limit: 10000, TimeToLimit: 30 * day, Buckets: 92, Expected: 96},
			"grows 12/h (9.4 to 15), limit 10000 in 30 days; both halves agree; 92 of 96 buckets",
		},
		{
			stat.Trend{Unit: stat.Bytes, Reason: "no samples", Expected: 192},
			"no verdict: no samples; 0 of 192 buckets",
		},
		{
			judge(every(48, func(h float64) float64 { return 100*mb + 60*mb*(1-math.Exp(-h/12)) }), nil, stat.Options{Unit: stat.Bytes}),
			"no leak: 0.78 MB/h (0.52 to 1.1), flattens out (halves 1.8 and 0.26); 188 of 192 buckets",
		},
		{
			judge(every(48, func(float64) float64 { return 7 }), nil, stat.Options{}),
			"no leak: 0/h (0 to 0), too slow to matter; 188 of 192 buckets",
		},
	} {
		if got := test.trend.String(); got != test.want {
			t.Errorf("String() =\n%q, want\n%q", got, test.want)
		}
	}
}

func TestTrendOfOtherUnits(t *testing.T) {
	share := every(48, func(h float64) float64 { return 0.05 + 0.002*h })
	if got := judge(share, nil, stat.Options{Unit: stat.Share}); !got.Flagged {
		t.Errorf("CPU from 5 to 15 %%: %v, want flagged", got)
	}
	if got := judge(share, nil, stat.Options{Unit: stat.Share, MinSlope: 0.003}); got.Flagged {
		t.Errorf("with another effect size: %v, want not", got)
	}
	routines := every(48, func(h float64) float64 { return 100 + math.Floor(h) })
	if got := judge(routines, nil, stat.Options{}); !got.Flagged {
		t.Errorf("a goroutine an hour: %v, want flagged", got)
	}
	if got := judge(routines, nil, stat.Options{MinShare: 0.02}); got.Flagged {
		t.Errorf("with 2 %% an hour: %v, want not", got)
	}
}

// The points are what a scrape of anything made: no input may break the detector, or
// make it call unknown a verdict.
func FuzzJudge(f *testing.F) {
	f.Add(int64(1), int64(60_000), 1.0, 0.5, 500, int64(7), int64(900_000))
	f.Add(int64(math.MinInt64), int64(math.MaxInt64), math.Inf(1), math.NaN(), 3, int64(-1), int64(0))
	f.Add(int64(start), int64(-60_000), 1e150, -1e149, 3000, int64(start), int64(1))
	f.Fuzz(func(t *testing.T, from, step int64, v, by float64, n int, restart, bucket int64) {
		points := make([]stat.Point, min(max(n, 0), 4000))
		for i := range points {
			points[i] = stat.Point{T: from + int64(i)*step, V: v + by*float64(i%97)}
		}
		got := judge(points, []int64{restart, restart + step}, stat.Options{Limit: v, Bucket: time.Duration(bucket) * time.Millisecond})
		if got.Flagged && !got.Enough || got.Enough != (got.Verdict(48*time.Hour) != stat.Unknown) {
			t.Errorf("Judge = %+v", got)
		}
		if got.Enough && !(got.Low <= got.Slope && got.Slope <= got.High) || !(got.Coverage >= 0 && got.Coverage <= 1) || got.Buckets > 2*len(points) {
			t.Errorf("Judge = %+v", got)
		}
		_ = got.String()
	})
}

package plan_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/stat"
)

func TestAPointCheckHoldsForThreeSamples(t *testing.T) {
	tests := []struct {
		name   string
		values string // one each 15 s, then the last for ever
		at     time.Duration
		want   plan.Verdict
		says   string
		tries  string
	}{
		{"at once", "111", 30 * time.Second, plan.Pass, "as expected", "1 pass"},
		{"after one bad sample", "0111", 45 * time.Second, plan.Pass, "passed on attempt 2", "1 fail, 2 pass"},
		{"on the third try", "10111", 60 * time.Second, plan.Pass, "passed on attempt 3", "1 pass, 2 fail, 3 pass"},
		{"two are not enough", "11", 29 * time.Second, plan.Pending, "", ""},
		{"three bad ones fail", "000", 30 * time.Second, plan.Fail, "0, expected == 1", "1 fail"},
		{"a failure may heal within the window", "0000111", 90 * time.Second, plan.Pass, "passed on attempt 2", "1 fail, 2 pass"},
		{"nothing is unknown", "???", 30 * time.Second, plan.NoData, "no data", "1 unknown"},
		{"an error is unknown", "!!!", 30 * time.Second, plan.NoData, "could not be asked: refused", "1 unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := begin(t, trial(cp("T+0", "window=5m grace=5m", point("a.value", "")), cp("T+1h", "window=5m grace=5m", manual("ops.end", ""))))
			c.answer("a.value", func(since time.Duration) plan.Observation {
				switch tt.values[min(int(since/(15*time.Second)), len(tt.values)-1)] {
				case '1':
					return one(1)
				case '0':
					return one(0)
				case '!':
					return broken("refused")
				}
				o := nothing()
				o.Coverage = 1
				return o
			})
			c.until(tt.at)
			k := c.want("a.value", tt.want)
			if tt.want == plan.Pending {
				return
			}
			c.says("a.value", tt.says)
			var tries []string
			for _, a := range k.Attempts {
				tries = append(tries, plan.FormatNumber(float64(a.N), "")+" "+a.Verdict)
			}
			if got := strings.Join(tries, ", "); got != tt.tries {
				t.Errorf("tries %q, want %q", got, tt.tries)
			}
			if !k.JudgedAt.Equal(t0.Add(tt.at)) {
				t.Errorf("judged at T+%s", k.JudgedAt.Sub(t0))
			}
		})
	}
}

func TestTheEndOfTheWindowFixesAPointCheck(t *testing.T) {
	tests := []struct {
		name string
		good time.Duration // from then on
		want plan.Verdict
		says string
	}{
		{"a failure", time.Hour, plan.Fail, "0, expected == 1"},
		{"a pass that was not held long enough", 5*time.Minute - 20*time.Second, plan.NoData, "not 3 times in a row before the window ended"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := pointCourse(t, "", tt.good)
			c.until(5*time.Minute - time.Second)
			if c.check("a.value").Fixed {
				t.Error("fixed before the end")
			}
			c.until(5 * time.Minute)
			if k := c.want("a.value", tt.want); !k.Fixed {
				t.Error("not fixed")
			}
			c.says("a.value", tt.says)
			asked := len(c.all)
			c.until(30 * time.Minute)
			c.want("a.value", tt.want)
			if len(c.all) != asked {
				t.Error("a fixed check is asked again")
			}
		})
	}
}

func TestSettleAndEveryAreThePlans(t *testing.T) {
	k := item{id: "a.value", lang: "promql", info: "settle=5 every=30s", lines: []string{"# expect: == 1", "up"}}
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", k)))
	c.until(2*time.Minute - time.Second)
	c.want("a.value", plan.Pending)
	c.until(2 * time.Minute)
	c.want("a.value", plan.Pass)
}

// judged is the verdict on one answer of a window check that is due at T+1h.
func judged(t *testing.T, k item, o plan.Observation) (*course, *plan.CheckState) {
	t.Helper()
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", manual("ops.a", "")), cp("T+1h", "window=5m grace=5m", k), cp("T+4h", "window=5m grace=5m", manual("ops.end", ""))))
	c.answer(k.id, func(time.Duration) plan.Observation { return o })
	c.until(time.Hour + time.Minute)
	return c, c.check(k.id)
}

func TestAWindowCheckNeedsCoverageAndEvents(t *testing.T) {
	covered := func(coverage, events, v float64) plan.Observation {
		o := counting(v, events)
		o.Coverage = coverage
		return o
	}
	tests := []struct {
		name string
		o    plan.Observation
		want plan.Verdict
		says string
	}{
		{"good", covered(1, 20, 1), plan.Pass, "100 %"},
		{"just enough coverage", covered(0.95, 20, 1), plan.Pass, ""},
		{"too little coverage", covered(0.949, 20, 1), plan.NoData, "only 94.9 % of the samples were seen, 95 % are needed"},
		{"too little coverage, and bad", covered(0.5, 20, 0), plan.NoData, "50 %"},
		{"too few events", covered(1, 19, 1), plan.NoData, "only 19 events, 20 are needed"},
		{"too few events, and bad", covered(1, 1, 0), plan.NoData, "only 1 event,"},
		{"events that were not counted", covered(1, -1, 1), plan.NoData, "only 0 events"},
		{"bad", covered(1, 1000, 0.9), plan.Fail, "90 %, expected >= 98%"},
		{"no answer", plan.Observation{Coverage: 1, Events: 100}, plan.NoData, "no data"},
		{"not a number", covered(1, 100, math.NaN()), plan.NoData, "not a number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, k := judged(t, share("b.share", ""), tt.o)
			c.want("b.share", tt.want)
			c.says("b.share", tt.says)
			if !k.Fixed {
				t.Error("not fixed")
			}
		})
	}
}

func TestAWindowCheckThatCannotBeAskedIsAskedAgain(t *testing.T) {
	c := begin(t, trial(cp("T+1h", "window=5m grace=5m", share("b.share", "")), cp("T+4h", "window=5m grace=5m", manual("ops.end", ""))))
	c.answer("b.share", func(since time.Duration) plan.Observation {
		if since < time.Hour+2*time.Minute {
			return broken("refused")
		}
		return counting(1, 100)
	})
	c.until(time.Hour + time.Minute)
	if k := c.want("b.share", plan.NoData); k.Fixed {
		t.Error("fixed")
	}
	c.wantTimes(plan.KindVerdict, "b.share", time.Hour) // once, not with each try
	c.until(2 * time.Hour)
	c.want("b.share", plan.Pass)
	for _, e := range c.all {
		if !e.At.Equal(t0.Add(time.Hour)) || !e.From.Equal(t0.Add(50*time.Minute)) {
			t.Errorf("asked from %s to %s", e.From, e.At)
		}
	}

	c = begin(t, trial(cp("T+1h", "window=5m grace=5m", share("b.share", "")), cp("T+4h", "window=5m grace=5m", manual("ops.end", ""))))
	c.answer("b.share", func(time.Duration) plan.Observation { return broken("refused") })
	c.do("ada", opsLead, plan.Waive{Check: "b.share", Reason: reason, Expires: t0.Add(3 * time.Hour)})
	c.until(2 * time.Hour)
	if k := c.check("b.share"); k.Original != plan.NoData || !k.Fixed {
		t.Errorf("behind the waiver %s, fixed %v", k.Original, k.Fixed)
	}
	c.wantTimes(plan.KindVerdict, "b.share", time.Hour, time.Hour+5*time.Minute)
}

func TestTheWindowIsThatSinceTheCheckpointBefore(t *testing.T) {
	count := item{id: "b.count", lang: "promql", info: "mode=window", lines: []string{"# expect: >= 0", "sum(increase(all_total[$window]))"}}
	first := count
	first.id = "a.count"
	c := begin(t, trial(cp("T+0", "window=5m grace=5m", first), cp("T+15m", "window=5m grace=5m", manual("ops.a", "")), cp("T+1h", "window=5m grace=5m", count)))
	c.until(2 * time.Hour)
	got := map[string][2]time.Duration{}
	for _, e := range c.all {
		got[e.Check.ID] = [2]time.Duration{e.From.Sub(t0), e.At.Sub(t0)}
	}
	if got["a.count"] != [2]time.Duration{-time.Minute, 0} || got["b.count"] != [2]time.Duration{15 * time.Minute, time.Hour} {
		t.Errorf("windows %v", got)
	}
	c.do("ada", opsLead, plan.Recheck{Check: "b.count", Reason: "look"})
	if e := c.all[len(c.all)-1]; e.From.Sub(t0) != 15*time.Minute || e.At.Sub(t0) != 2*time.Hour {
		t.Errorf("a re-check asks from %s to %s", e.From.Sub(t0), e.At.Sub(t0))
	}
}

func TestRatesTellTheirIntervalAndWhetherItIsThin(t *testing.T) {
	tests := []struct {
		v, n      float64
		want      plan.Verdict
		thin      bool
		low, high float64 // of Wilson, from a table
	}{
		{0.95, 20, plan.Fail, true, 0.7639, 0.9911},
		{1, 20, plan.Pass, true, 0.8389, 1},
		{1, 1000, plan.Pass, false, 0.9962, 1},
		{0.9, 1000, plan.Fail, false, 0.8799, 0.9171},
	}
	for _, tt := range tests {
		_, k := judged(t, share("b.share", ""), counting(tt.v, tt.n))
		f := k.Finding
		if k.Verdict != tt.want || f.Thin != tt.thin || f.N == nil || *f.N != tt.n || f.Low == nil || f.High == nil {
			t.Errorf("%v of %v: %s, finding %+v", tt.v, tt.n, k.Verdict, f)
			continue
		}
		if math.Abs(*f.Low-tt.low) > 1e-4 || math.Abs(*f.High-tt.high) > 1e-4 {
			t.Errorf("%v of %v: %v to %v, want %v to %v", tt.v, tt.n, *f.Low, *f.High, tt.low, tt.high)
		}
	}
}

func TestWarnIfAndFailIfMakeAMissAWarning(t *testing.T) {
	for _, line := range []string{"# warn-if: >= 90%", "# fail-if: < 90%"} {
		k := share("b.share", "")
		k.lines = append([]string{line}, k.lines...)
		for v, want := range map[float64]plan.Verdict{0.99: plan.Pass, 0.95: plan.Warn, 0.5: plan.Fail} {
			if _, got := judged(t, k, counting(v, 100)); got.Verdict != want {
				t.Errorf("%s: %v is %s, want %s", line, v, got.Verdict, want)
			}
		}
	}
}

func TestEveryseriesMustSatisfyAndOneMustExist(t *testing.T) {
	answer := func(values ...float64) plan.Observation {
		o := plan.Observation{Coverage: 1, Events: -1}
		for i, v := range values {
			o.Series = append(o.Series, plan.Series{Name: "executor-" + string(rune('a'+i)), Fields: map[string]plan.Value{plan.FieldValue: plan.Number(v)}})
		}
		return o
	}
	k := item{id: "a.value", lang: "promql", info: "mode=window", lines: []string{"# expect: == 1", "up"}}
	empty := k
	empty.lines = append([]string{"# empty: pass"}, k.lines...)
	tests := []struct {
		k    item
		o    plan.Observation
		want plan.Verdict
		says string
	}{
		{k, answer(1, 1, 1), plan.Pass, "executor-a 1; executor-b 1; executor-c 1"},
		{k, answer(1, 0, 1), plan.Fail, "1 of 3 miss == 1: executor-b 0"},
		{k, answer(), plan.NoData, "no data"},
		{empty, answer(), plan.Pass, "nothing of the kind"},
		{empty, answer(0), plan.Fail, "0, expected == 1"},
		{empty, broken("refused"), plan.NoData, "refused"},
		{empty, nothing(), plan.NoData, "only 0 % of the samples"},
		{k, plan.Observation{Coverage: 1, Series: []plan.Series{{Name: "x", Fields: map[string]plan.Value{"other": plan.Number(1)}}}}, plan.NoData, `lacks "value"`},
	}
	for _, tt := range tests {
		c, _ := judged(t, tt.k, tt.o)
		c.want("a.value", tt.want)
		c.says("a.value", tt.says)
	}
}

// A leak of 20 MB/h, and a limit that it meets in less than two days.
func TestATrendOnlyWarnsBeforeADay(t *testing.T) {
	k := item{id: "rss.trend", lang: "trend", info: "by=instance limit=800MB horizon=7d", lines: []string{"process_resident_memory_bytes"}}
	other := k
	other.id = "rss.day"
	c := begin(t, trial(cp("T+12h", "window=5m grace=5m", k), cp("T+24h", "window=5m grace=5m", other), cp("T+48h", "window=5m grace=5m", manual("ops.end", ""))))
	grow := func(e plan.Evaluate, rate float64) plan.Series {
		s := plan.Series{Name: "executor-1", Fields: map[string]plan.Value{}}
		for at := e.From; !at.After(e.At); at = at.Add(time.Minute) {
			s.Points = append(s.Points, stat.Point{T: at.UnixMilli(), V: 200e6 + rate*at.Sub(t0).Hours() + 1e6*math.Sin(float64(at.Unix()))})
		}
		return s
	}
	for _, id := range []string{k.id, other.id} {
		c.answers[id] = func(_ time.Duration, e plan.Evaluate) plan.Observation {
			if !e.From.Equal(t0) {
				t.Errorf("%s is asked from %s", id, e.From)
			}
			return plan.Observation{Series: []plan.Series{grow(e, 20e6)}, Coverage: 1, Events: -1, From: e.From, To: e.At}
		}
	}
	c.until(25 * time.Hour)
	c.want("rss.trend", plan.Warn)
	c.says("rss.trend", "executor-1 grows")
	c.want("rss.day", plan.Fail)

	for name, tt := range map[string]struct {
		series func(e plan.Evaluate) []plan.Series
		want   plan.Verdict
		says   string
	}{
		"no growth": {func(e plan.Evaluate) []plan.Series { return []plan.Series{grow(e, 0)} }, plan.Pass, ""},
		"too young": {func(e plan.Evaluate) []plan.Series {
			s := grow(e, 20e6)
			s.Points = s.Points[len(s.Points)-30:]
			return []plan.Series{s}
		}, plan.NoData, "none of 1 process has run long enough"},
		"one young beside one that grows": {func(e plan.Evaluate) []plan.Series {
			young := grow(e, 0)
			young.Points = young.Points[len(young.Points)-30:]
			return []plan.Series{young, grow(e, 20e6)}
		}, plan.Warn, "1 younger process cannot be judged yet"},
		"nothing": {func(plan.Evaluate) []plan.Series { return nil }, plan.NoData, "no data"},
	} {
		c := begin(t, trial(cp("T+12h", "window=5m grace=5m", k), cp("T+48h", "window=5m grace=5m", manual("ops.end", ""))))
		c.answers[k.id] = func(_ time.Duration, e plan.Evaluate) plan.Observation {
			return plan.Observation{Series: tt.series(e), Coverage: 1, Events: -1, From: e.From, To: e.At}
		}
		c.until(13 * time.Hour)
		if got := c.check(k.id); got.Verdict != tt.want || !strings.Contains(got.Finding.Sentence, tt.says) {
			t.Errorf("%s: %s: %s, want %s with %q", name, got.Verdict, got.Finding.Sentence, tt.want, tt.says)
		}
	}
}

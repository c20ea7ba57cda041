package sample_test

import (
	"context"
	"errors"
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/observe/sample"
)

var (
	_ sample.Querier = (*sample.Local)(nil)
	_ sample.Lister  = (*sample.Local)(nil)
	_ sample.Raw     = (*sample.Local)(nil)
	_ sample.Querier = (*sample.Remote)(nil)
	_ sample.Lister  = (*sample.Remote)(nil)
	_ sample.Raw     = (*sample.Remote)(nil)
)

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		ls   sample.Labels
		want string
	}{
		{nil, `{}`},
		{sample.Labels{{sample.NameLabel, "up"}}, `up`},
		{sample.Labels{{"a", "b"}}, `{a="b"}`},
		{sample.Labels{{"A", "x"}, {sample.NameLabel, "up"}, {"b", "q\"\n"}}, `up{A="x", b="q\"\n"}`},
	} {
		if got := c.ls.String(); got != c.want {
			t.Errorf("String of %v = %s, want %s", []sample.Label(c.ls), got, c.want)
		}
	}
	for i, ls := range []sample.Labels{nil, {{"a", "1"}}, {{"a", "1"}, {"b", "1"}}, {{"a", "2"}}, {{"b", "0"}}} {
		for k, other := range []sample.Labels{nil, {{"a", "1"}}, {{"a", "1"}, {"b", "1"}}, {{"a", "2"}}, {{"b", "0"}}} {
			if got := ls.Compare(other); (got < 0) != (i < k) || (got > 0) != (i > k) {
				t.Errorf("%v.Compare(%v) = %d", ls, other, got)
			}
		}
	}
}

func TestDigest(t *testing.T) {
	a := sample.Sample{Labels: sample.Labels{{"a", "1"}}, T: 1, V: 2}
	b := sample.Sample{Labels: sample.Labels{{"b", "1"}}, T: 1, V: math.NaN()}
	base := sample.Vector{a, b}.Digest()
	if len(base) != 64 || base != (sample.Vector{b, a}).Digest() {
		t.Errorf("the digest %q depends on the order", base)
	}
	other := b
	other.V = math.Float64frombits(0x7ff8000000000042)
	if base != (sample.Vector{a, other}).Digest() {
		t.Error("two NaN have two digests")
	}
	for name, v := range map[string]sample.Vector{
		"fewer":  {a},
		"value":  {{a.Labels, 1, 3}, b},
		"time":   {{a.Labels, 2, 2}, b},
		"labels": {{sample.Labels{{"a", "2"}}, 1, 2}, b},
		"joined": {{sample.Labels{{"a1", ""}}, 1, 2}, b},
		"none":   nil,
		"signed": {{a.Labels, 1, -2}, b},
	} {
		if v.Digest() == base {
			t.Errorf("%s: the digest is the same", name)
		}
	}
	m := sample.Matrix{{a.Labels, []sample.Point{{1, 2}}}, {b.Labels, nil}}
	if m.Digest() == (sample.Matrix{{a.Labels, nil}, {b.Labels, []sample.Point{{1, 2}}}}).Digest() {
		t.Error("a point of one series has the digest of a point of another")
	}
	if m.Digest() != (sample.Matrix{m[1], m[0]}).Digest() {
		t.Error("the digest of a matrix depends on the order")
	}
	if (sample.Matrix{}).Digest() == (sample.Vector{}).Digest() {
		t.Error("nothing and nothing have one digest")
	}
}

func TestLocalErrors(t *testing.T) {
	s := openStore(t, sample.Options{})
	for i := range int64(500) {
		add(t, s, set("__name__", "x"), i*15_000+1, float64(i))
	}
	commit(t, s)
	q := sample.NewLocal(s, sample.LocalOptions{MaxSamples: 100})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	end := time.UnixMilli(500 * 15_000)
	for _, c := range []struct {
		name string
		ctx  context.Context
		expr string
		want sample.Trouble
	}{
		{"too many samples", t.Context(), `sum_over_time(x[2h])`, sample.TroubleExecution},
		{"cancelled", ended, `x`, sample.TroubleCanceled},
		{"late", late, `x`, sample.TroubleTimeout},
		{"a string", t.Context(), `"a"`, sample.TroubleBadData},
		{"a range", t.Context(), `x[1m]`, sample.TroubleBadData},
		{"many to many", t.Context(), `x + on() group_left() (x or label_replace(x, "a", "b", "", ""))`, sample.TroubleExecution},
	} {
		_, err := q.Instant(c.ctx, c.expr, end)
		if e, ok := errors.AsType[*sample.QueryError](err); !ok || e.Trouble != c.want {
			t.Errorf("%s: %#v, want %s", c.name, err, c.want)
		}
	}
	_, err := q.Instant(t.Context(), `sum(`, end)
	if _, ok := errors.AsType[*sample.SyntaxError](err); !ok {
		t.Errorf("syntax: %#v", err)
	}
	for name, f := range map[string]func() error{
		"no step":       func() error { _, err := q.Range(t.Context(), "x", end, end, 0); return err },
		"backwards":     func() error { _, err := q.Range(t.Context(), "x", end, end.Add(-1), time.Second); return err },
		"range of text": func() error { _, err := q.Range(t.Context(), `"x"`, end, end, time.Second); return err },
		"raw vector":    func() error { _, err := q.Samples(t.Context(), `x`, end); return err },
	} {
		if e, ok := errors.AsType[*sample.QueryError](f()); !ok || e.Trouble != sample.TroubleBadData {
			t.Errorf("%s: %v", name, e)
		}
	}
	if _, err := q.Series(t.Context(), []string{"x{"}, end, end, 0); err == nil {
		t.Error("a selector that is none was taken")
	}
}

func TestLookBackAndSubQueriesFollowTheInterval(t *testing.T) {
	s := openStore(t, sample.Options{Interval: 5 * time.Second})
	for i := range int64(13) {
		add(t, s, set("__name__", "x"), i*5_000+1, 1)
	}
	commit(t, s)
	q := sample.NewLocal(s, sample.LocalOptions{})
	for _, c := range []struct {
		expr string
		ms   int64
		want float64 // NaN: nothing
	}{
		{`x`, 60_001 + 14_999, 1},
		{`x`, 60_001 + 15_000, math.NaN()}, // left-open
		{`count_over_time(x[30s:])`, 62_500, 6},
		{`count_over_time(x[30s:15s])`, 62_500, 2},
	} {
		v, err := q.Instant(t.Context(), c.expr, time.UnixMilli(c.ms))
		switch {
		case err != nil:
			t.Errorf("%s: %v", c.expr, err)
		case math.IsNaN(c.want) && len(v) != 0, !math.IsNaN(c.want) && (len(v) != 1 || v[0].V != c.want):
			t.Errorf("%s at %d: %v, want %v", c.expr, c.ms, v, c.want)
		}
	}
	src, err := q.Info(t.Context())
	if err != nil || src.Kind != sample.KindLocal || src.LookBack != 15*time.Second || src.First.UnixMilli() != 1 || src.Last.UnixMilli() != 60_001 || src.BirthBlind {
		t.Errorf("%+v, %v", src, err)
	}
}

// TestEngineVersion holds the stated version to go.mod: release 3.N.P is module
// v0.3NN.P.
func TestEngineVersion(t *testing.T) {
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`github.com/prometheus/prometheus v0\.(\d)(\d\d)\.(\d+)`).FindSubmatch(mod)
	if m == nil {
		t.Fatal("go.mod has no Prometheus")
	}
	minor, _ := strconv.Atoi(string(m[2]))
	if want := string(m[1]) + "." + strconv.Itoa(minor) + "." + string(m[3]); sample.EngineVersion != want {
		t.Errorf("EngineVersion = %s, want %s", sample.EngineVersion, want)
	}
}

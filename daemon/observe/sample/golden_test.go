package sample_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/sample"
)

var update = flag.Bool("update", false, "write testdata/golden.json from the real Prometheus")

// golden is the answer to one query: at two times, and over a range. A series is its
// labels and its points as "ms value".
type golden struct {
	Expr  string
	At    map[string]map[string]string `json:",omitempty"` // offset → labels → point
	Range map[string][]string          `json:",omitempty"` // labels → points
}

// The times of the evaluations: one in the hole of executor 3, one after the restart
// and the silence, one at the end.
var moments = []time.Duration{26 * time.Minute, 77 * time.Minute, 119 * time.Minute}

const (
	rangeFrom = 11 * time.Minute
	rangeTo   = 116 * time.Minute
	rangeStep = 7 * time.Minute
)

func goldenQueries(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "queries.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	if len(out) < 60 {
		t.Fatalf("%d golden queries, want at least 60", len(out))
	}
	return out
}

// ask asks one query in every way.
func ask(ctx context.Context, q sample.Querier, expr string) (golden, error) {
	g := golden{Expr: expr, At: map[string]map[string]string{}, Range: map[string][]string{}}
	for _, m := range moments {
		v, err := q.Instant(ctx, expr, at(m))
		if err != nil {
			return g, err
		}
		line := map[string]string{}
		for _, s := range v {
			line[s.Labels.String()] = point(s.T, s.V)
		}
		g.At[m.String()] = line
	}
	m, err := q.Range(ctx, expr, at(rangeFrom), at(rangeTo), rangeStep)
	if err = harmless(err); err != nil {
		return g, err
	}
	for _, s := range m {
		points := make([]string, len(s.Points))
		for i, p := range s.Points {
			points[i] = point(p.T, p.V)
		}
		g.Range[s.Labels.String()] = points
	}
	return g, nil
}

// harmless forgives the warning that a range has no use for sort.
func harmless(err error) error {
	if w, ok := errors.AsType[sample.Warnings](err); ok && strings.Contains(w.Error(), "sort is ineffective") {
		return nil
	}
	return err
}

func point(t int64, v float64) string {
	return strconv.FormatInt(t, 10) + " " + strconv.FormatFloat(v, 'g', -1, 64)
}

// near compares points: the same time, and values within 1e-9.
var near = cmp.Options{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b string) bool {
	at, av, aok := strings.Cut(a, " ")
	bt, bv, bok := strings.Cut(b, " ")
	x, err1 := strconv.ParseFloat(av, 64)
	y, err2 := strconv.ParseFloat(bv, 64)
	if !aok || !bok || err1 != nil || err2 != nil {
		return a == b
	}
	same := x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= 1e-9*math.Max(math.Abs(x), math.Abs(y))
	return at == bt && same
})}

func readGolden(t *testing.T) map[string]golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []golden
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]golden{}
	for _, g := range list {
		out[g.Expr] = g
	}
	return out
}

// writeGolden writes one series a line, so that a diff can be read.
func writeGolden(t *testing.T, list []golden) {
	t.Helper()
	var parts []string
	for _, g := range list {
		data, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, string(data))
	}
	text := "[\n" + strings.Join(parts, ",\n") + "\n]\n"
	if err := os.WriteFile(filepath.Join("testdata", "golden.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLocalEngineAgreesWithGoldenNumbers(t *testing.T) {
	if *update {
		t.Skip("being written")
	}
	want := readGolden(t)
	s := openStore(t, sample.Options{})
	fill(t, s)
	q := sample.NewLocal(s, sample.LocalOptions{})
	full := 0
	for _, expr := range goldenQueries(t) {
		got, err := ask(t.Context(), q, expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if diff := cmp.Diff(want[expr], got, near); diff != "" {
			t.Errorf("%s differs from Prometheus 2.42 (-want +got):\n%s", expr, diff)
		}
		if len(got.Range) > 0 {
			full++
		}
	}
	if n := len(want); full < n*9/10 {
		t.Errorf("only %d of %d golden queries find anything", full, n)
	}
}

// TestPrometheusAgrees starts the real server on our write-ahead log.
func TestPrometheusAgrees(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, sample.Options{Dir: dir})
	s.NoSync()
	fill(t, s)
	if err := s.NextSegment(); err != nil {
		t.Fatal(err)
	}
	server := startPrometheus(t, dir)
	remote, err := sample.NewRemote(server, sample.RemoteOptions{LookBack: 45 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	local := sample.NewLocal(s, sample.LocalOptions{})
	ctx := t.Context()

	t.Run("golden", func(t *testing.T) {
		var list []golden
		for _, expr := range goldenQueries(t) {
			theirs, err := ask(ctx, remote, expr)
			if err != nil {
				t.Errorf("%s: %v", expr, err)
				continue
			}
			list = append(list, theirs)
			ours, err := ask(ctx, local, expr)
			if err != nil {
				t.Errorf("%s: %v", expr, err)
			}
			if diff := cmp.Diff(theirs, ours, near); diff != "" {
				t.Errorf("%s (-prometheus +ours):\n%s", expr, diff)
			}
		}
		if *update && !t.Failed() {
			writeGolden(t, list)
		}
		want := readGolden(t)
		for _, g := range list {
			if diff := cmp.Diff(want[g.Expr], g, near); diff != "" {
				t.Errorf("%s: the golden numbers are not Prometheus' (-golden +prometheus):\n%s", g.Expr, diff)
			}
		}
	})
	t.Run("every minute", func(t *testing.T) {
		for _, expr := range goldenQueries(t) {
			sameRange(t, remote, local, expr, at(0), at(2*time.Hour), time.Minute)
		}
	})
	t.Run("range in parts", func(t *testing.T) {
		sameRange(t, remote, local, `sum by (job) (rate(process_cpu_seconds_total[5m]))`, at(0), at(12_600*time.Second), time.Second)
	})
	t.Run("raw samples", func(t *testing.T) {
		theirs, err1 := remote.Samples(ctx, `up[5m]`, at(time.Hour))
		ours, err2 := local.Samples(ctx, `up[5m]`, at(time.Hour))
		if err1 != nil || err2 != nil || len(ours) != 4 {
			t.Fatalf("raw samples: %v, %v, %d series", err1, err2, len(ours))
		}
		if theirs.Digest() != ours.Digest() {
			t.Errorf("raw samples: %v, want %v", ours, theirs)
		}
	})
	t.Run("series", func(t *testing.T) { sameLists(t, remote, local) })
	t.Run("source", func(t *testing.T) { remoteSource(t, remote, local) })
	t.Run("newer syntax", func(t *testing.T) { refusesNewer(t, remote) })
}

func sameRange(t *testing.T, a, b sample.Querier, expr string, from, to time.Time, step time.Duration) {
	t.Helper()
	theirs, err := a.Range(t.Context(), expr, from, to, step)
	if harmless(err) != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	ours, err := b.Range(t.Context(), expr, from, to, step)
	if harmless(err) != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	opts := cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateApprox(1e-9, 0), cmpopts.EquateNaNs()}
	if diff := cmp.Diff(theirs, ours, opts); diff != "" {
		t.Errorf("%s (-prometheus +ours):\n%.3000s", expr, diff)
	}
}

func sameLists(t *testing.T, remote, local sample.Lister) {
	ctx, from, to := t.Context(), at(0), at(2*time.Hour)
	for _, sel := range []string{`up`, `{job="gateway"}`, `{__name__=~"alert.*", instance!="executor-2:4001"}`, `up{job="none"}`} {
		a, err1 := remote.Series(ctx, []string{sel}, from, to, 0)
		b, err2 := local.Series(ctx, []string{sel}, from, to, 0)
		if err1 != nil || err2 != nil {
			t.Fatalf("%s: %v, %v", sel, err1, err2)
		}
		if diff := cmp.Diff(a, b, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("series of %s (-prometheus +ours):\n%s", sel, diff)
		}
	}
	for _, name := range []string{sample.NameLabel, "instance", "le", "nothing"} {
		a, err1 := remote.LabelValues(ctx, name, nil, from, to, 0)
		b, err2 := local.LabelValues(ctx, name, nil, from, to, 0)
		if diff := cmp.Diff(a, b, cmpopts.EquateEmpty()); diff != "" || err1 != nil || err2 != nil {
			t.Errorf("values of %s: %v, %v (-prometheus +ours):\n%s", name, err1, err2, diff)
		}
	}
	a, err1 := remote.LabelNames(ctx, []string{"up"}, from, to, 0)
	b, err2 := local.LabelNames(ctx, []string{"up"}, from, to, 0)
	if diff := cmp.Diff(a, b); diff != "" || err1 != nil || err2 != nil {
		t.Errorf("label names: %v, %v (-prometheus +ours):\n%s", err1, err2, diff)
	}
}

func remoteSource(t *testing.T, remote, local sample.Querier) {
	theirs, err1 := remote.Info(t.Context())
	ours, err2 := local.Info(t.Context())
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if theirs.Kind != sample.KindRemote || theirs.Version == "" || !theirs.BirthBlind {
		t.Errorf("source of the server is %+v", theirs)
	}
	if !theirs.First.Equal(ours.First) || !theirs.Last.Equal(ours.Last) || theirs.LookBack != ours.LookBack {
		t.Errorf("source of the server is %+v, want the times of %+v", theirs, ours)
	}
}

// TestGoldenQueriesKnowTheContract keeps the names in step with core/wire.
func TestGoldenQueriesKnowTheContract(t *testing.T) {
	known := []string{"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
	for _, m := range wire.Metrics() {
		known = append(known, m.Name)
		if m.Kind == wire.Histogram {
			known = append(known, m.Name+"_bucket", m.Name+"_sum", m.Name+"_count")
		}
	}
	for _, expr := range goldenQueries(t) {
		names, err := sample.Parse(expr)
		if err != nil {
			t.Errorf("Parse(%q): %v", expr, err)
		}
		for _, n := range names {
			if !slices.Contains(known, n) {
				t.Errorf("%s: core/wire has no metric %s", expr, n)
			}
		}
	}
}

// TestTrapsOfIncrease are the figures of research/hypercare.md, section 4.6, with
// the zero that a birth-aware scraper writes, and anchored, which 2.42 refuses.
func TestTrapsOfIncrease(t *testing.T) {
	lines := map[string][]float64{
		"born":     {math.NaN(), math.NaN(), 5, 5},
		"injected": {math.NaN(), 0, 5, 5},
		"existed":  {7, 7, 12, 12},
		"restart":  {40, 40, 2, 2},
	}
	s := openStore(t, sample.Options{})
	for name, values := range lines {
		h := s.Series(set("__name__", "errors_total", "case", name))
		for i := range 60 * 4 {
			v := values[min(3, max(0, i-200))]
			if math.IsNaN(v) {
				continue
			}
			if err := s.Add(h, epoch.UnixMilli()+int64(i)*interval.Milliseconds(), v); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	q := sample.NewLocal(s, sample.LocalOptions{})
	for _, c := range []struct{ expr, want string }{
		{`increase(errors_total[15m])`, "born 0 existed 5.08 injected 5.08 restart 2.03 "},
		{`increase(errors_total[15m] anchored)`, "born 0 existed 5.00 injected 5.00 restart 2.00 "},
	} {
		v, err := q.Instant(t.Context(), c.expr, at(59*time.Minute+55*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, x := range v {
			got += fmt.Sprintf("%s %.2f ", x.Labels.Get("case"), x.V)
		}
		if got = strings.ReplaceAll(got, "0.00", "0"); got != c.want {
			t.Errorf("%s: %s, want %s", c.expr, got, c.want)
		}
	}
}

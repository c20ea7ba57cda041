package live

import (
	"bufio"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
)

func TestReadExposition(t *testing.T) {
	page := `# HELP a_total What it counts, with "quotes" and {braces}.
# TYPE a_total counter
a_total 3
b{x="1",y="a } b \" { c"} 4.5
b{x="2",} +Inf 1700000000000

  c_bucket{le="0.5"} 7 # {trace_id="1"} 0.4
d	1e-3
e{} NaN
`
	got := map[string][]float64{}
	if err := readExposition(strings.NewReader(page), func(s sample) { got[s.name] = append(got[s.name], s.value) }); err != nil {
		t.Fatal(err)
	}
	want := map[string][]float64{"a_total": {3}, "b": {4.5, math.Inf(1)}, "c_bucket": {7}, "d": {0.001}, "e": {math.NaN()}}
	for name, values := range want {
		for i, v := range values {
			if len(got[name]) != len(values) || got[name][i] != v && !math.IsNaN(v) {
				t.Errorf("%s = %v, want %v", name, got[name], values)
			}
		}
	}
}

func TestReadExpositionRefusesWhatIsNone(t *testing.T) {
	for _, page := range []string{"<html>", "a", "a{", `a{x="} 1`, "a x", "1a 2", "a{x=\"1\"}", "a-b 1", "=", strings.Repeat("x", 2<<20)} {
		if err := readExposition(strings.NewReader("ok 1\n"+page+"\n"), func(sample) {}); !errors.Is(err, errExposition) {
			t.Errorf("readExposition(%.20q) = %v, want an error of a metrics page", page, err)
		}
	}
}

// FuzzExposition: whatever is taken for a sample has a name of the format, and a
// page of which every line was taken is taken again with comments in between.
func FuzzExposition(f *testing.F) {
	for _, s := range []string{"a 1\n", "a{b=\"c\"} 2 3\n", "# x\n\na{} NaN\n", "a{b=\"\\\"}\"} 1\n", "a 0x1p-2\n", "a 1_0\n"} {
		f.Add(s)
	}
	name := regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	f.Fuzz(func(t *testing.T, page string) {
		n := 0
		err := readExposition(strings.NewReader(page), func(s sample) {
			n++
			if !name.MatchString(s.name) {
				t.Errorf("%q gave the name %q", page, s.name)
			}
		})
		if err != nil {
			return
		}
		var again strings.Builder
		lines := bufio.NewScanner(strings.NewReader(page))
		for lines.Scan() {
			again.WriteString("# comment\n" + lines.Text() + "\r\n")
		}
		m := 0
		if err := readExposition(strings.NewReader(again.String()), func(sample) { m++ }); err != nil || m != n {
			t.Errorf("%q: %d samples, with comments between %d, %v", page, n, m, err)
		}
	})
}

func BenchmarkExposition(b *testing.B) {
	page := strings.Repeat("alert_eval_duration_seconds_bucket{le=\"0.005\"} 12345\n", 500)
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		_ = readExposition(strings.NewReader(page), func(sample) {})
	}
}

package sample_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/observe/sample"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		expr string
		want string
	}{
		{`up`, "up"},
		{`sum(rate(b_total[5m])) / sum(a_total) or b_total`, "a_total b_total"},
		{`{__name__="x", job="y"}`, "x"},
		{`{__name__=~"x.*"}`, ""},
		{`1 + time()`, ""},
		{`avg_over_time((min(up))[1h:15s])`, "up"},
		{`mad_over_time(m[1h])`, "m"},
		{"# expect: == 1\nup", "up"},
	} {
		got, err := sample.Parse(c.expr)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("Parse(%q) = %v, %v, want %s", c.expr, got, err, c.want)
		}
	}
}

func TestParseErrorHasAPlace(t *testing.T) {
	for _, c := range []struct {
		expr         string
		line, column int
	}{
		{`sum(`, 1, 5},
		{"up ==\n  rate(x)", 2, 8},
		{`nope(up)`, 1, 1},
		{"# für\nfür", 2, 2},
		{``, 1, 1},
		{`holt_winters(x[5m], 1, 1)`, 1, 1},
	} {
		_, err := sample.Parse(c.expr)
		e, ok := errors.AsType[*sample.SyntaxError](err)
		if !ok {
			t.Errorf("Parse(%q): %v, want a SyntaxError", c.expr, err)
			continue
		}
		if e.Line != c.line || e.Column != c.column || e.Msg == "" {
			t.Errorf("Parse(%q) = %v, want it at %d:%d", c.expr, e, c.line, c.column)
		}
	}
}

// newer is what Prometheus 2.42 refuses and we take. refusesNewer asks the server.
var newer = []string{
	`increase(up[15m] anchored)`,
	`rate(up[15m] smoothed)`,
	`mad_over_time(up[1h])`,
	`double_exponential_smoothing(up[1h], 0.5, 0.5)`,
	`ts_of_last_over_time(up[1h])`,
	`sort_by_label(up, "job")`,
	`first_over_time(up[1h])`,
	`histogram_avg(up)`,
	`limitk(2, up)`,
	`limit_ratio(0.5, up)`,
	`up[300]`,
	`up[5m:60]`,
	`up[300:1m]`,
	`up offset 60`,
	`up offset -60`,
	`up[5m * 2]`,
	`up[5m + 1m:1m]`,
	`up offset (5m * 2)`,
	`up @ 5m`,
	`5m`,
	`up > 5m`,
	`{"up"}`,
	`{"up", job="x"}`,
	`{job="x", "up"}`,
	`{"job"="x"}`,
	`{"a.b"="x"}`,
	`sum by ("job") (up)`,
	`up * on ("job") up`,
	`info(up)`,
}

func TestNewerSyntax(t *testing.T) {
	for _, expr := range newer {
		if _, err := sample.Parse(expr); err != nil {
			t.Errorf("Parse(%q): %v", expr, err)
		}
		if !sample.NewerSyntax(expr) {
			t.Errorf("NewerSyntax(%q) = false, want true", expr)
		}
	}
	for _, expr := range slices.Concat(goldenQueries(t), older) {
		if sample.NewerSyntax(expr) {
			t.Errorf("NewerSyntax(%q) = true, want false", expr)
		}
	}
}

// older looks newer and is not.
var older = []string{
	`label_replace(up, "x", "$1", "job", "(.*)")`,
	`count_values("v", up)`,
	`{__name__=~"up", job="x"}`,
	`topk(3, up{job=~"a|b"}) and on (job) up`,
	`up[5m:]`,
	`up[5m:1m] offset 1m`,
	`up offset -5m`,
	`up @ 1760003604`,
	`up @ end() offset 5m`,
	`sum by (step) (up{range="a"})`,
	`anchored`,
	`clamp_max(up, 0x1F) + 1e3 + Inf`,
	`up atan2 up`,
	`histogram_fraction(0, 0.2, up)`,
	`day_of_year()`,
	`sgn(up) + pi() + deg(up) + sinh(up)`,
}

// refusesNewer lets the real server say what it takes.
func refusesNewer(t *testing.T, remote *sample.Remote) {
	is242 := func(expr string) error {
		_, err := remote.Instant(t.Context(), expr, at(time.Hour))
		if e, ok := errors.AsType[*sample.QueryError](err); ok && strings.Contains(e.Msg, "parse error") {
			return e
		}
		return nil
	}
	for _, expr := range newer {
		if is242(expr) == nil {
			t.Errorf("NewerSyntax(%q) = true, but the server takes it", expr)
		}
	}
	for _, expr := range older {
		if err := is242(expr); err != nil {
			t.Errorf("NewerSyntax(%q) = false, but the server says: %v", expr, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, expr := range slices.Concat(newer, older) {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		names, err := sample.Parse(expr)
		if err != nil {
			if e, ok := errors.AsType[*sample.SyntaxError](err); !ok || e.Line < 1 || e.Column < 1 {
				t.Errorf("Parse(%q): %#v", expr, err)
			}
			if sample.NewerSyntax(expr) {
				t.Errorf("NewerSyntax(%q) = true of what cannot be parsed", expr)
			}
			return
		}
		if !slices.IsSorted(names) {
			t.Errorf("Parse(%q) = %q, want it sorted", expr, names)
		}
		sample.NewerSyntax(expr)
	})
}

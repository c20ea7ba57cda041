package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/wire"
)

func TestShippedPlansHaveNoErrors(t *testing.T) {
	if code, out, errs := command(t, nil, "plan", "lint"); code != 0 {
		t.Errorf("plan lint = %d %s\n%s", code, errs, out)
	}
}

func TestLintNamesFileLineAndColumn(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "runbooks", "hypercare.md"))
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(text), "(redis_up)", "(redis_upp)", 1)
	if bad == string(text) {
		t.Fatal("the plan does not ask for redis_up")
	}
	file := write(t, "mine.md", bad)
	line := 1 + strings.Count(bad[:strings.Index(bad, "redis_upp)")], "\n")
	code, out, errs := command(t, nil, "plan", "lint", file)
	if code != 1 || strings.Count(errs, "\n") != 1 {
		t.Errorf("plan lint = %d %q, want 1 and one line", code, errs)
	}
	if want := file + ":" + itoa(line) + ":"; !strings.Contains(out, want) || !strings.Contains(out, "unknown-metric: no instance has a metric redis_upp") {
		t.Errorf("plan lint says %s, want %s and the metric", out, want)
	}
	_, out, _ = command(t, nil, "plan", "lint", file, "--json")
	var faults []fault
	if err := json.Unmarshal([]byte(out), &faults); err != nil || len(faults) == 0 || faults[0].Line != line || faults[0].Code != "unknown-metric" {
		t.Errorf("plan lint --json = %s: %v", out, err)
	}
	if code, out, _ := command(t, nil, "plan", "lint", write(t, "no.md", "# Hello\n")); code != 1 || !strings.Contains(out, "error parse") {
		t.Errorf("no plan = %d %s, want 1 and a fault", code, out)
	}
}

func itoa(n int) string {
	text, _ := json.Marshal(n)
	return string(text)
}

func TestWhatTheLintTakesForAMetric(t *testing.T) {
	for name, want := range map[string]bool{
		"up": true, wire.SeriesTick: true, "go_goroutines": true, "alerts_active": true, "alert_eval_duration_seconds_bucket": true,
		"alert_eval_duration_seconds": true, "alerts_active_bucket": false, "alert_active": false, "": false,
	} {
		if got := metricExists(name); got != want {
			t.Errorf("metricExists(%q) = %t, want %t", name, got, want)
		}
	}
}

func TestTheSyntaxErrorIsPlacedInBytes(t *testing.T) {
	for _, tt := range []struct {
		expr string
		want int
	}{
		{"foo bar", 4},
		{"up{a=\"ä\"} +\n  foo bar", 19},
	} {
		if _, pos, err := syntax(tt.expr); err == nil || pos != tt.want {
			t.Errorf("syntax(%q) = %d, %v, want %d", tt.expr, pos, err, tt.want)
		}
	}
	if metrics, _, err := syntax("sum(rate(a[5m])) / b"); err != nil || strings.Join(metrics, ",") != "a,b" {
		t.Errorf("metrics %v, %v, want a and b", metrics, err)
	}
	if got := offsetOf("ab", 9, 9); got != 2 {
		t.Errorf("a place beyond the text = %d, want its end", got)
	}
}

func TestShowAndExport(t *testing.T) {
	code, out, _ := command(t, nil, "plan", "show")
	if code != 0 || !strings.Contains(out, "health.all*") || !strings.Contains(out, "status == 200") {
		t.Errorf("plan show = %d %.400s", code, out)
	}
	code, out, _ = command(t, nil, "plan", "export", "go-live")
	var p exportedPlan
	if err := json.Unmarshal([]byte(out), &p); err != nil || code != 0 || p.ID != "go-live" || len(p.Digest) != 64 || len(p.Checkpoints) == 0 || len(p.Checkpoints[0].Checks) == 0 {
		t.Errorf("plan export = %d %.300s: %v", code, out, err)
	}
	if code, _, errs := command(t, nil, "plan", "show", write(t, "no.md", "# Hello\n")); code != 1 || strings.Count(errs, "\n") != 1 {
		t.Errorf("plan show of no plan = %d %q, want 1 and one line", code, errs)
	}
}

func TestShippedCoverageProvesEveryKeyCheck(t *testing.T) {
	code, out, errs := command(t, nil, "plan", "coverage", "--shipped", "--json")
	var c wire.Coverage
	if err := json.Unmarshal([]byte(out), &c); err != nil || code != 0 || len(c.Checks) < 30 {
		t.Errorf("plan coverage --shipped = %d %s %.200s: %v", code, errs, out, err)
	}
	some := wire.Coverage{Checks: []wire.CheckCoverage{
		{ID: "a", Key: true, Fail: []string{"x"}}, {ID: "b", Key: true, Unknown: []string{"x"}}, {ID: "c"},
		{ID: "d", Key: true, Fail: []string{"x"}, Unknown: []string{"y"}},
	}}
	if got := strings.Join(unproven(some), ","); got != "a,b" {
		t.Errorf("unproven = %s, want a and b", got)
	}
}

package observe_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/daemon/observe"
	"github.com/spark-ta/spark/daemon/observe/sample"
)

const spikes = `---
kind: hypercare-plan
id: spikes
schema: 1
service: small
signoff: [operations-lead, development-lead]
exit: { open_waivers: 2, user_issues: 2 }
---

# Spikes

## T+0

- [ ] No error spikes ` + "`logs.spikes`" + `
  ` + "```promql window=2h" + `
  # expect: events < 5 or ratio < 3 or p > 0.001
  # baseline: sum(increase(log_records_total{level="error"}[6h] offset 15m))
  sum(increase(log_records_total{level="error"}[15m]))
  ` + "```" + `
`

// TestASpikeNeedsSizeRatioAndSignificance: five records where a sixth of one was usual
// are a spike; five where one and a half were usual happen by chance.
func TestASpikeNeedsSizeRatioAndSignificance(t *testing.T) {
	p, err := plan.Parse("spikes.md", []byte(spikes))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		hourly float64 // errors before
		burst  float64 // within five minutes, an hour before the end
		spike  bool
	}{
		{"nothing at all", 0, 0, false},
		{"twelve out of nothing", 0, 12, true},
		{"four out of nothing", 0, 4, false},
		{"six where one and a half are usual", 6, 4, false},
		{"thirty where one and a half are usual", 6, 30, true},
	} {
		store, err := sample.Open(sample.Options{})
		if err != nil {
			t.Fatal(err)
		}
		up := store.Series(labels.FromStrings("__name__", "up", "instance", "a"))
		tick := store.Series(labels.FromStrings("__name__", "spark_observer_tick"))
		errors := store.Series(labels.FromStrings("__name__", "log_records_total", "instance", "a", "level", "error"))
		end := begin.Add(10 * time.Hour)
		for at := begin; !at.After(end); at = at.Add(observe.Every) {
			n := float64(int(at.Sub(begin).Hours() * c.hourly))
			if into := at.Sub(end.Add(-time.Hour)); into > 0 {
				n += min(1, into.Minutes()/5) * c.burst
			}
			for series, v := range map[uint64]float64{up: 1, tick: 1, errors: n} {
				if err := store.Add(series, at.UnixMilli(), v); err != nil {
					t.Fatal(err)
				}
			}
			if err := store.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		check := p.Check("logs.spikes")
		if check.Mode != plan.Window || check.Source.Baseline == "" {
			t.Fatalf("the check is %s with baseline %q", check.Mode, check.Source.Baseline)
		}
		local := sample.NewLocal(store, sample.LocalOptions{})
		o := observe.NewAsker(local, sample.Source{Kind: sample.KindLocal}, nil, observe.Every).Ask(
			t.Context(), &plan.State{Plan: p, T0: begin}, plan.Evaluate{Check: check, From: end.Add(-2 * time.Hour), At: end})
		if o.Err != "" || len(o.Series) != 1 || o.Coverage < 0.99 || !strings.Contains(o.Query, "15m") {
			t.Errorf("%s: %+v", c.name, o)
			continue
		}
		f := o.Series[0].Fields
		got := f["events"].Num >= 5 && f["ratio"].Num >= 3 && f["p"].Num <= 0.001
		if got != c.spike {
			t.Errorf("%s: spike %t, want %t: %v events, ratio %v, p %v", c.name, got, c.spike, f["events"], f["ratio"], f["p"])
		}
	}
}

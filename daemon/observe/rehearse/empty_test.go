package rehearse_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/stat"
)

// randomCheck writes an item with a source and what it expects of it. The one way that
// a plan may call nothing good, "# empty: pass", is left out.
func randomCheck(rng *rand.Rand, id string) string {
	pick := func(words ...string) string { return words[rng.IntN(len(words))] }
	expect := pick("== 0", "== 1", "<= 5", ">= 0", "< 100%", "!= 3", "> -1", "value == value", "series <= 10", "series >= 0 and value >= 0", "series == 0", "not value > 3")
	more := pick("", "# warn-if: > 0\n  ", "# fail-if: > 10\n  ")
	patience := pick("", "# fail-after: 1m\n  ")
	events := pick("", "# unknown-if: events < 3\n  # events: sum(up)\n  ")
	settle := pick("", " settle=1", " every=5s")
	var fence string
	switch rng.IntN(8) {
	case 0, 1:
		fence = "```promql" + settle + "\n  # expect: " + expect + "\n  " + more + events + "sum(up)\n  ```"
	case 2:
		fence = "```promql mode=invariant\n  # expect: " + expect + "\n  " + more + patience + "sum(up)\n  ```"
	case 3:
		fence = "```promql window=1h\n  # expect: " + expect + "\n  " + more + events + "sum(increase(up[$window]))\n  ```"
	case 4:
		fence = "```slo target=" + pick("0%", "50%", "99.5%") + " window=1h" + pick("", " burn") + "\n  # good: sum(up)\n  # total: sum(up)\n  sum(up)\n  ```"
	case 5:
		fence = "```trend by=instance window=1h limit=500MB horizon=7d\n  process_resident_memory_bytes\n  ```"
	case 6:
		fence = "```http each=all" + settle + "\n  # expect: " + pick("status == 200", "status != 500", "latency < 1s", "status >= 0 and latency >= 0", "body != x") + "\n  GET /health\n  ```"
	default:
		fence = "```redis" + settle + "\n  # expect: " + pick("used_memory < 100MB", "aof_enabled != 0", "loading == 0") + "\n  INFO memory\n  ```"
	}
	return "- [ ] Something " + id + " `" + id + "`" + pick("", " `key`") + "\n  " + fence + "\n"
}

// nothing is an answer that holds no evidence.
func nothing(rng *rand.Rand) plan.Observation {
	o := plan.Observation{Coverage: []float64{-1, 0, 0.2, 1}[rng.IntN(4)], Events: []float64{-1, 0, 1000}[rng.IntN(3)]}
	switch rng.IntN(7) {
	case 0: // empty
	case 1:
		o.Series = []plan.Series{}
	case 2:
		o.Err = "connection refused"
	case 3: // a series that says nothing
		o.Series = []plan.Series{{Name: "x", Fields: map[string]plan.Value{}}}
	case 4:
		o.Series = []plan.Series{{Name: "x", Fields: map[string]plan.Value{plan.FieldValue: plan.Number(math.NaN())}}, {Name: "y"}}
	case 5:
		o.Good, o.Total = math.NaN(), math.NaN()
		o.Series = []plan.Series{{Name: "x", Points: []stat.Point{{T: 1, V: 1}}}}
	case 6: // an answer that came with an error, or without the samples behind it
		o.Series = []plan.Series{{Name: "x", Fields: map[string]plan.Value{plan.FieldValue: plan.Number(0), "status": plan.Number(200)}}}
		o.Good, o.Total = 100, 100
		if o.Coverage = 0.1; rng.IntN(2) == 0 {
			o.Err = "timed out"
		}
	}
	return o
}

// No way leads from an answer without evidence to a pass.
func TestNothingIsNeverGreen(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 40
	}
	judged := 0
	for round := range rounds {
		rng := rand.New(rand.NewPCG(uint64(round), 7))
		var text strings.Builder
		text.WriteString("---\nkind: hypercare-plan\nid: nothing\nschema: 1\nservice: s\nsignoff: [operations-lead, development-lead]\nexit: { open_waivers: 2, user_issues: 2 }\n---\n\n# Nothing\n")
		for i, at := range []string{"T+0", "T+15m", "T+1h", "T+2h"} {
			fmt.Fprintf(&text, "\n## %s\n<!-- hc window=10m grace=5m -->\n\n### Checks\n\n", at)
			for k := range 4 {
				text.WriteString(randomCheck(rng, fmt.Sprintf("c%d.k%d", i, k)))
			}
		}
		judged += without(t, rng, text.String())
	}
	if judged < rounds*10 {
		t.Errorf("only %d verdicts were given: the machine did not judge", judged)
	}
}

// without carries a plan out to which nothing is ever answered, and returns how many
// verdicts were given.
func without(t *testing.T, rng *rand.Rand, text string) (judged int) {
	t.Helper()
	t0 := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	m := &plan.Machine{}
	_, effects, next, err := m.Do(t0, plan.Actor{Who: "alice"}, plan.Start{ID: "r", File: "nothing.md", Text: text, Version: "1", Profile: "compose", T0: t0})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for now := t0; now.Before(t0.Add(3 * time.Hour)); {
		var seen []plan.Observed
		for _, e := range effects {
			switch e := e.(type) {
			case plan.Evaluate:
				o := nothing(rng)
				if e.Purpose == plan.ForBurn {
					for _, tier := range e.Tiers {
						o.Tiers = append(o.Tiers, plan.Tier{Name: tier.Name})
					}
				}
				seen = append(seen, plan.Observed{Evaluate: e, Observation: o})
			case plan.Append:
				if check, verdict := plan.VerdictOf(e.Body); verdict != "" {
					judged++
					if verdict != plan.NoData.String() {
						t.Errorf("%s is %s of nothing: %s\n%s", check, verdict, m.State().Check(check).Finding.Sentence, text)
					}
				}
			}
		}
		if len(seen) == 0 {
			if next.IsZero() {
				break
			}
			now = next
		}
		effects, next = m.Step(now, seen...)
	}
	for _, c := range m.State().Checkpoints {
		for _, k := range c.States {
			if k.Verdict != plan.NoData {
				t.Errorf("at the end %s is %s: %s", k.ID, k.Verdict, k.Finding.Sentence)
			}
		}
	}
	return judged
}

package rehearse_test

import (
	"bytes"
	"testing"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
	"github.com/spark-ta/spark/daemon/observe"
	"github.com/spark-ta/spark/daemon/observe/rehearse"
	"github.com/spark-ta/spark/runbooks"
)

func TestTheSameScenarioGivesTheSameJournalAndReport(t *testing.T) {
	ids := []string{"perfect-go-live", "lock-reset-wrong-epoch", "waiver-expiry"}
	if testing.Short() {
		ids = ids[:2]
	}
	for _, id := range ids {
		a, b := lived(t, shipped(t, id)), lived(t, shipped(t, id))
		if ra, rb := a.Result(), b.Result(); ra.Head != rb.Head || ra.Records != rb.Records {
			t.Errorf("%s: heads %s (%d) and %s (%d)", id, ra.Head, ra.Records, rb.Head, rb.Records)
		}
		seq := a.Desk.Journal.Head().Seq
		for _, format := range []string{report.Markdown, report.HTML, report.JSON} {
			for _, at := range []int64{seq, seq / 2} {
				one, err := observe.ReportAt(a.Records(), format, at)
				if err != nil {
					t.Fatal(err)
				}
				other, err := b.Desk.Report(format, at)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(one, other) {
					t.Errorf("%s: the %s report at record %d is not the same", id, format, at)
				}
				if !bytes.Contains(bytes.ToUpper(one), []byte("REHEARSAL")) {
					t.Errorf("%s: the %s report does not say that it is of a rehearsal", id, format)
				}
			}
		}
	}
}

func TestARestartKnowsWhatTheJournalSays(t *testing.T) {
	r := lived(t, shipped(t, "fail-recovered-incident"))
	m := &plan.Machine{}
	for _, rec := range records(t, r.Records()) {
		if err := m.Apply(rec); err != nil {
			t.Fatal(err)
		}
	}
	was := report.Digest(picture(r))
	for id, k := range report.Digest(report.Run(m.State(), r.Now())) {
		if k.Verdict != was[id].Verdict || k.Sentence != was[id].Sentence || k.Recovered != was[id].Recovered {
			t.Errorf("%s: replayed %s %q, was %s %q", id, k.Verdict, k.Sentence, was[id].Verdict, was[id].Sentence)
		}
	}
}

// The same plan on the same samples must not differ, else no difference of another
// plan could be believed.
func TestWhatIfShowsWhatTheChangeDoes(t *testing.T) {
	text, _ := runbooks.Plan("hypercare")
	of := func(id string) func() *rehearse.Rehearsal {
		return func() *rehearse.Rehearsal { return shipped(t, id) }
	}
	change := func(from, to string) string {
		if bytes.Count(text, []byte(from)) != 1 {
			t.Fatalf("%q stands %d times in the plan", from, bytes.Count(text, []byte(from)))
		}
		return string(bytes.Replace(text, []byte(from), []byte(to), 1))
	}
	for _, c := range []struct {
		name string
		slow bool
		of   func() *rehearse.Rehearsal
		plan string
		want map[string][2]string // was, would
	}{
		{"the same plan", false, of("two-leaders-30s"), string(text), nil},
		{"the same plan, with people who act", true, of("stuck-leader"), string(text), nil},
		{"the same plan, with a waiver that ends", true, of("waiver-expiry"), string(text), nil},
		{"the same plan, with a restart of the observer", true, func() *rehearse.Rehearsal {
			return rehearsal(t, scenario(t, "---\nkind: scenario\nid: x\nextends: two-leaders-30s\n---\n# X\n\n```faults\nT+26m observer away for 3m\n```\n"), rehearse.Options{})
		}, string(text), nil},
		{"two leaders may be seen three times", false, of("two-leaders-30s"), change("# fail-after: 15s above 1, 60s at 0", "# fail-after: 45s above 1, 60s at 0"), map[string][2]string{"leader.single": {"fail", "pass"}}},
		{"a larger store is allowed", true, of("waiver-expiry"), change("store_memory: 100MB", "store_memory: 300MB"), map[string][2]string{"redis.memory": {"fail", "pass"}}},
		{"a sweep may be late for ever", true, of("stuck-leader"), change("# expect: < 90s\n  # fail-after: 3m", "# expect: < 2h\n  # fail-after: 3m"), map[string][2]string{"eval.sweeping": {"warn", "pass"}}},
	} {
		if c.slow && testing.Short() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := lived(t, c.of())
			before := r.Desk.Journal.Head()
			answer, err := r.Desk.WhatIf(t.Context(), c.plan)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range answer.Changes {
				if w, ok := c.want[x.Check]; !ok || w != [2]string{x.Was, x.Would} {
					t.Errorf("%s: %s → %s: %s", x.Check, x.Was, x.Would, x.Sentence)
				}
			}
			if len(answer.Changes) != len(c.want) {
				t.Errorf("%d changes, want %d", len(answer.Changes), len(c.want))
			}
			if r.Desk.Journal.Head() != before {
				t.Error("the question has changed the journal")
			}
		})
	}
}

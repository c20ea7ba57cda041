package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
	"github.com/spark-ta/spark/core/wire"
)

// everything is a plan with each mode and kind, and a changed one.
func everything(expect string) string {
	changed := item{id: "a.changed", flags: "key", lang: "promql", lines: []string{"# expect: " + expect, "up"}}
	decided := item{id: "b.decided", hc: `decide=LIMIT from=1 to=2 why="more"`, lang: "promql", info: "window=10m", lines: []string{"# expect: >= 98%", "# warn-if: >= 10%", "rate(x[$window])"}}
	slow := single("leader.slow", "")
	slow.info += " every=60s"
	gone := point("a.gone", "key")
	gone.hc = `na-all-in-one="it is not there"`
	return trial(
		cp("T+0", "window=3m grace=2m signoff=operations-lead", point("a.value", "key"), changed, gone, single("leader.single", "key"), slow, manual("ops.a", "evidence=note")),
		cp("T+15m", "window=5m grace=5m", share("b.share", "key"), decided, manual("ops.b", "")),
		cp("T+1h", "window=10m grace=5m signoff=operations-lead,development-lead", burning("slo.share", "unwaivable"), item{
			id: "run.open", lang: "run", lines: []string{"# expect: open == 0", "incidents"},
		}, item{id: "c.trend", lang: "trend", info: "by=instance limit=1GB", lines: []string{"process_resident_memory_bytes"}}))
}

var checkIDs = []string{
	"a.value", "a.changed", "a.gone", "leader.single", "leader.slow", "ops.a", "b.share", "b.decided", "ops.b", "slo.share", "run.open", "c.trend", "x.unknown",
}

// chance is a course that is driven by chance.
type chance struct {
	*course
	r *rand.Rand
}

func (c *chance) one(of ...string) string { return of[c.r.IntN(len(of))] }

// observation is an answer of any kind.
func (c *chance) observation(e plan.Evaluate) plan.Observation {
	switch c.r.IntN(10) {
	case 0:
		return broken("refused")
	case 1:
		return nothing()
	case 2:
		o := counting(math.NaN(), math.NaN())
		o.Good, o.Total = math.NaN(), math.Inf(1)
		return o
	case 3:
		return counting(math.Inf(1), 1000)
	case 4, 5:
		o := counted(e, 1000, float64(c.r.IntN(100)))
		o.Series, o.Events = one(float64(c.r.IntN(3))).Series, 1000
		return o
	}
	o := counted(e, 1000, 1)
	o.Series, o.Events = one(1).Series, 1000
	return o
}

func (c *chance) act() plan.Act {
	k, text := c.one(checkIDs...), c.one("", "a", reason, reason, reason, reason, strings.Repeat("ü", 3000))
	role := c.one(opsLead, devLead, "janitor")
	at := c.now.Add(time.Duration(c.r.IntN(100)-20) * time.Minute)
	switch c.r.IntN(18) {
	case 0, 1:
		return plan.Tick{Check: c.one("ops.a", "ops.b", k), Evidence: text}
	case 2:
		return plan.Untick{Check: c.one("ops.a", "ops.b", k), Reason: text}
	case 3:
		return plan.AddNote{Check: k, Text: text}
	case 4, 5:
		return plan.Waive{Check: k, Reason: text, Expires: at}
	case 6, 7:
		return plan.Recheck{Check: k, Reason: text}
	case 8:
		return plan.Decide{ID: c.one("", "d-1", "d-1", "d-2", "d-9"), Parameter: c.one("", "P", "P"), To: "2", Why: text, ReviewAt: []time.Time{{}, at}[c.r.IntN(2)]}
	case 9:
		return plan.OpenIncident{Level: c.r.IntN(5), Title: text, Checks: []string{k}}
	case 10, 11:
		return plan.ChangeIncident{ID: fmt.Sprintf("i-%d", 1+c.r.IntN(4)), Verb: c.one("own", "link", "close", "x"), Checks: []string{k}, Result: text, Note: text}
	case 12:
		return plan.ReportIssue{Text: text, Minor: c.r.IntN(2) == 0}
	case 13:
		return plan.Amend{File: "plan.md", Text: everything(c.one("== 1", ">= 1", "==="))}
	case 14:
		return plan.Missed{From: at, To: c.now, What: "slept"}
	case 15:
		return plan.ClockStep{By: time.Duration(c.r.IntN(10000)-5000) * time.Second}
	case 16:
		return plan.Sign{Checkpoint: c.one("T+0", "T+15m", "T+1h", "T+9h"), Role: role, Decision: c.one(plan.DecisionClose, plan.DecisionNoGo)}
	}
	if !c.m.State().Running() || role == "janitor" {
		return plan.Sign{Role: role, Decision: plan.DecisionClose}
	}
	decision := c.one(plan.DecisionClose, plan.DecisionNoGo)
	return plan.Sign{Role: role, Decision: decision, Signature: c.note(decision, signerOf(c.t, role))}
}

// turn does one thing of many.
func (c *chance) turn() {
	switch c.r.IntN(16) {
	case 0, 1:
		c.until(c.now.Sub(t0) + time.Duration(c.r.IntN(600))*time.Second)
	case 2, 3, 4:
		c.until(c.now.Sub(t0) + time.Duration(c.r.IntN(40000))*time.Millisecond)
	case 5: // answers that were long under way, perhaps of another plan
		held := c.held
		c.held = nil
		for _, e := range held {
			c.take(c.m.Step(c.now, plan.Observed{Evaluate: e, Observation: c.observation(e)}))
		}
	case 6: // twice, or never asked
		if len(c.all) > 0 {
			e := c.all[c.r.IntN(len(c.all))]
			c.take(c.m.Step(c.now, plan.Observed{Evaluate: e, Observation: c.observation(e)}))
		}
	case 7: // the clock goes back
		c.take(c.m.Step(c.now.Add(-time.Duration(c.r.IntN(3600)) * time.Second)))
	case 8:
		if c.r.IntN(4) == 0 {
			c.restart(c.now.Sub(t0) + time.Duration(c.r.IntN(900))*time.Second)
		}
	default:
		before, n := c.picture(), len(c.records)
		if _, err := c.try("ada", c.one("", opsLead, devLead), c.act()); err != nil {
			var e *plan.ActError
			if !errors.As(err, &e) || !errors.Is(err, e.Kind) || e.Text == "" {
				c.t.Errorf("an act is refused by %v", err)
			}
			if after := c.picture(); len(c.records) == n && after != before {
				c.t.Errorf("a refused act changed:\n%s", cmp.Diff(before, after))
			}
		}
	}
}

// picture is what the journal must tell too: without what is only felt.
func (c *chance) picture() string { return picture(c.t, c.m, c.records[len(c.records)-1].At) }

func picture(t testing.TB, m *plan.Machine, at int64) string {
	t.Helper()
	out, err := json.MarshalIndent(recorded(report.Run(m.State(), time.UnixMilli(at).UTC())), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// recorded takes out of a picture what no record says: the newest sample of a check
// that has no verdict yet, and how an objective burns between two records.
func recorded(run *wire.HypercareRun) *wire.HypercareRun {
	for i := range run.Checkpoints {
		for j := range run.Checkpoints[i].Sections {
			for n := range run.Checkpoints[i].Sections[j].Checks {
				k := &run.Checkpoints[i].Sections[j].Checks[n]
				if k.JudgedAt == 0 {
					k.Sentence, k.Value, k.Threshold, k.N, k.Low, k.High, k.Coverage, k.From, k.To, k.Query, k.Engine, k.Digest, k.Thin = "", "", "", nil, nil, nil, nil, 0, 0, "", "", "", false
				}
			}
		}
	}
	for i := range run.SLOs {
		run.SLOs[i].Burns, run.SLOs[i].Verdict = nil, ""
	}
	return run
}

func verdicts(s *plan.State) map[string]string {
	out := map[string]string{}
	if s.Plan == nil {
		return out
	}
	for _, p := range s.Checkpoints {
		for _, k := range p.States {
			out[k.ID] = fmt.Sprint(k.Verdict, k.Original, k.Fixed, k.Recovered)
		}
	}
	return out
}

// Whatever happens, the journal tells what the machine knows, and no verdict changes
// without a record that names its check.
func TestTheJournalTellsWhatTheMachineKnows(t *testing.T) {
	kinds := map[string]int{}
	for seed := range uint64(16) {
		c := &chance{begin(t, everything("== 1")), rand.New(rand.NewPCG(seed, 7))}
		calm := seed%3 == 0 // so that some runs come to their end
		for _, id := range checkIDs {
			c.answers[id] = func(_ time.Duration, e plan.Evaluate) plan.Observation {
				if calm && c.r.IntN(300) > 0 {
					o := counted(e, 1000, 1)
					o.Series, o.Events = one(1).Series, 1000
					return o
				}
				return c.observation(e)
			}
		}
		c.answer("b.decided", func(time.Duration) plan.Observation { return counting(0.5, 1000) }) // proposes
		c.hold = func(plan.Evaluate) bool { return !calm && c.r.IntN(20) == 0 }
		for turn := range 150 {
			before, n := verdicts(c.m.State()), len(c.records)
			c.turn()
			for id, v := range verdicts(c.m.State()) {
				if before[id] != v && !named(c.records[n:], id) {
					t.Fatalf("seed %d, turn %d: %s went from %s to %s without a record", seed, turn, id, before[id], v)
				}
			}
			if turn%10 != 9 {
				continue
			}
			m := replayed(t, c.records)
			if live, told := c.picture(), picture(t, m, c.records[len(c.records)-1].At); live != told {
				t.Fatalf("seed %d, turn %d (-live +journal):\n%s", seed, turn, cmp.Diff(live, told))
			}
			a, errA := c.m.State().Statement()
			b, errB := m.State().Statement()
			if a != b || errA != nil || errB != nil || c.m.State().Note() != m.State().Note() {
				t.Fatalf("seed %d, turn %d: statements %+v and %+v", seed, turn, a, b)
			}
		}
		for _, r := range c.records {
			kinds[r.Kind]++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, k := range []string{
		plan.KindVerdict, plan.KindTick, plan.KindUntick, plan.KindWaive, plan.KindExpired, plan.KindRecheck, plan.KindProposal, plan.KindDecision,
		plan.KindEffect, plan.KindIncident, plan.KindRaise, plan.KindLink, plan.KindResolve, plan.KindSignOff, plan.KindEscalation, plan.KindGap, plan.KindAmend, plan.KindSLO,
	} {
		if kinds[k] == 0 {
			t.Errorf("no run had a %s", k)
		}
	}
}

// named reports whether a record tells of a check.
func named(records []chain.Record, id string) bool {
	for _, r := range records {
		switch r.Kind {
		case plan.KindAmend, plan.KindResolve, plan.KindGap, plan.KindStart:
			return true // of many checks at once; a gap is a restart, which replays
		}
		if strings.Contains(string(r.Body), `"`+id+`"`) || r.Kind == plan.KindDecision && strings.Contains(string(r.Body), `"d-`) {
			return true
		}
	}
	return false
}

// No path leads from no evidence to a pass.
func TestNothingIsNeverAPass(t *testing.T) {
	empty := []func(e plan.Evaluate) plan.Observation{
		func(plan.Evaluate) plan.Observation { return plan.Observation{} },
		func(plan.Evaluate) plan.Observation { return nothing() },
		func(plan.Evaluate) plan.Observation { return plan.Observation{Coverage: 1, Events: 1e6} },
		func(plan.Evaluate) plan.Observation { return plan.Observation{Coverage: -1, Events: -1} },
		func(plan.Evaluate) plan.Observation { return broken("refused") },
		func(e plan.Evaluate) plan.Observation { // an error beside what looks good
			o := counted(e, 1000, 0)
			o.Series, o.Events, o.Err = one(1).Series, 1e6, "refused"
			return o
		},
		func(e plan.Evaluate) plan.Observation { // a number of too little
			o := counted(e, 1000, 0)
			o.Series, o.Events, o.Coverage = one(1).Series, 1e6, 0.1
			return o
		},
		func(plan.Evaluate) plan.Observation { // a series without a value
			return plan.Observation{Series: []plan.Series{{Name: "x"}}, Coverage: 1, Events: 1e6}
		},
		func(plan.Evaluate) plan.Observation { return counting(math.NaN(), 1e6) },
	}
	for seed := range uint64(12) {
		c := &chance{begin(t, everything("== 1")), rand.New(rand.NewPCG(seed, 9))}
		for _, id := range checkIDs {
			c.answers[id] = func(_ time.Duration, e plan.Evaluate) plan.Observation { return empty[c.r.IntN(len(empty))](e) }
		}
		for i := range 40 {
			c.until(c.now.Sub(t0) + time.Duration(c.r.IntN(200))*time.Second)
			if c.r.IntN(5) == 0 {
				_, _ = c.try("ada", opsLead, plan.Recheck{Check: c.one(checkIDs...), Reason: "look"})
			}
			if i%13 == 12 {
				c.restart(c.now.Sub(t0) + time.Minute)
			}
		}
		for _, p := range c.m.State().Checkpoints {
			for _, k := range p.States {
				if k.Verdict == plan.Pass && k.Source.Language != plan.SourceRun {
					t.Fatalf("seed %d: %s passed: %s", seed, k.ID, k.Finding.Sentence)
				}
			}
		}
		for _, v := range c.history(plan.KindVerdict, `"verdict":"pass"`) {
			if !strings.Contains(v, `"check":"run.open"`) { // the run has evidence of its own
				t.Fatalf("seed %d: passed at %s", seed, v)
			}
		}
	}
}

// tale is a journal with many kinds of records.
func tale(t testing.TB) *course {
	t.Helper()
	c := begin(t, everything("== 1"))
	c.answer("leader.single", between(5*time.Minute, 7*time.Minute, 2))
	c.answer("b.share", func(time.Duration) plan.Observation { return counting(1, 1000) })
	c.answer("b.decided", func(time.Duration) plan.Observation { return counting(0.5, 1000) })
	c.answer("slo.share", func(time.Duration) plan.Observation { return broken("refused") })
	c.do("ada", opsLead, plan.Tick{Check: "ops.a", Evidence: "x"})
	c.do("ada", opsLead, plan.Untick{Check: "ops.a", Reason: "y"})
	c.until(10 * time.Minute)
	c.do("ada", opsLead, plan.ChangeIncident{ID: "i-1", Verb: "own"})
	c.do("ada", opsLead, plan.ChangeIncident{ID: "i-1", Verb: "link", Checks: []string{"a.value"}})
	c.do("ada", opsLead, plan.ChangeIncident{ID: "i-1", Verb: "close", Result: "over"})
	c.do("ada", opsLead, plan.Waive{Check: "ops.a", Reason: reason, Expires: t0.Add(30 * time.Minute)})
	c.do("ada", opsLead, plan.AddNote{Check: "ops.a", Text: "x"})
	c.do("ada", opsLead, plan.ReportIssue{Text: "x"})
	c.until(40 * time.Minute)
	c.do("ada", opsLead, plan.Recheck{Check: "b.share", Reason: "x"})
	c.do("ada", opsLead, plan.Decide{ID: "d-1", To: "2", Why: "x", ReviewAt: t0.Add(50 * time.Minute)})
	c.do("ada", opsLead, plan.Amend{File: "plan.md", Text: everything(">= 1")})
	c.do("ada", opsLead, plan.Missed{From: t0, To: t0.Add(time.Second), What: "x"})
	c.do("ada", opsLead, plan.ClockStep{By: time.Second})
	_, enrolled := leads(t)
	c.do("ada", opsLead, plan.SetKeys{Keys: enrolled})
	c.until(65 * time.Minute)
	c.do("ada", opsLead, plan.Sign{Role: opsLead, Decision: plan.DecisionNoGo, Signature: c.note(plan.DecisionNoGo, signerOf(t, opsLead))})
	c.do("ada", opsLead, plan.Sign{Checkpoint: "T+1h", Role: opsLead, Decision: plan.DecisionClose})
	return c
}

func TestAJournalThatBeginsInTheMiddleIsRefused(t *testing.T) {
	records := tale(t).records
	for _, r := range records[1:] {
		if err := new(plan.Machine).Apply(r); err == nil {
			t.Errorf("%s before any start is taken", r.Kind)
		}
	}
	if err := new(plan.Machine).Apply(chain.Record{Seq: 1, Kind: "action-executed", Body: json.RawMessage(`{}`)}); err != nil {
		t.Errorf("a record of another kind: %v", err)
	}
}

// What-if replays acts: each act comes back from its record as it was done.
func TestActsComeBackFromTheirRecords(t *testing.T) {
	c := tale(t)
	n := map[string]int{}
	for _, r := range c.records {
		act, ok := plan.ActOf(r)
		if !ok {
			continue
		}
		n[fmt.Sprintf("%T", act)]++
		if w, ok := act.(plan.Waive); ok && (w.Check != "ops.a" || w.Reason != reason || !w.Expires.Equal(t0.Add(30*time.Minute))) {
			t.Errorf("waive %+v", w)
		}
	}
	for _, want := range []plan.Act{plan.Tick{}, plan.Untick{}, plan.AddNote{}, plan.Waive{}, plan.Recheck{}, plan.Decide{}, plan.ChangeIncident{}, plan.ReportIssue{}, plan.Missed{}} {
		if n[fmt.Sprintf("%T", want)] == 0 {
			t.Errorf("no %T comes back: %v", want, n)
		}
	}
	s, ok := plan.StartOf(c.records[0])
	if _, enrolled := leads(t); !ok || s.ID != "r-1" || s.Text != everything("== 1") || !s.T0.Equal(t0) || len(s.Keys) != len(enrolled) {
		t.Errorf("start %+v, %v", s, ok)
	}
	if _, ok := plan.StartOf(c.records[1]); ok {
		t.Error("a start comes back from another record")
	}
	for _, r := range c.records {
		if id, o, ok := plan.EvidenceOf(r); ok != (r.Kind == plan.KindVerdict) || ok && (id == "" || len(o.Series) == 0 && o.Err == "" && id != "slo.share") {
			t.Errorf("%s: evidence %s %+v %v", r.Kind, id, o, ok)
		}
	}
}

// FuzzApply: a damaged record is an error, and whatever is taken leaves a machine that
// goes on.
func FuzzApply(f *testing.F) {
	c := tale(f)
	seen := map[string]bool{}
	for _, r := range c.records {
		if !seen[r.Kind] {
			seen[r.Kind] = true
			f.Add(r.Kind, []byte(r.Body), r.At)
		}
	}
	for kind := range seen {
		for _, body := range []string{``, `null`, `{}`, `[]`, `{"check":"a.value"}`, `{"check":"a.value","verdict":"green"}`, `{"id":"i-1","checks":["x.y"]}`, `{"t0":-9223372036854775808}`, `{"rates":[1]}`, `{"checkpoint":"T+9h"}`} {
			f.Add(kind, []byte(body), int64(math.MaxInt64))
		}
	}
	f.Fuzz(func(t *testing.T, kind string, body []byte, at int64) {
		m := replayed(t, c.records)
		err := m.Apply(chain.Record{Seq: c.head.Seq + 1, At: at, Kind: kind, Body: body, Hash: c.head.Hash})
		if err == nil && !json.Valid(body) && seen[kind] {
			t.Errorf("%s %q is taken", kind, body)
		}
		s := m.State()
		for _, format := range []string{report.Markdown, report.JSON} {
			if _, err := report.Write(format, s, s.LastSeen, nil); err != nil {
				t.Errorf("%s after %s %q: %v", format, kind, body, err)
			}
		}
		effects, next := m.Resume(c.now, time.Time{}, "x")
		for range 20 {
			var observed []plan.Observed
			for _, e := range effects {
				switch e := e.(type) {
				case plan.Evaluate:
					observed = append(observed, plan.Observed{Evaluate: e, Observation: one(1)})
				case plan.Append:
					if _, err := e.JSON(); err != nil {
						t.Errorf("%s: %v", e.Kind, err)
					}
				}
			}
			effects, next = m.Step(later(next, m.Now()), observed...)
		}
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

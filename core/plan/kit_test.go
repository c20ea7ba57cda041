package plan_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
)

// t0 is when the runs of the tests begin.
var t0 = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

const (
	opsLead = "operations-lead"
	devLead = "development-lead"
)

// item is a check of a plan that a test makes up.
type item struct {
	id, flags, hc string
	lang, info    string // no language: a manual item
	lines         []string
}

// trial is a plan with two leads who sign, of checkpoints made by [cp].
func trial(checkpoints ...string) string {
	return "---\nkind: hypercare-plan\nid: trial\nschema: 1\nservice: s\nsignoff: [operations-lead, development-lead]\n" +
		"exit: { open_waivers: 1, user_issues: 2 }\n---\n\n# Trial\n\n" + strings.Join(checkpoints, "\n")
}

func cp(heading, options string, items ...item) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n<!-- hc %s -->\n\n", heading, options)
	for _, i := range items {
		fmt.Fprintf(&b, "- [ ] What %s says `%s`", i.id, i.id)
		for f := range strings.FieldsSeq(i.flags) {
			fmt.Fprintf(&b, " `%s`", f)
		}
		b.WriteString("\n")
		if i.hc != "" {
			fmt.Fprintf(&b, "  <!-- hc %s -->\n", i.hc)
		}
		if i.lang != "" {
			fmt.Fprintf(&b, "  ```%s\n  %s\n  ```\n", strings.TrimSpace(i.lang+" "+i.info), strings.Join(i.lines, "\n  "))
		}
	}
	return b.String()
}

// point is a check that wants the value 1.
func point(id, flags string) item {
	return item{id: id, flags: flags, lang: "promql", lines: []string{"# expect: == 1", "up"}}
}

// single is an invariant: one leader.
func single(id, flags string) item {
	return item{id: id, flags: flags, hc: "incident=2", lang: "promql", info: "mode=invariant", lines: []string{
		"# expect: == 1", "# fail-after: 15s above 1, 60s at 0", "sum(leader_is_leader)",
	}}
}

// share is a window check of a share of events.
func share(id, flags string) item {
	return item{id: id, flags: flags, lang: "promql", info: `window=10m min-events=20 events="sum(increase(all_total[$window]))"`, lines: []string{
		"# expect: >= 98%", "sum(increase(good_total[$window])) / sum(increase(all_total[$window]))",
	}}
}

// burning is an objective that is watched.
func burning(id, flags string) item {
	return item{id: id, flags: flags, lang: "slo", info: "target=99.5% min-events=100 burn", lines: []string{
		"# good: sum(increase(good_total[$window]))", "# total: sum(increase(all_total[$window]))",
	}}
}

func manual(id, hc string) item { return item{id: id, hc: hc} }

// course drives a machine through virtual time and keeps its journal.
type course struct {
	t       testing.TB
	m       *plan.Machine
	now     time.Time
	next    time.Time
	asked   []plan.Evaluate
	all     []plan.Evaluate // that were ever asked
	hold    func(plan.Evaluate) bool
	held    []plan.Evaluate
	answers map[string]func(since time.Duration, e plan.Evaluate) plan.Observation
	told    []plan.Notify
	head    chain.Head
	records []chain.Record
}

func newCourse(t testing.TB) *course {
	return &course{t: t, m: &plan.Machine{}, now: t0, answers: map[string]func(time.Duration, plan.Evaluate) plan.Observation{}}
}

// begin starts a run of a plan at T0.
func begin(t testing.TB, text string) *course {
	t.Helper()
	c := newCourse(t)
	_, enrolled := leads(t)
	// What is asked at T0 is answered later, so that the answers can be scripted.
	_, effects, next, err := c.m.Do(c.now, plan.Actor{Who: "ada", Role: opsLead}, start(text, enrolled))
	if err != nil {
		t.Fatal(err)
	}
	c.take(effects, next)
	return c
}

func start(text string, enrolled []plan.Key) plan.Start {
	return plan.Start{ID: "r-1", File: "plan.md", Text: text, Version: "v1.0.0", Profile: "all-in-one", T0: t0, Keys: enrolled}
}

// answer scripts a check by the time since T0; without a script it has the value 1.
func (c *course) answer(id string, f func(since time.Duration) plan.Observation) {
	c.answers[id] = func(since time.Duration, _ plan.Evaluate) plan.Observation { return f(since) }
}

// take does what the machine wants: records are sealed, questions are kept.
func (c *course) take(effects []plan.Effect, next time.Time) {
	c.t.Helper()
	c.next = next
	for _, e := range effects {
		switch e := e.(type) {
		case plan.Append:
			raw, err := e.JSON()
			if err != nil {
				c.t.Fatalf("body of %s: %v", e.Kind, err)
			}
			c.append(e.Who, e.Role, e.Kind, raw)
		case plan.Evaluate:
			c.asked, c.all = append(c.asked, e), append(c.all, e)
			if e.At.After(c.m.Now()) {
				c.t.Fatalf("%s is asked about %s, which is to come at %s", e.Check.ID, e.At, c.m.Now())
			}
		case plan.Notify:
			c.told = append(c.told, e)
		}
	}
}

func (c *course) append(who, role, kind string, body []byte) {
	c.t.Helper()
	r, _, err := chain.Seal(c.head, chain.Record{At: c.m.Now().UnixMilli(), Who: who, Role: role, Kind: kind, Body: body})
	if err != nil {
		c.t.Fatalf("seal %s: %v", kind, err)
	}
	c.head = r.Head()
	c.records = append(c.records, r)
	c.m.Sealed(c.head, kind)
}

func (c *course) reply(e plan.Evaluate) plan.Observed {
	f := c.answers[e.Check.ID]
	switch {
	case f != nil:
		return plan.Observed{Evaluate: e, Observation: f(c.now.Sub(t0), e)}
	case e.Purpose == plan.ForBurn || e.Check.Source.Language == plan.SourceSLO:
		return plan.Observed{Evaluate: e, Observation: counted(e, 1000, 0)}
	}
	return plan.Observed{Evaluate: e, Observation: one(1)}
}

// settle answers until nothing is asked.
func (c *course) settle() {
	c.t.Helper()
	for len(c.asked) > 0 {
		batch := c.asked
		c.asked = nil
		var observed []plan.Observed
		for _, e := range batch {
			if c.hold != nil && c.hold(e) {
				c.held = append(c.held, e)
				continue
			}
			observed = append(observed, c.reply(e))
		}
		if len(observed) > 0 {
			c.take(c.m.Step(c.now, observed...))
		}
	}
}

// until moves to a time since T0, doing all that is due on the way.
func (c *course) until(since time.Duration) {
	c.t.Helper()
	end := t0.Add(since)
	for c.settle(); !c.next.IsZero() && !c.next.After(end); c.settle() {
		if c.next.After(c.now) {
			c.now = c.next
		}
		c.take(c.m.Step(c.now))
	}
	c.now = end
	c.take(c.m.Step(c.now))
	c.settle()
}

func (c *course) try(who, role string, act plan.Act) (string, error) {
	c.t.Helper()
	id, effects, next, err := c.m.Do(c.now, plan.Actor{Who: who, Role: role}, act)
	c.take(effects, next)
	c.settle()
	return id, err
}

func (c *course) do(who, role string, act plan.Act) string {
	c.t.Helper()
	id, err := c.try(who, role, act)
	if err != nil {
		c.t.Fatalf("%T at T+%s: %v", act, c.now.Sub(t0), err)
	}
	return id
}

// restart forgets the machine and replays its journal into another one.
func (c *course) restart(since time.Duration) {
	c.t.Helper()
	c.now = t0.Add(since)
	c.m, c.asked, c.held = replayed(c.t, c.records), nil, nil
	c.take(c.m.Resume(c.now, time.Time{}, "the observer was restarted"))
	c.until(since)
}

func replayed(t testing.TB, records []chain.Record) *plan.Machine {
	t.Helper()
	m := &plan.Machine{}
	for _, r := range records {
		if err := m.Apply(r); err != nil {
			t.Fatalf("Apply: %v", err)
		}
	}
	return m
}

func (c *course) check(id string) *plan.CheckState {
	c.t.Helper()
	k := c.m.State().Check(id)
	if k == nil {
		c.t.Fatalf("there is no check %s", id)
	}
	return k
}

// want compares the verdict of a check.
func (c *course) want(id string, v plan.Verdict) *plan.CheckState {
	c.t.Helper()
	k := c.check(id)
	if k.Verdict != v {
		c.t.Errorf("T+%s: %s is %s (%s), want %s", c.now.Sub(t0), id, k.Verdict, k.Finding.Sentence, v)
	}
	return k
}

// says wants a part of the sentence of a check.
func (c *course) says(id, part string) {
	c.t.Helper()
	if s := c.check(id).Finding.Sentence; !strings.Contains(s, part) {
		c.t.Errorf("T+%s: %s says %q, want %q in it", c.now.Sub(t0), id, s, part)
	}
}

func (c *course) checkpoint(id string) *plan.CheckpointState {
	c.t.Helper()
	for _, p := range c.m.State().Checkpoints {
		if p.ID == id {
			return p
		}
	}
	c.t.Fatalf("there is no checkpoint %s", id)
	return nil
}

// history lists the records of a kind as "T+1m0s body".
func (c *course) history(kind, part string) []string {
	var out []string
	for _, r := range c.records {
		if r.Kind == kind && strings.Contains(string(r.Body), part) {
			out = append(out, time.UnixMilli(r.At).Sub(t0).String()+" "+string(r.Body))
		}
	}
	return out
}

// times lists when records of a kind were made, since T0.
func (c *course) times(kind, part string) []time.Duration {
	var out []time.Duration
	for _, r := range c.records {
		if r.Kind == kind && strings.Contains(string(r.Body), part) {
			out = append(out, time.UnixMilli(r.At).Sub(t0))
		}
	}
	return out
}

func (c *course) wantTimes(kind, part string, want ...time.Duration) {
	c.t.Helper()
	if got := c.times(kind, part); !slices.Equal(got, want) {
		c.t.Errorf("%s of %q at %v, want %v", kind, part, got, want)
	}
}

// one is an answer with a number, seen everywhere, of events that were not counted.
func one(v float64) plan.Observation {
	return plan.Observation{
		Series:   []plan.Series{{Name: "{}", Fields: map[string]plan.Value{plan.FieldValue: plan.Number(v)}}},
		Coverage: 1, Events: -1,
	}
}

func counting(v, events float64) plan.Observation {
	o := one(v)
	o.Events = events
	return o
}

func nothing() plan.Observation { return plan.Observation{Coverage: 0, Events: -1} }

func broken(why string) plan.Observation {
	return plan.Observation{Err: why, Coverage: -1, Events: -1}
}

// counted is an answer of an objective: so many events in each window, of which some
// are bad.
func counted(e plan.Evaluate, total, bad float64) plan.Observation {
	o := plan.Observation{Good: total - bad, Total: total, Coverage: 1, Events: -1}
	for _, t := range e.Tiers {
		o.Tiers = append(o.Tiers, plan.Tier{Name: t.Name, LongGood: total - bad, LongTotal: total, ShortGood: total - bad, ShortTotal: total})
	}
	return o
}

// leads are the keys of two people, the same with each call.
func leads(t testing.TB) (signers map[string]string, enrolled []plan.Key) {
	t.Helper()
	signers = map[string]string{}
	for i, p := range []struct{ name, role string }{{"ada", opsLead}, {"grace", devLead}} {
		signer, verifier := key(t, p.name, byte(i+1))
		signers[p.role] = signer
		enrolled = append(enrolled, plan.Key{Name: p.name, Verifier: verifier, Roles: []string{p.role}})
	}
	return signers, enrolled
}

func key(t testing.TB, name string, seed byte) (signer, verifier string) {
	t.Helper()
	signer, verifier, err := chain.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 64)), name)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

// Package rehearse carries out a whole plan on virtual time, with the machine, the
// samples, the engine and the journal that judge a real deployment.
//
// A [Scenario] is Markdown: the series of a fleet in promtool's notation, what happens
// to it, what people do and when, and the verdicts that are expected of the judge.
// [Rehearsal.Run] lives through it as fast as it can, or at a multiple of real time
// while somebody watches: each tick writes the samples of the simulated fleet, moves
// the machine on, and lets the people act. There is one goroutine and no clock, so
// that the same scenario gives the same journal, byte for byte.
//
// The journal begins with a record that says "rehearsal", and so does every closing
// statement: it can never pass for a real one.
//
// A check that was never seen to fail is decoration: [Cover] runs scenarios and lists
// for each check which one made it fail and which one made it unknown.
package rehearse

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe"
	"github.com/spark-ta/spark/daemon/observe/journal"
	"github.com/spark-ta/spark/daemon/observe/sample"
)

// Epoch is T0 of every rehearsal.
var Epoch = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

var sampleSource = sample.Source{Kind: sample.KindLocal, Version: "rehearsal", LookBack: 3 * Every}

// Rehearsal is one scenario under way.
type Rehearsal struct {
	Scenario *Scenario
	Driver   *observe.Driver
	Desk     *observe.Desk
	Querier  *sample.Local

	store   *sample.Store
	world   *world
	file    string
	text    []byte
	now     time.Time
	refused int
	queue   []scripted
	// verdicts that were recorded, by check
	seen map[string]map[string]bool
	at   []atTime
	log  []string // what happened, for whoever watches
}

// atTime is what an expectation of a time found then.
type atTime struct {
	e     expectation
	found string
}

// Options of a rehearsal.
type Options struct {
	PlanFile string // for error texts
	PlanText []byte
	// Journal keeps the records; nil keeps them in memory.
	Journal *journal.Journal
}

// New prepares a rehearsal.
func New(s *Scenario, o Options) (*Rehearsal, error) {
	store, err := sample.Open(sample.Options{Interval: Every})
	if err != nil {
		return nil, err
	}
	r := &Rehearsal{Scenario: s, store: store, file: o.PlanFile, text: o.PlanText, seen: map[string]map[string]bool{}}
	if r.world, err = newWorld(s, Epoch, store); err != nil {
		return nil, fmt.Errorf("%s: %w", s.File, err)
	}
	r.now = r.world.begin
	r.Querier = sample.NewLocal(store, sample.LocalOptions{})
	book := o.Journal
	if book == nil {
		book = journal.NewMemory(journal.Options{Start: r.world.begin})
	}
	enrolled, err := keys()
	if err != nil {
		return nil, err
	}
	r.Desk = &observe.Desk{
		Journal: book, Now: r.Now, Profile: s.Profile, Version: s.Version, Keys: enrolled,
		Plans:  func(string) (string, []byte, error) { return o.PlanFile, o.PlanText, nil },
		Health: r.health,
		What: func(ctx context.Context, text []byte) (*wire.HypercareRun, error) {
			return observe.WhatIf(ctx, observe.Past{
				Records: r.Desk.Journal.Records(), Querier: r.Querier, Source: sampleSource, Every: Every, Until: r.now,
			}, text)
		},
		Scenarios: func() (wire.Coverage, error) { return wire.Coverage{OK: true, Checks: []wire.CheckCoverage{}}, nil },
	}
	r.Driver = r.newDriver(&plan.Machine{})
	r.Desk.Driver = r.Driver
	r.queue = slices.Clone(s.people)
	slices.SortStableFunc(r.queue, func(a, b scripted) int { return int(a.at - b.at) })
	return r, nil
}

func (r *Rehearsal) newDriver(m *plan.Machine) *observe.Driver {
	return &observe.Driver{
		Machine: m, Book: r.Desk.Journal, Asker: observe.NewAsker(r.Querier, sampleSource, prober{r.Querier}, Every),
		Changed: r.changed, Told: func(n plan.Notify) { r.log = append(r.log, n.Title+": "+n.Text) }, Now: r.Now,
	}
}

// Now is the virtual time.
func (r *Rehearsal) Now() time.Time { return r.now }

// Since is the virtual time since T0.
func (r *Rehearsal) Since() time.Duration { return r.now.Sub(Epoch) }

func (r *Rehearsal) changed(c observe.Change) {
	if c.Record.Kind != plan.KindVerdict {
		return
	}
	check, verdict := plan.VerdictOf(c.Body)
	if r.seen[check] == nil {
		r.seen[check] = map[string]bool{}
	}
	r.seen[check][verdict] = true
}

func (r *Rehearsal) health() wire.ObserverState {
	st := r.store.Stats()
	return wire.ObserverState{Source: "rehearsal", Targets: []wire.TargetState{}, Rounds: int64(r.world.tick), LastRoundAt: r.now.UnixMilli(), Series: st.Series, Samples: int64(st.Samples)}
}

// Tick lives through one scrape. It returns false after the last one: when the run is
// closed, or the scenario's time is over.
func (r *Rehearsal) Tick(ctx context.Context) (bool, error) {
	since := r.world.now().Sub(Epoch)
	away := r.Scenario.away(since)
	now, err := r.world.step(!away)
	if err != nil {
		return false, err
	}
	if !away {
		if err := r.live(ctx, now, since); err != nil {
			return false, err
		}
	}
	open := true
	r.Driver.Look(func(s *plan.State) { open = s.Plan == nil || s.Running() })
	if !open || since >= r.Scenario.Until {
		return false, ctx.Err()
	}
	return true, ctx.Err()
}

func (r *Rehearsal) live(ctx context.Context, now time.Time, since time.Duration) error {
	if from, back := r.Scenario.back(since); back {
		if err := r.comeBack(ctx, now, Epoch.Add(from)); err != nil {
			return err
		}
	}
	for next := r.Driver.Next(); !next.IsZero() && next.Before(now); next = r.Driver.Next() {
		if !next.After(r.now) {
			break
		}
		r.now = next
		if err := r.Driver.Step(ctx, next); err != nil {
			return err
		}
	}
	r.now = now
	if since == 0 {
		if err := r.start(ctx); err != nil {
			return err
		}
	}
	if since >= 0 {
		if err := r.Driver.Step(ctx, now); err != nil {
			return err
		}
	}
	return r.happenings(ctx, since)
}

func (r *Rehearsal) start(ctx context.Context) error {
	_, err := r.Driver.Do(ctx, r.now, plan.Actor{Who: "rehearsal"}, plan.Start{
		ID: "rehearsal-" + r.Scenario.ID, File: r.file, Text: string(r.text), Version: r.Scenario.Version, Profile: r.Scenario.Profile,
		T0: r.now, Rehearsal: true, Scenario: r.Scenario.ID, Keys: r.Desk.Keys,
	})
	return err
}

// comeBack is a restart of the observer: its machine is made from the journal.
func (r *Rehearsal) comeBack(ctx context.Context, now, from time.Time) error {
	m := &plan.Machine{}
	for rec, err := range r.Desk.Journal.Records() {
		if err != nil {
			return err
		}
		if err := m.Apply(rec); err != nil {
			return err
		}
	}
	next := r.newDriver(m)
	r.Driver, r.Desk.Driver = next, next
	r.now = now
	return next.Resume(ctx, now, from, "the observer did not run")
}

// happenings lets people act and clocks step.
func (r *Rehearsal) happenings(ctx context.Context, since time.Duration) error {
	for _, f := range r.Scenario.faults {
		if f.kind == faultClock && f.from <= since && since < f.from+Every {
			if _, err := r.Driver.Do(ctx, r.now, plan.Actor{Who: "observer"}, plan.ClockStep{By: f.step}); err != nil {
				return err
			}
		}
	}
	for len(r.queue) > 0 && r.queue[0].at <= since {
		p := r.queue[0]
		r.queue = r.queue[1:]
		err := r.act(ctx, p)
		if e := r.Driver.Err(); e != nil {
			return e
		}
		if err != nil {
			r.refused++
		}
		if (err != nil) != p.refused {
			return fmt.Errorf("%s: T+%s %s %s %s: expected refused=%t, got %v", r.Scenario.File, plan.FormatDuration(p.at), p.who, p.verb, strings.Join(p.words, " "), p.refused, err)
		}
	}
	for _, e := range r.Scenario.expect {
		if e.at > 0 && e.kind == "verdict" && e.at <= since && since < e.at+Every {
			r.at = append(r.at, atTime{e, r.verdictNow(e)})
		}
	}
	return nil
}

// verdictNow says how a check differs from what is expected; "" when it does not.
func (r *Rehearsal) verdictNow(e expectation) string {
	out := ""
	r.Driver.Look(func(s *plan.State) {
		k := s.Check(e.check)
		switch {
		case s.Plan == nil || k == nil:
			out = "there is no such check"
		case k.Verdict != e.verdict || k.Recovered != e.recovered && e.recovered:
			out = k.Verdict.String()
			if k.Recovered {
				out += " (recovered)"
			}
			out += ": " + k.Finding.Sentence
		}
	})
	return out
}

// Run lives through the whole scenario. progress is told of each virtual hour; may be
// nil.
func (r *Rehearsal) Run(ctx context.Context, progress func(since time.Duration)) error {
	hour := time.Duration(-1)
	for {
		more, err := r.Tick(ctx)
		if err != nil || !more {
			return err
		}
		if h := r.Since().Truncate(time.Hour); h != hour && progress != nil {
			hour = h
			progress(r.Since())
		}
	}
}

// Result is what came of a rehearsal.
type Result struct {
	Scenario string          `json:"scenario"`
	Title    string          `json:"title"`
	Passed   bool            `json:"passed"`
	Failures []string        `json:"failures"` // expectations that were not met
	Counts   wire.Counts     `json:"counts"`
	Head     string          `json:"head"`
	Records  int64           `json:"records"`
	Lasted   string          `json:"lasted"` // virtual
	Seen     map[string]Seen `json:"-"`
}

// Seen is what a check was seen to be.
type Seen struct{ Pass, Warn, Fail, Unknown bool }

// Result compares what came with what the scenario expects.
func (r *Rehearsal) Result() Result {
	head := r.Desk.Journal.Head()
	out := Result{
		Scenario: r.Scenario.ID, Title: r.Scenario.Title, Failures: []string{}, Head: head.Hash, Records: head.Seq,
		Lasted: plan.FormatDuration(r.Since()), Seen: map[string]Seen{},
	}
	var run *wire.HypercareRun
	r.Driver.Look(func(s *plan.State) { run = report.Run(s, r.now) })
	if run == nil {
		out.Failures = append(out.Failures, "the run was never started")
		return out
	}
	out.Counts = run.Counts
	for check, verdicts := range r.seen {
		out.Seen[check] = Seen{verdicts[wire.VerdictPass], verdicts[wire.VerdictWarn], verdicts[wire.VerdictFail], verdicts[wire.VerdictUnknown]}
	}
	checks := report.Digest(run)
	for _, e := range r.Scenario.expect {
		if e.kind == "verdict" && e.at > 0 {
			continue // was looked at in its time
		}
		if found := r.compare(e, run, checks); found != "" {
			out.Failures = append(out.Failures, fmt.Sprintf("expected %q, found %s", e.text, found))
		}
	}
	reached := map[string]bool{}
	for _, a := range r.at {
		reached[a.e.text] = true
		if a.found != "" {
			out.Failures = append(out.Failures, fmt.Sprintf("expected %q, found %s", a.e.text, a.found))
		}
	}
	for _, e := range r.Scenario.expect {
		if e.kind == "verdict" && e.at > 0 && !reached[e.text] {
			out.Failures = append(out.Failures, fmt.Sprintf("expected %q, but that time was not reached", e.text))
		}
	}
	out.Passed = len(out.Failures) == 0 && len(r.Scenario.expect) > 0
	return out
}

func (r *Rehearsal) compare(e expectation, run *wire.HypercareRun, checks map[string]wire.Check) string {
	switch e.kind {
	case "verdict":
		if e.seen {
			if _, ok := checks[e.check]; !ok || !r.seen[e.check][e.verdict.String()] {
				return "it never was"
			}
			return ""
		}
		return r.verdictNow(e)
	case "others":
		return r.others(e, checks)
	case "run":
		if open := run.ClosedAt == 0; open != (e.words[1] == "open") {
			return "state " + run.State + ": " + unmet(run)
		}
	case "no":
		if len(run.Incidents) > 0 {
			return fmt.Sprintf("%d incidents, the first: %s", len(run.Incidents), run.Incidents[0].Title)
		}
	case "incident":
		return incident(e, run)
	case "escalation":
		return escalation(e, run)
	case "refused":
		if n, _ := strconv.Atoi(e.words[1]); n != r.refused {
			return strconv.Itoa(r.refused)
		}
	case "criterion":
		for _, c := range run.Exit {
			if strings.Contains(c.Title, e.words[1]) && len(e.words) == 3 {
				if c.Met == (e.words[2] == "met") {
					return ""
				}
				return c.Text
			}
		}
		return "no such criterion"
	case "decision":
		for _, d := range run.Decisions {
			if d.Check == e.words[1] && len(e.words) == 3 && d.State == e.words[2] {
				return ""
			}
		}
		return fmt.Sprintf("%d decisions, none like this", len(run.Decisions))
	case "gap":
		want, err := plan.ParseDuration(e.words[1])
		for _, g := range run.Gaps {
			if err == nil && (time.Duration(g.To-g.From)*time.Millisecond-want).Abs() <= 2*Every {
				return ""
			}
		}
		return fmt.Sprintf("%d gaps, none like this", len(run.Gaps))
	}
	return ""
}

func unmet(run *wire.HypercareRun) string {
	var out []string
	for _, c := range run.Exit {
		if !c.Met {
			out = append(out, c.Title+" ("+c.Text+")")
		}
	}
	return strings.Join(out, "; ")
}

func (r *Rehearsal) others(e expectation, checks map[string]wire.Check) string {
	named := map[string]bool{}
	for _, x := range r.Scenario.expect {
		named[x.check] = named[x.check] || x.kind == "verdict" && !x.seen && x.at == 0
	}
	var bad []string
	for id, k := range checks {
		allowed := slices.ContainsFunc(e.others, func(v string) bool { return wireVerdict(v) == k.Verdict })
		if !named[id] && !allowed {
			bad = append(bad, id+" "+k.Verdict+" ("+k.Sentence+")")
		}
	}
	slices.Sort(bad)
	return strings.Join(bad, "; ")
}

func incident(e expectation, run *wire.HypercareRun) string {
	for _, i := range run.Incidents {
		if slices.Contains(i.Checks, e.words[1]) && (len(e.words) < 4 || strconv.Itoa(i.Level) == e.words[3]) {
			if e.at > 0 && (time.Duration(i.OpenedAt-run.T0)*time.Millisecond-e.at).Abs() > Every {
				return "opened at T+" + plan.FormatDuration(time.Duration(i.OpenedAt-run.T0)*time.Millisecond)
			}
			return ""
		}
	}
	return fmt.Sprintf("%d incidents, none like this", len(run.Incidents))
}

func escalation(e expectation, run *wire.HypercareRun) string {
	var found []string
	for _, x := range run.Escalations {
		if x.Checkpoint != e.words[1] || len(e.words) < 4 || strconv.Itoa(x.Level) != e.words[3] {
			continue
		}
		at := time.Duration(x.At-run.T0) * time.Millisecond
		if e.at == 0 || at == e.at {
			return ""
		}
		found = append(found, "at T+"+plan.FormatDuration(at))
	}
	if len(found) == 0 {
		return "none"
	}
	return strings.Join(found, ", ")
}

// Journal returns the records of the rehearsal.
func (r *Rehearsal) Journal() func(yield func(chain.Record, error) bool) {
	return r.Desk.Journal.Records()
}

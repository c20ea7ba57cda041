// Package rehearse carries out a whole plan on virtual time, with the machine, the
// samples, the engine and the journal that judge a real deployment.
//
// A [Scenario] is Markdown: the series of a fleet in promtool's notation, what happens
// to it, what people do and when, and the verdicts that are expected of the judge.
// [Rehearsal.Run] lives through it as fast as it can, [Rehearsal.Pace] at a multiple
// of real time while somebody watches: each tick writes the samples of the simulated
// fleet, moves the machine on, and lets the people act. Inside there is no goroutine
// and no clock, so that the same scenario gives the same journal, byte for byte.
//
// The journal begins with a record that says "rehearsal", and so does every closing
// statement: it can never pass for a real one.
//
// # With a person at the console
//
// While a rehearsal ticks in one goroutine, its Desk may be served to others: what
// they do stands in the journal between two ticks. All of the world is changed under
// one mutex, that of the rehearsal, which is taken before the driver's.
//
// # Coverage
//
// A check that was never seen to fail is decoration. [Cover] runs scenarios and lists
// for each check which one made it fail and which one made it unknown; the table is
// committed beside the scenarios, and a check that loses its proof fails the tests.
package rehearse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
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

	store *sample.Store
	file  string
	text  []byte
	opt   Options
	now   atomic.Int64 // ms since 1970

	mu       sync.Mutex // guards all below; taken before the driver's
	world    *world
	queue    []scripted // what people will do
	refusals []string
	at       []atTime
	behind   time.Time // the journal that was taken over ends here; zero: there was none

	// Guarded by the driver, which is the only one to call what changes them.
	seen map[string]map[string]bool // verdicts that were recorded, by check
	log  []string                   // whom the machine called, for what
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
	// Journal keeps the records; nil keeps them in memory. One that holds the beginning
	// of this rehearsal, as after a crash, is taken over: the world is lived through up
	// to its last record, the observer comes back Away later, and everything goes on.
	Journal *journal.Journal
	Away    time.Duration
	// Coverage is what the Desk tells of scenarios; may be nil.
	Coverage func() (wire.Coverage, error)
	// Changed and Told are called like those of a driver; may be nil.
	Changed func(observe.Change)
	Told    func(plan.Notify)
}

// New prepares a rehearsal.
func New(s *Scenario, o Options) (*Rehearsal, error) {
	store, err := sample.Open(sample.Options{Interval: Every})
	if err != nil {
		return nil, err
	}
	r := &Rehearsal{Scenario: s, store: store, file: o.PlanFile, text: o.PlanText, opt: o, seen: map[string]map[string]bool{}}
	if r.world, err = newWorld(s, Epoch, store); err != nil {
		return nil, fmt.Errorf("%s: %w", s.File, err)
	}
	r.setNow(r.world.begin)
	r.Querier = sample.NewLocal(store, sample.LocalOptions{})
	if o.Coverage == nil {
		o.Coverage = func() (wire.Coverage, error) { return wire.Coverage{OK: true, Checks: []wire.CheckCoverage{}}, nil }
	}
	book := o.Journal
	if book == nil {
		book = journal.NewMemory(journal.Options{Start: r.world.begin})
	}
	enrolled, err := keys()
	if err != nil {
		return nil, err
	}
	r.Driver = &observe.Driver{
		Machine: &plan.Machine{}, Book: book, Asker: observe.NewAsker(r.Querier, sampleSource, prober{r.Querier}, Every),
		Changed: r.changed, Told: r.told, Now: r.Now,
	}
	r.Desk = &observe.Desk{
		Driver: r.Driver, Journal: book, Now: r.Now, Profile: s.Profile, Version: s.Version, Keys: enrolled,
		Plans:  func(string) (string, []byte, error) { return o.PlanFile, o.PlanText, nil },
		Health: r.health,
		What: func(ctx context.Context, text []byte) (*wire.HypercareRun, error) {
			return observe.WhatIf(ctx, r.Past(), text)
		},
		Scenarios: o.Coverage,
	}
	r.queue = slices.Clone(s.people)
	slices.SortStableFunc(r.queue, func(a, b scripted) int { return int(a.at - b.at) })
	return r, r.takeOver()
}

// takeOver finds out where the journal ends.
func (r *Rehearsal) takeOver() error {
	for rec, err := range r.Desk.Journal.Records() {
		if err != nil {
			return err
		}
		r.behind = time.UnixMilli(rec.At).UTC()
	}
	since := r.behind.Sub(Epoch)
	r.queue = slices.DeleteFunc(r.queue, func(p scripted) bool { return !r.behind.IsZero() && p.at <= since-Every })
	return nil
}

// Past is the rehearsal so far, to be judged by another plan.
func (r *Rehearsal) Past() observe.Past {
	return observe.Past{Records: r.Desk.Journal.Records(), Querier: r.Querier, Source: sampleSource, Every: Every, Until: r.Now()}
}

// Now is the virtual time.
func (r *Rehearsal) Now() time.Time { return time.UnixMilli(r.now.Load()).UTC() }

func (r *Rehearsal) setNow(t time.Time) { r.now.Store(t.UnixMilli()) }

// Since is the virtual time since T0.
func (r *Rehearsal) Since() time.Duration { return r.Now().Sub(Epoch) }

func (r *Rehearsal) changed(c observe.Change) {
	if c.Record.Kind == plan.KindVerdict {
		check, verdict := plan.VerdictOf(c.Body)
		if r.seen[check] == nil {
			r.seen[check] = map[string]bool{}
		}
		r.seen[check][verdict] = true
	}
	if r.opt.Changed != nil {
		r.opt.Changed(c)
	}
}

func (r *Rehearsal) told(n plan.Notify) {
	r.log = append(r.log, n.Title+": "+n.Text)
	if r.opt.Told != nil {
		r.opt.Told(n)
	}
}

func (r *Rehearsal) health() wire.ObserverState {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.store.Stats()
	return wire.ObserverState{
		Source: "rehearsal", Targets: []wire.TargetState{}, Rounds: int64(r.world.tick), LastRoundAt: r.now.Load(), Series: st.Series, Samples: int64(st.Samples),
	}
}

// Tick lives through one scrape. It returns false after the last one: when the run is
// closed, or the scenario's time is over.
func (r *Rehearsal) Tick(ctx context.Context) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	since := r.world.now().Sub(Epoch)
	away := r.Scenario.away(since)
	again := !r.behind.IsZero() && !r.world.now().After(r.behind)                // was lived through before the crash
	gone := !r.behind.IsZero() && r.world.now().Before(r.behind.Add(r.opt.Away)) // nobody looked
	now, err := r.world.step(again || !away && !gone)
	if err != nil {
		return false, err
	}
	if again || gone || away {
		return true, ctx.Err()
	}
	if err := r.live(ctx, now, since); err != nil {
		return false, err
	}
	open := true
	r.Driver.Look(func(s *plan.State) { open = s.Plan == nil || s.Running() })
	return open && since < r.Scenario.Until, ctx.Err()
}

func (r *Rehearsal) live(ctx context.Context, now time.Time, since time.Duration) error {
	if from, back := r.Scenario.back(since); back {
		if err := r.comeBack(ctx, now, Epoch.Add(from)); err != nil {
			return err
		}
	}
	if !r.behind.IsZero() {
		from := r.behind
		r.behind = time.Time{}
		if err := r.comeBack(ctx, now, from); err != nil {
			return err
		}
	}
	for next := r.Driver.Next(); !next.IsZero() && next.Before(now) && next.After(r.Now()); next = r.Driver.Next() {
		r.setNow(next)
		if err := r.Driver.Step(ctx, next); err != nil {
			return err
		}
	}
	r.setNow(now)
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
	_, err := r.Driver.Do(ctx, r.Now(), plan.Actor{Who: "rehearsal"}, plan.Start{
		ID: "rehearsal-" + r.Scenario.ID, File: r.file, Text: string(r.text), Version: r.Scenario.Version, Profile: r.Scenario.Profile,
		T0: r.Now(), Rehearsal: true, Scenario: r.Scenario.ID, Keys: r.Desk.Keys,
	})
	return err
}

// comeBack is a restart of the observer: its machine is made from the journal.
func (r *Rehearsal) comeBack(ctx context.Context, now, from time.Time) error {
	r.setNow(now)
	return r.Driver.Restart(ctx, now, from, "the observer did not run", func() (*plan.Machine, error) {
		m := &plan.Machine{}
		for rec, err := range r.Desk.Journal.Records() {
			if err == nil {
				err = m.Apply(rec)
			}
			if err != nil {
				return nil, err
			}
		}
		return m, nil
	})
}

// happenings lets people act and clocks step, and looks at what is expected now.
func (r *Rehearsal) happenings(ctx context.Context, since time.Duration) error {
	for _, f := range r.Scenario.faults {
		if f.kind == faultClock && f.from <= since && since < f.from+Every {
			if _, err := r.Driver.Do(ctx, r.Now(), plan.Actor{Who: "observer"}, plan.ClockStep{By: f.step}); err != nil {
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
			r.refusals = append(r.refusals, err.Error())
		}
		if (err != nil) != p.refused {
			return fmt.Errorf("%s: T+%s %s %s %s: expected refused=%t, got %v", r.Scenario.File, plan.FormatDuration(p.at), p.who, p.verb, strings.Join(p.words, " "), p.refused, err)
		}
	}
	for _, e := range r.Scenario.expect {
		if e.momentary() && e.at <= since && since < e.at+Every {
			r.at = append(r.at, atTime{e, r.compare(e, r.picture())})
		}
	}
	return nil
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

// Pace lives through the scenario so many times as fast as real time, until it is over
// or ctx ends. speed is asked before each tick, so that the clock can drop to 1 while a
// person has an action open; what is not above 0 counts as 1. The way up to T0 is gone
// through at once. It may run while others use the Desk.
func (r *Rehearsal) Pace(ctx context.Context, speed func() float64) error {
	due := time.Now()
	for {
		more, err := r.Tick(ctx)
		if err != nil || !more {
			return err
		}
		if r.Now().Before(Epoch) {
			due = time.Now()
			continue
		}
		s := speed()
		if !(s > 0) {
			s = 1
		}
		if due = due.Add(time.Duration(float64(Every) / s)); due.Before(time.Now()) {
			due = time.Now() // a slow machine is late, and does not hurry afterwards
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(due)):
		}
	}
}

// Lock is the leader lock as the world has it.
func (r *Rehearsal) Lock() (holder string, epoch float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.world.leader, r.world.epoch
}

// ResetLock deletes the simulated lock if it is as it was seen, as the real action
// does, and records that. Its error says what it is now; nothing was deleted then.
func (r *Rehearsal) ResetLock(by plan.Actor, holder string, epoch float64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resetLock(by, holder, epoch)
}

func (r *Rehearsal) resetLock(by plan.Actor, holder string, epoch float64) error {
	refused := r.world.resetLock(holder, epoch)
	outcome := "deleted"
	if refused != nil {
		outcome = refused.Error()
	}
	err := r.Driver.Record(journal.Entry{At: r.Now(), Who: by.Who, Role: by.Role, Kind: "action", Body: map[string]any{
		"action": "reset leader lock", "holder": holder, "epoch": epoch, "outcome": outcome, "simulated": true,
	}})
	if err != nil {
		return err
	}
	return refused
}

// Records returns the records of the rehearsal.
func (r *Rehearsal) Records() func(yield func(chain.Record, error) bool) {
	return r.Desk.Journal.Records()
}

// Told lists whom the machine has called, and for what, in order.
func (r *Rehearsal) Told() (out []string) {
	r.Driver.Look(func(*plan.State) { out = slices.Clone(r.log) })
	return out
}

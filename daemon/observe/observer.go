package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/journal"
	"github.com/spark-ta/spark/daemon/observe/probe"
	"github.com/spark-ta/spark/daemon/observe/sample"
	"github.com/spark-ta/spark/daemon/observe/scrape"
)

// Options of an observer. All are required unless they say otherwise.
type Options struct {
	Dir      string // for samples and journal; one observer at a time
	Log      *slog.Logger
	Instance string // this process
	Client   *http.Client
	// Discover lists what is to be scraped.
	Discover func(ctx context.Context) ([]scrape.Target, error)
	// PrometheusURL is asked instead of the own samples; may be empty.
	PrometheusURL string
	Live          Live
	Canary        *probe.StreamCanary

	Plans    func(id string) (file string, text []byte, err error)
	Profile  string
	Version  string
	Keys     []plan.Key
	Commands []string
	Coverage func() (wire.Coverage, error)

	// Publish is told of what others want to hear of; Tell calls people.
	Publish func(name string, data any)
	Tell    func(plan.Notify)
}

// Observer watches and judges. Make one with [Open].
type Observer struct {
	Desk *Desk
	API  *sample.API // of the samples that verdicts rest on

	o       Options
	clock   *clock
	store   *sample.Store
	journal *journal.Journal
	querier sample.Querier
	asker   *asker
	scraper *scrape.Scraper
	jobs    sync.WaitGroup // evaluations under way
	slots   chan struct{}

	mu      sync.Mutex
	trouble string // guarded by mu; the newest trouble of its own
	good    map[string]time.Time
	watched string // text of the plan as last seen
}

// Every is the period of scrapes.
const Every = 15 * time.Second

// atOnce is how many evaluations run side by side.
const atOnce = 8

// Open opens samples and journal and replays the journal; it starts nothing.
func Open(ctx context.Context, o Options) (*Observer, error) {
	ob := &Observer{o: o, clock: newClock(), slots: make(chan struct{}, atOnce), good: map[string]time.Time{}}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("observer: %w", err)
	}
	machine := &plan.Machine{}
	var err error
	ob.journal, err = journal.Open(filepath.Join(o.Dir, "journal.jsonl"), journal.Options{Start: ob.clock.Now(), Replay: machine.Apply})
	if err != nil {
		return nil, err
	}
	if ob.store, err = sample.Open(sample.Options{Dir: filepath.Join(o.Dir, "samples"), Log: o.Log, Interval: Every}); err != nil {
		return nil, errors.Join(err, ob.journal.Close())
	}
	if cut := ob.journal.Cut(); len(cut) > 0 {
		o.Log.Warn("the journal ended in the middle of a record, which nobody was told of", "bytes", len(cut))
	}
	if err := ob.sources(ctx); err != nil {
		return nil, errors.Join(err, ob.Close())
	}
	ob.scraper = &scrape.Scraper{
		Discover: o.Discover, Sink: ob.store, Client: o.Client, Log: o.Log, Interval: Every,
		Self: map[string]string{"job": "spark-observer", "instance": o.Instance},
	}
	driver := &Driver{
		Machine: machine, Book: ob.journal, Asker: ob.asker, Changed: ob.changed, Told: o.Tell, Spawn: ob.spawn, Now: ob.clock.Now,
	}
	ob.Desk = &Desk{
		Driver: driver, Journal: ob.journal, Now: ob.clock.Now, Plans: o.Plans, Profile: o.Profile, Version: o.Version,
		Keys: o.Keys, Commands: o.Commands, Health: ob.health, What: ob.whatIf, Scenarios: o.Coverage,
	}
	driver.Look(func(s *plan.State) {
		if s.Running() {
			ob.store.Hold(s.T0.Add(-time.Hour))
			ob.watched = s.Plan.Text
		}
	})
	return ob, nil
}

// sources decides who answers queries.
func (ob *Observer) sources(ctx context.Context) error {
	local := sample.NewLocal(ob.store, sample.LocalOptions{})
	ob.querier = local
	ob.API = &sample.API{Querier: local, Lister: local, Raw: local}
	source, err := local.Info(ctx)
	if err != nil {
		return err
	}
	if ob.o.PrometheusURL != "" {
		remote, err := sample.NewRemote(ob.o.PrometheusURL, sample.RemoteOptions{})
		if err != nil {
			return fmt.Errorf("%s: %w", wire.EnvPrometheusURL, err)
		}
		ob.querier = remote
		ob.API = &sample.API{Querier: remote, Lister: remote, Raw: remote}
		source = sample.Source{Kind: sample.KindRemote, LookBack: 5 * time.Minute, BirthBlind: true}
	}
	ob.asker = &asker{querier: ob.querier, source: source, prober: &ob.o.Live, every: Every}
	return nil
}

// spawn runs an evaluation beside the others; Run waits for all.
func (ob *Observer) spawn(f func()) {
	ob.jobs.Go(func() {
		ob.slots <- struct{}{}
		defer func() { <-ob.slots }()
		f()
	})
}

// Run watches until ctx ends. An observer whose journal fails goes on to scrape and
// says so in its health; it judges no more.
func (ob *Observer) Run(ctx context.Context) error {
	defer ob.jobs.Wait()
	now := ob.clock.Now()
	ob.note(ob.Desk.Driver.Resume(ctx, now, ob.store.Stats().Last, "the observer did not run"))
	ob.note(ob.Desk.FollowKeys(ctx))
	round := time.NewTimer(0)
	defer round.Stop()
	step := time.NewTimer(time.Hour)
	defer step.Stop()
	for next := now; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-round.C:
			ob.tick(ctx)
			next = ob.after(next)
			round.Reset(next.Sub(ob.clock.Now()))
		case <-step.C:
			ob.note(ob.Desk.Driver.Step(ctx, ob.clock.Now()))
		}
		// What is due with the next round waits for its samples; what is due before, such
		// as a call for people, is not late.
		wait := time.Hour
		if at := ob.Desk.Driver.Next(); !at.IsZero() && at.Before(next.Add(-time.Second)) {
			wait = max(at.Sub(ob.clock.Now()), time.Second)
		}
		step.Reset(wait)
	}
}

// after is when the next round begins; rounds that could not be made are left out.
func (ob *Observer) after(last time.Time) time.Time {
	now := ob.clock.Now()
	next := last.Add(Every)
	if late := now.Sub(next); late > 0 {
		next = next.Add(late.Truncate(Every) + Every)
	}
	return next
}

// tick is one turn: look at the clock, scrape, judge.
func (ob *Observer) tick(ctx context.Context) {
	ob.lookAtClock(ctx)
	now := ob.clock.Now()
	if err := ob.scraper.Round(ctx, now); err != nil {
		ob.note(err)
	} else {
		ob.note(ob.keepCanary(now))
	}
	ob.remember(now)
	ob.followPlan(ctx)
	ob.note(ob.Desk.Driver.Scraped(ctx, ob.clock.Now()))
}

func (ob *Observer) lookAtClock(ctx context.Context) {
	slept, step := ob.clock.look()
	now := ob.clock.Now()
	var act plan.Act
	switch {
	case slept > 0:
		ob.o.Log.Warn("the machine slept", "for", slept.Round(time.Second))
		act = plan.Missed{From: now.Add(-slept), To: now, What: "the machine slept"}
	case step != 0:
		ob.o.Log.Warn("the wall clock was set", "by", step.Round(time.Millisecond))
		act = plan.ClockStep{By: step}
	default:
		return
	}
	ob.act(ctx, now, act)
}

// act does something by itself while a run is under way.
func (ob *Observer) act(ctx context.Context, now time.Time, act plan.Act) {
	running := false
	ob.Desk.Driver.Look(func(s *plan.State) { running = s.Running() })
	if running {
		_, err := ob.Desk.Driver.Do(ctx, now, plan.Actor{Who: "observer"}, act)
		ob.note(err)
	}
}

// keepCanary writes what the streams' canary saw.
func (ob *Observer) keepCanary(now time.Time) error {
	if ob.o.Canary == nil {
		return nil
	}
	for _, r := range ob.o.Canary.Sample(now) {
		alive, ok := r.Fields["alive"]
		if !ok {
			continue
		}
		series := ob.store.Series(labels.FromStrings("__name__", wire.SeriesCanary, "job", "spark-observer", "instance", r.Target))
		if err := ob.store.Add(series, now.UnixMilli(), alive.Num); err != nil {
			return fmt.Errorf("canary: %w", err)
		}
	}
	return ob.store.Commit()
}

// followPlan amends the run when the text of its plan has changed.
func (ob *Observer) followPlan(ctx context.Context) {
	id, running := "", false
	ob.Desk.Driver.Look(func(s *plan.State) {
		if running = s.Running(); running {
			id = s.Plan.ID
			ob.store.Hold(s.T0.Add(-time.Hour))
		}
	})
	if !running {
		ob.store.Hold(ob.clock.Now())
		return
	}
	file, text, err := ob.o.Plans(id)
	if err != nil {
		ob.note(err)
		return
	}
	if string(text) == ob.watched {
		return
	}
	first := ob.watched == ""
	ob.watched = string(text)
	if first {
		return // the run was just started with it
	}
	_, err = ob.Desk.Driver.Do(ctx, ob.clock.Now(), plan.Actor{Who: "observer"}, plan.Amend{File: file, Text: string(text)})
	ob.note(err)
}

// note keeps the newest trouble, and logs it when it is new.
func (ob *Observer) note(err error) {
	ob.mu.Lock()
	defer ob.mu.Unlock()
	text := ""
	if err != nil && !errors.Is(err, context.Canceled) {
		text = err.Error()
	}
	if text != "" && text != ob.trouble {
		ob.o.Log.Error("observer", "error", text)
	}
	if text != "" {
		ob.trouble = text
	}
}

// remember keeps when each target was last scraped well.
func (ob *Observer) remember(now time.Time) {
	ob.mu.Lock()
	defer ob.mu.Unlock()
	for _, t := range ob.scraper.State().Targets {
		if t.Up {
			ob.good[t.URL] = now
		}
	}
}

// health is how the observer itself does.
func (ob *Observer) health() wire.ObserverState {
	st, stats, now := ob.scraper.State(), ob.store.Stats(), ob.clock.Now()
	ob.mu.Lock()
	defer ob.mu.Unlock()
	out := wire.ObserverState{
		Source: string(ob.asker.source.Kind), Targets: []wire.TargetState{}, Rounds: st.Rounds, RoundMS: float64(st.Took.Microseconds()) / 1000,
		Series: stats.Series, Samples: int64(stats.Samples), Bytes: stats.Disk, Error: ob.trouble,
	}
	if !st.At.IsZero() {
		out.LastRoundAt = st.At.UnixMilli()
	}
	for _, t := range st.Targets {
		w := wire.TargetState{URL: t.URL, Instance: t.Labels["instance"], Up: t.Up, AgeMS: -1, Error: t.Error}
		if at, ok := ob.good[t.URL]; ok {
			w.AgeMS = now.Sub(at).Milliseconds()
		}
		out.Targets = append(out.Targets, w)
	}
	return out
}

func (ob *Observer) whatIf(ctx context.Context, text []byte) (*wire.HypercareRun, error) {
	return WhatIf(ctx, Past{Records: ob.journal.Records(), Querier: ob.querier, Source: ob.asker.source, Every: Every, Until: ob.clock.Now()}, text)
}

// changed tells the world of a record.
func (ob *Observer) changed(c Change) {
	if ob.o.Publish == nil {
		return
	}
	Publish(ob.Desk.Driver.Machine.State(), c, ob.o.Publish)
}

// Err is why the observer does not judge, or nil: for its health.
func (ob *Observer) Err() error { return ob.Desk.Driver.Err() }

// Close lets go of samples and journal.
func (ob *Observer) Close() error {
	var errs []error
	if ob.store != nil {
		errs = append(errs, ob.store.Close())
	}
	return errors.Join(append(errs, ob.journal.Close())...)
}

var _ Book = (*journal.Journal)(nil)

// Publish turns a record into the events of the stream. It is called while the
// driver holds its lock.
func Publish(s *plan.State, c Change, to func(name string, data any)) {
	at := c.Record.At
	switch told := plan.NewsOf(s, c.Record.Kind, c.Body); told.Kind {
	case plan.NewsVerdict:
		to(wire.EventVerdict, wire.VerdictEvent{Time: at, Check: told.ID, Text: told.Title, Verdict: told.State, Was: told.Was, Sentence: told.Text})
	case plan.NewsIncident:
		to(wire.EventIncident, wire.IncidentEvent{Time: at, ID: told.ID, Level: told.Level, Title: told.Title, State: told.State})
	}
}

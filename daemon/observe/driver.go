package observe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/daemon/observe/journal"
)

// Book is a journal: [*journal.Journal].
type Book interface {
	// AppendAll returns after the records are safe.
	AppendAll(entries ...journal.Entry) ([]chain.Record, error)
}

// Asker answers what the machine wants evaluated. It never fails: an answer that says
// why there is none is one.
type Asker interface {
	Ask(ctx context.Context, s *plan.State, e plan.Evaluate) plan.Observation
}

// Change is a record that was written, for whoever follows.
type Change struct {
	Record chain.Record
	Body   any
}

// Driver turns the effects of a machine into deeds and brings back what came of them.
// The observer and a rehearsal use the same one.
type Driver struct {
	Machine *plan.Machine
	Book    Book
	Asker   Asker
	// Changed is told of every record after it is safe; Told of every call for
	// people. Both are called in order and must not call back. May be nil.
	Changed func(Change)
	Told    func(plan.Notify)
	// Spawn runs an evaluation beside the others; nil answers at once, in order, which
	// is what makes a rehearsal the same each time.
	Spawn func(func())
	// Now is asked when an evaluation that ran beside comes back.
	Now func() time.Time

	mu     sync.Mutex
	failed error     // guarded by mu; the journal is behind the machine
	next   time.Time // guarded by mu
}

// errBehind ends a driver whose journal could not be written: what the machine knows
// was not acknowledged to anybody, and a new start forgets it.
var errBehind = errors.New("the journal could not be written; restart the observer")

// Step moves the machine on to now.
func (d *Driver) Step(ctx context.Context, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	effects, next := d.Machine.Step(now)
	return d.carryOut(ctx, now, effects, next)
}

// Scraped moves the machine on to now, right after a scrape.
func (d *Driver) Scraped(ctx context.Context, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	effects, next := d.Machine.Scraped(now)
	return d.carryOut(ctx, now, effects, next)
}

// Resume continues after a journal was replayed.
func (d *Driver) Resume(ctx context.Context, now, seen time.Time, what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	effects, next := d.Machine.Resume(now, seen, what)
	return d.carryOut(ctx, now, effects, next)
}

// Do carries out an act of a person. It returns after what was decided is safe.
func (d *Driver) Do(ctx context.Context, now time.Time, by plan.Actor, act plan.Act) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return "", d.failed
	}
	id, effects, next, err := d.Machine.Do(now, by, act)
	if e := d.carryOut(ctx, now, effects, next); e != nil {
		return "", e
	}
	return id, err
}

// Restart forgets what the machine knows and goes on with what the journal says, as a
// restart of the observer does. Nobody can act in between.
func (d *Driver) Restart(ctx context.Context, now, seen time.Time, what string, replay func() (*plan.Machine, error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, err := replay()
	if err != nil {
		return err
	}
	d.Machine = m
	effects, next := m.Resume(now, seen, what)
	return d.carryOut(ctx, now, effects, next)
}

// Record makes a record safe that is not the machine's own, such as that of an
// action. It counts for what is signed like any other.
func (d *Driver) Record(e journal.Entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	return d.append(e)
}

// Look calls f with the state, which f must neither keep nor change.
func (d *Driver) Look(f func(*plan.State)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d.Machine.State())
}

// Next is when Step must be called at the latest; zero when nothing is due.
func (d *Driver) Next() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next
}

// Err is why the driver has ended, or nil.
func (d *Driver) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// carryOut does what is wanted, and what follows from it, until nothing is left.
// Call with mu held.
func (d *Driver) carryOut(ctx context.Context, now time.Time, effects []plan.Effect, next time.Time) error {
	for len(effects) > 0 {
		if err := d.write(effects); err != nil {
			d.failed = err
			return err
		}
		var seen []plan.Observed
		for _, e := range effects {
			switch e := e.(type) {
			case plan.Notify:
				if d.Told != nil {
					d.Told(e)
				}
			case plan.Evaluate:
				if d.Spawn != nil {
					d.spawn(ctx, e)
					continue
				}
				seen = append(seen, plan.Observed{Evaluate: e, Observation: d.Asker.Ask(ctx, d.Machine.State(), e)})
			}
		}
		effects = nil
		if len(seen) > 0 {
			effects, next = d.Machine.Step(now, seen...)
		}
	}
	d.next = next
	return nil
}

// spawn has an evaluation answered beside the others. The state it is given is read
// under the lock by the asker's caller only for what never changes during a plan.
func (d *Driver) spawn(ctx context.Context, e plan.Evaluate) {
	state := d.Machine.State().Frame()
	d.Spawn(func() {
		answer := d.Asker.Ask(ctx, state, e)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.failed != nil {
			return
		}
		now := d.Now()
		effects, next := d.Machine.Step(now, plan.Observed{Evaluate: e, Observation: answer})
		_ = d.carryOut(ctx, now, effects, next) // kept in d.failed
	})
}

// write makes the records among the effects safe, with one fsync.
func (d *Driver) write(effects []plan.Effect) error {
	var entries []journal.Entry
	for _, e := range effects {
		if a, ok := e.(plan.Append); ok {
			entries = append(entries, journal.Entry{At: d.Machine.Now(), Who: a.Who, Role: a.Role, Kind: a.Kind, Body: a.Body})
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return d.append(entries...)
}

// append makes records safe and tells of them. Call with mu held.
func (d *Driver) append(entries ...journal.Entry) error {
	records, err := d.Book.AppendAll(entries...)
	if err != nil {
		return fmt.Errorf("%w: %v", errBehind, err)
	}
	for i, r := range records {
		d.Machine.Sealed(r.Head(), r.Kind)
		if d.Changed != nil {
			d.Changed(Change{r, entries[i].Body})
		}
	}
	return nil
}

package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spark-ta/spark/daemon/lease"
	"github.com/spark-ta/spark/daemon/store"
)

// fake grants leases by the bubble's clock, as the store does by its own.
type fake struct {
	mu       sync.Mutex
	holder   store.Token
	until    time.Time
	epoch    int64
	down     bool
	released []int64
}

func (f *fake) Acquire(ctx context.Context, holder, nonce string, d time.Duration, floor int64) (store.Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return store.Grant{}, store.ErrUnavailable
	}
	if time.Now().Before(f.until) {
		return store.Grant{Token: store.Token{Holder: f.holder.Holder, Epoch: f.epoch}, Remaining: time.Until(f.until)}, nil
	}
	f.epoch = max(f.epoch, floor) + 1
	f.holder = store.Token{Holder: holder, Epoch: f.epoch, Nonce: nonce}
	f.until = time.Now().Add(d)
	return store.Grant{Held: true, Token: f.holder, Remaining: d}, nil
}

func (f *fake) Renew(ctx context.Context, t store.Token, d time.Duration) (store.Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return store.Grant{}, store.ErrUnavailable
	}
	if t != f.holder || !time.Now().Before(f.until) {
		return store.Grant{}, store.ErrFenced
	}
	f.until = time.Now().Add(d)
	return store.Grant{Held: true, Token: t, Remaining: d}, nil
}

func (f *fake) Release(ctx context.Context, t store.Token) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t == f.holder {
		f.until = time.Time{}
		f.released = append(f.released, t.Epoch)
	}
	return nil
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func elector(f *fake, name string, began time.Time) *lease.Elector {
	return &lease.Elector{
		Store: f, Holder: name, Lease: 35 * time.Second, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Duration { return time.Since(began) },
	}
}

// office records who works, and fails when two do at once.
type office struct {
	t    *testing.T
	mu   sync.Mutex
	in   map[string]time.Time
	seen []string
}

func (o *office) lead(name string) func(context.Context, store.Token) error {
	return func(ctx context.Context, _ store.Token) error {
		o.mu.Lock()
		if len(o.in) > 0 {
			o.t.Errorf("%s leads while %v lead", name, o.in)
		}
		o.in[name] = time.Now()
		o.seen = append(o.seen, name)
		o.mu.Unlock()
		<-ctx.Done()
		o.mu.Lock()
		delete(o.in, name)
		o.mu.Unlock()
		return ctx.Err()
	}
}

func TestSecondInstanceTakesOverWhenTheFirstShutsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o, began := &fake{}, &office{t: t, in: map[string]time.Time{}}, time.Now()
		first, stopFirst := context.WithCancel(t.Context())
		second, stopSecond := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		a, b := elector(f, "a", began), elector(f, "b", began)
		wg.Go(func() {
			if err := a.Run(first, o.lead("a")); err != nil {
				t.Errorf("first: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := b.Run(second, o.lead("b")); err != nil {
				t.Errorf("second: %v", err)
			}
		})
		time.Sleep(10 * time.Minute)
		if s := a.Status(); !s.Leading || s.Remaining <= 0 {
			t.Errorf("after ten minutes the first has status %+v, want leading", s)
		}
		if s := b.Status(); s.Leading || s.Token.Holder != "a" {
			t.Errorf("the second sees %+v, want holder a", s)
		}
		stopFirst()
		time.Sleep(6 * time.Second)
		if s := b.Status(); !s.Leading || s.Token.Epoch != 2 {
			t.Errorf("after the first has gone the second has %+v, want to lead epoch 2", s)
		}
		stopSecond()
		wg.Wait()
		if len(o.seen) != 2 || len(f.released) != 2 {
			t.Errorf("led %v, released %v, want both once", o.seen, f.released)
		}
	})
}

func TestWorkStopsBeforeTheLeaseEndsWhenTheStoreIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, began := &fake{}, time.Now()
		ctx, stop := context.WithCancel(t.Context())
		var ended time.Time
		var reason string
		e := elector(f, "a", began)
		e.OnChange = func(c lease.Change) {
			if c.State == lease.Lost {
				reason = c.Reason
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = e.Run(ctx, func(ctx context.Context, _ store.Token) error {
				<-ctx.Done()
				if ended.IsZero() && !errors.Is(context.Cause(ctx), lease.ErrDeposed) {
					t.Errorf("cause %v, want deposed", context.Cause(ctx))
				}
				if ended.IsZero() {
					ended = time.Now()
				}
				return ctx.Err()
			})
		})
		time.Sleep(time.Minute)
		var until time.Time
		f.set(func(f *fake) { f.down, until = true, f.until })
		time.Sleep(34 * time.Second)
		synctest.Wait()
		if ended.IsZero() || !ended.Before(until) {
			t.Errorf("work ended at %v, the lease at %v; want before", ended, until)
		}
		if reason != "lease ran out" {
			t.Errorf("reason %q, want the deadline", reason)
		}
		if e.Status().Leading {
			t.Errorf("still believes that it leads")
		}
		f.set(func(f *fake) { f.down = false })
		time.Sleep(time.Minute)
		if s := e.Status(); !s.Leading || s.Token.Epoch != 2 {
			t.Errorf("after the store is back: %+v, want to lead epoch 2", s)
		}
		stop()
		wg.Wait()
	})
}

func TestRefusedRenewalEndsTheTermAndStaysOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o, began := &fake{}, &office{t: t, in: map[string]time.Time{}}, time.Now()
		ctx, stop := context.WithCancel(t.Context())
		e := elector(f, "a", began)
		changes := make(chan lease.Change, 16)
		e.OnChange = func(c lease.Change) { changes <- c }
		var wg sync.WaitGroup
		wg.Go(func() { _ = e.Run(ctx, o.lead("a")) })
		time.Sleep(time.Second)
		f.set(func(f *fake) { f.until = time.Time{} }) // an operator's DEL
		if c := <-changes; c.State != lease.Became {
			t.Errorf("first change %+v, want became", c)
		}
		if c := <-changes; c.State != lease.Lost || c.Reason != "renewal refused" {
			t.Errorf("second change %+v, want lost by refusal", c)
		}
		lost := time.Now()
		if c := <-changes; c.State != lease.Became || c.Token.Epoch != 2 || time.Since(lost) == 0 {
			t.Errorf("third change %+v after %v, want a new term with epoch 2 after a pause", c, time.Since(lost))
		}
		stop()
		wg.Wait()
	})
}

func TestWorkThatFailsEndsTheElectionWithItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, broken := &fake{}, errors.New("broken")
		e := elector(f, "a", time.Now())
		err := e.Run(t.Context(), func(context.Context, store.Token) error { return broken })
		if !errors.Is(err, broken) {
			t.Errorf("Run = %v, want the work's error", err)
		}
		if len(f.released) != 1 {
			t.Errorf("released %v, want the term released", f.released)
		}
	})
}

func TestFencedWorkIsALostTermAndNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		e := elector(f, "a", time.Now())
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		terms := 0
		err := e.Run(ctx, func(ctx context.Context, _ store.Token) error {
			terms++
			return store.ErrFenced
		})
		if err != nil || terms < 2 {
			t.Errorf("Run = %v after %d terms, want nil after several", err, terms)
		}
	})
}

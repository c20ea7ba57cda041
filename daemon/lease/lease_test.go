package lease_test

import (
	"context"
	"errors"
	"fmt"
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
	resign   string
	lose     int           // grants whose answer is lost
	member   *store.Member // what the holder registered
	ahead    time.Duration // of the store's clock before ours

	renewals, questions int
}

func (f *fake) Acquire(ctx context.Context, holder, nonce string, d time.Duration, floor int64) (store.Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return store.Grant{}, store.ErrUnavailable
	}
	if time.Now().Before(f.until) {
		if f.holder.Holder == holder && f.holder.Nonce == nonce {
			return store.Grant{Held: true, Token: f.holder, Remaining: time.Until(f.until)}, nil
		}
		return store.Grant{Token: store.Token{Holder: f.holder.Holder, Epoch: f.epoch}, Remaining: time.Until(f.until), Holder: f.member}, nil
	}
	f.epoch = max(f.epoch, floor) + 1
	f.holder = store.Token{Holder: holder, Epoch: f.epoch, Nonce: nonce}
	f.until = time.Now().Add(d)
	if f.lose > 0 {
		f.lose--
		return store.Grant{}, store.ErrUnavailable
	}
	return store.Grant{Held: true, Token: f.holder, Remaining: d, Now: time.Now().UnixMilli()}, nil
}

func (f *fake) Renew(ctx context.Context, t store.Token, d, _ time.Duration) (store.Grant, error) {
	return f.answer(t, func() { f.renewals++; f.until = time.Now().Add(d) })
}

func (f *fake) Verify(ctx context.Context, t store.Token) (store.Grant, error) {
	return f.answer(t, func() { f.questions++ })
}

func (f *fake) answer(t store.Token, do func()) (store.Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return store.Grant{}, store.ErrUnavailable
	}
	if t != f.holder || !time.Now().Before(f.until) {
		return store.Grant{}, store.ErrFenced
	}
	do()
	return store.Grant{Held: true, Token: t, Remaining: time.Until(f.until), Now: time.Now().Add(f.ahead).UnixMilli(), Resign: f.resign}, nil
}

func (f *fake) Reset(ctx context.Context, holder string, epoch int64, dead bool) (store.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holder.Holder != holder || f.holder.Epoch != epoch {
		return f.holder, store.ErrChanged
	}
	f.until = time.Time{}
	return f.holder, nil
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

// A process that was stopped for longer than its lease wakes up with calls that have
// timed out: its work ends with that error, in its term or after it, and it must stand
// for election again. Found by five rounds in five hundred of the chaos tool.
func TestWorkThatTimedOutStandsForElectionAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		when string
	}{
		"in its term":                 {context.DeadlineExceeded, "at once"},
		"in its term, by the store":   {fmt.Errorf("trigger: %w", store.ErrUnavailable), "at once"},
		"after its term":              {context.DeadlineExceeded, "at the end"},
		"after its term, by anything": {errors.New("broken by the end"), "at the end"},
		"after its term, wrapped":     {fmt.Errorf("x: %w", context.DeadlineExceeded), "at the end"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				e := elector(f, "a", time.Now())
				ctx, stop := context.WithCancel(t.Context())
				terms := 0
				done := make(chan error, 1)
				go func() {
					done <- e.Run(ctx, func(ctx context.Context, _ store.Token) error {
						terms++
						if terms == 1 && tt.when == "at once" {
							return tt.err
						}
						<-ctx.Done()
						if terms == 1 {
							return tt.err
						}
						return ctx.Err()
					})
				}()
				time.Sleep(time.Second)
				f.set(func(f *fake) { f.until = time.Time{} }) // the lease is lost
				time.Sleep(time.Minute)
				if s := e.Status(); !s.Leading || s.Token.Epoch < 2 {
					t.Errorf("status %+v a minute later, want to lead again", s)
				}
				stop()
				if err := <-done; err != nil {
					t.Errorf("Run = %v, want nil", err)
				}
			})
		})
	}
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

// rig is an elector at work, with what happened to it.
type rig struct {
	*lease.Elector
	f       *fake
	changes []lease.Change // guarded by f.mu
	asleep  time.Duration  // guarded by f.mu
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

// start runs an elector until the test ends. Call it in a bubble.
func start(t *testing.T, f *fake, change func(*rig)) *rig {
	r := &rig{Elector: elector(f, "a", time.Now()), f: f}
	r.OnChange = func(c lease.Change) { f.set(func(*fake) { r.changes = append(r.changes, c) }) }
	r.Suspended = func() (d time.Duration) { f.set(func(*fake) { d = r.asleep }); return d }
	if change != nil {
		change(r)
	}
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	r.wg.Go(func() {
		if err := r.Run(ctx, func(ctx context.Context, _ store.Token) error { <-ctx.Done(); return ctx.Err() }); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func (r *rig) end() {
	r.stop()
	r.wg.Wait()
}

// lost returns why the first term ended, "" while it lasts.
func (r *rig) lost() string { return r.firstEnd().Reason }

// firstEnd returns how the first term ended.
func (r *rig) firstEnd() (c lease.Change) {
	synctest.Wait()
	r.f.set(func(*fake) {
		if len(r.changes) > 1 {
			c = r.changes[1]
		}
	})
	return c
}

func TestReasonsToStopBelieving(t *testing.T) {
	tests := []struct {
		name   string
		setup  func(*rig)
		happen func(*rig)
		within time.Duration
		want   string
		state  string
	}{
		{"suspended", nil, func(r *rig) { r.f.set(func(*fake) { r.asleep = 200 * time.Millisecond }) }, time.Second, "machine was suspended", lease.Lost},
		{"the store's clock ran ahead", nil, func(r *rig) { r.f.set(func(f *fake) { f.ahead = 2 * time.Second }) }, 6 * time.Second, "time passed unnoticed", lease.Lost},
		{"asked to resign, by the next renewal", nil, func(r *rig) { r.f.set(func(f *fake) { f.resign = "ops" }) }, 6 * time.Second, "asked to resign: ops", lease.Resigned},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, &fake{}, tt.setup)
				defer r.end()
				time.Sleep(time.Minute)
				if got := r.lost(); got != "" {
					t.Fatalf("after a quiet minute the term ended: %s", got)
				}
				tt.happen(r)
				time.Sleep(tt.within)
				if got := r.firstEnd(); got.Reason != tt.want || got.State != tt.state {
					t.Errorf("the first term ended with %+v, want %s because of %q", got, tt.state, tt.want)
				}
				r.f.set(func(f *fake) { f.ahead, f.resign = 0, "" })
			})
		})
	}
}

func TestWorkThatStandsStillLosesOffice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		newest := time.Now()
		r := start(t, &fake{}, func(r *rig) {
			r.Progress = func() time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return time.Since(newest)
			}
		})
		defer r.end()
		for range 60 {
			time.Sleep(time.Second)
			mu.Lock()
			newest = time.Now()
			mu.Unlock()
		}
		time.Sleep(9 * time.Second)
		if got := r.lost(); got != "" {
			t.Fatalf("after nine seconds without progress: %s, want patience", got)
		}
		time.Sleep(2 * time.Second)
		if got := r.lost(); got != "work stands still" {
			t.Errorf("after eleven seconds without progress: %q, want the end", got)
		}
	})
}

func TestHintOfADeletedLockEndsTheTermAtOnceAndWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hints := make(chan struct{}, 1)
		f := &fake{}
		r := start(t, f, func(r *rig) { r.Hints = hints })
		defer r.end()
		time.Sleep(time.Second)
		before := 0
		f.set(func(f *fake) { before = f.renewals })
		for range 100 { // its own renewals, another key with the same prefix, a lie
			hints <- struct{}{}
			synctest.Wait()
		}
		f.set(func(f *fake) {
			if f.renewals != before || f.questions != 100 {
				t.Errorf("100 hints gave %d renewals and %d questions, want 0 and 100", f.renewals-before, f.questions)
			}
			f.until = time.Time{}
		})
		hints <- struct{}{}
		if got := r.lost(); got != "lock gone" {
			t.Errorf("the hint of a DEL ended the term because of %q, want the lock's absence", got)
		}
	})
}

func TestHintWakesACandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hints := make(chan struct{}, 1)
		f := &fake{epoch: 1, holder: store.Token{Holder: "other", Epoch: 1}, until: time.Now().Add(time.Hour)}
		r := start(t, f, func(r *rig) { r.Hints = hints })
		defer r.end()
		time.Sleep(time.Second)
		f.set(func(f *fake) { f.until = time.Time{} })
		hints <- struct{}{}
		synctest.Wait()
		if s := r.Status(); !s.Leading || s.Token.Epoch != 2 {
			t.Errorf("status %+v right after the hint, want to lead epoch 2", s)
		}
	})
}

func TestCandidateNeedsNoHintAtTheEndOfTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{epoch: 1, holder: store.Token{Holder: "other", Epoch: 1}, until: time.Now().Add(3 * time.Second)}
		r := start(t, f, nil)
		defer r.end()
		time.Sleep(3*time.Second - time.Millisecond)
		if r.Status().Leading {
			t.Fatal("leads before the lease is over")
		}
		time.Sleep(30 * time.Millisecond)
		if s := r.Status(); !s.Leading {
			t.Errorf("status %+v 30 ms after the end of the lease, want to lead", s)
		}
	})
}

func TestDeadHolderIsBuriedAndALivingOneIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		death := make(chan struct{})
		f := &fake{
			epoch: 1, holder: store.Token{Holder: "other", Epoch: 1}, until: time.Now().Add(time.Hour),
			member: &store.Member{ID: "other", Process: store.Process{Boot: "b", PID: 5}},
		}
		r := start(t, f, func(r *rig) {
			r.Witness = func(_ context.Context, m store.Member) <-chan struct{} {
				if m.ID != "other" || m.Process.PID != 5 {
					t.Errorf("watching %+v, want the holder", m)
				}
				return death
			}
		})
		defer r.end()
		time.Sleep(time.Minute)
		if r.Status().Leading {
			t.Fatal("leads while the other one lives")
		}
		close(death)
		synctest.Wait()
		if s := r.Status(); !s.Leading || s.Token.Epoch != 2 {
			t.Errorf("status %+v right after the death, want to lead epoch 2", s)
		}
	})
}

func TestSuspectLeaderBeginsNothingNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		r := start(t, f, nil)
		defer r.end()
		time.Sleep(time.Minute)
		if err := r.Trust(t.Context()); err != nil {
			t.Errorf("Trust of a leader = %v, want nil", err)
		}
		f.set(func(f *fake) { f.down = true })
		time.Sleep(6 * time.Second)
		if s := r.Status(); !s.Leading || !s.Suspect {
			t.Fatalf("status %+v after a missed renewal, want a suspect leader", s)
		}
		trusted := make(chan error, 1)
		go func() { trusted <- r.Trust(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-trusted:
			t.Fatalf("Trust of a suspect leader = %v, want it to wait", err)
		default:
		}
		f.set(func(f *fake) { f.down = false })
		time.Sleep(time.Second)
		if err := <-trusted; err != nil {
			t.Errorf("Trust after the renewal = %v, want nil", err)
		}
	})
}

func TestGrantWhoseAnswerWasLostIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{lose: 1}
		r := start(t, f, nil)
		defer r.end()
		time.Sleep(time.Second)
		s := r.Status()
		if !s.Leading || s.Token.Epoch != 1 {
			t.Fatalf("status %+v, want to lead the term that was granted first", s)
		}
		if s.Remaining > 33*time.Second {
			t.Errorf("believes for %s, longer than the store's lease of 35 s that began a second ago", s.Remaining)
		}
	})
}

package outbox_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spark-ta/spark/daemon/notify"
	"github.com/spark-ta/spark/daemon/outbox"
)

// ledger is what the receiver's side knows: which messages it took.
type ledger struct {
	took      map[string]int
	unflagged int // taken a second time without the flag
}

// TestNothingIsLostOverCrashes lets two relays at a time work against a lossy store
// and a receiver of every temper, and kills one of them every few seconds: cut off
// from the store at a random moment, so that nothing of what it knows is recorded.
func TestNothingIsLostOverCrashes(t *testing.T) {
	seeds := 100
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { crashes(t, uint64(seed)) })
		})
	}
}

func crashes(t *testing.T, seed uint64) {
	const deliveries = 60
	rnd, fate := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2)) // rnd is guarded by r.mu
	s, l := newShelf(), ledger{took: map[string]int{}}
	r := &receiver{}
	r.answer = func(ctx context.Context, m notify.Message, _ int) notify.Result {
		r.mu.Lock()
		dice, length := rnd.Float64(), time.Duration(rnd.IntN(3000))*time.Millisecond
		r.mu.Unlock()
		sleepUntil(ctx, length)
		r.mu.Lock()
		defer r.mu.Unlock()
		take := func() {
			if l.took[m.ID] > 0 && !m.Repeat {
				l.unflagged++
			}
			l.took[m.ID]++
		}
		switch {
		case dice < 0.1:
			return unsent
		case dice < 0.2:
			return busy(time.Duration(rnd.IntN(20)) * time.Second)
		case dice < 0.3: // not processed, but who can tell
			return serverErr
		case ctx.Err() != nil || dice < 0.5: // processed, and the answer lost
			take()
			return serverErr
		default:
			take()
			return accepted
		}
	}
	relay := func(i int) (stop func(), kill func()) {
		f := &faulty{store: s, lossy: 0.02}
		stop = start(t.Context(), &outbox.Relay{
			Store: f, Channels: map[string]notify.Notifier{"webhook": r}, Consumer: fmt.Sprint("relay-", i),
			Schedule: outbox.Schedule{Delays: []time.Duration{time.Second, 5 * time.Second}, MaxAge: 1000 * time.Hour},
		})
		return stop, func() { f.cut.Store(true); stop() }
	}
	s.put(deliveries/2, "webhook")
	stop, kill := relay(0)
	for i := 1; i < 30; i++ {
		nextStop, nextKill := relay(i)
		pass(t, time.Duration(fate.IntN(8000))*time.Millisecond)
		if fate.IntN(2) == 0 {
			kill()
		} else {
			stop()
		}
		stop, kill = nextStop, nextKill
		if i < 15 {
			s.put(deliveries/2/14+1, "webhook")
		}
	}
	pass(t, time.Hour)
	stop()
	waiting, sent, dead := s.counts()
	if waiting != 0 || dead != 0 || sent != len(l.took) {
		t.Errorf("%d waiting, %d dead, %d sent, %d taken by the receiver; want all of them taken", waiting, dead, sent, len(l.took))
	}
	if l.unflagged != 0 {
		t.Errorf("%d repeats without the flag, want 0", l.unflagged)
	}
}

func TestStoreAwayKeepsWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShelf(), &receiver{}
		f := &faulty{store: s}
		r.answer = func(ctx context.Context, _ notify.Message, _ int) notify.Result {
			f.cut.Store(true) // the store goes away during the attempt
			return accepted
		}
		s.put(1, "webhook")
		var log bytes.Buffer
		stop := start(t.Context(), &outbox.Relay{
			Store: f, Channels: map[string]notify.Notifier{"webhook": r}, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		defer stop()
		pass(t, time.Hour) // far longer than a claim lasts
		expectCounts(t, s, 1, 0, 0)
		f.cut.Store(false)
		pass(t, 10*time.Second)
		expectCounts(t, s, 0, 1, 0)
		if n := len(r.arrivals()); n != 1 {
			t.Errorf("%d attempts, want 1: what is known to be done is not repeated", n)
		}
		if n := strings.Count(log.String(), "state=sent"); n != 1 {
			t.Errorf("log has %d sent records, want 1:\n%s", n, log.String())
		}
	})
}

func TestStoreAwayIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		f := &faulty{store: s}
		f.cut.Store(true)
		var log bytes.Buffer
		stop := start(t.Context(), &outbox.Relay{
			Store: f, Channels: map[string]notify.Notifier{"webhook": &receiver{answer: always(accepted)}}, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		s.put(3, "webhook")
		pass(t, time.Hour)
		f.cut.Store(false)
		pass(t, 10*time.Second)
		stop()
		expectCounts(t, s, 0, 3, 0)
		if a, b := strings.Count(log.String(), "outbox waits for the store"), strings.Count(log.String(), "outbox has the store back"); a != 1 || b != 1 {
			t.Errorf("%d and %d records of the store going and coming, want 1 and 1:\n%s", a, b, log.String())
		}
	})
}

func TestFarewell(t *testing.T) {
	tests := []struct {
		name   string
		length time.Duration // of the attempt under way
		answer notify.Result
		within time.Duration
		sent   bool
		repeat bool
		err    string
	}{
		{"an attempt that ends in time is recorded", time.Second, accepted, time.Second, true, false, ""},
		{"a longer one is interrupted: possibly delivered", time.Hour, serverErr, 2 * time.Second, false, true, "HTTP 500"},
		{"a longer one is interrupted: not written", time.Hour, unsent, 2 * time.Second, false, false, "connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				r := &receiver{answer: func(ctx context.Context, _ notify.Message, _ int) notify.Result {
					sleepUntil(ctx, tt.length)
					return tt.answer
				}}
				ids := s.put(10, "webhook") // one under way, nine in the line
				stop := start(t.Context(), &outbox.Relay{
					Store: s, Channels: map[string]notify.Notifier{"webhook": r}, Workers: 1, Attempt: 2 * time.Hour,
				})
				synctest.Wait()
				began := time.Now()
				stop()
				if took := time.Since(began); took > tt.within {
					t.Errorf("Run returned after %v, want %v", took, tt.within)
				}
				first, _ := s.delivery(ids[0])
				if sent := first.State == "sent"; sent != tt.sent || first.Repeat != tt.repeat || first.LastError != tt.err {
					t.Errorf("under way: %+v, want sent %v, repeat %v, error %q", first, tt.sent, tt.repeat, tt.err)
				}
				for _, id := range ids[1:] {
					if d, _ := s.delivery(id); d.State != "retrying" || d.Attempts != 0 || d.Repeat {
						t.Errorf("in the line: %+v, want it given back untouched", d)
					}
				}
				// The next relay takes all of them at once, without waiting for claims to lapse.
				r.answer = always(accepted)
				next := start(t.Context(), &outbox.Relay{Store: s, Channels: map[string]notify.Notifier{"webhook": r}})
				pass(t, time.Second)
				next()
				expectCounts(t, s, 0, 10, 0)
			})
		})
	}
}

func TestFarewellWithTheStoreAwayIsBoundedAndSaysWhatIsUnrecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		f := &faulty{store: s}
		r := &receiver{answer: func(context.Context, notify.Message, int) notify.Result {
			f.cut.Store(true)
			return accepted
		}}
		id := s.put(1, "webhook")[0]
		var log bytes.Buffer
		stop := start(t.Context(), &outbox.Relay{Store: f, Channels: map[string]notify.Notifier{"webhook": r}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		pass(t, time.Minute)
		began := time.Now()
		stop()
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("Run returned after %v, want at most the farewell of 3 s", took)
		}
		if want := "outcome of a delivery not recorded"; !strings.Contains(log.String(), want) || !strings.Contains(log.String(), id) {
			t.Errorf("log has no %q with the id:\n%s", want, log.String())
		}
	})
}

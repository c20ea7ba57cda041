package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/notify"
	"github.com/spark-ta/spark/daemon/outbox"
	"github.com/spark-ta/spark/daemon/store"
)

// receiver answers as its function says and remembers what came.
type receiver struct {
	answer func(ctx context.Context, m notify.Message, seen int) notify.Result

	mu   sync.Mutex
	seen map[string]int
	came []arrival
}

type arrival struct {
	id     string
	repeat bool
	at     time.Time
}

func (r *receiver) Notify(ctx context.Context, m notify.Message) notify.Result {
	r.mu.Lock()
	if r.seen == nil {
		r.seen = map[string]int{}
	}
	r.seen[m.ID]++
	seen := r.seen[m.ID]
	r.came = append(r.came, arrival{m.ID, m.Repeat, time.Now()})
	r.mu.Unlock()
	return r.answer(ctx, m, seen)
}

func (r *receiver) arrivals() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.came)
}

func always(res notify.Result) func(context.Context, notify.Message, int) notify.Result {
	return func(context.Context, notify.Message, int) notify.Result { return res }
}

var (
	accepted  = notify.Result{Outcome: notify.Accepted, Status: 200}
	unsent    = notify.Result{Outcome: notify.Unsent, Reason: wire.FailNetwork, Error: "connection refused"}
	serverErr = notify.Result{Outcome: notify.Ambiguous, Reason: wire.FailHTTP5xx, Error: "HTTP 500", Status: 500}
	gone      = notify.Result{Outcome: notify.Permanent, Reason: wire.FailHTTP4xx, Error: "HTTP 410 Gone", Status: 410}
)

func busy(wait time.Duration) notify.Result {
	return notify.Result{Outcome: notify.Refused, Reason: wire.FailRateLimited, Error: "HTTP 429", Status: 429, RetryAfter: wait}
}

// start runs a relay until stop, which waits for its end.
func start(ctx context.Context, r *outbox.Relay) (stop func()) {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.Consumer == "" {
		r.Consumer = "relay"
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			panic(err)
		}
	}
}

// pass lets virtual time pass.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
}

func expectCounts(t *testing.T, s *shelf, waiting, sent, dead int) {
	t.Helper()
	if w, ok, d := s.counts(); w != waiting || ok != sent || d != dead {
		t.Errorf("outbox has %d waiting, %d sent, %d dead; want %d, %d, %d", w, ok, d, waiting, sent, dead)
	}
}

func TestRegression07WebhookAnswering500(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, broken := newShelf(), time.Now().Add(2*time.Hour)
		r := &receiver{answer: func(context.Context, notify.Message, int) notify.Result {
			if time.Now().Before(broken) {
				return serverErr
			}
			return accepted
		}}
		s.put(149, "webhook")
		stop := start(t.Context(), &outbox.Relay{Store: s, Channels: map[string]notify.Notifier{"webhook": r}, Idle: time.Second})
		defer stop()
		pass(t, time.Minute)
		expectCounts(t, s, 149, 0, 0)
		pass(t, 48*time.Hour)
		expectCounts(t, s, 0, 149, 0)
		first := map[string]bool{}
		for _, a := range r.arrivals() {
			if a.repeat != first[a.id] {
				t.Fatalf("attempt %+v, an earlier one there: %v; want every later one flagged", a, first[a.id])
			}
			first[a.id] = true
		}
	})
}

func TestRegression08BurstAboveTheLimitIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShelf(), &receiver{answer: always(accepted)}
		s.put(149, "webhook")
		stop := start(t.Context(), &outbox.Relay{
			Store: s, Channels: map[string]notify.Notifier{"webhook": r}, RateLimit: func() int { return 20 },
		})
		defer stop()
		pass(t, 10*time.Minute)
		expectCounts(t, s, 0, 149, 0)
		came := r.arrivals()
		if len(came) != 149 {
			t.Errorf("%d attempts, want 149", len(came))
		}
		for i := 20; i < len(came); i++ {
			if d := came[i].at.Sub(came[i-20].at); d < time.Minute {
				t.Fatalf("attempts %d to %d within %v, want at most 20 in any minute", i-20, i, d)
			}
		}
		if last := came[len(came)-1].at.Sub(came[0].at); last > 9*time.Minute {
			t.Errorf("the last of 149 at 20 a minute after %v, want within 9 min", last)
		}
	})
}

func TestOneSlowChannelDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		slow := &receiver{answer: func(ctx context.Context, _ notify.Message, _ int) notify.Result {
			sleepUntil(ctx, 10*time.Second)
			return accepted
		}}
		quick := &receiver{answer: always(accepted)}
		s.put(2000, "slow")
		stop := start(t.Context(), &outbox.Relay{Store: s, Channels: map[string]notify.Notifier{"slow": slow, "quick": quick}})
		defer stop()
		for range 50 {
			put := time.Now()
			s.put(1, "quick")
			pass(t, 7*time.Second)
			came := quick.arrivals()
			if wait := came[len(came)-1].at.Sub(put); wait < 0 || wait > 250*time.Millisecond {
				t.Fatalf("the quick channel waited %v behind the slow one", wait)
			}
		}
		pass(t, 100*time.Minute) // 2,000 of 10 s, four at a time, take 83
		expectCounts(t, s, 0, 2050, 0)
		for _, a := range slow.arrivals() {
			if a.repeat {
				t.Fatal("a delivery of the slow channel was sent as a repeat: its claim lapsed in the queue")
			}
		}
	})
}

func sleepUntil(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func TestRetriesFollowTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShelf(), &receiver{answer: always(serverErr)}
		id := s.put(1, "webhook")[0]
		stop := start(t.Context(), &outbox.Relay{Store: s, Channels: map[string]notify.Notifier{"webhook": r}, Idle: time.Second})
		defer stop()
		pass(t, 72*time.Hour)
		expectCounts(t, s, 0, 0, 1)
		came := r.arrivals()
		delays := outbox.Webhook().Delays
		for i := 1; i < len(came); i++ {
			nominal := delays[min(i, len(delays))-1]
			got := came[i].at.Sub(came[i-1].at)
			if got < nominal*8/10 || got > nominal*12/10+time.Second {
				t.Errorf("pause %d = %v, want %v ± 20 %%", i, got, nominal)
			}
		}
		if age := came[len(came)-1].at.Sub(came[0].at); len(came) < 10 || age > 48*time.Hour {
			t.Errorf("%d attempts over %v, want 10 or more within 48 h", len(came), age)
		}
		if d, _ := s.delivery(id); !strings.Contains(d.LastError, "HTTP 500; given up after") || !d.Repeat {
			t.Errorf("dead letter = %+v, want its error and the repeat flag", d)
		}
	})
}

func TestOutcomeDecidesWhatIsNext(t *testing.T) {
	tests := []struct {
		name     string
		answers  []notify.Result // the last one repeats
		after    time.Duration
		state    store.DeliveryState
		attempts int // counted
		came     int
		repeat   bool
		err      string
	}{
		{"accepted", []notify.Result{accepted}, time.Minute, store.Sent, 1, 1, false, ""},
		{"permanent is dead at once", []notify.Result{gone}, time.Minute, store.Dead, 1, 1, false, "HTTP 410 Gone"},
		{"Retry-After is a floor", []notify.Result{busy(3 * time.Minute), accepted}, 179 * time.Second, store.Retrying, 0, 1, false, "HTTP 429"},
		{"Retry-After costs no attempt", []notify.Result{busy(3 * time.Minute), accepted}, 4 * time.Minute, store.Sent, 1, 2, false, ""},
		{"a refusal without it costs one", []notify.Result{busy(0), accepted}, time.Minute, store.Sent, 2, 2, false, ""},
		{"unsent is free and unflagged", []notify.Result{unsent, unsent, unsent, accepted}, time.Minute, store.Sent, 1, 4, false, ""},
		{"ambiguous is repeated and flagged", []notify.Result{serverErr, accepted}, time.Minute, store.Sent, 2, 2, true, ""},
		{"the flag stays", []notify.Result{serverErr, unsent, busy(time.Second), accepted}, time.Minute, store.Sent, 2, 4, true, ""},
		{"nothing known is ambiguous", []notify.Result{{}, accepted}, time.Minute, store.Sent, 2, 2, true, ""},
		{"unreachable for ever is dead in the end", []notify.Result{unsent}, 49 * time.Hour, store.Dead, 1, -1, false, "connection refused; given up after"},
		{"Retry-After beyond the age is dead", []notify.Result{busy(100 * time.Hour)}, time.Minute, store.Dead, 1, 1, false, "HTTP 429; given up after"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				r := &receiver{answer: func(_ context.Context, _ notify.Message, seen int) notify.Result {
					return tt.answers[min(seen, len(tt.answers))-1]
				}}
				id := s.put(1, "webhook")[0]
				stop := start(t.Context(), &outbox.Relay{Store: s, Channels: map[string]notify.Notifier{"webhook": r}, Idle: time.Second})
				defer stop()
				pass(t, tt.after)
				d, _ := s.delivery(id)
				if d.State != tt.state || d.Attempts != tt.attempts || d.Repeat != tt.repeat || !strings.HasPrefix(d.LastError, tt.err) || tt.err == "" && d.LastError != "" {
					t.Errorf("delivery = %+v, want %s, %d attempts, repeat %v, error %q", d, tt.state, tt.attempts, tt.repeat, tt.err)
				}
				if came := len(r.arrivals()); tt.came >= 0 && came != tt.came {
					t.Errorf("%d attempts reached the channel, want %d", came, tt.came)
				}
			})
		})
	}
}

func TestAChannelRestsWhileItsReceiverIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, back := newShelf(), time.Now().Add(30*time.Minute)
		r := &receiver{answer: func(context.Context, notify.Message, int) notify.Result {
			if time.Now().Before(back) {
				return unsent
			}
			return accepted
		}}
		s.put(500, "webhook")
		stop := start(t.Context(), &outbox.Relay{Store: s, Channels: map[string]notify.Notifier{"webhook": r}})
		defer stop()
		pass(t, 30*time.Minute)
		if n := len(r.arrivals()); n > 300 {
			t.Errorf("%d attempts in 30 min at a receiver that is away, want about 4 a minute", n)
		}
		pass(t, 5*time.Minute)
		expectCounts(t, s, 0, 500, 0)
	})
}

func TestUnknownChannelWaitsForItsConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newShelf(), &receiver{answer: always(accepted)}
		id := s.put(1, "slack")[0]
		var log bytes.Buffer
		relay := func(name string) *outbox.Relay {
			return &outbox.Relay{Store: s, Channels: map[string]notify.Notifier{name: r}, Log: slog.New(slog.NewTextHandler(&log, nil))}
		}
		stop := start(t.Context(), relay("webhook"))
		pass(t, 10*time.Minute)
		stop()
		if d, _ := s.delivery(id); d.LastError != `channel "slack" is not configured` || d.Attempts != 0 {
			t.Errorf("delivery = %+v, want it to say what is missing, without an attempt", d)
		}
		if n := strings.Count(log.String(), "msg=notify"); n != 1 {
			t.Errorf("%d log records, want 1:\n%s", n, log.String())
		}
		stop = start(t.Context(), relay("slack"))
		defer stop()
		pass(t, 2*time.Minute)
		expectCounts(t, s, 0, 1, 0)
	})
}

func TestWakeIsQuickerThanThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, wake := newShelf(), &receiver{answer: always(accepted)}, make(chan struct{}, 1)
		stop := start(t.Context(), &outbox.Relay{Store: s, Channels: map[string]notify.Notifier{"webhook": r}, Wake: wake, Idle: time.Hour})
		defer stop()
		pass(t, time.Minute)
		put := time.Now()
		s.put(1, "webhook")
		wake <- struct{}{}
		synctest.Wait()
		if came := r.arrivals(); len(came) != 1 || !came[0].at.Equal(put) {
			t.Errorf("arrivals = %+v, want one at once", came)
		}
	})
}

func TestEachChangeIsLoggedAndCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		r := &receiver{answer: func(_ context.Context, _ notify.Message, seen int) notify.Result {
			return []notify.Result{unsent, serverErr, accepted}[min(seen, 3)-1]
		}}
		s.put(1, "webhook")
		s.put(1, "broken")
		var (
			mu     sync.Mutex
			log    bytes.Buffer
			counts = map[string]int{}
			events []wire.NotifyEvent
		)
		count := func(parts ...string) {
			mu.Lock()
			defer mu.Unlock()
			counts[strings.Join(parts, " ")]++
		}
		stop := start(t.Context(), &outbox.Relay{
			Store:    s,
			Channels: map[string]notify.Notifier{"webhook": r, "broken": &receiver{answer: always(gone)}},
			Log:      slog.New(slog.NewJSONHandler(&log, nil)),
			Hooks: outbox.Hooks{
				Sent:     func(c string, _ time.Duration) { count("sent", c) },
				Failed:   func(c, reason string) { count("failed", c, reason) },
				Retried:  func(c string) { count("retried", c) },
				Repeated: func(c string) { count("repeated", c) },
				Dead:     func(c string) { count("dead", c) },
				Changed:  func(e wire.NotifyEvent) { mu.Lock(); events = append(events, e); mu.Unlock() },
			},
		})
		pass(t, time.Minute)
		stop()
		want := map[string]int{
			"sent webhook": 1, "failed webhook network": 1, "failed webhook http_5xx": 1, "retried webhook": 2,
			"repeated webhook": 1, "failed broken http_4xx": 1, "dead broken": 1,
		}
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		got := map[string]int{}
		for _, line := range strings.Split(strings.TrimSpace(log.String()), "\n") {
			var rec struct {
				Msg, Level, Channel, State string
				Attempt                    int
			}
			if err := json.Unmarshal([]byte(line), &rec); err != nil || rec.Msg != wire.LogNotify {
				t.Errorf("log record %s: %v", line, err)
			}
			got[strings.Join([]string{rec.Level, rec.Channel, rec.State, string(rune('0' + rec.Attempt))}, " ")]++
		}
		wantLog := map[string]int{
			"WARN webhook retrying 1": 2, // the first one was free
			"INFO webhook sent 2":     1,
			"ERROR broken dead 1":     1,
		}
		if diff := cmp.Diff(wantLog, got); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		states := map[string]int{}
		for _, e := range events {
			states[e.Channel+" "+e.State]++
		}
		if diff := cmp.Diff(map[string]int{"webhook retrying": 2, "webhook sent": 1, "broken dead": 1}, maps.Clone(states)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

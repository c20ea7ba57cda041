package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
)

// patient is a visibility that never passes in a test.
const patient = time.Hour

func outboxTests() []test {
	return []test{
		{"an empty outbox gives nothing and is not written to", testEmptyOutbox},
		{"claim, send, done", testSent},
		{"a crash between claim and finish is claimed again as a repeat", testReclaim},
		{"a crash between reading and claiming is no attempt", testReadNotClaimed},
		{"what another took over before the attempt began is left to it", testTakenOver},
		{"a retry waits and comes back", testRetry},
		{"what was not sent is not counted", testUnsent},
		{"given up goes to the dead letters with its attempts", testDead},
		{"the end of a claim that was taken over has no effect", testStaleFinish},
		{"finishing twice is finishing once", testFinishTwice},
		{"promoting twice is promoting once", testPromoteTwice},
		{"promote says when the next is due", testPromoteNext},
		{"a delivery that vanished is dropped from the stream", testVanished},
		{"a delivery that cannot be read becomes a dead letter", testGarbledDelivery},
		{"FLUSHALL does not stop the relay", testOutboxFlushed},
		{"the depth counts what is not over", testDepth},
		{"this process is woken, and no wake-up is lost", testWoken},
	}
}

func claim(t testing.TB, e *env, consumer string, limit int, visibility time.Duration) []store.Delivery {
	t.Helper()
	d, err := e.Claim(e.ctx, consumer, limit, visibility, base)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	return d
}

func claimAll(t testing.TB, e *env) []store.Delivery {
	t.Helper()
	return claim(t, e, "relay-1", 1000, patient)
}

func claimOne(t testing.TB, e *env) store.Delivery {
	t.Helper()
	d := claim(t, e, "relay-1", 1, patient)
	if len(d) != 1 {
		t.Fatalf("Claim = %d deliveries, want 1", len(d))
	}
	return d[0]
}

func finish(t testing.TB, e *env, d store.Delivery, o store.Outcome) {
	t.Helper()
	o.ID, o.Claim, o.Now = d.ID, d.Claim, base
	if err := e.Finish(e.ctx, o); err != nil {
		t.Fatalf("Finish: %v", err)
	}
}

// promote moves what is due a day later.
func promote(t testing.TB, e *env) {
	t.Helper()
	if _, _, err := e.Promote(e.ctx, base+86_400_000, 1000); err != nil {
		t.Fatalf("Promote: %v", err)
	}
}

func (e *env) keysLike(t testing.TB, pattern string) []string {
	t.Helper()
	keys, err := e.raw.Keys(e.ctx, e.key(pattern)).Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// one puts one delivery into the outbox.
func (e *env) one(t testing.TB) alert.Event {
	t.Helper()
	tok := e.lead(t, "h")
	a := sample(1)
	e.create(t, a)
	ev := event(a, 1, "webhook")
	e.trigger(t, tok, ev)
	return ev
}

func testEmptyOutbox(t *testing.T, e *env) {
	if d := claimAll(t, e); len(d) != 0 {
		t.Fatalf("Claim = %v, want nothing", d)
	}
	before := e.dump(t)
	for range 3 {
		if d := claimAll(t, e); len(d) != 0 {
			t.Fatalf("Claim = %v, want nothing", d)
		}
		if n, next, err := e.Promote(e.ctx, base, 10); n != 0 || next != 0 || err != nil {
			t.Fatalf("Promote = %d, %d, %v, want nothing", n, next, err)
		}
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("looking into an empty outbox wrote:\n%s", diff)
	}
	if d, err := e.Dead(e.ctx, 0); err != nil || len(d) != 0 {
		t.Errorf("Dead = %v, %v, want none", d, err)
	}
}

func testSent(t *testing.T, e *env) {
	ev := e.one(t)
	got := claimOne(t, e)
	want := store.Delivery{
		ID: alert.DeliveryID(ev.ID, "webhook"), Channel: "webhook", Event: ev, State: store.Sending, Attempts: 1, FirstAt: base,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Delivery{}, "Claim")); diff != "" {
		t.Errorf("Claim differs (-want +got):\n%s", diff)
	}
	if got.Claim == "" {
		t.Error("the claim has no name")
	}
	if d := claimAll(t, e); len(d) != 0 {
		t.Errorf("claimed again: %v", d)
	}
	if s := states(t, e, ev.AlertID); !slices.Equal(s, []store.DeliveryState{store.Sending}) {
		t.Errorf("states = %v, want sending", s)
	}
	finish(t, e, got, store.Outcome{State: store.Sent})
	if s := states(t, e, ev.AlertID); !slices.Equal(s, []store.DeliveryState{store.Sent}) {
		t.Errorf("states = %v, want sent", s)
	}
	if n := e.do(t, "XLEN", e.key("outbox")); n != int64(0) {
		t.Errorf("%v entries left in the outbox, want none", n)
	}
	if d, _ := e.Depth(e.ctx, base); d.Waiting != 0 {
		t.Errorf("%d waiting, want 0", d.Waiting)
	}
}

func states(t testing.TB, e *env, alertID string) (states []store.DeliveryState) {
	t.Helper()
	records, err := e.History(e.ctx, alertID, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		for _, d := range r.Deliveries {
			states = append(states, d.State)
		}
	}
	return states
}

func testReclaim(t *testing.T, e *env) {
	e.one(t)
	first := claimOne(t, e) // and its claimer dies
	if d := claim(t, e, "relay-2", 9, patient); len(d) != 0 {
		t.Fatalf("claimed by another before the visibility passed: %v", d)
	}
	var again []store.Delivery
	until(t, func() bool { again = claim(t, e, "relay-2", 9, 30*time.Millisecond); return len(again) > 0 })
	if again[0].ID != first.ID || !again[0].Repeat || again[0].Attempts != 2 || again[0].FirstAt != first.FirstAt || again[0].Claim == first.Claim {
		t.Errorf("claimed again = %+v, want the second attempt of %s as a repeat", again[0], first.ID)
	}
}

func testReadNotClaimed(t *testing.T, e *env) {
	e.one(t)
	claim(t, e, "relay-1", 0, patient) // makes the group
	e.do(t, "XREADGROUP", "GROUP", "relay", "relay-1", "STREAMS", e.key("outbox"), ">")
	var got []store.Delivery
	until(t, func() bool { got = claim(t, e, "relay-2", 9, 30*time.Millisecond); return len(got) > 0 })
	if got[0].Repeat || got[0].Attempts != 1 {
		t.Errorf("claimed = %+v, want the first attempt and no repeat", got[0])
	}
}

func testTakenOver(t *testing.T, e *env) {
	ev := e.one(t)
	slow := e.another(t, func(o *redis.Options) {
		o.Observe = func(command string, _ time.Duration, err error) {
			if command != "xreadgroup" || err != nil {
				return
			}
			// the slow one pauses here, and another claims what it was given
			for _, entry := range e.raw.XRange(e.ctx, e.key("outbox"), "-", "+").Val() {
				e.do(t, "XCLAIM", e.key("outbox"), "relay", "relay-2", 0, entry.ID)
			}
		}
	})
	if d, err := slow.Claim(e.ctx, "relay-1", 9, patient, base); err != nil || len(d) != 0 {
		t.Errorf("Claim = %v, %v, want nothing: it is another's", d, err)
	}
	if s := states(t, e, ev.AlertID); !slices.Equal(s, []store.DeliveryState{store.Pending}) {
		t.Errorf("states = %v, want pending", s)
	}
}

func testRetry(t *testing.T, e *env) {
	ev := e.one(t)
	d := claimOne(t, e)
	finish(t, e, d, store.Outcome{State: store.Retrying, Error: "status 500", RetryIn: 5 * time.Second, Repeat: true})
	if got := claimAll(t, e); len(got) != 0 {
		t.Fatalf("claimed before it was due: %v", got)
	}
	if s := states(t, e, ev.AlertID); !slices.Equal(s, []store.DeliveryState{store.Retrying}) {
		t.Errorf("states = %v, want retrying", s)
	}
	if n, next, err := e.Promote(e.ctx, base+4999, 10); n != 0 || next != base+5000 || err != nil {
		t.Errorf("Promote early = %d, %d, %v, want 0, %d", n, next, err, base+5000)
	}
	if n, next, err := e.Promote(e.ctx, base+5000, 10); n != 1 || next != 0 || err != nil {
		t.Errorf("Promote = %d, %d, %v, want 1, 0", n, next, err)
	}
	got := claimOne(t, e)
	if got.ID != d.ID || got.Attempts != 2 || got.LastError != "status 500" || !got.Repeat || got.FirstAt != base {
		t.Errorf("Claim = %+v, want the second attempt, a possible repeat", got)
	}
	finish(t, e, got, store.Outcome{State: store.Sent})
	records, _ := e.History(e.ctx, ev.AlertID, 1)
	if diff := cmp.Diff([]store.Delivery{{Channel: "webhook", State: store.Sent, Attempts: 2}}, records[0].Deliveries); diff != "" {
		t.Errorf("history differs (-want +got):\n%s", diff)
	}
}

func testUnsent(t *testing.T, e *env) {
	e.one(t)
	for range 3 {
		d := claimOne(t, e)
		if d.Attempts != 1 || d.Repeat {
			t.Errorf("Claim = attempt %d, repeat %t; want 1, false", d.Attempts, d.Repeat)
		}
		finish(t, e, d, store.Outcome{State: store.Retrying, Error: "connection refused", Unsent: true})
		promote(t, e)
	}
}

func testDead(t *testing.T, e *env) {
	ev := e.one(t)
	d := claimOne(t, e)
	finish(t, e, d, store.Outcome{State: store.Retrying, Error: "status 500"})
	promote(t, e)
	d = claimOne(t, e)
	finish(t, e, d, store.Outcome{State: store.Dead, Error: "status 410", Repeat: true})
	dead, err := e.Dead(e.ctx, 10)
	want := []store.Delivery{{
		ID: d.ID, Channel: "webhook", Event: ev, State: store.Dead, Attempts: 2, FirstAt: base, LastError: "status 410", Repeat: true,
	}}
	if diff := cmp.Diff(want, dead); err != nil || diff != "" {
		t.Errorf("Dead: %v (-want +got):\n%s", err, diff)
	}
	if depth, _ := e.Depth(e.ctx, base); depth.Waiting != 0 || depth.Dead != 1 {
		t.Errorf("Depth = %+v, want 0 waiting, 1 dead", depth)
	}
	if s := states(t, e, ev.AlertID); !slices.Equal(s, []store.DeliveryState{store.Dead}) {
		t.Errorf("states = %v, want dead", s)
	}
	letters := e.raw.XRange(e.ctx, e.key("outbox:dead"), "-", "+").Val()
	if tries, _ := letters[0].Values["tries"].(string); tries != "1790000000000 status 500\n1790000000000 status 410\n" {
		t.Errorf("tries = %q, want every attempt", tries)
	}
}

func testStaleFinish(t *testing.T, e *env) {
	e.one(t)
	old := claimOne(t, e)
	var fresh []store.Delivery
	until(t, func() bool { fresh = claim(t, e, "relay-2", 9, 20*time.Millisecond); return len(fresh) > 0 })
	before := e.dump(t)
	for _, state := range []store.DeliveryState{store.Sent, store.Retrying, store.Dead} {
		finish(t, e, old, store.Outcome{State: state, Error: "x"})
	}
	if err := e.Finish(e.ctx, store.Outcome{ID: "unknown", Claim: "x", State: store.Sent}); err != nil {
		t.Errorf("Finish of an unknown delivery = %v, want nil", err)
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("the end of a claim that was taken over had an effect:\n%s", diff)
	}
	finish(t, e, fresh[0], store.Outcome{State: store.Sent})
	if err := e.Finish(e.ctx, store.Outcome{ID: old.ID, Claim: old.Claim, State: store.Sending}); err == nil {
		t.Error("Finish with a state that ends nothing = nil, want an error")
	}
}

func testFinishTwice(t *testing.T, e *env) {
	for _, state := range []store.DeliveryState{store.Retrying, store.Dead} {
		e.do(t, "FLUSHALL")
		e.one(t)
		d := claimOne(t, e)
		finish(t, e, d, store.Outcome{State: state, Error: "x"})
		before := e.dump(t)
		finish(t, e, d, store.Outcome{State: state, Error: "x"})
		if diff := cmp.Diff(before, e.dump(t)); diff != "" {
			t.Errorf("second Finish(%s) had an effect:\n%s", state, diff)
		}
	}
}

func testPromoteTwice(t *testing.T, e *env) {
	e.one(t)
	finish(t, e, claimOne(t, e), store.Outcome{State: store.Retrying, Error: "x"})
	promote(t, e)
	before := e.dump(t)
	promote(t, e)
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("second Promote had an effect:\n%s", diff)
	}
}

func testPromoteNext(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a := sample(1)
	e.create(t, a)
	e.trigger(t, tok, event(a, 1, "webhook"), event(a, 2, "webhook"), event(a, 3, "webhook"))
	for i, d := range claimAll(t, e) {
		finish(t, e, d, store.Outcome{State: store.Retrying, Error: "x", RetryIn: time.Duration(i+1) * time.Second})
	}
	for _, tt := range []struct {
		now, next int64
		limit     int
		moved     int
	}{{base, base + 1000, 9, 0}, {base + 2500, base + 2000, 1, 1}, {base + 2500, base + 3000, 9, 1}, {base + 9000, 0, 9, 1}} {
		moved, next, err := e.Promote(e.ctx, tt.now, tt.limit)
		if moved != tt.moved || next != tt.next || err != nil {
			t.Errorf("Promote(%d, %d) = %d, %d, %v, want %d, %d", tt.now, tt.limit, moved, next, err, tt.moved, tt.next)
		}
	}
}

func testVanished(t *testing.T, e *env) {
	ev := e.one(t)
	e.do(t, "DEL", e.key("delivery:"+alert.DeliveryID(ev.ID, "webhook")))
	e.do(t, "XADD", e.key("outbox"), "*", "foreign", "entry")
	e.do(t, "SET", e.key("delivery:string"), "foreign")
	e.do(t, "XADD", e.key("outbox"), "*", "id", "string", "channel", "webhook")
	if d := claimAll(t, e); len(d) != 0 {
		t.Errorf("Claim = %v, want nothing", d)
	}
	if n := e.do(t, "XLEN", e.key("outbox")); n != int64(0) {
		t.Errorf("%v entries left, want none", n)
	}
}

func testGarbledDelivery(t *testing.T, e *env) {
	ev := e.one(t)
	id := alert.DeliveryID(ev.ID, "webhook")
	e.do(t, "HSET", e.key("delivery:"+id), "event", "{garbled")
	if d := claimAll(t, e); len(d) != 0 {
		t.Errorf("Claim = %v, want nothing", d)
	}
	letters := e.raw.XRange(e.ctx, e.key("outbox:dead"), "-", "+").Val()
	if len(letters) != 1 || letters[0].Values["event"] != "{garbled" {
		t.Errorf("dead letters = %v, want what was there", letters)
	}
}

func testOutboxFlushed(t *testing.T, e *env) {
	e.one(t)
	d := claimOne(t, e)
	e.do(t, "FLUSHALL")
	finish(t, e, d, store.Outcome{State: store.Sent})
	if d := claimAll(t, e); len(d) != 0 {
		t.Errorf("Claim = %v, want nothing", d)
	}
	e.one(t)
	claimOne(t, e)
}

func testDepth(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a := sample(1)
	e.create(t, a)
	e.trigger(t, tok, event(a, 1, "webhook"), event(a, 2, "webhook"), event(a, 3, "webhook"))
	d := claim(t, e, "relay-1", 2, patient)
	finish(t, e, d[0], store.Outcome{State: store.Sent})
	finish(t, e, d[1], store.Outcome{State: store.Retrying, Error: "x", RetryIn: time.Hour})
	now := event(a, 2).Time + 9000
	if got, err := e.Depth(e.ctx, now); err != nil || got != (store.OutboxDepth{Waiting: 2, Oldest: 9 * time.Second}) {
		t.Errorf("Depth = %+v, %v, want 2 waiting, the oldest for 9 s", got, err)
	}
}

func testWoken(t *testing.T, e *env) {
	woken := func() bool {
		select {
		case <-e.Woken():
			return true
		default:
			return false
		}
	}
	if woken() {
		t.Fatal("woken by nothing")
	}
	e.one(t)
	if !woken() || woken() {
		t.Error("a trigger wakes once")
	}
	finish(t, e, claimOne(t, e), store.Outcome{State: store.Retrying, Error: "x"})
	if woken() {
		t.Error("a retry that is due later wakes nobody")
	}
	promote(t, e)
	if !woken() {
		t.Error("a promotion wakes")
	}
}

package storetest

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
)

func triggerTests() []test {
	return []test{
		{"history, alert and outbox change together", testTrigger},
		{"a repeat writes nothing", testTriggerTwice},
		{"once disables the alert, and enabling it arms it again", testOnce},
		{"an event of a disabled alert or an older revision is gone", testGone},
		{"the history is bounded and its deliveries with it", testHistoryBound},
		{"a long list is written in parts", testTriggerMany},
		{"figures that are no numbers do not stop an event", testNaN},
		{"the last trigger never goes back", testLateTrigger},
		{"watermarks only rise", testWatermarks},
	}
}

func testTrigger(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a := sample(1)
	e.create(t, a)
	first, second := event(a, 1, "webhook", "telegram"), event(a, 2)
	e.trigger(t, tok, first, second)
	got, err := e.Alert(e.ctx, a.ID)
	want := a
	want.LastTriggeredAt, want.TriggerCount = second.Time, 2
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Alert: %v (-want +got):\n%s", err, diff)
	}
	records, err := e.History(e.ctx, a.ID, 0)
	wantRecords := []store.EventRecord{
		{Event: second},
		{Event: first, Deliveries: []store.Delivery{{Channel: "webhook", State: store.Pending}, {Channel: "telegram", State: store.Pending}}},
	}
	if diff := cmp.Diff(wantRecords, records); err != nil || diff != "" {
		t.Errorf("History: %v (-want +got):\n%s", err, diff)
	}
	if records, _ = e.History(e.ctx, a.ID, 1); len(records) != 1 || records[0].Event.ID != second.ID {
		t.Errorf("History(limit 1) = %v, want the newest", records)
	}
	depth, err := e.Depth(e.ctx, first.Time+1500)
	if err != nil || depth.Waiting != 2 || depth.Dead != 0 || depth.Oldest.Milliseconds() != 1500 {
		t.Errorf("Depth = %+v, %v, want 2 waiting for 1.5 s", depth, err)
	}
}

func testTriggerTwice(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a, once := sample(1), sample(2)
	once.Mode = alert.Once
	e.create(t, a, once)
	events := []alert.Event{event(a, 1, "webhook"), event(once, 1, "webhook")}
	e.trigger(t, tok, events...)
	before := e.dump(t)
	for range 2 {
		r, err := e.Trigger(e.ctx, tok, events, base+1)
		if diff := cmp.Diff([]store.TriggerResult{store.TriggerDuplicate, store.TriggerDuplicate}, r); err != nil || diff != "" {
			t.Errorf("repeat: %v (-want +got):\n%s", err, diff)
		}
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("the repeat wrote something:\n%s", diff)
	}
	both := []alert.Event{event(a, 3, "webhook"), event(a, 3, "webhook")}
	r, err := e.Trigger(e.ctx, tok, both, base)
	if diff := cmp.Diff([]store.TriggerResult{store.TriggerAccepted, store.TriggerDuplicate}, r); err != nil || diff != "" {
		t.Errorf("twice in one call: %v (-want +got):\n%s", err, diff)
	}
}

func testOnce(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a := sample(1)
	a.Mode = alert.Once
	e.create(t, a)
	_, cursor, err := e.Changes(e.ctx, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	e.trigger(t, tok, event(a, 1, "webhook"))
	got, _ := e.Alert(e.ctx, a.ID)
	if got.Active || got.Rev != 1 || got.UpdatedAt != base {
		t.Errorf("after its trigger: active %t, rev %d, updated %d; want disabled, the revision kept", got.Active, got.Rev, got.UpdatedAt)
	}
	if changes, _, err := e.Changes(e.ctx, cursor, 9); err != nil || len(changes) != 1 || changes[0].AlertID != a.ID {
		t.Errorf("Changes = %v, %v, want one of the alert", changes, err)
	}
	later := a
	later.Rev = 1
	if r, _ := e.Trigger(e.ctx, tok, []alert.Event{event(later, 9, "webhook")}, base); r[0] != store.TriggerDuplicate {
		t.Errorf("second trigger of the same arming = %v, want duplicate", r[0])
	}
	armed, err := e.SetActive(e.ctx, a.ID, true, base)
	if err != nil || armed.Rev != 2 {
		t.Fatalf("SetActive = rev %d, %v, want 2", armed.Rev, err)
	}
	e.trigger(t, tok, event(armed, 9, "webhook"))
}

func testGone(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a := sample(1)
	e.create(t, a)
	off, err := e.SetActive(e.ctx, a.ID, false, base)
	if err != nil {
		t.Fatal(err)
	}
	for name, ev := range map[string]alert.Event{"disabled": event(off, 1, "webhook"), "old revision": event(a, 1, "webhook"), "unknown": event(sample(9), 1, "webhook")} {
		before := e.dump(t)
		if r, err := e.Trigger(e.ctx, tok, []alert.Event{ev}, base); err != nil || r[0] != store.TriggerGone {
			t.Errorf("Trigger of %s = %v, %v, want gone", name, r, err)
		}
		if diff := cmp.Diff(before, e.dump(t)); diff != "" {
			t.Errorf("Trigger of %s wrote something:\n%s", name, diff)
		}
	}
	on, err := e.SetActive(e.ctx, a.ID, true, base)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := e.Trigger(e.ctx, tok, []alert.Event{event(a, 1, "webhook"), event(on, 1, "webhook")}, base); r[0] != store.TriggerGone || r[1] != store.TriggerAccepted {
		t.Errorf("Trigger of revisions 1 and 3 = %v, want gone, accepted", r)
	}
}

func testHistoryBound(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	s := e.another(t, func(o *redis.Options) { o.HistoryLimit = 3 })
	a := sample(1)
	e.create(t, a)
	trigger := func(n int) {
		t.Helper()
		if r, err := s.Trigger(e.ctx, tok, []alert.Event{event(a, n, "webhook")}, base); err != nil || r[0] != store.TriggerAccepted {
			t.Fatalf("Trigger = %v, %v", r, err)
		}
	}
	for n := range 3 {
		trigger(n)
	}
	done := claimOne(t, e) // of the event that falls out next; it will be over
	finish(t, e, done, store.Outcome{State: store.Sent})
	trigger(3) // event 0 falls out: its delivery is over, and forgotten
	trigger(4) // event 1 falls out: its delivery is not over, and kept until it is
	records, err := s.History(e.ctx, a.ID, 100)
	if err != nil || len(records) != 3 || records[2].Event.ID != event(a, 2).ID {
		t.Fatalf("History = %d events, %v, want the newest 3", len(records), err)
	}
	if n := len(e.keysLike(t, "delivery:*")); n != 4 {
		t.Errorf("%d deliveries, want 4: of the 3 events kept, and the one not over", n)
	}
	pending := claimAll(t, e)
	if len(pending) != 4 {
		t.Errorf("claimed %d, want all 4 that are not over", len(pending))
	}
	for _, d := range pending {
		finish(t, e, d, store.Outcome{State: store.Sent})
	}
	if n := len(e.keysLike(t, "delivery:*")); n != 3 {
		t.Errorf("%d deliveries at the end, want 3", n)
	}
	if n := e.do(t, "ZCARD", e.key("seen:"+a.ID)); n != int64(5) {
		t.Errorf("%v ids remembered, want 5", n)
	}
}

func testTriggerMany(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a := sample(1)
	e.create(t, a)
	events := make([]alert.Event, 2*redis.MaxEvents+7)
	for i := range events {
		events[i] = event(a, i, "webhook", "telegram")
	}
	e.trigger(t, tok, events...)
	if d, _ := e.Depth(e.ctx, base); d.Waiting != int64(2*len(events)) {
		t.Errorf("%d waiting, want %d", d.Waiting, 2*len(events))
	}
	if r, err := e.Trigger(e.ctx, store.Token{}, events, base); err == nil || len(r) != len(events) || r[0] != store.TriggerUnknown {
		t.Errorf("refused Trigger = %d results, %v; want unknown for each", len(r), err)
	}
}

func testNaN(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a := sample(1)
	e.create(t, a)
	ev := event(a, 1, "webhook")
	ev.Value = map[string]float64{"close": 2, "upper": math.NaN(), "lower": math.Inf(-1)}
	e.trigger(t, tok, ev)
	if got := claimOne(t, e); !cmp.Equal(got.Event.Value, map[string]float64{"close": 2}) {
		t.Errorf("value = %v, want the one that is a number", got.Event.Value)
	}
}

func testLateTrigger(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a := sample(1)
	e.create(t, a)
	e.trigger(t, tok, event(a, 5), event(a, 2))
	if got, _ := e.Alert(e.ctx, a.ID); got.LastTriggeredAt != event(a, 5).Time || got.TriggerCount != 2 {
		t.Errorf("last %d, count %d; want the newest of both and 2", got.LastTriggeredAt, got.TriggerCount)
	}
}

func testWatermarks(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	one := market.Series{Symbol: "BTCUSDT", Timeframe: timeframe("1m")}
	two := market.Series{Symbol: "ETHUSDT", Timeframe: timeframe("1h")}
	for _, marks := range [][]store.Watermark{
		{{Series: one, Bar: 100}, {Series: two, Bar: 7}}, {{Series: one, Bar: 90}}, {{Series: two, Bar: 8}}, {{Series: two, Bar: 8}}, nil,
	} {
		if err := e.Advance(e.ctx, tok, marks); err != nil {
			t.Fatal(err)
		}
	}
	e.do(t, "HSET", e.key("watermark"), "garbage", "1", "BTCUSDT/5m", "x")
	got, err := e.Watermarks(e.ctx)
	want := []store.Watermark{{Series: one, Bar: 100}, {Series: two, Bar: 8}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Watermarks: %v (-want +got):\n%s", err, diff)
	}
}

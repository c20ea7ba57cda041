package storetest

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
)

func alertTests() []test {
	return []test{
		{"what is created is read back exactly", testRoundTrip},
		{"an id that is taken is refused and nothing is overwritten", testExists},
		{"the list is newest first", testNewestFirst},
		{"an unknown alert is not found and nothing is created", testUnknown},
		{"enabling raises the revision once", testSetActive},
		{"fields of the hash win over the json", testHashWins},
		{"deleting removes the alert with its history", testDelete},
		{"an error is noted for its revision only", testAlertError},
		{"enabled alerts are counted", testActiveCount},
		{"nothing is evicted by a ghost: no key without an alert", testNoGhosts},
	}
}

func testRoundTrip(t *testing.T, e *env) {
	full := sample(1)
	full.Params = alert.BBBreak{Period: 20, StdDev: math.Nextafter(2, 3), Side: alert.Both}
	full.Series = market.Series{Symbol: "1000PEPEUSDT", Timeframe: timeframe("1M")}
	full.Mode, full.Severity, full.Hysteresis = alert.Once, alert.Critical, 0.1
	full.Channels, full.ExpiresAt, full.LastError = []string{"webhook", "telegram"}, base*2, "no candles"
	full.LastTriggeredAt, full.TriggerCount, full.Rev, full.Active = base+9, 17, 4, false
	tiny := sample(2)
	tiny.Params = alert.Price{Op: alert.OpCrossesDown, Level: math.SmallestNonzeroFloat64}
	huge := sample(3)
	huge.Params = alert.Price{Op: alert.OpCrosses, Level: math.MaxFloat64}
	huge.Channels, huge.Note, huge.CooldownSec = nil, "", 0
	for _, want := range []alert.Alert{full, tiny, huge} {
		e.create(t, want)
		got, err := e.Alert(e.ctx, want.ID)
		if err != nil {
			t.Fatalf("Alert: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Alert(%s) differs (-want +got):\n%s", want.ID, diff)
		}
	}
	list, damage, err := e.Alerts(e.ctx)
	if err != nil || len(damage) > 0 {
		t.Fatalf("Alerts: %v, damage %v", err, damage)
	}
	if diff := cmp.Diff([]alert.Alert{huge, tiny, full}, list); diff != "" {
		t.Errorf("Alerts differ (-want +got):\n%s", diff)
	}
}

func testExists(t *testing.T, e *env) {
	e.create(t, sample(1))
	before := e.dump(t)
	other := sample(1)
	other.Note = "another"
	for _, a := range []alert.Alert{other, sample(1)} {
		if err := e.CreateAlert(e.ctx, a); !errors.Is(err, store.ErrExists) {
			t.Errorf("CreateAlert again = %v, want ErrExists", err)
		}
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("refused create changed the store:\n%s", diff)
	}
}

func testNewestFirst(t *testing.T, e *env) {
	a, b, c := sample(1), sample(2), sample(3)
	c.CreatedAt = b.CreatedAt // the id decides
	e.create(t, b, a, c)
	list, _, err := e.Alerts(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]alert.Alert{c, b, a}, list); diff != "" {
		t.Errorf("Alerts differ (-want +got):\n%s", diff)
	}
}

func testUnknown(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	before := e.dump(t)
	if _, err := e.Alert(e.ctx, "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Alert = %v, want ErrNotFound", err)
	}
	for _, active := range []bool{true, false} {
		if _, err := e.SetActive(e.ctx, "none", active, base); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("SetActive(%t) = %v, want ErrNotFound", active, err)
		}
	}
	if err := e.DeleteAlert(e.ctx, "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("DeleteAlert = %v, want ErrNotFound", err)
	}
	if _, err := e.History(e.ctx, "none", 10); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("History = %v, want ErrNotFound", err)
	}
	if err := e.SetAlertError(e.ctx, tok, "none", 1, "x"); err != nil {
		t.Errorf("SetAlertError = %v, want nil", err)
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("calls about an unknown alert changed the store:\n%s", diff)
	}
}

func testSetActive(t *testing.T, e *env) {
	a := sample(1)
	e.create(t, a)
	got, err := e.SetActive(e.ctx, a.ID, true, base+1)
	if err != nil || got.Rev != 1 || got.UpdatedAt != a.UpdatedAt {
		t.Fatalf("SetActive to what it is = rev %d, updated %d, %v; want no change", got.Rev, got.UpdatedAt, err)
	}
	want := a
	want.Active, want.Rev, want.UpdatedAt = false, 2, base+50
	for range 2 { // the second changes nothing
		got, err = e.SetActive(e.ctx, a.ID, false, want.UpdatedAt)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("SetActive(false) differs (-want +got):\n%s", diff)
		}
	}
	want.Active, want.Rev, want.UpdatedAt = true, 3, base+70
	if got, err = e.SetActive(e.ctx, a.ID, true, base+70); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("SetActive(true) differs (-want +got):\n%s", diff)
	}
	if read, _ := e.Alert(e.ctx, a.ID); !cmp.Equal(want, read) {
		t.Errorf("Alert after SetActive = %+v, want %+v", read, want)
	}
}

func testHashWins(t *testing.T, e *env) {
	a := sample(1)
	e.create(t, a)
	e.do(t, "HSET", e.key("alert:"+a.ID), "active", "0", "lastTriggeredAt", "77", "createdAt", "5", "rev", "9")
	got, err := e.Alert(e.ctx, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Active || got.LastTriggeredAt != 77 || got.CreatedAt != 5 || got.Rev != 9 {
		t.Errorf("Alert = %+v, want the values of the hash", got)
	}
}

func testDelete(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	empty := e.dump(t)
	a := sample(1)
	e.create(t, a)
	e.trigger(t, tok, event(a, 1, "webhook"), event(a, 2))
	if err := e.DeleteAlert(e.ctx, a.ID); err != nil {
		t.Fatalf("DeleteAlert: %v", err)
	}
	if _, err := e.Alert(e.ctx, a.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Alert after delete = %v, want ErrNotFound", err)
	}
	if r, err := e.Trigger(e.ctx, tok, []alert.Event{event(a, 3, "webhook")}, base); err != nil || r[0] != store.TriggerGone {
		t.Errorf("Trigger after delete = %v, %v, want gone", r, err)
	}
	got := claimOne(t, e)
	if got.Event.ID != event(a, 1).ID {
		t.Errorf("claimed %q, want the delivery of the deleted alert", got.Event.ID)
	}
	if err := e.Finish(e.ctx, store.Outcome{ID: got.ID, Claim: got.Claim, State: store.Sent, Now: base}); err != nil {
		t.Fatal(err)
	}
	e.do(t, "DEL", e.key("changes"), e.key("outbox"))
	if diff := cmp.Diff(empty, e.dump(t)); diff != "" {
		t.Errorf("delete leaves something behind (-before +after):\n%s", diff)
	}
}

func testAlertError(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a := sample(1)
	e.create(t, a)
	for _, tt := range []struct {
		rev  int64
		text string
		want string
	}{{2, "of another revision", ""}, {1, "not listed", "not listed"}, {0, "", "not listed"}, {1, "", ""}} {
		if err := e.SetAlertError(e.ctx, tok, a.ID, tt.rev, tt.text); err != nil {
			t.Fatal(err)
		}
		if got, _ := e.Alert(e.ctx, a.ID); got.LastError != tt.want {
			t.Errorf("after SetAlertError(rev %d, %q): LastError = %q, want %q", tt.rev, tt.text, got.LastError, tt.want)
		}
	}
}

func testActiveCount(t *testing.T, e *env) {
	a, b, c := sample(1), sample(2), sample(3)
	c.Active = false
	e.create(t, a, b, c)
	e.do(t, "SADD", e.key("alerts:index"), "ghost", "foreign")
	e.do(t, "SET", e.key("alert:foreign"), "1")
	if n, err := e.ActiveCount(e.ctx); err != nil || n != 2 {
		t.Errorf("ActiveCount = %d, %v, want 2", n, err)
	}
	if _, err := e.SetActive(e.ctx, a.ID, false, base); err != nil {
		t.Fatal(err)
	}
	if n, err := e.ActiveCount(e.ctx); err != nil || n != 1 {
		t.Errorf("ActiveCount = %d, %v, want 1", n, err)
	}
}

func testNoGhosts(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a := sample(1)
	e.create(t, a)
	if err := e.DeleteAlert(e.ctx, a.ID); err != nil {
		t.Fatal(err)
	}
	_, _ = e.SetActive(e.ctx, a.ID, true, base)
	_ = e.SetAlertError(e.ctx, tok, a.ID, 1, "late")
	_, _ = e.Trigger(e.ctx, tok, []alert.Event{event(a, 1, "webhook")}, base)
	if n := e.do(t, "EXISTS", e.key("alert:"+a.ID), e.key("alert:"+a.ID+":events"), e.key("seen:"+a.ID), e.key("outbox")); n != int64(0) {
		t.Errorf("%d keys of a deleted alert came back, want none", n)
	}
}

func damageTests() []test {
	return []test{
		{"four kinds are skipped and reported", testDamage},
		{"one index entry without its hash fails neither list nor sweep (regression 4)", testRegression4},
		{"an enabled ghost is not made (regression 13)", testNoGhosts},
		{"data of the earlier implementation are read as they stand", testEarlierData},
		{"what is not understood is kept and says why", testNotUnderstood},
		{"foreign types beside an alert stop only that alert", testForeignBeside},
		{"damaged alerts can be deleted", testDeleteDamaged},
		{"a foreign key in place of a queue loses no event", testForeignQueue},
	}
}

func (e *env) damage(t testing.TB) map[string]string {
	t.Helper()
	e.do(t, "SADD", e.key("alerts:index"), "ghost", "nojson", "foreign", "garbage", "array")
	e.do(t, "HSET", e.key("alert:nojson"), "active", "1")
	e.do(t, "SET", e.key("alert:foreign"), "a string")
	e.do(t, "HSET", e.key("alert:garbage"), "json", `{"id":"garb`, "active", "1")
	e.do(t, "HSET", e.key("alert:array"), "json", `[1,2]`)
	return map[string]string{
		e.key("alert:ghost"):   "in the index, but there is no hash",
		e.key("alert:nojson"):  "hash without json",
		e.key("alert:foreign"): "not a hash",
		e.key("alert:garbage"): "json is not an object",
		e.key("alert:array"):   "json is not an object",
	}
}

func testDamage(t *testing.T, e *env) {
	var log logged
	s := e.another(t, func(o *redis.Options) { o.Log = log.logger() })
	want := e.damage(t)
	e.create(t, sample(1), sample(2))
	for round := range 3 {
		list, damage, err := s.Alerts(e.ctx)
		if err != nil {
			t.Fatalf("Alerts with damage: %v", err)
		}
		if len(list) != 2 {
			t.Errorf("Alerts = %d alerts, want the 2 sound ones", len(list))
		}
		got := map[string]string{}
		for _, d := range damage {
			got[d.Key] = d.Reason
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("damage differs (-want +got):\n%s", diff)
		}
		if n := log.count("damaged key skipped"); n != len(want) {
			t.Errorf("after %d lists: %d log records, want one for each of %d keys", round+1, n, len(want))
		}
	}
	for _, id := range []string{"ghost", "nojson", "foreign", "garbage"} {
		if _, err := s.Alert(e.ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Alert(%s) = %v, want ErrNotFound", id, err)
		}
		if _, err := s.SetActive(e.ctx, id, false, base); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("SetActive(%s) = %v, want ErrNotFound", id, err)
		}
	}
}

func testRegression4(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a, b := sample(1), sample(2)
	e.create(t, a, b)
	e.do(t, "DEL", e.key("alert:"+a.ID))
	list, damage, err := e.Alerts(e.ctx)
	if err != nil || len(list) != 1 || list[0].ID != b.ID || len(damage) != 1 {
		t.Errorf("Alerts = %d alerts, damage %v, %v; want the other alert", len(list), damage, err)
	}
	r, err := e.Trigger(e.ctx, tok, []alert.Event{event(a, 1, "webhook"), event(b, 1, "webhook")}, base)
	if diff := cmp.Diff([]store.TriggerResult{store.TriggerGone, store.TriggerAccepted}, r); err != nil || diff != "" {
		t.Errorf("Trigger = %v, %v (-want +got):\n%s", r, err, diff)
	}
}

func testEarlierData(t *testing.T, e *env) {
	s := e.another(t, func(o *redis.Options) { o.CooldownSec = 120 })
	e.do(t, "SADD", e.key("alerts:index"), "abc123")
	e.do(t, "HSET", e.key("alert:abc123"), "json",
		`{"id":"abc123","symbol":"btcusdt","timeframe":"1h","type":"bb_break","params":{"period":20,"stdDev":2,"side":"upper"},"active":true,"createdAt":1700000000000,"lastTriggeredAt":0}`,
		"active", "0", "createdAt", "1700000000000", "lastTriggeredAt", "1700000005000")
	e.do(t, "LPUSH", e.key("alert:abc123:events"),
		`{"id":"abc123","symbol":"btcusdt","timeframe":"1h","type":"bb_break","reason":"close>upper","value":{"c":1.5,"u":1.25},"ts":1700000005000}`)
	want := alert.Alert{
		ID: "abc123", Rev: 1, Series: market.Series{Symbol: "BTCUSDT", Timeframe: timeframe("1h")},
		Params: alert.BBBreak{Period: 20, StdDev: 2, Side: alert.Above}, Mode: alert.Intrabar, CooldownSec: 120, Severity: alert.Info,
		CreatedAt: 1700000000000, UpdatedAt: 1700000000000, LastTriggeredAt: 1700000005000,
	}
	before := e.dump(t)
	got, err := s.Alert(e.ctx, "abc123")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Alert: %v (-want +got):\n%s", err, diff)
	}
	history, err := s.History(e.ctx, "abc123", 0)
	if err != nil || len(history) != 1 {
		t.Fatalf("History = %d events, %v, want 1", len(history), err)
	}
	ev := history[0].Event
	if ev.AlertID != "abc123" || ev.ID == "" || ev.Time != 1700000005000 || ev.Reason != "close>upper" || ev.Value["u"] != 1.25 {
		t.Errorf("event = %+v, want that of the earlier implementation", ev)
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("reading changed the data:\n%s", diff)
	}
	want.Active, want.Rev, want.UpdatedAt = true, 2, base
	got, err = s.SetActive(e.ctx, "abc123", true, base)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("SetActive: %v (-want +got):\n%s", err, diff)
	}
	tok := e.lead(t, "h")
	e.trigger(t, tok, event(got, 1, "webhook"))
}

func testNotUnderstood(t *testing.T, e *env) {
	for id, text := range map[string]string{
		"type":      `{"symbol":"BTCUSDT","timeframe":"1m","type":"moon","params":{}}`,
		"params":    `{"symbol":"BTCUSDT","timeframe":"1m","type":"price","params":{"op":"~","level":1}}`,
		"list":      `{"symbol":"BTCUSDT","timeframe":"1m","type":"price","params":[1]}`,
		"symbol":    `{"symbol":"B/T","timeframe":"1m","type":"price","params":{"op":">","level":1}}`,
		"timeframe": `{"symbol":"BTCUSDT","timeframe":"7m","type":"price","params":{"op":">","level":1}}`,
		"cooldown":  `{"symbol":"BTCUSDT","timeframe":"1m","type":"price","params":{"op":">","level":1},"cooldownSec":-5}`,
		"kind":      `{"symbol":"BTCUSDT","timeframe":"1m","type":"price","params":{"op":">","level":1},"note":{"a":1}}`,
		"empty":     `{}`,
	} {
		e.do(t, "SADD", e.key("alerts:index"), id)
		e.do(t, "HSET", e.key("alert:"+id), "json", text, "active", "1")
	}
	before := e.dump(t)
	list, damage, err := e.Alerts(e.ctx)
	if err != nil || len(damage) > 0 || len(list) != 8 {
		t.Fatalf("Alerts = %d alerts, damage %v, %v; want all 8", len(list), damage, err)
	}
	for _, a := range list {
		if a.Params != nil || a.LastError == "" || !a.Active {
			t.Errorf("alert %s = %+v, want it enabled, without params, with an error", a.ID, a)
		}
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("reading changed the data:\n%s", diff)
	}
}

func testForeignBeside(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a, b, c := sample(1), sample(2), sample(3)
	e.create(t, a, b, c)
	e.do(t, "SET", e.key("alert:"+a.ID+":events"), "foreign")
	e.do(t, "SET", e.key("seen:"+b.ID), "foreign")
	r, err := e.Trigger(e.ctx, tok, []alert.Event{event(a, 1, "webhook"), event(b, 1, "webhook"), event(c, 1, "webhook")}, base)
	want := []store.TriggerResult{store.TriggerUnknown, store.TriggerUnknown, store.TriggerAccepted}
	if diff := cmp.Diff(want, r); err != nil || diff != "" {
		t.Errorf("Trigger: %v (-want +got):\n%s", err, diff)
	}
	if h, err := e.History(e.ctx, a.ID, 5); err != nil || len(h) != 0 {
		t.Errorf("History over a foreign list = %v, %v, want none", h, err)
	}
	if d := claimAll(t, e); len(d) != 1 {
		t.Errorf("%d deliveries, want that of the sound alert", len(d))
	}
}

func testDeleteDamaged(t *testing.T, e *env) {
	e.damage(t)
	for _, id := range []string{"ghost", "nojson", "foreign", "garbage", "array"} {
		if err := e.DeleteAlert(e.ctx, id); err != nil {
			t.Errorf("DeleteAlert(%s): %v", id, err)
		}
	}
	if list, damage, err := e.Alerts(e.ctx); err != nil || len(list)+len(damage) > 0 {
		t.Errorf("Alerts = %v, %v, %v; want none", list, damage, err)
	}
}

func testForeignQueue(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	a := sample(1)
	e.create(t, a)
	for _, name := range []string{"outbox", "outbox:open", "changes", "outbox:fallen"} {
		e.do(t, "DEL", e.key(name))
		e.do(t, "SET", e.key(name), "foreign")
		before := e.dump(t)
		if r, err := e.Trigger(e.ctx, tok, []alert.Event{event(a, 1, "webhook")}, base); err == nil || r[0] != store.TriggerUnknown {
			t.Errorf("Trigger over a foreign %s = %v, %v, want an error", name, r, err)
		}
		if diff := cmp.Diff(before, e.dump(t)); diff != "" {
			t.Errorf("Trigger over a foreign %s wrote something:\n%s", name, diff)
		}
		e.do(t, "DEL", e.key(name))
	}
	e.trigger(t, tok, event(a, 1, "webhook"))
	d := claimOne(t, e)
	e.do(t, "SET", e.key("outbox:dead"), "foreign")
	if err := e.Finish(e.ctx, store.Outcome{ID: d.ID, Claim: d.Claim, State: store.Dead, Error: "x", Now: base}); err == nil {
		t.Error("Finish over a foreign dead = nil, want an error")
	}
	e.do(t, "DEL", e.key("outbox:dead"))
	finish(t, e, d, store.Outcome{State: store.Dead, Error: "x"})
	if dead, err := e.Dead(e.ctx, 0); err != nil || len(dead) != 1 {
		t.Errorf("Dead = %v, %v, want the letter", dead, err)
	}
}

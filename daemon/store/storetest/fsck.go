package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
)

func fsckTests() []test {
	tests := []test{
		{"a store in full use is clean", testFsckClean},
		{"the four kinds are named, mended and gone (must show 6)", testFsckFourKinds},
		{"data of the earlier implementation is clean", testFsckEarlier},
		{"what is moved aside is kept whole, twice under one name too", testFsckKeeps},
		{"everything wrong at once", testFsckAll},
		{"a check while others write reports and touches nothing healthy", testFsckLive},
	}
	for _, c := range faults() {
		tests = append(tests, test{"fault/" + c.name, func(t *testing.T, e *env) { testFault(t, e, c) }})
	}
	return tests
}

// fsck runs a check and returns what it found as "name fault state".
func (e *env) fsck(t testing.TB, repair bool) ([]string, redis.FsckResult) {
	t.Helper()
	var found []string
	result, err := e.Fsck(e.ctx, redis.FsckOptions{Repair: repair, Found: func(f redis.Finding) error {
		if f.Reason == "" || f.Repair == "" {
			t.Errorf("finding %+v does not say what is wrong and what would be done", f)
		}
		name := strings.TrimPrefix(f.Key, e.key(""))
		name = strings.TrimPrefix(strings.TrimPrefix(name, "{"+e.ns+":scheduler:lock}:"), e.ns+":")
		found = append(found, fmt.Sprintf("%s %s %s", name, f.Fault, f.State))
		return nil
	}})
	if err != nil {
		t.Fatalf("Fsck: %v", err)
	}
	slices.Sort(found)
	return found, result
}

// mustClean wants nothing but notes.
func (e *env) mustClean(t testing.TB, when string) {
	t.Helper()
	found, result := e.fsck(t, false)
	if result.Damaged != 0 || result.Repaired != 0 {
		t.Errorf("%s: fsck finds %q, want nothing", when, found)
	}
}

// inUse fills a store with what a working fleet leaves: deliveries in every state.
func (e *env) inUse(t testing.TB) (store.Token, []alert.Alert) {
	t.Helper()
	tok := e.lead(t, "h")
	alerts := []alert.Alert{sample(1), sample(2), sample(3)}
	e.create(t, alerts...)
	for n := range 5 {
		e.trigger(t, tok, event(alerts[0], n, "webhook", "telegram"), event(alerts[1], n, "webhook"))
	}
	list := claim(t, e, "relay-1", 5, patient)
	finish(t, e, list[0], store.Outcome{State: store.Sent})
	finish(t, e, list[1], store.Outcome{State: store.Retrying, Error: "x", RetryIn: patient})
	finish(t, e, list[2], store.Outcome{State: store.Dead, Error: "gone"})
	finish(t, e, list[3], store.Outcome{State: store.Retrying, Error: "x"})
	if _, _, err := e.Promote(e.ctx, base+1, 10); err != nil {
		t.Fatal(err)
	}
	if err := e.Advance(e.ctx, tok, []store.Watermark{{Series: alerts[0].Series, Bar: base}}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.SetPaused(e.ctx, false, "ops", "", 0); err != nil {
		t.Fatal(err)
	}
	return tok, alerts
}

func testFsckClean(t *testing.T, e *env) {
	e.mustClean(t, "an empty store")
	e.inUse(t)
	before := e.dump(t)
	found, result := e.fsck(t, false)
	if len(found) > 0 || result.Alerts != 3 || result.Keys == 0 {
		t.Errorf("fsck finds %q, %+v; want 3 alerts and nothing wrong", found, result)
	}
	if found, _ = e.fsck(t, true); len(found) > 0 {
		t.Errorf("fsck --repair finds %q, want nothing", found)
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("a check of a clean store changed it:\n%s", diff)
	}
}

func testFsckFourKinds(t *testing.T, e *env) {
	want := e.damage(t)
	e.create(t, sample(1), sample(2))
	before := e.dump(t)
	found, result := e.fsck(t, false)
	if diff := cmp.Diff([]string{
		"alert:array garbage damaged", "alert:foreign wrong-type damaged", "alert:garbage garbage damaged",
		"alert:ghost no-hash damaged", "alert:nojson no-json damaged",
	}, found); diff != "" || result.Damaged != int64(len(want)) {
		t.Errorf("fsck (-want +got):\n%s\n%+v", diff, result)
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Fatalf("a check without --repair changed the store:\n%s", diff)
	}
	if _, result = e.fsck(t, true); result.Repaired != int64(len(want)) || result.Damaged != 0 || result.Aside != 4 {
		t.Errorf("fsck --repair = %+v, want %d repaired and 4 keys aside", result, len(want))
	}
	e.mustClean(t, "after the repair")
	list, damage, err := e.Alerts(e.ctx)
	if err != nil || len(list) != 2 || len(damage) != 0 {
		t.Errorf("Alerts = %d alerts, damage %v, %v; want 2 and none", len(list), damage, err)
	}
	if v := e.do(t, "GET", e.key("damaged:alert:foreign")); v != "a string" {
		t.Errorf("the foreign value = %v, want it kept", v)
	}
	if v := e.do(t, "HGET", e.key("damaged:alert:garbage"), "json"); v != `{"id":"garb` {
		t.Errorf("the garbage = %v, want it kept", v)
	}
}

func testFsckEarlier(t *testing.T, e *env) {
	e.do(t, "SADD", e.key("alerts:index"), "abc123")
	e.do(t, "HSET", e.key("alert:abc123"), "json",
		`{"id":"abc123","symbol":"BTCUSDT","timeframe":"1h","type":"bb_break","params":{"period":20,"stdDev":2,"side":"upper"},"active":true,"createdAt":1700000000000,"lastTriggeredAt":0}`,
		"active", "1", "createdAt", "1700000000000", "lastTriggeredAt", "1700000005000")
	e.do(t, "LPUSH", e.key("alert:abc123:events"),
		`{"id":"abc123","symbol":"BTCUSDT","timeframe":"1h","type":"bb_break","reason":"close>upper","value":{"c":1.5,"u":1.25},"ts":1700000005000}`)
	if found, result := e.fsck(t, false); len(found) > 0 || result.Alerts != 1 {
		t.Errorf("fsck finds %q, %+v; want nothing wrong and one alert", found, result)
	}
}

// fault is one thing that can be wrong, with what is to be found.
type fault struct {
	name  string
	make  func(t *testing.T, e *env)
	want  []string // name and fault
	after func(t *testing.T, e *env)
}

// set returns what replaces a key by a text.
func set(name string) func(t *testing.T, e *env) {
	return func(t *testing.T, e *env) {
		e.do(t, "DEL", e.key(name))
		e.do(t, "SET", e.key(name), "foreign")
	}
}

// delivered wants every open delivery to reach a relay.
func delivered(n int) func(t *testing.T, e *env) {
	return func(t *testing.T, e *env) {
		t.Helper()
		got := map[string]bool{}
		for _, d := range append(claim(t, e, "relay-2", 100, 0), claim(t, e, "relay-2", 100, 0)...) {
			got[d.ID] = true
		}
		if len(got) != n {
			t.Errorf("%d deliveries can be claimed after the repair, want %d", len(got), n)
		}
	}
}

func faults() []fault {
	a := sample(1)
	alertKey, seenKey := "alert:"+a.ID, "seen:"+a.ID
	first := alert.DeliveryID(event(a, 0).ID, "telegram") // claimed, retrying in the delayed set
	return slices.Concat(alertFaults(alertKey, seenKey), queueFaults("delivery:"+first, first), singleFaults())
}

func alertFaults(alertKey, seenKey string) []fault {
	return []fault{
		{"index of another type", set("alerts:index"), []string{
			"alerts:index wrong-type",
			alertKey + " not-indexed", "alert:" + sample(2).ID + " not-indexed", "alert:" + sample(3).ID + " not-indexed",
		}, func(t *testing.T, e *env) {
			if list, _, err := e.Alerts(e.ctx); err != nil || len(list) != 3 {
				t.Errorf("Alerts = %d, %v; want all 3 back", len(list), err)
			}
		}},
		{"alert not in the index", func(t *testing.T, e *env) { e.do(t, "SREM", e.key("alerts:index"), sample(1).ID) },
			[]string{alertKey + " not-indexed"}, nil},
		{"revision that no script matches", func(t *testing.T, e *env) { e.do(t, "HSET", e.key(alertKey), "rev", "one", "active", "yes") },
			[]string{alertKey + " field", alertKey + " field"}, func(t *testing.T, e *env) {
				e.trigger(t, tokenOf(t, e), event(sample(1), 9, "webhook"))
				if v := e.do(t, "HGET", e.key("damaged:"+alertKey), "rev"); v != "one" {
					t.Errorf("the old revision = %v, want it kept", v)
				}
			}},
		{"history of another type", set(alertKey + ":events"), []string{alertKey + ":events wrong-type"}, nil},
		{"events that cannot be read", func(t *testing.T, e *env) { e.do(t, "RPUSH", e.key(alertKey+":events"), "x", "x", "[") },
			[]string{alertKey + ":events garbage"}, func(t *testing.T, e *env) {
				if n := e.do(t, "LLEN", e.key("damaged:"+alertKey+":events")); n != int64(3) {
					t.Errorf("%v events are kept aside, want 3", n)
				}
			}},
		{"ids of another type", set(seenKey), []string{seenKey + " wrong-type"}, func(t *testing.T, e *env) {
			r, err := e.Trigger(e.ctx, tokenOf(t, e), []alert.Event{event(sample(1), 2, "webhook", "telegram")}, base)
			if err != nil || r[0] != store.TriggerDuplicate {
				t.Errorf("a repeat after the repair = %v, %v, want it recognised", r, err)
			}
		}},
		{"history of nobody", func(t *testing.T, e *env) {
			e.do(t, "RPUSH", e.key("alert:nobody:events"), `{"ts":1}`)
			e.do(t, "ZADD", e.key("seen:nobody"), 1, "x")
		}, []string{"alert:nobody:events orphan"}, func(t *testing.T, e *env) {
			if n := e.do(t, "EXISTS", e.key("damaged:alert:nobody:events"), e.key("damaged:seen:nobody")); n != int64(2) {
				t.Errorf("%v of 2 keys are kept aside", n)
			}
		}},
		{"ids of nobody", func(t *testing.T, e *env) { e.do(t, "ZADD", e.key("seen:nobody"), 1, "x") }, []string{"seen:nobody orphan"}, nil},
	}
}

func queueFaults(key, id string) []fault {
	return []fault{
		{"outbox of another type", set("outbox"), []string{"outbox wrong-type"}, delivered(12)},
		{"delayed of another type", set("outbox:delayed"), []string{"outbox:delayed wrong-type"}, delivered(13)},
		{"open of another type", set("outbox:open"), []string{"outbox:open wrong-type"}, nil},
		{"dead letters of another type", set("outbox:dead"), []string{"outbox:dead wrong-type"}, nil},
		{"fallen of another type", set("outbox:fallen"), []string{"outbox:fallen wrong-type"}, nil},
		{"changes of another type", set("changes"), []string{"changes wrong-type"}, nil},
		{"a delivery of another type", set(key), []string{key + " wrong-type", "outbox:delayed orphan", "outbox:open orphan"}, nil},
		{"a delivery that cannot be read", func(t *testing.T, e *env) { e.do(t, "HSET", e.key(key), "event", "{") },
			[]string{key + " garbage", "outbox:delayed orphan", "outbox:open orphan"}, nil},
		{"a delivery in no queue", func(t *testing.T, e *env) { e.do(t, "ZREM", e.key("outbox:delayed"), id) },
			[]string{key + " lost"}, delivered(13)},
		{"a delivery that is not counted", func(t *testing.T, e *env) { e.do(t, "ZREM", e.key("outbox:open"), id) },
			[]string{key + " lost"}, nil},
		{"entries given to nobody", func(t *testing.T, e *env) {
			e.do(t, "XGROUP", "DESTROY", e.key("outbox"), "relay")
			e.do(t, "XGROUP", "CREATE", e.key("outbox"), "relay", "$")
		}, nil, delivered(12)},
		{"entries of nothing", func(t *testing.T, e *env) {
			e.do(t, "XADD", e.key("outbox"), "*", "id", "nothing", "channel", "webhook")
			e.do(t, "XADD", e.key("outbox"), "*", "made", "by hand")
			e.do(t, "ZADD", e.key("outbox:delayed"), 1, "nothing")
			e.do(t, "ZADD", e.key("outbox:open"), 1, "nothing")
		}, []string{"outbox garbage", "outbox orphan", "outbox:delayed orphan", "outbox:open orphan"}, nil},
		{"a dead letter that cannot be read", func(t *testing.T, e *env) { e.do(t, "XADD", e.key("outbox:dead"), "*", "event", "{") },
			[]string{"outbox:dead garbage"}, nil},
		{"a delivery that is over and of no event", func(t *testing.T, e *env) {
			e.do(t, "HSET", e.key("delivery:x"), "id", "x", "channel", "webhook", "state", "sent", "event", `{"id":"y","alertId":"z"}`)
		}, []string{"delivery:x orphan"}, nil},
	}
}

func singleFaults() []fault {
	lock := func(e *env, name string) string { return "{" + e.key("scheduler:lock") + "}:" + name }
	foreign := func(name string) func(t *testing.T, e *env) {
		return func(t *testing.T, e *env) {
			e.do(t, "DEL", lock(e, name))
			e.do(t, "RPUSH", lock(e, name), "foreign")
		}
	}
	return []fault{
		{"watermark of another type", set("watermark"), []string{"watermark wrong-type"}, nil},
		{"watermarks that cannot be read", func(t *testing.T, e *env) {
			e.do(t, "HSET", e.key("watermark"), "BTCUSDT", "1", "ETHUSDT/1m", "soon")
		}, []string{"watermark garbage", "watermark garbage"}, nil},
		{"lock of another type", func(t *testing.T, e *env) {
			e.do(t, "DEL", e.key("scheduler:lock"))
			e.do(t, "SADD", e.key("scheduler:lock"), "foreign")
		}, []string{"scheduler:lock wrong-type"}, nil},
		{"term of another type", foreign("term"), []string{"term wrong-type"}, nil},
		{"epoch that is none", func(t *testing.T, e *env) { e.do(t, "HSET", lock(e, "term"), "epoch", "later") }, []string{"term garbage"}, nil},
		{"registry of another type", foreign("executors"), []string{"executors wrong-type"}, nil},
		{"a member that cannot be read", func(t *testing.T, e *env) { e.do(t, "HSET", lock(e, "executors"), "m", "{}") }, []string{"executors garbage"}, nil},
		{"switches of another type", foreign("control"), []string{"control wrong-type"}, nil},
		{"switches that cannot be read", func(t *testing.T, e *env) { e.do(t, "HSET", lock(e, "control"), "paused", "perhaps") }, []string{"control garbage"}, nil},
	}
}

// tokenOf is the token of the leader that inUse made.
func tokenOf(t *testing.T, e *env) store.Token {
	t.Helper()
	g, err := e.Holder(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	g.Token.Nonce = "nonce-h"
	return g.Token
}

func testFault(t *testing.T, e *env, c fault) {
	e.inUse(t)
	c.make(t, e)
	before := e.dump(t)
	_, first := e.fsck(t, false)
	if first.Damaged == 0 {
		t.Fatal("fsck finds nothing")
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Fatalf("a check without --repair changed the store:\n%s", diff)
	}
	found, repaired := e.fsck(t, true)
	want := []string{}
	for _, w := range c.want {
		want = append(want, w+" repaired")
	}
	got := slices.DeleteFunc(found, func(f string) bool {
		return !slices.Contains(want, f) && strings.HasSuffix(f, " lost repaired") // what follows from the fault
	})
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || repaired.Damaged > 0 {
		t.Errorf("fsck --repair (-want +got):\n%s\n%+v", diff, repaired)
	}
	e.mustClean(t, "after the repair")
	if c.after != nil {
		c.after(t, e)
	}
}

func testFsckKeeps(t *testing.T, e *env) {
	for _, text := range []string{"first", "second", "third"} {
		e.do(t, "SADD", e.key("alerts:index"), "x")
		e.do(t, "SET", e.key("alert:x"), text)
		e.do(t, "RPUSH", e.key("alert:x:events"), `{"id":"x","ts":1,"reason":"`+text+`"}`)
		if _, r := e.fsck(t, true); r.Repaired != 1 {
			t.Fatalf("fsck --repair = %+v, want one repaired", r)
		}
	}
	for key, want := range map[string]string{"damaged:alert:x": "first", "damaged:alert:x:2": "second", "damaged:alert:x:3": "third"} {
		if v := e.do(t, "GET", e.key(key)); v != want {
			t.Errorf("%s = %v, want %s", key, v, want)
		}
	}
	if v := e.do(t, "LINDEX", e.key("damaged:alert:x:events:2"), 0); !strings.Contains(fmt.Sprint(v), "second") {
		t.Errorf("the second history = %v, want it kept", v)
	}
}

func testFsckAll(t *testing.T, e *env) {
	e.inUse(t)
	e.damage(t)
	for _, c := range faults() {
		c.make(t, e)
		e.fsck(t, true)
		e.mustClean(t, "after the repair of "+c.name)
	}
	list, damage, err := e.Alerts(e.ctx)
	if err != nil || len(damage) > 0 || len(list) != 3 {
		t.Errorf("Alerts = %d, damage %v, %v; want the 3 sound ones", len(list), damage, err)
	}
}

// testFsckLive checks and repairs over and over while alerts come and go, fire and
// are delivered.
func testFsckLive(t *testing.T, e *env) {
	tok := e.lead(t, "h")
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	var wg sync.WaitGroup
	kept := map[string]bool{}
	sent := map[string]int{}
	wg.Go(func() {
		defer stop()
		for n := range 120 {
			a := sample(n)
			e.create(t, a)
			kept[a.ID] = true
			e.trigger(t, tok, event(a, 1, "webhook", "telegram"))
			if n%3 == 0 {
				if err := e.DeleteAlert(e.ctx, a.ID); err != nil {
					t.Errorf("DeleteAlert: %v", err)
				}
				delete(kept, a.ID)
			}
			for i, d := range claim(t, e, "relay", 5, patient) {
				state := store.Sent
				if i == 1 {
					state = store.Retrying
				}
				if state == store.Sent {
					sent[d.ID]++
				}
				finish(t, e, d, store.Outcome{State: state, Error: "x"})
			}
			if _, _, err := e.Promote(e.ctx, base+1, 3); err != nil {
				t.Errorf("Promote: %v", err)
			}
		}
	})
	for rounds := 0; ctx.Err() == nil || rounds < 2; rounds++ {
		if found, r := e.fsck(t, rounds%2 == 0); r.Damaged+r.Repaired > 0 {
			t.Errorf("a check of a healthy store at work finds %q", found)
		}
	}
	wg.Wait()
	if _, _, err := e.Promote(e.ctx, base+1, 1000); err != nil {
		t.Fatal(err)
	}
	for {
		list := claim(t, e, "relay", 100, patient)
		if len(list) == 0 {
			break
		}
		for _, d := range list {
			sent[d.ID]++
			finish(t, e, d, store.Outcome{State: store.Sent})
		}
	}
	list, _, err := e.Alerts(e.ctx)
	got := map[string]bool{}
	for _, a := range list {
		got[a.ID] = true
	}
	if diff := cmp.Diff(kept, got); err != nil || diff != "" {
		t.Errorf("Alerts: %v (-want +got):\n%s", err, diff)
	}
	if len(sent) != 240 || slices.Max(slices.Collect(maps.Values(sent))) != 1 {
		t.Errorf("%d deliveries sent, want 240 once each", len(sent))
	}
	e.mustClean(t, "at the end")
}

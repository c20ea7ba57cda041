package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/daemon/store"
)

func fleetTests() []test {
	return []test{
		{"reset deletes the lock of the expected term and no other", testReset},
		{"reset under a living holder waits for it, with proof of death it does not", testResetWaits},
		{"resign asks the present term and no other", testResign},
		{"members register, are seen and leave", testMembers},
		{"the fleet is paused and resumed by version", testControl},
		{"the lock is shown whatever it is", testLock},
		{"a refused candidate is told what the holder registered", testHolderEntry},
	}
}

func testReset(t *testing.T, e *env) {
	e.settled(t)
	a := e.mustAcquire(t, "a", "n1", time.Hour, 0)
	before := e.dump(t)
	for _, wrong := range []store.Token{
		{Holder: "b", Epoch: a.Token.Epoch}, {Holder: "a", Epoch: a.Token.Epoch + 1}, {Holder: "a"}, {},
	} {
		found, err := e.Reset(e.ctx, wrong.Holder, wrong.Epoch, false)
		if !errors.Is(err, store.ErrChanged) || found.Holder != "a" || found.Epoch != a.Token.Epoch {
			t.Errorf("Reset(%+v) = %+v, %v, want ErrChanged and what is there", wrong, found, err)
		}
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("a refused reset changed something:\n%s", diff)
	}
	if _, err := e.Reset(e.ctx, "a", a.Token.Epoch, false); err != nil {
		t.Fatalf("Reset: %v", err)
	}
	if _, err := e.Renew(e.ctx, a.Token, time.Hour, 0); !errors.Is(err, store.ErrFenced) {
		t.Errorf("Renew after a reset = %v, want ErrFenced", err)
	}
	if found, err := e.Reset(e.ctx, "a", a.Token.Epoch, false); !errors.Is(err, store.ErrChanged) || found.Holder != "" {
		t.Errorf("Reset of a free lock = %+v, %v, want ErrChanged and nobody", found, err)
	}
	e.do(t, "SET", e.key("scheduler:lock"), "by hand")
	if _, err := e.Reset(e.ctx, "by hand", 0, false); err != nil {
		t.Errorf("Reset of a foreign value = %v, want nil", err)
	}
}

func testResetWaits(t *testing.T, e *env) {
	e.settled(t)
	a := e.mustAcquire(t, "a", "n1", time.Hour, 0)
	if _, err := e.Reset(e.ctx, "a", a.Token.Epoch, false); err != nil {
		t.Fatal(err)
	}
	if g := e.mustAcquire(t, "b", "n2", time.Hour, 0); g.Held || g.Token.Holder != "a" || g.Remaining > store.AliveFor {
		t.Errorf("Acquire = %+v, want it to wait for a", g)
	}
	if err := e.Release(e.ctx, a.Token); err != nil {
		t.Fatal(err)
	}
	b := e.mustAcquire(t, "b", "n3", time.Hour, 0)
	if !b.Held {
		t.Fatalf("Acquire = %+v, want it held once a has stopped", b)
	}
	if _, err := e.Reset(e.ctx, "b", b.Token.Epoch, true); err != nil {
		t.Fatal(err)
	}
	if c := e.mustAcquire(t, "c", "n4", time.Hour, 0); !c.Held || c.Token.Epoch <= b.Token.Epoch {
		t.Errorf("Acquire = %+v, want it held at once: b is dead", c)
	}
}

func testResign(t *testing.T, e *env) {
	e.settled(t)
	a := e.mustAcquire(t, "a", "n1", time.Hour, 0)
	if found, err := e.Resign(e.ctx, "a", a.Token.Epoch+1, "why"); !errors.Is(err, store.ErrChanged) || found.Epoch != a.Token.Epoch {
		t.Errorf("Resign of another term = %+v, %v, want ErrChanged and the present one", found, err)
	}
	if g, err := e.Verify(e.ctx, a.Token); err != nil || g.Resign != "" {
		t.Errorf("Verify = %+v, %v, want nothing asked", g, err)
	}
	if _, err := e.Resign(e.ctx, "a", a.Token.Epoch, "by ops"); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func() (store.Grant, error){
		"Verify": func() (store.Grant, error) { return e.Verify(e.ctx, a.Token) },
		"Renew":  func() (store.Grant, error) { return e.Renew(e.ctx, a.Token, time.Hour, 0) },
	} {
		if g, err := ask(); err != nil || g.Resign != "by ops" {
			t.Errorf("%s = %+v, %v, want to be asked to resign", name, g, err)
		}
	}
	if err := e.Release(e.ctx, a.Token); err != nil {
		t.Fatal(err)
	}
	b := e.mustAcquire(t, "b", "n2", time.Hour, 0)
	if g, err := e.Verify(e.ctx, b.Token); err != nil || g.Resign != "" {
		t.Errorf("Verify of the next term = %+v, %v, want nothing asked", g, err)
	}
}

func testMembers(t *testing.T, e *env) {
	one := store.Member{
		ID: "one", Roles: []string{"executor", "gateway"}, Version: "v1", URLs: map[string]string{"executor": "http://127.0.0.1:1"},
		StartedAt: base, Phase: store.PhaseLeader, Epoch: 7, ProgressMS: 12, CPU: 0.25, RSSBytes: 1 << 20, LatencyMS: 0.5,
		Process: store.Process{Boot: "b", Space: "s", PID: 3, Start: 4},
	}
	e.settled(t)
	g, err := e.Beat(e.ctx, one, true)
	if err != nil || g.Now < 1e12 || g.Leader.Holder != "" || g.Remaining != 0 {
		t.Fatalf("Beat = %+v, %v, want the server's clock and nobody who leads", g, err)
	}
	lead := e.mustAcquire(t, "one", "n1", time.Minute, 0)
	if g, err = e.Beat(e.ctx, one, false); err != nil || g.Leader.Holder != "one" || g.Leader.Epoch != lead.Token.Epoch || g.Remaining < 50*time.Second {
		t.Fatalf("Beat = %+v, %v, want to hear that one leads", g, err)
	}
	if _, err := e.Beat(e.ctx, store.Member{ID: "two"}, false); err != nil {
		t.Fatal(err)
	}
	key := "{" + e.key("scheduler:lock") + "}:executors"
	e.do(t, "HSET", key, "garbage", "no time")
	e.do(t, "HSET", key, "old", "5 {}")
	members, now, err := e.Members(e.ctx)
	if err != nil || len(members) != 3 || members[0].ID != "old" || members[2].ID != "two" {
		t.Fatalf("Members = %+v, %v, want old, one and two", members, err)
	}
	if !members[1].Alive(now) || members[0].Alive(now) {
		t.Errorf("alive %t and %t, want one alive and old not", members[1].Alive(now), members[0].Alive(now))
	}
	one.At = members[1].At
	if diff := cmp.Diff(one, members[1]); diff != "" || now-one.At > 5000 {
		t.Errorf("member (-want +got):\n%s at %d, now %d", diff, one.At, now)
	}
	if _, err := e.Beat(e.ctx, one, true); err != nil {
		t.Fatal(err)
	}
	if err := e.Leave(e.ctx, "two"); err != nil {
		t.Fatal(err)
	}
	if members, _, err = e.Members(e.ctx); err != nil || len(members) != 1 || members[0].ID != "one" {
		t.Errorf("Members = %+v, %v, want one: two left, the others were silent for an hour", members, err)
	}
	e.do(t, "DEL", key)
	e.do(t, "SET", key, "x")
	if members, _, err := e.Members(e.ctx); err != nil || len(members) != 0 {
		t.Errorf("Members of a foreign key = %+v, %v, want none", members, err)
	}
}

func testControl(t *testing.T, e *env) {
	c, err := e.Control(e.ctx)
	if err != nil || c != (store.Control{}) {
		t.Fatalf("Control = %+v, %v, want nothing set", c, err)
	}
	c, err = e.SetPaused(e.ctx, true, "ann", "storm", 0)
	if err != nil || !c.Paused || c.By != "ann" || c.Reason != "storm" || c.Version != 1 || c.ChangedAt < 1e12 || c.ResumedAt != 0 {
		t.Errorf("SetPaused = %+v, %v, want it paused by ann", c, err)
	}
	again, err := e.SetPaused(e.ctx, true, "bob", "too", 0)
	if err != nil || again != c {
		t.Errorf("second SetPaused = %+v, %v, want what was", again, err)
	}
	if got, err := e.SetPaused(e.ctx, false, "bob", "", 9); !errors.Is(err, store.ErrChanged) || got != c {
		t.Errorf("SetPaused with another version = %+v, %v, want ErrChanged and what is", got, err)
	}
	if got, err := e.Beat(e.ctx, store.Member{ID: "x"}, false); err != nil || got.Control != c {
		t.Errorf("Beat = %+v, %v, want the switches", got, err)
	}
	c, err = e.SetPaused(e.ctx, false, "bob", "over", 1)
	if err != nil || c.Paused || c.Version != 2 || c.ResumedAt == 0 || c.ResumedAt != c.ChangedAt {
		t.Errorf("resume = %+v, %v, want it resumed", c, err)
	}
	if got, err := e.Control(e.ctx); err != nil || got != c {
		t.Errorf("Control = %+v, %v, want %+v", got, err, c)
	}
}

func testLock(t *testing.T, e *env) {
	l, err := e.Lock(e.ctx)
	if err != nil || l.Type != "none" || l.HasTerm || l.Value != "" || l.Now < 1e12 || l.Key != e.key("scheduler:lock") {
		t.Errorf("Lock of a free lease = %+v, %v", l, err)
	}
	e.settled(t)
	a := e.mustAcquire(t, "a", "n1", time.Hour, 0)
	if _, err := e.Beat(e.ctx, store.Member{ID: "a"}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Renew(e.ctx, a.Token, time.Minute, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	l, err = e.Lock(e.ctx)
	if err != nil || l.Type != "string" || l.Value != "a" || !l.HasTerm || l.Term.Epoch != a.Token.Epoch || l.Term.State != "held" ||
		l.TTL <= 50*time.Second || l.LeaseHint != time.Minute || len(l.Members) != 1 || l.Term.Renewed-l.Term.Progress != 3000 {
		t.Errorf("Lock of a held lease = %+v, %v", l, err)
	}
	e.do(t, "PERSIST", l.Key)
	if l, err = e.Lock(e.ctx); err != nil || l.TTL != -1 {
		t.Errorf("Lock without an end: TTL %v, %v, want -1", l.TTL, err)
	}
	e.do(t, "DEL", l.Key)
	e.do(t, "RPUSH", l.Key, "x")
	if l, err = e.Lock(e.ctx); err != nil || l.Type != "list" || l.Value != "" || !l.HasTerm {
		t.Errorf("Lock that is a list = %+v, %v, want its type and the term", l, err)
	}
}

func testHolderEntry(t *testing.T, e *env) {
	e.settled(t)
	e.mustAcquire(t, "a", "n1", time.Hour, 0)
	if g := e.mustAcquire(t, "b", "n2", time.Hour, 0); g.Held || g.Holder != nil {
		t.Errorf("Acquire = %+v, want no entry: a has not registered", g)
	}
	if _, err := e.Beat(e.ctx, store.Member{ID: "a", Process: store.Process{Boot: "x", PID: 42}}, false); err != nil {
		t.Fatal(err)
	}
	if g := e.mustAcquire(t, "b", "n2", time.Hour, 0); g.Holder == nil || g.Holder.ID != "a" || g.Holder.Process.PID != 42 {
		t.Errorf("Acquire = %+v, want a's entry", g)
	}
}

package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/store"
)

func leaseTests() []test {
	return []test{
		{"one holds it and the other is told who and for how long", testAcquire},
		{"acquiring again with the same nonce is the same term", testAcquireTwice},
		{"the same holder with another nonce is another candidate", testSameHolder},
		{"epochs grow past the floor, the clock and what is stored", testEpochs},
		{"it ends when its time is over", testExpiry},
		{"renewing extends, and is refused when the term is over", testRenew},
		{"releasing frees it at once and is harmless afterwards", testRelease},
		{"GET of the lock shows the holder and nothing else", testLockValue},
		{"after DEL nobody leads until the old holder has stopped", testDel},
		{"after DEL a silent holder is not waited for", testDelSilent},
		{"FLUSHALL ends the term", testFlush},
		{"verify writes nothing", testVerify},
		{"every write of a former leader is refused without effect", testFence},
	}
}

func (e *env) mustAcquire(t testing.TB, holder, nonce string, lease time.Duration, floor int64) store.Grant {
	t.Helper()
	g, err := e.Acquire(e.ctx, holder, nonce, lease, floor)
	if err != nil {
		t.Fatalf("Acquire(%s): %v", holder, err)
	}
	return g
}

func testAcquire(t *testing.T, e *env) {
	e.settled(t)
	if h, err := e.Holder(e.ctx); err != nil || h.Token != (store.Token{}) || h.Held {
		t.Errorf("Holder of a free lease = %+v, %v, want nobody", h, err)
	}
	a := e.mustAcquire(t, "a", "n1", 35*time.Second, 0)
	if !a.Held || a.Token.Holder != "a" || a.Token.Nonce != "n1" || a.Remaining != 35*time.Second || a.Now < 1e12 {
		t.Errorf("Acquire(a) = %+v, want it held for 35 s", a)
	}
	b := e.mustAcquire(t, "b", "n2", 35*time.Second, 0)
	if b.Held || b.Token.Holder != "a" || b.Token.Epoch != a.Token.Epoch || b.Token.Nonce != "" {
		t.Errorf("Acquire(b) = %+v, want a's epoch and no nonce", b)
	}
	if b.Remaining <= 30*time.Second || b.Remaining > 35*time.Second {
		t.Errorf("Acquire(b): remaining %s, want up to 35 s", b.Remaining)
	}
	h, err := e.Holder(e.ctx)
	if err != nil || h.Held || h.Token != (store.Token{Holder: "a", Epoch: a.Token.Epoch}) || h.Remaining <= 30*time.Second {
		t.Errorf("Holder = %+v, %v, want a", h, err)
	}
}

func testAcquireTwice(t *testing.T, e *env) {
	e.settled(t)
	first := e.mustAcquire(t, "a", "n1", time.Minute, 0)
	before := e.dump(t)
	second := e.mustAcquire(t, "a", "n1", time.Minute, first.Token.Epoch+1000)
	if !second.Held || second.Token != first.Token {
		t.Errorf("second Acquire = %+v, want the term of the first %+v", second, first)
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("the repeat wrote something:\n%s", diff)
	}
}

func testSameHolder(t *testing.T, e *env) {
	e.settled(t)
	e.mustAcquire(t, "a", "n1", time.Minute, 0)
	if g := e.mustAcquire(t, "a", "n2", time.Minute, 0); g.Held {
		t.Errorf("Acquire by a restarted process = %+v, want it refused: the former one may be at work", g)
	}
}

func testEpochs(t *testing.T, e *env) {
	e.settled(t)
	last := int64(0)
	for i, floor := range []int64{0, 0, 9e12, 0, 0} {
		g := e.mustAcquire(t, "a", "n"+string(rune('a'+i)), time.Minute, floor)
		if !g.Held || g.Token.Epoch <= last || g.Token.Epoch <= floor || g.Token.Epoch < g.Now {
			t.Errorf("term %d: epoch %d, want above %d, %d and not below %d", i, g.Token.Epoch, last, floor, g.Now)
		}
		last = g.Token.Epoch
		if err := e.Release(e.ctx, g.Token); err != nil {
			t.Fatal(err)
		}
	}
}

func testExpiry(t *testing.T, e *env) {
	e.settled(t)
	began := time.Now()
	a := e.mustAcquire(t, "a", "n1", 60*time.Millisecond, 0)
	var b store.Grant
	until(t, func() bool { b = e.mustAcquire(t, "b", "n2", time.Minute, 0); return b.Held })
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("b led %s after a lease of 60 ms began", took)
	}
	if b.Token.Epoch <= a.Token.Epoch {
		t.Errorf("epoch %d after %d, want it to grow", b.Token.Epoch, a.Token.Epoch)
	}
	if _, err := e.Renew(e.ctx, a.Token, time.Minute, 0); !errors.Is(err, store.ErrFenced) {
		t.Errorf("Renew of an expired term = %v, want ErrFenced", err)
	}
}

func testRenew(t *testing.T, e *env) {
	e.settled(t)
	a := e.mustAcquire(t, "a", "n1", time.Second, 0)
	g, err := e.Renew(e.ctx, a.Token, time.Minute, 0)
	if err != nil || !g.Held || g.Token != a.Token || g.Remaining != time.Minute || g.Now < a.Now {
		t.Errorf("Renew = %+v, %v, want a's term for a minute", g, err)
	}
	for _, other := range []store.Token{
		{Holder: "b", Epoch: a.Token.Epoch, Nonce: "n1"},
		{Holder: "a", Epoch: a.Token.Epoch + 1, Nonce: "n1"},
		{Holder: "a", Epoch: a.Token.Epoch, Nonce: "n2"},
		{},
	} {
		if _, err := e.Renew(e.ctx, other, time.Hour, 0); !errors.Is(err, store.ErrFenced) {
			t.Errorf("Renew(%+v) = %v, want ErrFenced", other, err)
		}
	}
	if h, _ := e.Holder(e.ctx); h.Remaining > time.Minute {
		t.Errorf("remaining %s after refused renewals, want at most a minute", h.Remaining)
	}
}

func testRelease(t *testing.T, e *env) {
	e.settled(t)
	a := e.mustAcquire(t, "a", "n1", time.Minute, 0)
	if err := e.Release(e.ctx, store.Token{Holder: "a", Epoch: a.Token.Epoch, Nonce: "other"}); err != nil {
		t.Errorf("Release of another term = %v, want nil", err)
	}
	if g := e.mustAcquire(t, "b", "n2", time.Minute, 0); g.Held {
		t.Fatal("another's release freed the lease")
	}
	for range 2 {
		if err := e.Release(e.ctx, a.Token); err != nil {
			t.Fatal(err)
		}
	}
	b := e.mustAcquire(t, "b", "n3", time.Minute, 0)
	if !b.Held {
		t.Fatalf("Acquire after release = %+v, want it held", b)
	}
	if err := e.Release(e.ctx, a.Token); err != nil {
		t.Fatal(err)
	}
	if v, err := e.Verify(e.ctx, b.Token); err != nil || !v.Held {
		t.Errorf("a's late release touched b's term: %+v, %v", v, err)
	}
}

func testLockValue(t *testing.T, e *env) {
	e.settled(t)
	e.mustAcquire(t, "executor-1@host", "n1", 35*time.Second, 0)
	if v := e.do(t, "GET", "spark:alerts:scheduler:lock"); v != "executor-1@host" {
		t.Errorf("GET lock = %v, want the holder", v)
	}
	if v := e.do(t, "TYPE", "spark:alerts:scheduler:lock"); v != "string" {
		t.Errorf("TYPE lock = %v, want string", v)
	}
	if ms, _ := e.do(t, "PTTL", "spark:alerts:scheduler:lock").(int64); ms <= 30_000 || ms > 35_000 {
		t.Errorf("PTTL lock = %d, want in (30000, 35000]", ms)
	}
}

func testDel(t *testing.T, e *env) {
	e.settled(t)
	a := e.mustAcquire(t, "a", "n1", 35*time.Second, 0)
	e.do(t, "DEL", e.key("scheduler:lock"))
	if _, err := e.Renew(e.ctx, a.Token, time.Minute, 0); !errors.Is(err, store.ErrFenced) {
		t.Errorf("Renew after DEL = %v, want ErrFenced", err)
	}
	b := e.mustAcquire(t, "b", "n2", 35*time.Second, 0)
	if b.Held || b.Token.Holder != "a" || b.Remaining <= 0 || b.Remaining > 10*time.Second {
		t.Errorf("Acquire while a may be at work = %+v, want it refused for at most 10 s", b)
	}
	if err := e.Release(e.ctx, a.Token); err != nil {
		t.Fatal(err)
	}
	if b = e.mustAcquire(t, "b", "n2", 35*time.Second, 0); !b.Held || b.Token.Epoch <= a.Token.Epoch {
		t.Errorf("Acquire after a has stopped = %+v, want it held with a newer epoch", b)
	}
}

func testDelSilent(t *testing.T, e *env) {
	e.settled(t)
	e.mustAcquire(t, "a", "n1", time.Hour, 0)
	e.do(t, "DEL", e.key("scheduler:lock"))
	e.do(t, "HINCRBY", "{"+e.key("scheduler:lock")+"}:term", "renewed", -10_001)
	if b := e.mustAcquire(t, "b", "n2", time.Hour, 0); !b.Held {
		t.Errorf("Acquire = %+v, want it held: the holder was silent for 10 s", b)
	}
}

func testFlush(t *testing.T, e *env) {
	e.settled(t)
	a := e.mustAcquire(t, "a", "n1", time.Hour, 0)
	e.do(t, "FLUSHALL")
	if _, err := e.Renew(e.ctx, a.Token, time.Hour, 0); !errors.Is(err, store.ErrFenced) {
		t.Errorf("Renew = %v, want ErrFenced", err)
	}
	e.settled(t)
	b := e.mustAcquire(t, "a", "n2", time.Hour, a.Token.Epoch)
	if !b.Held || b.Token.Epoch <= a.Token.Epoch {
		t.Errorf("Acquire = %+v, want a newer epoch than %d", b, a.Token.Epoch)
	}
}

func testVerify(t *testing.T, e *env) {
	e.settled(t)
	a := e.mustAcquire(t, "a", "n1", time.Hour, 0)
	before := e.dump(t)
	if g, err := e.Verify(e.ctx, a.Token); err != nil || !g.Held || g.Token != a.Token || g.Remaining <= 0 {
		t.Errorf("Verify = %+v, %v, want it held", g, err)
	}
	stale := a.Token
	stale.Nonce = "other"
	if g, err := e.Verify(e.ctx, stale); !errors.Is(err, store.ErrFenced) || g.Held || g.Token.Nonce != "" {
		t.Errorf("Verify of another nonce = %+v, %v, want ErrFenced and no nonce", g, err)
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("Verify wrote something:\n%s", diff)
	}
}

func testFence(t *testing.T, e *env) {
	old := e.lead(t, "a")
	a := sample(1)
	e.create(t, a)
	if err := e.Release(e.ctx, old); err != nil {
		t.Fatal(err)
	}
	writes := map[string]func(store.Token) error{
		"Renew": func(tok store.Token) error { _, err := e.Renew(e.ctx, tok, time.Hour, 0); return err },
		"Trigger": func(tok store.Token) error {
			_, err := e.Trigger(e.ctx, tok, []alert.Event{event(a, 1, "webhook")}, base)
			return err
		},
		"Advance": func(tok store.Token) error {
			return e.Advance(e.ctx, tok, []store.Watermark{{Series: market.Series{Symbol: "BTCUSDT", Timeframe: timeframe("1m")}, Bar: base}})
		},
		"SetAlertError": func(tok store.Token) error { return e.SetAlertError(e.ctx, tok, a.ID, 1, "x") },
	}
	refused := func(when string, tok store.Token) {
		before := e.dump(t)
		for name, write := range writes {
			if err := write(tok); !errors.Is(err, store.ErrFenced) {
				t.Errorf("%s %s = %v, want ErrFenced", name, when, err)
			}
		}
		if diff := cmp.Diff(before, e.dump(t)); diff != "" {
			t.Errorf("a refused write %s had an effect:\n%s", when, diff)
		}
	}
	refused("when nobody leads", old)
	g := e.mustAcquire(t, "a", "second", time.Hour, 0)
	refused("of the term before", old)
	for _, tok := range []store.Token{
		{Holder: "b", Epoch: g.Token.Epoch, Nonce: "second"},
		{Holder: "a", Epoch: old.Epoch, Nonce: "second"},
		{Holder: "a", Epoch: g.Token.Epoch, Nonce: old.Nonce},
	} {
		refused("of a token that differs in one part", tok)
	}
	for name, write := range writes {
		if err := write(g.Token); err != nil {
			t.Errorf("%s of the leader = %v, want nil", name, err)
		}
	}
}

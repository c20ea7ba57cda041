package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store"
)

func changeTests() []test {
	return []test{
		{"each change is told once, in order", testChanges},
		{"a cursor from an empty store sees the first change", testChangesFromStart},
		{"a cursor whose followers were forgotten is gone", testCursorGone},
		{"a cursor is gone after FLUSHALL", testCursorFlushed},
		{"a waiter hears of a change in this and in another process", testWaitChange},
	}
}

func testChanges(t *testing.T, e *env) {
	a, b := sample(1), sample(2)
	e.create(t, a)
	none, cursor, err := e.Changes(e.ctx, "", 10)
	if err != nil || len(none) != 0 || cursor == "" {
		t.Fatalf("Changes from now = %v, %q, %v", none, cursor, err)
	}
	e.create(t, b)
	if _, err := e.SetActive(e.ctx, a.ID, false, base); err != nil {
		t.Fatal(err)
	}
	if _, err := e.SetActive(e.ctx, a.ID, false, base); err != nil { // no change
		t.Fatal(err)
	}
	if err := e.DeleteAlert(e.ctx, b.ID); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{b.ID, a.ID, b.ID} {
		got, next, err := e.Changes(e.ctx, cursor, 1)
		if err != nil || len(got) != 1 || got[0].AlertID != want || got[0].Cursor != next {
			t.Fatalf("Changes(%s) = %v, %s, %v, want one of %s", cursor, got, next, err, want)
		}
		cursor = next
	}
	if got, next, err := e.Changes(e.ctx, cursor, 1); err != nil || len(got) != 0 || next != cursor {
		t.Errorf("Changes at the end = %v, %s, %v", got, next, err)
	}
	if _, _, err := e.Changes(e.ctx, "garbage", 1); err == nil {
		t.Error("Changes(garbage) = nil, want an error")
	}
}

func testChangesFromStart(t *testing.T, e *env) {
	_, cursor, err := e.Changes(e.ctx, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	e.create(t, sample(1))
	if got, _, err := e.Changes(e.ctx, cursor, 10); err != nil || len(got) != 1 {
		t.Errorf("Changes(%s) = %v, %v, want the first change", cursor, got, err)
	}
}

func testCursorGone(t *testing.T, e *env) {
	e.create(t, sample(1))
	_, cursor, err := e.Changes(e.ctx, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	e.create(t, sample(2), sample(3))
	e.do(t, "XTRIM", e.key("changes"), "MAXLEN", 1)
	if _, _, err := e.Changes(e.ctx, cursor, 10); !errors.Is(err, store.ErrCursorGone) {
		t.Errorf("Changes = %v, want ErrCursorGone", err)
	}
	if err := e.WaitChange(e.ctx, cursor); err != nil {
		t.Errorf("WaitChange = %v, want nil: there is something to learn", err)
	}
	e.do(t, "DEL", e.key("changes"))
	_, err = e.raw.Pipelined(e.ctx, func(p goredis.Pipeliner) error {
		for range 12_000 {
			p.XAdd(e.ctx, &goredis.XAddArgs{Stream: e.key("changes"), MaxLen: 10_000, Approx: true, Values: []string{"id", "x"}})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Changes(e.ctx, "0-0", 10); !errors.Is(err, store.ErrCursorGone) {
		t.Errorf("Changes from the start of a trimmed stream = %v, want ErrCursorGone", err)
	}
}

func testCursorFlushed(t *testing.T, e *env) {
	e.create(t, sample(1))
	_, cursor, err := e.Changes(e.ctx, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	e.do(t, "FLUSHALL")
	if _, _, err := e.Changes(e.ctx, cursor, 10); !errors.Is(err, store.ErrCursorGone) {
		t.Errorf("Changes = %v, want ErrCursorGone", err)
	}
}

func testWaitChange(t *testing.T, e *env) {
	other := e.another(t, nil)
	for n, write := range []func() error{
		func() error { return e.CreateAlert(e.ctx, sample(1)) },
		func() error { return other.CreateAlert(e.ctx, sample(2)) },
	} {
		_, cursor, err := e.Changes(e.ctx, "", 1)
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan error, 1)
		go func() { heard <- e.WaitChange(e.ctx, cursor) }()
		if err := write(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := <-heard; err != nil {
			t.Errorf("WaitChange %d: %v", n, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("heard of change %d after %s", n, took)
		}
	}
	_, cursor, _ := e.Changes(e.ctx, "", 1)
	ctx, cancel := context.WithCancelCause(e.ctx)
	over := errors.New("over")
	cancel(over)
	if err := e.WaitChange(ctx, cursor); !errors.Is(err, over) {
		t.Errorf("WaitChange of an ended context = %v, want %v", err, over)
	}
}

// until repeats f until it says true; a minute is for slow machines.
func until(t testing.TB, f func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(time.Minute)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatal("did not happen within a minute")
		}
		<-tick.C
	}
}

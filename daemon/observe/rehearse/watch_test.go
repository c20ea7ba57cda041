package rehearse_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/rehearse"
)

const watched = `---
kind: scenario
id: watched
extends: perfect
until: %s
---
# Watched

` + "```people anew\n```\n" + "```faults\nT+5m observer away for 1m\n```\n"

func until(t *testing.T, d string) *rehearse.Rehearsal {
	t.Helper()
	s := scenario(t, fmt.Sprintf(watched, d))
	return rehearsal(t, s, rehearse.Options{})
}

func TestARehearsalIsWatchedWhileItTicks(t *testing.T) {
	r := until(t, "7m")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	begun := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		defer stop()
		for opened := false; ; {
			more, err := r.Tick(t.Context())
			if err != nil {
				t.Error(err)
			}
			if !opened && r.Since() >= 0 {
				opened = true
				close(begun)
			}
			if !more || err != nil {
				return
			}
		}
	})
	<-begun
	by := plan.Actor{Who: "alice", Role: "operations-lead"}
	for _, look := range []func() error{
		func() error { r.Desk.Hypercare(); return nil },
		func() error { _, err := r.Desk.Report("md", 0); return err },
		func() error {
			return r.Desk.Check(t.Context(), by, "leader.single", wire.VerbNote, wire.CheckAct{Reason: "looked"})
		},
		func() error { _, err := r.Desk.Audit(0, 10); return err },
		func() error {
			holder, epoch := r.Lock()
			_ = r.ResetLock(by, holder, epoch+7) // refused, and recorded
			return nil
		},
		func() error { _, err := r.Desk.Closing(); return err },
		func() error { _, err := r.Querier.Instant(t.Context(), "sum(up)", r.Now()); return err },
	} {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := look(); err != nil {
					t.Error(err)
					return
				}
				runtime.Gosched()
			}
		})
	}
	all.Wait()
	if v := r.Desk.Verify(); !v.OK {
		t.Error(v.Error)
	}
	if h, _ := r.Lock(); h != "executor-1" {
		t.Errorf("the lock is held by %s: a refused reset has changed it", h)
	}
	run := picture(r)
	if len(run.Gaps) != 1 {
		t.Errorf("%d gaps, want that of the observer's restart", len(run.Gaps))
	}
	// What others did between two ticks stands in the journal, and a restart knows it.
	m := &plan.Machine{}
	for _, rec := range records(t, r.Records()) {
		if err := m.Apply(rec); err != nil {
			t.Fatal(err)
		}
	}
	r.Driver.Look(func(s *plan.State) {
		if s.Head != m.State().Head || s.Frozen != m.State().Frozen || len(s.Check("leader.single").Notes) != len(m.State().Check("leader.single").Notes) {
			t.Error("the machine and the journal differ")
		}
	})
}

func TestPaceFollowsTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := until(t, "3m")
		from := time.Now()
		if err := r.Pace(t.Context(), func() float64 { return 600 }); err != nil {
			t.Fatal(err)
		}
		if got, want := time.Since(from), 3*time.Minute/600; got < want || got > want+50*time.Millisecond {
			t.Errorf("3 minutes at 600x took %s, want %s", got, want)
		}
	})
}

func TestPaceSlowsDownWhileAPersonActs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := until(t, "2m")
		from := time.Now()
		speed := func() float64 {
			if r.Since() >= time.Minute && r.Since() < 90*time.Second {
				return 0 // an action is open
			}
			return 60
		}
		if err := r.Pace(t.Context(), speed); err != nil {
			t.Fatal(err)
		}
		if got, want := time.Since(from), 90*time.Second/60+30*time.Second; got != want {
			t.Errorf("took %s, want %s", got, want)
		}
	})
}

func TestPaceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := until(t, "1h")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := r.Pace(ctx, func() float64 { return 1 }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Pace = %v", err)
		}
		if r.Since() > time.Minute {
			t.Errorf("lived to T+%s in 20 s at 1x", r.Since())
		}
	})
}

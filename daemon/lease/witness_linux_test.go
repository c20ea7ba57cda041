package lease_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/lease"
	"github.com/spark-ta/spark/daemon/store"
)

// child starts a process that does nothing and describes it as it would describe
// itself.
func child(t *testing.T) (*exec.Cmd, store.Member) {
	t.Helper()
	c := exec.Command("sleep", "600")
	if err := c.Start(); err != nil {
		t.Skipf("no child: %v", err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	self := lease.Self()
	if self.Boot == "" {
		t.Skip("this system does not tell which process is which")
	}
	start, err := lease.StartTime(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	self.PID, self.Start = c.Process.Pid, start
	return c, store.Member{ID: "child", Process: self}
}

func TestWitnessSeesTheEndOfAProcessAndNothingBefore(t *testing.T) {
	c, m := child(t)
	dead := lease.Witness(t.Context(), m)
	if dead == nil {
		t.Skip("no process descriptors here")
	}
	select {
	case <-dead:
		t.Fatal("a living process is said to be dead")
	default:
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-dead:
	case <-time.After(10 * time.Second):
		t.Fatal("the end of the process was not seen")
	}
}

func TestWitnessTellsNothingOfWhatItCannotSee(t *testing.T) {
	_, m := child(t)
	if lease.Witness(t.Context(), m) == nil {
		t.Skip("no process descriptors here")
	}
	for name, change := range map[string]func(*store.Process){
		"another boot":      func(p *store.Process) { p.Boot = "other" },
		"another namespace": func(p *store.Process) { p.Space = "pid:[1]" },
		"itself":            func(p *store.Process) { p.PID = os.Getpid() },
		"no number":         func(p *store.Process) { p.PID = 0 },
	} {
		other := m
		change(&other.Process)
		if lease.Witness(t.Context(), other) != nil {
			t.Errorf("%s: watched, want no opinion", name)
		}
	}
}

func TestWitnessIsNotFooledByAReusedNumber(t *testing.T) {
	_, m := child(t)
	m.Process.Start++
	dead := lease.Witness(t.Context(), m)
	if dead == nil {
		t.Skip("no process descriptors here")
	}
	select {
	case <-dead:
	case <-time.After(10 * time.Second):
		t.Error("the number belongs to another process now, so the member is dead; want that seen at once")
	}
}

func TestWitnessEndsWithItsContext(t *testing.T) {
	_, m := child(t)
	ctx, stop := context.WithCancel(t.Context())
	dead := lease.Witness(ctx, m)
	if dead == nil {
		t.Skip("no process descriptors here")
	}
	stop()
	select {
	case <-dead:
		t.Error("the process lives, but is said to be dead")
	case <-time.After(50 * time.Millisecond):
	}
}

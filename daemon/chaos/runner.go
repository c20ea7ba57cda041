package main

import (
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// runner starts processes from one thread of its own, because Linux ends a child with
// the thread that started it, and ends them all.
type runner struct {
	jobs chan func() // unbuffered; never closed

	mu   sync.Mutex
	live map[*exec.Cmd]chan struct{} // closed when the process was waited for; guarded by mu
	over bool                        // guarded by mu
}

func newRunner() *runner {
	r := &runner{jobs: make(chan func()), live: map[*exec.Cmd]chan struct{}{}}
	go func() { // lives as long as the process: its thread must
		runtime.LockOSThread()
		for f := range r.jobs {
			f()
		}
	}()
	return r
}

var errOver = errors.New("no process is started any more")

func (r *runner) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = childAttr()
	failed := make(chan error)
	r.jobs <- func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.over {
			failed <- errOver
			return
		}
		err := cmd.Start()
		if err == nil {
			r.live[cmd] = make(chan struct{})
		}
		failed <- err
	}
	if err := <-failed; err != nil {
		return err
	}
	go r.wait(cmd)
	return nil
}

func (r *runner) wait(cmd *exec.Cmd) {
	_ = cmd.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.live[cmd])
	delete(r.live, cmd)
}

// ended is closed when the process has ended.
func (r *runner) ended(cmd *exec.Cmd) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.live[cmd]; ok {
		return c
	}
	c := make(chan struct{})
	close(c)
	return c
}

// signal is a signal to a process that may have ended.
func (r *runner) signal(cmd *exec.Cmd, how syscall.Signal) { _ = cmd.Process.Signal(how) }

// stop signals and waits; who does not end within ten seconds is killed.
func (r *runner) stop(cmd *exec.Cmd, how syscall.Signal) {
	ended := r.ended(cmd)
	r.signal(cmd, how)
	late := time.AfterFunc(10*time.Second, func() { r.signal(cmd, syscall.SIGKILL) })
	defer late.Stop()
	<-ended
}

// killAll ends every process, and those that are started afterwards are not.
func (r *runner) killAll() {
	r.mu.Lock()
	r.over = true
	var all []chan struct{}
	for cmd, c := range r.live {
		_ = cmd.Process.Kill()
		all = append(all, c)
	}
	r.mu.Unlock()
	for _, c := range all {
		<-c
	}
}

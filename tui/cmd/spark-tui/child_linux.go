package main

import (
	"runtime"
	"syscall"
)

const terminate = syscall.SIGTERM

// childAttributes keep the terminal's Ctrl-C from the child, which is ended by us
// in its own time, and have the kernel end it should we be killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// holdThread keeps the goroutine on its thread, whose end is what Pdeathsig means.
func holdThread() (release func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

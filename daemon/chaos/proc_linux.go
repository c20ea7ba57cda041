package main

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bootTime is the clock on which all processes of the machine agree.
func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // unreachable: every supported kernel has this clock
	}
	return time.Duration(ts.Nano())
}

// childAttr lets no child outlive the thread that started it, and keeps the terminal's
// interrupt from it: this program ends its children itself.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

const supported = true

// Signals that hold a process and let it go on.
const (
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
)

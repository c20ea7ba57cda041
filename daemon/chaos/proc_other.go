//go:build !linux

package main

import (
	"syscall"
	"time"
)

// Here the clocks of two processes cannot be compared, and a process cannot be held.
func bootTime() time.Duration { return 0 }

func childAttr() *syscall.SysProcAttr { return nil }

const (
	supported = false
	sigStop   = syscall.SIGTERM
	sigCont   = syscall.SIGTERM
)

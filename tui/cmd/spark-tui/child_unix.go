//go:build unix && !linux

package main

import "syscall"

const terminate = syscall.SIGTERM

// childAttributes keep the terminal's Ctrl-C from the child, which is ended by us
// in its own time.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func holdThread() (release func()) { return func() {} }

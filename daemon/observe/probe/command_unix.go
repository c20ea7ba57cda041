//go:build unix

package probe

import (
	"os/exec"
	"syscall"
)

// killGroup gives a command a process group of its own, and kills that when its
// time is over: what a script has started must not outlive it.
func killGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

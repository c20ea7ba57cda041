package lease

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spark-ta/spark/daemon/store"
)

// Self describes this process to others on the same machine. Boot is empty where the
// system does not tell enough.
func Self() store.Process {
	boot, space := machine()
	start, err := startTime(os.Getpid())
	if boot == "" || space == "" || err != nil {
		return store.Process{}
	}
	return store.Process{Boot: boot, Space: space, PID: os.Getpid(), Start: start}
}

// machine identifies this boot and the namespace of process ids; read once.
var machine = sync.OnceValues(func() (boot, space string) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", ""
	}
	space, err = os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", ""
	}
	return string(bytes.TrimSpace(id)), space
})

// Witness watches the process of a member and closes the channel when it has ended.
// It returns nil when that process cannot be seen from here: another machine, another
// boot, another namespace, a system without process descriptors. A process that is
// not there, or is another one under the same number, has ended: the channel is
// closed at once. It watches until ctx ends.
func Witness(ctx context.Context, m store.Member) <-chan struct{} {
	boot, space := machine()
	p := m.Process
	if boot == "" || p.Boot != boot || p.Space != space || p.PID <= 0 || p.PID == os.Getpid() {
		return nil
	}
	dead := make(chan struct{})
	fd, err := unix.PidfdOpen(p.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		close(dead)
		return dead
	}
	if err != nil {
		return nil
	}
	// The descriptor holds on to the process that has the number now; is it the one?
	start, err := startTime(p.PID)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		_ = unix.Close(fd)
		return nil
	}
	if err != nil || start != p.Start {
		_ = unix.Close(fd)
		close(dead)
		return dead
	}
	go func() {
		defer func() { _ = unix.Close(fd) }()
		if ended(ctx, fd) {
			close(dead)
		}
	}()
	return dead
}

// ended waits until the process has ended, and returns false when ctx ends first.
func ended(ctx context.Context, fd int) bool {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return false
	}
	var mu sync.Mutex // the descriptor is written to only while it is open
	open := true
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		open = false
		_ = unix.Close(wake)
	}()
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if open {
			_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		}
	})
	defer stop()
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, int(time.Minute.Milliseconds()))
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return false
		case fds[0].Revents&unix.POLLIN != 0:
			return true
		}
	}
	return false
}

// startTime returns when a process started, in ticks since the machine booted: the
// 22nd field of /proc/<pid>/stat, counted after the name, which may hold anything.
func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	rest := string(data[bytes.LastIndexByte(data, ')')+1:])
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

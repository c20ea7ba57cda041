package tui_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/spark-ta/spark/tui"
	"github.com/spark-ta/spark/tui/live/livetest"
)

// pty opens a pseudo-terminal: what stands on the desk, and what the program sees.
func pty(t *testing.T) (desk, program *os.File) {
	t.Helper()
	desk, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { desk.Close() })
	raw, err := desk.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	if err := errors.Join(raw.Control(func(fd uintptr) {
		err = errors.Join(unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0),
			unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width}))
		var wrong error
		number, wrong = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		err = errors.Join(err, wrong)
	}), err); err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { program.Close() })
	return desk, program
}

func modes(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

// TestATerminalThatStopsReadingIsRestored: a write to it blocks, and everything in
// Bubble Tea that would restore it waits for that write.
func TestATerminalThatStopsReadingIsRestored(t *testing.T) {
	t.Parallel()
	desk, program := pty(t)
	before := modes(t, program)
	s := newTTY(t)
	o := options(s, livetest.Start(t).URL)
	o.In, o.Out = program, program
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := open(ctx, o)

	var seen strings.Builder
	for page := make([]byte, 4096); !strings.Contains(seen.String(), "LIVE"); {
		n, err := desk.Read(page)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(page[:n])
	}
	if cmp.Equal(before, modes(t, program)) {
		t.Error("the console did not change the terminal's modes: there is nothing to restore")
	}
	// Nobody reads any more. Keys that change the screen are typed until the program
	// takes none.
	for {
		if err := desk.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := desk.WriteString("3?1?"); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := end(t, ended); err != nil && !errors.Is(err, tui.ErrStalled) {
		t.Errorf("Run = %v", err)
	}
	if diff := cmp.Diff(before, modes(t, program)); diff != "" {
		t.Errorf("the terminal's modes (-before +after):\n%s", diff)
	}
}

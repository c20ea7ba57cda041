package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spark-ta/spark/core/wire"
)

// terminal is a pseudo-terminal and what was written to it.
type terminal struct {
	*os.File // what the program sees
	desk     *os.File

	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
	more chan struct{}
	done chan struct{}
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	desk, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	number, err := unix.IoctlGetInt(int(desk.Fd()), unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(int(desk.Fd()), unix.TIOCSPTLCK, 0)); err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	tt := &terminal{File: program, desk: desk, more: make(chan struct{}, 1), done: make(chan struct{})}
	go tt.read()
	t.Cleanup(func() {
		_, _ = desk.WriteString("\n") // for whoever reads it yet: it would keep the file open
		_ = program.Close()
		<-tt.done
		_ = desk.Close()
	})
	return tt
}

// read takes what is written until the program's side is closed.
func (tt *terminal) read() {
	defer close(tt.done)
	page := make([]byte, 4096)
	for {
		n, err := tt.desk.Read(page)
		tt.mu.Lock()
		tt.text.Write(page[:n])
		tt.mu.Unlock()
		select {
		case tt.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// seen waits until the text was written, and returns everything so far.
func (tt *terminal) seen(t *testing.T, want string) string {
	t.Helper()
	for {
		tt.mu.Lock()
		text := tt.text.String()
		tt.mu.Unlock()
		if strings.Contains(text, want) {
			return text
		}
		select {
		case <-tt.more:
		case <-t.Context().Done():
			t.Fatalf("the terminal never showed %q but %q", want, text)
		}
	}
}

// TestSignAsksOnATerminal: no is the default, and Ctrl-C is no answer.
func TestSignAsksOnATerminal(t *testing.T) {
	ada := newLead(t, "ada")
	tests := []struct {
		typed string
		code  int
		says  string
	}{
		{"\n", exitFailed, "not signed"},
		{"n\n", exitFailed, "not signed"},
		{"y\n", exitOK, "signed: close"},
		{"", exitInterrupted, "interrupted"},
	}
	for _, tt := range tests {
		c := newCloser(t, ada, ada)
		tty := newTerminal(t)
		done := make(chan int)
		var out bytes.Buffer
		go func() {
			done <- run([]string{"sign", "--role", roleOperations, "--decision", "close", "--url", c.URL}, ada.env, tty.File, &out, tty.File)
		}()
		tty.seen(t, `Sign "close" as ada, operations-lead, for run run-1? [y/N] `)
		if tt.typed == "" {
			if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		} else if _, err := io.WriteString(tty.desk, tt.typed); err != nil {
			t.Fatal(err)
		}
		if code := <-done; code != tt.code || len(c.changes()) != 0 != (code == exitOK) {
			t.Errorf("%q: sign = %d, want %d; calls %v", tt.typed, code, tt.code, c.changes())
		}
		if tt.code == exitOK && !strings.Contains(out.String(), tt.says) {
			t.Errorf("%q: sign prints %q", tt.typed, out.String())
		} else if tt.code != exitOK {
			tty.seen(t, tt.says)
		}
	}
}

// TestAWaitShowsItsProgressOnATerminal: on one line that is gone afterwards.
func TestAWaitShowsItsProgressOnATerminal(t *testing.T) {
	o := newObserver(t)
	at(o.run, 1, 0).Verdict = wire.VerdictPending
	o.run.Checkpoints[1].ID = "T+15m"
	o.after = func(looks int) {
		if looks == 2 {
			at(o.run, 1, 0).Verdict = wire.VerdictPass
		}
	}
	tty := newTerminal(t)
	var out bytes.Buffer
	if code := run([]string{"check", "--wait", "--interval", "1ms", "--url", o.URL}, nil, tty.File, &out, tty.File); code != exitOK || strings.Contains(out.String(), "\x1b") {
		t.Errorf("check --wait = %d, %q", code, out.String())
	}
	text := tty.seen(t, "waited 0s\r\x1b[K")
	if !strings.HasPrefix(text, "\r\x1b[K1 of 2 automatic checks pending, waited 0s") || strings.Contains(text, "\n") {
		t.Errorf("the terminal shows %q", text)
	}
}

func TestAReportOnATerminalIsCleaned(t *testing.T) {
	o := newObserver(t)
	o.serve("GET "+wire.PathReport, "# Report\n\x1b]52;c;b3duZWQ=\aend\n")
	tty := newTerminal(t)
	if code := run([]string{"report", "--url", o.URL}, nil, tty.File, tty.File, tty.File); code != exitOK {
		t.Errorf("report = %d", code)
	}
	if text := tty.seen(t, "end\r\n"); text != "# Report\r\nend\r\n" {
		t.Errorf("the terminal is sent %q", text)
	}
}

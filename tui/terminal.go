package tui

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"

	"github.com/charmbracelet/x/term"
)

// terminal is what has to be put back however the console ends.
type terminal struct {
	in          io.Reader // nil lets Bubble Tea open the controlling terminal
	out         io.Writer
	interrupted <-chan struct{} // closed when Ctrl-C was typed

	fd    uintptr
	state *term.State // nil if in is no terminal
}

func openTerminal(o Options) *terminal {
	t := &terminal{in: o.In, out: o.Out}
	file, ok := o.In.(*os.File)
	if !ok || !term.IsTerminal(file.Fd()) {
		return t
	}
	if state, err := term.GetState(file.Fd()); err == nil {
		t.fd, t.state = file.Fd(), state
	}
	seen := make(chan struct{})
	t.in = &tap{File: file, seen: sync.OnceFunc(func() { close(seen) })}
	t.interrupted = seen
	return t
}

// leave switches off whatever the console may have switched on: mouse, bracketed
// paste, key reports, synchronised output, the other screen, colours, and shows the
// cursor.
const leave = "\x1b[?2026l\x1b[?1006l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?2004l\x1b[<u\x1b[>4m\x1b[?1049l\x1b[?25h\x1b[m"

// restore puts the terminal back without waiting for it to read.
func (t *terminal) restore() {
	if t.state == nil {
		return
	}
	discardOutput(t.fd)
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(t.out, leave)
	}()
	select {
	case <-written:
	case <-time.After(100 * time.Millisecond):
	}
	_ = term.Restore(t.fd, t.state)
}

// tap is the terminal's input, which notices Ctrl-C although the program behind it
// may hang in a write and never take the key.
type tap struct {
	*os.File
	seen func()
}

// Read reads from the terminal.
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.File.Read(p)
	if bytes.IndexByte(p[:n], 0x03) >= 0 || bytes.Contains(p[:n], []byte("\x1b[99;5u")) {
		t.seen()
	}
	return n, err
}

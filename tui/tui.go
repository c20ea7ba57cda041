// Package tui is the console: it wires what follows the daemon (package live) to
// what the operator sees (package ui and the screens) and guards the terminal.
//
// # Shape
//
//	daemon ─ HTTP, SSE ─► live ─ immutable *Picture, ≤ 10/s ─► model ─ frame ─► terminal
//	                       ▲                                    │
//	                       └───────── Select(series) ◄── Cmd ───┘
//
// The model is the root of Bubble Tea's program. Update takes one message, changes
// the model and returns commands; it does no I/O and waits for nothing. The world
// arrives as a picture through one Send; requests go out as commands. A screen is a
// pointer with Update and View; the root routes to the one in front and keeps all
// of them up to date, so that switching shows the present at once. Keys have their
// meaning in one table (ui.Bindings), from which footer, help and palette come.
//
// The first frame is drawn before anything is asked of the network, and no answer
// of the terminal is waited for.
//
// # Ends
//
// However the console ends, the terminal is as it was within two seconds: by a key,
// by a cancelled context (the command cancels it on SIGINT, SIGTERM and SIGHUP), by
// a panic in any goroutine, and also when the terminal has stopped reading, where
// Bubble Tea waits for ever for its last write. The losing of a connection is no
// end: the last picture stays, faded, with its age.
package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// ThemeChoice is what the operator said about the terminal's background.
type ThemeChoice uint8

// The choices. Auto asks the terminal.
const (
	Auto ThemeChoice = iota
	Dark
	Light
)

// ParseTheme reads "auto", "dark" or "light".
func ParseTheme(s string) (ThemeChoice, error) {
	switch s {
	case "auto":
		return Auto, nil
	case "dark":
		return Dark, nil
	case "light":
		return Light, nil
	}
	return Auto, fmt.Errorf("theme %q: one of auto, dark, light", s)
}

// ErrStalled is returned when the terminal had stopped reading and was restored
// without its consent. The process should end: a write may still be blocked.
var ErrStalled = errors.New("the terminal stopped reading")

// Options configure a console.
type Options struct {
	// URL is the base URL of the observer.
	URL string
	// Token is the operations token, sent with changes alone; may be empty.
	Token string
	// Attach, if not nil, finds the URL: it starts or waits for a daemon, and says
	// what it does meanwhile. Its error ends the console.
	Attach func(ctx context.Context, say func(safetext.Text)) (url string, err error)
	// Series is the chart shown first.
	Series market.Series
	// Symbols are always in the price ticker.
	Symbols []market.Symbol
	// ReadOnly removes every key that changes something outside the console.
	ReadOnly bool

	Theme   ThemeChoice
	NoColor bool
	ASCII   bool           // no character beyond ASCII
	Mouse   bool           // take the mouse wheel, and with it the terminal's own selection
	Zone    *time.Location // of the times shown; nil means UTC

	HTTP *http.Client // without a Timeout
	Log  *slog.Logger

	// In and Out are the terminal. A nil In means the controlling terminal.
	In      io.Reader
	Out     io.Writer
	Environ []string
	// Width and Height are the size of an Out that cannot be asked for it.
	Width, Height int
}

// ends are the reasons to end that do not come from the program itself.
type ends struct {
	asked chan struct{} // the operator asked by a key; closed by the model's command
	wired chan error    // the follower ended
}

// Run shows the console until the operator leaves it, ctx ends (which is no error),
// or it fails.
func Run(ctx context.Context, o Options) error {
	keys, err := ui.NewKeymap(ui.Bindings(), o.ReadOnly)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var program *tea.Program
	follower := live.New(live.Live{
		URL: o.URL, Token: o.Token, HTTP: o.HTTP, Symbols: o.Symbols, Log: o.Log,
		Publish: func(p *live.Picture) { program.Send(p) },
	}, o.Series)
	m := newModel(o, keys, time.Now, world{
		selectSeries: follower.Select, do: follower.Do, show: follower.Show, graph: follower.ShowGraph, save: saveNew,
	})
	e := ends{asked: make(chan struct{}), wired: make(chan error, 1)}
	m.leaving = func() { close(e.asked) }

	t := openTerminal(o)
	program = tea.NewProgram(m, programOptions(o, t)...)
	ended := make(chan error, 1)
	go func() {
		_, err := program.Run()
		ended <- err
	}()
	go func() { e.wired <- follow(ctx, o, follower, program.Send) }()

	err = wait(ctx, program, t, e, ended)
	cancel()
	if errors.Is(err, ErrStalled) {
		return err // the follower may hang on a Send that nobody takes
	}
	if wired := <-e.wired; err == nil && !errors.Is(wired, context.Canceled) {
		err = wired
	}
	return err
}

// saveNew writes a file that does not exist yet.
func saveNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if failed := f.Close(); err == nil {
		err = failed
	}
	return err
}

func programOptions(o Options, t *terminal) []tea.ProgramOption {
	options := []tea.ProgramOption{
		tea.WithFPS(30), tea.WithoutSignalHandler(), tea.WithOutput(o.Out), tea.WithEnvironment(o.Environ),
	}
	if t.in != nil {
		options = append(options, tea.WithInput(t.in))
	}
	if o.NoColor {
		options = append(options, tea.WithColorProfile(colorprofile.ASCII))
	}
	if o.Width > 0 && o.Height > 0 {
		options = append(options, tea.WithWindowSize(o.Width, o.Height))
	}
	return options
}

// follow finds the daemon and follows it until ctx ends.
func follow(ctx context.Context, o Options, l *live.Live, send func(tea.Msg)) error {
	if o.Attach != nil {
		url, err := o.Attach(ctx, func(t safetext.Text) { send(phase(t)) })
		if err != nil {
			return err
		}
		l.URL = url
	}
	return l.Run(ctx)
}

// grace is how long a program may take to end before it is ended.
const grace = 1500 * time.Millisecond

// wait returns when the program has ended and the terminal is restored.
func wait(ctx context.Context, program *tea.Program, t *terminal, e ends, ended <-chan error) error {
	var failure error
	select {
	case err := <-ended:
		return ofProgram(err)
	case <-e.asked:
	case <-t.interrupted:
		// Ctrl-C may be on its way through a program that hangs in a write.
		select {
		case err := <-ended:
			return ofProgram(err)
		case <-time.After(grace):
		}
	case <-ctx.Done():
		go program.Send(stop{}) // blocks if the program hangs
	case failure = <-e.wired:
		e.wired <- failure // Run takes it
		go program.Send(stop{})
	}
	select {
	case err := <-ended:
		return ofProgram(err)
	case <-time.After(grace):
	}
	go program.Kill() // it waits for the write that hangs, and restore ends that
	t.restore()
	select {
	case <-ended: //nolint:errcheck // it was killed: its error says only that
		t.restore() // whatever the program wrote last
		return nil
	case <-time.After(200 * time.Millisecond):
		return ErrStalled
	}
}

func ofProgram(err error) error {
	if err == nil || errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return fmt.Errorf("console: %w", err)
}

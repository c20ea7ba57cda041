package tui_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/live/livetest"
)

// tty is a terminal emulator with somebody in front of it.
type tty struct {
	t        *testing.T
	keyboard *keyboard

	mu      sync.Mutex
	screen  *vt.Emulator // guarded by mu, like the rest
	cursor  bool
	modes   map[ansi.Mode]bool // those that are on
	changed chan struct{}      // closed and replaced with each write
	stalled chan struct{}      // if not nil, writes wait until it is closed
}

// keyboard is the terminal's input: what was typed, and its answers to questions.
// The emulator waits until an answer is read, which a program that ends does not do,
// so whatever comes is kept.
type keyboard struct {
	mu    sync.Mutex
	more  *sync.Cond
	typed []byte // guarded by mu
	gone  bool   // guarded by mu
}

func (k *keyboard) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.typed = append(k.typed, p...)
	k.more.Signal()
	return len(p), nil
}

func (k *keyboard) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.typed) == 0 {
		if k.gone {
			return 0, io.EOF
		}
		k.more.Wait()
	}
	n := copy(p, k.typed)
	k.typed = k.typed[n:]
	return n, nil
}

func (k *keyboard) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gone = true
	k.more.Broadcast()
}

const width, height = 120, 40

func newTTY(t *testing.T) *tty {
	s := &tty{t: t, keyboard: &keyboard{}, screen: vt.NewEmulator(width, height), cursor: true, modes: map[ansi.Mode]bool{}, changed: make(chan struct{})}
	s.keyboard.more = sync.NewCond(&s.keyboard.mu)
	s.screen.SetCallbacks(vt.Callbacks{
		CursorVisibility: func(visible bool) { s.cursor = visible },
		EnableMode:       func(m ansi.Mode) { s.modes[m] = true },
		DisableMode:      func(m ansi.Mode) { delete(s.modes, m) },
	})
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(s.keyboard, s.screen)
	}()
	t.Cleanup(func() {
		s.keyboard.close()
		// Its own Close does not expect a reader at the same time.
		if pipe, ok := s.screen.InputPipe().(io.Closer); ok {
			pipe.Close()
		}
		<-copied
	})
	return s
}

// Write is the terminal's output.
func (s *tty) Write(p []byte) (int, error) {
	s.mu.Lock()
	stalled := s.stalled
	s.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	// No terminal is in raw mode here, so it does what a cooked one does.
	if _, err := s.screen.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// until waits for a screen that ok accepts.
func (s *tty) until(what string, ok func(screen string) bool) {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		changed, text := s.changed, s.screen.String()
		s.mu.Unlock()
		if ok(text) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			s.t.Fatalf("no screen with %s; the last one:\n%s", what, text)
		}
	}
}

// shows waits for a screen with all of the texts.
func (s *tty) shows(texts ...string) {
	s.t.Helper()
	s.until(strings.Join(texts, ", "), func(screen string) bool {
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

func (s *tty) types(keys string) { _, _ = s.keyboard.Write([]byte(keys)) }

// restored checks that the terminal is as it was.
func (s *tty) restored() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.screen.IsAltScreen() || !s.cursor {
		s.t.Errorf("left with the other screen %v, the cursor %v", s.screen.IsAltScreen(), s.cursor)
	}
	for _, m := range []ansi.Mode{
		ansi.ModeAltScreenSaveCursor, ansi.ModeBracketedPaste, ansi.ModeMouseButtonEvent, ansi.ModeMouseAnyEvent, ansi.ModeMouseExtSgr, ansi.ModeFocusEvent,
		ansi.ModeSynchronizedOutput,
	} {
		if s.modes[m] {
			s.t.Errorf("left with mode %d on", m.Mode())
		}
	}
}

func options(s *tty, url string) tui.Options {
	return tui.Options{
		URL: url, Series: market.Series{Symbol: "BTCUSDT", Timeframe: market.M1}, Symbols: []market.Symbol{"BTCUSDT", "ETHUSDT"},
		HTTP: live.NewClient(), Log: slog.New(slog.DiscardHandler), Zone: time.UTC, Mouse: true,
		In: s.keyboard, Out: s, Environ: []string{"TERM=xterm-256color"}, Width: width, Height: height,
	}
}

// open runs a console, and returns how it ended.
func open(ctx context.Context, o tui.Options) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- tui.Run(ctx, o) }()
	return ended
}

// end returns the error with which the console ended.
func end(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the console does not end")
		return nil
	}
}

func TestANight(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	d.Event(wire.EventLeader, wire.LeaderEvent{Time: time.Now().UnixMilli(), State: "became", Holder: "node-a", Epoch: 7})
	s := newTTY(t)
	ended := open(t.Context(), options(s, d.URL))

	price := regexp.MustCompile(`BTCUSDT +\d+\.\d\d`)
	s.until("a first price", func(screen string) bool { return price.MatchString(screen) && strings.Contains(screen, "● LIVE") })
	s.shows("★ node-a", "became leader, epoch 7", "0 active")

	s.types("?")
	s.shows("─ Keys ", "leave the console")
	s.types("\x1b[A\x1b") // up, then esc
	s.shows("─ Events ")

	s.types("3")
	s.shows("─ BTCUSDT 1m ", "┃", "volume", "LIVE")
	s.types("]")
	s.shows("─ BTCUSDT 3m ", "┃")
	s.types("\x1b[C")
	s.shows("─ ETHUSDT 3m ", "┃")
	s.types(":timeframe 1m\r")
	s.shows("─ ETHUSDT 1m ", "┃", " LIVE ")
	// The stream of this choice is open once it delivers.
	now := time.Now()
	candle := market.Candle{Time: market.M1.Open(now.UnixMilli()), Open: 700, High: 790, Low: 690, Close: 777.77, Volume: 3, Event: now.Add(time.Minute).UnixMilli()}
	s.until("the streamed price", func(screen string) bool {
		if d.Candle("ETHUSDT", market.M1, candle) > 0 {
			candle.Event++
		}
		return strings.Contains(screen, "ETHUSDT 1m  777.77")
	})

	d.Stop()
	s.shows("CONNECTION LOST", "✗ LOST", "ETHUSDT 1m  777.77", "┃")
	attempt := regexp.MustCompile(`attempt (\d+)`)
	s.until("a second attempt", func(screen string) bool {
		m := attempt.FindStringSubmatch(screen)
		return m != nil && m[1] != "1"
	})
	s.types("1")
	s.shows("CONNECTION LOST", "became leader, epoch 7", "node-a") // the last picture stays

	d.Restart()
	s.until("no banner", func(screen string) bool {
		return !strings.Contains(screen, "CONNECTION LOST") && strings.Contains(screen, "● LIVE")
	})
	d.Event(wire.EventAlert, wire.AlertEvent{ID: "e1", AlertID: "a", Symbol: "ETHUSDT", Timeframe: "1m", Type: "price", Reason: "above 777", TS: time.Now().UnixMilli()})
	s.shows("TRIGGER ETHUSDT", "above 777")

	s.types("q")
	if err := end(t, ended); err != nil {
		t.Errorf("Run = %v after q", err)
	}
	s.restored()
}

func TestTheTerminalIsRestoredHoweverTheConsoleEnds(t *testing.T) {
	broken := errors.New("no daemon in this house")
	tests := []struct {
		name string
		set  func(*tui.Options)
		do   func(*tty, context.CancelFunc)
		ok   func(error) bool
	}{
		{"ctrl+c", nil, func(s *tty, _ context.CancelFunc) { s.types("\x03") }, func(err error) bool { return err == nil }},
		{"a cancelled context", nil, func(_ *tty, cancel context.CancelFunc) { cancel() }, func(err error) bool { return err == nil }},
		{"no daemon to attach to", func(o *tui.Options) {
			o.Attach = func(_ context.Context, say func(safetext.Text)) (string, error) {
				say("starting the daemon")
				return "", broken
			}
		}, nil, func(err error) bool { return errors.Is(err, broken) }},
		{"a panic while following", func(o *tui.Options) {
			o.HTTP = &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { panic("at the disco") })}
		}, nil, func(err error) bool { var p *live.PanicError; return errors.As(err, &p) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newTTY(t)
			o := options(s, livetest.Start(t).URL)
			if tt.set != nil {
				tt.set(&o)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := open(ctx, o)
			if tt.do != nil {
				s.shows("● LIVE")
				tt.do(s, cancel)
			}
			if err := end(t, ended); !tt.ok(err) {
				t.Errorf("Run = %v", err)
			}
			s.restored()
		})
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTheFirstFrameWaitsForNothing(t *testing.T) {
	t.Parallel()
	s := newTTY(t)
	o := options(s, "http://192.0.2.1:1")
	o.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done() // never an answer
		return nil, r.Context().Err()
	})}
	ended := open(t.Context(), o)
	s.shows("SPARK", "UNKN", "q quit")
	s.types("3")
	s.shows("waiting for the daemon")
	s.types("q")
	if err := end(t, ended); err != nil {
		t.Errorf("Run = %v", err)
	}
	s.restored()
}

func TestAStalledTerminalDoesNotHoldTheConsole(t *testing.T) {
	t.Parallel()
	s := newTTY(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := open(ctx, options(s, livetest.Start(t).URL))
	s.shows("● LIVE")
	stalled := make(chan struct{})
	t.Cleanup(func() { close(stalled) })
	s.mu.Lock()
	s.stalled = stalled
	s.mu.Unlock()
	begin := time.Now()
	cancel()
	if err := end(t, ended); !errors.Is(err, tui.ErrStalled) {
		t.Errorf("Run = %v, want ErrStalled", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAnHourOfHypercare(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	plan := livetest.Hypercare(time.Now())
	plan.Run = nil
	d.Judge(plan)
	s := newTTY(t)
	ended := open(t.Context(), options(s, d.URL))
	s.shows("hypercare: plan spark-48h is not started")

	s.types("2S")
	s.shows("─ Start hypercare ", "v1.2.3")
	s.types("\r\r")
	s.shows("Start plan spark-48h", "for version v1.2.3")
	s.types("Y")
	s.shows("T+00:22", "SSE UNKN LAT 0.4s P NTF 96.1% W", "BLOCKED", "OVERDUE L1", "FAIL key No critical errors in logs")

	s.types("\r")
	s.shows("T+15m log.fatal", "node-c wrote 4 fatal records", "─ Graph ", "┤", "x node-b") // two lines of the fake's query
	s.types("\x1b")
	s.shows("Metrics validation")
	s.types("hto")
	s.shows("─ Tick ops.briefed ", "▸ evidence")
	s.types("\x7fall of them\r\r")
	s.shows("done: tick ops.briefed", "PASS     Operations team briefed")

	s.types("1")
	s.shows("hypercare T+15m", "1 incident L2", "in 1 h") // and the observer's hour
	d.Event(wire.EventVerdict, wire.VerdictEvent{Time: time.Now().UnixMilli(), Check: "log.fatal", Text: "No critical errors", Verdict: wire.VerdictFail})
	s.shows("VERDICT log.fatal", "FAIL No critical errors")
	s.types("\r")
	s.shows("T+15m log.fatal")
	s.types("q")
	if err := end(t, ended); err != nil {
		t.Errorf("Run = %v after q", err)
	}
	s.restored()
	if got := d.Changes(); len(got) != 2 || got[0].Path != wire.PathPlanStart || got[1].Body != `{"role":"operations-lead","evidence":"all of them"}` {
		t.Errorf("changes = %+v", got)
	}
}

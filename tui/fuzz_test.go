package tui

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"

	coremarket "github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/live/sse"
	"github.com/spark-ta/spark/tui/screen/hypercare"
	"github.com/spark-ta/spark/tui/ui"
)

// script reads choices from bytes, so that the fuzzer can vary them one by one.
// Beyond its end everything is 0.
type script struct{ bytes.Reader }

func (s *script) byte() int {
	b, _ := s.ReadByte()
	return int(b)
}

func (s *script) below(n int) int { return s.byte() % n }

// text is anything, and by preference what terminals obey or measure wrongly.
func (s *script) text() safetext.Text {
	evil := []string{
		"", "node-a", "\x1b[2J\x1b[H", "\x1b]0;owned\x07", "\x9b31m", "\u009b2J", "\u202egnp.exe", "\r\n\t\x00\x7f", "👨\u200d👩\u200d👧\u200d👦", "🇩🇪", "❤\ufe0f", "世界", "e\u0301\u0302",
		"\xff\xfe", strings.Repeat("長", 300), strings.Repeat("1234567890", 60), "ﷺ", "\u2028\ufeff", "%!d(x)", "\u202e\u2066\u00ad",
	}
	if i := s.below(len(evil) + 1); i < len(evil) {
		return safetext.Text(evil[i]) // not cleaned: the canvas must do without
	}
	raw := make([]byte, s.below(40))
	_, _ = s.Read(raw)
	return safetext.Text(raw)
}

func (s *script) figure() float64 {
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, -1, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1e15, 0.0000123, 68123.45}
	if i := s.below(2 * len(odd)); i < len(odd) {
		return odd[i]
	}
	return float64(s.byte())
}

func (s *script) figures() []float64 {
	out := make([]float64, s.below(80))
	for i := range out {
		out[i] = s.figure()
	}
	return out
}

func (s *script) moment() time.Time {
	switch s.below(5) {
	case 0:
		return time.Time{}
	case 1:
		return time.UnixMilli(math.MaxInt64)
	case 2:
		return time.UnixMilli(math.MinInt64)
	}
	return night.Add(time.Duration(s.byte()-128) * time.Second)
}

func (s *script) stream() sse.Status {
	return sse.Status{Phase: sse.Phase(s.below(5)), Attempts: s.byte(), Cause: string(s.text()), Next: s.moment()}
}

func (s *script) picture() *live.Picture {
	p := &live.Picture{
		Rev: uint64(s.byte()), At: s.moment(), URL: s.text(),
		Link: live.Link{
			State: live.LinkState(s.below(3)), Attempts: s.below(3), Cause: s.text(), Since: s.moment(), Next: s.moment(), LastOK: s.moment(), Events: s.stream(),
		},
		Fleet: live.Fleet{Rev: uint64(s.byte()), At: s.moment(), Err: s.text()},
		Health: live.Health{
			Rev: uint64(s.byte()), At: s.moment(), Known: s.below(2) == 0, OK: s.below(2) == 0, Instance: s.text(), Version: s.text(), Holder: s.text(),
			Uptime: time.Duration(s.figure()), Lease: time.Duration(s.figure()), RedisOK: s.below(2) == 0, RedisMS: s.figure(), MarketOK: s.below(2) == 0,
			MarketMS: s.figure(), Err: s.text(),
		},
		Alerts: live.Alerts{Rev: uint64(s.byte()), Known: s.below(2) == 0, Total: s.byte(), Active: s.byte(), More: s.below(2) == 0, Failed: s.byte(), Err: s.text()},
		Gauges: live.Gauges{
			Rev: uint64(s.byte()), At: s.moment(), Err: s.text(), Evaluations: s.figures(), Triggers: s.figures(), Sent: s.figures(), Failed: s.figures(),
			Streams: s.figures(), ActiveAlerts: s.figure(), TriggersTotal: s.figure(), SentTotal: s.figure(), DeadTotal: s.figure(), OutboxDepth: s.figure(),
			OutboxOldest: s.figure(), Upstreams: s.figure(),
		},
		Watch: live.Watch{Rev: uint64(s.byte())},
		Chart: live.Chart{
			Rev: uint64(s.byte()), Series: s.series(), Loading: s.below(2) == 0, Err: s.text(), Stream: s.stream(), Latency: time.Duration(s.figure()), At: s.moment(),
		},
		Feed: live.Feed{Rev: uint64(s.byte())},
		Care: s.care(),
		Trends: live.Trends{
			Rev: uint64(s.byte()), Known: s.below(2) == 0, At: s.moment(), Err: s.text(), Evaluations: s.figures(), Triggers: s.figures(), Sent: s.figures(),
			Failed: s.figures(), Streams: s.figures(), P95: s.figures(),
		},
		Graph: live.Graph{Rev: uint64(s.byte()), Of: live.GraphOf{Query: s.id()}, From: s.moment(), To: s.moment(), More: s.byte(), Loading: s.below(2) == 0, Err: s.text()},
	}
	for range s.below(live.MaxLines + 1) {
		p.Graph.Lines = append(p.Graph.Lines, live.Series{Name: s.text(), Figures: s.figures()})
	}
	for range s.below(70) {
		p.Fleet.Instances = append(p.Fleet.Instances, live.Instance{
			ID: s.text(), Version: s.text(), Roles: []safetext.Text{s.text(), "gateway"}, Up: s.below(2) == 0, Leader: s.below(2) == 0,
			Epoch: int64(s.figure()), StartedAt: s.moment(), Age: time.Duration(s.figure()), CPU: s.figure(), RSS: int64(s.figure()), RedisMS: s.figure(),
		})
	}
	for range s.below(13) {
		p.Watch.Tickers = append(p.Watch.Tickers, live.Ticker{
			Symbol: s.series().Symbol, Price: s.figure(), Moved: s.below(3) - 1, Change: s.figure(), Spark: s.figures(), At: s.moment(), Err: s.text(),
		})
	}
	for i := range s.byte() {
		at := p.Chart.Series.Timeframe.Add(night.UnixMilli(), i+s.below(2))
		p.Chart.Candles = append(p.Chart.Candles, coremarket.Candle{
			Time: at, Open: s.figure(), High: s.figure(), Low: s.figure(), Close: s.figure(), Volume: s.figure(),
		})
	}
	n := s.byte()
	p.Feed.Total = uint64(n + s.byte())
	for i := range n {
		p.Feed.Events = append(p.Feed.Events, live.Event{
			Seq: p.Feed.Total - uint64(i), Kind: live.Kind(s.below(7)), Tone: live.Tone(s.below(6)), Time: s.moment(), Symbol: s.series().Symbol, Who: s.text(), Text: s.text(),
		})
	}
	return p
}

func (s *script) series() coremarket.Series {
	symbols := []coremarket.Symbol{"BTCUSDT", "ETHUSDT", "", "\x1b[31mX", "1000000MOGUSDTPERPETUAL"}
	return coremarket.Series{Symbol: symbols[s.below(len(symbols))], Timeframe: coremarket.Timeframe(s.below(17))}
}

// message returns anything that Bubble Tea or the follower may send.
func (s *script) message() tea.Msg {
	switch s.below(20) {
	case 13:
		return live.Result{
			Gen: uint64(s.below(4)), Label: s.text(), Err: s.text(), Closing: &live.Closing{Statement: s.text(), Note: s.text(), Head: s.text(), Ready: s.below(2) == 0},
		}
	case 14:
		return live.Result{Gen: uint64(s.below(4)), Report: &live.Report{Text: s.text() + "\n\n# " + s.text()}}
	case 15:
		return ui.ShowCheck(s.id())
	case 16:
		return hypercare.Saved{Name: s.text(), Err: s.text()}
	case 0, 1:
		return tea.WindowSizeMsg{Width: s.below(256) + s.below(146), Height: s.below(121)}
	case 2:
		return tea.WindowSizeMsg{Width: 60 + s.below(100), Height: 16 + s.below(60)}
	case 3, 4:
		return s.picture()
	case 5:
		return tick(s.moment())
	case 6:
		return tea.PasteMsg{Content: string(s.text())}
	case 7:
		return tea.MouseWheelMsg{X: s.byte(), Y: s.byte(), Button: tea.MouseWheelUp + tea.MouseButton(s.below(2))}
	case 8:
		return tea.MouseClickMsg{X: s.byte(), Y: s.byte(), Button: tea.MouseLeft}
	case 9:
		return tea.ColorProfileMsg{Profile: []colorprofile.Profile{colorprofile.ASCII, colorprofile.ANSI, colorprofile.ANSI256, colorprofile.TrueColor}[s.below(4)]}
	case 10:
		return tea.BackgroundColorMsg{Color: color.Gray{Y: uint8(s.byte())}}
	case 11:
		return phase(s.text())
	case 12:
		return tea.KeyPressMsg{Code: rune(s.byte()), Text: string(s.text())}
	default:
		all := ui.Bindings()
		keys := all[s.below(len(all))].Keys()
		return keyPress(keys[s.below(len(keys))])
	}
}

var ourSGR = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// sound says what is wrong with a frame of the size.
func sound(frame string, w, h int) error {
	lines := strings.Split(frame, "\n")
	if len(lines) != max(h, 1) {
		return fmt.Errorf("%d lines, want %d", len(lines), h)
	}
	for _, line := range lines {
		if n, wc := ansi.StringWidth(line), ansi.StringWidthWc(line); n > w || n != wc {
			return fmt.Errorf("a line %d columns wide by clusters and %d by characters, want at most %d: %q", n, wc, w, line)
		}
		for _, r := range ourSGR.ReplaceAllString(line, "") {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				return fmt.Errorf("%q in %q", r, line)
			}
		}
	}
	return nil
}

// perform plays a script, and judges each frame.
func perform(t *testing.T, data []byte) {
	t.Helper()
	s := &script{*bytes.NewReader(data)}
	o := Options{ASCII: s.below(4) == 0, NoColor: s.below(4) == 0, ReadOnly: s.below(4) == 0, Mouse: s.below(2) == 0, Theme: ThemeChoice(s.below(3))}
	m := console(t, 80, 24, o, nil)
	for s.Len() > 0 {
		msg := s.message()
		_, cmd := m.Update(msg)
		if _, waits := msg.(tick); !waits {
			run(m, cmd)
		}
		if err := sound(m.View().Content, m.width, m.height); err != nil {
			t.Fatalf("%d×%d after %#v: %v", m.width, m.height, msg, err)
		}
	}
}

// FuzzMessages plays any messages at any size: no panic, exactly H lines, none wider
// than W, no control byte but our own colours.
func FuzzMessages(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 4 {
		f.Add(noise(r, 150))
	}
	f.Fuzz(perform)
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestAnyMessagesMakeSoundFrames is what the fuzzer does, for a second.
func TestAnyMessagesMakeSoundFrames(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 40 {
		perform(t, noise(r, 4000))
	}
}

func TestFramesAreSoundAtEverySize(t *testing.T) {
	t.Parallel()
	m := console(t, 1, 1, Options{Theme: Light}, trouble())
	for _, keys := range [][]string{
		nil, {"3"}, {"?"}, {":"}, {"2"}, {"2", "enter"}, {"tab"}, {"tab"}, {"tab"}, {"tab", "O"}, {"tab"}, {"2", "down", "W"}, {"2", "left", "up", "U", "x", "enter"},
	} {
		if keys != nil && keys[0] == "2" {
			m.Update(evil())
		}
		press(m, keys...)
		for w := 1; w <= 400; w += 1 + w/2 {
			for h := 1; h <= 120; h += 1 + h/2 {
				m.Update(tea.WindowSizeMsg{Width: w, Height: h})
				if err := sound(m.View().Content, w, h); err != nil {
					t.Fatalf("%d×%d after %q: %v", w, h, keys, err)
				}
			}
		}
		if keys == nil || keys[0] != "tab" && len(keys) > 0 {
			press(m, "esc")
		}
	}
}

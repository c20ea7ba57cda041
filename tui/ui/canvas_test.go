package ui_test

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/ui"
)

func mono() *ui.Theme { return ui.NewTheme(ui.Mono, false) }

func draw(w, h int, f func(ui.Area)) string {
	c := ui.NewCanvas(w, h)
	f(c.Area())
	return c.Render(mono())
}

func TestTextIsCutAtTheEdge(t *testing.T) {
	tests := []struct {
		x    int
		text safetext.Text
		want string
	}{
		{0, "abcdef", "abcd"},
		{2, "abc", "  ab"},
		{-1, "abc", "bc"},
		{3, "世", ""},
		{2, "世", "  世"},
		{0, "世界人", "世界"},
		{4, "a", ""},
		{0, "a\u0301b", "a\u0301b"},
	}
	for _, tt := range tests {
		got := draw(4, 1, func(a ui.Area) { a.Text(tt.x, 0, ui.Plain, tt.text) })
		if got != tt.want {
			t.Errorf("Text(%d, %q) on four columns = %q, want %q", tt.x, tt.text, got, tt.want)
		}
	}
}

func TestClipEndsInAnEllipsis(t *testing.T) {
	for text, want := range map[safetext.Text]string{
		"abcdefgh": "abcdefgh", "abcdefghi": "abcdefg…", "世界人世界人": "世界人…", "": "",
		// Half a number reads as another.
		"at 68123": "at 68123", "at 68123.4": "at …", "at 12, 345": "at 12, …", "a 12 bcdef": "a 12 bc…", "123456789": "…", "12,345.6 x": "…",
		"12345678": "12345678", "123456 abc": "123456 …", "1234567 abc": "1234567…",
	} {
		if got := draw(10, 1, func(a ui.Area) { a.Clip(0, 0, 8, ui.Plain, text) }); got != want {
			t.Errorf("Clip(%q) to eight columns = %q, want %q", text, got, want)
		}
	}
}

func TestAWideCharacterIsNeverLeftInHalf(t *testing.T) {
	for x, want := range map[int]string{0: "x", 1: " x", 2: "世x", 3: "世 x"} {
		got := draw(6, 1, func(a ui.Area) {
			a.Text(0, 0, ui.Plain, "世")
			a.Put(x, 0, ui.Plain, 'x')
		})
		if got != want {
			t.Errorf("x over 世 at %d = %q, want %q", x, got, want)
		}
	}
}

func TestAnAreaKeepsToItself(t *testing.T) {
	got := draw(5, 3, func(a ui.Area) {
		a.Sub(1, 1, 3, 1).Text(0, 0, ui.Plain, "abcdef")
		a.Sub(1, 1, 3, 1).Text(0, 1, ui.Plain, "below")
		a.Sub(1, 1, 3, 1).Put(-1, 0, ui.Plain, 'x')
		a.Sub(4, 2, 100, 100).Put(1, 0, ui.Plain, 'x')
		a.Sub(-3, -3, -1, -1).Text(0, 0, ui.Plain, "y")
	})
	if want := "\n abc\n"; got != want {
		t.Errorf("drew %q, want %q", got, want)
	}
}

func TestRenderWritesAStyleOnlyWhereItChanges(t *testing.T) {
	c := ui.NewCanvas(9, 1)
	c.Area().Text(0, 0, ui.Bad, "a b")
	c.Area().Text(4, 0, ui.Plain, "c")
	c.Area().Text(6, 0, ui.Bad|ui.Bold, "d")
	got := c.Render(ui.NewTheme(ui.Dark16, false))
	if want := "\x1b[m\x1b[91ma b \x1b[mc \x1b[m\x1b[1;91md\x1b[m"; got != want {
		t.Errorf("Render = %q, want %q", got, want)
	}
}

func TestPanelIsDrawnOncePerKeyAndSize(t *testing.T) {
	var p ui.Panel
	drawn := 0
	show := func(w int, key any) string {
		return draw(w, 1, func(a ui.Area) {
			p.Draw(a, key, func(a ui.Area) {
				drawn++
				a.Text(0, 0, ui.Plain, "panel")
			})
		})
	}
	for i, step := range []struct {
		w    int
		key  any
		want int
	}{{8, 1, 1}, {8, 1, 1}, {8, 2, 2}, {4, 2, 3}, {4, 2, 3}, {8, 2, 4}} {
		got := show(step.w, step.key)
		if drawn != step.want || got != "panel"[:min(step.w, 5)] {
			t.Errorf("step %d: drawn %d times, shows %q", i, drawn, got)
		}
	}
}

// FuzzText draws any text at any place: each line is as wide as the terminal will
// think it is, whichever way it measures, and nothing controls the terminal.
func FuzzText(f *testing.F) {
	for _, s := range []string{
		"plain", "世界", "a\u0301", "👍🏽", "❤️", "🏳️‍🌈", "👨‍👩‍👧", "क्षि", "한글", "\x1b[31m", "\u202e", "\x00\x7f\u0085", "e\u0301\u0302", "ไทย", "🇩🇪", "ᄒ\u1161\u11ab", "﷽", "\u2028", "\xff\xfe", "\x9e\a", "\u1aeb",
	} {
		f.Add(s, 10, 0)
	}
	f.Fuzz(func(t *testing.T, s string, w, x int) {
		w = max(w%200, -1)
		c := ui.NewCanvas(w, 2)
		c.Area().Text(x%300, 0, ui.Good, safetext.Text(s)) // even text that was not cleaned
		c.Area().Clip(0, 1, w, ui.Bold, safetext.Clean(s))
		lines := strings.Split(c.Render(ui.NewTheme(ui.Dark, false)), "\n")
		if len(lines) != 2 {
			t.Fatalf("%q: %d lines, want 2", s, len(lines))
		}
		for _, line := range lines {
			text := ansi.Strip(line)
			if g, wc := ansi.StringWidth(line), ansi.StringWidthWc(line); g > max(w, 0) || g != wc {
				t.Errorf("%q on %d columns is %d wide by clusters, %d by characters: %q", s, w, g, wc, text)
			}
			for _, r := range text {
				if r < 0x20 || r >= 0x7f && r < 0xa0 {
					t.Errorf("%q draws %q", s, r)
				}
			}
		}
	})
}

func BenchmarkRender(b *testing.B) {
	c := ui.NewCanvas(200, 50)
	for y := range 50 {
		for x := range 20 {
			c.Area().Text(x*10, y, ui.Style(x%8), "abcdefghi")
		}
	}
	theme := ui.NewTheme(ui.Dark, false)
	b.ReportAllocs()
	for b.Loop() {
		c.Render(theme)
	}
}

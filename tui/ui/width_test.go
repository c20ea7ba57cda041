package ui_test

import (
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/ui"
)

// Of every character: what is drawn is as wide as it was counted, whichever way the
// terminal measures, alone and after another.
func TestEveryCharacterIsAsWideAsItWasCounted(t *testing.T) {
	theme, c := mono(), ui.NewCanvas(6, 1)
	for r := rune(' '); r < 0x20000; r++ {
		for _, before := range []string{"", "a"} {
			text := safetext.Text(before + string(r))
			c.Clear()
			c.Area().Text(c.Area().Text(0, 0, ui.Plain, text), 0, ui.Plain, "|")
			got := c.Render(theme)
			want := ui.Width(text) + 1
			if g, wc := ansi.StringWidth(got), ansi.StringWidthWc(got); g != want || wc != want {
				t.Errorf("%U after %q: counted %d, %d by clusters, %d by characters", r, before, want-1, g-1, wc-1)
			}
		}
	}
}

func TestTextIsWrappedBetweenWords(t *testing.T) {
	for text, want := range map[safetext.Text][]safetext.Text{
		"": nil, "one": {"one"}, "one two three": {"one two", "three"}, "one two": {"one two"}, "abcdefghijk": {"abcdefg", "hijk"}, "a\n\nb": {"a", "", "b"},
		"世界人世界": {"世界人", "世界"}, "   x": {"   x"}, "abcdefg h": {"abcdefg", "h"}, " abcdefghi": {" abcdef", "ghi"}, "end\n": {"end"},
	} {
		got := ui.Wrap(text, 7)
		if len(got) != len(want) {
			t.Errorf("Wrap(%q) = %q, want %q", text, got, want)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("Wrap(%q) = %q, want %q", text, got, want)
			}
		}
	}
}

// FuzzWrap: no line is wider than it may be, and no letter is lost.
func FuzzWrap(f *testing.F) {
	f.Add("one two  three", 5)
	f.Add("世界人 a\nb", 1)
	f.Fuzz(func(t *testing.T, s string, w int) {
		text, letters := safetext.CleanMultiline(s), func(t safetext.Text) (n int) {
			for _, r := range string(t) {
				if r != ' ' && r != '\n' {
					n++
				}
			}
			return n
		}
		w = max(w%300, 1)
		n := 0
		for _, line := range ui.Wrap(text, w) {
			n += letters(line)
			if ui.Width(line) > max(w, 2) {
				t.Errorf("Wrap(%q, %d) has %q", text, w, line)
			}
		}
		if n != letters(text) {
			t.Errorf("Wrap(%q, %d) lost %d letters", text, w, letters(text)-n)
		}
	})
}

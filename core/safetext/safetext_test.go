package safetext_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/spark-ta/spark/core/safetext"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		// The nineteen payloads that terminal programs were attacked with.
		{"OSC 52 sets the clipboard", "a\x1b]52;c;cm0gLXJm\x07b", "ab"},
		{"OSC 0 sets the title", "a\x1b]0;owned\x1b\\b", "ab"},
		{"OSC 9 notifies", "a\x1b]9;hello\x07b", "ab"},
		{"CSI clears the screen", "a\x1b[2Jb", "ab"},
		{"CSI moves the cursor", "a\x1b[3;7Hb", "ab"},
		{"CSI leaves the alternate screen", "a\x1b[?1049lb", "ab"},
		{"CSI asks for the cursor's place", "a\x1b[6nb", "ab"},
		{"ESC c resets", "a\x1bcb", "ab"},
		{"raw 0x9b is CSI", "a\x9b2Jb", "ab"},
		{"CR overwrites the line", "denied\rgranted", "denied␍granted"},
		{"BS rubs out", "a\b\bb", "a␈␈b"},
		{"BEL", "a\ab", "a␇b"},
		{"OSC 8 links elsewhere", "\x1b]8;;https://evil.example\x1b\\text\x1b]8;;\x1b\\", "text"},
		{"DCS", "a\x1bPq#0;2;0;0;0\x1b\\b", "ab"},
		{"APC draws kitty graphics", "a\x1b_Gf=24;AAAA\x1b\\b", "ab"},
		{"SOS and PM", "a\x1bXsos\x1b\\b\x1b^pm\x1b\\c", "abc"},
		{"U+009B in UTF-8 is CSI", "a\u009b2Jb", "ab"},
		{"bidi override and zero width", "a\u202eb\u200bc", "a\ufffdb\ufffdc"},
		{"SGR without reset", "\x1b[1;31mred", "red"},

		{"empty", "", ""},
		{"ASCII", "close>upper 65000.5", "close>upper 65000.5"},
		{"letters of the world and emoji", "Teknik Analiz · günlük 日本 🚀", "Teknik Analiz · günlük 日本 🚀"},
		{"C1 bytes within letters are letters", "Ü\u00dcberŝ›", "Ü\u00dcberŝ›"},
		{"line breaks", "a\nb\r\nc", "a↵b↵c"},
		{"tab", "a\tb", "a    b"},
		{"NUL and DEL", "a\x00b\x7fc", "a␀b␡c"},
		{"C1 that begins nothing", "a\u0085b\x85c", "a\ufffdb\ufffdc"},
		{"8-bit OSC with 8-bit terminator", "a\x9d0;t\x9cb", "ab"},
		{"OSC in UTF-8 C1", "a\u009d0;t\u009cb", "ab"},
		{"OSC that holds letters", "a\x1b]0;tÜr\x07b", "ab"},
		{"OSC without end hides nothing", "a\x1b]0;rest of the line", "a␛]0;rest of the line"},
		{"8-bit OSC without end", "a\x9d0;rest", "a\ufffd0;rest"},
		{"OSC broken by another sequence", "a\x1b]0;t\x1b[2Jb", "a␛]0;tb"},
		{"CSI without end", "a\x1b[31", "a␛[31"},
		{"CSI broken by a letter", "a\x1b[31é", "a␛[31é"},
		{"CSI with intermediates", "a\x1b[4 qb", "ab"},
		{"ESC with intermediates", "a\x1b(Bb\x1b#8c", "abc"},
		{"ESC at the end", "a\x1b", "a␛"},
		{"ESC ESC", "a\x1b\x1b[2Jb", "a␛b"},
		{"ESC before a letter of the world", "a\x1bé", "a␛é"},
		{"invalid UTF-8", "a\xffb\xc3(", "a\ufffdb\ufffd("},
		{"separators, marks and tags", "a\u2028b\u2029c\ufeffd\u2066e\u2069f\u061cg\u00adh\U000e0041i", "a�b�c�d�e�f�g�h�i"},
	} {
		if got := safetext.Clean(c.in); string(got) != c.want {
			t.Errorf("%s: Clean(%q) = %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestCleanMultilineKeepsLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"a\nb", "a\nb"},
		{"a\r\nb\r\n", "a\nb\n"},
		{"a\rb\n", "a␍b\n"},
		{"\n\n\x1b[31mx\n", "\n\nx\n"},
		{"one \x1b]0;title\nin two lines\x07 two", "one ␛]0;title\nin two lines␇ two"},
	} {
		if got := safetext.CleanMultiline(c.in); string(got) != c.want {
			t.Errorf("CleanMultiline(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestTooLongTextIsCutAndSaysSo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, unit string
		count      int
		cut        bool
	}{
		{"exactly full", "x", safetext.MaxLine, false},
		{"one more", "x", safetext.MaxLine + 1, true},
		{"wide characters", "日", safetext.MaxLine, true},
		{"a megabyte", "x\x1b[0m", 1 << 18, true},
		{"tabs", "\t", safetext.MaxLine, true},
	} {
		for name, clean := range map[string]func(string) safetext.Text{"Clean": safetext.Clean, "CleanMultiline": safetext.CleanMultiline} {
			got := string(clean(strings.Repeat(c.unit, c.count)))
			if len(got) > safetext.MaxLine || !utf8.ValidString(got) {
				t.Errorf("%s: %s: %d bytes, valid %v, want at most %d", c.name, name, len(got), utf8.ValidString(got), safetext.MaxLine)
			}
			if strings.HasSuffix(got, safetext.Cut) != c.cut {
				t.Errorf("%s: %s: marker of a cut = %v, want %v", c.name, name, !c.cut, c.cut)
			}
			if len(got) < safetext.MaxLine-len(safetext.Cut)-utf8.UTFMax {
				t.Errorf("%s: %s: only %d bytes are left", c.name, name, len(got))
			}
		}
	}

	lines := strings.Repeat(strings.Repeat("y", 2*safetext.MaxLine)+"\n", 3)
	got := string(safetext.CleanMultiline(lines))
	for i, line := range strings.Split(strings.TrimSuffix(got, "\n"), "\n") {
		if len(line) != safetext.MaxLine || !strings.HasSuffix(line, safetext.Cut) {
			t.Errorf("line %d has %d bytes, want %d that end in the marker", i, len(line), safetext.MaxLine)
		}
	}
	got = string(safetext.CleanMultiline(strings.Repeat("é\n", safetext.MaxText)))
	if len(got) > safetext.MaxText || !strings.HasSuffix(got, "\n"+safetext.Cut) {
		t.Errorf("long text: %d bytes that end in %q, want at most %d and the marker on its own line", len(got), got[len(got)-20:], safetext.MaxText)
	}
}

// check reports what must hold of every cleaned text.
func check(t *testing.T, in string, clean func(string) safetext.Text, limit int, newline bool) {
	t.Helper()
	got := string(clean(in))
	if !utf8.ValidString(got) {
		t.Errorf("%q became %q, which is not valid UTF-8", in, got)
	}
	if len(got) > limit {
		t.Errorf("%d bytes became %d, more than %d", len(in), len(got), limit)
	}
	for _, r := range got {
		if unicode.IsControl(r) && (r != '\n' || !newline) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			t.Errorf("%q became %q, which holds %U", in, got, r)
		}
	}
	for _, line := range strings.Split(got, "\n") {
		if len(line) > safetext.MaxLine {
			t.Errorf("a line of %d bytes, more than %d", len(line), safetext.MaxLine)
		}
	}
	if again := string(clean(got)); again != got {
		t.Errorf("cleaning %q again gives %q", got, again)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{
		"", "plain", "\x1b[31mred\x1b[0m", "\x1b]8;;x\x1b\\y\x9c", "\x9b1\u009b2", "\r\n\t\x00\x7f", "\u202e\u2066\u200d\ufeff",
		"\xff\xc3\x28\xf0\x9f", strings.Repeat("日", 4000), strings.Repeat("a\n", 9000), "\x1bP\x1bX\x1b^\x1b_\x1b]", strings.Repeat("\t", 2048) + "x",
	} {
		f.Add(s, uint16(1))
	}
	f.Add("0123456789\u2028abc\x1b]", uint16(9000))
	f.Fuzz(func(t *testing.T, s string, times uint16) {
		if len(s) > 0 {
			s = strings.Repeat(s, 1+int(times)%(1+70_000/len(s)))
		}
		check(t, s, safetext.Clean, safetext.MaxLine, false)
		check(t, s, safetext.CleanMultiline, safetext.MaxText, true)
	})
}

func BenchmarkClean(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"plain", strings.Repeat("close>upper ", 10)},
		{"coloured", strings.Repeat("\x1b[31mclose>upper\x1b[0m günlük ", 10)},
		{"hostile megabyte", strings.Repeat("\x1b]", 1<<19)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				safetext.Clean(c.text)
			}
		})
	}
}

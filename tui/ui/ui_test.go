package ui_test

import (
	"image/color"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/spark-ta/spark/tui/ui"
)

func TestNoKeyHasTwoMeanings(t *testing.T) {
	if _, err := ui.NewKeymap(ui.Bindings(), false); err != nil {
		t.Error(err)
	}
	twice := append(ui.Bindings(), ui.Bindings()[0])
	if _, err := ui.NewKeymap(twice, false); err == nil {
		t.Error("a key bound twice in one context was accepted")
	}
}

func TestEveryBindingCanBeExplained(t *testing.T) {
	for _, b := range ui.Bindings() {
		if len(b.Keys()) == 0 || b.Help().Key == "" || b.Help().Desc == "" || b.Action == "" {
			t.Errorf("%+v lacks keys, an action or a help text", b)
		}
		if b.Footer != "" && !strings.Contains(b.Footer, " ") {
			t.Errorf("%s: footer %q is not keys and a label", b.Action, b.Footer)
		}
	}
}

func TestAScreenDoesNotHideTheKeysOfTheConsole(t *testing.T) {
	everywhere := map[string]ui.Action{}
	for _, b := range ui.Bindings() {
		if b.In == ui.Everywhere {
			for _, k := range b.Keys() {
				everywhere[k] = b.Action
			}
		}
	}
	for _, b := range ui.Bindings() {
		if b.In == ui.InOverview || b.In == ui.InMarket {
			for _, k := range b.Keys() {
				if other, taken := everywhere[k]; taken {
					t.Errorf("%q is %s in %s and %s everywhere", k, b.Action, b.In, other)
				}
			}
		}
	}
}

func TestReadOnlyHasNoKeyThatChangesSomething(t *testing.T) {
	table := ui.Bindings()
	table[0].Mutates = true
	m, err := ui.NewKeymap(table, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range ui.Contexts() {
		for _, b := range m.In(c) {
			if b.Mutates {
				t.Errorf("%s is reachable", b.Action)
			}
		}
	}
	if _, ok := m.Lookup(ui.Everywhere, table[0].Keys()[0]); ok {
		t.Errorf("%q still means something", table[0].Keys()[0])
	}
}

func TestTextStaysTextInThePalette(t *testing.T) {
	m, err := ui.NewKeymap(ui.Bindings(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"q", "1", "3", "?", ":", "a", "space"} {
		if a, ok := m.Lookup(ui.InPalette, k); ok {
			t.Errorf("%q means %s in the palette", k, a)
		}
	}
	if a, _ := m.Lookup(ui.InMarket, "q"); a != ui.Quit {
		t.Errorf("q means %q in the market", a)
	}
}

// sgr is the colour part of a sequence.
var sgr = regexp.MustCompile(`38;2;(\d+);(\d+);(\d+)`)

func TestColoursCanBeReadOnTheirBackground(t *testing.T) {
	grounds := map[ui.Scheme][]string{ui.Dark: {"#000000", "#1e1e2e"}, ui.Light: {"#ffffff", "#f4f4f4"}}
	for scheme, backgrounds := range grounds {
		theme := ui.NewTheme(scheme, false)
		seen := 0
		for role := ui.Plain; role <= ui.Second; role++ {
			c := ui.NewCanvas(1, 1)
			c.Area().Text(0, 0, role, "x")
			m := sgr.FindStringSubmatch(c.Render(theme))
			if m == nil {
				continue // the terminal's own colour
			}
			seen++
			fg := luminance(lipgloss.RGBColor{R: number(m[1]), G: number(m[2]), B: number(m[3])})
			for _, bg := range backgrounds {
				if ratio := contrast(fg, luminance(lipgloss.Color(bg))); ratio < 4.5 {
					t.Errorf("role %d of scheme %d on %s: contrast %.2f, want 4.5", role, scheme, bg, ratio)
				}
			}
		}
		if seen < 10 {
			t.Errorf("scheme %d colours only %d roles", scheme, seen)
		}
	}
}

func number(s string) (n uint8) {
	for _, c := range s {
		n = n*10 + uint8(c-'0')
	}
	return n
}

func luminance(c color.Color) float64 {
	r, g, b, _ := c.RGBA()
	linear := func(v uint32) float64 {
		s := float64(v) / 0xffff
		if s <= 0.03928 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
}

func contrast(a, b float64) float64 { return (max(a, b) + 0.05) / (min(a, b) + 0.05) }

func TestMonoHasNoColour(t *testing.T) {
	theme := ui.NewTheme(ui.Mono, false)
	colour := regexp.MustCompile(`\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-7]|10[0-7])[;m]`)
	for role := ui.Plain; role <= ui.Second; role++ {
		for _, attr := range []ui.Style{0, ui.Bold, ui.Reverse, ui.Bold | ui.Reverse} {
			c := ui.NewCanvas(1, 1)
			c.Area().Text(0, 0, role|attr, "x")
			if got := c.Render(theme); colour.MatchString(got) {
				t.Errorf("role %d renders %q", role, got)
			}
		}
	}
}

func TestFiguresAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0s", 0: "0.0s", 440 * time.Millisecond: "0.4s", 9949 * time.Millisecond: "9.9s", 12 * time.Second: "12s",
		5 * time.Minute: "5m", 192 * time.Minute: "3h12", 50 * time.Hour: "50h", 220 * time.Hour: "9d",
	} {
		if got := ui.Age(d); got != want || len(got) > 5 {
			t.Errorf("Age(%v) = %q, want %q", d, got, want)
		}
	}
	for v, want := range map[float64]string{
		0: "0", 0.25: "0.2", 9: "9", 9.94: "9.9", 9.96: "10", 999.4: "999", 999.6: "1.0k", 12345: "12.3k", 99_949: "99.9k", 99_960: "100k",
		1.5e6: "1.5M", 2e8: "200M", 3e9: "3.0G", 2e11: "200G", 1e12: "1e+12", -12345: "-12.3k", math.NaN(): "–", math.Inf(1): "–",
	} {
		if got := ui.Count(v); got != want {
			t.Errorf("Count(%v) = %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{90123.456: "90123.46", 3.14159: "3.1416", 0.0000123: "0.000012300", 0: "0.00", 1e300: "1"} {
		if got := ui.Price(v); got != want && v < 1e200 {
			t.Errorf("Price(%v) = %q, want %q", v, got, want)
		}
	}
	for n, want := range map[int64]string{-1: "0B", 999: "999B", 41_000_000: "41.0MB", 999_600: "1.0MB", 120_000_000: "120MB", 7_000_000_000_000: "7TB"} {
		if got := ui.Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for v, want := range map[float64]string{0.0125: "+1.25%", -0.5: "-50.00%", 9.99994: "+999.99%", 12.345: "+1234%", 1e9: "+99999%", math.NaN(): "–"} {
		if got := ui.Percent(v); got != want {
			t.Errorf("Percent(%v) = %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{0.31: "0.3ms", 12.4: "12ms", 1500: "1.5s", -1: "–", math.NaN(): "–"} {
		if got := ui.Millis(v); got != want {
			t.Errorf("Millis(%v) = %q, want %q", v, got, want)
		}
	}
}

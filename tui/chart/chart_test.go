package chart_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/tui/chart"
	"github.com/spark-ta/spark/tui/ui"
)

var (
	nan  = math.NaN()
	inf  = math.Inf(1)
	mono = ui.NewTheme(ui.Mono, false)
)

// art draws onto a canvas and returns its characters, a line break before each row
// and no blanks at the ends.
func art(w, h int, f func(ui.Area)) string {
	c := ui.NewCanvas(w, h)
	f(c.Area())
	var b strings.Builder
	for y := range h {
		var row []rune
		for x := range w {
			r, _ := c.Area().At(x, y)
			row = append(row, r)
		}
		b.WriteString("\n" + strings.TrimRight(string(row), " "))
	}
	return b.String()
}

// bars are candles of one minute from open, high, low and close, of volume 1, 2, 3…
func bars(ohlc ...[4]float64) []market.Candle {
	out := make([]market.Candle, len(ohlc))
	for i, b := range ohlc {
		out[i] = market.Candle{Time: int64(i) * 60_000, Open: b[0], High: b[1], Low: b[2], Close: b[3], Volume: float64(i + 1)}
	}
	return out
}

func minutes(candles []market.Candle) chart.Candles {
	return chart.Candles{Timeframe: market.M1, Candles: candles}
}

func TestCandlesAreDrawnInHalfRows(t *testing.T) {
	// Seven rows of plot over 100…107: half a row is half a dollar.
	full := [4]float64{100, 107, 100, 107}
	tests := []struct {
		name    string
		candles []market.Candle
		want    string
	}{
		{"bodies, risen and fallen", bars(full, [4]float64{106, 106, 101, 101}), `
┃       │
┃█      │
┃█      ├105.00
┃█      │
┃█      │
┃█       101.00
┃       ├100.00

00:00`},
		{"wicks on both sides of a body", bars(full, [4]float64{102, 106, 101, 104}, [4]float64{104, 106, 101, 102}), `
┃       │
┃││     │
┃││     ├105.00
┃┃█     │
┃┃█      102.00
┃││     │
┃       ├100.00

00:00`},
		{"wicks and bodies that end within a row", bars(full, [4]float64{103.5, 105.5, 101.5, 102.5}, [4]float64{102.5, 105.5, 101.5, 103.5}, [4]float64{104.5, 104.5, 103, 103}), `
┃       │
┃╷╷     │
┃││▄    ├105.00
┃█╽█     103.00
┃█╿     │
┃╵╵     │
┃       ├100.00

00:00`},
		{"no body, with and without a wick", bars(full, [4]float64{103, 105, 101, 103}, [4]float64{103, 103, 103, 103}), `
┃       │
┃       │
┃│      ├105.00
┃┼─      103.00
┃│      │
┃│      │
┃       ├100.00

00:00`},
		{"a jump of the price", bars([4]float64{100, 101, 100, 101}, [4]float64{106, 107, 106, 107}), `
 ┃       107.00
 ╹      │
        ├105.00
        │
        │
╻       │
┃       ├100.00

00:00`},
		{"two candles missing", slices.Delete(bars(full, full, full, full, full), 1, 3), `
┃ ┃┃     107.00
┃ ┃┃    │
┃ ┃┃    ├105.00
┃ ┃┃    │
┃ ┃┃    │
┃ ┃┃    │
┃ ┃┃    ├100.00

00:00`},
		{"one candle that never moved", bars([4]float64{100, 100, 100, 100}), `
        ├100.10
        │
        │
─        100.00
        │
        │
        ├99.90

00:00`},
	}
	for _, tt := range tests {
		got := art(16, 9, func(a ui.Area) { minutes(tt.candles).Draw(a, mono, "none") })
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestCandlesCarryBandsMarksAndVolume(t *testing.T) {
	c := minutes(bars([4]float64{104, 105, 103, 105}, [4]float64{104, 105, 103, 105}, [4]float64{104, 105, 103, 105}, [4]float64{104, 105, 103, 104}))
	c.Volume = true
	c.Marks = map[int64]bool{60_000: true, 99: true}
	c.Bands = &chart.Bands{
		Upper: []float64{nan, 109, 109, inf}, Middle: []float64{nan, 107, 107, 107}, Lower: []float64{nan, 101, 101, 101},
	}
	want := `
 ••     │
        │
 ···    │
        │
┃┃┃┼     104.00
││││    │
        │
 •••    │
  ▄█     4
▄███     volume
 ▲       ▲ alert
00:00`
	if diff := cmp.Diff(want, art(16, 12, func(a ui.Area) { c.Draw(a, mono, "none") })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCandlesShowTheNewestThatFit(t *testing.T) {
	// One step of price each: a chart that shows the wrong end shows wrong prices.
	var steps [][4]float64
	for i := range 300 {
		p := 1000 + float64(i)
		steps = append(steps, [4]float64{p, p + 1, p, p + 1})
	}
	for _, w := range []int{16, 40, 90, 120, 400} {
		got := art(w, 12, func(a ui.Area) { minutes(bars(steps...)).Draw(a, mono, "none") })
		if !strings.Contains(got, " 1300.00\n") {
			t.Errorf("%d columns do not carry the last price as a tag:%s", w, got)
		}
		times := strings.Count(strings.Split(got, "\n")[12], ":")
		if times < 1 {
			t.Errorf("%d columns show no time:%s", w, got)
		}
	}
}

func TestPricesOfAnySizeKeepTheirDigits(t *testing.T) {
	for price, want := range map[float64]string{0.0000123: "0.000012300", 0.5: "0.50000", 3.25: "3.2500", 68123.45: "68123.45", 1e9: "1000000000.00"} {
		c := minutes(bars([4]float64{price, price * 1.001, price * 0.999, price}))
		if got := art(60, 12, func(a ui.Area) { c.Draw(a, mono, "none") }); !strings.Contains(got, want+"\n") {
			t.Errorf("a chart at %v has no tag %q:%s", price, want, got)
		}
	}
}

func TestLinesShareAScaleThatBeginsAtZero(t *testing.T) {
	tests := []struct {
		name  string
		lines []chart.Line
		want  string
	}{
		{"steps, and a hole", []chart.Line{{Figures: []float64{0, 1, 2, 3, nan, 5, 4, 4, 4}}}, `
    5┤    ╶╮
     │     ╰──
     │  ╭╴
     │ ╭╯
     │╭╯
    0┤╯`},
		{"the newest at the right edge", []chart.Line{{Figures: []float64{9, 9, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 5}}}, `
    5┤       ╭
     │       │
     │       │
     │       │
     │       │
    0┤───────╯`},
		{"two lines, the second in its own character", []chart.Line{{Figures: []float64{5, 5, 5, 5, 5}}, {Figures: []float64{0, 0, 1, 1, 1}, Mark: 'x'}}, `
    5┤   ╶────
     │
     │
     │
     │     xxx
    0┤   xxx`},
		{"infinities and less than nothing", []chart.Line{{Figures: []float64{1, inf, 1, -7, math.Inf(-1), 1, 1}}}, `
    1┤ ╶╴╶╮ ╶─
     │    │
     │    │
     │    │
     │    │
    0┤    ╰╴`},
		{"none", nil, "\n\n\n\n nothing yet\n\n"},
		{"no figure that is one", []chart.Line{{Figures: []float64{nan, inf}}}, "\n\n\n\n nothing yet\n\n"},
	}
	for _, tt := range tests {
		got := art(14, 6, func(a ui.Area) { chart.Lines(a, mono, tt.lines, "nothing yet") })
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestSparkIsThinnedToItsWidth(t *testing.T) {
	tests := []struct {
		figures []float64
		want    string
	}{
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8}, "\n  ▁▂▃▄▅▆▇█"},
		{[]float64{1, nan, inf, 8}, "\n      ▁  █"},
		{[]float64{3, 3, 3}, "\n       ▅▅▅"},
		{[]float64{-1e308, 1e308}, "\n        ▁▅"}, // their difference is infinite
		{[]float64{0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 1}, "\n█████████▁"},
		{nil, "\n"},
	}
	for _, tt := range tests {
		if got := art(10, 1, func(a ui.Area) { chart.Spark(a, mono, ui.Plain, tt.figures) }); got != tt.want {
			t.Errorf("Spark(%v) = %q, want %q", tt.figures, got, tt.want)
		}
	}
}

// figure is mostly a price, sometimes what no price is.
func figure(r *rand.Rand) float64 {
	if r.IntN(4) == 0 {
		odd := []float64{nan, inf, -inf, 0, -1, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1e15, 1e-12}
		return odd[r.IntN(len(odd))]
	}
	return 100 + 10*r.Float64()
}

func figures(r *rand.Rand, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = figure(r)
	}
	return out
}

// TestChartsKeepToTheirArea draws any figures into any area in the middle of a
// canvas: no panic, and nothing beside the area is touched.
func TestChartsKeepToTheirArea(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		w, h, n := r.IntN(150), r.IntN(40), r.IntN(200)
		if i < 100 {
			w, h, n = 1+i%20, 1+i/20, i%3
		}
		candles := minutes(make([]market.Candle, n))
		candles.Volume = r.IntN(2) == 0
		for j := range candles.Candles {
			candles.Candles[j] = market.Candle{
				Time: int64(j+r.IntN(3)) * 60_000, Open: figure(r), High: figure(r), Low: figure(r), Close: figure(r), Volume: figure(r),
			}
		}
		if r.IntN(2) == 0 {
			candles.Bands = &chart.Bands{Upper: figures(r, n), Middle: figures(r, n), Lower: figures(r, n)}
			candles.Marks = map[int64]bool{0: true, 60_000: true}
		}
		lines := []chart.Line{{Figures: figures(r, n)}, {Figures: figures(r, n/2), Mark: 'x'}}
		draws := map[string]func(ui.Area){
			"Candles": func(a ui.Area) { candles.Draw(a, mono, "none") },
			"Lines":   func(a ui.Area) { chart.Lines(a, mono, lines, "none") },
			"Spark":   func(a ui.Area) { chart.Spark(a, mono, ui.Plain, lines[0].Figures) },
		}
		for name, draw := range draws {
			c := ui.NewCanvas(w+2, h+2)
			draw(c.Area().Sub(1, 1, w, h))
			for y := range h + 2 {
				for x := range w + 2 {
					if got, _ := c.Area().At(x, y); got != ' ' && (x == 0 || y == 0 || x > w || y > h) {
						t.Fatalf("%s of %d figures in %d×%d drew %q at %d,%d", name, n, w, h, got, x-1, y-1)
					}
				}
			}
		}
	}
}

func BenchmarkCandles(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	c := minutes(make([]market.Candle, 500))
	c.Volume = true
	for i := range c.Candles {
		p := 100 + 10*r.Float64()
		c.Candles[i] = market.Candle{Time: int64(i) * 60_000, Open: p, High: p + 1, Low: p - 1, Close: p + r.Float64() - 0.5, Volume: r.Float64()}
	}
	canvas := ui.NewCanvas(120, 40)
	b.ReportAllocs()
	for b.Loop() {
		canvas.Clear()
		c.Draw(canvas.Area(), mono, "none")
	}
}

func BenchmarkLines(b *testing.B) {
	lines := []chart.Line{{Figures: figures(rand.New(rand.NewPCG(1, 2)), 300)}}
	canvas := ui.NewCanvas(60, 12)
	b.ReportAllocs()
	for b.Loop() {
		canvas.Clear()
		chart.Lines(canvas.Area(), mono, lines, "none")
	}
}

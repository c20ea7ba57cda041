package chart_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/tui/chart"
	"github.com/spark-ta/spark/tui/ui"
)

var midnight = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

func TestAGraphSpansItsWindow(t *testing.T) {
	g := chart.Graph{
		From: midnight, To: midnight.Add(time.Hour), Lines: []chart.Line{{Figures: []float64{0, 0, 0, 4, 4, 4}}},
		Marks: []chart.Mark{{At: midnight.Add(15 * time.Minute), Letter: '^', Text: "T+15m"}, {At: midnight.Add(58 * time.Minute), Letter: 'i', Text: "incident"}},
	}
	want := `
      4┤            ╭───────────
       │            │
      2┤            │
       │            │
      0┤────────────╯
             ^T+15m           i
        00:00    00:30     01:00`
	if got := art(32, 7, func(a ui.Area) { g.Draw(a, mono, "empty") }); got != want {
		t.Errorf("drew %s\nwant %s", got, want)
	}
}

func TestAGraphOfHighFiguresDoesNotBeginAtZero(t *testing.T) {
	g := chart.Graph{From: midnight, To: midnight.Add(time.Hour), Lines: []chart.Line{{Figures: []float64{0.9942, 0.9951, 0.9944}}}}
	got := art(32, 7, func(a ui.Area) { g.Draw(a, mono, "empty") })
	if !strings.Contains(got, "0.9952┤") || !strings.Contains(got, "0.9941┤") {
		t.Errorf("the scale does not lie around the figures:%s", got)
	}
}

func TestNeitherSpikeNorDipDisappears(t *testing.T) {
	figures := make([]float64, 1000)
	for i := range figures {
		figures[i] = 50
	}
	figures[333], figures[666] = 100, 0
	g := chart.Graph{From: midnight, To: midnight.Add(time.Hour), Lines: []chart.Line{{Figures: figures}}}
	rows := strings.Split(art(40, 9, func(a ui.Area) { g.Draw(a, mono, "empty") }), "\n")
	if top, bottom := []rune(rows[1])[8:], []rune(rows[7])[8:]; strings.TrimSpace(string(top)) == "" || strings.TrimSpace(string(bottom)) == "" {
		t.Errorf("a spike or a dip is missing:%s", strings.Join(rows, "\n"))
	}
}

func TestAGraphWithoutFiguresSaysWhy(t *testing.T) {
	for _, lines := range [][]chart.Line{nil, {{}}, {{Figures: []float64{nan, inf, -inf}}}} {
		got := art(40, 9, func(a ui.Area) { chart.Graph{From: midnight, To: midnight, Lines: lines}.Draw(a, mono, "no samples") })
		if !strings.Contains(got, "no samples") {
			t.Errorf("%v drew %s", lines, got)
		}
	}
}

// Whatever the figures and times are, a graph keeps to its area and does not panic.
func TestGraphsKeepToTheirArea(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	for range 3000 {
		g := chart.Graph{From: midnight, To: midnight.Add(time.Duration(r.IntN(3)-1) * time.Duration(r.Int64()))}
		for range r.IntN(5) {
			g.Lines = append(g.Lines, chart.Line{Figures: figures(r, r.IntN(300)), Mark: []rune{0, 'x'}[r.IntN(2)]})
		}
		for range r.IntN(6) {
			g.Marks = append(g.Marks, chart.Mark{At: midnight.Add(time.Duration(r.Int64())), Letter: '^', Text: "T+15m 世界"})
		}
		w, h := r.IntN(60), r.IntN(20)
		c := ui.NewCanvas(w+2, h+2)
		for y := range h + 2 {
			for x := range w + 2 {
				c.Area().Put(x, y, ui.Plain, '#')
			}
		}
		g.Draw(c.Area().Sub(1, 1, w, h), mono, "empty")
		for y := range h + 2 {
			for _, x := range []int{0, w + 1} {
				if got, _ := c.Area().At(x, y); got != '#' {
					t.Fatalf("%+v on %d×%d wrote %q at %d, %d", g, w, h, got, x, y)
				}
			}
		}
	}
}

func TestFitFillsItsWidth(t *testing.T) {
	for _, n := range []int{0, 1, 5, 40, 1000} {
		if got := chart.Fit(make([]float64, n), 40); len(got) != 35 {
			t.Errorf("Fit of %d figures has %d", n, len(got))
		}
	}
}

func BenchmarkGraph(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 8))
	g := chart.Graph{From: midnight, To: midnight.Add(time.Hour)}
	for range 3 {
		line := make([]float64, 240)
		for i := range line {
			line[i] = r.Float64()
		}
		g.Lines = append(g.Lines, chart.Line{Figures: line})
	}
	c := ui.NewCanvas(120, 20)
	b.ReportAllocs()
	for b.Loop() {
		g.Draw(c.Area(), mono, "empty")
	}
}

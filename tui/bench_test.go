package tui

import (
	"testing"
	"time"

	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// BenchmarkView draws each screen at 120×40. "unchanged" is a message that changed
// nothing that is shown (every panel is copied from its last drawing), "clock" the
// second that passes, "picture" a picture of which every part is new.
func BenchmarkView(b *testing.B) {
	for _, screen := range []struct {
		name string
		keys []string
	}{
		{"overview", []string{"1"}}, {"market", []string{"3"}}, {"checks", []string{"2"}}, {"check", []string{"2", "enter"}}, {"objectives", []string{"2", "tab"}},
		{"exit", []string{"2", "shift+tab", "shift+tab"}},
	} {
		m := console(b, 120, 40, Options{Theme: Dark}, caring())
		press(m, screen.keys...)
		bench := func(name string, change func(i int)) {
			b.Run(screen.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					change(i)
					if len(m.View().Content) == 0 {
						b.Fatal("an empty frame")
					}
				}
			})
		}
		bench("asked again", func(int) {})
		bench("unchanged", func(int) { m.stale = true })
		bench("clock", func(i int) { m.Update(tick(night.Add(time.Duration(i%3) * time.Second))) })
		bench("picture", func(i int) { m.Update(fresh(m.picture, uint64(i+2))) })
	}
}

// fresh is the same picture with another revision in every part.
func fresh(p *live.Picture, rev uint64) *live.Picture {
	next := *p
	next.Rev, next.Fleet.Rev, next.Health.Rev, next.Alerts.Rev, next.Gauges.Rev, next.Watch.Rev, next.Chart.Rev, next.Feed.Rev = rev, rev, rev, rev, rev, rev, rev, rev
	next.Care.Rev, next.Trends.Rev, next.Graph.Rev = rev, rev, rev
	return &next
}

func BenchmarkFirstFrame(b *testing.B) {
	keys, err := ui.NewKeymap(ui.Bindings(), false)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m := newModel(Options{Series: btc}, keys, func() time.Time { return night }, world{})
		m.View()
	}
}

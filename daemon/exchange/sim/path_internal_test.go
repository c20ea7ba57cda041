package sim

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func BenchmarkDay(b *testing.B) {
	g := newGenerated(listings()[0], 1, nil)
	room := newScratch()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		g.minutes(room, 20000+int64(i%1000))
	}
}

// The candle of a slot is computed without its trades; it must be theirs.
func TestCandlesOfMinutesAreThoseOfTheirTrades(t *testing.T) {
	for _, l := range listings() {
		g := newGenerated(l, 42, nil)
		for _, day := range []int64{firstDay, 20_000, 20_547} {
			id := int64(-1)
			for m, want := range g.minutes(nil, day) {
				open := day*dayMS + int64(m)*minuteMS
				var got cell
				before := open
				for _, tr := range g.trades(nil, open) {
					if tr.time < before || tr.time >= open+minuteMS {
						t.Fatalf("%s: trade %d at %d, want in [%d, %d)", l.symbol, tr.id, tr.time, before, open+minuteMS)
					}
					if tr.quantity < 1 || tr.price < 1 {
						t.Fatalf("%s: trade %+v", l.symbol, tr)
					}
					if id >= 0 && tr.id != id+1 {
						t.Fatalf("%s: trade %d follows %d", l.symbol, tr.id, id)
					}
					before, id = tr.time, tr.id
					got.addTrade(tr)
				}
				if got.trades == 0 {
					got = flat(want.open)
				}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(cell{})); diff != "" {
					t.Fatalf("%s day %d minute %d: candle and trades differ (-candle +trades)\n%s", l.symbol, day, m, diff)
				}
			}
			next := g.trades(nil, (day+1)*dayMS)
			if next[0].id != id+1 {
				t.Errorf("%s: day %d begins with trade %d, want %d", l.symbol, day+1, next[0].id, id+1)
			}
		}
	}
}

package feed_test

import (
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/feed"
)

func TestSilenceBeginsWhenSomethingShouldHaveCome(t *testing.T) {
	now := time.Unix(10_000, 0)
	ago := func(s int) time.Time { return now.Add(-time.Duration(s) * time.Second) }
	old, young := feed.SeriesState{Since: ago(60)}, feed.SeriesState{Since: ago(1)}
	for _, tt := range []struct {
		name   string
		newest time.Time
		series []feed.SeriesState
		want   time.Duration
	}{
		{"nobody wants anything", ago(500), nil, 0},
		{"wanted for a second", time.Time{}, []feed.SeriesState{young}, time.Second},
		{"wanted for a second after an hour of rest", ago(3600), []feed.SeriesState{young}, time.Second},
		{"nothing ever came", time.Time{}, []feed.SeriesState{young, old}, time.Minute},
		{"one of two came", ago(2), []feed.SeriesState{young, old}, 2 * time.Second},
		{"it came, then no more", ago(40), []feed.SeriesState{old}, 40 * time.Second},
	} {
		state := feed.State{Newest: tt.newest, Series: tt.series}
		if got := state.Silent(now); got != tt.want {
			t.Errorf("%s: Silent = %s, want %s", tt.name, got, tt.want)
		}
	}
}

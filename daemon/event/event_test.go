package event_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/spark-ta/spark/daemon/event"
)

func TestFollowerResumesAndLearnsWhatItLost(t *testing.T) {
	const start = 1_000
	l := event.NewLog(3, start)
	if got, lost := l.Since(0); len(got) != 0 || lost != 0 {
		t.Errorf("Since(0) of an empty log = %v, %d", got, lost)
	}
	for i := range 5 {
		l.Append("log", i)
	}
	tests := []struct {
		name  string
		seq   int64
		first int64
		count int
		lost  int64
	}{
		{"from before the process", 5, start + 3, 3, 2},
		{"from the start", start, start + 3, 3, 2},
		{"within the log", start + 3, start + 4, 2, 0},
		{"up to date", start + 5, 0, 0, 0},
		{"from the future", start + 50, 0, 0, 0},
	}
	for _, tt := range tests {
		got, lost := l.Since(tt.seq)
		if len(got) != tt.count || tt.count > 0 && (got[0].Seq != tt.first || got[0].Data != int(tt.first-start-1)) {
			t.Errorf("%s: Since(%d) = %v, want %d from %d", tt.name, tt.seq, got, tt.count, tt.first)
		}
		if tt.seq <= start+5 && lost != tt.lost {
			t.Errorf("%s: Since(%d) lost %d, want %d", tt.name, tt.seq, lost, tt.lost)
		}
	}
}

func TestWaitReturnsForEveryFollower(t *testing.T) {
	l := event.NewLog(8, 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			seq := int64(0)
			for seq < 100 {
				if err := l.Wait(t.Context(), seq); err != nil {
					t.Errorf("Wait(%d) = %v", seq, err)
					return
				}
				got, lost := l.Since(seq)
				if want := seq + lost + 1; got[0].Seq != want {
					t.Errorf("after %d and %d lost comes %d", seq, lost, got[0].Seq)
				}
				seq = got[len(got)-1].Seq
			}
		})
	}
	for i := range 100 {
		l.Append("log", i)
	}
	wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Wait(ctx, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait on a log with nothing new = %v, want canceled", err)
	}
}

package overview

import (
	"testing"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
)

func TestStateSaysWhatToActOn(t *testing.T) {
	tests := []struct {
		in   live.Instance
		want safetext.Text
	}{
		{live.Instance{Leader: true, Phase: "leader"}, "DOWN"},
		{live.Instance{Up: true, Leader: true, Phase: "leader"}, "leader"},
		{live.Instance{Up: true, Leader: true, Phase: "paused"}, "PAUSED"},
		{live.Instance{Up: true, Leader: true, Phase: "suspect"}, "DOUBT"},
		{live.Instance{Up: true, Phase: "draining"}, "ending"},
		{live.Instance{Up: true, Phase: "disabled"}, "off"},
		{live.Instance{Up: true, Phase: "follower"}, "up"},
		{live.Instance{Up: true, Phase: "none"}, "up"},
		{live.Instance{Up: true, Leader: true}, "leader"}, // an older daemon
	}
	for _, tt := range tests {
		if got, _ := state(tt.in); got != tt.want || len(got) > 6 {
			t.Errorf("state(%+v) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

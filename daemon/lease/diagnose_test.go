package lease_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/lease"
	"github.com/spark-ta/spark/daemon/store"
)

func TestDiagnosisNamesEachStateAndTheSafeCommand(t *testing.T) {
	const now = int64(1_800_000_000_000)
	held := func(change func(*store.Lock)) store.Lock {
		l := store.Lock{
			Key: "k", Type: "string", Value: "ex-1", TTL: 30 * time.Second, Now: now, HasTerm: true, Uptime: time.Hour,
			Term:    store.Term{Holder: "ex-1", Epoch: 7, State: "held", Since: now - 60_000, Until: now + 30_000, Renewed: now - 5_000, Progress: now - 5_100},
			Members: []store.Member{{ID: "ex-1", Phase: store.PhaseLeader, At: now - 500}, {ID: "ex-2", Phase: store.PhaseFollower, At: now - 500}},
		}
		if change != nil {
			change(&l)
		}
		return l
	}
	free := func(l *store.Lock) { l.Type, l.Value, l.TTL = "none", "", -1; l.Term.State = "released" }
	tests := []struct {
		name    string
		lock    store.Lock
		state   lease.State
		says    string
		command string
	}{
		{"held", held(nil), lease.Held, "ex-1 leads", ""},
		{"free", held(free), lease.Free, "2 candidates", ""},
		{"free with nobody to take it", held(func(l *store.Lock) { free(l); l.Members = nil }), lease.Free, "start an executor", ""},
		{"deleted under a living leader", held(func(l *store.Lock) { free(l); l.Term.State = "held" }), lease.Free, "is stopping", ""},
		{"dead holder", held(func(l *store.Lock) { l.Members[0].At, l.Term.Renewed = now-20_000, now-25_000 }), lease.DeadHolder, "for 20s", "spark-daemon lock reset --expect 'ex-1@7'"},
		{"holder that was never heard of", held(func(l *store.Lock) { l.Members, l.Term.Renewed = nil, 0 }), lease.DeadHolder, "frees itself in 30s", "spark-daemon lock reset --expect 'ex-1@7'"},
		{"immortal", held(func(l *store.Lock) { l.TTL = -1 }), lease.Immortal, "no time to live", "spark-daemon lock reset --expect 'ex-1@7'"},
		{"foreign", held(func(l *store.Lock) { l.Value = "it's me" }), lease.Foreign, "ex-1", `spark-daemon lock reset --expect 'it'\''s me@0'`},
		{"wrong type", held(func(l *store.Lock) { l.Type, l.Value, l.TTL = "list", "", -1 }), lease.WrongType, "holds a list", "spark-daemon lock reset --expect '@0'"},
		{"zombie", held(func(l *store.Lock) { l.Term.Progress = now - 40_000 }), lease.Zombie, "stood still for 40s", "spark-daemon lock reset --expect 'ex-1@7'"},
		{"lock without a term", held(func(l *store.Lock) { l.HasTerm, l.Term = false, store.Term{} }), lease.Amnesia, "no term is stored", "spark-daemon lock reset --expect 'ex-1@0'"},
		{"young server without a term", held(func(l *store.Lock) { free(l); l.HasTerm, l.Term, l.Uptime = false, store.Term{}, 5*time.Second }), lease.Amnesia, "30s more", ""},
	}
	seen := map[lease.State]bool{}
	for _, tt := range tests {
		d := lease.Diagnose(tt.lock, 35*time.Second)
		seen[d.State] = true
		if d.State != tt.state || !strings.Contains(d.Sentence, tt.says) || d.Command != tt.command {
			t.Errorf("%s: %s, %q, %q; want %s, …%s…, %q", tt.name, d.State, d.Sentence, d.Command, tt.state, tt.says, tt.command)
		}
		if len(d.Warnings) != 0 {
			t.Errorf("%s: warnings %q, want none", tt.name, d.Warnings)
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d states were seen, want all eight", len(seen))
	}
	d := lease.Diagnose(held(func(l *store.Lock) { l.Eviction = "allkeys-lru"; l.Control.Paused = true }), 35*time.Second)
	if len(d.Warnings) != 2 || !strings.Contains(d.Warnings[0], "noeviction") || !strings.Contains(d.Warnings[1], "paused") {
		t.Errorf("warnings %q, want the eviction and the pause", d.Warnings)
	}
}

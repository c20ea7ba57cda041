package redis

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// leaderWrites are the scripts by which a leader acts. A new script must be put here
// or into others, with a thought.
var leaderWrites = []string{"renew", "verify", "complain", "trigger", "advance"}

var others = []string{
	"acquire", "release", "reset", "resign", "beat", "control",
	"create", "activate", "delete", "claim", "finish", "promote", "sweep",
	"pending", "aside", "disown", "enlist", "refield", "requeue", "unqueue", "forget", "pickout",
}

func TestEveryScriptOfALeaderStandsBehindTheFence(t *testing.T) {
	known := map[string]bool{}
	for _, name := range others {
		known[name] = false
	}
	for _, name := range leaderWrites {
		known[name] = true
	}
	for _, sc := range scripts() {
		leader, ok := known[sc.name]
		if !ok {
			t.Errorf("script %s is in neither list", sc.name)
		}
		delete(known, sc.name)
		if fenced := strings.HasPrefix(sc.source, strings.TrimSpace(fenceSource)); fenced != leader {
			t.Errorf("script %s: behind the fence = %t, want %t", sc.name, fenced, leader)
		}
	}
	for name := range known {
		t.Errorf("there is no script %s", name)
	}
	files, err := fs.Glob(os.DirFS("scripts"), "*.lua")
	if err != nil || len(files) != len(scripts())+2 {
		t.Errorf("%d files of scripts, want one for each of %d, the fence and the clock (%v)", len(files), len(scripts()), err)
	}
}

func TestScriptsAreDescribedAndCanBeReplayed(t *testing.T) {
	for _, sc := range scripts() {
		source, err := os.ReadFile(filepath.Join("scripts", sc.name+".lua"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(source), "-- "+sc.name+": ") || !strings.Contains(string(source), "\n-- KEYS ") ||
			!strings.Contains(string(source), "\n-- result ") {
			t.Errorf("%s.lua does not begin with its name, keys and result", sc.name)
		}
		for _, bad := range []string{`math\.random`, `os\.`, `SPOP`, `RANDOM`, `'[A-Z_]*:`, `spark:`} {
			if regexp.MustCompile(bad).Match(source) {
				t.Errorf("%s.lua has %s: chance, or the name of a key that is not declared", sc.name, bad)
			}
		}
	}
}

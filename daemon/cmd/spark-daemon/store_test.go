package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/store/embedded"
)

// command runs the program and returns what it says.
func command(t *testing.T, vars map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, env(vars), &out, &errs)
	return code, out.String(), errs.String()
}

// damage are the commands that make the four kinds of damaged keys beside one sound
// alert of the earlier implementation.
func damage() [][]string {
	return [][]string{
		{"SADD", "spark:alerts:alerts:index", "sound", "ghost", "nojson", "foreign", "garbage"},
		{"HSET", "spark:alerts:alert:nojson", "active", "1"},
		{"SET", "spark:alerts:alert:foreign", "a string"},
		{"HSET", "spark:alerts:alert:garbage", "json", `{"id":"garb`, "active", "1"},
		{
			"HSET", "spark:alerts:alert:sound", "active", "1", "createdAt", "1700000000000", "lastTriggeredAt", "0", "json",
			`{"id":"sound","symbol":"BTCUSDT","timeframe":"1m","type":"price","params":{"op":">","level":1},"active":true,"createdAt":1700000000000,"lastTriggeredAt":0}`,
		},
	}
}

// embeddedWith makes an embedded store that has executed commands.
func embeddedWith(t *testing.T, commands [][]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	e, err := embedded.Open(embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	_, port, _ := strings.Cut(e.Addr(), ":")
	s := &server{t: t, port: port}
	for _, c := range commands {
		s.do(c...)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// wantFourKinds wants a check to name the damage, mend it, and then be clean. While a
// daemon is at work no two exports are the same.
func wantFourKinds(t *testing.T, vars map[string]string, atWork bool) {
	t.Helper()
	_, before, _ := command(t, vars, "store", "export")
	code, out, errs := command(t, vars, "store", "fsck")
	for id, reason := range map[string]string{
		"ghost": "in the index, but there is no hash", "nojson": "hash without json", "foreign": "not a hash but a string", "garbage": "json is not an object",
	} {
		if !strings.Contains(out, "damaged spark:alerts:alert:"+id+": "+reason+"; --repair would ") {
			t.Errorf("fsck does not say that %s is %q:\n%s", id, reason, out)
		}
	}
	if code != 1 || !strings.Contains(errs, "4 damaged: run again with --repair") {
		t.Errorf("fsck = %d, %s, want 1 and 4 damaged", code, errs)
	}
	if _, after, _ := command(t, vars, "store", "export"); before != after && !atWork {
		t.Errorf("fsck without --repair changed the store")
	}
	if code, out, errs = command(t, vars, "store", "fsck", "--repair"); code != 0 || strings.Count(out, "repaired spark:") != 4 {
		t.Errorf("fsck --repair = %d:\n%s%s", code, out, errs)
	}
	if code, out, errs = command(t, vars, "store", "fsck", "--json"); code != 0 {
		t.Errorf("fsck after the repair = %d:\n%s%s", code, out, errs)
	}
	var end struct {
		Summary struct{ Alerts, Damaged, Aside int }
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &end); err != nil || end.Summary.Alerts != 1 || end.Summary.Aside != 3 {
		t.Errorf("summary %s: %+v, %v; want one alert and 3 keys aside", out, end, err)
	}
}

// wantLists wants the list to show the sound alert alone, the sweeps to go on, and
// each damaged key to be logged once.
func wantLists(t *testing.T, p *process, executor string) {
	t.Helper()
	for range 3 {
		var list wire.AlertList
		if code := get(t, executor+wire.PathAlertsList, &list); code != 200 || len(list.Items) != 1 || list.Items[0].ID != "sound" {
			t.Fatalf("list = %d with %d alerts, want 200 and the sound one", code, len(list.Items))
		}
	}
	swept := func() bool {
		sweeps := p.matching("pollOnce")
		return len(sweeps) >= 2 && field(sweeps[len(sweeps)-1], "errors") == "0"
	}
	wait(t, 30*time.Second, "two sweeps without an error", swept, p.dump)
	wait(t, 30*time.Second, "trigger of the sound alert", func() bool { return len(p.matching("triggered")) > 0 }, p.dump)
	var keys []string
	for _, l := range p.matching("damaged key skipped") {
		keys = append(keys, field(l, "key"))
	}
	slices.Sort(keys)
	want := []string{"spark:alerts:alert:foreign", "spark:alerts:alert:garbage", "spark:alerts:alert:ghost", "spark:alerts:alert:nojson"}
	if !slices.Equal(keys, want) {
		t.Errorf("logged as skipped: %q, want each of the four once", keys)
	}
}

// TestFourKindsOfDamageInRedis: issue 3, must show 6, on a real server while a daemon
// works on it.
func TestFourKindsOfDamageInRedis(t *testing.T) {
	s := redisServer(t)
	for _, c := range damage() {
		s.do(c...)
	}
	p := member(t, s, "a", "SCHEDULER_INTERVAL_SEC=1")
	p.leads(1)
	wantLists(t, p, p.at.Executor)
	wantFourKinds(t, map[string]string{"REDIS_URL": s.url()}, true)
	wantLists(t, p, p.at.Executor)
}

// TestFourKindsOfDamageEmbedded: the same on the embedded store, which fsck opens by
// itself when no daemon holds it.
func TestFourKindsOfDamageEmbedded(t *testing.T) {
	dir := embeddedWith(t, damage())
	p := start(t, dir, map[string]string{"SCHEDULER_INTERVAL_SEC": "1"})
	wantLists(t, p, p.at.Executor)
	vars := map[string]string{"SPARK_DATA_DIR": dir}
	code, _, errs := command(t, vars, "store", "fsck")
	pid := fmt.Sprint("pid ", p.cmd.Process.Pid)
	if code != 2 || !strings.Contains(errs, pid) || !strings.Contains(errs, "stop that daemon") {
		t.Errorf("fsck of a store that a daemon holds = %d, %s; want 2, %s and the fix", code, errs, pid)
	}
	p.kill()
	wantFourKinds(t, vars, false)
	p = start(t, dir, nil)
	var list wire.AlertList
	if code := get(t, p.at.Executor+wire.PathAlertsList, &list); code != 200 || len(list.Items) != 1 {
		t.Errorf("list after the repair = %d with %d alerts", code, len(list.Items))
	}
	if n := len(p.matching("damaged key skipped")); n > 0 {
		t.Errorf("%d keys are still skipped after the repair", n)
	}
}

// TestAStoreMovesByCommand: embedded → file → Redis → file → embedded → file.
func TestAStoreMovesByCommand(t *testing.T) {
	s := redisServer(t)
	s.do("FLUSHALL")
	dir := embeddedWith(t, append(damage(),
		[]string{"XADD", "spark:alerts:outbox", "5-1", "id", "x", "channel", "c"},
		[]string{"XGROUP", "CREATE", "spark:alerts:outbox", "relay", "0"},
		[]string{"XREADGROUP", "GROUP", "relay", "me", "STREAMS", "spark:alerts:outbox", ">"},
		[]string{"SET", "spark:alerts:scheduler:lock", "somebody"},
		[]string{"HSET", "{spark:alerts:scheduler:lock}:term", "epoch", "8", "holder", "somebody"},
		[]string{"SET", "spark:alerts:rate:x", "1", "PX", "86400000"}))
	from, there := map[string]string{"SPARK_DATA_DIR": dir}, map[string]string{"REDIS_URL": s.url()}
	back := map[string]string{"SPARK_DATA_DIR": filepath.Join(t.TempDir(), "new")}
	file := filepath.Join(t.TempDir(), "spark.jsonl")
	must := func(vars map[string]string, args ...string) string {
		t.Helper()
		code, out, errs := command(t, vars, append([]string{"store"}, args...)...)
		if code != 0 {
			t.Fatalf("%v = %d: %s", args, code, errs)
		}
		return out + errs
	}
	if said := must(from, "export", file); !strings.Contains(said, "not moved: scheduler:lock") {
		t.Errorf("export says %q, want what is not moved", said)
	}
	must(there, "import", file)
	must(there, "export", file+".2")
	must(back, "import", file+".2")
	must(back, "export", file+".3")
	one, _ := os.ReadFile(file)
	two, _ := os.ReadFile(file + ".2")
	three, _ := os.ReadFile(file + ".3")
	if len(one) == 0 || !bytes.Equal(one, two) || !bytes.Equal(two, three) {
		t.Errorf("the files differ:\n%s\n%s\n%s", one, two, three)
	}
	if code, _, errs := command(t, there, "store", "import", file); code != 1 || !strings.Contains(errs, "--replace deletes them first") {
		t.Errorf("import over something = %d, %s; want 1 and the way out", code, errs)
	}
	if err := os.WriteFile(file, one[:len(one)-40], 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t, there, "store", "import", "--replace", file); code != 1 || !strings.Contains(errs, "line ") || !strings.Contains(errs, "cut") {
		t.Errorf("import of a cut file = %d, %s; want 1, the line and the reason", code, errs)
	}
	if must(there, "export"); len(must(there, "export")) < len(one) {
		t.Error("a refused import took something away")
	}
	if parts, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*.part")); len(parts) > 0 {
		t.Errorf("left behind: %q", parts)
	}
}

// TestAnImportThatIsInterruptedIsClean sends SIGINT to a real process.
func TestAnImportThatIsInterruptedIsClean(t *testing.T) {
	s := redisServer(t)
	for i := range 3000 {
		s.do("HSET", fmt.Sprintf("spark:alerts:alert:%05d", i), "json", "{}", "active", "1")
	}
	vars := map[string]string{"REDIS_URL": s.url()}
	file := filepath.Join(t.TempDir(), "f")
	if code, _, errs := command(t, vars, "store", "export", file); code != 0 {
		t.Fatal(errs)
	}
	s.do("FLUSHALL")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "store", "import", file)
	cmd.Env = append(os.Environ(), asDaemon+"=1", "REDIS_URL="+s.url())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, 20*time.Second, "first keys", func() bool { return s.do("DBSIZE") != "0" }, out.String)
	_ = cmd.Process.Signal(syscall.SIGINT)
	err = cmd.Wait()
	left := s.do("DBSIZE")
	switch {
	case err == nil && left == "3001": // it was faster
	case err != nil && left == "0" && strings.Contains(out.String(), "nothing was left behind"):
	default:
		t.Errorf("interrupted import: %v, %s keys left: %s", err, left, out.String())
	}
}

func TestStoreMisuse(t *testing.T) {
	for _, tt := range []struct {
		args []string
		vars map[string]string
		want string
	}{
		{[]string{"store", "fsck"}, map[string]string{"SPARK_DATA_DIR": filepath.Join(t.TempDir(), "none")}, "there is no embedded store"},
		{[]string{"store", "fsck"}, map[string]string{"REDIS_URL": "redis://127.0.0.1:1"}, "REDIS_URL"},
		{[]string{"store", "export", "a", "b"}, nil, "takes one file"},
		{[]string{"store", "import", "/nowhere/f"}, nil, "/nowhere/f"},
		{[]string{"store", "fly"}, nil, "fly"},
	} {
		code, _, errs := command(t, tt.vars, tt.args...)
		if code != 2 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, tt.want) {
			t.Errorf("%v = %d with %q, want 2 and one line with %q", tt.args, code, errs, tt.want)
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live/livetest"
)

// command runs the program without a terminal.
func command(t *testing.T, env []string, args ...string) (code int, out, errs string) {
	t.Helper()
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var o, e bytes.Buffer
	code = run(args, env, stdin, &o, &e)
	return code, o.String(), e.String()
}

// nowhere is an address at which nothing listens.
func nowhere(t *testing.T) string {
	d := livetest.Start(t)
	d.Stop()
	return d.URL
}

func TestMisuseIsOneLineAndStatusTwo(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"fly"}, "fly"},
		{[]string{"--no-such-flag"}, "no-such-flag"},
		{[]string{"status", "extra"}, "extra"},
		{[]string{"status", "--jason"}, "jason"},
		{[]string{"version", "extra"}, "extra"},
		{[]string{"--theme", "pink"}, "pink"},
		{[]string{"--timeframe", "7m"}, "7m"},
		{[]string{"--symbols", "BTC USDT"}, "BTC USDT"},
		{[]string{"--symbols", ""}, "symbols"},
		{[]string{"--url", "localhost:4010"}, "localhost:4010"},
		{[]string{"status", "--url", "ftp://x"}, "ftp://x"},
		{[]string{"--url", "http://ops:s3cret@127.0.0.1:4010"}, "without user and password"},
		{[]string{"demo", "--daemon", "/nowhere/spark-daemon"}, "/nowhere/spark-daemon"},
		{[]string{"demo", "--timeout", "soon"}, "soon"},
	}
	for _, tt := range tests {
		code, out, errs := command(t, nil, tt.args...)
		if code != exitMisused || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, tt.want) || out != "" || strings.Contains(errs, "s3cret") {
			t.Errorf("%q = %d with %q and %q, want 2 and one line with %q", tt.args, code, out, errs, tt.want)
		}
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	var walk func(*cobra.Command, []string)
	walk = func(c *cobra.Command, path []string) {
		code, out, errs := command(t, nil, append(slices.Clone(path), "--help")...)
		if code != exitOK || errs != "" || !strings.Contains(out, "Usage:") || !strings.Contains(out, c.Short) && !strings.Contains(out, c.Long) {
			t.Errorf("%q --help = %d, %q, %q", path, code, out, errs)
		}
		if c.HasParent() && c.Name() != "version" && !strings.Contains(out, "Examples:\n  spark-tui "+strings.Join(path, " ")) {
			t.Errorf("%q --help shows no example of it:\n%s", path, out)
		}
		if !c.HasSubCommands() && c.Name() != "version" && (!strings.Contains(out, "Exit codes") || !strings.Contains(out, "--json")) && c.Name() != "demo" {
			t.Errorf("%q --help tells no exit codes or has no --json:\n%s", path, out)
		}
		for _, sub := range c.Commands() {
			walk(sub, append(slices.Clone(path), sub.Name()))
		}
	}
	walk((&program{}).rootCommand(), nil)
	_, out, _ := command(t, nil, "--help")
	for _, want := range []string{
		"check", "report", "hypercare", "incidents", "keys", "sign", "verify", "query",
		"demo", "status", "version", "--url", wire.EnvConsoleURL, "--read-only", "--theme", wire.EnvNoColor, "--ascii", "Exit codes",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("--help does not mention %q", want)
		}
	}
}

func TestVersion(t *testing.T) {
	if code, out, errs := command(t, nil, "version"); code != exitOK || !strings.HasPrefix(out, "spark-tui ") || errs != "" {
		t.Errorf("version = %d %q %q", code, out, errs)
	}
}

// TestStatusTellsScriptsAndPeople: the exit code, the first word and the JSON agree.
func TestStatusTellsScriptsAndPeople(t *testing.T) {
	type change = func(*wire.Fleet, *wire.Health, *[]wire.Alert, *string)
	tests := []struct {
		name   string
		change change
		code   int
		says   []string
	}{
		{"all is well", nil, exitOK, []string{"OK  http://", "node-a", "leader", "executor", "41.0MB"}},
		{"an instance is down", func(f *wire.Fleet, _ *wire.Health, _ *[]wire.Alert, _ *string) {
			down := f.Instances[0]
			down.ID, down.Up, down.Leader = "node-b", false, false
			f.Instances = append(f.Instances, down)
		}, exitFailed, []string{"NOT HEALTHY", "node-b is down"}},
		{"nobody leads", func(f *wire.Fleet, _ *wire.Health, _ *[]wire.Alert, _ *string) { f.Instances[0].Leader = false }, exitFailed, []string{"NOT HEALTHY", "no leader"}},
		{"a role is not healthy", func(_ *wire.Fleet, h *wire.Health, _ *[]wire.Alert, _ *string) {
			h.OK, h.Reasons = false, []string{"redis: no answer"}
		}, exitFailed, []string{"NOT HEALTHY", "node-a executor is not healthy: redis: no answer"}},
		{"nobody is there", func(f *wire.Fleet, _ *wire.Health, _ *[]wire.Alert, _ *string) { f.Instances = nil }, exitFailed, []string{"knows no instance"}},
		{"hostile names", func(f *wire.Fleet, _ *wire.Health, _ *[]wire.Alert, _ *string) {
			f.Instances[0].ID, f.Instances[0].Version = "x\x1b[2Jy", "\u202ez"
		}, exitOK, []string{"OK  http://", "xy"}},
	}
	for _, tt := range tests {
		d := livetest.Start(t)
		if tt.change != nil {
			d.Change(tt.change)
		}
		code, out, errs := command(t, nil, "status", "--url", d.URL)
		if code != tt.code || errs != "" {
			t.Errorf("%s: status = %d with %q, want %d:\n%s", tt.name, code, errs, tt.code, out)
		}
		for _, want := range tt.says {
			if !strings.Contains(out, want) {
				t.Errorf("%s: status lacks %q:\n%s", tt.name, want, out)
			}
		}
		if strings.ContainsAny(out, "\x1b\u202e") {
			t.Errorf("%s: status obeys what it was sent: %q", tt.name, out)
		}
		code, asJSON, errs := command(t, []string{wire.EnvConsoleURL + "=" + d.URL}, "status", "--json")
		var r report
		if err := json.Unmarshal([]byte(asJSON), &r); err != nil || code != tt.code || errs != "" {
			t.Errorf("%s: status --json = %d, %q, %v", tt.name, code, errs, err)
		}
		if r.OK != (tt.code == exitOK) || !r.Reachable || r.URL != d.URL || len(r.Problems) == 0 != r.OK {
			t.Errorf("%s: report %+v", tt.name, r)
		}
		// Without a terminal the console itself is the status.
		if code, plain, _ := command(t, nil, "--url", d.URL); code != tt.code || strings.Contains(plain, "\x1b") || !strings.HasPrefix(plain, strings.Fields(out)[0]) {
			t.Errorf("%s: without a terminal = %d:\n%s", tt.name, code, plain)
		}
	}
}

func TestADaemonThatIsDownIsOneClearLine(t *testing.T) {
	url := nowhere(t)
	code, out, errs := command(t, nil, "status", "--url", url)
	if code != exitUnreachable || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, url) || !strings.Contains(errs, "connection refused") || out != "" {
		t.Errorf("status = %d with %q and %q", code, out, errs)
	}
	code, out, errs = command(t, nil, "status", "--json", "--url", url)
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitUnreachable || r.Reachable || r.OK || r.Error == "" || errs != "" {
		t.Errorf("status --json = %d with %q and %q, %v", code, out, errs, err)
	}
}

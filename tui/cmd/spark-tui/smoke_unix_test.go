//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// desk is a tmux server of its own with one window, in which one demo runs.
type desk struct {
	t    *testing.T
	dir  string // of files that say what happened
	data string // of the daemon
}

// build returns a directory with both programs.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: builds both programs and runs them in tmux")
	}
	for _, tool := range []string{"tmux", "go", "stty"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not here: %v", tool, err)
		}
	}
	bin := t.TempDir()
	const module = "github.com/spark-ta/spark/"
	if out, err := exec.Command("go", "build", "-o", bin+"/", module+"daemon/cmd/spark-daemon", module+"tui/cmd/spark-tui").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// sit starts a demo in a window of 80×24.
func sit(t *testing.T, bin string) *desk {
	t.Helper()
	dir, err := os.MkdirTemp("", "spark-smoke-") // short: a socket lies in it
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, dir: dir, data: filepath.Join(dir, "data")}
	t.Cleanup(func() {
		_ = exec.Command("tmux", "-S", d.file("socket"), "kill-server").Run()
		d.gone(d.console(), "the console")
		d.gone(d.daemon(), "the daemon")
		_ = os.RemoveAll(dir)
	})
	const script = `cd "$1"; stty -a >before
sh -c 'echo $$ >pid; exec "$1/spark-tui" demo --theme dark --utc --data-dir data' - "$2" 2>errors
echo "exit=$?"; stty -a >after; cat`
	d.tmux("new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", script, "-", dir, bin)
	return d
}

// anyPort is an environment in which a daemon takes ports that are free. It would
// take the usual ones if they were, and so would the one beside it a moment later.
func anyPort() []string {
	return append(os.Environ(), wire.EnvExecutorPort+"=0", wire.EnvWebPort+"=0", wire.EnvObserverPort+"=0")
}

func (d *desk) file(name string) string { return filepath.Join(d.dir, name) }

func (d *desk) tmux(args ...string) string {
	d.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", d.file("socket"), "-f", os.DevNull}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	cmd.Env = append(anyPort(), "TMUX=", "LC_ALL=C.UTF-8", "NO_COLOR=")
	out, err := cmd.Output()
	if err != nil {
		d.t.Fatalf("tmux %q: %v %s", args, err, errs.String())
	}
	return string(out)
}

// until looks ten times a second until ok, for a minute at most.
func (d *desk) until(what string, ok func() bool) {
	d.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 600 {
		if ok() {
			return
		}
		<-tick.C
	}
	errs, _ := os.ReadFile(d.file("errors"))
	d.t.Fatalf("%s did not come in a minute; standard error %q, the screen:\n%s", what, errs, d.screen())
}

func (d *desk) screen() string { return d.tmux("capture-pane", "-p") }

func (d *desk) shows(texts ...string) {
	d.t.Helper()
	d.until(fmt.Sprintf("%q", texts), func() bool {
		screen := d.screen()
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// console returns the console's process id, 0 if it was never started.
func (d *desk) console() int {
	page, _ := os.ReadFile(d.file("pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(page)))
	return pid
}

// ready returns what the daemon said of itself, nothing if it never got ready.
func (d *desk) ready() (r ready) {
	page, _ := os.ReadFile(filepath.Join(d.data, readyFile))
	_ = json.Unmarshal(page, &r)
	return r
}

func (d *desk) daemon() int { return d.ready().PID }

func (d *desk) signal(pid int, s syscall.Signal) {
	d.t.Helper()
	if pid <= 1 {
		d.t.Fatalf("no process to send %v to", s)
	}
	if err := syscall.Kill(pid, s); err != nil {
		d.t.Fatalf("%v to %d: %v", s, pid, err)
	}
}

// gone waits until the process has ended.
func (d *desk) gone(pid int, who string) {
	d.t.Helper()
	if pid <= 1 {
		return
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 400 {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) {
			return
		}
		<-tick.C
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	d.t.Errorf("%s, process %d, was left", who, pid)
}

// zombie reports whether a process has ended and only its parent, which is not us,
// has not asked how.
func zombie(pid int) bool {
	page, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && regexp.MustCompile(`\) Z `).Match(page)
}

// left checks that the console ended well, took its daemon with it, and that the
// terminal is as it was.
func (d *desk) left() {
	d.t.Helper()
	d.shows("exit=0")
	d.gone(d.console(), "the console")
	d.gone(d.daemon(), "the daemon")
	var before, after []byte
	d.until("stty", func() bool {
		before, _ = os.ReadFile(d.file("before"))
		after, _ = os.ReadFile(d.file("after"))
		return len(after) > 0
	})
	// The size is the window's, which the test changes.
	size := regexp.MustCompile(`rows \d+; columns \d+;`)
	if b, a := size.ReplaceAll(before, nil), size.ReplaceAll(after, nil); !bytes.Equal(a, b) {
		d.t.Errorf("stty before:\n%s\nafter:\n%s", b, a)
	}
	if got := d.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"); got != "0 1 0\n" {
		d.t.Errorf("other screen, cursor, mouse = %q, want 0 1 0", got)
	}
	if errs, _ := os.ReadFile(d.file("errors")); len(errs) > 0 {
		d.t.Errorf("standard error: %s", errs)
	}
}

// TestSmoke runs the real programs, as somebody who types does.
func TestSmoke(t *testing.T) {
	bin := build(t)
	price := regexp.MustCompile(`BTCUSDT +\d+\.\d+`)
	tests := []struct {
		name string
		do   func(*desk)
	}{
		{"resize, look around, quit", func(d *desk) {
			d.tmux("resize-window", "-x", "120", "-y", "40")
			d.until("a frame of the new size", func() bool {
				lines := strings.Split(strings.TrimRight(d.screen(), "\n"), "\n")
				return len(lines) == 40 && strings.Contains(lines[39], "enter chart")
			})
			d.tmux("send-keys", "3")
			d.shows("BTCUSDT 1m", "volume", "LIVE")
			d.tmux("resize-window", "-x", "50", "-y", "10")
			d.shows("60×16 needed")
			d.tmux("resize-window", "-x", "60", "-y", "16")
			d.shows("hidden below")
			d.tmux("send-keys", "?")
			d.shows("Everywhere")
			d.tmux("send-keys", "Escape")
			d.shows("BTCUSDT 1m")
			if out, err := exec.Command(filepath.Join(bin, "spark-tui"), "status", "--url", d.ready().Observer).CombinedOutput(); err != nil || !bytes.HasPrefix(out, []byte("OK ")) {
				d.t.Errorf("status of the real daemon: %v\n%s", err, out)
			}
			d.tmux("send-keys", "q")
			d.left()
		}},
		{"SIGTERM", func(d *desk) {
			d.signal(d.console(), syscall.SIGTERM)
			d.left()
		}},
		{"kill -9 of the daemon, then ctrl-c", func(d *desk) {
			d.signal(d.daemon(), syscall.SIGKILL)
			d.shows("CONNECTION LOST", "attempt", "BTCUSDT")
			d.tmux("send-keys", "3")
			d.shows("CONNECTION LOST", "BTCUSDT 1m", "volume") // it lives, and its last picture too
			d.tmux("send-keys", "C-c")
			d.left()
		}},
	}
	t.Run("without a terminal, SIGTERM", func(t *testing.T) {
		t.Parallel()
		d := &desk{t: t, data: t.TempDir()}
		cmd := exec.Command(filepath.Join(bin, "spark-tui"), "demo", "--data-dir", d.data)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		cmd.Stderr, cmd.Env = &errs, anyPort()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for s := bufio.NewScanner(out); s.Scan(); {
			lines = append(lines, s.Text())
			if strings.Contains(s.Text(), "  leadership") { // the first event, by its own stream
				d.signal(cmd.Process.Pid, syscall.SIGTERM)
			}
		}
		page := strings.Join(lines, "\n")
		if err := cmd.Wait(); err != nil || errs.Len() > 0 || strings.ContainsAny(page, "\x1b\r") || !strings.Contains(page, "ready: observer http://127.0.0.1:") {
			t.Errorf("demo: %v, %q\n%s", err, errs.String(), page)
		}
		d.gone(d.daemon(), "the daemon")
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := sit(t, bin)
			d.until("a price", func() bool { s := d.screen(); return strings.Contains(s, "● LIVE") && price.MatchString(s) })
			tt.do(d)
		})
	}
}

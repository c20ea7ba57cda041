package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon"
)

// asDaemon in the environment makes the test binary be spark-daemon.
const asDaemon = "SPARK_TEST_AS_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// process is a real daemon.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	at    daemon.Addresses
	done  chan struct{} // closed when the output has ended
	mu    sync.Mutex
	lines []string // guarded by mu
}

// start runs the test binary as spark-daemon on free ports and waits until it is
// ready.
func start(t *testing.T, dir string, vars map[string]string, args ...string) *process {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready")
	args = append([]string{"demo", "--data-dir", dir, "--ready-file", ready, "--executor-port", "0", "--web-port", "0", "--observer-port", "0"}, args...)
	env := make([]string, 0, len(vars))
	for k, v := range vars {
		env = append(env, k+"="+v)
	}
	p := launch(t, env, args...)
	wait(t, 20*time.Second, "the ready file", func() bool {
		data, err := os.ReadFile(ready)
		return err == nil && json.Unmarshal(data, &p.at) == nil
	}, p.dump)
	return p
}

// launch runs the test binary as spark-daemon until the test ends.
func launch(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, done: make(chan struct{})}
	p.cmd = exec.Command(exe, args...)
	p.cmd.Env = append(append(os.Environ(), asDaemon+"=1"), env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(out)
	t.Cleanup(p.kill)
	return p
}

func (p *process) read(out io.Reader) {
	defer close(p.done)
	s := bufio.NewScanner(out)
	for s.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		p.mu.Unlock()
	}
}

// kill ends the process at once, and returns after its output has been read.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		<-p.done
		_ = p.cmd.Wait()
	}
}

func (p *process) log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

func (p *process) dump() string {
	lines := p.log()
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// matching returns the records with the message, in order.
func (p *process) matching(message string) []string {
	var out []string
	for _, l := range p.log() {
		if strings.Contains(l, "msg="+message+" ") || strings.Contains(l, `msg="`+message+`"`) {
			out = append(out, l)
		}
	}
	return out
}

// field returns the value of an attribute of a text record.
func field(record, name string) string {
	_, rest, ok := strings.Cut(record, " "+name+"=")
	if !ok {
		return ""
	}
	v, _, _ := strings.Cut(rest, " ")
	return strings.Trim(v, `"`)
}

// wait looks every few milliseconds until the condition holds; the time allowed is
// far beyond what is needed.
func wait(t *testing.T, allowed time.Duration, what string, holds func() bool, dump func() string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(allowed)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("no %s after %v\n%s", what, allowed, dump())
		}
	}
}

func get(t *testing.T, url string, into any) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	switch into := into.(type) {
	case nil:
	case *string:
		*into = string(data)
	default:
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatalf("%s: %.300s: %v", url, data, err)
		}
	}
	return resp.StatusCode
}

// sample returns the value of a metric's line, NaN-free; -1 when there is none.
func sample(t *testing.T, executor, line string) float64 {
	t.Helper()
	var text string
	get(t, executor+"/metrics", &text)
	for _, l := range strings.Split(text, "\n") {
		if rest, ok := strings.CutPrefix(l, line+" "); ok {
			var v float64
			if _, err := fmt.Sscan(rest, &v); err == nil {
				return v
			}
		}
	}
	return -1
}

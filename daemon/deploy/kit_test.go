package deploy_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// top is the top of the repository, where make runs.
const top = "../.."

// shell runs a line as an operator types it and returns what it wrote, trimmed.
func shell(t *testing.T, line string) string {
	t.Helper()
	out, err := try(line)
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return out
}

func try(line string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sh", "-c", line).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// makeTarget runs a target with these variables, as a user would: nothing of a make
// that runs this test reaches it.
func makeTarget(t *testing.T, target string, vars map[string]string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // also while cleaning up
	defer cancel()
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", target)
	cmd.Dir = top
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS")
	})
	for k, v := range vars {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make %s: %v\n%s", target, err, out)
	}
	return string(out)
}

// wait looks five times a second until the condition holds, and returns how long
// that took. What the condition lacked at last is told when it never does.
func wait(t *testing.T, allowed time.Duration, what string, lacks func() error) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for err := lacks(); err != nil; err = lacks() {
		<-tick.C
		if time.Since(began) > allowed {
			t.Fatalf("%s: not after %v: %v", what, allowed, err)
		}
	}
	return time.Since(began).Round(100 * time.Millisecond)
}

// rootfs makes an image from programs of this machine and the libraries that they
// name, and from busybox for the rest: no registry is asked.
func rootfs(t *testing.T, image string, programs ...string) {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	write := func(h *tar.Header, body []byte) {
		h.Size = int64(len(body))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	write(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	write(&tar.Header{Name: "data/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	for _, applet := range []string{"sh", "[", "cat", "chown", "env", "grep", "id", "ls", "mkdir", "rm", "sleep", "test", "timeout", "wc"} {
		write(&tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	added := map[string]bool{}
	add := func(host, name string) {
		if added[name] {
			return
		}
		added[name] = true
		body, err := os.ReadFile(host)
		if err != nil {
			t.Fatal(err)
		}
		write(&tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: 0o755}, body)
	}
	for _, p := range append([]string{"busybox"}, programs...) {
		path, err := exec.LookPath(p)
		if err != nil {
			t.Fatal(err)
		}
		dir := "/usr/bin/"
		if p == "busybox" {
			dir = "/bin/"
		}
		add(path, dir+filepath.Base(p))
		needs, _ := exec.Command("ldd", path).Output() // fails for a static program, which needs nothing
		for _, lib := range regexp.MustCompile(`(?m)(/\S+) \(0x`).FindAllSubmatch(needs, -1) {
			add(string(lib[1]), string(lib[1]))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker", "import", "-", image)
	cmd.Stdin = &layer
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// receiver counts the notifications that came, by event.
type receiver struct {
	addr string
	mu   sync.Mutex
	came map[string]int // guarded by mu
}

// receive listens where containers reach this machine.
func receive(t *testing.T) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(bridge(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{addr: l.Addr().String(), came: map[string]int{}}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.came[req.Header.Get("webhook-id")]++
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return r
}

// bridge returns this machine's address on Docker's default network, which every
// container reaches.
func bridge(t *testing.T) string {
	t.Helper()
	i, err := net.InterfaceByName("docker0")
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := i.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Fatal("docker0 has no IPv4 address")
	return ""
}

// deliveries returns how many were told, and how often one was told again.
func (r *receiver) deliveries() (told, again int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.came {
		told, again = told+1, again+n-1
	}
	return told, again
}

// call makes one JSON call; out may be nil.
func call(method, url string, in, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d %.300s", url, resp.StatusCode, data)
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *string:
		*out = string(data)
		return nil
	default:
		return json.Unmarshal(data, out)
	}
}

// load creates alerts that are true at once and then rest for a day, so that each
// is one effect, whoever leads.
type load struct {
	executors []string
	stop      chan struct{}
	done      chan struct{}
	made      []string // ids that were acknowledged; read after done
	refused   int
}

func startLoad(t *testing.T, executors ...string) *load {
	l := &load{executors: executors, stop: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	t.Cleanup(l.end)
	return l
}

func (l *load) run() {
	defer close(l.done)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	day := 86_400
	symbols := []string{"BTCUSDT", "ETHUSDT", "SOLUSDT"}
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		in := wire.CreateAlert{
			Symbol: symbols[n%len(symbols)], Timeframe: "1m", Type: "price",
			Params: map[string]any{"op": ">", "level": 0.000001}, CooldownSec: &day,
		}
		var made wire.AlertCreated
		if call(http.MethodPost, l.executors[n%len(l.executors)]+wire.PathAlertsCreate, in, &made) != nil {
			l.refused++ // not acknowledged: nothing is owed
			continue
		}
		l.made = append(l.made, made.ID)
	}
}

// end returns after the last call has been answered.
func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	<-l.done
}

// A term is one "became leader" of a container's log.
type term struct {
	container string
	at        time.Time
	epoch     string
}

// records returns what the container has logged with this message, each line with
// the time that Docker put before it.
func records(t *testing.T, container, message string) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(shell(t, "docker logs -t "+container+" 2>&1")) {
		if strings.Contains(line, `msg="`+message+`"`) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func timeOf(t *testing.T, record string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, strings.Fields(record)[0])
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// terms returns the terms of both executors, oldest first.
func terms(t *testing.T) []term {
	t.Helper()
	epoch := regexp.MustCompile(` epoch=(\d+)`)
	var out []term
	for _, c := range []string{"executor-1", "executor-2"} {
		for _, line := range records(t, c, wire.LogBecameLeader) {
			m := epoch.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("no epoch in %q", line)
			}
			out = append(out, term{c, timeOf(t, line), m[1]})
		}
	}
	slices.SortFunc(out, func(a, b term) int { return a.at.Compare(b.at) })
	return out
}

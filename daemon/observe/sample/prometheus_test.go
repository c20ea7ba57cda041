package sample_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// startPrometheus runs the real server on a copy of a data directory of ours and
// returns its address. The test is skipped when there is no server.
func startPrometheus(t *testing.T, dir string) string {
	t.Helper()
	bin, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed")
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(data, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(conf, []byte("global: {evaluation_interval: 15s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := freeAddress(t)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, "--config.file="+conf, "--storage.tsdb.path="+data,
		"--web.listen-address="+addr, "--query.lookback-delta=45s", "--storage.tsdb.retention.time=3650d", "--log.level=warn")
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); cmd.Wait() }()
	t.Cleanup(func() { cancel(); <-ended })
	limit := time.After(30 * time.Second)
	for {
		if res, err := http.Get("http://" + addr + "/-/ready"); err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return "http://" + addr
			}
		}
		select {
		case <-ended:
			t.Fatalf("prometheus did not start:\n%s", said)
		case <-limit:
			t.Fatalf("prometheus is not ready:\n%s", said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// freeAddress returns an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// tail keeps what a process said. It is read after the process ended, or in a test
// that failed anyway.
type tail struct{ b []byte }

func (l *tail) Write(p []byte) (int, error) { l.b = append(l.b, p...); return len(p), nil }
func (l *tail) String() string              { return string(l.b) }

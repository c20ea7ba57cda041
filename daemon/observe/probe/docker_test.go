package probe_test

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/spark-ta/spark/daemon/observe/probe"
)

func TestParseContainers(t *testing.T) {
	got, err := probe.ParseContainers("# ours\nprefix executor-\nprefix web-next\nlog \"became leader\" or level=error\nsince 90s\n")
	if err != nil || fmt.Sprint(got.Prefixes) != "[executor- web-next]" || got.Since != 90*time.Second || got.Log.String() != `("became leader" or level="error")` {
		t.Errorf("ParseContainers = %+v, %v", got, err)
	}
	if got, err := probe.ParseContainers(""); err != nil || got.Log != nil || got.Since != time.Hour {
		t.Errorf("ParseContainers of nothing = %+v, %v", got, err)
	}
	for _, text := range []string{"prefix", "prefix a b", "log", "log (", "log \"a\"\nlog \"b\"", "since", "since -1h", "since 1000h", "restart executor-1"} {
		if got, err := probe.ParseContainers(text); err == nil {
			t.Errorf("ParseContainers(%q) = %+v, want an error", text, got)
		}
	}
}

// engine answers as a container engine, on a unix socket.
type engine struct {
	answers map[string]string // by path without the version
	hang    string
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1.41")
	if path == "/_ping" {
		return
	}
	if e.hang != "" && strings.HasSuffix(path, e.hang) {
		<-r.Context().Done()
		return
	}
	text, ok := e.answers[path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"message":"no such \u001b[31mthing `+secret+`"}`)
		return
	}
	_, _ = io.WriteString(w, text)
}

// listen serves e and returns the host of a probe.
func listen(t *testing.T, e http.Handler) string {
	dir, err := os.MkdirTemp("", "probe") // the name of a socket may not be long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "d"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: e}}
	srv.Start()
	t.Cleanup(srv.Close)
	return "unix://" + l.Addr().String()
}

func docker(t *testing.T, host string, timeout time.Duration) *probe.Docker {
	l := limits()
	l.Timeout = timeout
	d, err := probe.NewDocker(host, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// frame is output as the engine sends it: 1 for standard output, 2 for errors.
func frame(stream byte, text string) string {
	head := []byte{stream, 0, 0, 0}
	return string(binary.BigEndian.AppendUint32(head, uint32(len(text)))) + text
}

func fleet() *engine {
	const stats = `{"cpu_stats":{"cpu_usage":{"total_usage":300},"system_cpu_usage":2000,"online_cpus":2},
		"precpu_stats":{"cpu_usage":{"total_usage":200},"system_cpu_usage":1000},
		"memory_stats":{"usage":1000,"limit":4000,"stats":{"inactive_file":300}}}`
	return &engine{answers: map[string]string{
		"/containers/json": `[{"Id":"b","Names":["/executor-2"]},{"Id":"a","Names":["/executor-1"]},{"Id":"c","Names":["/other"]}]`,
		"/containers/a/json": `{"Id":"a","RestartCount":2,"Config":{"Image":"spark-daemon:v1\u001b[31m"},
			"State":{"Status":"running","Running":true,"Health":{"Status":"healthy"}}}`,
		"/containers/b/json":  `{"Id":"b","Config":{"Image":"spark-daemon:v1","Tty":true},"State":{"Status":"exited","ExitCode":137,"OOMKilled":true}}`,
		"/containers/a/stats": stats,
		"/containers/a/logs": frame(1, "time=x level=INFO msg=\"became leader\" epoch=1\ntime=x level=INFO msg=\"bec") + frame(2, "level=ERROR msg=x\n") +
			frame(1, "ame leader\" epoch=2\n{\"level\":\"ERROR\",\"msg\":\"y\"}\nbecame leader, says another") + frame(2, "level=INFO msg=x\n"),
		"/containers/b/logs": "became leader\r\nnothing\r\n",
	}}
}

func TestDockerFields(t *testing.T) {
	c, err := probe.ParseContainers("prefix executor-\nlog \"became leader\" or level=error")
	if err != nil {
		t.Fatal(err)
	}
	out := docker(t, listen(t, fleet()), 0).Look(t.Context(), c, time.Now())
	if len(out) != 2 || out[0].Target != "executor-1" || out[1].Target != "executor-2" || out[0].Err != nil || out[1].Err != nil {
		t.Fatalf("results = %+v, want the two executors in order", out)
	}
	safe(t, out[0])
	same(t, out[0], map[string]any{
		"running": 1.0, "status": "running", "health": "healthy", "restarts": 2.0, "oom": 0.0, "image": "spark-daemon:v1",
		"cpu_percent": 20.0, "memory_bytes": 700.0, "memory_limit_bytes": 4000.0, "log": 5.0, "log_complete": 1.0,
	})
	same(t, out[1], map[string]any{
		"running": 0.0, "status": "exited", "restarts": 0.0, "oom": 1.0, "exit_code": 137.0, "image": "spark-daemon:v1",
		"log": 1.0, "log_complete": 1.0,
	})
}

func TestDockerFailures(t *testing.T) {
	all := probe.Containers{}
	gone := docker(t, "unix:///nowhere/docker.sock", 0).Look(t.Context(), all, time.Now())
	if len(gone) != 1 || gone[0].Target != "engine" {
		t.Fatalf("results = %+v, want one of the engine", gone)
	}
	failed(t, gone[0], "connect")

	e := fleet()
	delete(e.answers, "/containers/c/json")
	e.answers["/containers/a/stats"] = "garbage"
	out := docker(t, listen(t, e), 0).Look(t.Context(), all, time.Now())
	failed(t, out[0], "stats: the engine's answer")
	failed(t, out[2], "no such thing ***")
	if out[0].Fields["restarts"] != probe.Number(2) || out[1].Err != nil {
		t.Errorf("results = %+v, want what was learnt", out)
	}

	e = fleet()
	e.hang = "/stats"
	failed(t, docker(t, listen(t, e), short).Look(t.Context(), all, time.Now())[0], "no answer within")
	e = fleet()
	e.hang = "/json"
	failed(t, docker(t, listen(t, e), short).Look(t.Context(), all, time.Now())[0], "no answer within")

	e = fleet()
	e.answers["/containers/a/logs"] = "\x07garbage that is no frame"
	c, err := probe.ParseContainers("prefix executor-1\nlog level=error")
	if err != nil {
		t.Fatal(err)
	}
	failed(t, docker(t, listen(t, e), 0).Look(t.Context(), c, time.Now())[0], "log:")

	if _, err := probe.NewDocker("nonsense", limits()); err == nil {
		t.Error("NewDocker(nonsense) gave no error")
	}
}

// On a machine with an engine and a static busybox a container is really started.
func TestDockerOnAnEngine(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("needs a container engine")
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil || !static(busybox) {
		t.Skip("no static busybox to make an image of")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cli, err := client.New()
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	if _, err := cli.Ping(ctx, client.PingOptions{}); err != nil {
		t.Skipf("no container engine: %v", err)
	}
	name := "spark-probe-" + uuid.NewString()[:8]
	start(ctx, t, cli, name, busybox)

	c, err := probe.ParseContainers("prefix " + name + "\nlog \"became leader\"\nsince 1m")
	if err != nil {
		t.Fatal(err)
	}
	d := docker(t, "", 20*time.Second)
	var got probe.Result
	for range 20 { // until it has written its line and the engine has two samples
		out := d.Look(ctx, c, time.Now())
		if len(out) != 1 || out[0].Err != nil {
			t.Fatalf("results = %+v, want one without an error", out)
		}
		_, measured := out[0].Fields["cpu_percent"]
		if got = out[0]; measured && got.Fields["log"] == probe.Number(1) && got.Fields["memory_bytes"].Num > 0 {
			break
		}
	}
	same(t, got, map[string]any{
		"running": 1.0, "status": "running", "restarts": 0.0, "oom": 0.0, "image": name + ":test", "log": 1.0, "log_complete": 1.0,
	}, "cpu_percent", "memory_bytes", "memory_limit_bytes")
	if cpu, ok := got.Fields["cpu_percent"]; !ok || cpu.Num < 0 || got.Fields["memory_bytes"].Num <= 0 {
		t.Errorf("fields = %+v, want its CPU and memory", got.Fields)
	}
}

func static(program []byte) bool {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return false
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}

// start makes an image of one program and runs it, until the test's end.
func start(ctx context.Context, t *testing.T, cli *client.Client, name string, program []byte) {
	var image bytes.Buffer
	w := tar.NewWriter(&image)
	_ = w.WriteHeader(&tar.Header{Name: "busybox", Mode: 0o755, Size: int64(len(program))})
	_, _ = w.Write(program)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	done, err := cli.ImageImport(ctx, client.ImageImportSource{Source: &image, SourceName: "-"}, name+":test", client.ImageImportOptions{})
	if err != nil {
		t.Skipf("the engine takes no image: %v", err)
	}
	_, _ = io.Copy(io.Discard, done)
	_ = done.Close()
	tidy := context.WithoutCancel(ctx)
	t.Cleanup(func() { _, _ = cli.ImageRemove(tidy, name+":test", client.ImageRemoveOptions{Force: true}) })
	made, err := cli.ContainerCreate(ctx, client.ContainerCreateOptions{Name: name, Config: &container.Config{
		Image: name + ":test", Cmd: []string{"/busybox", "sh", "-c", `echo 'level=INFO msg="became leader" epoch=1'; /busybox sleep 300`},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = cli.ContainerRemove(tidy, made.ID, client.ContainerRemoveOptions{Force: true})
	})
	if _, err := cli.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		t.Skipf("the engine starts no container: %v", err)
	}
}

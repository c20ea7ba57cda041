package main

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/wire"
)

func TestReportIsPrintedByteForByte(t *testing.T) {
	const text = "# Report\r\n\x1b[2Jno newline at the end"
	o := newObserver(t)
	o.serve("GET "+wire.PathReport, text)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "format=md"},
		{[]string{"--format", "html"}, "format=html"},
		{[]string{"--json"}, "format=json"},
		{[]string{"--format", "json", "--json", "--seq", "41", "-o", "-"}, "format=json&seq=41"},
	} {
		code, out, errs := command(t, nil, append([]string{"report", "--url", o.URL}, tt.args...)...)
		if code != exitOK || out != text || errs != "" {
			t.Errorf("report %q = %d, %q, %q", tt.args, code, out, errs)
		}
		if got := o.calls[len(o.calls)-1].what; got != "GET /api/hypercare/report?"+tt.want {
			t.Errorf("report %q asked %s", tt.args, got)
		}
	}
}

// TestReportNeverReplacesAFileUnasked: and leaves nothing behind when it fails.
func TestReportNeverReplacesAFileUnasked(t *testing.T) {
	o := newObserver(t)
	o.serve("GET "+wire.PathReport, "new")
	dir := t.TempDir()
	name := filepath.Join(dir, "report.md")
	write := func(args ...string) (int, string) {
		code, out, errs := command(t, nil, append([]string{"report", "--url", o.URL, "-o", name}, args...)...)
		if out != "" {
			t.Errorf("report -o prints %q", out)
		}
		return code, errs
	}
	holds := func(want string) {
		t.Helper()
		text, err := os.ReadFile(name)
		if err != nil || string(text) != want {
			t.Errorf("the file holds %q, %v, want %q", text, err, want)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("left behind: %v, %v", entries, err)
		}
	}
	if code, errs := write(); code != exitOK || errs != "" {
		t.Errorf("report -o = %d, %q", code, errs)
	}
	holds("new")
	if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(name, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	asked := len(o.calls)
	if code, errs := write(); code != exitFailed || !strings.Contains(errs, "--force") || len(o.calls) != asked {
		t.Errorf("report -o over a file = %d, %q", code, errs)
	}
	holds("old")
	if code, errs := write("--force"); code != exitOK || errs != "" {
		t.Errorf("report -o --force = %d, %q", code, errs)
	}
	holds("new")
	o.refuse("GET "+wire.PathReport, http.StatusNotFound, wire.Error{Error: "there is no run"})
	if code, errs := write("--force"); code != exitFailed || !strings.Contains(errs, "refused: there is no run") {
		t.Errorf("report that is refused = %d, %q", code, errs)
	}
	holds("new")
	o.pages["GET "+wire.PathReport] = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
	}
	if code, errs := write("--force"); code != exitUnreachable || strings.Count(errs, "\n") != 1 {
		t.Errorf("report that breaks off = %d, %q", code, errs)
	}
	holds("new")
	if code, errs := write("--force", "--url", nowhere(t)); code != exitUnreachable || errs == "" {
		t.Errorf("report of nothing = %d, %q", code, errs)
	}
	holds("new")
	name = dir
	if code, errs := write("--force"); code != exitFailed || !strings.Contains(errs, "is no file") {
		t.Errorf("report over a directory = %d, %q", code, errs)
	}
}

// TestAFileThatAppearsMeanwhileIsKept: between the first look and the last step.
func TestAFileThatAppearsMeanwhileIsKept(t *testing.T) {
	name := filepath.Join(t.TempDir(), "report.md")
	o := newObserver(t)
	o.pages["GET "+wire.PathReport] = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		if err := os.WriteFile(name, []byte("somebody's"), 0o644); err != nil {
			t.Error(err)
		}
		answer(w, "mine")
	}
	if code, _, errs := command(t, nil, "report", "--url", o.URL, "-o", name); code != exitFailed || !strings.Contains(errs, "exists") {
		t.Errorf("report = %d, %q", code, errs)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "somebody's" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

func TestLinesForATerminal(t *testing.T) {
	got := string(cleanLines([]byte("# A\r\n\x1b]0;owned\aB\u202e\n" + strings.Repeat("long\n", 40_000) + "end")))
	if !strings.HasPrefix(got, "# A\nB�\nlong\n") || !strings.HasSuffix(got, "long\nend\n") || strings.Count(got, "\n") != 40_003 {
		t.Errorf("%d lines, begin %.30q", strings.Count(got, "\n"), got)
	}
}

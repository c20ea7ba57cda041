//go:build unix

package main

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// TestCtrlCEndsACommandAtOnce: with a code of its own, in one line, whatever it waits
// for. The signal comes when a request is under way, so the program listens for it.
func TestCtrlCEndsACommandAtOnce(t *testing.T) {
	tests := []struct {
		name string
		args []string
		what string
		want string
	}{
		{"an answer", []string{"check"}, "GET " + wire.PathHypercare, "interrupted"},
		{"an answer, for a script", []string{"check", "--json"}, "GET " + wire.PathHypercare, "interrupted"},
		{"a change", []string{"hypercare", "issue", "x"}, "POST " + wire.PathUserIssues, "whether it was done is not known"},
		{"a report", []string{"report"}, "GET " + wire.PathReport, "interrupted"},
	}
	for _, tt := range tests {
		o := newObserver(t)
		o.pages[tt.what] = func(_ http.ResponseWriter, r *http.Request, _ []byte) {
			if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
				t.Error(err)
			}
			<-r.Context().Done()
		}
		code, out, errs := command(t, nil, append(tt.args, "--url", o.URL)...)
		if code != exitInterrupted || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, tt.want) {
			t.Errorf("waiting for %s: %d, %q, %q", tt.name, code, out, errs)
		}
	}
}

func TestCtrlCEndsAWaitForVerdicts(t *testing.T) {
	o := newObserver(t)
	o.after = func(looks int) {
		if looks == 2 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
		}
	}
	start := time.Now()
	code, out, errs := command(t, nil, "check", "--wait", "--checkpoint", "T+1h", "--interval", "1ms", "--url", o.URL)
	if code != exitInterrupted || out != "" || strings.Count(errs, "\n") != 1 {
		t.Errorf("check --wait after %v = %d, %q, %q", time.Since(start), code, out, errs)
	}
}

// TestCtrlCEndsReadingAPipe: nobody writes into it any more, and it is not closed.
func TestCtrlCEndsReadingAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	go func() {
		// More than a pipe holds: it is written once the program reads, and so listens
		// for the signal.
		if _, err := w.WriteString(`{"seq":1,"at":1,"who":"` + strings.Repeat("x", 1<<20)); err != nil {
			t.Error(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Error(err)
		}
	}()
	var out, errs strings.Builder
	if code := run([]string{"verify", "-"}, nil, r, &out, &errs); code != exitInterrupted || out.String() != "" || errs.String() != "spark-tui: interrupted\n" {
		t.Errorf("verify = %d, %q, %q", code, out.String(), errs.String())
	}
}

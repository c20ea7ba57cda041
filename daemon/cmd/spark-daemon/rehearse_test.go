package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/wire"
)

// short is the shortest shipped scenario: a go-live of 13 minutes.
const short = "perfect-go-live"

// wrongScenario expects what does not come.
const wrongScenario = `---
kind: scenario
id: wrong
extends: perfect-go-live
---
# It expects too much

` + "```expect" + `
run open
incident health.all level 3
` + "```" + `
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestARehearsalThatGoesAsExpected(t *testing.T) {
	dir := t.TempDir()
	journal, report := filepath.Join(dir, "j.jsonl"), filepath.Join(dir, "r.html")
	code, out, errs := command(t, nil, "rehearse", short, "--journal", journal, "--report", report)
	if code != 0 || !strings.Contains(out, "as expected") || errs != "" {
		t.Fatalf("rehearse = %d %s %s", code, out, errs)
	}
	text, err := os.ReadFile(report)
	if err != nil || !strings.HasPrefix(string(text), "<!DOCTYPE html>") || !strings.Contains(string(text), "REHEARSAL") {
		t.Errorf("the report (%v) is %.80q, want HTML that says REHEARSAL", err, text)
	}
	if code, again, _ := command(t, nil, "journal", "report", journal, "--format", "html"); code != 0 || again != string(text) {
		t.Errorf("the report from the journal alone differs (%d)", code)
	}
	if code, _, errs := command(t, nil, "rehearse", short, "--journal", journal); code != 2 || !strings.Contains(errs, "never written over") {
		t.Errorf("a journal that exists = %d %s, want 2", code, errs)
	}
}

func TestAnUnmetExpectationIsNamed(t *testing.T) {
	file := write(t, "wrong.md", wrongScenario)
	code, out, errs := command(t, nil, "rehearse", file)
	if code != 1 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "1 of 1 rehearsals") {
		t.Errorf("rehearse = %d %q, want 1 and one line", code, errs)
	}
	for _, want := range []string{"NOT MET", `wrong: expected "run open"`, `wrong: expected "incident health.all level 3"`} {
		if !strings.Contains(out, want) {
			t.Errorf("rehearse says %s, want %q", out, want)
		}
	}
	code, out, _ = command(t, nil, "rehearse", file, short, "--json")
	var results []outcome
	if err := json.Unmarshal([]byte(out), &results); err != nil || code != 1 || len(results) != 2 {
		t.Fatalf("two rehearsals = %d %s: %v", code, out, err)
	}
	if results[0].Passed || len(results[0].Failures) != 2 || !results[1].Passed || results[1].Records == 0 {
		t.Errorf("results = %+v", results)
	}
}

func TestScenariosAreListed(t *testing.T) {
	if code, out, _ := command(t, nil, "rehearse", "--list"); code != 0 || !strings.Contains(out, "perfect-go-live") || !strings.Contains(out, "stuck-leader") {
		t.Errorf("rehearse --list = %d %s", code, out)
	}
}

func TestAPacedRehearsalSaysWhereItAnswers(t *testing.T) {
	code, out, errs := command(t, nil, "rehearse", short, "--speed", "100000x", "--serve", "127.0.0.1:0")
	if code != 0 || !strings.Contains(errs, "http://127.0.0.1:") || !strings.Contains(out, "as expected") {
		t.Errorf("rehearse at a speed = %d %s %s", code, out, errs)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if code, _, errs := command(t, nil, "rehearse", short, "--speed", "600", "--serve", taken.Addr().String()); code != 1 || !strings.Contains(errs, "--serve") {
		t.Errorf("an address in use = %d %s, want 1", code, errs)
	}
}

// seen is a rehearsal that has been lived through, with its calls answered.
func seen(t *testing.T, token string) *httptest.Server {
	t.Helper()
	w := &watch{ended: make(chan struct{})}
	r, err := prepare(short, "", w.options(1))
	if err != nil {
		t.Fatal(err)
	}
	w.r = r
	if err := r.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(w.router(token, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}))
	t.Cleanup(func() { close(w.ended); srv.Close() })
	return srv
}

func TestARehearsalIsSeenLikeADeployment(t *testing.T) {
	srv := seen(t, "")
	var h wire.Hypercare
	if status := get(t, srv.URL+wire.PathHypercare, &h); status != 200 || h.Run == nil || !h.Run.Rehearsal || h.Run.State != wire.RunClosed {
		t.Errorf("hypercare = %d %+v, want a closed rehearsal", status, h.Run)
	}
	var fleet wire.Fleet
	get(t, srv.URL+wire.PathFleet, &fleet)
	leaders := 0
	for _, i := range fleet.Instances {
		if i.Leader {
			leaders++
		}
		if !i.Up || i.RSSBytes == 0 {
			t.Errorf("instance %+v, want it up and with memory", i)
		}
	}
	if len(fleet.Instances) < 3 || leaders != 1 {
		t.Errorf("fleet = %+v, want one leader", fleet)
	}
	var lock wire.Lock
	if get(t, srv.URL+wire.PathLock, &lock); lock.State != "held" || lock.Holder == "" {
		t.Errorf("lock = %+v", lock)
	}
	for _, path := range []string{wire.PathHealth, wire.PathLive, wire.PathReady, wire.PathCoverage, wire.PathClosing, wire.PathKeys} {
		if status := get(t, srv.URL+path, nil); status != 200 {
			t.Errorf("%s = %d", path, status)
		}
	}
	// A query that names no time is one of the virtual now.
	var text string
	if get(t, srv.URL+wire.PathQuery+"?query=sum(up)", &text); !strings.Contains(text, `"resultType":"vector","result":[{`) {
		t.Errorf("query = %s", text)
	}
	resp, err := http.Get(srv.URL + wire.PathEvents)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 4096)
	stream := ""
	for !strings.Contains(stream, "event: verdict") {
		n, err := resp.Body.Read(buf)
		if stream += string(buf[:n]); err != nil {
			t.Fatalf("events = %s: %v", stream, err)
		}
	}
}

func TestWhatIf(t *testing.T) {
	srv := seen(t, "secret")
	vars := map[string]string{wire.EnvOpsToken: "secret"}
	same, err := os.ReadFile(filepath.Join("..", "..", "..", "runbooks", "go-live.md"))
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, vars, "plan", "whatif", write(t, "same.md", string(same)), "--url", srv.URL)
	if code != 0 || !strings.Contains(out, "would differ") {
		t.Errorf("the same plan = %d %s %s", code, out, errs)
	}
	code, _, errs = command(t, vars, "plan", "whatif", write(t, "bad.md", "# Hello\n"), "--url", srv.URL)
	if code != 1 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "INVALID_INPUT") {
		t.Errorf("no plan = %d %s, want 1 and the refusal", code, errs)
	}
	if code, _, errs = command(t, nil, "plan", "whatif", write(t, "same.md", string(same)), "--url", srv.URL); code != 1 || !strings.Contains(errs, "UNAUTHORIZED") {
		t.Errorf("without the token = %d %s", code, errs)
	}
}

func TestMisuseOfTheCommandsOfHypercare(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"rehearse", "no-such"}, "--list"},
		{[]string{"rehearse", "gone.md"}, "gone.md"},
		{[]string{"rehearse", "--speed", "fast"}, "--speed"},
		{[]string{"rehearse", "--speed", "0"}, "--speed"},
		{[]string{"rehearse", short, short, "--journal", "x"}, "one scenario"},
		{[]string{"rehearse", short, "--report", "x", "--format", "pdf"}, "--format"},
		{[]string{"rehearse", short, "--plan", "gone.md"}, "gone.md"},
		{[]string{"rehearse", short, "--speed", "9x", "--serve", "nowhere"}, "--serve"},
		{[]string{"plan", "fly"}, "fly"},
		{[]string{"plan", "lint", "gone"}, "hypercare"},
		{[]string{"plan", "lint", "gone.md"}, "gone.md"},
		{[]string{"plan", "show", "a", "b"}, "one plan"},
		{[]string{"plan", "whatif"}, "one file"},
		{[]string{"plan", "whatif", "gone.md", "--url", "ftp://x"}, "--url"},
		{[]string{"journal", "verify"}, "one file"},
		{[]string{"journal", "verify", "gone"}, "gone"},
		{[]string{"journal", "verify", "gone", "--seq", "4"}, "--head and --seq"},
		{[]string{"journal", "verify", "gone", "--key", "x"}, "--key"},
		{[]string{"journal", "report", "gone", "--format", "pdf"}, "--format"},
		{[]string{"journal", "report", "gone", "--seq", "-1"}, "--seq"},
	}
	for _, tt := range tests {
		if code, _, errs := command(t, nil, tt.args...); code != 2 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, tt.want) {
			t.Errorf("run(%v) = %d with %q, want 2 and one line with %q", tt.args, code, errs, tt.want)
		}
	}
}

package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/wire"
)

// TestEachCommandMakesItsCall: path and body of every changing call.
func TestEachCommandMakesItsCall(t *testing.T) {
	tests := []struct {
		args []string
		want []call
		says string
	}{
		{[]string{"hypercare", "start", "--version", "v2", "--at", "2025-10-11T00:00:00Z", "--plan", "p", "--profile", "compose"}, []call{{"POST /api/hypercare/start", `{"version":"v2","startedAt":1760140800000,"plan":"p","profile":"compose"}`, ""}}, "begun: spark-ta-48h for v1.4.0"},
		{[]string{"hypercare", "tick", "ops.briefed", "health.ok", "--note", "stand-up", "--role", "operations-lead"}, []call{
			{"POST /api/hypercare/checks/ops.briefed/tick", `{"role":"operations-lead","evidence":"stand-up"}`, ""},
			{"POST /api/hypercare/checks/health.ok/tick", `{"role":"operations-lead","evidence":"stand-up"}`, ""},
		}, "health.ok: PASS  3 of 3 roles answer 200"},
		{[]string{"hypercare", "untick", "ops.briefed", "--reason", "too early"}, []call{{"POST /api/hypercare/checks/ops.briefed/untick", `{"reason":"too early"}`, ""}}, "ops.briefed: PENDING  ops.briefed as planned"},
		{[]string{"hypercare", "waive", "redis aof/1", "--reason", "none here", "--role", "operations-lead", "--expires", "2055-01-01T00:00:00Z"}, []call{{"POST /api/hypercare/checks/redis%20aof%2F1/waive", `{"reason":"none here","role":"operations-lead","expires":2682374400000}`, ""}}, "redis aof/1: done"},
		{[]string{"hypercare", "note", "ops.briefed", "--note", "maintenance"}, []call{{"POST /api/hypercare/checks/ops.briefed/note", `{"reason":"maintenance"}`, ""}}, ""},
		{[]string{"hypercare", "recheck", "notify.success", "--reason", "new token"}, []call{{"POST /api/hypercare/checks/notify.success/recheck", `{"reason":"new token"}`, ""}}, ""},
		{[]string{"hypercare", "decide", "ALERT_COOLDOWN_SEC", "--from", "300", "--to", "120", "--why", "62 %", "--review", "@1760140800", "--id", "d1"}, []call{{"POST /api/hypercare/decisions", `{"id":"d1","parameter":"ALERT_COOLDOWN_SEC","from":"300","to":"120","why":"62 %","reviewAt":1760140800000}`, ""}}, "decided: ALERT_COOLDOWN_SEC 300 → 120"},
		{[]string{"hypercare", "issue", "empty chart", "--minor"}, []call{{"POST /api/hypercare/userissues", `{"text":"empty chart","minor":true}`, ""}}, "noted"},
		{[]string{"incidents", "open", "--level", "2", "--title", "401", "--check", "a,b"}, []call{{"POST /api/incidents", `{"level":2,"title":"401","checks":["a","b"]}`, ""}}, "opened"},
		{[]string{"incidents", "own", "i2", "--owner", "grace", "--note", "on it"}, []call{{"POST /api/incidents/i2/own", `{"owner":"grace","note":"on it"}`, ""}}, "i2: done"},
		{[]string{"incidents", "link", "i2", "slo.notify"}, []call{{"POST /api/incidents/i2/link", `{"check":"slo.notify"}`, ""}}, ""},
		{[]string{"incidents", "close", "i2", "--result", "renewed"}, []call{{"POST /api/incidents/i2/close", `{"result":"renewed"}`, ""}}, ""},
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		o := newObserver(t)
		for _, c := range tt.want {
			o.serve(c.what, nil)
		}
		code, out, errs := command(t, nil, append(tt.args, "--url", o.URL)...)
		if code != exitOK || errs != "" || !strings.Contains(out, tt.says) {
			t.Errorf("%q = %d, %q, %q", tt.args, code, out, errs)
		}
		if diff := cmp.Diff(tt.want, o.changes(), cmp.AllowUnexported(call{})); diff != "" {
			t.Errorf("%q: calls (-want +got):\n%s", tt.args, diff)
		}
		code, out, errs = command(t, []string{wire.EnvOpsToken + "=from-variable"}, append(tt.args, "--json", "--url", o.URL)...)
		if code != exitOK || errs != "" || !json.Valid([]byte(out)) {
			t.Errorf("%q --json = %d, %q, %q", tt.args, code, out, errs)
		}
		_, _, _ = command(t, []string{wire.EnvOpsToken + "=from-variable"}, append(tt.args, "--token-file", token, "--url", o.URL)...)
		calls := o.changes()
		if n := len(tt.want); len(calls) != 3*n || calls[n].bearer != "Bearer from-variable" || calls[2*n].bearer != "Bearer from-file" {
			t.Errorf("%q: tokens of %+v", tt.args, calls)
		}
		// Exit codes of what is refused, and of what cannot be asked.
		o.refuse(tt.want[0].what, http.StatusConflict, wire.Error{Error: "not\x1b[2J now", Code: wire.CodeConflict})
		if code, out, errs := command(t, nil, append(tt.args, "--url", o.URL)...); code != exitFailed || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "refused: not now") {
			t.Errorf("%q refused = %d, %q, %q", tt.args, code, out, errs)
		}
		if code, _, errs := command(t, nil, append(tt.args, "--url", nowhere(t))...); code != exitUnreachable || !strings.Contains(errs, "connection refused") {
			t.Errorf("%q without a daemon = %d, %q", tt.args, code, errs)
		}
	}
}

func TestMisuseOfHypercareCommands(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"hypercare", "fly"}, "fly"},
		{[]string{"hypercare", "tick"}, "name a check"},
		{[]string{"hypercare", "tick", ""}, "name a check"},
		{[]string{"hypercare", "untick", "a"}, "--reason"},
		{[]string{"hypercare", "recheck", "a", "--reason", " "}, "--reason"},
		{[]string{"hypercare", "note", "a"}, "--note"},
		{[]string{"hypercare", "waive", "a", "--reason", "r"}, "--expires"},
		{[]string{"hypercare", "waive", "a", "--reason", "r", "--expires", "-1h"}, "--expires"},
		{[]string{"hypercare", "start", "--at", "noon"}, "--at"},
		{[]string{"hypercare", "start", "--version", "v", "--token-file", empty}, "empty"},
		{[]string{"hypercare", "start", "--version", "v", "--token-file", empty + "x"}, "--token-file"},
		{[]string{"hypercare", "decide", "P", "--from", "1", "--to", "2"}, "--why"},
		{[]string{"hypercare", "decide", "--from", "1"}, "parameter"},
		{[]string{"hypercare", "issue"}, "text"},
		{[]string{"incidents", "open", "--title", "x"}, "--level"},
		{[]string{"incidents", "open", "--level", "4", "--title", "x"}, "--level"},
		{[]string{"incidents", "open", "--level", "1"}, "--title"},
		{[]string{"incidents", "close", "i1"}, "--result"},
		{[]string{"incidents", "own"}, "incident"},
		{[]string{"incidents", "link", "i1"}, "a check"},
		{[]string{"check", "--timeout", "1s"}, "--wait"},
		{[]string{"check", "--wait", "--interval", "0s"}, "positive"},
		{[]string{"report", "--format", "pdf"}, "pdf"},
		{[]string{"report", "--json", "--format", "md"}, "contradict"},
		{[]string{"report", "--seq", "0"}, "--seq"},
		{[]string{"keys", "generate", "--name", "a b"}, "a b"},
		{[]string{"keys", "generate"}, "--name"},
		{[]string{"keys", "show"}, "$HOME"},
		{[]string{"sign"}, "--role"},
		{[]string{"sign", "--role", "king", "--decision", "crown"}, "crown"},
		{[]string{"sign", "--role", "x", "--decision", "close", "--checkpoint", "T+0", "--key", "f"}, "contradict"},
		{[]string{"sign", "--role", roleOperations}, "--decision"},
		{[]string{"sign", "--role", roleOperations, "--decision", "close"}, "--yes"},
		{[]string{"verify"}, "journal"},
		{[]string{"verify", "f", "--seq", "1"}, "--head"},
		{[]string{"verify", "f", "--head", "zz"}, "64"},
		{[]string{"verify", "f", "--key", "zz"}, "--key"},
		{[]string{"query"}, "query"},
		{[]string{"query", "up", "--step", "1m"}, "--range"},
		{[]string{"query", "up", "--range", "1x"}, "--range"},
		{[]string{"query", "up", "--range", "2d", "--step", "1s"}, "11000"},
		{[]string{"query", "up", "--at", "noon"}, "--at"},
	}
	for _, tt := range tests {
		code, out, errs := command(t, nil, tt.args...)
		if code != exitMisused || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, tt.want) || out != "" {
			t.Errorf("%q = %d with %q and %q, want 2 and one line with %q", tt.args, code, out, errs, tt.want)
		}
	}
	o := newObserver(t)
	if code, _, errs := command(t, nil, "check", "--checkpoint", "T+9d", "--url", o.URL); code != exitMisused || !strings.Contains(errs, "T+0, T+15m, T+1h") {
		t.Errorf("an unknown checkpoint = %d, %q", code, errs)
	}
	if code, _, errs := command(t, []string{wire.EnvOpsToken + "=two words"}, "check", "--url", o.URL); code != exitMisused || strings.Contains(errs, "two words") {
		t.Errorf("a token of two words = %d, %q", code, errs)
	}
}

// TestWhatIsRefusedSaysWhatHelps: and one check that is refused does not keep the
// others from being ticked.
func TestWhatIsRefusedSaysWhatHelps(t *testing.T) {
	o := newObserver(t)
	o.refuse("POST /api/hypercare/checks/a/tick", http.StatusUnauthorized, wire.Error{Error: "this call needs the operations token", Field: "token"})
	o.serve("POST /api/hypercare/checks/ops.briefed/tick", nil)
	code, out, errs := command(t, nil, "hypercare", "tick", "a", "ops.briefed", "--url", o.URL)
	if code != exitFailed || !strings.Contains(out, "ops.briefed: PENDING") || !strings.Contains(errs, "a: refused: this call needs the operations token (token): give the operations token in "+wire.EnvOpsToken) {
		t.Errorf("tick = %d, %q, %q", code, out, errs)
	}
	code, out, _ = command(t, nil, "hypercare", "tick", "a", "ops.briefed", "--json", "--url", o.URL)
	var results []acted
	if err := json.Unmarshal([]byte(out), &results); err != nil || code != exitFailed || len(results) != 2 || results[0].OK || results[0].Error == "" || !results[1].OK {
		t.Errorf("tick --json = %d, %+v, %v", code, results, err)
	}
	code, out, _ = command(t, nil, "hypercare", "tick", "a", "b", "--json", "--url", nowhere(t))
	if err := json.Unmarshal([]byte(out), &results); err != nil || code != exitUnreachable || results[1].Error != "not tried" {
		t.Errorf("tick --json of nothing = %d, %+v, %v", code, results, err)
	}
}

func TestStartTakesTheVersionOfTheFleet(t *testing.T) {
	tests := []struct {
		versions []string
		want     string // in the body, or in the error
		code     int
	}{
		{[]string{"v1.4.0", "v1.4.0", "down v1.3.0"}, `{"version":"v1.4.0"}`, exitOK},
		{[]string{"v1.5.0", "v1.4.0"}, "v1.4.0, v1.5.0", exitMisused},
		{nil, "--version", exitMisused},
	}
	for _, tt := range tests {
		o := newObserver(t)
		fleet := wire.Fleet{OK: true}
		for _, v := range tt.versions {
			v, down := strings.CutPrefix(v, "down ")
			fleet.Instances = append(fleet.Instances, wire.Instance{Version: v, Up: !down})
		}
		o.serve("GET "+wire.PathFleet, fleet)
		o.serve("POST "+wire.PathPlanStart, nil)
		code, _, errs := command(t, nil, "hypercare", "start", "--url", o.URL)
		got := errs
		if calls := o.changes(); code == exitOK && len(calls) == 1 {
			got = calls[0].body
		}
		if code != tt.code || !strings.Contains(got, tt.want) {
			t.Errorf("start with %q = %d, %q, want %d with %q", tt.versions, code, got, tt.code, tt.want)
		}
	}
}

func TestIncidentsAreListed(t *testing.T) {
	o := newObserver(t)
	code, out, errs := command(t, nil, "incidents", "list", "--url", o.URL)
	if code != exitOK || errs != "" || !strings.Contains(out, "i2") || !strings.Contains(out, "Telegram answers 401\n") || strings.Contains(out, "i1") || strings.Contains(out, "\x1b") {
		t.Errorf("incidents list = %d, %q, %q", code, out, errs)
	}
	code, out, _ = command(t, nil, "incidents", "list", "--all", "--json", "--url", o.URL)
	var list []wire.Incident
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != exitOK || len(list) != 2 {
		t.Errorf("incidents list --all --json = %d, %q, %v", code, out, err)
	}
	o.run.Incidents = nil
	if code, out, _ := command(t, nil, "incidents", "list", "--json", "--url", o.URL); code != exitOK || out != "[]\n" {
		t.Errorf("incidents list --json of none = %d, %q", code, out)
	}
	o.run = nil
	if code, _, errs := command(t, nil, "incidents", "list", "--url", o.URL); code != exitFailed || !strings.Contains(errs, "no hypercare run") {
		t.Errorf("incidents list without a run = %d, %q", code, errs)
	}
}

func TestTimesOfFlags(t *testing.T) {
	now := time.UnixMilli(t0)
	for in, want := range map[string]int64{
		"now": t0, "-30m": t0 - 30*minute, "+4h": t0 + 240*minute, "2d": t0 + 2880*minute, "-1d": t0 - 1440*minute,
		"@1760140800": t0, "2025-10-11T02:00:00+02:00": t0, "2025-10-11T00:00:00.5Z": t0 + 500,
	} {
		if got, err := parseWhen(in, now); err != nil || got.UnixMilli() != want {
			t.Errorf("parseWhen(%q) = %v, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-", "+-1h", "0s", "--1h", "@", "@-1", "@1760140800000", "1760140800", "yesterday", "1.5d", "9999d", "999999h", "2025-10-11"} {
		if got, err := parseWhen(in, now); err == nil {
			t.Errorf("parseWhen(%q) = %v, want an error", in, got)
		}
	}
}

func FuzzParseWhen(f *testing.F) {
	for _, s := range []string{"now", "-30m", "+4h", "2d", "@1760140800", "2025-10-11T00:00:00Z"} {
		f.Add(s)
	}
	now := time.UnixMilli(t0)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseWhen(s, now)
		if err == nil && !strings.Contains(s, "T") && !strings.HasPrefix(s, "@") && (got.Sub(now) > 3650*24*time.Hour || now.Sub(got) > 3650*24*time.Hour) {
			t.Errorf("parseWhen(%q) = %v lies far from now", s, got)
		}
	})
}

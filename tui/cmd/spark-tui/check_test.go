package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/wire"
)

// at returns a check of a run by the place where healthyRun puts it.
func at(r *wire.HypercareRun, point, check int) *wire.Check {
	return &r.Checkpoints[point].Sections[0].Checks[check]
}

// TestCheckExitsWithTheWorstOfWhatIsDue: code, first word and JSON agree.
func TestCheckExitsWithTheWorstOfWhatIsDue(t *testing.T) {
	late := func(o *fakeObserver) { o.now = o.run.Checkpoints[1].GraceAt }
	tests := []struct {
		name   string
		change func(*fakeObserver)
		args   []string
		code   int
		says   []string
		lacks  []string
	}{
		{name: "all is well", code: exitOK, says: []string{"OK  T+00:20  spark-ta-48h v1.4.0", "due: 1 pending, 2 pass", "PASS     notify.success  412 of 412 sent", "PENDING  ops.briefed"}, lacks: []string{"T+1h"}},
		{name: "the future as well", args: []string{"--all"}, code: exitOK, says: []string{"T+1h", "opens 2025-10-11 01:00:00Z", "cpu.low"}},
		{name: "one checkpoint", args: []string{"--checkpoint", "T+0"}, code: exitOK, says: []string{"health.ok", "due: 1 pass"}, lacks: []string{"T+15m"}},
		{name: "one that has not opened", args: []string{"--checkpoint", "T+1h"}, code: exitOK, says: []string{"due: nothing", "cpu.low"}},
		{name: "warn and waived are no failure", change: func(o *fakeObserver) {
			at(o.run, 1, 0).Verdict, at(o.run, 1, 1).Verdict = wire.VerdictWarn, wire.VerdictWaived
		}, code: exitOK, says: []string{"1 warn, 1 waived"}},
		{name: "not applicable weighs nothing", change: func(o *fakeObserver) { at(o.run, 1, 0).Verdict = wire.VerdictNotApplicable }, code: exitOK, says: []string{"N/A"}},
		{name: "a check fails", change: func(o *fakeObserver) {
			c := at(o.run, 0, 0)
			c.Verdict, c.Recovered, c.Key = wire.VerdictFail, true, true
		}, code: exitFailed, says: []string{"FAIL  T+00:20", "3 of 3 roles answer 200 (key) (recovered)"}},
		{name: "a failure elsewhere", change: func(o *fakeObserver) { at(o.run, 0, 0).Verdict = wire.VerdictFail }, args: []string{"--checkpoint", "T+15m"}, code: exitOK},
		{name: "a failure ahead is not due", change: func(o *fakeObserver) { at(o.run, 2, 0).Verdict = wire.VerdictFail }, args: []string{"--all"}, code: exitOK},
		{name: "unknown", change: func(o *fakeObserver) { at(o.run, 0, 0).Verdict = wire.VerdictUnknown }, code: exitUnreachable, says: []string{"UNKNOWN  T+"}},
		{name: "a word from a newer daemon is no pass", change: func(o *fakeObserver) { at(o.run, 0, 0).Verdict = "splendid" }, code: exitUnreachable, says: []string{"SPLENDID"}},
		{name: "an item of people overdue", change: late, code: exitOverdue, says: []string{"OVERDUE  T+00:30", "overdue: 1", "overdue since 2025-10-11 00:30:00Z"}},
		{name: "overdue by the daemon's word", change: func(o *fakeObserver) { o.run.Checkpoints[1].Overdue = 1 }, code: exitOverdue},
		{name: "a sign-off overdue", change: func(o *fakeObserver) {
			late(o)
			at(o.run, 1, 1).Verdict = wire.VerdictPass
			o.run.Checkpoints[1].SignOff, o.run.Checkpoints[1].Signed = []string{"operations-lead", "development-lead"}, []string{"operations-lead"}
		}, code: exitOverdue, says: []string{"overdue: 1"}},
		{name: "the machine is late", change: func(o *fakeObserver) {
			late(o)
			at(o.run, 1, 0).Verdict = wire.VerdictPending
		}, code: exitUnreachable},
		{name: "unknown outweighs overdue", change: func(o *fakeObserver) { late(o); at(o.run, 0, 0).Verdict = wire.VerdictUnknown }, code: exitUnreachable},
		{name: "fail outweighs all", change: func(o *fakeObserver) {
			late(o)
			at(o.run, 0, 0).Verdict, at(o.run, 1, 0).Verdict = wire.VerdictUnknown, wire.VerdictFail
		}, code: exitFailed},
		{name: "a rehearsal says so", change: func(o *fakeObserver) { o.run.Rehearsal = true }, code: exitOK, says: []string{"REHEARSAL"}},
		{name: "hostile sentences", change: func(o *fakeObserver) { at(o.run, 0, 0).Sentence = "x\x1b]0;owned\a\u202ey\nPASS" }, code: exitOK, says: []string{"x�y↵PASS"}},
	}
	for _, tt := range tests {
		o := newObserver(t)
		if tt.change != nil {
			tt.change(o)
		}
		args := append([]string{"check", "--url", o.URL}, tt.args...)
		code, out, errs := command(t, nil, args...)
		if code != tt.code || errs != "" {
			t.Errorf("%s: check = %d with %q, want %d:\n%s", tt.name, code, errs, tt.code, out)
		}
		for _, want := range tt.says {
			if !strings.Contains(out, want) {
				t.Errorf("%s: check lacks %q:\n%s", tt.name, want, out)
			}
		}
		for _, not := range tt.lacks {
			if strings.Contains(out, not) {
				t.Errorf("%s: check has %q:\n%s", tt.name, not, out)
			}
		}
		if strings.ContainsAny(out, "\x1b\u202e") {
			t.Errorf("%s: check obeys what it was sent: %q", tt.name, out)
		}
		code, out, _ = command(t, nil, append(args, "--json")...)
		var j judgement
		if err := json.Unmarshal([]byte(out), &j); err != nil || code != tt.code || j.Exit != code || j.OK != (code == exitOK) || j.OK != (len(j.Problems) == 0) || j.Run == nil || j.Run.ID != "run-1" {
			t.Errorf("%s: check --json = %d, %+v, %v", tt.name, code, j, err)
		}
		if strings.ContainsAny(out, "\x1b\u202e") {
			t.Errorf("%s: the JSON holds what a terminal obeys: %q", tt.name, out)
		}
	}
}

// TestCheckTellsAFailureFromNotKnowing: whatever keeps it from asking is 3 and one
// line, never 1.
func TestCheckTellsAFailureFromNotKnowing(t *testing.T) {
	const path = "GET " + wire.PathHypercare
	tests := []struct {
		name   string
		change func(*fakeObserver)
		want   string
	}{
		{"no run", func(o *fakeObserver) { o.run = nil }, "hypercare start"},
		{"an old daemon", func(o *fakeObserver) {
			o.pages[path] = func(w http.ResponseWriter, r *http.Request, _ []byte) { http.NotFound(w, r) }
		}, "nothing is served at"},
		{"trouble", func(o *fakeObserver) {
			o.refuse(path, http.StatusServiceUnavailable, wire.Error{Error: "the journal\x1b[2J cannot be read"})
		}, "refused: the journal cannot be read"},
		{"a page", func(o *fakeObserver) { o.serve(path, "<html>login</html>") }, "unreadable"},
		{"a broken connection", func(o *fakeObserver) {
			o.pages[path] = func(http.ResponseWriter, *http.Request, []byte) { panic(http.ErrAbortHandler) }
		}, "cannot be asked"},
	}
	for _, tt := range tests {
		o := newObserver(t)
		tt.change(o)
		code, out, errs := command(t, nil, "check", "--url", o.URL)
		if code != exitUnreachable || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, tt.want) || strings.Contains(errs, "\x1b") {
			t.Errorf("%s: check = %d, %q, %q, want 3 and one line with %q", tt.name, code, out, errs, tt.want)
		}
		code, out, errs = command(t, nil, "check", "--json", "--wait", "--url", o.URL)
		var j judgement
		if err := json.Unmarshal([]byte(out), &j); err != nil || code != exitUnreachable || j.Exit != code || j.OK || j.Error == "" || j.Run != nil || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: check --json --wait = %d, %+v, %q, %v", tt.name, code, j, errs, err)
		}
	}
	if code, _, errs := command(t, nil, "check", "--url", nowhere(t)); code != exitUnreachable || !strings.Contains(errs, "connection refused") {
		t.Errorf("check of nothing = %d, %q", code, errs)
	}
}

// TestCheckWaitsForTheMachine: it waits for a checkpoint to open and its automatic
// checks to be judged, through moments without an answer, and not for people.
func TestCheckWaitsForTheMachine(t *testing.T) {
	o := newObserver(t)
	o.after = func(looks int) {
		point := &o.run.Checkpoints[2]
		switch looks {
		case 2:
			o.now = point.OpensAt
			point.State = wire.CheckpointOpen
			point.Sections[0].Checks = append(point.Sections[0].Checks, wire.Check{ID: "alert.made", Kind: "manual", Verdict: wire.VerdictPending})
		case 3:
			panic(http.ErrAbortHandler)
		case 5:
			at(o.run, 2, 0).Verdict = wire.VerdictFail
		}
	}
	code, out, errs := command(t, nil, "check", "--wait", "--checkpoint", "T+1h", "--interval", "1ms", "--url", o.URL)
	if code != exitFailed || errs != "" || !strings.Contains(out, "FAIL     cpu.low") || !strings.Contains(out, "PENDING  alert.made") || o.looks != 5 {
		t.Errorf("check --wait = %d after %d looks, %q:\n%s", code, o.looks, errs, out)
	}
}

func TestCheckWaitsForWhatIsDueWithoutACheckpoint(t *testing.T) {
	o := newObserver(t)
	at(o.run, 1, 0).Verdict = wire.VerdictPending
	o.after = func(looks int) {
		if looks == 3 {
			at(o.run, 1, 0).Verdict = wire.VerdictPass
		}
	}
	if code, out, errs := command(t, nil, "check", "--wait", "--interval", "1ms", "--url", o.URL); code != exitOK || errs != "" || o.looks != 3 {
		t.Errorf("check --wait = %d after %d looks, %q:\n%s", code, o.looks, errs, out)
	}
}

// TestAWaitThatEndsIsNoPass: unknown, but what fails already is a failure.
func TestAWaitThatEndsIsNoPass(t *testing.T) {
	for _, tt := range []struct {
		verdict string
		code    int
	}{{wire.VerdictPass, exitUnreachable}, {wire.VerdictFail, exitFailed}} {
		o := newObserver(t)
		at(o.run, 1, 0).Verdict = wire.VerdictPending
		at(o.run, 0, 0).Verdict = tt.verdict
		code, out, errs := command(t, nil, "check", "--wait", "--timeout", "5ms", "--interval", "1ms", "--url", o.URL)
		if code != tt.code || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "in time") || !strings.Contains(out, "notify.success") {
			t.Errorf("%s: check --wait = %d with %q, want %d:\n%s", tt.verdict, code, errs, tt.code, out)
		}
	}
}

func TestAWaitEndsWithTheRunAndBeyondTheGrace(t *testing.T) {
	for name, change := range map[string]func(*fakeObserver){
		"closed": func(o *fakeObserver) { o.run.State = wire.RunClosed },
		"late":   func(o *fakeObserver) { o.now = o.run.Checkpoints[1].GraceAt },
	} {
		o := newObserver(t)
		at(o.run, 1, 0).Verdict = wire.VerdictPending
		change(o)
		if code, _, errs := command(t, nil, "check", "--wait", "--url", o.URL); errs != "" || o.looks != 1 || name == "late" && code != exitUnreachable {
			t.Errorf("%s: check --wait = %d after %d looks, %q", name, code, o.looks, errs)
		}
	}
}

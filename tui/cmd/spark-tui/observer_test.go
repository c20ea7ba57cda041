package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spark-ta/spark/core/wire"
)

// fakeObserver is an observer that answers what a test tells it, and notes what it was asked.
type fakeObserver struct {
	URL string

	t     *testing.T
	mu    sync.Mutex
	run   *wire.HypercareRun // guarded by mu, like the rest
	now   int64
	after func(asked int) // before each answer of [wire.PathHypercare]
	looks int
	calls []call
	pages map[string]func(http.ResponseWriter, *http.Request, []byte)
}

// call is a request that came in.
type call struct {
	what   string // method, path and query
	body   string
	bearer string
}

const (
	t0     = int64(1_760_140_800_000) // 2025-10-11T00:00:00Z
	minute = int64(60_000)
)

func newObserver(t *testing.T) *fakeObserver {
	t.Helper()
	o := &fakeObserver{t: t, now: t0 + 20*minute, run: healthyRun(), pages: map[string]func(http.ResponseWriter, *http.Request, []byte){}}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	o.URL = server.URL
	return o
}

func (o *fakeObserver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		o.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	if r.Method != http.MethodGet && r.Header.Get("Content-Type") != "application/json" {
		o.t.Errorf("%s %s is no JSON: the daemon refuses it", r.Method, r.URL)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, call{r.Method + " " + r.URL.RequestURI(), string(body), r.Header.Get("Authorization")})
	if page := o.pages[r.Method+" "+r.URL.EscapedPath()]; page != nil {
		page(w, r, body)
		return
	}
	if r.Method != http.MethodGet || r.URL.Path != wire.PathHypercare {
		http.NotFound(w, r)
		return
	}
	o.looks++
	if o.after != nil {
		o.after(o.looks)
	}
	answer(w, wire.Hypercare{OK: true, Now: o.now, Run: o.run})
}

// serve answers a call with v; a changing one with the run when v is nil.
func (o *fakeObserver) serve(what string, v any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pages[what] = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		if v == nil {
			v = wire.HypercareAnswer{OK: true, Run: o.run}
		}
		answer(w, v)
	}
}

// refuse answers a call with an error of the contract.
func (o *fakeObserver) refuse(what string, status int, e wire.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pages[what] = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(e)
	}
}

func answer(w http.ResponseWriter, v any) {
	if text, ok := v.(string); ok {
		_, _ = io.WriteString(w, text)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

// changes returns the changing calls so far.
func (o *fakeObserver) changes() []call {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.calls), func(c call) bool { return strings.HasPrefix(c.what, "GET ") })
}

// healthyRun is a run at T+20m: T+0 is closed, T+15m is open, T+1h lies ahead.
func healthyRun() *wire.HypercareRun {
	check := func(id, kind, verdict, sentence string) wire.Check {
		return wire.Check{ID: id, Text: id + " as planned", Kind: kind, Verdict: verdict, Sentence: sentence}
	}
	point := func(id string, opens int64, state, verdict string, checks ...wire.Check) wire.Checkpoint {
		return wire.Checkpoint{
			ID: id, Title: "Title of " + id, OpensAt: opens, DueAt: opens + 10*minute, GraceAt: opens + 15*minute,
			State: state, Verdict: verdict, Sections: []wire.Section{{Title: "Checks", Checks: checks}},
		}
	}
	return &wire.HypercareRun{
		ID: "run-1", PlanID: "spark-ta-48h", PlanDigest: strings.Repeat("a", 64), Version: "v1.4.0", Profile: "compose",
		State: wire.RunRunning, T0: t0, EndsAt: t0 + 48*60*minute, Seq: 41, Head: strings.Repeat("b", 64), Verdict: wire.VerdictPending,
		Checkpoints: []wire.Checkpoint{
			point("T+0", t0, wire.CheckpointClosed, wire.VerdictPass, check("health.ok", "auto", wire.VerdictPass, "3 of 3 roles answer 200")),
			point("T+15m", t0+15*minute, wire.CheckpointOpen, wire.VerdictPending,
				check("notify.success", "auto", wire.VerdictPass, "412 of 412 sent"),
				check("ops.briefed", "manual", wire.VerdictPending, "")),
			point("T+1h", t0+60*minute, wire.CheckpointFuture, wire.VerdictPending, check("cpu.low", "auto", wire.VerdictPending, "")),
		},
		Incidents: []wire.Incident{
			{ID: "i1", Level: 1, Title: "old", OpenedAt: t0, ClosedAt: t0 + minute},
			{ID: "i2", Level: 2, Title: "Telegram answers 401\x1b[2J", OpenedAt: t0 + minute, Owner: "ada", Checks: []string{"notify.success"}},
		},
	}
}

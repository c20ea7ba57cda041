package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/api"
	"github.com/spark-ta/spark/daemon/event"
	"github.com/spark-ta/spark/daemon/observe"
	"github.com/spark-ta/spark/daemon/observe/journal"
)

const plainPlan = `---
kind: hypercare-plan
id: small
schema: 1
service: spark
signoff: [operations-lead, development-lead]
---
# A small plan

## T+0 Begin
<!-- hc window=15m grace=5m signoff=operations-lead -->

- [ ] The team is briefed ` + "`team.briefed`" + ` <!-- hc role=operations-lead -->
- [ ] Users are told ` + "`users.told`" + ` <!-- hc role=operations-lead evidence=note -->

## T+1h End
<!-- hc window=15m grace=5m -->

- [ ] The team has slept ` + "`team.rested`" + ` <!-- hc role=operations-lead -->
`

// book is a journal that can break.
type book struct {
	*journal.Journal
	broken bool
}

func (b *book) AppendAll(entries ...journal.Entry) ([]chain.Record, error) {
	if b.broken {
		return nil, errors.New("no space left on device")
	}
	return b.Journal.AppendAll(entries...)
}

// nothing answers no question.
type nothing struct{}

func (nothing) Ask(context.Context, *plan.State, plan.Evaluate) plan.Observation {
	return plan.Observation{Coverage: -1, Events: -1, Err: "nobody is asked"}
}

// room is a desk over a journal in memory, with the time in its hands.
type room struct {
	*observe.Desk
	book *book
	now  time.Time
	url  string
}

func hypercare(t *testing.T, gate api.Gate) *room {
	t.Helper()
	r := &room{now: time.UnixMilli(1_800_000_000_000)}
	r.book = &book{Journal: journal.NewMemory(journal.Options{Start: r.now})}
	r.Desk = &observe.Desk{
		Driver:  &observe.Driver{Machine: &plan.Machine{}, Book: r.book, Asker: nothing{}, Now: func() time.Time { return r.now }},
		Journal: r.book.Journal, Now: func() time.Time { return r.now }, Profile: "compose", Version: "v1",
		Plans: func(id string) (string, []byte, error) {
			if id != "" && id != "small" {
				return "", nil, fmt.Errorf("there is no plan %.40q", id)
			}
			return "small.md", []byte(plainPlan), nil
		},
		Health: func() wire.ObserverState { return wire.ObserverState{Source: "local"} },
		What: func(_ context.Context, text []byte) (*wire.HypercareRun, error) {
			if _, err := plan.Parse("what-if", text); err != nil {
				return nil, &plan.ActError{Kind: plan.ErrInvalid, Field: "plan", Text: err.Error()}
			}
			return r.Hypercare().Run, nil
		},
	}
	rt := api.NewRouter(slog.New(slog.DiscardHandler))
	(&api.Observe{
		Fleet: func(context.Context) wire.Fleet { return wire.Fleet{OK: true} }, Events: event.NewLog(1, 1), Gate: gate,
		Hypercare: &api.Hypercare{Judge: r.Desk, Gate: gate, Coverage: func() (wire.Coverage, error) {
			return wire.Coverage{OK: true, Checks: []wire.CheckCoverage{{ID: "team.briefed", Kind: "manual"}}}, nil
		}},
		Queries: map[string]http.Handler{wire.PathQuery: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Method+" "+r.FormValue("query"))
		})},
	}).AddTo(rt)
	srv := httptest.NewServer(rt)
	t.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}

func decoded[T any](t *testing.T, a answer) (out T) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil || a.status != 200 {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return out
}

func checkPath(id, verb string) string {
	return strings.NewReplacer("{id}", id, "{verb}", verb).Replace(wire.PathCheck)
}

func incidentPath(id, verb string) string {
	return strings.NewReplacer("{id}", id, "{verb}", verb).Replace(wire.PathIncident)
}

func TestARunByHTTP(t *testing.T) {
	r := hypercare(t, api.Gate{OpsToken: "secret"})
	post := func(path, body string) wire.HypercareAnswer {
		t.Helper()
		return decoded[wire.HypercareAnswer](t, ask(t, "POST", r.url+path, body, "Authorization", "Bearer secret"))
	}
	before := decoded[wire.Hypercare](t, ask(t, "GET", r.url+wire.PathHypercare, ""))
	if before.Run != nil || before.Plan.ID != "small" || before.Plan.Checks != 3 {
		t.Errorf("before the start = %+v", before)
	}
	began := post(wire.PathPlanStart, `{"version":"v2.1.0"}`)
	if began.Run == nil || began.Run.Version != "v2.1.0" || began.Run.Profile != "compose" || began.ID != began.Run.ID {
		t.Fatalf("start = %+v", began)
	}
	ticked := post(checkPath("team.briefed", "tick"), `{"role":"operations-lead","evidence":"in the channel"}`)
	tick := ticked.Run.Checkpoints[0].Sections[0].Checks[0]
	if tick.Verdict != wire.VerdictPass || tick.Tick == nil || tick.Tick.Who != "ops-token" || tick.Tick.Role != "operations-lead" {
		t.Errorf("a tick left %+v", tick)
	}
	opened := post(wire.PathIncidents, `{"level":1,"title":"slow","checks":["users.told"]}`)
	if opened.ID == "" || len(opened.Run.Incidents) != 1 {
		t.Fatalf("an incident = %+v", opened)
	}
	post(incidentPath(opened.ID, "own"), `{"owner":"alice"}`)
	closed := post(incidentPath(opened.ID, "close"), `{"result":"a lunch break"}`)
	if i := closed.Run.Incidents[0]; i.Owner != "alice" || i.Result != "a lunch break" || i.ClosedBy != "ops-token" {
		t.Errorf("the closed incident = %+v", i)
	}
	if d := post(wire.PathDecisions, `{"parameter":"ALERT_COOLDOWN_SEC","from":"300","to":"600","why":"noise"}`); d.ID == "" || len(d.Run.Decisions) != 1 {
		t.Errorf("a decision = %+v", d)
	}
	if i := post(wire.PathUserIssues, `{"text":"chart is blank","minor":true}`); len(i.Run.UserIssues) != 1 || !i.Run.UserIssues[0].Minor {
		t.Errorf("a user's issue = %+v", i.Run.UserIssues)
	}
	if s := post(wire.PathSignOff, `{"checkpoint":"T+0","role":"operations-lead","decision":"close"}`); len(s.Run.SignOffs) != 1 || s.Run.SignOffs[0].Who != "ops-token" {
		t.Errorf("a word under a checkpoint = %+v", s.Run.SignOffs)
	}
	if w := decoded[wire.WhatIfAnswer](t, ask(t, "POST", r.url+wire.PathWhatIf, whatIfBody(t, plainPlan), "Authorization", "Bearer secret")); !w.OK || w.Checks != 3 {
		t.Errorf("the same plan = %+v", w)
	}
}

func whatIfBody(t *testing.T, text string) string {
	t.Helper()
	body, err := json.Marshal(wire.WhatIf{Plan: text})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestHypercareIsReadByEverybodyAndItsJournalByOperators(t *testing.T) {
	r := hypercare(t, api.Gate{OpsToken: "secret"})
	if got := ask(t, "POST", r.url+wire.PathPlanStart, `{}`, "Authorization", "Bearer secret"); got.status != 200 {
		t.Fatalf("start = %d %s", got.status, got.body)
	}
	for path, want := range map[string]string{
		wire.PathHypercare: `"run":{`, wire.PathCoverage: `"team.briefed"`, wire.PathClosing: `"statement":"`, wire.PathIncidents: `"incidents":[]`, wire.PathKeys: `"keys":[]`,
	} {
		if got := ask(t, "GET", r.url+path, ""); got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("GET %s = %d %s, want %s", path, got.status, got.body, want)
		}
	}
	for _, path := range []string{wire.PathAudit, wire.PathAuditVerify} {
		if got := ask(t, "GET", r.url+path, ""); got.status != 401 {
			t.Errorf("GET %s without the token = %d, want 401", path, got.status)
		}
	}
	head := r.Journal.Head()
	if v := decoded[wire.AuditVerify](t, ask(t, "GET", r.url+wire.PathAuditVerify, "", "Authorization", "Bearer secret")); !v.OK || v.Head != head.Hash {
		t.Errorf("verify = %+v, want the head %s", v, head.Hash)
	}
	page := decoded[wire.Audit](t, ask(t, "GET", r.url+wire.PathAudit+"?limit=1", "", "Authorization", "Bearer secret"))
	if len(page.Records) != 1 || page.Records[0].Kind != plan.KindStart || page.Next != 1 {
		t.Errorf("the first page = %+v", page)
	}
	rest := decoded[wire.Audit](t, ask(t, "GET", r.url+wire.PathAudit+"?since=1", "", "Authorization", "Bearer secret"))
	if n := len(rest.Records); n == 0 || rest.Records[n-1].Hash != head.Hash || rest.Next != 0 {
		t.Errorf("the rest = %+v", rest)
	}
}

func TestAReportHasItsTypeAndRunsNothing(t *testing.T) {
	r := hypercare(t, api.Gate{Loopback: true})
	if got := ask(t, "GET", r.url+wire.PathReport, ""); got.status != 409 && got.status != 404 {
		t.Errorf("a report before the start = %d %s, want a refusal", got.status, got.body)
	}
	ask(t, "POST", r.url+wire.PathPlanStart, `{}`)
	tests := []struct{ query, kind, begins string }{
		{"", "text/markdown; charset=utf-8", "# "},
		{"?format=md&seq=1", "text/markdown; charset=utf-8", "# "},
		{"?format=html", "text/html; charset=utf-8", "<!DOCTYPE html>"},
		{"?format=json", "application/json; charset=utf-8", "{"},
	}
	for _, tt := range tests {
		got := ask(t, "GET", r.url+wire.PathReport+tt.query, "")
		if got.status != 200 || got.header.Get("Content-Type") != tt.kind || !strings.HasPrefix(got.body, tt.begins) {
			t.Errorf("report%s = %d %s %.40q, want %s", tt.query, got.status, got.header.Get("Content-Type"), got.body, tt.kind)
		}
		if csp := got.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("report%s may run what it quotes: %q", tt.query, csp)
		}
	}
}

func TestHypercareRefusals(t *testing.T) {
	r := hypercare(t, api.Gate{Loopback: true})
	if got := ask(t, "POST", r.url+checkPath("team.briefed", "tick"), `{}`); got.status != 409 || got.refusal(t).Code != wire.CodeConflict {
		t.Errorf("a tick before the start = %d %s, want 409", got.status, got.body)
	}
	if got := ask(t, "GET", r.url+wire.PathClosing, ""); got.status != 409 {
		t.Errorf("closing before the start = %d %s, want 409", got.status, got.body)
	}
	if got := ask(t, "POST", r.url+wire.PathWhatIf, whatIfBody(t, plainPlan)); got.status != 409 {
		t.Errorf("a what-if before the start = %d %s, want 409", got.status, got.body)
	}
	ask(t, "POST", r.url+wire.PathPlanStart, `{}`)
	seq := r.Journal.Head().Seq
	big := strings.Repeat("x", api.MaxBody)
	tests := []struct {
		name, method, path, body string
		status                   int
		code                     wire.Code
		field                    string
	}{
		{"started twice", "POST", wire.PathPlanStart, `{}`, 409, wire.CodeConflict, ""},
		{"no such plan", "POST", wire.PathPlanStart, `{"plan":"large"}`, 404, wire.CodeNotFound, "plan"},
		{"unknown field of a start", "POST", wire.PathPlanStart, `{"release":"v1"}`, 400, wire.CodeInvalidInput, "release"},
		{"no such check", "POST", checkPath("team.lunch", "tick"), `{}`, 404, wire.CodeNotFound, "id"},
		{"no such verb", "POST", checkPath("team.briefed", "hug"), `{}`, 404, wire.CodeNotFound, "verb"},
		{"unknown field of an act", "POST", checkPath("team.briefed", "tick"), `{"by":"me"}`, 400, wire.CodeInvalidInput, "by"},
		{"wrong type", "POST", checkPath("team.briefed", "waive"), `{"expires":"tomorrow"}`, 400, wire.CodeInvalidInput, "expires"},
		{"waived without a reason", "POST", checkPath("team.briefed", "waive"), `{"role":"operations-lead"}`, 400, wire.CodeInvalidInput, "reason"},
		{"evidence is missing", "POST", checkPath("users.told", "tick"), `{"role":"operations-lead"}`, 400, wire.CodeInvalidInput, "evidence"},
		{"no body", "POST", checkPath("team.briefed", "tick"), " ", 400, wire.CodeInvalidInput, ""},
		{"too large", "POST", checkPath("team.briefed", "note"), `{"reason":"` + big + `"}`, 400, wire.CodeInvalidInput, ""},
		{"a parameter", "POST", checkPath("team.briefed", "tick") + "?force=1", `{}`, 400, wire.CodeInvalidInput, "force"},
		{"no such incident", "POST", incidentPath("inc-9", "own"), `{"owner":"a"}`, 404, wire.CodeNotFound, "id"},
		{"level of an incident", "POST", wire.PathIncidents, `{"level":4,"title":"x"}`, 400, wire.CodeInvalidInput, "level"},
		{"empty decision", "POST", wire.PathDecisions, `{}`, 400, wire.CodeInvalidInput, "parameter"},
		{"empty issue", "POST", wire.PathUserIssues, `{}`, 400, wire.CodeInvalidInput, "text"},
		{"nobody can sign", "POST", wire.PathSignOff, `{"role":"operations-lead","decision":"close"}`, 409, wire.CodeConflict, "role"},
		{"no plan", "POST", wire.PathWhatIf, `{}`, 400, wire.CodeInvalidInput, "plan"},
		{"no plan at all", "POST", wire.PathWhatIf, whatIfBody(t, "# Hello\n"), 400, wire.CodeInvalidInput, "plan"},
		{"too large a plan", "POST", wire.PathWhatIf, whatIfBody(t, strings.Repeat("x", api.MaxPlan)), 400, wire.CodeInvalidInput, ""},
		{"format", "GET", wire.PathReport + "?format=pdf", "", 400, wire.CodeInvalidInput, "format"},
		{"record to come", "GET", wire.PathReport + "?seq=999", "", 404, wire.CodeNotFound, "seq"},
		{"record", "GET", wire.PathReport + "?seq=-1", "", 400, wire.CodeInvalidInput, "seq"},
		{"since", "GET", wire.PathAudit + "?since=x", "", 400, wire.CodeInvalidInput, "since"},
		{"limit", "GET", wire.PathAudit + "?limit=0", "", 400, wire.CodeInvalidInput, "limit"},
		{"parameter of a read", "GET", wire.PathHypercare + "?full=1", "", 400, wire.CodeInvalidInput, "full"},
		{"method", "DELETE", wire.PathHypercare, "", 405, wire.CodeInvalidInput, ""},
	}
	for _, tt := range tests {
		got := ask(t, tt.method, r.url+tt.path, tt.body)
		e := got.refusal(t)
		if got.status != tt.status || e.Code != tt.code || e.Field != tt.field || e.Error == "" {
			t.Errorf("%s: %d %+v, want %d %s in field %q", tt.name, got.status, e, tt.status, tt.code, tt.field)
		}
	}
	if now := r.Journal.Head().Seq; now != seq {
		t.Errorf("refused calls wrote %d records", now-seq)
	}
	// A plan is larger than other bodies.
	if got := ask(t, "POST", r.url+wire.PathWhatIf, whatIfBody(t, plainPlan+strings.Repeat("\nmore words", 2*api.MaxBody/11))); got.status != 200 {
		t.Errorf("a plan of 128 KiB = %d %s", got.status, got.body)
	}
}

func TestWhoMayChangeARun(t *testing.T) {
	held, open, loop := hypercare(t, api.Gate{OpsToken: "secret"}), hypercare(t, api.Gate{}), hypercare(t, api.Gate{Loopback: true})
	paths := []string{
		wire.PathPlanStart, wire.PathWhatIf, checkPath("team.briefed", "tick"), wire.PathDecisions, wire.PathUserIssues, wire.PathSignOff,
		wire.PathIncidents, incidentPath("x", "own"),
	}
	for _, path := range paths {
		if got := ask(t, "POST", held.url+path, `{}`); got.status != 401 {
			t.Errorf("POST %s without the token = %d, want 401", path, got.status)
		}
		if got := ask(t, "POST", held.url+path, `{}`, "Authorization", "Bearer secret", "Origin", "https://evil.example"); got.status != 403 {
			t.Errorf("POST %s of another site = %d, want 403", path, got.status)
		}
		if got := ask(t, "POST", open.url+path, `{}`); got.status != 403 {
			t.Errorf("POST %s beyond loopback without a token = %d, want 403", path, got.status)
		}
	}
	for _, r := range []*room{held, open} {
		if n := r.Journal.Head().Seq; n != 0 {
			t.Errorf("refused calls wrote %d records", n)
		}
	}
	ask(t, "POST", loop.url+wire.PathPlanStart, `{}`)
	if records, err := loop.Journal.ReadAll(); err != nil || len(records) == 0 || records[0].Who != "loopback" {
		t.Errorf("the start's record = %+v (%v), want who loopback", records, err)
	}
}

func TestAJournalThatCannotBeWrittenIsUnavailable(t *testing.T) {
	r := hypercare(t, api.Gate{Loopback: true})
	ask(t, "POST", r.url+wire.PathPlanStart, `{}`)
	r.book.broken = true
	for range 2 { // the first call finds out, the second finds the driver ended
		got := ask(t, "POST", r.url+checkPath("team.briefed", "tick"), `{"role":"operations-lead"}`)
		if e := got.refusal(t); got.status != 503 || e.Code != wire.CodeUnavailable || !strings.Contains(e.Error, "journal") || got.header.Get("Retry-After") == "" {
			t.Errorf("a tick with a full disk = %d %+v, want 503", got.status, e)
		}
	}
}

func TestOneWhatIfAtATime(t *testing.T) {
	r := hypercare(t, api.Gate{Loopback: true})
	ask(t, "POST", r.url+wire.PathPlanStart, `{}`)
	under, end := make(chan struct{}), make(chan struct{})
	r.What = func(context.Context, []byte) (*wire.HypercareRun, error) {
		close(under)
		<-end
		return r.Hypercare().Run, nil
	}
	first := make(chan int, 1) // one answer, from the goroutine below
	go func() {
		resp, err := http.Post(r.url+wire.PathWhatIf, "application/json", strings.NewReader(`{"plan":"x"}`))
		if err != nil {
			first <- 0
			return
		}
		resp.Body.Close()
		first <- resp.StatusCode
	}()
	select {
	case <-under:
	case status := <-first:
		t.Fatalf("the first what-if = %d before it was let go", status)
	}
	if got := ask(t, "POST", r.url+wire.PathWhatIf, `{"plan":"x"}`); got.status != 429 || got.refusal(t).RetryAfter == 0 {
		t.Errorf("a second what-if = %d %s, want 429", got.status, got.body)
	}
	close(end)
	if status := <-first; status != 200 {
		t.Errorf("the first what-if = %d, want 200", status)
	}
}

func TestQueriesAreMountedForBothMethodsAndForNoOtherSite(t *testing.T) {
	r := hypercare(t, api.Gate{})
	if got := ask(t, "GET", r.url+wire.PathQuery+"?query=up", ""); got.status != 200 || got.body != "GET up" {
		t.Errorf("GET = %d %s", got.status, got.body)
	}
	if got := ask(t, "POST", r.url+wire.PathQuery, "query=up", "Content-Type", "application/x-www-form-urlencoded"); got.status != 200 || got.body != "POST up" {
		t.Errorf("POST of a form = %d %s", got.status, got.body)
	}
	if got := ask(t, "GET", r.url+wire.PathQuery+"?query=up", "", "Origin", "https://evil.example"); got.status != 403 {
		t.Errorf("GET of another site = %d, want 403", got.status)
	}
	if got := ask(t, "GET", r.url+wire.PathQuery+"?query=up", "", "Host", "spark-observer.ops.svc:4010"); got.status != 200 {
		t.Errorf("GET by the name of a service = %d, want 200", got.status)
	}
}

func TestAnObserverWithoutAJudgeKnowsNoHypercare(t *testing.T) {
	rt := api.NewRouter(slog.New(slog.DiscardHandler))
	(&api.Observe{Fleet: func(context.Context) wire.Fleet { return wire.Fleet{OK: true} }, Events: event.NewLog(1, 1)}).AddTo(rt)
	srv := httptest.NewServer(rt)
	defer srv.Close()
	for method, path := range map[string]string{"GET": wire.PathHypercare, "POST": wire.PathPlanStart} {
		if got := ask(t, method, srv.URL+path, `{}`); got.status != 404 || got.refusal(t).Code != wire.CodeNotFound {
			t.Errorf("%s %s = %d %s, want 404", method, path, got.status, got.body)
		}
	}
}

package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
)

// MaxPlan is the most that the body of wire.PathWhatIf may have, in bytes.
const MaxPlan = 512 << 10

// Judge is a run as people meet it. What is refused is a [*plan.ActError] and has
// changed nothing. A change is safe in the journal when its call returns; when the
// journal takes nothing more, ObserverState.JournalError of Hypercare says so.
type Judge interface {
	Hypercare() wire.Hypercare
	Closing() (wire.Closing, error)
	// Report is of the run as it was at a record, now for 0.
	Report(format string, seq int64) ([]byte, error)
	EnrolledKeys() wire.Keys
	// Audit returns at most limit records after since.
	Audit(since int64, limit int) (wire.Audit, error)
	Verify() wire.AuditVerify

	// Those that make something return its id.
	Start(ctx context.Context, by plan.Actor, s wire.Start) (id string, err error)
	Check(ctx context.Context, by plan.Actor, id, verb string, a wire.CheckAct) error
	Decide(ctx context.Context, by plan.Actor, a wire.DecisionAct) (id string, err error)
	Issue(ctx context.Context, by plan.Actor, a wire.IssueAct) (id string, err error)
	// Incident opens one when id is empty.
	Incident(ctx context.Context, by plan.Actor, id, verb string, a wire.IncidentAct) (made string, err error)
	Sign(ctx context.Context, by plan.Actor, a wire.SignAct) error
	// WhatIf changes nothing and may take minutes of one core.
	WhatIf(ctx context.Context, plan string) (wire.WhatIfAnswer, error)
}

// Hypercare answers the calls about the run.
type Hypercare struct {
	Judge Judge
	// Coverage tells which scenario has shown each check failing and unknown.
	Coverage func() (wire.Coverage, error)
	Gate     Gate
}

// AddTo adds the calls to a router.
func (h *Hypercare) AddTo(rt *Router) {
	get := func(path string, answer handler) { rt.on(http.MethodGet, path, answer) }
	post := func(path string, answer handler) { rt.on(http.MethodPost, path, h.Gate.operate(answer)) }

	get(wire.PathHypercare, plain(func() (any, error) { return h.Judge.Hypercare(), nil }))
	get(wire.PathCoverage, plain(func() (any, error) { return h.Coverage() }))
	get(wire.PathClosing, plain(func() (any, error) { return h.Judge.Closing() }))
	get(wire.PathIncidents, plain(h.incidents))
	get(wire.PathKeys, plain(func() (any, error) { return h.Judge.EnrolledKeys(), nil }))
	get(wire.PathReport, h.report)
	get(wire.PathAudit, h.Gate.operate(h.audit))
	get(wire.PathAuditVerify, h.Gate.operate(plain(func() (any, error) { return h.Judge.Verify(), nil })))

	post(wire.PathPlanStart, act(h, func(r *http.Request, by plan.Actor, in wire.Start) (string, error) {
		return h.Judge.Start(r.Context(), by, in)
	}))
	post(wire.PathCheck, act(h, func(r *http.Request, by plan.Actor, in wire.CheckAct) (string, error) {
		by.Role = in.Role
		return "", h.Judge.Check(r.Context(), by, r.PathValue("id"), r.PathValue("verb"), in)
	}))
	post(wire.PathDecisions, act(h, func(r *http.Request, by plan.Actor, in wire.DecisionAct) (string, error) {
		return h.Judge.Decide(r.Context(), by, in)
	}))
	post(wire.PathUserIssues, act(h, func(r *http.Request, by plan.Actor, in wire.IssueAct) (string, error) {
		return h.Judge.Issue(r.Context(), by, in)
	}))
	post(wire.PathSignOff, act(h, func(r *http.Request, by plan.Actor, in wire.SignAct) (string, error) {
		by.Role = in.Role
		return "", h.Judge.Sign(r.Context(), by, in)
	}))
	post(wire.PathIncidents, act(h, func(r *http.Request, by plan.Actor, in wire.IncidentAct) (string, error) {
		return h.Judge.Incident(r.Context(), by, "", "", in)
	}))
	post(wire.PathIncident, act(h, func(r *http.Request, by plan.Actor, in wire.IncidentAct) (string, error) {
		return h.Judge.Incident(r.Context(), by, r.PathValue("id"), r.PathValue("verb"), in)
	}))
	post(wire.PathWhatIf, h.whatIf(make(chan struct{}, 1)))
}

// plain answers a call without parameters.
func plain(answer func() (any, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := query(r); err != nil {
			return err
		}
		body, err := answer()
		if err != nil {
			return judged(err)
		}
		reply(w, http.StatusOK, body)
		return nil
	}
}

// act answers a call that changes the run, with the run afterwards.
func act[T any](h *Hypercare, do func(r *http.Request, by plan.Actor, in T) (id string, err error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := query(r); err != nil {
			return err
		}
		var in T
		if err := read(w, r, &in); err != nil {
			return err
		}
		id, err := do(r, plan.Actor{Who: h.who()}, in)
		if err != nil {
			return h.unlessJournal(judged(err))
		}
		reply(w, http.StatusOK, wire.HypercareAnswer{OK: true, ID: id, Run: h.Judge.Hypercare().Run})
		return nil
	}
}

// who stands in the journal for whoever passed the gate. A token and a loopback
// connection say which door somebody came through, not who it was: people are known
// once calls are signed by their own keys (wire.HeaderSignature), which this version
// does not read. A role is what the body claims; what counts, a signature under the
// closing statement, is verified by the machine with the keys that are enrolled.
func (h *Hypercare) who() string {
	if h.Gate.OpsToken != "" {
		return "ops-token"
	}
	return "loopback"
}

// judged turns a refusal of the judge into an answer.
func judged(err error) error {
	var no *plan.ActError
	var broken *chain.Broken
	switch {
	case errors.As(err, &no):
		out := &refusal{code: wire.CodeInvalidInput, field: no.Field, text: no.Text}
		switch {
		case errors.Is(no, plan.ErrNotFound):
			out.code = wire.CodeNotFound
		case errors.Is(no, plan.ErrConflict):
			out.code = wire.CodeConflict
		}
		return out
	case errors.As(err, &broken):
		return &refusal{code: wire.CodeUnavailable, text: "the journal is broken: " + broken.Error()}
	}
	return err
}

// unlessJournal makes an error that came of a journal which takes nothing more an
// answer that says so: trying again helps after the observer was started anew.
func (h *Hypercare) unlessJournal(err error) error {
	var no *refusal
	if errors.As(err, &no) {
		return err
	}
	if trouble := h.Judge.Hypercare().Observer.JournalError; trouble != "" {
		return &refusal{code: wire.CodeUnavailable, text: trouble, retryAfter: 30}
	}
	return err
}

func (h *Hypercare) incidents() (any, error) {
	out := struct {
		OK        bool            `json:"ok"`
		Incidents []wire.Incident `json:"incidents"`
	}{true, []wire.Incident{}}
	if run := h.Judge.Hypercare().Run; run != nil && run.Incidents != nil {
		out.Incidents = run.Incidents
	}
	return out, nil
}

// The formats of a report with their types.
var reportTypes = map[string]string{
	"md": "text/markdown; charset=utf-8", "html": "text/html; charset=utf-8", "json": "application/json; charset=utf-8",
}

func (h *Hypercare) report(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "format", "seq")
	if err != nil {
		return err
	}
	format := given(q, "format", "md")
	kind, ok := reportTypes[format]
	if !ok {
		return badInput("format", "format %.32q is not one of md, html, json", format)
	}
	seq, err := wholeNumber(q, "seq", 0, 0, maxSeq)
	if err != nil {
		return err
	}
	text, err := h.Judge.Report(format, int64(seq))
	if err != nil {
		return judged(err)
	}
	name := "hypercare." + format
	if seq > 0 {
		name = fmt.Sprintf("hypercare-%d.%s", seq, format)
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `inline; filename="`+name+`"`)
	w.Header().Set("Cache-Control", "no-store")
	// The report quotes what others wrote. It is escaped there; a browser that shows it
	// is told once more to run nothing of it.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	_, _ = w.Write(text) // the caller has gone: there is nobody to tell
	return nil
}

// maxSeq is the greatest number of a record that JSON carries whole.
const maxSeq = 1 << 53

// Records in one answer of the journal. One may have much evidence.
const (
	defaultRecords = 200
	maxRecords     = 1000
)

func (h *Hypercare) audit(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "since", "limit")
	if err != nil {
		return err
	}
	since, err := wholeNumber(q, "since", 0, 0, maxSeq)
	if err != nil {
		return err
	}
	limit, err := wholeNumber(q, "limit", defaultRecords, 1, maxRecords)
	if err != nil {
		return err
	}
	out, err := h.Judge.Audit(int64(since), limit)
	if err != nil {
		return judged(err)
	}
	reply(w, http.StatusOK, out)
	return nil
}

// whatIfTime is the most that a what-if may take: two days of samples are lived
// through again.
const whatIfTime = 5 * time.Minute

// whatIf answers one at a time: each takes a core that the judge needs, too.
func (h *Hypercare) whatIf(turn chan struct{}) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := query(r); err != nil {
			return err
		}
		var in wire.WhatIf
		if err := readUpTo(MaxPlan, w, r, &in); err != nil {
			return err
		}
		if in.Plan == "" {
			return badInput("plan", "plan is required: the changed plan, as Markdown")
		}
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		default:
			return &refusal{code: wire.CodeRateLimit, text: "another what-if is under way; one at a time", retryAfter: 10}
		}
		ctx, cancel := context.WithTimeout(r.Context(), whatIfTime)
		defer cancel()
		// The listener's own limit is for calls that are quick.
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(whatIfTime + 10*time.Second)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		out, err := h.Judge.WhatIf(ctx, in.Plan)
		switch {
		case err != nil && ctx.Err() != nil && r.Context().Err() == nil:
			return &refusal{code: wire.CodeUnavailable, text: fmt.Sprintf("the what-if took longer than %s", whatIfTime)}
		case err != nil:
			return judged(err)
		}
		reply(w, http.StatusOK, out)
		return nil
	}
}

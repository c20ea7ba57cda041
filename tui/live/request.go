package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// Request is one call to the observer that the operator asked for. Only the
// functions of this file make one.
type Request struct {
	// Gen is the asker's own number; it comes back in the [Result].
	Gen uint64
	// Label says in a few words what is asked, for the line that tells how it went.
	Label safetext.Text

	method, path string
	body         any
	report       bool // the answer is a text, not JSON
}

// Result is how a [Request] went.
type Result struct {
	Gen     uint64
	Label   safetext.Text
	Err     safetext.Text // empty if it was done
	Closing *Closing      // of [ReadClosing]
	Report  *Report       // of [ReadReport]
}

// Closing is the statement under which the leads sign.
type Closing struct {
	Statement, Note safetext.Text // of several lines
	Seq             int64
	Head            safetext.Text
	Ready           bool
	Exit            []Criterion
}

// Report is the report of the run so far.
type Report struct {
	Text safetext.Text // of several lines, for eyes
	Raw  []byte        // as it came, for files; never drawn
}

// ActOnCheck does one of wire's verbs to a check.
func ActOnCheck(check safetext.Text, verb string, act wire.CheckAct) Request {
	return post(fmt.Sprintf("%s %s", verb, check), fill(wire.PathCheck, string(check), verb), act)
}

// ActOnIncident does one of wire's verbs to an incident.
func ActOnIncident(incident safetext.Text, verb string, act wire.IncidentAct) Request {
	return post(fmt.Sprintf("%s incident %s", verb, incident), fill(wire.PathIncident, string(incident), verb), act)
}

// OpenIncident opens an incident.
func OpenIncident(act wire.IncidentAct) Request {
	return post("open an incident", wire.PathIncidents, act)
}

// Decide records a tuning decision.
func Decide(act wire.DecisionAct) Request {
	return post("decide "+act.Parameter, wire.PathDecisions, act)
}

// ReportIssue records an issue that a user reported.
func ReportIssue(act wire.IssueAct) Request {
	return post("record the user's issue", wire.PathUserIssues, act)
}

// StartRun starts the plan.
func StartRun(act wire.Start) Request {
	return post("start the run of "+act.Version, wire.PathPlanStart, act)
}

// Sign gives a role's word under a checkpoint.
func Sign(act wire.SignAct) Request {
	return post("sign off "+act.Checkpoint, wire.PathSignOff, act)
}

// ReadClosing asks for the closing statement.
func ReadClosing() Request {
	return Request{Label: "read the closing statement", method: http.MethodGet, path: wire.PathClosing}
}

// ReadReport asks for the report in Markdown.
func ReadReport() Request {
	return Request{Label: "read the report", method: http.MethodGet, path: wire.PathReport + "?format=md", report: true}
}

func post(label, path string, body any) Request {
	return Request{Label: clean(label), method: http.MethodPost, path: path, body: body}
}

// fill puts an id and a verb into a pattern of the wire. An id is foreign text: it
// stays one segment whatever it is.
func fill(pattern, id, verb string) string {
	return strings.NewReplacer("{id}", url.PathEscape(id), "{verb}", verb).Replace(pattern)
}

// errEnding is why a request is not made any more.
var errEnding = errors.New("the console ends")

const (
	requestPatience = 10 * time.Second
	reportPatience  = time.Minute // it is made from the whole journal
)

type asked struct {
	request Request
	answer  chan Result // of capacity 1
}

// Do makes a request and returns when it went one way or the other, or when
// [Live.Run] has ended. It blocks: a command calls it, never Update.
func (l *Live) Do(r Request) Result {
	a := asked{r, make(chan Result, 1)}
	queue := l.changes
	if !r.Changes() {
		queue = l.reads
	}
	select {
	case queue <- a:
		return <-a.answer
	case <-l.ended:
		return Result{Gen: r.Gen, Label: r.Label, Err: cause(errEnding)}
	}
}

// Changes reports whether the request would change something.
func (r Request) Changes() bool { return r.method == http.MethodPost }

// runChanges makes one change after the other, in the order in which the operator
// asked: what is done second must not come first. A report that takes its time holds
// none of them up.
func (l *Live) runChanges(ctx context.Context) error { return l.serve(ctx, l.changes) }

func (l *Live) runReads(ctx context.Context) error { return l.serve(ctx, l.reads) }

// serve makes the requests of a queue. One that was taken gets its answer, also when
// ctx ends.
func (l *Live) serve(ctx context.Context, queue <-chan asked) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case a := <-queue:
			res, err := l.request(ctx, a.request)
			res.Gen, res.Label, res.Err = a.request.Gen, a.request.Label, cause(err)
			a.answer <- res
		}
	}
}

func (l *Live) request(ctx context.Context, r Request) (Result, error) {
	var res Result
	if r.method == http.MethodPost {
		var answer wire.HypercareAnswer
		if err := l.post(ctx, l.URL+r.path, r.body, &answer); err != nil {
			return res, err
		}
		if run := runOf(answer.Run); run != nil {
			now := moment(answer.Run.At)
			l.board.change(func(p *Picture, rev uint64) { p.Care.Rev, p.Care.Run, p.Care.Now = rev, run, now })
		}
		l.care.hurry()
		return res, nil
	}
	if r.report {
		err := l.read(ctx, l.URL+r.path, reportPatience, func(body io.Reader) error {
			raw, err := io.ReadAll(body)
			res.Report = &Report{Text: safetext.CleanMultiline(string(raw)), Raw: raw}
			return err
		})
		return res, err
	}
	var w wire.Closing
	if err := l.get(ctx, l.URL+r.path, requestPatience, &w); err != nil {
		return res, err
	}
	res.Closing = &Closing{
		Statement: safetext.CleanMultiline(w.Statement), Note: safetext.CleanMultiline(w.Note), Seq: w.Seq, Head: clean(w.Head), Ready: w.Ready,
		Exit: each(oldest(w.Exit, maxCheckpoints), func(w wire.Criterion) Criterion {
			return Criterion{Title: clean(w.Title), Text: clean(w.Text), Met: w.Met}
		}),
	}
	return res, nil
}

// post sends a change and reads the answer into v. It is made once: whether a change
// whose answer was lost was made is seen in the next picture, not guessed here.
func (l *Live) post(ctx context.Context, address string, body, v any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestPatience, errSlow{requestPatience})
	defer cancel()
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if l.Token != "" {
		req.Header.Set("Authorization", "Bearer "+l.Token)
	}
	res, err := l.HTTP.Do(req)
	if err != nil {
		var slow errSlow
		if errors.As(context.Cause(ctx), &slow) {
			return fmt.Errorf("%w: it may have been done all the same", slow)
		}
		return err
	}
	defer res.Body.Close()
	page, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if res.StatusCode/100 != 2 {
		var refusal wire.Error
		_ = json.Unmarshal(page, &refusal) // a page of a proxy says nothing more than its status
		return status{res.StatusCode, refusal.Error}
	}
	if err == nil {
		err = json.Unmarshal(page, v)
	}
	if err != nil {
		return fmt.Errorf("done, but the answer is unreadable: %w", err)
	}
	return nil
}

package livetest

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// Change is a request that changed something.
type Change struct {
	Path  string
	Body  string
	Token string // the Authorization header
}

// judge is the part of the daemon that judges. It is absent until [Daemon.Judge].
type judge struct {
	answer  wire.Hypercare
	refusal *wire.Error // of changes
	changes []Change
}

// Judge makes the daemon an observer with a run, or with a plan only if the answer
// has no run. Changes are taken from then on, and kept for [Daemon.Changes].
func (d *Daemon) Judge(h wire.Hypercare) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.judge == nil {
		d.judge = &judge{}
	}
	d.judge.answer = h
}

// RefuseChanges makes every change fail with the error, or none if it is nil.
func (d *Daemon) RefuseChanges(e *wire.Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.judge.refusal = e
}

// Changes returns the changes that were asked for, the oldest first.
func (d *Daemon) Changes() []Change {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.judge == nil {
		return nil
	}
	return append([]Change(nil), d.judge.changes...)
}

// answerJudge answers the calls of hypercare; 404 to all without a judge.
func (d *Daemon) answerJudge(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.judge == nil {
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodPost {
		d.change(w, r)
		return
	}
	switch r.URL.Path {
	case wire.PathHypercare:
		reply(w, http.StatusOK, d.judge.answer)
	case wire.PathClosing:
		reply(w, http.StatusOK, wire.Closing{
			OK: true, Statement: "spark hypercare closing statement\nrun run-1\nversion v1.4.0\nseq 214\n", Seq: 214, Head: "9c1f22ab", Exit: d.judge.answer.Run.Exit,
		})
	case wire.PathReport:
		_, _ = io.WriteString(w, "# Report of 48 hours\n\nVersion v1.4.0.\n\n- [x] Health endpoints returning 200 OK\n")
	default:
		http.NotFound(w, r)
	}
}

// change takes a change. What it means for the run is a real daemon's business; of
// ticks the fake knows that they make a check pass, so that a test sees a change.
func (d *Daemon) change(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if kind := r.Header.Get("Content-Type"); kind != "application/json" || err != nil || !json.Valid(body) {
		d.t.Errorf("%s with Content-Type %q and body %q (%v)", r.URL.Path, kind, body, err)
		reply(w, http.StatusBadRequest, wire.Error{Error: "no JSON", Code: wire.CodeInvalidInput})
		return
	}
	d.judge.changes = append(d.judge.changes, Change{r.URL.Path, string(body), r.Header.Get("Authorization")})
	if e := d.judge.refusal; e != nil {
		reply(w, e.Code.Status(), *e)
		return
	}
	if r.URL.Path == wire.PathPlanStart {
		d.judge.answer = Hypercare(time.Now())
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api/hypercare/checks/"); ok {
		if id, verb, _ := strings.Cut(rest, "/"); verb == wire.VerbTick && d.judge.answer.Run != nil {
			d.judge.answer.Run = ticked(d.judge.answer.Run, id)
		}
	}
	reply(w, http.StatusOK, wire.HypercareAnswer{OK: true, Run: d.judge.answer.Run})
}

// ticked returns a run in which a check was ticked.
func ticked(run *wire.HypercareRun, id string) *wire.HypercareRun {
	data, err := json.Marshal(run)
	next := &wire.HypercareRun{}
	if err != nil || json.Unmarshal(data, next) != nil {
		return run
	}
	for _, cp := range next.Checkpoints {
		for _, sec := range cp.Sections {
			for i := range sec.Checks {
				if c := &sec.Checks[i]; c.ID == id {
					c.Verdict, c.Sentence = wire.VerdictPass, "ticked by the test"
					c.Tick = &wire.Note{At: next.At, Who: "test", Text: "seen"}
				}
			}
		}
	}
	return next
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// answerQuery answers a range query with a wave, or two for a query "by".
func (d *Daemon) answerQuery(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	known := d.judge != nil
	d.mu.Unlock()
	if !known {
		http.NotFound(w, r)
		return
	}
	start, bad1 := strconv.ParseFloat(r.FormValue("start"), 64)
	end, bad2 := strconv.ParseFloat(r.FormValue("end"), 64)
	step, bad3 := strconv.ParseFloat(r.FormValue("step"), 64)
	if bad1 != nil || bad2 != nil || bad3 != nil || step <= 0 || (end-start)/step > 11_000 || r.FormValue("query") == "" {
		reply(w, http.StatusBadRequest, map[string]string{"status": "error", "errorType": "bad_data", "error": "not a range"})
		return
	}
	type series struct {
		Metric map[string]string `json:"metric"`
		Values [][2]any          `json:"values"`
	}
	all := []series{{Metric: map[string]string{"instance": "node-a"}}}
	if strings.Contains(r.FormValue("query"), " by (") {
		all = append(all, series{Metric: map[string]string{"instance": "node-b"}})
	}
	for i := range all {
		for at := start; at <= end; at += step {
			v := 100 + 40*math.Sin(at/600+float64(i))
			all[i].Values = append(all[i].Values, [2]any{at, strconv.FormatFloat(v, 'g', -1, 64)})
		}
	}
	reply(w, http.StatusOK, map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": all}})
}

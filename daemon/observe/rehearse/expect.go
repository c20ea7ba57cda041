package rehearse

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
	"github.com/spark-ta/spark/core/wire"
)

// expectation is one line of what a scenario wants to see.
type expectation struct {
	text  string
	kind  string // verdict, or the line's first word
	words []string
	timed bool
	at    time.Duration // since T0, when timed

	check     string // of a verdict
	verdict   plan.Verdict
	recovered bool
	how       string // seen, never, or says
	says      string
}

// momentary reports whether the line is about how things stand at its time, and not
// about an event that happened then.
func (e expectation) momentary() bool {
	return e.timed && e.kind != "incident" && e.kind != "escalation"
}

// The first words of lines that are about something else than a check, with the
// number of words that they need.
var expectable = map[string]int{
	"others": 2, "invariants": 2, "all": 3, "run": 2, "outcome": 2, "no": 2, "incident": 2, "escalation": 2, "refused": 2, "criterion": 3,
	"decision": 3, "gap": 2, "lock": 4, "told": 2,
}

// expectation reads one of
//
//	leader.single fail recovered            at the end
//	leader.single fail at T+2h5m            at that time
//	leader.single seen fail                 at any time
//	leader.single never pass                at no time
//	eval.p95 says "P95 3 s"                 words of its finding
//	others pass, warn                       everything else at the end
//	invariants unknown at T+5h1m            all that are watched with every scrape
//	all never pass                          no automatic check
//	run closed | run open | outcome pass
//	no incidents | no escalations | no gaps | no decisions
//	incident leader.single level 2 at T+2h30s
//	escalation T+4h level 3 at T+6h30m
//	refused 2 | refused "two people sign"   acts marked ! that were refused
//	criterion "SLOs" met | unmet
//	decision tune.cooldown reviewed         or proposed, decided; or says "52 %"
//	gap 5m
//	lock executor-1 epoch 3 at T+5m         who holds it, in which epoch
//	told "L3"                               somebody was called with these words
func (r *reader) expectation(line string) error {
	w, err := shellWords(line)
	if err != nil {
		return err
	}
	e := expectation{text: line}
	if n := len(w); n > 2 && w[n-2] == "at" {
		if e.at, err = offset(w[n-1]); err != nil {
			return err
		}
		w, e.timed = w[:n-2], true
	}
	if len(w) < 2 {
		return fmt.Errorf("what is expected?")
	}
	e.words = w
	least, other := expectable[w[0]]
	switch {
	case other && len(w) < least:
		return fmt.Errorf("%q is not complete", line)
	case other:
		e.kind = w[0]
		err = e.verdicts()
	default:
		e.kind, e.check = "verdict", w[0]
		err = e.ofCheck(w[1:])
	}
	r.s.expect = append(r.s.expect, e)
	return err
}

// verdicts checks the words that must be verdicts.
func (e *expectation) verdicts() error {
	switch e.kind {
	case "others":
		for i, v := range e.words[1:] {
			e.words[i+1] = strings.TrimSuffix(v, ",")
			if _, ok := readVerdict(e.words[i+1]); !ok {
				return fmt.Errorf("%q is no verdict", v)
			}
		}
	case "invariants", "all":
		v, ok := readVerdict(e.words[len(e.words)-1])
		if e.verdict = v; !ok || e.kind == "all" && e.words[1] != "never" {
			return fmt.Errorf("%q: invariants and a verdict, or all never and a verdict are meant", e.text)
		}
	}
	return nil
}

func (e *expectation) ofCheck(w []string) error {
	if len(w) == 2 && w[0] == "says" {
		e.how, e.says = "says", w[1]
		return nil
	}
	if len(w) == 2 && (w[0] == "seen" || w[0] == "never") {
		e.how, w = w[0], w[1:]
	}
	v, ok := readVerdict(w[0])
	if !ok || len(w) > 2 || len(w) == 2 && w[1] != "recovered" {
		return fmt.Errorf("%q: a check, a verdict and perhaps recovered are meant", e.text)
	}
	e.verdict, e.recovered = v, len(w) == 2
	return nil
}

// readVerdict reads a verdict; n/a is short for not applicable.
func readVerdict(s string) (plan.Verdict, bool) {
	if s == "n/a" {
		return plan.NotApplicable, true
	}
	return plan.ParseVerdict(s)
}

// Result is what came of a rehearsal.
type Result struct {
	Scenario string          `json:"scenario"`
	Plan     string          `json:"plan"`
	Title    string          `json:"title"`
	Passed   bool            `json:"passed"`
	Failures []string        `json:"failures"` // expectations that were not met
	Counts   wire.Counts     `json:"counts"`
	Head     string          `json:"head"`
	Records  int64           `json:"records"`
	Lasted   string          `json:"lasted"` // virtual
	Seen     map[string]Seen `json:"-"`
}

// Seen is what a check was seen to be.
type Seen struct{ Pass, Warn, Fail, Unknown bool }

// Result compares what came with what the scenario expects. Call it after the last
// tick.
func (r *Rehearsal) Result() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	head := r.Desk.Journal.Head()
	out := Result{
		Scenario: r.Scenario.ID, Plan: r.Scenario.Plan, Title: r.Scenario.Title, Failures: []string{}, Head: head.Hash, Records: head.Seq,
		Lasted: plan.FormatDuration(r.Since()), Seen: map[string]Seen{},
	}
	run := r.picture()
	if run == nil {
		out.Failures = append(out.Failures, "the run was never started")
		return out
	}
	out.Counts = run.Counts
	r.Driver.Look(func(*plan.State) {
		for check, v := range r.seen {
			out.Seen[check] = Seen{v[wire.VerdictPass], v[wire.VerdictWarn], v[wire.VerdictFail], v[wire.VerdictUnknown]}
		}
	})
	miss := func(e expectation, found string) {
		if found != "" {
			out.Failures = append(out.Failures, fmt.Sprintf("expected %q, found %s", e.text, found))
		}
	}
	reached := map[string]bool{}
	for _, a := range r.at {
		reached[a.e.text] = true
		miss(a.e, a.found)
	}
	for _, e := range r.Scenario.expect {
		switch {
		case !e.momentary():
			miss(e, r.compare(e, run))
		case !reached[e.text]:
			miss(e, "that its time was not reached")
		}
	}
	out.Passed = len(out.Failures) == 0 && len(r.Scenario.expect) > 0
	return out
}

// picture is the run as the consoles see it.
func (r *Rehearsal) picture() (run *wire.HypercareRun) {
	r.Driver.Look(func(s *plan.State) { run = report.Run(s, r.Now()) })
	return run
}

// compare says how an expectation is missed; "" when it is met.
func (r *Rehearsal) compare(e expectation, run *wire.HypercareRun) string {
	if run == nil {
		return "no run"
	}
	switch e.kind {
	case "verdict":
		return r.ofCheck(e, run)
	case "others":
		return r.others(e, run)
	case "invariants":
		return r.invariants(e)
	case "all":
		return r.never(e)
	case "run":
		if open := run.ClosedAt == 0; open != (e.words[1] == "open") {
			return "state " + run.State + ": " + unmet(run)
		}
	case "outcome":
		outcome := ""
		if r.Driver.Look(func(s *plan.State) { outcome = s.Outcome }); outcome != e.words[1] {
			return fmt.Sprintf("%q", outcome)
		}
	case "no":
		return none(e.words[1], run)
	case "incident":
		return incident(e, run)
	case "escalation":
		return escalation(e, run)
	case "refused":
		return r.refusal(e.words[1])
	case "criterion":
		return criterion(e, run)
	case "decision":
		return decision(e, run)
	case "gap":
		return gap(e, run)
	case "lock":
		if is := fmt.Sprintf("%s epoch %v", r.world.leader, r.world.epoch); is != strings.Join(e.words[1:], " ") {
			return is
		}
	case "told":
		return r.toldOf(e.words[1])
	}
	return ""
}

func (r *Rehearsal) ofCheck(e expectation, run *wire.HypercareRun) string {
	k, ok := report.Digest(run)[e.check]
	if !ok {
		return "no such check"
	}
	is := k.Verdict
	if k.Recovered {
		is += " recovered"
	}
	seen := false
	r.Driver.Look(func(*plan.State) { seen = r.seen[e.check][e.verdict.String()] })
	switch e.how {
	case "says":
		if !strings.Contains(k.Sentence, e.says) {
			return k.Sentence
		}
	case "seen", "never":
		if seen != (e.how == "seen") {
			return fmt.Sprintf("seen=%t, now %s: %s", seen, is, k.Sentence)
		}
	default:
		if k.Verdict != e.verdict.String() || e.recovered && !k.Recovered {
			return is + ": " + k.Sentence
		}
	}
	return ""
}

func (r *Rehearsal) others(e expectation, run *wire.HypercareRun) string {
	named := map[string]bool{}
	for _, x := range r.Scenario.expect {
		named[x.check] = named[x.check] || x.kind == "verdict" && x.how == "" && !x.timed
	}
	var bad []string
	for id, k := range report.Digest(run) {
		if v, ok := plan.ParseVerdict(k.Verdict); named[id] || ok && slices.ContainsFunc(e.words[1:], func(w string) bool { x, _ := readVerdict(w); return x == v }) {
			continue
		}
		bad = append(bad, id+" "+k.Verdict+" ("+k.Sentence+")")
	}
	slices.Sort(bad)
	return strings.Join(bad, "; ")
}

func (r *Rehearsal) invariants(e expectation) string {
	var bad []string
	r.Driver.Look(func(s *plan.State) {
		for _, c := range s.Checkpoints {
			for _, k := range c.States {
				if k.Mode == plan.Invariant && k.Verdict != plan.NotApplicable && k.Verdict != e.verdict {
					bad = append(bad, k.ID+" "+k.Verdict.String()+" ("+k.Finding.Sentence+")")
				}
			}
		}
	})
	return strings.Join(bad, "; ")
}

func (r *Rehearsal) never(e expectation) string {
	var bad []string
	r.Driver.Look(func(s *plan.State) {
		for check, v := range r.seen {
			if k := s.Check(check); k != nil && k.Source.Language != plan.SourceRun && v[e.verdict.String()] {
				bad = append(bad, check)
			}
		}
	})
	slices.Sort(bad)
	return strings.Join(bad, ", ")
}

func (r *Rehearsal) refusal(want string) string {
	if n, err := strconv.Atoi(want); err == nil {
		if n != len(r.refusals) {
			return strconv.Itoa(len(r.refusals))
		}
		return ""
	}
	if !slices.ContainsFunc(r.refusals, func(s string) bool { return strings.Contains(s, want) }) {
		return strings.Join(append([]string{"only"}, r.refusals...), "; ")
	}
	return ""
}

func (r *Rehearsal) toldOf(want string) (out string) {
	r.Driver.Look(func(*plan.State) {
		if !slices.ContainsFunc(r.log, func(s string) bool { return strings.Contains(s, want) }) {
			out = fmt.Sprintf("%d calls without it", len(r.log))
		}
	})
	return out
}

func unmet(run *wire.HypercareRun) string {
	var out []string
	for _, c := range run.Exit {
		if !c.Met {
			out = append(out, c.Title+" ("+c.Text+")")
		}
	}
	return strings.Join(out, "; ")
}

func none(what string, run *wire.HypercareRun) string {
	var n int
	var first string
	switch what {
	case "incidents":
		if n = len(run.Incidents); n > 0 {
			first = run.Incidents[0].Title
		}
	case "escalations":
		if n = len(run.Escalations); n > 0 {
			first = run.Escalations[0].Text
		}
	case "gaps":
		n = len(run.Gaps)
	case "decisions":
		n = len(run.Decisions)
	default:
		return "that there is no such thing as " + what
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d, the first: %s", n, first)
}

// sinceT0 is the time of an event in the picture.
func sinceT0(run *wire.HypercareRun, ms int64) time.Duration {
	return time.Duration(ms-run.T0) * time.Millisecond
}

func incident(e expectation, run *wire.HypercareRun) string {
	var found []string
	for _, i := range run.Incidents {
		at := sinceT0(run, i.OpenedAt)
		level := strconv.Itoa(i.Level)
		if slices.Contains(i.Checks, e.words[1]) && (len(e.words) < 4 || level == e.words[3]) && (!e.timed || at == e.at) {
			return ""
		}
		found = append(found, strings.Join(i.Checks, " ")+" level "+level+" at T+"+plan.FormatDuration(at))
	}
	return fmt.Sprintf("%d incidents: %s", len(run.Incidents), strings.Join(found, ", "))
}

func escalation(e expectation, run *wire.HypercareRun) string {
	var found []string
	for _, x := range run.Escalations {
		at := sinceT0(run, x.At)
		level := strconv.Itoa(x.Level)
		if x.Checkpoint == e.words[1] && (len(e.words) < 4 || level == e.words[3]) && (!e.timed || at == e.at) {
			return ""
		}
		found = append(found, x.Checkpoint+" level "+level+" at T+"+plan.FormatDuration(at))
	}
	return fmt.Sprintf("%d escalations: %s", len(run.Escalations), strings.Join(found, ", "))
}

func criterion(e expectation, run *wire.HypercareRun) string {
	for _, c := range run.Exit {
		if strings.Contains(c.Title, e.words[1]) {
			if c.Met == (e.words[2] == "met") {
				return ""
			}
			return c.Text
		}
	}
	return "no such criterion"
}

func decision(e expectation, run *wire.HypercareRun) string {
	var found []string
	for _, d := range run.Decisions {
		if d.Check != e.words[1] {
			continue
		}
		told := d.Figures + "; " + d.Effect
		if d.State == e.words[2] || len(e.words) == 4 && e.words[2] == "says" && strings.Contains(told, e.words[3]) {
			return ""
		}
		found = append(found, d.State+" "+d.Parameter+" ("+told+")")
	}
	return fmt.Sprintf("%d decisions: %s", len(run.Decisions), strings.Join(found, "; "))
}

func gap(e expectation, run *wire.HypercareRun) string {
	want, err := plan.ParseDuration(e.words[1])
	var found []string
	for _, g := range run.Gaps {
		lasted := time.Duration(g.To-g.From) * time.Millisecond
		if err == nil && lasted == want {
			return ""
		}
		found = append(found, plan.FormatDuration(lasted))
	}
	return fmt.Sprintf("%d gaps: %s", len(run.Gaps), strings.Join(found, ", "))
}

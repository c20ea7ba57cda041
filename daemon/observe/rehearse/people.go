package rehearse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
)

// scripted is one thing that a person of the scenario does.
type scripted struct {
	at      time.Duration
	who     string
	verb    string
	words   []string
	options map[string]string
	refused bool // it is expected to be refused
}

// verbs of the script with their words.
var verbs = []string{"tick", "untick", "waive", "note", "recheck", "decide", "issue", "open", "own", "link", "close", "sign", "reset-lock"}

// person reads one of
//
//	T+16m alice tick due                      all open manual items
//	T+16m alice tick ops.briefed note="…"
//	every 30m from T+15m to T+48h alice tick due
//	T+2h alice waive sse.stable role=operations-lead for=4h reason="…"
//	T+2h alice recheck redis.memory reason="…"
//	T+12h40m bob decide proposed to=600 why="…"
//	T+3h alice issue minor "…"      T+3h alice issue major "…"
//	T+3h alice close all result="…"
//	T+48h20m alice sign operations-lead
//	T+2h alice reset-lock executor-1 epoch=3
//
// A ! before the time says that it is to be refused.
func (r *reader) person(line string) error {
	line, refused := strings.CutPrefix(line, "!")
	words, err := shellWords(line)
	if err != nil {
		return err
	}
	times, rest, err := schedule(words)
	if err != nil {
		return err
	}
	if len(rest) < 2 {
		return fmt.Errorf("who does what?")
	}
	if !slices.Contains(verbs, rest[1]) {
		return fmt.Errorf("%q: people can %s", rest[1], strings.Join(verbs, ", "))
	}
	p := scripted{who: rest[0], verb: rest[1], options: map[string]string{}, refused: refused}
	for _, w := range rest[2:] {
		if key, v, ok := strings.Cut(w, "="); ok && key != "" && !strings.ContainsAny(key, " .") {
			p.options[key] = v
		} else {
			p.words = append(p.words, w)
		}
	}
	for _, at := range times {
		p.at = at
		r.s.people = append(r.s.people, p)
	}
	return nil
}

// shellWords splits at spaces, except between double quotes, which are taken off.
func shellWords(line string) ([]string, error) {
	var out []string
	var b strings.Builder
	quoted, some := false, false
	for _, c := range line {
		switch {
		case c == '"':
			quoted, some = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if b.Len() > 0 || some {
				out = append(out, b.String())
			}
			b.Reset()
			some = false
		default:
			b.WriteRune(c)
		}
	}
	if quoted {
		return nil, errors.New("a quote does not end")
	}
	if b.Len() > 0 || some {
		out = append(out, b.String())
	}
	return out, nil
}

func (p scripted) word(i int) string {
	if i < len(p.words) {
		return p.words[i]
	}
	return ""
}

// act does what a person does now. It returns how often it was refused and why last.
func (r *Rehearsal) act(ctx context.Context, p scripted) (refused error) {
	by := plan.Actor{Who: p.who, Role: p.options["role"]}
	now := r.Now()
	do := func(a plan.Act) {
		if _, err := r.Driver.Do(ctx, now, by, a); err != nil {
			refused = err
		}
	}
	reason := first(p.options["reason"], p.options["note"], p.word(1))
	switch p.verb {
	case "tick":
		for _, id := range r.due(p.word(0)) {
			do(plan.Tick{Check: id, Evidence: first(p.options["note"], "seen by "+p.who)})
		}
	case "untick":
		do(plan.Untick{Check: p.word(0), Reason: reason})
	case "waive":
		expires := time.Time{}
		if d, err := plan.ParseDuration(p.options["for"]); err == nil {
			expires = now.Add(d)
		}
		do(plan.Waive{Check: p.word(0), Reason: reason, Expires: expires})
	case "note":
		do(plan.AddNote{Check: p.word(0), Text: reason})
	case "recheck":
		do(plan.Recheck{Check: p.word(0), Reason: reason})
	case "decide":
		r.decide(p, do)
	case "issue":
		do(plan.ReportIssue{Text: p.word(1), Minor: p.word(0) == "minor"})
	case "open":
		level, _ := strconv.Atoi(p.word(0))
		do(plan.OpenIncident{Level: level, Title: p.word(1), Checks: p.words[min(2, len(p.words)):]})
	case "own", "link", "close":
		for _, id := range r.incidents(p.word(0)) {
			do(plan.ChangeIncident{ID: id, Verb: p.verb, Owner: p.who, Checks: p.words[min(1, len(p.words)):], Result: p.options["result"], Note: p.options["note"]})
		}
	case "sign":
		note, err := r.signature(p.who)
		if err != nil {
			return err
		}
		do(plan.Sign{Role: p.word(0), Decision: first(p.options["decision"], plan.DecisionClose), Comment: p.options["comment"], Signature: note})
	case "reset-lock":
		refused = r.resetLock(p)
	}
	return refused
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// due lists the manual items that "due" means, or the one that is named.
func (r *Rehearsal) due(id string) []string {
	if id != "due" {
		return []string{id}
	}
	var out []string
	r.Driver.Look(func(s *plan.State) {
		for _, c := range s.Checkpoints {
			for _, k := range c.States {
				if !c.OpenedAt.IsZero() && k.Verdict == plan.Pending && !s.Automatic(k) {
					out = append(out, k.ID)
				}
			}
		}
	})
	return out
}

func (r *Rehearsal) incidents(id string) []string {
	if id != "all" {
		return []string{id}
	}
	var out []string
	r.Driver.Look(func(s *plan.State) {
		for _, i := range s.Incidents {
			if i.Open() {
				out = append(out, i.ID)
			}
		}
	})
	return out
}

// decide takes a decision; "proposed" stands for all that are proposed.
func (r *Rehearsal) decide(p scripted, do func(plan.Act)) {
	ids := []string{p.word(0)}
	if p.word(0) == "proposed" {
		ids = nil
		r.Driver.Look(func(s *plan.State) {
			for _, d := range s.Decisions {
				if d.State == plan.Proposed {
					ids = append(ids, d.ID)
				}
			}
		})
	}
	for _, id := range ids {
		do(plan.Decide{ID: id, Parameter: p.options["parameter"], From: p.options["from"], To: first(p.options["to"], "as proposed"), Why: first(p.options["why"], "rehearsed")})
	}
}

// The roles of the people of rehearsals. Their keys follow from their names: they are
// no secret, and sign nothing but statements whose first line says that they are of a
// rehearsal.
var roles = []struct {
	name  string
	roles []string
}{
	{"alice", []string{"operations-lead"}},
	{"bob", []string{"development-lead"}},
	{"carol", []string{"operations-lead", "development-lead"}},
}

func keyOf(name string) (signer, verifier string, err error) {
	seed := sha256.Sum256([]byte("spark rehearsal key of " + name))
	return chain.GenerateKey(bytes.NewReader(seed[:]), name)
}

// keys lists the enrolled keys of a rehearsal.
func keys() ([]plan.Key, error) {
	var out []plan.Key
	for _, p := range roles {
		_, v, err := keyOf(p.name)
		if err != nil {
			return nil, fmt.Errorf("key of %s: %w", p.name, err)
		}
		out = append(out, plan.Key{Name: p.name, Verifier: v, Roles: p.roles})
	}
	return out, nil
}

// signature signs the present closing statement with a person's own key.
func (r *Rehearsal) signature(who string) (string, error) {
	c, err := r.Desk.Closing()
	if err != nil {
		return "", err
	}
	signer, _, err := keyOf(who)
	if err != nil {
		return "", err
	}
	note, err := chain.Sign(c.Statement, signer)
	return string(note), err
}

// resetLock is a person's compare-and-delete of the lock, as the world has it.
func (r *Rehearsal) resetLock(p scripted) error {
	epoch, err := strconv.ParseFloat(p.options["epoch"], 64)
	if err != nil {
		return fmt.Errorf("epoch: %w", err)
	}
	outcome := "deleted"
	err = r.world.resetLock(p.word(0), epoch)
	if err != nil {
		outcome = err.Error()
	}
	_, writeErr := r.Desk.Journal.Append(r.Now(), p.who, p.options["role"], "action", map[string]any{
		"action": "reset leader lock", "holder": p.word(0), "epoch": epoch, "outcome": outcome, "simulated": true,
	})
	return errors.Join(err, writeErr)
}

// expectation is one line of what a scenario wants to see.
type expectation struct {
	text      string
	check     string
	verdict   plan.Verdict
	recovered bool
	seen      bool
	at        time.Duration // 0: at the end
	others    []string
	kind      string // verdict, others, run, incident, escalation, refused, criterion, decision, gap
	words     []string
}

// expectation reads one of
//
//	leader.single fail recovered            at the end
//	leader.single fail at T+2h5m            at that time
//	leader.single seen fail                 at any time
//	others pass, warn                       everything else at the end
//	run closed | run open
//	incident leader.single level 2 | no incidents
//	escalation T+4h level 3 at T+6h30m
//	refused 2                               acts marked ! that were refused
//	criterion "SLOs" met | unmet
//	decision CHECK reviewed
//	gap 5m
func (r *reader) expectation(line string) error {
	w, err := shellWords(line)
	if err != nil {
		return err
	}
	e := expectation{text: line, words: w}
	if n := len(w); n > 2 && w[n-2] == "at" {
		if e.at, err = offset(w[n-1]); err != nil {
			return err
		}
		w = w[:n-2]
		e.words = w
	}
	switch {
	case len(w) < 2:
		return fmt.Errorf("what is expected?")
	case w[0] == "others":
		e.kind = "others"
		for _, v := range w[1:] {
			v = strings.TrimSuffix(v, ",")
			if _, ok := plan.ParseVerdict(v); !ok && v != "n/a" {
				return fmt.Errorf("%q is no verdict", v)
			}
			e.others = append(e.others, v)
		}
	case slices.Contains([]string{"run", "no", "incident", "escalation", "refused", "criterion", "decision", "gap"}, w[0]):
		e.kind = w[0]
	default:
		e.kind, e.check = "verdict", w[0]
		rest := w[1:]
		if rest[0] == "seen" && len(rest) > 1 {
			e.seen, rest = true, rest[1:]
		}
		v, ok := plan.ParseVerdict(rest[0])
		if rest[0] == "n/a" {
			v, ok = plan.NotApplicable, true
		}
		if !ok || len(rest) > 2 || len(rest) == 2 && rest[1] != "recovered" {
			return fmt.Errorf("%q: a check, a verdict and perhaps recovered are meant", line)
		}
		e.verdict, e.recovered = v, len(rest) == 2
	}
	r.s.expect = append(r.s.expect, e)
	return nil
}

// wireVerdict writes n/a as the wire does.
func wireVerdict(v string) string {
	if v == "n/a" {
		return wire.VerdictNotApplicable
	}
	return v
}

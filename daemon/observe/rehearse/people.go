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
//	T+48h20m alice sign operations-lead      or decision=no-go comment="…"
//	T+2h alice reset-lock executor-1 epoch=3
//
// A ! before the line says that it is to be refused.
func (r *reader) person(line string) error {
	line, refused := strings.CutPrefix(line, "!")
	line = strings.TrimSpace(line)
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
		decision := first(p.options["decision"], plan.DecisionClose)
		note, err := r.signature(p.who, decision)
		if err != nil {
			return err
		}
		do(plan.Sign{Role: p.word(0), Decision: decision, Comment: p.options["comment"], Signature: note})
	case "reset-lock":
		epoch, err := strconv.ParseFloat(p.options["epoch"], 64)
		if err != nil {
			return fmt.Errorf("epoch: %w", err)
		}
		return r.resetLock(by, p.word(0), epoch)
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

// signature signs the present closing statement, or the same as a no-go, with a
// person's own key.
func (r *Rehearsal) signature(who, decision string) (note string, err error) {
	var c chain.Statement
	r.Driver.Look(func(s *plan.State) { c, err = s.Statement() })
	if err != nil {
		return "", err
	}
	if decision == plan.DecisionNoGo {
		c.Decision = decision
	}
	text, err := c.Format()
	if err != nil {
		return "", err
	}
	signer, _, err := keyOf(who)
	if err != nil {
		return "", err
	}
	signed, err := chain.Sign(text, signer)
	return string(signed), err
}

package report

import (
	"fmt"
	"strings"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
)

// checkpoints writes a section for each checkpoint: a table of its checks, and below
// it what does not fit into a row.
func (m *material) checkpoints(d *document) {
	top := d.add("Checkpoints")
	top.Fresh = true
	t := top.table("Checkpoint", "State", "Verdict", "Checks", "Opened", "Closed")
	for i := range m.run.Checkpoints {
		c := &m.run.Checkpoints[i]
		closed := stamp(c.ClosedAt)
		if c.Late {
			closed = strings.TrimPrefix(closed+", late", ", ")
		}
		opened := stamp(ms(m.s.Checkpoints[i].OpenedAt))
		t.row(words(heading(c)), words(stageWords[c.State]), in(verdict(c.Verdict)), m.tally(c.Counts), words(opened), words(closed))
	}
	for i := range m.run.Checkpoints {
		m.checkpoint(d.sub(heading(&m.run.Checkpoints[i])), &m.run.Checkpoints[i])
	}
}

func heading(c *wire.Checkpoint) string {
	if c.Title == "" {
		return c.ID
	}
	return c.ID + " " + c.Title
}

var stageWords = map[string]string{
	wire.CheckpointFuture: "not opened", wire.CheckpointOpen: "open", wire.CheckpointNeedsPeople: "needs people",
	wire.CheckpointNeedsSignOff: "needs sign-off", wire.CheckpointBlocked: "blocked", wire.CheckpointClosed: "closed",
}

func (m *material) checkpoint(s *section, c *wire.Checkpoint) {
	if len(c.SignOff) > 0 {
		text := "Needs the word of " + strings.Join(c.SignOff, ", ") + "; given by " + strings.Join(c.Signed, ", ") + "."
		if len(c.Signed) == 0 {
			text = "Needs the word of " + strings.Join(c.SignOff, ", ") + "; nobody has given it."
		}
		s.say(plain(text))
	}
	if c.State == wire.CheckpointFuture {
		s.say(plain("Opens at " + m.since(c.OpensAt) + "."))
	}
	var more [][]span
	for i := range c.Sections {
		sec := &c.Sections[i]
		if len(sec.Checks) == 0 {
			continue
		}
		if sec.Title != "" {
			s.say(bold(sec.Title))
		}
		t := s.table("Box", "Check", "Verdict", "Found", "Value", "Expected", "n", "Coverage")
		for j := range sec.Checks {
			k := &sec.Checks[j]
			t.row(words(box(k)), m.name(k), state(k), words(found(k)), words(k.Value), words(k.Threshold), words(count(k)), words(share(k.Coverage)))
			more = append(more, m.history(k)...)
		}
	}
	if len(more) > 0 {
		s.say(bold("History and remarks"))
		s.list(more)
	}
}

// box is ticked for what passed; what cannot exist has none.
func box(k *wire.Check) string {
	switch k.Verdict {
	case wire.VerdictPass:
		return "☑"
	case wire.VerdictNotApplicable:
		return "–"
	}
	return "☐"
}

func (m *material) name(k *wire.Check) []span {
	out := append(sentence(k.Text), plain(" "), code(k.ID))
	if k.Key {
		out = append(out, bold(" key"))
	}
	if k.Kind != plan.Auto.String() {
		out = append(out, plain(" "+k.Kind))
	}
	return out
}

// state is the verdict with what qualifies it.
func state(k *wire.Check) []span {
	out := in(verdict(k.Verdict))
	var more []string
	if k.Original != "" {
		more = append(more, "was "+k.Original)
	}
	if k.Recovered {
		more = append(more, "recovered")
	}
	if k.Thin {
		more = append(more, "thin")
	}
	if len(more) > 0 {
		out = append(out, plain(" ("+strings.Join(more, ", ")+")"))
	}
	return out
}

func found(k *wire.Check) string {
	if k.NotApplicable != "" && k.Sentence == "" {
		return "not applicable: " + k.NotApplicable
	}
	return k.Sentence
}

// count is the number of events behind a value, with the interval of a share.
func count(k *wire.Check) string {
	if number(k.N) == nil {
		return ""
	}
	text := plan.FormatNumber(*k.N, "")
	if number(k.Low) != nil && number(k.High) != nil && strings.HasSuffix(k.Value, " %") {
		text += " (" + share(k.Low) + " to " + share(k.High) + ")"
	}
	return text
}

// history lists what a check went through: attempts before the last one, breaches,
// remarks, and the runbook of one that is not good.
func (m *material) history(k *wire.Check) [][]span {
	var out [][]span
	add := func(format string, args ...any) {
		out = append(out, in(code(k.ID), plain(" "+fmt.Sprintf(format, args...))))
	}
	if len(k.Attempts) > 1 || len(k.Attempts) == 1 && k.Attempts[0].Reason != "" {
		for _, a := range k.Attempts {
			reason := ""
			if a.Reason != "" {
				reason = ", after: " + a.Reason
			}
			add("attempt %d, %s%s: %s: %s", a.N, offset(a.At-m.run.T0), reason, a.Verdict, a.Sentence)
		}
	}
	for _, e := range k.Episodes {
		until := "and lasts"
		if e.To != 0 {
			until = "to " + offset(e.To-m.run.T0) + ", for " + length(e.To-e.From)
		}
		text := fmt.Sprintf("%s from %s %s: %s", e.Verdict, offset(e.From-m.run.T0), until, e.Sentence)
		if e.Incident != "" {
			text += "; incident " + e.Incident
		}
		add("%s", text)
	}
	for _, n := range k.Notes {
		add("%s, %s: %s", person(n.Who, n.Role), offset(n.At-m.run.T0), n.Text)
	}
	if w := k.Waiver; w != nil {
		add("waived by %s until %s, was %s: %s", person(w.Who, w.Role), stamp(w.Expires), w.Original, w.Reason)
	}
	if k.Flag != "" {
		add("%s: evaluated again %d times", k.Flag, k.Rechecks)
	}
	if k.Runbook != "" && (k.Verdict == wire.VerdictFail || k.Verdict == wire.VerdictUnknown || k.Verdict == wire.VerdictWarn) {
		out = append(out, in(code(k.ID), plain(" has the runbook "), code(k.Runbook)))
	}
	return out
}

// evidence lists what each automatic verdict rests on.
func (m *material) evidence(s *section) {
	s.Fresh = true
	s.say(plain("What was asked, of whom, over which time, and the SHA-256 of the raw answer."))
	n := 0
	for i := range m.run.Checkpoints {
		c := &m.run.Checkpoints[i]
		var t *table
		for j := range c.Sections {
			for l := range c.Sections[j].Checks {
				k := &c.Sections[j].Checks[l]
				if k.Query == "" && k.Digest == "" && k.Engine == "" {
					continue
				}
				if t == nil {
					s.say(bold(c.ID))
					t = s.table("Check", "Verdict", "Query", "Asked", "Window", "Judged", "Digest")
				}
				t.row(in(code(k.ID)), state(k), codes(k.Query), words(k.Engine), words(m.between(k.From, k.To)), words(m.since(k.JudgedAt)), codes(k.Digest))
				n++
			}
		}
	}
	if n == 0 {
		s.say(plain("Nothing was asked yet."))
	}
}

// codes makes a cell of something to copy.
func codes(s string) []span {
	if s == "" {
		return nil
	}
	return []span{code(s)}
}

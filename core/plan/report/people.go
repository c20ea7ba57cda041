package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spark-ta/spark/core/plan"
)

func (m *material) incidents(s *section) {
	if len(m.run.Incidents) == 0 {
		s.say(plain("None."))
		return
	}
	t := s.table("Incident", "Level", "What", "Opened", "Owner", "Checks", "Closed", "Result")
	var notes [][]span
	for _, i := range m.run.Incidents {
		closed := in(span{Text: "open", Tone: "fail"})
		if i.ClosedAt != 0 {
			closed = words(m.since(i.ClosedAt) + " by " + i.ClosedBy)
		}
		t.row(in(code(i.ID)), words(fmt.Sprint(i.Level)), words(i.Title), words(m.since(i.OpenedAt)+" by "+i.OpenedBy), words(i.Owner),
			ids(i.Checks), closed, words(i.Result))
		for _, n := range i.Notes {
			notes = append(notes, in(code(i.ID), plain(fmt.Sprintf(" %s, %s: %s", person(n.Who, n.Role), offset(n.At-m.run.T0), n.Text))))
		}
	}
	s.list(notes)
}

// ids makes a cell of ids.
func ids(list []string) []span {
	var out []span
	for i, id := range list {
		if i > 0 {
			out = append(out, plain(", "))
		}
		out = append(out, code(id))
	}
	return out
}

func (m *material) decisions(s *section) {
	if len(m.run.Decisions) == 0 {
		s.say(plain("None."))
		return
	}
	t := s.table("Decision", "State", "Parameter", "From", "To", "Why", "Measured before", "Effect", "By")
	for _, d := range m.run.Decisions {
		why := words(d.Why)
		if d.Check != "" {
			why = append(why, plain(" "), code(d.Check))
		}
		effect := d.Effect
		if d.EffectAt != 0 {
			effect += " (" + offset(d.EffectAt-m.run.T0) + ")"
		}
		t.row(in(code(d.ID)), words(d.State), words(d.Parameter), words(d.From), words(d.To), why, words(d.Figures), words(effect),
			words(strings.TrimPrefix(d.Who+", "+offset(d.At-m.run.T0), ", ")))
	}
}

// waivers lists those that stand; the timeline has the others.
func (m *material) waivers(s *section) {
	var t *table
	for i := range m.run.Checkpoints {
		for _, sec := range m.run.Checkpoints[i].Sections {
			for j := range sec.Checks {
				k := &sec.Checks[j]
				if k.Waiver == nil {
					continue
				}
				if t == nil {
					t = s.table("Check", "Was", "Reason", "By", "Given", "Expires")
				}
				w := k.Waiver
				t.row(in(code(k.ID)), in(verdict(w.Original)), words(w.Reason), words(person(w.Who, w.Role)), words(m.since(w.At)), words(m.since(w.Expires)))
			}
		}
	}
	if t == nil {
		s.say(plain("None stands. Those that were given and have expired are in the timeline."))
	}
}

func (m *material) escalations(s *section) {
	if len(m.run.Escalations) == 0 {
		s.say(plain("None: nobody had to be called."))
		return
	}
	t := s.table("When", "Level", "Checkpoint", "Why")
	for _, e := range m.run.Escalations {
		t.row(words(m.since(e.At)), words(fmt.Sprint(e.Level)), words(e.Checkpoint), words(e.Text))
	}
}

func (m *material) issues(s *section) {
	if len(m.run.UserIssues) == 0 {
		s.say(plain("None."))
		return
	}
	t := s.table("When", "Noted by", "What", "Weight")
	for _, i := range m.run.UserIssues {
		t.row(words(m.since(i.At)), words(i.Who), words(i.Text), in(yesNo(i.Minor, "minor", "not minor")))
	}
}

// gaps tells when nothing was seen, and how much of its time each invariant was.
func (m *material) gaps(s *section) {
	if len(m.run.Gaps) == 0 {
		s.say(plain("None."))
	} else {
		t := s.table("From", "To", "Length", "Why")
		for _, g := range m.run.Gaps {
			t.row(words(m.since(g.From)), words(m.since(g.To)), words(length(g.To-g.From)), words(g.What))
		}
	}
	var t *table
	for i := range m.run.Checkpoints {
		for _, sec := range m.run.Checkpoints[i].Sections {
			for j := range sec.Checks {
				k := &sec.Checks[j]
				if k.Mode != plan.Invariant.String() || k.Coverage == nil {
					continue
				}
				if t == nil {
					s.say(plain("What is judged at all times was seen for this share of the time since T0:"))
					t = s.table("Check", "Seen")
				}
				t.row(in(code(k.ID)), words(share(k.Coverage)))
			}
		}
	}
}

func (m *material) amendments(d *document) {
	s := d.add("Changes of the plan")
	if len(m.run.Amendments) == 0 {
		s.say(plain("None: the plan is the one the run began with."))
		return
	}
	for _, a := range m.run.Amendments {
		s.say(bold(m.since(a.At)), plain(": digest "), code(a.Digest), plain(changes(a.Added, a.Removed, a.Changed)))
		if strings.TrimSpace(a.Diff) != "" {
			s.text(a.Diff)
		}
	}
}

func (m *material) times(s *section) {
	s.Fresh = true
	entries, omitted := m.timeline.Entries()
	if len(entries) == 0 {
		s.say(plain("No record was given."))
		return
	}
	t := s.table("Seq", "Time", "T+", "Who", "What")
	for i := range entries {
		e := &entries[i]
		if omitted > 0 && i == keepFirst {
			t.row(nil, nil, nil, nil, in(bold(fmt.Sprintf("%d lines are left out here; the journal has them.", omitted))))
		}
		what := words(e.Text)
		if rest, ok := strings.CutPrefix(e.Text, e.Check+" "); ok && e.Check != "" {
			what = in(code(e.Check), plain(" "+rest))
		} else if rest, ok := strings.CutPrefix(e.Text, e.Check+": "+e.Verdict); ok && e.Check != "" && e.Verdict != "" {
			what = in(code(e.Check), plain(": "), verdict(e.Verdict), plain(rest))
		}
		t.row(words(fmt.Sprint(e.Seq)), words(stamp(e.At)), words(offset(e.Offset)), words(person(e.Who, e.Role)), what)
	}
}

func (m *material) signatures(s *section) {
	s.Fresh = true
	if len(m.run.SignOffs) == 0 {
		s.say(plain("Nobody has signed."))
		return
	}
	t := s.table("For", "Role", "Who", "Decision", "Comment", "When", "Key", "Stands")
	for _, o := range m.run.SignOffs {
		what, stands := "the exit", yesNo(!o.Stale, "yes", "no: something happened after it")
		if o.Checkpoint != "" {
			what = o.Checkpoint
		}
		t.row(words(what), words(o.Role), words(o.Who), words(o.Decision), words(o.Comment), words(m.since(o.At)), codes(fingerprint(o.Key)), in(stands))
	}
	if statement, note := m.signed(); note != "" {
		s.say(plain("The closing statement, the same bytes for everybody who signs:"))
		s.text(statement)
		s.say(plain("The signed note, as it is verified:"))
		s.text(note)
		s.say(plain("A key's fingerprint is the SHA-256 of its line of text."))
	}
}

// fingerprint is the SHA-256 of a verifier's text, in hex.
func fingerprint(verifier string) string {
	if verifier == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return hex.EncodeToString(sum[:])
}

func (m *material) journal(s *section) {
	t := s.table("Head", "Value")
	t.row(words("newest record"), words(fmt.Sprint(m.run.Seq)))
	t.row(words("its hash"), codes(m.run.Head))
	s.say(plain("Everything above follows from the journal up to this record. That nothing in it was changed, taken out or written anew is checked with:"))
	s.text(strings.Join(m.verify(), "\n"))
}

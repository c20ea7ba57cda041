// Package report tells of a run: as the picture that the consoles draw ([Run]), and as
// the report that is printed, archived and signed ([Write]).
//
// # Reproducible
//
// A report is a function of the journal up to a record. Replay the records into a
// [plan.Machine] and a [Timeline], then write: the same records give the same bytes,
// today and in ten years. Nothing is taken from the clock of the reader, from the
// machine it runs on or from a source that could be asked again. The state of a machine
// that still runs has felt more than it has recorded, such as the burn rates of the
// last minutes; a report of it is for the eye, not for the archive.
//
// # Three forms of one document
//
// The contents are decided once, as a [document] of sections, tables and words that
// knows no markup; Markdown and HTML are two small writers of it. JSON has the same
// facts as data: the picture, the timeline and the plan with its boxes ticked.
//
// # Nothing from outside is markup
//
// Notes, titles, answers of services and names come from elsewhere. Both writers take
// every word through core/safetext, so that no control character and no character that
// cannot be seen is left, and then escape it: a text can open no tag, link, picture,
// code, table cell, heading or list, and is no address that a viewer turns into a
// link. There is no way to put raw markup into a document.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
)

// The formats of a report.
const (
	Markdown = "md"
	HTML     = "html"
	JSON     = "json"
)

// Write returns the report of a state as it was at a time: that of the newest record,
// so that the same records give the same bytes. A nil timeline counts as empty. It
// returns a [*plan.ActError] of kind [plan.ErrInvalid] for an unknown format, and of
// [plan.ErrConflict] when no run was started.
func Write(format string, s *plan.State, at time.Time, t *Timeline) ([]byte, error) {
	var write func(*material) ([]byte, error)
	switch format {
	case Markdown:
		write = func(m *material) ([]byte, error) { return markdown(m.document()), nil }
	case HTML:
		write = func(m *material) ([]byte, error) { return page(m.document()) }
	case JSON:
		write = (*material).json
	default:
		return nil, &plan.ActError{Kind: plan.ErrInvalid, Field: "format", Text: fmt.Sprintf("format %.20q: there are %s, %s and %s", format, Markdown, HTML, JSON)}
	}
	if s.Plan == nil {
		return nil, &plan.ActError{Kind: plan.ErrConflict, Text: "no run has been started: there is nothing to report"}
	}
	if t == nil {
		t = NewTimeline()
	}
	return write(&material{s: s, run: Run(s, at), timeline: t})
}

// material is what a report is made of.
type material struct {
	s        *plan.State
	run      *wire.HypercareRun
	timeline *Timeline
}

// File is the report as JSON.
type File struct {
	Report   Meta               `json:"report"`
	Run      *wire.HypercareRun `json:"run"`
	Timeline []Entry            `json:"timeline"`
	Omitted  int64              `json:"omitted,omitempty"` // lines in the middle of the timeline that were left out
	Plan     string             `json:"plan"`              // its Markdown with the boxes ticked
}

// Meta says what a report is of. Times are ms since 1970.
type Meta struct {
	Version   int      `json:"version"` // of this format
	Service   string   `json:"service"`
	Rehearsal bool     `json:"rehearsal"`
	At        int64    `json:"at"`
	Seq       int64    `json:"seq"`
	Head      string   `json:"head"`
	Outcome   string   `json:"outcome,omitempty"`   // of a closed run
	Decision  string   `json:"decision,omitempty"`  // of a go-live plan: GO or NO-GO, and why
	Statement string   `json:"statement,omitempty"` // that is signed at the end
	Note      string   `json:"note,omitempty"`      // the statement with the signatures that stand
	Verify    []string `json:"verify"`              // commands
}

func (m *material) json() ([]byte, error) {
	statement, note := m.signed()
	f := File{
		Report: Meta{
			Version: 1, Service: m.s.Plan.Service, Rehearsal: m.s.Rehearsal, At: m.run.At, Seq: m.run.Seq, Head: m.run.Head,
			Outcome: m.s.Outcome, Statement: statement, Note: note, Verify: m.verify(),
		},
		Run: m.run, Plan: string(m.ticked()),
	}
	if m.s.Plan.Kind == goLive {
		f.Report.Decision = m.goNoGo().sentence()
	}
	f.Timeline, f.Omitted = m.timeline.Entries()
	out, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return append(visible(out), '\n'), nil
}

// visible writes the characters that cannot be seen, or that a terminal would obey, as
// JSON escapes: the data stay what they are, and a file that is printed does nothing.
// Such characters stand in strings only.
func visible(in []byte) []byte {
	hidden := func(r rune) bool {
		return r >= 0x7f && r < 0xa0 || r >= 0xa0 && unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
	}
	if bytes.IndexFunc(in, hidden) < 0 {
		return in
	}
	out := make([]byte, 0, len(in)+64)
	for len(in) > 0 {
		r, n := utf8.DecodeRune(in)
		switch {
		case !hidden(r):
			out = append(out, in[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		in = in[n:]
	}
	return out
}

// ticked is the plan's Markdown with a box ticked for each check that passed, and below
// each check that was judged its verdict.
func (m *material) ticked() []byte {
	return plan.Render(m.s.Plan, func(id string) (bool, string) {
		k := m.s.Check(id)
		if k == nil {
			return false, ""
		}
		note := k.Verdict.String()
		if k.Recovered {
			note += " (recovered)"
		}
		if sentence := strings.TrimPrefix(k.Finding.Sentence, note+": "); sentence != "" {
			note += ": " + sentence
		}
		if k.Verdict == plan.Pending && k.Finding.Sentence == "" {
			note = ""
		}
		if w := k.Waiver; w != nil {
			note += "; waived by " + person(w.Who, w.Role) + " until " + stamp(ms(w.Expires)) + ": " + w.Text
		}
		return k.Verdict == plan.Pass, note
	})
}

// signed returns the closing statement, once somebody has signed it, and the note with
// the signatures that stand.
func (m *material) signed() (statement, note string) {
	note = m.s.Note()
	if note == "" {
		return "", ""
	}
	st, err := m.s.Statement()
	if err != nil {
		return "", note
	}
	statement, err = st.Format()
	if err != nil {
		return "", note
	}
	return statement, note
}

// verify lists the commands that check the journal behind the report.
func (m *material) verify() []string {
	head := fmt.Sprintf(" --seq %d --head %s", m.run.Seq, m.run.Head)
	out := []string{"spark-daemon journal verify FILE", "spark-tui verify FILE" + head}
	keys := ""
	for _, o := range m.run.SignOffs {
		// A key that is none is not put into a command that people copy.
		if _, err := chain.KeyName(o.Key); err == nil && o.Checkpoint == "" && !o.Stale {
			keys += " --key '" + o.Key + "'"
		}
	}
	if keys != "" {
		out = append(out, "spark-tui verify FILE"+keys)
	}
	return out
}

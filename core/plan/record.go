package plan

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spark-ta/spark/core/chain"
)

// The kinds of records of a run.
const (
	KindStart      = "start"
	KindOpen       = "checkpoint-open"
	KindClose      = "checkpoint-closed"
	KindVerdict    = "verdict"
	KindTick       = "tick"
	KindUntick     = "untick"
	KindNote       = "note"
	KindWaive      = "waive"
	KindExpired    = "waiver-expired"
	KindRecheck    = "recheck"
	KindProposal   = "decision-proposed"
	KindDecision   = "decision"
	KindEffect     = "decision-effect"
	KindIncident   = "incident"
	KindOwn        = "incident-own"
	KindRaise      = "incident-raised"
	KindLink       = "incident-link"
	KindResolve    = "incident-closed"
	KindIssue      = "user-issue"
	KindSignOff    = "signoff"
	KindEscalation = "escalation"
	KindGap        = "gap"
	KindClock      = "clock-step"
	KindAmend      = "plan-amended"
	KindKeys       = "keys"
	KindSLO        = "slo"
	KindEnd        = "closed"
)

// keepsFrozen are kinds after which a signature is still good: they tell of people,
// not of the system.
func keepsFrozen(kind string) bool {
	return kind == KindSignOff || kind == KindEscalation || kind == KindSLO || kind == KindEnd
}

// The bodies of records. Their JSON is the journal's format.
type (
	startBody struct {
		Run       string   `json:"run"`
		File      string   `json:"file"`
		Text      string   `json:"text"`
		Digest    string   `json:"digest"`
		Version   string   `json:"version"`
		Profile   string   `json:"profile"`
		T0        int64    `json:"t0"`
		Rehearsal bool     `json:"rehearsal,omitempty"`
		Scenario  string   `json:"scenario,omitempty"`
		Keys      []Key    `json:"keys,omitempty"`
		Commands  []string `json:"commands,omitempty"`
	}
	checkpointBody struct {
		Checkpoint string `json:"checkpoint"`
		Verdict    string `json:"verdict,omitempty"`
		Late       bool   `json:"late,omitempty"`
	}
	verdictBody struct {
		Check     string       `json:"check"`
		Verdict   string       `json:"verdict"`
		Was       string       `json:"was"`
		Sentence  string       `json:"sentence"`
		Value     string       `json:"value,omitempty"`
		Threshold string       `json:"threshold,omitempty"`
		N         *float64     `json:"n,omitempty"`
		Low       *float64     `json:"low,omitempty"`
		High      *float64     `json:"high,omitempty"`
		Coverage  *float64     `json:"coverage,omitempty"`
		From      int64        `json:"from,omitempty"`
		To        int64        `json:"to,omitempty"`
		Query     string       `json:"query,omitempty"`
		Engine    string       `json:"engine,omitempty"`
		Digest    string       `json:"digest,omitempty"`
		Thin      bool         `json:"thin,omitempty"`
		Fixed     bool         `json:"fixed,omitempty"`
		Recovered bool         `json:"recovered,omitempty"`
		Breach    int64        `json:"breach,omitempty"` // an episode began then
		Ended     int64        `json:"ended,omitempty"`  // it ended then
		Attempts  []Attempt    `json:"attempts,omitempty"`
		Series    []seriesBody `json:"series,omitempty"`
	}
	seriesBody struct {
		Name   string               `json:"name"`
		Fields map[string]valueBody `json:"fields"`
	}
	valueBody struct {
		Num  *float64 `json:"num,omitempty"`
		Text *string  `json:"text,omitempty"` // also of a number that JSON cannot write
	}
	checkBody struct {
		Check   string `json:"check"`
		Text    string `json:"text,omitempty"`
		Expires int64  `json:"expires,omitempty"`
		Was     string `json:"was,omitempty"`
	}
	decisionBody struct {
		ID        string `json:"id"`
		Check     string `json:"check,omitempty"`
		Parameter string `json:"parameter,omitempty"`
		From      string `json:"from,omitempty"`
		To        string `json:"to,omitempty"`
		Why       string `json:"why,omitempty"`
		Figures   string `json:"figures,omitempty"`
		ReviewAt  int64  `json:"reviewAt,omitempty"`
		Effect    string `json:"effect,omitempty"`
	}
	incidentBody struct {
		ID     string   `json:"id"`
		Level  int      `json:"level,omitempty"`
		Title  string   `json:"title,omitempty"`
		Checks []string `json:"checks,omitempty"`
		Owner  string   `json:"owner,omitempty"`
		Result string   `json:"result,omitempty"`
		Note   string   `json:"note,omitempty"`
	}
	issueBody struct {
		Text  string `json:"text"`
		Minor bool   `json:"minor"`
	}
	signBody struct {
		Checkpoint string `json:"checkpoint,omitempty"`
		Role       string `json:"role"`
		Key        string `json:"key,omitempty"`
		Decision   string `json:"decision"`
		Comment    string `json:"comment,omitempty"`
		Signature  string `json:"signature,omitempty"`
		Seq        int64  `json:"seq,omitempty"`
	}
	escalationBody struct {
		Level      int    `json:"level"`
		Checkpoint string `json:"checkpoint"`
		Text       string `json:"text"`
	}
	gapBody struct {
		From int64  `json:"from"`
		To   int64  `json:"to"`
		What string `json:"what"`
	}
	clockBody struct {
		StepMS int64 `json:"stepMs"`
	}
	amendBody struct {
		File    string   `json:"file"`
		Text    string   `json:"text"`
		Digest  string   `json:"digest"`
		Added   []string `json:"added,omitempty"`
		Removed []string `json:"removed,omitempty"`
		Changed []string `json:"changed,omitempty"`
		Diff    string   `json:"diff,omitempty"`
	}
	keysBody struct {
		Keys []Key `json:"keys"`
	}
	sloBody struct {
		Check    string      `json:"check"`
		Good     *float64    `json:"good,omitempty"`
		Total    *float64    `json:"total,omitempty"`
		Coverage *float64    `json:"coverage,omitempty"`
		Shown    *float64    `json:"shown,omitempty"`
		Rates    [3]*float64 `json:"rates"` // null while nothing happened in a tier's long window
		Firing   [3]bool     `json:"firing"`
		Dark     bool        `json:"dark,omitempty"` // nothing is measured now
	}
	endBody struct {
		Outcome string `json:"outcome"`
		Note    string `json:"note,omitempty"` // the statement with both signatures
	}
)

func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Apply brings the machine forward by one record of a journal, as when it was
// decided. It is an error when the record is of another version of the format. Call
// [Machine.Resume] after the last one.
func (m *Machine) Apply(r chain.Record) error {
	body, err := decode(r.Kind, r.Body)
	if err != nil {
		return fmt.Errorf("record %d: %s: %w", r.Seq, r.Kind, err)
	}
	if body != nil {
		if m.s.Plan == nil && r.Kind != KindStart {
			return fmt.Errorf("record %d: %s before any start", r.Seq, r.Kind)
		}
		if err := m.apply(at(r.At), r.Who, r.Role, r.Kind, body); err != nil {
			return fmt.Errorf("record %d: %s: %w", r.Seq, r.Kind, err)
		}
	}
	m.Sealed(r.Head(), r.Kind)
	return nil
}

// Sealed tells the machine where the record of an [Append] effect stands in the
// journal: the closing statement names it.
func (m *Machine) Sealed(h chain.Head, kind string) {
	m.s.Head = h
	if !keepsFrozen(kind) {
		m.s.Frozen = h
	}
	m.s.outdate(kind) // also by a record that is not the machine's own, such as that of an action
}

// decode returns nil for kinds that are not of a run.
func decode(kind string, raw json.RawMessage) (any, error) {
	var body any
	switch kind {
	case KindStart:
		body = &startBody{}
	case KindOpen, KindClose:
		body = &checkpointBody{}
	case KindVerdict:
		body = &verdictBody{}
	case KindTick, KindUntick, KindNote, KindWaive, KindExpired, KindRecheck:
		body = &checkBody{}
	case KindProposal, KindDecision, KindEffect:
		body = &decisionBody{}
	case KindIncident, KindOwn, KindRaise, KindLink, KindResolve:
		body = &incidentBody{}
	case KindIssue:
		body = &issueBody{}
	case KindSignOff:
		body = &signBody{}
	case KindEscalation:
		body = &escalationBody{}
	case KindGap:
		body = &gapBody{}
	case KindClock:
		body = &clockBody{}
	case KindAmend:
		body = &amendBody{}
	case KindKeys:
		body = &keysBody{}
	case KindSLO:
		body = &sloBody{}
	case KindEnd:
		body = &endBody{}
	default:
		return nil, nil
	}
	return body, json.Unmarshal(raw, body)
}

// VerdictOf returns the check and the verdict of the body of a [KindVerdict] record, as
// an [Append] effect has it.
func VerdictOf(body any) (check, verdict string) {
	if b, ok := body.(*verdictBody); ok {
		return b.Check, b.Verdict
	}
	return "", ""
}

// NewsKind says what a record is news of.
type NewsKind uint8

// The kinds of news.
const (
	NoNews NewsKind = iota
	NewsVerdict
	NewsIncident
)

// News is what a record means to those who follow a run.
type News struct {
	Kind            NewsKind
	ID, Title, Text string
	State, Was      string
	Level           int
}

// NewsOf tells what a record, with its body as an [Append] effect has it, means.
func NewsOf(s *State, kind string, body any) News {
	switch b := body.(type) {
	case *verdictBody:
		n := News{Kind: NewsVerdict, ID: b.Check, State: b.Verdict, Was: b.Was, Text: b.Sentence}
		if k := s.Check(b.Check); k != nil {
			n.Title, n.State = k.Text, k.Verdict.String()
		}
		return n
	case *checkBody:
		k := s.Check(b.Check)
		if k == nil || kind == KindNote || kind == KindRecheck {
			return News{}
		}
		return News{Kind: NewsVerdict, ID: b.Check, Title: k.Text, State: k.Verdict.String(), Was: b.Was, Text: k.Finding.Sentence}
	case *escalationBody:
		return News{Kind: NewsIncident, ID: b.Checkpoint, Title: b.Text, Level: b.Level, State: "escalated"}
	case *incidentBody:
		i := s.incidentByID(b.ID)
		if i == nil {
			return News{}
		}
		states := map[string]string{KindIncident: "opened", KindOwn: "owned", KindRaise: "raised", KindLink: "linked", KindResolve: "closed"}
		return News{Kind: NewsIncident, ID: i.ID, Title: i.Title, Level: i.Level, State: states[kind]}
	}
	return News{}
}

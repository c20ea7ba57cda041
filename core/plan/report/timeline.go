package report

import (
	"strings"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
)

// What a timeline keeps of a run that does not end: its beginning and its newest part.
// A 48 h run has about a thousand lines.
const (
	keepFirst = 1000
	keepLast  = 4000
	maxText   = 1000 // bytes of a line's text
)

// Entry is a line of the timeline: something that was decided, by a person or a
// machine.
type Entry struct {
	Seq     int64  `json:"seq"`    // of its record
	At      int64  `json:"at"`     // ms since 1970
	Offset  int64  `json:"offset"` // ms since T0
	Who     string `json:"who"`
	Role    string `json:"role,omitempty"`
	Kind    string `json:"kind"`
	Check   string `json:"check,omitempty"`
	Verdict string `json:"verdict,omitempty"` // that the line tells of
	Text    string `json:"text"`
}

// Timeline collects a line for each record that tells people something, in the order
// of the journal. Its memory is bounded: of a run with more than 5,000 lines it leaves
// out the middle, and says how many. One goroutine at a time.
type Timeline struct {
	t0      int64
	first   []Entry
	last    []Entry // a ring, once it is full
	next    int     // the oldest of a full ring
	omitted int64
	firing  map[string]string // tiers of burn rates that fire, by check
}

// NewTimeline returns an empty timeline.
func NewTimeline() *Timeline { return &Timeline{} }

// Add takes in a record. A start begins the timeline anew. Records that repeat what is
// known, such as a verdict that did not change, add no line; records of kinds that are
// not of a plan, such as actions, add one with their kind and who.
func (t *Timeline) Add(r chain.Record) {
	text, ok := t.tell(&r)
	if !ok {
		return
	}
	text.Seq, text.At, text.Offset, text.Who, text.Role, text.Kind = r.Seq, r.At, r.At-t.t0, r.Who, r.Role, r.Kind
	text.Text = clip(text.Text)
	switch {
	case len(t.first) < keepFirst:
		t.first = append(t.first, text)
	case len(t.last) < keepLast:
		t.last = append(t.last, text)
	default:
		t.last[t.next] = text
		t.next = (t.next + 1) % keepLast
		t.omitted++
	}
}

// Entries returns the lines, oldest first, and how many are missing between the first
// 1,000 and the others.
func (t *Timeline) Entries() ([]Entry, int64) {
	out := make([]Entry, 0, len(t.first)+len(t.last))
	out = append(out, t.first...)
	out = append(out, t.last[t.next:]...)
	return append(out, t.last[:t.next]...), t.omitted
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// tell says what a record tells; ok is false when that is nothing new.
func (t *Timeline) tell(r *chain.Record) (e Entry, ok bool) {
	b := body{r: r}
	switch r.Kind {
	case plan.KindStart:
		return t.start(&b), true
	case plan.KindVerdict:
		return b.verdict()
	case plan.KindOpen, plan.KindClose:
		return b.checkpoint(), true
	case plan.KindTick, plan.KindUntick, plan.KindNote, plan.KindWaive, plan.KindExpired, plan.KindRecheck:
		return b.check(), true
	case plan.KindProposal, plan.KindDecision, plan.KindEffect:
		return b.decision(), true
	case plan.KindIncident, plan.KindOwn, plan.KindRaise, plan.KindLink, plan.KindResolve:
		return b.incident(), true
	case plan.KindSLO:
		return t.burn(&b)
	case plan.KindSignOff:
		return b.signOff(), true
	case plan.KindGap, plan.KindClock, plan.KindEscalation, plan.KindIssue, plan.KindAmend, plan.KindKeys, plan.KindEnd:
		return b.news(), true
	}
	return b.other(), true
}

// burn tells when a tier of an objective's burn rates fires or is quiet again, not each
// measurement.
func (t *Timeline) burn(b *body) (e Entry, ok bool) {
	var in struct {
		Check  string
		Firing []bool
	}
	b.decode(&in)
	var tiers []string
	for i, f := range in.Firing[:min(3, len(in.Firing))] {
		if f {
			tiers = append(tiers, string(rune('A'+i)))
		}
	}
	now := strings.Join(tiers, ", ")
	if now == t.firing[in.Check] {
		return Entry{}, false
	}
	if t.firing == nil {
		t.firing = map[string]string{}
	}
	t.firing[in.Check] = now
	text := in.Check + " burns its budget too fast: tier " + now
	if now == "" {
		delete(t.firing, in.Check)
		text = in.Check + " no longer burns its budget too fast"
	}
	return Entry{Check: in.Check, Text: text}, true
}

func (t *Timeline) start(b *body) Entry {
	*t = Timeline{}
	var in struct {
		Version, Profile, Digest, Scenario string
		T0                                 int64
		Rehearsal                          bool
	}
	b.decode(&in)
	t.t0 = in.T0
	text := "version " + in.Version + " is judged, profile " + in.Profile + ", plan " + short(in.Digest)
	if in.Rehearsal {
		text = "REHEARSAL: " + text
		if in.Scenario != "" {
			text += ", scenario " + in.Scenario
		}
	}
	if before := b.r.At - in.T0; before > 0 {
		text += "; T0 was " + length(before) + " before"
	}
	return Entry{Text: text}
}

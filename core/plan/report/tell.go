package report

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
)

// body reads what a record says. A body that cannot be read leaves the line with what
// the record's other fields say: a timeline leaves nothing out because of its form.
type body struct{ r *chain.Record }

func (b *body) decode(into any) { _ = json.Unmarshal(b.r.Body, into) }

func (b *body) verdict() (Entry, bool) {
	var in struct {
		Check, Verdict, Was, Sentence string
		Recovered                     bool
		Breach, Ended                 int64
		Attempts                      []plan.Attempt
	}
	b.decode(&in)
	again := false
	for _, a := range in.Attempts {
		again = again || a.Reason != ""
	}
	if in.Verdict == in.Was && in.Breach == 0 && in.Ended == 0 && !again && in.Verdict != "" {
		return Entry{}, false // fixed, or measured again
	}
	text := in.Check + ": " + in.Verdict
	if in.Recovered {
		text += " (recovered)"
	}
	if in.Was != in.Verdict {
		text += ", was " + in.Was
	}
	return Entry{Check: in.Check, Verdict: in.Verdict, Text: text + ": " + in.Sentence}, true
}

func (b *body) checkpoint() Entry {
	var in struct {
		Checkpoint, Verdict string
		Late                bool
	}
	b.decode(&in)
	if b.r.Kind == plan.KindOpen {
		return Entry{Text: in.Checkpoint + " opened"}
	}
	text := in.Checkpoint + " closed: " + in.Verdict
	if in.Late {
		text += ", late"
	}
	return Entry{Verdict: in.Verdict, Text: text}
}

func (b *body) check() Entry {
	var in struct {
		Check, Text, Was string
		Expires          int64
	}
	b.decode(&in)
	text := in.Check + " "
	switch b.r.Kind {
	case plan.KindTick:
		text += "ticked"
	case plan.KindUntick:
		text += "tick taken back"
	case plan.KindNote:
		text += "noted"
	case plan.KindWaive:
		text += "waived until " + stamp(in.Expires) + ", was " + in.Was
	case plan.KindExpired:
		text += "waiver expired: again " + in.Was
	case plan.KindRecheck:
		text += "to be evaluated again"
	}
	return Entry{Check: in.Check, Text: with(text, in.Text)}
}

func with(text, more string) string {
	if strings.TrimSpace(more) == "" {
		return text
	}
	return text + ": " + more
}

func (b *body) decision() Entry {
	var in struct {
		ID, Check, Parameter, From, To, Why, Figures, Effect string
		ReviewAt                                             int64
	}
	b.decode(&in)
	if b.r.Kind == plan.KindEffect {
		return Entry{Check: in.Check, Text: "effect of decision " + in.ID + ": " + in.Effect}
	}
	text := "decision " + in.ID + ": " + in.Parameter
	if b.r.Kind == plan.KindProposal {
		text = "proposed: " + text
	}
	if in.From != "" {
		text += " from " + in.From
	}
	if in.To != "" {
		text += " to " + in.To
	}
	text = with(text, in.Why)
	if in.Figures != "" {
		text += " (" + in.Figures + ")"
	}
	return Entry{Check: in.Check, Text: text}
}

func (b *body) incident() Entry {
	var in struct {
		ID, Title, Owner, Result, Note string
		Level                          int
		Checks                         []string
	}
	b.decode(&in)
	text := "incident " + in.ID
	switch b.r.Kind {
	case plan.KindIncident:
		text = with(text+" opened, level "+strconv.Itoa(in.Level), in.Title)
	case plan.KindOwn:
		text += " is owned by " + in.Owner
	case plan.KindRaise:
		text += " raised to level " + strconv.Itoa(in.Level)
	case plan.KindLink:
		text += " is about " + strings.Join(in.Checks, ", ")
	case plan.KindResolve:
		text = with(text+" closed", in.Result)
	}
	if in.Note != "" && b.r.Kind == plan.KindResolve {
		return Entry{Text: text + "; " + in.Note}
	}
	return Entry{Text: with(text, in.Note)}
}

func (b *body) signOff() Entry {
	var in struct{ Checkpoint, Role, Decision, Comment string }
	b.decode(&in)
	what := "the exit"
	if in.Checkpoint != "" {
		what = in.Checkpoint
	}
	return Entry{Text: with(what+" signed off as "+in.Role+", decision "+in.Decision, in.Comment)}
}

// news tells of what is no check, decision or incident.
func (b *body) news() Entry {
	var in struct {
		Level                  int
		Checkpoint, Text, What string
		From, To, StepMS       int64
		Minor                  bool
		Digest, Outcome        string
		Added, Removed         []string
		Changed                []string
		Keys                   []plan.Key
	}
	b.decode(&in)
	switch b.r.Kind {
	case plan.KindEscalation:
		return Entry{Text: fmt.Sprintf("level %d: %s %s", in.Level, in.Checkpoint, in.Text)}
	case plan.KindGap:
		return Entry{Text: with("nothing was observed for "+length(in.To-in.From)+", from "+stamp(in.From)+" to "+stamp(in.To), in.What)}
	case plan.KindClock:
		return Entry{Text: "the wall clock was set by " + plan.FormatDuration(time.Duration(in.StepMS)*time.Millisecond)}
	case plan.KindIssue:
		if in.Minor {
			return Entry{Text: "a user reported something minor: " + in.Text}
		}
		return Entry{Text: "a user reported: " + in.Text}
	case plan.KindAmend:
		return Entry{Text: "the plan was changed to " + short(in.Digest) + changes(in.Added, in.Removed, in.Changed)}
	case plan.KindKeys:
		names := make([]string, len(in.Keys))
		for i, k := range in.Keys {
			names[i] = k.Name
		}
		return Entry{Text: with(fmt.Sprintf("%d keys may sign", len(in.Keys)), strings.Join(names, ", "))}
	}
	return Entry{Text: "closed: " + in.Outcome}
}

func changes(added, removed, changed []string) string {
	var out strings.Builder
	for _, c := range []struct {
		word string
		ids  []string
	}{{"added", added}, {"removed", removed}, {"changed", changed}} {
		if len(c.ids) > 0 {
			out.WriteString("; " + c.word + " " + strings.Join(c.ids, ", "))
		}
	}
	return out.String()
}

// told are the words of a foreign record that are worth a line, in their order.
var told = []string{"id", "action", "verb", "target", "state", "title", "result", "reason", "note", "error", "text"}

// other tells of a record of another kind, such as a step of an action.
func (b *body) other() Entry {
	var in map[string]any
	b.decode(&in)
	var parts []string
	for _, name := range told {
		if s, ok := in[name].(string); ok && s != "" {
			parts = append(parts, name+" "+s)
		}
	}
	return Entry{Text: with(strings.ReplaceAll(b.r.Kind, "-", " "), strings.Join(parts, ", "))}
}

// stamp writes a time in UTC, to the second.
func stamp(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05")
}

// length writes a length of time given in ms, to the second unless it is shorter.
func length(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	if d.Abs() >= time.Second {
		d = d.Round(time.Second)
	}
	return plan.FormatDuration(d)
}

// offset writes a time since T0.
func offset(ms int64) string {
	switch {
	case ms < 0:
		return "T-" + length(-ms)
	case ms < 1000:
		return "T+0"
	}
	return "T+" + length(ms)
}

func person(who, role string) string {
	if role == "" {
		return who
	}
	return who + " (" + role + ")"
}

// short is as much of a digest as people compare.
func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12]
	}
	return digest
}

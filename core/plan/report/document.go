package report

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
)

// document is a report without markup.
type document struct {
	Title     string
	Rehearsal bool
	Watermark []span // of a rehearsal: why it is worth nothing
	Sections  []*section
}

// section is a heading with what stands below it.
type section struct {
	Title  string
	Sub    bool // below the section before
	Fresh  bool // begins a sheet of paper
	Blocks []block
}

// block is one of its fields.
type block struct {
	Words []span
	Items [][]span
	Table *table
	Text  string // as it is, line by line
	Bars  []bar
}

// table has as many cells in each row as words in its head.
type table struct {
	Head []string
	Rows [][]cell
}

// cell stands below a word of the head.
type cell struct {
	Label string
	Spans []span
}

// Wide reports whether a telephone shows the table as a card for each row.
func (t *table) Wide() bool { return len(t.Head) > 3 }

// Short reports whether a cell is not to be broken: a word, an id, a time.
func (c cell) Short() bool {
	n := 0
	for _, s := range c.Spans {
		n += utf8.RuneCountInString(s.Text)
	}
	return n > 0 && n <= len("2006-01-02 15:04:05")
}

// span is some words of one kind.
type span struct {
	Text string
	Tone string // class of a verdict; empty for plain words
	Code bool
	Bold bool
}

// bar is a share of something that is used up.
type bar struct {
	Label string
	Share float64 // 0 to 1 and above
	Text  string
	Tone  string
}

// Width is the bar's length in percent.
func (b bar) Width() int { return int(max(0, min(1, b.Share)) * 100) }

func plain(s string) span { return span{Text: s} }
func bold(s string) span  { return span{Text: s, Bold: true} }
func code(s string) span  { return span{Text: s, Code: true} }

// tones are the classes of verdicts, and of other words that are good or bad.
var tones = map[string]string{
	wire.VerdictPass: "pass", wire.VerdictWarn: "warn", wire.VerdictFail: "fail", wire.VerdictUnknown: "unknown",
	wire.VerdictPending: "pending", wire.VerdictWaived: "waived", wire.VerdictNotApplicable: "na",
}

// verdict writes a verdict as its word.
func verdict(v string) span { return span{Text: v, Tone: tones[v]} }

// yesNo writes a condition as a word.
func yesNo(ok bool, yes, no string) span {
	if ok {
		return span{Text: yes, Tone: "pass"}
	}
	return span{Text: no, Tone: "fail"}
}

func (d *document) add(title string) *section {
	s := &section{Title: title}
	d.Sections = append(d.Sections, s)
	return s
}

func (d *document) sub(title string) *section {
	s := d.add(title)
	s.Sub = true
	return s
}

func (s *section) say(spans ...span) { s.Blocks = append(s.Blocks, block{Words: spans}) }

func (s *section) list(items [][]span) {
	if len(items) > 0 {
		s.Blocks = append(s.Blocks, block{Items: items})
	}
}

func (s *section) text(text string) { s.Blocks = append(s.Blocks, block{Text: text}) }

func (s *section) table(head ...string) *table {
	t := &table{Head: head}
	s.Blocks = append(s.Blocks, block{Table: t})
	return t
}

func (t *table) row(cells ...[]span) {
	row := make([]cell, len(t.Head))
	for i := range row {
		row[i].Label = t.Head[i]
		if i < len(cells) {
			row[i].Spans = cells[i]
		}
	}
	t.Rows = append(t.Rows, row)
}

// in makes a cell.
func in(spans ...span) []span { return spans }

// words makes a cell of plain words.
func words(s string) []span {
	if s == "" {
		return nil
	}
	return []span{{Text: s}}
}

// sentence makes spans of words of the plan, with what stands between backticks as
// code.
func sentence(s string) []span {
	var out []span
	for {
		before, rest, ok := strings.Cut(s, "`")
		inner, after, closed := strings.Cut(rest, "`")
		if !ok || !closed {
			return append(out, words(s)...)
		}
		out = append(append(out, words(before)...), codes(inner)...)
		s = after
	}
}

// document writes all sections.
func (m *material) document() *document {
	d := &document{Title: m.s.Plan.Title, Rehearsal: m.s.Rehearsal}
	if d.Title == "" {
		d.Title = m.s.Plan.ID
	}
	if d.Rehearsal {
		text := "This is the report of a rehearsal: its time and its samples were made up, nothing was deployed, and it proves nothing about any system."
		if m.s.Scenario != "" {
			text += " Scenario: " + m.s.Scenario + "."
		}
		d.Watermark = in(bold("REHEARSAL. "), plain(text))
	}
	m.summary(d.add("Summary"))
	m.exit(d.add("Exit criteria"))
	if m.s.Plan.Kind == goLive {
		m.gates(d.add("Go or no-go"))
	}
	m.objectives(d)
	m.checkpoints(d)
	m.incidents(d.add("Incidents"))
	m.decisions(d.add("Tuning decisions"))
	m.waivers(d.add("Waivers"))
	m.escalations(d.add("Escalations"))
	m.issues(d.add("Issues that users reported"))
	m.gaps(d.add("Gaps in what was observed"))
	m.amendments(d)
	m.times(d.add("Timeline"))
	m.signatures(d.add("Signatures"))
	m.evidence(d.add("Evidence"))
	m.journal(d.add("Journal"))
	s := d.add("The plan with its boxes ticked")
	s.Fresh = true
	s.text(string(m.ticked()))
	return d
}

func (m *material) summary(s *section) {
	r := m.run
	t := s.table("What", "Of this run")
	add := func(name string, spans ...span) { t.row(words(name), spans) }
	if m.s.Rehearsal {
		add("Watermark", bold("REHEARSAL"))
	}
	add("Service", plain(m.s.Plan.Service))
	add("Version", plain(r.Version))
	add("Plan", plain(r.Title+" "), code(r.PlanID), plain(", digest "), code(short(r.PlanDigest)))
	add("Profile", plain(r.Profile))
	add("Run", code(r.ID))
	add("T0", plain(stamp(r.T0)))
	add("Planned end", plain(stamp(r.EndsAt)+", "+offset(r.EndsAt-r.T0)))
	add("State", plain(strings.ReplaceAll(r.State, "-", " ")))
	add("Verdict", verdict(r.Verdict))
	add("Checks of the checkpoints that opened", m.tally(r.Counts)...)
	switch {
	case r.ClosedAt != 0:
		add("Outcome", span{Text: strings.ReplaceAll(m.s.Outcome, "-", " "), Tone: outcomeTone(m.s.Outcome), Bold: true},
			plain(", closed "+stamp(r.ClosedAt)+", "+offset(r.ClosedAt-r.T0)))
	default:
		add("Outcome", plain("none yet: the run is not closed"))
	}
	add("As of", plain(stamp(r.At)+", "+offset(r.At-r.T0)))
	s.say(plain("All times are UTC. Verdicts are counted, never averaged; what could not be seen is unknown, never a pass."))
}

func outcomeTone(outcome string) string {
	switch outcome {
	case "pass":
		return "pass"
	case "pass-with-waivers":
		return "waived"
	case "pass-with-remarks":
		return "warn"
	}
	return "fail"
}

// tally writes counts, the worst first.
func (m *material) tally(c wire.Counts) []span {
	var out []span
	for _, n := range []struct {
		count int
		word  string
	}{
		{c.Fail, wire.VerdictFail},
		{c.Unknown, wire.VerdictUnknown},
		{c.Pending, wire.VerdictPending},
		{c.Warn, wire.VerdictWarn},
		{c.Waived, wire.VerdictWaived},
		{c.Pass, wire.VerdictPass},
		{c.NotApplicable, wire.VerdictNotApplicable},
	} {
		if n.count == 0 {
			continue
		}
		if len(out) > 0 {
			out = append(out, plain(", "))
		}
		out = append(out, plain(strconv.Itoa(n.count)+" "), verdict(n.word))
	}
	if len(out) == 0 {
		return words("none")
	}
	return out
}

func (m *material) exit(s *section) {
	t := s.table("Condition", "", "Measured")
	unmet := 0
	for _, c := range m.run.Exit {
		if !c.Met {
			unmet++
		}
		t.row(words(c.Title), in(yesNo(c.Met, "met", "not met")), words(c.Text))
	}
	if unmet == 0 {
		s.say(plain("All conditions are met."))
		return
	}
	s.say(plain(fmt.Sprintf("%d of %d conditions are not met.", unmet, len(m.run.Exit))))
}

// objectives tells how the SLOs stand.
func (m *material) objectives(d *document) {
	s := d.add("Service level objectives")
	if len(m.run.SLOs) == 0 {
		s.say(plain("The plan has no objective with a budget."))
		return
	}
	t := s.table("Objective", "Verdict", "Value", "Target", "n", "Coverage", "Budget used", "Forecast", "Burn rates")
	var bars []bar
	for _, o := range m.run.SLOs {
		value := share(o.Value)
		if o.Show != "" {
			value = strings.TrimPrefix(value+" ("+o.Show+")", " ")
		}
		n := ""
		if o.Value != nil {
			n = plan.FormatNumber(o.Events, "")
		}
		t.row(append(sentence(o.Title), plain(" "), code(o.ID)), in(verdict(o.Verdict)), words(value), words("≥ "+share(&o.Target)), words(n),
			words(share(o.Coverage)), words(share(o.Used)), words(share(o.Forecast)), m.burns(o))
		if o.Used != nil {
			text := share(o.Used) + " used"
			if o.Forecast != nil {
				text += ", " + share(o.Forecast) + " at the end if it goes on so"
			}
			bars = append(bars, bar{o.ID, *o.Used, text, budgetTone(o)})
		}
	}
	if len(bars) > 0 {
		s.say(plain("Error budgets of the whole run:"))
		s.Blocks = append(s.Blocks, block{Bars: bars})
	}
	s.say(plain("Values are those since T0 and burn rates those of the newest measurement in the journal; an objective without a value was not measured yet. A rate of 1 spends exactly the budget of the run."))
}

func budgetTone(o wire.SLO) string {
	switch {
	case *o.Used > 1:
		return "fail"
	case o.Forecast != nil && *o.Forecast > 1:
		return "warn"
	}
	return "pass"
}

// burns tells the rates that were measured, and the incidents of the objective.
func (m *material) burns(o wire.SLO) []span {
	var out []span
	for _, b := range o.Burns {
		if o.At == 0 || b.Rate == nil {
			continue
		}
		text := length(b.LongMS) + ": " + plan.FormatNumber(*b.Rate, "") + " of " + plan.FormatNumber(b.Limit, "")
		if len(out) > 0 {
			text = ", " + text
		}
		out = append(out, plain(text))
		if b.Firing {
			out = append(out, span{Text: " firing", Tone: "fail"})
		}
	}
	for _, i := range m.run.Incidents {
		for _, id := range i.Checks {
			if id == o.ID {
				if len(out) > 0 {
					out = append(out, plain(", "))
				}
				out = append(out, plain("incident "), code(i.ID))
			}
		}
	}
	return out
}

// share writes a share of one, or nothing.
func share(v *float64) string {
	if number(v) == nil {
		return ""
	}
	return plan.FormatNumber(*v, plan.UnitShare)
}

// since writes a time with its distance from T0.
func (m *material) since(at int64) string {
	if at == 0 {
		return ""
	}
	return stamp(at) + " (" + offset(at-m.run.T0) + ")"
}

// between writes a window of evidence.
func (m *material) between(from, to int64) string {
	switch {
	case to == 0:
		return ""
	case from == 0 || from == to:
		return "at " + m.since(to)
	}
	return stamp(from) + " to " + stamp(to) + ", " + length(to-from)
}

package hypercare

import (
	"errors"
	"io/fs"
	"slices"

	tea "charm.land/bubbletea/v2"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// deed begins what a key of the table asks for. What is not possible here says why.
func (s *Screen) deed(a ui.Action) tea.Cmd {
	switch a {
	case ui.Copy, ui.CopyQuery:
		return s.copy(a)
	case ui.Reload:
		return s.ask(live.ReadReport())
	case ui.StartRun:
		s.startRun()
		return nil
	}
	if s.run().Run == nil {
		s.say(ui.Warn, "there is no run yet")
		return nil
	}
	switch a {
	case ui.UserIssue:
		s.form = s.issueForm()
	case ui.NewIncident:
		s.form = s.incidentForm()
	case ui.OwnIncident, ui.LinkIncident, ui.CloseIncident:
		s.onIncident(a)
	case ui.SaveReport:
		s.saveReport()
	case ui.SignOff:
		if s.view == exit {
			return s.ask(live.ReadClosing())
		}
		s.signCheckpoint()
	case ui.Decide:
		s.form = s.decideForm()
	default:
		return s.onCheck(a)
	}
	return nil
}

func (s *Screen) say(style ui.Style, t safetext.Text) { s.notice = notice{style, t} }

// ask sends a request.
func (s *Screen) ask(r live.Request) tea.Cmd {
	s.gen++
	return s.send(r, s.gen)
}

func (s *Screen) send(r live.Request, gen uint64) tea.Cmd {
	if s.Do == nil {
		return nil
	}
	r.Gen, s.waiting, s.notice = gen, r.Label, notice{}
	do := s.Do
	return func() tea.Msg { return do(r) }
}

// request is the deed of a request, after a question if that is not empty.
func (s *Screen) request(r live.Request, question safetext.Text) deed {
	return deed{question: question, do: func(gen uint64) tea.Cmd { return s.send(r, gen) }}
}

// perform does a deed, or asks first.
func (s *Screen) perform(d deed) tea.Cmd {
	if d.question != "" {
		s.question = &question{text: d.question, deed: d}
		return nil
	}
	return s.carryOut(d)
}

func (s *Screen) carryOut(d deed) tea.Cmd {
	s.gen++
	if s.form != nil {
		s.form.gen = s.gen
	}
	return d.do(s.gen)
}

// answer takes the answer to the question. Anything but yes is no.
func (s *Screen) answer(a ui.Action) tea.Cmd {
	q := s.question
	s.question = nil
	if a == ui.Yes {
		return s.carryOut(q.deed)
	}
	if s.form == nil {
		s.say(ui.Dim, "nothing was done")
	}
	return nil
}

// fillIn moves in the form, sends it or drops it. A form that was sent waits for its
// answer; dropping it then does not take the request back.
func (s *Screen) fillIn(a ui.Action) tea.Cmd {
	f := s.form
	switch a {
	case ui.Cancel:
		s.form = nil
		if f.gen == 0 {
			s.say(ui.Dim, "nothing was done")
		}
	case ui.LineUp:
		f.step(-1)
	case ui.LineDown:
		f.step(1)
	case ui.Accept:
		if f.gen != 0 {
			return nil
		}
		if f.at < len(f.fields)-1 {
			if f.wrong = f.fields[f.at].wrong(); f.wrong == "" {
				f.at++
			}
			return nil
		}
		if f.complete() {
			return s.perform(f.done(f.texts()))
		}
	}
	return nil
}

// answered takes the answer to a request. One that is not to the newest is told all
// the same: it was done.
func (s *Screen) answered(r live.Result) tea.Cmd {
	if r.Gen == s.gen {
		s.waiting = ""
	}
	ours := s.form != nil && s.form.gen == r.Gen
	if r.Err != "" {
		s.say(ui.Bad|ui.Bold, ui.Say("not done: %s: %s", r.Label, r.Err))
		if ours {
			s.form.gen, s.form.wrong = 0, r.Err
		}
		return nil
	}
	if ours {
		s.form = nil
	}
	switch {
	case r.Closing != nil:
		s.closing = r.Closing
		s.say(ui.Good, "read: the closing statement, below")
	case r.Report != nil:
		s.report = r.Report
		s.say(ui.Good, ui.Say("the report: %d bytes", len(r.Report.Raw))+s.hint(", s saves it"))
	default:
		s.say(ui.Good, "done: "+r.Label)
	}
	return nil
}

// copy puts a command or a query on the clipboard of the operator's terminal: what is
// seen is what is copied.
func (s *Screen) copy(a ui.Action) tea.Cmd {
	text, what := safetext.Text(""), safetext.Text("command")
	c, cp := s.chosen()
	switch {
	case s.view == exit:
		text = s.signCommand()
	case c == nil:
	case a == ui.CopyQuery:
		text, what = c.Query, "query"
	default:
		text = commandOf(c, cp)
	}
	if text == "" {
		s.say(ui.Warn, ui.Say("there is no %s to copy here", what))
		return nil
	}
	s.say(ui.Good, ui.Say("copied: %s", text))
	return tea.SetClipboard(string(text))
}

// onCheck does one of the verbs to the chosen check.
func (s *Screen) onCheck(a ui.Action) tea.Cmd {
	c, _ := s.chosen()
	if c == nil {
		s.say(ui.Warn, "there is no check here")
		return nil
	}
	switch a {
	case ui.Tick:
		return s.tick(c)
	case ui.Untick:
		if c.Tick == nil {
			s.say(ui.Warn, c.ID+" is not ticked")
			return nil
		}
		s.form = &form{
			title: "Untick " + c.ID, about: c.Text, fields: []*field{newField("reason", "why it does not hold any more", 1, "")},
			done: func(texts []string) deed {
				return s.request(live.ActOnCheck(c.ID, wire.VerbUntick, wire.CheckAct{Reason: texts[0], Role: string(c.Role)}),
					ui.Say("Take back the tick of %s (%s), made by %s?", c.ID, c.Text, c.Tick.Who))
			},
		}
	case ui.Waive:
		if c.Unwaivable {
			s.say(ui.Warn, c.ID+" cannot be waived: the plan forbids it")
			return nil
		}
		s.form = s.waiveForm(c)
	case ui.Remark:
		s.form = &form{
			title: "Note on " + c.ID, about: c.Text, fields: []*field{newField("note", "stands in the journal, with your name", 1, "")},
			done: func(texts []string) deed {
				return s.request(live.ActOnCheck(c.ID, wire.VerbNote, wire.CheckAct{Reason: texts[0]}), "")
			},
		}
	case ui.Recheck:
		s.form = &form{
			title: "Recheck " + c.ID, about: "A recheck is a new evaluation beside the old ones: nothing is overwritten. More than three without an action between them are flagged.",
			fields: []*field{newField("reason", "why it should come out differently now", 1, "")},
			done: func(texts []string) deed {
				return s.request(live.ActOnCheck(c.ID, wire.VerbRecheck, wire.CheckAct{Reason: texts[0]}), "")
			},
		}
	}
	return nil
}

func (s *Screen) tick(c *live.Check) tea.Cmd {
	switch {
	case c.Kind == "auto":
		s.say(ui.Warn, c.ID+" is judged by the machine: r judges it anew")
		return nil
	case c.Tick != nil:
		s.say(ui.Warn, ui.Say("%s was ticked by %s: U takes it back", c.ID, c.Tick.Who))
		return nil
	case c.Evidence == "":
		return s.ask(live.ActOnCheck(c.ID, wire.VerbTick, wire.CheckAct{Role: string(c.Role)}))
	}
	s.form = &form{
		title: "Tick " + c.ID, about: c.Text,
		fields: []*field{
			newField("evidence", ui.Say("required: %s; what you saw, and where", c.Evidence), 1, ""),
			newField("role", "in which you tick", 1, string(c.Role)),
		},
		done: func(texts []string) deed {
			return s.request(live.ActOnCheck(c.ID, wire.VerbTick, wire.CheckAct{Evidence: texts[0], Role: texts[1]}), "")
		},
	}
	return nil
}

// onIncident does something to the chosen incident.
func (s *Screen) onIncident(a ui.Action) {
	list := sorted(s.run().Run)
	if len(list) == 0 {
		s.say(ui.Warn, "there is no incident")
		return
	}
	in := list[index(list, s.incident, func(i live.Incident) safetext.Text { return i.ID })]
	if !in.ClosedAt.IsZero() && a != ui.LinkIncident {
		s.say(ui.Warn, ui.Say("incident %s is closed", in.ID))
		return
	}
	switch a {
	case ui.OwnIncident:
		s.form = &form{
			title: ui.Say("Own incident %s", in.ID), about: in.Title, fields: []*field{newField("owner", "who works on it", 1, "")},
			done: func(texts []string) deed {
				return s.request(live.ActOnIncident(in.ID, wire.VerbOwn, wire.IncidentAct{Owner: texts[0]}), "")
			},
		}
	case ui.LinkIncident:
		s.form = &form{
			title: ui.Say("Link incident %s", in.ID), about: "A breach that recovered stays FAIL until it is linked to a closed incident, or waived.",
			fields: []*field{s.checkField(1)},
			done: func(texts []string) deed {
				return s.request(live.ActOnIncident(in.ID, wire.VerbLink, wire.IncidentAct{Check: texts[0]}), "")
			},
		}
	case ui.CloseIncident:
		s.form = &form{
			title: ui.Say("Close incident %s", in.ID), about: in.Title, fields: []*field{newField("result", "what it was and what was done", 10, "")},
			done: func(texts []string) deed {
				return s.request(live.ActOnIncident(in.ID, wire.VerbClose, wire.IncidentAct{Result: texts[0]}),
					ui.Say("Close incident %s of level %d (%s)?", in.ID, in.Level, in.Title))
			},
		}
	}
}

// checkField asks for a check of the run, the chosen one to begin with.
func (s *Screen) checkField(least int) *field {
	text := ""
	if c, _ := s.chosen(); c != nil {
		text = string(c.ID)
	}
	f := newField("check", "id of a check of this run", least, text)
	r := s.run().Run
	f.check = func(text string) safetext.Text {
		if c, _ := r.Check(safetext.Clean(text)); c == nil {
			return ui.Say("the run has no check %s", text)
		}
		return ""
	}
	return f
}

// oneOf accepts the words alone.
func oneOf(words ...string) func(string) safetext.Text {
	return func(text string) safetext.Text {
		if slices.Contains(words, text) {
			return ""
		}
		return ui.Say("%s: one of %q", text, words)
	}
}

// saveReport asks for the name of a file.
func (s *Screen) saveReport() {
	if s.report == nil {
		s.say(ui.Warn, "the report was not read: r reads it")
		return
	}
	raw := s.report.Raw
	s.form = &form{
		title: "Save the report", about: "As Markdown, exactly as the observer wrote it. A file that exists is not overwritten.",
		fields: []*field{newField("file", "in the directory in which the console was started, unless it has a path", 1, "hypercare-report.md")},
		done: func(texts []string) deed {
			return deed{do: func(gen uint64) tea.Cmd {
				if s.Save == nil {
					return nil
				}
				s.waiting = ui.Say("save %s", texts[0])
				save := s.Save
				return func() tea.Msg {
					m := Saved{Name: safetext.Clean(texts[0]), gen: gen}
					if err := save(texts[0], raw); errors.Is(err, fs.ErrExist) {
						m.Err = "it exists: choose another name"
					} else if err != nil {
						m.Err = safetext.Clean(err.Error())
					}
					return m
				}
			}}
		},
	}
}

func (s *Screen) saved(m Saved) {
	if m.gen == s.gen {
		s.waiting = ""
	}
	ours := s.form != nil && s.form.gen == m.gen
	switch {
	case m.Err == "":
		s.say(ui.Good, ui.Say("saved: %s", m.Name))
		if ours {
			s.form = nil
		}
	case ours:
		s.form.gen, s.form.wrong = 0, m.Err
	default:
		s.say(ui.Bad|ui.Bold, ui.Say("not saved: %s: %s", m.Name, m.Err))
	}
}

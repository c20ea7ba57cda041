// Package hypercare is the screen of the plan that is carried out after a
// deployment: seven checkpoints, their checks, and what people do about them.
//
// # Views
//
//	checks      the timeline, and the checks of the chosen checkpoint by section;
//	            one check opens as a page of its evidence with a graph
//	objectives  the error budgets
//	incidents, decisions, exit, report
//
// The head of every view names the run, and a rehearsal loudly. What there is no room
// for is left out and said. Times are those of the run's clock throughout; the
// screen compares them with the run's own now, never with the console's clock.
//
// # Acting
//
// A key opens a form, or a question if the deed cannot be taken back; the question
// names its target and the default is no. The request goes out as a command with a
// number of its own. Until its answer comes the form stays, so that a refusal costs
// no typing; the answer stands in the last row until the next key. Which keys exist
// is the table's business (ui.Bindings): a read-only console has none that leads here.
//
// The chosen checkpoint and check are remembered by their ids: a new picture does not
// move them.
package hypercare

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// view is one of the screen's views.
type view uint8

const (
	checks view = iota
	objectives
	incidents
	decisions
	exit
	report
	views
)

func (v view) String() string {
	return [...]string{"checks", "objectives", "incidents", "decisions", "exit", "report"}[v]
}

func (v view) context() ui.Context {
	return [...]ui.Context{ui.InChecks, ui.InSLOs, ui.InIncidents, ui.InDecisions, ui.InExit, ui.InReport}[v]
}

// Screen is the hypercare screen. The functions are called by commands, never by
// Update; a nil one does nothing.
type Screen struct {
	Theme    *ui.Theme
	Zone     *time.Location // of the times shown
	ReadOnly bool           // no key leads to a deed: none is named

	Do    func(live.Request) live.Result          // makes a request, blocks
	Show  func(bool)                              // the screen is in front, or not
	Graph func(live.GraphOf)                      // chooses the graph
	Save  func(name string, content []byte) error // writes a new file

	picture *live.Picture
	front   bool
	view    view
	graph   live.GraphOf // asked for

	checkpoint safetext.Text // the chosen one; empty, until a key is pressed, follows the run
	check      safetext.Text
	open       bool // the check's page is shown
	incident   safetext.Text
	decision   safetext.Text
	tops       [views]int // first row shown of each view
	pageTop    int        // and of the check's page
	rows       int        // shown at the last view: a page of the page keys

	form     *form
	question *question
	gen      uint64        // of the newest request
	waiting  safetext.Text // what the newest request asks, until it is answered
	notice   notice
	closing  *live.Closing
	report   *live.Report

	head, timeline, body, graphs ui.Panel
}

// notice is the last row: how the last deed went.
type notice struct {
	style ui.Style
	text  safetext.Text
}

// Saved is the message that a file was written, or why not.
type Saved struct {
	Name safetext.Text
	Err  safetext.Text
	gen  uint64
}

// Context names the keys that the screen understands.
func (s *Screen) Context() ui.Context {
	switch {
	case s.question != nil:
		return ui.InQuestion
	case s.form != nil:
		return ui.InForm
	case s.view == checks && s.open:
		return ui.InCheck
	}
	return s.view.context()
}

// Update takes a message: a picture, an action, a key that is text, or an answer.
func (s *Screen) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case *live.Picture:
		s.picture = msg
		return s.follow()
	case *ui.Theme:
		s.Theme = msg
	case ui.Front:
		s.front = bool(msg)
		return tea.Batch(s.tellFront(), s.follow())
	case ui.ShowCheck:
		s.choose(safetext.Text(msg))
		return s.follow()
	case ui.Wheel:
		s.move(int(msg))
	case ui.Action:
		return tea.Batch(s.act(msg), s.follow())
	case tea.KeyPressMsg:
		if s.form != nil {
			s.form.press(msg)
		}
	case tea.PasteMsg:
		if s.form != nil {
			s.form.paste(msg.Content)
		}
	case live.Result:
		return s.answered(msg)
	case Saved:
		s.saved(msg)
	}
	return nil
}

// Home reports whether the screen is where back leads out of it.
func (s *Screen) Home() bool {
	return s.form == nil && s.question == nil && !s.open && s.view == checks
}

func (s *Screen) tellFront() tea.Cmd {
	if s.Show == nil {
		return nil
	}
	front, show := s.front, s.Show
	return func() tea.Msg {
		show(front)
		return nil
	}
}

// follow asks for the graph that belongs to what is shown, if it is another one.
func (s *Screen) follow() tea.Cmd {
	of := live.GraphOf{}
	if c, _ := s.chosen(); s.front && s.open && s.view == checks && c != nil {
		of = s.graphOf(c)
	}
	if of == s.graph || s.Graph == nil {
		return nil
	}
	s.graph = of
	choose := s.Graph
	return func() tea.Msg {
		choose(of)
		return nil
	}
}

// act carries out what a key means.
func (s *Screen) act(a ui.Action) tea.Cmd {
	if s.question != nil {
		return s.answer(a)
	}
	if s.form != nil {
		return s.fillIn(a)
	}
	s.notice = notice{}
	if a != ui.Back {
		s.pin()
	}
	switch a {
	case ui.NextView, ui.PrevView:
		step := view(1)
		if a == ui.PrevView {
			step = views - 1
		}
		s.view, s.open = (s.view+step)%views, false
		if s.view == report && s.report == nil && s.run().Run != nil {
			return s.ask(live.ReadReport())
		}
	case ui.Back:
		if s.open {
			s.open = false
		} else {
			s.view = checks
		}
	case ui.Open:
		if c, _ := s.chosen(); c != nil {
			s.open, s.pageTop = true, 0
		}
	case ui.Left, ui.Right:
		s.sideways(a)
	case ui.LineUp:
		s.move(-1)
	case ui.LineDown:
		s.move(1)
	case ui.PageUp:
		s.move(-max(s.rows-1, 1))
	case ui.PageDown:
		s.move(max(s.rows-1, 1))
	case ui.Newest:
		s.move(-1 << 20)
	case ui.Last:
		s.move(1 << 20)
	default:
		return s.deed(a)
	}
	return nil
}

// run returns what is known of the run.
func (s *Screen) run() *live.Hypercare {
	if s.picture == nil {
		return &live.Hypercare{}
	}
	return &s.picture.Care
}

// pin makes what is chosen by itself the operator's choice: a key was pressed at it.
func (s *Screen) pin() {
	c, cp := s.chosen()
	if cp != nil {
		s.checkpoint = cp.ID
	}
	if c != nil {
		s.check = c.ID
	}
}

// place returns the index of the chosen checkpoint, −1 if there is none.
func (s *Screen) place() int {
	r := s.run().Run
	if r == nil {
		return -1
	}
	for i := range r.Checkpoints {
		if r.Checkpoints[i].ID == s.checkpoint {
			return i
		}
	}
	return r.Present()
}

// listed returns the checks of a checkpoint in their order.
func listed(cp *live.Checkpoint) []*live.Check {
	var all []*live.Check
	for i := range cp.Sections {
		for j := range cp.Sections[i].Checks {
			all = append(all, &cp.Sections[i].Checks[j])
		}
	}
	return all
}

// chosen returns the chosen check and its checkpoint; the worst check if the chosen
// one is not of this checkpoint.
func (s *Screen) chosen() (*live.Check, *live.Checkpoint) {
	i := s.place()
	if i < 0 {
		return nil, nil
	}
	cp := &s.run().Run.Checkpoints[i]
	all := listed(cp)
	for _, c := range all {
		if c.ID == s.check {
			return c, cp
		}
	}
	return worst(all), cp
}

// worst returns the check that needs somebody most: the first of the heaviest
// verdict, nil of none.
func worst(all []*live.Check) *live.Check {
	for _, v := range live.Verdicts() {
		for _, c := range all {
			if c.Verdict == v {
				return c
			}
		}
	}
	return nil
}

// choose opens a check's page, if the run has the check.
func (s *Screen) choose(id safetext.Text) {
	if c, cp := s.run().Run.Check(id); c != nil {
		s.view, s.open, s.pageTop, s.checkpoint, s.check = checks, true, 0, cp.ID, id
	}
}

// sideways goes to the checkpoint or, on a check's page, the check beside.
func (s *Screen) sideways(a ui.Action) {
	step := 1
	if a == ui.Left {
		step = -1
	}
	if s.open {
		s.stepCheck(step)
		s.pageTop = 0
		return
	}
	if i := s.place() + step; i >= 0 && s.run().Run != nil && i < len(s.run().Run.Checkpoints) {
		s.checkpoint, s.check, s.tops[checks] = s.run().Run.Checkpoints[i].ID, "", 0
	}
}

// stepCheck goes n checks down the list.
func (s *Screen) stepCheck(n int) {
	c, cp := s.chosen()
	if c == nil {
		return
	}
	all := listed(cp)
	for i := range all {
		if all[i] == c {
			s.check, s.checkpoint = all[min(max(i+n, 0), len(all)-1)].ID, cp.ID
			return
		}
	}
}

// move goes n rows down in what is shown.
func (s *Screen) move(n int) {
	switch {
	case s.open:
		s.pageTop = max(s.pageTop+n, 0) // the view cuts it
	case s.view == checks:
		s.stepCheck(n)
	case s.view == incidents:
		s.incident = step(sorted(s.run().Run), s.incident, n, func(i live.Incident) safetext.Text { return i.ID })
	case s.view == decisions:
		s.decision = step(proposedFirst(s.run().Run), s.decision, n, func(d live.Decision) safetext.Text { return d.ID })
	default:
		s.tops[s.view] = max(s.tops[s.view]+n, 0)
	}
}

// step returns the id that is n further in a list.
func step[T any](list []T, chosen safetext.Text, n int, id func(T) safetext.Text) safetext.Text {
	if len(list) == 0 {
		return ""
	}
	return id(list[min(max(index(list, chosen, id)+n, 0), len(list)-1)])
}

// index returns where the id is in a list, 0 if it is not.
func index[T any](list []T, chosen safetext.Text, id func(T) safetext.Text) int {
	for i := range list {
		if id(list[i]) == chosen {
			return i
		}
	}
	return 0
}

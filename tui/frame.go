package tui

import (
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/live/sse"
	"github.com/spark-ta/spark/tui/screen/hypercare"
	"github.com/spark-ta/spark/tui/ui"
)

// Smallest terminal in which the console shows anything useful.
const (
	leastWidth  = 60
	leastHeight = 16
)

// draw composes the frame: the top line, a banner if the connection is bad, the
// screen or the help, the palette over its end, the keys.
func (m *model) draw() string {
	if m.canvas == nil || m.canvas.Area().W != m.width || m.canvas.Area().H != m.height {
		m.canvas = ui.NewCanvas(m.width, m.height)
	}
	m.canvas.Clear()
	a := m.canvas.Area()
	if m.width < leastWidth || m.height < leastHeight {
		a.Clip(0, 0, a.W, ui.Plain, ui.Say("%d×%d needed", leastWidth, leastHeight))
		a.Clip(0, 1, a.W, ui.Plain, ui.Say("this is %d×%d", m.width, m.height))
		return m.render()
	}
	top, rest := a.Top(1)
	body, footer := rest.Top(rest.H - 1)
	if b := m.banner(); b != nil {
		// It takes its row from the body: nothing is hidden under it.
		_, body = body.Top(1)
	}
	if m.help != nil {
		m.help.view(body, m.theme, m.keys, m.front.Context())
	} else {
		m.front.View(body)
	}
	if m.lost() {
		m.canvas.Fade()
	}
	m.drawTop(top)
	if b := m.banner(); b != nil {
		b(rest.Sub(0, 0, rest.W, 1))
	}
	if m.palette != nil {
		m.palette.view(body, m.theme)
	}
	m.drawFooter(footer)
	return m.render()
}

func (m *model) render() string {
	if m.theme.Glyphs.ASCII {
		m.canvas.ASCII()
	}
	return m.canvas.Render(m.theme)
}

func (m *model) lost() bool {
	return m.picture != nil && m.picture.Link.State == live.Lost
}

// drawTop draws who is looked at, and at the right how the connection stands.
func (m *model) drawTop(a ui.Area) {
	a.Fill(ui.Plain)
	style, state := m.connection()
	end := a.Right(a.W-1, 0, style|ui.Bold, state)
	left := a.Sub(0, 0, end-1, 1)
	x := 0
	if a.W >= 72 || m.picture == nil || m.picture.Care.Run == nil {
		x = left.Text(0, 0, ui.Title|ui.Reverse, " SPARK ")
	}
	for i, fact := range m.facts() {
		room := 3
		if i == 0 || fact.close {
			room = 1
		}
		if x+ui.Width(fact.text)+room > left.W {
			continue
		}
		if room == 3 {
			x = left.Text(x, 0, ui.Border, ui.Say(" %c", m.theme.Glyphs.Dot))
		}
		x = left.Text(x+1, 0, fact.style, fact.text)
	}
}

// fact is one thing that the top line says.
type fact struct {
	style ui.Style
	text  safetext.Text
	close bool // to the one before
}

// facts returns what stands in the top line, the most important first.
func (m *model) facts() []fact {
	var facts []fact
	plain := func(t safetext.Text) { facts = append(facts, fact{style: ui.Plain, text: t}) }
	if m.options.ReadOnly {
		plain("READ-ONLY")
	}
	p := m.picture
	if p == nil {
		plain(m.phase)
		return facts
	}
	facts = append(facts, runFacts(&p.Care)...)
	host := strings.TrimPrefix(strings.TrimPrefix(string(p.URL), "http://"), "https://")
	leader := safetext.Text("")
	if i, ok := p.Fleet.Leader(); ok {
		leader = ui.Say("leader %s #%d", i.ID, i.Epoch)
	} else if len(p.Fleet.Instances) > 0 {
		leader = "NO LEADER"
	}
	if p.Care.Run == nil {
		plain(safetext.Clean(host))
	}
	if leader != "" {
		plain(leader)
	}
	if v := version(p); v != "" && p.Care.Run == nil {
		plain(v)
	}
	if r := p.Care.Run; r != nil {
		plain(ui.Say("%s %s", r.PlanID, r.Version))
		plain(safetext.Clean(host))
	}
	if p.Health.Known {
		plain(ui.Say("up %s", ui.Age(p.Health.Uptime.Truncate(time.Second))))
	}
	return facts
}

// runFacts is what the top line says of a run: how far it is, and how its three
// objectives stand.
func runFacts(h *live.Hypercare) []fact {
	r := h.Run
	if r == nil {
		return nil
	}
	var facts []fact
	if r.Rehearsal {
		facts = append(facts, fact{style: ui.Warn | ui.Bold | ui.Reverse, text: "REHEARSAL"})
	}
	facts = append(facts, fact{style: ui.Bold, text: hypercare.Elapsed(h.Elapsed())})
	return append(facts, chips(r)...)
}

// chips are the three objectives in short: name, value, and the verdict's letter. One
// that the run does not have, or has not measured, is UNKN.
func chips(r *live.Run) []fact {
	var facts []fact
	for _, c := range []struct {
		name safetext.Text
		says []string // in the id or the title
	}{{"SSE", []string{"sse", "stream"}}, {"LAT", []string{"latency", "p95"}}, {"NTF", []string{"notif", "ntf"}}} {
		chip := fact{style: ui.Warn, text: c.name + " UNKN", close: len(facts) > 0}
		for i := range r.SLOs {
			o := &r.SLOs[i]
			if !says(o, c.says) {
				continue
			}
			if value := hypercare.Short(o); value != "" && o.Verdict != live.Unknown {
				chip.style, chip.text = hypercare.Style(o.Verdict), ui.Say("%s %s %c", c.name, value, o.Verdict.Letter())
			}
			break
		}
		facts = append(facts, chip)
	}
	return facts
}

func says(o *live.SLO, words []string) bool {
	text := strings.ToLower(string(o.ID + " " + o.Title))
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// version returns the version of the fleet, and says when there is more than one.
func version(p *live.Picture) safetext.Text {
	var first safetext.Text
	for _, i := range p.Fleet.Instances {
		switch {
		case first == "":
			first = i.Version
		case i.Version != first && i.Version != "":
			return first + " and others"
		}
	}
	if first == "" {
		return p.Health.Version
	}
	return first
}

// connection says in a word and an age how the connection stands.
func (m *model) connection() (ui.Style, safetext.Text) {
	g := m.theme.Glyphs
	if m.picture == nil {
		return ui.Warn, ui.Say("%c %s", g.Dot, "STARTING")
	}
	link := m.picture.Link
	switch {
	case link.State == live.Lost:
		return ui.Bad, ui.Say("%c LOST %s", g.Lost, ui.Seconds(m.now.Sub(link.LastOK)))
	case link.State == live.Connecting:
		return ui.Warn, ui.Say("%c CONNECTING", g.Dot)
	case m.picture.Fleet.Err != "":
		return ui.Warn, ui.Say("%c NO FLEET", g.Lost)
	case link.Events.Phase != sse.Live:
		return ui.Warn, ui.Say("%c NO EVENTS", g.Lost)
	}
	age := m.now.Sub(m.picture.Fleet.At)
	if m.picture.Fleet.At.IsZero() {
		return ui.Good, ui.Say("%c LIVE", g.Live)
	}
	if age > 6*time.Second {
		return ui.Warn, ui.Say("%c STALE %s", g.Lost, ui.Seconds(age))
	}
	return ui.Good, ui.Say("%c LIVE %s", g.Live, ui.Seconds(age))
}

// banner returns what draws the banner, nil if all is well.
func (m *model) banner() func(ui.Area) {
	if m.picture == nil || m.picture.Link.Attempts == 0 {
		return nil
	}
	link := m.picture.Link
	return func(a ui.Area) {
		what := safetext.Text("CONNECTION LOST")
		if link.State == live.Connecting {
			what = "NO CONNECTION"
		}
		facts := []safetext.Text{ui.Say("attempt %d", link.Attempts), "trying now"}
		if wait := link.Next.Sub(m.now); wait > 0 {
			facts[1] = ui.Say("retry in %s", ui.Seconds(wait.Round(time.Second)))
		}
		facts = append(facts, link.Cause)
		if !link.LastOK.IsZero() {
			facts = append(facts, ui.Say("data %s old", ui.Seconds(m.now.Sub(link.LastOK))))
		}
		a.Fill(ui.Bad | ui.Reverse)
		x := a.Text(0, 0, ui.Bad|ui.Reverse|ui.Bold, " "+what)
		for _, fact := range facts {
			fact = ui.Say(" %c %s", m.theme.Glyphs.Dot, fact)
			if x+ui.Width(fact) <= a.W {
				x = a.Text(x, 0, ui.Bad|ui.Reverse|ui.Bold, fact)
			}
		}
	}
}

// footer returns the bindings that work here: the way to help and out first, then
// those of the place, then those of the whole console.
func (m *model) footer() []ui.Binding {
	in := m.context()
	here := m.keys.In(in)
	if in.Closed() || in == ui.InHelp {
		return here
	}
	var first, rest []ui.Binding
	for _, b := range m.keys.In(ui.Everywhere) {
		if b.Action == ui.Help || b.Action == ui.Quit {
			first = append(first, b)
		} else {
			rest = append(rest, b)
		}
	}
	return slices.Concat(first, here, rest)
}

// drawFooter names the keys that work here.
func (m *model) drawFooter(a ui.Area) {
	a.Fill(ui.Plain)
	x := 1
	for _, b := range m.footer() {
		keys, label, ok := strings.Cut(b.Footer, " ")
		if !ok {
			continue
		}
		safe := ui.Say("%s", label)
		if x+len([]rune(keys))+1+ui.Width(safe) > a.W {
			return
		}
		x = a.Text(x, 0, ui.Accent|ui.Bold, ui.Say("%s", keys))
		x = a.Text(x+1, 0, ui.Dim, safe) + 2
	}
}

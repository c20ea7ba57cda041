package tui

import (
	"cmp"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	coremarket "github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/tui/ui"
)

// entry is one line of the palette: a command with its argument, and the message
// that it becomes.
type entry struct {
	name string
	help string
	msg  tea.Msg
}

// entries returns all that the palette offers now.
func (m *model) entries() []entry {
	var all []entry
	for _, b := range m.keys.Commands() {
		if b.In == ui.Everywhere || b.In == m.front.Context() {
			all = append(all, entry{b.Command, b.Help().Desc, b.Action})
		}
	}
	for _, s := range m.market.Symbols() {
		all = append(all, entry{"symbol " + string(s), "chart", ui.ShowSymbol(s)})
	}
	for _, tf := range coremarket.Timeframes() {
		all = append(all, entry{"timeframe " + tf.String(), "chart", ui.ShowTimeframe(tf)})
	}
	return all
}

// palette is the line in which commands are typed, with what fits above it.
type palette struct {
	input   ui.Line
	all     []entry
	history []string
	found   []entry
	chosen  int
}

func newPalette(all []entry, history []string, text string) *palette {
	p := &palette{all: all, history: history}
	p.input.Set(text)
	p.search()
	return p
}

func (p *palette) press(msg tea.KeyPressMsg) {
	p.input.Press(msg)
	p.search()
}

func (p *palette) insert(text string) {
	p.input.Paste(text)
	p.search()
}

// search finds what the text may mean, best first. A symbol or timeframe that is
// typed in full need not be on the list.
func (p *palette) search() {
	p.chosen = 0
	text := strings.TrimLeft(p.input.String(), " ")
	p.found = p.found[:0]
	if text == "" {
		for _, name := range slices.Backward(p.history) {
			if i := slices.IndexFunc(p.all, func(e entry) bool { return e.name == name }); i >= 0 {
				p.found = append(p.found, p.all[i])
			}
		}
		for _, e := range p.all {
			if !slices.Contains(p.history, e.name) {
				p.found = append(p.found, e)
			}
		}
		return
	}
	scores := map[string]int{}
	for _, e := range p.all {
		if score, ok := fuzzy(text, e.name); ok {
			scores[e.name] = score
			p.found = append(p.found, e)
		}
	}
	slices.SortStableFunc(p.found, func(a, b entry) int { return cmp.Compare(scores[b.name], scores[a.name]) })
	if e, ok := typed(text); ok && !slices.ContainsFunc(p.found, func(f entry) bool { return f.name == e.name }) {
		p.found = append(p.found, e)
	}
}

// typed reads "symbol X".
func typed(text string) (entry, bool) {
	verb, argument, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok || verb != "symbol" {
		return entry{}, false
	}
	s, err := coremarket.ParseSymbol(strings.TrimSpace(argument))
	if err != nil {
		return entry{}, false
	}
	return entry{"symbol " + string(s), "chart, if the exchange lists it", ui.ShowSymbol(s)}, true
}

// fuzzy reports whether the letters of text occur in name in their order, and how
// well: runs of neighbours and beginnings of words count more. Of several places
// where text may begin the best counts: "sol" means SOLUSDT in "symbol SOLUSDT", not
// letters of the first word.
func fuzzy(text, name string) (score int, ok bool) {
	letters := []rune(name)
	for begin := range letters {
		if s, found := fuzzyFrom(text, letters, begin); found && (!ok || s > score) {
			score, ok = s, true
		}
	}
	return score, ok
}

// fuzzyFrom takes each letter at its first place from begin on. Case matters only to
// break a tie, because 1m is not 1M.
func fuzzyFrom(text string, letters []rune, begin int) (score int, ok bool) {
	at, run := begin, 0
	for _, r := range text {
		found := -1
		for i := at; i < len(letters); i++ {
			if lower(letters[i]) == lower(r) {
				found = i
				break
			}
		}
		if found < 0 {
			return 0, false
		}
		if found == at {
			run++
		} else {
			run = 1
		}
		score += run * run
		if found == 0 || letters[found-1] == ' ' {
			score += 4
		}
		if letters[found] == r {
			score++
		}
		at = found + 1
	}
	return score*8 - len(letters), true
}

func lower(r rune) rune { return []rune(strings.ToLower(string(r)))[0] }

func (p *palette) view(a ui.Area, t *ui.Theme) {
	rows := min(len(p.found), 8, a.H-2)
	box := a.Sub(0, a.H-rows-2, a.W, rows+2)
	box.Fill(ui.Plain)
	top := max(p.chosen-rows+1, 0)
	remark := ui.Say("%d", len(p.found))
	if rows < len(p.found) {
		remark = ui.Say("%d–%d of %d", top+1, top+rows, len(p.found))
	}
	rest := box.Heading(t, true, "Command", remark)
	for y := range rows {
		e := p.found[top+y]
		style := ui.Plain
		if top+y == p.chosen {
			style = ui.Reverse
			rest.Sub(0, y, rest.W, 1).Fill(style)
			rest.Put(1, y, style, t.Glyphs.Cursor)
		}
		rest.Text(3, y, style|ui.Bold, ui.Say("%s", e.name))
		rest.Clip(26, y, rest.W-26, style, ui.Say("%s", e.help))
	}
	line := rest.Sub(0, rows, rest.W, 1)
	x := line.Text(0, 0, ui.Accent|ui.Bold, " : ")
	p.input.Draw(line.Sub(x, 0, line.W-x, 1), ui.Plain, true)
}

// inPalette carries out an action of the palette.
func (m *model) inPalette(a ui.Action) tea.Cmd {
	p := m.palette
	switch a {
	case ui.Quit:
		return m.quit()
	case ui.Cancel:
		m.palette = nil
	case ui.LineUp:
		p.chosen = max(p.chosen-1, 0)
	case ui.LineDown:
		p.chosen = min(p.chosen+1, max(len(p.found)-1, 0))
	case ui.Complete:
		if len(p.found) > 0 {
			p.input.Set(p.found[p.chosen].name)
			p.search()
		}
	case ui.Accept:
		if len(p.found) == 0 {
			return nil
		}
		e := p.found[p.chosen]
		m.palette = nil
		m.help = nil
		m.remember(e.name)
		_, cmd := m.Update(e.msg)
		return cmd
	}
	return nil
}

// remember keeps the last twenty commands, each once.
func (m *model) remember(name string) {
	m.history = slices.DeleteFunc(m.history, func(s string) bool { return s == name })
	m.history = append(m.history, name)
	if len(m.history) > 20 {
		m.history = m.history[1:]
	}
}

package tui

import (
	"slices"
	"strings"
	"testing"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// toReach are the keys that lead from the start to where a key of the context has
// something to do.
func toReach(b ui.Binding) []string {
	switch b.In {
	case ui.Everywhere:
		if b.Action == ui.Overview || b.Action == ui.Back {
			return []string{"3"}
		}
		return nil
	case ui.InOverview:
		if slices.Contains([]ui.Action{ui.LineUp, ui.PageUp, ui.Newest}, b.Action) {
			return []string{"G"}
		}
	case ui.InMarket:
		if b.Action == ui.Shorter {
			return []string{"3", "]"}
		}
		return []string{"3"}
	case ui.InPalette:
		if b.Action == ui.LineUp {
			return []string{":", "down"}
		}
		return []string{":"}
	case ui.InChecks, ui.InCheck, ui.InSLOs, ui.InIncidents, ui.InDecisions, ui.InExit, ui.InReport:
		return toReachCare(b)
	case ui.InForm:
		return []string{"2", "down", "W"}
	case ui.InQuestion:
		return []string{"2", "left", "up", "U", "x", "enter"}
	case ui.InHelp:
		if b.Action == ui.LineUp {
			return []string{"?", "down"}
		}
		return []string{"?"}
	}
	return nil
}

// toReachCare are the keys that lead to a view of the hypercare screen.
func toReachCare(b ui.Binding) []string {
	way := map[ui.Context][]string{
		ui.InChecks: {"2"}, ui.InCheck: {"2", "enter"}, ui.InSLOs: {"2", "tab"}, ui.InIncidents: {"2", "tab", "tab"}, ui.InDecisions: {"2", "tab", "tab", "tab"},
		ui.InExit: {"2", "shift+tab", "shift+tab"}, ui.InReport: {"2", "shift+tab"},
	}[b.In]
	switch b.Action {
	case ui.LineUp, ui.PageUp, ui.Newest:
		return append(way, "G")
	case ui.Reload:
		return append(way, "down")
	case ui.Left:
		if b.In == ui.InCheck {
			return append(way, "right")
		}
	case ui.Tick, ui.Untick:
		to := []string{"2", "left"} // where the manual checks are
		if b.Action == ui.Untick {
			to = append(to, "up")
		}
		way = append(to, way[1:]...)
	}
	return way
}

// shown is the picture in which a key of the binding has something to do.
func shown(b ui.Binding) *live.Picture {
	if b.Action == ui.StartRun {
		return planned()
	}
	return caring()
}

func TestEveryKeyOfTheTableDoesSomething(t *testing.T) {
	for _, b := range ui.Bindings() {
		for _, k := range b.Keys() {
			m := console(t, 80, 24, Options{NoColor: true}, shown(b))
			press(m, toReach(b)...)
			if in := m.context(); b.In != ui.Everywhere && in != b.In {
				t.Fatalf("%v leads to %s, want %s", toReach(b), in, b.In)
			}
			before := m.View().Content
			press(m, k)
			if m.View().Content == before && !m.left {
				t.Errorf("%s: %q (%s) changes nothing", b.In, k, b.Action)
			}
			if m.left != (b.Action == ui.Quit) {
				t.Errorf("%s: %q (%s) leaves: %v", b.In, k, b.Action, m.left)
			}
		}
	}
}

func TestHelpNamesEveryKey(t *testing.T) {
	m := console(t, 240, 60, Options{NoColor: true}, quiet())
	press(m, "?")
	got := text(m.View().Content)
	for _, b := range ui.Bindings() {
		if !strings.Contains(got, b.Help().Key) || !strings.Contains(got, b.Help().Desc) {
			t.Errorf("the help lacks %q, %q:\n%s", b.Help().Key, b.Help().Desc, got)
		}
	}
}

func TestHelpBeginsWithTheKeysOfThePlace(t *testing.T) {
	for key, want := range map[string]string{"1": "Overview", "2": "Hypercare: checks", "3": "Market"} {
		m := console(t, 60, 24, Options{NoColor: true}, caring())
		press(m, key, "?")
		if got := text(m.View().Content); !strings.Contains(got, "\n "+want+"\n") {
			t.Errorf("the help of screen %s does not begin with its keys:\n%s", key, got)
		}
	}
}

func TestTheFooterNamesKeysThatExist(t *testing.T) {
	glyphs := map[string]string{"↑": "up", "↓": "down", "←": "left", "→": "right"}
	for _, b := range ui.Bindings() {
		names, label, ok := strings.Cut(b.Footer, " ")
		if !ok {
			continue
		}
		m := console(t, 200, 24, Options{NoColor: true}, shown(b))
		press(m, toReach(b)...)
		lines := strings.Split(text(m.View().Content), "\n")
		if footer := lines[23]; !strings.Contains(footer, names+" "+label) {
			t.Errorf("the footer in %s lacks %q: %q", b.In, b.Footer, footer)
		}
		keys := strings.Split(names, "")
		if slices.Contains(b.Keys(), names) {
			keys = []string{names}
		}
		for _, k := range keys {
			if name, ok := glyphs[k]; ok {
				k = name
			}
			if _, ok := m.keys.Lookup(b.In, k); !ok {
				t.Errorf("the footer in %s names %q, which means nothing there", b.In, k)
			}
		}
	}
}

func TestReadOnlyLeavesNoWayToChangeSomething(t *testing.T) {
	// One that works wherever it is looked up is planted.
	const planted = ui.Action("destroy")
	table := ui.Bindings()
	for _, in := range []ui.Context{ui.Everywhere, ui.InPalette, ui.InHelp} {
		table = append(table, ui.Binding{
			Binding: key.NewBinding(key.WithKeys("D"), key.WithHelp("D", "destroy it all")),
			Action:  planted, In: in, Footer: "D destroy", Command: "destroy", Mutates: true,
		})
	}
	for _, readOnly := range []bool{true, false} {
		keys, err := ui.NewKeymap(table, readOnly)
		if err != nil {
			t.Fatal(err)
		}
		reachable := map[string]bool{}
		for _, way := range [][]string{nil, {"3"}, {"?"}, {":"}, {"3", ":"}} {
			m := console(t, 200, 60, Options{NoColor: true, ReadOnly: readOnly}, quiet())
			m.keys = keys
			press(m, way...)
			if a, ok := keys.Lookup(m.context(), "D"); ok && a == planted {
				reachable["key"] = true
			}
			if strings.Contains(text(m.View().Content), "destroy") {
				reachable["frame"] = true
			}
			for _, e := range m.entries() {
				if e.msg == tea.Msg(planted) {
					reachable["palette"] = true
				}
			}
		}
		for _, way := range []string{"key", "frame", "palette"} {
			if reachable[way] == readOnly {
				t.Errorf("read-only %v: reachable by %s: %v", readOnly, way, reachable[way])
			}
		}
	}
}

func TestThePaletteRunsWhatIsTyped(t *testing.T) {
	tests := []struct {
		typed string
		want  string // in the frame afterwards
	}{
		{"market", "─ BTCUSDT 1m "}, {"sol", "─ SOLUSDT 1m "}, {"doge", "─ DOGEUSDT 1m "}, {"symbol ADAUSDT", "─ ADAUSDT 1m "},
		{"timeframe 1M", "─ BTCUSDT 1M "}, {"timeframe 1m", "─ BTCUSDT 1m "}, {"4h", "─ BTCUSDT 4h "}, {"help", "─ Keys "},
		{"symbol ada usdt", "─ Command "}, // no symbol: nothing is run
	}
	for _, tt := range tests {
		m := console(t, 120, 40, Options{NoColor: true}, quiet())
		press(m, append([]string{":"}, append(strings.Split(tt.typed, ""), "enter")...)...)
		if got := text(m.View().Content); !strings.Contains(got, tt.want) {
			t.Errorf(":%s does not lead to %q:\n%s", tt.typed, tt.want, got)
		}
	}
}

func TestThePaletteRemembers(t *testing.T) {
	m := console(t, 80, 24, Options{NoColor: true}, quiet())
	press(m, ":", "s", "o", "l", "enter", ":", "h", "e", "l", "p", "enter", "esc", ":")
	if got := text(m.View().Content); !strings.Contains(got, "▸ help") || strings.Index(got, "symbol SOLUSDT") > strings.Index(got, "overview  ") {
		t.Errorf("the last commands do not come first:\n%s", got)
	}
}

func TestTheLineIsEdited(t *testing.T) {
	tests := []struct {
		keys []string
		want string
	}{
		{[]string{"a", "b", "left", "x"}, "axb"},
		{[]string{"a", "b", "home", "delete", "end", "c"}, "bc"},
		{[]string{"a", "b", "ctrl+a", "backspace", "right", "backspace"}, "b"},
		{[]string{"a", " ", "b", "c", "ctrl+w", "d"}, "a d"},
		{[]string{"a", "b", "left", "ctrl+u", "ctrl+e", "c"}, "bc"},
		{[]string{"delete", "left", "right", "backspace"}, ""},
		{slices.Repeat([]string{"x"}, 160), strings.Repeat("x", 80)},
	}
	for _, tt := range tests {
		m := console(t, 80, 24, Options{NoColor: true}, quiet())
		press(m, append([]string{":"}, tt.keys...)...)
		if got := m.palette.input.String(); got != tt.want {
			t.Errorf("%q give %q, want %q", tt.keys, got, tt.want)
		}
	}
}

// TestThePictureBehindIsFresh: a screen that is not in front follows too.
func TestThePictureBehindIsFresh(t *testing.T) {
	m := console(t, 80, 24, Options{NoColor: true}, nil)
	press(m, "3")
	m.Update(quiet())
	press(m, "1")
	if got := text(m.View().Content); !strings.Contains(got, "node-a") || strings.Contains(got, "UNKN") {
		t.Errorf("the overview did not see the picture that came while the market was in front:\n%s", got)
	}
}

func TestSelectionFollowsTheEvent(t *testing.T) {
	m := console(t, 120, 40, Options{NoColor: true}, quiet())
	press(m, "j", "j", "j")
	row := func() string {
		for _, line := range strings.Split(text(m.View().Content), "\n") {
			if strings.HasPrefix(line, "▸") {
				return line
			}
		}
		return "no row is chosen"
	}
	before := row()
	next := quiet()
	next.Feed.Rev, next.Feed.Total = 2, 41
	e := next.Feed.Events[0]
	e.Seq, e.Text = 41, "webhook sent anew"
	next.Feed.Events = append([]live.Event{e}, next.Feed.Events...)
	m.Update(next)
	if after := row(); after != before {
		t.Errorf("a new event moved the selection from %q to %q", before, after)
	}
}

package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	coremarket "github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/screen/hypercare"
	"github.com/spark-ta/spark/tui/screen/market"
	"github.com/spark-ta/spark/tui/screen/overview"
	"github.com/spark-ta/spark/tui/ui"
)

// screen is one page: a pointer that changes itself, and a view that fills exactly
// the area it is given.
type screen interface {
	Context() ui.Context
	Update(tea.Msg) tea.Cmd
	View(ui.Area)
}

// Messages of the console itself.
type (
	// phase is what the console does before it follows a daemon, empty once it does.
	phase safetext.Text
	// stop asks the program to end.
	stop struct{}
)

// model is the root: it owns the frame, the overlays and the routes, and hands
// everything else to the screen in front.
type model struct {
	options Options
	keys    ui.Keymap
	theme   *ui.Theme
	dark    bool // the terminal's background
	few     bool // the terminal has sixteen colours or fewer

	width, height int
	now           time.Time
	clock         func() time.Time
	picture       *live.Picture
	phase         safetext.Text

	overview  *overview.Screen
	hypercare *hypercare.Screen
	market    *market.Screen
	front     screen
	help      *help    // open if not nil
	palette   *palette // open if not nil
	history   []string // of the palette, newest last

	leaving func() // told once that the operator leaves; called by a command
	left    bool

	canvas *ui.Canvas
	frame  string // of the last view
	stale  bool   // the frame must be drawn anew
}

// world is what the model asks of the world. Its functions are called by commands,
// not by Update.
type world struct {
	selectSeries func(coremarket.Series)
	do           func(live.Request) live.Result
	show         func(bool) // hypercare is in front
	graph        func(live.GraphOf)
	save         func(name string, content []byte) error
}

// newModel returns the model of a console.
func newModel(o Options, keys ui.Keymap, clock func() time.Time, w world) *model {
	m := &model{
		options: o, keys: keys, dark: o.Theme != Light, width: 80, height: 24,
		clock: clock, now: clock(), phase: "connecting",
	}
	m.theme = m.chooseTheme()
	m.overview = &overview.Screen{Theme: m.theme, Zone: o.Zone}
	m.market = &market.Screen{Theme: m.theme, Zone: o.Zone, Series: o.Series, Select: w.selectSeries}
	m.hypercare = &hypercare.Screen{Theme: m.theme, Zone: o.Zone, ReadOnly: o.ReadOnly, Do: w.do, Show: w.show, Graph: w.graph, Save: w.save}
	m.front = m.overview
	m.overview.Update(ui.Clock(m.now))
	m.market.Update(ui.Clock(m.now))
	m.stale = true
	return m
}

// chooseTheme follows the options, then what the terminal said.
func (m *model) chooseTheme() *ui.Theme {
	scheme := ui.Dark
	switch {
	case m.options.NoColor:
		scheme = ui.Mono
	case m.few && m.dark:
		scheme = ui.Dark16
	case m.few:
		scheme = ui.Light16
	case !m.dark:
		scheme = ui.Light
	}
	return ui.NewTheme(scheme, m.options.ASCII)
}

// tick is the clock's message.
type tick time.Time

func (m *model) nextTick() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return tick(m.clock()) })
}

// Init starts the clock and asks for the background, if nobody chose a theme. The
// first frame does not wait for the answer; a terminal that never answers is dark.
func (m *model) Init() tea.Cmd {
	if m.options.Theme != Auto || m.options.NoColor {
		return m.nextTick()
	}
	return tea.Batch(m.nextTick(), tea.RequestBackgroundColor)
}

// Update takes one message. It does no I/O and never blocks.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	stale := m.stale
	m.stale = true
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(msg.Width, 0), max(msg.Height, 0)
	case tea.ColorProfileMsg:
		m.few = msg.Profile <= colorprofile.ANSI
		m.retheme()
	case tea.BackgroundColorMsg:
		if m.options.Theme == Auto {
			m.dark = msg.IsDark()
			m.retheme()
		}
	case tick:
		m.now = time.Time(msg)
		m.tell(ui.Clock(m.now))
		return m, m.nextTick()
	case *live.Picture:
		m.picture, m.phase = msg, ""
		if msg.At.After(m.now) {
			m.now = msg.At
		}
		return m, m.tell(ui.Clock(m.now), msg)
	case phase:
		m.phase = safetext.Text(msg)
	case stop:
		return m, tea.Quit
	case tea.KeyPressMsg:
		return m, m.press(msg)
	case tea.PasteMsg:
		if m.palette != nil {
			m.palette.insert(msg.Content)
		} else if m.help == nil {
			return m, m.front.Update(msg)
		}
	case tea.MouseWheelMsg:
		m.wheel(msg)
	case ui.Action:
		return m, m.do(msg)
	case ui.ShowSymbol, ui.ShowTimeframe:
		return m, tea.Batch(m.bring(m.market), m.market.Update(msg))
	case ui.ShowCheck:
		return m, tea.Batch(m.bring(m.hypercare), m.hypercare.Update(msg))
	case live.Result, hypercare.Saved:
		return m, m.hypercare.Update(msg)
	default:
		m.stale = stale
	}
	return m, nil
}

// tell hands messages to every screen: those behind stay up to date.
func (m *model) tell(messages ...tea.Msg) tea.Cmd {
	var cmds []tea.Cmd
	for _, msg := range messages {
		cmds = append(cmds, m.overview.Update(msg), m.hypercare.Update(msg), m.market.Update(msg))
	}
	return tea.Batch(cmds...)
}

// bring brings a screen to the front, and tells the hypercare screen, which costs the
// observer more while it is there.
func (m *model) bring(s screen) tea.Cmd {
	was := m.front
	m.help, m.front = nil, s
	hyper := screen(m.hypercare)
	if (was == hyper) == (s == hyper) {
		return nil
	}
	return m.hypercare.Update(ui.Front(s == hyper))
}

func (m *model) retheme() {
	m.theme = m.chooseTheme()
	m.tell(m.theme)
}

func (m *model) context() ui.Context {
	switch {
	case m.palette != nil:
		return ui.InPalette
	case m.help != nil:
		return ui.InHelp
	default:
		return m.front.Context()
	}
}

// press looks a key up in the table. In the palette, what has no meaning is text.
func (m *model) press(msg tea.KeyPressMsg) tea.Cmd {
	if action, ok := m.keys.Lookup(m.context(), msg.String()); ok {
		return m.do(action)
	}
	switch {
	case m.palette != nil:
		m.palette.press(msg)
	case m.help == nil:
		return m.front.Update(msg) // text, if the screen asks for some
	}
	return nil
}

// do carries out an action, whether a key or the palette asked for it.
func (m *model) do(a ui.Action) tea.Cmd {
	switch {
	case m.palette != nil:
		return m.inPalette(a)
	case m.help != nil && (a == ui.Back || a == ui.Help):
		m.help = nil
		return nil
	case m.help != nil && (a == ui.LineUp || a == ui.LineDown):
		m.help.move(a)
		return nil
	}
	switch a {
	case ui.Quit:
		return m.quit()
	case ui.Help:
		m.help = &help{}
	case ui.Commands:
		m.palette = newPalette(m.entries(), m.history, "")
	case ui.PickSymbol:
		m.palette = newPalette(m.entries(), nil, "symbol ")
	case ui.Overview:
		return m.bring(m.overview)
	case ui.Hypercare:
		return m.bring(m.hypercare)
	case ui.Market:
		return m.bring(m.market)
	case ui.Back:
		if m.front == screen(m.market) || m.front == screen(m.hypercare) && m.hypercare.Home() {
			return m.bring(m.overview)
		}
		return m.front.Update(a)
	default:
		return m.front.Update(a)
	}
	return nil
}

// quit ends the program, and has the guard watch that it does.
func (m *model) quit() tea.Cmd {
	if m.left {
		return tea.Quit
	}
	m.left = true
	return func() tea.Msg {
		m.leaving()
		return tea.QuitMsg{}
	}
}

func (m *model) wheel(msg tea.MouseWheelMsg) {
	rows := 3
	if msg.Button == tea.MouseWheelUp {
		rows = -3
	}
	if m.palette == nil && m.help == nil && m.front != screen(m.market) {
		m.front.Update(ui.Wheel(rows))
	}
}

// View returns the frame. It is drawn anew only after a message that may have
// changed it: Bubble Tea asks after every message.
func (m *model) View() tea.View {
	if m.stale {
		m.frame = m.draw()
		m.stale = false
	}
	v := tea.NewView(m.frame)
	v.AltScreen = true
	v.WindowTitle = "spark"
	if m.options.Mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	return v
}

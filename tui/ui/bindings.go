package ui

import (
	"slices"

	"charm.land/bubbles/v2/key"
)

// Bindings returns the table.
func Bindings() []Binding {
	return slices.Concat([]Binding{
		footer("1 overview", command("overview", bind(Everywhere, Overview, "1", "is all well, what happened", "1"))),
		footer("2 hypercare", command("hypercare", bind(Everywhere, Hypercare, "2", "the plan after a deployment", "2"))),
		footer("3 market", command("market", bind(Everywhere, Market, "3", "candles of a symbol", "3"))),
		footer(": command", bind(Everywhere, Commands, ":", "run a command", ":")),
		footer("? help", command("help", bind(Everywhere, Help, "?", "all keys", "?"))),
		command("back", bind(Everywhere, Back, "esc", "back, and to the newest", "esc")),
		footer("q quit", command("quit", bind(Everywhere, Quit, "q ctrl+c", "leave the console", "q", "ctrl+c"))),

		footer("↑↓ scroll", bind(InOverview, LineUp, "↑ k", "up", "up", "k")),
		bind(InOverview, LineDown, "↓ j", "down", "down", "j"),
		bind(InOverview, PageUp, "pgup", "a page up", "pgup", "ctrl+b"),
		bind(InOverview, PageDown, "pgdn", "a page down", "pgdown", "ctrl+f"),
		bind(InOverview, Newest, "g", "the newest", "home", "g"),
		bind(InOverview, Last, "G", "the oldest", "end", "G"),
		footer("tab fleet/events", bind(InOverview, Focus, "tab", "fleet or events", "tab")),
		footer("enter chart", bind(InOverview, Open, "enter", "its chart, or its check", "enter")),
	}, hypercareBindings(), []Binding{
		footer("←→ symbol", bind(InMarket, PrevSymbol, "← h", "previous symbol", "left", "h")),
		bind(InMarket, NextSymbol, "→ l", "next symbol", "right", "l"),
		footer("/ pick", bind(InMarket, PickSymbol, "/", "pick a symbol", "/", "s")),
		footer("[] timeframe", bind(InMarket, Shorter, "[", "shorter candles", "[", "up", "k")),
		bind(InMarket, Longer, "]", "longer candles", "]", "down", "j"),
		command("next timeframe", bind(InMarket, NextFrame, "t", "next common timeframe", "t")),
		footer("b bands", command("bands", bind(InMarket, ToggleBands, "b", "Bollinger bands on or off", "b"))),
		command("volume", bind(InMarket, ToggleVolume, "v", "volume on or off", "v")),

		footer("enter run", bind(InPalette, Accept, "enter", "run", "enter")),
		footer("esc cancel", bind(InPalette, Cancel, "esc", "cancel", "esc")),
		bind(InPalette, Quit, "ctrl+c", "quit", "ctrl+c"),
		footer("tab complete", bind(InPalette, Complete, "tab", "complete", "tab")),
		footer("↑↓ choose", bind(InPalette, LineUp, "↑", "entry above", "up", "ctrl+p")),
		bind(InPalette, LineDown, "↓", "entry below", "down", "ctrl+n"),

		footer("↑↓ scroll", bind(InHelp, LineUp, "↑ k", "up", "up", "k")),
		bind(InHelp, LineDown, "↓ j", "down", "down", "j"),
		footer("esc close", bind(InHelp, Back, "esc ?", "close", "esc", "?", "q")),

		footer("enter next, send", bind(InForm, Accept, "enter", "next field, send after the last", "enter")),
		footer("tab next", bind(InForm, LineDown, "tab ↓", "next field", "tab", "down")),
		bind(InForm, LineUp, "shift+tab ↑", "previous field", "shift+tab", "up"),
		footer("esc cancel", bind(InForm, Cancel, "esc", "cancel", "esc")),
		bind(InForm, Quit, "ctrl+c", "quit", "ctrl+c"),

		footer("Y yes", bind(InQuestion, Yes, "Y", "yes, do it", "Y")),
		footer("enter no", bind(InQuestion, Cancel, "enter n esc", "no, which is the default", "enter", "n", "esc")),
		bind(InQuestion, Quit, "ctrl+c", "quit", "ctrl+c"),
	})
}

func bind(in Context, a Action, shown, help string, keys ...string) Binding {
	return Binding{Binding: key.NewBinding(key.WithKeys(keys...), key.WithHelp(shown, help)), Action: a, In: in}
}

func footer(text string, b Binding) Binding { b.Footer = text; return b }

func command(name string, b Binding) Binding { b.Command = name; return b }

func mutates(b Binding) Binding { b.Mutates = true; return b }

// hypercareBindings are the views of the hypercare screen. What cannot be taken back
// has a shifted letter, and is asked about before it is done.
func hypercareBindings() []Binding {
	all := []Binding{
		footer("←→ checkpoint", bind(InChecks, Left, "← h", "previous checkpoint", "left", "h")),
		bind(InChecks, Right, "→ l", "next checkpoint", "right", "l"),
		footer("enter evidence", bind(InChecks, Open, "enter", "the evidence for a check", "enter")),
		footer("tab views", bind(InChecks, NextView, "tab", "objectives and so on", "tab")),
		footer("t tick", mutates(command("tick", bind(InChecks, Tick, "t", "tick a manual check", "t")))),
		footer("W waive", mutates(command("waive", bind(InChecks, Waive, "W", "excuse a check for a time", "W")))),
		footer("S start", mutates(command("start hypercare", bind(InChecks, StartRun, "S", "start the plan", "S")))),
		mutates(command("user issue", bind(InChecks, UserIssue, "u", "a user reported an issue", "u"))),
		mutates(command("sign off checkpoint", bind(InChecks, SignOff, "O", "a role's word under the checkpoint", "O"))),

		footer("←→ check", bind(InCheck, Left, "← h", "previous check", "left", "h")),
		bind(InCheck, Right, "→ l", "next check", "right", "l"),
		footer("c copy query", command("copy query", bind(InCheck, CopyQuery, "c", "copy the query", "c"))),
		footer("t tick", mutates(command("tick", bind(InCheck, Tick, "t", "tick a manual check", "t")))),
		footer("W waive", mutates(command("waive", bind(InCheck, Waive, "W", "excuse a check for a time", "W")))),

		footer("o own", mutates(command("own incident", bind(InIncidents, OwnIncident, "o", "take an incident", "o")))),
		footer("l link", mutates(command("link incident", bind(InIncidents, LinkIncident, "l", "link an incident to a check", "l")))),
		footer("C close", mutates(command("close incident", bind(InIncidents, CloseIncident, "C", "close an incident", "C")))),
		footer("i new", mutates(command("incident", bind(InIncidents, NewIncident, "i", "open an incident", "i")))),

		footer("d decide", mutates(command("decide", bind(InDecisions, Decide, "d", "take the proposed decision, or a new one", "d")))),

		footer("O sign off", mutates(command("sign off", bind(InExit, SignOff, "O", "the closing statement and how to sign it", "O")))),
		footer("y copy command", command("copy sign command", bind(InExit, Copy, "y", "copy the command that signs", "y"))),
		mutates(command("user issue", bind(InExit, UserIssue, "u", "a user reported an issue", "u"))),

		footer("s save", mutates(command("save report", bind(InReport, SaveReport, "s", "save the report to a file", "s")))),
		footer("r read anew", command("read report", bind(InReport, Reload, "r", "read the report anew", "r"))),
	}
	for _, in := range []Context{InChecks, InCheck} {
		all = append(all,
			footer("y copy", command("copy command", bind(in, Copy, "y", "copy the command", "y"))),
			mutates(command("untick", bind(in, Untick, "U", "take a tick back", "U"))),
			footer("n note", mutates(command("note", bind(in, Remark, "n", "add a note", "n")))),
			footer("r recheck", mutates(command("recheck", bind(in, Recheck, "r", "judge anew, with a reason", "r")))),
			mutates(command("decide", bind(in, Decide, "d", "a tuning decision", "d"))),
			mutates(command("incident", bind(in, NewIncident, "i", "open an incident", "i"))),
		)
	}
	for _, in := range []Context{InSLOs, InIncidents, InDecisions, InExit, InReport} {
		all = append(all, footer("tab views", bind(in, NextView, "tab", "next view", "tab")))
	}
	for _, in := range []Context{InChecks, InCheck, InSLOs, InIncidents, InDecisions, InExit, InReport} {
		if in != InCheck {
			all = append(all, bind(in, PrevView, "shift+tab", "previous view", "shift+tab"))
		}
		all = append(all,
			footer("↑↓ move", bind(in, LineUp, "↑ k", "up", "up", "k")),
			bind(in, LineDown, "↓ j", "down", "down", "j"),
			bind(in, PageUp, "pgup", "a page up", "pgup", "ctrl+b"),
			bind(in, PageDown, "pgdn", "a page down", "pgdown", "ctrl+f"),
			bind(in, Newest, "g", "the first", "home", "g"),
			bind(in, Last, "G", "the last", "end", "G"),
		)
	}
	return all
}

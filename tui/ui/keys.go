package ui

import (
	"fmt"
	"slices"

	"charm.land/bubbles/v2/key"
)

// Action is what a key or a palette command does.
type Action string

// The actions.
const (
	Quit     Action = "quit"
	Help     Action = "help"
	Commands Action = "command"
	Back     Action = "back"
	Overview Action = "overview"
	Market   Action = "market"

	LineUp   Action = "line-up"
	LineDown Action = "line-down"
	PageUp   Action = "page-up"
	PageDown Action = "page-down"
	Newest   Action = "first"
	Last     Action = "last"
	Focus    Action = "focus"
	Open     Action = "open"

	PrevSymbol   Action = "previous-symbol"
	NextSymbol   Action = "next-symbol"
	PickSymbol   Action = "symbol"
	Shorter      Action = "shorter"
	Longer       Action = "longer"
	NextFrame    Action = "timeframe"
	ToggleBands  Action = "bands"
	ToggleVolume Action = "volume"

	Accept   Action = "accept"
	Cancel   Action = "cancel"
	Complete Action = "complete"
)

// Context is where a key is valid.
type Context uint8

// The contexts. A key that the present context does not bind is looked up in
// Everywhere, except in InPalette, where all other keys are text.
const (
	Everywhere Context = iota
	InOverview
	InMarket
	InHelp
	InPalette
)

// String returns the heading of the context in the help.
func (c Context) String() string {
	return [...]string{"Everywhere", "Overview", "Market", "Help", "Palette"}[c]
}

// Contexts returns all contexts in the order of the help.
func Contexts() []Context {
	return []Context{Everywhere, InOverview, InMarket, InPalette, InHelp}
}

// Binding is one row of the table.
type Binding struct {
	key.Binding // the keys, and what footer and help call them

	Action  Action
	In      Context
	Footer  string // its place in the bottom line, "keys label"; empty if it has none
	Command string // its name in the palette, empty if it has none
	Mutates bool   // changes something outside the console; absent when read-only
}

// Keymap answers what a key means.
type Keymap struct {
	bindings []Binding
}

// NewKeymap returns the map of the table's bindings, without those that change
// something if readOnly. A key with two meanings in one context is an error.
func NewKeymap(table []Binding, readOnly bool) (Keymap, error) {
	var m Keymap
	type place struct {
		in  Context
		key string
	}
	seen := map[place]Action{}
	for _, b := range table {
		for _, k := range b.Keys() {
			if other, taken := seen[place{b.In, k}]; taken {
				return Keymap{}, fmt.Errorf("key %q means both %s and %s in %s", k, other, b.Action, b.In)
			}
			seen[place{b.In, k}] = b.Action
		}
		if !readOnly || !b.Mutates {
			m.bindings = append(m.bindings, b)
		}
	}
	return m, nil
}

// Lookup returns what the pressed key means in a context.
func (m Keymap) Lookup(in Context, pressed string) (Action, bool) {
	for _, b := range m.bindings {
		if b.In == in && slices.Contains(b.Keys(), pressed) {
			return b.Action, true
		}
	}
	if in == InPalette || in == Everywhere {
		return "", false
	}
	return m.Lookup(Everywhere, pressed)
}

// In returns the bindings of a context, in the order of the table.
func (m Keymap) In(c Context) []Binding {
	var in []Binding
	for _, b := range m.bindings {
		if b.In == c {
			in = append(in, b)
		}
	}
	return in
}

// Commands returns the bindings that the palette offers.
func (m Keymap) Commands() []Binding {
	var found []Binding
	for _, b := range m.bindings {
		if b.Command != "" {
			found = append(found, b)
		}
	}
	return found
}

// Bindings returns the table.
func Bindings() []Binding {
	bind := func(in Context, a Action, shown, help string, keys ...string) Binding {
		return Binding{Binding: key.NewBinding(key.WithKeys(keys...), key.WithHelp(shown, help)), Action: a, In: in}
	}
	footer := func(text string, b Binding) Binding { b.Footer = text; return b }
	command := func(name string, b Binding) Binding { b.Command = name; return b }
	return []Binding{
		footer("1 overview", command("overview", bind(Everywhere, Overview, "1", "is all well, what happened", "1"))),
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
		footer("enter chart", bind(InOverview, Open, "enter", "chart of the event's symbol", "enter")),

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
	}
}

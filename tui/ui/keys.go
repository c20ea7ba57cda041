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

	Hypercare Action = "hypercare"
	NextView  Action = "next-view"
	PrevView  Action = "previous-view"
	Left      Action = "left"
	Right     Action = "right"
	Reload    Action = "reload"
	Copy      Action = "copy"
	CopyQuery Action = "copy-query"

	Tick          Action = "tick"
	Untick        Action = "untick"
	Waive         Action = "waive"
	Remark        Action = "note"
	Recheck       Action = "recheck"
	Decide        Action = "decide"
	UserIssue     Action = "user-issue"
	NewIncident   Action = "incident"
	OwnIncident   Action = "own"
	LinkIncident  Action = "link"
	CloseIncident Action = "close"
	SignOff       Action = "sign-off"
	StartRun      Action = "start"
	SaveReport    Action = "save-report"

	Yes Action = "yes"

	Accept   Action = "accept"
	Cancel   Action = "cancel"
	Complete Action = "complete"
)

// Context is where a key is valid.
type Context uint8

// The contexts. A key that the present context does not bind is looked up in
// Everywhere, except where all other keys are text or mean nothing: see
// [Context.Closed].
const (
	Everywhere Context = iota
	InOverview
	InChecks    // of the hypercare plan
	InCheck     // one of them
	InSLOs      // and so on: the views of the hypercare screen
	InIncidents //
	InDecisions //
	InExit      //
	InReport    //
	InMarket
	InHelp
	InPalette
	InForm
	InQuestion
)

// Closed reports whether keys that the context does not bind have no meaning of the
// whole console.
func (c Context) Closed() bool {
	return c == InPalette || c == InForm || c == InQuestion || c == Everywhere
}

// String returns the heading of the context in the help.
func (c Context) String() string {
	return [...]string{
		"Everywhere", "Overview", "Hypercare: checks", "Hypercare: a check", "Hypercare: objectives", "Hypercare: incidents", "Hypercare: decisions",
		"Hypercare: exit", "Hypercare: report", "Market", "Help", "Palette", "Form", "Question",
	}[c]
}

// Contexts returns all contexts in the order of the help.
func Contexts() []Context {
	return []Context{
		Everywhere, InOverview, InChecks, InCheck, InSLOs, InIncidents, InDecisions, InExit, InReport, InMarket, InPalette, InHelp, InForm, InQuestion,
	}
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
	if in.Closed() {
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

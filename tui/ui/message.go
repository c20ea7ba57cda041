package ui

import (
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
)

// Clock is the message that tells a screen the time, once a second. A screen reads
// no clock: two views of the same state are the same.
type Clock time.Time

// ShowSymbol is the message that asks for the chart of a symbol.
type ShowSymbol market.Symbol

// ShowTimeframe is the message that asks for the chart at a timeframe.
type ShowTimeframe market.Timeframe

// Wheel is the message of the mouse wheel: rows down, negative up.
type Wheel int

// ShowCheck is the message that asks for a check of the hypercare plan, by its id.
type ShowCheck safetext.Text

// Front is the message that tells a screen that it came to the front, or left it.
type Front bool

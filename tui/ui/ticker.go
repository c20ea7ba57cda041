package ui

import (
	"math"
	"strconv"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
)

// TickerWidth is the number of columns of [TickerRow].
const TickerWidth = 33

const priceWidth = 11 // what the row has for a price

// TickerRow draws a symbol, its price, the direction of its last step and its
// change into the first 33 columns of a row, or up to its end why there is no price.
func TickerRow(a Area, t *Theme, s market.Symbol, price, change float64, moved int, why safetext.Text) {
	a.Clip(1, 0, 11, Plain, Say("%s", s))
	if math.IsNaN(price) {
		a.Right(23, 0, Dim, "–")
		a.Clip(25, 0, a.W-25, Bad, why)
		return
	}
	style, arrow := Plain, ' '
	switch {
	case moved > 0:
		style, arrow = Up, t.Glyphs.Rise
	case moved < 0:
		style, arrow = Down, t.Glyphs.Fall
	}
	figures := Price(price)
	if len(figures) > priceWidth {
		figures = strconv.FormatFloat(price, 'g', 5, 64)
	}
	a.Right(23, 0, Bold, Say("%s", figures))
	if why != "" {
		a.Clip(25, 0, a.W-25, Bad, why)
		return
	}
	a.Put(24, 0, style, arrow)
	style = Plain
	if change > 0 {
		style = Up
	} else if change < 0 {
		style = Down
	}
	a.Right(33, 0, style, Say("%s", Percent(change)))
}

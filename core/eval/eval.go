// Package eval is the evaluation step: one state of one candle in, triggers out.
//
// A [Set] holds the alerts of one series and the indicators that they share. It is
// pure: time comes with each call, nothing is read or written, and the same calls
// give the same results. The engine steps it with live candles, a backtest with a
// file.
//
// # What decides
//
// An alert fires when its condition holds on a candle's state and nothing stands
// in the way, all of it looked at in that moment:
//
//   - Mode. Intrabar and once look at every state, minute too; close only at closed
//     candles. Intrabar and close fire at most once per candle, minute once per
//     minute, once a single time.
//   - Cooldown. Until it is over since the last trigger, a match is a [Suppression],
//     counted once per alert and candle. An alert that has not fired on this candle
//     still does so when the cooldown ends and the condition holds.
//   - Hysteresis. After a trigger the close has to come back by that fraction of the
//     level (of the band's width) before the alert is armed again.
//   - Expiry.
//
// Indicators include the live candle, as charts draw them, without keeping it. A
// cross needs the close of the candle just before on the other side of the level,
// or on it. Where the history is too short, or has a hole just before the candle,
// conditions that need it have no verdict, and that is never a match.
//
// # Candles
//
// [Set.Warm] sets the history, [Set.Step] carries it on. A candle that can't be one
// is counted and refused; an older one is ignored, unless it is closed and corrects
// or completes the history: then indicators are computed again, and nothing fires
// for what is past. A candle that skips some is reported ([Result.Gap]) so that the
// caller may fill and Warm again; if nobody does, the history goes on behind the
// hole as a chart does.
//
// # Cost
//
// A step touches only alerts that can change. Constant levels lie sorted on ladders
// (ladder.go); while a candle lives, each ladder remembers how far the close has
// reached, so a tick costs one comparison per ladder until it passes a level. An
// indicator's verdict is computed once for all alerts with its parameters and is
// itself a ladder with a single rung. Whoever was reached has had its say on that
// candle, except those that wait for a cooldown or a re-arm: these lie in a short
// queue and are looked at one by one. Nothing is allocated unless something fires.
//
// Two things cost a loop over alerts: a new candle on which a comparison such as
// price>level is already true (each such alert is looked at once), and alerts with
// hysteresis that have fired and are not yet armed again.
//
// A Set belongs to one goroutine.
package eval

import (
	"math"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/ta"
)

// Options are settings of a [Set].
type Options struct {
	// History is the number of closed candles kept, so that an alert that comes
	// later is armed at once. 0 means 1,000, the longest period of any indicator;
	// less makes such alerts wait.
	History int
}

// Reason says why a match did not fire.
type Reason string

// InCooldown is the reason of a match before the cooldown was over.
const InCooldown Reason = "cooldown"

// Suppression is a match that did not become a trigger.
type Suppression struct {
	AlertID string
	Type    alert.Type
	Reason  Reason
	Bar     int64 // open time of the candle, ms
}

// Result gathers what steps found. Step only adds to it; Reset it between batches
// and use it again: its memory is kept.
//
// Events share the slice of channels with their alert. Epoch and Late are for the
// caller to set.
type Result struct {
	Triggers   []alert.Event
	Suppressed []Suppression
	Evaluated  int  // alerts whose turn it was, summed over the steps
	Errors     int  // candles refused because they can't be candles of the series
	Stale      int  // candles ignored because they were known or overtaken
	Gap        bool // a candle came that does not follow the one before
}

// Reset empties the result.
func (r *Result) Reset() {
	clear(r.Triggers) // lets go of the texts
	*r = Result{Triggers: r.Triggers[:0], Suppressed: r.Suppressed[:0]}
}

// Set is the alerts of one series with the indicators that they share.
type Set struct {
	series market.Series
	limit  int // closed candles kept

	history []market.Candle // closed candles, ascending
	current market.Candle   // the newest state stepped or warmed; Time −1 when none
	gap     bool            // current does not follow the history
	now     int64           // of the newest step, ms

	index  map[string]int32 // slot of each alert by id
	alerts []alert.Alert    // by slot
	guards []guard          // by slot
	free   []int32          // slots without alert

	bands  []*band // in order of creation
	lookup map[bandKey]*band
	lanes  [lanes]lane

	queue    []int32 // slots to be looked at one by one on this candle
	queueBar int64   // the candle that queue is about
	wake     int64   // the queue may sleep until then, ms
	disarmed []int32 // slots that wait for the close to come back
}

// NewSet returns a set without alerts or history.
func NewSet(series market.Series, opts Options) *Set {
	s := &Set{
		series:  series,
		limit:   opts.History,
		current: market.Candle{Time: -1},
		index:   map[string]int32{},
		lookup:  map[bandKey]*band{},
	}
	if s.limit <= 0 {
		s.limit = 1000
	}
	for i := range s.lanes {
		s.lanes[i] = lane{bar: -1, ladders: map[rail]*ladder{}}
	}
	return s
}

// Series returns the series that the set is about.
func (s *Set) Series() market.Series { return s.series }

// Len returns the number of alerts, whatever their state.
func (s *Set) Len() int { return len(s.index) }

// Need returns how many closed candles the present alerts need to have a verdict
// on the candle after.
func (s *Set) Need() int {
	need := 0
	for _, b := range s.bands {
		need = max(need, b.indicator.Warmup()-1)
	}
	for i := range s.lanes {
		for key := range s.lanes[i].ladders {
			if key.cross {
				need = max(need, 1)
			}
		}
	}
	return need
}

// bandKey is what Bollinger bands are shared by.
type bandKey struct {
	period int
	k      float64
}

// band is one shared indicator with its newest verdict.
type band struct {
	key       bandKey
	indicator *ta.Bollinger
	users     int // alerts
	live      int // of them those that look at open candles
	bands     ta.Bands
	side      ta.Side
}

func newBand(key bandKey, history []market.Candle) *band {
	b := &band{key: key}
	b.rebuild(history)
	return b
}

// rebuild computes the indicator from the history.
func (b *band) rebuild(history []market.Candle) {
	b.indicator = ta.NewBollinger(b.key.period, b.key.k)
	b.blind()
	for i, c := range history {
		if i == len(history)-1 {
			b.bands, b.side = b.indicator.Judge(c.Close)
		}
		b.indicator.Update(c.Close)
	}
}

// blind forgets the verdict: there is none.
func (b *band) blind() {
	b.bands, b.side = ta.Bands{Upper: math.NaN(), Middle: math.NaN(), Lower: math.NaN()}, ta.Inside
}

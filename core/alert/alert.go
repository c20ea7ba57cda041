// Package alert holds a trader's alert and what becomes of it: the parameters of
// each type and how they are checked, the trigger modes, the states, the event
// that a trigger makes, and the ids that make a repeat recognisable.
//
// It is pure. Whether an alert fires is decided in core/eval; what is stored
// under which key is known to daemon/store; what crosses a process boundary has
// its own types in core/wire.
//
// # Identity
//
// Ids of events are a function of what happened, never of when it was noticed:
// [Alert.EventID] of the same alert, revision and bar is the same on every
// instance and after every restart. The store refuses a known id, so evaluating
// twice, or by two leaders, notifies once. A change to an alert raises its
// revision, and so re-arms it within the same bar.
//
// # Input
//
// Parameters are checked when an alert is created ([ParseParams]): an unknown
// name or value is an [InputError] that lists what is allowed; synonyms are
// normalised. Data that an earlier implementation left behind is read leniently
// by the store and kept, marked with the error, because an alert that vanishes
// is worse than one that says why it sleeps.
package alert

import (
	"github.com/spark-ta/spark/core/market"
)

// Mode is when a match becomes a trigger.
type Mode string

// The trigger modes.
const (
	Intrabar Mode = "intrabar" // on the live candle, at most once per candle and cooldown
	OnClose  Mode = "close"    // on closed candles only
	Once     Mode = "once"     // once, then the alert disables itself
	Minute   Mode = "minute"   // on the live candle, at most once a minute
)

// Severity says how urgent a trigger is.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// State is where an alert stands.
type State string

// The states of an alert. Unknown is the honest zero: no leader has evaluated it
// yet.
const (
	Unknown  State = "unknown"
	Warming  State = "warming"  // fewer candles than the indicators need
	Armed    State = "armed"    // a match fires
	Cooldown State = "cooldown" // fired; a match is suppressed
	Done     State = "done"     // fired once and disabled itself
	Expired  State = "expired"  // expiresAt has passed
	Paused   State = "paused"   // disabled by its owner
)

// Alert is a trader's wish to be told. Times are ms since the epoch, 0 meaning
// never.
type Alert struct {
	ID              string // UUIDv7
	Rev             int64  // raised by every change, from 1
	Series          market.Series
	Params          Params // carries the type
	Mode            Mode
	CooldownSec     int     // 0…86,400
	Hysteresis      float64 // 0…0.5: how far back, as a fraction of the threshold, before a match may fire again
	Severity        Severity
	Channels        []string // names of channels; empty means every configured one
	ExpiresAt       int64
	Note            string // the owner's own words, at most 500 bytes; untrusted
	Active          bool
	CreatedAt       int64
	UpdatedAt       int64
	LastTriggeredAt int64
	TriggerCount    int64
	LastError       string // why the alert can't be evaluated, empty when it can
}

// Type returns the alert's type, or "" when its parameters could not be read.
func (a Alert) Type() Type {
	if a.Params == nil {
		return ""
	}
	return a.Params.Type()
}

// Event is one trigger.
type Event struct {
	ID       string // [Alert.EventID]
	AlertID  string
	Rev      int64
	Series   market.Series
	Type     Type
	Mode     Mode
	Reason   string             // such as "close>upper"
	Value    map[string]float64 // the inputs that decided, by name
	Price    float64            // close of the deciding candle
	Bar      int64              // open time of the deciding candle, ms
	Time     int64              // when it was decided, ms
	Epoch    int64              // term of the leader that decided
	Late     bool               // found in candles that were missed and read afterwards
	Severity Severity
	Channels []string
	Note     string
}

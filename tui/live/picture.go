package live

import (
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live/sse"
)

// Picture is the world at one moment. It is immutable: whoever gets one may keep
// it and must not write to it. Each part carries a Rev that changes when, and only
// when, the part did.
type Picture struct {
	Rev  uint64
	At   time.Time     // when it was taken, by our clock
	URL  safetext.Text // of the observer
	Link Link
	// Skew is the daemon's clock less ours, to be added to our time before it is
	// compared with a time of the daemon's.
	Skew   time.Duration
	Fleet  Fleet
	Health Health
	Alerts Alerts
	Gauges Gauges
	Watch  Watch
	Chart  Chart
	Feed   Feed
	Care   Hypercare
	Trends Trends
	Graph  Graph
}

// Blank returns a picture in which nothing is known.
func Blank() *Picture { return &Picture{Gauges: unknownGauges()} }

// LinkState says whether the observer answers.
type LinkState uint8

// The states of the link.
const (
	Connecting LinkState = iota // nothing has answered yet
	Connected
	Lost
)

// Link is how the connection to the observer stands.
type Link struct {
	State    LinkState
	Attempts int           // failed in a row
	Cause    safetext.Text // of the last failure
	Since    time.Time     // when the state began
	Next     time.Time     // next attempt, while it fails
	LastOK   time.Time     // when something was heard last; zero before
	RTT      time.Duration // of the last answer
	Events   sse.Status    // how the event stream stands
}

// Fleet is the observer's view of the processes.
type Fleet struct {
	Rev       uint64
	At        time.Time // by our clock corrected for skew; zero before the first
	Instances []Instance
	Err       safetext.Text // why the newest request failed, empty if it did not
}

// Instance is one process.
type Instance struct {
	ID, Version safetext.Text
	Roles       []safetext.Text
	Up, Leader  bool
	Phase       safetext.Text // follower, leader, suspect, paused, disabled, draining, none; "" from an older daemon
	Epoch       int64
	StartedAt   time.Time // zero if unknown
	Age         time.Duration
	CPU         float64 // cores
	RSS         int64   // bytes
	RedisMS     float64
}

// Leader returns the leading instance, if the fleet shows one that is up.
func (f Fleet) Leader() (Instance, bool) {
	for _, i := range f.Instances {
		if i.Leader && i.Up {
			return i, true
		}
	}
	return Instance{}, false
}

// Health is the health of an executor: of the leader, if there is one.
type Health struct {
	Rev      uint64
	At       time.Time // of the answer; zero before the first
	Known    bool
	OK       bool
	Instance safetext.Text
	Version  safetext.Text
	Uptime   time.Duration
	Holder   safetext.Text
	Epoch    int64
	Lease    time.Duration // what is left of it
	RedisOK  bool
	RedisMS  float64
	Embedded bool
	MarketOK bool
	MarketMS float64 // age of the newest market data, NaN if none is followed
	Degraded bool
	Draining bool
	Reasons  []safetext.Text
	Err      safetext.Text // why the newest request failed
}

// Alerts is a summary of the alerts.
type Alerts struct {
	Rev    uint64
	Known  bool
	Total  int
	More   bool // there are more than Total
	Active int
	States []StateCount
	Failed int // with a lastError
	Err    safetext.Text
}

// StateCount is the number of alerts in one state.
type StateCount struct {
	State safetext.Text
	N     int
}

// GaugesEvery is the distance of two figures in the series of [Gauges].
const GaugesEvery = 2 * time.Second

// Gauges are figures of /metrics, of all instances together.
type Gauges struct {
	Rev     uint64
	At      time.Time // zero before the first scrape
	Scraped int       // instances that answered
	Of      int       // instances that were asked
	Err     safetext.Text

	Evaluations []float64 // a second; NaN where a scrape is missing
	Triggers    []float64 // in the last minute
	Sent        []float64 // notifications in the last minute
	Failed      []float64 // failed attempts in the last minute
	Streams     []float64

	ActiveAlerts   float64 // NaN, like all below, while unknown
	TriggersTotal  float64
	SentTotal      float64
	FailedTotal    float64
	DeadTotal      float64
	OutboxDepth    float64
	OutboxOldest   float64 // seconds
	StreamsNow     float64
	Upstreams      float64 // connections to the exchange
	CandleAge      float64 // seconds, the oldest series
	EvaluationsNow float64
}

// Watch is the price ticker.
type Watch struct {
	Rev     uint64
	Tickers []Ticker
}

// Ticker is the price of one symbol.
type Ticker struct {
	Symbol market.Symbol
	Price  float64   // NaN before the first
	Moved  int       // sign of the last change
	Change float64   // ratio against 24 hours before; NaN if unknown
	Spark  []float64 // closes of the last 24 hours and the present price
	At     time.Time // of the last price, by our clock
	Err    safetext.Text
}

// Chart is the candles of the chosen series.
type Chart struct {
	Rev     uint64
	Series  market.Series
	Candles []market.Candle
	Loading bool
	Err     safetext.Text
	Stream  sse.Status
	Latency time.Duration // from the exchange's event to us, corrected; 0 before one is known
	At      time.Time     // of the last update; zero before the first
	Gaps    int           // holes that the gateway announced
}

// FeedLimit is the number of events kept.
const FeedLimit = 500

// Feed is the newest events.
type Feed struct {
	Rev    uint64
	Total  uint64  // received since the start, those no longer kept included
	Events []Event // newest first
}

// Kind is the kind of an event.
type Kind uint8

// The kinds of events.
const (
	Trigger Kind = iota + 1
	Delivery
	Leadership
	Record // a log record of level warn or error
	Judgement
	Trouble // an incident
)

// String returns the kind as one word.
func (k Kind) String() string {
	return [...]string{"none", "trigger", "delivery", "leadership", "log", "verdict", "incident"}[min(k, Trouble)]
}

// Tone says how much an event matters.
type Tone uint8

// The tones.
const (
	Neutral Tone = iota
	Fine
	Warning
	Failure
)

// Event is one entry of the feed.
type Event struct {
	Seq    uint64 // grows by one with each event received
	Kind   Kind
	Tone   Tone
	Time   time.Time // by the daemon's clock
	Symbol market.Symbol
	Bar    time.Time // open time of the candle, of a trigger
	Who    safetext.Text
	Text   safetext.Text
}

// Package store holds the nouns and errors that the stores and those who use
// them share: who holds a lease, what waits in the outbox, what changed. It has
// no behaviour and imports only core.
//
// The stores are daemon/store/redis, which alone knows keys and scripts, and
// daemon/store/embedded, which serves the same engine in process for the same
// client. What both must do is written as tests in daemon/store/storetest.
// Consumers declare the one to three methods that they call as an interface of
// their own, in terms of these nouns.
//
// # Fencing
//
// Whatever a leader writes carries its [Token]. The store compares the whole of it
// with the term it granted last, inside the same atomic step as the write, and
// refuses with [ErrFenced] otherwise. A paused or partitioned former leader
// therefore has no effect, whatever it believes.
package store

import (
	"errors"
	"time"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
)

// Errors of the stores. Callers compare with errors.Is.
var (
	// ErrNotFound means that there is no such alert.
	ErrNotFound = errors.New("not found")
	// ErrExists means that the id is taken.
	ErrExists = errors.New("already exists")
	// ErrConflict means that the revision is not the one expected.
	ErrConflict = errors.New("revision conflict")
	// ErrFenced means that the token is not the present term's. Nothing was written.
	ErrFenced = errors.New("fenced: this term is over")
	// ErrUnavailable means that the store cannot be reached or does not answer in
	// time. Whether the call took effect is not known; every call may be repeated.
	ErrUnavailable = errors.New("store unavailable")
	// ErrCursorGone means that changes after the cursor were forgotten. The reader
	// loads everything anew.
	ErrCursorGone = errors.New("changes since then are forgotten")
	// ErrChanged means that what was to be changed is no longer as expected. Nothing
	// was written.
	ErrChanged = errors.New("changed meanwhile")
	// ErrLocked means that another process serves the same data directory.
	ErrLocked = errors.New("data directory in use")
)

// Token identifies one term of one leader. It is compared whole.
type Token struct {
	Holder string
	Epoch  int64 // grows with every term
	Nonce  string
}

// Grant answers an attempt to acquire, renew or verify the lease.
type Grant struct {
	Held      bool          // the caller holds it
	Token     Token         // of the present holder
	Remaining time.Duration // of the present lease
	Now       int64         // the store's clock, ms
	Resign    string        // why the present term was asked to hand over; "" when it was not
	// Holder is what the present holder registered; nil when the caller holds the
	// lease or the holder is not registered.
	Holder *Member
}

// Member is one process of the fleet, as it registered itself.
type Member struct {
	ID         string
	Roles      []string
	Version    string
	URLs       map[string]string // by role
	StartedAt  int64             // ms, by the process's own clock
	Phase      string            // one of the Phase… constants
	Epoch      int64             // of the term it believes in; 0 for a follower
	ProgressMS int64             // age of the newest turn of the leader's work loop, ms
	CPU        float64           // cores in use
	RSSBytes   int64
	LatencyMS  float64 // of the store, as seen by the process
	Process    Process
	At         int64 // of the newest heartbeat, ms by the store's clock
}

// The phases of a member.
const (
	PhaseFollower = "follower" // a candidate that waits
	PhaseLeader   = "leader"
	PhaseSuspect  = "suspect" // a leader whose renewals are not acknowledged
	PhasePaused   = "paused"  // a leader that does not evaluate, because the fleet is paused
	PhaseDisabled = "disabled"
	PhaseNone     = "none" // has no executor role
	PhaseDraining = "draining"
)

// Process says which process of which machine a member is, so that another one on
// the same machine can see it end. Boot is empty where that cannot be told.
type Process struct {
	Boot  string // identifies this boot of the machine
	Space string // identifies the namespace in which PID is a number
	PID   int
	Start uint64 // when the process started, in the kernel's ticks since boot
}

// AliveFor is how long after its newest heartbeat a member counts as alive.
const AliveFor = 10 * time.Second

// Alive reports whether the member's heartbeat is recent at now (ms, the store's
// clock).
func (m Member) Alive(now int64) bool { return now-m.At < AliveFor.Milliseconds() }

// Control holds the switches that apply to the whole fleet.
type Control struct {
	Paused    bool
	By        string // who changed it last
	Reason    string
	ChangedAt int64 // ms, the store's clock
	ResumedAt int64 // ms; end of the newest pause, 0 when there was none
	Version   int64 // grows with each change
}

// Glance is what a heartbeat brings back.
type Glance struct {
	Control   Control
	Leader    Token         // who holds the lock; Epoch 0 when it is not of the newest term, no Nonce
	Remaining time.Duration // of the lease, 0 when nobody holds it
	Now       int64         // the store's clock, ms
}

// Lock is all there is to see of the election at one moment.
type Lock struct {
	Key       string        // of the lock
	Type      string        // of its value: none, string, or what it should not be
	Value     string        // the holder id, of a string
	TTL       time.Duration // -1 when it has none
	Term      Term
	HasTerm   bool
	Members   []Member
	Control   Control
	Now       int64         // the store's clock, ms
	Uptime    time.Duration // of the server; 0 when it does not tell
	Eviction  string        // the server's maxmemory-policy; "" when it does not tell
	LeaseHint time.Duration // until - since of the term's newest renewal; 0 when not known
}

// Term is the newest term, as stored.
type Term struct {
	Holder   string
	Epoch    int64
	State    string // held, released, deposed
	Since    int64  // ms; so are the next three
	Until    int64
	Renewed  int64
	Progress int64  // when the holder's work loop last went round
	Resign   string // see Grant.Resign
	Version  string // of the holder's program
}

// Change says that an alert was created, updated, enabled, disabled or deleted.
type Change struct {
	Cursor  string // position after this change
	AlertID string
}

// TriggerResult answers one event of a trigger call.
type TriggerResult uint8

// The results of a trigger. The honest zero is that nothing is known.
const (
	TriggerUnknown   TriggerResult = iota
	TriggerAccepted                // written, with its deliveries
	TriggerDuplicate               // known already; nothing written
	TriggerGone                    // the alert was deleted or disabled meanwhile; nothing written
)

// DeliveryState is where a delivery stands.
type DeliveryState string

// The states of a delivery.
const (
	Pending  DeliveryState = "pending"
	Sending  DeliveryState = "sending"
	Retrying DeliveryState = "retrying"
	Sent     DeliveryState = "sent"
	Dead     DeliveryState = "dead"
)

// Delivery is one event on its way to one channel.
type Delivery struct {
	ID        string // [alert.DeliveryID]: the idempotency key
	Channel   string
	Event     alert.Event
	State     DeliveryState
	Attempts  int    // attempts begun, this one included
	FirstAt   int64  // ms of the first attempt, 0 before it
	LastError string // of the newest attempt that failed
	Repeat    bool   // an earlier attempt may have reached the receiver
	Claim     string // names this claim; [Outcome] must carry it
}

// Outcome ends a claim.
type Outcome struct {
	ID      string
	Claim   string
	State   DeliveryState // Sent, Retrying or Dead
	Error   string        // for Retrying and Dead; no secrets
	RetryIn time.Duration // for Retrying
	Unsent  bool          // for Retrying: nothing was written to the receiver, so the attempt is not counted
	Repeat  bool          // the receiver may have got it
	Now     int64         // ms
}

// OutboxDepth says how full the outbox is.
type OutboxDepth struct {
	Waiting int64         // deliveries waiting or under way
	Dead    int64         // deliveries given up
	Oldest  time.Duration // age of the oldest that waits
}

// EventRecord is an event of an alert's history with its deliveries.
type EventRecord struct {
	Event      alert.Event
	Deliveries []Delivery // only Channel, State and Attempts are set
}

// Watermark is the open time of the newest candle of a series whose evaluation is
// finished.
type Watermark struct {
	Series market.Series
	Bar    int64
}

// Damage is a key that does not hold what it should.
type Damage struct {
	Key    string
	Reason string
}

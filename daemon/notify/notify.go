// Package notify says what a channel is: something that takes a message and
// answers truthfully how far it got. It holds the nouns that the outbox and the
// channels share, and imports only core.
//
// A channel is one adapter in a package below this one (daemon/notify/webhook). It
// makes exactly one attempt for each call and never retries by itself, because
// only the outbox knows the schedule, and only a retry that the outbox has
// recorded survives a crash.
//
// # Outcomes
//
// The five outcomes differ in what may be done next. Accepted: nothing. Unsent:
// not one byte reached the receiver, so trying again is free. Refused: the receiver
// said "not now", so it does not have the message. Permanent: trying again cannot
// help. Ambiguous: the request was written and no answer says what became of it;
// the receiver may have the message, and whoever sends it again must say so.
//
// # Secrets
//
// [Result.Error] is shown to operators and stored: an adapter keeps tokens, paths,
// queries and user names of its address out of it.
package notify

import (
	"context"
	"time"

	"github.com/spark-ta/spark/core/alert"
)

// Message is one event on its way to one channel.
type Message struct {
	// ID is the same for every attempt: the receiver's idempotency key.
	ID    string
	Event alert.Event
	// Repeat says that an earlier attempt may have reached the receiver.
	Repeat bool
	// Test marks a message that somebody sent by hand: nothing has triggered.
	Test bool
	// Text replaces the sentence made from the event; empty means none.
	Text string
}

// Outcome is how far an attempt got.
type Outcome uint8

// The outcomes of an attempt. The honest zero is that nothing is known, which the
// outbox treats as [Ambiguous].
const (
	Unknown   Outcome = iota
	Accepted          // the receiver confirmed it
	Unsent            // nothing was written
	Refused           // not accepted now; may be later
	Permanent         // not accepted, and never will be
	Ambiguous         // written, without an answer that can be relied upon
)

// String returns the outcome in lower case.
func (o Outcome) String() string {
	switch o {
	case Accepted:
		return "accepted"
	case Unsent:
		return "unsent"
	case Refused:
		return "refused"
	case Permanent:
		return "permanent"
	case Ambiguous:
		return "ambiguous"
	default:
		return "unknown"
	}
}

// Result answers one attempt.
type Result struct {
	Outcome Outcome
	// Reason is one of the Fail… reasons of core/wire, empty when accepted.
	Reason string
	// Error is one line for people, without secrets; empty when accepted.
	Error string
	// Status is the HTTP status of the answer, 0 without one.
	Status int
	// RetryAfter is how long the receiver asked to wait, 0 when it did not ask.
	RetryAfter time.Duration
}

// Notifier is a channel. It is safe for use from several goroutines at once.
type Notifier interface {
	// Notify makes one attempt. It returns soon after ctx ends, and then says
	// whether anything was written.
	Notify(ctx context.Context, m Message) Result
}

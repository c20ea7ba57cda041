// Package model explores every interleaving of the election for two candidates and
// one store, and says whether two things that must never happen can happen. It is
// the proof of the protocol that daemon/lease and the scripts of the store carry
// out, for as much as a small world can prove; nothing of it reaches a binary.
//
// # The world
//
// Time is a whole number of ticks, the same for all; a lease is a few of them. The
// store executes one request after the other. Requests and answers are on their way
// for as long as they like, overtake each other, and may never arrive. A candidate
// has one request under way; when it gives up on it, the request stays on its way
// and may be executed at any later time (one such orphan for each candidate, the
// newest). The actions:
//
//	tick                      time goes on; a lease whose time is over is gone
//	acquire, renew, release   a request is sent, executed, its answer read, or given up
//	repeat                    an acquire without an answer is sent again, with its nonce
//	stop                      a leader's work ends, for whatever reason, then it releases
//	effect                    a leader that believes writes; the write arrives whenever
//	crash                     a process dies and starts anew with the same id
//	heartbeat, silence        the registry knows that a process lives, or not
//	DEL, reset, FLUSHALL      an operator, or a witness of a death for reset
//	restart                   the store comes back empty, or with an older copy
//	failover                  a replica takes over with what it has
//	lag                       a candidate's clock falls a tick behind the store's
//
// That a leader may stop at any time stands for every reason that it can have to
// stop: a refused renewal, a refused write, a hint, a suspended machine, work that
// makes no progress, a signal. That a write may arrive whenever it likes stands for
// every pause between the check and the write. Writes change nothing that the
// election looks at, so one write per run, of any leader at any moment, shows
// whatever many writes could show.
//
// Fewer terms are granted than milliseconds go by, and a restart takes longer than
// one: a tick is epochsPerTick epochs wide, and what loses terms takes a tick. There
// is no other bound: each fault happens as often as it likes, and time has no end,
// because states that differ in their time alone are one.
//
// # What must hold
//
//	S1  every accepted effect belongs to the newest granted term
//	S2  at most one candidate believes that it leads
//	S3  an epoch that is granted is above all that any living candidate has seen
//
// The newest term is the newest that the store's surviving history knows: what a
// failover forgot was never granted.
//
// # The search
//
// Breadth first, so a counter-example is a shortest one. A visited state is kept as
// 64 bits of hash, the same for a state and its mirror image with both candidates
// exchanged, for states at another time, and for other nonces and epochs that compare
// alike. A state whose hash equals another's would be missed: with n states that
// happens with a probability of about n²/2⁶⁵, under one in a million for the largest
// search here, of four million states. The same model has the same states, in the
// same order, each time.
package model

import (
	"fmt"
	"slices"
)

// Protocol is the election. The zero value is the protocol as it is; each field
// takes one part of it away, or adds one.
type Protocol struct {
	Unfenced     bool // writes are not compared with the term
	NoNonce      bool // holder and epoch are compared, the nonce is not
	FromReply    bool // a deadline counts from the answer, not from before sending
	WholeLease   bool // an answer to a repeated acquire is taken for a whole lease
	NoHandshake  bool // a lock that was deleted is free at once
	NoGuard      bool // a server that lost the term and has just started grants at once
	AlwaysGuard  bool // the guard looks at the age of the server even if it has a term
	Counter      bool // an epoch is the stored one + 1 and nothing else
	AckFirst     bool // a deposed leader acknowledges first and stops then
	Unregistered bool // a grant does not count as the first heartbeat
	ResetDeposes bool // an operator's reset marks the term as deposed although its holder lives
	NoWait       bool // a grant counts although no replica has it
}

// Faults are the things that go wrong, each as often as it likes.
type Faults struct {
	Crash    bool // with the id used again
	Witness  bool // of a crash, who resets the dead one's lock
	Del      bool // by an operator
	Reset    bool // the same, on a living holder, as one script
	Flush    bool // FLUSHALL
	Silence  bool // heartbeats of a living holder do not arrive for long
	Restart  bool // of the store, empty
	Reload   bool // of the store, with an older copy
	Failover bool // to a replica with an older copy
	Repeat   bool // of an acquire that was not answered, with its nonce
	SameID   bool // both candidates were given one id
	Slow     int  // ticks that a clock loses between sending and the deadline
}

// Model is a protocol in a bounded world, and what is claimed of it.
type Model struct {
	Protocol
	Faults
	Lease, Margin int // ticks
	Claims        []Invariant
	Limit         int // states after which the search gives up; 0 means none
}

func (m *Model) copies() bool { return m.Reload || m.Failover }

func (m *Model) claims(v Invariant) bool { return slices.Contains(m.Claims, v) }

// Invariant is something that must hold in every state.
type Invariant uint8

// The invariants.
const (
	None Invariant = iota
	S1             // accepted effects belong to the newest term
	S2             // at most one believer
	S3             // epochs grow
)

func (i Invariant) String() string {
	if i == None {
		return "none"
	}
	return fmt.Sprintf("S%d", uint8(i))
}

// Result is what a search found.
type Result struct {
	States   int       // different ones, mirror images counted once
	Depth    int       // steps to the farthest
	Violated Invariant // None when all claims hold
	Trace    []Step    // a shortest way to the violation
	Complete bool      // false when Limit ended the search
}

// Step is one step of a trace.
type Step struct {
	At     int    // tick
	Action string // what happened
	State  string // what it led to
}

func (s Step) String() string { return fmt.Sprintf("t=%d  %-58s %s", s.At, s.Action, s.State) }

package model_test

import (
	"os"
	"testing"

	"github.com/spark-ta/spark/daemon/lease/model"
)

type (
	claims   = []model.Invariant
	protocol = model.Protocol
	faults   = model.Faults
)

// The claims.
const (
	S1 = model.S1 // accepted effects belong to the newest term
	S2 = model.S2 // at most one believer
	S3 = model.S3 // epochs grow
)

var all = claims{S1, S2, S3}

// everything can go wrong at once, each thing as often as it likes, and the whole
// protocol holds.
var everything = faults{Crash: true, Witness: true, Del: true, Reset: true, Restart: true, Repeat: true}

func slow(f faults, ticks int) faults {
	f.Slow = ticks
	return f
}

// limit is how many states a search may take. MODEL=full has no limit; otherwise the
// large ones get some of their states, and what the race detector slows down few.
func limit(large bool) int {
	switch {
	case full():
		return 0
	case testing.Short(), model.UnderRace:
		return 20_000
	case large:
		return 150_000
	}
	return 1_000_000
}

func full() bool { return os.Getenv("MODEL") == "full" }

// TestHolds searches all states of the protocol, and of weakened ones for what they
// still guarantee.
func TestHolds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		large bool
		model model.Model
	}{
		{"the whole protocol", false, model.Model{
			Faults: everything, Lease: 2, Claims: all}},
		{"the whole protocol, clocks a tick apart, a tick of margin", true, model.Model{
			Faults: slow(everything, 1), Lease: 3, Margin: 1, Claims: all}},
		{"the whole protocol, longer leases", true, model.Model{
			Faults: everything, Lease: 4, Claims: all}},
		{"the whole protocol, longer leases, clocks a tick apart", true, model.Model{
			Faults: slow(everything, 1), Lease: 4, Margin: 1, Claims: all}},
		{"crashes with the id used again", false, model.Model{
			Faults: faults{Crash: true}, Lease: 2, Claims: all}},
		{"an operator's DEL with the hand-shake", false, model.Model{
			Faults: faults{Crash: true, Del: true}, Lease: 2, Claims: all}},
		{"two processes with one id", false, model.Model{
			Faults: faults{SameID: true, Crash: true, Del: true, Restart: true}, Lease: 2, Claims: all}},
		{"fail-over to a replica, with WAIT", true, model.Model{
			Faults: faults{Failover: true, Crash: true, Repeat: true}, Lease: 2, Claims: all}},
		{"restart with older data, the guard for each young server", true, model.Model{
			Protocol: protocol{NoWait: true, AlwaysGuard: true},
			Faults:   faults{Reload: true, Crash: true}, Lease: 2, Claims: all}},

		// What does not promise one believer still promises that effects are the leader's.
		{"belief alone, without a fence", false, model.Model{
			Protocol: protocol{Unfenced: true}, Faults: faults{Crash: true}, Lease: 2, Claims: claims{S2}}},
		{"an operator's DEL without the hand-shake", false, model.Model{
			Protocol: protocol{NoHandshake: true}, Faults: faults{Crash: true, Del: true}, Lease: 2, Claims: claims{S1, S3}}},
		{"a counter for an epoch, with the nonce", true, model.Model{
			Protocol: protocol{Counter: true, NoGuard: true}, Faults: faults{Crash: true, Restart: true}, Lease: 2, Claims: claims{S1}}},
		{"FLUSHALL", false, model.Model{
			Faults: faults{Flush: true, Crash: true, Del: true}, Lease: 2, Claims: claims{S1, S3}}},
		{"DEL under a holder whose heartbeats are lost", false, model.Model{
			Faults: faults{Silence: true, Crash: true, Del: true}, Lease: 2, Claims: claims{S1, S3}}},
		{"a clock that stands still", false, model.Model{
			Faults: faults{Slow: 2, Crash: true, Del: true}, Lease: 2, Claims: claims{S1, S3}}},
		{"fail-over to a replica, without WAIT", true, model.Model{
			Protocol: protocol{NoWait: true}, Faults: faults{Failover: true, Crash: true}, Lease: 2, Claims: claims{S1, S3}}},
		{"restart with older data", true, model.Model{
			Protocol: protocol{NoWait: true}, Faults: faults{Reload: true, Crash: true}, Lease: 2, Claims: claims{S1, S3}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.model.Limit = limit(tt.large)
			r := model.Check(tt.model)
			if r.Violated != model.None {
				t.Errorf("%s is violated after %d steps:", r.Violated, len(r.Trace))
				for _, step := range r.Trace {
					t.Log(step)
				}
				return
			}
			if r.Complete {
				t.Logf("%v hold in all %d states, the farthest %d steps away", tt.model.Claims, r.States, r.Depth)
			} else {
				t.Logf("%v hold in the first %d states, all up to %d steps away; MODEL=full searches the rest", tt.model.Claims, r.States, r.Depth)
			}
		})
	}
}

// TestBreaks takes one part of the protocol away at a time, and wants the search to
// find what that part is for. The last ones are the limits of the whole protocol:
// there only belief doubles, TestHolds has the same faults for effects.
func TestBreaks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps int // of a shortest counter-example
		want  model.Invariant
		model model.Model
	}{
		{"no fence", 9, S1, model.Model{
			Protocol: protocol{Unfenced: true}}},
		{"the deadline counts from the answer", 8, S2, model.Model{
			Protocol: protocol{FromReply: true}}},
		{"DEL without the hand-shake", 7, S2, model.Model{
			Protocol: protocol{NoHandshake: true}, Faults: faults{Del: true}}},
		{"a fence without the nonce, a counter for an epoch", 11, S1, model.Model{
			Protocol: protocol{NoNonce: true, Counter: true}, Faults: faults{Restart: true, Crash: true}}},
		{"a counter for an epoch", 8, S3, model.Model{
			Protocol: protocol{Counter: true}, Faults: faults{Restart: true}}},
		{"an empty restart without the guard", 7, S2, model.Model{
			Protocol: protocol{NoGuard: true}, Faults: faults{Restart: true}}},
		{"acknowledged before work has stopped", 8, S2, model.Model{
			Protocol: protocol{AckFirst: true}}},
		{"no margin for a clock that is slow", 8, S2, model.Model{
			Faults: faults{Slow: 1}}},
		{"the answer to a repeat taken for a whole lease", 10, S2, model.Model{
			Protocol: protocol{WholeLease: true}, Faults: faults{Repeat: true}}},
		{"a reset that marks the term of a living holder as deposed", 7, S2, model.Model{
			Protocol: protocol{ResetDeposes: true}, Faults: faults{Reset: true}}},
		{"a grant that is not the first heartbeat", 7, S2, model.Model{
			Protocol: protocol{Unregistered: true}, Faults: faults{Del: true}}},
		{"fail-over without WAIT", 7, S2, model.Model{
			Protocol: protocol{NoWait: true}, Faults: faults{Failover: true}}},

		{"limit: a restart with older data", 12, S2, model.Model{
			Protocol: protocol{NoWait: true}, Faults: faults{Reload: true}}},
		{"limit: FLUSHALL", 7, S2, model.Model{
			Faults: faults{Flush: true}}},
		{"limit: DEL under a living holder whose heartbeats are lost", 8, S2, model.Model{
			Faults: faults{Silence: true, Del: true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.model.Lease, tt.model.Claims = 2, claims{tt.want}
			r := model.Check(tt.model)
			if r.Violated != tt.want || len(r.Trace) != tt.steps {
				t.Errorf("%s violated after %d steps, want %s after %d", r.Violated, len(r.Trace), tt.want, tt.steps)
			}
			t.Logf("%s is violated, %d states searched:", r.Violated, r.States)
			for _, step := range r.Trace {
				t.Log(step)
			}
		})
	}
}

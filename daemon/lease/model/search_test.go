package model

import (
	"math/rand/v2"
	"testing"
)

// TestWalksMeetNothingNew walks at random through states that are not reduced to
// relative times, renamed nonces and mirror images: the reduced search must have
// seen each of them.
func TestWalksMeetNothingNew(t *testing.T) {
	if testing.Short() || UnderRace {
		t.Skip("one goroutine, a million states")
	}
	for _, m := range []Model{
		{Faults: Faults{Crash: true, Witness: true, Del: true, Restart: true}, Lease: 2, Claims: []Invariant{S1, S2, S3}},
		{Faults: Faults{Repeat: true, Slow: 1}, Lease: 3, Margin: 1, Claims: []Invariant{S1, S2, S3}},
		{Faults: Faults{SameID: true, Crash: true, Del: true}, Lease: 2, Claims: []Invariant{S1, S2, S3}},
		{Faults: Faults{Failover: true}, Lease: 2, Claims: []Invariant{S2, S3}},
	} {
		s := newSearch(&m)
		if r := s.run(); r.Violated != None || !r.Complete {
			t.Fatalf("%+v: %+v", m.Faults, r)
		}
		states := len(s.from)
		random := rand.New(rand.NewPCG(1, 2))
		met := set{}
		for range 3000 {
			at := state{now: 1}
			for range 60 {
				var successors []state
				w := walk{m: &m, emit: func(_ act, _ int, next *state, _ Invariant) { successors = append(successors, *next) }}
				w.next(&at)
				at = successors[random.IntN(len(successors))]
				h := at.hash(&m)
				met.add(h)
				if s.seen.add(h) {
					t.Fatalf("%+v: the search has not seen %+v", m.Faults, at)
				}
			}
		}
		t.Logf("%+v: walks met %d of %d states", m.Faults, met.n, states)
	}
}

// TestTheSameEachTime: nothing depends on the run.
func TestTheSameEachTime(t *testing.T) {
	m := Model{Protocol: Protocol{NoHandshake: true}, Faults: Faults{Crash: true, Del: true}, Lease: 2, Claims: []Invariant{S2}}
	first, second := Check(m), Check(m)
	if first.States != second.States || len(first.Trace) != len(second.Trace) {
		t.Fatalf("%+v and then %+v", first, second)
	}
	for i := range first.Trace {
		if first.Trace[i] != second.Trace[i] {
			t.Errorf("step %d: %s and then %s", i, first.Trace[i], second.Trace[i])
		}
	}
}

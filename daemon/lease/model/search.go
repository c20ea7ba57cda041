package model

import "slices"

// Check searches the model's states, nearest first, for one in which a claim does
// not hold.
func Check(m Model) Result {
	return newSearch(&m).run()
}

// search is a breadth-first search. Of a visited state it keeps the hash, which
// state it came from and by what; the states themselves only while their turn comes.
type search struct {
	m     *Model
	walk  walk
	seen  set
	from  []uint32 // parent of each state, in the order in which they were found
	by    []uint8  // act and candidate that led to it
	level []state  // those whose successors are not known
	next  []state
	bad   int // number of the violating state, -1 while there is none
	broke Invariant
}

func newSearch(m *Model) *search {
	s := &search{m: m, bad: -1}
	s.walk = walk{m: m}
	return s
}

func (s *search) run() Result {
	s.add(&state{now: 1}, 0, 0)
	parent := 0 // of what is emitted now
	s.walk.emit = func(a act, i int, t *state, v Invariant) {
		if s.bad >= 0 {
			return
		}
		by := uint8(a)<<1 | uint8(i)
		if v != None && s.m.claims(v) {
			s.bad, s.broke = len(s.from), v
			s.from, s.by = append(s.from, uint32(parent)), append(s.by, by)
			return
		}
		s.add(t, parent, by)
	}
	depth := 0
	for first := 0; len(s.next) > 0 && s.bad < 0; depth++ {
		s.level, s.next = s.next, s.level[:0]
		if s.m.Limit > 0 && len(s.from) > s.m.Limit {
			return Result{States: len(s.from), Depth: depth}
		}
		for k := range s.level {
			parent = first + k
			s.walk.next(&s.level[k])
			if s.bad >= 0 {
				break
			}
		}
		first += len(s.level)
	}
	r := Result{States: len(s.from), Depth: depth - 1, Violated: s.broke, Complete: true}
	if s.bad >= 0 {
		r.Trace = s.trace()
		r.Depth = len(r.Trace)
	}
	return r
}

// add takes a state that is new.
func (s *search) add(t *state, parent int, by uint8) {
	if !s.seen.add(t.hash(s.m)) {
		return
	}
	s.from, s.by = append(s.from, uint32(parent)), append(s.by, by)
	s.next = append(s.next, *t)
}

// trace replays the steps to the violation.
func (s *search) trace() []Step {
	var steps []uint8
	for n := s.bad; n != 0; n = int(s.from[n]) {
		steps = append(steps, s.by[n])
	}
	slices.Reverse(steps)
	var out []Step
	at := state{now: 1}
	for _, by := range steps {
		before := at
		w := walk{m: s.m, emit: func(a act, i int, t *state, _ Invariant) {
			if uint8(a)<<1|uint8(i) == by {
				at = *t
			}
		}}
		w.next(&before)
		out = append(out, Step{At: int(at.now), Action: w.describe(by, &before, &at), State: at.String()})
	}
	return out
}

// set is a set of hashes, open addressing. 0 is no hash.
type set struct {
	slots []uint64
	n     int
}

// add reports whether h is new.
func (s *set) add(h uint64) bool {
	if 3*s.n >= 2*len(s.slots) {
		s.grow()
	}
	mask := uint64(len(s.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case h:
			return false
		case 0:
			s.slots[i] = h
			s.n++
			return true
		}
	}
}

func (s *set) grow() {
	old := s.slots
	s.slots = make([]uint64, max(1<<12, 2*len(old)))
	mask := uint64(len(s.slots) - 1)
	for _, h := range old {
		if h == 0 {
			continue
		}
		i := h & mask
		for s.slots[i] != 0 {
			i = (i + 1) & mask
		}
		s.slots[i] = h
	}
}

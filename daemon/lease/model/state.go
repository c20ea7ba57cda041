package model

import "math/bits"

// state is the whole world. Times and epochs are absolute, for the traces' sake;
// the hash makes them relative.
type state struct {
	now    uint8
	store  store
	copied data // on disk, or on the replica
	node   [2]node
	effect effect
	nonces uint8 // used so far
}

// store is the server: what it stores, and what it is.
type store struct {
	data
	young uint8 // tick at which it will have run for a lease
	beat  uint8 // 1 when the registry has a fresh heartbeat of the term's holder
}

// data is what a copy contains.
type data struct {
	lock, lockUntil uint8 // id + 1 of the holder, 0 when free
	holder          uint8 // of the term: id + 1, 0 when there is no term
	epoch           uint16
	nonce           uint8
	held            uint8 // 1 while the term says held
	until           uint8
	newest          uint8 // for S1: nonce of the newest term granted
}

type phase uint8

const (
	follower phase = iota
	leading
	stopping // acknowledged already, and still at work (AckFirst)
)

// node is a candidate.
type node struct {
	phase        phase
	nonce        uint8  // of the term that it leads
	epoch        uint16 // of the same
	floor        uint16 // highest epoch seen
	left         uint8  // ticks of its own clock until its deadline
	lag          uint8  // ticks that its clock has lost since that deadline's count began
	live, orphan message
}

type kind uint8

const (
	nothing kind = iota
	acquire
	renew
	release
	reset // by the witness of a death
)

// message is a request on its way, or its answer.
type message struct {
	kind   kind
	answer uint8  // 1 when executed with success; refusals are read at once
	nonce  uint8  // of the term
	epoch  uint16 // of the term; of an acquire once granted
	floor  uint16 // that an acquire carries
	age    uint8  // ticks of the sender's clock since it was sent
	lag    uint8  // ticks that this clock has lost since then
	left   uint8  // of an answer: ticks until the lease ends, when it was executed
	synced uint8  // the copy has what this answers
}

// effect is a leader's write on its way.
type effect struct {
	id, nonce uint8 // nonce 0: none
	epoch     uint16
}

func (s *state) believes(i int) bool { return s.node[i].phase != follower && s.node[i].left > 0 }

// pass lets a tick go by. Candidate i's clock stands still when slow says so.
func (s *state) pass(slow [2]bool) {
	s.now++
	for i := range s.node {
		n := &s.node[i]
		switch {
		case slow[i]:
			n.lag++
			n.live.lag++
		default:
			n.left = max(n.left, 1) - 1
			n.live.age++
		}
	}
}

// tidy forgets what no longer makes a difference.
func (s *state) tidy(m *Model) {
	for _, d := range []*data{&s.store.data, &s.copied} {
		if d.lockUntil <= s.now {
			d.lock, d.lockUntil = 0, 0
		}
		if d.held == 0 || d.until <= s.now {
			d.until = 0
		}
	}
	if s.store.until == 0 || m.NoHandshake {
		s.store.beat = 0
	}
	for i := range s.node {
		n := &s.node[i]
		if n.left == 0 {
			n.lag = 0
		}
		l := &n.live
		switch {
		case l.kind != acquire && l.kind != renew:
			l.age, l.lag = 0, 0
		case int(l.age) >= m.Lease-m.Margin:
			l.age, l.lag = uint8(m.Lease-m.Margin), 0
		}
		o := &n.orphan
		o.age, o.lag = 0, 0
		if (o.kind == renew || o.kind == release) && !m.NoNonce && !s.alive(o.nonce) {
			*o = message{}
		}
	}
	if !m.NoNonce && !m.Unfenced && !s.alive(s.effect.nonce) {
		s.effect = effect{}
	}
}

// alive reports whether the store can have, now or later, a term with this nonce.
// Nonces are fresh, so whatever carries one that is not alive is refused for ever.
func (s *state) alive(nonce uint8) bool {
	if nonce == s.store.nonce || nonce == s.copied.nonce {
		return true
	}
	for i := range s.node {
		l, o := &s.node[i].live, &s.node[i].orphan
		if l.kind == acquire && l.nonce == nonce || o.kind == acquire && o.nonce == nonce {
			return true
		}
	}
	return false
}

// hash is the same for states that behave alike: a state and its mirror image, with
// the candidates exchanged; states at another time; states with other nonces or, as
// long as TIME makes them grow, other epochs of earlier ticks.
func (s *state) hash(m *Model) uint64 {
	return min(s.mixed(m, 0), s.mixed(m, 1))
}

// mixed is the hash of the state with the candidates exchanged when flip is 1.
func (s *state) mixed(m *Model, flip uint8) uint64 {
	x := mixer{h: 0x9e3779b97f4a7c15, now: s.now, base: uint16(s.now) * epochsPerTick, flip: flip}
	if m.SameID {
		x.flip = 0
	}
	if m.Counter {
		x.base = 0
	}
	x.data(&s.store.data)
	if m.copies() {
		x.data(&s.copied)
	}
	x.word(since(s.store.young, s.now), s.store.beat, 0, 0, 0, 0, 0, 0)
	for i := range uint8(2) {
		n := &s.node[i^flip]
		x.word(uint8(n.phase), x.nonce(n.nonce), x.epoch(n.epoch), x.floor(n.floor), n.left, n.lag, 0, 0)
		x.message(&n.live)
		x.message(&n.orphan)
	}
	if s.effect.nonce != 0 {
		x.word(x.id(s.effect.id+1), x.epoch(s.effect.epoch), x.nonce(s.effect.nonce), 0, 0, 0, 0, 0)
	}
	if x.h == 0 {
		return 1 // 0 marks an empty place in the set
	}
	return x.h
}

// mixer builds a hash. Nonces and old epochs are numbered as they come.
type mixer struct {
	h            uint64
	now, flip    uint8
	base         uint16 // epochs from here on are of this tick
	nonces       [12]uint8
	epochs       [12]uint16
	nonceN, oldN uint8
}

func (x *mixer) word(a, b, c, d, e, f, g, h uint8) {
	w := uint64(a) | uint64(b)<<8 | uint64(c)<<16 | uint64(d)<<24 | uint64(e)<<32 | uint64(f)<<40 | uint64(g)<<48 | uint64(h)<<56
	hi, lo := bits.Mul64(x.h^w^0xa0761d6478bd642f, 0xe7037ed1a0b428db^bits.RotateLeft64(x.h, 32))
	x.h = hi ^ lo
}

func (x *mixer) data(d *data) {
	x.word(x.id(d.lock), since(d.lockUntil, x.now), x.id(d.holder), x.epoch(d.epoch),
		x.nonce(d.nonce), d.held, since(d.until, x.now), x.nonce(d.newest))
}

func (x *mixer) message(m *message) {
	if m.kind == nothing {
		x.word(0, 0, 0, 0, 0, 0, 0, 0)
		return
	}
	x.word(uint8(m.kind)|m.answer<<4|m.synced<<5, x.nonce(m.nonce), x.epoch(m.epoch), x.floor(m.floor), m.age, m.lag, m.left, 0)
}

// id exchanges the ids 1 and 2.
func (x *mixer) id(id uint8) uint8 {
	if id == 0 || x.flip == 0 {
		return id
	}
	return 3 - id
}

func (x *mixer) nonce(n uint8) uint8 {
	if n == 0 {
		return 0
	}
	for i := range x.nonceN {
		if x.nonces[i] == n {
			return i + 1
		}
	}
	x.nonces[x.nonceN] = n
	x.nonceN++
	return x.nonceN
}

// epoch numbers the epochs of this tick from 100 on, earlier ones as they come:
// whatever is granted from now on is above them, so only equality counts.
func (x *mixer) epoch(e uint16) uint8 {
	switch {
	case e == 0:
		return 0
	case e >= x.base:
		return uint8(100 + e - x.base)
	}
	for i := range x.oldN {
		if x.epochs[i] == e {
			return i + 1
		}
	}
	x.epochs[x.oldN] = e
	x.oldN++
	return x.oldN
}

// floor is an epoch that is only ever compared with those granted from now on.
func (x *mixer) floor(e uint16) uint8 {
	if e < x.base {
		return 0
	}
	return x.epoch(e)
}

// since returns how far t is ahead of now.
func since(t, now uint8) uint8 { return max(t, now) - now }

package model

// epochsPerTick is how many milliseconds a tick has, and so how many terms can be
// granted within one; mostEpochs is how many a counter that TIME does not drive is
// followed for.
const (
	epochsPerTick = 4
	mostEpochs    = 3
)

// act is what happens; with a candidate's number it is one step.
type act uint8

const (
	tick act = iota
	tickSlow
	tickBothSlow
	sendAcquire
	sendRenew
	stop
	acknowledge
	stopWork
	execute
	executeOrphan
	read
	giveUp
	repeat
	crash
	crashSeen
	write
	arrive
	beat
	silence
	del
	resetNow
	flush
	restart
	replicate
	reload
	failover
)

// walk lists what can follow a state.
type walk struct {
	m *Model
	// emit takes each successor, and what it violates.
	emit func(a act, i int, s *state, v Invariant)
}

// next emits every successor of s.
func (w *walk) next(s *state) {
	w.time(s)
	for i := range s.node {
		w.sends(s, i)
		w.arrivals(s, i)
		w.mishaps(s, i)
	}
	w.arriveEffect(s)
	w.operator(s)
	w.server(s)
}

// done tidies a successor and hands it on.
func (w *walk) done(a act, i int, s *state, v Invariant) {
	s.tidy(w.m)
	if v == None && s.believes(0) && s.believes(1) {
		v = S2
	}
	w.emit(a, i, s, v)
}

func (w *walk) id(i int) uint8 {
	if w.m.SameID {
		return 0
	}
	return uint8(i)
}

// time is a tick.
func (w *walk) time(s *state) {
	t := *s
	t.pass([2]bool{})
	w.done(tick, 0, &t, None)
	may := [2]bool{}
	for i := range s.node {
		n := &s.node[i]
		may[i] = (n.left > 0 || n.live.kind != nothing) && int(max(n.lag, n.live.lag)) < w.m.Slow
		if may[i] {
			t := *s
			t.pass([2]bool{i == 0, i == 1})
			w.done(tickSlow, i, &t, None)
		}
	}
	if may[0] && may[1] {
		t := *s
		t.pass(may)
		w.done(tickBothSlow, 0, &t, None)
	}
}

// sends are what candidate i can decide to do.
func (w *walk) sends(s *state, i int) {
	n := &s.node[i]
	believes := s.believes(i)
	if n.phase == follower && n.live.kind == nothing {
		t := *s
		t.nonces++
		t.node[i].live = message{kind: acquire, nonce: t.nonces, floor: n.floor}
		w.done(sendAcquire, i, &t, None)
	}
	if n.phase == leading && believes && n.live.kind == nothing {
		t := *s
		t.node[i].live = message{kind: renew, epoch: n.epoch, nonce: n.nonce}
		w.done(sendRenew, i, &t, None)
	}
	w.stops(s, i)
	if w.m.Repeat && n.live.kind == acquire {
		t := *s
		t.node[i].abandon()
		t.node[i].live = message{kind: acquire, nonce: n.live.nonce, floor: n.floor}
		w.done(repeat, i, &t, None)
	}
	if believes && n.phase == leading && s.effect.nonce == 0 && w.m.claims(S1) {
		t := *s
		t.effect = effect{id: w.id(i), epoch: n.epoch, nonce: n.nonce}
		w.done(write, i, &t, None)
	}
}

// stops is the end of a leadership: work ends, then the release is sent.
func (w *walk) stops(s *state, i int) {
	n := &s.node[i]
	if n.phase == follower {
		return
	}
	t := *s
	if n.phase == leading {
		t.node[i].abandon()
		t.node[i].live = message{kind: release, epoch: n.epoch, nonce: n.nonce}
	}
	switch {
	case n.phase == stopping:
		t.node[i].follow()
		w.done(stopWork, i, &t, None)
	case w.m.AckFirst:
		t.node[i].phase = stopping
		w.done(acknowledge, i, &t, None)
	default:
		t.node[i].follow()
		w.done(stop, i, &t, None)
	}
}

// follow ends the leadership.
func (n *node) follow() { n.phase, n.left, n.lag, n.epoch, n.nonce = follower, 0, 0, 0, 0 }

// abandon leaves the request on its way; an answer that nobody waits for is lost.
func (n *node) abandon() {
	if n.live.kind != nothing && n.live.answer == 0 {
		n.orphan = n.live
	}
	n.live = message{}
}

// arrivals are the requests of candidate i that the store executes, and the answer
// that reaches it.
func (w *walk) arrivals(s *state, i int) {
	n := &s.node[i]
	if n.live.kind != nothing && n.live.answer == 0 {
		t := *s
		v := w.execute(&t, i, &t.node[i].live)
		if m := &t.node[i].live; m.answer == 0 {
			t.node[i].floor = max(t.node[i].floor, m.floor)
			*m = message{}
		}
		w.done(execute, i, &t, v)
	}
	if n.orphan.kind != nothing {
		t := *s
		m := n.orphan
		t.node[i].orphan = message{}
		w.done(executeOrphan, i, &t, w.execute(&t, i, &m))
	}
	if n.live.answer == 1 && (!w.m.copies() || w.m.NoWait || n.live.synced == 1) {
		t := *s
		w.read(&t, i)
		w.done(read, i, &t, None)
	}
	if n.live.kind != nothing {
		t := *s
		t.node[i].abandon()
		w.done(giveUp, i, &t, None)
	}
}

// read is the answer to an acquire or a renewal that was granted.
func (w *walk) read(s *state, i int) {
	n := &s.node[i]
	m := n.live
	n.live = message{}
	left := uint8(w.m.Lease)
	if !w.m.WholeLease {
		left = m.left
	}
	gone := uint8(w.m.Margin)
	if !w.m.FromReply {
		gone += m.age
	}
	left -= min(left, gone)
	switch {
	case m.kind == acquire && n.phase == follower:
		n.phase, n.left, n.lag, n.epoch, n.nonce = leading, left, m.lag, m.epoch, m.nonce
		n.floor = max(n.floor, m.epoch)
	case m.kind == renew && n.phase != follower && n.nonce == m.nonce:
		n.left, n.lag = left, m.lag
	}
}

// mishaps are what befalls candidate i.
func (w *walk) mishaps(s *state, i int) {
	n := &s.node[i]
	if w.m.Crash {
		t := *s
		t.node[i].abandon()
		t.node[i] = node{orphan: t.node[i].orphan}
		holder := s.store.holder == w.id(i)+1
		if holder && !w.m.SameID {
			t.store.beat = 0
		}
		w.done(crash, i, &t, None)
		if w.m.Witness && n.phase == leading {
			t.node[i].orphan = message{kind: reset, epoch: n.epoch}
			w.done(crashSeen, i, &t, None)
		}
	}
	if s.store.holder != w.id(i)+1 || s.store.until == 0 || w.m.NoHandshake {
		return
	}
	if s.store.beat == 0 {
		t := *s
		t.store.beat = 1
		w.done(beat, i, &t, None)
	} else if w.m.Silence {
		t := *s
		t.store.beat = 0
		w.done(silence, i, &t, None)
	}
}

// arriveEffect is the write that was on its way. Nothing depends on it, so it has
// no successor of its own unless it should not have been accepted.
func (w *walk) arriveEffect(s *state) {
	e := s.effect
	if e.nonce == 0 || e.nonce == s.store.newest && e.epoch == s.store.epoch {
		return
	}
	if w.m.Unfenced || w.fence(s, e.id, e.epoch, e.nonce) {
		t := *s
		w.done(arrive, int(e.id), &t, S1)
	}
}

// operator is who deletes things.
func (w *walk) operator(s *state) {
	if w.m.Del && s.store.lock != 0 {
		t := *s
		t.store.lock, t.store.lockUntil = 0, 0
		w.done(del, 0, &t, None)
	}
	if w.m.Reset && s.store.lock != 0 {
		t := *s
		t.store.lock, t.store.lockUntil = 0, 0
		if w.m.ResetDeposes {
			t.store.held = 0
		}
		w.done(resetNow, 0, &t, None)
	}
	if w.m.Flush {
		t := *s
		t.pass([2]bool{})
		t.store.data, t.store.beat = data{}, 0
		w.done(flush, 0, &t, None)
	}
}

// server is what happens to the store itself. While it is away a tick goes by.
func (w *walk) server(s *state) {
	if w.m.Restart {
		t := *s
		t.pass([2]bool{})
		t.store = store{young: t.now + uint8(w.m.Lease)}
		w.done(restart, 0, &t, None)
	}
	if w.m.Reload {
		t := *s
		t.pass([2]bool{})
		w.cut(&t)
		t.store.data, t.store.young = s.copied, t.now+uint8(w.m.Lease)
		w.done(reload, 0, &t, None)
	}
	if w.m.Failover {
		t := *s
		t.pass([2]bool{})
		w.cut(&t)
		t.store.data = s.copied
		w.done(failover, 0, &t, None)
	}
	if w.m.copies() {
		t := *s
		t.copied = t.store.data
		for i := range t.node {
			t.node[i].live.synced = t.node[i].live.answer
		}
		if t != *s {
			w.done(replicate, 0, &t, None)
		}
	}
}

// cut ends the connections: whoever waits until the copy has what was done on them
// waits in vain.
func (w *walk) cut(s *state) {
	for i := range s.node {
		if m := &s.node[i].live; m.answer == 1 && m.synced == 0 && !w.m.NoWait {
			*m = message{}
		}
	}
}

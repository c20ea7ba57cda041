package model

// fence is the prologue of every write of a leader.
func (w *walk) fence(s *state, id uint8, epoch uint16, nonce uint8) bool {
	d := &s.store.data
	return d.lock == id+1 && d.holder == id+1 && d.epoch == epoch && (w.m.NoNonce || d.nonce == nonce)
}

// execute runs a request as the scripts of the store do. A request that was granted
// becomes its answer; of one that was refused, floor is then the epoch that the
// refusal told.
func (w *walk) execute(s *state, i int, m *message) Invariant {
	d := &s.store.data
	id := w.id(i)
	switch m.kind {
	case acquire:
		return w.acquire(s, id, m)
	case renew:
		if w.fence(s, id, m.epoch, m.nonce) {
			d.lockUntil = s.now + uint8(w.m.Lease)
			d.held, d.until = 1, d.lockUntil
			m.answer, m.left = 1, uint8(w.m.Lease)
		}
	case release:
		if d.holder != id+1 || d.epoch != m.epoch || !w.m.NoNonce && d.nonce != m.nonce {
			break
		}
		if d.lock == id+1 {
			d.lock, d.lockUntil = 0, 0
		}
		d.held = 0
	case reset:
		if d.lock == id+1 && d.holder == id+1 && d.epoch == m.epoch {
			d.lock, d.lockUntil = 0, 0
			d.held = 0
		}
	}
	return None
}

func (w *walk) acquire(s *state, id uint8, m *message) Invariant {
	d := &s.store.data
	epoch, most := d.epoch+1, uint16(mostEpochs)
	if !w.m.Counter {
		epoch = max(epoch, uint16(s.now)*epochsPerTick, m.floor+1)
		most = uint16(s.now)*epochsPerTick + epochsPerTick - 1
	}
	alive := s.store.beat == 1
	switch {
	case d.lock == id+1 && d.holder == id+1 && d.nonce == m.nonce:
		// Granted before; nothing changes.
		m.answer, m.epoch, m.floor, m.left = 1, d.epoch, 0, d.lockUntil-s.now
		return None
	case d.lock != 0,
		!w.m.NoHandshake && d.held == 1 && d.until != 0 && alive && d.nonce != m.nonce,
		!w.m.NoGuard && s.store.young > s.now && (d.holder == 0 || w.m.AlwaysGuard),
		epoch > most:
		m.floor = d.epoch
		return None
	}
	var broken Invariant
	for _, n := range s.node {
		if epoch <= n.floor && w.m.claims(S3) {
			broken = S3
		}
	}
	until := s.now + uint8(w.m.Lease)
	*d = data{lock: id + 1, lockUntil: until, holder: id + 1, epoch: epoch, nonce: m.nonce, held: 1, until: until, newest: m.nonce}
	s.store.beat = 1
	if w.m.Unregistered {
		s.store.beat = 0
	}
	m.answer, m.epoch, m.floor, m.left = 1, epoch, 0, uint8(w.m.Lease)
	return broken
}

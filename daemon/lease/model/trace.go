package model

import (
	"fmt"
	"strings"
)

var names = [2]string{"A", "B"}

// describe says what a step was.
func (w *walk) describe(by uint8, before, after *state) string {
	a, i := act(by>>1), int(by&1)
	n := &before.node[i]
	switch a {
	case tick:
		return "time goes on"
	case tickSlow:
		return "time goes on, but not on the clock of " + names[i]
	case tickBothSlow:
		return "time goes on, but on no candidate's clock"
	case sendAcquire:
		return names[i] + " sends " + after.node[i].live.String()
	case sendRenew:
		return names[i] + " sends " + after.node[i].live.String()
	case stop:
		return names[i] + " stops its work and sends " + after.node[i].live.String()
	case acknowledge:
		return names[i] + ", still at work, sends " + after.node[i].live.String()
	case stopWork:
		return names[i] + " stops its work"
	case execute:
		verdict := "refused"
		if after.node[i].live.answer == 1 {
			verdict = fmt.Sprintf("granted, epoch %d", after.node[i].live.epoch)
		} else if n.live.kind == release {
			verdict = "done"
		}
		return "store: " + n.live.String() + " of " + names[i] + ": " + verdict
	case executeOrphan:
		return "store: late " + n.orphan.String() + " of " + names[i]
	case read:
		return names[i] + " reads the answer to " + n.live.String()
	case giveUp:
		return names[i] + " gives up on " + n.live.String()
	case repeat:
		return names[i] + " sends the same " + after.node[i].live.String() + " again"
	case crash:
		return names[i] + " dies and starts anew with the same id"
	case crashSeen:
		return names[i] + " dies and starts anew; a witness sends a reset"
	case write:
		return names[i] + " writes as " + term(n.epoch, n.nonce) + ", the write is on its way"
	case arrive:
		return "store accepts the write of " + term(before.effect.epoch, before.effect.nonce)
	}
	return w.describeWorld(a, i)
}

func (w *walk) describeWorld(a act, i int) string {
	switch a {
	case beat:
		return "a heartbeat of " + names[i] + " is registered"
	case silence:
		return "heartbeats of " + names[i] + " do not arrive for long"
	case del:
		return "operator: DEL of the lock"
	case resetNow:
		return "operator: reset"
	case flush:
		return "operator: FLUSHALL"
	case restart:
		return "store restarts empty"
	case replicate:
		return "the copy has everything"
	case reload:
		return "store restarts with the copy"
	case failover:
		return "the replica takes over with the copy"
	}
	return fmt.Sprintf("act %d", a)
}

func term(epoch uint16, nonce uint8) string { return fmt.Sprintf("%d#%d", epoch, nonce) }

func (m message) String() string {
	switch m.kind {
	case acquire:
		return fmt.Sprintf("acquire #%d", m.nonce)
	case renew:
		return "renew " + term(m.epoch, m.nonce)
	case release:
		return "release " + term(m.epoch, m.nonce)
	case reset:
		return fmt.Sprintf("reset of epoch %d", m.epoch)
	}
	return "nothing"
}

func (s *state) String() string {
	var b strings.Builder
	d := &s.store.data
	b.WriteString("lock ")
	if d.lock == 0 {
		b.WriteString("free")
	} else {
		fmt.Fprintf(&b, "%s until %d", names[d.lock-1], d.lockUntil)
	}
	if d.holder == 0 {
		b.WriteString(", no term")
	} else {
		fmt.Fprintf(&b, ", term %s of %s", term(d.epoch, d.nonce), names[d.holder-1])
		switch {
		case d.held == 0:
			b.WriteString(" over")
		case d.until == 0:
			b.WriteString(" run out")
		}
	}
	for i := range s.node {
		if s.believes(i) {
			fmt.Fprintf(&b, "; %s believes until %d", names[i], s.now+s.node[i].left)
		}
	}
	return b.String()
}

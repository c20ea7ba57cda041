package daemon

import (
	"context"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/lease"
	"github.com/spark-ta/spark/daemon/store"
)

// lock is what is to be said of the lock.
func (h *house) lock(ctx context.Context) (wire.Lock, error) {
	l, err := h.store.Lock(ctx)
	if err != nil {
		return wire.Lock{}, err
	}
	return LockBody(l, lease.Diagnose(l, h.elector.Lease)), nil
}

// LockBody is the diagnosis of the lock as clients see it.
func LockBody(l store.Lock, d lease.Diagnosis) wire.Lock {
	out := wire.Lock{
		OK: true, Key: l.Key, State: string(d.State), Sentence: d.Sentence, Command: d.Command,
		Holder: d.Token.Holder, Epoch: d.Token.Epoch, LeaseRemainingMS: d.Left.Milliseconds(), HolderAlive: d.Alive,
		Paused: l.Control.Paused, Warnings: d.Warnings,
	}
	if d.Left < 0 {
		out.LeaseRemainingMS = -1
	}
	if d.HeardMS >= 0 {
		out.HolderAgeMS = &d.HeardMS
	}
	if l.HasTerm {
		out.Since = &l.Term.Since
		out.TermState, out.TermHolder, out.TermEpoch = l.Term.State, l.Term.Holder, l.Term.Epoch
	}
	return out
}

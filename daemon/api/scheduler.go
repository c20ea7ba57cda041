package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/store"
)

// SchedulerStore holds what the fleet agreed on.
type SchedulerStore interface {
	Lock(ctx context.Context) (store.Lock, error)
	// SetPaused is [store.ErrChanged] when the switches have another version than
	// expected (0 for any).
	SetPaused(ctx context.Context, paused bool, by, reason string, expected int64) (store.Control, error)
	// Resign is [store.ErrChanged] when the present term is another.
	Resign(ctx context.Context, holder string, epoch int64, reason string) (store.Token, error)
}

// Scheduler answers the calls about the scheduler. Any executor does, whoever leads.
type Scheduler struct {
	Store   SchedulerStore
	Enabled bool
	Gate    Gate
	Changed func() // told after a change, so that it is seen here at once
}

// AddTo adds the calls to a router.
func (h *Scheduler) AddTo(rt *Router) {
	rt.on(http.MethodGet, wire.PathScheduler, h.Gate.operate(h.state))
	rt.on(http.MethodPost, wire.PathSchedulerPause, h.Gate.operate(h.pause(true)))
	rt.on(http.MethodPost, wire.PathSchedulerResume, h.Gate.operate(h.pause(false)))
	rt.on(http.MethodPost, wire.PathSchedulerResign, h.Gate.operate(h.resign))
}

func (h *Scheduler) state(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	l, err := h.Store.Lock(r.Context())
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, h.describe(l))
	return nil
}

func (h *Scheduler) describe(l store.Lock) wire.Scheduler {
	c := l.Control
	out := wire.Scheduler{
		OK: true, Enabled: h.Enabled, Paused: c.Paused, By: c.By, Reason: c.Reason, Version: c.Version,
		ChangedAt: orNull(c.ChangedAt), Members: []wire.SchedulerMember{},
	}
	if l.Type == "string" {
		out.Leader = wire.LeaderState{Holder: l.Value, LeaseRemainingMS: max(0, l.TTL.Milliseconds())}
		if l.Term.Holder == l.Value {
			out.Leader.Epoch = l.Term.Epoch
		}
	}
	for _, m := range l.Members {
		out.Members = append(out.Members, wire.SchedulerMember{ID: m.ID, Phase: m.Phase, Alive: m.Alive(l.Now), AgeMS: max(0, l.Now-m.At)})
	}
	return out
}

// change reads the body of a change.
func change(w http.ResponseWriter, r *http.Request) (wire.SchedulerChange, error) {
	var in wire.SchedulerChange
	if err := read(w, r, &in); err != nil {
		return in, err
	}
	switch {
	case len(in.Reason) > maxReason:
		return in, badInput("reason", "reason has %d bytes, at most %d", len(in.Reason), maxReason)
	case in.Version < 0:
		return in, badInput("version", "version %d is negative", in.Version)
	case in.Epoch < 0:
		return in, badInput("epoch", "epoch %d is negative", in.Epoch)
	}
	return in, nil
}

const maxReason = 500

func (h *Scheduler) pause(pause bool) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		in, err := change(w, r)
		if err != nil {
			return err
		}
		c, err := h.Store.SetPaused(r.Context(), pause, h.Gate.caller(r), in.Reason, in.Version)
		if errors.Is(err, store.ErrChanged) {
			return &refusal{code: wire.CodeConflict, field: "version", text: fmt.Sprintf("the switches have version %d, not %d: somebody changed them", c.Version, in.Version)}
		}
		if err != nil {
			return err
		}
		h.Changed()
		return h.state(w, r)
	}
}

func (h *Scheduler) resign(w http.ResponseWriter, r *http.Request) error {
	in, err := change(w, r)
	if err != nil {
		return err
	}
	l, err := h.Store.Lock(r.Context())
	if err != nil {
		return err
	}
	if l.Value == "" || l.Term.Holder != l.Value {
		return &refusal{code: wire.CodeConflict, text: "nobody leads who could resign; see " + wire.PathLock}
	}
	if in.Epoch != 0 && in.Epoch != l.Term.Epoch {
		return &refusal{code: wire.CodeConflict, field: "epoch", text: fmt.Sprintf("%s leads with epoch %d, not %d", l.Value, l.Term.Epoch, in.Epoch)}
	}
	reason := h.Gate.caller(r)
	if in.Reason != "" {
		reason += ": " + in.Reason
	}
	found, err := h.Store.Resign(r.Context(), l.Value, l.Term.Epoch, reason)
	if errors.Is(err, store.ErrChanged) {
		return &refusal{code: wire.CodeConflict, field: "epoch", text: fmt.Sprintf("%q leads with epoch %d now", found.Holder, found.Epoch)}
	}
	if err != nil {
		return err
	}
	h.Changed()
	reply(w, http.StatusOK, wire.SchedulerResigned{OK: true, Holder: found.Holder, Epoch: found.Epoch})
	return nil
}

func orNull(ms int64) *int64 {
	if ms == 0 {
		return nil
	}
	return &ms
}

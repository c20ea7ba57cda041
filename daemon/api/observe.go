package api

import (
	"context"
	"net/http"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/event"
)

// Observe answers the observer's calls.
type Observe struct {
	Fleet  func(context.Context) wire.Fleet
	Lock   func(context.Context) (wire.Lock, error)
	Events *event.Log
	Ended  <-chan struct{} // closed when open streams are to end
}

// AddTo adds the calls to a router.
func (h *Observe) AddTo(rt *Router) {
	rt.on(http.MethodGet, wire.PathFleet, func(w http.ResponseWriter, r *http.Request) error {
		if _, err := query(r); err != nil {
			return err
		}
		reply(w, http.StatusOK, h.Fleet(r.Context()))
		return nil
	})
	rt.on(http.MethodGet, wire.PathLock, func(w http.ResponseWriter, r *http.Request) error {
		if _, err := query(r); err != nil {
			return err
		}
		l, err := h.Lock(r.Context())
		if err != nil {
			return err
		}
		reply(w, http.StatusOK, l)
		return nil
	})
	rt.on(http.MethodGet, wire.PathEvents, func(w http.ResponseWriter, r *http.Request) error {
		if _, err := query(r); err != nil {
			return err
		}
		return stream(w, r, h.Events, nil, h.Ended)
	})
}

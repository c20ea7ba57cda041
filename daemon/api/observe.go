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
	Events *event.Log      // of the fleet
	Own    *event.Log      // of this instance; nil: the same
	Ended  <-chan struct{} // closed when open streams are to end
	// Hypercare answers for the judge; nil when this observer has none.
	Hypercare *Hypercare
	// Queries are the calls of the Prometheus HTTP interface, by pattern; may be nil.
	Queries map[string]http.Handler
	Gate    Gate // of Queries
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
	own := h.Own
	if own == nil {
		own = h.Events
	}
	(&Events{Own: own, Fleet: h.Events, Ended: h.Ended}).AddTo(rt)
	for path, q := range h.Queries {
		ask := h.Gate.look(func(w http.ResponseWriter, r *http.Request) error {
			q.ServeHTTP(w, r)
			return nil
		})
		rt.on(http.MethodGet, path, ask)
		rt.on(http.MethodPost, path, ask) // a long expression comes as a form
	}
	if h.Hypercare != nil {
		h.Hypercare.AddTo(rt)
	}
}

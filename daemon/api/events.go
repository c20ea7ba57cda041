package api

import (
	"net/http"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/event"
)

// Events answers [wire.PathEvents], on every role: an observer tells of the fleet,
// each instance of itself when asked with scope=instance.
type Events struct {
	Own   *event.Log
	Fleet *event.Log      // nil: its own are all it knows
	Ended <-chan struct{} // closed when open streams are to end
}

// AddTo adds the call to a router.
func (h *Events) AddTo(rt *Router) {
	rt.on(http.MethodGet, wire.PathEvents, func(w http.ResponseWriter, r *http.Request) error {
		q, err := query(r, "scope")
		if err != nil {
			return err
		}
		switch scope := given(q, "scope", "fleet"); {
		case scope == "instance":
			return stream(w, r, h.Own, nil, h.Ended)
		case scope != "fleet":
			return badInput("scope", "scope %.32q is not one of fleet, instance", scope)
		case h.Fleet == nil:
			return stream(w, r, h.Own, nil, h.Ended)
		}
		return stream(w, r, h.Fleet, nil, h.Ended)
	})
}

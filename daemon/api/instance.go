package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/event"
)

// Instance answers what every role says of itself.
type Instance struct {
	Health  func() wire.Health      // judged for the router's role
	Ready   func() (bool, []string) // judged for the router's role
	Metrics http.Handler
	Logs    *event.Log
	Gate    Gate
	Ended   <-chan struct{} // closed when open follow-ups are to end
}

// AddTo adds the calls to a router.
func (h *Instance) AddTo(rt *Router) {
	rt.on(http.MethodGet, wire.PathHealth, h.health)
	rt.on(http.MethodGet, wire.PathLive, h.live)
	rt.on(http.MethodGet, wire.PathReady, h.ready)
	rt.on(http.MethodGet, wire.PathMetrics, func(w http.ResponseWriter, r *http.Request) error {
		h.Metrics.ServeHTTP(w, r)
		return nil
	})
	rt.on(http.MethodGet, wire.PathLogs, h.Gate.operate(h.logs))
}

func (h *Instance) health(w http.ResponseWriter, _ *http.Request) error {
	body := h.Health()
	status := http.StatusOK
	if !body.OK {
		status = http.StatusServiceUnavailable
	}
	reply(w, status, body)
	return nil
}

func (h *Instance) live(w http.ResponseWriter, _ *http.Request) error {
	reply(w, http.StatusOK, wire.Ready{OK: true})
	return nil
}

func (h *Instance) ready(w http.ResponseWriter, _ *http.Request) error {
	ok, reasons := h.Ready()
	status := http.StatusOK
	if !ok {
		status = http.StatusServiceUnavailable
	}
	reply(w, status, wire.Ready{OK: ok, Reasons: reasons})
	return nil
}

// logLevels are the levels of a record, least first.
func logLevels() []string { return []string{"debug", "info", "warn", "error"} }

func (h *Instance) logs(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "level", "follow")
	if err != nil {
		return err
	}
	least := slices.Index(logLevels(), given(q, "level", "debug"))
	if least < 0 {
		return badInput("level", "level %.32q is not one of debug, info, warn, error", q["level"])
	}
	follow, err := strconv.ParseBool(given(q, "follow", "false"))
	if err != nil {
		return badInput("follow", "follow %.32q is not one of true, false", q["follow"])
	}
	wanted := func(e event.Event) bool {
		rec, ok := e.Data.(wire.LogRecord)
		return ok && slices.Index(logLevels(), rec.Level) >= least
	}
	if follow {
		return stream(w, r, h.Logs, wanted, h.Ended)
	}
	out := wire.Logs{OK: true, Records: []wire.LogRecord{}}
	recent, _ := h.Logs.Since(0)
	for _, e := range recent {
		if wanted(e) {
			out.Records = append(out.Records, e.Data.(wire.LogRecord))
		}
	}
	reply(w, http.StatusOK, out)
	return nil
}

// heartbeat is the longest silence of an event stream.
const heartbeat = 15 * time.Second

// stream follows a log as server-sent events, resuming after Last-Event-ID, until
// the caller goes or ended is closed.
func stream(w http.ResponseWriter, r *http.Request, log *event.Log, wanted func(event.Event) bool, ended <-chan struct{}) error {
	seq := int64(0)
	if id := r.Header.Get(wire.HeaderLastEventID); id != "" {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return badInput(wire.HeaderLastEventID, "%s %.32q is not a number", wire.HeaderLastEventID, id)
		}
		seq = n
	}
	if newest := log.Last(); seq > newest {
		seq = newest // from another instance's numbering: everything after now
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache, no-transform")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	go func() {
		select {
		case <-ended:
			stop()
		case <-ctx.Done():
		}
	}()
	out := sse{w: w, control: http.NewResponseController(w)}
	if err := out.write("retry: 2000\n\n"); err != nil {
		return nil
	}
	for {
		events, lost := log.Since(seq)
		if lost > 0 {
			if out.write(fmt.Sprintf("event: gap\ndata: {\"lost\":%d}\n\n", lost)) != nil {
				return nil
			}
		}
		for _, e := range events {
			seq = e.Seq
			if wanted != nil && !wanted(e) {
				continue
			}
			data, err := json.Marshal(e.Data)
			if err != nil {
				return err
			}
			if out.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Name, data)) != nil {
				return nil
			}
		}
		beat, cancel := context.WithTimeout(ctx, heartbeat)
		err := log.Wait(beat, seq)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && out.write(": ping\n\n") != nil {
			return nil
		}
	}
}

// sse writes to a stream, each time with a fresh deadline.
type sse struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s sse) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

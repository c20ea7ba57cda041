package sim

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Paths of the server's own, besides the exchange's.
const (
	PathState      = "/sim"         // GET: [Stats]
	PathFaults     = "/sim/faults"  // GET, POST a [Fault], DELETE
	PathSink       = "/sink"        // GET, POST anything, DELETE
	PathSinkFaults = "/sink/faults" // POST a [SinkFault], DELETE
)

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v3/ping", s.api(1, s.ping))
	mux.HandleFunc("GET /api/v3/time", s.api(1, s.time))
	mux.HandleFunc("GET /api/v3/exchangeInfo", s.api(20, s.exchangeInfo))
	mux.HandleFunc("GET /api/v3/klines", s.api(2, s.klineRows))
	mux.HandleFunc("GET /api/v3/uiKlines", s.api(2, s.klineRows))
	mux.HandleFunc("GET /ws", s.socket)
	mux.HandleFunc("GET /ws/{streams...}", s.socket)
	mux.HandleFunc("GET /stream", s.socket)
	mux.HandleFunc("GET "+PathState, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Stats()) })
	mux.HandleFunc("GET "+PathFaults, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Faults()) })
	mux.HandleFunc("POST "+PathFaults, s.injectFault)
	mux.HandleFunc("DELETE "+PathFaults, func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	s.sink.routes(mux)
	return mux
}

// address returns the client's address without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// api wraps an endpoint: faults, weights, errors.
func (s *Server) api(weight int, answer func(*query) ([]byte, *refusal)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		now := time.Now()
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		used, wait, refused := s.limiter.request(address(r), weight, now)
		w.Header().Set("X-MBX-USED-WEIGHT", strconv.Itoa(used))
		w.Header().Set("X-MBX-USED-WEIGHT-1M", strconv.Itoa(used))
		if slow, hit := s.faults.request(Slow, r.URL.Path, now); hit && !pause(r, time.Duration(slow.DelayMS)*time.Millisecond) {
			return
		}
		if refused == nil {
			refused, wait = s.refuse(r, now)
		}
		var body []byte
		if refused == nil {
			var q *query
			if q, refused = newQuery(r); refused == nil {
				body, refused = answer(q)
			}
		}
		status := http.StatusOK
		if refused != nil {
			status, body = refused.status, refused.body()
			if wait > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
			}
		}
		w.WriteHeader(status)
		s.write(w, body)
	}
}

// refuse applies the fault that answers a request with a status.
func (s *Server) refuse(r *http.Request, now time.Time) (*refusal, time.Duration) {
	fault, hit := s.faults.request(Status, r.URL.Path, now)
	if !hit {
		return nil, 0
	}
	wait := time.Duration(fault.DelayMS) * time.Millisecond
	if wait <= 0 && (fault.Status == http.StatusTooManyRequests || fault.Status == http.StatusTeapot) {
		wait = time.Second
	}
	return statusRefusal(fault.Status, now), wait
}

// pause waits, and reports whether the client is still there.
func pause(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.Context().Done():
		return false
	case <-timer.C:
		return true
	}
}

// write writes a reply; a client that is gone is not worth a line.
func (s *Server) write(w http.ResponseWriter, body []byte) {
	if _, err := w.Write(body); err != nil {
		s.opts.Log.Debug("exchange simulator: reply", "error", err)
	}
}

// socket upgrades a connection and serves it.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	if wait := s.limiter.connect(address(r), now); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		http.Error(w, "too many connections", http.StatusTooManyRequests)
		return
	}
	if refused, _ := s.refuse(r, now); refused != nil {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(refused.status)
		s.write(w, refused.body())
		return
	}
	names := r.PathValue("streams")
	combined := r.URL.Path == "/stream"
	if combined {
		names = r.URL.Query().Get("streams")
	}
	c := &conn{
		board: &s.board, opts: &s.opts,
		outbox: outbox{filled: make(chan struct{}, 1)},
		end:    make(chan ending, 1), later: make(chan appointment, 1), pongs: make(chan int64, 1),
	}
	c.combined.Store(combined)
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.opts.Log.Debug("exchange simulator: handshake", "error", err)
		return
	}
	c.ws = ws
	if !s.enter(c) {
		c.close(ending{code: 1001, text: "server shutdown"})
		return
	}
	defer s.leave(c)
	c.serve(r.Context(), slices.DeleteFunc(strings.Split(names, "/"), func(name string) bool { return name == "" }))
}

// injectFault is POST /sim/faults.
func (s *Server) injectFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if err := decode(w, r, &f); err != nil {
		writeJSON(w, http.StatusBadRequest, complaint{err.Error()})
		return
	}
	if err := s.Inject(f); err != nil {
		writeJSON(w, http.StatusBadRequest, complaint{err.Error()})
		return
	}
	writeJSON(w, http.StatusCreated, f)
}

// complaint is the body of a refusal outside the exchange's interface.
type complaint struct {
	Error string `json:"error"`
}

// decode reads a small JSON body without unknown fields.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}

// writeJSON answers with a value that can be encoded.
func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here means that the client is gone.
	_ = json.NewEncoder(w).Encode(value)
}

package sim

import (
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	sinkKept    = 1000
	sinkBody    = 64 << 10
	sinkTotal   = 16 << 20 // bytes of bodies kept
	sinkCounted = 100_000  // webhook ids whose arrivals are counted
)

// Arrival is one request that reached /sink.
type Arrival struct {
	Received       int64  `json:"received"` // ms, real time
	WebhookID      string `json:"webhook_id,omitempty"`
	Timestamp      string `json:"webhook_timestamp,omitempty"`
	Signature      string `json:"webhook_signature,omitempty"`
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	ContentType    string `json:"content_type,omitempty"`
	Body           string `json:"body"`
	Status         int    `json:"status"` // of the answer
	Times          int    `json:"times"`  // how often this webhook id has come, this time included
}

// SinkFault makes the receiver answer Count requests with a status, late, or both.
type SinkFault struct {
	Status  int   `json:"status,omitempty"`   // 200 to 599; 0 leaves it as it is
	DelayMS int64 `json:"delay_ms,omitempty"` // before the answer
	Count   int   `json:"count,omitempty"`    // 0 means 1
}

// sink is a receiver of webhooks for demonstrations and delivery tests. The zero
// value is ready.
type sink struct {
	mu       sync.Mutex // guards the rest
	arrivals []Arrival  // oldest first
	bytes    int
	times    map[string]int
	faults   []SinkFault
}

func (s *sink) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST "+PathSink, s.receive)
	mux.HandleFunc("GET "+PathSink, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.list()) })
	mux.HandleFunc("DELETE "+PathSink, func(w http.ResponseWriter, _ *http.Request) {
		s.clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST "+PathSinkFaults, func(w http.ResponseWriter, r *http.Request) {
		var f SinkFault
		err := decode(w, r, &f)
		if err == nil {
			err = s.inject(f)
		}
		if err != nil {
			writeJSON(w, http.StatusBadRequest, complaint{err.Error()})
			return
		}
		writeJSON(w, http.StatusCreated, f)
	})
	mux.HandleFunc("DELETE "+PathSinkFaults, func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = nil
		w.WriteHeader(http.StatusNoContent)
	})
}

// Arrivals returns what reached /sink, newest first.
func (s *Server) Arrivals() []Arrival { return s.sink.list() }

// InjectSink orders a fault of /sink.
func (s *Server) InjectSink(f SinkFault) error { return s.sink.inject(f) }

func (s *sink) inject(f SinkFault) error {
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) || f.DelayMS < 0 || f.DelayMS > maxFaultMS || f.Count < 0 {
		return errors.New("sink fault: status 200 to 599, delay_ms and count not below 0")
	}
	f.Count = max(f.Count, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) >= maxFaults {
		return errors.New("too many faults wait already")
	}
	s.faults = append(s.faults, f)
	return nil
}

// take returns the fault that hits the present request.
func (s *sink) take() SinkFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 {
		return SinkFault{}
	}
	hit := s.faults[0]
	s.faults[0].Count--
	if s.faults[0].Count == 0 {
		s.faults = s.faults[1:]
	}
	return hit
}

// receive is POST /sink. With ?status=500&count=3 the first three arrivals of each
// webhook id are answered with 500, without a count all of them; requests without
// an id count together. A fault that waits comes first.
func (s *sink) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, sinkBody))
	if err != nil {
		writeJSON(w, http.StatusRequestEntityTooLarge, complaint{err.Error()})
		return
	}
	status, count, err := statusWanted(r)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, complaint{err.Error()})
		return
	}
	fault := s.take()
	h := r.Header
	answer := s.keep(Arrival{
		Received: time.Now().UnixMilli(), WebhookID: h.Get("webhook-id"), Timestamp: h.Get("webhook-timestamp"),
		Signature: h.Get("webhook-signature"), IdempotencyKey: h.Get("idempotency-key"), ContentType: h.Get("content-type"),
		Body: string(body),
	}, func(times int) int {
		switch {
		case fault.Status != 0:
			return fault.Status
		case times <= count:
			return status
		default:
			return http.StatusOK
		}
	})
	if fault.DelayMS > 0 && !pause(r, time.Duration(fault.DelayMS)*time.Millisecond) {
		return
	}
	w.WriteHeader(answer)
}

// statusWanted reads what the address of a request asks for.
func statusWanted(r *http.Request) (status, count int, err error) {
	q := r.URL.Query()
	if !q.Has("status") {
		return http.StatusOK, 0, nil
	}
	status, err = strconv.Atoi(q.Get("status"))
	if err != nil || status < 200 || status > 599 {
		return 0, 0, errors.New("status: 200 to 599")
	}
	if !q.Has("count") {
		return status, math.MaxInt, nil
	}
	count, err = strconv.Atoi(q.Get("count"))
	if err != nil || count < 0 {
		return 0, 0, errors.New("count: a whole number, not below 0")
	}
	return status, count, nil
}

// keep counts and stores an arrival, forgets the oldest beyond the bounds, and
// returns the status that decide gives for the number of times the id has come.
func (s *sink) keep(a Arrival, decide func(times int) int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil || len(s.times) >= sinkCounted {
		s.times = make(map[string]int)
	}
	s.times[a.WebhookID]++
	a.Times = s.times[a.WebhookID]
	a.Status = decide(a.Times)
	s.arrivals = append(s.arrivals, a)
	s.bytes += len(a.Body)
	drop := 0
	for len(s.arrivals)-drop > sinkKept || s.bytes > sinkTotal {
		s.bytes -= len(s.arrivals[drop].Body)
		drop++
	}
	s.arrivals = slices.Delete(s.arrivals, 0, drop)
	return a.Status
}

func (s *sink) list() []Arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Arrival, 0, len(s.arrivals))
	for _, a := range slices.Backward(s.arrivals) {
		all = append(all, a)
	}
	return all
}

func (s *sink) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivals, s.bytes, s.times = nil, 0, nil
}

package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Phase says how a stream stands.
type Phase uint8

// The phases. Waiting is between two attempts; Refused is Waiting after an answer
// that another attempt is unlikely to change (a 4xx).
const (
	Idle Phase = iota
	Connecting
	Live
	Waiting
	Refused
)

// Status is how a stream stands at one moment.
type Status struct {
	Phase    Phase
	Attempts int       // failed in a row
	Cause    string    // of the last failure; untrusted text
	Next     time.Time // of the next attempt, while Waiting or Refused
}

// Bounds on how long a source waits.
const (
	firstDelay   = 250 * time.Millisecond
	longestDelay = 30 * time.Second
	healthyAfter = 10 * time.Second // a stream this old starts its delays afresh
	// silence is three heartbeats of 15 s: a stream that is quiet for longer is
	// dead although nobody closed it.
	silence = 45 * time.Second
	// patience is how long the answer's headers may take.
	patience = 10 * time.Second
)

// Source is one event stream, kept up.
type Source struct {
	URL    string
	HTTP   *http.Client // without a Timeout: it would end every stream
	LastID string       // to resume from; empty means from now
	// Handle takes each event. It must not block for long: the watchdog waits for
	// nothing else.
	Handle func(Event)
	// Status is told of every change of phase, if not nil.
	Status func(Status)
	// Wake makes a waiting source try at once, if not nil.
	Wake <-chan struct{}
}

// Run reads the stream until ctx ends, and then returns ctx's error.
//
//   - A clean end, a reset and a silence of 45 s (comments count as a sign of
//     life) are all followed by another attempt, with Last-Event-ID.
//   - Attempts are delayed by full jitter between zero and a bound that doubles
//     from 250 ms, or from the retry that the server asked for, to 30 s. The first
//     attempt after a stream that lived for 10 s starts from the beginning.
//   - A server's retry counts for all later attempts; Retry-After for the next one.
//   - 4xx other than 408, 425 and 429, 204, and a wrong content type are Refused:
//     tried again every 30 s, because what was asked for may come to exist.
func (s *Source) Run(ctx context.Context) error {
	lastID := s.LastID
	base := firstDelay
	attempts := 0
	for {
		s.report(Status{Phase: Connecting, Attempts: attempts})
		start := time.Now()
		d, err := s.attempt(ctx, lastID, attempts)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if d != nil {
			lastID = d.LastID()
			if d.Retry > 0 {
				base = d.Retry
			}
			if time.Since(start) >= healthyAfter {
				attempts = 0
			}
		}
		wait, phase := s.delay(err, base, attempts)
		attempts++
		s.report(Status{Phase: phase, Attempts: attempts, Cause: err.Error(), Next: time.Now().Add(wait)})
		if err := s.pause(ctx, wait); err != nil {
			return err
		}
	}
}

// delay returns how long to wait after err, the attempts-th failure in a row.
func (s *Source) delay(err error, base time.Duration, attempts int) (time.Duration, Phase) {
	var refused *refusal
	if errors.As(err, &refused) {
		if refused.final {
			return longestDelay, Refused
		}
		if refused.after > 0 {
			// Everybody was told the same moment; spread over a quarter more.
			return refused.after + rand.N(refused.after/4+1), Waiting
		}
	}
	bound := longestDelay
	if attempts < 16 {
		bound = min(base<<attempts, longestDelay)
	}
	return rand.N(bound) + 1, Waiting
}

func (s *Source) pause(ctx context.Context, wait time.Duration) error {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	case <-s.Wake:
	}
	return nil
}

func (s *Source) report(st Status) {
	if s.Status != nil {
		s.Status(st)
	}
}

// refusal is an answer that is no stream.
type refusal struct {
	why   string
	final bool
	after time.Duration
}

func (r *refusal) Error() string { return r.why }

var (
	errSilent = errors.New("silent for 45 s")
	errLate   = errors.New("no answer within 10 s")
	errEnded  = errors.New("the stream ended")
)

// attempt makes one connection and reads it to its end. The decoder is nil when
// it never became a stream; the error is never nil.
func (s *Source) attempt(ctx context.Context, lastID string, attempts int) (*Decoder, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(patience, func() { cancel(errLate) })
	defer late.Stop()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, &refusal{why: err.Error(), final: true}
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cache-Control", "no-store")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := s.HTTP.Do(req)
	if err != nil {
		return nil, because(ctx, err)
	}
	defer res.Body.Close()
	if err := accept(res); err != nil {
		return nil, err
	}
	late.Stop()
	s.report(Status{Phase: Live, Attempts: attempts})

	watchdog := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	d := NewDecoder(&fed{r: res.Body, dog: watchdog}, lastID)
	for {
		e, err := d.Next()
		if err == nil {
			s.Handle(e)
			continue
		}
		if errors.Is(err, io.EOF) {
			err = errEnded
		}
		return d, because(ctx, err)
	}
}

// because returns the reason why ctx was cancelled, if it is one of ours.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) || errors.Is(cause, errLate) {
		return cause
	}
	return err
}

// accept checks that the answer is an event stream.
func accept(res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		r := &refusal{why: fmt.Sprintf("HTTP %d", res.StatusCode)}
		switch code := res.StatusCode; {
		case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		case code < 500:
			r.final = true
		}
		if sec, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && sec > 0 {
			r.after = min(time.Duration(sec)*time.Second, 5*time.Minute)
		}
		return r
	}
	if kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "text/event-stream" {
		return &refusal{why: fmt.Sprintf("not an event stream but %.40q", kind), final: true}
	}
	return nil
}

// fed puts the watchdog off with every byte, comments included.
type fed struct {
	r   io.Reader
	dog *time.Timer
}

func (f *fed) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if n > 0 {
		f.dog.Reset(silence)
	}
	return n, err
}

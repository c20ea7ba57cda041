package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/tui/live/sse"
)

// script answers the n-th request with its n-th step, the last one again and again.
type script struct {
	steps   []step
	asked   []time.Duration // since the first request
	lastIDs []string
	begin   time.Time
}

type step struct {
	status int
	header map[string]string
	body   func() io.ReadCloser // nil: no body
	err    error
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	if s.begin.IsZero() {
		s.begin = time.Now()
	}
	n := min(len(s.asked), len(s.steps)-1)
	s.asked = append(s.asked, time.Since(s.begin))
	s.lastIDs = append(s.lastIDs, req.Header.Get("Last-Event-ID"))
	st := s.steps[n]
	if st.err != nil {
		return nil, st.err
	}
	res := &http.Response{StatusCode: st.status, Header: http.Header{"Content-Type": {"text/event-stream"}}, Request: req, Body: http.NoBody}
	for k, v := range st.header {
		res.Header.Set(k, v)
	}
	if st.body != nil {
		res.Body = &cancellable{st.body(), req.Context()}
	}
	return res, nil
}

// cancellable ends a read when its request is cancelled, as net/http does.
type cancellable struct {
	io.ReadCloser
	ctx context.Context
}

func (c *cancellable) Read(p []byte) (int, error) {
	stop := context.AfterFunc(c.ctx, func() { c.Close() })
	defer stop()
	n, err := c.ReadCloser.Read(p)
	if c.ctx.Err() != nil && n == 0 {
		err = c.ctx.Err()
	}
	return n, err
}

// stream sends pieces, each after a pause, and ends.
func stream(pieces ...any) func() io.ReadCloser {
	return func() io.ReadCloser {
		r, w := io.Pipe()
		closed := make(chan struct{})
		go func() {
			for _, p := range pieces {
				switch p := p.(type) {
				case time.Duration:
					select {
					case <-time.After(p):
					case <-closed:
					}
				case string:
					if _, err := w.Write([]byte(p)); err != nil {
						return
					}
				}
			}
			w.Close()
		}()
		return &body{PipeReader: r, closed: closed}
	}
}

// body ends its writer's pauses when it is closed.
type body struct {
	*io.PipeReader
	closed chan struct{}
	once   sync.Once
}

func (b *body) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.PipeReader.Close()
}

// open sends text and then nothing, for ever.
func open(text string) func() io.ReadCloser {
	return func() io.ReadCloser {
		r, w := io.Pipe()
		go func() { _, _ = w.Write([]byte(text)) }()
		return r
	}
}

// follow runs a source over a script for a while, and returns what it handled and
// reported.
func follow(t *testing.T, s *script, lastID string, d time.Duration) (events []sse.Event, states []sse.Status) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	source := sse.Source{
		URL: "http://x/events", HTTP: &http.Client{Transport: s}, LastID: lastID,
		Handle: func(e sse.Event) { events = append(events, e) },
		Status: func(st sse.Status) { states = append(states, st) },
	}
	if err := source.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v, want the context's end", err)
	}
	return events, states
}

func TestSourceResumesAfterACleanEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{
			{status: 200, body: stream("retry: 100\n\nid: 7\ndata: a\n\n")},
			{status: 200, body: stream("id: 8\ndata: b\n\nid: 9\ndata: cut")},
			{status: 200, body: open(": hello\n\n")},
		}}
		events, _ := follow(t, s, "5", 10*time.Second)
		want := []sse.Event{{Name: "message", Data: "a", ID: "7"}, {Name: "message", Data: "b", ID: "8"}}
		if diff := cmp.Diff(want, events); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"5", "7", "8"}, s.lastIDs); diff != "" {
			t.Errorf("Last-Event-ID (-want +got):\n%s", diff)
		}
	})
}

func TestSourceNoticesSilenceButTakesCommentsForLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pings := []any{}
		for range 10 {
			pings = append(pings, 15*time.Second, ": ping\n\n")
		}
		s := &script{steps: []step{
			{status: 200, body: stream(append(pings, 10*time.Minute)...)},
			{status: 200, body: open("data: x\n\n")},
		}}
		_, states := follow(t, s, "", 200*time.Second)
		if len(s.asked) != 2 || s.asked[1] < 195*time.Second || s.asked[1] > 196*time.Second {
			t.Errorf("connections at %v, want a second one 45 s after the last comment at 150 s", s.asked)
		}
		if !strings.Contains(fmt.Sprint(states), "silent for 45 s") {
			t.Errorf("states %+v do not name the silence", states)
		}
	})
}

func TestSourceBacksOffWithJitterUpTo30s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{{err: errors.New("refused")}}}
		_, states := follow(t, s, "", 10*time.Minute)
		bound := 250 * time.Millisecond
		distinct := map[time.Duration]bool{}
		for i := 1; i < len(s.asked); i++ {
			wait := s.asked[i] - s.asked[i-1]
			distinct[wait] = true
			if wait > bound+time.Millisecond {
				t.Errorf("wait %d is %v, over its bound %v", i, wait, bound)
			}
			bound = min(bound*2, 30*time.Second)
		}
		if len(s.asked) < 25 || len(distinct) < len(s.asked)*3/4 {
			t.Errorf("%d attempts in ten minutes with %d distinct waits", len(s.asked), len(distinct))
		}
		last := states[len(states)-1]
		if last.Attempts != len(s.asked) || last.Cause == "" || last.Next.IsZero() {
			t.Errorf("last state %+v, want %d attempts, a cause and the next try", last, len(s.asked))
		}
	})
}

func TestSourceStartsAfreshAfterAHealthyStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := []step{}
		for range 12 {
			steps = append(steps, step{err: errors.New("refused")})
		}
		steps = append(steps, step{status: 200, body: stream("data: x\n\n", 11*time.Second)}, step{status: 200, body: open("data: y\n\n")})
		s := &script{steps: steps}
		follow(t, s, "", 30*time.Minute)
		// The end of the healthy stream is 11 s after its begin; the next attempt
		// follows within the first bound.
		if got := s.asked[13] - s.asked[12]; got > 11*time.Second+251*time.Millisecond {
			t.Errorf("after a healthy stream the next attempt came after %v", got-11*time.Second)
		}
	})
}

func TestSourceKeepsTheServersRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{
			{status: 200, body: stream("retry: 4000\n\n", 11*time.Second)},
			{status: 200, body: stream(11 * time.Second)},
		}}
		follow(t, s, "", 30*time.Minute)
		longest := time.Duration(0)
		for i := 1; i < len(s.asked); i++ {
			longest = max(longest, s.asked[i]-s.asked[i-1]-11*time.Second)
		}
		if longest > 4*time.Second+time.Millisecond || longest < 3*time.Second {
			t.Errorf("longest wait %v, want most of the 4 s that the first stream asked for, in later rounds too", longest)
		}
	})
}

func TestSourceHonoursRetryAfter(t *testing.T) {
	for _, code := range []int{429, 503} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{steps: []step{
				{status: code, header: map[string]string{"Retry-After": "7"}},
				{status: 200, body: open("data: x\n\n")},
			}}
			events, states := follow(t, s, "", 30*time.Second)
			if len(events) != 1 || s.asked[1] < 7*time.Second || s.asked[1] > 9*time.Second {
				t.Errorf("after %d with Retry-After 7 the next attempt came after %v, %d events", code, s.asked[1], len(events))
			}
			if states[1].Phase != sse.Waiting || states[1].Cause != fmt.Sprintf("HTTP %d", code) {
				t.Errorf("state %+v, want Waiting with the status", states[1])
			}
		})
	}
}

func TestSourceAsksSeldomAfterARefusal(t *testing.T) {
	tests := map[string]step{
		"404":        {status: 404},
		"401":        {status: 401},
		"204":        {status: 204},
		"wrong kind": {status: 200, header: map[string]string{"Content-Type": "text/html; charset=utf-8"}},
	}
	for name, st := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{steps: []step{st, st, {status: 200, body: open("data: x\n\n")}}}
				events, states := follow(t, s, "", 80*time.Second)
				if len(events) != 1 || s.asked[2] != time.Minute || states[1].Phase != sse.Refused {
					t.Errorf("attempts at %v, %d events, state %+v; want one each 30 s, then the stream", s.asked, len(events), states[1])
				}
			})
		})
	}
}

func TestSourceGivesUpOnHeadersAfter10s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := roundTrip(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		var states []sse.Status
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		source := sse.Source{
			URL: "http://x", HTTP: &http.Client{Transport: hang}, Handle: func(sse.Event) {},
			Status: func(s sse.Status) { states = append(states, s) },
		}
		_ = source.Run(ctx)
		if len(states) < 2 || states[1].Cause != "no answer within 10 s" {
			t.Errorf("states %+v", states)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestWakeEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{{status: 404}, {status: 200, body: open("data: x\n\n")}}}
		wake := make(chan struct{}, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		time.AfterFunc(3*time.Second, func() { wake <- struct{}{} })
		got := 0
		source := sse.Source{URL: "http://x", HTTP: &http.Client{Transport: s}, Handle: func(sse.Event) { got++ }, Wake: wake}
		_ = source.Run(ctx)
		if got != 1 || s.asked[1] != 3*time.Second {
			t.Errorf("attempts at %v, %d events; want the second at the wake", s.asked, got)
		}
	})
}

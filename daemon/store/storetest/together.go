package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
)

func togetherTests() []test {
	return []test{
		{"a hundred callers create, trigger, claim and finish: once each", testHundred},
		{"of a hundred candidates one leads", testCandidates},
		{"each script sent twice is as sent once", testSentTwice},
		{"durations are observed by name", testObserved},
	}
}

func testHundred(t *testing.T, e *env) {
	const callers = 100
	tok := e.lead(t, "h")
	var wg sync.WaitGroup
	var accepted atomic.Int64
	for i := range callers {
		wg.Go(func() {
			a := sample(i)
			if err := e.CreateAlert(e.ctx, a); err != nil {
				t.Errorf("CreateAlert: %v", err)
				return
			}
			for range 2 { // the second is a duplicate
				r, err := e.Trigger(e.ctx, tok, []alert.Event{event(a, 1, "webhook"), event(a, 2, "webhook")}, base)
				if err != nil {
					t.Errorf("Trigger: %v", err)
					return
				}
				for _, one := range r {
					if one == store.TriggerAccepted {
						accepted.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := accepted.Load(); n != 2*callers {
		t.Fatalf("%d events accepted, want %d", n, 2*callers)
	}
	var mu sync.Mutex
	sent := map[string]int{}
	for i := range 10 {
		wg.Go(func() {
			for {
				d, err := e.Claim(e.ctx, fmt.Sprint("relay-", i), 7, patient, base)
				if err != nil {
					t.Errorf("Claim: %v", err)
					return
				}
				if len(d) == 0 {
					return
				}
				for _, one := range d {
					mu.Lock()
					sent[one.ID]++
					mu.Unlock()
					if err := e.Finish(e.ctx, store.Outcome{ID: one.ID, Claim: one.Claim, State: store.Sent, Now: base}); err != nil {
						t.Errorf("Finish: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	for id, n := range sent {
		if n != 1 {
			t.Errorf("delivery %s was claimed %d times", id, n)
		}
	}
	if len(sent) != 2*callers {
		t.Errorf("%d deliveries, want %d", len(sent), 2*callers)
	}
	if d, _ := e.Depth(e.ctx, base); d.Waiting != 0 {
		t.Errorf("%d waiting at the end, want 0", d.Waiting)
	}
}

func testCandidates(t *testing.T, e *env) {
	e.settled(t)
	var wg sync.WaitGroup
	var held atomic.Int64
	for i := range 100 {
		wg.Go(func() {
			g, err := e.Acquire(e.ctx, fmt.Sprint("c", i), fmt.Sprint("n", i), time.Hour, 0)
			if err != nil {
				t.Errorf("Acquire: %v", err)
			}
			if g.Held {
				held.Add(1)
			}
		})
	}
	wg.Wait()
	if held.Load() != 1 {
		t.Errorf("%d lead, want 1", held.Load())
	}
}

// again repeats a call of the election, which the store itself never does: an answer
// that was lost is asked for once more, with the same arguments, by its caller.
func again[T any](call func() (T, error)) (T, error) {
	v, err := call()
	if errors.Is(err, store.ErrUnavailable) {
		v, err = call()
	}
	return v, err
}

// testSentTwice loses answers: the connection is cut after a request was answered
// and before the client has read it, so that go-redis, or here the caller, sends it
// again.
func testSentTwice(t *testing.T, e *env) {
	e.settled(t)
	life := func(s *redis.Store) error {
		g, err := again(func() (store.Grant, error) { return s.Acquire(e.ctx, "h", "n", time.Hour, 0) })
		if err != nil || !g.Held {
			return fmt.Errorf("acquire: %+v, %w", g, err)
		}
		a, b := sample(1), sample(2)
		b.Mode = alert.Once
		for _, one := range []alert.Alert{a, b} {
			if err := s.CreateAlert(e.ctx, one); err != nil {
				return err
			}
		}
		if _, err = s.SetActive(e.ctx, a.ID, false, base); err != nil {
			return err
		}
		if a, err = s.SetActive(e.ctx, a.ID, true, base); err != nil || a.Rev != 3 {
			return fmt.Errorf("rev %d, want 3: %w", a.Rev, err)
		}
		if err := s.SetAlertError(e.ctx, g.Token, a.ID, 3, "x"); err != nil {
			return err
		}
		if _, err := s.Trigger(e.ctx, g.Token, []alert.Event{event(a, 1, "one", "two"), event(b, 1, "three")}, base); err != nil {
			return err
		}
		if err := s.Advance(e.ctx, g.Token, []store.Watermark{{Series: a.Series, Bar: base}}); err != nil {
			return err
		}
		if _, err := again(func() (store.Grant, error) { return s.Renew(e.ctx, g.Token, time.Hour, 0) }); err != nil {
			return err
		}
		if err := s.DeleteAlert(e.ctx, b.ID); err != nil {
			return err
		}
		_, err = again(func() (struct{}, error) { return struct{}{}, s.Release(e.ctx, g.Token) })
		return err
	}
	if err := life(e.Store); err != nil {
		t.Fatalf("with a sound connection: %v", err)
	}
	want := skeleton(e.dump(t))
	e.do(t, "FLUSHALL")
	e.settled(t)
	var answers, cuts atomic.Int64
	cut := e.another(t, func(o *redis.Options) {
		dial := o.Dial
		if dial == nil {
			dial = (&net.Dialer{}).DialContext
		}
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			return &cutConn{Conn: c, answers: &answers, cuts: &cuts}, err
		}
	})
	if err := life(cut); err != nil {
		t.Fatalf("with answers lost: %v", err)
	}
	if n := cuts.Load(); n < 10 {
		t.Errorf("only %d answers were lost: the test is no test", n)
	}
	if diff := cmp.Diff(want, skeleton(e.dump(t))); diff != "" {
		t.Errorf("lost answers changed the outcome (-want +got):\n%s", diff)
	}
}

// skeleton is a dump without what differs from run to run: ids of entries, nonces,
// times of the server.
func skeleton(dump string) string {
	return varying.ReplaceAllString(dump, "?")
}

// cutConn loses the answer to every second script, counted over all connections,
// so that the repeat of one that was lost gets through.
type cutConn struct {
	net.Conn
	answers, cuts *atomic.Int64
	script        bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("evalsha")) || bytes.Contains(b, []byte("eval\r\n")) {
		c.script = true
	}
	return c.Conn.Write(b)
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	// A script that the server does not know yet did not run: let that answer pass.
	lost := false
	if c.script && err == nil && !bytes.Contains(b[:n], []byte("NOSCRIPT")) {
		c.script = false
		lost = c.answers.Add(1)%2 == 1
	}
	if lost {
		c.cuts.Add(1)
		_ = c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

func testObserved(t *testing.T, e *env) {
	var mu sync.Mutex
	seen := map[string]int{}
	s := e.another(t, func(o *redis.Options) {
		o.Observe = func(command string, d time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			if d <= 0 {
				t.Errorf("%s took %s", command, d)
			}
			seen[command]++
		}
	})
	if _, err := s.Ping(e.ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateAlert(e.ctx, sample(1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Alerts(e.ctx); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, name := range []string{"ping", "create", "smembers", "pipeline"} {
		if seen[name] == 0 {
			t.Errorf("%q was not observed: %v", name, seen)
		}
	}
}

// logged counts log records by message.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logged) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), message)
}

// varying matches ids of entries, nonces and times of the server in a dump.
var varying = regexp.MustCompile(`\d{13}-\d+|\b[0-9a-f]{24}\b|(epoch|since|until|renewed|progress)=\d+|last \S+`)

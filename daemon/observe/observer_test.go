package observe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe"
	"github.com/spark-ta/spark/daemon/observe/probe"
	"github.com/spark-ta/spark/daemon/observe/scrape"
)

const small = `---
kind: hypercare-plan
id: small
schema: 1
service: small
signoff: [operations-lead, development-lead]
exit: { open_waivers: 2, user_issues: 2 }
---

# Small

## T+0
<!-- hc window=2m grace=1m -->

### Checks

- [ ] One leader at all times ` + "`leader.single` `key`" + `
  ` + "```promql mode=invariant" + `
  # expect: == 1
  sum(leader_is_leader)
  ` + "```" + `
- [ ] Everybody is healthy ` + "`health.all`" + `
  ` + "```http each=all" + `
  # expect: status == 200
  GET /health
  ` + "```" + `
- [ ] Grafana shows something ` + "`grafana.data`" + `
  ` + "```grafana" + `
  # expect: dashboards >= 1
  dashboards
  ` + "```" + `

## T+10m

- [ ] The team knows ` + "`ops.briefed`" + `
`

// site is a fleet of one without a network: a transport that answers for it.
type site struct{ down atomic.Bool }

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.down.Load() {
		return nil, errors.New("connection refused")
	}
	body, kind := `{"ok":true}`, "application/json"
	if r.URL.Path == "/metrics" {
		body, kind = "# TYPE leader_is_leader gauge\nleader_is_leader 1\n", "text/plain; version=0.0.4"
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{"Content-Type": {kind}}, Request: r,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

func options(t *testing.T, dir string, s *site, text *atomic.Pointer[string]) observe.Options {
	t.Helper()
	client := &http.Client{Transport: s}
	return observe.Options{
		Dir: dir, Log: slog.New(slog.DiscardHandler), Instance: "me", Client: client, Profile: "compose", Version: "v1",
		Discover: func(context.Context) ([]scrape.Target, error) {
			return []scrape.Target{{URL: "http://a:1/metrics", Labels: map[string]string{"job": "spark", "instance": "a", "role": "executor"}}}, nil
		},
		Live: observe.Live{
			Targets: func(context.Context, string) ([]probe.Target, error) {
				return []probe.Target{{Name: "a", URL: "http://a:1"}}, nil
			},
			HTTP: &probe.HTTP{Client: client},
		},
		Plans: func(string) (string, []byte, error) { return "small.md", []byte(*text.Load()), nil },
		Tell:  func(plan.Notify) {},
	}
}

// TestAnObserverWatchesJudgesAndRemembers lives with one through a start, a change of
// the plan, the loss of everything, and a restart.
func TestAnObserverWatchesJudgesAndRemembers(t *testing.T) {
	dir := t.TempDir()
	var text atomic.Pointer[string]
	first := small
	text.Store(&first)
	s := &site{}
	verdict := func(ob *observe.Observer, id string) string {
		out := "none"
		ob.Desk.Driver.Look(func(st *plan.State) {
			if k := st.Check(id); k != nil {
				out = k.Verdict.String()
			}
		})
		return out
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		ob, err := observe.Open(ctx, options(t, dir, s, &text))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- ob.Run(ctx) }()
		time.Sleep(20 * time.Second)
		if _, err := ob.Desk.Start(ctx, plan.Actor{Who: "test"}, wire.Start{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Minute + 30*time.Second)
		synctest.Wait()
		for id, want := range map[string]string{"leader.single": "pass", "health.all": "pass", "grafana.data": "unknown", "ops.briefed": "pending"} {
			if got := verdict(ob, id); got != want {
				t.Errorf("%s is %s, want %s", id, got, want)
			}
		}

		changed := strings.Replace(small, "# expect: status == 200", "# expect: status == 204", 1)
		text.Store(&changed)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := verdict(ob, "health.all"); got != "fail" {
			t.Errorf("health.all is %s after its expectation was changed, want fail", got)
		}

		s.down.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := verdict(ob, "leader.single"); got != "unknown" {
			t.Errorf("leader.single is %s a minute after everything was lost, want unknown", got)
		}
		s.down.Store(false)
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if err := ob.Close(); err != nil {
			t.Fatal(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * time.Minute) // each bubble begins at the same time; this is after the first
		ctx, stop := context.WithCancel(t.Context())
		ob, err := observe.Open(ctx, options(t, dir, s, &text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := observe.Open(ctx, options(t, dir, s, &text)); err == nil {
			t.Error("a second observer opened the same directory")
		}
		ended := make(chan error, 1)
		go func() { ended <- ob.Run(ctx) }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		h := ob.Desk.Hypercare()
		if n := len(h.Run.Gaps); n != 1 || h.Run.Gaps[0].To-h.Run.Gaps[0].From < 10*60_000 {
			t.Errorf("gaps = %+v, want the time between", h.Run.Gaps)
		}
		if len(h.Run.Amendments) != 1 || fmt.Sprint(h.Run.Amendments[0].Changed) != "[health.all]" {
			t.Errorf("amendments = %+v", h.Run.Amendments)
		}
		if !ob.Desk.Verify().OK || len(h.Observer.Targets) != 1 || !h.Observer.Targets[0].Up {
			t.Errorf("journal %+v, targets %+v", ob.Desk.Verify(), h.Observer.Targets)
		}
		// The report of an earlier record is that of then.
		then, err := ob.Desk.Report("md", 2)
		if err != nil || strings.Contains(string(then), "status 200, expected status == 204") {
			t.Errorf("the report at record 2: %v", err)
		}
		now, err := ob.Desk.Report("md", 0)
		if err != nil || !strings.Contains(string(now), "204") {
			t.Errorf("the report of now lacks the changed expectation: %v", err)
		}
		stop()
		<-ended
		if err := ob.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

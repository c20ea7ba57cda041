package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/api"
	"github.com/spark-ta/spark/daemon/store"
)

// switchboard is a store of one lock and the switches.
type switchboard struct {
	lock   store.Lock
	err    error
	asked  string
	by     string
	raced  bool // the term changes between the look and the request
	paused int
}

func (s *switchboard) Lock(context.Context) (store.Lock, error) { return s.lock, s.err }

func (s *switchboard) SetPaused(_ context.Context, paused bool, by, reason string, expected int64) (store.Control, error) {
	c := &s.lock.Control
	if expected != 0 && expected != c.Version {
		return *c, fmt.Errorf("control: %w", store.ErrChanged)
	}
	s.by, s.paused = by, s.paused+1
	c.Paused, c.By, c.Reason, c.Version, c.ChangedAt = paused, by, reason, c.Version+1, 1_800_000_000_000
	return *c, s.err
}

func (s *switchboard) Resign(_ context.Context, holder string, epoch int64, reason string) (store.Token, error) {
	if s.raced {
		return store.Token{Holder: "ex-2", Epoch: epoch + 1}, fmt.Errorf("resign: %w", store.ErrChanged)
	}
	s.asked = fmt.Sprintf("%s@%d %s", holder, epoch, reason)
	return store.Token{Holder: holder, Epoch: epoch}, nil
}

func scheduler(t *testing.T, s *switchboard, gate api.Gate) (string, *int) {
	t.Helper()
	changed := new(int)
	rt := api.NewRouter(slog.New(slog.DiscardHandler))
	(&api.Scheduler{Store: s, Enabled: true, Gate: gate, Changed: func() { *changed++ }}).AddTo(rt)
	srv := httptest.NewServer(rt)
	t.Cleanup(srv.Close)
	return srv.URL, changed
}

func led() *switchboard {
	return &switchboard{lock: store.Lock{
		Type: "string", Value: "ex-1", TTL: 30 * time.Second, HasTerm: true, Now: 1_800_000_000_000,
		Term:    store.Term{Holder: "ex-1", Epoch: 7},
		Members: []store.Member{{ID: "ex-1", Phase: store.PhaseLeader, At: 1_799_999_999_000}, {ID: "ex-2", At: 5}},
	}}
}

func TestSchedulerIsShownPausedAndResumed(t *testing.T) {
	s := led()
	url, changed := scheduler(t, s, api.Gate{Loopback: true})
	decode := func(got answer) (out wire.Scheduler) {
		t.Helper()
		if err := json.Unmarshal([]byte(got.body), &out); err != nil || got.status != 200 {
			t.Fatalf("%d %s: %v", got.status, got.body, err)
		}
		return out
	}
	got := decode(ask(t, "GET", url+wire.PathScheduler, ""))
	if !got.Enabled || got.Paused || got.ChangedAt != nil || got.Leader != (wire.LeaderState{Holder: "ex-1", Epoch: 7, LeaseRemainingMS: 30_000}) {
		t.Errorf("state = %+v", got)
	}
	if len(got.Members) != 2 || !got.Members[0].Alive || got.Members[0].AgeMS != 1000 || got.Members[1].Alive {
		t.Errorf("members = %+v, want ex-1 alive for a second and ex-2 not", got.Members)
	}
	if got := decode(ask(t, "POST", url+wire.PathSchedulerPause, `{"reason":"storm"}`)); !got.Paused || got.Reason != "storm" || got.By != "loopback" || got.Version != 1 || got.ChangedAt == nil {
		t.Errorf("pause = %+v", got)
	}
	if got := ask(t, "POST", url+wire.PathSchedulerResume, `{"version":9}`); got.status != 409 || got.refusal(t).Field != "version" {
		t.Errorf("resume with another version = %d %s, want 409", got.status, got.body)
	}
	if got := decode(ask(t, "POST", url+wire.PathSchedulerResume, `{"version":1}`)); got.Paused || got.Version != 2 {
		t.Errorf("resume = %+v", got)
	}
	if *changed != 2 {
		t.Errorf("told of %d changes, want 2", *changed)
	}
}

func TestResignAsksThePresentLeader(t *testing.T) {
	s := led()
	url, _ := scheduler(t, s, api.Gate{Loopback: true})
	if got := ask(t, "POST", url+wire.PathSchedulerResign, `{"epoch":6}`); got.status != 409 || s.asked != "" {
		t.Errorf("resign of another epoch = %d %s, asked %q, want 409 and nothing", got.status, got.body, s.asked)
	}
	if got := ask(t, "POST", url+wire.PathSchedulerResign, `{"reason":"drill"}`); got.status != 200 || s.asked != "ex-1@7 loopback: drill" {
		t.Errorf("resign = %d %s, asked %q", got.status, got.body, s.asked)
	}
	s.raced = true
	if got := ask(t, "POST", url+wire.PathSchedulerResign, `{}`); got.status != 409 || !strings.Contains(got.body, "ex-2") {
		t.Errorf("resign when the term changed = %d %s, want 409 and the new leader", got.status, got.body)
	}
	s.lock.Value = ""
	if got := ask(t, "POST", url+wire.PathSchedulerResign, `{}`); got.status != 409 {
		t.Errorf("resign when nobody leads = %d %s, want 409", got.status, got.body)
	}
}

func TestSchedulerRefusals(t *testing.T) {
	s := led()
	url, _ := scheduler(t, s, api.Gate{Loopback: true})
	for _, body := range []string{``, `{`, `{"why":1}`, `{"version":-1}`, `{"epoch":"x"}`, `{"reason":"` + strings.Repeat("x", 501) + `"}`} {
		for _, path := range []string{wire.PathSchedulerPause, wire.PathSchedulerResume, wire.PathSchedulerResign} {
			if got := ask(t, "POST", url+path, body); got.status != 400 || got.refusal(t).Code != wire.CodeInvalidInput {
				t.Errorf("%s %.40s = %d %s, want 400", path, body, got.status, got.body)
			}
		}
	}
	s.err = fmt.Errorf("lock: %w", store.ErrUnavailable)
	if got := ask(t, "GET", url+wire.PathScheduler, ""); got.status != 503 || got.refusal(t).RetryAfter == 0 {
		t.Errorf("without the store = %d %s, want 503 and when to come again", got.status, got.body)
	}
	s.err = nil
	open, _ := scheduler(t, s, api.Gate{})
	held, _ := scheduler(t, s, api.Gate{OpsToken: "secret"})
	for url, want := range map[string]int{open: 403, held: 401} {
		if got := ask(t, "POST", url+wire.PathSchedulerPause, `{}`); got.status != want {
			t.Errorf("pause without a token = %d, want %d", got.status, want)
		}
	}
	if s.paused != 0 || s.asked != "" {
		t.Errorf("a refused call changed something: %+v", s)
	}
}

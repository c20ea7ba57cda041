package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/daemon/store"
)

func TestSlotOf(t *testing.T) {
	for key, want := range map[string]int{ // as CLUSTER KEYSLOT of Redis 7 answers
		"spark:alerts:scheduler:lock": 10039, "{spark:alerts:scheduler:lock}:term": 10039, "spark:alerts:scheduler:epoch": 5590,
		"123456789": 12739, "": 0, "{}x": 10595, "foo{{bar}}zap": 4015,
	} {
		if got := slotOf(key); got != want {
			t.Errorf("slotOf(%q) = %d, want %d", key, got, want)
		}
	}
}

// TestEveryScriptStaysInOneSlot records the keys that every call declares.
func TestEveryScriptStaysInOneSlot(t *testing.T) {
	for url, whole := range map[string]bool{"redis://h": false, "redis+sentinel://h/m": false, "redis+cluster://h": true} {
		parsed, err := parseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		s := &Store{keys: newKeys(Options{Namespace: DefaultNamespace}, parsed), target: parsed}
		k := s.keys
		e := alert.Event{ID: "e", AlertID: "a", Channels: []string{"one", "two"}}
		names := append(k.deliveries(e), k.index(), k.alert("a"), k.events("a"), k.seen("a"), k.changes(), k.outbox(), k.delayed(), k.open(),
			k.fallen(), k.dead(), k.watermark(), s.importing())
		election := []string{k.lock(), k.term(), k.members(), k.control(), k.hints()}
		for _, p := range s.places() {
			names = append(names, p.key)
		}
		for _, name := range election {
			if slotOf(name) != slotOf(k.lock()) {
				t.Errorf("%s: %s is not in the lock's slot", url, name)
			}
		}
		if k.lock() != "spark:alerts:scheduler:lock" || k.term() != "{spark:alerts:scheduler:lock}:term" {
			t.Errorf("%s: lock %s, term %s", url, k.lock(), k.term())
		}
		for _, name := range names {
			if slotOf(name) != slotOf(k.lock()) && whole {
				t.Errorf("%s: %s is not in the lock's slot", url, name)
			}
		}
		if want := map[bool]string{false: "spark:alerts:alerts:index", true: "{spark:alerts:scheduler:lock}:alerts:index"}[whole]; k.index() != want {
			t.Errorf("%s: index %s, want %s", url, k.index(), want)
		}
	}
}

// TestKeysOfEveryCallShareASlot runs every call of the store against a server that
// answers nothing useful, and looks at the keys of the scripts that are sent.
func TestKeysOfEveryCallShareASlot(t *testing.T) {
	seen := map[string]bool{}
	parsed, err := parseURL("redis+cluster://h")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Namespace: DefaultNamespace, Timeout: time.Second, HistoryLimit: 1}
	client := goredis.NewClient(&goredis.Options{Addr: "h:1", Dialer: nowhere, Protocol: 2, MaintNotificationsConfig: noNotifications()})
	defer func() { _ = client.Close() }()
	slot := slotOf("spark:alerts:scheduler:lock")
	client.AddHook(tap(func(cmd goredis.Cmder) {
		args := cmd.Args()
		if cmd.Name() != "evalsha" && cmd.Name() != "eval" {
			return
		}
		name, _ := args[1].(string)
		seen[name] = true
		n, _ := args[2].(int)
		if n == 0 {
			t.Errorf("a script without keys: %v", args)
		}
		for _, key := range args[3 : 3+n] {
			if text, _ := key.(string); slotOf(text) != slot {
				t.Errorf("script %.60v: key %s is in slot %d, not in the lock's", args[1], text, slotOf(text))
			}
		}
	}))
	s := &Store{client: client, elect: client, keys: newKeys(o, parsed), opts: o, target: parsed, due: make(chan struct{}, 1)}
	ctx := t.Context()
	tok := store.Token{Holder: "h", Epoch: 1, Nonce: "n"}
	a := alert.Alert{ID: "a"}
	e := alert.Event{ID: "e", AlertID: "a", Channels: []string{"one", "two"}}
	_ = s.CreateAlert(ctx, a)
	_, _ = s.SetActive(ctx, "a", true, 1)
	_ = s.DeleteAlert(ctx, "a")
	_ = s.SetAlertError(ctx, tok, "a", 1, "x")
	_, _ = s.Acquire(ctx, "h", "n", time.Second, 0)
	_, _ = s.Renew(ctx, tok, time.Second, 0)
	_, _ = s.Verify(ctx, tok)
	_ = s.Release(ctx, tok)
	_, _ = s.Reset(ctx, "h", 1, false)
	_, _ = s.Resign(ctx, "h", 1, "x")
	_, _ = s.Beat(ctx, store.Member{ID: "h"}, true)
	_, _ = s.SetPaused(ctx, true, "x", "x", 0)
	_, _ = s.Trigger(ctx, tok, []alert.Event{e}, 1)
	_ = s.Advance(ctx, tok, []store.Watermark{{Bar: 1}})
	_ = s.Finish(ctx, store.Outcome{ID: "d", Claim: "c", State: store.Sent})
	_, _ = s.begin(ctx, "c", []goredis.XMessage{{ID: "1-1", Values: map[string]any{"id": "d"}}}, 1)
	if len(seen) < 15 {
		t.Errorf("%d scripts were sent, want at least 15", len(seen))
	}
}

// tap sees every command and answers it with an error.
type tap func(cmd goredis.Cmder)

func (f tap) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (f tap) ProcessHook(goredis.ProcessHook) goredis.ProcessHook {
	return func(_ context.Context, cmd goredis.Cmder) error { f(cmd); return errors.New("not sent") }
}

func (f tap) ProcessPipelineHook(goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(_ context.Context, cmds []goredis.Cmder) error {
		for _, cmd := range cmds {
			f(cmd)
			cmd.SetErr(errors.New("not sent"))
		}
		return errors.New("not sent")
	}
}

// oracle is a finder whose servers say what it is told.
type oracle struct {
	mu     sync.Mutex
	says   map[string]string // server → master; "" is an error
	others []string
	asked  int
	hung   map[string]bool
}

func (o *oracle) finder(t *testing.T, seeds ...string) *finder {
	f := &finder{
		seeds: seeds, patience: time.Second,
		connect: func(addr string) *goredis.Client {
			return goredis.NewClient(&goredis.Options{Addr: addr, Dialer: nowhere, Protocol: 2, MaintNotificationsConfig: noNotifications()})
		},
		ask: func(ctx context.Context, c *goredis.Client) (answer, error) {
			o.mu.Lock()
			o.asked++
			master, hung, others := o.says[c.Options().Addr], o.hung[c.Options().Addr], o.others
			o.mu.Unlock()
			if hung {
				<-ctx.Done()
				return answer{}, ctx.Err()
			}
			if master == "" {
				return answer{}, errors.New("refused")
			}
			return answer{master, others}, nil
		},
	}
	f.learn([]string{})
	t.Cleanup(func() { _ = f.close() })
	return f
}

func TestFinderBelievesWhatMostSay(t *testing.T) {
	for name, tt := range map[string]struct {
		says map[string]string
		hung []string
		want string
		took time.Duration
	}{
		"all agree":         {map[string]string{"a": "m", "b": "m", "c": "m"}, nil, "m", 0},
		"one is cut off":    {map[string]string{"a": "old", "b": "m", "c": "m"}, nil, "m", 0},
		"one hangs":         {map[string]string{"b": "m", "c": "m"}, []string{"a"}, "m", 0},
		"one is gone":       {map[string]string{"b": "m", "c": "m"}, nil, "m", 0},
		"only one is there": {map[string]string{"c": "m"}, nil, "m", 0},
		"two hang":          {map[string]string{"c": "m"}, []string{"a", "b"}, "m", time.Second},
		"nobody answers":    {nil, []string{"a"}, "", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &oracle{says: tt.says, hung: map[string]bool{}}
				for _, h := range tt.hung {
					o.hung[h] = true
				}
				f := o.finder(t, "a", "b", "c")
				began := time.Now()
				got, err := f.master(t.Context())
				if got != tt.want || (err == nil) != (tt.want != "") || time.Since(began) != tt.took {
					t.Errorf("master = %q, %v after %s, want %q after %s", got, err, time.Since(began), tt.want, tt.took)
				}
				if err != nil && errors.Is(err, goredis.Nil) {
					t.Errorf("%v looks like an answer", err)
				}
			})
		})
	}
}

func TestFinderAsksSeldomAndAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oracle{says: map[string]string{"a": "m1"}}
		f := o.finder(t, "a")
		want := func(addr string, asked int) {
			t.Helper()
			if got, err := f.master(t.Context()); got != addr || err != nil {
				t.Errorf("master = %q, %v, want %q", got, err, addr)
			}
			synctest.Wait()
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.asked != asked {
				t.Errorf("asked %d times, want %d", o.asked, asked)
			}
		}
		want("m1", 1)
		want("m1", 1)
		o.mu.Lock()
		o.says = map[string]string{"a": "m2"}
		o.mu.Unlock()
		time.Sleep(recheck)
		want("m1", 2) // what is known goes on, and is checked meanwhile
		want("m2", 2)
		f.forget("another")
		want("m2", 2)
		f.forget("m2")
		want("m2", 3)
		f.set("m3")
		want("m3", 3)
		var wg sync.WaitGroup
		f.forget("m3")
		for range 20 {
			wg.Go(func() { _, _ = f.master(t.Context()) })
		}
		wg.Wait()
		want("m2", 4) // together they asked once
	})
}

func TestFinderLearnsWhomToAsk(t *testing.T) {
	o := &oracle{says: map[string]string{"a": "n1", "n1": "n1", "n2": "n1"}, others: []string{"n1", "n2"}}
	f := o.finder(t, "a")
	for range 2 {
		f.forget("n1")
		if _, err := f.master(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	known := []string{}
	f.mu.Lock()
	for addr := range f.known {
		known = append(known, addr)
	}
	f.mu.Unlock()
	slices.Sort(known)
	if want := []string{"a", "n1", "n2"}; !slices.Equal(known, want) {
		t.Errorf("known %v, want %v", known, want)
	}
	if err := f.close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := f.master(t.Context()); err == nil {
		t.Error("master after close = nil, want an error")
	}
}

func TestMovedTo(t *testing.T) {
	for text, want := range map[string]string{
		"MOVED 3999 127.0.0.1:6381": "127.0.0.1:6381", "MOVED 3999 :6381": "me:6381", "MOVED 3999 ?:6381": "", "MOVED": "",
		"MOVED x 127.0.0.1:6381": "", "ERR x": "", "MOVED 1 [::1]:7": "[::1]:7",
	} {
		if got := movedTo(said(text), "me:1"); got != want {
			t.Errorf("movedTo(%q) = %q, want %q", text, got, want)
		}
	}
}

// said is an answer of a server.
type said string

func (s said) Error() string { return string(s) }
func (said) RedisError()     {}

// TestErrorsOfServersAreUnavailable: what servers say that cannot serve now.
func TestErrorsOfServersAreUnavailable(t *testing.T) {
	for text, want := range map[string]bool{
		"LOADING Redis is loading the dataset in memory":                                                     true,
		"READONLY You can't write against a read only replica.":                                              true,
		"READONLY You can't write against a read only replica. script: 1, on @user_script:3":                 true,
		"ERR Error running script (call to f_1): @user_script:4: @user_script: 4: -READONLY You can't write": true,
		"ERR Error running script (call to f_1): @user_script:4: nil value":                                  false,
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":                   true,
		"CLUSTERDOWN The cluster is down":                                                                    true,
		"CLUSTERDOWN Hash slot not served":                                                                   true,
		"TRYAGAIN Multiple keys request during rehashing of slot":                                            true,
		"MOVED 10039 127.0.0.1:6381":                                                                         true,
		"ASK 10039 127.0.0.1:6381":                                                                           true,
		"NOREPLICAS Not enough good replicas to write.":                                                      true,
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable":                       true,
		"OOM command not allowed when used memory > 'maxmemory'.":                                            true,
		"NOAUTH Authentication required.":                                                                    true,
		"WRONGPASS invalid username-password pair or user is disabled.":                                      true,
		"NOPERM this user has no permissions to run the 'evalsha' command":                                   true,
		"DENIED Redis is running in protected mode":                                                          true,
		"ERR This instance has cluster support disabled":                                                     true,
		"ERR max number of clients reached":                                                                  true,
		"BUSY Redis is busy running a script.":                                                               true,
		"BUSYGROUP Consumer Group name already exists":                                                       false,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                                  false,
		"CROSSSLOT Keys in request don't hash to the same slot":                                              false,
		"ERR unknown command 'x'":                                                                            false,
	} {
		err := translate(t.Context(), "x", said(text))
		if got := errors.Is(err, store.ErrUnavailable); got != want {
			t.Errorf("translate(%q) = %v, unavailable %t, want %t", text, err, got, want)
		}
	}
	for _, err := range []error{
		goredis.ErrClosed, context.DeadlineExceeded, &net.OpError{Op: "dial", Err: errors.New("refused")}, fmt.Errorf("none says where the master is"),
	} {
		if !errors.Is(translate(t.Context(), "x", err), store.ErrUnavailable) {
			t.Errorf("translate(%v) is not unavailable", err)
		}
	}
	if err := translate(t.Context(), "x", said("FENCED this term is over")); !errors.Is(err, store.ErrFenced) {
		t.Errorf("translate(FENCED) = %v", err)
	}
}

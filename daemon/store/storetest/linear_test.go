package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
	"github.com/spark-ta/spark/daemon/store/storetest"
)

// A history of the lease is what careless clients asked and were answered, with the
// times of both: they hold leases of a few milliseconds, look at no clock, write
// with every token that they ever had, and two of them share an id. It must be explained by one order of its
// calls, within their times, in which the lease is what it is described to be.

// call is one operation of a history.
type call struct {
	what  string // acquire, write, renew, verify, release, reset, del
	token store.Token
}

// answer is what it came back with.
type answer struct {
	done  bool        // granted, accepted, deleted; not refused
	token store.Token // what an acquire told: of its own term, or of the holder
}

// leaseState is what the calls are about, as described: the newest term, and whether it
// is over. It ends by itself at any moment, which shows in a refusal, and for good.
type leaseState struct {
	term store.Token
	over bool
}

var specification = porcupine.Model{
	Init: func() any { return leaseState{term: store.Token{Holder: "before", Epoch: 7, Nonce: "n"}, over: true} },
	Step: func(s, in, out any) (bool, any) {
		return step(s.(leaseState), in.(call), out.(answer))
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// step says whether the answer is right in state s, and what the state is then.
func step(s leaseState, in call, out answer) (bool, leaseState) {
	own := in.token == s.term
	switch in.what {
	case "acquire":
		switch {
		case !out.done: // it tells of the newest term or of none
			return out.token.Epoch == 0 || out.token.Epoch == s.term.Epoch && out.token.Holder == s.term.Holder, s
		case out.token == s.term: // a repeat
			return !s.over && in.token.Nonce == s.term.Nonce, s
		}
		return out.token.Epoch > s.term.Epoch && out.token.Nonce == in.token.Nonce, leaseState{term: out.token}
	case "write", "renew", "verify":
		if out.done {
			return own && !s.over, s
		}
		s.over = s.over || own
	case "release":
		s.over = s.over || own
	case "reset":
		own = in.token.Holder == s.term.Holder && in.token.Epoch == s.term.Epoch
		if out.done && !(own && !s.over) {
			return false, s
		}
		s.over = s.over || own
	case "del":
		if out.done && s.over {
			return false, s
		}
		s.over = true // there is no lock, now or already
	}
	return true, s
}

// careless is a client.
type careless struct {
	name  string
	store *redis.Store
	raw   *goredis.Client
	// write is the effect under test: fenced, or not.
	write  func(ctx context.Context, t store.Token, bar int64) error
	random *rand.Rand
	lease  time.Duration // on average
	tokens []store.Token // the newest last
	nonces int
	began  time.Time
	id     int
	past   []porcupine.Operation
}

// run does n operations.
func (c *careless) run(ctx context.Context, n int) error {
	for i := range n {
		in := c.choose()
		at := time.Since(c.began)
		out, err := c.do(ctx, in, int64(i))
		if err != nil {
			return fmt.Errorf("%s: %s: %w", c.name, in.what, err)
		}
		c.past = append(c.past, porcupine.Operation{
			ClientId: c.id, Input: in, Call: at.Nanoseconds(), Output: out, Return: time.Since(c.began).Nanoseconds(),
		})
		if in.what == "acquire" && out.done {
			c.tokens = append(c.tokens, out.token)
		}
	}
	return nil
}

func (c *careless) choose() call {
	if len(c.tokens) == 0 || c.random.IntN(100) < 30 {
		if len(c.tokens) == 0 || c.random.IntN(100) < 90 {
			c.nonces++
		}
		return call{what: "acquire", token: store.Token{Holder: c.name, Nonce: fmt.Sprintf("%d.%d", c.id, c.nonces)}}
	}
	in := call{token: c.tokens[len(c.tokens)-1]}
	if c.random.IntN(100) < 30 {
		in.token = c.tokens[max(0, len(c.tokens)-1-c.random.IntN(3))]
	}
	switch n := c.random.IntN(100); {
	case n < 60:
		in.what = "write"
	case n < 75:
		in.what = "renew"
	case n < 90:
		in.what = "verify"
	case n < 96:
		in.what = "release"
	case n < 99:
		in.what = "reset"
	default:
		in.what = "del"
	}
	return in
}

func (c *careless) do(ctx context.Context, in call, n int64) (answer, error) {
	lease := c.lease/2 + time.Duration(c.random.Int64N(int64(c.lease)))
	var g store.Grant
	var err error
	switch in.what {
	case "acquire":
		g, err = c.store.Acquire(ctx, in.token.Holder, in.token.Nonce, lease, 0)
		return answer{done: g.Held, token: g.Token}, err
	case "write":
		err = c.write(ctx, in.token, n)
	case "renew":
		_, err = c.store.Renew(ctx, in.token, lease, 0)
	case "verify":
		_, err = c.store.Verify(ctx, in.token)
	case "release":
		return answer{}, c.store.Release(ctx, in.token)
	case "reset":
		_, err = c.store.Reset(ctx, in.token.Holder, in.token.Epoch, c.random.IntN(2) == 0)
	case "del":
		deleted, err := c.raw.Del(ctx, redis.DefaultNamespace+":scheduler:lock").Result()
		return answer{done: deleted == 1}, err
	}
	if errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrChanged) {
		return answer{}, nil
	}
	return answer{done: err == nil}, err
}

// history lets several clients loose on one server.
func history(t *testing.T, opts redis.Options, lease time.Duration, clients, each int, fenced bool) []porcupine.Operation {
	t.Helper()
	opts.Timeout = time.Minute
	raw := storetest.Raw(t, opts)
	// The specification begins with a term, so that no server is too young.
	if err := raw.HSet(t.Context(), "{"+redis.DefaultNamespace+":scheduler:lock}:term",
		"holder", "before", "epoch", "7", "nonce", "n", "state", "released", "until", "1").Err(); err != nil {
		t.Fatal(err)
	}
	series := market.Series{Symbol: "BTCUSDT"}
	var err error
	if series.Timeframe, err = market.ParseTimeframe("1m"); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	all := make([]*careless, clients)
	var wg sync.WaitGroup
	for i := range all {
		s, err := redis.Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		c := &careless{name: fmt.Sprint("c", i/2), id: i, // two processes with one id
			store: s, raw: raw, random: rand.New(rand.NewPCG(uint64(i), 1)), lease: lease, began: began}
		c.write = func(ctx context.Context, t store.Token, bar int64) error {
			return s.Advance(ctx, t, []store.Watermark{{Series: series, Bar: bar}})
		}
		if !fenced {
			c.write = func(ctx context.Context, _ store.Token, bar int64) error {
				return raw.HSet(ctx, redis.DefaultNamespace+":watermark", series.String(), bar).Err()
			}
		}
		all[i] = c
		wg.Go(func() {
			if err := c.run(t.Context(), each); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var past []porcupine.Operation
	for _, c := range all {
		past = append(past, c.past...)
	}
	return past
}

// counts says what a history consists of, so that it can be seen to be no easy one.
func counts(past []porcupine.Operation) map[string]int {
	n := map[string]int{}
	for _, op := range past {
		what := op.Input.(call).what
		if !op.Output.(answer).done {
			what += " refused"
		}
		n[what]++
	}
	return n
}

// judge checks a history of fenced writes, which must be explained, and one of
// writes past the fence, which must not: a checker that finds nothing proves nothing.
func judge(t *testing.T, open storetest.Open, lease time.Duration, clients, each int) {
	t.Helper()
	past := history(t, open(t), lease, clients, each, true)
	n := counts(past)
	began := time.Now()
	result, info := porcupine.CheckOperationsVerbose(specification, past, time.Minute)
	t.Logf("fenced: %s, %d operations in %s: %v", result, len(past), time.Since(began).Round(time.Millisecond), n)
	if result != porcupine.Ok {
		t.Errorf("fenced: %s, want %s%s", result, porcupine.Ok, stuck(past, info))
	}
	for _, what := range []string{"acquire", "acquire refused", "write", "write refused", "renew", "renew refused", "verify", "verify refused"} {
		if n[what] < 5 {
			t.Errorf("only %d times %q: the test is no test", n[what], what)
		}
	}

	past = history(t, open(t), lease, clients, each/4, false)
	began = time.Now()
	result = porcupine.CheckOperationsTimeout(specification, past, time.Minute)
	t.Logf("unfenced: %s, %d operations in %s", result, len(past), time.Since(began).Round(time.Millisecond))
	if result != porcupine.Illegal {
		t.Errorf("unfenced: %s, want %s", result, porcupine.Illegal)
	}
}

// stuck shows where the longest explanation ends.
func stuck(past []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, partition := range info.PartialLinearizationsOperations() {
		for _, order := range partition {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	text := fmt.Sprintf("\n%d of %d are explained; the last of them:", len(longest), len(past))
	for _, op := range longest[max(0, len(longest)-8):] {
		text += "\n  " + describe(op)
	}
	text += "\nnot explained:"
	rest := slices.DeleteFunc(slices.Clone(past), func(op porcupine.Operation) bool { return slices.Contains(longest, op) })
	slices.SortFunc(rest, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	for _, op := range rest[:min(8, len(rest))] {
		text += "\n  " + describe(op)
	}
	return text
}

func describe(op porcupine.Operation) string {
	return fmt.Sprintf("%d..%d %+v -> %+v", op.Call, op.Return, op.Input, op.Output)
}

func TestHistoriesOnRedis(t *testing.T) { judge(t, server(t), 8*time.Millisecond, 6, 2000) }

func TestHistoriesInProcess(t *testing.T) { judge(t, inProcess, 40*time.Millisecond, 4, 400) }

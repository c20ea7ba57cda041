package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store"
)

// aliveFor is how long after its last renewal the holder of a lock that was
// deleted counts as alive.
const aliveFor = 10 * time.Second

// Acquire takes the lease when nobody holds it; Grant.Held says whether. The epoch
// of a new term is above floor, above every stored one, and not below the server's
// clock in ms. With the same nonce it may be repeated.
//
// It also refuses, and says for how long, when the lock is gone but its holder
// renewed it in the last ten seconds and has not released it: that holder may still
// be at work. And when no term is stored and the server runs for less than a lease:
// it may have lost one.
func (s *Store) Acquire(ctx context.Context, holder, nonce string, lease time.Duration, floor int64) (store.Grant, error) {
	if holder == "" || nonce == "" || lease < time.Millisecond {
		return store.Grant{}, fmt.Errorf("acquire: holder %q, lease %s: want a holder, a nonce and a lease", holder, lease)
	}
	v, err := s.run(ctx, acquireScript, []string{s.keys.lock(), s.keys.term()},
		holder, nonce, lease.Milliseconds(), floor, aliveFor.Milliseconds())
	if err != nil {
		return store.Grant{}, err
	}
	g, err := parseGrant(v)
	if g.Held {
		g.Token.Nonce = nonce
	}
	return g, err
}

// Renew extends the term, or returns [store.ErrFenced] when it is over.
func (s *Store) Renew(ctx context.Context, t store.Token, lease time.Duration) (store.Grant, error) {
	v, err := s.run(ctx, renewScript, []string{s.keys.lock(), s.keys.term()}, t.Holder, t.Epoch, t.Nonce, lease.Milliseconds())
	if err != nil {
		return store.Grant{}, err
	}
	g, err := parseGrant(v)
	g.Token.Nonce = t.Nonce
	return g, err
}

// Release ends the term; of a term that is over it only notes that its work has
// stopped, and of another's it does nothing.
func (s *Store) Release(ctx context.Context, t store.Token) error {
	_, err := s.run(ctx, releaseScript, []string{s.keys.lock(), s.keys.term()}, t.Holder, t.Epoch, t.Nonce)
	return err
}

// Verify says whether the term is still the present one. It writes nothing.
func (s *Store) Verify(ctx context.Context, t store.Token) (store.Grant, error) {
	g, nonce, err := s.look(ctx)
	if err != nil {
		return g, err
	}
	if g.Token.Holder == t.Holder && g.Token.Epoch == t.Epoch && nonce == t.Nonce {
		g.Held, g.Token.Nonce = true, nonce
	}
	return g, nil
}

// Holder returns who holds the lease; Token.Holder is empty when nobody does, and
// the epoch is 0 when the lock is not of the newest term (set by hand, say). Held is
// never set: the asker is nobody.
func (s *Store) Holder(ctx context.Context) (store.Grant, error) {
	g, _, err := s.look(ctx)
	return g, err
}

// look reads the lock before the term: if both are one term's, that term was the
// present one when the lock was read.
func (s *Store) look(ctx context.Context) (store.Grant, string, error) {
	var lock *goredis.StringCmd
	var term *goredis.SliceCmd
	var left *goredis.DurationCmd
	var clock *goredis.TimeCmd
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		lock = p.Get(ctx, s.keys.lock())
		term = p.HMGet(ctx, s.keys.term(), "holder", "epoch", "nonce")
		left = p.PTTL(ctx, s.keys.lock())
		clock = p.Time(ctx)
		return nil
	})
	if err := translate(ctx, "lease", err); err != nil {
		return store.Grant{}, "", err
	}
	g := store.Grant{Now: clock.Val().UnixMilli()}
	g.Token.Holder = lock.Val()
	g.Remaining = max(0, left.Val())
	fields := texts(term.Val())
	if g.Token.Holder == "" || fields[0] != g.Token.Holder {
		return g, "", nil
	}
	g.Token.Epoch = number(fields[1])
	return g, fields[2], nil
}

// parseGrant reads {held, holder, epoch, remaining, now}.
func parseGrant(v any) (store.Grant, error) {
	list, ok := v.([]any)
	if !ok || len(list) != 5 {
		return store.Grant{}, fmt.Errorf("lease: unexpected answer %.80q", fmt.Sprint(v))
	}
	held, _ := list[0].(int64)
	f := texts(list)
	return store.Grant{
		Held:      held == 1,
		Token:     store.Token{Holder: f[1], Epoch: number(f[2])},
		Remaining: time.Duration(number(f[3])) * time.Millisecond,
		Now:       number(f[4]),
	}, nil
}

// texts returns the strings of a list, "" for what is none.
func texts(list []any) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i], _ = v.(string)
	}
	return out
}

// number reads a whole number, 0 for what is none.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

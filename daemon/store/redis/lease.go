package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store"
)

// Acquire takes the lease when nobody holds it; Grant.Held says whether. The epoch
// of a new term is above floor, above every stored one, and not below the server's
// clock in ms. With the same nonce it may be repeated.
//
// It also refuses, and says for how long, when the lock is gone but its holder
// lives and has not released it: that holder is told, and may still be at work. And
// when no term is stored and the server runs for less than a lease: it may have
// lost one. Where replicas must confirm (Options.Replicas), a grant that they did
// not confirm is given back and is [store.ErrUnavailable].
func (s *Store) Acquire(ctx context.Context, holder, nonce string, lease time.Duration, floor int64) (store.Grant, error) {
	if holder == "" || nonce == "" || lease < time.Millisecond {
		return store.Grant{}, fmt.Errorf("acquire: holder %q, lease %s: want a holder, a nonce and a lease", holder, lease)
	}
	v, err := s.confirmed(ctx, acquireScript, []string{s.keys.lock(), s.keys.term(), s.keys.members()},
		holder, nonce, lease.Milliseconds(), floor, store.AliveFor.Milliseconds(), s.keys.hints(), s.opts.Version)
	if v == nil && err != nil {
		return store.Grant{}, err
	}
	g, parseErr := parseGrant(v)
	if parseErr != nil {
		return store.Grant{}, parseErr
	}
	if !g.Held {
		return g, nil // a refusal needs nobody's word
	}
	g.Token.Nonce = nonce
	if err != nil {
		return store.Grant{}, errors.Join(err, s.Release(ctx, g.Token))
	}
	return g, nil
}

// Renew extends the term, or returns [store.ErrFenced] when it is over. progress is
// the age of the newest turn of the work's loop.
func (s *Store) Renew(ctx context.Context, t store.Token, lease, progress time.Duration) (store.Grant, error) {
	v, err := s.confirmed(ctx, renewScript, []string{s.keys.lock(), s.keys.term()},
		t.Holder, t.Epoch, t.Nonce, lease.Milliseconds(), progress.Milliseconds())
	return ownGrant(t, v, err)
}

// Verify says whether the term is still the present one, or returns
// [store.ErrFenced]. It writes nothing.
func (s *Store) Verify(ctx context.Context, t store.Token) (store.Grant, error) {
	v, err := runOn(ctx, s.elect, verifyScript, []string{s.keys.lock(), s.keys.term()}, t.Holder, t.Epoch, t.Nonce)
	return ownGrant(t, v, err)
}

func ownGrant(t store.Token, v any, err error) (store.Grant, error) {
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
	_, err := runOn(ctx, s.elect, releaseScript, []string{s.keys.lock(), s.keys.term()}, t.Holder, t.Epoch, t.Nonce, s.keys.hints())
	return err
}

// Reset deletes the lock while its value is holder and its term's epoch is epoch (0
// for a value that is not of the newest term). Otherwise it changes nothing and
// returns what is there with [store.ErrChanged]. dead says that the holder is known
// to have ended, so that the next term need not wait for it.
func (s *Store) Reset(ctx context.Context, holder string, epoch int64, dead bool) (store.Token, error) {
	proof := "0"
	if dead {
		proof = "1"
	}
	v, err := runOn(ctx, s.elect, resetScript, []string{s.keys.lock(), s.keys.term()}, holder, epoch, s.keys.hints(), proof)
	if err != nil {
		return store.Token{}, err
	}
	list, _ := v.([]any)
	if len(list) != 4 {
		return store.Token{}, fmt.Errorf("reset: unexpected answer %.80q", fmt.Sprint(v))
	}
	f := texts(list)
	found := store.Token{Holder: f[2], Epoch: number(f[3])}
	if done, _ := list[0].(int64); done != 1 {
		return found, fmt.Errorf("reset: %w", store.ErrChanged)
	}
	return found, nil
}

// Resign asks the term to hand over. It is [store.ErrChanged] when the present term
// is another, which is returned.
func (s *Store) Resign(ctx context.Context, holder string, epoch int64, reason string) (store.Token, error) {
	v, err := runOn(ctx, s.elect, resignScript, []string{s.keys.lock(), s.keys.term()}, holder, epoch, reason, s.keys.hints())
	if err != nil {
		return store.Token{}, err
	}
	list, _ := v.([]any)
	if len(list) != 3 {
		return store.Token{}, fmt.Errorf("resign: unexpected answer %.80q", fmt.Sprint(v))
	}
	f := texts(list)
	found := store.Token{Holder: f[1], Epoch: number(f[2])}
	if done, _ := list[0].(int64); done != 1 {
		return found, fmt.Errorf("resign: %w", store.ErrChanged)
	}
	return found, nil
}

// Holder returns who holds the lease; Token.Holder is empty when nobody does, and
// the epoch is 0 when the lock is not of the newest term (set by hand, say). Held is
// never set: the asker is nobody. It reads the lock before the term: if both are one
// term's, that term was the present one when the lock was read.
func (s *Store) Holder(ctx context.Context) (store.Grant, error) {
	var lock *goredis.StringCmd
	var term *goredis.SliceCmd
	var left *goredis.DurationCmd
	var clock *goredis.TimeCmd
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		lock = p.Get(ctx, s.keys.lock())
		term = p.HMGet(ctx, s.keys.term(), "holder", "epoch")
		left = p.PTTL(ctx, s.keys.lock())
		clock = p.Time(ctx)
		return nil
	})
	if err := translate(ctx, "lease", err); err != nil {
		return store.Grant{}, err
	}
	g := store.Grant{Now: clock.Val().UnixMilli()}
	g.Token.Holder = lock.Val()
	g.Remaining = max(0, left.Val())
	fields := texts(term.Val())
	if g.Token.Holder != "" && fields[0] == g.Token.Holder {
		g.Token.Epoch = number(fields[1])
	}
	return g, nil
}

// confirmed runs a script of the election, and where replicas must confirm, waits
// for them on the same connection. When they do not, the script's answer comes with
// an error that wraps [store.ErrUnavailable].
func (s *Store) confirmed(ctx context.Context, sc script, keys []string, args ...any) (any, error) {
	if s.opts.Replicas == 0 {
		return runOn(ctx, s.elect, sc, keys, args...)
	}
	v, acks, err := s.runAndWait(ctx, sc, keys, args)
	if goredis.HasErrorPrefix(err, "NOSCRIPT") {
		if err = sc.lua.Load(ctx, s.elect).Err(); err == nil {
			v, acks, err = s.runAndWait(ctx, sc, keys, args)
		}
	}
	if err = translate(ctx, sc.name, err); err != nil {
		return nil, err
	}
	if acks < int64(s.opts.Replicas) {
		if s.finder != nil { // it may be a former master, cut off from the others
			s.finder.forget(s.finder.current())
		}
		return v, fmt.Errorf("%s: %w: confirmed by %d of %d replicas", sc.name, store.ErrUnavailable, acks, s.opts.Replicas)
	}
	return v, nil
}

// replicaWait is how long replicas have to confirm.
const replicaWait = 500 * time.Millisecond

func (s *Store) runAndWait(ctx context.Context, sc script, keys []string, args []any) (any, int64, error) {
	ctx = context.WithValue(ctx, scriptName{}, sc.name)
	var answer *goredis.Cmd
	var acks *goredis.Cmd
	_, err := s.elect.Pipelined(ctx, func(p goredis.Pipeliner) error {
		answer = p.EvalSha(ctx, sc.lua.Hash(), keys, args...)
		acks = p.Do(ctx, "WAIT", s.opts.Replicas, replicaWait.Milliseconds())
		return nil
	})
	if scriptErr := answer.Err(); scriptErr != nil {
		return nil, 0, scriptErr
	}
	n, _ := acks.Val().(int64)
	return answer.Val(), n, err
}

// parseGrant reads {held, holder, epoch, remaining, now, holder's entry, resign}; the
// last may be missing.
func parseGrant(v any) (store.Grant, error) {
	list, ok := v.([]any)
	if !ok || len(list) < 6 {
		return store.Grant{}, fmt.Errorf("lease: unexpected answer %.80q", fmt.Sprint(v))
	}
	held, _ := list[0].(int64)
	f := texts(list)
	g := store.Grant{
		Held:      held == 1,
		Token:     store.Token{Holder: f[1], Epoch: number(f[2])},
		Remaining: time.Duration(number(f[3])) * time.Millisecond,
		Now:       number(f[4]),
	}
	if f[5] != "" {
		if m, err := decodeMember(f[1], f[5]); err == nil {
			g.Holder = &m
		}
	}
	if len(f) > 6 {
		g.Resign = f[6]
	}
	return g, nil
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

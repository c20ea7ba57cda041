package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store"
)

// group is the consumer group of the outbox.
const group = "relay"

// Woken receives when this store put something into the outbox. It holds one token,
// so a relay that is busy misses nothing; what other processes put there is found by
// asking.
func (s *Store) Woken() <-chan struct{} { return s.due }

func (s *Store) wake() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// Claim begins an attempt of at most limit deliveries: new ones, and those whose
// claimer has been silent for longer than visibility. One whose earlier attempt had
// begun has Repeat set. now (ms) is noted as the first attempt. An empty outbox
// costs one round trip and no write.
func (s *Store) Claim(ctx context.Context, consumer string, limit int, visibility time.Duration, now int64) ([]store.Delivery, error) {
	fresh, idle, err := s.lookForWork(ctx, visibility)
	if err != nil || !fresh && !idle {
		return nil, err
	}
	var entries []goredis.XMessage
	if idle {
		entries, _, err = s.client.XAutoClaim(ctx, &goredis.XAutoClaimArgs{
			Stream: s.keys.outbox(), Group: group, Consumer: consumer, MinIdle: visibility, Start: streamStart, Count: int64(limit),
		}).Result()
		if err := translate(ctx, "reclaim", err); err != nil {
			return nil, err
		}
	}
	if fresh && len(entries) < limit {
		streams, err := s.client.XReadGroup(ctx, &goredis.XReadGroupArgs{
			Group: group, Consumer: consumer, Streams: []string{s.keys.outbox(), ">"}, Count: int64(limit - len(entries)), Block: -1,
		}).Result()
		if err := translate(ctx, "read outbox", err); err != nil {
			return nil, err
		}
		if len(streams) > 0 {
			entries = append(entries, streams[0].Messages...)
		}
	}
	return s.begin(ctx, consumer, entries, now)
}

// lookForWork reads whether there are new entries and silent claimers, and makes
// the group when there is none.
func (s *Store) lookForWork(ctx context.Context, visibility time.Duration) (fresh, idle bool, err error) {
	for range 2 {
		var pending *goredis.XPendingExtCmd
		var groups *goredis.XInfoGroupsCmd
		var stream *goredis.XInfoStreamCmd
		_, err = s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			pending = p.XPendingExt(ctx, &goredis.XPendingExtArgs{
				Stream: s.keys.outbox(), Group: group, Idle: visibility, Start: "-", End: "+", Count: 1,
			})
			groups = p.XInfoGroups(ctx, s.keys.outbox())
			stream = p.XInfoStream(ctx, s.keys.outbox())
			return nil
		})
		if goredis.HasErrorPrefix(err, "NOGROUP") || err != nil && strings.Contains(err.Error(), "no such key") {
			err = s.client.XGroupCreateMkStream(ctx, s.keys.outbox(), group, "0").Err()
			if err != nil && !goredis.HasErrorPrefix(err, "BUSYGROUP") {
				return false, false, translate(ctx, "make group", err)
			}
			continue
		}
		if err := translate(ctx, "outbox", err); err != nil {
			return false, false, err
		}
		for _, g := range groups.Val() {
			if g.Name == group {
				last := stream.Val().LastGeneratedID
				fresh = stream.Val().Length > 0 && last != "" && idLess(g.LastDeliveredID, last)
			}
		}
		return fresh, len(pending.Val()) > 0, nil
	}
	return false, false, translate(ctx, "outbox", err)
}

// begin counts the attempts and reads the deliveries of entries.
func (s *Store) begin(ctx context.Context, consumer string, entries []goredis.XMessage, now int64) ([]store.Delivery, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	nonce := newNonce()
	names := []string{s.keys.outbox()}
	args := []any{group, consumer, nonce, now}
	for _, e := range entries {
		id, _ := e.Values["id"].(string)
		names = append(names, s.keys.delivery(id))
		args = append(args, e.ID)
	}
	v, err := s.run(ctx, claimScript, names, args...)
	if err != nil {
		return nil, err
	}
	list, _ := v.([]any)
	claimed := make([]store.Delivery, 0, len(list))
	for _, item := range list {
		fields, _ := item.([]any)
		f := texts(fields)
		if len(f) != 7 {
			return nil, fmt.Errorf("claim: unexpected answer %.80q", fmt.Sprint(item))
		}
		e, err := decodeEvent("", f[2])
		if err != nil {
			// It was written by Trigger, so somebody changed it. Nothing can be sent;
			// the dead letter keeps what is there.
			err = s.Finish(ctx, store.Outcome{ID: f[0], Claim: nonce, State: store.Dead, Error: err.Error(), Unsent: true, Now: now})
			if err != nil {
				return nil, err
			}
			continue
		}
		claimed = append(claimed, store.Delivery{
			ID: f[0], Channel: f[1], Event: e, State: store.Sending, Attempts: int(number(f[3])), FirstAt: number(f[4]),
			LastError: f[5], Repeat: f[6] == "1", Claim: nonce,
		})
	}
	return claimed, nil
}

// Finish ends a claim. One that was taken over meanwhile, or ended before, has no
// effect.
func (s *Store) Finish(ctx context.Context, o store.Outcome) error {
	switch o.State {
	case store.Sent, store.Retrying, store.Dead:
	default:
		return fmt.Errorf("finish: state %.32q is not one of sent, retrying, dead", string(o.State))
	}
	if o.Claim == "" {
		return errors.New("finish: no claim")
	}
	_, err := s.run(ctx, finishScript,
		[]string{s.keys.outbox(), s.keys.delayed(), s.keys.dead(), s.keys.open(), s.keys.delivery(o.ID)},
		group, o.ID, o.Claim, string(o.State), o.Error, o.Now+o.RetryIn.Milliseconds(),
		flag(o.Unsent && o.State != store.Sent), flag(o.Repeat), o.Now)
	return err
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// Promote puts at most limit deliveries that are due at now (ms) back into the
// outbox. It returns how many, and when the next is due: ms, 0 when none waits.
func (s *Store) Promote(ctx context.Context, now int64, limit int) (moved int, next int64, err error) {
	soonest, err := s.client.ZRangeWithScores(ctx, s.keys.delayed(), 0, int64(max(1, limit))).Result()
	if err := translate(ctx, "delayed", err); err != nil {
		return 0, 0, err
	}
	names := []string{s.keys.outbox(), s.keys.delayed()}
	args := []any{now}
	for i, z := range soonest {
		if int64(z.Score) > now || i == limit {
			next = int64(z.Score)
			break
		}
		id, _ := z.Member.(string)
		names = append(names, s.keys.delivery(id))
		args = append(args, id)
	}
	if len(args) == 1 {
		return 0, next, nil
	}
	v, err := s.run(ctx, promoteScript, names, args...)
	if err != nil {
		return 0, 0, err
	}
	n, _ := v.(int64)
	if n > 0 {
		s.wake()
	}
	return int(n), next, nil
}

// Depth says how full the outbox is at now (ms).
func (s *Store) Depth(ctx context.Context, now int64) (store.OutboxDepth, error) {
	var waiting, dead *goredis.IntCmd
	var oldest *goredis.ZSliceCmd
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		waiting = p.ZCard(ctx, s.keys.open())
		dead = p.XLen(ctx, s.keys.dead())
		oldest = p.ZRangeWithScores(ctx, s.keys.open(), 0, 0)
		return nil
	})
	if err := translate(ctx, "depth", err); err != nil {
		return store.OutboxDepth{}, err
	}
	d := store.OutboxDepth{Waiting: waiting.Val(), Dead: dead.Val()}
	if z := oldest.Val(); len(z) > 0 {
		d.Oldest = max(0, time.Duration(now-int64(z[0].Score))*time.Millisecond)
	}
	return d, nil
}

// Dead returns the newest deliveries that were given up, newest first. limit below
// 1 means all. What cannot be read is left out.
func (s *Store) Dead(ctx context.Context, limit int) ([]store.Delivery, error) {
	var letters []goredis.XMessage
	var err error
	if limit < 1 {
		letters, err = s.client.XRevRange(ctx, s.keys.dead(), "+", "-").Result()
	} else {
		letters, err = s.client.XRevRangeN(ctx, s.keys.dead(), "+", "-", int64(limit)).Result()
	}
	if err := translate(ctx, "dead letters", err); err != nil {
		return nil, err
	}
	dead := make([]store.Delivery, 0, len(letters))
	for _, m := range letters {
		field := func(name string) string { v, _ := m.Values[name].(string); return v }
		e, err := decodeEvent("", field("event"))
		if err != nil {
			continue
		}
		dead = append(dead, store.Delivery{
			ID: field("id"), Channel: field("channel"), Event: e, State: store.Dead, Attempts: int(number(field("attempts"))),
			FirstAt: number(field("firstAt")), LastError: field("error"), Repeat: field("repeat") == "1",
		})
	}
	return dead, nil
}

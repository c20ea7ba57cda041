package redis

import (
	"context"
	"fmt"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/daemon/store"
)

// checkDeliveries looks at every delivery. It comes after the alerts: what is moved
// aside there takes its deliveries along.
func (f *fsck) checkDeliveries(ctx context.Context) error {
	if err := f.tidy(ctx); err != nil {
		return err
	}
	prefix := f.s.keys.delivery("")
	return f.s.scan(ctx, prefix, func(ctx context.Context, keys []string) error {
		slices.Sort(keys)
		for part := range slices.Chunk(slices.Compact(keys), readBatch) {
			f.looked(len(part))
			if err := f.checkDeliveryBatch(ctx, part); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *fsck) checkDeliveryBatch(ctx context.Context, keys []string) error {
	hashes := make([]*goredis.MapStringStringCmd, len(keys))
	_, err := f.s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, key := range keys {
			hashes[i] = p.HGetAll(ctx, key)
		}
		return nil
	})
	if err := failed(ctx, err); err != nil {
		return err
	}
	var over []deliveryOf
	for i, key := range keys {
		hash, err := hashes[i].Result()
		switch {
		case goredis.HasErrorPrefix(err, "WRONGTYPE"):
			err = f.foreignBeside(ctx, key, "hash", "")
		case err != nil:
			return translate(ctx, "fsck", err)
		case len(hash) == 0: // gone meanwhile
		default:
			var d deliveryOf
			if d, err = f.checkDelivery(ctx, key, hash); d.key != "" {
				over = append(over, d)
			}
		}
		if err != nil {
			return err
		}
	}
	return f.forgetOver(ctx, over)
}

// deliveryOf is a delivery that is over, with its event.
type deliveryOf struct {
	key   string
	event alert.Event
}

// checkDelivery checks one; of one that is over it returns the event.
func (f *fsck) checkDelivery(ctx context.Context, key string, hash map[string]string) (deliveryOf, error) {
	state, ok := hash["state"]
	e, err := decodeEvent("", hash["event"])
	if err != nil || e.AlertID == "" || hash["channel"] == "" || f.s.keys.delivery(hash["id"]) != key || !known(state) {
		seen := &state
		if !ok {
			seen = nil
		}
		return deliveryOf{}, f.moveAside(ctx, Finding{Key: key, Fault: FaultGarbage, Reason: "not a delivery: no id, channel, event or state that can be read"}, "hash", "state", seen)
	}
	if s := store.DeliveryState(state); s == store.Sent || s == store.Dead {
		return deliveryOf{key, e}, nil
	}
	return deliveryOf{}, f.requeue(ctx, key, hash["id"])
}

func known(state string) bool {
	switch store.DeliveryState(state) {
	case store.Pending, store.Sending, store.Retrying, store.Sent, store.Dead:
		return true
	}
	return false
}

// requeue settles an open delivery that is in no queue. A script says what is missing.
func (f *fsck) requeue(ctx context.Context, key, id string) error {
	if f.wrong[kindOutbox] || f.wrong[kindDelayed] || f.wrong[kindOpen] {
		return nil
	}
	ask := func(do string) (int64, error) {
		v, err := f.s.run(ctx, requeueScript, []string{f.s.keys.outbox(), f.s.keys.delayed(), f.s.keys.open(), key}, do, group, id)
		code, _ := v.(int64)
		return code, err
	}
	code, err := ask("0")
	if err != nil || code == 0 {
		return err
	}
	found := Finding{Key: key, Fault: FaultLost, Reason: "open, but in no queue: no relay will find it", Repair: "put it back into the outbox"}
	if code == 2 {
		found.Reason, found.Repair = "open, but not counted in "+f.s.keys.open(), "count it there"
	}
	err = f.settle(ctx, found, func(int) (any, error) { code, err := ask(f.do()); return code, err })
	return err
}

// forgetOver settles deliveries that are over and whose event is in no history.
func (f *fsck) forgetOver(ctx context.Context, list []deliveryOf) error {
	if len(list) == 0 {
		return nil
	}
	alerts := make([]*goredis.IntCmd, len(list))
	seen := make([]*goredis.FloatCmd, len(list))
	_, err := f.s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, d := range list {
			alerts[i] = p.Exists(ctx, f.s.keys.alert(d.event.AlertID))
			seen[i] = p.ZScore(ctx, f.s.keys.seen(d.event.AlertID), d.event.ID)
		}
		return nil
	})
	if err := failed(ctx, err); err != nil {
		return err
	}
	for i, d := range list {
		if alerts[i].Val() == 1 && seen[i].Err() == nil {
			continue
		}
		err := f.settle(ctx, Finding{
			Key: d.key, Fault: FaultOrphan, Reason: "over, and its event is in no history", Repair: "forget it; a dead letter stays",
		}, func(int) (any, error) {
			return f.s.run(ctx, forgetScript, []string{d.key, f.s.keys.alert(d.event.AlertID), f.s.keys.seen(d.event.AlertID)}, f.do(), d.event.ID)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkQueues looks at the queues for what leads nowhere.
func (f *fsck) checkQueues(ctx context.Context) error {
	checks := []struct {
		kind  kind
		check func(context.Context) error
	}{
		{kindOutbox, f.checkOutbox},
		{kindOutbox, f.checkPending},
		{kindDelayed, func(ctx context.Context) error { return f.checkSet(ctx, f.s.keys.delayed()) }},
		{kindOpen, func(ctx context.Context) error { return f.checkSet(ctx, f.s.keys.open()) }},
		{kindDead, f.checkDead},
	}
	for _, c := range checks {
		if f.wrong[c.kind] {
			continue
		}
		if err := c.check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pages calls each with the entries of a stream.
func (f *fsck) pages(ctx context.Context, key string, each func([]goredis.XMessage) error) error {
	for from := "-"; ; {
		page, err := f.s.client.XRangeN(ctx, key, from, "+", scanCount).Result()
		if err := translate(ctx, "fsck", err); err != nil {
			return err
		}
		for part := range slices.Chunk(page, readBatch) {
			if err := each(part); err != nil {
				return err
			}
		}
		if len(page) < scanCount {
			return nil
		}
		from = nextID(page[len(page)-1].ID)
	}
}

// checkOutbox looks for entries whose delivery is not there, over, or queued anew.
func (f *fsck) checkOutbox(ctx context.Context) error {
	return f.pages(ctx, f.s.keys.outbox(), func(entries []goredis.XMessage) error {
		ids := make([]string, len(entries))
		cmds := make([]*goredis.SliceCmd, len(entries))
		_, err := f.s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i, e := range entries {
				ids[i], _ = e.Values["id"].(string)
				cmds[i] = p.HMGet(ctx, f.s.keys.delivery(ids[i]), "state", "entry")
			}
			return nil
		})
		if err := failed(ctx, err); err != nil {
			return err
		}
		for i, e := range entries {
			if ids[i] == "" {
				err := f.pickOut(ctx, Finding{Key: f.s.keys.outbox(), Fault: FaultGarbage, Reason: "entry " + e.ID + " names no delivery"}, []any{e.ID})
				if err != nil {
					return err
				}
				continue
			}
			d := append(texts(cmds[i].Val()), "", "")
			if s := store.DeliveryState(d[0]); (s == store.Pending || s == store.Sending || s == store.Retrying) && d[1] == e.ID {
				continue
			}
			if err := f.unqueue(ctx, f.s.keys.outbox(), ids[i], e.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// unqueue settles what a queue holds of a delivery; entry is "" for the sorted sets.
func (f *fsck) unqueue(ctx context.Context, key, id, entry string) error {
	what, set := "entry "+entry+" of delivery "+id, ""
	switch {
	case entry != "":
	case key == f.s.keys.delayed():
		what, set = "member "+id, "delayed"
	default:
		what, set = "member "+id, "open"
	}
	err := f.settle(ctx, Finding{
		Key: key, Fault: FaultOrphan, Reason: what + ", which is over, not there, or queued elsewhere", Repair: "remove it from the queue",
	}, func(int) (any, error) {
		return f.s.run(ctx, unqueueScript, []string{f.s.keys.outbox(), f.s.keys.delayed(), f.s.keys.open(), f.s.keys.delivery(id)},
			f.do(), group, id, entry, set)
	})
	return err
}

// checkPending looks for entries that a relay was given and that are gone.
func (f *fsck) checkPending(ctx context.Context) error {
	for from := "-"; ; {
		page, err := f.s.client.XPendingExt(ctx, &goredis.XPendingExtArgs{
			Stream: f.s.keys.outbox(), Group: group, Start: from, End: "+", Count: readBatch,
		}).Result()
		if goredis.HasErrorPrefix(err, "NOGROUP") {
			return nil
		}
		if err := translate(ctx, "fsck", err); err != nil {
			return err
		}
		entries := make([]*goredis.XMessageSliceCmd, len(page))
		_, err = f.s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i, e := range page {
				entries[i] = p.XRange(ctx, f.s.keys.outbox(), e.ID, e.ID)
			}
			return nil
		})
		if err := failed(ctx, err); len(page) > 0 && err != nil {
			return err
		}
		for i, e := range page {
			if len(entries[i].Val()) > 0 {
				continue
			}
			if err := f.unqueue(ctx, f.s.keys.outbox(), "", e.ID); err != nil {
				return err
			}
		}
		if len(page) < readBatch {
			return nil
		}
		from = nextID(page[len(page)-1].ID)
	}
}

// checkSet looks for members of a sorted set whose delivery does not belong there.
func (f *fsck) checkSet(ctx context.Context, key string) error {
	ids, err := f.s.client.ZRange(ctx, key, 0, -1).Result()
	if err := translate(ctx, "fsck", err); err != nil {
		return err
	}
	for part := range slices.Chunk(ids, readBatch) {
		states := make([]*goredis.StringCmd, len(part))
		_, err := f.s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i, id := range part {
				states[i] = p.HGet(ctx, f.s.keys.delivery(id), "state")
			}
			return nil
		})
		if err := failed(ctx, err); err != nil {
			return err
		}
		for i, id := range part {
			s := store.DeliveryState(states[i].Val())
			if s == store.Retrying || key == f.s.keys.open() && (s == store.Pending || s == store.Sending) {
				continue
			}
			if err := f.unqueue(ctx, key, id, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkDead looks for dead letters that cannot be read.
func (f *fsck) checkDead(ctx context.Context) error {
	return f.pages(ctx, f.s.keys.dead(), func(letters []goredis.XMessage) error {
		var bad []any
		for _, m := range letters {
			text, _ := m.Values["event"].(string)
			if _, err := decodeEvent("", text); err != nil {
				bad = append(bad, m.ID)
			}
		}
		if len(bad) == 0 {
			return nil
		}
		return f.pickOut(ctx, Finding{
			Key: f.s.keys.dead(), Fault: FaultGarbage, Reason: fmt.Sprintf("%d dead letters cannot be read", len(bad)),
		}, bad)
	})
}

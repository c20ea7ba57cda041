package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	goredis "github.com/redis/go-redis/v9"
)

// checkIndex looks for entries without a hash; what is wrong with a hash is found
// where every alert's key is looked at.
func (f *fsck) checkIndex(ctx context.Context) error {
	if f.wrong[kindIndex] {
		return nil
	}
	var cursor uint64
	for {
		ids, next, err := f.s.client.SScan(ctx, f.s.keys.index(), cursor, "", 5*scanCount).Result()
		if err := translate(ctx, "fsck", err); err != nil {
			return err
		}
		for part := range slices.Chunk(ids, readBatch) {
			if err := f.checkEntries(ctx, part); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (f *fsck) checkEntries(ctx context.Context, ids []string) error {
	cmds := make([]*goredis.IntCmd, len(ids))
	_, err := f.s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, id := range ids {
			cmds[i] = p.Exists(ctx, f.s.keys.alert(id))
		}
		return nil
	})
	if err := translate(ctx, "fsck", err); err != nil {
		return err
	}
	for i, id := range ids {
		if cmds[i].Val() > 0 {
			continue
		}
		err := f.disown(ctx, id, Finding{
			Key: f.s.keys.alert(id), Fault: FaultNoHash, Reason: "in the index, but there is no hash",
			Repair: "take the id out of the index, and move what history there is to " + f.aside(f.s.keys.events(id), 1),
		}, "none", nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// disown settles an alert that cannot be read, while its type and its json are as
// seen.
func (f *fsck) disown(ctx context.Context, id string, found Finding, typ string, json *string) error {
	k := f.s.keys
	had, text := seenAs(json)
	err := f.settle(ctx, found, func(try int) (any, error) {
		return f.s.run(ctx, disownScript, []string{
			k.index(), k.alert(id), k.events(id), k.seen(id), k.changes(), k.fallen(),
			f.aside(k.alert(id), try), f.aside(k.events(id), try), f.aside(k.seen(id), try),
		}, f.do(), id, typ, had, text, changesKept, newNonce())
	})
	return err
}

// checkAlerts looks at every key of an alert: itself, its history, its ids.
func (f *fsck) checkAlerts(ctx context.Context) error {
	for _, root := range f.s.roots() {
		err := f.s.scan(ctx, root, func(ctx context.Context, keys []string) error {
			slices.Sort(keys) // the same order on every server
			for part := range slices.Chunk(slices.Compact(keys), readBatch) {
				if err := f.sortOut(ctx, part); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sortOut checks the keys of a batch that are of alerts, and counts what is aside.
func (f *fsck) sortOut(ctx context.Context, keys []string) error {
	var alerts, events, seen []string
	for _, key := range keys {
		switch p, id := whatIs(f.places, key); p.kind {
		case kindAlert:
			alerts = append(alerts, id)
		case kindEvents:
			events = append(events, id)
		case kindSeen:
			seen = append(seen, id)
		case kindDamaged:
			f.result.Aside++
		case kindForeign:
			err := f.found(Finding{Key: key, Fault: FaultForeign, State: Note, Reason: "no key of Spark has this name", Repair: "none"})
			if err != nil {
				return err
			}
		}
	}
	f.looked(len(alerts) + len(events) + len(seen))
	return errors.Join(f.checkHashes(ctx, alerts), f.checkEvents(ctx, events), f.checkSeen(ctx, seen))
}

func (f *fsck) checkHashes(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	hashes := make([]*goredis.MapStringStringCmd, len(ids))
	listed := make([]*goredis.BoolCmd, len(ids))
	_, err := f.s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, id := range ids {
			hashes[i] = p.HGetAll(ctx, f.s.keys.alert(id))
			listed[i] = p.SIsMember(ctx, f.s.keys.index(), id)
		}
		return nil
	})
	if err := failed(ctx, err); err != nil {
		return err
	}
	for i, id := range ids {
		hash, err := hashes[i].Result()
		switch {
		case goredis.HasErrorPrefix(err, "WRONGTYPE"):
			err = f.foreignAlert(ctx, id)
		case err != nil:
			return translate(ctx, "fsck", err)
		case len(hash) > 0:
			err = f.checkAlert(ctx, id, hash, listed[i].Val())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fsck) asideRepair(id string) string {
	return "take the id out of the index, and move the key to " + f.aside(f.s.keys.alert(id), 1) + ", with its history"
}

func (f *fsck) foreignAlert(ctx context.Context, id string) error {
	key := f.s.keys.alert(id)
	typ, err := f.s.client.Type(ctx, key).Result()
	if err != nil || typ == "hash" || typ == "none" {
		return translate(ctx, "fsck", err) // changed meanwhile
	}
	return f.disown(ctx, id, Finding{
		Key: key, Fault: FaultType, Reason: "not a hash but a " + typ, Repair: f.asideRepair(id),
	}, typ, nil)
}

// checkAlert checks a hash.
func (f *fsck) checkAlert(ctx context.Context, id string, hash map[string]string, listed bool) error {
	key := f.s.keys.alert(id)
	a, err := decodeAlert(id, hash, f.s.opts.CooldownSec)
	if err != nil {
		found := Finding{Key: key, Fault: FaultGarbage, Reason: err.Error(), Repair: f.asideRepair(id)}
		text, ok := hash["json"]
		if !ok {
			found.Fault = FaultNoJSON
			return f.disown(ctx, id, found, "hash", nil)
		}
		return f.disown(ctx, id, found, "hash", &text)
	}
	f.result.Alerts++
	if !listed && !f.wrong[kindIndex] {
		err := f.settle(ctx, Finding{
			Key: key, Fault: FaultNotIndexed, Reason: "an alert that is not in the index", Repair: "put the id into the index: lists show it again, and it is evaluated if it is enabled",
		}, func(int) (any, error) {
			return f.s.run(ctx, enlistScript, []string{f.s.keys.index(), key, f.s.keys.changes()}, f.do(), id, changesKept, newNonce())
		})
		if err != nil {
			return err
		}
	}
	if a.Params == nil {
		err := f.found(Finding{Key: key, Fault: FaultStrange, State: Note, Reason: a.LastError, Repair: "none: lists show the alert with this error; change or delete it"})
		if err != nil {
			return err
		}
	}
	fixes := fixesOf(hash, a.Active, map[string]int64{
		"rev": a.Rev, "createdAt": a.CreatedAt, "updatedAt": a.UpdatedAt, "lastTriggeredAt": a.LastTriggeredAt, "triggerCount": a.TriggerCount,
	})
	for _, x := range fixes {
		old := "missing"
		if x.seen != nil {
			old = fmt.Sprintf("%.60q", *x.seen)
		}
		err := f.refield(ctx, Finding{
			Key: key, Fault: FaultField, Reason: fmt.Sprintf("field %s is %s", x.name, old),
			Repair: fmt.Sprintf("set it to %s, as it is read; keep the old value in %s", *x.set, f.aside(key, 1)),
		}, id, []fieldFix{x})
		if err != nil {
			return err
		}
	}
	return nil
}

// fixesOf returns the fields that the scripts, which compare texts, take otherwise
// than the reader, who falls back on the json.
func fixesOf(hash map[string]string, active bool, numbers map[string]int64) []fieldFix {
	var fixes []fieldFix
	for _, name := range []string{"active", "rev", "createdAt", "updatedAt", "lastTriggeredAt", "triggerCount"} {
		text, ok := hash[name]
		_, err := strconv.ParseInt(text, 10, 64)
		fix := fieldFix{name: name}
		if ok {
			fix.seen = &text
		}
		want := strconv.FormatInt(numbers[name], 10)
		sound := ok && err == nil
		switch name {
		case "active":
			want, sound = flag(active), text == "0" || text == "1"
		case "rev":
			sound = ok && text == want || !ok && want == "1"
		default:
			sound = sound || !ok
		}
		if !sound {
			fix.set = &want
			fixes = append(fixes, fix)
		}
	}
	return fixes
}

// owners asks whether the alerts are there at all: a key, or an entry of the index.
func (f *fsck) owners(ctx context.Context, p goredis.Pipeliner, ids []string) (keys []*goredis.IntCmd, listed []*goredis.BoolCmd) {
	for _, id := range ids {
		keys = append(keys, p.Exists(ctx, f.s.keys.alert(id)))
		listed = append(listed, p.SIsMember(ctx, f.s.keys.index(), id))
	}
	return keys, listed
}

// orphan settles what is left of an alert that is not there.
func (f *fsck) orphan(ctx context.Context, id, key string) error {
	return f.disown(ctx, id, Finding{
		Key: key, Fault: FaultOrphan, Reason: "of an alert that is not there", Repair: "move to " + f.aside(key, 1),
	}, "none", nil)
}

// checkEvents checks histories.
func (f *fsck) checkEvents(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	var keys []*goredis.IntCmd
	var listed []*goredis.BoolCmd
	lists := make([]*goredis.StringSliceCmd, len(ids))
	_, err := f.s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		keys, listed = f.owners(ctx, p, ids)
		for i, id := range ids {
			lists[i] = p.LRange(ctx, f.s.keys.events(id), 0, -1)
		}
		return nil
	})
	if err := failed(ctx, err); err != nil {
		return err
	}
	for i, id := range ids {
		key := f.s.keys.events(id)
		var err error
		switch {
		case keys[i].Val() == 0 && !listed[i].Val() && !f.wrong[kindIndex]:
			err = f.orphan(ctx, id, key)
		case goredis.HasErrorPrefix(lists[i].Err(), "WRONGTYPE"):
			err = f.foreignBeside(ctx, key, "list", "; the history begins anew")
		default:
			err = f.checkHistory(ctx, key, id, lists[i].Val())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fsck) checkHistory(ctx context.Context, key, id string, events []string) error {
	var bad []any
	for _, text := range events {
		if _, err := decodeEvent(id, text); err != nil {
			bad = append(bad, text)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return f.pickOut(ctx, Finding{Key: key, Fault: FaultGarbage, Reason: fmt.Sprintf("%d events cannot be read", len(bad))}, bad)
}

// pickOut settles elements of a list, or entries of a stream.
func (f *fsck) pickOut(ctx context.Context, found Finding, elements []any) error {
	found.Repair = "move them to " + f.aside(found.Key, 1)
	err := f.settle(ctx, found, func(try int) (any, error) {
		return f.s.run(ctx, pickoutScript, []string{found.Key, f.aside(found.Key, try)}, append([]any{f.do()}, elements...)...)
	})
	return err
}

// foreignBeside settles a key of a foreign type that belongs to a sound alert.
func (f *fsck) foreignBeside(ctx context.Context, key, want, consequence string, scores ...any) error {
	typ, err := f.s.client.Type(ctx, key).Result()
	if err != nil || typ == want || typ == "none" {
		return translate(ctx, "fsck", err)
	}
	return f.moveAside(ctx, Finding{
		Key: key, Fault: FaultType, Reason: fmt.Sprintf("not a %s but a %s", want, typ), Repair: consequence,
	}, typ, "", nil, scores...)
}

// checkSeen checks the ids by which repeats are recognised.
func (f *fsck) checkSeen(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	var keys []*goredis.IntCmd
	var listed []*goredis.BoolCmd
	types := make([]*goredis.StatusCmd, len(ids))
	events := make([]*goredis.IntCmd, len(ids))
	_, err := f.s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		keys, listed = f.owners(ctx, p, ids)
		for i, id := range ids {
			types[i] = p.Type(ctx, f.s.keys.seen(id))
			events[i] = p.Exists(ctx, f.s.keys.events(id))
		}
		return nil
	})
	if err := failed(ctx, err); err != nil {
		return err
	}
	for i, id := range ids {
		var err error
		switch {
		case keys[i].Val() == 0 && !listed[i].Val() && !f.wrong[kindIndex]:
			if events[i].Val() == 0 { // else it goes with the history
				err = f.orphan(ctx, id, f.s.keys.seen(id))
			}
		case types[i].Val() != "zset" && types[i].Val() != "none":
			err = f.rebuildSeen(ctx, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rebuildSeen replaces a foreign key by the ids of the events in the history.
func (f *fsck) rebuildSeen(ctx context.Context, id string) error {
	list, err := f.s.client.LRange(ctx, f.s.keys.events(id), 0, -1).Result()
	if err := failed(ctx, err); err != nil {
		return err
	}
	var scores []any
	for _, text := range list {
		if e, err := decodeEvent(id, text); err == nil {
			scores = append(scores, e.Time, e.ID)
		}
	}
	return f.foreignBeside(ctx, f.s.keys.seen(id), "zset", "; the ids are taken from the history", scores...)
}

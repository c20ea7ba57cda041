package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/core/market"
)

// Fault is what is wrong with a key: one of a closed set of words.
type Fault string

// The faults.
const (
	FaultNoHash     Fault = "no-hash"           // in the index, but there is no hash
	FaultNoJSON     Fault = "no-json"           // a hash without json
	FaultType       Fault = "wrong-type"        // a value of a foreign type
	FaultGarbage    Fault = "garbage"           // content that cannot be read
	FaultField      Fault = "field"             // a field of an alert that the scripts and the reader take differently
	FaultNotIndexed Fault = "not-indexed"       // an alert that no list shows
	FaultOrphan     Fault = "orphan"            // belongs to something that is not there
	FaultLost       Fault = "lost"              // an open delivery that no relay will find
	FaultImport     Fault = "unfinished-import" // the store holds a part of an import
	FaultStrange    Fault = "not-understood"    // an alert that can be read and not evaluated
	FaultForeign    Fault = "foreign"           // under the namespace, but not Spark's
)

// State says what became of a finding.
type State string

// The states.
const (
	Damaged  State = "damaged"  // as it is; Repair says what would be done
	Repaired State = "repaired" // Repair was done
	Note     State = "note"     // no damage; nothing is done about it
)

// Finding is a key with something wrong.
type Finding struct {
	Key    string `json:"key"`
	Fault  Fault  `json:"fault"`
	Reason string `json:"reason"`
	Repair string `json:"repair"`
	State  State  `json:"state"`
}

// FsckOptions of [Store.Fsck].
type FsckOptions struct {
	Repair bool
	// Found is told of each finding, as it is found. An error ends the check.
	Found func(Finding) error
	// Progress is told of the keys looked at so far; may be nil.
	Progress func(keys int64)
}

// FsckResult counts.
type FsckResult struct {
	Keys     int64 `json:"keys"`     // looked at
	Alerts   int64 `json:"alerts"`   // that can be read
	Damaged  int64 `json:"damaged"`  // findings left as they are
	Repaired int64 `json:"repaired"` // findings mended
	Notes    int64 `json:"notes"`
	Aside    int64 `json:"aside"` // keys that hold what was moved aside, by this check or earlier ones
}

// Fsck looks at every key of the store and says what is wrong, and with Repair mends
// it. It may run while daemons work: every verdict is made, and every repair done, by
// a script that looks again at all that matters, so what changed meanwhile is neither
// reported nor touched. Without Repair nothing is written.
//
// A repair deletes nothing that a person made: what cannot be read is renamed to
// "…:damaged:" and its name; old values of fields are kept there too. Removed are only
// traces of deliveries: of ones that are over and belong to no event, and entries of
// queues that lead nowhere.
func (s *Store) Fsck(ctx context.Context, o FsckOptions) (FsckResult, error) {
	f := &fsck{s: s, o: o, places: s.places(), wrong: map[kind]bool{}}
	for _, pass := range []func(context.Context) error{
		f.checkSingles, f.checkIndex, f.checkAlerts, f.checkDeliveries, f.checkQueues, f.finish,
	} {
		if err := pass(ctx); err != nil {
			return f.result, err
		}
	}
	return f.result, nil
}

// fsck is one check.
type fsck struct {
	s      *Store
	o      FsckOptions
	places []place
	wrong  map[kind]bool // single keys that are of a foreign type, still
	result FsckResult
}

// do is the first argument of every script.
func (f *fsck) do() string { return flag(f.o.Repair) }

func (f *fsck) looked(n int) {
	f.result.Keys += int64(n)
	if f.o.Progress != nil {
		f.o.Progress(f.result.Keys)
	}
}

// aside returns the key to which the try-th attempt moves a key.
func (f *fsck) aside(key string, try int) string {
	name := f.s.prefix() + "damaged:" + nameOf(f.places, key)
	if try > 1 {
		name += ":" + strconv.Itoa(try)
	}
	return name
}

// maxAside is how many things of the same name are kept aside.
const maxAside = 1000

// settle lets a script judge, and mend. run is given how often the place was taken.
// The answer 0 means that there is nothing wrong any more.
func (f *fsck) settle(ctx context.Context, found Finding, run func(try int) (any, error)) error {
	for try := 1; try <= maxAside; try++ {
		v, err := run(try)
		if err != nil {
			return err
		}
		code, _ := v.(int64)
		if code == 0 {
			return ctx.Err()
		}
		if code < 0 {
			continue
		}
		found.State = Damaged
		if f.o.Repair {
			found.State = Repaired
		}
		return f.found(found)
	}
	found.State = Damaged
	found.Reason += fmt.Sprintf("; %d of this name are aside already", maxAside)
	return f.found(found)
}

func (f *fsck) found(found Finding) error {
	switch found.State {
	case Damaged:
		f.result.Damaged++
	case Repaired:
		f.result.Repaired++
	case Note:
		f.result.Notes++
	}
	return f.o.Found(found)
}

// moveAside settles a key that is to be renamed while its type, and a field of it if
// one is named, are as seen.
func (f *fsck) moveAside(ctx context.Context, found Finding, typ, field string, value *string, scores ...any) error {
	had, text := seenAs(value)
	found.Repair = "move to " + f.aside(found.Key, 1) + found.Repair
	err := f.settle(ctx, found, func(try int) (any, error) {
		return f.s.run(ctx, asideScript, []string{found.Key, f.aside(found.Key, try)},
			append([]any{f.do(), typ, field, had, text}, scores...)...)
	})
	return err
}

func seenAs(value *string) (had, text string) {
	if value == nil {
		return "0", ""
	}
	return "1", *value
}

// fieldFix is a field of a hash as it was seen and as it should be; nil is absent.
type fieldFix struct {
	name      string
	seen, set *string
}

// refield settles fields of a hash. alertID is "" for what is no alert.
func (f *fsck) refield(ctx context.Context, found Finding, alertID string, fixes []fieldFix) error {
	err := f.settle(ctx, found, func(try int) (any, error) {
		args := []any{f.do(), alertID, changesKept, newNonce()}
		for _, x := range fixes {
			had, old := seenAs(x.seen)
			set, text := seenAs(x.set)
			args = append(args, x.name, had, old, set, text)
		}
		return f.s.run(ctx, refieldScript, []string{found.Key, f.aside(found.Key, try), f.s.keys.changes()}, args...)
	})
	return err
}

// consequences says what moving a single key aside means.
var consequences = map[kind]string{
	kindIndex:     "; the alerts are put back into the index one by one",
	kindChanges:   "; leaders load every alert anew",
	kindOutbox:    "; open deliveries are put back into the outbox",
	kindDelayed:   "; what waited there is tried again at once",
	kindOpen:      "; open deliveries are counted anew",
	kindFallen:    "",
	kindDead:      "",
	kindWatermark: "; the next leader looks back from where it starts",
	kindLock:      "; the next candidate leads",
	kindTerm:      "; the next epoch follows the clock",
	kindMembers:   "; living processes register again within seconds",
	kindControl:   "; the fleet is then not paused",
}

// checkSingles checks the keys of which there is one each.
func (f *fsck) checkSingles(ctx context.Context) error {
	for _, p := range f.places {
		if p.family {
			continue
		}
		typ, err := f.s.client.Type(ctx, p.key).Result()
		if err := translate(ctx, "fsck", err); err != nil {
			return err
		}
		if typ == "none" {
			continue
		}
		f.looked(1)
		switch {
		case p.kind == kindImport:
			err = f.found(Finding{Key: p.key, Fault: FaultImport, State: Damaged, Reason: ErrImportUnfinished.Error(), Repair: "none: only the file has the rest"})
		case typ != p.typ:
			f.wrong[p.kind] = !f.o.Repair
			err = f.moveAside(ctx, Finding{
				Key: p.key, Fault: FaultType, Reason: fmt.Sprintf("not a %s but a %s", p.typ, typ), Repair: consequences[p.kind],
			}, typ, "", nil)
		case p.kind == kindTerm || p.kind == kindControl || p.kind == kindMembers || p.kind == kindWatermark:
			err = f.checkHash(ctx, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkHash checks the content of a single hash.
func (f *fsck) checkHash(ctx context.Context, p place) error {
	hash, err := f.s.client.HGetAll(ctx, p.key).Result()
	if err := translate(ctx, "fsck", err); err != nil {
		return err
	}
	if p.kind == kindTerm {
		return f.checkTerm(ctx, p, hash)
	}
	for _, name := range slices.Sorted(maps.Keys(hash)) {
		value := hash[name]
		fix := fieldFix{name: name, seen: &value}
		if readable(p.kind, name, value) {
			continue
		}
		repair := "move that field to " + f.aside(p.key, 1) + consequencesOfField[p.kind]
		err := f.refield(ctx, Finding{
			Key: p.key, Fault: FaultGarbage, Reason: fmt.Sprintf("field %.100q cannot be read: %.100q", name, value), Repair: repair,
		}, "", []fieldFix{fix})
		if err != nil {
			return err
		}
	}
	return nil
}

var consequencesOfField = map[kind]string{
	kindWatermark: "; the next leader looks back from where it starts",
	kindMembers:   "; a living process registers again within seconds",
	kindControl:   "; it is then as if never set",
}

// readable reports whether a field of a single hash can be read.
func readable(k kind, name, value string) bool {
	var err error
	switch k {
	case kindWatermark:
		symbol, timeframe, _ := strings.Cut(name, "/")
		_, err1 := market.ParseSymbol(symbol)
		_, err2 := market.ParseTimeframe(timeframe)
		_, err3 := strconv.ParseInt(value, 10, 64)
		err = errors.Join(err1, err2, err3)
	case kindMembers:
		_, err = decodeMember(name, value)
	case kindControl:
		switch name {
		case "paused":
			return value == "0" || value == "1"
		case "version", "changedAt", "resumedAt":
			_, err = strconv.ParseInt(value, 10, 64)
		}
	}
	return err == nil
}

// maxEpoch is the greatest whole number that Lua counts on from.
const maxEpoch = 1 << 53

func (f *fsck) checkTerm(ctx context.Context, p place, hash map[string]string) error {
	text, ok := hash["epoch"]
	epoch, err := strconv.ParseInt(text, 10, 64)
	if err == nil && epoch > 0 && epoch < maxEpoch {
		return nil
	}
	seen := &text
	if !ok {
		seen = nil
	}
	return f.moveAside(ctx, Finding{
		Key: p.key, Fault: FaultGarbage, Reason: fmt.Sprintf("epoch %.40q is not one", text), Repair: consequences[kindTerm],
	}, "hash", "epoch", seen)
}

// finish counts what is aside, after all repairs.
func (f *fsck) finish(ctx context.Context) error {
	if err := f.tidy(ctx); err != nil || !f.o.Repair {
		return err
	}
	aside := map[string]bool{}
	err := f.s.scan(ctx, f.s.prefix()+"damaged:", func(_ context.Context, keys []string) error {
		for _, key := range keys {
			aside[key] = true
		}
		return nil
	})
	f.result.Aside = int64(len(aside))
	return err
}

// tidy lets go of deliveries whose events have fallen out of a history.
func (f *fsck) tidy(ctx context.Context) error {
	if !f.o.Repair {
		return nil
	}
	n, err := f.s.client.LLen(ctx, f.s.keys.fallen()).Result()
	if err != nil {
		return translate(ctx, "fsck", err)
	}
	f.s.sweep(ctx, n)
	return nil
}

// failed returns the error of a pipeline unless it is about the type of a key, which
// the single answers say, or a key that is not there.
func failed(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, goredis.Nil) || goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil
	}
	return translate(ctx, "fsck", err)
}

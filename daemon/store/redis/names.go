package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// kind is what a key is for.
type kind uint8

const (
	kindForeign kind = iota // nothing of Spark's
	kindIndex
	kindAlert
	kindEvents
	kindSeen
	kindChanges
	kindOutbox
	kindDelayed
	kindOpen
	kindFallen
	kindDead
	kindDelivery
	kindWatermark
	kindLock
	kindTerm
	kindMembers
	kindControl
	kindOther   // of later versions: rate:…, hold:…, md:lease:…
	kindDamaged // moved aside by Fsck
	kindImport  // there while an import is under way
)

// place is one key, or a family of them: the name that it has in findings and
// files, what stands in the store, and the type it should have ("" for any).
type place struct {
	kind   kind
	name   string
	key    string
	typ    string
	family bool // name and key are followed by an id
}

// places lists every key of Spark. Everything about names follows from it and from
// [keys].
func (s *Store) places() []place {
	k, p := s.keys, s.prefix()
	return []place{
		{kindIndex, "alerts:index", k.index(), "set", false},
		{kindChanges, "changes", k.changes(), "stream", false},
		{kindOutbox, "outbox", k.outbox(), "stream", false},
		{kindDelayed, "outbox:delayed", k.delayed(), "zset", false},
		{kindOpen, "outbox:open", k.open(), "zset", false},
		{kindFallen, "outbox:fallen", k.fallen(), "list", false},
		{kindDead, "outbox:dead", k.dead(), "stream", false},
		{kindWatermark, "watermark", k.watermark(), "hash", false},
		{kindLock, "scheduler:lock", k.lock(), "string", false},
		{kindTerm, "scheduler:term", k.term(), "hash", false},
		{kindMembers, "scheduler:executors", k.members(), "hash", false},
		{kindControl, "scheduler:control", k.control(), "hash", false},
		{kindImport, "import", p + "import", "string", false},
		{kindAlert, "alert:", k.alert(""), "hash", true},
		{kindSeen, "seen:", k.seen(""), "zset", true},
		{kindDelivery, "delivery:", k.delivery(""), "hash", true},
		{kindOther, "rate:", p + "rate:", "", true},
		{kindOther, "hold:", p + "hold:", "", true},
		{kindOther, "md:lease:", p + "md:lease:", "", true},
		{kindDamaged, "damaged:", p + "damaged:", "", true},
	}
}

// prefix stands before the names of all keys but those of the election.
func (s *Store) prefix() string { return s.keys.prefix }

// importing is the key that says that an import is not finished.
func (s *Store) importing() string { return s.prefix() + "import" }

const eventsSuffix = ":events"

// whatIs says which place a key is, and the id within a family. A place of kind
// kindForeign is none.
func whatIs(places []place, key string) (p place, id string) {
	for _, p := range places {
		switch {
		case !p.family && key == p.key:
			return p, ""
		case p.family && len(key) > len(p.key) && strings.HasPrefix(key, p.key):
			id = key[len(p.key):]
			if p.kind == kindAlert && strings.HasSuffix(id, eventsSuffix) && len(id) > len(eventsSuffix) {
				return place{kindEvents, p.name, p.key, "list", true}, strings.TrimSuffix(id, eventsSuffix)
			}
			return p, id
		}
	}
	return place{}, ""
}

// nameOf returns the name of a key in findings and files, "" for a foreign one.
func nameOf(places []place, key string) string {
	p, _ := whatIs(places, key)
	if p.kind == kindForeign {
		return ""
	}
	return p.name + strings.TrimPrefix(key, p.key)
}

// keyOf returns the key of a name.
func keyOf(places []place, name string) (string, place, error) {
	for _, p := range places {
		if name == p.name && !p.family || p.family && len(name) > len(p.name) && strings.HasPrefix(name, p.name) {
			key := p.key + strings.TrimPrefix(name, p.name)
			found, _ := whatIs(places, key)
			return key, found, nil
		}
	}
	return "", place{}, fmt.Errorf("%.100q is not the name of a key of Spark", name)
}

// scanCount is how many keys one SCAN looks at.
const scanCount = 2000

// scan calls each with the keys that begin with prefix, at most scanCount of them at a
// time; a key may come twice.
func (s *Store) scan(ctx context.Context, prefix string, each func(ctx context.Context, keys []string) error) error {
	var cursor uint64
	for { // of a Cluster the one server that has all of it
		keys, next, err := s.client.Scan(ctx, cursor, escapeGlob(prefix)+"*", scanCount).Result()
		if err != nil {
			return translate(ctx, "scan", err)
		}
		for part := range slices.Chunk(keys, scanCount) { // the embedded engine gives all at once
			if err := each(ctx, part); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// roots are the prefixes under which Spark's keys stand.
func (s *Store) roots() []string {
	roots := []string{s.keys.namespace + ":", strings.TrimSuffix(s.keys.term(), "term")}
	if !slices.Contains(roots, s.prefix()) {
		roots = append(roots, s.prefix())
	}
	return roots
}

var globSpecial = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`)

func escapeGlob(s string) string { return globSpecial.Replace(s) }

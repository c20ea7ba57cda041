package redis

import (
	"github.com/spark-ta/spark/core/alert"
)

// keys builds the names of keys. The lock and its companions are called the same
// everywhere; all else has a prefix, which on a Cluster puts it into the lock's slot,
// so that one script may touch it all.
type keys struct{ namespace, prefix string }

func newKeys(o Options, t target) keys {
	k := keys{o.Namespace, o.Namespace + ":"}
	if t.kind == cluster {
		k.prefix = "{" + k.lock() + "}:"
	}
	return k
}

func (k keys) index() string            { return k.prefix + "alerts:index" }
func (k keys) alert(id string) string   { return k.prefix + "alert:" + id }
func (k keys) events(id string) string  { return k.prefix + "alert:" + id + ":events" }
func (k keys) seen(id string) string    { return k.prefix + "seen:" + id }
func (k keys) changes() string          { return k.prefix + "changes" }
func (k keys) outbox() string           { return k.prefix + "outbox" }
func (k keys) delayed() string          { return k.prefix + "outbox:delayed" }
func (k keys) open() string             { return k.prefix + "outbox:open" }
func (k keys) fallen() string           { return k.prefix + "outbox:fallen" }
func (k keys) dead() string             { return k.prefix + "outbox:dead" }
func (k keys) delivery(i string) string { return k.prefix + "delivery:" + i }
func (k keys) watermark() string        { return k.prefix + "watermark" }

// lock and term share a slot of a cluster: the whole name of the lock is the hash
// tag of its companion.
func (k keys) lock() string { return k.namespace + ":scheduler:lock" }
func (k keys) term() string { return "{" + k.lock() + "}:term" }

// members, control and the hints' channel go with them.
func (k keys) members() string { return "{" + k.lock() + "}:executors" }
func (k keys) control() string { return "{" + k.lock() + "}:control" }
func (k keys) hints() string   { return "{" + k.lock() + "}:events" }

// deliveries returns the keys of an event's deliveries.
func (k keys) deliveries(e alert.Event) []string {
	names := make([]string, len(e.Channels))
	for i, c := range e.Channels {
		names[i] = k.delivery(alert.DeliveryID(e.ID, c))
	}
	return names
}

package redis

import (
	"github.com/spark-ta/spark/core/alert"
)

// keys builds the names of keys.
type keys struct{ namespace string }

func (k keys) index() string            { return k.namespace + ":alerts:index" }
func (k keys) alert(id string) string   { return k.namespace + ":alert:" + id }
func (k keys) events(id string) string  { return k.namespace + ":alert:" + id + ":events" }
func (k keys) seen(id string) string    { return k.namespace + ":seen:" + id }
func (k keys) changes() string          { return k.namespace + ":changes" }
func (k keys) outbox() string           { return k.namespace + ":outbox" }
func (k keys) delayed() string          { return k.namespace + ":outbox:delayed" }
func (k keys) open() string             { return k.namespace + ":outbox:open" }
func (k keys) fallen() string           { return k.namespace + ":outbox:fallen" }
func (k keys) dead() string             { return k.namespace + ":outbox:dead" }
func (k keys) delivery(i string) string { return k.namespace + ":delivery:" + i }
func (k keys) watermark() string        { return k.namespace + ":watermark" }

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

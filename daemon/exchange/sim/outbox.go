package sim

import "sync"

// outboxBytes is how far a client may fall behind.
const outboxBytes = 8 << 20

// outbox holds what a connection has still to write, in order.
type outbox struct {
	filled chan struct{} // capacity 1: there is something to take

	mu      sync.Mutex // guards the rest
	waiting [][]byte
	bytes   int
}

// put adds a message and reports whether there was room. An empty outbox takes a
// message of any size.
func (o *outbox) put(message []byte) bool {
	o.mu.Lock()
	if o.bytes > 0 && o.bytes+len(message) > outboxBytes {
		o.mu.Unlock()
		return false
	}
	o.waiting = append(o.waiting, message)
	o.bytes += len(message)
	o.mu.Unlock()
	select {
	case o.filled <- struct{}{}:
	default:
	}
	return true
}

// take removes everything.
func (o *outbox) take() [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.waiting
	o.waiting, o.bytes = nil, 0
	return all
}

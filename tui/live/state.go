package live

import (
	"context"
	"sync"
	"time"
)

// batch is the least time between two pictures.
const batch = 100 * time.Millisecond

// board holds the present picture. Parts are replaced, never written into, so a
// shallow copy of the picture is immutable.
type board struct {
	mu      sync.Mutex
	picture Picture // guarded by mu
	dirty   chan struct{}
}

func newBoard() *board { return &board{dirty: make(chan struct{}, 1)} }

// change lets f replace parts of the picture. f gets a revision to mark them with.
func (b *board) change(f func(p *Picture, rev uint64)) {
	b.mu.Lock()
	b.picture.Rev++
	f(&b.picture, b.picture.Rev)
	b.mu.Unlock()
	select {
	case b.dirty <- struct{}{}:
	default: // a picture is owed already
	}
}

func (b *board) look() *Picture {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.picture
	p.At = time.Now()
	return &p
}

// bridge publishes the picture whenever it changed, at most once per batch, so
// that a flood of messages costs as much as ten a second. It returns when ctx ends.
func (b *board) bridge(ctx context.Context, publish func(*Picture)) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.dirty:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
		publish(b.look())
		pause.Reset(batch)
	}
}

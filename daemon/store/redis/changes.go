package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store"
)

// changesKept is about how many changes the stream holds.
const changesKept = 10_000

// changePoll is how often WaitChange asks the server for what others changed.
const changePoll = 50 * time.Millisecond

const streamStart = "0-0" // cursor before every entry

// Changes returns at most limit changes after the cursor, oldest first, and the
// cursor after them. It does not block. "" as the cursor means from now: no change,
// and the present cursor. [store.ErrCursorGone] means that changes after the cursor
// may have been forgotten: take the cursor anew with "", then load every alert.
func (s *Store) Changes(ctx context.Context, after string, limit int) ([]store.Change, string, error) {
	if after == "" {
		newest, err := s.client.XRevRangeN(ctx, s.keys.changes(), "+", "-", 1).Result()
		if err := translate(ctx, "changes", err); err != nil {
			return nil, "", err
		}
		if len(newest) == 0 {
			return nil, streamStart, nil
		}
		return nil, newest[0].ID, nil
	}
	if _, _, err := splitID(after); err != nil {
		return nil, "", err
	}
	var oldest, next *goredis.XMessageSliceCmd
	var length *goredis.IntCmd
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		oldest = p.XRangeN(ctx, s.keys.changes(), "-", "+", 1)
		length = p.XLen(ctx, s.keys.changes())
		next = p.XRangeN(ctx, s.keys.changes(), "("+after, "+", int64(max(1, limit)))
		return nil
	})
	if err := translate(ctx, "changes", err); err != nil {
		return nil, "", err
	}
	if forgotten(after, oldest.Val(), length.Val()) {
		return nil, "", fmt.Errorf("changes after %s: %w", after, store.ErrCursorGone)
	}
	changes := make([]store.Change, 0, len(next.Val()))
	for _, m := range next.Val() {
		id, _ := m.Values["id"].(string)
		changes = append(changes, store.Change{Cursor: m.ID, AlertID: id})
		after = m.ID
	}
	return changes, after, nil
}

// forgotten reports whether entries after the cursor may be missing. The stream is
// cut only above changesKept, so below that the start is still in it.
func forgotten(after string, oldest []goredis.XMessage, length int64) bool {
	if after == streamStart {
		return length >= changesKept
	}
	return len(oldest) == 0 || idLess(after, oldest[0].ID)
}

// WaitChange returns nil as soon as there may be a change after the cursor: at once
// for one made through this store, within 50 ms for others. It returns an error when
// ctx ends or the store cannot be asked.
func (s *Store) WaitChange(ctx context.Context, after string) error {
	tick := time.NewTicker(changePoll)
	defer tick.Stop()
	for {
		rung := s.changed.wait() // before looking, or a ring in between is missed
		changes, _, err := s.Changes(ctx, after, 1)
		switch {
		case errors.Is(err, store.ErrCursorGone):
			return nil // the next Changes says so
		case err != nil:
			return err
		case len(changes) > 0 || after == "":
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-rung:
		case <-tick.C:
		}
	}
}

// splitID reads the id of a stream's entry: ms and a number within it.
func splitID(id string) (ms, seq uint64, err error) {
	a, b, ok := strings.Cut(id, "-")
	ms, err1 := strconv.ParseUint(a, 10, 64)
	seq, err2 := strconv.ParseUint(b, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("%.48q is not a cursor", id)
	}
	return ms, seq, nil
}

// idLess orders ids of entries; those come from the server.
func idLess(a, b string) bool {
	am, as, _ := splitID(a)
	bm, bs, _ := splitID(b)
	return am < bm || am == bm && as < bs
}

// bell wakes everyone who waits.
type bell struct {
	mu sync.Mutex
	ch chan struct{} // closed by ring, made by wait; guarded by mu
}

func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

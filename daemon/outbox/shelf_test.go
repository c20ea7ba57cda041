package outbox_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/store"
)

// shelf is an outbox in memory that keeps the store's promises. Its clock is the
// bubble's.
type shelf struct {
	mu       sync.Mutex
	pending  []string
	delayed  map[string]int64 // due, ms
	entries  map[string]*entry
	sent     map[string]store.Delivery
	dead     map[string]store.Delivery
	claims   int
	finishes int
}

type entry struct {
	store.Delivery
	claimedAt int64
}

func newShelf() *shelf {
	return &shelf{
		delayed: map[string]int64{}, entries: map[string]*entry{},
		sent: map[string]store.Delivery{}, dead: map[string]store.Delivery{},
	}
}

func (s *shelf) put(n int, channel string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, n)
	for i := range ids {
		event := fmt.Sprintf("%s-%d", channel, len(s.entries)+len(s.sent)+len(s.dead))
		ids[i] = alert.DeliveryID(event, channel)
		s.entries[ids[i]] = &entry{Delivery: store.Delivery{
			ID: ids[i], Channel: channel, State: store.Pending,
			Event: alert.Event{
				ID: event, AlertID: "a" + strconv.Itoa(i), Type: alert.TypeBBBreak, Reason: "close>upper", Price: 1,
				Series: market.Series{Symbol: "BTCUSDT", Timeframe: market.M1}, Time: time.Now().UnixMilli(),
			},
		}}
		s.pending = append(s.pending, ids[i])
	}
	return ids
}

func (s *shelf) Claim(_ context.Context, consumer string, most int, visibility time.Duration, now int64) ([]store.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []store.Delivery
	take := func(e *entry) {
		s.claims++
		e.State, e.claimedAt = store.Sending, now
		e.Attempts++
		e.Claim = consumer + "/" + strconv.Itoa(s.claims)
		if e.FirstAt == 0 {
			e.FirstAt = now
		}
		out = append(out, e.Delivery)
	}
	for _, id := range s.lapsed(now - visibility.Milliseconds()) {
		if len(out) < most {
			s.entries[id].Repeat = true
			take(s.entries[id])
		}
	}
	for len(s.pending) > 0 && len(out) < most {
		take(s.entries[s.pending[0]])
		s.pending = s.pending[1:]
	}
	return out, nil
}

func (s *shelf) lapsed(before int64) []string {
	var ids []string
	for id, e := range s.entries {
		if e.State == store.Sending && e.claimedAt < before {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (s *shelf) Finish(_ context.Context, o store.Outcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finishes++
	e, ok := s.entries[o.ID]
	if !ok || e.Claim != o.Claim || e.State != store.Sending {
		return nil
	}
	e.State, e.LastError, e.Repeat = o.State, o.Error, o.Repeat
	switch o.State {
	case store.Sent:
		s.sent[o.ID] = e.Delivery
		delete(s.entries, o.ID)
	case store.Dead:
		s.dead[o.ID] = e.Delivery
		delete(s.entries, o.ID)
	case store.Retrying:
		if o.Unsent {
			e.Attempts--
		}
		s.delayed[o.ID] = o.Now + o.RetryIn.Milliseconds()
	default:
		panic("outcome " + o.State)
	}
	return nil
}

func (s *shelf) Promote(_ context.Context, now int64, most int) (moved int, nextDue int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, due := range s.delayed {
		if due <= now {
			ids = append(ids, id)
		} else if nextDue == 0 || due < nextDue {
			nextDue = due
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(s.delayed[a], s.delayed[b]), cmp.Compare(a, b))
	})
	for _, id := range ids {
		if moved == most {
			return moved, s.delayed[id], nil
		}
		delete(s.delayed, id)
		s.entries[id].State = store.Pending
		s.pending = append(s.pending, id)
		moved++
	}
	return moved, nextDue, nil
}

func (s *shelf) counts() (waiting, sent, dead int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries), len(s.sent), len(s.dead)
}

func (s *shelf) delivery(id string) (store.Delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[id]; ok {
		return e.Delivery, true
	}
	if d, ok := s.dead[id]; ok {
		return d, true
	}
	d, ok := s.sent[id]
	return d, ok
}

// line to a store that can be cut, and that loses calls and answers.
type faulty struct {
	store *shelf
	cut   atomic.Bool
	lossy float64
}

func (f *faulty) call(do func() error) error {
	if f.cut.Load() || rand.Float64() < f.lossy {
		return fmt.Errorf("call: %w", store.ErrUnavailable)
	}
	if err := do(); err != nil {
		return err
	}
	if rand.Float64() < f.lossy {
		return fmt.Errorf("answer: %w", store.ErrUnavailable)
	}
	return nil
}

func (f *faulty) Claim(ctx context.Context, consumer string, most int, visibility time.Duration, now int64) (ds []store.Delivery, err error) {
	err = f.call(func() (err error) { ds, err = f.store.Claim(ctx, consumer, most, visibility, now); return err })
	if err != nil {
		ds = nil
	}
	return ds, err
}

func (f *faulty) Finish(ctx context.Context, o store.Outcome) error {
	return f.call(func() error { return f.store.Finish(ctx, o) })
}

func (f *faulty) Promote(ctx context.Context, now int64, most int) (moved int, due int64, err error) {
	err = f.call(func() (err error) { moved, due, err = f.store.Promote(ctx, now, most); return err })
	return moved, due, err
}

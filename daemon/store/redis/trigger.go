package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/store"
)

// MaxEvents is how many events one script writes. Trigger splits what is longer.
const MaxEvents = 100

// idsKept is how many event ids are remembered for each alert. At one event a
// minute that is more than eight hours; a new leader looks back less.
const idsKept = 500

// Trigger writes events with a delivery for each of their channels, in one script
// for each hundred. now (ms) is when they were decided to be written. The results
// are in the order of the events; on an error those already known are returned, the
// rest are [store.TriggerUnknown]. Unknown without an error means that a key of the
// alert holds something foreign, and nothing was written.
//
// A repeat, whole or in part, writes nothing twice and answers
// [store.TriggerDuplicate] for what was there.
func (s *Store) Trigger(ctx context.Context, t store.Token, events []alert.Event, now int64) ([]store.TriggerResult, error) {
	results := make([]store.TriggerResult, 0, len(events))
	for batch := range slices.Chunk(events, MaxEvents) {
		r, err := s.trigger(ctx, t, batch, now)
		if err != nil {
			return append(results, make([]store.TriggerResult, len(events)-len(results))...), err
		}
		results = append(results, r...)
	}
	return results, nil
}

func (s *Store) trigger(ctx context.Context, t store.Token, events []alert.Event, now int64) ([]store.TriggerResult, error) {
	keys := []string{s.keys.lock(), s.keys.term(), s.keys.outbox(), s.keys.open(), s.keys.changes(), s.keys.fallen()}
	args := []any{t.Holder, t.Epoch, t.Nonce, now, s.opts.HistoryLimit, idsKept, changesKept, len(events)}
	for _, e := range events {
		text, err := encodeEvent(e)
		if err != nil {
			return nil, fmt.Errorf("event %.80q: %w", e.ID, err)
		}
		keys = append(keys, s.keys.alert(e.AlertID), s.keys.events(e.AlertID), s.keys.seen(e.AlertID))
		keys = append(keys, s.keys.deliveries(e)...)
		args = append(args, e.ID, e.AlertID, e.Rev, string(e.Mode), e.Time, text, len(e.Channels))
		for _, c := range e.Channels {
			args = append(args, alert.DeliveryID(e.ID, c), c)
		}
	}
	v, err := s.run(ctx, triggerScript, keys, args...)
	if err != nil {
		return nil, err
	}
	results, fallen, err := parseTrigger(v, len(events))
	if err != nil {
		return nil, err
	}
	s.announce(events, results)
	s.sweep(ctx, fallen)
	return results, nil
}

// sweep forgets the deliveries of n events that are no longer in a history. What
// fails now is done by the next sweep, so it is no error of the call that led here.
func (s *Store) sweep(ctx context.Context, n int64) {
	for ; n > 0; n -= readBatch {
		events, err := s.client.LRange(ctx, s.keys.fallen(), 0, readBatch-1).Result()
		if err == nil && len(events) > 0 {
			names := []string{s.keys.fallen()}
			args := make([]any, len(events))
			for i, text := range events {
				args[i] = text
				if e, err := decodeEvent("", text); err == nil {
					names = append(names, s.keys.deliveries(e)...)
				}
			}
			_, err = s.run(ctx, sweepScript, names, args...)
		}
		if err != nil {
			s.log.Warn("old deliveries not forgotten yet", "err", err)
			return
		}
	}
}

// announce wakes those who wait in this process.
func (s *Store) announce(events []alert.Event, results []store.TriggerResult) {
	for i, r := range results {
		if r != store.TriggerAccepted {
			continue
		}
		if len(events[i].Channels) > 0 {
			s.wake()
		}
		if events[i].Mode == alert.Once {
			s.changed.ring()
		}
	}
}

func parseTrigger(v any, n int) (results []store.TriggerResult, fallen int64, err error) {
	list, _ := v.([]any)
	if len(list) != 2 {
		return nil, 0, fmt.Errorf("trigger: unexpected answer %.80q", fmt.Sprint(v))
	}
	codes, _ := list[0].([]any)
	fallen, _ = list[1].(int64)
	if len(codes) != n {
		return nil, 0, fmt.Errorf("trigger: %d results for %d events", len(codes), n)
	}
	results = make([]store.TriggerResult, n)
	for i, c := range codes {
		code, _ := c.(int64)
		switch code {
		case 1:
			results[i] = store.TriggerAccepted
		case 2:
			results[i] = store.TriggerDuplicate
		case 3:
			results[i] = store.TriggerGone
		}
	}
	return results, fallen, nil
}

// History returns the newest events of an alert, newest first, with where their
// deliveries stand. limit below 1 means all that are kept. An unknown alert is
// [store.ErrNotFound]; events that cannot be read are left out.
func (s *Store) History(ctx context.Context, alertID string, limit int) ([]store.EventRecord, error) {
	last := int64(limit) - 1
	if limit < 1 {
		last = -1
	}
	var known *goredis.BoolCmd
	var list *goredis.StringSliceCmd
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		known = p.HExists(ctx, s.keys.alert(alertID), "json")
		list = p.LRange(ctx, s.keys.events(alertID), 0, last)
		return nil
	})
	if err != nil && !goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, translate(ctx, "history", err)
	}
	if !known.Val() {
		return nil, fmt.Errorf("alert %.64q: %w", alertID, store.ErrNotFound)
	}
	records := make([]store.EventRecord, 0, len(list.Val()))
	for _, text := range list.Val() {
		if e, err := decodeEvent(alertID, text); err == nil {
			records = append(records, store.EventRecord{Event: e})
		}
	}
	return records, s.readStates(ctx, records)
}

// readStates fills in where the deliveries of the records stand.
func (s *Store) readStates(ctx context.Context, records []store.EventRecord) error {
	cmds := make([][]*goredis.SliceCmd, len(records))
	n := 0
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, r := range records {
			for _, key := range s.keys.deliveries(r.Event) {
				cmds[i] = append(cmds[i], p.HMGet(ctx, key, "state", "attempts"))
				n++
			}
		}
		return nil
	})
	if n == 0 {
		return nil
	}
	if err != nil && !goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return translate(ctx, "history", err)
	}
	for i := range records {
		for j, cmd := range cmds[i] {
			f := cmd.Val()
			if len(f) != 2 || f[0] == nil {
				continue // forgotten, or damaged
			}
			t := texts(f)
			records[i].Deliveries = append(records[i].Deliveries, store.Delivery{
				Channel: records[i].Event.Channels[j], State: store.DeliveryState(t[0]), Attempts: int(number(t[1])),
			})
		}
	}
	return nil
}

// Advance raises watermarks. One that stands higher already stays.
func (s *Store) Advance(ctx context.Context, t store.Token, marks []store.Watermark) error {
	for batch := range slices.Chunk(marks, 5*MaxEvents) {
		args := []any{t.Holder, t.Epoch, t.Nonce}
		for _, m := range batch {
			args = append(args, m.Series.String(), m.Bar)
		}
		if _, err := s.run(ctx, advanceScript, []string{s.keys.lock(), s.keys.term(), s.keys.watermark()}, args...); err != nil {
			return err
		}
	}
	return nil
}

// Watermarks returns every watermark, in the order of the series' names. What
// cannot be read is left out.
func (s *Store) Watermarks(ctx context.Context) ([]store.Watermark, error) {
	all, err := s.client.HGetAll(ctx, s.keys.watermark()).Result()
	if err := translate(ctx, "watermarks", err); err != nil {
		return nil, err
	}
	marks := make([]store.Watermark, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		symbol, timeframe, _ := strings.Cut(name, "/")
		sym, err1 := market.ParseSymbol(symbol)
		tf, err2 := market.ParseTimeframe(timeframe)
		bar, err3 := strconv.ParseInt(all[name], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			continue
		}
		marks = append(marks, store.Watermark{Series: market.Series{Symbol: sym, Timeframe: tf}, Bar: bar})
	}
	return marks, nil
}

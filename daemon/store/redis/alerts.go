package redis

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/daemon/store"
)

// maxError is the length of a LastError that is stored, in bytes.
const maxError = 500

// readBatch is how many alerts are read in one round trip.
const readBatch = 200

// CreateAlert writes a new alert, or returns [store.ErrExists] when its id is
// taken.
func (s *Store) CreateAlert(ctx context.Context, a alert.Alert) error {
	if a.ID == "" {
		return errors.New("create: no id")
	}
	hash, err := encodeAlert(a)
	if err != nil {
		return fmt.Errorf("alert %s: %w", a.ID, err)
	}
	args := append([]any{a.ID, newNonce(), changesKept}, hash...)
	v, err := s.run(ctx, createScript, []string{s.keys.index(), s.keys.alert(a.ID), s.keys.changes()}, args...)
	if err != nil {
		return err
	}
	if v == int64(0) {
		return fmt.Errorf("alert %.64q: %w", a.ID, store.ErrExists)
	}
	s.changed.ring()
	return nil
}

// Alert returns one alert, or [store.ErrNotFound]; a damaged one is not found.
func (s *Store) Alert(ctx context.Context, id string) (alert.Alert, error) {
	hash, err := s.client.HGetAll(ctx, s.keys.alert(id)).Result()
	if err != nil && !goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return alert.Alert{}, translate(ctx, "alert", err)
	}
	a, err := decodeAlert(id, hash, s.opts.CooldownSec)
	if err != nil {
		return alert.Alert{}, fmt.Errorf("alert %.64q: %w", id, store.ErrNotFound)
	}
	return a, nil
}

// Alerts returns every alert that can be read, newest first, and what is damaged.
// A damaged key is logged when it is first seen.
func (s *Store) Alerts(ctx context.Context) ([]alert.Alert, []store.Damage, error) {
	ids, err := s.client.SMembers(ctx, s.keys.index()).Result()
	if err := translate(ctx, "alerts", err); err != nil {
		return nil, nil, err
	}
	slices.Sort(ids)
	alerts := make([]alert.Alert, 0, len(ids))
	var damage []store.Damage
	for batch := range slices.Chunk(ids, readBatch) {
		a, d, err := s.readAlerts(ctx, batch)
		if err != nil {
			return nil, nil, err
		}
		alerts, damage = append(alerts, a...), append(damage, d...)
	}
	slices.SortFunc(alerts, func(a, b alert.Alert) int {
		return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), strings.Compare(b.ID, a.ID))
	})
	s.report(damage)
	return alerts, damage, nil
}

func (s *Store) readAlerts(ctx context.Context, ids []string) (alerts []alert.Alert, damage []store.Damage, err error) {
	cmds := make([]*goredis.MapStringStringCmd, len(ids))
	_, err = s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, id := range ids {
			cmds[i] = p.HGetAll(ctx, s.keys.alert(id))
		}
		return nil
	})
	if err != nil && !goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, nil, translate(ctx, "alerts", err)
	}
	for i, id := range ids {
		hash, err := cmds[i].Result()
		switch {
		case goredis.HasErrorPrefix(err, "WRONGTYPE"):
			damage = append(damage, store.Damage{Key: s.keys.alert(id), Reason: "not a hash"})
		case err != nil:
			return nil, nil, translate(ctx, "alerts", err)
		case len(hash) == 0:
			damage = append(damage, store.Damage{Key: s.keys.alert(id), Reason: "in the index, but there is no hash"})
		default:
			a, err := decodeAlert(id, hash, s.opts.CooldownSec)
			if err != nil {
				damage = append(damage, store.Damage{Key: s.keys.alert(id), Reason: err.Error()})
				continue
			}
			alerts = append(alerts, a)
		}
	}
	return alerts, damage, nil
}

// report logs damage that was not there at the last look.
func (s *Store) report(damage []store.Damage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	present := make(map[string]string, len(damage))
	for _, d := range damage {
		present[d.Key] = d.Reason
		if s.damaged[d.Key] != d.Reason {
			s.log.Warn("damaged key skipped", "key", d.Key, "reason", d.Reason)
		}
	}
	if !maps.Equal(s.damaged, present) {
		s.damaged = present
	}
}

// SetActive enables or disables an alert at now (ms) and returns it. When that
// changes anything its revision is raised. An unknown alert is
// [store.ErrNotFound], and nothing is created.
func (s *Store) SetActive(ctx context.Context, id string, active bool, now int64) (alert.Alert, error) {
	flag := "0"
	if active {
		flag = "1"
	}
	v, err := s.run(ctx, activateScript, []string{s.keys.alert(id), s.keys.changes()}, id, flag, now, changesKept, newNonce())
	if err != nil {
		return alert.Alert{}, err
	}
	list, ok := v.([]any)
	if !ok {
		return alert.Alert{}, fmt.Errorf("alert %.64q: %w", id, store.ErrNotFound)
	}
	s.changed.ring()
	hash := make(map[string]string, len(list)/2)
	for pair := range slices.Chunk(texts(list), 2) {
		hash[pair[0]] = pair[1]
	}
	a, err := decodeAlert(id, hash, s.opts.CooldownSec)
	if err != nil {
		return alert.Alert{}, fmt.Errorf("alert %.64q: %w", id, store.ErrNotFound)
	}
	return a, nil
}

// DeleteAlert removes an alert and its history; damaged ones too. What is on its
// way to a receiver is still delivered.
func (s *Store) DeleteAlert(ctx context.Context, id string) error {
	v, err := s.run(ctx, deleteScript,
		[]string{s.keys.index(), s.keys.alert(id), s.keys.events(id), s.keys.seen(id), s.keys.changes(), s.keys.fallen()},
		id, changesKept, newNonce())
	if err != nil {
		return err
	}
	fallen, ok := v.(int64)
	if !ok || fallen < 0 {
		return fmt.Errorf("alert %.64q: %w", id, store.ErrNotFound)
	}
	s.changed.ring()
	s.sweep(ctx, fallen)
	return nil
}

// SetAlertError notes why the alert of that revision cannot be evaluated; "" notes
// that it can. Of another revision, and of an unknown alert, it notes nothing.
func (s *Store) SetAlertError(ctx context.Context, t store.Token, id string, rev int64, text string) error {
	if len(text) > maxError {
		text = text[:maxError]
		for !utf8.ValidString(text) && len(text) > maxError-utf8.UTFMax {
			text = text[:len(text)-1]
		}
	}
	_, err := s.run(ctx, complainScript, []string{s.keys.lock(), s.keys.term(), s.keys.alert(id)},
		t.Holder, t.Epoch, t.Nonce, rev, text)
	return err
}

// ActiveCount returns how many alerts are enabled. It reads one field of each.
func (s *Store) ActiveCount(ctx context.Context) (int64, error) {
	ids, err := s.client.SMembers(ctx, s.keys.index()).Result()
	if err := translate(ctx, "active", err); err != nil {
		return 0, err
	}
	var n int64
	for batch := range slices.Chunk(ids, 5*readBatch) {
		cmds := make([]*goredis.StringCmd, len(batch))
		_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i, id := range batch {
				cmds[i] = p.HGet(ctx, s.keys.alert(id), "active")
			}
			return nil
		})
		if err != nil && !goredis.HasErrorPrefix(err, "WRONGTYPE") && !errors.Is(err, goredis.Nil) {
			return 0, translate(ctx, "active", err)
		}
		for _, c := range cmds {
			if c.Val() == "1" {
				n++
			}
		}
	}
	return n, nil
}

// newNonce names one call, so that a repeat of it is recognised. crypto/rand does
// not fail.
func newNonce() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

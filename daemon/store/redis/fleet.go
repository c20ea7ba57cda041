package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store"
)

// forgetAfter is how long a member that is silent stays in the registry: long enough
// to be seen as missing.
const forgetAfter = time.Hour

// memberJSON is a member's entry, after its heartbeat in ms and a space.
type memberJSON struct {
	Roles      []string          `json:"roles"`
	Version    string            `json:"version"`
	URLs       map[string]string `json:"urls"`
	StartedAt  int64             `json:"startedAt"`
	Phase      string            `json:"phase"`
	Epoch      int64             `json:"epoch,omitempty"`
	ProgressMS int64             `json:"progressMs,omitempty"`
	CPU        float64           `json:"cpu"`
	RSSBytes   int64             `json:"rssBytes"`
	LatencyMS  float64           `json:"latencyMs"`
	Boot       string            `json:"boot,omitempty"`
	Space      string            `json:"space,omitempty"`
	PID        int               `json:"pid,omitempty"`
	Start      uint64            `json:"start,omitempty"`
}

// Beat notes that a member lives, and returns what goes on. Its At is not used: the
// server's clock decides. tidy also forgets members that have been silent for an
// hour.
func (s *Store) Beat(ctx context.Context, m store.Member, tidy bool) (store.Glance, error) {
	text, err := json.Marshal(memberJSON{
		Roles: m.Roles, Version: m.Version, URLs: m.URLs, StartedAt: m.StartedAt, Phase: m.Phase, Epoch: m.Epoch,
		ProgressMS: m.ProgressMS, CPU: m.CPU, RSSBytes: m.RSSBytes, LatencyMS: m.LatencyMS,
		Boot: m.Process.Boot, Space: m.Process.Space, PID: m.Process.PID, Start: m.Process.Start,
	})
	if err != nil {
		return store.Glance{}, fmt.Errorf("beat: %w", err)
	}
	forget := int64(0)
	if tidy {
		forget = forgetAfter.Milliseconds()
	}
	v, err := runOn(ctx, s.elect, beatScript, []string{s.keys.members(), s.keys.control(), s.keys.lock(), s.keys.term()}, m.ID, string(text), forget)
	if err != nil {
		return store.Glance{}, err
	}
	list, _ := v.([]any)
	if len(list) != 5 {
		return store.Glance{}, fmt.Errorf("beat: unexpected answer %.80q", fmt.Sprint(v))
	}
	f := texts(list)
	return store.Glance{
		Control: decodeControl(pairs(list[1])), Now: number(f[0]),
		Leader: store.Token{Holder: f[2], Epoch: number(f[3])}, Remaining: time.Duration(number(f[4])) * time.Millisecond,
	}, nil
}

// Leave takes a member out of the registry.
func (s *Store) Leave(ctx context.Context, id string) error {
	return translate(ctx, "leave", s.elect.HDel(ctx, s.keys.members(), id).Err())
}

// Members returns the registry, in the order of the ids, and the server's clock in
// ms. Entries that cannot be read are left out.
func (s *Store) Members(ctx context.Context) ([]store.Member, int64, error) {
	var all *goredis.MapStringStringCmd
	var clock *goredis.TimeCmd
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		all = p.HGetAll(ctx, s.keys.members())
		clock = p.Time(ctx)
		return nil
	})
	if err != nil && !goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, 0, translate(ctx, "members", err)
	}
	return decodeMembers(all.Val()), clock.Val().UnixMilli(), nil
}

// Control returns the fleet's switches.
func (s *Store) Control(ctx context.Context) (store.Control, error) {
	m, err := s.client.HGetAll(ctx, s.keys.control()).Result()
	return decodeControl(m), translate(ctx, "control", err)
}

// SetPaused pauses or resumes the fleet and returns the switches as they are then.
// expected is the version that they are to have, 0 for any; when they have another
// one nothing is changed and the error wraps [store.ErrChanged].
func (s *Store) SetPaused(ctx context.Context, paused bool, by, reason string, expected int64) (store.Control, error) {
	want, version := "0", ""
	if paused {
		want = "1"
	}
	if expected > 0 {
		version = strconv.FormatInt(expected, 10)
	}
	v, err := runOn(ctx, s.elect, controlScript, []string{s.keys.control()}, want, by, reason, version, s.keys.hints())
	if err != nil {
		return store.Control{}, err
	}
	list, _ := v.([]any)
	if len(list) != 2 {
		return store.Control{}, fmt.Errorf("control: unexpected answer %.80q", fmt.Sprint(v))
	}
	c := decodeControl(pairs(list[1]))
	if code, _ := list[0].(int64); code == 0 {
		return c, fmt.Errorf("control: version %d: %w", c.Version, store.ErrChanged)
	}
	return c, nil
}

// Lock returns all there is to see of the election. The lock, the term and the
// members are read one after the other; who acts on what is seen compares again.
func (s *Store) Lock(ctx context.Context) (store.Lock, error) {
	out := store.Lock{Key: s.keys.lock()}
	var kind *goredis.StatusCmd
	var value *goredis.StringCmd
	var left *goredis.DurationCmd
	var term, members, control *goredis.MapStringStringCmd
	var clock *goredis.TimeCmd
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		kind = p.Type(ctx, s.keys.lock())
		value = p.Get(ctx, s.keys.lock())
		left = p.PTTL(ctx, s.keys.lock())
		term = p.HGetAll(ctx, s.keys.term())
		members = p.HGetAll(ctx, s.keys.members())
		control = p.HGetAll(ctx, s.keys.control())
		clock = p.Time(ctx)
		return nil
	})
	// A key of another type is a finding, not a failure.
	if err != nil && !errors.Is(err, goredis.Nil) && !goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return out, translate(ctx, "lock", err)
	}
	out.Type, out.Value, out.TTL = kind.Val(), value.Val(), left.Val()
	if out.TTL < 0 {
		out.TTL = -1
	}
	out.Members = decodeMembers(members.Val())
	out.Control = decodeControl(control.Val())
	out.Now = clock.Val().UnixMilli()
	if t := term.Val(); t["epoch"] != "" {
		out.HasTerm = true
		out.Term = store.Term{
			Holder: t["holder"], Epoch: number(t["epoch"]), State: t["state"], Since: number(t["since"]),
			Until: number(t["until"]), Renewed: number(t["renewed"]), Progress: number(t["progress"]),
			Resign: t["resign"], Version: t["version"],
		}
		if out.Term.Renewed > 0 && out.Term.State == "held" {
			out.LeaseHint = time.Duration(out.Term.Until-out.Term.Renewed) * time.Millisecond
		}
	}
	out.Uptime, out.Eviction = s.server(ctx)
	return out, nil
}

// server asks how long the server has been up and what it evicts; one that does not
// tell (the embedded engine, a restricted user) is no error.
func (s *Store) server(ctx context.Context) (up time.Duration, eviction string) {
	text, err := s.client.Info(ctx, "server").Result()
	if err == nil {
		up = time.Duration(number(infoField(text, "uptime_in_seconds"))) * time.Second
	}
	if text, err = s.client.Info(ctx, "memory").Result(); err == nil {
		eviction = infoField(text, "maxmemory_policy")
	}
	return up, eviction
}

// infoField returns a field of an INFO answer, "" when it is not there.
func infoField(text, name string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return v
		}
	}
	return ""
}

// pairs turns a flat list of names and values into a map.
func pairs(v any) map[string]string {
	list, _ := v.([]any)
	f := texts(list)
	out := make(map[string]string, len(f)/2)
	for i := 0; i+1 < len(f); i += 2 {
		out[f[i]] = f[i+1]
	}
	return out
}

func decodeControl(m map[string]string) store.Control {
	return store.Control{
		Paused: m["paused"] == "1", By: m["by"], Reason: m["reason"],
		ChangedAt: number(m["changedAt"]), ResumedAt: number(m["resumedAt"]), Version: number(m["version"]),
	}
}

func decodeMembers(all map[string]string) []store.Member {
	out := make([]store.Member, 0, len(all))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if m, err := decodeMember(id, all[id]); err == nil {
			out = append(out, m)
		}
	}
	return out
}

// decodeMember reads an entry of the registry: the heartbeat in ms, a space, JSON.
func decodeMember(id, text string) (store.Member, error) {
	at, body, _ := strings.Cut(text, " ")
	ms, err := strconv.ParseInt(at, 10, 64)
	var j memberJSON
	if err = cmp.Or(err, json.Unmarshal([]byte(body), &j)); err != nil {
		return store.Member{}, fmt.Errorf("member %.64q: %w", id, err)
	}
	return store.Member{
		ID: id, Roles: j.Roles, Version: j.Version, URLs: j.URLs, StartedAt: j.StartedAt, Phase: j.Phase, Epoch: j.Epoch,
		ProgressMS: j.ProgressMS, CPU: j.CPU, RSSBytes: j.RSSBytes, LatencyMS: j.LatencyMS, At: ms,
		Process: store.Process{Boot: j.Boot, Space: j.Space, PID: j.PID, Start: j.Start},
	}, nil
}

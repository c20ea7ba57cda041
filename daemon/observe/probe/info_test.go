package probe_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/observe/probe"
)

func TestParseAsk(t *testing.T) {
	for text, want := range map[string]string{
		"INFO persistence memory": "{true [persistence memory] false false}",
		"info\nPING":              "{true [] true false}",
		"# lock\nLOCK\n":          "{false [] false true}",
	} {
		if got, err := probe.ParseAsk(text); err != nil || fmt.Sprint(got) != want {
			t.Errorf("ParseAsk(%q) = %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "DEL spark:alerts:scheduler:lock", "PING x", "INFO a;b", "INFO " + strings.Repeat("x", 40), "FLUSHALL"} {
		if got, err := probe.ParseAsk(text); err == nil {
			t.Errorf("ParseAsk(%q) = %v, want an error", text, got)
		}
	}
}

// redis is a store that answers what it is given.
type redis struct {
	info     string
	err      error
	hang     bool
	sections []string
}

func (r *redis) Info(ctx context.Context, sections ...string) (string, error) {
	r.sections = sections
	if r.hang {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return r.info, r.err
}

func (r *redis) Ping(context.Context) error { return r.err }

func (r *redis) Lock(context.Context) (probe.Lock, error) {
	return probe.Lock{State: "held", Holder: "executor-1\x1b[0m", Epoch: 7, Remaining: 30 * time.Second, Members: 2}, r.err
}

const info = "# Server\r\nredis_version:7.0.15\r\nexecutable:/usr/bin/redis-server\r\n\r\n# Memory\r\nused_memory:1048576\r\n" +
	"used_memory_human:1.00M\r\nused_memory_peak_perc:99.50%\r\n# Persistence\r\naof_enabled:1\r\naof_last_write_status:ok\r\n" +
	"aof_current_size:512\r\n# Keyspace\r\ndb0:keys=12,expires=3,avg_ttl=0\r\nbad line\r\n:empty\r\npass:" + secret + "\r\nesc:a\x1b[31mb\r\n"

func TestRedisFields(t *testing.T) {
	store := &redis{info: info}
	a, err := probe.ParseAsk("PING\nINFO memory persistence\nLOCK")
	if err != nil {
		t.Fatal(err)
	}
	r := probe.Redis{Limits: limits(), Store: store, Name: "redis"}
	got := r.Do(t.Context(), a)[0]
	safe(t, got)
	same(t, got, map[string]any{
		"ping": 1.0, "redis_version": "7.0.15", "executable": "/usr/bin/redis-server", "used_memory": 1048576.0,
		"used_memory_human": "1.00M", "used_memory_peak_perc": 99.5, "aof_enabled": 1.0, "aof_last_write_status": "ok",
		"aof_current_size": 512.0, "db0.keys": 12.0, "db0.expires": 3.0, "db0.avg_ttl": 0.0, "pass": "***", "esc": "ab",
		"lock.state": "held", "lock.holder": "executor-1", "lock.epoch": 7.0, "lock.members": 2.0, "lock.remaining": 30.0,
	})
	if fmt.Sprint(store.sections) != "[memory persistence]" {
		t.Errorf("sections = %v", store.sections)
	}
}

func TestRedisFailures(t *testing.T) {
	a, err := probe.ParseAsk("PING")
	if err != nil {
		t.Fatal(err)
	}
	r := probe.Redis{Limits: limits(), Name: "redis", Store: &redis{err: errors.New("dial redis://:" + secret + "@x\x1b[0m")}}
	got := r.Do(t.Context(), a)[0]
	failed(t, got, "PING: dial redis://:***@x")
	same(t, got, map[string]any{"ping": 0.0})

	r.Store, r.Timeout = &redis{hang: true}, short
	failed(t, r.Do(t.Context(), probe.Ask{Info: true})[0], "no answer within")
	r.Store = &redis{info: strings.Repeat("x", 2<<20)}
	failed(t, r.Do(t.Context(), probe.Ask{Info: true})[0], "too large")
}

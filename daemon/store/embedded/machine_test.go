package embedded

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// chaos makes random commands over a few keys, with times that go on by random
// steps: expiries, scripts, streams with groups and what is pending in them.
type chaos struct {
	r       *rand.Rand
	ms      int64
	entries []string // ids that were seen
}

func newChaos(seed uint64) *chaos {
	return &chaos{r: rand.New(rand.NewPCG(seed, 7)), ms: 1_790_000_000_000}
}

func (c *chaos) pick(list ...string) string { return list[c.r.IntN(len(list))] }

func (c *chaos) number(n int) string { return strconv.Itoa(c.r.IntN(n)) }

func (c *chaos) entry() string {
	if len(c.entries) == 0 {
		return "1-1"
	}
	return c.pick(c.entries...)
}

const (
	chaosScript = `redis.call('HINCRBY', KEYS[1], 'n', ARGV[1])
redis.call('XADD', KEYS[2], '*', 'n', ARGV[1])
return redis.call('TIME')`
	chaosTTLScript = `redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('PTTL', KEYS[1])`
)

func (c *chaos) next() (int64, []string) {
	c.ms += int64(c.r.IntN(40))
	n, m := c.number(9), c.number(200)
	all := [][]string{
		{"SET", "s" + n, m}, {"SET", "s" + n, m, "PX", c.number(300) + "1"}, {"INCR", "s" + n}, {"DEL", "s" + n}, {"GETSET", "s" + n, m},
		{"PEXPIRE", c.pick("s", "h", "l", "x", "z") + n, c.number(500) + "1"}, {"PERSIST", "s" + n}, {"RENAME", "s" + n, "s" + c.number(9)},
		{"PTTL", "s" + n}, {"GET", "s" + n}, {"GETEX", "s" + n, "PX", "150"}, {"EXPIREAT", "s" + n, strconv.FormatInt(c.ms/1000+1, 10)},
		{"HSET", "h" + n, "f" + m, m, "g", "\x00\xff\r\n"}, {"HDEL", "h" + n, "f" + m}, {"HGETALL", "h" + n},
		{"LPUSH", "l" + n, m, "b"}, {"LTRIM", "l" + n, "0", "5"}, {"LRANGE", "l" + n, "0", "-1"}, {"LREM", "l" + n, "1", "b"}, {"RPOPLPUSH", "l" + n, "l" + c.number(9)},
		{"SADD", "t" + n, m, "a"}, {"SREM", "t" + n, m}, {"SMEMBERS", "t" + n},
		{"ZADD", "z" + n, "0.1", m}, {"ZADD", "z" + n, "-inf", "low"}, {"ZADD", "z" + n, "1.7900000001234e12", "b"}, {"ZREMRANGEBYRANK", "z" + n, "0", "-4"}, {"ZINCRBY", "z" + n, "1e-9", m}, {"ZRANGE", "z" + n, "0", "-1", "WITHSCORES"},
		{"XADD", "x", "*", "k", m}, {"XADD", "x", "*", "k", m}, {"XDEL", "x", c.entry()}, {"XTRIM", "x", "MAXLEN", "=", "12"}, {"XLEN", "x"},
		{"XGROUP", "CREATE", c.pick("x", "y"), "g", c.pick("0", "$"), "MKSTREAM"}, {"XGROUP", "DESTROY", "y", "g"}, {"XGROUP", "CREATECONSUMER", "x", "g", "c9"},
		{"XREADGROUP", "GROUP", "g", c.pick("c1", "c2"), "COUNT", "3", "STREAMS", "x", ">"}, {"XREADGROUP", "GROUP", "g", "c1", "STREAMS", "x", "0"},
		{"XACK", "x", "g", c.entry()}, {"XAUTOCLAIM", "x", "g", c.pick("c2", "c3"), "50", "0-0", "COUNT", "2"}, {"XCLAIM", "x", "g", "c4", "0", c.entry(), "RETRYCOUNT", "7"},
		{"XPENDING", "x", "g", "-", "+", "99"}, {"XINFO", "STREAM", "x"}, {"XRANGE", "x", "-", "+"}, {"XINFO", "GROUPS", "x"},
		{"EVALSHA", sha(chaosScript), "2", "h" + n, "x", m}, {"EVALSHA", sha(chaosTTLScript), "1", "s" + n, m, c.number(300) + "1"},
		{"XCLAIM", "x", "g", "c4", "0", "1-1", "IDLE"}, // panics in the engine
	}
	if c.r.IntN(2000) == 0 {
		return c.ms, []string{"FLUSHALL"}
	}
	return c.ms, all[c.r.IntN(len(all))]
}

// see remembers the ids of entries in a reply.
func (c *chaos) see(reply string) {
	for line := range strings.SplitSeq(reply, "\r\n") {
		if len(line) > 14 && strings.HasPrefix(line, "179") && strings.Contains(line, "-") {
			c.entries = append(c.entries, line)
		}
	}
	if n := len(c.entries); n > 30 {
		c.entries = c.entries[n-30:]
	}
}

func testMachine(t testing.TB) *machine {
	t.Helper()
	m, err := newMachine()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func do(m *machine, ms int64, args ...string) string {
	c := newClient()
	m.run(c, ms, args)
	return c.out.String()
}

func state(t testing.TB, m *machine) string {
	t.Helper()
	b, err := m.export()
	if err != nil {
		t.Fatalf("export: %v", err)
	}
	var out strings.Builder
	if _, err := readFrames(b, snapHead, func(ms int64, args []string) error {
		fmt.Fprintf(&out, "%d %q\n", ms, args)
		return nil
	}); err != nil {
		t.Fatalf("the snapshot cannot be read: %v", err)
	}
	return out.String()
}

// TestTheSameRecordsGiveTheSameState runs random commands; a second machine that
// reads only what is journaled (no reads, so times come to it at other moments), and
// a third that begins with a snapshot from the middle, must be in the same state and
// give the same replies from then on.
func TestTheSameRecordsGiveTheSameState(t *testing.T) {
	for seed := range uint64(12) {
		live, replayed, restored := testMachine(t), testMachine(t), (*machine)(nil)
		c := newChaos(seed)
		for _, text := range []string{chaosScript, chaosTTLScript} {
			for _, m := range []*machine{live, replayed} {
				do(m, c.ms, "SCRIPT", "LOAD", text)
			}
		}
		const steps = 3000
		for i := range steps {
			ms, args := c.next()
			reply := do(live, ms, args...)
			c.see(reply)
			if commands[args[0]].writes {
				if got := do(replayed, ms, args...); got != reply {
					t.Fatalf("seed %d, step %d: replayed %q = %q, live %q", seed, i, args, got, reply)
				}
			}
			if restored != nil {
				if got := do(restored, ms, args...); got != reply {
					t.Fatalf("seed %d, step %d: after a snapshot %q = %q, live %q", seed, i, args, got, reply)
				}
			}
			if i%250 == 125 {
				restored = restore(t, live)
				if diff := cmp.Diff(state(t, live), state(t, restored)); diff != "" {
					t.Fatalf("seed %d: state after a snapshot differs (-live +restored):\n%s", seed, diff)
				}
			}
		}
		want := state(t, live)
		do(replayed, c.ms, "PING") // the time of the last read
		if diff := cmp.Diff(want, state(t, replayed)); diff != "" {
			t.Fatalf("seed %d: replayed state differs (-live +replayed):\n%s", seed, diff)
		}
		if diff := cmp.Diff(want, state(t, restored)); diff != "" {
			t.Fatalf("seed %d: restored state differs (-live +restored):\n%s", seed, diff)
		}
	}
}

// TestASnapshotKeepsWhatIsNoLongerInAStream: the newest id, so that none is given
// twice, and what is pending though its entry was deleted.
func TestASnapshotKeepsWhatIsNoLongerInAStream(t *testing.T) {
	m := testMachine(t)
	const at = 1_790_000_000_000
	for _, args := range [][]string{
		{"XADD", "x", "5-1", "k", "a"}, {"XADD", "x", "5-2", "k", "b"}, {"XADD", "x", strconv.Itoa(at) + "-9", "k", "c"},
		{"XGROUP", "CREATE", "x", "g", "0"}, {"XREADGROUP", "GROUP", "g", "c1", "STREAMS", "x", ">"},
		{"XDEL", "x", "5-1", strconv.Itoa(at) + "-9"},
		{"XGROUP", "CREATE", "empty", "g", "$", "MKSTREAM"}, {"XGROUP", "DESTROY", "empty", "g"},
		{"XADD", "y", strconv.Itoa(at) + "-9", "k", "c"}, {"XDEL", "y", strconv.Itoa(at) + "-9"},
	} {
		do(m, at, args...)
	}
	fresh := restore(t, m)
	for _, args := range [][]string{
		{"XPENDING", "x", "g", "-", "+", "9"}, {"XINFO", "STREAM", "x"}, {"TYPE", "empty"},
		{"XINFO", "CONSUMERS", "x", "g"}, {"XINFO", "STREAM", "empty"}, {"XADD", "y", "*", "k", "d"}, {"XADD", "x", "*", "k", "d"}, {"XREADGROUP", "GROUP", "g", "c1", "STREAMS", "x", ">"},
		{"XACK", "x", "g", "5-1", "5-2"}, {"XADD", "empty", "*", "k", "v"},
	} {
		// since when a consumer is idle is not kept
		want, _, _ := strings.Cut(do(m, at, args...), "idle")
		got, _, _ := strings.Cut(do(fresh, at, args...), "idle")
		if got != want {
			t.Errorf("%q = %q, before the snapshot %q", args, got, want)
		}
	}
}

func restore(t *testing.T, m *machine) *machine {
	t.Helper()
	b, err := m.export()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := testMachine(t)
	if err := readSnapshot(path, fresh); err != nil {
		t.Fatal(err)
	}
	return fresh
}

func TestKeysExpireAtTheirTimeAndNotBefore(t *testing.T) {
	m := testMachine(t)
	at := int64(1_790_000_000_000)
	do(m, at, "SET", "a", "1", "PX", "100")
	do(m, at+30, "SET", "b", "1") // no time to live: nothing is counted down
	do(m, at+40, "SET", "c", "1", "PX", "100")
	do(m, at+50, "SCRIPT", "LOAD", chaosTTLScript)
	if got := do(m, at+60, "EVALSHA", sha(chaosTTLScript), "1", "d", "1", "100"); got != ":100\r\n" {
		t.Errorf("script = %q, want the whole time to live", got)
	}
	for _, tt := range []struct {
		at   int64
		want string
	}{{99, ":4\r\n"}, {100, ":3\r\n"}, {139, ":3\r\n"}, {140, ":2\r\n"}, {159, ":2\r\n"}, {160, ":1\r\n"}, {10_000, ":1\r\n"}} {
		if got := do(m, at+tt.at, "EXISTS", "a", "b", "c", "d"); got != tt.want {
			t.Errorf("after %d ms EXISTS = %q, want %q", tt.at, got, tt.want)
		}
	}
}

func TestScriptsCannotHideATimeToLive(t *testing.T) {
	m := testMachine(t)
	hidden := `return redis.call('PEX' .. 'PIRE', KEYS[1], 5)`
	do(m, 1, "SCRIPT", "LOAD", hidden)
	do(m, 1, "SET", "k", "v")
	if got := do(m, 1, "EVALSHA", sha(hidden), "1", "k"); !strings.Contains(got, "must find PEXPIRE") {
		t.Errorf("a script that hides a time to live = %q, want it refused", got)
	}
	for _, call := range []string{`redis.call('SPOP', 'k')`, `redis.call('SRANDMEMBER', 'k')`, `redis.call('BLPOP', 'k', 0)`,
		`redis.call('XREAD', 'BLOCK', 0, 'STREAMS', 'k', '$')`, `redis.call('MULTI')`, `redis.call('SELECT', 1)`, `redis.call('EVAL', 'return 1', 0)`,
		`redis.call('GEOPOS', 'k', 'm')`} {
		do(m, 1, "SCRIPT", "LOAD", call)
		if got := do(m, 1, "EVALSHA", sha(call), "0"); !strings.HasPrefix(got, "-") {
			t.Errorf("script %s = %q, want an error", call, got)
		}
	}
	if got := do(m, 2, "GET", "k"); got != "$1\r\nv\r\n" {
		t.Errorf("GET afterwards = %q: the engine is stuck or changed", got)
	}
}

func BenchmarkExpiryWithManyKeys(b *testing.B) {
	m := testMachine(b)
	for i := range 20_000 {
		do(m, 1, "SET", "k"+strconv.Itoa(i), "v")
	}
	do(m, 1, "SET", "lock", "holder", "PX", "100000000")
	ms := int64(2)
	for b.Loop() {
		ms++
		do(m, ms, "GET", "k7")
	}
}

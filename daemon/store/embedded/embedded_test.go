package embedded_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/embedded"
)

// childDir names the directory that a child process serves.
const childDir = "SPARK_TEST_EMBEDDED_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child serves a directory until it is killed, or its standard input ends.
func child(dir string) int {
	e, err := embedded.Open(embedded.Options{Dir: dir, SnapshotEvery: 100})
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Println(e.Addr())
	if err := errors.Join(e.Run(ctx), e.Close()); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// startChild starts a child and returns its address.
func startChild(t *testing.T, dir string) (cmd *exec.Cmd, addr string) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatalf("child: %s %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

func client(t testing.TB, addr string) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: addr, Protocol: 2, MaxRetries: -1, ReadTimeout: time.Minute, PoolSize: 80})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// start serves a directory in this process; stop ends it.
func start(t testing.TB, o embedded.Options) (e *embedded.Engine, c *goredis.Client, stop func()) {
	t.Helper()
	e, err := embedded.Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	t.Cleanup(stop)
	return e, client(t, e.Addr()), stop
}

// TestKillLosesNothingAcknowledged kills a child in the middle of writes, 25 times
// on the same directory, with a snapshot at every hundred records: what was
// acknowledged is there, and of what was not, at most the one that was under way.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	const writers = 6
	var acked [writers]int64
	const script = `local n = redis.call('INCR', KEYS[1]) redis.call('XADD', KEYS[2], '*', 'n', n) return n`
	for round := range 25 {
		cmd, addr := startChild(t, dir)
		c := client(t, addr)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var left atomic.Int64 // writes until the kill: time alone is little on a busy machine
		left.Store(int64(1 + rand.IntN(80)))
		enough := make(chan struct{})
		for w := range writers {
			wg.Go(func() {
				for ctx.Err() == nil {
					keys := []string{fmt.Sprint("n", w), fmt.Sprint("x", w)}
					n, err := c.Eval(ctx, script, keys).Int64()
					if err != nil {
						return
					}
					acked[w] = n
					if left.Add(-1) == 0 {
						close(enough)
					}
				}
			})
		}
		select {
		case <-enough:
		case <-time.After(time.Minute):
			t.Fatal("too few writes in a minute")
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		wg.Wait()
		cancel()

		_, c, stop := start(t, embedded.Options{Dir: dir})
		for w := range writers {
			n, err := c.Get(t.Context(), fmt.Sprint("n", w)).Int64()
			if err != nil && !errors.Is(err, goredis.Nil) {
				t.Fatal(err)
			}
			if n < acked[w] || n > acked[w]+1 {
				t.Errorf("round %d: writer %d: %d is stored, %d was acknowledged", round, w, n, acked[w])
			}
			if length := c.XLen(t.Context(), fmt.Sprint("x", w)).Val(); length != n {
				t.Errorf("round %d: writer %d: %d entries for %d: half a script", round, w, length, n)
			}
			acked[w] = n
		}
		stop()
	}
	total := int64(0)
	for _, n := range acked {
		total += n
	}
	t.Logf("%d acknowledged writes, 25 kills", total)
}

// TestTheEndOfTheJournalIsCutWhereverItTore cuts the last record at every byte.
func TestTheEndOfTheJournalIsCutWhereverItTore(t *testing.T) {
	dir := t.TempDir()
	_, c, stop := start(t, embedded.Options{Dir: dir})
	if err := c.Set(t.Context(), "k", "safe", 0).Err(); err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(dir, "journal-0000000000")
	safe, err := os.Stat(journal)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Set(t.Context(), "k", "last", 0).Err(); err != nil {
		t.Fatal(err)
	}
	stop()
	whole, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	for cut := int(safe.Size()); cut <= len(whole); cut++ {
		dir := t.TempDir()
		path := filepath.Join(dir, filepath.Base(journal))
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		_, c, stop := start(t, embedded.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
		want := "safe"
		if cut == len(whole) {
			want = "last"
		}
		if got := c.Get(t.Context(), "k").Val(); got != want {
			t.Errorf("cut at byte %d: %q, want %q", cut, got, want)
		}
		if err := c.Set(t.Context(), "k", "on", 0).Err(); err != nil {
			t.Errorf("cut at byte %d: not writable: %v", cut, err)
		}
		stop()
		dropped := cut - int(safe.Size())
		if said := strings.Contains(log.String(), fmt.Sprint("bytes=", dropped)); said != (dropped > 0 && cut < len(whole)) {
			t.Errorf("cut at byte %d: log %q, want the %d bytes dropped", cut, log.String(), dropped)
		}
		_, c, stop = start(t, embedded.Options{Dir: dir})
		if got := c.Get(t.Context(), "k").Val(); got != "on" {
			t.Errorf("cut at byte %d, then written: %q, want %q", cut, got, "on")
		}
		stop()
	}
}

func TestASecondProcessIsRefusedAndToldWho(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := startChild(t, dir)
	_, err := embedded.Open(embedded.Options{Dir: dir})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
		t.Fatalf("Open = %v, want ErrLocked with pid %d", err, cmd.Process.Pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	_, _, stop := start(t, embedded.Options{Dir: dir}) // free at once
	if _, err := embedded.Open(embedded.Options{Dir: dir}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Open beside one in this process = %v, want ErrLocked", err)
	}
	stop()
}

func TestCallersShareAnFsync(t *testing.T) {
	e, c, _ := start(t, embedded.Options{Dir: t.TempDir()})
	const callers, each = 64, 50
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if err := c.Incr(t.Context(), "n").Err(); err != nil {
					t.Errorf("Incr: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	s := e.Stats()
	if s.Records != callers*each || s.Syncs >= s.Records/2 || s.Syncs == 0 {
		t.Errorf("%d records with %d fsyncs, want far fewer", s.Records, s.Syncs)
	}
	t.Logf("%d records, %d fsyncs", s.Records, s.Syncs)
	before := s.Syncs
	_, err := c.Pipelined(t.Context(), func(p goredis.Pipeliner) error {
		for range 1000 {
			p.Incr(t.Context(), "n")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := e.Stats().Syncs - before; n > 20 {
		t.Errorf("a pipeline of 1000 took %d fsyncs, want a few", n)
	}
	before = e.Stats().Syncs
	if n := c.Get(t.Context(), "n").Val(); n != strconv.Itoa(callers*each+1000) {
		t.Errorf("n = %s, want %d", n, callers*each+1000)
	}
	if n := e.Stats().Syncs; n != before {
		t.Error("a read is written to the journal")
	}
}

func TestSnapshotsAreTakenWhileItWorks(t *testing.T) {
	dir := t.TempDir()
	e, c, stop := start(t, embedded.Options{Dir: dir, SnapshotEvery: 200})
	var sum atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 400 {
				if err := c.HIncrBy(t.Context(), fmt.Sprint("h", w), fmt.Sprint("f", i%7), 1).Err(); err != nil {
					t.Errorf("HIncrBy: %v", err)
					return
				}
				sum.Add(1)
			}
		})
	}
	wg.Wait()
	stop()
	if n := e.Stats().Snapshots; n < 2 {
		t.Errorf("%d snapshots for %d records, want several", n, sum.Load())
	}
	_, c, _ = start(t, embedded.Options{Dir: dir})
	total := 0
	for w := range 8 {
		for _, v := range c.HVals(t.Context(), fmt.Sprint("h", w)).Val() {
			n, _ := strconv.Atoi(v)
			total += n
		}
	}
	if int64(total) != sum.Load() {
		t.Errorf("%d increments are stored, %d were acknowledged", total, sum.Load())
	}
}

func TestWhatSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	_, c, stop := start(t, embedded.Options{Dir: dir})
	const script = `return redis.call('INCRBY', KEYS[1], ARGV[1])`
	if n, err := c.Eval(ctx, script, []string{"n"}, 5).Int(); n != 5 || err != nil {
		t.Fatalf("Eval = %d, %v", n, err)
	}
	sha := c.ScriptLoad(ctx, script).Val()
	c.Set(ctx, "soon", "v", 300*time.Millisecond)
	c.Set(ctx, "later", "v", time.Hour)
	c.Set(ctx, "gone", "v", 0)
	if err := c.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	c.Set(ctx, "soon", "v", 300*time.Millisecond)
	c.Set(ctx, "later", "v", time.Hour)
	stop()
	_, c, _ = start(t, embedded.Options{Dir: dir})
	if n, err := c.EvalSha(ctx, sha, []string{"n"}, 5).Int(); n != 5 || err != nil {
		t.Errorf("EvalSha after a restart = %d, %v, want the script to be known", n, err)
	}
	if diff := cmp.Diff([]string{"later", "n"}, c.Keys(ctx, "[glmn]*").Val()); diff != "" {
		t.Errorf("keys differ (-want +got):\n%s", diff)
	}
	if ttl := c.PTTL(ctx, "later").Val(); ttl <= 59*time.Minute || ttl > time.Hour {
		t.Errorf("time to live of later = %s, want what is left of an hour", ttl)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); c.Exists(ctx, "soon").Val() != 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("soon does not expire")
		}
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	_, c, _ := start(t, embedded.Options{Dir: t.TempDir()})
	for _, tt := range []struct {
		command string
		want    string
	}{
		{"MULTI", "use a script"}, {"WATCH k", "use a script"}, {"BLPOP k 0", "would block"},
		{"XREAD BLOCK 0 STREAMS x $", "would block"}, {"XREADGROUP GROUP g c BLOCK 5 STREAMS x >", "would block"},
		{"SUBSCRIBE c", "nobody to hear"}, {"SELECT 1", "one database"}, {"MOVE k 1", "one database"}, {"SPOP k", "repeated"},
		{"HEXPIRE h 5 FIELDS 1 f", "fields"}, {"GEOSEARCH k", "is not served"}, {"NONSENSE a", "unknown command"},
		{"SHUTDOWN", "unknown command"}, {"CONFIG GET *", "unknown command"}, {"DEBUG SLEEP 0", "unknown command"},
		{"EVALSHA ffff 0", "NOSCRIPT"}, {"XCLAIM x g c 0 1-1 IDLE", "malformed"},
	} {
		args := []any{}
		for part := range strings.FieldsSeq(tt.command) {
			args = append(args, part)
		}
		if err := c.Do(t.Context(), args...).Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s = %v, want %q", tt.command, err, tt.want)
		}
	}
	for _, script := range []string{"return math.random()", "this is no Lua", "return redis.call('SPOP', 'k')", "return KEYS["} {
		if err := c.Eval(t.Context(), script, nil).Err(); err == nil {
			t.Errorf("EVAL %q = nil, want an error", script)
		}
	}
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("PING afterwards = %v", err)
	}
	if err := c.Do(t.Context(), "SELECT", "0").Err(); err != nil {
		t.Errorf("SELECT 0 = %v", err)
	}
}

func TestAWebPageCannotSpeakToIt(t *testing.T) {
	e, c, _ := start(t, embedded.Options{Dir: t.TempDir()})
	conn, err := net.Dial("tcp", e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")
	answer, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "-ERR protocol error") {
		t.Errorf("answer = %q, want a protocol error", answer)
	}
	if n := c.Exists(t.Context(), "k").Val(); n != 0 {
		t.Error("a web page wrote a key")
	}
}

func TestOnlyLoopbackIsListenedOn(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.168.1.1:0", "example.com:0", "nonsense"} {
		if e, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Addr: addr}); err == nil {
			_ = e.Close()
			t.Errorf("Open(%s) = nil, want an error", addr)
		}
	}
	if _, err := embedded.Open(embedded.Options{}); err == nil {
		t.Error("Open without a directory = nil, want an error")
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	_, c, stop := start(t, embedded.Options{Dir: dir, SnapshotEvery: 5})
	for range 50 {
		c.Incr(t.Context(), "n")
	}
	stop()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v, want 0700", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want 0600", entry.Name(), info.Mode(), err)
		}
	}
}

func TestRedisCLI(t *testing.T) {
	binary, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed")
	}
	e, c, _ := start(t, embedded.Options{Dir: t.TempDir()})
	c.Set(t.Context(), "spark:alerts:scheduler:lock", "executor-1", time.Minute)
	_, port, _ := net.SplitHostPort(e.Addr())
	out, err := exec.CommandContext(t.Context(), binary, "-p", port, "GET", "spark:alerts:scheduler:lock").Output()
	if err != nil || strings.TrimSpace(string(out)) != "executor-1" {
		t.Errorf("redis-cli GET = %q, %v, want the holder", out, err)
	}
}

func TestAPartOfARequestHoldsNoReplyBack(t *testing.T) {
	e, _, _ := start(t, embedded.Options{Dir: t.TempDir()})
	conn, err := net.Dial("tcp", e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(conn)
	_, _ = io.WriteString(conn, "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI")
	if line, err := r.ReadString('\n'); line != "+PONG\r\n" {
		t.Fatalf("first reply = %q, %v", line, err)
	}
	_, _ = io.WriteString(conn, "NG\r\n")
	if line, err := r.ReadString('\n'); line != "+PONG\r\n" {
		t.Fatalf("second reply = %q, %v", line, err)
	}
}

func BenchmarkIncr(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			_, c, _ := start(b, embedded.Options{Dir: b.TempDir()})
			b.SetParallelism((callers + 1) / 2) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := c.Incr(b.Context(), "n").Err(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

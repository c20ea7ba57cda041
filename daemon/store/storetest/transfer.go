package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
)

func transferTests() []test {
	return []test{
		{"what was exported is imported and exported the same", testRoundTripFile},
		{"a store that is not empty is kept, unless it is to be replaced", testImportReplace},
		{"a store at work is left alone", testImportInUse},
		{"a damaged file is refused before anything is written", testImportDamaged},
		{"an import that is interrupted leaves nothing, or says what it left", testImportInterrupted},
		{"the epoch is never lowered", testImportEpoch},
		{"the lock, the registry and what is not Spark's stay behind", testNotExported},
		{"a store written to meanwhile is said to be", testExportChanged},
	}
}

// export returns the store as a file.
func (e *env) export(t testing.TB) ([]byte, redis.Exported) {
	t.Helper()
	var b bytes.Buffer
	out, err := e.Export(e.ctx, &b, nil)
	if err != nil {
		t.Fatalf("Export: %v", err)
	}
	return b.Bytes(), out
}

func (e *env) importFile(t testing.TB, data []byte, replace bool) redis.Imported {
	t.Helper()
	out, err := e.Import(e.ctx, bytes.NewReader(data), redis.ImportOptions{Replace: replace})
	if err != nil {
		t.Fatalf("Import: %v", err)
	}
	return out
}

// flush empties the server.
func (e *env) flush(t testing.TB) {
	t.Helper()
	e.do(t, "FLUSHALL")
}

// everything fills a store with what is hard to move, and ends the leadership.
func (e *env) everything(t testing.TB) {
	t.Helper()
	tok, alerts := e.inUse(t)
	if err := e.DeleteAlert(e.ctx, alerts[1].ID); err != nil {
		t.Fatal(err)
	}
	e.do(t, "XGROUP", "CREATECONSUMER", e.key("outbox"), "relay", "idle consumer")
	e.do(t, "XGROUP", "CREATE", e.key("outbox:dead"), "readers \xff", "0-0")
	e.do(t, "XDEL", e.key("changes"), newestOf(t, e, "changes"))
	pending := e.do(t, "XPENDING", e.key("outbox"), "relay", "-", "+", 1).([]any)[0].([]any)[0]
	e.do(t, "XDEL", e.key("outbox"), pending) // pending, and gone
	e.do(t, "HSET", e.key("watermark"), "bin\xff\x00", "\xfe\n\"\\\u2028")
	e.do(t, "ZADD", e.key("outbox:delayed"), "0.30000000000000004", "a", "-inf", "b", "+inf", "c", "1e-300", "d", "9007199254740993", "e", "0.1", "f")
	e.do(t, "SET", e.key("rate:webhook"), "12", "PX", 86_400_123)
	e.do(t, "SET", e.key("damaged:alert:x"), "kept")
	e.do(t, "HSET", e.key("hold:webhook"), "until", "5")
	e.do(t, "PEXPIRE", e.key("hold:webhook"), 172_800_001)
	if err := e.Release(e.ctx, tok); err != nil {
		t.Fatal(err)
	}
}

func newestOf(t testing.TB, e *env, name string) any {
	return e.do(t, "XREVRANGE", e.key(name), "+", "-", "COUNT", 1).([]any)[0].([]any)[0]
}

func testRoundTripFile(t *testing.T, e *env) {
	e.everything(t)
	before := e.dump(t)
	file, out := e.export(t)
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Fatalf("an export changed the store:\n%s", diff)
	}
	if out.Changed || len(out.Unknown)+len(out.Foreign) > 0 || out.Records < 20 {
		t.Errorf("Export = %+v, want everything", out)
	}
	e.flush(t)
	in := e.importFile(t, file, false)
	if in.Summary != out.Summary || in.Namespace != e.ns || in.Replaced != 0 {
		t.Errorf("Import = %+v, want %+v", in, out.Summary)
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Errorf("the store after export and import (-before +after):\n%s", diff)
	}
	again, _ := e.export(t)
	if diff := cmp.Diff(string(file), string(again)); diff != "" {
		t.Errorf("exported again (-first +again):\n%s", diff)
	}
	// It works: the claims of before are taken over, and nobody's id is given twice.
	tok, err := e.Acquire(e.ctx, "h2", "n2", time.Hour, 0)
	if err != nil || !tok.Held || tok.Token.Epoch <= 7 {
		t.Fatalf("Acquire after an import = %+v, %v", tok, err)
	}
	e.trigger(t, tok.Token, event(sample(3), 1, "webhook"))
	if list := claim(t, e, "relay-2", 100, 0); len(list) < 2 {
		t.Errorf("%d deliveries claimed after an import", len(list))
	}
}

func testImportReplace(t *testing.T, e *env) {
	e.create(t, sample(1))
	file, _ := e.export(t)
	e.create(t, sample(2))
	before := e.dump(t)
	_, err := e.Import(e.ctx, bytes.NewReader(file), redis.ImportOptions{})
	if !errors.Is(err, redis.ErrNotEmpty) {
		t.Errorf("Import into a store with alerts = %v, want ErrNotEmpty", err)
	}
	if diff := cmp.Diff(before, e.dump(t)); diff != "" {
		t.Fatalf("a refused import changed the store:\n%s", diff)
	}
	another := "another:program:{" + e.key("scheduler:lock") + "}" // a Cluster has it beside ours
	e.do(t, "SET", another, "x")
	if out := e.importFile(t, file, true); out.Replaced != 4 {
		t.Errorf("Import = %+v, want 4 keys replaced", out)
	}
	if list, _, err := e.Alerts(e.ctx); err != nil || len(list) != 1 || list[0].ID != sample(1).ID {
		t.Errorf("Alerts = %v, %v; want the first", list, err)
	}
	if again, _ := e.export(t); !bytes.Equal(file, again) {
		t.Errorf("exported again:\n%s", cmp.Diff(string(file), string(again)))
	}
	if v := e.do(t, "GET", another); v != "x" {
		t.Errorf("another program's key = %v, want it untouched", v)
	}
}

func testImportInUse(t *testing.T, e *env) {
	file, _ := e.export(t)
	if _, err := e.Beat(e.ctx, store.Member{ID: "alive-1"}, false); err != nil {
		t.Fatal(err)
	}
	_, err := e.Import(e.ctx, bytes.NewReader(file), redis.ImportOptions{Replace: true})
	if !errors.Is(err, redis.ErrInUse) || !strings.Contains(err.Error(), "alive-1") {
		t.Errorf("Import beside a living process = %v, want ErrInUse and its name", err)
	}
	e.flush(t)
	e.lead(t, "leader-1")
	_, err = e.Import(e.ctx, bytes.NewReader(file), redis.ImportOptions{Replace: true})
	if !errors.Is(err, redis.ErrInUse) || !strings.Contains(err.Error(), "leader-1") {
		t.Errorf("Import beside a leader = %v, want ErrInUse and its name", err)
	}
}

func testImportDamaged(t *testing.T, e *env) {
	e.everything(t)
	file, _ := e.export(t)
	e.flush(t)
	foreign := bytes.Replace(file, []byte(`"key":"alerts:index"`), []byte(`"key":"alerts:endex"`), 1)
	lines := bytes.SplitAfter(file, []byte("\n"))
	for name, data := range map[string][]byte{
		"cut in a line": file[:len(file)*2/3], "without its trailer": bytes.Join(lines[:len(lines)-2], nil),
		"a line missing": bytes.Join(slices.Delete(slices.Clone(lines), 3, 4), nil), "a foreign key": foreign, "empty": nil,
	} {
		_, err := e.Import(e.ctx, bytes.NewReader(data), redis.ImportOptions{Replace: true})
		if err == nil || len(data) > 0 && !strings.Contains(err.Error(), "line ") {
			t.Errorf("Import of a file %s = %v, want an error that names the line", name, err)
		}
		if left := e.dump(t); left != "" {
			t.Fatalf("Import of a file %s wrote:\n%s", name, left)
		}
	}
}

func testImportInterrupted(t *testing.T, e *env) {
	for n := range 450 {
		e.create(t, sample(n))
	}
	file, _ := e.export(t)
	interrupted := func(replace bool) error {
		ctx, stop := context.WithCancel(e.ctx)
		defer stop()
		_, err := e.Import(ctx, bytes.NewReader(file), redis.ImportOptions{Replace: replace, Progress: func(done, _ int) { stop() }})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("Import that is interrupted = %v, want context.Canceled", err)
		}
		return err
	}
	e.flush(t)
	if err := interrupted(false); !strings.Contains(err.Error(), "nothing was left") {
		t.Errorf("interrupted: %v", err)
	}
	if left := e.dump(t); left != "" {
		t.Errorf("an import into an empty store that was interrupted left:\n%s", left)
	}
	e.importFile(t, file, false)
	if err := interrupted(true); !strings.Contains(err.Error(), "run the same import again, with --replace") {
		t.Errorf("interrupted: %v", err)
	}
	if found, _ := e.fsck(t, true); !slices.Contains(found, "import unfinished-import damaged") {
		t.Errorf("fsck after an interrupted import finds %q", found)
	}
	if _, err := e.Export(e.ctx, &bytes.Buffer{}, nil); !errors.Is(err, redis.ErrImportUnfinished) {
		t.Errorf("Export after an interrupted import = %v, want ErrImportUnfinished", err)
	}
	if _, err := e.Import(e.ctx, bytes.NewReader(file), redis.ImportOptions{}); !errors.Is(err, redis.ErrNotEmpty) {
		t.Errorf("Import over an interrupted one = %v, want ErrNotEmpty", err)
	}
	e.importFile(t, file, true)
	if again, _ := e.export(t); !bytes.Equal(file, again) {
		t.Error("the import that was run again did not bring back the same")
	}
	e.mustClean(t, "after the import that was run again")
}

func testImportEpoch(t *testing.T, e *env) {
	term := "{" + e.key("scheduler:lock") + "}:term"
	e.do(t, "HSET", term, "holder", "a", "epoch", "2000000000000", "state", "released")
	low, _ := e.export(t)
	e.do(t, "HSET", term, "epoch", "2000000000007")
	if out := e.importFile(t, low, true); out.Epoch != 2000000000007 {
		t.Errorf("Import = %+v, want the store's epoch kept", out)
	}
	if v := e.do(t, "HGET", term, "epoch"); v != "2000000000007" {
		t.Errorf("epoch = %v, want the higher one", v)
	}
	e.flush(t)
	e.importFile(t, low, false)
	g, err := e.Acquire(e.ctx, "b", "n", time.Hour, 0)
	if err != nil || !g.Held || g.Token.Epoch != 2000000000001 {
		t.Errorf("Acquire after an import = %+v, %v; want the epoch above the file's", g, err)
	}
}

func testNotExported(t *testing.T, e *env) {
	e.lead(t, "h")
	if _, err := e.Beat(e.ctx, store.Member{ID: "m"}, false); err != nil {
		t.Fatal(err)
	}
	e.do(t, "SET", e.key("blue:alerts:index"), "of another namespace")
	e.do(t, "SET", "spark:other:{"+e.key("scheduler:lock")+"}", "x")
	file, out := e.export(t)
	if diff := cmp.Diff([]string{"scheduler:executors", "scheduler:lock"}, out.NotMoved); diff != "" {
		t.Errorf("not moved (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{e.key("blue:alerts:index")}, out.Foreign); diff != "" {
		t.Errorf("foreign (-want +got):\n%s", diff)
	}
	if !bytes.Contains(file, []byte(`"key":"scheduler:term"`)) || bytes.Contains(file, []byte("blue")) || bytes.Contains(file, []byte("scheduler:lock\"")) {
		t.Errorf("file:\n%s", file)
	}
}

func testExportChanged(t *testing.T, e *env) {
	for n := range 300 {
		e.create(t, sample(n))
	}
	var b bytes.Buffer
	once := false
	out, err := e.Export(e.ctx, &b, func(int, int) {
		if !once {
			once = true
			e.create(t, sample(1000))
		}
	})
	if err != nil || !out.Changed {
		t.Errorf("Export = %+v, %v; want it to say that the store changed", out, err)
	}
}

// Transfer moves a full store from one server to another and back, and wants the same
// bytes everywhere.
func Transfer(t *testing.T, from, to Open) {
	a := newEnv(t, from)
	a.everything(t)
	file, _ := a.export(t)
	b := newEnv(t, to)
	b.importFile(t, file, false)
	there, _ := b.export(t)
	if diff := cmp.Diff(string(file), string(there)); diff != "" {
		t.Fatalf("exported there (-here +there):\n%s", diff)
	}
	c := newEnv(t, from)
	c.flush(t)
	c.importFile(t, there, false)
	back, _ := c.export(t)
	if !bytes.Equal(file, back) {
		t.Errorf("exported back (-here +back):\n%s", cmp.Diff(string(file), string(back)))
	}
	c.mustSound(t, file)
}

// mustSound wants what everything made to be the same to users of the store.
func (e *env) mustSound(t testing.TB, file []byte) {
	t.Helper()
	list, damage, err := e.Alerts(e.ctx)
	if err != nil || len(list) != 2 || len(damage) > 0 {
		t.Errorf("Alerts = %d, damage %v, %v; want 2", len(list), damage, err)
	}
	h, err := e.History(e.ctx, sample(1).ID, 0)
	if err != nil || len(h) != 5 || h[0].Event.Value["close"] != 0.1+0.2 {
		t.Errorf("History = %+v, %v; want the 5 events", h, err)
	}
	if n := bytes.Count(file, []byte("\n")); n < 20 {
		t.Errorf("the file has %d lines", n)
	}
}

// TransferMany moves n alerts and reports how long it took.
func TransferMany(t *testing.T, from, to Open, n int) {
	a, b := newEnv(t, from), newEnv(t, to)
	began := time.Now()
	step := func(what string) {
		t.Logf("%s of %d alerts: %s", what, n, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	fillMany(t, a, n)
	step("creation")
	file, _ := a.export(t)
	step(fmt.Sprintf("export (%d MB)", len(file)>>20))
	b.importFile(t, file, false)
	step("import")
	if again, _ := b.export(t); !bytes.Equal(file, again) {
		t.Error("exported again: other bytes")
	}
	step("export again")
	if _, r := b.fsck(t, false); r.Damaged > 0 || r.Alerts != int64(n) {
		t.Errorf("fsck = %+v, want %d alerts and nothing damaged", r, n)
	}
	step("fsck")
}

// fillMany writes alerts by the pipeline, with an event and a delivery each.
func fillMany(t testing.TB, e *env, n int) {
	t.Helper()
	tok := e.lead(t, "h")
	for first := 0; first < n; first += 100 {
		var alerts []alert.Alert
		var events []alert.Event
		for i := first; i < min(n, first+100); i++ {
			alerts = append(alerts, sample(i))
			if i%10 == 0 {
				events = append(events, event(sample(i), 1, "webhook"))
			}
		}
		e.create(t, alerts...)
		e.trigger(t, tok, events...)
	}
	if err := e.Release(e.ctx, tok); err != nil {
		t.Fatal(err)
	}
}

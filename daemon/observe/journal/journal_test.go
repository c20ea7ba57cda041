package journal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/daemon/observe/journal"
)

var t0 = time.Date(2025, 10, 11, 0, 0, 0, 0, time.UTC)

func open(t testing.TB, path string, o journal.Options) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func shut(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// fill appends n records, 1.44 s apart.
func fill(t testing.TB, j *journal.Journal, n int) []chain.Record {
	t.Helper()
	out := make([]chain.Record, 0, n)
	for i := range n {
		at := t0.Add(time.Duration(j.Head().Seq) * 1440 * time.Millisecond)
		rec, err := j.Append(at, "spark", "machine", "verdict", map[string]any{"check": "redis", "n": i, "words": "used < 12 MiB"})
		if err != nil {
			t.Fatalf("Append: %v", err)
		}
		out = append(out, rec)
	}
	return out
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatIsAppendedIsThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.journal")
	j := open(t, path, journal.Options{Start: t0.Add(-time.Second)})
	want := fill(t, j, 3)
	if got := want[2]; got.Seq != 3 || got.At != t0.UnixMilli()+2880 || got.Mono != 3880 || string(got.Body) != `{"check":"redis","n":2,"words":"used < 12 MiB"}` {
		t.Errorf("third record is %+v", got)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	shut(t, j)
	shut(t, j) // twice is once
	if _, err := j.Append(t0, "", "", "late", nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Append after Close = %v, want os.ErrClosed", err)
	}
	for range 2 {
		var seen []chain.Record
		j = open(t, path, journal.Options{Replay: func(r chain.Record) error { seen = append(seen, r); return nil }})
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("replayed:\n%s", diff)
		}
		if j.Head() != want[len(want)-1].Head() || j.Cut() != nil || j.Path() != path {
			t.Errorf("head %v, cut %q, path %s, want %v and nothing cut", j.Head(), j.Cut(), j.Path(), want[len(want)-1].Head())
		}
		if rest := fill(t, j, 2); rest[0].Mono != 0 || rest[1].Mono != 1440 {
			t.Errorf("mono of a new writer without start: %d, %d, want 0, 1440", rest[0].Mono, rest[1].Mono)
		} else {
			want = append(want, rest...)
		}
		got, err := j.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("read:\n%s", diff)
		}
		shut(t, j)
	}
	if head, err := chain.Verify(bytes.NewReader(readFile(t, path))); err != nil || head != want[len(want)-1].Head() {
		t.Errorf("Verify = %v, %v", head, err)
	}
}

func TestAfterSkipsWhatIsKnown(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "run.journal"), journal.Options{})
	for range j.Records() {
		t.Error("a new journal has a record")
	}
	all := fill(t, j, 6)
	for seq := int64(-1); seq <= 8; seq++ {
		var got []chain.Record
		for rec, err := range j.After(seq) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, rec)
		}
		if diff := cmp.Diff(all[min(max(seq, 0), 6):], append([]chain.Record{}, got...)); diff != "" {
			t.Errorf("after %d:\n%s", seq, diff)
		}
	}
	for rec := range j.After(3) {
		if rec.Seq != 4 {
			t.Errorf("first after 3 is %d", rec.Seq)
		}
		if _, err := j.Append(t0, "", "", "while reading", nil); err != nil { // a reader locks nobody out
			t.Error(err)
		}
		if rec.Seq == 4 {
			break
		}
	}
}

func TestAFileThatChangesUnderTheJournalIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.journal")
	j := open(t, path, journal.Options{})
	fill(t, j, 5)
	data := readFile(t, path)
	third := bytes.Index(data, []byte(`{"seq":3`))
	data[third+20] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for after := range int64(4) {
		var last error
		for _, err := range j.After(after) {
			last = err
		}
		var b *chain.Broken
		if !errors.As(last, &b) || b.Seq != 3 || b.Offset != int64(third) || !strings.Contains(last.Error(), path) {
			t.Errorf("After(%d) = %v, want record 3 of the file broken at byte %d", after, last, third)
		}
	}
	for _, err := range j.After(4) {
		if err != nil {
			t.Errorf("After(4) = %v, want nil", err)
		}
	}
	if _, err := j.ReadAll(); err == nil {
		t.Error("ReadAll of a changed file = nil, want an error")
	}
}

func TestASecondOpenerIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.journal")
	j := open(t, path, journal.Options{})
	fill(t, j, 1)
	if _, err := journal.Open(path, journal.Options{}); !errors.Is(err, journal.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("second Open = %v, want ErrLocked with the path", err)
	}
	if head, err := chain.Verify(bytes.NewReader(readFile(t, path))); err != nil || head != j.Head() {
		t.Errorf("an onlooker reads %v, %v, want %v", head, err, j.Head())
	}
	shut(t, j)
	open(t, path, journal.Options{})
}

func TestWhatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{"a directory": dir, "no directory": filepath.Join(dir, "none", "run.journal")} {
		if _, err := journal.Open(path, journal.Options{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open of %s = %v, want an error with the path", name, err)
		}
	}
	path := filepath.Join(dir, "run.journal")
	j := open(t, path, journal.Options{})
	fill(t, j, 3)
	shut(t, j)
	refused := errors.New("not mine")
	_, err := journal.Open(path, journal.Options{Replay: func(r chain.Record) error {
		if r.Seq == 2 {
			return refused
		}
		return nil
	}})
	if !errors.Is(err, refused) || !strings.Contains(err.Error(), "record 2") {
		t.Errorf("Open with a Replay that refuses = %v, want its error with the record", err)
	}
	open(t, path, journal.Options{}) // the lock was let go
}

// TestTheEndIsCutWhereverItTore cuts the file in its last record at every byte.
func TestTheEndIsCutWhereverItTore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run.journal")
	j := open(t, path, journal.Options{})
	fill(t, j, 3)
	safe, head := len(readFile(t, path)), j.Head()
	fill(t, j, 1)
	shut(t, j)
	whole := readFile(t, path)
	for cut := safe; cut < len(whole); cut++ {
		for _, zeros := range []int{0, 4096} {
			if zeros > 0 && cut%9 != 0 {
				continue
			}
			remains := append(bytes.Clone(whole[safe:cut]), make([]byte, zeros)...)
			if err := os.WriteFile(path, append(bytes.Clone(whole[:safe]), remains...), 0o600); err != nil {
				t.Fatal(err)
			}
			j, err := journal.Open(path, journal.Options{})
			if err != nil {
				t.Fatalf("cut at byte %d, %d zeros: %v", cut, zeros, err)
			}
			if !bytes.Equal(j.Cut(), remains) || j.Head() != head || len(readFile(t, path)) != safe {
				t.Fatalf("cut at byte %d, %d zeros: cut %q, head %v, want %q, %v", cut, zeros, j.Cut(), j.Head(), remains, head)
			}
			if cut%40 == 0 {
				fill(t, j, 1)
				if got := readFile(t, path); !bytes.HasPrefix(got, whole[:safe]) {
					t.Fatalf("cut at byte %d: the file does not go on where it was cut", cut)
				}
				if _, err := j.ReadAll(); err != nil {
					t.Fatalf("cut at byte %d: %v", cut, err)
				}
			}
			shut(t, j)
		}
	}
}

func TestABrokenFileIsRefusedAndLeftAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.journal")
	j := open(t, path, journal.Options{})
	fill(t, j, 4)
	shut(t, j)
	whole := readFile(t, path)
	lines := bytes.SplitAfter(whole, []byte("\n"))[:4]
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-1] ^= 0x40
	for name, tt := range map[string]struct {
		data []byte
		seq  int64
	}{
		"a verdict changed":      {bytes.Replace(whole, []byte(`"n":2`), []byte(`"n":3`), 1), 3},
		"the second deleted":     {slice(lines[0], lines[2], lines[3]), 2},
		"the last newline":       {flipped, 4},
		"another file":           {[]byte("# notes\n"), 1},
		"torn in the middle":     {slice(lines[0], lines[1][:50], lines[2], lines[3]), 2},
		"and torn at the end":    {slice(lines[0], lines[2], lines[3][:50]), 2},
		"something at its end":   {slice(whole, []byte("hello")), 5},
		"a line that is no line": {slice(whole, []byte("\n")), 5},
	} {
		if err := os.WriteFile(path, tt.data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := journal.Open(path, journal.Options{})
		var b *chain.Broken
		if !errors.As(err, &b) || b.Seq != tt.seq || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: Open = %v, want record %d broken", name, err, tt.seq)
		}
		if !bytes.Equal(readFile(t, path), tt.data) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func slice(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestAnEntryThatIsNoneLeavesTheJournalAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.journal")
	j := open(t, path, journal.Options{})
	fill(t, j, 1)
	before := readFile(t, path)
	good := journal.Entry{At: t0, Kind: "note", Body: "x"}
	for name, e := range map[string]journal.Entry{
		"NaN":         {At: t0, Kind: "note", Body: math.NaN()},
		"a function":  {At: t0, Kind: "note", Body: func() {}},
		"a key twice": {At: t0, Kind: "note", Body: json.RawMessage(`{"a":1,"a":1}`)},
		"no kind":     {At: t0, Body: 1},
		"no time":     {Kind: "note"},
		"a bad who":   {At: t0, Kind: "note", Who: "a\nb"},
	} {
		if recs, err := j.AppendAll(good, e, good); err == nil || errors.Is(err, journal.ErrFailed) || recs != nil {
			t.Errorf("%s: AppendAll = %v, %v, want an error of the contents", name, recs, err)
		}
	}
	if !bytes.Equal(readFile(t, path), before) || j.Head().Seq != 1 {
		t.Error("something was written")
	}
	if recs, err := j.AppendAll(); recs != nil || err != nil {
		t.Errorf("AppendAll of nothing = %v, %v", recs, err)
	}
	recs, err := j.AppendAll(good, good, journal.Entry{At: t0, Kind: "bytes", Body: "\xff<"})
	if err != nil || len(recs) != 3 || recs[2].Seq != 4 || string(recs[2].Body) != "\"\ufffd<\"" {
		t.Errorf("AppendAll = %+v, %v, want records 2 to 4", recs, err)
	}
	if got, err := j.ReadAll(); err != nil || len(got) != 4 {
		t.Errorf("ReadAll = %d records, %v, want 4", len(got), err)
	}
}

// TestMonoNeverGoesBack: the wall clock may, and is written as it was.
func TestMonoNeverGoesBack(t *testing.T) {
	j := journal.NewMemory(journal.Options{Start: t0})
	for _, tt := range []struct {
		at   time.Duration
		mono int64
	}{{-time.Hour, 0}, {time.Minute, 60_000}, {-time.Hour, 60_000}, {61 * time.Second, 61_000}} {
		rec, err := j.Append(t0.Add(tt.at), "", "", "tick", nil)
		if err != nil || rec.At != t0.Add(tt.at).UnixMilli() || rec.Mono != tt.mono {
			t.Errorf("at %v: %+v, %v, want mono %d", tt.at, rec, err, tt.mono)
		}
	}
	now := time.Now() // which has a monotonic reading
	j = journal.NewMemory(journal.Options{Start: now})
	if rec, err := j.Append(now.Add(1500*time.Millisecond), "", "", "tick", nil); err != nil || rec.Mono != 1500 {
		t.Errorf("1.5 s later: %+v, %v, want mono 1500", rec, err)
	}
}

func TestAJournalInMemoryIsTheSameBytes(t *testing.T) {
	dir := t.TempDir()
	onDisk := open(t, filepath.Join(dir, "disk"), journal.Options{Start: t0})
	want := fill(t, onDisk, 5)
	inMemory := journal.NewMemory(journal.Options{Start: t0})
	fill(t, inMemory, 5)
	shut(t, inMemory)
	if inMemory.Head() != onDisk.Head() || inMemory.Path() != "" || inMemory.Cut() != nil {
		t.Errorf("head %v, want %v", inMemory.Head(), onDisk.Head())
	}
	if _, err := inMemory.Append(t0, "", "", "late", nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Append after Close = %v, want os.ErrClosed", err)
	}
	got, err := inMemory.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	saved := filepath.Join(dir, "saved")
	if err := inMemory.Save(saved); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, saved), readFile(t, onDisk.Path())) {
		t.Error("the saved file is not the one on disk")
	}
	if err := inMemory.Save(saved); !errors.Is(err, os.ErrExist) || len(readFile(t, saved)) == 0 {
		t.Errorf("Save over a file = %v, want os.ErrExist and the file as it was", err)
	}
	var b bytes.Buffer
	if n, err := onDisk.WriteTo(&b); err != nil || n != int64(b.Len()) || !bytes.Equal(b.Bytes(), readFile(t, saved)) {
		t.Errorf("WriteTo = %d, %v, and other bytes", n, err)
	}
	fill(t, open(t, saved, journal.Options{}), 1) // it goes on as a file
}

// TestManyWritersAndReaders is for the race detector: each writer's records keep
// their order, and each reader sees a sound chain.
func TestManyWritersAndReaders(t *testing.T) {
	for name, j := range map[string]*journal.Journal{
		"disk":   open(t, filepath.Join(t.TempDir(), "run.journal"), journal.Options{}),
		"memory": journal.NewMemory(journal.Options{}),
	} {
		var wg sync.WaitGroup
		const writers, each = 4, 25
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					if _, err := j.Append(t0, fmt.Sprint(w), "", "n", i); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Go(func() {
				for range 5 {
					if _, err := j.ReadAll(); err != nil {
						t.Error(err)
					}
					for _, err := range j.After(j.Head().Seq / 2) {
						if err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		next := map[string]int{}
		for rec, err := range j.Records() {
			if err != nil {
				t.Fatal(err)
			}
			if string(rec.Body) != fmt.Sprint(next[rec.Who]) {
				t.Errorf("%s: writer %s: %s, want %d", name, rec.Who, rec.Body, next[rec.Who])
			}
			next[rec.Who]++
		}
		if j.Head().Seq != writers*each {
			t.Errorf("%s: %d records, want %d", name, j.Head().Seq, writers*each)
		}
	}
}

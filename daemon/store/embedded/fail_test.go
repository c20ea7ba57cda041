package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var errFull = errors.New("no space left on device")

// fullFile is a file of a disk that is full while full is set: it takes a part of a
// write, or, with syncs, all of it and then fails to make it safe.
type fullFile struct {
	*os.File
	full, syncs *atomic.Bool
}

func (f fullFile) WriteAt(b []byte, at int64) (int, error) {
	if f.full.Load() && !f.syncs.Load() {
		n, _ := f.File.WriteAt(b[:len(b)/2], at)
		return n, errFull
	}
	return f.File.WriteAt(b, at)
}

func (f fullFile) Sync() error {
	if f.full.Load() && f.syncs.Load() {
		return errFull
	}
	return f.File.Sync()
}

func TestADiskThatIsFullRefusesAndForgets(t *testing.T) {
	for _, syncs := range []bool{false, true} {
		t.Run(fmt.Sprintf("at fsync=%t", syncs), func(t *testing.T) {
			var full, bySync atomic.Bool
			bySync.Store(syncs)
			dir := t.TempDir()
			e, err := Open(Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			e.create = func(path string) (file, error) {
				f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
				return fullFile{f, &full, &bySync}, err
			}
			old, _ := e.journal.file.(*os.File)
			e.journal.file = fullFile{old, &full, &bySync}
			mustRun(t, e, "+OK", "SET", "k", "safe")
			full.Store(true)
			b := e.execute(newClient(), []string{"SET", "k", "lost"}, nil)
			other := e.execute(newClient(), []string{"GET", "k"}, nil)
			if err := e.commit(b); !errors.Is(err, errFull) {
				t.Fatalf("commit = %v, want %v", err, errFull)
			}
			if err := e.commit(other); !errors.Is(err, errFull) {
				t.Errorf("a reader of what is lost was answered: %v", err)
			}
			mustRun(t, e, "$4\r\nsafe", "GET", "k")
			mustRun(t, e, "-MISCONF", "SET", "k", "too soon")
			full.Store(false)
			e.mu.Lock()
			e.resting = time.Time{} // as a second later
			e.mu.Unlock()
			mustRun(t, e, "+OK", "SET", "k", "again")
			if err := e.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			e, err = Open(Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			mustRun(t, e, "$5\r\nagain", "GET", "k")
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			mustRun(t, e, "-MISCONF", "GET", "k")
		})
	}
}

// mustRun executes a command as a connection does, and compares how its reply
// begins.
func mustRun(t *testing.T, e *Engine, want string, args ...string) {
	t.Helper()
	c := newClient()
	b := e.execute(c, args, nil)
	if err := e.commit(b); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	if got := c.out.String(); !strings.HasPrefix(got, want) {
		t.Errorf("%q = %q, want %q", args, got, want)
	}
}

// TestASnapshotMayBeInterruptedAnywhere copies the directory after each step of a
// snapshot, and opens the copies.
func TestASnapshotMayBeInterruptedAnywhere(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var moments []string
	keep := func(name string) {
		to := filepath.Join(t.TempDir(), name)
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		moments = append(moments, to)
	}
	mustRun(t, e, "+OK", "SET", "k", "1")
	keep("before")
	n, content, err := e.turn()
	if err != nil {
		t.Fatal(err)
	}
	keep("new journal")
	if err := os.WriteFile(filepath.Join(moments[1], numbered(journalPrefix, n)), []byte("spark"), 0o600); err != nil {
		t.Fatal(err) // its header was not written whole
	}
	keep("new journal, whole")
	path := filepath.Join(dir, numbered(snapshotPrefix, n))
	if err := writeWhole(path+tempSuffix, content[:len(content)/2]); err != nil {
		t.Fatal(err)
	}
	keep("half a snapshot")
	if err := writeWhole(path+tempSuffix, content); err != nil {
		t.Fatal(err)
	}
	keep("not renamed")
	if err := os.Rename(path+tempSuffix, path); err != nil {
		t.Fatal(err)
	}
	keep("old files not removed")
	if err := os.Remove(filepath.Join(dir, numbered(journalPrefix, 0))); err != nil {
		t.Fatal(err)
	}
	keep("done")
	mustRun(t, e, ":2", "INCR", "k")
	keep("and on")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for i, dir := range moments {
		e, err := Open(Options{Dir: dir})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(dir), err)
			continue
		}
		want := "$1\r\n1"
		if i == len(moments)-1 {
			want = "$1\r\n2"
		}
		mustRun(t, e, want, "GET", "k")
		mustRun(t, e, "+OK", "SET", "k", "new")
		if err := e.takeSnapshot(); err != nil {
			t.Errorf("%s: snapshot: %v", filepath.Base(dir), err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if e, err = Open(Options{Dir: dir}); err != nil {
			t.Errorf("%s, again: %v", filepath.Base(dir), err)
			continue
		}
		mustRun(t, e, "$3\r\nnew", "GET", "k")
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "*-*")); len(files) != 2 {
			t.Errorf("%s: files %v are left, want one snapshot and one journal", filepath.Base(dir), files)
		}
	}
}

func TestADirectoryThatIsNotWholeIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		numbered(snapshotPrefix, 1): func(dir string) error {
			return os.Truncate(filepath.Join(dir, numbered(snapshotPrefix, 1)), 60)
		},
		numbered(journalPrefix, 1): func(dir string) error { return os.Remove(filepath.Join(dir, numbered(journalPrefix, 1))) },
		numbered(journalPrefix, 0): func(dir string) error { return os.Remove(filepath.Join(dir, numbered(snapshotPrefix, 1))) },
		"damaged at byte 16": func(dir string) error {
			path := filepath.Join(dir, numbered(journalPrefix, 1))
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[20]++
			return os.WriteFile(path, b, 0o600)
		},
	} {
		dir := t.TempDir()
		e, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		mustRun(t, e, "+OK", "SET", "k", strings.Repeat("v", 100))
		if err := e.takeSnapshot(); err != nil {
			t.Fatal(err)
		}
		mustRun(t, e, "+OK", "SET", "k", "2")
		mustRun(t, e, "+OK", "SET", "k", "3")
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if e, err = Open(Options{Dir: dir}); err == nil {
			t.Errorf("Open with a spoilt %s = nil, want an error", name)
			_ = e.Close()
		} else if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), dir) {
			t.Errorf("Open = %v, want it to name %s", err, name)
		}
	}
}

func TestTheClockNeverGoesBack(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ahead := time.Now().Add(24 * time.Hour).UnixMilli()
	e.floor = ahead // as if the clock was set back a day after start
	mustRun(t, e, "+OK", "SET", "k", "v", "PX", "50")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if e, err = Open(Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	e.mu.Lock()
	if now := e.now(); now < ahead {
		t.Errorf("after a restart it is %d, before it was %d", now, ahead)
	}
	e.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		c := newClient()
		e.execute(c, []string{"EXISTS", "k"}, nil)
		if c.out.String() == ":0\r\n" {
			break // the clock goes on though it is ahead of the system's
		}
		if time.Now().After(deadline) {
			t.Fatal("the key does not expire: the clock stands")
		}
	}
}

// TestADirectoryThatCannotBeReadBackEndsRun damages what is safe, then fails a write.
func TestADirectoryThatCannotBeReadBackEndsRun(t *testing.T) {
	var full, bySync atomic.Bool
	dir := t.TempDir()
	e, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	old, _ := e.journal.file.(*os.File)
	e.journal.file = fullFile{old, &full, &bySync}
	done := make(chan error, 1)
	go func() { done <- e.Run(t.Context()) }()
	mustRun(t, e, "+OK", "SET", "k", "v")
	mustRun(t, e, "+OK", "SET", "k", "w")
	if _, err := old.WriteAt([]byte{0xff}, headerSize); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	if err := e.commit(e.execute(newClient(), []string{"SET", "k", "x"}, nil)); !errors.Is(err, errFull) {
		t.Errorf("commit = %v, want %v", err, errFull)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "damaged at byte 16") {
		t.Errorf("Run = %v, want the damage", err)
	}
	mustRun(t, e, "-MISCONF", "GET", "k")
	_ = e.Close()
}

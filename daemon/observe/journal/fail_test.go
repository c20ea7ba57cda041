package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var errFull = errors.New("no space left on device")

// fullFile is a file of a disk that is full: it takes a part of a write, or, with
// syncs, all of it and then fails to make it safe.
type fullFile struct {
	*os.File
	full, syncs, stuck bool
}

func (f *fullFile) WriteAt(b []byte, at int64) (int, error) {
	if f.full && !f.syncs {
		n, _ := f.File.WriteAt(b[:len(b)/2], at)
		return n, errFull
	}
	return f.File.WriteAt(b, at)
}

func (f *fullFile) Sync() error {
	if f.full && f.syncs {
		return errFull
	}
	return f.File.Sync()
}

func (f *fullFile) Truncate(n int64) error {
	if f.stuck {
		return errFull
	}
	return f.File.Truncate(n)
}

// TestAfterAFailedWriteNothingIsAppended: also not when the disk has space again.
func TestAfterAFailedWriteNothingIsAppended(t *testing.T) {
	at := time.UnixMilli(1760140800000)
	for _, tt := range []struct {
		name         string
		syncs, stuck bool
		left         int64 // the head when it is opened again
		cut          bool
	}{
		{name: "write fails", left: 2},
		{name: "fsync fails", syncs: true, left: 2},
		{name: "write fails and cannot be taken off", stuck: true, left: 2, cut: true},
		{name: "fsync fails and cannot be taken off", syncs: true, stuck: true, left: 3}, // it may be there
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run.journal")
			j, err := Open(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := j.AppendAll(Entry{At: at, Kind: "one"}, Entry{At: at, Kind: "two"}); err != nil {
				t.Fatal(err)
			}
			real, _ := j.file.(*os.File)
			f := &fullFile{real, true, tt.syncs, tt.stuck}
			j.file = f
			head := j.Head()
			if _, err := j.Append(at, "", "", "lost", nil); !errors.Is(err, errFull) || !errors.Is(err, ErrFailed) {
				t.Fatalf("Append = %v, want ErrFailed with its cause", err)
			}
			f.full = false
			if _, err := j.Append(at, "", "", "later", nil); !errors.Is(err, errFull) || !errors.Is(err, ErrFailed) {
				t.Errorf("Append after a failed one = %v, want ErrFailed with its cause", err)
			}
			if recs, err := j.ReadAll(); err != nil || len(recs) != 2 || j.Head() != head {
				t.Errorf("%d records, %v, head %v, want the 2 that are safe", len(recs), err, j.Head())
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if j, err = Open(path, Options{}); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = j.Close() }()
			if j.Head().Seq != tt.left || (j.Cut() != nil) != tt.cut {
				t.Errorf("opened again: head %v, cut %q, want record %d, cut %t", j.Head(), j.Cut(), tt.left, tt.cut)
			}
			if _, err := j.Append(at, "", "", "again", nil); err != nil {
				t.Errorf("opened again: Append = %v", err)
			}
		})
	}
}

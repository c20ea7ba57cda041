// Package journal keeps the chain of a hypercare run in a file, or in memory for a
// rehearsal.
//
// # What it guarantees
//
//   - A record that was acknowledged is safe: [Journal.Append] returns after fsync.
//   - The file is a chain (package chain): opening it verifies every record, and a
//     file that is broken is refused with the record named. It is never repaired,
//     shortened or written to.
//   - The one exception is the line that a crash did not finish. Nobody was told that
//     its record is safe. It is cut off, and [Journal.Cut] returns it, so that the
//     caller can record a gap.
//   - One process writes. Who comes second gets [ErrLocked].
//   - After a write or fsync that failed nothing is appended any more: an fsync that
//     is tried again can succeed without having written what the first one lost.
//     What was not acknowledged is taken off the file again, as far as that is
//     possible, and the journal is to be opened anew, which verifies what is there.
//
// A record that was not acknowledged may be in the file or not. The records of one
// [Journal.AppendAll] share an fsync, not a fate: after a crash the first ones may be
// there and the last ones not.
//
// # In memory
//
// [NewMemory] is the same without a file: the same calls with the same times give the
// same bytes, which [Journal.WriteTo] hands out and [Journal.Save] puts into a file.
//
// It starts no goroutine and knows no time but what it is given. All methods may be
// called at once; a reader sees the records that were there when it began.
package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/chain"
)

var (
	// ErrLocked means that another journal, in this process or another, has the file.
	ErrLocked = errors.New("the journal is in use")

	// ErrFailed wraps every error of a journal that could not write, from that write on.
	ErrFailed = errors.New("the journal could not be written and has to be opened again")
)

// Options of a journal. The zero value is useful.
type Options struct {
	// Start is when the writer started, from which the Mono of records counts. By
	// default it is the time of the first append.
	Start time.Time

	// Replay is called with every record of the file while it is verified, in order.
	// Its error ends Open. What it saw is not to be trusted before Open has returned.
	Replay func(chain.Record) error
}

// Entry is what is to become a record.
type Entry struct {
	At   time.Time // with a monotonic reading, if it has one, that is used for Mono
	Who  string
	Role string
	Kind string
	Body any // what encoding/json can write; nil is null
}

// file is what a journal needs of a file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// Journal is an open chain of records.
type Journal struct {
	path string
	cut  []byte

	mu     sync.Mutex
	file   file
	start  time.Time
	mono   int64 // of the last record of this writer
	head   chain.Head
	starts []int64 // where the record of each sequence number begins, from 1
	size   int64   // of what is safe
	failed error
}

// Open opens the journal at path, or creates it with mode 0600 in a directory that
// must exist. Its error wraps [ErrLocked], or a [*chain.Broken] for a file that is no
// sound chain, which is left as it is.
func Open(path string, o Options) (*Journal, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	j := &Journal{path: path, file: f, start: o.Start}
	if err := j.read(o.Replay); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	return j, nil
}

// openFile opens the file and takes its lock. A new file is made safe with its name.
func openFile(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("journal %s: not a file", path)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	err = lock(f)
	if err == nil {
		err = errors.Join(f.Sync(), syncDir(filepath.Dir(path)))
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	return f, nil
}

// read verifies the file and cuts off what a crash left at its end.
func (j *Journal) read(replay func(chain.Record) error) error {
	r := chain.NewReader(io.NewSectionReader(j.file, 0, 1<<62))
	for {
		at := r.Offset()
		rec, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			j.head, j.size = r.Head(), at
			return nil
		case errors.Is(err, chain.ErrTorn):
			j.head, j.size = r.Head(), at
			return j.cutOff()
		case err != nil:
			return err
		}
		j.starts = append(j.starts, at)
		if replay != nil {
			if err := replay(rec); err != nil {
				return fmt.Errorf("record %d: %w", rec.Seq, err)
			}
		}
	}
}

// cutOff takes what stands behind the sound records off the file.
func (j *Journal) cutOff() error {
	var err error
	if j.cut, err = io.ReadAll(io.NewSectionReader(j.file, j.size, 1<<62)); err != nil {
		return err
	}
	return errors.Join(j.file.Truncate(j.size), j.file.Sync())
}

// NewMemory returns a journal without a file. Closing it leaves it readable.
func NewMemory(o Options) *Journal {
	return &Journal{file: &memory{}, start: o.Start}
}

// Cut returns what Open cut off the end of the file: the beginning of a record that
// was never acknowledged. It is nil if the file ended with a whole record.
func (j *Journal) Cut() []byte { return j.cut }

// Path returns the name of the file, empty if there is none.
func (j *Journal) Path() string { return j.path }

// Head returns the head of the chain: the last record that is safe.
func (j *Journal) Head() chain.Head {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head
}

// Append appends one record and returns it when it is safe. An error of the contents
// (see [chain.Seal]; a body that encoding/json cannot write) leaves the journal as it
// was. Any other wraps [ErrFailed], or os.ErrClosed after Close.
//
// Mono is at less the start, and never less than that of the record before: a wall
// clock without monotonic reading that is set back makes it stand.
func (j *Journal) Append(at time.Time, who, role, kind string, body any) (chain.Record, error) {
	recs, err := j.AppendAll(Entry{at, who, role, kind, body})
	if err != nil {
		return chain.Record{}, err
	}
	return recs[0], nil
}

// AppendAll appends several records with one fsync. An error of the contents of one
// leaves the journal as it was.
func (j *Journal) AppendAll(entries ...Entry) ([]chain.Record, error) {
	bodies, err := marshal(entries)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return nil, j.failed
	}
	start, mono, head := j.start, j.mono, j.head
	if start.IsZero() {
		start = entries[0].At
	}
	recs := make([]chain.Record, 0, len(entries))
	starts := make([]int64, 0, len(entries))
	var lines []byte
	for i, e := range entries {
		mono = max(mono, e.At.Sub(start).Milliseconds())
		rec, line, err := chain.Seal(head, chain.Record{
			At: e.At.UnixMilli(), Mono: mono, Who: e.Who, Role: e.Role, Kind: e.Kind, Body: bodies[i],
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Kind, err)
		}
		starts = append(starts, j.size+int64(len(lines)))
		lines, recs, head = append(lines, line...), append(recs, rec), rec.Head()
	}
	if err := j.write(lines); err != nil {
		return nil, err
	}
	j.start, j.mono, j.head = start, mono, head
	j.starts = append(j.starts, starts...)
	return recs, nil
}

func marshal(entries []Entry) ([]json.RawMessage, error) {
	bodies := make([]json.RawMessage, len(entries))
	for i, e := range entries {
		var err error
		if bodies[i], err = json.Marshal(e.Body); err != nil {
			return nil, fmt.Errorf("%s: body: %w", e.Kind, err)
		}
	}
	return bodies, nil
}

// write makes lines safe. Call with mu held.
func (j *Journal) write(lines []byte) error {
	_, err := j.file.WriteAt(lines, j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.failed = fmt.Errorf("%w: %w", ErrFailed, err)
		// What an fsync lost may still be read from the kernel's cache. It is taken off,
		// so that an opening before the next boot does not take it for safe.
		_ = j.file.Truncate(j.size)
		return j.failed
	}
	j.size += int64(len(lines))
	return nil
}

// Records yields all records, verified again, up to the first error, which it yields
// as well.
func (j *Journal) Records() iter.Seq2[chain.Record, error] { return j.After(0) }

// After yields the records whose sequence number is greater than seq, as Records
// does. Its time does not depend on how many stand before.
func (j *Journal) After(seq int64) iter.Seq2[chain.Record, error] {
	return func(yield func(chain.Record, error) bool) {
		r, err := j.resume(seq)
		if err != nil {
			yield(chain.Record{}, err)
			return
		}
		if r == nil {
			return
		}
		for rec, err := range r.All() {
			if err != nil {
				err = fmt.Errorf("journal %s: %w", j.path, err)
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// resume returns a reader of what stands behind a record, nil if nothing does.
func (j *Journal) resume(seq int64) (*chain.Reader, error) {
	j.mu.Lock()
	f, size, starts := j.file, j.size, j.starts
	j.mu.Unlock()
	switch {
	case seq >= int64(len(starts)):
		return nil, nil
	case seq <= 0:
		return chain.NewReader(io.NewSectionReader(f, 0, size)), nil
	}
	line := make([]byte, starts[seq]-starts[seq-1])
	if _, err := f.ReadAt(line, starts[seq-1]); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	rec, err := chain.Parse(line)
	if err == nil && rec.Seq != seq {
		err = fmt.Errorf("it is record %d", rec.Seq)
	}
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", j.path, &chain.Broken{Seq: seq, Line: seq, Offset: starts[seq-1], Reason: err.Error()})
	}
	return chain.Resume(io.NewSectionReader(f, starts[seq], size-starts[seq]), rec.Head(), starts[seq]), nil
}

// ReadAll returns all records.
func (j *Journal) ReadAll() ([]chain.Record, error) {
	var out []chain.Record
	for rec, err := range j.Records() {
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}

// WriteTo writes the lines of the journal as they are.
func (j *Journal) WriteTo(w io.Writer) (int64, error) {
	j.mu.Lock()
	f, size := j.file, j.size
	j.mu.Unlock()
	return io.Copy(w, io.NewSectionReader(f, 0, size))
}

// Save writes the lines into a new file with mode 0600 and makes it safe. A file that
// exists is left alone: os.ErrExist. After an error no file is left.
func (j *Journal) Save(path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	_, err = j.WriteTo(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("journal %s: %w", path, err)
	}
	return nil
}

// Close lets the file and its lock go. Everything acknowledged is safe already.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if errors.Is(j.failed, os.ErrClosed) {
		return nil
	}
	j.failed = fmt.Errorf("journal %s: %w", j.path, os.ErrClosed)
	return j.file.Close()
}

package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// file is what a journal needs of a file.
type file interface {
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// journal is the file that records are appended to. The engine's mu guards the
// batches, its flush the writing.
type journal struct {
	file    file
	size    int64 // of what is safe; guarded by flush
	records int   // since the journal was begun
	bytes   int64 // about the length, pending included

	pending *batch // records join it
	taken   *batch // the newest that was taken to be written
}

// batch is records that are written together, as one frame.
type batch struct {
	frame []byte
	over  atomic.Bool
	err   error // set before over
}

func (b *batch) finish(err error) {
	b.err = err
	b.over.Store(true)
}

// append puts a record into the pending batch. Call with mu held.
func (j *journal) append(ms int64, args []string) {
	if j.pending == nil {
		j.pending = &batch{frame: make([]byte, frameHead, 512)}
	}
	before := len(j.pending.frame)
	j.pending.frame = appendRecord(j.pending.frame, ms, args)
	j.records++
	j.bytes += int64(len(j.pending.frame) - before)
}

func (j *journal) length() int64 { return j.bytes }

// newest returns the newest batch that is not safe, or nil. Call with mu held.
func (j *journal) newest() *batch {
	if j.pending != nil {
		return j.pending
	}
	if j.taken != nil && !j.taken.over.Load() {
		return j.taken
	}
	return nil
}

// take takes the pending batch to be written. Call with mu held.
func (j *journal) take() *batch {
	b := j.pending
	if b != nil {
		j.taken, j.pending = b, nil
	}
	return b
}

// write makes a batch safe. Call with flush held.
func (j *journal) write(b *batch) error {
	sealFrame(b.frame, j.size)
	if _, err := j.file.WriteAt(b.frame, j.size); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.size += int64(len(b.frame))
	return nil
}

// writePending makes everything safe. Call with flush and mu held.
func (j *journal) writePending() (wrote bool, err error) {
	b := j.take()
	if b == nil {
		return false, nil
	}
	err = j.write(b)
	b.finish(err)
	return true, err
}

// begin writes the header of a new journal.
func (j *journal) begin() error {
	if _, err := j.file.WriteAt([]byte(journalHead), 0); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.size, j.bytes = headerSize, headerSize
	return nil
}

// commit waits until a batch is safe, or returns why it is not. Whoever comes first
// writes it for all; those who come while it is written share the next.
func (e *Engine) commit(b *batch) error {
	if b == nil {
		return nil
	}
	if b.over.Load() {
		return b.err
	}
	e.flush.Lock()
	defer e.flush.Unlock()
	if b.over.Load() {
		return b.err
	}
	e.mu.Lock()
	j := e.journal
	taken := j.take()
	e.mu.Unlock()
	if taken != b {
		// A batch is taken only with flush held, and finished before flush is let go.
		return errors.New("journal: batch out of order")
	}
	err := j.write(b)
	e.stats.syncs.Add(1)
	if err != nil {
		e.goBack(b, err)
		return err
	}
	b.finish(nil)
	return nil
}

// goBack refuses a batch that could not be written, with every one behind it, and
// sets the state back to what the directory holds. Call with flush held.
func (e *Engine) goBack(b *batch, cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log.Error("journal not written, commands refused", "err", cause)
	j := e.journal
	later := j.take()
	_ = j.file.Truncate(j.size) // what stays is overwritten, or cut off at the next start
	_ = j.file.Close()
	e.floor = max(e.floor, e.machine.now-time.Since(e.opened).Milliseconds())
	if err := e.load(); err != nil {
		e.broken = fmt.Errorf("state not read back: %w", err)
		_ = e.listener.Close() // ends Run
		e.log.Error("embedded store not usable", "err", e.broken)
	}
	e.resting = time.Now().Add(time.Second)
	b.finish(cause)
	if later != nil {
		later.finish(cause)
	}
}

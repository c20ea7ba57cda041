package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	journalPrefix  = "journal-"
	snapshotPrefix = "snapshot-"
	tempSuffix     = ".tmp"
	snapshotEnd    = "END" // the last record of a snapshot: END, number of records before
)

func numbered(prefix string, n int) string { return fmt.Sprintf("%s%010d", prefix, n) }

// files are the numbered files of a directory, in order.
type files struct {
	snapshots, journals []int
	temporary           []string
}

func listFiles(dir string) (files, error) {
	var f files
	entries, err := os.ReadDir(dir)
	if err != nil {
		return f, err
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasSuffix(name, tempSuffix) {
			f.temporary = append(f.temporary, name)
			continue
		}
		if text, ok := strings.CutPrefix(name, snapshotPrefix); ok {
			if n, err := strconv.Atoi(text); err == nil {
				f.snapshots = append(f.snapshots, n)
			}
		}
		if text, ok := strings.CutPrefix(name, journalPrefix); ok {
			if n, err := strconv.Atoi(text); err == nil {
				f.journals = append(f.journals, n)
			}
		}
	}
	slices.Sort(f.snapshots)
	slices.Sort(f.journals)
	return f, nil
}

// load reads the newest snapshot and every journal since into a new machine, and
// opens the last journal to be appended to. It sets what Open needs; call it with
// flush and mu held later.
func (e *Engine) load() error {
	f, err := listFiles(e.dir)
	if err != nil {
		return err
	}
	m, err := newMachine()
	if err != nil {
		return err
	}
	first := 0
	if len(f.snapshots) > 0 {
		first = f.snapshots[len(f.snapshots)-1]
		if err := readSnapshot(filepath.Join(e.dir, numbered(snapshotPrefix, first)), m); err != nil {
			return err
		}
	}
	j := &journal{}
	last := first
	needed := slices.DeleteFunc(slices.Clone(f.journals), func(n int) bool { return n < first })
	for i, n := range needed {
		if n != first+i {
			return fmt.Errorf("%s is missing: the directory is not whole", filepath.Join(e.dir, numbered(journalPrefix, first+i)))
		}
		last = n
		if err := e.replay(n, i == len(needed)-1, m, j); err != nil {
			return err
		}
	}
	if len(needed) == 0 && first > 0 {
		return fmt.Errorf("%s is missing: the directory is not whole", filepath.Join(e.dir, numbered(journalPrefix, first)))
	}
	if j.file, err = e.create(filepath.Join(e.dir, numbered(journalPrefix, last))); err != nil {
		return err
	}
	if err := e.resume(j); err != nil {
		_ = j.file.Close()
		return err
	}
	e.tidy(f, first)
	e.machine, e.journal = m, j
	e.floor = max(e.floor, m.now, time.Now().UnixMilli()-time.Since(e.opened).Milliseconds())
	return nil
}

// resume cuts off what is not sound, or begins a journal that is new.
func (e *Engine) resume(j *journal) error {
	if err := j.file.Truncate(j.size); err != nil {
		return err
	}
	if j.size >= headerSize {
		if err := j.file.Sync(); err != nil && e.machine == nil {
			return err
		} // going back on a disk that fails: the next write makes it safe, or is refused
		return nil
	}
	if err := j.begin(); err != nil {
		return err
	}
	return syncDir(e.dir)
}

// replay executes the records of a journal.
func (e *Engine) replay(n int, last bool, m *machine, j *journal) error {
	path := filepath.Join(e.dir, numbered(journalPrefix, n))
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	j.records = 0
	end, err := readFrames(data, journalHead, func(ms int64, args []string) error {
		j.records++
		m.own.out.Reset()
		m.run(m.own, ms, args)
		return nil
	})
	if errors.Is(err, errTorn) {
		if !last {
			err = &damageError{int64(end), "its end is missing, though a newer journal exists"}
		} else {
			if dropped := len(data) - end; dropped > 0 {
				e.log.Warn("unfinished end of the journal cut off", "file", path, "bytes", dropped)
			}
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	j.size, j.bytes = int64(end), int64(end)
	return nil
}

// readSnapshot rebuilds the state that a snapshot holds.
func readSnapshot(path string, m *machine) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	records, whole := 0, false
	_, err = readFrames(data, snapHead, func(ms int64, args []string) error {
		if args[0] == snapshotEnd && len(args) == 2 {
			whole = args[1] == strconv.Itoa(records)
			return nil
		}
		records++
		m.own.out.Reset()
		m.run(m.own, ms, args)
		if reply := m.own.out.String(); strings.HasPrefix(reply, "-") {
			return fmt.Errorf("record %d (%s): %s", records, args[0], strings.TrimSpace(reply[1:]))
		}
		return nil
	})
	if err == nil && !whole {
		err = errors.New("its end is missing")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// tidy removes files that a newer snapshot made superfluous.
func (e *Engine) tidy(f files, first int) {
	remove := f.temporary
	for _, n := range f.snapshots {
		if n < first {
			remove = append(remove, numbered(snapshotPrefix, n))
		}
	}
	for _, n := range f.journals {
		if n < first {
			remove = append(remove, numbered(journalPrefix, n))
		}
	}
	for _, name := range remove {
		if err := os.Remove(filepath.Join(e.dir, name)); err != nil {
			e.log.Warn("superfluous file not removed", "file", name, "err", err)
		}
	}
}

// keepSnapshots takes a snapshot whenever the journal has grown long.
func (e *Engine) keepSnapshots(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.snapshot:
		}
		err := e.takeSnapshot()
		if err == nil {
			continue
		}
		e.log.Error("snapshot not written", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(snapshotRetry):
		}
	}
}

// takeSnapshot begins a new journal, writes the state at its start beside it, and
// removes what is older.
func (e *Engine) takeSnapshot() error {
	n, content, err := e.turn()
	if err != nil {
		return err
	}
	path := filepath.Join(e.dir, numbered(snapshotPrefix, n))
	if err := writeWhole(path+tempSuffix, content); err != nil {
		_ = os.Remove(path + tempSuffix)
		return err
	}
	if err := os.Rename(path+tempSuffix, path); err != nil {
		return err
	}
	if err := syncDir(e.dir); err != nil {
		return err
	}
	e.stats.snapshots.Add(1)
	f, err := listFiles(e.dir)
	if err != nil {
		return err
	}
	e.tidy(f, n)
	return nil
}

// turn turns the page: what is pending is written, a new journal is begun, and the
// state at that point returned. Commands wait meanwhile.
func (e *Engine) turn() (n int, content []byte, err error) {
	e.flush.Lock()
	defer e.flush.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil {
		return 0, nil, e.broken
	}
	f, err := listFiles(e.dir)
	if err != nil {
		return 0, nil, err
	}
	old := e.journal
	if b := old.take(); b != nil {
		err := old.write(b)
		e.stats.syncs.Add(1)
		if err != nil {
			e.mu.Unlock() // goBack takes it
			e.goBack(b, err)
			e.mu.Lock()
			return 0, nil, err
		}
		b.finish(nil)
	}
	if content, err = e.machine.export(); err != nil {
		return 0, nil, err
	}
	n = f.journals[len(f.journals)-1] + 1
	path := filepath.Join(e.dir, numbered(journalPrefix, n))
	next := &journal{}
	if next.file, err = e.create(path); err != nil {
		return 0, nil, err
	}
	if err = next.begin(); err == nil {
		err = syncDir(e.dir)
	}
	if err != nil {
		_ = next.file.Close()
		_ = os.Remove(path)
		return 0, nil, err
	}
	e.journal = next
	if err := old.file.Close(); err != nil {
		e.log.Warn("journal not closed", "err", err)
	}
	return n, content, nil
}

// writeWhole writes a file and makes it safe.
func writeWhole(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

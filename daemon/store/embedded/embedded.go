// Package embedded serves a Redis in process and keeps it in a directory, so that
// Spark runs without any other program: the same client, the same scripts and the
// same keys as with a Redis server (daemon/store/redis).
//
// The engine underneath is miniredis, which keeps everything in memory. This
// package makes it durable, and answers for the parts that a test server may get
// wrong.
//
// # Order of things
//
// A command that may write goes through five steps:
//
//	one lock → the time is read → record (time, arguments) joins the batch → executed with that time
//	→ batch written and fsynced → the reply leaves
//
// The steps up to the execution happen under one lock, so the order of records is
// the order of execution; the last two do not, so that many callers share one
// fsync. A reply, of a read too, waits for every batch that it could have seen:
// nothing that can still be lost is ever shown.
//
// Reading back is executing again with the recorded times. That gives the same
// state, because a command's outcome depends on the state, its arguments and the
// time alone: commands that draw lots, block or subscribe are refused, in scripts
// too. A script is journaled once, then its calls by its SHA-1.
//
// # Times to live
//
// miniredis counts times to live down by sorting all keys. Here that is done only
// when the nearest of them is over, and before a command that sets or reads one;
// whoever looks sees no difference. A script that touches a time to live must name
// the command in its text.
//
// # Files
//
//	lock              held for as long as the process lives (flock); the holder's pid
//	address           where the holder listens
//	journal-<n>       records since snapshot n
//	snapshot-<n>      records that rebuild the state at the start of journal n
//
// Both kinds are a header and frames: a mark, a length, a CRC-32C over the frame's
// place and payload, the payload. A frame is a batch, written by one write. At
// start a bad frame with nothing sound behind it is the tail of a batch that was
// never acknowledged, and cut off; one with a sound frame behind it is damage, and
// refused with the file's name and the place.
//
// After fifty thousand records a new journal is begun and the state at that point
// written beside it, renamed into place when it is safe; only then the older files
// go. Commands wait while the state is gathered. All that a client can act on is
// kept; since when a consumer of a group is idle (XINFO CONSUMERS) is not. Killed at any moment, the directory holds a snapshot with every journal since.
//
// # Failure
//
// When a batch cannot be written (disk full), all its commands are refused, and the
// state goes back to what the directory holds. Reads go on. Writes are tried again
// after a second.
//
// # Access
//
// It listens on loopback, so redis-cli works on it. Commands must come as arrays of
// strings; the old inline form is refused, because a web page could send it. There
// is one database, number 0. Transactions, blocking commands and subscriptions are
// refused with a reason.
package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options of an engine.
type Options struct {
	Dir  string // made if it is not there
	Addr string // loopback address to listen on; "127.0.0.1:0" if empty
	Log  *slog.Logger
	// SnapshotEvery is the number of records after which a snapshot is taken; 50,000
	// if 0.
	SnapshotEvery int
}

const (
	defaultSnapshotEvery = 50_000
	snapshotBytes        = 64 << 20 // a journal longer than this is shortened too
	snapshotRetry        = 30 * time.Second
)

// Engine is a Redis in process.
type Engine struct {
	dir      string
	every    int
	log      *slog.Logger
	listener net.Listener
	lock     *os.File
	opened   time.Time // with a monotonic reading
	create   func(path string) (file, error)

	flush    sync.Mutex // taken before mu: one batch is written at a time
	mu       sync.Mutex // the order of commands; guards what follows
	machine  *machine
	journal  *journal
	floor    int64     // ms: the clock does not go below it
	resting  time.Time // writes are refused until then
	broken   error     // everything is refused
	snapshot chan struct{}

	closing sync.Once
	closed  error
	conns   conns
	stats   counters
}

// Open takes the directory, reads what it holds and listens. It serves nobody yet
// (see [Engine.Run]); a client may connect and waits. When another process holds the
// directory the error wraps [store.ErrLocked] and names its pid.
func Open(o Options) (*Engine, error) {
	if o.Dir == "" {
		return nil, errors.New("embedded store: no directory")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.SnapshotEvery == 0 {
		o.SnapshotEvery = defaultSnapshotEvery
	}
	if err := checkLoopback(o.Addr); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded store: %w", err)
	}
	lock, err := takeLock(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("embedded store: %s: %w", o.Dir, err)
	}
	e := &Engine{
		dir: o.Dir, every: o.SnapshotEvery, log: o.Log, lock: lock, opened: time.Now(), create: createFile,
		snapshot: make(chan struct{}, 1),
	}
	if err := e.load(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("embedded store: %w", err)
	}
	if e.listener, err = net.Listen("tcp", o.Addr); err != nil {
		_ = e.journal.file.Close()
		_ = lock.Close()
		return nil, fmt.Errorf("embedded store: %w", err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, addressFile), []byte(e.Addr()+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded store: %w", err), e.Close())
	}
	return e, nil
}

const addressFile = "address"

// Address returns where the process that has a directory open listens, or last did.
func Address(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, addressFile))
	if err != nil {
		return "", fmt.Errorf("embedded store: %w", err)
	}
	addr := strings.TrimSpace(string(data))
	return addr, checkLoopback(addr)
}

// checkLoopback refuses addresses that others could reach: there is no password.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("embedded store: address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("embedded store: address %q is not a loopback address", addr)
	}
	return nil
}

// Addr returns where it listens.
func (e *Engine) Addr() string { return e.listener.Addr().String() }

// URL returns the URL for clients.
func (e *Engine) URL() string { return "redis://" + e.Addr() }

// Run serves until ctx ends, then closes every connection and returns nil. It
// returns an error when it cannot go on: the directory cannot be read back after a
// failed write, or Close was called.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		<-ctx.Done()
		_ = e.listener.Close()
		e.conns.closeAll()
	})
	wg.Go(func() { e.keepSnapshots(ctx) })
	for {
		c, err := e.listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			e.mu.Lock()
			defer e.mu.Unlock()
			return fmt.Errorf("embedded store: %w", cmp.Or(e.broken, err))
		case err != nil: // out of descriptors, say
			e.log.Warn("connection not accepted", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		if !e.conns.add(c) {
			_ = c.Close()
			continue
		}
		wg.Go(func() {
			defer e.conns.remove(c)
			e.serve(c)
		})
	}
}

// Close writes what is not written, and gives the directory back. Call it after Run
// has returned, or instead of Run.
func (e *Engine) Close() error {
	e.closing.Do(func() {
		_ = e.listener.Close()
		e.flush.Lock()
		defer e.flush.Unlock()
		e.mu.Lock()
		defer e.mu.Unlock()
		_, err := e.journal.writePending()
		_ = os.Remove(filepath.Join(e.dir, addressFile)) // who reads it later is refused a connection
		e.closed = errors.Join(err, e.journal.file.Close(), e.lock.Close())
		if e.broken == nil {
			e.broken = errors.New("closed")
		}
	})
	return e.closed
}

// now returns the time of the next command, ms. It follows the system's clock, goes
// on when that is set back, and never goes back itself: not below what was recorded
// either. Call with mu held.
func (e *Engine) now() int64 {
	t := time.Now()
	return max(t.UnixMilli(), e.floor+t.Sub(e.opened).Milliseconds(), e.machine.now)
}

// Stats says what the engine has done since it was opened.
type Stats struct {
	Commands  int64 // executed for clients
	Records   int64 // journaled
	Syncs     int64 // fsyncs of the journal
	Snapshots int64
}

// Stats returns what the engine has done.
func (e *Engine) Stats() Stats {
	return Stats{e.stats.commands.Load(), e.stats.records.Load(), e.stats.syncs.Load(), e.stats.snapshots.Load()}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/embedded"
	"github.com/spark-ta/spark/daemon/store/redis"
)

func (p *program) storeCommand(flags func() map[string]string) *cobra.Command {
	c := &cobra.Command{Use: "store", Short: "Check, mend and move the store", Args: noArgs,
		Long: `The store holds the alerts, their history, the deliveries and the term of the
leader. These commands work on the configured one: the Redis server of REDIS_URL, or
without it the embedded store in SPARK_DATA_DIR, which no daemon may hold meanwhile.

  spark-daemon store fsck                        what is wrong, and what would be done
  spark-daemon store fsck --repair               mend it; what cannot be read is kept aside
  spark-daemon store export backup.jsonl         everything, as text
  REDIS_URL=redis://db:6379 spark-daemon store import backup.jsonl

docs/store.md has the details: the format of the file, what is kept aside and where,
what Redis must be told to keep.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(p.fsckCommand(flags), p.exportCommand(flags), p.importCommand(flags))
	return c
}

// storeTimeout is how long one answer of the store may take: a set of a million ids
// takes seconds.
const storeTimeout = time.Minute

// reachTime is how long a store has to answer at all.
const reachTime = 5 * time.Second

// openStore opens the configured store. fresh allows an embedded one that is not
// there yet. The caller closes.
func (p *program) openStore(ctx context.Context, o daemon.Options, fresh bool) (*redis.Store, func() error, error) {
	url, closeEngine := o.RedisURL, func() error { return nil }
	if url == "" {
		e, stop, err := p.openEngine(ctx, o.DataDir, fresh)
		if err != nil {
			return nil, nil, err
		}
		url, closeEngine = e.URL(), stop
	}
	s, err := redis.Open(redis.Options{
		URL: url, Namespace: o.RedisNamespace, HistoryLimit: o.HistoryLimit, CooldownSec: o.CooldownSec, Timeout: storeTimeout,
	})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%w: %s: %v", errUsage, wire.EnvRedisURL, err), closeEngine())
	}
	closeAll := func() error { return errors.Join(s.Close(), closeEngine()) }
	reach, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	if _, err := s.Ping(reach); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%w: %s: %v", errUsage, wire.EnvRedisURL, err), closeAll())
	}
	return s, closeAll, nil
}

// openEngine serves the embedded store of a directory to this process.
func (p *program) openEngine(ctx context.Context, dir string, fresh bool) (*embedded.Engine, func() error, error) {
	if names, _ := filepath.Glob(filepath.Join(dir, "journal-*")); len(names) == 0 && !fresh {
		return nil, nil, fmt.Errorf("%w: there is no embedded store in %s: set %s, or %s for a Redis server", errUsage, dir, wire.EnvDataDir, wire.EnvRedisURL)
	}
	log := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	e, err := embedded.Open(embedded.Options{Dir: dir, Log: log})
	if errors.Is(err, store.ErrLocked) {
		return nil, nil, fmt.Errorf("%w: %v: stop that daemon (kill -TERM and that pid), run this again, then start it", errUsage, err)
	}
	if err != nil {
		return nil, nil, err
	}
	// The engine outlives an interrupt: what was begun must be undone through it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1) // one message, from the goroutine below
	go func() { ended <- e.Run(ctx) }()
	return e, func() error { cancel(); return errors.Join(<-ended, e.Close()) }, nil
}

// withStore runs work on the configured store.
func (p *program) withStore(cmd *cobra.Command, flags map[string]string, fresh bool, work func(*redis.Store) error) (err error) {
	o, _, err := p.options(flags)
	if err != nil {
		return err
	}
	s, closeStore, err := p.openStore(cmd.Context(), o, fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	return work(s)
}

// ticker returns what writes a line about progress, at most every two seconds.
func (p *program) ticker(verb string) func(done, all int64) {
	last := time.Now()
	return func(done, all int64) {
		if time.Since(last) < 2*time.Second {
			return
		}
		last = time.Now()
		of := ""
		if all > 0 {
			of = fmt.Sprintf(" of %d", all)
		}
		fmt.Fprintf(p.stderr, "spark-daemon: %d%s keys %s\n", done, of, verb)
	}
}

func (p *program) fsckCommand(flags func() map[string]string) *cobra.Command {
	var repair, asJSON bool
	c := &cobra.Command{Use: "fsck", Short: "Say what is damaged in the store; with --repair, mend it", Args: noArgs,
		Long: `Looks at every key and names each that is damaged, why, and what --repair would do.
Nothing is changed without --repair. It may run while daemons work on the same Redis
server: each verdict is made by a script that looks again, so what changed meanwhile
is neither reported nor touched.

--repair deletes nothing that a person made. An alert that cannot be read is taken
out of the index and kept, with its history, under "…:damaged:" and its name; old
values of fields that are set anew are kept there too. Open deliveries that no relay
would find are put back into the outbox; entries of queues that lead nowhere are
removed. Look at what is aside with redis-cli, and delete it by hand.

  spark-daemon store fsck
  damaged spark:alerts:alert:7f3c: in the index, but there is no hash; --repair would take the id out of the index, …

Exit status: 0 clean, or all repaired; 1 damage is left; 2 misused, or the store
cannot be reached (an embedded store that a daemon holds included).`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var result redis.FsckResult
			err := p.withStore(cmd, flags(), false, func(s *redis.Store) (err error) {
				progress := p.ticker("looked at")
				result, err = s.Fsck(cmd.Context(), redis.FsckOptions{
					Repair: repair, Found: func(f redis.Finding) error { return p.printFinding(f, asJSON) },
					Progress: func(n int64) { progress(n, 0) },
				})
				if errors.Is(err, store.ErrUnavailable) {
					return fmt.Errorf("%w: %v", errUsage, err)
				}
				return err
			})
			if err != nil {
				return err
			}
			return p.printFsck(result, asJSON, repair)
		}}
	c.Flags().BoolVar(&repair, "repair", false, "mend what can be mended; keep aside what cannot be read")
	c.Flags().BoolVar(&asJSON, "json", false, "a JSON object a line: the findings, then {\"summary\":…}")
	return c
}

func (p *program) printFinding(f redis.Finding, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(f)
	}
	end := ""
	switch f.State {
	case redis.Damaged:
		end = "; --repair would " + f.Repair
		if strings.HasPrefix(f.Repair, "none") {
			end = "; repair: " + f.Repair
		}
	case redis.Repaired:
		end = "; done: " + f.Repair
	case redis.Note:
	}
	_, err := fmt.Fprintf(p.stdout, "%s %s: %s%s\n", f.State, safetext.Clean(f.Key), safetext.Clean(f.Reason), safetext.Clean(end))
	return err
}

// printFsck writes the summary. Damage that is left is an error.
func (p *program) printFsck(r redis.FsckResult, asJSON, repair bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(p.stdout).Encode(map[string]redis.FsckResult{"summary": r})
	} else {
		_, err = fmt.Fprintf(p.stdout, "%d keys, %d alerts: %d damaged, %d repaired, %d notes, %d kept aside\n",
			r.Keys, r.Alerts, r.Damaged, r.Repaired, r.Notes, r.Aside)
	}
	switch {
	case err != nil:
		return err
	case r.Damaged > 0 && repair:
		return fmt.Errorf("%d damaged after the repair", r.Damaged)
	case r.Damaged > 0:
		return fmt.Errorf("%d damaged: run again with --repair", r.Damaged)
	}
	return nil
}

// fileArg returns the only argument, "-" when there is none.
func fileArg(cmd *cobra.Command, args []string) (string, error) {
	switch len(args) {
	case 0:
		return "-", nil
	case 1:
		return args[0], nil
	}
	return "", fmt.Errorf("%w: %s takes one file, or - ", errUsage, cmd.CommandPath())
}

func (p *program) exportCommand(flags func() map[string]string) *cobra.Command {
	return &cobra.Command{Use: "export [FILE|-]", Short: "Write the store as text, to a file or standard output",
		Long: `Writes everything as lines of JSON: a header, one line for each key with its type,
its time to live and its content, and a trailer with a count and a SHA-256. The same
state gives the same bytes, from an embedded store, a Redis server or a cluster.

Not moved: the lock (somebody holds it now) and the registry (processes that live
now). The term is moved, so that epochs go on growing. Keys under the namespace that
are not Spark's are left out and named.

A file appears whole or not at all. For an exact copy of a store at work stop the
fleet first; otherwise each key is whole, the export says that the store changed,
and fsck puts right what does not fit together after an import.

Exit status: 0 written; 1 failed, or a key has a type without a text form; 2 misused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := fileArg(cmd, args)
			if err != nil {
				return err
			}
			return p.withStore(cmd, flags(), false, func(s *redis.Store) error {
				progress := p.ticker("written")
				var out redis.Exported
				err := writeWhole(path, p.stdout, func(w io.Writer) (err error) {
					out, err = s.Export(cmd.Context(), w, func(done, all int) { progress(int64(done), int64(all)) })
					return err
				})
				if err != nil {
					return err
				}
				return p.printExport(out)
			})
		}}
}

// writeWhole lets write fill a file that appears whole or not at all; "-" is stdout.
func writeWhole(path string, stdout io.Writer, write func(io.Writer) error) error {
	if path == "-" {
		return write(stdout)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // of mode 0600
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// printExport says on standard error what was written and what was not.
func (p *program) printExport(out redis.Exported) error {
	say := func(format string, args ...any) { fmt.Fprintf(p.stderr, "spark-daemon: "+format+"\n", args...) }
	say("%d keys exported, sha256 %s", out.Records, out.SHA256)
	if len(out.NotMoved) > 0 {
		say("not moved: %s", strings.Join(out.NotMoved, ", "))
	}
	if n := len(out.Foreign); n > 0 {
		say("left out, not Spark's: %d keys, the first %s", n, safetext.Clean(out.Foreign[0]))
	}
	if out.Changed {
		say("the store was written to meanwhile: stop the fleet for an exact copy")
	}
	if n := len(out.Unknown); n > 0 {
		return fmt.Errorf("%d keys have a type without a text form and were left out, the first %s", n, safetext.Clean(out.Unknown[0]))
	}
	return nil
}

func (p *program) importCommand(flags func() map[string]string) *cobra.Command {
	var replace bool
	c := &cobra.Command{Use: "import [FILE|-]", Short: "Read what store export wrote into the configured store",
		Long: `Reads a file of "store export", or standard input. The whole file is checked before
anything is written: one that was cut or changed is refused, with the line.

A store that holds something is refused without --replace, which deletes Spark's keys
of the namespace first. So is one in which a process is alive or leads: stop the fleet.
The epoch of the term is never lowered.

Interrupted, an import into an empty store takes away what it wrote. With --replace
the store is left incomplete and marked so (fsck says it): run the same import again.

  spark-daemon store export - | REDIS_URL=redis://db:6379 spark-daemon store import -

Exit status: 0 done, 1 failed or refused, 2 misused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := fileArg(cmd, args)
			if err != nil {
				return err
			}
			f, closeFile, err := openWhole(path, os.Stdin)
			if err != nil {
				return err
			}
			err = p.withStore(cmd, flags(), true, func(s *redis.Store) error {
				progress := p.ticker("read")
				out, err := s.Import(cmd.Context(), f, redis.ImportOptions{
					Replace: replace, Progress: func(done, all int) { progress(int64(done), int64(all)) },
				})
				switch {
				case errors.Is(err, redis.ErrNotEmpty):
					return fmt.Errorf("%w: --replace deletes them first", err)
				case err != nil:
					return fmt.Errorf("%s: %w", path, err)
				}
				_, err = fmt.Fprintf(p.stderr, "spark-daemon: %d keys imported from namespace %s, %d replaced; the next epoch is above %d\n",
					out.Records, safetext.Clean(out.Namespace), out.Replaced, out.Epoch)
				return err
			})
			return errors.Join(err, closeFile())
		}}
	c.Flags().BoolVar(&replace, "replace", false, "delete what the store holds first")
	return c
}

// openWhole opens a file that can be read twice; what comes from stdin is put into a
// temporary one.
func openWhole(path string, stdin io.Reader) (*os.File, func() error, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %v", errUsage, err)
		}
		return f, f.Close, nil
	}
	f, err := os.CreateTemp("", "spark-import-*")
	if err != nil {
		return nil, nil, err
	}
	closeFile := func() error { return errors.Join(f.Close(), os.Remove(f.Name())) }
	if _, err = io.Copy(f, stdin); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, nil, errors.Join(err, closeFile())
	}
	return f, closeFile, nil
}

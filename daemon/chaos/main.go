// Chaos makes trouble for real candidates around a real Redis, and judges what became
// of it by the server's own order of things. It looks at the product from outside and is
// linked into no program that is shipped.
//
//	make chaos                                20 rounds of each kind
//	make chaos ROUNDS=500 KINDS=sigstop
//
// # What it starts
//
// For each fleet a redis-server of its own, with an append-only file, and candidates:
// this binary again, as "chaos candidate". A Spark candidate wires lease.Elector and
// the Redis store as the daemon does; while it leads it makes effects: a look at its
// term, a moment of work, and a fenced trigger of a fresh event that carries the
// term's whole token. The peers (rueidislock, bsm/redislock) do the same with what
// their libraries offer: a look at the context, the moment, a write. Candidates write
// what they believe to standard output, with the boot-time clock, which all processes
// of a machine share.
//
// # How it judges
//
// The oracle is the append-only file: every write that the server accepted, in its own
// order, the removal of keys whose time was over included. A grant is the script's
// write of a nonce into the term, an effect is an event pushed to the history, and the
// driver marks where a round begins. Four checks, each a pure function with a test of
// its own (history.go):
//
//   - stale effects: one by a term that was not the newest granted, or while the lock
//     was not its holder's;
//   - epochs grow, in the server's history and in the order in which candidates led;
//   - lost effects: acknowledged to a candidate, and not in the history that
//     survived; and duplicates. Where the server may forget (killed with everysec, a
//     replica promoted) the last moments are counted, and not held against Spark;
//   - belief: from the moment that a candidate is told to lead until its context has
//     ended. Both stamps err towards an overlap.
//
// The mutant is Spark built with an empty fence.lua (go build -overlay). It plays in
// every run, and a run in which it is not caught has failed: it would prove nothing.
//
// # What fails a run
//
// A breach of safety by Spark, a round that does not end, a mutant that is not caught:
// exit 1. Times are shown against their targets and beside the peers of the same run,
// but do not fail it: the machine may be shared. No redis-server, or a wrong flag:
// exit 2. Kinds whose times matter run first, one kind at a time; the others share the
// machine.
//
// It is longer than a package should be, because it is one tool with one subject:
// history.go and aof.go judge, fleet.go, server.go, proxy.go and runner.go are the
// world, candidate.go and peers.go live in it, kinds.go makes trouble, report.go tells.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 && args[0] == "candidate" {
		return candidate(ctx, args[1:], stdout, stderr)
	}
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "chaos:", err)
		return 2
	}
	failures, err := drive(ctx, o, stdout)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "chaos: interrupted, every process has ended")
		return 1
	case err != nil:
		fmt.Fprintln(stderr, "chaos:", err)
		return 1
	case len(failures) > 0:
		fmt.Fprintln(stderr, "chaos: FAILED")
		for _, f := range failures {
			fmt.Fprintln(stderr, " ", f)
		}
		return 1
	}
	return 0
}

// options of a run.
type options struct {
	rounds   int
	kinds    []kind
	seed     uint64
	width    int
	json     string
	markdown string
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var names string
	var lease time.Duration
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.rounds, "rounds", 20, "rounds of each kind")
	f.StringVar(&names, "kinds", "", "kinds, separated by commas; empty for all")
	f.DurationVar(&lease, "lease", 2*time.Second, "lease, where a kind does not name its own")
	f.Uint64Var(&o.seed, "seed", 0, "of the moments of trouble, 0 for one by chance")
	f.IntVar(&o.width, "width", 14, "fleets side by side where times do not matter")
	f.StringVar(&o.json, "json", "", "file for the figures as JSON")
	f.StringVar(&o.markdown, "markdown", "", "file for the figures as a table in Markdown, - for standard output")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.rounds < 1 || o.width < 1 || lease < time.Second {
		return o, errors.New("want no arguments, --rounds and --width of 1 or more, --lease of 1s or more")
	}
	if !supported {
		return o, errors.New("needs Linux: it compares the clocks of processes and holds them")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		return o, errors.New("redis-server is not installed (Debian: apt-get install redis-server)")
	}
	all := kinds(lease)
	known := make([]string, len(all))
	for i, k := range all {
		known[i] = k.name
	}
	wanted := map[string]bool{}
	for _, n := range strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(known, n) {
			return o, fmt.Errorf("no kind %q: want some of %s", n, strings.Join(known, ", "))
		}
		wanted[n] = true
	}
	for _, k := range all {
		if len(wanted) == 0 || wanted[k.name] || k.name == "mutant" {
			o.kinds = append(o.kinds, k)
		}
	}
	if o.seed == 0 {
		o.seed = uint64(rand.Uint32())
	}
	return o, nil
}

// drive plays everything and returns what makes the run fail.
func drive(ctx context.Context, o options, out io.Writer) ([]string, error) {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &bench{run: newRunner(), dir: dir, exe: exe, seed: o.seed, out: out, began: time.Now()}
	defer b.run.killAll()
	b.say("seed %d, %d rounds, logs below %s", o.seed, o.rounds, dir)
	if err := b.build(ctx, slices.ContainsFunc(o.kinds, func(k kind) bool { return k.whole != nil })); err != nil {
		return nil, err
	}
	r := b.contest(ctx, o)
	if ctx.Err() != nil {
		b.run.killAll()
		_ = os.RemoveAll(dir)
		return nil, ctx.Err()
	}
	fmt.Fprintf(out, "\n%s\n", r.table())
	failures := r.failures()
	if len(failures) == 0 {
		b.run.killAll()
		_ = os.RemoveAll(dir)
	}
	b.say("%d breaches of safety, %d failures", r.breached(), len(failures))
	return failures, b.write(o, r)
}

// contest plays the quiet kinds one after the other, then the loud ones together.
func (b *bench) contest(ctx context.Context, o options) report {
	var r report
	var loud [][]shard
	for i, k := range o.kinds {
		n := o.rounds
		if k.rounds != nil {
			n = k.rounds(n)
		}
		peers := append([]string{peerSpark}, k.peers...)
		if k.name == "mutant" {
			peers = []string{peerMutant}
		}
		var shards []shard
		for j, p := range peers {
			t := newTally(k, p)
			r.tallies = append(r.tallies, t)
			s := divide(t, n, o.seed+uint64(i*100+j*10))
			shards = append(shards, s...)
			if !k.quiet {
				loud = append(loud, s)
			}
		}
		if k.quiet {
			b.play(ctx, shards, len(shards))
		}
	}
	b.play(ctx, deal(loud), o.width)
	return r
}

// deal takes one shard of each in turn.
func deal(piles [][]shard) (out []shard) {
	for i := 0; ; i++ {
		n := len(out)
		for _, p := range piles {
			if i < len(p) {
				out = append(out, p[i])
			}
		}
		if len(out) == n {
			return out
		}
	}
}

func (b *bench) write(o options, r report) error {
	if o.json != "" {
		data, err := r.asJSON(o.seed, b.began)
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	switch o.markdown {
	case "":
	case "-":
		fmt.Fprint(b.out, r.markdown())
	default:
		return os.WriteFile(o.markdown, []byte(r.markdown()), 0o644)
	}
	return nil
}

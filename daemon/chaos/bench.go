package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// bench is what all fleets of a run share.
type bench struct {
	run    *runner
	dir    string
	exe    string
	mutant string
	daemon string // the real spark-daemon, built when a kind wants it
	seed   uint64
	out    io.Writer
	began  time.Time

	mu sync.Mutex // guards out
}

func (b *bench) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintf(b.out, "%6.1fs  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// tally is what one contestant did in one kind of trouble.
type tally struct {
	kind kind
	peer string

	mu     sync.Mutex
	rounds int                        // finished; guarded by mu, as is the rest
	times  map[string][]time.Duration // by measure
	hits   map[string]int             // rounds, by measure
	rates  map[string][]float64       // by measure
	stuck  []string                   // rounds that did not end as they should, and why
	verdict
}

func newTally(k kind, peer string) *tally {
	return &tally{kind: k, peer: peer, times: map[string][]time.Duration{}, hits: map[string]int{}, rates: map[string][]float64{}}
}

func (t *tally) took(what string, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times[what] = append(t.times[what], d)
}

func (t *tally) hit(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hits[what]++
}

func (t *tally) rate(what string, v float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rates[what] = append(t.rates[what], v)
}

func (t *tally) done(v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.findings = append(t.findings, v.findings...)
	t.forgiven += v.forgiven
	t.effects += v.effects
	t.fenced += v.fenced
	t.terms += v.terms
}

// breaches are the findings that Spark may not have in this kind of trouble.
func (t *tally) breaches() []finding {
	if t.peer != peerSpark {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(t.findings), func(f finding) bool { return f.what == foundOverlap && !t.kind.believers })
}

// caught is how many rounds of the mutant showed that it is one.
func (t *tally) caught() int {
	return roundsOf(t.findings, foundStale) + roundsOf(t.findings, foundUnheld)
}

// quantile of times that are sorted.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[int(math.Ceil(q*float64(len(d))))-1]
}

// shard is a part of the rounds of one contestant, on fleets of its own.
type shard struct {
	t     *tally
	first int // number of its first round
	n     int
	seed  uint64
}

// divide spreads the rounds of a kind over its fleets.
func divide(t *tally, rounds int, seed uint64) []shard {
	fleets := max(1, min(t.kind.fleets, rounds))
	if t.kind.most > 0 {
		fleets = max(fleets, (rounds+t.kind.most-1)/t.kind.most)
	}
	var out []shard
	for i := range fleets {
		from, to := rounds*i/fleets, rounds*(i+1)/fleets
		if to > from {
			out = append(out, shard{t, from, to - from, seed + uint64(i)})
		}
	}
	return out
}

// runShard plays its rounds. After a round that went wrong it goes on with a new fleet.
func (b *bench) runShard(ctx context.Context, s shard) {
	t := s.t
	if t.kind.whole != nil {
		if err := t.kind.whole(ctx, b, s.n, s.seed, t); err != nil && ctx.Err() == nil {
			t.fail(0, err)
		}
		return
	}
	failures := 0
	for done := 0; done < s.n && failures < 3 && ctx.Err() == nil; {
		n, err := b.runFleet(ctx, s, done)
		done += n
		if err != nil && ctx.Err() == nil {
			t.fail(s.first+done+1, err)
			failures++
			done++
		}
	}
}

func (t *tally) fail(round int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stuck = append(t.stuck, fmt.Sprintf("round %d: %v", round, err))
}

// runFleet plays rounds on one fleet until all are played or one goes wrong, and
// returns how many it finished.
func (b *bench) runFleet(ctx context.Context, s shard, done int) (n int, err error) {
	t := s.t
	f, err := b.newFleet(ctx, t.kind.setting, t.peer, s.seed+uint64(done)*1000)
	if f == nil {
		return 0, err
	}
	defer func() {
		v, closeErr := f.close(err == nil)
		t.done(v)
		if ctx.Err() == nil {
			err = errors.Join(err, closeErr)
		}
	}()
	if err != nil {
		return 0, err
	}
	if t.kind.prepare != nil {
		if err := t.kind.prepare(ctx, f); err != nil {
			return 0, err
		}
	}
	for ; done+n < s.n; n++ {
		if err := f.settle(ctx, s.first+done+n+1); err != nil {
			return n, err
		}
		if err := t.kind.round(ctx, f, t); err != nil {
			return n, err
		}
		t.mu.Lock()
		t.rounds++
		t.mu.Unlock()
	}
	return n, nil
}

// play runs the shards, width of them at a time, and tells of each tally when its last
// shard has ended.
func (b *bench) play(ctx context.Context, shards []shard, width int) {
	left := map[*tally]int{}
	for _, s := range shards {
		left[s.t]++
	}
	var mu sync.Mutex // guards left
	free := make(chan struct{}, width)
	var group sync.WaitGroup
	for _, s := range shards {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			defer func() { <-free }()
			b.runShard(ctx, s)
			mu.Lock()
			left[s.t]--
			last := left[s.t] == 0
			mu.Unlock()
			if last {
				b.say("%-13s %-11s %s", s.t.kind.name, s.t.peer, s.t.line())
			}
		})
	}
	group.Wait()
}

// build makes the mutant, and the daemon for the kinds that want it.
func (b *bench) build(ctx context.Context, daemon bool) error {
	root, err := output(ctx, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return fmt.Errorf("the mutant is built from the repository, so run this inside it: %w", err)
	}
	fence := filepath.Join(root, "daemon/store/redis/scripts/fence.lua")
	if _, err := os.Stat(fence); err != nil {
		return err
	}
	empty, overlay := filepath.Join(b.dir, "empty.lua"), filepath.Join(b.dir, "overlay.json")
	if err := os.WriteFile(empty, []byte("-- no fence\n"), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(overlay, fmt.Appendf(nil, `{"Replace":{%q:%q}}`, fence, empty), 0o644); err != nil {
		return err
	}
	b.mutant = filepath.Join(b.dir, "mutant")
	if _, err := output(ctx, "go", "build", "-C", root, "-overlay", overlay, "-o", b.mutant, "./daemon/chaos"); err != nil {
		return err
	}
	if !daemon {
		return nil
	}
	b.daemon = filepath.Join(b.dir, "spark-daemon")
	_, err = output(ctx, "go", "build", "-C", root, "-o", b.daemon, "./daemon/cmd/spark-daemon")
	return err
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w\n%s", name, err, exit.Stderr)
	}
	return string(trimmed(out)), err
}

func trimmed(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

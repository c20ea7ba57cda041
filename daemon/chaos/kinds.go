package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// kind is one sort of trouble.
type kind struct {
	name    string
	text    string
	peers   []string // contestants beside Spark
	quiet   bool     // its times matter: it runs while nothing loud does
	fleets  int      // that share the rounds, at most
	most    int      // rounds in one life of a fleet, 0 for any number
	setting setting
	prepare func(ctx context.Context, f *fleet) error
	round   func(ctx context.Context, f *fleet, r *tally) error
	whole   func(ctx context.Context, b *bench, rounds int, seed uint64, r *tally) error // instead of fleets and rounds
	// believers says that two of them at once are a breach: no acknowledged write is
	// lost here, and no process is held while it believes.
	believers bool
	rounds    func(asked int) int // nil: as asked
}

var bothPeers = []string{peerRueidis, peerRedislock}

// kinds in the order in which they are reported. lease is that of most of them.
func kinds(lease time.Duration) []kind {
	plain := setting{lease: lease, effect: 4 * time.Millisecond, members: 3}
	timed := plain
	timed.effect = 20 * time.Millisecond
	proxied := plain
	proxied.proxied = true
	slow := proxied
	slow.effect = 20 * time.Millisecond
	stop := plain
	stop.effect, stop.careless = 8*time.Millisecond, true
	watched := timed
	watched.lease, watched.witness = 35*time.Second, true
	guarded := plain
	guarded.guarded = true
	idle := setting{lease: 35 * time.Second, members: 3}
	return []kind{
		{name: "sigterm", text: "the leader is asked to end", peers: bothPeers, quiet: true, fleets: 1, setting: timed, round: roundTerm, believers: true},
		{name: "sigkill", text: "the leader is killed", peers: bothPeers, quiet: true, fleets: 4, setting: timed, round: roundKill, believers: true},
		{name: "sigkill-1m", text: "the same with a million volatile keys", quiet: true, fleets: 3, setting: timed, prepare: million, round: roundKill, believers: true},
		{name: "witness", text: "the leader is killed at a lease of 35 s, successors on its machine", quiet: true, fleets: 2, setting: watched, round: roundWitness, believers: true},
		{name: "del", text: "an operator deletes the lock of a living leader", peers: bothPeers, quiet: true, fleets: 1, setting: timed, round: roundDel, believers: true},
		{name: "sigstop", text: "the leader is held for longer than the lease", peers: bothPeers, fleets: 5, most: 50, setting: stop, round: roundStop},
		{name: "mutant", text: "the same without the fence: must be caught", fleets: 3, setting: stop, round: roundStop, rounds: func(int) int { return 6 }},
		{name: "partition", text: "the leader's network becomes a black hole, one way or both", peers: bothPeers, fleets: 5, most: 50, setting: proxied, round: roundPartition, believers: true},
		{name: "slow", text: "every packet takes 10 to 20 ms each way", fleets: 2, setting: slow, round: roundSlow, believers: true},
		{name: "foreign", text: "the lock is set, overwritten or made immortal by hand", fleets: 2, setting: plain, round: roundForeign, believers: true},
		{name: "clientkill", text: "the server closes every connection", fleets: 1, setting: plain, round: roundClientKill, believers: true},
		{name: "redis-restart", text: "Redis is stopped and started (AOF)", fleets: 4, most: 50, setting: plain, round: roundRestart(syscall.SIGTERM), believers: true},
		{name: "redis-kill", text: "Redis is killed and started (AOF everysec)", fleets: 4, most: 50, setting: plain, round: roundRestart(syscall.SIGKILL)},
		{name: "redis-pause", text: "Redis stands still (CLIENT PAUSE, SIGSTOP)", fleets: 4, most: 50, setting: plain, round: roundPause, believers: true},
		{name: "redis-empty", text: "Redis is killed and starts empty", fleets: 4, most: 50, setting: plain, round: roundEmpty, believers: true},
		{name: "flushall", text: "FLUSHALL while the leader works", fleets: 1, setting: plain, round: roundFlush},
		{name: "sentinel", text: "a Sentinel failover that loses writes", fleets: 4, most: 1, setting: guarded, round: roundFailover, believers: true},
		{name: "daemons", text: "real daemons and triggers: SIGKILL, SIGTERM, Redis restarted", fleets: 3, whole: playDaemons},
		{name: "idle", text: "nothing happens, lease 35 s", fleets: 1, setting: idle, round: roundIdle, believers: true, rounds: func(int) int { return 1 }},
	}
}

// roundTerm: SIGTERM to the leader.
func roundTerm(ctx context.Context, f *fleet, r *tally) error {
	m, b, err := f.leader(ctx)
	if err != nil {
		return err
	}
	at := f.terminate(m)
	next, err := f.next(ctx, at, m.id, f.patience())
	if err != nil {
		return err
	}
	f.await(m)
	last, err := f.end(ctx, b.token, f.patience())
	if err != nil {
		return err
	}
	r.took("next", next.led-at)
	r.took("overlap", last.to-next.from)
	return nil
}

// roundKill: SIGKILL to the leader. What is left of the lease is asked for after it is
// dead.
func roundKill(ctx context.Context, f *fleet, r *tally) error {
	m, _, err := f.leader(ctx)
	if err != nil {
		return err
	}
	at := f.kill(m)
	left, err := f.ttl()
	asked := bootTime()
	if err != nil {
		return err
	}
	next, err := f.next(ctx, at, m.id, f.patience())
	if err != nil {
		return err
	}
	r.took("next", next.led-at)
	r.took("beyond", next.led-asked-left)
	return nil
}

// roundWitness: SIGKILL to the leader, once its successors know its process.
func roundWitness(ctx context.Context, f *fleet, r *tally) error {
	m, _, err := f.leader(ctx)
	if err != nil {
		return err
	}
	// A candidate that came after the last change has looked once, and then watches.
	at := f.kill(m)
	next, err := f.next(ctx, at, m.id, f.patience())
	if err != nil {
		return err
	}
	r.took("next", next.led-at)
	return nil
}

// million loads the server with keys that have a time to live.
func million(_ context.Context, f *fleet) error {
	c, err := dial(f.server.addr())
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range 20 {
		_, err := c.do("EVAL", `for i = ARGV[1], ARGV[1] + 49999 do
			redis.call('SET', 'volatile:' .. i, 'x', 'PX', 600000 + i % 600000) end return 1`, "0", strconv.Itoa(i*50000))
		if err != nil {
			return err
		}
	}
	return nil
}

// roundDel: DEL of the lock by hand.
func roundDel(ctx context.Context, f *fleet, r *tally) error {
	m, b, err := f.leader(ctx)
	if err != nil {
		return err
	}
	c, err := dial(f.server.addr())
	if err != nil {
		return err
	}
	defer c.Close()
	at := bootTime()
	if _, err := c.do("DEL", lockOf(f.peer)); err != nil {
		return err
	}
	old, err := f.end(ctx, b.token, f.patience())
	if err != nil {
		return err
	}
	next, err := f.next(ctx, at, "", f.patience())
	if err != nil {
		return err
	}
	r.took("knows", old.to-at)
	r.took("next", next.led-at)
	if next.who == m.id {
		r.hit("the same one again")
		return nil
	}
	r.took("overlap", old.to-next.from)
	if old.to > next.from {
		r.hit("overlapped")
	}
	return nil
}

// roundStop: SIGSTOP to the leader, SIGCONT when another one works.
func roundStop(ctx context.Context, f *fleet, r *tally) error {
	m, b, err := f.leader(ctx)
	if err != nil {
		return err
	}
	at := bootTime()
	f.run.signal(m.cmd, sigStop)
	m.stopped = true
	next, err := f.next(ctx, at, m.id, f.patience())
	if err != nil {
		return err
	}
	if _, err := f.acked(ctx, next.who, at, f.patience()); err != nil {
		return err
	}
	if err := sleep(ctx, time.Duration(f.rng.IntN(300))*time.Millisecond); err != nil {
		return err
	}
	woken := bootTime()
	f.run.signal(m.cmd, sigCont)
	m.stopped = false
	old, err := f.through(ctx, b.token, f.patience())
	if err != nil {
		return err
	}
	r.took("awake believing", old.to-woken)
	return nil
}

// roundPartition: the leader's connections carry nothing, in one direction or both,
// until another one leads; then all that was held back arrives.
func roundPartition(ctx context.Context, f *fleet, r *tally) error {
	m, b, err := f.leader(ctx)
	if err != nil {
		return err
	}
	how := []cut{cutBoth, cutUp, cutDown}[f.round%3]
	at := bootTime()
	m.proxy.set(how)
	next, err := f.next(ctx, at, m.id, f.patience())
	if err != nil {
		return err
	}
	old, err := f.end(ctx, b.token, f.patience())
	if err != nil {
		return err
	}
	m.proxy.set(cutNone)
	r.took("next", next.led-at)
	r.took("overlap", old.to-next.from)
	if old.to > next.from {
		r.hit("two believers")
	}
	_, err = f.through(ctx, b.token, f.patience())
	return err
}

// roundSlow: SIGTERM to the leader while everything is slow.
func roundSlow(ctx context.Context, f *fleet, r *tally) error {
	for _, m := range f.members {
		m.proxy.slow(20 * time.Millisecond)
	}
	m, b, err := f.leader(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	if still, _, err := f.leader(ctx); err != nil || still.id != m.id {
		r.hit("lost for nothing")
		return err
	}
	at := f.terminate(m)
	next, err := f.next(ctx, at, m.id, f.patience())
	if err != nil {
		return err
	}
	f.await(m)
	last, err := f.end(ctx, b.token, f.patience())
	if err != nil {
		return err
	}
	r.took("next", next.led-at)
	r.took("overlap", last.to-next.from)
	return nil
}

// roundForeign: a hand writes into the lock, and takes it away again.
func roundForeign(ctx context.Context, f *fleet, r *tally) error {
	_, b, err := f.leader(ctx)
	if err != nil {
		return err
	}
	at := bootTime()
	if f.round%3 == 0 { // PERSIST: the next renewal mends it
		if _, err := f.server.do("PERSIST", sparkLock); err != nil {
			return err
		}
		err := f.wait(ctx, func() (bool, error) { d, err := f.ttl(); return d > 0, err })
		if err != nil {
			return err
		}
		r.took("mended", bootTime()-at)
		return nil
	}
	value := []string{"SET", sparkLock, "backup-job"}
	if f.round%3 == 1 {
		value = append(value, "PX", strconv.FormatInt(f.lease.Milliseconds(), 10))
	}
	if _, err := f.server.do(value...); err != nil {
		return err
	}
	old, err := f.end(ctx, b.token, f.patience())
	if err != nil {
		return err
	}
	r.took("knows", old.to-at)
	if f.round%3 == 1 { // it runs out
		next, err := f.next(ctx, at, "", f.patience())
		if err == nil {
			r.took("beyond", next.led-at-f.lease)
		}
		return err
	}
	if err := sleep(ctx, 300*time.Millisecond); err != nil {
		return err
	}
	at = bootTime()
	if _, err := f.server.do("DEL", sparkLock); err != nil {
		return err
	}
	next, err := f.next(ctx, at, "", f.patience())
	if err == nil {
		r.took("next", next.led-at)
	}
	return err
}

// wait asks every 5 ms.
func (f *fleet) wait(ctx context.Context, holds func() (bool, error)) error {
	began := time.Now()
	for {
		ok, err := holds()
		if err != nil || ok {
			return err
		}
		if time.Since(began) > f.patience() {
			return errLate
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// roundClientKill: every connection is closed; nobody should lose the office.
func roundClientKill(ctx context.Context, f *fleet, r *tally) error {
	m, b, err := f.leader(ctx)
	if err != nil {
		return err
	}
	c, err := dial(f.server.addr())
	if err != nil {
		return err
	}
	defer c.Close()
	at := bootTime()
	for _, class := range []string{"normal", "pubsub"} {
		if _, err := c.do("CLIENT", "KILL", "TYPE", class, "SKIPME", "yes"); err != nil {
			return err
		}
	}
	back, err := f.acked(ctx, "", at, f.patience())
	if err != nil {
		return err
	}
	r.took("effects again", back-at)
	if err := sleep(ctx, f.lease); err != nil {
		return err
	}
	now, again, err := f.leader(ctx)
	if err != nil || now.id != m.id || again.token != b.token {
		r.hit("lost for nothing")
	}
	return err
}

// roundRestart: the server ends and comes back after a while with what it has written.
func roundRestart(how syscall.Signal) func(context.Context, *fleet, *tally) error {
	return func(ctx context.Context, f *fleet, r *tally) error {
		if _, _, err := f.leader(ctx); err != nil {
			return err
		}
		if how == syscall.SIGKILL {
			f.mayForget()
		}
		f.server.stop(how)
		if err := sleep(ctx, f.between(f.lease/10, 2*f.lease)); err != nil {
			return err
		}
		if err := f.server.start(ctx); err != nil {
			return err
		}
		return f.recovered(ctx, r)
	}
}

// mayForget notes that the server is about to be killed. With appendfsync everysec it
// answers before it writes while the system is busy with an earlier fsync, for up to
// two seconds, so even the end of the process alone may cost what was acknowledged.
func (f *fleet) mayForget() {
	now := bootTime()
	f.gaps = append(f.gaps, gap{now - 2*time.Second, now + time.Second})
}

func (f *fleet) between(from, to time.Duration) time.Duration {
	return from + time.Duration(f.rng.Int64N(int64(to-from)))
}

// recovered waits for an effect after the server is back.
func (f *fleet) recovered(ctx context.Context, r *tally) error {
	at := bootTime()
	back, err := f.acked(ctx, "", at, f.patience())
	if err == nil {
		r.took("effects again", back-at)
	}
	return err
}

// roundPause: the server answers nothing for a while.
func roundPause(ctx context.Context, f *fleet, r *tally) error {
	if _, _, err := f.leader(ctx); err != nil {
		return err
	}
	d := f.between(f.lease/5, 2*f.lease)
	if f.round%2 == 0 {
		if _, err := f.server.do("CLIENT", "PAUSE", strconv.FormatInt(d.Milliseconds(), 10), "ALL"); err != nil {
			return err
		}
	} else {
		f.run.signal(f.server.cmd, sigStop)
	}
	if err := sleep(ctx, d); err != nil {
		return err
	}
	f.run.signal(f.server.cmd, sigCont)
	return f.recovered(ctx, r)
}

// roundEmpty: the server forgets everything, and has just started.
func roundEmpty(ctx context.Context, f *fleet, r *tally) error {
	_, b, err := f.leader(ctx)
	if err != nil {
		return err
	}
	f.mayForget()
	if err := f.server.forget(); err != nil {
		return err
	}
	if err := sleep(ctx, f.between(0, f.lease)); err != nil {
		return err
	}
	if err := f.server.start(ctx); err != nil {
		return err
	}
	if _, err := f.end(ctx, b.token, f.patience()); err != nil {
		return err
	}
	return f.recovered(ctx, r)
}

// roundFlush: everything is forgotten by a server that has long been up.
func roundFlush(ctx context.Context, f *fleet, r *tally) error {
	_, b, err := f.leader(ctx)
	if err != nil {
		return err
	}
	at := bootTime()
	if _, err := f.server.do("FLUSHALL"); err != nil {
		return err
	}
	old, err := f.end(ctx, b.token, f.patience())
	if err != nil {
		return err
	}
	next, err := f.next(ctx, at, "", f.patience())
	if err != nil {
		return err
	}
	r.took("knows", old.to-at)
	r.took("next", next.led-at)
	r.took("overlap", old.to-next.from)
	if old.who != next.who && old.to > next.from {
		r.hit("two believers")
	}
	return nil
}

// roundIdle counts what clients send while nothing happens.
func roundIdle(ctx context.Context, f *fleet, r *tally) error {
	const long = 20 * time.Second
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	before, err := f.commands()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := sleep(ctx, long); err != nil {
		return err
	}
	after, err := f.commands()
	if err != nil {
		return err
	}
	r.rate("commands/s", float64(after-before)/time.Since(began).Seconds()/float64(f.setting.members))
	return nil
}

// commands is how many commands clients have sent: those that no script calls.
func (f *fleet) commands() (n int, err error) {
	v, err := f.server.do("INFO", "commandstats")
	text, _ := v.(string)
	for line := range strings.Lines(text) {
		name, stat, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "cmdstat_"), ":calls=")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, "|")
		switch name {
		case "evalsha", "eval", "ping", "wait", "subscribe", "hello", "client", "script":
			calls, _, _ := strings.Cut(stat, ",")
			k, err := strconv.Atoi(calls)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", line, err)
			}
			n += k
		}
	}
	return n, err
}

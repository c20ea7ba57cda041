package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// setting is what the fleets of a kind are like.
type setting struct {
	lease    time.Duration
	effect   time.Duration
	careless bool
	members  int
	proxied  bool
	witness  bool
	replicas int      // that must confirm a grant, 0 for what the URL says
	guarded  bool     // behind Sentinels
	server   []string // further arguments of redis-server
}

// fleet is one server and the candidates around it. One goroutine drives it.
type fleet struct {
	*bench
	setting
	peer   string
	exe    string
	dir    string
	server *server
	rng    *rand.Rand
	url    func(m *member) string
	group  *sync.WaitGroup // of the proxies

	sentinels *sentinels           // nil without
	unplugs   []context.CancelFunc // of the proxies between servers

	members []*member // all that were started, those that ended included
	round   int
	gaps    []gap    // when the server may have forgotten what it acknowledged
	rounds  []marked // starts of the rounds

	mu      sync.Mutex
	changed chan struct{} // closed at the next line; guarded by mu
	beliefs []*belief     // guarded by mu
	acks    []ack         // guarded by mu
	fenced  int           // guarded by mu
}

type marked struct {
	round int
	at    time.Duration
}

// member is one candidate process.
type member struct {
	id      string
	cmd     *exec.Cmd
	proxy   *proxy
	unplug  context.CancelFunc // ends the proxy
	ready   bool               // guarded by the fleet's mu
	stopped bool               // held by SIGSTOP
	gone    bool
}

// newFleet starts a server and its candidates. A fleet that comes with an error is to
// be closed.
func (b *bench) newFleet(ctx context.Context, s setting, peer string, seed uint64) (*fleet, error) {
	dir, err := os.MkdirTemp(b.dir, peer+"-")
	if err != nil {
		return nil, err
	}
	f := &fleet{bench: b, setting: s, peer: peer, exe: b.exe, dir: dir, rng: rand.New(rand.NewPCG(seed, 2)), changed: make(chan struct{}), group: &sync.WaitGroup{}}
	if peer == peerMutant {
		f.exe = b.mutant
	}
	if f.server, err = newServer(b.run, filepath.Join(dir, "redis"), s.server...); err != nil {
		return nil, err
	}
	if err := f.server.start(ctx); err != nil {
		return nil, err
	}
	if s.guarded {
		if err := f.deploy(ctx); err != nil {
			return f, err
		}
	}
	return f, f.populate(ctx)
}

// populate starts the candidates of a fleet whose server answers.
func (f *fleet) populate(ctx context.Context) error {
	if err := f.pretend(); err != nil {
		return err
	}
	for range f.setting.members {
		if err := f.join(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pretend makes a fresh server look as if there had been a leader, so that nobody waits
// for a lease to go by.
func (f *fleet) pretend() error {
	if f.peer != peerSpark && f.peer != peerMutant {
		return nil
	}
	_, err := f.server.do("HSET", sparkTerm, "holder", "before", "epoch", "7", "nonce", "n", "state", "released")
	return err
}

// join starts one more candidate.
func (f *fleet) join(ctx context.Context) error {
	m := &member{id: fmt.Sprintf("c%d", len(f.members)+1)}
	addr := f.server.addr()
	if f.proxied {
		p, err := newProxy(addr)
		if err != nil {
			return err
		}
		m.proxy, addr = p, p.addr()
		ctx, m.unplug = context.WithCancel(ctx)
		f.group.Go(func() { _ = p.run(ctx) })
	}
	url := "redis://" + addr
	if f.url != nil {
		url = f.url(m)
	}
	peer := f.peer
	if peer == peerMutant {
		peer = peerSpark
	}
	m.cmd = exec.Command(f.exe, "candidate", "--peer", peer, "--id", m.id, "--url", url,
		"--lease", f.lease.String(), "--effect", f.effect.String(), "--careless="+strconv.FormatBool(f.careless), "--witness="+strconv.FormatBool(f.witness), "--replicas", strconv.Itoa(f.replicas))
	log, err := os.Create(filepath.Join(f.dir, m.id+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	m.cmd.Stdout, m.cmd.Stderr = &lines{each: func(s string) { f.heard(m, s) }}, log
	m.cmd.Env = append(os.Environ(), "GOMAXPROCS=2")
	f.members = append(f.members, m)
	return f.run.start(m.cmd)
}

// lines hands over whole lines.
type lines struct {
	each func(string)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.each(string(l.rest[:i]))
		l.rest = l.rest[i+1:]
	}
}

// heard takes a line of a candidate.
func (f *fleet) heard(m *member, line string) {
	w := strings.Fields(line)
	if len(w) < 2 {
		return
	}
	at := duration(w[0])
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() {
		if w[1] != wordAck {
			close(f.changed)
			f.changed = make(chan struct{})
		}
	}()
	switch w[1] {
	case wordReady:
		m.ready = true
		return
	case wordAck:
		f.acks = append(f.acks, ack{w[2], at, f.round})
		return
	case wordFenced:
		f.fenced++
		return
	case wordBecame:
		f.beliefs = append(f.beliefs, &belief{who: m.id, token: token{m.id, number(w[3]), dash(w[4])}, from: duration(w[2]), led: at, round: f.round})
		return
	}
	b := f.beliefOf(m.id, number(w[2]), dash(w[3]))
	if b == nil {
		return
	}
	switch w[1] {
	case wordEnded:
		b.to = at
	case wordStopped:
		b.idle = at
	case wordOver:
		b.over, b.reason = at, strings.Join(w[4:], " ")
	}
}

func (f *fleet) beliefOf(who string, epoch int64, nonce string) *belief {
	for _, b := range slices.Backward(f.beliefs) {
		if b.who == who && b.token.Epoch == epoch && b.token.Nonce == nonce {
			return b
		}
	}
	return nil
}

func duration(s string) time.Duration { return time.Duration(number(s)) }

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

var errLate = errors.New("did not happen in time")

// until waits until the condition holds; it is asked with the fleet's mutex held.
func (f *fleet) until(ctx context.Context, limit time.Duration, what string, holds func() bool) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		f.mu.Lock()
		if holds() {
			f.mu.Unlock()
			return nil
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-timer.C:
			return fmt.Errorf("%s: %w (%s; logs in %s)", what, errLate, limit, f.dir)
		}
	}
}

// patience bounds every wait: far beyond what is right, because the machine may be
// busy.
func (f *fleet) patience() time.Duration { return 20*time.Second + 3*f.lease }

// leader waits until exactly one candidate believes and returns it with its term.
func (f *fleet) leader(ctx context.Context) (*member, belief, error) {
	var b *belief
	err := f.until(ctx, f.patience(), "one leader", func() bool {
		n := 0
		for _, x := range f.beliefs {
			if x.to == 0 {
				n, b = n+1, x
			}
		}
		return n == 1
	})
	if err != nil {
		return nil, belief{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		if m.id == b.who {
			return m, *b, nil
		}
	}
	return nil, belief{}, fmt.Errorf("no member %s", b.who)
}

// next waits for a term that began after the moment, of somebody other than not.
func (f *fleet) next(ctx context.Context, after time.Duration, not string, limit time.Duration) (belief, error) {
	var b belief
	err := f.until(ctx, limit, "next leader", func() bool {
		for _, x := range f.beliefs {
			if x.led > after && x.who != not {
				b = *x
				return true
			}
		}
		return false
	})
	return b, err
}

// end waits until the term's belief has ended.
func (f *fleet) end(ctx context.Context, t token, limit time.Duration) (belief, error) {
	return f.term(ctx, t, "end of the term", limit, func(b *belief) bool { return b.to > 0 })
}

// through waits until the candidate is through with the term.
func (f *fleet) through(ctx context.Context, t token, limit time.Duration) (belief, error) {
	return f.term(ctx, t, "release of the term", limit, func(b *belief) bool { return b.over > 0 })
}

func (f *fleet) term(ctx context.Context, t token, what string, limit time.Duration, holds func(*belief) bool) (out belief, err error) {
	err = f.until(ctx, limit, what, func() bool {
		b := f.beliefOf(t.Holder, t.Epoch, t.Nonce)
		if b == nil || !holds(b) {
			return false
		}
		out = *b
		return true
	})
	return out, err
}

// acked waits until the holder has had n effects acknowledged after the moment.
func (f *fleet) acked(ctx context.Context, who string, after time.Duration, limit time.Duration) (time.Duration, error) {
	began := time.Now()
	for {
		f.mu.Lock()
		for _, a := range slices.Backward(f.acks) {
			if a.at <= after {
				break
			}
			if who == "" || strings.HasPrefix(a.id, who+"-") {
				f.mu.Unlock()
				return a.at, nil
			}
		}
		f.mu.Unlock()
		if time.Since(began) > limit {
			return 0, fmt.Errorf("an effect: %w (%s; logs in %s)", errLate, limit, f.dir)
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// settle brings the fleet back to its size with one leader and all candidates ready,
// waits a random moment, and marks the round in the server's history.
func (f *fleet) settle(ctx context.Context, round int) error {
	live := 0
	for _, m := range f.members {
		if m.gone {
			continue
		}
		live++
		if m.proxy != nil {
			m.proxy.set(cutNone)
		}
		if m.stopped {
			f.run.signal(m.cmd, sigCont)
			m.stopped = false
		}
	}
	for ; live < f.setting.members; live++ {
		if err := f.join(ctx); err != nil {
			return err
		}
	}
	err := f.until(ctx, f.patience(), "all candidates ready", func() bool {
		return !slices.ContainsFunc(f.members, func(m *member) bool { return !m.gone && !m.ready })
	})
	if err != nil {
		return err
	}
	if _, _, err := f.leader(ctx); err != nil {
		return err
	}
	// Who has just lost stays out for an eighth of the lease.
	if err := sleep(ctx, min(f.lease/8, time.Second)+time.Duration(100+f.rng.IntN(250))*time.Millisecond); err != nil {
		return err
	}
	f.mu.Lock()
	f.round = round
	f.rounds = append(f.rounds, marked{round, bootTime()})
	f.mu.Unlock()
	_, err = f.server.do("SET", roundKey, strconv.Itoa(round))
	return err
}

// kill ends a candidate; what it believed ends with it.
func (f *fleet) kill(m *member) (at time.Duration) {
	at = bootTime()
	f.run.stop(m.cmd, syscall.SIGKILL)
	f.mu.Lock()
	defer f.mu.Unlock()
	m.gone = true
	for _, b := range f.beliefs {
		if b.who == m.id && b.to == 0 {
			b.to, b.idle, b.over = at, at, at
		}
	}
	return at
}

// terminate asks a candidate to end; await waits for it.
func (f *fleet) terminate(m *member) (at time.Duration) {
	at = bootTime()
	f.run.signal(m.cmd, syscall.SIGTERM)
	m.gone = true
	return at
}

func (f *fleet) await(m *member) { f.run.stop(m.cmd, syscall.SIGTERM) }

// ttl is what is left of the lease.
func (f *fleet) ttl() (time.Duration, error) {
	v, err := f.server.do("PTTL", lockOf(f.peer))
	n, _ := v.(int)
	return time.Duration(n) * time.Millisecond, err
}

// close ends the fleet and returns what was found in it.
func (f *fleet) close(forgiving bool) (verdict, error) {
	for _, m := range f.members {
		if !m.gone {
			f.kill(m)
		}
		if m.unplug != nil {
			m.unplug()
		}
	}
	for _, unplug := range f.unplugs {
		unplug()
	}
	f.group.Wait()
	end := bootTime()
	if f.sentinels != nil {
		f.sentinels.close(f.server)
	}
	f.server.stop(syscall.SIGTERM)
	h, err := f.server.history()
	if err != nil {
		return verdict{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v := verdict{effects: len(f.acks), fenced: f.fenced, terms: len(f.beliefs)}
	v.findings = checkHistory(h, f.peer == peerSpark || f.peer == peerMutant)
	lost, forgiven := checkAcks(h, f.acks, f.gaps)
	v.findings, v.forgiven = append(v.findings, lost...), forgiven
	all := make([]belief, len(f.beliefs))
	for i, b := range f.beliefs {
		all[i] = *b
		all[i].round = f.roundAt(b.from)
	}
	v.findings = append(v.findings, checkBeliefs(all, end)...)
	if len(v.findings) == 0 || f.peer != peerSpark || forgiving {
		_ = os.RemoveAll(f.dir)
	}
	return v, nil
}

// roundAt is the round in which a moment was.
func (f *fleet) roundAt(at time.Duration) int {
	round := 0
	for _, m := range f.rounds {
		if m.at <= at {
			round = m.round
		}
	}
	return round
}

// verdict is what the history of a fleet shows.
type verdict struct {
	findings []finding
	forgiven int // acknowledged effects lost where that may be
	effects  int // acknowledged
	fenced   int
	terms    int
}

var _ io.Writer = (*lines)(nil)

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/lease"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
)

// candidacy is what a candidate process is told.
type candidacy struct {
	peer     string
	id       string
	url      string
	lease    time.Duration
	effect   time.Duration // between the look at the term and the write; 0: no effects
	careless bool          // once looked, it writes whatever happens meanwhile
	witness  bool
	replicas int
	out      *reporter
	log      *slog.Logger
}

// candidate is the command `chaos candidate`: one process that wants to lead.
func candidate(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := candidacy{out: &reporter{w: stdout}}
	f := flag.NewFlagSet("candidate", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&c.peer, "peer", peerSpark, "")
	f.StringVar(&c.id, "id", "", "")
	f.StringVar(&c.url, "url", "", "")
	f.DurationVar(&c.lease, "lease", 2*time.Second, "")
	f.DurationVar(&c.effect, "effect", time.Millisecond, "")
	f.BoolVar(&c.careless, "careless", false, "")
	f.BoolVar(&c.witness, "witness", false, "")
	f.IntVar(&c.replicas, "replicas", 0, "")
	if err := f.Parse(args); err != nil {
		return 2
	}
	c.log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	switch c.peer {
	case peerSpark:
		err = c.spark(ctx)
	case peerRueidis:
		err = c.rueidislock(ctx)
	case peerRedislock:
		err = c.redislock(ctx)
	default:
		err = fmt.Errorf("no peer %q", c.peer)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// reporter writes what happened, one line each, with the boot-time clock first.
type reporter struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

// The words of the lines.
const (
	wordReady   = "ready"   // it takes part
	wordBecame  = "became"  // before, epoch, nonce
	wordEnded   = "ended"   // its context has ended; epoch, nonce
	wordStopped = "stopped" // its work has; epoch, nonce
	wordOver    = "over"    // the elector is through with it; epoch, nonce, state, reason
	wordAck     = "ack"     // id of an effect
	wordFenced  = "fenced"  // id of an effect that was refused
)

func (r *reporter) say(at time.Duration, word string, more ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf("%d %s", at.Nanoseconds(), word)
	for _, m := range more {
		line += fmt.Sprintf(" %v", m)
	}
	_, _ = io.WriteString(r.w, line+"\n") // nobody listens any more: the process is about to be killed
}

// spark takes part as an executor of the daemon does.
func (c *candidacy) spark(ctx context.Context) error {
	s, err := redis.Open(redis.Options{URL: c.url, HistoryLimit: 1 << 30, Log: c.log, Version: "chaos", Replicas: c.replicas})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	hints := make(chan struct{}, 1) // a hint more is dropped
	watched := make(chan struct{})
	var first sync.Once
	var group sync.WaitGroup
	defer group.Wait()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group.Go(func() {
		s.Watch(background, func() {
			first.Do(func() { close(watched) })
			select {
			case hints <- struct{}{}:
			default:
			}
		})
	})
	e := &lease.Elector{Store: s, Holder: c.id, Lease: c.lease, Log: c.log, Hints: hints}
	if c.witness {
		e.Witness = lease.Witness
	}
	w := &work{candidacy: c, store: s, trust: e.Trust, alert: chaosAlert(c.id)}
	e.OnChange = w.changed
	group.Go(func() { c.beat(background, s) })
	group.Go(func() { c.ready(background, e, watched) })
	err = e.Run(ctx, w.lead)
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = s.Leave(leaving, c.id) // it is forgotten by itself
	return err
}

// beat registers the process each second.
func (c *candidacy) beat(ctx context.Context, s *redis.Store) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	m := store.Member{ID: c.id, Roles: []string{"executor"}, StartedAt: time.Now().UnixMilli(), Phase: store.PhaseFollower, Process: lease.Self()}
	for {
		once, cancel := context.WithTimeout(ctx, 900*time.Millisecond)
		if _, err := s.Beat(once, m, false); err != nil && ctx.Err() == nil {
			c.log.Debug("no heartbeat", "err", err)
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ready tells when the process hears of changes and knows who leads.
func (c *candidacy) ready(ctx context.Context, e *lease.Elector, watched <-chan struct{}) {
	select {
	case <-ctx.Done():
		return
	case <-watched:
	}
	for e.Status().Token.Holder == "" {
		if sleep(ctx, 2*time.Millisecond) != nil {
			return
		}
	}
	c.out.say(bootTime(), wordReady)
}

// work is what a Spark candidate does while it leads.
type work struct {
	*candidacy
	store *redis.Store
	trust func(context.Context) error
	alert alert.Alert
	from  time.Duration // before this term's lead was called; the elector's goroutine sets it
	n     int           // effects so far; lead's own
}

func (w *work) changed(ch lease.Change) {
	now := bootTime()
	if ch.State == lease.Became {
		w.from = now
		return
	}
	w.out.say(now, wordOver, ch.Token.Epoch, orDash(ch.Token.Nonce), ch.State, ch.Reason)
}

// lead makes effects until the term is over.
func (w *work) lead(ctx context.Context, t store.Token) error {
	w.out.say(bootTime(), wordBecame, w.from.Nanoseconds(), t.Epoch, t.Nonce)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.out.say(bootTime(), wordEnded, t.Epoch, t.Nonce)
		close(ended)
	})
	defer func() {
		if stop() { // the work ended before its term
			w.out.say(bootTime(), wordEnded, t.Epoch, t.Nonce)
		} else {
			<-ended
		}
		w.out.say(bootTime(), wordStopped, t.Epoch, t.Nonce)
	}()
	if w.effect == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	for {
		if err := w.trust(ctx); err != nil {
			return err
		}
		doing, done, err := w.moment(ctx)
		if err != nil {
			return err
		}
		err = w.write(doing, t)
		done()
		if err != nil {
			return err
		}
	}
}

// moment is the time between the look at the term and the write. Who is careless is
// like one whose write has left the program already: nothing recalls it.
func (c *candidacy) moment(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if !c.careless {
		return ctx, func() {}, sleep(ctx, c.effect)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	time.Sleep(c.effect)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	return ctx, cancel, nil
}

// write makes one effect: the same event again for as long as it is not known whether
// it was written.
func (w *work) write(ctx context.Context, t store.Token) error {
	w.n++
	id := fmt.Sprintf("%s-%d", w.id, w.n)
	now := time.Now().UnixMilli()
	e := alert.Event{
		ID: id, AlertID: w.alert.ID, Rev: w.alert.Rev, Series: w.alert.Series, Type: w.alert.Type(), Mode: w.alert.Mode,
		Reason: effectText(token{t.Holder, t.Epoch, t.Nonce}, id), Bar: now, Time: now, Epoch: t.Epoch, Severity: w.alert.Severity,
	}
	for {
		r, err := w.store.Trigger(ctx, t, []alert.Event{e}, now)
		switch {
		case errors.Is(err, store.ErrFenced):
			w.out.say(bootTime(), wordFenced, id)
			return err
		case err == nil && (r[0] == store.TriggerAccepted || r[0] == store.TriggerDuplicate):
			w.out.say(bootTime(), wordAck, id)
			return nil
		case err == nil && r[0] == store.TriggerGone:
			err = w.store.CreateAlert(ctx, w.alert)
			if errors.Is(err, store.ErrExists) {
				err = nil
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			w.log.Debug("effect not acknowledged", "id", id, "err", err)
			if err := sleep(ctx, 20*time.Millisecond); err != nil {
				return err
			}
		}
	}
}

// chaosAlert is the alert whose history is the effects.
func chaosAlert(string) alert.Alert {
	minute, err := market.ParseTimeframe("1m")
	if err != nil {
		panic(err) // a constant
	}
	return alert.Alert{
		ID: "0198c0de-0000-7000-8000-000000000001", Rev: 1, Series: market.Series{Symbol: "BTCUSDT", Timeframe: minute},
		Params: alert.Price{Op: alert.OpAbove, Level: 1}, Mode: alert.Intrabar, Severity: alert.Info, Active: true, CreatedAt: 1, UpdatedAt: 1,
	}
}

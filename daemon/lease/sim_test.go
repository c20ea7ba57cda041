package lease_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/lease"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
)

// process is an elector with the real client and scripts, on a network of its own.
type process struct {
	*lease.Elector
	store *redis.Store
	stop  context.CancelFunc
	done  chan struct{}

	mu    sync.Mutex
	cut   bool       // guarded by mu
	conns []net.Conn // guarded by mu
}

// world is some processes and one server in a bubble.
type world struct {
	t      *testing.T
	server *miniredis.Miniredis
	sound  *redis.Store
	began  time.Time
	led    chan term
	made   int
	all    []*process
}

// term is what a process says when it begins to lead.
type term struct {
	by    *process
	token store.Token
	at    time.Time
}

const simLease = 35 * time.Second

// open returns a store on the process's network.
func (w *world) open(p *process) *redis.Store {
	s, err := redis.Open(redis.Options{URL: "redis://127.0.0.1", Dial: func(context.Context, string, string) (net.Conn, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.cut {
			return nil, errors.New("cut off")
		}
		c, err := w.server.Dial()
		p.conns = append(p.conns, c)
		return c, err
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// spawn starts a process.
func (w *world) spawn() {
	w.made++
	p := &process{done: make(chan struct{})}
	p.store = w.open(p)
	p.Elector = &lease.Elector{
		Store: p.store, Holder: fmt.Sprint("p", w.made), Lease: simLease, Log: slog.New(slog.DiscardHandler),
		Now:       func() time.Duration { return time.Since(w.began) },
		Suspended: func() time.Duration { return 0 },
	}
	ctx, stop := context.WithCancel(w.t.Context())
	p.stop = stop
	go func() {
		defer close(p.done)
		err := p.Run(ctx, func(ctx context.Context, t store.Token) error {
			w.led <- term{p, t, time.Now()}
			<-ctx.Done()
			return ctx.Err()
		})
		if err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}()
	w.all = append(w.all, p)
}

// network cuts the process off, or heals it.
func (p *process) network(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	if cut {
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.conns = nil
	}
}

// end stops the process and waits for it; cut off before, it says nothing.
func (w *world) end(p *process) {
	p.stop()
	<-p.done
	_ = p.store.Close()
	w.all = slices.DeleteFunc(w.all, func(o *process) bool { return o == p })
}

// write is an effect of a token, over a connection that is never cut.
func (w *world) write(t store.Token) error {
	series := market.Series{Symbol: "BTCUSDT"}
	return w.sound.Advance(w.t.Context(), t, []store.Watermark{{Series: series, Bar: t.Epoch}})
}

// TestFiveHundredEnds ends leaders of a lease of 35 s in three ways: killed, cut off
// and alive, asked to shut down. The next one leads within the lease, alone, and
// only its writes count.
func TestFiveHundredEnds(t *testing.T) {
	ends := 500
	if testing.Short() {
		ends = 50
	}
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, server: miniredis.NewMiniRedis(), began: time.Now(), led: make(chan term)}
		w.server.ClockTTL(true)
		w.sound = w.open(&process{})
		random := rand.New(rand.NewPCG(3, 5))
		w.spawn()
		w.spawn()
		now := <-w.led
		took := map[string][]time.Duration{}
		for range ends {
			time.Sleep(time.Duration(random.Int64N(int64(12 * time.Second))))
			how := []string{"killed", "killed", "cut off", "shut down"}[random.IntN(4)]
			at := time.Now()
			old := now
			switch how {
			case "killed":
				old.by.network(true)
				w.end(old.by)
				w.spawn()
			case "cut off":
				old.by.network(true)
			case "shut down":
				w.end(old.by)
			}
			now = <-w.led
			if how == "shut down" {
				w.spawn()
			}
			took[how] = append(took[how], now.at.Sub(at))
			w.judge(old, now)
			old.by.network(false)
		}
		for how, d := range took {
			slices.Sort(d)
			t.Logf("%-9s %3d times: next leader after %s, %s, %s (least, median, most)", how, len(d), d[0], d[len(d)/2], d[len(d)-1])
			most := simLease + 25*time.Millisecond
			if how == "shut down" {
				most = 6 * time.Second // without hints: the poll
			}
			if d[len(d)-1] > most {
				t.Errorf("%s: next leader after %s, want %s at most", how, d[len(d)-1], most)
			}
		}
		t.Logf("%s of simulated time", time.Since(w.began).Round(time.Second))
		for len(w.all) > 0 {
			w.end(w.all[0])
		}
		_ = w.sound.Close()
		w.server.Close()
		time.Sleep(2 * time.Second) // the client's pools notice that they are closed
	})
	t.Logf("%s of real time", time.Since(began).Round(time.Millisecond))
}

// judge looks at a change of leaders.
func (w *world) judge(old, now term) {
	w.t.Helper()
	for _, p := range w.all {
		if p != now.by && p.Status().Leading {
			w.t.Errorf("%s leads, and %s believes so too", now.token.Holder, p.Holder)
		}
	}
	if now.token.Epoch <= old.token.Epoch {
		w.t.Errorf("epoch %d after %d, want it to grow", now.token.Epoch, old.token.Epoch)
	}
	if err := w.write(old.token); !errors.Is(err, store.ErrFenced) {
		w.t.Errorf("write of the former term = %v, want ErrFenced", err)
	}
	if err := w.write(now.token); err != nil {
		w.t.Errorf("write of the leader = %v", err)
	}
}

package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// finder knows which of several servers to talk to: the master that the Sentinels
// name, or the one that has the lock's slot in a Cluster. To Spark both are one
// server that may move.
//
// It asks all whom it knows at once and believes what more than half of them say, so
// that one that hangs costs nothing and one that is cut off from the others is not
// believed. Where fewer answer in time, the most frequent answer counts. go-redis'
// own clients ask one Sentinel, and stay with it when it hangs.
type finder struct {
	ask      func(ctx context.Context, c *goredis.Client) (answer, error)
	connect  func(addr string) *goredis.Client // to one who is asked
	seeds    []string
	patience time.Duration // with those who are asked
	asked    sync.WaitGroup

	mu     sync.Mutex // guards what follows
	known  map[string]*goredis.Client
	addr   string    // "" when it is to be asked for
	since  time.Time // when addr was heard
	search *search   // under way; nil when none is
	closed bool
}

// answer is what one server says.
type answer struct {
	master string
	others []string // who can be asked too
}

// search is one round of questions, for everybody who waits for it.
type search struct {
	done chan struct{} // closed when the next two are set
	addr string
	err  error
}

// recheck is how long an address is believed without asking again. Errors ask at
// once; this is for a former master that still answers.
const recheck = 5 * time.Second

// master returns the address. One that is old is returned too, and checked meanwhile.
func (f *finder) master(ctx context.Context) (string, error) {
	f.mu.Lock()
	addr := f.addr
	if f.closed {
		f.mu.Unlock()
		return "", goredis.ErrClosed
	}
	if addr != "" && time.Since(f.since) < recheck {
		f.mu.Unlock()
		return addr, nil
	}
	s := f.search
	if s == nil {
		s = &search{done: make(chan struct{})}
		f.search = s
		f.asked.Go(func() { f.run(context.WithoutCancel(ctx), s) })
	}
	f.mu.Unlock()
	if addr != "" {
		return addr, nil
	}
	select {
	case <-s.done:
		return s.addr, s.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// set notes an address that a server itself has named.
func (f *finder) set(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addr, f.since = addr, time.Now()
}

// forget has the address asked for anew, unless it is another one meanwhile.
func (f *finder) forget(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.addr == addr {
		f.addr = ""
	}
}

// current is the address last heard, "" when it is not known.
func (f *finder) current() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addr
}

func (f *finder) run(ctx context.Context, s *search) {
	ctx, cancel := context.WithTimeout(ctx, f.patience)
	defer cancel()
	found, err := f.poll(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.search = nil
	s.addr, s.err = found.master, err
	if err == nil {
		f.addr, f.since = found.master, time.Now()
		f.learn(found.others)
	}
	close(s.done)
}

// learn sets whom to ask next time: the seeds and those named. The caller holds mu.
func (f *finder) learn(others []string) {
	if others == nil {
		return
	}
	next := map[string]*goredis.Client{}
	for _, list := range [][]string{f.seeds, others} {
		for _, addr := range list {
			if next[addr] = f.known[addr]; next[addr] == nil {
				next[addr] = f.connect(addr)
			}
		}
	}
	for addr, c := range f.known {
		if next[addr] == nil {
			_ = c.Close()
		}
	}
	f.known = next
}

// poll asks everybody and returns what most say.
func (f *finder) poll(ctx context.Context) (answer, error) {
	f.mu.Lock()
	known := maps.Clone(f.known)
	f.mu.Unlock()
	type reply struct {
		answer
		err error
	}
	replies := make(chan reply, len(known)) // nobody waits to be heard
	for addr, c := range known {
		f.asked.Go(func() {
			a, err := f.ask(ctx, c)
			if err != nil {
				err = fmt.Errorf("%s: %v", addr, err) // no nil of the client's may look like an answer
			}
			replies <- reply{a, err}
		})
	}
	votes := map[string]int{}
	var best answer
	var errs []error
	for range known {
		r := <-replies
		if r.err != nil {
			errs = append(errs, r.err)
			continue
		}
		votes[r.master]++
		if votes[r.master] > votes[best.master] {
			best = r.answer
		}
		if 2*votes[best.master] > len(known) {
			return best, nil
		}
	}
	if best.master == "" {
		return answer{}, fmt.Errorf("none of %d says where the master is: %v", len(known), errors.Join(errs...))
	}
	return best, nil
}

func (f *finder) close() error {
	f.mu.Lock()
	f.closed = true
	var errs []error
	for _, c := range f.known {
		errs = append(errs, c.Close())
	}
	f.mu.Unlock()
	f.asked.Wait()
	return errors.Join(errs...)
}

// askSentinel asks a Sentinel for its master.
func askSentinel(name string) func(context.Context, *goredis.Client) (answer, error) {
	return func(ctx context.Context, c *goredis.Client) (answer, error) {
		list, err := c.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", name).StringSlice()
		if errors.Is(err, goredis.Nil) {
			return answer{}, fmt.Errorf("knows no master %.80q", name)
		}
		if err != nil || len(list) != 2 {
			return answer{}, fmt.Errorf("no address of master %.80q: %w", name, err)
		}
		return answer{master: net.JoinHostPort(list[0], list[1])}, nil
	}
}

// askCluster asks a node for the master of a slot.
func askCluster(number int) func(context.Context, *goredis.Client) (answer, error) {
	return func(ctx context.Context, c *goredis.Client) (answer, error) {
		// CLUSTER SHARDS would need Redis 7.
		slots, err := c.ClusterSlots(ctx).Result() //nolint:staticcheck // works on every version
		if err != nil {
			return answer{}, err
		}
		a := answer{others: []string{}}
		for _, s := range slots {
			for i, node := range s.Nodes {
				addr := beside(node.Addr, c.Options().Addr)
				if addr == "" {
					continue
				}
				a.others = append(a.others, addr)
				if i == 0 && s.Start <= number && number <= s.End {
					a.master = addr
				}
			}
		}
		if a.master == "" {
			return answer{}, fmt.Errorf("no node serves slot %d", number)
		}
		return a, nil
	}
}

// beside completes an address that a server gave: without a host it is the server's
// own, and "?" is a host that it does not know.
func beside(addr, server string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "?" {
		return ""
	}
	if host == "" {
		host, _, _ = net.SplitHostPort(server)
	}
	return net.JoinHostPort(host, port)
}

// slotOf is the slot of a key in a Cluster: CRC-16 (XMODEM) of what stands in its
// first braces, or of the whole, modulo 16384.
func slotOf(key string) int {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			key = tag
		}
	}
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= 0x1021
			}
		}
	}
	return int(crc % 16384)
}

// routed is a client that sends everything to the server that the finder names.
type routed struct {
	*goredis.Client // has no connection: its hooks send all to another

	finder  *finder
	connect func(addr string) *goredis.Client

	mu       sync.Mutex // guards what follows
	addr     string
	now, old *goredis.Client // old: what was begun there may end there
}

func newRouted(f *finder, connect func(addr string) *goredis.Client) *routed {
	r := &routed{finder: f, connect: connect}
	r.Client = goredis.NewClient(&goredis.Options{
		Addr: "nowhere:0", Protocol: 2, PoolSize: 1, Dialer: nowhere, MaintNotificationsConfig: noNotifications(),
	})
	return r
}

func nowhere(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("a command without a route")
}

// at returns the client of an address.
func (r *routed) at(addr string) *goredis.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.addr != addr {
		if r.old != nil {
			_ = r.old.Close()
		}
		r.addr, r.now, r.old = addr, r.connect(addr), r.now
	}
	return r.now
}

// do sends something to the server, again when that names another.
func (r *routed) do(ctx context.Context, send func(*goredis.Client) error) error {
	addr, err := r.finder.master(ctx)
	if err != nil {
		return err
	}
	err = send(r.at(addr))
	if to := movedTo(err, addr); to != "" { // so it was not executed
		r.finder.set(to)
		addr, err = to, send(r.at(to))
	}
	if elsewhere(err) {
		r.finder.forget(addr)
	}
	return err
}

// movedTo is where a node of a Cluster says the slot is.
func movedTo(err error, server string) string {
	if !goredis.HasErrorPrefix(err, "MOVED") {
		return ""
	}
	f := strings.Fields(err.Error())
	if len(f) != 3 {
		return ""
	}
	if _, err := strconv.Atoi(f[1]); err != nil {
		return ""
	}
	return beside(f[2], server)
}

// elsewhere reports whether an error may mean that another server is the master now.
func elsewhere(err error) bool {
	var said goredis.Error
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if !errors.As(err, &said) {
		return true
	}
	return slices.ContainsFunc([]string{"READONLY", "MASTERDOWN", "CLUSTERDOWN", "LOADING", "NOREPLICAS", "MOVED"},
		func(prefix string) bool { return goredis.HasErrorPrefix(err, prefix) })
}

// DialHook implements [goredis.Hook].
func (r *routed) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// ProcessHook implements [goredis.Hook].
func (r *routed) ProcessHook(goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		return r.do(ctx, func(c *goredis.Client) error { return c.Process(ctx, cmd) })
	}
}

// ProcessPipelineHook implements [goredis.Hook].
func (r *routed) ProcessPipelineHook(goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		sent := false
		err := r.do(ctx, func(c *goredis.Client) error {
			sent = true
			p := c.Pipeline()
			for _, cmd := range cmds {
				_ = p.Process(ctx, cmd) // only queues
			}
			_, err := p.Exec(ctx)
			return err
		})
		if !sent {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// Close closes the connections, but not the finder.
func (r *routed) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	errs := []error{r.Client.Close()}
	for _, c := range []*goredis.Client{r.now, r.old} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

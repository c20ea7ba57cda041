// Package redis keeps alerts, their history, the outbox and the leader's lease in
// a Redis server. It alone knows keys and scripts; the embedded store serves the
// same commands, so this is the one implementation for both.
//
// # Keys
//
// Under the namespace, "spark:alerts" unless told otherwise:
//
//	…:alerts:index         set      ids of all alerts
//	…:alert:{id}           hash     json, active, createdAt, lastTriggeredAt, rev, updatedAt, triggerCount, lastError, made
//	…:alert:{id}:events    list     events, newest first, HistoryLimit of them
//	…:seen:{id}            zset     ids of the newest events, by time: what makes a repeat recognisable
//	…:changes              stream   which alert changed, the newest ten thousand
//	…:outbox               stream   deliveries that are due, with a consumer group
//	…:outbox:delayed       zset     deliveries that are due later
//	…:outbox:open          zset     deliveries that are not over, by the time of their event
//	…:outbox:dead          stream   deliveries given up
//	…:outbox:fallen        list     events that fell out of a history, whose deliveries are to be swept
//	…:delivery:{id}        hash     where a delivery stands
//	…:watermark            hash     series → newest candle whose evaluation is finished
//	…:damaged:{name}       any      what "store fsck --repair" took aside, as it was
//	…:import               string   an import that has not ended
//	…:scheduler:lock       string   holder of the lease, nothing else
//	{…:scheduler:lock}:term       hash     holder, epoch, nonce, state, since, until, renewed, progress, version, resign
//	{…:scheduler:lock}:executors  hash     registry: member → heartbeat in ms, a space, JSON
//	{…:scheduler:lock}:control    hash     paused, by, reason, changedAt, resumedAt, version
//	{…:scheduler:lock}:events     channel  acquired, released, deposed, resign, control: hints only
//
// On a Cluster all but the lock begin with {…:scheduler:lock}: instead of the
// namespace, so that everything is in the lock's slot: one script may touch it, and a
// Cluster is to Spark one server that may move, as a master behind Sentinels is
// ([finder]). While that slot is being migrated the store is unavailable.
//
// The fields of an alert's hash win over its json, so an operator can disable an
// alert with HSET. No stream of deliveries is ever trimmed by length: it would
// lose what a consumer still works on.
//
// # Writes
//
// Whatever touches more than one key is one Lua script, sent as one EVALSHA, with
// every key declared. go-redis sends a command again when its answer was lost, so
// each script gives the same state and the same answer when it runs twice with the
// same arguments; where the state alone cannot tell, the caller's nonce is stored.
// Scripts of a leader begin with the fence (scripts/fence.lua): they compare the
// whole token with the term granted last, and answer [store.ErrFenced] otherwise.
// Leases are measured by the server's clock alone.
//
// # Life of a delivery
//
//	trigger ─→ pending ─claim→ sending ─finish→ sent
//	                              │ ├────────→ retrying ─promote→ (outbox) ─claim→ …
//	                              │ └────────→ dead
//	                              └─ claimer silent for longer than visibility: claimed again, Repeat set
//
// A delivery leaves the outbox only in the script that notes how it ended. A claim
// is named by a nonce; the end of a claim that was taken over has no effect. Reading
// from the group and beginning the attempt are two steps, because the second must
// name its keys: entries whose reader died in between wait for their visibility to
// pass, and were not attempted.
//
// # Damage
//
// Data that cannot be read never fails a list: the alert is skipped and reported
// as [store.Damage]. An alert that can be read but not understood (an unknown type,
// a parameter out of range) is returned with LastError set and no Params, and is
// never rewritten. Data of the earlier implementation is read as it stands.
//
// # Errors
//
// Network errors, timeouts and a server that cannot serve now wrap
// [store.ErrUnavailable]; a context that was cancelled is returned as it is. Errors
// and logs never hold the password of the URL.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/spark-ta/spark/daemon/store"
)

// Options of a store.
type Options struct {
	URL          string        // one of [Forms]
	Namespace    string        // prefix of every key; "spark:alerts" if empty
	HistoryLimit int           // events kept for each alert; 100 if 0
	CooldownSec  int           // cooldown of alerts whose data do not say
	Log          *slog.Logger  // nil: nothing is logged
	Timeout      time.Duration // of a dial, a read and a write; 2 s if 0
	Version      string        // of the program, written into its terms
	// Replicas is how many replicas must confirm a grant and a renewal of the lease; 0
	// for what the URL says: wait=N, or else 1 with Sentinels and 0 without.
	Replicas int
	// Observe is told of every command: its name (a script's own name; "pipeline"
	// for several in one), its duration and its error. May be nil.
	Observe func(command string, d time.Duration, err error)
	// Dial replaces the dialling of TCP; TLS is spoken over it. May be nil.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Defaults of [Options].
const (
	DefaultNamespace = "spark:alerts"
	DefaultHistory   = 100
	defaultTimeout   = 2 * time.Second
)

// Store is a store in a Redis server. It may be used by many goroutines.
type Store struct {
	client goredis.UniversalClient // everything but the election
	elect  goredis.UniversalClient // the election: tries once, and waits in no queue
	keys   keys
	opts   Options
	target target
	finder *finder // of the master; nil where there is one server
	log    *slog.Logger

	changed bell          // rung by changes made through this store
	due     chan struct{} // holds one token when this store put something into the outbox

	mu      sync.Mutex
	damaged map[string]string // key → reason, as logged; guarded by mu
}

// Open checks the options and returns a store. It sends nothing: the server need
// not be there yet.
func Open(o Options) (*Store, error) {
	silence()
	t, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", ShowURL(o.URL), err)
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if err := checkNamespace(o.Namespace); err != nil {
		return nil, err
	}
	if o.HistoryLimit == 0 {
		o.HistoryLimit = DefaultHistory
	}
	if o.HistoryLimit < 1 {
		return nil, fmt.Errorf("history limit %d is not positive", o.HistoryLimit)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Replicas == 0 {
		o.Replicas = t.replicas
	}
	f := newFinder(o, t)
	return &Store{
		client: newClient(o, t, f, forData), elect: newClient(o, t, f, forElection),
		keys: newKeys(o, t), opts: o, target: t, finder: f, log: o.Log,
		due: make(chan struct{}, 1), damaged: map[string]string{},
	}, nil
}

// purpose is what a client is for; it decides how patient it is.
type purpose uint8

const (
	forData purpose = iota
	// forElection: an answer that comes late is worth nothing, and the elector tries
	// again by itself, with a nonce of its own choosing.
	forElection
	// forHints: one connection that is told of changes, over RESP3.
	forHints
	// forFinding: asks Sentinels, or nodes of a Cluster, where the master is.
	forFinding
)

// newClient returns a client for a purpose. Where there are several servers it is one
// that follows the finder.
func newClient(o Options, t target, f *finder, p purpose) goredis.UniversalClient {
	connect := func(addr string) *goredis.Client { return goredis.NewClient(serverOptions(o, t, p, addr)) }
	if f == nil {
		c := connect(t.hosts[0])
		if o.Observe != nil {
			c.AddHook(observer{o.Observe})
		}
		return c
	}
	r := newRouted(f, connect)
	if o.Observe != nil {
		r.AddHook(observer{o.Observe})
	}
	r.AddHook(r)
	return r
}

// serverOptions are those of connections to one server.
func serverOptions(o Options, t target, p purpose, addr string) *goredis.Options {
	opts := &goredis.Options{
		Addr: addr, Username: t.user, Password: t.password, DB: t.database, PoolSize: t.poolSize,
		Protocol:              2, // the same answers from every server, and no pushes
		ContextTimeoutEnabled: true,
		Dialer:                dialer(o, t),
		DialTimeout:           o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: o.Timeout,
		DialerRetries: 1, MaxRetries: 2, // every script and read may be sent again
		MaxRetryBackoff:          100 * time.Millisecond,
		DisableIdentity:          true,
		MaintNotificationsConfig: noNotifications(),
	}
	switch p {
	case forElection:
		opts.MaxRetries = -1
		opts.PoolSize, opts.MinIdleConns, opts.PipelinePoolSize = 3, 1, -1
	case forHints:
		opts.Protocol = 3
		opts.MaxRetries = -1
		opts.PoolSize, opts.PipelinePoolSize = 1, -1
		lock := newKeys(o, t).lock()
		opts.OnConnect = func(ctx context.Context, cn *goredis.Conn) error {
			// A server or a user that may not track still gets what the scripts publish.
			_ = cn.Do(ctx, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", lock).Err()
			return nil
		}
	case forFinding:
		opts.PoolSize, opts.PipelinePoolSize = 1, -1
		opts.MaxRetries = 1 // a Sentinel that was restarted
		opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout, opts.PoolTimeout = o.Timeout/2, o.Timeout/2, o.Timeout/2, o.Timeout/2
		if opts.DB = 0; t.kind == sentinel {
			opts.Username, opts.Password = t.keeper[0], t.keeper[1]
		}
	}
	return opts
}

// noNotifications switches go-redis' notices of maintenance off. With them its
// constructor looks up the host's name, for up to 2 s.
func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// newFinder returns what finds the server, nil where there is only one.
func newFinder(o Options, t target) *finder {
	f := &finder{
		connect: func(addr string) *goredis.Client { return goredis.NewClient(serverOptions(o, t, forFinding, addr)) },
		seeds:   t.hosts, patience: o.Timeout / 2,
	}
	switch t.kind {
	case single:
		return nil
	case sentinel:
		f.ask = askSentinel(t.master)
	case cluster:
		f.ask = askCluster(slotOf(newKeys(o, t).lock()))
	}
	f.learn([]string{})
	return f
}

// dialer dials TCP, or what replaces it, and TLS over it.
func dialer(o Options, t target) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: o.Timeout}).DialContext
	}
	if t.tls == nil {
		return dial
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, o.Timeout)
		defer cancel()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		config := t.tls
		if config.ServerName == "" {
			config = config.Clone()
			config.ServerName, _, _ = net.SplitHostPort(addr)
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return secure, nil
	}
}

// silence keeps the client from writing lines of its own to standard error: what it
// has to say comes back as an error, and is logged where it is handled.
var silence = sync.OnceFunc(func() { goredis.SetLogger(&logging.VoidLogger{}) })

// Close closes every connection.
func (s *Store) Close() error {
	err := errors.Join(s.client.Close(), s.elect.Close())
	if s.finder != nil {
		err = errors.Join(err, s.finder.close())
	}
	return err
}

// Ping asks the server for a sign of life and returns how long that took.
func (s *Store) Ping(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := s.client.Ping(ctx).Err()
	return time.Since(began), translate(ctx, "ping", err)
}

// Info returns the text of INFO with these sections, of one server when there are
// several.
func (s *Store) Info(ctx context.Context, sections ...string) (string, error) {
	text, err := s.client.Info(ctx, sections...).Result()
	return text, translate(ctx, "info", err)
}

// translate gives an error of the client its meaning. What is not known to be an
// answer of a healthy server counts as unavailable.
func translate(ctx context.Context, what string, err error) error {
	if err == nil || errors.Is(err, goredis.Nil) {
		return nil
	}
	if ctxErr := context.Cause(ctx); ctxErr != nil && errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%s: %w", what, ctxErr)
	}
	var answer goredis.Error
	if errors.As(err, &answer) {
		switch {
		case goredis.HasErrorPrefix(err, "FENCED"):
			return fmt.Errorf("%s: %w", what, store.ErrFenced)
		case !busy(err):
			return fmt.Errorf("%s: %v", what, err)
		}
	}
	if goredis.HasErrorPrefix(err, "MOVED") || goredis.HasErrorPrefix(err, "ASK") {
		return fmt.Errorf("%s: %w: %v (a node of a Cluster: want redis+cluster:// in the URL, or wait until the slot has moved)", what, store.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w: %v", what, store.ErrUnavailable, err)
}

// busy reports an answer that says that the server, not the request, is the
// trouble.
func busy(err error) bool {
	text := err.Error()
	if strings.HasPrefix(text, "ERR Error running script") { // before Redis 7 a script's error is wrapped
		if _, inner, ok := strings.Cut(text, ": -"); ok {
			text = inner
		}
	}
	for _, prefix := range []string{
		"LOADING", "BUSY ", "MASTERDOWN", "READONLY", "MISCONF", "NOREPLICAS", "OOM",
		// of a Cluster that is being changed, or of a node of one that the URL says nothing of
		"CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK ", "ERR This instance has cluster support disabled",
		"NOAUTH", "WRONGPASS", "NOPERM", "DENIED", "ERR max number of clients", "ERR invalid password", "ERR AUTH",
	} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

// observer reports the duration of every command.
type observer struct {
	tell func(command string, d time.Duration, err error)
}

func (o observer) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (o observer) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		o.report(commandName(ctx, cmd), began, err)
		return err
	}
}

func (o observer) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmds)
		o.report("pipeline", began, err)
		return err
	}
}

func (o observer) report(name string, began time.Time, err error) {
	if errors.Is(err, goredis.Nil) {
		err = nil
	}
	o.tell(name, time.Since(began), err)
}

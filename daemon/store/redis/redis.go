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
//	…:scheduler:lock       string   holder of the lease, nothing else
//	{…:scheduler:lock}:term       hash     holder, epoch, nonce, state, since, until, renewed, progress, version, resign
//	{…:scheduler:lock}:executors  hash     registry: member → heartbeat in ms, a space, JSON
//	{…:scheduler:lock}:control    hash     paused, by, reason, changedAt, resumedAt, version
//	{…:scheduler:lock}:events     channel  acquired, released, deposed, resign, control: hints only
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
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/spark-ta/spark/daemon/store"
)

// Options of a store.
type Options struct {
	URL          string        // redis:// or rediss://
	Namespace    string        // prefix of every key; "spark:alerts" if empty
	HistoryLimit int           // events kept for each alert; 100 if 0
	CooldownSec  int           // cooldown of alerts whose data do not say
	Log          *slog.Logger  // nil: nothing is logged
	Timeout      time.Duration // of a dial, a read and a write; 2 s if 0
	Version      string        // of the program, written into its terms
	// Replicas is how many replicas must confirm a grant and a renewal of the lease.
	Replicas int
	// Observe is told of every command: its name (a script's own name; "pipeline"
	// for several in one), its duration and its error. May be nil.
	Observe func(command string, d time.Duration, err error)
	// Dial replaces the dialling of TCP. May be nil.
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
	base   *goredis.Options
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
	opts, err := parseURL(o.URL)
	if err != nil {
		return nil, err
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
	return &Store{
		client: newClient(o, opts, forData), elect: newClient(o, opts, forElection),
		keys: keys{o.Namespace}, opts: o, base: opts, log: o.Log,
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
)

// newClient returns a client for a purpose.
func newClient(o Options, base *goredis.Options, p purpose) goredis.UniversalClient {
	opts := *base
	opts.Protocol = 2 // the same answers from every server, and no pushes
	opts.ContextTimeoutEnabled = true
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = o.Timeout, o.Timeout, o.Timeout
	opts.PoolTimeout = o.Timeout
	opts.DialerRetries = 1
	opts.MaxRetries = 2 // every script and read may be sent again
	opts.MaxRetryBackoff = 100 * time.Millisecond
	opts.DisableIdentity = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if o.Dial != nil {
		opts.Dialer = o.Dial
	}
	switch p {
	case forElection:
		opts.MaxRetries = -1
		opts.PoolSize, opts.MinIdleConns = 3, 1
	case forHints:
		opts.Protocol = 3
		opts.MaxRetries = -1
		opts.PoolSize = 1
		lock := keys{o.Namespace}.lock()
		opts.OnConnect = func(ctx context.Context, cn *goredis.Conn) error {
			// A server or a user that may not track still gets what the scripts publish.
			_ = cn.Do(ctx, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", lock).Err()
			return nil
		}
	}
	client := goredis.NewClient(&opts)
	if o.Observe != nil {
		client.AddHook(observer{o.Observe})
	}
	return client
}

// silence keeps the client from writing lines of its own to standard error: what it
// has to say comes back as an error, and is logged where it is handled.
var silence = sync.OnceFunc(func() { goredis.SetLogger(&logging.VoidLogger{}) })

// Close closes every connection.
func (s *Store) Close() error { return errors.Join(s.client.Close(), s.elect.Close()) }

// Ping asks the server for a sign of life and returns how long that took.
func (s *Store) Ping(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := s.client.Ping(ctx).Err()
	return time.Since(began), translate(ctx, "ping", err)
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
	return fmt.Errorf("%s: %w: %v", what, store.ErrUnavailable, err)
}

// busy reports an answer that says that the server, not the request, is the
// trouble.
func busy(err error) bool {
	for _, prefix := range []string{
		"LOADING", "BUSY ", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "READONLY", "MISCONF", "NOREPLICAS", "OOM",
		"NOAUTH", "WRONGPASS", "NOPERM", "ERR max number of clients", "ERR invalid password",
	} {
		if goredis.HasErrorPrefix(err, prefix) {
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

package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/lease"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/embedded"
	"github.com/spark-ta/spark/daemon/store/redis"
)

// WithStore opens the configured store for a command that is no daemon, and closes it
// afterwards. The embedded store of a running daemon is reached where it listens; one
// that nobody serves is opened in this process.
func WithStore(ctx context.Context, o Options, do func(context.Context, *redis.Store) error) error {
	if o.RedisURL != "" {
		return withRedis(ctx, o, o.RedisURL, do)
	}
	e, err := embedded.Open(embedded.Options{Dir: o.DataDir})
	if errors.Is(err, store.ErrLocked) {
		addr, addrErr := embedded.Address(o.DataDir)
		if addrErr != nil {
			return errors.Join(err, addrErr)
		}
		return withRedis(ctx, o, "redis://"+addr, do)
	}
	if err != nil {
		return err
	}
	inner, stop := context.WithCancel(ctx)
	served := make(chan error, 1) // one answer, from the goroutine below
	go func() { served <- e.Run(inner) }()
	err = withRedis(ctx, o, e.URL(), do)
	stop()
	return errors.Join(err, <-served, e.Close())
}

func withRedis(ctx context.Context, o Options, url string, do func(context.Context, *redis.Store) error) error {
	s, err := redis.Open(redis.Options{URL: url, Namespace: o.RedisNamespace, HistoryLimit: o.HistoryLimit, CooldownSec: o.CooldownSec})
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, s), s.Close())
}

// ShowLock returns the diagnosis of the lock.
func ShowLock(ctx context.Context, o Options) (out wire.Lock, err error) {
	err = WithStore(ctx, o, func(ctx context.Context, s *redis.Store) error {
		l, err := s.Lock(ctx)
		if err == nil {
			out = LockBody(l, lease.Diagnose(l, time.Duration(o.LeaseSec)*time.Second))
		}
		return err
	})
	return out, err
}

// ErrLockChanged means that the lock is no longer what it was expected to be; nothing
// was changed.
var ErrLockChanged = errors.New("the lock is not as expected, nothing was changed")

// ResetLock deletes the lock while its holder and epoch are the expected ones. It
// returns what was found, with an error that wraps [ErrLockChanged] when that is
// something else.
func ResetLock(ctx context.Context, o Options, holder string, epoch int64) (out wire.LockChanged, err error) {
	err = WithStore(ctx, o, func(ctx context.Context, s *redis.Store) error {
		found, err := s.Reset(ctx, holder, epoch, false)
		out = wire.LockChanged{OK: err == nil, Holder: found.Holder, Epoch: found.Epoch}
		switch {
		case errors.Is(err, store.ErrChanged) && found.Holder == "":
			return fmt.Errorf("%w: nobody holds it", ErrLockChanged)
		case errors.Is(err, store.ErrChanged):
			return fmt.Errorf("%w: it is %q with epoch %d", ErrLockChanged, found.Holder, found.Epoch)
		}
		return err
	})
	return out, err
}

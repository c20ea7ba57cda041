package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"
)

// Watch calls hint whenever the lock may have changed, the present term was asked
// something, or the fleet's switches were set, until ctx ends. It uses a connection
// of its own, on which the server pushes changes of the lock's key (DEL by hand
// included) and what the scripts publish.
//
// Hints may be late, lost or wrong: an expired key is pushed when it is deleted, not
// when its time is over, and a dead connection is not always noticed. A new
// connection gives a hint too, because something may have been missed. Where the
// server does not push, only a poll notices changes; that is logged once.
func (s *Store) Watch(ctx context.Context, hint func()) {
	wait := 250 * time.Millisecond
	told := false
	for ctx.Err() == nil {
		began := time.Now()
		err := s.watchOnce(ctx, hint)
		if ctx.Err() != nil {
			return
		}
		if !told {
			s.log.Info("hints about the lock lost, polling until they are back", "err", err)
			told = true
		}
		if time.Since(began) > 10*time.Second {
			wait, told = 250*time.Millisecond, false
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		wait = min(2*wait, 5*time.Second)
	}
}

// watchOnce watches on one connection until it breaks.
func (s *Store) watchOnce(ctx context.Context, hint func()) error {
	addr := s.target.hosts[0]
	if s.finder != nil {
		var err error
		if addr, err = s.finder.master(ctx); err != nil {
			return err
		}
	}
	client := goredis.NewClient(serverOptions(s.opts, s.target, forHints, addr))
	defer func() { _ = client.Close() }()
	if err := client.RegisterPushNotificationHandler("invalidate", invalidated(hint), true); err != nil {
		return err
	}
	sub := client.Subscribe(ctx, s.keys.hints())
	defer func() { _ = sub.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // a cancelled context does not end a read
	defer stop()
	for {
		msg, err := sub.ReceiveTimeout(ctx, watchProbe)
		if silent(err) {
			// Silence is normal; a connection that is dead is not.
			if err := sub.Ping(ctx); err != nil {
				return err
			}
			msg, err = sub.ReceiveTimeout(ctx, s.opts.Timeout)
		}
		if err != nil {
			return err
		}
		switch msg.(type) {
		case *goredis.Subscription, *goredis.Message:
			hint()
		}
		if s.finder != nil {
			if now, err := s.finder.master(ctx); err != nil || now != addr {
				return errors.Join(errMasterMoved, err)
			}
		}
	}
}

var errMasterMoved = errors.New("another server is the master")

// silent reports whether an error says only that nothing came in time.
func silent(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// watchProbe is how long a silent connection is trusted.
const watchProbe = 10 * time.Second

// invalidated is a push handler.
type invalidated func()

// HandlePushNotification implements [push.NotificationHandler].
func (f invalidated) HandlePushNotification(context.Context, push.NotificationHandlerContext, []any) error {
	f()
	return nil
}

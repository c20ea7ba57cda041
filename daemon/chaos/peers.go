package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/bsm/redislock"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"
)

// The contestants.
const (
	peerSpark     = "spark"
	peerMutant    = "mutant" // Spark without its fence
	peerRueidis   = "rueidislock"
	peerRedislock = "redislock"
)

// lockOf is the key whose time to live is a contestant's lease.
func lockOf(peer string) string {
	switch peer {
	case peerRueidis:
		return "rueidislock:0:chaos"
	case peerRedislock:
		return "chaos"
	}
	return sparkLock
}

// rueidislock leads while the library's context says so, as its documentation tells.
// One key and NOLOOP are its fastest setting.
func (c *candidacy) rueidislock(ctx context.Context) error {
	addr, client, err := c.peerClient()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	var locker rueidislock.Locker
	for {
		locker, err = rueidislock.NewLocker(rueidislock.LockerOption{
			ClientOption: rueidis.ClientOption{InitAddress: []string{addr}}, KeyMajority: 1, NoLoopTracking: true, KeyValidity: c.lease,
		})
		if err == nil {
			break
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return nil
		}
	}
	defer locker.Close()
	time.AfterFunc(50*time.Millisecond, func() { c.out.say(bootTime(), wordReady) })
	for ctx.Err() == nil {
		term, release, err := locker.WithContext(ctx, "chaos")
		if err != nil {
			c.log.Debug("no lock", "err", err)
			_ = sleep(ctx, 20*time.Millisecond)
			continue
		}
		c.peerLead(term, client, bootTime(), release)
	}
	return nil
}

// redislock gets what the library does not have, as a careful user would write it: a
// refresh each third of the lease, and a deadline counted from before the last
// refresh that was acknowledged, with Spark's own margin.
func (c *candidacy) redislock(ctx context.Context) error {
	_, client, err := c.peerClient()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	locker := redislock.New(client)
	time.AfterFunc(50*time.Millisecond, func() { c.out.say(bootTime(), wordReady) })
	for ctx.Err() == nil {
		trying, cancel := context.WithTimeout(ctx, time.Minute)
		sent := time.Now()
		lock, err := locker.Obtain(trying, "chaos", c.lease, &redislock.Options{RetryStrategy: redislock.LinearBackoff(100 * time.Millisecond)})
		cancel()
		if err != nil {
			_ = sleep(ctx, 20*time.Millisecond)
			continue
		}
		if waited := time.Since(sent); waited > 20*time.Millisecond {
			sent = time.Now().Add(-20 * time.Millisecond) // of the try that succeeded, at the worst
		}
		term, end := context.WithCancel(ctx)
		go c.refresh(term, end, lock, sent)
		c.peerLead(term, client, bootTime(), func() {
			end()
			releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = lock.Release(releasing)
		})
	}
	return nil
}

// refresh ends the term when the lease is lost or its deadline comes.
func (c *candidacy) refresh(ctx context.Context, end func(), lock *redislock.Lock, sent time.Time) {
	defer end()
	left := func() time.Duration { return time.Until(sent.Add(c.lease - c.lease/12)) }
	deadline := time.AfterFunc(left(), end)
	defer deadline.Stop()
	for {
		if sleep(ctx, c.lease/3) != nil {
			return
		}
		now := time.Now()
		try, cancel := context.WithTimeout(ctx, max(0, left()))
		err := lock.Refresh(try, c.lease, nil)
		cancel()
		switch {
		case errors.Is(err, redislock.ErrNotObtained), left() <= 0:
			return
		case err == nil:
			sent = now
			deadline.Reset(left())
		}
	}
}

// peerLead makes effects until the term ends. The number of the term is drawn when the
// lock is there, so a peer's grant is noted later than it was, in its favour.
func (c *candidacy) peerLead(ctx context.Context, client *goredis.Client, from time.Duration, release func()) {
	epoch, err := peerGrant.Run(ctx, client, []string{peerTerm, peerEffects}, c.id).Int64()
	c.out.say(bootTime(), wordBecame, from.Nanoseconds(), epoch, "-")
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() {
		c.out.say(bootTime(), wordEnded, epoch, "-")
		close(ended)
	})
	for n := 0; err == nil && c.effect > 0; n++ {
		var doing context.Context
		var done context.CancelFunc
		if doing, done, err = c.moment(ctx); err != nil {
			break
		}
		id := fmt.Sprintf("%s-%d-%d", c.id, epoch, n)
		t := token{Holder: c.id, Epoch: epoch}
		err = client.RPush(doing, peerEffects, entryEffect+" "+effectText(t, id)).Err()
		done()
		if err == nil {
			c.out.say(bootTime(), wordAck, id)
		} else if ctx.Err() == nil {
			err = nil // it is not known whether it was written; the next one is another
		}
	}
	if c.effect == 0 {
		<-ctx.Done()
	}
	c.out.say(bootTime(), wordStopped, epoch, "-")
	release()
	<-ended
	c.out.say(bootTime(), wordOver, epoch, "-", "lost", "-")
}

// peerGrant draws the number of a term and notes it before the effects that follow.
var peerGrant = goredis.NewScript(`
local n = redis.call('INCR', KEYS[1])
redis.call('RPUSH', KEYS[2], 'grant ' .. ARGV[1] .. ' ' .. n .. ' - -')
return n`)

func (c *candidacy) peerClient() (addr string, client *goredis.Client, err error) {
	u, err := url.Parse(c.url)
	if err != nil {
		return "", nil, err
	}
	return u.Host, goredis.NewClient(&goredis.Options{
		Addr: u.Host, Protocol: 2, ContextTimeoutEnabled: true, MaxRetries: -1,
		DialTimeout: 2 * time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}), nil
}

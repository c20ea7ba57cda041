package binance

import (
	"sync"
	"time"
)

const (
	// weightPerMinute is the exchange's limit for an address (exchangeInfo,
	// REQUEST_WEIGHT); weightShare of it is what we take, because other programs
	// may call from the same address.
	weightPerMinute = 6000
	weightShare     = weightPerMinute / 2

	// What 429 and 418 mean when they come without Retry-After.
	defaultPause = time.Minute
	defaultBan   = 2 * time.Minute
)

// budget keeps us within our share of the exchange's request weight, and silent
// while the exchange wants silence.
type budget struct {
	mu     sync.Mutex
	minute int64 // exchange minute that used counts
	used   int64
	until  time.Time // our clock: no request before
	banned bool
}

// take reserves weight at the exchange's time, or says how long to wait.
func (b *budget) take(exchange time.Time, weight int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := time.Until(b.until); wait > 0 {
		return &RateLimitError{Wait: wait, Banned: b.banned}
	}
	b.turn(exchange)
	if b.used+weight > weightShare {
		next := exchange.Truncate(time.Minute).Add(time.Minute)
		return &RateLimitError{Wait: max(next.Sub(exchange), time.Millisecond)}
	}
	b.used += weight
	return nil
}

// report takes over the exchange's own count of what this address used. Our
// count stays if it is higher: it holds requests still under way.
func (b *budget) report(exchange time.Time, used int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(exchange)
	b.used = max(b.used, used)
}

// pause forbids requests for a while. A longer pause under way is kept.
func (b *budget) pause(wait time.Duration, banned bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := time.Now().Add(wait); until.After(b.until) {
		b.until, b.banned = until, banned
	}
}

func (b *budget) turn(exchange time.Time) {
	if minute := exchange.Unix() / 60; minute != b.minute {
		b.minute, b.used = minute, 0
	}
}

func (b *budget) usedNow() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

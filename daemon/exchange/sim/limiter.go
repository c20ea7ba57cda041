package sim

import (
	"fmt"
	"sync"
	"time"
)

const (
	weightWindow  = time.Minute
	connectWindow = 5 * time.Minute
	firstBan      = 2 * time.Minute
	longestBan    = 72 * time.Hour
	patience      = 3    // requests over the limit that are answered 429 before the ban
	maxAddresses  = 4096 // remembered; more start a new book
)

// limiter counts what each address asks for. Its windows are of real time and
// begin on the full minute, like the exchange's.
type limiter struct {
	Limits

	mu        sync.Mutex
	addresses map[string]*account
}

type account struct {
	window, connectWindow int64 // number of the window since 1970
	weight, connects      int
	over                  int // requests over the limit in this window
	bans                  int
	banned                time.Time // until when
}

func (l *limiter) account(address string) *account {
	if l.addresses == nil || len(l.addresses) >= maxAddresses {
		l.addresses = make(map[string]*account)
	}
	a, ok := l.addresses[address]
	if !ok {
		a = &account{}
		l.addresses[address] = a
	}
	return a
}

// request books a request and returns the weight used in the window. Over the
// limit it returns the refusal and after how long it makes sense to come back.
func (l *limiter) request(address string, weight int, now time.Time) (used int, wait time.Duration, r *refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(address)
	if window := now.UnixNano() / int64(weightWindow); a.window != window {
		a.window, a.weight, a.over = window, 0, 0
	}
	if now.Before(a.banned) {
		return a.weight, a.banned.Sub(now), banRefusal(a.banned)
	}
	a.weight += weight
	if l.Weight < 0 || a.weight <= l.Weight {
		return a.weight, 0, nil
	}
	a.over++
	if a.over > patience {
		a.bans++
		ban := min(firstBan<<min(a.bans-1, 12), longestBan)
		a.banned = now.Add(ban)
		return a.weight, ban, banRefusal(a.banned)
	}
	wait = time.Unix(0, (a.window+1)*int64(weightWindow)).Sub(now)
	return a.weight, wait, overRefusal(l.Weight)
}

func overRefusal(limit int) *refusal {
	return &refusal{status: 429, code: -1003, msg: fmt.Sprintf("Too much request weight used; current limit is %d request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.", limit)}
}

func banRefusal(until time.Time) *refusal {
	return &refusal{status: 418, code: -1003, msg: fmt.Sprintf("Way too much request weight used; IP banned until %d. Please use WebSocket Streams for live updates to avoid bans.", until.UnixMilli())}
}

// connect books an attempt to connect and returns how long to wait, 0 if it is
// allowed.
func (l *limiter) connect(address string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(address)
	if window := now.UnixNano() / int64(connectWindow); a.connectWindow != window {
		a.connectWindow, a.connects = window, 0
	}
	a.connects++
	if l.Connects < 0 || a.connects <= l.Connects {
		return 0
	}
	return time.Unix(0, (a.connectWindow+1)*int64(connectWindow)).Sub(now)
}

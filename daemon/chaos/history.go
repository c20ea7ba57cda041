package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// token names a term in a history. Peers have no nonce; their epoch is a number that
// they draw when they have the lock.
type token struct {
	Holder string
	Epoch  int64
	Nonce  string
}

// What an entry of a history is.
const (
	entryGrant  = "grant"  // a term began
	entryLock   = "lock"   // the lock has this value from now on, "" for gone
	entryEffect = "effect" // a write of a leader that the server accepted
	entryRound  = "round"  // the driver's mark
	entryWipe   = "wipe"   // everything is forgotten
)

// entry is one thing that a server did, in its own order.
type entry struct {
	what  string
	token token  // of a grant or an effect
	id    string // of an effect
	lock  string // of entryLock
	round int    // of entryRound
}

// finding is a breach of a promise.
type finding struct {
	what  string
	round int
	text  string
}

// What a finding can be.
const (
	foundStale   = "stale effect"     // by a term that was not the newest
	foundUnheld  = "effect unheld"    // the newest term's, but the lock was gone or another's
	foundTwice   = "duplicate effect" // one id twice in one surviving history
	foundLost    = "lost effect"      // acknowledged, and not in the surviving history
	foundEpoch   = "epoch not growing"
	foundGrant   = "granted while held"
	foundOverlap = "two believers"
)

func (f finding) String() string { return fmt.Sprintf("round %d: %s: %s", f.round, f.what, f.text) }

// checkHistory judges the server's own order. fenced says that the lock must be the
// effect's holder's, which only Spark promises.
func checkHistory(h []entry, fenced bool) []finding {
	var out []finding
	var newest token
	var highest int64
	lock, round := "", 0
	granted := map[token]bool{}
	seen := map[string]bool{}
	say := func(what, format string, args ...any) {
		out = append(out, finding{what, round, fmt.Sprintf(format, args...)})
	}
	before := "" // the lock's value before the newest change
	for _, e := range h {
		switch e.what {
		case entryRound:
			round = e.round
		case entryWipe:
			before, lock = lock, ""
		case entryLock:
			before, lock = lock, e.lock
		case entryGrant:
			if fenced && before != "" && lock == e.token.Holder {
				say(foundGrant, "%v got the lock of %s", e.token, before)
			}
			if e.token.Epoch <= highest {
				say(foundEpoch, "%v after epoch %d", e.token, highest)
			}
			highest = max(highest, e.token.Epoch)
			newest, granted[e.token] = e.token, true
		case entryEffect:
			switch {
			case e.token != newest:
				say(foundStale, "%s by %v, the term is %v (granted before: %v)", e.id, e.token, newest, granted[e.token])
			case fenced && lock != e.token.Holder:
				say(foundUnheld, "%s by %v, the lock is %q", e.id, e.token, lock)
			}
			if seen[e.id] {
				say(foundTwice, "%s by %v", e.id, e.token)
			}
			seen[e.id] = true
		}
	}
	return out
}

// ack is what a candidate was told to be durable.
type ack struct {
	id    string
	at    time.Duration // boot time
	round int
}

// a gap is a time in which the server was allowed to forget what it had acknowledged.
type gap struct{ from, to time.Duration }

// checkAcks looks for acknowledged effects in what survived. forgiven counts those that
// are missing and were acknowledged within a gap.
func checkAcks(h []entry, acks []ack, gaps []gap) (out []finding, forgiven int) {
	there := map[string]bool{}
	for _, e := range h {
		if e.what == entryEffect {
			there[e.id] = true
		}
	}
	for _, a := range acks {
		if there[a.id] {
			continue
		}
		if slices.ContainsFunc(gaps, func(g gap) bool { return g.from <= a.at && a.at <= g.to }) {
			forgiven++
			continue
		}
		out = append(out, finding{foundLost, a.round, a.id})
	}
	return out, forgiven
}

// belief is a term as its candidate lived it, on the boot-time clock.
type belief struct {
	who    string
	token  token
	from   time.Duration // before it was told to lead
	led    time.Duration // when it led
	to     time.Duration // when its context had ended; 0 while it leads
	idle   time.Duration // when its work had stopped; 0 before
	over   time.Duration // when the elector was through with it; 0 before
	reason string
	round  int
}

// checkBeliefs finds terms of different candidates that overlap, and epochs that did
// not grow from one term to the next.
func checkBeliefs(all []belief, end time.Duration) (out []finding) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b belief) int { return int(a.from - b.from) })
	for i, b := range all {
		if i > 0 && b.token.Epoch <= all[i-1].token.Epoch {
			out = append(out, finding{foundEpoch, b.round, fmt.Sprintf("%v after %v", b.token, all[i-1].token)})
		}
		for _, a := range all[:i] {
			to := a.to
			if to == 0 {
				to = end
			}
			if a.who != b.who && to > b.from {
				out = append(out, finding{foundOverlap, b.round, fmt.Sprintf("%v and %v for %s", a.token, b.token, (min(to, orEnd(b.to, end)) - b.from).Round(10*time.Microsecond))})
			}
		}
	}
	return out
}

func orEnd(d, end time.Duration) time.Duration {
	if d == 0 {
		return end
	}
	return d
}

// roundsOf returns how many rounds have a finding of the kind.
func roundsOf(all []finding, what string) int {
	rounds := map[int]bool{}
	for _, f := range all {
		if f.what == what {
			rounds[f.round] = true
		}
	}
	return len(rounds)
}

// countOf returns how many findings are of the kind.
func countOf(all []finding, what string) int {
	n := 0
	for _, f := range all {
		if f.what == what {
			n++
		}
	}
	return n
}

// effectText and parseEffect carry a token and an id through a field that the server
// stores and does not read.
func effectText(t token, id string) string {
	return fmt.Sprintf("%s %d %s %s", t.Holder, t.Epoch, orDash(t.Nonce), id)
}

func parseEffect(s string) (t token, id string, ok bool) {
	f := strings.Fields(s)
	if len(f) != 4 {
		return token{}, "", false
	}
	if _, err := fmt.Sscan(f[1], &t.Epoch); err != nil {
		return token{}, "", false
	}
	t.Holder, t.Nonce = f[0], f[2]
	if t.Nonce == "-" {
		t.Nonce = ""
	}
	return t, f[3], true
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

package main

import (
	"bufio"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	one = token{"a", 5, "n1"}
	two = token{"b", 6, "n2"}
)

// grant is what the acquire script writes: the lock, then the term.
func grant(t token) []entry {
	return []entry{{what: entryLock, lock: t.Holder}, {what: entryGrant, token: t}}
}

func effect(t token, id string) entry { return entry{what: entryEffect, token: t, id: id} }

func TestHistoriesAreJudged(t *testing.T) {
	gone := entry{what: entryLock}
	history := func(parts ...any) (h []entry) {
		for _, p := range parts {
			switch p := p.(type) {
			case entry:
				h = append(h, p)
			case []entry:
				h = append(h, p...)
			}
		}
		return h
	}
	for _, tc := range []struct {
		name string
		h    []entry
		want []string // kinds of findings
	}{
		{"in order", history(grant(one), effect(one, "a-1"), gone, grant(two), effect(two, "b-1")), nil},
		{"nothing at all", nil, nil},
		{"a former term writes", history(grant(one), effect(one, "a-1"), gone, grant(two), effect(one, "a-2")), []string{foundStale}},
		{"a reused holder and epoch with another nonce", history(grant(one), gone, effect(token{"a", 5, "n9"}, "a-1")), []string{foundStale}},
		{"a write after the lock is gone", history(grant(one), gone, effect(one, "a-1")), []string{foundUnheld}},
		{"a write under a foreign lock", history(grant(one), entry{what: entryLock, lock: "backup-job"}, effect(one, "a-1")), []string{foundUnheld}},
		{"a write after everything was forgotten", history(grant(one), entry{what: entryWipe}, effect(one, "a-1")), []string{foundUnheld}},
		{"one id twice", history(grant(one), effect(one, "a-1"), effect(one, "a-1")), []string{foundTwice}},
		{"an epoch that repeats", history(grant(one), gone, grant(token{"b", 5, "n2"})), []string{foundEpoch}},
		{"an epoch that falls after a wipe", history(grant(two), entry{what: entryWipe}, grant(one)), []string{foundEpoch}},
		{"granted while held", history(grant(one), grant(two)), []string{foundGrant}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, f := range checkHistory(tc.h, true) {
				got = append(got, f.what)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindingsKnowTheirRound(t *testing.T) {
	h := append(grant(one), entry{what: entryRound, round: 3}, effect(two, "b-1"), effect(two, "b-2"), entry{what: entryRound, round: 4}, effect(two, "b-3"))
	found := checkHistory(h, true)
	if n, rounds := countOf(found, foundStale), roundsOf(found, foundStale); n != 3 || rounds != 2 {
		t.Errorf("%d stale effects in %d rounds, want 3 in 2", n, rounds)
	}
}

func TestAcknowledgedEffectsAreMissed(t *testing.T) {
	h := append(grant(one), effect(one, "a-1"))
	acks := []ack{{"a-1", 10, 1}, {"a-2", 20, 1}, {"a-3", 30, 2}}
	found, forgiven := checkAcks(h, acks, []gap{{25, 35}})
	want := []finding{{foundLost, 1, "a-2"}}
	if diff := cmp.Diff(want, found, cmp.AllowUnexported(finding{})); diff != "" || forgiven != 1 {
		t.Errorf("%d forgiven, want 1; findings (-want +got):\n%s", forgiven, diff)
	}
}

func TestBeliefsAreCompared(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		name string
		all  []belief
		want []string
	}{
		{"one after the other", []belief{{who: "a", token: one, from: s, to: 2 * s}, {who: "b", token: two, from: 2 * s}}, nil},
		{"two at once", []belief{{who: "a", token: one, from: s, to: 3 * s}, {who: "b", token: two, from: 2 * s}}, []string{foundOverlap}},
		{"one that never ends", []belief{{who: "a", token: one, from: s}, {who: "b", token: two, from: 2 * s, to: 3 * s}}, []string{foundOverlap}},
		{"reported in another order", []belief{{who: "b", token: two, from: 2 * s}, {who: "a", token: one, from: s, to: 3 * s}}, []string{foundOverlap}},
		{"the same one again", []belief{{who: "a", token: one, from: s, to: 2 * s}, {who: "a", token: two, from: 2 * s}}, nil},
		{"an epoch that falls", []belief{{who: "a", token: two, from: s, to: 2 * s}, {who: "b", token: one, from: 2 * s}}, []string{foundEpoch}},
		{"an epoch that repeats", []belief{{who: "a", token: two, from: s, to: 2 * s}, {who: "b", token: two, from: 2 * s}}, []string{foundEpoch}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, f := range checkBeliefs(tc.all, 9*s) {
				got = append(got, f.what)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// resp writes commands as they stand in an append-only file.
func resp(commands ...[]string) string {
	var b strings.Builder
	for _, c := range commands {
		b.WriteString("*" + itoa(len(c)) + "\r\n")
		for _, a := range c {
			b.WriteString("$" + itoa(len(a)) + "\r\n" + a + "\r\n")
		}
	}
	return b.String()
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func TestAppendOnlyFileIsRead(t *testing.T) {
	file := resp(
		[]string{"SELECT", "0"},
		[]string{"SET", roundKey, "7"},
		[]string{"MULTI"},
		[]string{"SET", sparkLock, "a", "PXAT", "1700000000000"},
		[]string{"DEL", sparkTerm},
		[]string{"HSET", sparkTerm, "holder", "a", "epoch", "5", "nonce", "n1", "state", "held"},
		[]string{"EXEC"},
		[]string{"PEXPIREAT", sparkLock, "1700000002000"},
		[]string{"HSET", sparkTerm, "state", "held", "until", "1700000002000"},
		[]string{"LPUSH", "spark:alerts:alert:x:events", `{"id":"a-1","reason":"a 5 n1 a-1"}`},
		[]string{"DEL", sparkLock},
		[]string{"RPUSH", peerEffects, "grant b 6 - -"},
		[]string{"RPUSH", peerEffects, "effect b 6 - b-6-0"},
		[]string{"FLUSHALL"},
	) + "#TS:1700000000\r\n" + resp([]string{"SET", "other", "value"}) + "*3\r\n$3\r\nSET\r\n$5\r\nto" // torn
	want := []entry{
		{what: entryRound, round: 7},
		{what: entryLock, lock: "a"},
		{what: entryGrant, token: one},
		{what: entryEffect, token: one, id: "a-1"},
		{what: entryLock},
		{what: entryGrant, token: token{"b", 6, ""}, id: "-"},
		{what: entryEffect, token: token{"b", 6, ""}, id: "b-6-0"},
		{what: entryWipe},
	}
	got, err := appendHistory(nil, bufio.NewReader(strings.NewReader(file)))
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entry{})); err != nil || diff != "" {
		t.Errorf("appendHistory: %v (-want +got):\n%s", err, diff)
	}
	if _, err := appendHistory(nil, bufio.NewReader(strings.NewReader("REDIS0011 is another format\r\n"))); err == nil {
		t.Error("a file of another format was taken for an empty one")
	}
}

// TestRunsFailForTheRightReasons: which findings fail a run depends on whose they are.
func TestRunsFailForTheRightReasons(t *testing.T) {
	with := func(k kind, peer string, found ...string) *tally {
		x := newTally(k, peer)
		x.rounds = 1
		for _, f := range found {
			x.findings = append(x.findings, finding{what: f})
		}
		return x
	}
	loose, strict := kind{name: "sigstop"}, kind{name: "partition", believers: true}
	for _, tc := range []struct {
		name string
		t    *tally
		want int
	}{
		{"a stale effect of Spark", with(loose, peerSpark, foundStale), 1},
		{"a stale effect of a peer", with(loose, peerRueidis, foundStale), 0},
		{"two believers where one is held", with(loose, peerSpark, foundOverlap), 0},
		{"two believers elsewhere", with(strict, peerSpark, foundOverlap), 1},
		{"the mutant is caught", with(kind{name: "mutant"}, peerMutant, foundStale), 0},
		{"the mutant is not caught", with(kind{name: "mutant"}, peerMutant, foundOverlap), 1},
	} {
		if got := (report{[]*tally{tc.t}}).failures(); len(got) != tc.want {
			t.Errorf("%s: failures %q, want %d", tc.name, got, tc.want)
		}
	}
}

// TestEveryKindIsReported: each kind has a figure, and each figure a kind.
func TestEveryKindIsReported(t *testing.T) {
	shown := map[string]bool{}
	titles := map[string]bool{}
	for _, m := range measures {
		shown[m.kind] = true
		if titles[m.title] {
			t.Errorf("two lines of the report are called %q", m.title)
		}
		titles[m.title] = true
	}
	for _, k := range kinds(2 * time.Second) {
		if !shown[k.name] {
			t.Errorf("kind %s is not reported", k.name)
		}
		delete(shown, k.name)
	}
	for name := range shown {
		t.Errorf("a figure of the kind %s, which is none", name)
	}
}

func TestRoundsAreDividedWithoutLoss(t *testing.T) {
	for _, rounds := range []int{1, 4, 20, 500} {
		for _, k := range kinds(2 * time.Second) {
			next := 0
			for _, s := range divide(newTally(k, peerSpark), rounds, 1) {
				if s.first != next || s.n < 1 || k.most > 0 && s.n > k.most {
					t.Errorf("%s, %d rounds: %d from %d, want them from %d and at most %d", k.name, rounds, s.n, s.first, next, k.most)
				}
				next += s.n
			}
			if next != rounds {
				t.Errorf("%s: %d of %d rounds", k.name, next, rounds)
			}
		}
	}
}

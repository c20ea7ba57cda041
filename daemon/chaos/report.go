package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// measure is a line of the report.
type measure struct {
	kind   string
	title  string
	of     func(t *tally) (text string, met bool)
	target string // "" for none: it is only told
}

// measures are the figures of spec/targets.md, and those that explain them.
var measures = []measure{
	{"sigterm", "SIGTERM → next leader", within("next", 2*time.Millisecond, 20*time.Millisecond), "p50 ≤ 2 ms, max ≤ 20 ms"},
	{"sigkill", "SIGKILL → next leader, beyond the lease left", within("beyond", 0, 30*time.Millisecond), "max ≤ 30 ms"},
	{"sigkill-1m", "the same with 1 M volatile keys", within("beyond", 0, 30*time.Millisecond), "max ≤ 30 ms"},
	{"witness", "SIGKILL on the same host, lease 35 s", within("next", 5*time.Millisecond, 100*time.Millisecond), "p50 ≤ 5 ms, max ≤ 100 ms"},
	{"sigstop", "SIGSTOP: rounds in which a stale write passed", stale, "0"},
	{"sigstop", "SIGSTOP: writes that the fence refused", refused, ""},
	{"mutant", "SIGSTOP without the fence (mutant): rounds in which a stale write passed", caught, "more than 0"},
	{"partition", "black hole: rounds with two believers", rounds("two believers"), "0"},
	{"partition", "black hole: the old one stops − the new one starts", within("overlap", 0, 0), ""},
	{"del", "DEL: the old one stops − the new one starts", never("overlap"), "≤ 0"},
	{"del", "DEL → next leader", within("next", 3*time.Millisecond, 0), "p50 ≤ 3 ms"},
	{"del", "DEL → the old one knows", within("knows", 0, 0), ""},
	{"slow", "slow network, 20 to 40 ms there and back: SIGTERM → next leader", within("next", 0, 0), ""},
	{"slow", "slow network: office lost for nothing", rounds("lost for nothing"), "0"},
	{"foreign", "foreign value → the leader knows", within("knows", 0, 0), ""},
	{"foreign", "foreign value removed → next leader", within("next", 0, 0), ""},
	{"foreign", "foreign value runs out → next leader, beyond its time", within("beyond", 0, 0), ""},
	{"foreign", "PERSIST → the lock has a lease again", within("mended", 0, 0), ""},
	{"clientkill", "CLIENT KILL → effects again", within("effects again", 0, 0), ""},
	{"clientkill", "CLIENT KILL: office lost for nothing", rounds("lost for nothing"), "0"},
	{"redis-restart", "Redis stopped and started: answers → effects again", within("effects again", 0, 0), ""},
	{"redis-kill", "Redis killed and started: answers → effects again", within("effects again", 0, 0), ""},
	{"redis-kill", "Redis killed: acknowledged effects of the last second that are gone", forgiven, ""},
	{"redis-empty", "Redis emptied: acknowledged effects of the last second that are gone", forgiven, ""},
	{"redis-pause", "Redis stood still and goes on → effects again", within("effects again", 0, 0), ""},
	{"redis-empty", "empty Redis answers → effects again (a lease goes by)", within("effects again", 0, 0), ""},
	{"flushall", "FLUSHALL → the leader knows", within("knows", 0, 0), ""},
	{"flushall", "FLUSHALL → next leader", within("next", 0, 0), ""},
	{"flushall", "FLUSHALL: rounds with two believers (nothing tells of the term)", rounds("two believers"), ""},
	{"sentinel", "master killed → replica promoted", within("promoted", 0, 0), ""},
	{"sentinel", "master killed → effects again", within("effects again", 0, 0), ""},
	{"sentinel", "master killed: acknowledged effects that were not replicated", forgiven, ""},
	{"daemons", "real daemons: alerts lost, or fired twice under two ids", alertsWrong, "0"},
	{"daemons", "real daemons: notifications repeated under the same id (told by it)", repeats, ""},
	{"idle", "idle, lease 35 s: commands a second and executor", rate("commands/s", 2), "≤ 2"},
}

// within shows a measure of time; a limit of 0 is none.
func within(key string, p50, most time.Duration) func(*tally) (string, bool) {
	return func(t *tally) (string, bool) {
		d := slices.Sorted(slices.Values(t.times[key]))
		if len(d) == 0 {
			return "–", p50 == 0 && most == 0
		}
		half, last := quantile(d, 0.5), d[len(d)-1]
		met := (p50 == 0 || half <= p50) && (most == 0 || last <= most)
		return fmt.Sprintf("p50 %s, p90 %s, max %s (n %d)", ms(half), ms(quantile(d, 0.9)), ms(last), len(d)), met
	}
}

// never shows a measure of time that is never above zero.
func never(key string) func(*tally) (string, bool) {
	return func(t *tally) (string, bool) {
		text, _ := within(key, 0, 0)(t)
		return text, len(t.times[key]) > 0 && slices.Max(t.times[key]) <= 0
	}
}

func rounds(key string) func(*tally) (string, bool) {
	return func(t *tally) (string, bool) { return fmt.Sprintf("%d of %d", t.hits[key], t.rounds), t.hits[key] == 0 }
}

func stale(t *tally) (string, bool) {
	n := roundsOf(t.findings, foundStale)
	return fmt.Sprintf("%d of %d", n, t.rounds), n == 0
}

func caught(t *tally) (string, bool) {
	return fmt.Sprintf("%d of %d", t.caught(), t.rounds), t.caught() > 0
}

func refused(t *tally) (string, bool) {
	if t.peer != peerSpark {
		return "–", true // there is none
	}
	return fmt.Sprint(t.fenced), true
}

func forgiven(t *tally) (string, bool) {
	return fmt.Sprintf("%d of %d", t.verdict.forgiven, t.effects), true
}

func alertsWrong(t *tally) (string, bool) {
	n := countOf(t.findings, foundLost) + countOf(t.findings, foundTwice)
	return fmt.Sprintf("%d of %d", n, t.effects), n == 0
}

func rate(key string, most float64) func(*tally) (string, bool) {
	return func(t *tally) (string, bool) {
		if len(t.rates[key]) == 0 {
			return "–", false
		}
		v := slices.Max(t.rates[key])
		return fmt.Sprintf("%.2f", v), v <= most
	}
}

// ms shows a time in milliseconds with three digits.
func ms(d time.Duration) string {
	v := float64(d) / float64(time.Millisecond)
	switch {
	case v < 0 && v > -100, v >= 0 && v < 10:
		return fmt.Sprintf("%.2f ms", v)
	case v < 100 && v > 0:
		return fmt.Sprintf("%.1f ms", v)
	}
	return fmt.Sprintf("%.0f ms", v)
}

// line is the progress line of a tally.
func (t *tally) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	parts := []string{fmt.Sprintf("%d rounds, %d terms, %d effects", t.rounds, t.terms, t.effects)}
	for _, key := range slices.Sorted(maps.Keys(t.times)) {
		text, _ := within(key, 0, 0)(t)
		parts = append(parts, key+" "+text)
	}
	for _, key := range slices.Sorted(maps.Keys(t.hits)) {
		parts = append(parts, fmt.Sprintf("%s %d", key, t.hits[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(t.rates)) {
		parts = append(parts, fmt.Sprintf("%s %.2f", key, slices.Max(t.rates[key])))
	}
	if f := t.found(); f != "" {
		parts = append(parts, f)
	}
	if len(t.stuck) > 0 {
		parts = append(parts, fmt.Sprintf("NOT FINISHED %d", len(t.stuck)))
	}
	return strings.Join(parts, " · ")
}

// found sums up the findings.
func (t *tally) found() string {
	n := map[string]int{}
	for _, f := range t.findings {
		n[f.what]++
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%s: %d in %d rounds", what, n[what], roundsOf(t.findings, what)))
	}
	return strings.Join(parts, ", ")
}

// report is the outcome of a run.
type report struct {
	tallies []*tally
}

func (r report) of(kind, peer string) *tally {
	for _, t := range r.tallies {
		if t.kind.name == kind && t.peer == peer {
			return t
		}
	}
	return nil
}

// spark is the contestant whose figures count in a kind.
func (r report) spark(kind string) *tally {
	if t := r.of(kind, peerMutant); t != nil {
		return t
	}
	return r.of(kind, peerSpark)
}

// failures are what makes the run fail: safety, and rounds that did not end.
func (r report) failures() []string {
	var out []string
	for _, t := range r.tallies {
		for i, f := range t.breaches() {
			if i == 20 {
				out = append(out, fmt.Sprintf("%s: and %d more", t.kind.name, len(t.breaches())-i))
				break
			}
			out = append(out, t.kind.name+": "+f.String())
		}
		switch t.peer {
		case peerMutant:
			if t.caught() == 0 {
				out = append(out, "mutant: the missing fence was NOT noticed: this run proves nothing")
			}
			fallthrough
		case peerSpark:
			for _, s := range t.stuck {
				out = append(out, t.kind.name+": "+s)
			}
		}
	}
	return out
}

// markdown is a table for docs/benchmarks.md.
func (r report) markdown() string {
	var b strings.Builder
	b.WriteString("| what | target | Spark | rueidislock | redislock |\n|---|---|---|---|---|\n")
	cell := func(m measure, t *tally) string {
		if t == nil || t.rounds == 0 {
			return ""
		}
		text, met := m.of(t)
		if m.target != "" && !met && (t.peer == peerSpark || t.peer == peerMutant) {
			return "**" + text + "**"
		}
		return text
	}
	for _, m := range measures {
		t := r.spark(m.kind)
		if t == nil {
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", m.title, orNone(m.target), cell(m, t), cell(m, r.of(m.kind, peerRueidis)), cell(m, r.of(m.kind, peerRedislock)))
	}
	n, effects, terms := 0, 0, 0
	for _, t := range r.tallies {
		if t.peer == peerSpark {
			n, effects, terms = n+t.rounds, effects+t.effects, terms+t.terms
		}
	}
	fmt.Fprintf(&b, "| all kinds: breaches of safety | 0 | %d in %d rounds, %d terms, %d effects | | |\n", r.breached(), n, terms, effects)
	return b.String()
}

func (r report) breached() (n int) {
	for _, t := range r.tallies {
		n += len(t.breaches())
	}
	return n
}

func orNone(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// table is the same for a terminal.
func (r report) table() string {
	var b strings.Builder
	for _, m := range measures {
		for _, t := range r.tallies {
			if t.kind.name != m.kind || t.rounds == 0 {
				continue
			}
			text, met := m.of(t)
			if text == "–" {
				continue
			}
			mark := ""
			if m.target != "" && (t.peer == peerSpark || t.peer == peerMutant) {
				mark = "met"
				if !met {
					mark = "MISSED"
				}
				mark += " (" + m.target + ")"
			}
			fmt.Fprintf(&b, "%-13s %-11s %-66s %-50s %s\n", t.kind.name, t.peer, m.title, text, mark)
		}
	}
	return b.String()
}

// asJSON is the same for machines; times are in ms.
func (r report) asJSON(seed uint64, began time.Time) ([]byte, error) {
	type contest struct {
		Kind       string               `json:"kind"`
		Peer       string               `json:"peer"`
		Rounds     int                  `json:"rounds"`
		Terms      int                  `json:"terms"`
		Effects    int                  `json:"effects"`
		Fenced     int                  `json:"fenced"`
		Forgiven   int                  `json:"forgiven"`
		MS         map[string][]float64 `json:"ms"`
		Hits       map[string]int       `json:"hits"`
		Rates      map[string][]float64 `json:"rates"`
		Findings   map[string]int       `json:"findings"`
		Unfinished []string             `json:"unfinished"`
	}
	out := struct {
		Seed     uint64    `json:"seed"`
		Seconds  float64   `json:"seconds"`
		Failures []string  `json:"failures"`
		Contests []contest `json:"contests"`
	}{Seed: seed, Seconds: time.Since(began).Seconds(), Failures: r.failures()}
	for _, t := range r.tallies {
		c := contest{
			Kind: t.kind.name, Peer: t.peer, Rounds: t.rounds, Terms: t.terms, Effects: t.effects, Fenced: t.fenced, Forgiven: t.verdict.forgiven,
			MS: map[string][]float64{}, Hits: t.hits, Rates: t.rates, Findings: map[string]int{}, Unfinished: t.stuck,
		}
		for k, v := range t.times {
			for _, d := range v {
				c.MS[k] = append(c.MS[k], float64(d.Microseconds())/1000)
			}
		}
		for _, f := range t.findings {
			c.Findings[f.what]++
		}
		out.Contests = append(out.Contests, c)
	}
	return json.MarshalIndent(out, "", " ")
}

func repeats(t *tally) (string, bool) { return fmt.Sprint(t.hits["repeated"]), true }

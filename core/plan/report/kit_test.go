package report_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
)

var t0 = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

// course drives a machine through virtual time and keeps its journal.
type course struct {
	t       testing.TB
	m       plan.Machine
	now     time.Time
	next    time.Time
	asked   []plan.Evaluate
	answer  func(now time.Time, e plan.Evaluate) plan.Observation
	head    chain.Head
	records []chain.Record
}

func (c *course) take(effects []plan.Effect, next time.Time) {
	c.t.Helper()
	c.next = next
	for _, e := range effects {
		switch e := e.(type) {
		case plan.Append:
			raw, err := e.JSON()
			if err != nil {
				c.t.Fatalf("body of %s: %v", e.Kind, err)
			}
			c.append(e.Who, e.Role, e.Kind, raw)
		case plan.Evaluate:
			c.asked = append(c.asked, e)
		}
	}
}

// append writes a record, as the journal does.
func (c *course) append(who, role, kind string, body []byte) {
	c.t.Helper()
	r, _, err := chain.Seal(c.head, chain.Record{At: c.now.UnixMilli(), Mono: c.now.Sub(t0).Milliseconds() + 1, Who: who, Role: role, Kind: kind, Body: body})
	if err != nil {
		c.t.Fatalf("seal %s: %v", kind, err)
	}
	c.head = r.Head()
	c.records = append(c.records, r)
	c.m.Sealed(c.head, kind)
}

// settle answers until nothing is asked.
func (c *course) settle() {
	for len(c.asked) > 0 {
		batch := c.asked
		c.asked = nil
		var observed []plan.Observed
		for _, e := range batch {
			observed = append(observed, plan.Observed{Evaluate: e, Observation: c.answer(c.now, e)})
		}
		c.take(c.m.Step(c.now, observed...))
	}
}

// until moves to a time since T0.
func (c *course) until(d time.Duration) {
	end := t0.Add(d)
	for c.settle(); !c.next.IsZero() && !c.next.After(end); c.settle() {
		if c.next.After(c.now) {
			c.now = c.next
		}
		c.take(c.m.Step(c.now))
	}
	c.now = end
}

func (c *course) try(by plan.Actor, act plan.Act) (string, error) {
	id, effects, next, err := c.m.Do(c.now, by, act)
	c.take(effects, next)
	c.settle()
	return id, err
}

func (c *course) do(who, role string, act plan.Act) string {
	c.t.Helper()
	id, err := c.try(plan.Actor{Who: who, Role: role}, act)
	if err != nil {
		c.t.Fatalf("%T at %s: %v", act, c.now.Sub(t0), err)
	}
	return id
}

// replay applies the records up to a seq, and collects their timeline.
func replay(t testing.TB, records []chain.Record, seq int64) (*plan.State, time.Time, *report.Timeline) {
	t.Helper()
	m, lines, at := &plan.Machine{}, report.NewTimeline(), time.Time{}
	for _, r := range records[:seq] {
		if err := m.Apply(r); err != nil {
			t.Fatalf("Apply: %v", err)
		}
		lines.Add(r)
		at = time.UnixMilli(r.At).UTC()
	}
	return m.State(), at, lines
}

func write(t testing.TB, format string, records []chain.Record, seq int64) []byte {
	t.Helper()
	s, at, lines := replay(t, records, seq)
	out, err := report.Write(format, s, at, lines)
	if err != nil {
		t.Fatalf("Write(%s): %v", format, err)
	}
	return out
}

// golden compares with a file; UPDATE=1 writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s line %d:\n got %s\nwant %s\n(UPDATE=1 rewrites it)", name, i+1, g[i], w[i])
		}
	}
	t.Fatalf("%s has %d lines, want %d", name, len(g), len(w))
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// keys of two people, the same with each call.
func keys(t testing.TB) (signers map[string]string, enrolled []plan.Key) {
	t.Helper()
	signers = map[string]string{}
	for i, p := range []struct{ name, role string }{{"ada", "operations-lead"}, {"grace", "development-lead"}} {
		signer, verifier, err := chain.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{byte(i + 1)}, 64)), p.name)
		if err != nil {
			t.Fatal(err)
		}
		signers[p.role] = signer
		enrolled = append(enrolled, plan.Key{Name: p.name, Verifier: verifier, Roles: []string{p.role}})
	}
	return signers, enrolled
}

// one is an answer with a number.
func one(v float64) plan.Observation {
	return plan.Observation{
		Series:   []plan.Series{{Name: "{}", Fields: map[string]plan.Value{plan.FieldValue: plan.Number(v)}}},
		Coverage: 1, Events: -1,
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

package observe

import (
	"context"
	"fmt"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/journal"
	"github.com/spark-ta/spark/daemon/observe/sample"
)

// Past is a recorded run: its journal and its samples.
type Past struct {
	Records Records
	Querier sample.Querier
	Source  sample.Source
	Every   time.Duration
	Until   time.Time
}

// remembered answers for sources that are no queries with what they had answered.
type remembered struct {
	answers map[string][]answer // by check, in their order
}

type answer struct {
	at time.Time
	o  plan.Observation
}

// Probe implements Prober with the newest answer that was given by then; the first
// one for earlier times.
func (m remembered) Probe(_ context.Context, c *plan.Check, _ string, _, to time.Time) plan.Observation {
	known := m.answers[c.ID]
	if len(known) == 0 {
		return plan.Observation{Coverage: -1, Events: -1, Err: "the source was not asked in the recorded run"}
	}
	out := known[0].o
	for _, k := range known {
		if k.at.After(to) {
			break
		}
		out = k.o
	}
	return out
}

// WhatIf lives through a recorded run again with a changed plan: the same samples, the
// same answers of other sources, the same people. It changes nothing. The verdicts of
// a check that only the changed plan has are unknown when it needs a source that was
// not asked then.
func WhatIf(ctx context.Context, past Past, text []byte) (*wire.HypercareRun, error) {
	var start *plan.Start
	var began time.Time
	var deeds []chain.Record
	memory := remembered{map[string][]answer{}}
	for r, err := range past.Records {
		if err != nil {
			return nil, err
		}
		if s, ok := plan.StartOf(r); ok { // the newest run counts
			start, began, deeds = &s, time.UnixMilli(r.At), nil
			memory.answers = map[string][]answer{}
			continue
		}
		if check, o, ok := plan.EvidenceOf(r); ok {
			memory.answers[check] = append(memory.answers[check], answer{time.UnixMilli(r.At), o})
		}
		deeds = append(deeds, r)
	}
	if start == nil {
		return nil, &plan.ActError{Kind: plan.ErrConflict, Text: "no run has been started"}
	}
	start.File, start.Text = "what-if", string(text)
	book := journal.NewMemory(journal.Options{Start: began})
	now := began
	d := &Driver{Machine: &plan.Machine{}, Book: book, Asker: NewAsker(past.Querier, past.Source, memory, past.Every), Now: func() time.Time { return now }}
	if _, err := d.Do(ctx, now, plan.Actor{Who: "what-if"}, *start); err != nil {
		return nil, err
	}
	for now.Before(past.Until) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("stopped at %s: %w", now.Format(time.RFC3339), err)
		}
		next := d.Next()
		if next.IsZero() || next.After(past.Until) {
			next = past.Until
		}
		for len(deeds) > 0 && !time.UnixMilli(deeds[0].At).After(next) {
			r := deeds[0]
			deeds = deeds[1:]
			act, ok := plan.ActOf(r)
			if !ok {
				continue
			}
			now = laterOf(now, time.UnixMilli(r.At))
			// What is refused under the other plan does not happen.
			if _, err := d.Do(ctx, now, plan.Actor{Who: r.Who, Role: r.Role}, act); err != nil && d.Err() != nil {
				return nil, err
			}
		}
		now = laterOf(now, next)
		if err := d.Step(ctx, now); err != nil {
			return nil, err
		}
	}
	var out *wire.HypercareRun
	d.Look(func(s *plan.State) { out = report.Run(s, now) })
	return out, nil
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/charmbracelet/x/term"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// waitPatience is how long a wait without a limit goes on without an answer: an
// observer that restarts is back by then, one that is gone is not.
const waitPatience = 5 * time.Minute

// errTooLong is the end of a wait by its own limit.
var errTooLong = errors.New("the automatic checks did not all come to a verdict in time")

// await looks until the automatic checks are judged. The judgement it returns is the
// newest, also beside an error.
func (p *program) await(ctx context.Context, o *observer, c checking) (judgement, error) {
	line := p.progress()
	defer line.clear()
	start := time.Now()
	j, err := look(ctx, o, c)
	if err != nil {
		return j, err // a misspelt address is told at once
	}
	seen := start
	for {
		pending, settled := j.unjudged(c)
		if settled {
			return j, nil
		}
		now := time.Now()
		if c.timeout > 0 && now.Sub(start) >= c.timeout {
			return j, errTooLong
		}
		line.show("%s, waited %v", pending, now.Sub(start).Round(time.Second))
		if err := pause(ctx, c, c.timeout-now.Sub(start)); err != nil {
			return j, err
		}
		next, err := look(ctx, o, c)
		var e exit
		switch {
		case err == nil:
			j, seen = next, time.Now()
		case errors.As(err, &e) && (e.code == exitInterrupted || e.code == exitMisused):
			return j, err
		case c.timeout == 0 && time.Since(seen) > waitPatience:
			return j, err
		default:
			line.show("%v", err)
		}
	}
}

// pause waits for the next look, but not beyond what is left of a limit.
func pause(ctx context.Context, c checking, left time.Duration) error {
	d := c.interval
	if c.timeout > 0 {
		d = min(d, max(left, 0))
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return interrupted()
	case <-t.C:
		return nil
	}
}

// unjudged says in words which automatic checks are pending, and whether it is done
// with waiting for them. What is pending beyond the grace is waited for no longer.
func (j *judgement) unjudged(c checking) (pending string, settled bool) {
	waits, total := 0, 0
	for i := range j.Checkpoints {
		point := &j.Checkpoints[i]
		switch {
		case !point.Due && c.checkpoint == "":
			continue
		case !point.Due:
			return fmt.Sprintf("%s opens %s", point.ID, stamp(point.OpensAt)), j.Run.State == wire.RunClosed
		}
		for _, section := range point.Sections {
			for _, check := range section.Checks {
				if check.Kind != kindAuto || check.Verdict == wire.VerdictNotApplicable {
					continue
				}
				total++
				if check.Verdict == wire.VerdictPending && !overdue(&point.Checkpoint, j.Now) {
					waits++
				}
			}
		}
	}
	return fmt.Sprintf("%d of %d automatic checks pending", waits, total), waits == 0 || j.Run.State == wire.RunClosed
}

// progress is one line of a terminal that is written over; elsewhere nothing.
type progress struct{ terminal *os.File }

func (p *program) progress() progress {
	if file, ok := p.stderr.(*os.File); ok && term.IsTerminal(file.Fd()) {
		return progress{file}
	}
	return progress{}
}

func (l progress) show(format string, args ...any) {
	if l.terminal != nil {
		fmt.Fprintf(l.terminal, "\r\x1b[K%s", safetext.Clean(fmt.Sprintf(format, args...)))
	}
}

func (l progress) clear() {
	if l.terminal != nil {
		fmt.Fprint(l.terminal, "\r\x1b[K")
	}
}

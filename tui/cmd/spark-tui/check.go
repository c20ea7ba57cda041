package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// kindAuto is the kind of checks that the observer judges by itself.
const kindAuto = "auto"

// judgement is what "check" makes of a run; "check --json" prints it.
type judgement struct {
	OK          bool          `json:"ok"`
	Exit        int           `json:"exit"` // the exit code
	URL         string        `json:"url"`
	Error       string        `json:"error,omitempty"` // why it could not be known
	Now         int64         `json:"now"`             // ms, by the run's clock
	Run         *runHead      `json:"run"`
	Due         wire.Counts   `json:"due"`     // of what is due and asked for
	Overdue     int           `json:"overdue"` // items that wait for people beyond the grace
	Problems    []string      `json:"problems"`
	Checkpoints []judgedPoint `json:"checkpoints"`
}

// runHead says which run was judged, and up to where.
type runHead struct {
	ID         string `json:"id"`
	Plan       string `json:"plan"`
	PlanDigest string `json:"planDigest"`
	Version    string `json:"version"`
	Profile    string `json:"profile"`
	Rehearsal  bool   `json:"rehearsal"`
	State      string `json:"state"`
	T0         int64  `json:"t0"`
	Seq        int64  `json:"seq"`
	Head       string `json:"head"`
}

type judgedPoint struct {
	wire.Checkpoint
	Due bool `json:"due"`
}

// checking are the flags of "check".
type checking struct {
	checkpoint string
	all        bool
	wait       bool
	json       bool
	timeout    time.Duration
	interval   time.Duration
}

func (p *program) checkCommand() *cobra.Command {
	var c checking
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Print the verdicts of the hypercare run; the exit code is the verdict",
		Long: `Print the verdicts of the hypercare run by checkpoint, and exit with the worst of
what is due. A checkpoint is due once it has opened; one that is named before is
printed and weighs nothing yet: --wait waits for it.

Exit codes, the first that applies:
  2    misused
  1    a check fails
  3    a check is unknown, or nothing can be known: no run, no answer, a --wait
       that took too long (one line on standard error says which)
  4    something that waits for people is overdue
  0    nothing that is due is worse than warn or waived
  130  interrupted

What is pending within its grace changes nothing. What the machine should have judged
and still has not when the grace ends counts as unknown.`,
		Example: `  spark-tui check                                    what is due now
  spark-tui check --checkpoint T+15m --wait --timeout 30m && ./next-stage.sh
  spark-tui check --all                              with what lies ahead
  spark-tui check --json | jq -r '.problems[]'`,
		Args: p.noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.check(cmd.Context(), c) },
	}
	f := cmd.Flags()
	f.StringVar(&c.checkpoint, "checkpoint", "", "only this one, such as T+15m")
	f.BoolVar(&c.all, "all", false, "print checkpoints that have not opened as well")
	f.BoolVar(&c.wait, "wait", false, "wait until no automatic check of --checkpoint, or of what is due, is pending")
	f.DurationVar(&c.timeout, "timeout", 0, "longest --wait (default: no limit)")
	f.DurationVar(&c.interval, "interval", 2*time.Second, "time between two looks of --wait")
	jsonFlag(cmd, &c.json)
	p.commonFlags(cmd)
	return cmd
}

func (p *program) check(ctx context.Context, c checking) error {
	switch {
	case !c.wait && c.timeout != 0:
		return misuse("--timeout belongs to --wait")
	case c.timeout < 0 || c.interval <= 0:
		return misuse("--timeout and --interval are positive")
	}
	o, err := p.observer()
	if err != nil {
		return err
	}
	var j judgement
	if c.wait {
		j, err = p.await(ctx, o, c)
	} else {
		j, err = look(ctx, o, c)
	}
	var e exit
	if errors.As(err, &e) && (e.code == exitMisused || e.code == exitInterrupted) {
		return err
	}
	if err != nil {
		// Of what was seen before the trouble, a failure is still a failure.
		if j.Exit != exitFailed {
			j.Exit = exitUnreachable
		}
		j.OK, j.Error, j.URL = false, err.Error(), o.base
	}
	if c.json {
		err = p.printJSON(j)
	} else if j.Run != nil {
		err = j.print(p.stdout)
	} else {
		err = nil
	}
	if err != nil {
		return err
	}
	if j.Exit == exitOK {
		return nil
	}
	return exit{j.Exit, j.Error}
}

// look asks once.
func look(ctx context.Context, o *observer, c checking) (judgement, error) {
	j := judgement{URL: o.base, Problems: []string{}, Checkpoints: []judgedPoint{}}
	var h wire.Hypercare
	if err := o.get(ctx, wire.PathHypercare, &h); err != nil {
		return j, err
	}
	if h.Run == nil {
		return j, errors.New(`there is no hypercare run: "spark-tui hypercare start" begins one`)
	}
	return j, j.judge(&h, c)
}

// judge takes what was asked for out of a run, and its worst verdict.
func (j *judgement) judge(h *wire.Hypercare, c checking) error {
	r := h.Run
	j.Now = h.Now
	j.Run = &runHead{
		ID: r.ID, Plan: r.PlanID, PlanDigest: r.PlanDigest, Version: r.Version, Profile: r.Profile,
		Rehearsal: r.Rehearsal, State: r.State, T0: r.T0, Seq: r.Seq, Head: r.Head,
	}
	var names []string
	for _, point := range r.Checkpoints {
		names = append(names, point.ID)
		due := point.State != wire.CheckpointFuture
		if c.checkpoint != "" && point.ID != c.checkpoint || !due && !c.all && c.checkpoint == "" {
			continue
		}
		j.Checkpoints = append(j.Checkpoints, judgedPoint{point, due})
		if due {
			j.weigh(&point)
		}
	}
	if c.checkpoint != "" && !slices.Contains(names, c.checkpoint) {
		return misuse("--checkpoint %s: the plan has %s", c.checkpoint, strings.Join(names, ", "))
	}
	switch {
	case j.Due.Fail > 0:
		j.Exit = exitFailed
	case j.Due.Unknown > 0:
		j.Exit = exitUnreachable
	case j.Overdue > 0:
		j.Exit = exitOverdue
	}
	j.OK = j.Exit == exitOK
	return nil
}

// overdue reports whether the grace of a checkpoint has ended with work left.
func overdue(point *wire.Checkpoint, now int64) bool {
	return point.State != wire.CheckpointClosed && (point.Overdue > 0 || point.GraceAt > 0 && now >= point.GraceAt)
}

// weigh counts a checkpoint that is due.
func (j *judgement) weigh(point *wire.Checkpoint) {
	late := overdue(point, j.Now)
	for _, section := range point.Sections {
		for _, check := range section.Checks {
			problem := ""
			switch check.Verdict {
			case wire.VerdictPass:
				j.Due.Pass++
			case wire.VerdictWarn:
				j.Due.Warn++
			case wire.VerdictWaived:
				j.Due.Waived++
			case wire.VerdictNotApplicable:
				j.Due.NotApplicable++
			case wire.VerdictFail:
				j.Due.Fail++
				problem = "fails"
			case wire.VerdictPending:
				switch {
				case late && check.Kind == kindAuto:
					j.Due.Unknown++
					problem = "was not judged in time"
				case late:
					j.Due.Pending++
					j.Overdue++
					problem = "is overdue"
				default:
					j.Due.Pending++
				}
			default: // also a word that this console does not know: never a pass
				j.Due.Unknown++
				problem = "is unknown"
			}
			if problem != "" {
				j.Problems = append(j.Problems, fmt.Sprintf("%s %s %s: %s", point.ID, check.ID, problem, says(&check)))
			}
		}
	}
	if !late {
		return
	}
	for _, role := range point.SignOff {
		if !slices.Contains(point.Signed, role) {
			j.Overdue++
			j.Problems = append(j.Problems, fmt.Sprintf("%s is overdue: the sign-off of the %s is missing", point.ID, role))
		}
	}
}

func says(check *wire.Check) string {
	if check.Sentence != "" {
		return check.Sentence
	}
	return check.Text
}

// print writes the judgement for people. All text from outside is cleaned.
func (j *judgement) print(w io.Writer) error {
	clean := func(s string) safetext.Text { return safetext.Clean(s) }
	r := j.Run
	mark := ""
	if r.Rehearsal {
		mark = "REHEARSAL  "
	}
	fmt.Fprintf(w, "%s%s  %s  %s %s  %s  run %s, record %d\n", mark, j.word(), offset(r.T0, j.Now), clean(r.Plan), clean(r.Version), clean(r.State), clean(r.ID), r.Seq)
	fmt.Fprintf(w, "due: %s", tally(j.Due))
	if j.Overdue > 0 {
		fmt.Fprintf(w, "; overdue: %d", j.Overdue)
	}
	fmt.Fprintln(w)
	for i := range j.Checkpoints {
		point := &j.Checkpoints[i]
		fmt.Fprintf(w, "\n%s  %s  %s  %s", clean(point.ID), clean(point.Title), verdictWord(point.Verdict), clean(point.State))
		switch {
		case !point.Due:
			fmt.Fprintf(w, ", opens %s", stamp(point.OpensAt))
		case overdue(&point.Checkpoint, j.Now):
			fmt.Fprintf(w, ", overdue since %s", stamp(point.GraceAt))
		case point.State != wire.CheckpointClosed:
			fmt.Fprintf(w, ", due %s", stamp(point.DueAt))
		}
		fmt.Fprintln(w)
		t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		for _, section := range point.Sections {
			for _, check := range section.Checks {
				fmt.Fprintf(t, "  %s\t%s\t%s%s\n", verdictWord(check.Verdict), clean(check.ID), clean(says(&check)), remarks(&check))
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if len(j.Checkpoints) == 0 {
		fmt.Fprintln(w, "\nNothing is due yet.")
	}
	return nil
}

func (j *judgement) word() string {
	switch {
	case j.Due.Fail > 0:
		return "FAIL"
	case j.Due.Unknown > 0:
		return "UNKNOWN"
	case j.Overdue > 0:
		return "OVERDUE"
	}
	return "OK"
}

// remarks are what a verdict alone does not tell.
func remarks(check *wire.Check) string {
	out := ""
	for _, r := range []struct {
		holds bool
		word  string
	}{{check.Key, "key"}, {check.Recovered, "recovered"}, {check.Thin, "thin"}, {check.Flag != "", string(safetext.Clean(check.Flag))}} {
		if r.holds {
			out += " (" + r.word + ")"
		}
	}
	return out
}

func tally(c wire.Counts) string {
	var out []string
	for _, n := range []struct {
		n    int
		word string
	}{{c.Fail, "fail"}, {c.Unknown, "unknown"}, {c.Pending, "pending"}, {c.Warn, "warn"}, {c.Waived, "waived"}, {c.Pass, "pass"}, {c.NotApplicable, "not applicable"}} {
		if n.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n.n, n.word))
		}
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

func verdictWord(v string) safetext.Text {
	if v == wire.VerdictNotApplicable {
		return "N/A"
	}
	return safetext.Clean(strings.ToUpper(v))
}

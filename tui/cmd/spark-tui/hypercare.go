package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

const changeCodes = `

Exit codes: 0 done, 1 refused, 2 misused, 3 the observer cannot be reached: a call that
had no answer is not repeated, look with "spark-tui check" what became of it.`

// group is a command that only has others below it.
func (p *program) group(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.Args = p.noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(below...)
	return cmd
}

func (p *program) hypercareCommand() *cobra.Command {
	return p.group(&cobra.Command{
		Use:   "hypercare",
		Short: "Begin the 48 hours after a deployment, and act in them",
		Long: `Begin the 48 hours after a deployment, and act in them. Nothing is overwritten:
every call becomes a record of the observer's journal. See also check, report, sign.`,
		Example: `  spark-tui hypercare start --version v1.4.0
  spark-tui hypercare tick ops.briefed --note "stand-up of 09:00, Ada and Grace"
  spark-tui hypercare waive redis.aof --reason "persistence is the provider's" --role operations-lead --expires 2d
  spark-tui hypercare issue "chart of ETHUSDT is empty on a phone" --minor`,
	}, p.startCommand(),
		p.checkVerbCommand(checkVerb{
			verb: wire.VerbTick, short: "Tick items that only people can judge", note: "what was seen (evidence)",
			example: `  spark-tui hypercare tick ops.briefed --note "stand-up of 09:00"
  spark-tui hypercare tick runbook.reviewed oncall.rotation --role operations-lead`,
		}),
		p.checkVerbCommand(checkVerb{
			verb: wire.VerbUntick, short: "Take a tick back", reason: "why",
			example: `  spark-tui hypercare untick ops.briefed --reason "the night shift was not there"`,
		}),
		p.checkVerbCommand(checkVerb{
			verb: wire.VerbWaive, short: "Excuse checks until a time", reason: "why", expires: true,
			example: `  spark-tui hypercare waive redis.aof --reason "persistence is the provider's" --role operations-lead --expires 2d`,
		}),
		p.checkVerbCommand(checkVerb{
			verb: wire.VerbNote, short: "Write a note under checks", note: "the text", must: true,
			example: `  spark-tui hypercare note sse.availability --note "maintenance of the exchange 02:00 to 02:10"`,
		}),
		p.checkVerbCommand(checkVerb{
			verb: wire.VerbRecheck, short: "Evaluate checks again", reason: "what has changed since",
			example: `  spark-tui hypercare recheck notify.success --reason "token of the channel renewed"`,
		}),
		p.decideCommand(), p.issueCommand())
}

func (p *program) startCommand() *cobra.Command {
	var start wire.Start
	var at string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Begin a hypercare run",
		Long: `Begin a hypercare run. T+0 is now unless --at says when the deployment was complete.
Without --version it is the version that every instance which is up reports.` + changeCodes,
		Example: `  spark-tui hypercare start
  spark-tui hypercare start --version v1.4.0 --at -10m --profile compose`,
		Args: p.noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if at != "" {
				t, err := parseWhen(at, time.Now())
				if err != nil {
					return misuse("--at %q: %v", at, err)
				}
				start.StartedAt = t.UnixMilli()
			}
			return p.start(cmd.Context(), start, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&start.Version, "version", "", "version of the service that is judged")
	f.StringVar(&at, "at", "", "T+0: "+whenHelp)
	f.StringVar(&start.Plan, "plan", "", "id of a plan (default: the one that the observer has)")
	f.StringVar(&start.Profile, "profile", "", "all-in-one, compose or kubernetes (default: found out)")
	jsonFlag(cmd, &asJSON)
	p.operatorFlags(cmd)
	return cmd
}

func (p *program) start(ctx context.Context, start wire.Start, asJSON bool) error {
	o, err := p.observer()
	if err != nil {
		return err
	}
	if start.Version == "" {
		if start.Version, err = fleetVersion(ctx, o); err != nil {
			return err
		}
	}
	var a wire.HypercareAnswer
	if err := o.post(ctx, wire.PathPlanStart, start, &a); err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(a)
	}
	if a.Run == nil {
		return errors.New("the observer says that it has begun, but shows no run")
	}
	r := a.Run
	_, err = fmt.Fprintf(p.stdout, "begun: %s for %s, profile %s, T+0 %s, ends %s, run %s\n",
		safetext.Clean(r.PlanID), safetext.Clean(r.Version), safetext.Clean(r.Profile), stamp(r.T0), stamp(r.EndsAt), safetext.Clean(r.ID))
	return err
}

// fleetVersion is the one version of what is up.
func fleetVersion(ctx context.Context, o *observer) (string, error) {
	var fleet wire.Fleet
	if err := o.get(ctx, wire.PathFleet, &fleet); err != nil {
		return "", err
	}
	var versions []string
	for _, i := range fleet.Instances {
		if i.Up && i.Version != "" && !slices.Contains(versions, i.Version) {
			versions = append(versions, i.Version)
		}
	}
	switch len(versions) {
	case 0:
		return "", misuse("--version is missing, and no instance that is up says its own")
	case 1:
		return versions[0], nil
	}
	slices.Sort(versions)
	return "", misuse("--version is missing, and the fleet runs %s", strings.Join(versions, ", "))
}

// checkVerb describes one command over checks. Reasons are required.
type checkVerb struct {
	verb    string
	short   string
	example string
	note    string // help of --note; without one there is no such flag
	must    bool   // --note is required
	reason  string // help of --reason; without one there is no such flag
	expires bool
}

func (p *program) checkVerbCommand(v checkVerb) *cobra.Command {
	var act wire.CheckAct
	var note, expires string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     v.verb + " CHECK…",
		Short:   v.short,
		Long:    v.short + ". Each check is a call of its own; all are made." + changeCodes,
		Example: v.example,
		Args:    p.someArguments("check", "the ids stand in \"spark-tui check\""),
		RunE: func(cmd *cobra.Command, checks []string) error {
			if v.reason != "" && strings.TrimSpace(act.Reason) == "" {
				return misuse("--reason is missing: %s", v.reason)
			}
			if v.must && strings.TrimSpace(note) == "" {
				return misuse("--note is missing: %s", v.note)
			}
			if v.verb == wire.VerbNote {
				act.Reason = note
			} else {
				act.Evidence = note
			}
			if v.expires {
				now := time.Now()
				t, err := parseWhen(expires, now)
				if err != nil || !t.After(now) {
					return misuse("--expires %q: when the waiver ends, %s", expires, whenHelp)
				}
				act.Expires = t.UnixMilli()
			}
			return p.actOnChecks(cmd.Context(), v.verb, checks, act, asJSON)
		},
	}
	f := cmd.Flags()
	if v.note != "" {
		f.StringVar(&note, "note", "", v.note)
	}
	if v.reason != "" {
		f.StringVar(&act.Reason, "reason", "", v.reason)
	}
	if v.expires {
		f.StringVar(&expires, "expires", "", "when it ends: "+whenHelp)
	}
	f.StringVar(&act.Role, "role", "", "role in which you act, such as operations-lead")
	jsonFlag(cmd, &asJSON)
	p.operatorFlags(cmd)
	return cmd
}

func (p *program) someArguments(what, hint string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || slices.Contains(args, "") {
			return misuse("name a %s: %s (see %s --help)", what, hint, cmd.CommandPath())
		}
		return nil
	}
}

// acted is what became of one check.
type acted struct {
	Check    string `json:"check"`
	OK       bool   `json:"ok"`
	Verdict  string `json:"verdict,omitempty"` // afterwards
	Sentence string `json:"sentence,omitempty"`
	Error    string `json:"error,omitempty"`
}

// actOnChecks makes one call for each check, until the observer cannot be reached: the
// others would fare no better.
func (p *program) actOnChecks(ctx context.Context, verb string, checks []string, act wire.CheckAct, asJSON bool) error {
	o, err := p.observer()
	if err != nil {
		return err
	}
	results := []acted{}
	var trouble error
	for _, id := range checks {
		var a wire.HypercareAnswer
		result := acted{Check: id}
		if trouble != nil && codeOf(trouble) > exitFailed {
			result.Error = "not tried"
		} else if err := o.post(ctx, place(wire.PathCheck, id, verb), act, &a); err != nil {
			result.Error, trouble = err.Error(), worse(trouble, err)
		} else {
			result.OK = true
			if check := findCheck(a.Run, id); check != nil {
				result.Verdict, result.Sentence = check.Verdict, says(check)
			}
		}
		results = append(results, result)
	}
	if asJSON {
		if err := p.printJSON(results); err != nil {
			return err
		}
		return quiet(trouble)
	}
	for _, r := range results {
		switch {
		case !r.OK:
			fmt.Fprintf(p.stderr, "spark-tui: %s: %s\n", safetext.Clean(r.Check), safetext.Clean(r.Error))
		case r.Verdict == "":
			fmt.Fprintf(p.stdout, "%s: done\n", safetext.Clean(r.Check))
		default:
			fmt.Fprintf(p.stdout, "%s: %s  %s\n", safetext.Clean(r.Check), verdictWord(r.Verdict), safetext.Clean(r.Sentence))
		}
	}
	return quiet(trouble)
}

// worse keeps the error with the greater exit code.
func worse(a, b error) error {
	if a == nil || codeOf(b) > codeOf(a) {
		return b
	}
	return a
}

// quiet keeps the exit code of an error of which everything has been said.
func quiet(err error) error {
	if err == nil {
		return nil
	}
	return exit{code: codeOf(err)}
}

func findCheck(r *wire.HypercareRun, id string) *wire.Check {
	if r == nil {
		return nil
	}
	for _, point := range r.Checkpoints {
		for _, section := range point.Sections {
			for i := range section.Checks {
				if section.Checks[i].ID == id {
					return &section.Checks[i]
				}
			}
		}
	}
	return nil
}

func (p *program) decideCommand() *cobra.Command {
	var d wire.DecisionAct
	var review string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "decide PARAMETER",
		Short: "Write down a tuning decision, with a time to look at its effect",
		Long: `Write down a tuning decision, with a time to look at its effect. It changes no
setting: it says that somebody does.` + changeCodes,
		Example: `  spark-tui hypercare decide ALERT_COOLDOWN_SEC --from 300 --to 120 --why "62 % of matches suppressed" --review 6h
  spark-tui hypercare decide NOTIFY_RATE_LIMIT --from 20 --to 20 --why "stays: the queue is empty by night" --id d-3`,
		Args: p.oneArgument("parameter"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d.Parameter = args[0]
			for _, f := range []struct{ name, value string }{{"from", d.From}, {"to", d.To}, {"why", d.Why}} {
				if strings.TrimSpace(f.value) == "" {
					return misuse("--%s is missing", f.name)
				}
			}
			if review != "" {
				t, err := parseWhen(review, time.Now())
				if err != nil {
					return misuse("--review %q: %v", review, err)
				}
				d.ReviewAt = t.UnixMilli()
			}
			return p.change(cmd.Context(), wire.PathDecisions, d, asJSON, "decided: "+d.Parameter+" "+d.From+" → "+d.To)
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.ID, "id", "", "of the proposal that this answers")
	f.StringVar(&d.From, "from", "", "value so far")
	f.StringVar(&d.To, "to", "", "value from now on")
	f.StringVar(&d.Why, "why", "", "what led to it")
	f.StringVar(&review, "review", "", "when its effect is measured: "+whenHelp)
	jsonFlag(cmd, &asJSON)
	p.operatorFlags(cmd)
	return cmd
}

func (p *program) issueCommand() *cobra.Command {
	var minor, asJSON bool
	cmd := &cobra.Command{
		Use:   "issue TEXT",
		Short: "Write down an issue that a user reported",
		Long: `Write down an issue that a user reported. Two of them, or one that is not minor, stand
against the exit.` + changeCodes,
		Example: `  spark-tui hypercare issue "chart of ETHUSDT is empty on a phone" --minor`,
		Args:    p.oneArgument("text"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.change(cmd.Context(), wire.PathUserIssues, wire.IssueAct{Text: args[0], Minor: minor}, asJSON, "noted")
		},
	}
	cmd.Flags().BoolVar(&minor, "minor", false, "it is a minor one")
	jsonFlag(cmd, &asJSON)
	p.operatorFlags(cmd)
	return cmd
}

func (p *program) oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || strings.TrimSpace(args[0]) == "" {
			return misuse("give one %s (see %s --help)", what, cmd.CommandPath())
		}
		return nil
	}
}

// change makes one call and says that it was done, with the id of what it made.
func (p *program) change(ctx context.Context, path string, in any, asJSON bool, done string) error {
	o, err := p.observer()
	if err != nil {
		return err
	}
	var a wire.HypercareAnswer
	if err := o.post(ctx, path, in, &a); err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(a)
	}
	if a.ID != "" {
		done += " (" + a.ID + ")"
	}
	_, err = fmt.Fprintln(p.stdout, safetext.Clean(done))
	return err
}

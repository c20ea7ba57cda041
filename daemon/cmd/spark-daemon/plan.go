package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/rehearse"
	"github.com/spark-ta/spark/runbooks"
)

func (p *program) planCommand(flags func() map[string]string) *cobra.Command {
	c := &cobra.Command{Use: "plan", Short: "Look at hypercare plans: lint, show, export, coverage, what-if", Args: noArgs,
		Long: `A plan is Markdown: headings are checkpoints, task-list items are checks, a fence in
an item says what is asked and what is expected. The shipped ones are hypercare and
go-live; one of your own is named by hypercare.plan in SPARK_CONFIG.

  spark-daemon plan lint                   the shipped plans
  spark-daemon plan lint my.md             what is wrong with one of yours
  spark-daemon plan show                   its checks as a table
  spark-daemon plan coverage               which rehearsal made each check fail, and unknown
  spark-daemon plan whatif my.md           what it would say of the run that is under way`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(p.planLintCommand(flags), p.planShowCommand(), p.planExportCommand(), p.planCoverageCommand(), p.planWhatIfCommand(flags))
	return c
}

// planText reads a plan: a file, or a shipped one by its id.
func planText(name string) (file string, text []byte, err error) {
	if text, ok := runbooks.Plan(name); ok {
		return name + ".md", text, nil
	}
	text, err = os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !isFile(name) {
		return "", nil, fmt.Errorf("%w: there is no plan %.60q: %s are shipped, a file ends in .md", errUsage, name, strings.Join(shippedPlans(), " and "))
	}
	if err != nil {
		return "", nil, fmt.Errorf("%w: %v", errUsage, err)
	}
	return name, text, nil
}

// shippedPlans lists their ids.
func shippedPlans() []string {
	files, _ := fs.Glob(runbooks.Files(), "*.md") // the pattern is well formed
	var out []string
	for _, f := range files {
		id := strings.TrimSuffix(path.Base(f), ".md")
		if _, ok := runbooks.Plan(id); ok {
			out = append(out, id)
		}
	}
	return out
}

// onePlan parses the plan of the only argument, hypercare without one. What is wrong
// in it is named by its place.
func onePlan(cmd *cobra.Command, args []string) (*plan.Plan, error) {
	if len(args) > 1 {
		return nil, fmt.Errorf("%w: %s takes one plan", errUsage, cmd.CommandPath())
	}
	name := "hypercare"
	if len(args) == 1 {
		name = args[0]
	}
	file, text, err := planText(name)
	if err != nil {
		return nil, err
	}
	return plan.Parse(file, text)
}

func (p *program) planLintCommand(flags func() map[string]string) *cobra.Command {
	var asJSON, remote bool
	c := &cobra.Command{Use: "lint [PLAN|FILE…]", Short: "Say what is wrong with plans, by file, line and column",
		Long: `Looks for what makes a plan that cannot be believed: PromQL that does not parse,
metrics that no instance has, units that do not fit, parameters, variables, runbooks
and commands that do not exist, key checks without a runbook or that no rehearsal
ever made fail, characters that are not seen. Without an argument the shipped plans.

  spark-daemon plan lint my.md
  my.md:42:7: error unknown-metric: no instance has a metric stream_connected

Commands are looked up in SPARK_CONFIG when it is set. Newer PromQL than a remote
server may know is refused with --remote, and when PROMETHEUS_URL is set.

Exit status: 0 no error (warnings are printed), 1 an error, 2 misused.`,
		RunE: func(_ *cobra.Command, args []string) error {
			o, _, err := p.options(flags())
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = shippedPlans()
			}
			options := lintOptions(o)
			options.Remote = options.Remote || remote
			return p.lint(args, options, asJSON)
		}}
	c.Flags().BoolVar(&remote, "remote", false, "PromQL will be asked of a Prometheus server that may be older")
	c.Flags().BoolVar(&asJSON, "json", false, "a JSON array of faults")
	return c
}

// fault is one remark as --json writes it.
type fault struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Text     string `json:"text"`
}

func (p *program) lint(names []string, o plan.LintOptions, asJSON bool) error {
	all, mistakes := []fault{}, 0
	for _, name := range names {
		file, text, err := planText(name)
		if err != nil {
			return err
		}
		_, faults := plan.LintFile(file, text, o)
		for _, f := range faults {
			if f.Severity == plan.Mistake {
				mistakes++
			}
			all = append(all, fault{file, f.Line, f.Column, f.Severity.String(), f.Code, f.Text})
		}
	}
	var err error
	if asJSON {
		err = json.NewEncoder(p.stdout).Encode(all)
	} else {
		for _, f := range all {
			_, e := fmt.Fprintf(p.stdout, "%s:%d:%d: %s %s: %s\n", safetext.Clean(f.File), f.Line, f.Column, f.Severity, f.Code, safetext.Clean(f.Text))
			err = errors.Join(err, e)
		}
	}
	if err == nil && mistakes > 0 {
		return fmt.Errorf("%d errors in %s", mistakes, strings.Join(names, ", "))
	}
	return err
}

func (p *program) planShowCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "show [PLAN|FILE]", Short: "Print the checks of a plan as a table",
		Long: `A row for each check: when it is judged, by what, and what is expected. A * marks a
key check: while it fails or is unknown the run cannot end.

  spark-daemon plan show
  spark-daemon plan show go-live --json

Exit status: 0 printed, 1 the plan cannot be read (each mistake is named), 2 misused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			pl, err := onePlan(cmd, args)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(p.stdout).Encode(exported(pl))
			}
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "WHEN\tCHECK\tKIND\tMODE\tSOURCE\tEXPECTED\tWORDS")
			for _, cp := range exported(pl).Checkpoints {
				for _, k := range cp.Checks {
					key := ""
					if k.Key {
						key = "*"
					}
					row := []string{cp.ID, k.ID + key, k.Kind, k.Mode, k.Source, k.Expect, k.Text}
					for i := range row {
						row[i] = string(safetext.Clean(row[i]))
						if row[i] == "" {
							row[i] = "-"
						}
					}
					fmt.Fprintln(w, strings.Join(row, "\t"))
				}
			}
			return w.Flush()
		}}
	c.Flags().BoolVar(&asJSON, "json", false, "the same as plan export")
	return c
}

// exportedPlan is a plan for other programs. There is no way back: Markdown is the
// plan.
type exportedPlan struct {
	ID          string               `json:"id"`
	Kind        string               `json:"kind"`
	Title       string               `json:"title"`
	Service     string               `json:"service"`
	Digest      string               `json:"digest"`
	SignOff     []string             `json:"signOff"`
	Checkpoints []exportedCheckpoint `json:"checkpoints"`
}

type exportedCheckpoint struct {
	ID      string          `json:"id"`
	Title   string          `json:"title"`
	Offset  string          `json:"offset"`
	Window  string          `json:"window"`
	Grace   string          `json:"grace"`
	SignOff []string        `json:"signOff,omitempty"`
	Checks  []exportedCheck `json:"checks"`
}

type exportedCheck struct {
	ID         string            `json:"id"`
	Section    string            `json:"section,omitempty"`
	Text       string            `json:"text"`
	Kind       string            `json:"kind"`
	Mode       string            `json:"mode,omitempty"` // of checks that a machine judges
	Key        bool              `json:"key,omitempty"`
	Unwaivable bool              `json:"unwaivable,omitempty"`
	Source     string            `json:"source,omitempty"` // language of its fence
	Query      string            `json:"query,omitempty"`
	Good       string            `json:"good,omitempty"` // of an SLO
	Total      string            `json:"total,omitempty"`
	Target     float64           `json:"target,omitempty"` // 0 to 1
	Expect     string            `json:"expect,omitempty"`
	Role       string            `json:"role,omitempty"`
	Runbook    string            `json:"runbook,omitempty"`
	NotIn      map[string]string `json:"notIn,omitempty"` // profile to reason
	Digest     string            `json:"digest"`
	Line       int               `json:"line"`
}

func exported(p *plan.Plan) exportedPlan {
	out := exportedPlan{p.ID, p.Kind, p.Title, p.Service, p.Digest, p.SignOff, []exportedCheckpoint{}}
	for _, c := range p.Checkpoints {
		x := exportedCheckpoint{c.ID, c.Title, plan.FormatDuration(c.Offset), plan.FormatDuration(c.Window), plan.FormatDuration(c.Grace), c.SignOff, []exportedCheck{}}
		for _, s := range c.Sections {
			for _, k := range s.Checks {
				e := exportedCheck{
					ID: k.ID, Section: s.Title, Text: k.Text, Kind: k.Kind.String(), Key: k.Key, Unwaivable: k.Unwaivable,
					Source: k.Source.Language, Query: k.Source.Query, Good: k.Source.Good, Total: k.Source.Total, Target: k.Source.Target,
					Role: k.Role, Runbook: k.Runbook, NotIn: k.NotIn, Digest: k.Digest, Line: k.Line,
				}
				if k.Kind == plan.Auto {
					e.Mode = k.Mode.String()
				}
				switch {
				case k.Source.Expect != nil:
					e.Expect = k.Source.Expect.Text
				case k.Source.Target > 0:
					e.Expect = ">= " + plan.FormatNumber(k.Source.Target, plan.UnitShare)
				}
				x.Checks = append(x.Checks, e)
			}
		}
		out.Checkpoints = append(out.Checkpoints, x)
	}
	return out
}

func (p *program) planExportCommand() *cobra.Command {
	c := &cobra.Command{Use: "export [PLAN|FILE]", Short: "Write a plan as JSON, for other programs",
		Long: `One way only: the Markdown is the plan, and nothing reads this back.

  spark-daemon plan export | jq '.checkpoints[].checks[] | select(.key).id'

Exit status: 0 written, 1 the plan cannot be read, 2 misused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			pl, err := onePlan(cmd, args)
			if err != nil {
				return err
			}
			enc := json.NewEncoder(p.stdout)
			enc.SetIndent("", "  ")
			enc.SetEscapeHTML(false)
			return enc.Encode(exported(pl))
		}}
	c.Flags().Bool("json", true, "the only form there is")
	return c
}

func (p *program) planCoverageCommand() *cobra.Command {
	var asJSON, shipped bool
	c := &cobra.Command{Use: "coverage", Short: "List for each check the rehearsal that made it fail and the one that made it unknown", Args: noArgs,
		Long: `A check that was never seen to fail is decoration. This rehearses every shipped
scenario, which takes minutes of every core, and lists what each check was seen to be.

  spark-daemon plan coverage
  spark-daemon plan coverage --shipped     the table of this release, at once

Exit status: 0 every key check was seen to fail and to be unknown; 1 one was not, or a
rehearsal did not go as expected; 2 misused.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			table, err := coverageOf()
			if !shipped {
				table, err = p.cover(cmd.Context())
			}
			if err != nil {
				return err
			}
			if err := p.printCoverage(table, asJSON); err != nil {
				return err
			}
			if missing := unproven(table); len(missing) > 0 {
				return fmt.Errorf("%d key checks were never seen to fail and to be unknown: %s", len(missing), strings.Join(missing, ", "))
			}
			return nil
		}}
	c.Flags().BoolVar(&asJSON, "json", false, "for machines, as GET /api/hypercare/coverage answers")
	c.Flags().BoolVar(&shipped, "shipped", false, "the table that was made with this release; rehearse nothing")
	return c
}

func (p *program) cover(ctx context.Context) (wire.Coverage, error) {
	ids, err := rehearse.IDs(runbooks.Files())
	if err != nil {
		return wire.Coverage{}, err
	}
	line, clear := p.statusLine()
	done := 0
	line(fmt.Sprintf("%d rehearsals", len(ids)))
	table, results, err := rehearse.Cover(ctx, runbooks.Files(), ids, func(r rehearse.Result) {
		done++
		line(fmt.Sprintf("%d of %d rehearsals done, the last: %s", done, len(ids), r.Scenario))
	})
	clear()
	if ctx.Err() != nil {
		return table, errors.New("interrupted")
	}
	if err != nil {
		return table, err
	}
	var bad []string
	for _, r := range results {
		if !r.Passed {
			bad = append(bad, r.Scenario)
		}
	}
	if len(bad) > 0 {
		return table, fmt.Errorf("%d rehearsals did not go as expected, so that they prove nothing: %s", len(bad), strings.Join(bad, ", "))
	}
	return table, nil
}

// unproven lists the key checks that were not seen both ways.
func unproven(c wire.Coverage) (out []string) {
	for _, k := range c.Checks {
		if k.Key && (len(k.Fail) == 0 || len(k.Unknown) == 0) {
			out = append(out, k.ID)
		}
	}
	return out
}

func (p *program) printCoverage(c wire.Coverage, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(c)
	}
	few := func(ids []string) string {
		switch n := len(ids); {
		case n == 0:
			return "never"
		case n > 2:
			return strings.Join(ids[:2], ", ") + fmt.Sprintf(" +%d", n-2)
		}
		return strings.Join(ids, ", ")
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CHECK\tKIND\tFAILED IN\tUNKNOWN IN")
	for _, k := range c.Checks {
		key := ""
		if k.Key {
			key = "*"
		}
		fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\n", k.ID, key, k.Kind, few(k.Fail), few(k.Unknown))
	}
	return w.Flush()
}

func (p *program) planWhatIfCommand(flags func() map[string]string) *cobra.Command {
	var base string
	var asJSON bool
	c := &cobra.Command{Use: "whatif FILE|-", Short: "Say which verdicts of the present run a changed plan would change",
		Long: `Sends the plan to a running observer, which lives through its recorded run once more
with it: the same samples, the same answers, the same people. Nothing is changed. It
takes up to minutes of one of its cores.

  cp runbooks/hypercare.md my.md && edit my.md
  spark-daemon plan whatif my.md
  spark-daemon plan whatif my.md --url http://spark-observer:4010

SPARK_OPS_TOKEN is sent as the bearer token. The observer is that of this
configuration unless --url names another.

Exit status: 0 answered, 1 refused or not answered, 2 misused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%w: %s takes one file, or -", errUsage, cmd.CommandPath())
			}
			o, _, err := p.options(flags())
			if err != nil {
				return err
			}
			if base == "" {
				base = strings.TrimSuffix(healthURL(o, o.ObserverPort), wire.PathHealth)
			}
			if err := httpURL(base); err != nil {
				return fmt.Errorf("%w: --url: %v", errUsage, err)
			}
			text, err := readArg(args[0], 512<<10)
			if err != nil {
				return err
			}
			return p.whatIf(cmd.Context(), strings.TrimRight(base, "/"), o.OpsToken, text, asJSON)
		}}
	c.Flags().StringVar(&base, "url", "", "base URL of an observer")
	c.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return c
}

// readArg reads a file, or standard input for "-", of at most so many bytes.
func readArg(name string, most int64) ([]byte, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, fmt.Errorf("%w: %v", errUsage, err)
		}
		defer f.Close()
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%w: %s is larger than %d bytes", errUsage, name, most)
	}
	return text, err
}

func (p *program) whatIf(ctx context.Context, base, token string, text []byte, asJSON bool) error {
	var answer wire.WhatIfAnswer
	if err := callObserver(ctx, base+wire.PathWhatIf, token, wire.WhatIf{Plan: string(text)}, &answer); err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(answer)
	}
	if len(answer.Changes) == 0 {
		_, err := fmt.Fprintf(p.stdout, "no verdict of %d checks would differ\n", answer.Checks)
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CHECK\tWAS\tWOULD BE\tBECAUSE")
	for _, c := range answer.Changes {
		row := []string{c.Check, c.Was, c.Would, c.Sentence}
		for i := range row {
			if row[i] = string(safetext.Clean(row[i])); row[i] == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// known is what the lint may take for granted of names.
func known(list []string) func(string) bool {
	return func(name string) bool { return slices.Contains(list, name) }
}

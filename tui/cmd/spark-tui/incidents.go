package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

func (p *program) incidentsCommand() *cobra.Command {
	return p.group(&cobra.Command{
		Use:   "incidents",
		Short: "List, open, own, link and close incidents of the hypercare run",
		Long: `List, open, own, link and close incidents of the hypercare run. Levels: 1 warning, 2
critical, 3 emergency. An open incident of level 2 or 3 stands against the exit.`,
		Example: `  spark-tui incidents list
  spark-tui incidents open --level 2 --title "Telegram answers 401" --check notify.success
  spark-tui incidents own i-2 --owner ada
  spark-tui incidents link i-2 slo.notify
  spark-tui incidents close i-2 --result "token renewed, dead letters replayed"`,
	}, p.incidentsListCommand(), p.incidentsOpenCommand(),
		p.incidentCommand(wire.VerbOwn, "own INCIDENT", "Take an incident", `  spark-tui incidents own i-2
  spark-tui incidents own i-2 --owner ada`),
		p.incidentCommand(wire.VerbLink, "link INCIDENT CHECK", "Say that a check failed because of an incident", `  spark-tui incidents link i-2 slo.notify`),
		p.incidentCommand(wire.VerbClose, "close INCIDENT", "Close an incident with its result", `  spark-tui incidents close i-2 --result "token renewed, dead letters replayed"`))
}

func (p *program) incidentsListCommand() *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print the open incidents",
		Long: `Print the open incidents of the hypercare run.

Exit codes: 0 done, whatever is open; 1 refused or no run, 2 misused, 3 the observer
cannot be reached.`,
		Example: `  spark-tui incidents list --all
  spark-tui incidents list --json | jq '.[] | select(.level >= 2)'`,
		Args: p.noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.listIncidents(cmd.Context(), all, asJSON) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "closed ones as well")
	jsonFlag(cmd, &asJSON)
	p.commonFlags(cmd)
	return cmd
}

func (p *program) listIncidents(ctx context.Context, all, asJSON bool) error {
	o, err := p.observer()
	if err != nil {
		return err
	}
	var h wire.Hypercare
	if err := o.get(ctx, wire.PathHypercare, &h); err != nil {
		return err
	}
	if h.Run == nil {
		return errors.New("there is no hypercare run")
	}
	list := []wire.Incident{}
	for _, i := range h.Run.Incidents {
		if all || i.ClosedAt == 0 {
			list = append(list, i)
		}
	}
	if asJSON {
		return p.printJSON(list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(p.stdout, "no open incident")
		return err
	}
	clean := func(s string) safetext.Text { return safetext.Clean(s) }
	t := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "INCIDENT\tLEVEL\tOPENED\tOWNER\tCLOSED\tCHECKS\tTITLE")
	for _, i := range list {
		owner := clean(i.Owner)
		if owner == "" {
			owner = "–"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", clean(i.ID), i.Level, stamp(i.OpenedAt), owner, stamp(i.ClosedAt), clean(strings.Join(i.Checks, ",")), clean(i.Title))
	}
	return t.Flush()
}

func (p *program) incidentsOpenCommand() *cobra.Command {
	var act wire.IncidentAct
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "open",
		Short:   "Open an incident",
		Long:    "Open an incident." + changeCodes,
		Example: `  spark-tui incidents open --level 2 --title "Telegram answers 401" --check notify.success`,
		Args:    p.noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case act.Level < 1 || act.Level > 3:
				return misuse("--level: 1 warning, 2 critical or 3 emergency")
			case strings.TrimSpace(act.Title) == "":
				return misuse("--title is missing")
			}
			return p.change(cmd.Context(), wire.PathIncidents, act, asJSON, "opened")
		},
	}
	f := cmd.Flags()
	f.IntVar(&act.Level, "level", 0, "1 warning, 2 critical, 3 emergency")
	f.StringVar(&act.Title, "title", "", "what happens")
	f.StringSliceVar(&act.Checks, "check", nil, "checks that fail because of it")
	jsonFlag(cmd, &asJSON)
	p.operatorFlags(cmd)
	return cmd
}

// incidentCommand is a verb over one incident.
func (p *program) incidentCommand(verb, use, short, example string) *cobra.Command {
	var act wire.IncidentAct
	var asJSON bool
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Long:    short + "." + changeCodes,
		Example: example,
		Args:    p.oneArgument("incident, its id stands in \"spark-tui incidents list\""),
		RunE: func(cmd *cobra.Command, args []string) error {
			if verb == wire.VerbLink {
				act.Check = args[1]
			}
			if verb == wire.VerbClose && strings.TrimSpace(act.Result) == "" {
				return misuse("--result is missing: what it was and what was done")
			}
			return p.change(cmd.Context(), place(wire.PathIncident, args[0], verb), act, asJSON, args[0]+": done")
		},
	}
	f := cmd.Flags()
	switch verb {
	case wire.VerbOwn:
		f.StringVar(&act.Owner, "owner", "", "who takes it (default: whoever calls)")
	case wire.VerbClose:
		f.StringVar(&act.Result, "result", "", "what it was and what was done")
	case wire.VerbLink:
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 || args[0] == "" || args[1] == "" {
				return misuse("give an incident and a check (see %s --help)", cmd.CommandPath())
			}
			return nil
		}
	}
	f.StringVar(&act.Note, "note", "", "a remark")
	jsonFlag(cmd, &asJSON)
	p.operatorFlags(cmd)
	return cmd
}

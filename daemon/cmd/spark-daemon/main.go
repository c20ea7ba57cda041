// Command spark-daemon evaluates alerts, serves candles and watches over itself, in
// one or more roles. Without a command it runs; see --help.
//
// Exit status: 0 done, 1 failed, 2 misused.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spark-ta/spark/daemon"
)

// version is set by the linker for releases.
var version = "" //nolint:gochecknoglobals // the linker can set nothing else

func main() { os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr)) }

// run is the program without its surroundings.
func run(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	p := &program{getenv: getenv, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	line := strings.Join(strings.Fields(err.Error()), " ")
	fmt.Fprintf(stderr, "spark-daemon: %s\n", strings.TrimPrefix(line, errUsage.Error()+": "))
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

// program holds what the commands share.
type program struct {
	getenv         func(string) string
	stdout, stderr io.Writer
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "spark-daemon",
		Short: "Evaluates trading alerts and delivers them, once in effect",
		Long: `spark-daemon evaluates technical-analysis alerts on live candles, delivers
notifications and serves candles as streams. It needs nothing else: without
REDIS_URL it keeps its own store in the data directory.

  spark-daemon                       all roles, Binance, embedded store
  MARKET_SOURCE=sim spark-daemon     the same on the built-in exchange simulator
  spark-daemon demo                  a system to look at, with alerts that fire
  spark-daemon rehearse              48 hours of hypercare in a minute, on virtual time
  spark-daemon config print          what is configured, and by what

Every setting is a flag, an environment variable and a key of the configuration
file, in this order of precedence. Secrets have no flag.`,
		Args:          cobra.NoArgs,
		SilenceErrors: true, SilenceUsage: true,
	}
	runFlags := addSettings(root.PersistentFlags())
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		o, _, err := p.options(runFlags())
		if err != nil {
			return err
		}
		return daemon.Run(cmd.Context(), o)
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %v; see --help", errUsage, err) })
	root.AddCommand(
		&cobra.Command{Use: "run", Short: "Run in the configured roles (the default)", Args: noArgs, RunE: root.RunE},
		p.simCommand(), p.demoCommand(runFlags), p.configCommand(runFlags), p.healthcheckCommand(runFlags), p.versionCommand(), p.lockCommand(runFlags), p.storeCommand(runFlags),
		p.rehearseCommand(), p.planCommand(runFlags), p.journalCommand(),
	)
	root.Args = noArgs
	return root
}

// noArgs refuses arguments as misuse.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: %.64q is not a command of %s; see --help", errUsage, args[0], cmd.CommandPath())
	}
	return nil
}

// addSettings makes a flag of every setting that is no secret, and returns what
// reads those that were given.
func addSettings(flags *pflag.FlagSet) func() map[string]string {
	for _, s := range settings() {
		if !s.secret {
			usage := s.usage + " (" + s.name + ")"
			if s.later {
				usage += " [no effect in this version]"
			}
			flags.String(s.flag(), s.def, usage)
		}
	}
	return func() map[string]string {
		given := map[string]string{}
		// A sub-command sets the flag through a set of its own, so the set here has not
		// seen it; the flag has.
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Changed {
				given[f.Name] = f.Value.String()
			}
		})
		return given
	}
}

// options decides the settings and fills in what depends on this machine.
func (p *program) options(flags map[string]string) (daemon.Options, []value, error) {
	o, values, err := resolve(flags, p.getenv, os.ReadFile)
	if err != nil {
		return o, nil, err
	}
	if o.DataDir == "" {
		if o.DataDir, err = defaultDataDir(p.getenv); err != nil {
			return o, nil, err
		}
	}
	o.Version, o.Revision = buildVersion()
	o.Secrets = append(secretsOf(values), hypercareSecrets(o.Hypercare)...)
	o.LogTo = p.stdout
	for _, v := range values {
		if v.later && v.from != fromDefault && v.text != "" {
			fmt.Fprintf(p.stderr, "spark-daemon: %s (%s) has no effect in this version\n", v.name, v.from)
		}
	}
	return o, values, nil
}

// buildVersion returns the release's version, or what the build knows of its source.
func buildVersion() (v, revision string) {
	v = version
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v, ""
	}
	if v == "" {
		v = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	if v == "" || v == "(devel)" {
		v = "dev"
	}
	return v, revision
}

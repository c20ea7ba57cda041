package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui"
	"github.com/spark-ta/spark/tui/live"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1 // also: not healthy, a check fails
	exitMisused     = 2
	exitUnreachable = 3 // of check: also what is unknown for another reason
	exitOverdue     = 4 // of check
	exitInterrupted = 130
)

// exit is an error that has a code of its own. With an empty message nothing more
// is said.
type exit struct {
	code    int
	message string
}

func (e exit) Error() string { return e.message }

// interrupted is what a command returns that Ctrl-C or SIGTERM ended.
func interrupted() error { return exit{exitInterrupted, "interrupted"} }

// untilInterrupted returns what f does, or at once when ctx ends: reading a terminal
// or a pipe cannot be ended, and ends with the program.
func untilInterrupted[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case <-ctx.Done():
		var none T
		return none, interrupted()
	case r := <-done:
		return r.value, r.err
	}
}

func misuse(format string, args ...any) error { return exit{exitMisused, fmt.Sprintf(format, args...)} }

// program is what the commands share.
type program struct {
	env    []string
	stdin  *os.File
	stdout io.Writer
	stderr io.Writer

	url       string
	tokenFile string

	theme    string
	symbols  []string
	frame    string
	logFile  string
	ascii    bool
	mouse    bool
	readOnly bool
	utc      bool
}

// run is the whole program: it returns the exit code.
func run(args, env []string, stdin *os.File, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	p := &program{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return p.code(root.ExecuteContext(ctx))
}

// code reports an error in one line and returns the exit code.
func (p *program) code(err error) int {
	if err == nil {
		return exitOK
	}
	e := exit{codeOf(err), err.Error()}
	if e.message != "" {
		fmt.Fprintf(p.stderr, "spark-tui: %s\n", safetext.Clean(e.message))
	}
	return e.code
}

// codeOf is the exit code of an error: one that has none of its own is a failure.
func codeOf(err error) int {
	var e exit
	if errors.As(err, &e) {
		return e.code
	}
	return exitFailed
}

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "spark-tui",
		Short: "The console of Spark",
		Long: `The console of Spark: a fleet of spark-daemon, live.

Without a command it opens the full screen. Where standard output is no terminal it
prints the status as plain text instead.

Keys: 1 overview, 3 market, : commands, ? all keys, q quit.

Exit codes: 0 done, 1 failed, 2 misused, 3 unreachable, 130 interrupted. Those of
"check" say more: see its help.`,
		Args:          p.noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return p.runRoot(cmd.Context()) },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return misuse("%v (see %s --help)", err, cmd.CommandPath())
	})
	p.commonFlags(root)
	p.consoleFlags(root)
	root.AddCommand(
		p.statusCommand(), p.demoCommand(), p.versionCommand(),
		p.checkCommand(), p.reportCommand(), p.hypercareCommand(), p.incidentsCommand(),
		p.keysCommand(), p.signCommand(), p.verifyCommand(), p.queryCommand(),
	)
	return root
}

func (p *program) noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misuse("unknown argument %q (see %s --help)", args[0], cmd.CommandPath())
	}
	return nil
}

func (p *program) commonFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.url, "url", "", fmt.Sprintf("base URL of the observer (%s; http://127.0.0.1:%d)", wire.EnvConsoleURL, wire.PortObserver))
}

func (p *program) consoleFlags(cmd *cobra.Command) {
	p.tokenFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&p.theme, "theme", "auto", "auto, dark or light; auto asks the terminal. "+wire.EnvNoColor+" with any value removes all colour")
	f.StringSliceVar(&p.symbols, "symbols", []string{"BTCUSDT", "ETHUSDT", "SOLUSDT"}, "symbols of the price ticker; those of alerts are added. The first is charted")
	f.StringVar(&p.frame, "timeframe", "1m", "timeframe of the chart: "+market.TimeframeNames())
	f.StringVar(&p.logFile, "log-file", "", "write what the console does to this file, for debugging")
	f.BoolVar(&p.ascii, "ascii", false, "draw with ASCII only")
	f.BoolVar(&p.mouse, "mouse", false, "use the mouse wheel (the terminal's own selection then needs shift)")
	f.BoolVar(&p.readOnly, "read-only", false, "remove every key that changes something outside the console")
	f.BoolVar(&p.utc, "utc", false, "show times in UTC instead of local time")
}

func (p *program) getenv(name string) string {
	for i := len(p.env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(p.env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// screen returns standard output as a terminal, if it is one.
func (p *program) screen() (*os.File, bool) {
	file, ok := p.stdout.(*os.File)
	return file, ok && term.IsTerminal(file.Fd())
}

func (p *program) runRoot(ctx context.Context) error {
	o, err := p.options()
	if err != nil {
		return err
	}
	if _, ok := p.screen(); !ok {
		return p.status(ctx, false)
	}
	if o.URL, err = p.observerURL(); err != nil {
		return err
	}
	return p.open(ctx, o)
}

// open shows the console on the terminal.
func (p *program) open(ctx context.Context, o tui.Options) error {
	log, closeLog, err := p.openLog()
	if err != nil {
		return err
	}
	defer closeLog()
	if p.getenv("GOMAXPROCS") == "" {
		// Nearly always it waits for the next frame's tick, and a wake-up costs a third
		// less when no second processor is woken to look for work.
		runtime.GOMAXPROCS(1)
	}
	o.Log = log
	out, _ := p.screen()
	o.Out = out
	if term.IsTerminal(p.stdin.Fd()) {
		o.In = p.stdin
	}
	return tui.Run(ctx, o)
}

// options checks the flags of the console.
func (p *program) options() (tui.Options, error) {
	o := tui.Options{
		ReadOnly: p.readOnly, ASCII: p.ascii, Mouse: p.mouse, HTTP: live.NewClient(), Environ: p.env, Zone: time.Local,
		// The library takes only values that read as true; no-color.org says any.
		NoColor: p.getenv(wire.EnvNoColor) != "" || p.getenv("TERM") == "dumb",
	}
	if p.utc {
		o.Zone = time.UTC
	}
	var err error
	if o.Token, err = p.token(); err != nil {
		return o, err
	}
	if o.Theme, err = tui.ParseTheme(p.theme); err != nil {
		return o, misuse("%v", err)
	}
	tf, err := market.ParseTimeframe(p.frame)
	if err != nil {
		return o, misuse("%v", err)
	}
	for _, s := range p.symbols {
		symbol, err := market.ParseSymbol(strings.TrimSpace(s))
		if err != nil {
			return o, misuse("%v", err)
		}
		o.Symbols = append(o.Symbols, symbol)
	}
	if len(o.Symbols) == 0 {
		return o, misuse("--symbols is empty")
	}
	o.Series = market.Series{Symbol: o.Symbols[0], Timeframe: tf}
	return o, nil
}

// openLog returns a logger that writes to --log-file, or nowhere: the screen is no
// place for a log.
func (p *program) openLog() (*slog.Logger, func(), error) {
	if p.logFile == "" {
		return slog.New(slog.DiscardHandler), func() {}, nil
	}
	file, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return log, func() { _ = file.Close() }, nil
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		Args:  p.noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.stdout, buildVersion())
			return err
		},
	}
}

// buildVersion says what was built: module version, revision, compiler.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "spark-tui (unknown build)"
	}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = " " + s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+changes"
		}
	}
	return fmt.Sprintf("spark-tui %s%s%s %s", info.Main.Version, revision, modified, info.GoVersion)
}

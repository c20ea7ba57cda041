package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/live/sse"
)

// demo is a daemon with an exchange simulator, started for this console and ended
// with it.
type demo struct {
	program *program

	daemon  string // path; empty means beside this binary, then PATH
	dataDir string // kept if given, temporary if not
	seed    string
	leave   bool // after the first delivery, when there is no terminal
	wait    time.Duration

	rehearse string // speed, such as 600x; empty means a living daemon
	scenario string
}

// ready is the one line that the daemon writes when it can be used.
type ready struct {
	Observer  string `json:"observer"`
	Executor  string `json:"executor"`
	Gateway   string `json:"gateway"`
	Simulator string `json:"simulator"`
	PID       int    `json:"pid"`
}

func (p *program) demoCommand() *cobra.Command {
	d := &demo{program: p}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a daemon with a simulated exchange, and watch it",
		Long: `Start spark-daemon with a simulated exchange, and watch it.

Everything runs on this machine, nothing is sent anywhere. The daemon ends with the
console. Its data lies in a temporary directory, unless --data-dir names one; its
log is daemon.log in there.

With --rehearse no daemon is started: the judge of the plan lives through a scenario
on virtual time, and everything says REHEARSAL.

Where standard output is no terminal, what happens is printed line by line.`,
		Example: `  spark-tui demo
  spark-tui demo --data-dir ./demo --seed 7
  spark-tui demo --rehearse 600x                  48 hours of hypercare in five minutes
  spark-tui demo --rehearse 60x --scenario stuck-leader
  spark-tui demo --exit-after-trigger | cat       as a smoke test`,
		Args: p.noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&d.daemon, "daemon", "", "path of spark-daemon (default: beside this binary, then PATH)")
	f.StringVar(&d.dataDir, "data-dir", "", "directory for the daemon's data, kept afterwards")
	f.StringVar(&d.seed, "seed", "", "seed of the simulated prices")
	f.StringVar(&d.rehearse, "rehearse", "", "instead of a living daemon, rehearse the plan of 48 hours at this speed, such as 600x")
	f.StringVar(&d.scenario, "scenario", "perfect", "of --rehearse: a scenario of spark-daemon rehearse --list, or a file")
	f.BoolVar(&d.leave, "exit-after-trigger", false, "without a terminal: exit 0 once a notification was delivered")
	f.DurationVar(&d.wait, "timeout", 2*time.Minute, "without a terminal: how long --exit-after-trigger waits")
	p.consoleFlags(cmd)
	return cmd
}

func (d *demo) run(ctx context.Context) (err error) {
	o, err := d.program.options()
	if err != nil {
		return err
	}
	path, err := findDaemon(d.daemon)
	if err != nil {
		return err
	}
	dir, remove, err := d.directory()
	if err != nil {
		return err
	}
	defer remove()
	child, err := startDaemon(path, dir, d.arguments(dir), d.program.env)
	if err != nil {
		return err
	}
	defer child.stop()

	if _, ok := d.program.screen(); !ok {
		return d.plain(ctx, child)
	}
	o.Attach = func(ctx context.Context, say func(safetext.Text)) (string, error) {
		say("starting the daemon")
		r, err := child.ready(ctx)
		return r.Observer, err
	}
	return d.program.open(ctx, o)
}

func (d *demo) arguments(dir string) []string {
	if d.rehearse != "" {
		return []string{"rehearse", d.scenario, "--speed", d.rehearse, "--serve", "127.0.0.1:0", "--ready-file", filepath.Join(dir, readyFile)}
	}
	args := []string{"demo", "--data-dir", dir, "--ready-file", filepath.Join(dir, readyFile)}
	if d.seed != "" {
		args = append(args, "--seed", d.seed)
	}
	return args
}

// directory returns the data directory, and what removes it afterwards if it is ours.
func (d *demo) directory() (string, func(), error) {
	if d.dataDir != "" {
		return d.dataDir, func() {}, os.MkdirAll(d.dataDir, 0o700)
	}
	dir, err := os.MkdirTemp("", "spark-demo-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// findDaemon returns the path of the daemon's binary.
func findDaemon(given string) (string, error) {
	if given != "" {
		path, err := exec.LookPath(given)
		if err != nil {
			return "", misuse("--daemon %s: %v", given, err)
		}
		return path, nil
	}
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), "spark-daemon")); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("spark-daemon")
	if err != nil {
		return "", errors.New("spark-daemon is neither beside this binary nor in PATH; --daemon names it")
	}
	return path, nil
}

// plain prints what happens, line by line, until ctx ends or enough was seen.
func (d *demo) plain(ctx context.Context, child *daemonProcess) error {
	out := d.program.stdout
	fmt.Fprintln(out, "starting the daemon")
	r, err := child.ready(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	fmt.Fprintf(out, "ready: observer %s, executor %s, gateway %s\n",
		safetext.Clean(r.Observer), safetext.Clean(r.Executor), safetext.Clean(r.Gateway))

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-child.gone:
			cancel(child.death())
		case <-ctx.Done():
		}
	}()
	if d.leave {
		timer := time.AfterFunc(d.wait, func() { cancel(fmt.Errorf("no notification was delivered within %v", d.wait)) })
		defer timer.Stop()
	}
	return d.follow(ctx, cancel, r.Observer, out)
}

// errEnough ends the plain output after the first delivery.
var errEnough = errors.New("a notification was delivered")

func (d *demo) follow(ctx context.Context, cancel context.CancelCauseFunc, observer string, out io.Writer) error {
	source := sse.Source{
		URL:  observer + wire.PathEvents,
		HTTP: live.NewClient(),
		// From the daemon's first event on: the alert may fire before we are here.
		LastID: "0",
		Handle: func(e sse.Event) {
			event, ok := live.Decode(e)
			if !ok {
				return
			}
			fmt.Fprintf(out, "%s  %-10s  %s  %s\n", event.Time.UTC().Format(time.RFC3339), event.Kind, event.Who, event.Text)
			if d.leave && event.Kind == live.Delivery && event.Tone == live.Fine {
				cancel(errEnough)
			}
		},
	}
	_ = source.Run(ctx)
	if err := context.Cause(ctx); !errors.Is(err, errEnough) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

const (
	readyFile = "ready.json"
	logName   = "daemon.log"
	stopWait  = 10 * time.Second
)

// daemonProcess is the daemon as a child of this process.
type daemonProcess struct {
	cmd  *exec.Cmd
	dir  string
	gone chan struct{} // closed when the process has ended and err is set
	err  error
}

// startDaemon starts the daemon with its log in dir. It does not wait for it.
func startDaemon(path, dir string, args, env []string) (*daemonProcess, error) {
	_ = os.Remove(filepath.Join(dir, readyFile)) // of an earlier demo in the same directory
	log, err := os.OpenFile(filepath.Join(dir, logName), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c := exec.Command(path, args...)
	c.Stdout, c.Stderr, c.Env = log, log, env
	d := &daemonProcess{cmd: c, dir: dir, gone: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Where the kernel ends the child with its parent, it takes the thread for
		// the parent: this one stays until the child has ended.
		defer holdThread()()
		c.SysProcAttr = childAttributes()
		err := c.Start()
		started <- err
		if err == nil {
			d.err = c.Wait()
			close(d.gone)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start of %s: %w", path, err)
	}
	return d, nil
}

// ready waits until the daemon says where it listens. When it dies instead, the
// error holds the last lines of its log.
func (d *daemonProcess) ready(ctx context.Context) (ready, error) {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		var r ready
		line, err := os.ReadFile(filepath.Join(d.dir, readyFile))
		if err == nil {
			if err := json.Unmarshal(line, &r); err != nil {
				return r, fmt.Errorf("%s: %w", readyFile, err)
			}
			base, err := checkURL(readyFile, r.Observer)
			r.Observer = base
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-d.gone:
			return r, d.death()
		case <-t.C:
		}
	}
}

// death says how the daemon ended, with the end of its log.
func (d *daemonProcess) death() error {
	how := "exit status 0"
	if d.err != nil {
		how = d.err.Error()
	}
	lines := tail(filepath.Join(d.dir, logName), 12)
	if lines == "" {
		return fmt.Errorf("the daemon ended (%s) and logged nothing", how)
	}
	return fmt.Errorf("the daemon ended (%s); its last words:\n%s", how, lines)
}

// tail returns the last n lines of a file, made safe for the terminal.
func tail(path string, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 16 << 10
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(end-most, 0), io.SeekStart)
	}
	content, _ := io.ReadAll(io.LimitReader(f, most))
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	var b strings.Builder
	for _, line := range lines[max(len(lines)-n, 0):] {
		if len(line) > 0 {
			fmt.Fprintf(&b, "  %s\n", safetext.Clean(string(line)))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// stop ends the daemon: asked first, then not, and returns when it is gone.
func (d *daemonProcess) stop() {
	_ = d.cmd.Process.Signal(terminate)
	select {
	case <-d.gone:
		return
	case <-time.After(stopWait):
	}
	_ = d.cmd.Process.Kill()
	<-d.gone
}

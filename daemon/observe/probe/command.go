package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/safetext"
)

// Command runs commands that configuration names. A plan says the name and nothing
// else: no argument, no shell.
type Command struct {
	Limits
	Named  map[string]Named
	Getenv func(string) (string, bool) // of the daemon, for the allowed variables
}

// Named is a command of the configuration.
type Named struct {
	Argv    []string      // the program, looked for in the daemon's PATH, and its arguments
	Timeout time.Duration // 0 means that of the limits
	Env     []string      // names of variables that are handed on; no others are
	Dir     string        // where it runs; empty for the daemon's directory
}

// ParseName parses the text of a command source: one name.
func ParseName(text string) (string, error) {
	name := strings.TrimSpace(strings.Join(statement(text), "\n"))
	if !token(name) {
		return "", fmt.Errorf("%.60q: want the name of a command of the configuration", name)
	}
	return name, nil
}

// Run runs the command of that name. Fields: exit (its exit status, absent when it
// was killed or did not start), output (what it wrote to both outputs, at most 64
// KiB), took (seconds). A command that fails is no error; one that is not named, does
// not start or does not end is. With ctx or its time over it is killed, with its
// children where the system can do that.
func (c Command) Run(ctx context.Context, name string) []Result {
	l := c.Limits
	n, ok := c.Named[name]
	if n.Timeout > 0 {
		l.Timeout = n.Timeout
	}
	return l.ask(ctx, []Target{{Name: name}}, func(ctx context.Context, _ Target) (fields, error) {
		if !ok || len(n.Argv) == 0 {
			return nil, errors.New("no command of this name is configured")
		}
		return c.run(ctx, n)
	})
}

func (c Command) run(ctx context.Context, n Named) (fields, error) {
	// More is kept than is shown: a secret must not be cut in half before it is masked.
	out := &head{most: safetext.MaxText + 8<<10}
	cmd := exec.CommandContext(ctx, n.Argv[0], n.Argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.Dir, out, out
	cmd.Env = []string{} // not nil, which would hand on everything
	for _, name := range n.Env {
		if v, ok := c.Getenv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	killGroup(cmd)
	cmd.WaitDelay = time.Second // for a child that keeps the output open
	began := time.Now()
	err := cmd.Run()
	f := fields{"took": Number(time.Since(began).Seconds()), fieldOutput: Text(out.String())}
	if ctx.Err() != nil {
		return f, ctx.Err()
	}
	if cmd.ProcessState != nil && cmd.ProcessState.Exited() {
		f["exit"] = Number(float64(cmd.ProcessState.ExitCode()))
	}
	var status *exec.ExitError
	switch {
	case err == nil, errors.As(err, &status) && status.Exited():
		return f, nil
	case errors.Is(err, exec.ErrWaitDelay):
		return f, errors.New("ended and left a child that holds its output")
	}
	return f, err
}

// head keeps the beginning of what is written to it.
type head struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
	most int
}

// Write takes everything and keeps what fits, so that the writer is never blocked.
func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Write(p[:min(len(p), h.most-h.text.Len())])
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

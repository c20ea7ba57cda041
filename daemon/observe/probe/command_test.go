package probe_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/observe/probe"
)

// TestMain lets the test binary stand in for a command: what it does is its first
// argument after "as".
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "as" {
		act(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

func act(as string) {
	switch as {
	case "env":
		for _, e := range os.Environ() {
			fmt.Println(e)
		}
	case "fail":
		fmt.Print("out\x1b[31m red\nerr: ")
		fmt.Fprintln(os.Stderr, secret)
		os.Exit(3)
	case "flood":
		line := strings.Repeat("x", 999) + "\n"
		for range 10_000 {
			fmt.Print(line)
		}
	case "hang":
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt)
		fmt.Println("begun")
		<-c
	}
}

func commands(t *testing.T) probe.Command {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := probe.Command{Limits: limits(), Named: map[string]probe.Named{}, Getenv: func(name string) (string, bool) {
		v, ok := map[string]string{"ALLOWED": "yes", "TOKEN": "no"}[name]
		return v, ok
	}}
	for _, as := range []string{"env", "fail", "flood", "hang"} {
		c.Named[as] = probe.Named{Argv: []string{self, "as", as}, Env: []string{"ALLOWED", "MISSING"}, Timeout: 20 * time.Second}
	}
	c.Named["missing"] = probe.Named{Argv: []string{"/nowhere/" + secret}}
	c.Named["empty"] = probe.Named{}
	return c
}

func TestParseName(t *testing.T) {
	if got, err := probe.ParseName("# what\n backup-check \n"); got != "backup-check" || err != nil {
		t.Errorf("ParseName = %q, %v", got, err)
	}
	for _, text := range []string{"", "a b", "a;b", "a\nb", "../x", "$(x)"} {
		if got, err := probe.ParseName(text); err == nil {
			t.Errorf("ParseName(%q) = %q, want an error", text, got)
		}
	}
}

func TestCommandsSeeWhatIsAllowed(t *testing.T) {
	got := commands(t).Run(t.Context(), "env")[0]
	same(t, got, map[string]any{"exit": 0.0, "output": "ALLOWED=yes\n"})
}

func TestACommandThatFails(t *testing.T) {
	got := commands(t).Run(t.Context(), "fail")[0]
	safe(t, got)
	same(t, got, map[string]any{"exit": 3.0, "output": "out red\nerr: ***\n"})
	if got.Err != nil {
		t.Errorf("error = %v, want none", got.Err)
	}
}

func TestACommandThatFloods(t *testing.T) {
	got := commands(t).Run(t.Context(), "flood")[0]
	if n := len(got.Fields["output"].Text); got.Fields["exit"] != probe.Number(0) || n > 64<<10 || n < 60<<10 {
		t.Errorf("exit %v and %d bytes, want 0 and nearly 65536", got.Fields["exit"], n)
	}
}

func TestACommandThatHangs(t *testing.T) {
	c := commands(t)
	n := c.Named["hang"]
	n.Timeout = short
	c.Named["hang"] = n
	got := c.Run(t.Context(), "hang")[0]
	failed(t, got, "no answer within 150ms")
	if _, ok := got.Fields["exit"]; ok {
		t.Errorf("fields = %+v, want no exit status", got.Fields)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	failed(t, commands(t).Run(ctx, "hang")[0], "canceled")
}

func TestCommandsThatCannotBeRun(t *testing.T) {
	c := commands(t)
	failed(t, c.Run(t.Context(), "unheard-of")[0], "no command of this name")
	failed(t, c.Run(t.Context(), "empty")[0], "no command of this name")
	failed(t, c.Run(t.Context(), "missing")[0], "no such file")
}

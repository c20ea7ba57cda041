//go:build unix

package probe_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/observe/probe"
)

// A script that is killed must not leave what it has started.
func TestTheChildrenOfACommandEndWithIt(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no /bin/sh")
	}
	t.Parallel()
	c := probe.Command{Limits: limits(), Named: map[string]probe.Named{
		"parent": {Argv: []string{"/bin/sh", "-c", "/bin/sleep 300 & echo $!; wait"}, Timeout: 2 * time.Second},
	}}
	got := c.Run(t.Context(), "parent")[0]
	failed(t, got, "no answer within")
	child, err := strconv.Atoi(strings.TrimSpace(got.Fields["output"].Text))
	if err != nil {
		t.Fatalf("output = %q: %v", got.Fields["output"].Text, err)
	}
	for deadline := time.Now().Add(5 * time.Second); running(child); {
		if time.Now().After(deadline) {
			t.Fatalf("the child %d lives", child)
		}
	}
}

// running reports whether a process exists and is no zombie.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

package journal_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/daemon/observe/journal"
)

// childFile names the journal that a child process appends to.
const childFile = "SPARK_TEST_JOURNAL"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		fmt.Println("error:", child(path)) // it ends only so, or by being killed
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child appends one record, then two, three, and one again, and prints the number of
// the last as soon as it is acknowledged. Its records say their own number.
func child(path string) error {
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		return err
	}
	for size := 0; ; size = (size + 1) % 3 {
		var entries []journal.Entry
		for i := range size + 1 {
			n := j.Head().Seq + int64(i) + 1
			entries = append(entries, journal.Entry{At: time.Now(), Kind: "n", Body: map[string]any{"n": n, "pad": strings.Repeat("x", int(n*7919%6000))}})
		}
		recs, err := j.AppendAll(entries...)
		if err != nil {
			return err
		}
		if _, err := fmt.Println(recs[size].Seq); err != nil {
			return err
		}
	}
}

// TestKillLosesNothingAcknowledged kills a child between and in the middle of writes,
// again and again on the same file.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	exe, err := os.Executable()
	if err != nil {
		t.Skip("no way to start a child:", err)
	}
	path := filepath.Join(t.TempDir(), "run.journal")
	var acked, torn int64
	for round := range rounds {
		acked = runChild(t, exe, path, acked+1+rand.Int64N(60))
		j, err := journal.Open(path, journal.Options{Replay: func(r chain.Record) error {
			if !strings.HasPrefix(string(r.Body), fmt.Sprintf(`{"n":%d,`, r.Seq)) {
				return errors.New("says another number")
			}
			return nil
		}})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := j.Head().Seq; got < acked || got > acked+3 {
			t.Errorf("round %d: %d records, %d were acknowledged and at most 3 under way", round, got, acked)
		}
		if j.Cut() != nil {
			torn++
		}
		acked = j.Head().Seq
		shut(t, j)
	}
	t.Logf("%d acknowledged records, %d kills, %d torn ends", acked, rounds, torn)
}

// runChild runs a child until it has acknowledged a number, kills it and returns the
// last number that it acknowledged.
func runChild(t *testing.T, exe, path string, until int64) (acked int64) {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childFile+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip("no way to start a child:", err)
	}
	hung := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer hung.Stop()
	said := bufio.NewScanner(out)
	for said.Scan() { // to the end, which comes with the kill
		n, err := strconv.ParseInt(said.Text(), 10, 64)
		if err != nil {
			t.Fatalf("child: %s", said.Text())
		}
		if acked = n; acked >= until {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	if acked < until {
		t.Fatalf("the child ended after %d, want %d", acked, until)
	}
	return acked
}

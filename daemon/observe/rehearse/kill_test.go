package rehearse_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan/report"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe"
	"github.com/spark-ta/spark/daemon/observe/journal"
	"github.com/spark-ta/spark/daemon/observe/rehearse"
)

// killed is what the children of the kill test live through: two checkpoints, a
// failure with its incident, people, and a restart of their own.
const killed = `---
kind: scenario
id: killed
extends: two-leaders-30s
until: 36m
---
# Killed

` + "```people anew" + `
every 1m from T+1m to T+30m alice tick due
T+22m alice own all
T+23m alice note leader.single note="looks like a late renewal"
T+24m alice close all result="the lease was renewed late"
T+26m alice issue minor "the chart blinked"
` + "```" + `
`

// away is how long the observer is gone after a kill.
const away = time.Minute

// child rehearses with its journal in a file, and prints the number of each record as
// soon as it is acknowledged.
func child(file string) error {
	s, err := parse(killed)
	if err != nil {
		return err
	}
	book, err := journal.Open(file, journal.Options{})
	if err != nil {
		return err
	}
	r, err := prepare(s, rehearse.Options{Journal: book, Changed: func(c observe.Change) { fmt.Println(c.Record.Seq) }})
	if err != nil {
		return err
	}
	return r.Run(context.Background(), nil)
}

// TestAKillLosesNothing kills rehearsals between and within their writes. Each time the
// journal is sound and holds all that was acknowledged, and the rehearsal that goes on
// with it comes to the same verdicts, but for what would have been judged while nobody
// looked.
func TestAKillLosesNothing(t *testing.T) {
	rounds := 5
	if whole() {
		rounds = 50
	}
	exe, err := os.Executable()
	if err != nil {
		t.Skip("no way to start a child:", err)
	}
	undisturbed := lived(t, rehearsal(t, scenario(t, killed), rehearse.Options{}))
	want, last := picture(undisturbed), undisturbed.Desk.Journal.Head().Seq
	gaps := 0
	for round := range rounds {
		file := filepath.Join(t.TempDir(), "run.journal")
		acked := runChild(t, exe, file, 1+rand.Int64N(last-1))
		book, err := journal.Open(file, journal.Options{Start: undisturbed.Scenario.Begin()})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := book.Head().Seq; got < acked {
			t.Errorf("round %d: %d records, %d were acknowledged", round, got, acked)
		}
		sameBeginning(t, records(t, undisturbed.Records()), records(t, book.Records()))
		r := lived(t, rehearsal(t, scenario(t, killed), rehearse.Options{Journal: book, Away: away}))
		got := picture(r)
		gaps += len(got.Gaps)
		sameVerdicts(t, round, want, got)
		if v := r.Desk.Verify(); !v.OK {
			t.Errorf("round %d: %s", round, v.Error)
		}
		if err := book.Close(); err != nil {
			t.Error(err)
		}
	}
	if gaps == 0 {
		t.Error("no gap was ever recorded")
	}
	t.Logf("%d kills, %d gaps, %d records in an undisturbed run", rounds, gaps, last)
}

// sameBeginning compares what both have, without the monotonic clock of the child's
// machine, which the hashes hold as well.
func sameBeginning(t *testing.T, whole, part []chain.Record) {
	t.Helper()
	for i, p := range part {
		if w := whole[i]; p.Seq != w.Seq || p.At != w.At || p.Kind != w.Kind || p.Who != w.Who || !bytes.Equal(p.Body, w.Body) {
			t.Fatalf("record %d: %d %s %s, in the undisturbed run %d %s %s", p.Seq, p.At, p.Kind, p.Body, w.At, w.Kind, w.Body)
		}
	}
}

// sameVerdicts compares final verdicts, but for checks whose checkpoint opened or
// closed its window in a gap, and invariants that broke in one.
func sameVerdicts(t *testing.T, round int, want, got *wire.HypercareRun) {
	t.Helper()
	inGap := func(from, to int64) bool {
		for _, g := range got.Gaps {
			if from <= g.To && g.From <= to {
				return true
			}
		}
		return false
	}
	opens := map[string][2]int64{}
	for _, c := range want.Checkpoints {
		for _, s := range c.Sections {
			for _, k := range s.Checks {
				opens[k.ID] = [2]int64{c.OpensAt, c.OpensAt + time.Minute.Milliseconds()}
				if len(k.Episodes) > 0 {
					opens[k.ID] = [2]int64{k.Episodes[0].From, k.Episodes[0].To + time.Minute.Milliseconds()}
				}
			}
		}
	}
	has := report.Digest(got)
	for id, k := range report.Digest(want) {
		if has[id].Verdict != k.Verdict && !inGap(opens[id][0], opens[id][1]) {
			t.Errorf("round %d: %s is %s (%s), undisturbed %s (%s); gaps %+v", round, id, has[id].Verdict, has[id].Sentence, k.Verdict, k.Sentence, got.Gaps)
		}
	}
}

// runChild runs a child until it has acknowledged a number, kills it a moment later
// and returns the last number that it acknowledged.
func runChild(t *testing.T, exe, file string, until int64) (acked int64) {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childFile+"="+file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Skip("no way to start a child:", err)
	}
	hung := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer hung.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() { // to the end, which comes with the kill
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			t.Fatalf("child: %s", lines.Text())
		}
		if acked = n; acked >= until {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	if acked < until {
		t.Fatalf("the child ended after %d, want %d: %s", acked, until, said.String())
	}
	return acked
}

// TestAForgedJournalIsNamed breaks the journal of a whole rehearsal in each way, and
// wants the record named.
func TestAForgedJournalIsNamed(t *testing.T) {
	r := lived(t, shipped(t, "fail-recovered-incident"))
	var whole bytes.Buffer
	if _, err := r.Desk.Journal.WriteTo(&whole); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(whole.Bytes(), []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(bytes.Clone(lines[len(lines)-1]), '\n')
	const n = 20 // the record that is meddled with
	for name, forge := range map[string]func(l [][]byte) [][]byte{
		"a flipped bit":       func(l [][]byte) [][]byte { l[n-1][len(l[n-1])/2] ^= 1; return l },
		"a deleted record":    func(l [][]byte) [][]byte { return append(l[:n-1], l[n:]...) },
		"two that change":     func(l [][]byte) [][]byte { l[n-1], l[n] = l[n], l[n-1]; return l },
		"one that was cut":    func(l [][]byte) [][]byte { l[n-1] = append(l[n-1][:len(l[n-1])/2:len(l[n-1])/2], '\n'); return l },
		"one that comes back": func(l [][]byte) [][]byte { return append(append(append([][]byte{}, l[:n-1]...), l[n-2]), l[n-1:]...) },
	} {
		t.Run(name, func(t *testing.T) {
			var copied [][]byte
			for _, l := range lines {
				copied = append(copied, bytes.Clone(l))
			}
			forged := bytes.Join(forge(copied), nil)
			file := filepath.Join(t.TempDir(), "run.journal")
			if err := os.WriteFile(file, forged, 0o600); err != nil {
				t.Fatal(err)
			}
			book, err := journal.Open(file, journal.Options{})
			var broken *chain.Broken
			if !errors.As(err, &broken) || broken.Seq != n {
				t.Errorf("Open says %v, want record %d named", err, n)
			}
			if err == nil {
				_ = book.Close()
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(after, forged) {
				t.Error("the forged file was changed")
			}
		})
	}
}

// A record that was cut off at the end was never acknowledged; whoever kept a head
// finds that records are missing all the same.
func TestATruncatedJournalIsShorterThanWhatWasSigned(t *testing.T) {
	r := lived(t, shipped(t, "perfect-go-live"))
	var whole bytes.Buffer
	if _, err := r.Desk.Journal.WriteTo(&whole); err != nil {
		t.Fatal(err)
	}
	closing, err := r.Desk.Closing()
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndexByte(whole.Bytes()[:whole.Len()*2/3], '\n') + 1
	file := filepath.Join(t.TempDir(), "run.journal")
	if err := os.WriteFile(file, whole.Bytes()[:at], 0o600); err != nil {
		t.Fatal(err)
	}
	book, err := journal.Open(file, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = book.Close() }()
	if book.Head().Seq >= closing.Seq {
		t.Errorf("the truncated journal has %d records, signed were %d", book.Head().Seq, closing.Seq)
	}
}

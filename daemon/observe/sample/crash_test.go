//go:build unix

package sample_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/observe/sample"
)

// The tests below run themselves as another process, in the role that this variable
// names.
const roleVariable = "SPARK_SAMPLE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "writer":
		exitOn(writeUntilKilled(os.Args[1]))
	case "full":
		exitOn(writeToFullDisk(os.Args[1]))
	}
	os.Exit(m.Run())
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// crashSeries is how many samples go into one commit. With labels of this length a
// record is longer than a page.
const crashSeries = 3000

// writeUntilKilled commits one step after the other and says each aloud.
func writeUntilKilled(dir string) error {
	s, err := sample.Open(sample.Options{Dir: dir})
	if err != nil {
		return err
	}
	for step := next(s); ; step++ {
		if err := writeStep(s, step); err != nil {
			return err
		}
		fmt.Println(step)
	}
}

func writeStep(s *sample.Store, step int64) error {
	for k := range crashSeries {
		h := s.Series(set("__name__", "a", "k", strconv.Itoa(k)))
		if err := s.Add(h, epoch.UnixMilli()+step*1000, float64(step)+float64(k)/7); err != nil {
			return err
		}
	}
	return s.Commit()
}

// next returns the first step that the store does not have.
func next(s *sample.Store) int64 {
	st := s.Stats()
	if st.Samples == 0 {
		return 0
	}
	return st.Last.Sub(epoch).Milliseconds()/1000 + 1
}

// TestKill kills the writer at random moments. Each sample that was acknowledged is
// there afterwards, with its value, and a commit is there whole or not at all.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		acknowledged := killedWriter(t, dir)
		s, err := sample.Open(sample.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		steps := next(s)
		if steps-1 < acknowledged {
			t.Fatalf("round %d: step %d was acknowledged, the newest is %d", round, acknowledged, steps-1)
		}
		checkSteps(t, s, steps)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func checkSteps(t *testing.T, s *sample.Store, steps int64) {
	t.Helper()
	if steps == 0 {
		return
	}
	m := raw(t, s, "a")
	if len(m) != crashSeries {
		t.Fatalf("%d series, want %d", len(m), crashSeries)
	}
	for _, line := range m {
		k, err := strconv.Atoi(line.Labels.Get("k"))
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(line.Points)) != steps {
			t.Fatalf("series %d has %d samples, want %d", k, len(line.Points), steps)
		}
		for i, p := range line.Points {
			if want := float64(i) + float64(k)/7; p.T != epoch.UnixMilli()+int64(i)*1000 || p.V != want {
				t.Fatalf("series %d, sample %d: %v at %d, want %v", k, i, p.V, p.T, want)
			}
		}
	}
}

// killedWriter runs the writer for a moment and returns the last step that it
// acknowledged, -1 for none.
func killedWriter(t *testing.T, dir string) int64 {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir)
	cmd.Env = append(os.Environ(), roleVariable+"=writer")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last, lines := int64(-1), bufio.NewScanner(out)
	kill := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }) // a writer that hangs
	defer kill.Stop()
	more := rand.IntN(8)
	for n := 0; lines.Scan(); n++ {
		if last, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			t.Fatal(err)
		}
		if n == more { // anywhere within the next two commits
			time.AfterFunc(rand.N(10*time.Millisecond), func() { cmd.Process.Kill() })
		}
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the writer ended by itself: %v\n%s", err, &said)
	}
	return last
}

// writeToFullDisk commits until files may not grow any more, goes on to try, and
// ends well when they may again.
func writeToFullDisk(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	s, err := sample.Open(sample.Options{Dir: dir})
	if err != nil {
		return err
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	failed := 0
	for step := range int64(20) {
		limit := was
		if step >= 5 && step < 15 {
			limit.Cur = 150_000 // within a record of the fifth commit or so
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
		if err := writeStep(s, step); err != nil {
			failed++
			if st := s.Stats(); st.Samples > uint64(step*crashSeries) {
				return fmt.Errorf("step %d failed and is seen", step)
			}
		}
	}
	if failed == 0 {
		return errors.New("the disk was never full")
	}
	if st := s.Stats(); st.Samples != 20*crashSeries {
		return fmt.Errorf("%d samples at the end, want %d", st.Samples, 20*crashSeries)
	}
	fmt.Println(failed)
	return s.Close()
}

// TestFullDisk runs out of space within a record: nothing is lost once there is
// space again, and no segment ends in half a record, at which Prometheus would throw
// away what follows.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir)
	cmd.Env = append(os.Environ(), roleVariable+"=full")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var said strings.Builder
	s := openStore(t, sample.Options{Dir: dir, Log: textLog(&said)})
	checkSteps(t, s, 20)
	if strings.Contains(said.String(), "cut") {
		t.Errorf("something was left to cut:\n%s", &said)
	}
	t.Run("prometheus", func(t *testing.T) {
		remote, err := sample.NewRemote(startPrometheus(t, dir), sample.RemoteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		v, err := remote.Instant(t.Context(), `sum(count_over_time(a[1d]))`, epoch.Add(time.Minute))
		if err != nil || len(v) != 1 || v[0].V != 20*crashSeries {
			t.Errorf("prometheus counts %v, %v, want %d", v, err, 20*crashSeries)
		}
	})
}

package rehearse_test

import (
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/rehearse"
	"github.com/spark-ta/spark/runbooks"
)

// childFile is the variable that makes this program a child of the kill test.
const childFile = "SPARK_REHEARSAL_JOURNAL"

func TestMain(m *testing.M) {
	if file := os.Getenv(childFile); file != "" {
		if err := child(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// scenario reads one that extends a shipped one.
func scenario(t *testing.T, text string) *rehearse.Scenario {
	t.Helper()
	s, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(text string) (*rehearse.Scenario, error) {
	return rehearse.Parse("test.md", []byte(text), func(id string) (string, []byte, error) {
		b, err := runbooksFile("scenarios/" + id + ".md")
		return id + ".md", b, err
	})
}

func runbooksFile(name string) ([]byte, error) { return fs.ReadFile(runbooks.Files(), name) }

// rehearsal prepares one with the shipped plan.
func rehearsal(t *testing.T, s *rehearse.Scenario, o rehearse.Options) *rehearse.Rehearsal {
	t.Helper()
	r, err := prepare(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func prepare(s *rehearse.Scenario, o rehearse.Options) (*rehearse.Rehearsal, error) {
	if o.PlanText == nil {
		o.PlanFile = s.Plan + ".md"
		var err error
		if o.PlanText, err = runbooksFile(o.PlanFile); err != nil {
			return nil, err
		}
	}
	return rehearse.New(s, o)
}

// lived runs a rehearsal to its end.
func lived(t *testing.T, r *rehearse.Rehearsal) *rehearse.Rehearsal {
	t.Helper()
	if err := r.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func shipped(t *testing.T, id string) *rehearse.Rehearsal {
	t.Helper()
	r, err := rehearse.OfTree(runbooks.Files(), id, rehearse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func records(t *testing.T, all func(func(chain.Record, error) bool)) []chain.Record {
	t.Helper()
	var out []chain.Record
	for r, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func picture(r *rehearse.Rehearsal) (run *wire.HypercareRun) {
	r.Driver.Look(func(s *plan.State) { run = report.Run(s, r.Now()) })
	return run
}

package rehearse_test

import (
	"flag"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/rehearse"
	"github.com/spark-ta/spark/runbooks"
)

// table is where the coverage is committed.
const table = "../../../runbooks/scenarios/coverage.md"

// The scenarios that are short enough for every run of the tests, and show most.
var quick = []string{"perfect-go-live", "stuck-leader", "scrape-outage"}

// must are the scenarios without which Spark does not ship.
var must = []string{
	"perfect", "perfect-all-in-one", "perfect-go-live", "stuck-leader", "two-leaders-30s", "executor-crash-loop", "leak-3mb",
	"slow-warm-up", "sse-outage-10m", "slow-evaluation", "notification-failures-5pct", "redis-aof-growth", "scrape-outage",
	"observer-restart-t6h", "operator-asleep", "lock-reset-wrong-epoch", "clock-step", "tuning", "same-key-twice",
	"waiver-expiry", "fail-recovered-incident", "broken-world", "dark-world", "mute-world", "broken-go-live", "dark-go-live",
}

func TestShippedScenariosAreThere(t *testing.T) {
	ids, err := rehearse.IDs(runbooks.Files())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range must {
		if !slices.Contains(ids, id) {
			t.Errorf("there is no scenario %s", id)
		}
	}
	for _, id := range ids {
		s, err := rehearse.Read(runbooks.Files(), id)
		if err != nil {
			t.Error(err)
		} else if s.ID != id || s.Title == "" {
			t.Errorf("%s.md has the id %q and the title %q", id, s.ID, s.Title)
		}
	}
}

// whole reports whether the long tests are wanted: make rehearse.
func whole() bool { return os.Getenv("REHEARSE") != "" }

func TestQuickScenarios(t *testing.T) {
	_, results, err := rehearse.Cover(t.Context(), runbooks.Files(), quick, nil)
	if err != nil {
		t.Fatal(err)
	}
	green(t, results)
}

// TestEveryScenario lives through every shipped scenario, 48 hours and more of some, and
// compares what they have shown with the committed table.
func TestEveryScenario(t *testing.T) {
	if !whole() {
		t.Skipf("%d scenarios, 48 hours of some, take two minutes: make rehearse", len(must))
	}
	tree := runbooks.Files()
	results := []rehearse.Result{perfect(t)}
	ids, err := rehearse.IDs(tree)
	if err != nil {
		t.Fatal(err)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == "perfect" })
	_, others, err := rehearse.Cover(t.Context(), tree, ids, func(r rehearse.Result) { t.Logf("%s lasted %s", r.Scenario, r.Lasted) })
	if err != nil {
		t.Fatal(err)
	}
	results = append(results, others...)
	green(t, results)
	coverage, err := rehearse.Collect(tree, results)
	if err != nil {
		t.Fatal(err)
	}
	complete(t, coverage)
	compareTable(t, rehearse.Table(coverage))
}

func green(t *testing.T, results []rehearse.Result) {
	t.Helper()
	for _, r := range results {
		if !r.Passed {
			t.Errorf("%s:\n\t%s", r.Scenario, strings.Join(r.Failures, "\n\t"))
		}
	}
}

// perfect measures the run of 48 hours. Its time is told and not judged, because it
// depends on the machine; its memory is judged.
func perfect(t *testing.T) rehearse.Result {
	t.Helper()
	r := shipped(t, "perfect")
	var most uint64
	from := time.Now()
	err := r.Run(t.Context(), func(time.Duration) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("48 h in %s; heap %d MB at most", time.Since(from).Round(time.Second), most/1e6)
	if most > 100e6 {
		t.Errorf("the heap reached %d MB, 100 MB are allowed", most/1e6)
	}
	return r.Result()
}

// BenchmarkHour lives through the first hour of the perfect run.
func BenchmarkHour(b *testing.B) {
	for b.Loop() {
		s, err := rehearse.Read(runbooks.Files(), "perfect")
		if err != nil {
			b.Fatal(err)
		}
		s.Until = time.Hour
		r, err := prepare(s, rehearse.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Run(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

// complete demands that each check was seen good, failing and unknown.
func complete(t *testing.T, coverage wire.Coverage) {
	t.Helper()
	ofRun := map[string]bool{}
	for _, id := range []string{"hypercare", "go-live"} {
		text, _ := runbooks.Plan(id)
		p, err := plan.Parse(id, text)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Checks() {
			ofRun[c.ID] = c.Source.Language == plan.SourceRun
		}
	}
	for _, k := range coverage.Checks {
		if len(k.Pass) == 0 {
			t.Errorf("%s was never seen good", k.ID)
		}
		if len(k.Fail) == 0 {
			t.Errorf("%s was never seen to fail", k.ID)
		}
		if len(k.Unknown) == 0 && (k.Key || !ofRun[k.ID]) {
			t.Errorf("%s was never seen unknown", k.ID)
		}
	}
}

func compareTable(t *testing.T, want []byte) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(table, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, _ := os.ReadFile(table)
	if string(have) != string(want) {
		t.Errorf("coverage.md is not what the scenarios have shown; run UPDATE=1 make rehearse and look at the difference; it would be:\n%s", want)
	}
}

func TestTheCommittedTableCoversEveryKeyCheck(t *testing.T) {
	coverage, err := rehearse.Shipped(runbooks.Files())
	if err != nil {
		t.Fatal(err)
	}
	complete(t, coverage)
	proof := rehearse.Proof(coverage)
	if failed, unknown := proof("leader.single"); !failed || !unknown {
		t.Errorf("leader.single: failed %t, unknown %t", failed, unknown)
	}
	if failed, unknown := proof("nobody.knows"); failed || unknown {
		t.Error("a check that is not in the table was proved")
	}
	rows := map[string]wire.CheckCoverage{}
	for _, k := range coverage.Checks {
		rows[k.ID] = k
	}
	for _, id := range []string{"hypercare", "go-live"} {
		text, _ := runbooks.Plan(id)
		p, err := plan.Parse(id, text)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Checks() {
			if row, ok := rows[c.ID]; c.Kind == plan.Auto && (!ok || row.Key != c.Key) {
				t.Errorf("%s has no row in the table, or one that says key=%t", c.ID, row.Key)
			}
		}
	}
}

func TestATableIsReadAsItWasWritten(t *testing.T) {
	c := wire.Coverage{OK: true, Checks: []wire.CheckCoverage{
		{ID: "a", Kind: "point", Pass: []string{"x", "y"}, Fail: []string{"z"}, Unknown: []string{"x", "y", "z"}},
		{ID: "b.c", Kind: "trend", Key: true, Fail: []string{"x"}},
	}}
	got, err := rehearse.ReadTable(rehearse.Table(c))
	if err != nil {
		t.Fatal(err)
	}
	if string(rehearse.Table(got)) != string(rehearse.Table(c)) || len(got.Checks) != 2 || !got.Checks[1].Key || len(got.Checks[0].Unknown) != 3 {
		t.Errorf("ReadTable(Table(c)) = %+v, want %+v", got, c)
	}
	for _, bad := range []string{"", "# nothing", "| `a` | b |\n"} {
		if _, err := rehearse.ReadTable([]byte(bad)); err == nil {
			t.Errorf("ReadTable(%q) found no fault", bad)
		}
	}
}

// TestOne is for the author of a scenario: go test -run TestOne -v -args ID.
func TestOne(t *testing.T) {
	for _, id := range flag.Args() {
		r := lived(t, shipped(t, id))
		green(t, []rehearse.Result{r.Result()})
		for _, line := range r.Told() {
			t.Log(line)
		}
	}
}

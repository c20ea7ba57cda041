// Package repotest holds the rules of the repository as tests: what may import
// what, what each package says of itself, which names documents may use. It has
// no code but tests, and nothing imports it.
//
// # What is checked
//
//   - walls: core is pure, daemon and tui never meet, components do not know
//     their siblings, a library stays where its one user lives (walls_test.go)
//   - habits: one package comment each, no init, no context.Background below
//     main, no clock in core, no sleeping test (habits_test.go)
//   - words: metric and environment names in documents, dashboards, rules and
//     plans exist in core/wire (words_test.go)
//   - links: relative links and anchors of Markdown files lead somewhere
//     (links_test.go)
//   - files: go.mod has neither replace nor tool lines, the top level is the
//     agreed one, no file names a path of somebody's machine or the host of a
//     package registry (files_test.go)
//
// # How
//
// The tree is an [io/fs.FS] that is read once and parsed once. Each rule is a
// function from that tree to findings, so the same code judges the repository
// and the small trees with planted faults by which the rules are tested
// (planted_*_test.go). A rule that cannot fail is worth nothing; each has its
// fault.
//
// Files are opened and parsed here and the go command is never asked. The go
// command would be one more thing to install, and a test that runs it stays
// cached, and green, after a bad import was added; files that the test opens
// itself are inputs of the cache.
//
// A finding reads "path:line: sentence", as compilers write, so that editors
// jump to it.
package repotest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/wire"
)

// rules in the order in which they are reported.
var rules = []struct {
	name  string
	check func(*tree) []finding
}{
	{"imports of core", checkCoreImports},
	{"daemon and tui apart", checkTrees},
	{"siblings of daemon", checkDaemonSiblings},
	{"layers of tui", checkTUILayers},
	{"libraries in their place", checkLibraries},
	{"package comments", checkPackageComments},
	{"no clock in core", checkClock},
	{"no init, no background", checkHabits},
	{"no sleep in tests", checkSleep},
	{"metric names", checkMetricNames},
	{"environment names", checkEnvNames},
	{"links", checkLinks},
	{"go.mod", checkModFile},
	{"top level", checkTopLevel},
	{"machine paths and registries", checkPaths},
}

// TestRepository judges the repository that this file is part of.
func TestRepository(t *testing.T) {
	tr, err := load(os.DirFS("../../.."), append(seriesNames(wire.Metrics()), wire.Recorded()...))
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.goFiles) < 20 {
		t.Fatalf("only %d Go files found: the tree was not read", len(tr.goFiles))
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range r.check(tr) {
				t.Error(f)
			}
		})
	}
}

// seriesNames returns the names under which the metrics appear in a scrape.
func seriesNames(metrics []wire.Metric) []string {
	var names []string
	for _, m := range metrics {
		names = append(names, m.Name)
		if m.Kind == wire.Histogram {
			names = append(names, m.Name+"_bucket", m.Name+"_sum", m.Name+"_count")
		}
	}
	slices.Sort(names)
	return names
}

// TestSeriesNames makes sure that only histograms have the three suffixes.
func TestSeriesNames(t *testing.T) {
	got := seriesNames([]wire.Metric{{Name: "b", Kind: wire.Histogram}, {Name: "a", Kind: wire.Gauge}})
	if want := "a b b_bucket b_count b_sum"; strings.Join(got, " ") != want {
		t.Errorf("seriesNames = %q, want %q", got, want)
	}
}

package rehearse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
)

// dir is where the scenarios stand beside the plans.
const dir = "scenarios"

// IDs lists the scenarios of a tree of plans, such as [runbooks.Files]: the files
// scenarios/ID.md whose front matter says so.
func IDs(tree fs.FS) ([]string, error) {
	files, err := fs.Glob(tree, dir+"/*.md")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range files {
		text, err := fs.ReadFile(tree, f)
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(text, []byte("---\nkind: scenario\n")) {
			out = append(out, strings.TrimSuffix(path.Base(f), ".md"))
		}
	}
	return out, nil
}

// Read reads a scenario of a tree, with the ones that it extends.
func Read(tree fs.FS, id string) (*Scenario, error) {
	load := func(id string) (string, []byte, error) {
		if !fs.ValidPath(id) || strings.Contains(id, "/") {
			return "", nil, fmt.Errorf("scenario %.60q: %w", id, fs.ErrNotExist)
		}
		text, err := fs.ReadFile(tree, dir+"/"+id+".md")
		return dir + "/" + id + ".md", text, err
	}
	file, text, err := load(id)
	if err != nil {
		return nil, err
	}
	return Parse(file, text, load)
}

// OfTree prepares the rehearsal of a scenario with the plan that it names. PlanFile
// and PlanText may be given, for a plan that is not the shipped one.
func OfTree(tree fs.FS, id string, o Options) (*Rehearsal, error) {
	s, err := Read(tree, id)
	if err != nil {
		return nil, err
	}
	if o.PlanText == nil {
		o.PlanFile = s.Plan + ".md"
		if o.PlanText, err = fs.ReadFile(tree, o.PlanFile); err != nil {
			return nil, fmt.Errorf("%s: %w", s.File, err)
		}
	}
	return New(s, o)
}

// Cover rehearses scenarios of a tree, as many at once as there are processors, and
// collects what they have shown. progress is told of each result, one at a time; may be
// nil. The results come in the order of the ids.
func Cover(ctx context.Context, tree fs.FS, ids []string, progress func(Result)) (wire.Coverage, []Result, error) {
	results, faults := make([]Result, len(ids)), make([]error, len(ids))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	var telling sync.Mutex
	for i, id := range ids {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if results[i], faults[i] = rehearse(ctx, tree, id); faults[i] == nil && progress != nil {
				telling.Lock()
				defer telling.Unlock()
				progress(results[i])
			}
		})
	}
	all.Wait()
	if err := errors.Join(faults...); err != nil {
		return wire.Coverage{}, nil, err
	}
	coverage, err := Collect(tree, results)
	return coverage, results, err
}

func rehearse(ctx context.Context, tree fs.FS, id string) (Result, error) {
	r, err := OfTree(tree, id, Options{})
	if err != nil {
		return Result{}, err
	}
	if err := r.Run(ctx, nil); err != nil {
		return Result{}, err
	}
	return r.Result(), nil
}

// Collect lists for each automatic check of the plans that were rehearsed the
// scenarios that have shown it good, failing and unknown.
func Collect(tree fs.FS, results []Result) (wire.Coverage, error) {
	out := wire.Coverage{OK: true, Checks: []wire.CheckCoverage{}}
	byPlan := map[string][]Result{}
	results = slices.SortedFunc(slices.Values(results), func(a, b Result) int { return strings.Compare(a.Scenario, b.Scenario) })
	for _, r := range results {
		byPlan[r.Plan] = append(byPlan[r.Plan], r)
	}
	ids := make([]string, 0, len(byPlan))
	for id := range byPlan {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(b, a) }) // hypercare before go-live
	for _, id := range ids {
		text, err := fs.ReadFile(tree, id+".md")
		if err != nil {
			return out, err
		}
		p, err := plan.Parse(id+".md", text)
		if err != nil {
			return out, err
		}
		for _, cp := range p.Checkpoints {
			for _, c := range cp.Checks() {
				if c.Kind == plan.Auto {
					out.Checks = append(out.Checks, covered(cp, c, byPlan[id]))
				}
			}
		}
	}
	return out, nil
}

func covered(cp *plan.Checkpoint, c *plan.Check, results []Result) wire.CheckCoverage {
	out := wire.CheckCoverage{ID: c.ID, Key: c.Key, Kind: c.Mode.String()}
	var warned []string
	for _, r := range results {
		seen := r.Seen[c.ID]
		for _, x := range []struct {
			yes  bool
			into *[]string
		}{{seen.Pass, &out.Pass}, {seen.Fail, &out.Fail}, {seen.Unknown, &out.Unknown}, {seen.Warn, &warned}} {
			if x.yes {
				*x.into = append(*x.into, r.Scenario)
			}
		}
	}
	if out.Fail == nil && mild(cp, c) {
		out.Fail = warned
	}
	return out
}

// mild reports whether a check may do no worse than warn: a trend of the first day,
// and what the plan says to be a warning.
func mild(cp *plan.Checkpoint, c *plan.Check) bool {
	return c.Mode == plan.Trend && cp.Offset.Hours() < 24 || c.Source.WarnIf != nil
}

// listed is how many scenarios stand in a cell of the table.
const listed = 3

const preface = `# What the scenarios have shown

A check that was never seen to fail is decoration. For each automatic check of the plans,
the scenarios in which it was good, in which it failed (or warned, where it can do no
worse), and in which it was unknown: of each the first three. What the run says of itself
(its incidents, its user issues) is always known.

Made by ` + "`UPDATE=1 make rehearse`" + ` and compared by every other run of that target.

| check | kind | pass | fail | unknown |
|---|---|---|---|---|
`

// Table writes coverage as it is committed beside the scenarios.
func Table(c wire.Coverage) []byte {
	b := bytes.NewBufferString(preface)
	cell := func(ids []string) string {
		if len(ids) == 0 {
			return "-"
		}
		more := ""
		if len(ids) > listed {
			ids, more = ids[:listed], fmt.Sprintf(" +%d", len(ids)-listed)
		}
		return strings.Join(ids, ", ") + more
	}
	for _, k := range c.Checks {
		kind := k.Kind
		if k.Key {
			kind += ", key"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", k.ID, kind, cell(k.Pass), cell(k.Fail), cell(k.Unknown))
	}
	return b.Bytes()
}

// ReadTable is the inverse of [Table], but for the scenarios that the table only
// counts.
func ReadTable(text []byte) (wire.Coverage, error) {
	out := wire.Coverage{OK: true, Checks: []wire.CheckCoverage{}}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 {
			return out, fmt.Errorf("%d cells, not 5, in %.100q", len(cells), line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		kind, key := strings.CutSuffix(cells[1], ", key")
		out.Checks = append(out.Checks, wire.CheckCoverage{
			ID: strings.Trim(cells[0], "`"), Key: key, Kind: kind, Pass: ofCell(cells[2]), Fail: ofCell(cells[3]), Unknown: ofCell(cells[4]),
		})
	}
	if len(out.Checks) == 0 {
		return out, errors.New("no row of a table of coverage")
	}
	return out, nil
}

func ofCell(cell string) []string {
	if cell == "-" {
		return nil
	}
	cell, _, _ = strings.Cut(cell, " +")
	return strings.Split(cell, ", ")
}

// Shipped is the committed table of a tree.
func Shipped(tree fs.FS) (wire.Coverage, error) {
	text, err := fs.ReadFile(tree, dir+"/coverage.md")
	if err != nil {
		return wire.Coverage{}, err
	}
	return ReadTable(text)
}

// Proof tells of a check whether a scenario made it fail and one made it unknown, as the
// lint of a plan wants to know it.
func Proof(c wire.Coverage) func(id string) (failed, unknown bool) {
	seen := map[string][2]bool{}
	for _, k := range c.Checks {
		seen[k.ID] = [2]bool{len(k.Fail) > 0, len(k.Unknown) > 0}
	}
	return func(id string) (failed, unknown bool) { return seen[id][0], seen[id][1] }
}

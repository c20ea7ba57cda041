package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/rehearse"
	"github.com/spark-ta/spark/runbooks"
)

// rehearsals are the flags of rehearse.
type rehearsals struct {
	all, list, asJSON bool
	files             []string
	plan              string
	speed             string
	serve             string
	journal           string
	report, format    string
	ready             string
}

func (p *program) rehearseCommand() *cobra.Command {
	var o rehearsals
	c := &cobra.Command{Use: "rehearse [SCENARIO|FILE…]", Short: "Carry out the hypercare plan on virtual time, against a simulated fleet",
		Long: `Lives through 48 hours of a deployment that is simulated, with the plan, the judge
and the journal that a real one has: series of a fleet, what breaks and when, what
people do, and the verdicts that are expected. Without a name the perfect run. The
journal and everything that is signed say REHEARSAL.

  spark-daemon rehearse --list                     what is shipped
  spark-daemon rehearse                            the perfect run, as fast as it can
  spark-daemon rehearse stuck-leader leak-3mb      two of them
  spark-daemon rehearse --all --json               all, for machines
  spark-daemon rehearse ./night.md --plan my.md    your scenario, your plan
  spark-daemon rehearse sse-outage-10m --report out.html --journal out.jsonl

Someone can watch and act: at a speed other than max the observer's calls are
answered, and the console attaches to them. At the end they stay, on a terminal,
until Ctrl-C.

  spark-daemon rehearse stuck-leader --speed 600x
  SPARK_URL=http://127.0.0.1:4010 spark-tui

Exit status: 0 everything went as the scenarios expect; 1 not, or interrupted;
2 misused.`,
		RunE: func(cmd *cobra.Command, args []string) error { return p.rehearse(cmd.Context(), o, args) }}
	f := c.Flags()
	f.BoolVar(&o.all, "all", false, "every shipped scenario")
	f.BoolVar(&o.list, "list", false, "list the shipped scenarios and end")
	f.StringArrayVar(&o.files, "scenario", nil, "file of a scenario; the same as an argument")
	f.StringVar(&o.plan, "plan", "", "file of a plan to judge by, instead of the one that the scenario names")
	f.StringVar(&o.speed, "speed", "max", "max, or virtual seconds in a second, such as 600x")
	f.StringVar(&o.serve, "serve", "127.0.0.1:4010", "address of the observer's calls, at a speed other than max; port 0 picks a free one")
	f.StringVar(&o.journal, "journal", "", "new file for the journal, of one scenario")
	f.StringVar(&o.report, "report", "", "file for the report, of one scenario; - is standard output")
	f.StringVar(&o.format, "format", "", "of the report: md, html or json; by default as the file's name ends, else md")
	f.StringVar(&o.ready, "ready-file", "", "at a speed other than max: file to write the address to, as one line of JSON, once the calls are answered; they then stay until the end of the process")
	f.BoolVar(&o.asJSON, "json", false, "results for machines: a JSON array")
	return c
}

// outcome is a result with what the watch on the wall says.
type outcome struct {
	rehearse.Result
	TookMS int64 `json:"tookMs"`
}

func (p *program) rehearse(ctx context.Context, o rehearsals, args []string) error {
	if o.list {
		return p.listScenarios(o.asJSON)
	}
	names := append(slices.Clone(args), o.files...)
	speed, err := parseSpeed(o.speed)
	if err != nil {
		return err
	}
	if o.all {
		ids, err := rehearse.IDs(runbooks.Files())
		if err != nil {
			return err
		}
		names = append(names, ids...)
	}
	if len(names) == 0 {
		names = []string{"perfect"}
	}
	if one := len(names) == 1; !one && (o.journal != "" || o.report != "" || speed > 0) {
		return fmt.Errorf("%w: --journal, --report and --speed are for one scenario, not for %d", errUsage, len(names))
	}
	format, err := reportFormat(o.format, o.report)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(o.journal); o.journal != "" && err == nil { // said now, not after a minute
		return fmt.Errorf("%w: --journal %s: there is a file; a journal is never written over", errUsage, o.journal)
	}
	all := make([]*rehearse.Rehearsal, len(names))
	w := &watch{ended: make(chan struct{}), ready: o.ready}
	for i, name := range names {
		if all[i], err = prepare(name, o.plan, w.options(speed)); err != nil {
			return fmt.Errorf("%w: %v", errUsage, err)
		}
	}
	var results []outcome
	if len(all) > 1 {
		results, err = p.rehearseAll(ctx, all)
	} else {
		results, err = p.rehearseOne(ctx, all[0], w, speed, o.serve)
		err = errors.Join(err, p.keep(all[0], o.journal, o.report, format))
	}
	if err != nil {
		return err
	}
	if err := p.printResults(results, o.asJSON, o.report == "-"); err != nil {
		return err
	}
	bad := slices.DeleteFunc(slices.Clone(results), func(r outcome) bool { return r.Passed })
	if len(bad) > 0 {
		return fmt.Errorf("%d of %d rehearsals did not go as expected", len(bad), len(results))
	}
	return nil
}

// prepare reads a scenario: a file when its name looks like one, else a shipped one.
func prepare(name, planFile string, o rehearse.Options) (*rehearse.Rehearsal, error) {
	tree := runbooks.Files()
	if planFile != "" {
		text, err := os.ReadFile(planFile)
		if err != nil {
			return nil, err
		}
		o.PlanFile, o.PlanText = planFile, text
	}
	if !isFile(name) {
		r, err := rehearse.OfTree(tree, name, o)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no scenario %.60q; \"spark-daemon rehearse --list\" lists them, and a file ends in .md", name)
		}
		return r, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	s, err := rehearse.Parse(name, text, beside(filepath.Dir(name), tree))
	if err != nil {
		return nil, err
	}
	if o.PlanText == nil {
		var ok bool
		if o.PlanText, ok = runbooks.Plan(s.Plan); !ok {
			return nil, fmt.Errorf("%s: there is no plan %.60q", name, s.Plan)
		}
		o.PlanFile = s.Plan + ".md"
	}
	return rehearse.New(s, o)
}

func isFile(name string) bool {
	return strings.HasSuffix(name, ".md") || strings.ContainsRune(name, filepath.Separator)
}

// beside finds the scenario that another extends: in its directory, else a shipped one.
func beside(dir string, tree fs.FS) func(string) (string, []byte, error) {
	return func(id string) (string, []byte, error) {
		if !fs.ValidPath(id) || strings.Contains(id, "/") {
			return "", nil, fmt.Errorf("%.60q is no id of a scenario", id)
		}
		file := filepath.Join(dir, id+".md")
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			file = "scenarios/" + id + ".md"
			text, err = fs.ReadFile(tree, file)
		}
		return file, text, err
	}
}

// parseSpeed returns 0 for max.
func parseSpeed(text string) (float64, error) {
	if text == "max" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "x"), 64)
	if err != nil || !(n >= 0.1 && n <= 100_000) {
		return 0, fmt.Errorf("%w: --speed %.40q: max, or 0.1x to 100000x", errUsage, text)
	}
	return n, nil
}

// reportFormat is what was asked for, else what the file's name ends in.
func reportFormat(asked, file string) (string, error) {
	format := asked
	if format == "" {
		switch strings.ToLower(filepath.Ext(file)) {
		case ".html", ".htm":
			format = "html"
		case ".json":
			format = "json"
		default:
			format = "md"
		}
	}
	if !slices.Contains([]string{"md", "html", "json"}, format) {
		return "", fmt.Errorf("%w: --format %.40q: md, html or json", errUsage, asked)
	}
	return format, nil
}

func (p *program) rehearseOne(ctx context.Context, r *rehearse.Rehearsal, w *watch, speed float64, serve string) ([]outcome, error) {
	began := time.Now()
	show, clear := p.progress(r)
	var err error
	if speed > 0 {
		err = p.paced(ctx, r, w, speed, serve, show, clear)
	} else {
		err = r.Run(ctx, show)
	}
	clear()
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("interrupted at T+%s", plan.FormatDuration(max(0, r.Since())))
	}
	return []outcome{{r.Result(), time.Since(began).Milliseconds()}}, err
}

// rehearseAll lives through several, as many at once as there are processors.
func (p *program) rehearseAll(ctx context.Context, all []*rehearse.Rehearsal) ([]outcome, error) {
	results, faults := make([]outcome, len(all)), make([]error, len(all))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0)) // as many as run at once
	line, clear := p.statusLine()
	var group sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for i, r := range all {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			began := time.Now()
			faults[i] = r.Run(ctx, nil)
			results[i] = outcome{r.Result(), time.Since(began).Milliseconds()}
			mu.Lock()
			defer mu.Unlock()
			done++
			line(fmt.Sprintf("%d of %d rehearsals done, the last: %s", done, len(all), r.Scenario.ID))
		})
	}
	group.Wait()
	clear()
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	return results, errors.Join(faults...)
}

// statusLine returns what writes a line of a terminal over and over, and what takes it
// away. Elsewhere both do nothing.
func (p *program) statusLine() (line func(string), clear func()) {
	if !terminal(p.stderr) {
		return func(string) {}, func() {}
	}
	return func(text string) { fmt.Fprintf(p.stderr, "\r\x1b[K%s", safetext.Clean(text)) }, func() { fmt.Fprint(p.stderr, "\r\x1b[K") }
}

// terminal reports whether a person may look at what is written.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// progress shows on a terminal how far a rehearsal is.
func (p *program) progress(r *rehearse.Rehearsal) (show func(time.Duration), clear func()) {
	line, clear := p.statusLine()
	began := time.Now()
	return func(since time.Duration) {
		text := fmt.Sprintf("%s  T+%s of %s", r.Scenario.ID, plan.FormatDuration(max(0, since).Truncate(time.Minute)), plan.FormatDuration(r.Scenario.Until))
		r.Driver.Look(func(s *plan.State) {
			if s.Plan != nil {
				c := s.Counts()
				text += fmt.Sprintf("  pass %d  warn %d  fail %d  unknown %d  pending %d", c[plan.Pass], c[plan.Warn], c[plan.Fail], c[plan.NoData], c[plan.Pending])
			}
		})
		if wall := time.Since(began); wall > time.Second && since > 0 {
			text += fmt.Sprintf("  %.0fx", since.Seconds()/wall.Seconds())
		}
		line(text)
	}, clear
}

// keep writes what was asked for, also of a rehearsal that was interrupted.
func (p *program) keep(r *rehearse.Rehearsal, journal, report, format string) error {
	if r.Desk.Journal.Head().Seq == 0 {
		return nil
	}
	if journal != "" {
		if err := r.Desk.Journal.Save(journal); err != nil {
			return err
		}
	}
	if report == "" {
		return nil
	}
	text, err := r.Desk.Report(format, 0)
	if err != nil {
		return err
	}
	return writeWhole(report, p.stdout, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// printResults writes a row for each, and under it what was expected and not found.
// With the report on standard output it goes to standard error.
func (p *program) printResults(results []outcome, asJSON, aside bool) error {
	out := p.stdout
	if aside {
		out = p.stderr
	}
	if asJSON {
		return json.NewEncoder(out).Encode(results)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tRESULT\tPASS\tWARN\tFAIL\tUNKNOWN\tWAIVED\tPENDING\tN/A\tLASTED\tRECORDS\tTOOK")
	for _, r := range results {
		word, c := "as expected", r.Counts
		if !r.Passed {
			word = "NOT MET"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t%.1fs\n", safetext.Clean(r.Scenario), word,
			c.Pass, c.Warn, c.Fail, c.Unknown, c.Waived, c.Pending, c.NotApplicable, r.Lasted, r.Records, float64(r.TookMS)/1000)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		for _, f := range r.Failures {
			fmt.Fprintf(out, "%s: %s\n", safetext.Clean(r.Scenario), safetext.Clean(f))
		}
		if !r.Passed && len(r.Failures) == 0 {
			fmt.Fprintf(out, "%s: it expects nothing, which proves nothing\n", safetext.Clean(r.Scenario))
		}
	}
	return nil
}

// listScenarios lists what is shipped.
func (p *program) listScenarios(asJSON bool) error {
	type row struct {
		ID      string `json:"id"`
		Title   string `json:"title"`
		Plan    string `json:"plan"`
		Profile string `json:"profile"`
		Until   string `json:"until"`
	}
	ids, err := rehearse.IDs(runbooks.Files())
	if err != nil {
		return err
	}
	rows := []row{}
	for _, id := range ids {
		s, err := rehearse.Read(runbooks.Files(), id)
		if err != nil {
			return err
		}
		rows = append(rows, row{s.ID, s.Title, s.Plan, s.Profile, plan.FormatDuration(s.Until)})
	}
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(rows)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tPLAN\tPROFILE\tUNTIL\tTITLE")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\tT+%s\t%s\n", r.ID, r.Plan, r.Profile, r.Until, r.Title)
	}
	return w.Flush()
}

// coverageOf is what the shipped scenarios have shown.
func coverageOf() (wire.Coverage, error) { return rehearse.Shipped(runbooks.Files()) }

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// statusTimeout bounds each request of a status.
const statusTimeout = 3 * time.Second

// report is what "status --json" prints.
type report struct {
	OK        bool            `json:"ok"`
	URL       string          `json:"url"`
	Time      int64           `json:"time"` // ms
	Reachable bool            `json:"reachable"`
	Error     string          `json:"error,omitempty"`
	Leader    string          `json:"leader"` // empty without one
	Epoch     int64           `json:"epoch"`
	Instances []wire.Instance `json:"instances"`
	Roles     []roleReport    `json:"roles"`
	Problems  []string        `json:"problems"`
}

// roleReport is the health of one role of one instance.
type roleReport struct {
	Instance  string       `json:"instance"`
	Role      string       `json:"role"`
	URL       string       `json:"url"`
	Reachable bool         `json:"reachable"`
	OK        bool         `json:"ok"`
	LatencyMS float64      `json:"latencyMs"`
	Error     string       `json:"error,omitempty"`
	Health    *wire.Health `json:"health,omitempty"`
}

func (p *program) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print the health of every instance and role",
		Long: `Print the health of every instance and role, once.

Exit codes: 0 everything is healthy, 1 something is not (it says what), 2 misused,
3 the observer cannot be reached.`,
		Example: `  spark-tui status
  spark-tui status --json | jq -r '.problems[]'`,
		Args: p.noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.status(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	p.commonFlags(cmd)
	return cmd
}

// observerURL returns --url, the variable or the default.
func (p *program) observerURL() (string, error) {
	name, s := "--url", p.url
	if s == "" {
		name, s = wire.EnvConsoleURL, p.getenv(wire.EnvConsoleURL)
	}
	if s == "" {
		return fmt.Sprintf("http://127.0.0.1:%d", wire.PortObserver), nil
	}
	return checkURL(name, s)
}

// checkURL returns a base URL without a slash at its end. What may hold a password
// is not repeated in the error.
func checkURL(name, s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case strings.Contains(s, "@"):
		return "", misuse("%s: a URL without user and password, such as http://127.0.0.1:4010", name)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", misuse("%s %q: a URL such as http://127.0.0.1:4010", name, s)
	}
	return strings.TrimRight(s, "/"), nil
}

func (p *program) status(ctx context.Context, asJSON bool) error {
	base, err := p.observerURL()
	if err != nil {
		return err
	}
	r := inspect(ctx, live.NewClient(), base)
	switch {
	case asJSON:
		if err := p.printJSON(r); err != nil {
			return err
		}
	case !r.Reachable:
		return exit{exitUnreachable, string(safetext.Clean(r.Problems[0]))}
	default:
		if err := r.print(p.stdout); err != nil {
			return err
		}
	}
	switch {
	case !r.Reachable:
		return exit{code: exitUnreachable}
	case !r.OK:
		return exit{code: exitFailed}
	}
	return nil
}

// inspect asks the observer for the fleet, and every role for its health.
func inspect(ctx context.Context, client *http.Client, base string) report {
	r := report{URL: base, Time: time.Now().UnixMilli(), Instances: []wire.Instance{}, Roles: []roleReport{}, Problems: []string{}}
	var fleet wire.Fleet
	if err := getJSON(ctx, client, base+wire.PathFleet, &fleet); err != nil {
		r.Error = err.Error()
		r.Problems = append(r.Problems, "the observer at "+base+" cannot be asked: "+r.Error)
		return r
	}
	r.Reachable = true
	r.Instances = append(r.Instances, fleet.Instances...)
	for _, i := range fleet.Instances {
		if i.Leader && i.Up {
			r.Leader, r.Epoch = i.ID, i.Epoch
		}
		if !i.Up {
			r.Problems = append(r.Problems, i.ID+" is down")
			continue
		}
		for _, role := range wire.Roles() {
			if u := i.URLs[role]; u != "" {
				r.Roles = append(r.Roles, roleReport{Instance: i.ID, Role: role, URL: u})
			}
		}
	}
	var wg sync.WaitGroup
	for i := range r.Roles {
		wg.Go(func() { r.Roles[i].ask(ctx, client) })
	}
	wg.Wait()
	r.judge()
	return r
}

func (r *roleReport) ask(ctx context.Context, client *http.Client) {
	var h wire.Health
	start := time.Now()
	err := getJSON(ctx, client, strings.TrimRight(r.URL, "/")+wire.PathHealth, &h)
	r.LatencyMS = float64(time.Since(start).Microseconds()) / 1000
	if err != nil {
		r.Error = err.Error()
		var code badStatus
		if !errors.As(err, &code) || h.Instance == "" {
			return
		}
	}
	r.Reachable, r.OK, r.Health = true, h.OK, &h
}

// judge collects what is wrong.
func (r *report) judge() {
	if len(r.Instances) == 0 {
		r.Problems = append(r.Problems, "the observer knows no instance")
	}
	executors := false
	for _, role := range r.Roles {
		executors = executors || role.Role == wire.RoleExecutor
		switch name := role.Instance + " " + role.Role; {
		case !role.Reachable:
			r.Problems = append(r.Problems, name+" cannot be reached: "+role.Error)
		case !role.OK:
			r.Problems = append(r.Problems, name+" is not healthy: "+strings.Join(role.Health.Reasons, ", "))
		}
	}
	if executors && r.Leader == "" {
		r.Problems = append(r.Problems, "no leader: nobody evaluates alerts")
	}
	if !executors && len(r.Instances) > 0 {
		r.Problems = append(r.Problems, "no executor is up")
	}
	slices.Sort(r.Problems)
	r.OK = len(r.Problems) == 0
}

// print writes the report of a fleet that was reached for people. All text from
// outside is cleaned.
func (r report) print(w io.Writer) error {
	verdict := "OK"
	if !r.OK {
		verdict = "NOT HEALTHY"
	}
	clean := func(s string) safetext.Text { return safetext.Clean(s) }
	fmt.Fprintf(w, "%s  %s\n", verdict, clean(r.URL))
	for _, problem := range r.Problems {
		fmt.Fprintf(w, "  %s\n", clean(problem))
	}
	if len(r.Instances) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "INSTANCE\tSTATE\tROLES\tVERSION\tEPOCH\tCPU\tRSS\tSTORE\tSEEN")
	for _, i := range r.Instances {
		state := "up"
		switch {
		case !i.Up:
			state = "DOWN"
		case i.Leader:
			state = "leader"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%.0f%%\t%s\t%s\t%s\n", clean(i.ID), state, clean(strings.Join(i.Roles, ",")),
			clean(i.Version), i.Epoch, i.CPU*100, ui.Bytes(i.RSSBytes), ui.Millis(i.RedisLatencyMS), ui.Age(time.Duration(i.AgeMS)*time.Millisecond))
	}
	fmt.Fprintln(t)
	fmt.Fprintln(t, "ROLE\tINSTANCE\tHEALTH\tLATENCY\tURL")
	for _, role := range r.Roles {
		health := "ok"
		switch {
		case !role.Reachable:
			health = "UNREACHABLE"
		case !role.OK:
			health = "FAIL"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", role.Role, clean(role.Instance), health, ui.Millis(role.LatencyMS), clean(role.URL))
	}
	return t.Flush()
}

// badStatus is an answer other than 200.
type badStatus int

func (b badStatus) Error() string { return fmt.Sprintf("HTTP %d", int(b)) }

// getJSON reads an answer into v, also that of a 503.
func getJSON(ctx context.Context, client *http.Client, address string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the address is printed beside it
		}
		return err
	}
	defer res.Body.Close()
	err = json.NewDecoder(io.LimitReader(res.Body, 16<<20)).Decode(v)
	if res.StatusCode != http.StatusOK {
		return badStatus(res.StatusCode)
	}
	return err
}

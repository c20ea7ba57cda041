package probe

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Grafana looks at a Grafana server: does it live, and do the panels show data. It
// asks what a browser would ask, and changes nothing.
type Grafana struct {
	Limits
	Client *http.Client
	URL    string // base
	Token  string // of a service account with the role Viewer; may be empty
}

// ParseDashboards parses the text of a grafana source: the uids of dashboards,
// separated by spaces or lines; none means all.
func ParseDashboards(text string) ([]string, error) {
	uids := strings.Fields(strings.Join(statement(text), " "))
	if len(uids) > maxDashboards {
		return nil, fmt.Errorf("more than %d dashboards", maxDashboards)
	}
	for _, u := range uids {
		if !token(u) {
			return nil, fmt.Errorf("%.60q is not the uid of a dashboard", u)
		}
	}
	return uids, nil
}

// Limits of a look at Grafana.
const (
	maxDashboards = 20
	maxPanels     = 200
)

// Look asks, within 20 s unless the limits say otherwise, for the health, the dashboards, the panels' data of the last hour and
// the alerts. Fields: health (1 when the database is ok), version, dashboards (found),
// panels (with queries), panels_with_data (at least one query of the panel gave a
// value), empty (titles of panels without), firing (alerts; absent when the server
// does not say). An answer that is missing is an error, and the fields before it
// stand.
func (g Grafana) Look(ctx context.Context, uids []string, now time.Time) []Result {
	l := g.Limits
	if l.Timeout <= 0 {
		l.Timeout = 20 * time.Second // one query after the other
	}
	return l.ask(ctx, []Target{{Name: "grafana", URL: g.URL}}, func(ctx context.Context, _ Target) (fields, error) {
		f := fields{"health": Number(0)}
		var health struct{ Database, Version string }
		if err := g.call(ctx, "/api/health", nil, &health); err != nil {
			return f, fmt.Errorf("health: %w", err)
		}
		f["health"], f["version"] = Truth(health.Database == "ok"), Text(health.Version)
		g.firing(ctx, f)
		return f, g.dashboards(ctx, uids, now, f)
	})
}

// firing counts the alerts that fire. A server without its own alerting, and a token
// that may not see it, is no error: the field is absent.
func (g Grafana) firing(ctx context.Context, f fields) {
	var alerts []struct{ Status struct{ State string } }
	if g.call(ctx, "/api/alertmanager/grafana/api/v2/alerts?active=true&silenced=false&inhibited=false", nil, &alerts) != nil {
		return
	}
	n := 0
	for _, a := range alerts {
		if a.Status.State == "active" {
			n++
		}
	}
	f["firing"] = Number(float64(n))
}

func (g Grafana) dashboards(ctx context.Context, uids []string, now time.Time, f fields) error {
	f["dashboards"] = Number(0)
	if len(uids) == 0 {
		var found []struct{ UID string }
		if err := g.call(ctx, fmt.Sprintf("/api/search?type=dash-db&limit=%d", maxDashboards), nil, &found); err != nil {
			return fmt.Errorf("search: %w", err)
		}
		for _, d := range found {
			uids = append(uids, d.UID)
		}
	}
	var errs []error
	var empty []string
	n, panels, full := 0, 0, 0
	for _, uid := range uids {
		var d struct{ Dashboard dashboard }
		if err := g.call(ctx, "/api/dashboards/uid/"+url.PathEscape(uid), nil, &d); err != nil {
			errs = append(errs, fmt.Errorf("dashboard %.40s: %w", uid, err))
			continue
		}
		n++
		for _, p := range d.Dashboard.asking() {
			if panels == maxPanels {
				errs = append(errs, fmt.Errorf("more than %d panels", maxPanels))
				break
			}
			panels++
			data, err := g.data(ctx, p, d.Dashboard.variables(), now)
			if err != nil {
				errs = append(errs, fmt.Errorf("panel %.60q: %w", p.Title, err))
			}
			if data {
				full++
			} else {
				empty = append(empty, p.Title)
			}
		}
	}
	f["dashboards"], f["panels"], f["panels_with_data"] = Number(float64(n)), Number(float64(panels)), Number(float64(full))
	f["empty"] = Text(strings.Join(empty, ", "))
	return errors.Join(errs...)
}

// dashboard is what is needed of Grafana's model.
type dashboard struct {
	Panels     []panel
	Templating struct{ List []variable }
}

type variable struct {
	Name     string
	AllValue string
	Current  struct{ Value any }
}

type panel struct {
	Title, Type string
	Datasource  any
	Targets     []map[string]any
	Panels      []panel // of a row that is closed
}

// asking returns the panels with queries, those in rows too.
func (d dashboard) asking() []panel {
	var out []panel
	for _, p := range d.Panels {
		for _, q := range append([]panel{p}, p.Panels...) {
			if len(q.visible()) > 0 {
				out = append(out, q)
			}
		}
	}
	return out
}

// visible returns the queries that are not hidden.
func (p panel) visible() []map[string]any {
	return slices.DeleteFunc(slices.Clone(p.Targets), func(t map[string]any) bool { return t["hide"] == true })
}

// variables returns a replacer of the dashboard's variables by their present values,
// in the three ways of writing them. Grafana's own ($__interval) it replaces itself.
func (d dashboard) variables() *strings.Replacer {
	var pairs []string
	list := slices.Clone(d.Templating.List)
	// Longer names first: $instances is not $instance and an s.
	slices.SortFunc(list, func(a, b variable) int { return len(b.Name) - len(a.Name) })
	for _, v := range list {
		value := chosen(v.Current.Value)
		if value == "$__all" {
			value = cmp.Or(v.AllValue, ".*")
		}
		pairs = append(pairs, "${"+v.Name+"}", value, "${"+v.Name+":regex}", value, "[["+v.Name+"]]", value, "$"+v.Name, value)
	}
	return strings.NewReplacer(pairs...)
}

// chosen is a variable's value: of several the alternatives.
func chosen(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, p := range v {
			parts[i] = chosen(p)
		}
		return strings.Join(parts, "|")
	}
	return ""
}

// replaced returns v with the variables in its texts replaced.
func replaced(v any, with *strings.Replacer) any {
	switch v := v.(type) {
	case string:
		return with.Replace(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = replaced(e, with)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = replaced(e, with)
		}
		return out
	}
	return v
}

// data asks the panel's queries and reports whether one of them gave a value.
func (g Grafana) data(ctx context.Context, p panel, vars *strings.Replacer, now time.Time) (bool, error) {
	queries := make([]any, 0, len(p.Targets))
	for i, t := range p.visible() {
		q := replaced(t, vars).(map[string]any)
		if q["datasource"] == nil {
			q["datasource"] = replaced(p.Datasource, vars)
		}
		if name, ok := q["datasource"].(string); ok { // of old dashboards
			q["datasource"] = map[string]any{"uid": name}
		}
		if q["refId"] == nil {
			q["refId"] = fmt.Sprintf("Q%d", i)
		}
		q["intervalMs"], q["maxDataPoints"] = 15000, 300
		queries = append(queries, q)
	}
	in := map[string]any{
		"from": fmt.Sprint(now.Add(-time.Hour).UnixMilli()), "to": fmt.Sprint(now.UnixMilli()), "queries": queries,
	}
	var out struct {
		Results map[string]struct {
			Error  string
			Frames []struct{ Data struct{ Values [][]any } }
		}
	}
	if err := g.call(ctx, "/api/ds/query", in, &out); err != nil {
		return false, err
	}
	var errs []error
	for _, r := range out.Results {
		if r.Error != "" {
			errs = append(errs, fmt.Errorf("%.160s", r.Error))
		}
		for _, frame := range r.Frames {
			if v := frame.Data.Values; len(v) > 0 && slices.ContainsFunc(v[len(v)-1], func(x any) bool { return x != nil }) {
				return true, nil
			}
		}
	}
	return false, errors.Join(errs...)
}

// call asks Grafana: GET, or POST when in is given.
func (g Grafana) call(ctx context.Context, path string, in, out any) error {
	method, body := http.MethodGet, []byte(nil)
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(g.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return bare(err)
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if g.Token != "" {
		req.Header.Set("Authorization", "Bearer "+g.Token)
	}
	client := *g.Client
	client.CheckRedirect = sameHost
	resp, err := client.Do(req)
	if err != nil {
		return bare(err)
	}
	defer resp.Body.Close()
	text, err := readAll(resp.Body, 8*maxBody)
	if err != nil {
		return err
	}
	// A query that failed for one of several is answered with 207 or 400 and the
	// results of all.
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusMultiStatus {
		var said struct{ Message string }
		_ = json.Unmarshal(text, &said)
		return fmt.Errorf("status %d %.160s", resp.StatusCode, said.Message)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return errors.New("the answer is not what Grafana's API says")
	}
	return nil
}

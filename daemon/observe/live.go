package observe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/probe"
)

// Live asks the sources of a real deployment. What is nil is not configured, and says
// so in its answer: a check of it is unknown, with the way out.
type Live struct {
	// Targets lists the instances that have a role ("" for all), as known now.
	Targets  func(ctx context.Context, role string) ([]probe.Target, error)
	HTTP     *probe.HTTP
	Redis    *probe.Redis
	Log      *probe.Log
	Grafana  *probe.Grafana
	Docker   *probe.Docker
	Streams  *probe.StreamCanary
	Alerts   *probe.AlertCanary
	Commands *probe.Command
}

// Probe implements Prober.
func (l *Live) Probe(ctx context.Context, c *plan.Check, query string, from, to time.Time) plan.Observation {
	results, err := l.ask(ctx, c, query, from, to)
	return observation(c.Source.Language, results, err)
}

func (l *Live) ask(ctx context.Context, c *plan.Check, query string, from, to time.Time) ([]probe.Result, error) {
	switch c.Source.Language {
	case plan.SourceHTTP:
		return l.http(ctx, c, query)
	case plan.SourceRedis:
		if l.Redis == nil {
			return nil, notConfigured("Redis", wire.EnvRedisURL)
		}
		a, err := probe.ParseAsk(query)
		if err != nil {
			return nil, err
		}
		return l.Redis.Do(ctx, a), nil
	case plan.SourceLog:
		return l.log(ctx, c, query, from, to)
	case plan.SourceGrafana:
		if l.Grafana == nil {
			return nil, notConfigured("Grafana", "hypercare.grafana")
		}
		uids, err := dashboards(query)
		if err != nil {
			return nil, err
		}
		return l.Grafana.Look(ctx, uids, to), nil
	case plan.SourceDocker:
		if l.Docker == nil {
			return nil, notConfigured("a container engine", "hypercare.docker")
		}
		a, err := probe.ParseContainers(query)
		if err != nil {
			return nil, err
		}
		return l.Docker.Look(ctx, a, to), nil
	case plan.SourceCanary:
		return l.canary(ctx, query, to)
	case plan.SourceCommand:
		if l.Commands == nil {
			return nil, notConfigured("the command "+c.Source.Run, "hypercare.commands")
		}
		return l.Commands.Run(ctx, c.Source.Run), nil
	}
	return nil, fmt.Errorf("source %q is not known", c.Source.Language)
}

// dashboards reads the text of a grafana source; the word dashboards alone means all.
func dashboards(query string) ([]string, error) {
	if strings.TrimSpace(query) == "dashboards" {
		query = ""
	}
	return probe.ParseDashboards(query)
}

func notConfigured(what, where string) error {
	return fmt.Errorf("%s is not configured (%s)", what, where)
}

// targets resolves "executors", "gateways", "observers" and "all".
func (l *Live) targets(ctx context.Context, each string) ([]probe.Target, error) {
	roles := map[string]string{
		"executors": wire.RoleExecutor, "gateways": wire.RoleGateway, "observers": wire.RoleObserver, "all": "", "": "",
	}
	role, ok := roles[strings.TrimPrefix(each, "targets.")]
	if !ok {
		return nil, fmt.Errorf("each=%q: there are executors, gateways, observers, all", each)
	}
	return l.Targets(ctx, role)
}

func (l *Live) http(ctx context.Context, c *plan.Check, query string) ([]probe.Result, error) {
	r, err := probe.ParseRequest(query)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(c.Source.Each, "http://") || strings.HasPrefix(c.Source.Each, "https://") {
		return l.HTTP.Do(ctx, r, []probe.Target{{Name: c.Source.Each, URL: strings.TrimSuffix(c.Source.Each, "/")}}), nil
	}
	targets, err := l.targets(ctx, c.Source.Each)
	if err != nil {
		return nil, err
	}
	return l.HTTP.Do(ctx, r, targets), nil
}

func (l *Live) log(ctx context.Context, c *plan.Check, query string, from, to time.Time) ([]probe.Result, error) {
	m, err := probe.ParseMatch(query)
	if err != nil {
		return nil, err
	}
	targets, err := l.targets(ctx, c.Source.Each)
	if err != nil {
		return nil, err
	}
	if from.IsZero() {
		from = to.Add(-5 * time.Minute)
	}
	return l.Log.Count(ctx, m, from, to, targets), nil
}

func (l *Live) canary(ctx context.Context, query string, to time.Time) ([]probe.Result, error) {
	a, err := probe.ParseCanary(query)
	if err != nil {
		return nil, err
	}
	if a.Stream {
		if l.Streams == nil {
			return nil, notConfigured("the streams' canary", "role observer")
		}
		return l.Streams.Sample(to), nil
	}
	executors, err := l.Targets(ctx, wire.RoleExecutor)
	if err != nil {
		return nil, err
	}
	return l.Alerts.Walk(ctx, a, executors), nil
}

// observation turns the answers of targets into one. A target that did not answer is
// a series with the field "error"; when none answered, there is no observation.
func observation(language string, results []probe.Result, err error) plan.Observation {
	o := plan.Observation{Coverage: -1, Events: -1, Engine: language}
	if err != nil {
		o.Err = err.Error()
		return o
	}
	h := sha256.New()
	failed := 0
	for _, r := range results {
		s := plan.Series{Name: r.Target, Fields: map[string]plan.Value{}}
		for name, v := range r.Fields {
			s.Fields[name] = plan.Value{Num: v.Num, Text: v.Text, IsText: v.IsText}
		}
		if r.Err != nil {
			failed++
			s.Fields["error"] = plan.Text(r.Err.Error())
			if language == plan.SourceHTTP { // no answer is an answer: the status says 0
				s.Fields["status"] = plan.Number(0)
				failed--
			}
		}
		for _, name := range sortedNames(s.Fields) {
			fmt.Fprintf(h, "%s\t%s\t%s\n", s.Name, name, s.Fields[name])
		}
		o.Series = append(o.Series, s)
	}
	o.Digest = hex.EncodeToString(h.Sum(nil))
	if failed > 0 && failed == len(results) {
		o.Series, o.Err = nil, results[0].Target+": "+results[0].Err.Error()
	}
	return o
}

func sortedNames(m map[string]plan.Value) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// maxPoints is what a Prometheus server computes for one series.
const maxPoints = 11_000

// querying are the flags of "query".
type querying struct {
	at   string
	span string
	step string
	json bool
}

func (p *program) queryCommand() *cobra.Command {
	var q querying
	cmd := &cobra.Command{
		Use:   "query PROMQL",
		Short: "Evaluate PromQL over the samples of the observer",
		Long: `Evaluate PromQL over the samples of the observer, at one time or over a range. Values
are printed with every digit that the engine gives, series in its order.

Exit codes: 0 done, also without a series; 1 refused, for example because the query is
wrong; 2 misused, 3 the observer cannot be reached.`,
		Example: `  spark-tui query up
  spark-tui query 'sum(rate(notifications_sent_total[5m]))' --at -2h
  spark-tui query 'leader_epoch' --range 1h --step 1m
  spark-tui query alerts_active --json | jq '.data.result'`,
		Args: p.oneArgument("query, in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error { return p.query(cmd.Context(), args[0], q) },
	}
	f := cmd.Flags()
	f.StringVar(&q.at, "at", "", "time, or end of the range (default now): "+whenHelp)
	f.StringVar(&q.span, "range", "", "length of the range, such as 1h or 2d (default: one time)")
	f.StringVar(&q.step, "step", "", "distance of the points of a range (default: what gives about 240)")
	f.BoolVar(&q.json, "json", false, "print the answer of the Prometheus API as it is")
	p.commonFlags(cmd)
	return cmd
}

// prometheus is an answer of the Prometheus HTTP API.
type prometheus struct {
	Status   string   `json:"status"`
	Error    string   `json:"error"`
	Warnings []string `json:"warnings"`
	Data     struct {
		Type   string          `json:"resultType"`
		Result json.RawMessage `json:"result"`
	} `json:"data"`
}

// series is one of a vector, which has a Value, or of a matrix, which has Values.
// Histograms are left as they came.
type series struct {
	Metric     map[string]string `json:"metric"`
	Value      *point            `json:"value"`
	Values     []point           `json:"values"`
	Histogram  json.RawMessage   `json:"histogram"`
	Histograms []json.RawMessage `json:"histograms"`
}

// point is a time in seconds, as it was written, and a value.
type point struct {
	at    json.Number
	value string
}

// UnmarshalJSON reads [seconds, "value"].
func (v *point) UnmarshalJSON(text []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a point has a time and a value, this one %d parts", len(pair))
	}
	return errors.Join(json.Unmarshal(pair[0], &v.at), json.Unmarshal(pair[1], &v.value))
}

// call checks the flags and returns path and parameters.
func (q querying) call(promql string, now time.Time) (string, url.Values, error) {
	at, values := now, url.Values{"query": {promql}}
	if q.at != "" {
		var err error
		if at, err = parseWhen(q.at, now); err != nil {
			return "", nil, misuse("--at %q: %v", q.at, err)
		}
	}
	if q.span == "" {
		if q.step != "" {
			return "", nil, misuse("--step belongs to --range")
		}
		if q.at != "" {
			values.Set("time", seconds(at))
		}
		return wire.PathQuery, values, nil
	}
	span, err := parseSpan(q.span)
	if err != nil {
		return "", nil, misuse("--range: %v", err)
	}
	step := max(span/240, time.Second).Round(time.Second)
	if q.step != "" {
		if step, err = parseSpan(q.step); err != nil {
			return "", nil, misuse("--step: %v", err)
		}
	}
	if span/step >= maxPoints {
		return "", nil, misuse("--range %s with --step %s are more than %d points", q.span, q.step, maxPoints)
	}
	values.Set("start", seconds(at.Add(-span)))
	values.Set("end", seconds(at))
	values.Set("step", strconv.FormatFloat(step.Seconds(), 'f', -1, 64))
	return wire.PathQueryRange, values, nil
}

func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

func (p *program) query(ctx context.Context, promql string, q querying) error {
	path, values, err := q.call(promql, time.Now())
	if err != nil {
		return err
	}
	o, err := p.observer()
	if err != nil {
		return err
	}
	body, err := o.ask(ctx, http.MethodGet, path+"?"+values.Encode(), nil, reportTimeout)
	if err != nil {
		return err
	}
	var a prometheus
	if err := parse(path, body, &a); err != nil {
		return err
	}
	if a.Status != "success" {
		return fmt.Errorf("refused: %s", a.Error)
	}
	if q.json {
		_, err := p.stdout.Write(append(plainJSON(bytes.TrimRight(body, "\n")), '\n'))
		return err
	}
	for _, w := range a.Warnings {
		fmt.Fprintf(p.stderr, "spark-tui: warning: %s\n", safetext.Clean(w))
	}
	return a.print(p.stdout, p.stderr)
}

// print writes the result as a table. Labels are cleaned; values are what the engine
// wrote.
func (a *prometheus) print(w, notes io.Writer) error {
	if a.Data.Type == "scalar" || a.Data.Type == "string" {
		var v point
		if err := json.Unmarshal(a.Data.Result, &v); err != nil {
			return fmt.Errorf("answer unreadable: %w", err)
		}
		_, err := fmt.Fprintln(w, safetext.Clean(v.value))
		return err
	}
	var all []series
	if err := json.Unmarshal(a.Data.Result, &all); err != nil {
		return fmt.Errorf("answer unreadable: %w", err)
	}
	if len(all) == 0 {
		fmt.Fprintln(notes, "spark-tui: no series")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "TIME\tVALUE\tSERIES")
	for _, s := range all {
		name := safetext.Clean(seriesName(s.Metric))
		if s.Value != nil {
			s.Values = append(s.Values, *s.Value)
		}
		for _, v := range s.Values {
			fmt.Fprintf(t, "%s\t%s\t%s\n", clock(v.at), safetext.Clean(v.value), name)
		}
		if len(s.Histogram) > 0 {
			s.Histograms = append(s.Histograms, s.Histogram)
		}
		for _, h := range s.Histograms {
			fmt.Fprintf(t, "\t%s\t%s\n", safetext.Clean(string(h)), name)
		}
	}
	return t.Flush()
}

// clock prints seconds since 1970 in UTC, with milliseconds where there are some.
func clock(n json.Number) string {
	v, err := n.Float64()
	if err != nil {
		return "?"
	}
	t := time.UnixMilli(int64(v*1000 + 0.5)).UTC()
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}

// seriesName writes a metric as PromQL does.
func seriesName(metric map[string]string) string {
	var labels []string
	for _, k := range slices.Sorted(maps.Keys(metric)) {
		if k != "__name__" {
			labels = append(labels, k+"="+strconv.Quote(metric[k]))
		}
	}
	name := metric["__name__"]
	if len(labels) > 0 || name == "" {
		name += "{" + strings.Join(labels, ", ") + "}"
	}
	return name
}

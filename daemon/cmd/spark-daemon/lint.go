package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon"
	"github.com/spark-ta/spark/daemon/observe/probe"
	samples "github.com/spark-ta/spark/daemon/observe/sample"
	"github.com/spark-ta/spark/runbooks"
)

// lintOptions are what this program knows of the names in a plan.
func lintOptions(o daemon.Options) plan.LintOptions {
	out := plan.LintOptions{
		Metrics: metricExists, Syntax: syntax, Newer: samples.NewerSyntax, Remote: o.PrometheusURL != "",
		Environment: known(settingNames()), Probe: readProbe,
		Runbooks: func(file string) bool {
			_, err := fs.Stat(runbooks.Files(), path.Clean(file))
			return err == nil
		},
	}
	if len(o.Hypercare.Commands) > 0 {
		out.Commands = known(slices.Collect(maps.Keys(o.Hypercare.Commands)))
	}
	if table, err := coverageOf(); err == nil {
		out.Seen = func(id string) (failed, unknown bool) {
			for _, c := range table.Checks {
				if c.ID == id {
					return len(c.Fail) > 0, len(c.Unknown) > 0
				}
			}
			return false, false
		}
	}
	return out
}

// metricExists knows the metrics of the contract, those of the observer, and those
// that every Go process has.
func metricExists(name string) bool {
	for _, prefix := range []string{"go_", "process_", "promhttp_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	if slices.Contains(wire.Recorded(), name) {
		return true
	}
	for _, m := range wire.Metrics() {
		if m.Name == name {
			return true
		}
		if rest, ok := strings.CutPrefix(name, m.Name); ok && m.Kind == wire.Histogram && slices.Contains([]string{"_bucket", "_sum", "_count"}, rest) {
			return true
		}
	}
	return false
}

// syntax reads PromQL with the engine that answers it.
func syntax(expr string) (metrics []string, pos int, err error) {
	metrics, err = samples.Parse(expr)
	var wrong *samples.SyntaxError
	if errors.As(err, &wrong) {
		return nil, offsetOf(expr, wrong.Line, wrong.Column), errors.New(wrong.Msg)
	}
	return metrics, -1, err
}

// offsetOf turns a line and a column, both from 1, columns in characters, into bytes.
func offsetOf(text string, line, column int) int {
	at := 0
	for range line - 1 {
		next := strings.IndexByte(text[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	n := 1
	for i := range text[at:] {
		if n == column {
			return at + i
		}
		n++
	}
	return len(text)
}

// readProbe reads the text of a source that is no query.
func readProbe(language, query string) (err error) {
	switch language {
	case plan.SourceHTTP:
		_, err = probe.ParseRequest(query)
	case plan.SourceRedis:
		_, err = probe.ParseAsk(query)
	case plan.SourceLog:
		_, err = probe.ParseMatch(query)
	case plan.SourceGrafana:
		if strings.TrimSpace(query) != "dashboards" { // the word for all of them
			_, err = probe.ParseDashboards(query)
		}
	case plan.SourceDocker:
		_, err = probe.ParseContainers(query)
	case plan.SourceCanary:
		_, err = probe.ParseCanary(query)
	}
	return err
}

// callObserver posts to an observer. A refusal becomes its sentence.
func callObserver(ctx context.Context, url, token string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 6*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	var refused wire.Error
	switch {
	case resp.StatusCode == http.StatusOK:
		return json.Unmarshal(text, out)
	case json.Unmarshal(text, &refused) == nil && refused.Error != "":
		return fmt.Errorf("%s: %s", refused.Code, refused.Error)
	}
	return fmt.Errorf("%s answers %d: %.300s", url, resp.StatusCode, text)
}

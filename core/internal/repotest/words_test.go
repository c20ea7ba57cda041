package repotest

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go/ast"
)

// metricWord finds words of the families of our metrics anywhere in a document:
// in code spans, in shell and PromQL blocks, in the JSON of a dashboard, and in
// prose, where a name with underscores is nothing else either; and words that end
// as the field's counters, durations and sizes do, except those that clients of
// Prometheus bring along. The groups are what stands before and after the word,
// which decide whether it is one.
var metricWord = regexp.MustCompile(`(^|[^A-Za-z0-9_])((?:alerts?|leader|notifications?|outbox|streams?|market|scheduler|redis|log_records|copilot|spark|sse)_[a-z0-9_]*|[a-z][a-z0-9_]*_(?:total|seconds|bytes|bucket))([^A-Za-z0-9_]|$)`)

// notMetrics are words of these shapes that are something else.
var notMetrics = map[string]string{
	"alert_id": "log attribute",
	"event_id": "log attribute",
}

// checkMetricNames wants every metric name in documents, dashboards, rules and
// plans to exist in core/wire. A name that ends in an underscore, as in the
// search "grep notifications_", stands for all that begin so.
func checkMetricNames(t *tree) []finding {
	var out []finding
	for _, p := range t.documents() {
		n := 0
		for line := range strings.Lines(t.texts[p]) {
			n++
			for _, w := range metricWords(p, strings.TrimSuffix(line, "\n")) {
				if !t.knows(w) {
					out = append(out, finding{p, n, fmt.Sprintf("metric %s does not exist in core/wire", w)})
				}
			}
		}
	}
	return out
}

// metricWords returns the words of a line that name metrics.
func metricWords(file, line string) []string {
	var out []string
	for rest := 0; ; {
		m := metricWord.FindStringSubmatchIndex(line[rest:])
		if m == nil {
			return out
		}
		before, word, after := line[rest:][m[2]:m[3]], line[rest:][m[4]:m[5]], line[rest:][m[5]:]
		rest += m[5]
		yaml := path.Ext(file) == ".yaml" || path.Ext(file) == ".yml"
		switch {
		case strings.ContainsAny(before, "/.-$@%"): // a path, a host, an option, a variable
		case len(after) > 1 && after[0] == '.' && after[1] >= 'a' && after[1] <= 'z': // a file
		case strings.HasPrefix(after, "/"), strings.HasPrefix(after, "-"): // a path, a host
		case yaml && strings.HasPrefix(after, ":") && strings.Trim(line[:rest-len(word)], " -") == "": // a key
		case yaml && strings.HasPrefix(after, ":/"): // a volume
		case notMetrics[word] != "", strings.HasPrefix(word, "go_"), strings.HasPrefix(word, "process_"):
		default:
			out = append(out, word)
		}
	}
}

func (t *tree) knows(word string) bool {
	if strings.HasSuffix(word, "_") {
		return slices.ContainsFunc(t.series, func(s string) bool { return strings.HasPrefix(s, word) })
	}
	return slices.Contains(t.series, word)
}

// documents returns the files whose words are checked: the README, the documents,
// the runbooks and whatever is deployed.
func (t *tree) documents() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for p := range maps.Keys(t.texts) {
			goCode := strings.HasSuffix(p, ".go")
			if p == "README.md" || within(p, "docs") || within(p, "daemon/deploy") || within(p, "runbooks") {
				if !goCode && !yield(p) {
					return
				}
			}
		}
	})
}

// envWord finds words that look like variables of ours: the first part is one that
// our variables begin with.
var envWord = regexp.MustCompile(`\b(?:SPARK|EXECUTOR|WEB|OBSERVER|REDIS|SCHEDULER|ALERTS?|MARKET|BINANCE|MARKETDATA|TELEGRAM|NOTIFY|MAX_SSE|ESCALATION|TRUSTED|LOG|PROMETHEUS)_[A-Z0-9_]+\b`)

// envFile names the environment variables.
const envFile = "core/wire/env.go"

// checkEnvNames wants every environment variable in documents, the Makefile and
// whatever is deployed to exist in core/wire/env.go.
func checkEnvNames(t *tree) []finding {
	known := t.envNames()
	var out []finding
	for _, p := range append(t.documents(), "Makefile") {
		n := 0
		for line := range strings.Lines(t.texts[p]) {
			n++
			for _, w := range envWord.FindAllString(line, -1) {
				if !known[w] {
					out = append(out, finding{p, n, fmt.Sprintf("variable %s does not exist in %s", w, envFile)})
				}
			}
		}
	}
	return out
}

// envNames returns the values of the constants of envFile.
func (t *tree) envNames() map[string]bool {
	names := map[string]bool{}
	for _, f := range t.goFiles {
		if f.path != envFile {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				for _, v := range spec.Values {
					if lit, ok := v.(*ast.BasicLit); ok {
						if s, err := strconv.Unquote(lit.Value); err == nil {
							names[s] = true
						}
					}
				}
			}
			return true
		})
	}
	return names
}

package repotest

import (
	"slices"
	"strings"
	"testing"
)

func TestMetricNamesExist(t *testing.T) {
	harvest(t, checkMetricNames, []plant{
		{"code span, shell, PromQL, prose, dashboard, rule", map[string]string{
			"README.md":                    "see `alerts_activ`\n\n```\ncurl x | grep alerts_errors_total\n```\n",
			"docs/a.md":                    "sum(rate(notifications_sent_total{channel=\"webhook\"}[5m])) / sum(notifications_sent)\nor streams_connected in prose\n",
			"docs/deep/b.md":               "`alerts_active_count` `stream_delivery_seconds_bucket` `leader_flag`\n",
			"daemon/deploy/grafana/d.json": "{\"expr\": \"max(alerts_active) + outbox_dept\"}\n",
			"daemon/deploy/rules.yaml":     "- expr: redis_up == 0\n",
			"runbooks/r.md":                "spark_build_infos, copilot_action, log_records\n",
		}, []string{
			"README.md:1: metric alerts_activ does not exist in core/wire",
			"README.md:4: metric alerts_errors_total does not exist in core/wire",
			"daemon/deploy/grafana/d.json:1: metric outbox_dept does not exist in core/wire",
			"daemon/deploy/rules.yaml:1: metric redis_up does not exist in core/wire",
			"docs/a.md:1: metric notifications_sent does not exist in core/wire",
			"docs/a.md:2: metric streams_connected does not exist in core/wire",
			"docs/deep/b.md:1: metric alerts_active_count does not exist in core/wire",
			"docs/deep/b.md:1: metric leader_flag does not exist in core/wire",
			"runbooks/r.md:1: metric spark_build_infos does not exist in core/wire",
			"runbooks/r.md:1: metric copilot_action does not exist in core/wire",
		}},
		{"neighbours, two in a row", map[string]string{"docs/a.md": "`alerts_x`,`alerts_y` alerts_z alerts_active\n"}, []string{
			"docs/a.md:1: metric alerts_x does not exist in core/wire",
			"docs/a.md:1: metric alerts_y does not exist in core/wire",
			"docs/a.md:1: metric alerts_z does not exist in core/wire",
		}},
		{"beginnings", map[string]string{"docs/a.md": "grep notifications_ and `alerts_*` but grep scheduler_\n"}, []string{
			"docs/a.md:1: metric scheduler_ does not exist in core/wire",
		}},
		{"other families by their endings", map[string]string{
			"docs/a.md":     "`sse_clients` `fsync_seconds` spark_flights go_gc_duration_seconds process_cpu_seconds_total\n",
			"runbooks/r.md": "rate(deliveries_total[5m])\n",
		}, []string{
			"docs/a.md:1: metric sse_clients does not exist in core/wire",
			"docs/a.md:1: metric fsync_seconds does not exist in core/wire",
			"docs/a.md:1: metric spark_flights does not exist in core/wire",
			"runbooks/r.md:1: metric deliveries_total does not exist in core/wire",
		}},
		{"files, hosts, paths, variables, keys", map[string]string{
			"docs/a.md":                  "`alerts_test.go` core/alert_x/y a-redis_x $redis_url --stream_x `alert_id` my_alerts_x\n",
			"daemon/deploy/compose.yaml": "volumes:\n  redis_data: {}\n  - redis_data:/data\n",
			"runbooks/runbooks.go":       "package runbooks\n// alerts_nonsense\n",
			"core/wire/doc.md":           "alerts_nonsense\n",
		}, nil},
	})
}

func TestEnvironmentNamesExist(t *testing.T) {
	env := "package wire\n\nconst (\n\tEnvRoles = \"SPARK_ROLES\"\n\tEnvRedisURL = \"REDIS_URL\"\n)\n"
	harvest(t, checkEnvNames, []plant{{"documents, Makefile, deployment", map[string]string{
		"core/wire/env.go":           env,
		"README.md":                  "`SPARK_ROLES=executor` and `SPARK_ROLE`; CGO_ENABLED=0, INVALID_INPUT\n",
		"Makefile":                   "run:\n\tREDIS_URI=x MY_REDIS_X=1 bin/spark-daemon\n",
		"daemon/deploy/compose.yaml": "environment:\n  REDIS_URL: redis://redis\n  SCHEDULER_LEASE: 35\n",
	}, []string{
		"README.md:1: variable SPARK_ROLE does not exist in core/wire/env.go",
		"daemon/deploy/compose.yaml:3: variable SCHEDULER_LEASE does not exist in core/wire/env.go",
		"Makefile:2: variable REDIS_URI does not exist in core/wire/env.go",
	}}})
}

func TestLinksLeadSomewhere(t *testing.T) {
	harvest(t, checkLinks, []plant{
		{"faults", map[string]string{
			"README.md": "[a](docs/a.md) [b](docs/missing.md)\n[c](docs/a.md#two-words) [d](docs/a.md#three)\n[e](#here)\n\n[ref]: docs/gone.md\n",
			"docs/a.md": "# Two *words*!\n[up](../README.md) [out](../../x) [top](/docs/nothing)\n",
		}, []string{
			"README.md:1: link docs/missing.md: no such file: docs/missing.md",
			"README.md:2: link docs/a.md#three: no such heading in docs/a.md",
			"README.md:3: link #here: no such heading in README.md",
			"README.md:5: link docs/gone.md: no such file: docs/gone.md",
			"docs/a.md:2: link ../../x: leads out of the repository",
			"docs/a.md:2: link /docs/nothing: no such file: docs/nothing",
		}},
		{"elsewhere, in code, folders, repeated headings", map[string]string{
			"README.md": "[w](https://example.com/x) [m](mailto:a@example.com) `[c](no.md)` [d](docs) [f](docs/a.md \"title\")\n" +
				"```\n[g](no.md)\n# Not a heading\n```\n# One\n# One\n[h](#one-1)\n",
			"docs/a.md": "text\n",
		}, nil},
	})
}

func TestAnchorsAreMadeAsGitHubDoes(t *testing.T) {
	got := anchors("# The `core` walls (4)\n## [Link](x.md) & more\n### Überschrift\n<a id=\"own\"></a>\n## snake_case-and dash ##\n")
	want := []string{"the-core-walls-4", "link--more", "überschrift", "own", "snake_case-and-dash"}
	if !slices.Equal(got, want) {
		t.Errorf("anchors = %q, want %q", got, want)
	}
}

func TestModFileHasNeitherReplaceNorTool(t *testing.T) {
	tr := plant{files: map[string]string{
		"go.mod": "module example.com/m\n\nrequire example.com/tool v1.0.0\n\nreplace a => b\nreplace (\n\tc => d\n)\ntool example.com/x\ntool(\n)\n",
	}}.grow(t)
	var got []string
	for _, f := range checkModFile(tr) {
		got = append(got, f.String())
	}
	want := []string{
		"go.mod:5: go.mod has no replace lines", "go.mod:6: go.mod has no replace lines",
		"go.mod:9: go.mod has no tool lines", "go.mod:10: go.mod has no tool lines",
	}
	if !slices.Equal(got, want) {
		t.Errorf("findings = %q, want %q", got, want)
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	tr := plant{files: map[string]string{
		"pkg/x.go": "package pkg\n", ".gitignore": "/bin/\n*.prof\n", "bin/spark": "ignored", "cpu.prof": "ignored", ".ci/run": "",
	}}.grow(t)
	got := checkTopLevel(tr)
	if len(got) != 1 || !strings.HasPrefix(got[0].String(), "pkg:1: the top level is fixed: daemon tui core") {
		t.Errorf("findings = %v, want one for pkg", got)
	}
}

func TestMachinePathsAndRegistriesAreFound(t *testing.T) {
	home, registry := "/ho"+"me/", "pro"+"xy.golang.org"
	harvest(t, checkPaths, []plant{
		{"anywhere", map[string]string{
			"docs/a.md":       "fine\nsee " + home + "ann/spark\n",
			".ci/run":         "export GOPROXY=https://" + registry + "\n",
			"core/a/a.go":     "package a\n\nconst x = \"/ro" + "ot/x\"\n",
			"core/testdata/x": "/wo" + "rk/main\n",
		}, []string{
			".ci/run:1: host of a registry: " + registry,
			"core/a/a.go:3: path of a machine: /ro" + "ot/",
			"core/testdata/x:1: path of a machine: /wo" + "rk/",
			"docs/a.md:2: path of a machine: " + home,
		}},
		{"parts of addresses and longer paths", map[string]string{
			"docs/a.md": "https://example.com" + home + " var" + home + "x ~" + home + "\n",
			"bin/x":     "",
		}, nil},
	})
}

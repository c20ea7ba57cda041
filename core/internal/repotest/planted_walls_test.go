package repotest

import (
	"slices"
	"testing"
	"testing/fstest"
)

// A plant is a small tree with faults, and the findings that they must cause.
type plant struct {
	name  string
	files map[string]string
	want  []string
}

// grow reads the tree of a plant.
func (p plant) grow(t *testing.T) *tree {
	t.Helper()
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module example.com/m\n\ngo 1.26\n")}}
	for name, text := range p.files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tr, err := load(fsys, []string{
		"alerts_active", "notifications_sent_total",
		"stream_delivery_seconds", "stream_delivery_seconds_bucket", "stream_delivery_seconds_sum", "stream_delivery_seconds_count",
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func harvest(t *testing.T, check func(*tree) []finding, plants []plant) {
	t.Helper()
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			var got []string
			for _, f := range check(p.grow(t)) {
				got = append(got, f.String())
			}
			if !slices.Equal(got, p.want) {
				t.Errorf("findings = %q, want %q", got, p.want)
			}
		})
	}
}

// imports returns a file of the package that imports the paths, from line 2 on.
func imports(pkg string, paths ...string) string {
	text := "package " + pkg + "\n"
	for _, p := range paths {
		text += "import _ \"" + p + "\"\n"
	}
	return text
}

func TestCoreStaysPure(t *testing.T) {
	harvest(t, checkCoreImports, []plant{
		{"I/O of the standard library", map[string]string{
			"core/a/a.go": imports("a", "strings", "os", "os/exec", "net/http", "log/slog", "io/fs", "path/filepath"),
		}, []string{
			`core/a/a.go:3: core is pure and must not import "os"`,
			`core/a/a.go:4: core is pure and must not import "os/exec"`,
			`core/a/a.go:5: core is pure and must not import "net/http"`,
			`core/a/a.go:6: core is pure and must not import "log/slog"`,
			`core/a/a.go:8: core is pure and must not import "path/filepath"`,
		}},
		{"the programs, in code and in tests", map[string]string{
			"core/a/a.go":      imports("a", "example.com/m/core/b", "example.com/m/daemon/x"),
			"core/a/a_test.go": imports("a_test", "os", "example.com/m/tui", "example.com/m/runbooks"),
		}, []string{
			`core/a/a.go:3: core must not import daemon/x`,
			`core/a/a_test.go:3: core must not import tui`,
			`core/a/a_test.go:4: core must not import runbooks`,
		}},
		{"a library that is not on the list", map[string]string{
			"core/a/a.go": imports("a", "go.yaml.in/yaml/v3", "github.com/yuin/goldmark/ast", "github.com/yuin/goldmarkdown", "github.com/google/uuid"),
		}, []string{
			`core/a/a.go:4: core may not use the library github.com/yuin/goldmarkdown`,
			`core/a/a.go:5: core may not use the library github.com/google/uuid`,
		}},
		{"not below core", map[string]string{"daemon/a/a.go": imports("a", "os"), "coreutils/a.go": imports("a", "os")}, nil},
	})
}

func TestProgramsStayApart(t *testing.T) {
	harvest(t, checkTrees, []plant{
		{"each way, tests included", map[string]string{
			"daemon/a/a_test.go": imports("a_test", "example.com/m/tui/live"),
			"tui/t.go":           imports("tui", "example.com/m/daemon"),
			"runbooks/r.go":      imports("runbooks", "example.com/m/daemon/store"),
		}, []string{
			"daemon/a/a_test.go:2: daemon must not import tui/live: what both need belongs to core",
			"runbooks/r.go:2: runbooks must not import daemon/store: what both need belongs to core",
			"tui/t.go:2: tui must not import daemon: what both need belongs to core",
		}},
		{"core and names that only begin alike", map[string]string{
			"tui/t.go": imports("tui", "example.com/m/core/wire", "example.com/m/daemonic", "example.org/daemon"),
		}, nil},
	})
}

func TestComponentsDoNotKnowTheirSiblings(t *testing.T) {
	harvest(t, checkDaemonSiblings, []plant{
		{"a sibling, in code and in an inside test", map[string]string{
			"daemon/stream/s.go":      imports("stream", "example.com/m/core/wire", "example.com/m/daemon/lease"),
			"daemon/stream/s_test.go": imports("stream", "example.com/m/daemon/feed"),
		}, []string{
			"daemon/stream/s.go:3: daemon/stream must not import its sibling daemon/lease: only the package daemon wires them",
			"daemon/stream/s_test.go:2: daemon/stream must not import its sibling daemon/feed: only the package daemon wires them",
		}},
		{"a sibling below the same parent", map[string]string{
			"daemon/exchange/sim/s.go": imports("sim", "example.com/m/daemon/exchange", "example.com/m/daemon/exchange/binance"),
		}, []string{
			"daemon/exchange/sim/s.go:3: daemon/exchange/sim must not import its sibling daemon/exchange/binance: only the package daemon wires them",
		}},
		{"a store from a component", map[string]string{
			"daemon/engine/e.go": imports("engine", "example.com/m/daemon/store", "example.com/m/daemon/store/redis"),
		}, []string{
			"daemon/engine/e.go:3: daemon/engine must not import its sibling daemon/store/redis: only the package daemon wires them",
		}},
		{"the wiring", map[string]string{"daemon/api/a.go": imports("api", "example.com/m/daemon")}, []string{
			"daemon/api/a.go:2: daemon/api must not import the wiring: only daemon/cmd does",
		}},
		{"what is allowed", map[string]string{
			"daemon/daemon.go":              imports("daemon", "example.com/m/daemon/stream", "example.com/m/daemon/store/redis"),
			"daemon/cmd/d/main.go":          imports("main", "example.com/m/daemon", "example.com/m/daemon/exchange/sim"),
			"daemon/feed/f_test.go":         imports("feed_test", "example.com/m/daemon/exchange/sim"),
			"daemon/notify/webhook/w.go":    imports("webhook", "example.com/m/daemon/notify"),
			"daemon/outbox/o.go":            imports("outbox", "example.com/m/daemon/notify", "example.com/m/daemon/event"),
			"daemon/store/embedded/e.go":    imports("embedded", "example.com/m/daemon/store/redis"),
			"daemon/store/storetest/s.go":   imports("storetest", "example.com/m/daemon/store"),
			"daemon/notify/notifytest/n.go": imports("notifytest", "example.com/m/daemon/notify/webhook"),
			"daemon/chaos/c.go":             imports("main", "example.com/m/daemon/lease", "example.com/m/daemon/store/redis"),
		}, nil},
		{"a kit is no way around", map[string]string{"daemon/feedtest/f.go": imports("feedtest", "example.com/m/daemon/feed")}, []string{
			"daemon/feedtest/f.go:2: daemon/feedtest must not import its sibling daemon/feed: only the package daemon wires them",
		}},
	})
}

func TestScreensAreKnownToTheRootAlone(t *testing.T) {
	harvest(t, checkTUILayers, []plant{
		{"faults", map[string]string{
			"tui/live/l.go":            imports("live", "example.com/m/tui/ui"),
			"tui/ui/u.go":              imports("ui", "example.com/m/tui/screen/market"),
			"tui/chart/c.go":           imports("chart", "example.com/m/tui/ui", "example.com/m/tui/live"),
			"tui/screen/market/m.go":   imports("market", "example.com/m/tui", "example.com/m/tui/screen/overview"),
			"tui/cmd/spark-tui/m.go":   imports("main", "example.com/m/tui/live", "example.com/m/tui/screen/market"),
			"tui/screen/overview/o.go": imports("overview", "example.com/m/tui/cmd/spark-tui"),
		}, []string{
			"tui/chart/c.go:3: tui/chart must not import tui/live",
			"tui/cmd/spark-tui/m.go:3: tui/cmd/spark-tui must not import tui/screen/market: only the package tui knows screens",
			"tui/live/l.go:2: tui/live must not import tui/ui",
			"tui/screen/market/m.go:2: tui/screen/market must not import the wiring: only tui/cmd does",
			"tui/screen/market/m.go:3: tui/screen/market must not import tui/screen/overview: only the package tui knows screens",
			"tui/screen/overview/o.go:2: tui/screen/overview must not import tui/cmd/spark-tui",
			"tui/ui/u.go:2: tui/ui must not import tui/screen/market: only the package tui knows screens",
		}},
		{"what is allowed", map[string]string{
			"tui/t.go":               imports("tui", "example.com/m/tui/screen/market", "example.com/m/tui/live"),
			"tui/cmd/spark-tui/m.go": imports("main", "example.com/m/tui", "example.com/m/tui/live"),
			"tui/screen/market/m.go": imports("market", "example.com/m/tui/ui", "example.com/m/tui/chart", "example.com/m/tui/live", "example.com/m/core/wire"),
		}, nil},
	})
}

func TestLibrariesStayInTheirPlace(t *testing.T) {
	harvest(t, checkLibraries, []plant{
		{"faults", map[string]string{
			"daemon/engine/e.go":      imports("engine", "github.com/redis/go-redis/v9"),
			"daemon/engine/e_test.go": imports("engine", "github.com/alicebob/miniredis/v2"),
			"daemon/metrics.go":       imports("daemon", "github.com/prometheus/client_golang/prometheus", "github.com/prometheus/prometheus/promql"),
			"daemon/lease/l.go":       imports("lease", "github.com/redis/rueidis/rueidislock", "github.com/bsm/redislock"),
			"daemon/page/p.go":        imports("page", "charm.land/lipgloss/v2"),
			"daemon/stream/s.go":      imports("stream", "testing", "github.com/google/go-cmp/cmp"),
			"tui/t.go":                "package tui\nimport . \"fmt\"\n",
		}, []string{
			"daemon/metrics.go:3: only daemon/observe may import github.com/prometheus/prometheus",
			"daemon/engine/e.go:2: only daemon/store may import github.com/redis/go-redis",
			"daemon/engine/e_test.go:2: only daemon/store may import github.com/alicebob/miniredis",
			"daemon/lease/l.go:2: only daemon/chaos may import github.com/redis/rueidis",
			"daemon/lease/l.go:3: only daemon/chaos may import github.com/bsm/redislock",
			"daemon/page/p.go:2: only tui may import charm.land",
			"daemon/stream/s.go:2: testing is for tests and must not be linked into a binary",
			"daemon/stream/s.go:3: github.com/google/go-cmp/cmp is for tests and must not be linked into a binary",
			"tui/t.go:2: a dot import hides where names come from",
		}},
		{"what is allowed", map[string]string{
			"daemon/store/redis/r.go":     imports("redis", "github.com/redis/go-redis/v9"),
			"daemon/store/storetest/s.go": imports("storetest", "testing", "github.com/google/go-cmp/cmp"),
			"daemon/chaos_test.go":        imports("daemon_test", "github.com/redis/go-redis/v9"),
			"daemon/chaos/p.go":           imports("main", "github.com/redis/go-redis/v9", "github.com/redis/rueidis", "github.com/bsm/redislock"),
			"daemon/observe/o.go":         imports("observe", "github.com/prometheus/prometheus/promql"),
			"tui/ui/u.go":                 imports("ui", "charm.land/lipgloss/v2"),
		}, nil},
	})
}

package repotest

import (
	"path"
	"slices"
	"strings"
)

// impure are the packages of the standard library that core must not import, each
// with everything below it: they do I/O, or reach the machine's clock, log,
// processes or memory.
var impure = []string{
	"os", "net", "log", "io/ioutil", "syscall", "plugin", "path/filepath", "database/sql", "expvar",
	"runtime/pprof", "runtime/trace", "crypto/tls",
}

// coreLibraries are the libraries that core may import, each with everything below
// it. They neither do I/O nor read a clock.
var coreLibraries = []string{
	"github.com/yuin/goldmark",
	"go.yaml.in/yaml/v3",
	"golang.org/x/mod/sumdb/note",
}

// checkCoreImports is wall 1: core is pure. Its tests may do I/O, but know neither
// program.
func checkCoreImports(t *tree) []finding {
	var out []finding
	for _, f := range t.goFiles {
		if !within(f.dir, "core") {
			continue
		}
		for _, im := range f.imports {
			switch {
			case im.in && !within(im.rel, "core"):
				out = append(out, f.at(im.line, "core must not import %s", im.rel))
			case im.in || f.test:
			case standard(im.path) && anyWithin(im.path, impure):
				out = append(out, f.at(im.line, "core is pure and must not import %q", im.path))
			case !standard(im.path) && !anyWithin(im.path, coreLibraries):
				out = append(out, f.at(im.line, "core may not use the library %s", im.path))
			}
		}
	}
	return out
}

// checkTrees is wall 2: the programs know each other only through core/wire, and
// the shipped runbooks know neither.
func checkTrees(t *tree) []finding {
	apart := [][2]string{{"daemon", "tui"}, {"tui", "daemon"}, {"runbooks", "daemon"}, {"runbooks", "tui"}}
	var out []finding
	for _, f := range t.goFiles {
		for _, im := range f.imports {
			for _, p := range apart {
				if within(f.dir, p[0]) && im.in && within(im.rel, p[1]) {
					out = append(out, f.at(im.line, "%s must not import %s: what both need belongs to core", p[0], im.rel))
				}
			}
		}
	}
	return out
}

// nouns are the packages that any component of the daemon may import: what they
// share, without behaviour of a component.
var nouns = []string{"daemon/store", "daemon/notify", "daemon/event"}

// onlookers are tools that look at the product from outside: they may know every
// component and the libraries of their peers, are linked into no program that is
// shipped, and no package can import them, because each is a command.
var onlookers = []string{"daemon/chaos"}

// checkDaemonSiblings is wall 4 for the daemon: its root package and the commands
// wire the components; a component knows core, the nouns, and what it specialises.
// External tests may bring siblings together, and so may the onlookers.
func checkDaemonSiblings(t *tree) []finding {
	var out []finding
	for _, f := range t.goFiles {
		if !within(f.dir, "daemon") || f.dir == "daemon" || within(f.dir, "daemon/cmd") || f.outside || anyWithin(f.dir, onlookers) {
			continue
		}
		for _, im := range f.imports {
			switch {
			case !im.in || !within(im.rel, "daemon"):
			case im.rel == "daemon":
				out = append(out, f.at(im.line, "%s must not import the wiring: only daemon/cmd does", f.dir))
			case slices.Contains(nouns, im.rel), within(im.rel, f.dir), within(f.dir, im.rel):
			case within(f.dir, "daemon/observe/rehearse") && within(im.rel, "daemon/observe"): // the observer's parts, wired for virtual time
			case within(f.dir, "daemon/store") && within(im.rel, "daemon/store"): // one engine, two back ends, one kit
			case strings.HasSuffix(f.dir, "test") && within(im.rel, path.Dir(f.dir)) && path.Dir(f.dir) != "daemon":
			default:
				out = append(out, f.at(im.line, "%s must not import its sibling %s: only the package daemon wires them", f.dir, im.rel))
			}
		}
	}
	return out
}

// A layer lists what one part of the console may import of the console.
type layer struct {
	dir string
	may []string
}

// layers of the console. A screen is known to the root package alone.
var layers = []layer{
	{"tui/cmd", []string{"tui", "tui/live", "tui/ui"}}, // commands without a screen
	{"tui/screen", []string{"tui/ui", "tui/chart", "tui/live"}},
	{"tui/chart", []string{"tui/ui"}},
	{"tui/ui", nil},
	{"tui/live", nil},
}

// checkTUILayers is wall 4 for the console.
func checkTUILayers(t *tree) []finding {
	var out []finding
	for _, f := range t.goFiles {
		if !within(f.dir, "tui") || f.dir == "tui" {
			continue
		}
		own := slices.IndexFunc(layers, func(l layer) bool { return within(f.dir, l.dir) })
		for _, im := range f.imports {
			switch {
			case !im.in || !within(im.rel, "tui") || within(im.rel, f.dir):
			case within(im.rel, "tui/screen"):
				out = append(out, f.at(im.line, "%s must not import %s: only the package tui knows screens", f.dir, im.rel))
			case im.rel == "tui" && !within(f.dir, "tui/cmd"):
				out = append(out, f.at(im.line, "%s must not import the wiring: only tui/cmd does", f.dir))
			case own >= 0 && !layers[own].allows(im.rel):
				out = append(out, f.at(im.line, "%s must not import %s", f.dir, im.rel))
			}
		}
	}
	return out
}

// allows takes "tui" for the root package alone, and each other entry with what
// lies below it.
func (l layer) allows(rel string) bool {
	return slices.ContainsFunc(l.may, func(m string) bool { return rel == m || m != "tui" && within(rel, m) })
}

// homes are the only places of some libraries.
var homes = []struct {
	library string
	home    string
	tests   bool // external tests elsewhere may use it
}{
	{"github.com/redis/go-redis", "daemon/store", true},
	{"github.com/alicebob/miniredis", "daemon/store", true},
	{"github.com/redis/rueidis", "daemon/chaos", false},
	{"github.com/bsm/redislock", "daemon/chaos", false},
	{"github.com/prometheus/prometheus", "daemon/observe", false},
	{"charm.land", "tui", false},
	{"github.com/charmbracelet", "tui", false},
	{"github.com/guptarohit/asciigraph", "tui", false},
}

// testOnly are libraries, and the package testing, that never reach a binary.
// Packages whose name ends in test are kits for tests.
var testOnly = []string{
	"testing", "github.com/google/go-cmp", "github.com/tmaxmax/go-sse", "github.com/r3labs/sse",
	"github.com/markcheno/go-talib", "github.com/expr-lang/expr", "github.com/adshao/go-binance",
	"github.com/standard-webhooks/standard-webhooks", "github.com/anishathalye/porcupine",
	"github.com/charmbracelet/x/vt", "github.com/chromedp/chromedp", "github.com/rogpeppe/go-internal",
}

// checkLibraries is the rest of wall 4: Redis is known to the stores, Prometheus'
// engine to the observer, the terminal to the console, and test code is not
// linked into a binary.
func checkLibraries(t *tree) []finding {
	var out []finding
	for _, f := range t.goFiles {
		for _, im := range f.imports {
			for _, h := range homes {
				if within(im.path, h.library) && !within(f.dir, h.home) && !anyWithin(f.dir, onlookers) && (!h.tests || !f.outside) {
					out = append(out, f.at(im.line, "only %s may import %s", h.home, h.library))
				}
			}
			if !f.test && !strings.HasSuffix(f.dir, "test") && anyWithin(im.path, testOnly) {
				out = append(out, f.at(im.line, "%s is for tests and must not be linked into a binary", im.path))
			}
			if im.name == "." {
				out = append(out, f.at(im.line, "a dot import hides where names come from"))
			}
		}
	}
	return out
}

func anyWithin(p string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return within(p, d) })
}

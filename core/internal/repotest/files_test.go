package repotest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// checkModFile keeps go.mod free of replaced modules, which are a fork that nobody
// sees, and of tool lines: tools are pinned in the Makefile, and their hundreds of
// modules are none of ours.
func checkModFile(t *tree) []finding {
	var out []finding
	n := 0
	for line := range strings.Lines(t.texts["go.mod"]) {
		n++
		for _, word := range []string{"replace", "tool"} {
			if f := strings.Fields(line); len(f) > 0 && (f[0] == word || f[0] == word+"(") {
				out = append(out, finding{"go.mod", n, fmt.Sprintf("go.mod has no %s lines", word)})
			}
		}
	}
	return out
}

// topLevel is everything that may lie at the top of the repository.
var topLevel = []string{
	"daemon", "tui", "core", "docs", "runbooks", "go.mod", "go.sum", "Makefile", ".goreleaser.yaml",
	"README.md", "LICENSE", ".gitignore", ".ci",
}

// checkTopLevel keeps the top of the repository as agreed.
func checkTopLevel(t *tree) []finding {
	top := map[string]bool{}
	for p := range t.texts {
		first, _, _ := strings.Cut(p, "/")
		top[first] = true
	}
	var out []finding
	for _, p := range slices.Sorted(maps.Keys(top)) {
		if !slices.Contains(topLevel, p) {
			out = append(out, finding{p, 1, "the top level is fixed: " + strings.Join(topLevel, " ")})
		}
	}
	return out
}

// A path of somebody's machine, not as part of a longer path or an address. The
// expressions are put together so that this file does not break its own rule.
var machinePath = regexp.MustCompile(`(?:^|[^A-Za-z0-9_.~/-])/(?:wo` + `rk|ro` + `ot|ho` + `me|Us` + `ers)/`)

// Hosts that serve modules, packages and distributions. Whoever builds chooses
// them; a file that names one breaks behind a mirror.
var registryHost = regexp.MustCompile(`(?i)\b(?:proxy\.gol` + `ang\.org|sum\.gol` + `ang\.org|gopr` + `oxy\.[a-z]+|registry\.npm` + `js\.org|(?:files\.python` + `hosted|pypi)\.org|(?:deb|security|ftp)\.deb` + `ian\.org|(?:registry-1|index)\.dock` + `er\.io|(?:art` + `ifactory|nex` + `us)\.[a-z0-9.-]+)\b`)

// checkPaths keeps machine paths and registry hosts out of every text file.
func checkPaths(t *tree) []finding {
	var out []finding
	for _, p := range slices.Sorted(maps.Keys(t.texts)) {
		n := 0
		for line := range strings.Lines(t.texts[p]) {
			n++
			if m := machinePath.FindString(line); m != "" {
				out = append(out, finding{p, n, fmt.Sprintf("path of a machine: %s", m[strings.IndexByte(m, '/'):])})
			}
			if m := registryHost.FindString(line); m != "" {
				out = append(out, finding{p, n, fmt.Sprintf("host of a registry: %s", m)})
			}
		}
	}
	return out
}

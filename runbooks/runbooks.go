// Package runbooks holds what Spark ships for people to follow and for the observer to
// carry out: the plan of the first 48 hours, the go-live plan, the runbooks of the
// incidents that they point to, and in scenarios the rehearsals of the plans. The files
// are Markdown, read as they are on a screen; core/plan parses the plans.
//
// The plan hypercare.md holds every item and every command of the checklist by which a
// deployment is accepted (testdata/checklist.md), in its order and its words.
// coverage.md shows for each of them which check answers for it and by which signal.
// The tests of this package keep all of that so: an item, a command or a sentence that
// is lost fails, and so does an item that neither a machine nor a person answers for.
package runbooks

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed *.md scenarios
var files embed.FS

// Plan returns the text of the plan with the id, such as hypercare or go-live.
func Plan(id string) ([]byte, bool) {
	text, err := files.ReadFile(id + ".md")
	if err != nil || !strings.HasPrefix(kind(text), "hypercare-plan") && !strings.HasPrefix(kind(text), "go-live-plan") {
		return nil, false
	}
	return text, true
}

// kind is the value of the front matter's first line, which names the kind of a file.
func kind(text []byte) string {
	rest, ok := strings.CutPrefix(string(text), "---\nkind: ")
	if !ok {
		return ""
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// Files returns all files, by their paths relative to this directory.
func Files() fs.FS { return files }

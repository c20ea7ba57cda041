package repotest

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	inlineLink    = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)`)
	referenceLink = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s+<?(\S+?)>?\s*$`)
	schemeLink    = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
	codeSpan      = regexp.MustCompile("``[^`]*``|`[^`]*`")
	heading       = regexp.MustCompile(`^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$`)
	anchorTag     = regexp.MustCompile(`<a\s+(?:id|name)="([^"]+)"`)
	linkText      = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// checkLinks wants relative links of Markdown files to lead to a file or folder of
// the tree, and their anchors to a heading.
func checkLinks(t *tree) []finding {
	var out []finding
	for _, p := range slices.Sorted(maps.Keys(t.texts)) {
		if path.Ext(p) != ".md" || inTestdata(p) {
			continue
		}
		for n, line := range prose(t.texts[p]) {
			for _, target := range links(line) {
				if why := t.broken(p, target); why != "" {
					out = append(out, finding{p, n, fmt.Sprintf("link %s: %s", target, why)})
				}
			}
		}
	}
	return out
}

func links(line string) []string {
	line = codeSpan.ReplaceAllString(line, "")
	var out []string
	for _, m := range inlineLink.FindAllStringSubmatch(line, -1) {
		out = append(out, m[1])
	}
	if m := referenceLink.FindStringSubmatch(line); m != nil {
		out = append(out, m[1])
	}
	return out
}

// broken says why a link from the file leads nowhere, or "".
func (t *tree) broken(from, target string) string {
	if schemeLink.MatchString(target) || strings.HasPrefix(target, "//") {
		return "" // elsewhere: a test does not use the network
	}
	file, anchor, _ := strings.Cut(target, "#")
	to := from
	switch {
	case strings.HasPrefix(file, "/"):
		to = path.Clean(file[1:])
	case file != "":
		to = path.Join(path.Dir(from), file)
	}
	if strings.HasPrefix(to, "..") {
		return "leads out of the repository"
	}
	text, isFile := t.texts[to]
	if !isFile && !t.dirs[to] {
		return "no such file: " + to
	}
	if anchor != "" && path.Ext(to) == ".md" && !slices.Contains(anchors(text), anchor) {
		return "no such heading in " + to
	}
	return ""
}

// prose yields the lines outside fenced blocks with their numbers.
func prose(text string) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n, fence := 0, ""
		for line := range strings.Lines(text) {
			n++
			line = strings.TrimRight(line, "\r\n")
			bare := strings.TrimLeft(line, " ")
			switch {
			case fence != "" && strings.HasPrefix(bare, fence):
				fence = ""
			case fence != "":
			case strings.HasPrefix(bare, "```"), strings.HasPrefix(bare, "~~~"):
				fence = bare[:3]
			default:
				if !yield(n, line) {
					return
				}
			}
		}
	}
}

// anchors returns the names by which the headings of a text can be linked, made as
// GitHub makes them.
func anchors(text string) []string {
	var out []string
	seen := map[string]int{}
	for _, line := range prose(text) {
		for _, m := range anchorTag.FindAllStringSubmatch(line, -1) {
			out = append(out, m[1])
		}
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name := slug(m[1])
		if k := seen[name]; k > 0 {
			out = append(out, fmt.Sprintf("%s-%d", name, k))
		} else {
			out = append(out, name)
		}
		seen[name]++
	}
	return out
}

// slug keeps letters, digits, underscores and hyphens in lower case and turns
// spaces into hyphens.
func slug(title string) string {
	title = linkText.ReplaceAllString(title, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		default:
			return -1
		}
	}, title)
}

package plan

import (
	"strings"

	"github.com/spark-ta/spark/core/plan/markdown"
)

// Render returns a copy of the plan's Markdown for a report: each box as verdicts
// says, and the note, if there is one, in a paragraph of its own behind the item's
// first. The note is shown as text: it cannot add boxes, fences or options. The plan
// itself is never written to.
func Render(p *Plan, verdicts func(id string) (ticked bool, note string)) []byte {
	lines := strings.SplitAfter(p.Text, "\n")
	notes := map[int]string{} // by index of the line they follow
	for _, c := range p.Checks() {
		ticked, note := verdicts(c.ID)
		i := c.Line - 1
		if i < 0 || i >= len(lines) {
			continue
		}
		// What stands before a box is indentation and the mark of a list: a byte is
		// a character.
		if at := c.Column - 1; at >= 0 && at+2 < len(lines[i]) && lines[i][at] == '[' && lines[i][at+2] == ']' {
			box := "[ ]"
			if ticked {
				box = "[x]"
			}
			lines[i] = lines[i][:at] + box + lines[i][at+3:]
		}
		if note = markdown.Escape(note); note != "" {
			end := paragraphEnd(lines, i)
			indent := strings.Repeat(" ", max(2, c.Column-1))
			notes[end] += "\n" + indent + note + "\n"
			if end+1 < len(lines) && strings.TrimSpace(lines[end+1]) != "" {
				notes[end] += "\n"
			}
		}
	}
	var out strings.Builder
	for i, l := range lines {
		out.WriteString(l)
		if note := notes[i]; note != "" {
			if !strings.HasSuffix(l, "\n") {
				out.WriteByte('\n')
			}
			out.WriteString(note)
		}
	}
	return []byte(out.String())
}

// paragraphEnd returns the index of the last line of the paragraph that begins on
// line i: before a blank line, another item, a fence, a comment or a heading.
func paragraphEnd(lines []string, i int) int {
	for i+1 < len(lines) {
		next := strings.TrimSpace(lines[i+1])
		if next == "" || strings.HasPrefix(next, "```") || strings.HasPrefix(next, "~~~") || strings.HasPrefix(next, "<") ||
			strings.HasPrefix(next, "#") || strings.HasPrefix(next, ">") || markdown.StartsItem(next) {
			return i
		}
		i++
	}
	return i
}

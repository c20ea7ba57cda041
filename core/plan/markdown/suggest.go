package markdown

import (
	"fmt"
	"slices"
	"strings"
)

// Unknown says that a word is not one of those known, and which was probably meant.
func Unknown(what, word string, known []string) string {
	known = slices.Sorted(slices.Values(known))
	if near := Suggest(word, known); near != "" {
		return fmt.Sprintf("unknown %s %q: did you mean %s?", what, word, near)
	}
	if len(known) == 0 {
		return fmt.Sprintf("unknown %s %q: there are none here", what, word)
	}
	return fmt.Sprintf("unknown %s %q: there are %s", what, word, strings.Join(known, ", "))
}

// Suggest returns the known word that is nearest to word, or "" when none is near.
func Suggest(word string, known []string) string {
	best, limit := "", max(1, min(len(word), 12)/3)+1
	for _, k := range known {
		if n := distance(strings.ToLower(word), strings.ToLower(k)); n < limit {
			best, limit = k, n
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours
// that turn a into b (optimal string alignment). Words beyond 64 bytes are far.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

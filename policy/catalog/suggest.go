package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// Suggest says what to write instead of name: the most similar of the names that
// exist, or else what there is. existing may be in any order. It returns "" where
// nothing exists.
func Suggest(name string, existing []string) string {
	const shown = 8
	if len(existing) == 0 {
		return ""
	}
	if best := closest(name, existing); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	sorted := slices.Sorted(slices.Values(existing))
	list := strings.Join(sorted[:min(shown, len(sorted))], ", ")
	if len(sorted) > shown {
		list += ", ..."
	}
	return "there is " + list
}

// closest returns the one of the existing names that may have been meant, or "". Of
// very many it looks at the first only.
func closest(name string, existing []string) string {
	const longest, most = 64, 1000
	best, distance := "", max(1, len(name)/3)+1
	for _, e := range existing[:min(most, len(existing))] {
		if len(name) > longest || len(e) > longest {
			continue
		}
		if d := editDistance(name, e); d < distance || d == distance && best != "" && e < best {
			best, distance = e, d
		}
	}
	return best
}

// editDistance is Levenshtein's, on bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

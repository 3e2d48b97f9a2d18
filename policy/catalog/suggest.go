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
	const shown, longest = 8, 100
	if len(existing) == 0 {
		return ""
	}
	best, distance := "", max(1, len(name)/3)+1
	for _, e := range existing {
		if len(name) > longest || len(e) > longest {
			continue
		}
		if d := editDistance(name, e); d < distance || d == distance && best != "" && e < best {
			best, distance = e, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	sorted := slices.Sorted(slices.Values(existing))
	list := strings.Join(sorted[:min(shown, len(sorted))], ", ")
	if len(sorted) > shown {
		list += ", ..."
	}
	return "there is " + list
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

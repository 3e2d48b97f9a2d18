package catalog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestText(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200) + "HERE" + strings.Repeat("y", 200)
	tests := []struct {
		name    string
		finding Finding
		want    string
	}{
		{
			"in the middle",
			Finding{Code: "DW102", At: Position{"a.yaml", 31, 10}, Message: "no", Fix: "yes", Line: "    api: order", Width: 5},
			"a.yaml:31:10: error DW102: no\n  31 |     api: order\n     |          ^~~~~\n  fix: yes  (durward help DW102)\n",
		},
		{"without a line", Finding{Code: "DW010", At: Position{File: "dir"}, Message: "no"}, "dir: error DW010: no\n"},
		{"without a position", Finding{Code: "DW010", Severity: Warning, Message: "no"}, "warning DW010: no\n"},
		{
			"wider than the line",
			Finding{Code: "DW001", At: Position{"a", 1, 2}, Message: "no", Line: "ab", Width: 99},
			"a:1:2: error DW001: no\n  1 | ab\n    |  ^\n",
		},
		{
			"outside of the line",
			Finding{Code: "DW001", At: Position{"a", 1, 99}, Message: "no", Line: "ab", Width: 0},
			"a:1:99: error DW001: no\n  1 | ab\n    |   ^\n",
		},
		{
			"control characters",
			Finding{Code: "DW001", At: Position{"a", 1, 3}, Message: "no", Line: "\x1b\tc\x1b[31m", Width: 1},
			"a:1:3: error DW001: no\n  1 |   c [31m\n    |   ^\n",
		},
		{
			"long",
			Finding{Code: "DW001", At: Position{"a", 1, 201}, Message: "no", Line: long, Width: 4},
			"a:1:201: error DW001: no\n  1 | …" + strings.Repeat("x", 50) + "HERE" + strings.Repeat("y", 46) + "…\n    | " + strings.Repeat(" ", 51) + "^~~~\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, tt.finding.Text(nil)); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
			marked := tt.finding.Text(func(s string) string { return "<" + s + ">" })
			if severity := "<" + tt.finding.Severity.String() + ">"; strings.Count(marked, severity) != 1 {
				t.Errorf("the severity is not marked:\n%s", marked)
			}
			if plain := strings.NewReplacer("<", "", ">", "").Replace(marked); plain != tt.want {
				t.Errorf("marks change the text:\n%s", marked)
			}
		})
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		existing []string
		want     string
	}{
		{"order", []string{"carts", "orders"}, `did you mean "orders"?`},
		{"ordres", []string{"orders", "carts"}, `did you mean "orders"?`},
		{"b", []string{"c", "a"}, `did you mean "a"?`},
		{"nothing-like-it", []string{"b", "a"}, "there is a, b"},
		{"x-y-z", strings.Fields("kk ii hh gg ff ee dd cc bb aa"), "there is aa, bb, cc, dd, ee, ff, gg, hh, ..."},
		{"x", nil, ""},
		{strings.Repeat("x", 1000), []string{strings.Repeat("x", 1001)}, "there is " + strings.Repeat("x", 1001)},
	}
	for _, tt := range tests {
		if got := Suggest(tt.name, tt.existing); got != tt.want {
			t.Errorf("Suggest(%.20q) = %q; want %q", tt.name, got, tt.want)
		}
	}
}

package contract

import (
	"strings"
	"testing"
)

// TestHelp holds that every reason is explained, in paragraphs of its own that show no
// token.
func TestHelp(t *testing.T) {
	t.Parallel()
	seen := make(map[string]Reason)
	for _, r := range Reasons() {
		h := r.Help()
		for _, text := range []string{h.Cause, h.Fix} {
			if len(text) < 100 || len(text) > 600 || !strings.HasSuffix(text, ".") || strings.ContainsAny(text, "\n\t") {
				t.Errorf("%s: this is no paragraph: %q", r, text)
			}
			if strings.Contains(text, "eyJ") {
				t.Errorf("%s shows a token: %q", r, text)
			}
			if other := seen[text]; other != "" {
				t.Errorf("%s says what %s says: %q", r, other, text)
			}
			seen[text] = r
		}
	}
	if explained := len(requestHelp) + len(tokenHelp) + len(accessHelp) + len(outageHelp); explained != len(Reasons()) {
		t.Errorf("%d explanations for %d reasons", explained, len(Reasons()))
	}
	for _, r := range []Reason{"", "unheard_of"} {
		if r.Help() != (Help{}) {
			t.Errorf("%q is explained", r)
		}
	}
}

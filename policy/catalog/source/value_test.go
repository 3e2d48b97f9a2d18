package source_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/catalog/source"
)

// TestSingleValues holds that a value is of the kind that it is written as, to us as to
// every other reader.
func TestSingleValues(t *testing.T) {
	t.Parallel()
	text := string(validFiles(t, "valid-listeners")[0].Data)
	for written, want := range map[string]any{
		"text": "text", `"7"`: "7", `'true'`: "true", `"null"`: "null", "a.b:c": "a.b:c", `""`: "",
		"7": 7.0, "-1.5": -1.5, "0": 0.0, "9007199254740991": 9007199254740991.0,
		"true": true, "false": false,
		"null": nil, "~": nil, "": nil, "yes": nil, "0x10": nil, "1_000": nil, "07": nil, "1e3": nil, ".5": nil, "+1": nil, "0o7": nil, ".inf": nil, ".nan": nil,
		"9007199254740992": nil, "12345678901234567890123": nil, "2026-01-01": nil, "12:30": nil, "[a]": nil, "{ a: b }": nil, "!!str 7": nil, "True": nil, "FALSE": nil,
	} {
		changed := strings.Replace(text, "verify: introspection }", "verify: introspection, claims: [ { claim: c, equals: "+written+" } ] }", 1)
		cat, findings := source.Parse("a.yaml", []byte(changed))
		if want == nil {
			if cat != nil {
				t.Errorf("%s is %v", written, cat.TokenPolicies[0].Requires.Claims[0].Equals)
			}
			continue
		}
		if cat == nil {
			t.Errorf("%s: %v", written, findings)
			continue
		}
		got := cat.TokenPolicies[0].Requires.Claims[0].Equals
		if diff := cmp.Diff(want, got.AsInterface()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", written, diff)
		}
	}
}

// TestTimes holds that a time is the same with quotes and without, and with any zone.
func TestTimes(t *testing.T) {
	t.Parallel()
	text := string(validFiles(t, "valid-listeners")[0].Data)
	want := time.Date(2026, 12, 31, 17, 0, 0, 0, time.UTC)
	for written, good := range map[string]bool{
		"2026-12-31T17:00:00Z": true, `"2026-12-31T17:00:00Z"`: true, "2026-12-31T18:00:00+01:00": true, "'2026-12-31T17:00:00.000Z'": true,
		"2026-12-31 17:00:00Z": false, "2026-12-31T17:00:00": false, "2026-12-31": false, "1798736400": false, "tomorrow": false, "[]": false, `""`: false, "2026-13-31T17:00:00Z": false,
	} {
		changed := text + "denials: [ { user_id: u, reason: r, until: " + written + " } ]\n"
		cat, findings := source.Parse("a.yaml", []byte(changed))
		if (cat != nil) != good {
			t.Errorf("%s: %v", written, findings)
			continue
		}
		if cat != nil && !cat.Denials[0].Until.Equal(want) {
			t.Errorf("%s is %v", written, cat.Denials[0].Until)
		}
	}
}

// TestOwnKeys holds that findings about a mapping of own keys point to the entry.
func TestOwnKeys(t *testing.T) {
	t.Parallel()
	text := string(validFiles(t, "valid-listeners")[0].Data)
	_, findings := source.Parse("a.yaml", []byte(text+"headers:\n  claims:\n    good: a\n    bad: a..b\n"))
	if len(findings) != 1 || findings[0].Path != `headers.claims["bad"]` || findings[0].Line != "    bad: a..b" || findings[0].At.Column != 10 {
		t.Errorf("findings %+v", findings)
	}
}

package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/durward/durward/policy/catalog"
)

// attended runs attend in a bubble: happen says when events come, and the looks come back
// as the time since the start of each.
func attended(t *testing.T, last time.Duration, asked time.Duration, happen ...time.Duration) (looks []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), last)
		defer cancel()
		began := time.Now()
		events := make(chan struct{}, 1)
		go func() {
			for _, at := range happen {
				time.Sleep(at - time.Since(began))
				select {
				case events <- struct{}{}:
				default:
				}
			}
		}()
		attend(ctx, events, func() time.Duration {
			looks = append(looks, time.Since(began))
			return asked
		})
	})
	return looks
}

// TestAttend holds when it looks: 10 ms after an event that stays alone, and when asked.
func TestAttend(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		events, want []time.Duration
		asked        time.Duration
	}{
		"nothing":     {nil, []time.Duration{0, 400 * ms, 800 * ms}, 400 * ms},
		"one":         {[]time.Duration{5 * ms}, []time.Duration{0, 15 * ms}, time.Hour},
		"a burst":     {[]time.Duration{5 * ms, 6 * ms, 8 * ms}, []time.Duration{0, 18 * ms}, time.Hour},
		"a checkout":  {[]time.Duration{5 * ms, 13 * ms, 21 * ms}, []time.Duration{0, 31 * ms}, time.Hour},
		"two":         {[]time.Duration{5 * ms, 50 * ms}, []time.Duration{0, 15 * ms, 60 * ms}, time.Hour},
		"asked again": {[]time.Duration{5 * ms}, []time.Duration{0, 15 * ms, 515 * ms}, 500 * ms},
	} {
		got := attended(t, time.Second-ms, tt.asked, tt.events...)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: looks (-want +got):\n%s", name, diff)
		}
	}
}

// TestAttendStorm: events that never cease do not put a look off for more than 30 ms, and
// the last of them is looked at.
func TestAttendStorm(t *testing.T) {
	t.Parallel()
	var storm []time.Duration
	for at := time.Millisecond; at <= 500*time.Millisecond; at += 2 * time.Millisecond {
		storm = append(storm, at)
	}
	got := attended(t, time.Second, time.Hour, storm...)
	for i := 1; i < len(got); i++ {
		if gap := got[i] - got[i-1]; gap < quiet || gap > burst+2*time.Millisecond {
			t.Errorf("looks at %v: %v apart", got, gap)
		}
	}
	if late := got[len(got)-1] - storm[len(storm)-1]; late < 0 || late > burst {
		t.Errorf("the last of the looks %v is %v after the last event", got, late)
	}
}

// TestReaderParsesWhatChanged: of a hundred files, one is parsed again.
func TestReaderParsesWhatChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := func(i int) string { return filepath.Join(dir, fmt.Sprintf("%03d.yaml", i)) }
	put := func(i int, organization string) {
		t.Helper()
		text := fmt.Sprintf("version: 1\norganizations: [ { name: %s } ]\n", organization)
		if err := os.WriteFile(name(i), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		put(i, fmt.Sprintf("o%d", i))
	}
	r := NewReader(dir)
	parts := func() map[string]*part {
		t.Helper()
		text, err := r.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.Compile(text)
		named := make(map[string]*part)
		for key, p := range r.parts {
			named[key.name] = p
		}
		return named
	}
	before := parts()
	put(7, "changed")
	after := parts()
	if len(before) != 100 || len(after) != 100 {
		t.Fatalf("%d and %d files are kept", len(before), len(after))
	}
	for i := range 100 {
		if same := before[name(i)] == after[name(i)]; same == (i == 7) {
			t.Errorf("file %d: parsed again: %v", i, !same)
		}
	}
}

// TestReaderIsLoad: however files come, change and go, a Reader that keeps parts says what
// Load says, positions included.
func TestReaderIsLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := NewReader(dir)
	texts := []string{
		"version: 1\norganizations: [ { name: one } ]\n",
		"version: 1\n# later\norganizations: [ { name: two }, { name: two } ]\n",
		"version: 1\norganizations: [ { name: one }, { name: other, applications: [ { name: app, client_ids: [abc] } ] } ]\n",
		"version: 1\nlog: { user: clear }\n",
		"version: 1\nlog: { usr: none }\n",
		"version: 1\ndenials: [ { client_id: abc }, { client_id: nobody } ]\n",
		"version: 1\ngrants: [ { api: none, organization: one, applications: [] } ]\n",
		"version: 1\ngateways: [ { name: edge, listen: nowhere } ]\n",
	}
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 4).Draw(rt, "edits") {
			path := filepath.Join(dir, rapid.SampledFrom([]string{"a.yaml", "b.yaml", "c.yaml", "d.yaml"}).Draw(rt, "file"))
			if err := os.WriteFile(path, []byte(rapid.SampledFrom(texts).Draw(rt, "text")), 0o600); err != nil {
				rt.Fatal(err)
			}
		}
		text, err := r.Read(t.Context())
		if err != nil {
			rt.Fatal(err)
		}
		got, found := r.Compile(text)
		want, wanted, err := Load(dir)
		if err != nil || (got == nil) != (want == nil) || got != nil && got.Revision != want.Revision {
			rt.Fatalf("compiled %v, Load %v, %v", got, want, err)
		}
		said := func(all []catalog.Finding) string {
			var b strings.Builder
			for _, f := range all {
				b.WriteString(f.Text(nil))
			}
			return b.String()
		}
		if diff := cmp.Diff(said(wanted), said(found)); diff != "" {
			rt.Fatalf("findings (-Load +Reader):\n%s", diff)
		}
	})
}

// TestRuledListOfTwoFiles: a rule on a list holds for all files together.
func TestRuledListOfTwoFiles(t *testing.T) {
	t.Parallel()
	var one, two strings.Builder
	for i, b := range []*strings.Builder{&one, &two} {
		b.WriteString("version: 1\ndenials:\n")
		for j := range 6000 {
			fmt.Fprintf(b, "  - { user_id: u%d-%d, reason: left }\n", i, j)
		}
	}
	at := positionsOf([]file{{name: "one.yaml", data: []byte(one.String())}, {name: "two.yaml", data: []byte(two.String())}})
	if !at.parts[0].valid || !at.parts[1].valid || obeysRules(at.parts) || !obeysRules(at.parts[:1]) {
		t.Error("either file alone obeys, and both together may not")
	}
	_, findings := compile(new(catalog.Compiler), at, nil)
	for _, f := range findings {
		if f.Code == brokenRule && f.Path == "denials" {
			return
		}
	}
	t.Errorf("of 12,000 denials in two files is found: %v", findings)
}

package source

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const crowdHead = `version: 1
gateways: [ { name: edge, listen: "127.0.0.1:10000", url: "http://127.0.0.1:10000" } ]
authorization_servers:
  - { name: default, issuer: "https://example.okta.com/oauth2/default", audience: "api://default", introspection: { client_id: 0oaGATEWAY, auth_method: none } }
token_policies: [ { name: okta-users, authorization_server: default, verify: introspection } ]
organizations: [ { name: retail, applications: [ { name: mobile, client_ids: [0oaMOBILE] } ] } ]
`

// perFile is how many APIs are in a file.
const perFile = 100

// crowdFile is a file of n APIs, ten to a host; edit is seen in the first of them.
func crowdFile(number, n, edit int) string {
	var text strings.Builder
	text.WriteString("version: 1\napis:\n")
	var grants strings.Builder
	grants.WriteString("grants:\n")
	for i := range n {
		name := fmt.Sprintf("api-%d-%d", number, i)
		at := name
		if i == 0 {
			at = fmt.Sprintf("%s-%d", name, edit)
		}
		fmt.Fprintf(&text, `  - name: %s
    frontend: { hosts: [team-%d.example.com], path: /%s }
    backend: { url: "http://%s.internal:8080" }
    token_policy: okta-users
    operations:
      - { methods: [GET], path: "/{id}", scopes: { all: [orders.read] } }
      - { methods: [POST], path: /, scopes: { any: [orders.write, orders.admin] } }
      - { methods: [GET, PUT, DELETE], path: "/{id}/items/{item}", scopes: { all: [orders.write] } }
`, name, 10*number+i/10, at, name)
		fmt.Fprintf(&grants, "  - { api: %s, organization: retail, applications: [mobile] }\n", name)
	}
	return text.String() + grants.String()
}

// crowd writes n APIs and returns where.
func crowd(b *testing.B, n int) string {
	b.Helper()
	dir := b.TempDir()
	put(b, filepath.Join(dir, "000.yaml"), crowdHead)
	for i := range max(1, n/perFile) {
		put(b, crowdName(dir, i), crowdFile(i, min(n, perFile), 0))
	}
	return dir
}

func crowdName(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("apis-%04d.yaml", number))
}

// put renames a file to its place, which is the moment that callers wait from.
func put(b *testing.B, path, text string) {
	b.Helper()
	if err := os.WriteFile(path+".next", []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPublishParse reads one file of 100 APIs.
func BenchmarkPublishParse(b *testing.B) {
	data := []byte(crowdFile(7, perFile, 0))
	b.ReportAllocs()
	for b.Loop() {
		if at := positionsOf([]file{{name: "a.yaml", data: data}}); !at.parts[0].valid {
			b.Fatal(at.parts[0].findings)
		}
	}
}

// BenchmarkPublishRead is what a look at files costs of which none changed.
func BenchmarkPublishRead(b *testing.B) {
	r := NewReader(crowd(b, 10_000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPublishCompile goes from texts to a catalogue: all of them new, or one.
func BenchmarkPublishCompile(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000, 100_000} {
		dir := crowd(b, n)
		read := func(r *Reader) Text {
			b.Helper()
			text, err := r.Read(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			return text
		}
		compiled := func(r *Reader, text Text) {
			b.Helper()
			if cat, found := r.Compile(text); cat == nil {
				b.Fatal(found)
			}
		}
		r := NewReader(dir)
		text := read(r)
		b.Run(fmt.Sprintf("%d/scratch", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				compiled(NewReader(dir), text)
			}
		})
		b.Run(fmt.Sprintf("%d/one", n), func(b *testing.B) {
			compiled(r, text)
			b.ReportAllocs()
			for edit := 1; b.Loop(); edit++ {
				b.StopTimer()
				put(b, crowdName(dir, 0), crowdFile(0, min(n, perFile), edit))
				text = read(r)
				b.StartTimer()
				compiled(r, text)
			}
		})
		b.Run(fmt.Sprintf("%d/none", n), func(b *testing.B) {
			compiled(r, text)
			b.ReportAllocs()
			for b.Loop() {
				compiled(r, text)
			}
		})
	}
}

// BenchmarkPublishWatch is the time from a file's rename to its catalogue, of 10,000 APIs.
func BenchmarkPublishWatch(b *testing.B) {
	dir := crowd(b, 10_000)
	r := NewReader(dir)
	ctx, cancel := context.WithCancel(b.Context())
	type seen struct{ looked, read, compiled time.Time }
	looks := make(chan seen)
	ended := make(chan struct{})
	hash := ""
	go func() {
		defer close(ended)
		Watch(ctx, dir, slog.New(slog.DiscardHandler), func() time.Duration {
			var s seen
			s.looked = time.Now()
			text, err := r.Read(ctx)
			if s.read = time.Now(); err != nil || text.Hash == hash {
				return 0
			}
			hash = text.Hash
			if cat, _ := r.Compile(text); cat == nil {
				return 0
			}
			s.compiled = time.Now()
			select {
			case looks <- s:
			case <-ctx.Done():
			}
			return 0
		})
	}()
	<-looks
	var whole, noticed, read, compiled []time.Duration
	for edit := 1; b.Loop(); edit++ {
		path := crowdName(dir, edit%100)
		b.StopTimer()
		if err := os.WriteFile(path+".next", []byte(crowdFile(edit%100, perFile, edit)), 0o600); err != nil {
			b.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		b.StartTimer()
		began := time.Now()
		if err := os.Rename(path+".next", path); err != nil {
			b.Fatal(err)
		}
		s := <-looks
		noticed = append(noticed, s.looked.Sub(began))
		read = append(read, s.read.Sub(s.looked))
		compiled = append(compiled, s.compiled.Sub(s.read))
		whole = append(whole, s.compiled.Sub(began))
	}
	cancel()
	<-ended
	for unit, list := range map[string][]time.Duration{"median-ms": whole, "noticed-ms": noticed, "read-ms": read, "compiled-ms": compiled} {
		slices.Sort(list)
		b.ReportMetric(float64(list[len(list)/2].Microseconds())/1000, unit)
	}
}

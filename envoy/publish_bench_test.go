package envoy

import (
	"fmt"
	"slices"
	"testing"

	"github.com/durward/durward/policy/catalog"
)

// BenchmarkPublishTranslate is the time from a catalogue to checked resources: all anew,
// and with one API that moves.
func BenchmarkPublishTranslate(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000, 100_000} {
		if n > 10_000 && testing.Short() {
			continue
		}
		for _, layout := range []string{"hosts", "one-host"} {
			cat := crowd(n, layout == "one-host")
			b.Run(fmt.Sprintf("%d/%s/all", n, layout), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Translate(cat, "edge"); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("%d/%s/one", n, layout), func(b *testing.B) {
				res, err := Translate(cat, "edge")
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for moves := 0; b.Loop(); moves++ {
					b.StopTimer()
					next := moved(cat, moves)
					b.StartTimer()
					if res, err = res.Next(next, "edge"); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// moved is the catalogue with one API at another path.
func moved(cat *catalog.Catalogue, to int) *catalog.Catalogue {
	next := *cat
	next.APIs = slices.Clone(cat.APIs)
	one := *cat.APIs[len(cat.APIs)/3]
	one.BasePath = fmt.Sprintf("/moved-%d", to)
	next.APIs[len(cat.APIs)/3] = &one
	return &next
}

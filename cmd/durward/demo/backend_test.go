package demo

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/catalog"
)

func TestBackendsOf(t *testing.T) {
	t.Parallel()
	at := func(text string, protocol catalog.Protocol) catalog.Backend {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return catalog.Backend{URL: u, Protocol: protocol}
	}
	cat := &catalog.Catalogue{APIs: []*catalog.API{
		{Name: "one", Backends: []catalog.Backend{at("http://127.0.0.1:8091/v1", catalog.HTTP1), at("http://127.0.0.1:8092/v1", catalog.HTTP2)}},
		{Name: "two", Backends: []catalog.Backend{at("http://127.0.0.1:8092", catalog.HTTP2)}},
		{Name: "three", Backends: []catalog.Backend{at("https://127.0.0.1:8093", catalog.HTTP1), at("http://a.internal", catalog.HTTP1)}},
		{Name: "four", Backends: []catalog.Backend{at("http://127.0.0.1:8094", catalog.GRPC)}},
	}}
	played, refused := make(map[string][]string), make(map[string]string)
	for _, b := range backendsOf(cat) {
		if b.refused != "" {
			refused[b.url] = b.refused
			continue
		}
		played[b.listen] = b.apis
	}
	if diff := cmp.Diff(map[string][]string{"127.0.0.1:8091": {"one"}, "127.0.0.1:8092": {"one", "two"}}, played); diff != "" {
		t.Errorf("played (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"https://127.0.0.1:8093": "not played: https", "http://a.internal": "not played: not a loopback address", "http://127.0.0.1:8094": "not played: grpc",
	}, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

package authz_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy/contract"
)

// FuzzCheck (P10, P12, P13): whatever bytes arrive, the answer is well formed and allows
// only a public operation or the one token that opens something.
func FuzzCheck(f *testing.F) {
	srv := newServer(f, io.Discard, prometheus.NewRegistry(), okta)
	for _, c := range calls {
		for _, req := range c.encodings() {
			b, err := proto.Marshal(req)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		req := &authv3.CheckRequest{}
		if proto.Unmarshal(b, req) != nil {
			return
		}
		res := check(t, srv, req)
		if _, err := proto.Marshal(res); err != nil {
			t.Errorf("the answer cannot be sent: %v", err)
		}
		if !mustBeWellFormed(t, res) {
			return
		}
		http := req.GetAttributes().GetRequest().GetHttp()
		path, _, _ := strings.Cut(http.GetPath(), "?")
		public := http.GetMethod() == "GET" && path == "/orders/health"
		granted := bytes.Contains(b, []byte(aliceToken)) || bytes.Contains(b, []byte("user-with-groups"))
		if !public && !granted || req.GetAttributes().GetContextExtensions()[contract.ContextExtensionAPI] != "orders" {
			t.Fatalf("allowed %v", req)
		}
	})
}

// TestRandomBytes is the small sister of FuzzCheck for every run.
func TestRandomBytes(t *testing.T) {
	t.Parallel()
	srv := newServer(t, io.Discard, prometheus.NewRegistry(), okta)
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		for _, c := range []call{get(), calls["scope-missing-grpc"]} {
			b, err := proto.Marshal(c.request())
			if err != nil {
				t.Fatal(err)
			}
			for range 1 + random.IntN(3) {
				b[random.IntN(len(b))] = byte(random.Uint32())
			}
			req := &authv3.CheckRequest{}
			if proto.Unmarshal(b, req) == nil {
				mustBeWellFormed(t, check(t, srv, req))
			}
		}
	}
}

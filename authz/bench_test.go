package authz_test

import (
	"context"
	"io"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/durward/durward/policy/token"
)

// yes allows everything: the least that any server could do.
type yes struct {
	authv3.UnimplementedAuthorizationServer
}

func (yes) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{Status: &statuspb.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}}}, nil
}

// BenchmarkCheck compares an allow, whose token is answered for at once, with yes.
func BenchmarkCheck(b *testing.B) {
	claims := aliceClaims()
	srv := newServer(b, io.Discard, prometheus.NewRegistry(), func(context.Context, token.Token, token.Priority) (token.Introspection, error) {
		return token.Introspection{Active: true, Claims: claims}, nil
	})
	for _, c := range []struct {
		name   string
		server authv3.AuthorizationServer
		call   call
	}{{"yes", yes{}, get()}, {"allow", srv, get()}, {"deny", srv, get(func(c *call) { c.headers = nil })}} {
		req := c.call.request()
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if res, err := c.server.Check(b.Context(), req); err != nil || res.Status == nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/grpc", func(b *testing.B) {
			client := dial(b, c.server)
			b.ReportAllocs()
			for b.Loop() {
				if res, err := client.Check(b.Context(), req); err != nil || res.Status == nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package authz_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

// check asks in process.
func check(t testing.TB, srv *authz.Server, req *authv3.CheckRequest) *authv3.CheckResponse {
	t.Helper()
	res, err := srv.Check(t.Context(), req)
	if err != nil {
		t.Fatalf("a gRPC error obeys failure_mode_allow: %v", err)
	}
	return res
}

// mustDeny also holds the answer's form.
func mustDeny(t testing.TB, res *authv3.CheckResponse, status int32, reason contract.Reason) {
	t.Helper()
	if mustBeWellFormed(t, res) {
		t.Fatal("allowed")
	}
	if got := int32(res.GetDeniedResponse().GetStatus().GetCode()); got != status || res.Status.Message != string(reason) {
		t.Errorf("%d %s, want %d %s", got, res.Status.Message, status, reason)
	}
}

// TestEmptyRequests (G07).
func TestEmptyRequests(t *testing.T) {
	t.Parallel()
	srv := newServer(t, io.Discard, prometheus.NewRegistry(), okta)
	deep := &structpb.Struct{}
	for range 1000 {
		deep = &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewStructValue(deep)}}
	}
	many := get().request()
	for range 100_000 {
		list := many.Attributes.Request.Http.HeaderMap
		list.Headers = append(list.Headers, &corev3.HeaderValue{Key: "authorization", Value: "Bearer aaaaaaaaaaaaaaaaaaaa"})
	}
	cases := map[string]*authv3.CheckRequest{
		"nil":          nil,
		"empty":        {},
		"attributes":   {Attributes: &authv3.AttributeContext{}},
		"request":      {Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{}}},
		"http":         {Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{}}}},
		"api alone":    {Attributes: &authv3.AttributeContext{ContextExtensions: map[string]string{contract.ContextExtensionAPI: "orders"}}},
		"many headers": many,
		"nil header": func() *authv3.CheckRequest {
			r := get(func(c *call) { c.host = "" }).request()
			r.Attributes.Request.Http.HeaderMap.Headers[0] = nil
			return r
		}(),
		"no path":        get(func(c *call) { c.path = "" }).request(),
		"star":           get(func(c *call) { c.path = "*" }).request(),
		"absolute form":  get(func(c *call) { c.path = "http://evil/orders/7" }).request(),
		"no slash":       get(func(c *call) { c.path = "orders/7" }).request(),
		"method lower":   get(func(c *call) { c.method = "get" }).request(),
		"two hosts":      get(func(c *call) { c.host = "api.example.com,evil" }).request(),
		"path of a MiB":  get(func(c *call) { c.path = "/orders/" + strings.Repeat("a", 1<<20) }).request(),
		"token too long": get(bearer(strings.Repeat("a", token.MaxLength+1))).request(),
	}
	for name, req := range cases {
		t.Run(name, func(t *testing.T) { mustDeny(t, check(t, srv, req), 400, contract.RequestMalformed) })
	}
	req := get().request()
	req.Attributes.ContextExtensions = nil
	mustDeny(t, check(t, srv, req), 404, contract.APIUnknown)
	req = get().request()
	req.Attributes.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"x": deep}}
	if !mustBeWellFormed(t, check(t, srv, req)) {
		t.Error("metadata, which nobody reads, denied a good request")
	}
}

// TestBeforeTheFirstSwap: no configuration, no answer but our own fault.
func TestBeforeTheFirstSwap(t *testing.T) {
	t.Parallel()
	for name, gen := range map[string]*authz.Generation{"none": nil, "empty": {}, "without verifiers": {Catalogue: generation(t, config(), answers(okta)).Catalogue}} {
		srv := authz.NewServer(discard(), prometheus.NewRegistry(), time.Now)
		mustDeny(t, check(t, srv, get().request()), 503, contract.Internal)
		srv.Swap(gen)
		mustDeny(t, check(t, srv, get().request()), 503, contract.Internal)
		if name == "without verifiers" {
			if !mustBeWellFormed(t, check(t, srv, calls["allow-public"].request())) {
				t.Error("a public operation needs a verifier")
			}
		}
	}
}

// TestPanicDenies (G08): one request dies alone, and tells nobody its token.
func TestPanicDenies(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := prometheus.NewRegistry()
	srv := newServer(t, &log, r, okta)
	broken := generation(t, config(), answers(okta))
	broken.Verifiers["default"] = &token.Verifier{} // it panics at the first use
	srv.Swap(broken)
	client := dial(t, srv)
	for range 2 {
		res, err := client.Check(t.Context(), get().request())
		if err != nil {
			t.Fatal(err)
		}
		mustDeny(t, res, 503, contract.Internal)
	}
	want := "# HELP durward_check_panics_total Checks that panicked and were denied.\n# TYPE durward_check_panics_total counter\ndurward_check_panics_total 2\n"
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "durward_check_panics_total"); err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Contains(text, aliceToken) || strings.Count(text, "check panicked") != 2 || !strings.Contains(text, "verifier.go") {
		t.Errorf("the log of a panic: %s", text)
	}
}

// TestOneGeneration: a check that began under one configuration ends under it.
func TestOneGeneration(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	slow := answers(func(ctx context.Context, tok token.Token, _ token.Priority) (token.Introspection, error) {
		asked <- struct{}{}
		<-answer
		return okta(ctx, tok, token.Known)
	})
	var log bytes.Buffer
	srv := newServer(t, &log, prometheus.NewRegistry(), slow)
	before := generation(t, config(), slow)
	closed := config()
	closed.Grants = nil
	after := generation(t, closed, answers(okta))
	if before.Catalogue.Revision == after.Catalogue.Revision {
		t.Fatal("the revisions are the same")
	}
	first := make(chan *authv3.CheckResponse, 1)
	go func() {
		res, _ := srv.Check(context.Background(), get().request())
		first <- res
	}()
	<-asked
	srv.Swap(after)
	mustDeny(t, check(t, srv, get().request()), 403, contract.GrantMissing)
	close(answer)
	if res := <-first; !mustBeWellFormed(t, res) {
		t.Errorf("the check that began before was judged after: %v", res)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], after.Catalogue.Revision) || !strings.Contains(lines[1], before.Catalogue.Revision) {
		t.Errorf("the records name other revisions: %s", &log)
	}
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	srv := newServer(t, io.Discard, prometheus.NewRegistry(), okta)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for name, c := range calls {
				if allowed := mustBeWellFormed(t, check(t, srv, c.request())); allowed != strings.HasPrefix(name, "allow") {
					t.Errorf("%s: allowed is %t", name, allowed)
				}
				srv.Swap(generation(t, config(), answers(okta)))
			}
		})
	}
	wait.Wait()
}

// TestEveryReasonIsWellFormed holds reasons that no request can bring about yet, too.
func TestEveryReasonIsWellFormed(t *testing.T) {
	t.Parallel()
	for _, reason := range append(contract.Reasons(), "", "no such reason") {
		for _, c := range []call{get(), get(func(c *call) { c.method = "HEAD" }), get(header("content-type", "application/grpc"))} {
			d := policy.Deny(reason, "")
			d.PathKnown, d.Methods, d.Scopes = true, []string{"GET"}, []string{"orders.read"}
			res := authz.Respond(d, c.request(), nil)
			if mustBeWellFormed(t, res) {
				t.Errorf("%q allows", reason)
			}
		}
	}
}

// TestTheTokenShowsNowhere: not in the log at its most talkative, nor in any answer.
func TestTheTokenShowsNowhere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := prometheus.NewRegistry()
	srv := newServer(t, &log, r, okta)
	for name, c := range calls {
		for _, h := range c.headers {
			if text, ok := strings.CutPrefix(h[1], "Bearer "); ok && h[0] == "authorization" && len(text) >= 16 {
				c.path += "/" + text // a caller may repeat it, too
			}
		}
		for _, req := range c.encodings() {
			res := check(t, srv, req)
			for _, h := range c.headers {
				text, ok := strings.CutPrefix(h[1], "Bearer ")
				if ok && len(text) >= 16 && strings.Contains(res.String(), text) {
					t.Errorf("%s: the answer shows the token: %v", name, res)
				}
				if ok && len(text) >= 16 && strings.Contains(log.String(), text) {
					t.Fatalf("%s: the log shows the token: %s", name, &log)
				}
			}
		}
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.Contains(f.String(), aliceToken) {
			t.Errorf("a metric shows the token: %s", f)
		}
	}
}

package authz_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// vault adds an API to the tests' configuration that asks all that can be asked: under it,
// every reason can be brought about.
func vault() *durwardv1.Config {
	cfg := config()
	protected := func(path string, change func(*durwardv1.Operation)) *durwardv1.Operation {
		op := &durwardv1.Operation{
			Methods: []string{"GET", "HEAD", "POST"}, Path: path,
			Scopes: &durwardv1.Scopes{All: []string{"orders.read"}},
		}
		if change != nil {
			change(op)
		}
		return op
	}
	cfg.Apis = append(cfg.Apis, &durwardv1.API{
		Name: "vault", TokenPolicy: "users", ProtectedResource: true,
		Frontend: &durwardv1.Frontend{Hosts: []string{"api.example.com"}, Path: "/vault", External: []string{"https://api.example.com"}},
		Backend:  &durwardv1.Backend{Url: "http://127.0.0.1:8080"},
		Operations: []*durwardv1.Operation{
			protected("/items", nil),
			protected("/both", func(op *durwardv1.Operation) { op.Scopes.All = []string{"orders.write", "orders.admin"} }),
			protected("/either", func(op *durwardv1.Operation) {
				op.Scopes = &durwardv1.Scopes{Any: []string{"orders.write", "orders.admin"}}
			}),
			protected("/signed", func(op *durwardv1.Operation) {
				op.AcrValues, op.MaxAuthAge = []string{"phr", "phrh"}, &durationpb.Duration{Seconds: 300}
			}),
			protected("/staff", func(op *durwardv1.Operation) {
				op.Claims = []*durwardv1.RequiredClaim{{Claim: "department", Equals: structpb.NewStringValue("finance")}}
			}),
			protected("/ruled", func(op *durwardv1.Operation) { op.Rule = `token.sub == "nobody"` }),
			protected("/put", func(op *durwardv1.Operation) { op.Methods = []string{"PUT", "DELETE"} }),
		},
	})
	cfg.Grants = append(cfg.Grants, &durwardv1.Grant{Api: "vault", Organization: "retail", Applications: []string{"mobile", "parked"}})
	off := false
	cfg.Organizations[0].Applications = append(cfg.Organizations[0].Applications,
		&durwardv1.Application{Name: "parked", ClientIds: []string{"0oaPARKED"}, Enabled: &off})
	cfg.Denials = []*durwardv1.Denial{{UserId: "00uMALLORY", Reason: "laptop stolen"}}
	return cfg
}

// vaultOkta knows tokens that okta does not.
func vaultOkta(ctx context.Context, t token.Token, p token.Priority) (token.Introspection, error) {
	c := aliceClaims()
	switch t.Reveal() {
	case "signed-by-another":
		return token.Introspection{}, &token.Error{Failure: token.SignatureInvalid}
	case "crowd":
		return token.Introspection{}, &token.Error{Failure: token.Overloaded}
	case "denied-user":
		c.UserID = "00uMALLORY"
	case "parked":
		c.ClientID = "0oaPARKED"
	case "bound-to-a-key":
		c.Bound, c.KeyThumbprint = true, "thumbprint"
	default:
		return okta(ctx, t, p)
	}
	return token.Introspection{Active: true, Claims: c}, nil
}

// prove takes one word for a proof.
func prove(p token.Proof) error {
	if !slices.Equal(p.Headers, []string{"proof"}) {
		return &token.Error{Failure: token.ProofInvalid, Cause: errors.New("this is no proof")}
	}
	return nil
}

func newVault(t testing.TB, r prometheus.Registerer) *authz.Server {
	t.Helper()
	srv := newServer(t, io.Discard, r, vaultOkta)
	g := generation(t, vault(), answers(vaultOkta))
	g.Prove = prove
	srv.Swap(g)
	return srv
}

// denyRows bring about every reason, some in more than one way: "reason" or "reason how".
var denyRows = map[string]func(*call){
	"request_malformed":                        header("authorization", "Bearer "+aliceToken),
	"request_malformed before an API is known": at("/vault/%2e%2e/admin"),
	"request_malformed in a pseudo-header":     header(":path", "/vault/put"),
	"api_unknown on another host":              func(c *call) { c.host = "other.example.com" },
	"token_type_wrong machine":                 bearer("machine"),
	"grant_missing application":                bearer(partnerToken),
	"grant_missing and no operation":           func(c *call) { at("/vault/nowhere")(c); bearer(partnerToken)(c) },
	"api_unknown":                              func(c *call) { c.api = contract.NoAPI },
	"token_missing":                            func(c *call) { c.headers = nil },
	"token_malformed":                          bearer("contradiction"),
	"token_not_yet_valid":                      bearer("tomorrow"),
	"signature_invalid":                        bearer("signed-by-another"),
	"issuer_mismatch":                          bearer("other-issuer"),
	"audience_mismatch":                        bearer("other-audience"),
	"token_type_wrong":                         bearer("id-token"),
	"binding_mismatch":                         bearer("bound-to-a-key"),
	"binding_mismatch otherwise":               dpop("bound", "proof"),
	"token_expired":                            bearer("expired"),
	"token_inactive":                           bearer("unheard-of"),
	"token_revoked":                            bearer("denied-user"),
	"proof_invalid":                            dpop("bound-to-a-key", "nonsense"),
	"client_unknown":                           bearer("user-of-an-unregistered-client"),
	"application_disabled":                     bearer("parked"),
	"grant_missing":                            bearer(toolToken),
	"operation_unknown path":                   at("/vault/nowhere"),
	"operation_unknown method":                 at("/vault/put"),
	"scope_missing all":                        at("/vault/both"),
	"scope_missing any":                        at("/vault/either"),
	"step_up_required":                         at("/vault/signed"),
	"claim_mismatch claim":                     at("/vault/staff"),
	"claim_mismatch rule":                      at("/vault/ruled"),
	"claim_mismatch header":                    bearer("user-with-a-long-name"),
	"okta_unavailable":                         bearer("outage"),
	"okta_rate_limited":                        bearer("rate-limit"),
	"overloaded":                               bearer("crowd"),
	"internal":                                 bearer("panic"),
}

func at(path string) func(*call) { return func(c *call) { c.path = path } }

func dpop(text, proof string) func(*call) {
	return func(c *call) {
		c.headers[0][1] = "DPoP " + text
		header("dpop", proof)(c)
	}
}

// callers are the kinds of callers that are answered differently.
var callers = []struct{ name, method, contentType string }{
	{"GET", "GET", ""}, {"HEAD", "HEAD", ""}, {"gRPC", "POST", "application/grpc"}, {"gRPC-Web", "POST", "application/grpc-web+proto"},
}

// ask is what one of them sends in a row of the table.
func (row denyRow) ask(method, contentType string) *authv3.CheckRequest {
	c := get(func(c *call) { c.api, c.path = "vault", "/vault/items" })
	if row(&c); contentType != "" {
		c.headers = append(c.headers, [2]string{"content-type", contentType})
	}
	c.method = method
	return c.request()
}

type denyRow func(*call)

// TestDenyTable is the deny grammar: what each reason tells each kind of caller.
func TestDenyTable(t *testing.T) {
	t.Parallel()
	srv := newVault(t, prometheus.NewRegistry())
	archive := &txtar.Archive{Comment: []byte("What Check answers where it denies, for every reason and kind of caller.\n\n")}
	for _, name := range slices.Sorted(maps.Keys(denyRows)) {
		for _, caller := range callers {
			res := masked(t, check(t, srv, denyRow(denyRows[name]).ask(caller.method, caller.contentType)))
			reason, _, _ := strings.Cut(name, " ")
			if mustBeWellFormed(t, res) || res.Status.Message != reason {
				t.Errorf("%s, %s: %s", name, caller.name, res.Status.Message)
			}
			archive.Files = append(archive.Files, txtar.File{Name: name + ", " + caller.name, Data: denyText(res)})
		}
	}
	for _, reason := range contract.Reasons() {
		if !slices.ContainsFunc(archive.Files, func(f txtar.File) bool {
			return strings.HasPrefix(f.Name, string(reason)+" ") || strings.HasPrefix(f.Name, string(reason)+",")
		}) {
			t.Errorf("%s has no row", reason)
		}
	}
	goldenText(t, filepath.Join("testdata", "deny.txtar"), txtar.Format(archive))
}

// denyText is a denial as people read it: what Envoy logs, and what the caller gets.
func denyText(res *authv3.CheckResponse) []byte {
	var b bytes.Buffer
	fields := res.GetDynamicMetadata().GetFields()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&b, "(%s %v)\n", name, fields[name].AsInterface())
	}
	denied := res.GetDeniedResponse()
	fmt.Fprintf(&b, "%d\n", denied.GetStatus().GetCode())
	for _, h := range denied.Headers {
		fmt.Fprintf(&b, "%s: %s\n", h.Header.Key, h.Header.Value)
	}
	if denied.Body != "" {
		fmt.Fprintf(&b, "\n%s\n", denied.Body)
	}
	return b.Bytes()
}

func goldenText(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

package authz_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/durward/durward/policy/contract"
)

var update = flag.Bool("update", false, "write the golden files")

// calls are every kind of question; testdata/NAME.json is the answer where it allows.
var calls = map[string]call{
	"allow":        get(),
	"allow-groups": get(bearer("user-with-groups")),
	"allow-public": get(func(c *call) { c.path, c.headers = "/orders/health", nil }),
	"allow-public-with-token": get(bearer("panic"), func(c *call) { c.path = "/orders/health" },
		header("x-auth-subject", "root"), header("dpop", "proof")),

	"request-malformed":  get(func(c *call) { c.path = "/orders/%2e%2e/admin" }),
	"two-credentials":    get(header("authorization", "Bearer "+aliceToken)),
	"path-header":        get(header(":path", "/orders/8")),
	"method-header":      get(header(":method", "POST")),
	"host-header":        get(header(":authority", "other.example.com")),
	"api-unknown":        get(func(c *call) { c.api = contract.NoAPI }),
	"api-of-other-host":  get(func(c *call) { c.host = "other.example.com" }),
	"token-missing":      get(func(c *call) { c.headers = nil }),
	"token-missing-head": get(func(c *call) { c.method, c.headers = "HEAD", nil }),
	"token-missing-grpc": get(func(c *call) { c.headers = [][2]string{{"content-type", "application/grpc"}} }),
	"token-missing-grpc-web": get(func(c *call) {
		c.headers = [][2]string{{"content-type", "application/grpc-web+proto"}}
	}),
	"token-malformed":          get(bearer("contradiction")),
	"token-not-yet-valid":      get(bearer("tomorrow")),
	"token-expired":            get(bearer("expired")),
	"token-inactive":           get(bearer("revoked")),
	"token-inactive-grpc":      get(bearer("revoked"), header("content-type", "Application/gRPC+proto")),
	"issuer-mismatch":          get(bearer("other-issuer")),
	"audience-mismatch":        get(bearer("other-audience")),
	"token-type-id":            get(bearer("id-token")),
	"token-type-machine":       get(bearer("machine")),
	"binding-mismatch":         get(bearer("bound")),
	"client-unknown":           get(bearer("user-of-an-unregistered-client")),
	"grant-missing-app":        get(bearer(partnerToken)),
	"grant-missing-org":        get(bearer(toolToken)),
	"operation-unknown-path":   get(func(c *call) { c.path = "/orders/7/x" }),
	"operation-unknown-method": get(func(c *call) { c.method = "DELETE" }),
	"operation-unknown-grpc":   get(func(c *call) { c.method = "DELETE" }, header("content-type", "application/grpc;x=y")),
	"operation-of-no-grant":    get(bearer(partnerToken), func(c *call) { c.method = "DELETE" }),
	"scope-missing":            get(func(c *call) { c.method, c.path = "POST", "/orders" }),
	"scope-missing-grpc":       get(func(c *call) { c.method, c.path = "POST", "/orders" }, header("content-type", "application/grpc")),
	"claim-mismatch":           get(bearer("user-with-a-long-name")),
	"okta-unavailable":         get(bearer("outage")),
	"okta-unavailable-grpc":    get(bearer("outage"), header("content-type", "application/grpc")),
	"okta-rate-limited":        get(bearer("rate-limit")),
	"internal":                 get(bearer("panic")),
}

var decisionID = regexp.MustCompile(`^[0-9abcdefghjkmnpqrstvwxyz]{16}$`)

// masked replaces the decision id, which must be the same in every place of an answer.
func masked(t *testing.T, res *authv3.CheckResponse) *authv3.CheckResponse {
	t.Helper()
	id := res.GetDynamicMetadata().GetFields()["decision_id"].GetStringValue()
	if !decisionID.MatchString(id) {
		t.Fatalf("decision id %q", id)
	}
	text, err := protojson.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	out := &authv3.CheckResponse{}
	if err := protojson.Unmarshal(bytes.ReplaceAll(text, []byte(id), []byte("DECISION-ID")), out); err != nil {
		t.Fatal(err)
	}
	return out
}

func golden(t *testing.T, path string, got *authv3.CheckResponse) {
	t.Helper()
	if *update {
		text, err := protojson.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer // protojson's own blanks vary from build to build
		if err := json.Indent(&b, text, "", " "); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b.Bytes(), '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &authv3.CheckResponse{}
	if err := protojson.Unmarshal(text, want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	client := dial(t, newServer(t, io.Discard, prometheus.NewRegistry(), okta))
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var first *authv3.CheckResponse
			for encoding, req := range c.encodings() {
				res, err := client.Check(t.Context(), req)
				if err != nil {
					t.Fatalf("%s: %v", encoding, err)
				}
				allowed := mustBeWellFormed(t, res)
				if allowed != strings.HasPrefix(name, "allow") {
					t.Errorf("%s: allowed is %t", encoding, allowed)
				}
				res = masked(t, res)
				if first == nil {
					first = res
				}
				if diff := cmp.Diff(first, res, protocmp.Transform()); diff != "" {
					t.Errorf("%s is answered otherwise: %s", encoding, diff)
				}
				if allowed {
					golden(t, filepath.Join("testdata", name+".json"), res)
				}
			}
		})
	}
}

// TestRecordedShapes: requests as Envoy 1.40 sends them, with all headers, with both
// settings of encode_raw_headers.
func TestRecordedShapes(t *testing.T) {
	t.Parallel()
	client := dial(t, newServer(t, io.Discard, prometheus.NewRegistry(), okta))
	for _, name := range []string{"request-raw.json", "request-map.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		req := &authv3.CheckRequest{}
		if err := protojson.Unmarshal(text, req); err != nil {
			t.Fatal(err)
		}
		res, err := client.Check(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if !mustBeWellFormed(t, res) {
			t.Errorf("%s: denied: %v", name, res)
		}
		golden(t, filepath.Join("testdata", "allow.json"), masked(t, res))
	}
}

// TestTwoCredentials: Envoy joins two authorization headers in both encodings, but
// whatever comes as two is refused too.
func TestTwoCredentials(t *testing.T) {
	t.Parallel()
	client := dial(t, newServer(t, io.Discard, prometheus.NewRegistry(), okta))
	value := "Bearer " + aliceToken
	both := get().request()
	both.Attributes.Request.Http.Headers = map[string]string{"authorization": value}
	cases := map[string]*authv3.CheckRequest{
		"both encodings at once": both,
		"two names in a map": func() *authv3.CheckRequest {
			req := get().encodings()["map"]
			req.Attributes.Request.Http.Headers["Authorization"] = value
			return req
		}(),
		"upper case beside": get(header("AUTHORIZATION", value)).request(),
		"joined":            get(func(c *call) { c.headers[0][1] = value + "," + value }).request(),
		"joined, blank":     get(func(c *call) { c.headers[0][1] = value + ", " + value }).request(),
		"empty beside":      get(header("authorization", "")).request(),
		"in the query":      get(func(c *call) { c.path = "/orders/7?access_token=x" }).request(),
	}
	for name, req := range cases {
		res, err := client.Check(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if mustBeWellFormed(t, res) || res.Status.Message != string(contract.RequestMalformed) {
			t.Errorf("%s: %v", name, res)
		}
	}
}

// TestRawValueWins: where a foreign proxy fills both, raw_value is what was sent.
func TestRawValueWins(t *testing.T) {
	t.Parallel()
	client := dial(t, newServer(t, io.Discard, prometheus.NewRegistry(), okta))
	req := get().request()
	req.Attributes.Request.Http.HeaderMap.Headers[0] = &corev3.HeaderValue{
		Key: "authorization", Value: "Bearer " + aliceToken, RawValue: []byte("Bearer revoked\xff"),
	}
	res, err := client.Check(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if mustBeWellFormed(t, res) || res.Status.Message != string(contract.RequestMalformed) {
		t.Errorf("%v", res)
	}
}

// TestDeadTokensReadAlike: the caller cannot tell how a token died.
func TestDeadTokensReadAlike(t *testing.T) {
	t.Parallel()
	client := dial(t, newServer(t, io.Discard, prometheus.NewRegistry(), okta))
	var told []*authv3.DeniedHttpResponse
	for _, text := range []string{"expired", "revoked"} {
		res, err := client.Check(t.Context(), get(bearer(text)).request())
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, masked(t, res).GetDeniedResponse())
	}
	if diff := cmp.Diff(told[0], told[1], protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

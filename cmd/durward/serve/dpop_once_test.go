package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/oktatest"
	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/dpop"
	"github.com/durward/durward/policy/token/jwt"
)

// TestDPoPProofOnce: of 1,000 requests with one proof at once, one is allowed in each mode,
// also where all that is known about the token was known before; and that asks Okta once.
func TestDPoPProofOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setting{})
	for _, mode := range threeModes {
		h := newHolder(t, w)
		for _, cached := range []bool{false, true} {
			before := w.is.asked("introspect")
			req := proven(mode, "/"+mode+"/1", h.text, h.proof(mode, nil))
			var allowed atomic.Int64
			var all sync.WaitGroup
			places := make(chan struct{}, inFlight())
			for range 1000 {
				all.Go(func() {
					places <- struct{}{}
					defer func() { <-places }()
					res, err := authv3.NewAuthorizationClient(w.conn).Check(t.Context(), req)
					if got := outcome(res); err == nil && got == "allow" {
						allowed.Add(1)
					} else if err != nil || got != "401 proof_invalid" {
						t.Errorf("%s: %s, %v", mode, got, err)
					}
				})
			}
			all.Wait()
			asked := w.is.asked("introspect") - before
			if n := allowed.Load(); n != 1 || asked > 1 || cached && asked != 0 {
				t.Errorf("%s, cached %t: %d allowed, %d introspections", mode, cached, n, asked)
			}
		}
	}
}

// inFlight is how many of them can be: with the race detector a check takes so long that more
// would wait beyond its deadline.
func inFlight() int {
	if raced {
		return 50
	}
	return 1000
}

// proven is question for a token with a proof.
func proven(api, path, text, proof string) *authv3.CheckRequest {
	req := question(api, path, "")
	req.Attributes.Request.Http.Headers = nil
	req.Attributes.Request.Http.HeaderMap = &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
		{Key: "authorization", RawValue: []byte("DPoP " + text)}, {Key: "dpop", RawValue: []byte(proof)},
	}}
	return req
}

// TestDPoPOutlivesReload: a new configuration does not make a used proof good again.
func TestDPoPOutlivesReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setting{})
	h := newHolder(t, w)
	proof := h.proof("jwt", nil)
	if got := outcome(h.asks(t, "jwt", "DPoP "+h.text, proof)); got != "allow" {
		t.Fatal(got)
	}
	changed := strings.ReplaceAll(setting{}.text(w.is.name("default"), w.is.name("other")), "name: mobile,", "name: phones,")
	writeFile(t, w.path, strings.ReplaceAll(changed, "applications: [mobile]", "applications: [phones]"), 0o600)
	if err := w.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := outcome(h.asks(t, "jwt", "DPoP "+h.text, proof)); got != "401 proof_invalid" {
		t.Errorf("after a reload: %s", got)
	}
	if got := outcome(h.asks(t, "jwt", "DPoP "+h.text, h.proof("jwt", nil))); got != "allow" {
		t.Errorf("a new proof after a reload: %s", got)
	}
	_, metrics := get(t, w.Server, "/metrics")
	for _, line := range []string{
		`durward_dpop_proofs_total{result="accepted"} 2`, `durward_dpop_proofs_total{result="replayed"} 1`, `durward_dpop_proofs_remembered 2`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
}

// TestDPoPByLocalOkta: a bound token of an Okta that does not know us is good with a proof
// about the API's external URL, be the request's own scheme and host what they may.
func TestDPoPByLocalOkta(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	writeFile(t, c.file(), strings.Replace(c.text(), "path: /orders }", `path: /orders, external: ["https://api.example.com", "https://www.example.com:8443"] }`, 1), 0o600)
	s, _ := begin(t, c)
	ready(t, s)
	conn := dial(t, s.Catalogue().Listeners.Check.Address)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	text, err := okta.Token(oktatest.TokenRequest{
		Client: "mobile", User: "alice@example.com", Scopes: []string{"orders.read"}, JKT: must(dpop.Thumbprint(key)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"https://api.example.com/orders/17": "allow", "https://API.example.com:443/orders/%31%37?x=1": "allow", "https://www.example.com:8443/orders/17": "allow",
		"http://api.example.com/orders/17": "401 proof_invalid", "https://www.example.com/orders/17": "401 proof_invalid", "http://127.0.0.1:10000/orders/17": "401 proof_invalid",
		"https://api.example.com/orders/18": "401 proof_invalid", "/orders/17": "401 proof_invalid",
	} {
		proof, err := dpop.Sign(key, dpop.Statement{Method: "GET", URL: url, Token: must(token.Parse(text)), IssuedAt: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		res, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), proven("orders", "/orders/17", text, proof))
		if err != nil {
			t.Fatal(err)
		}
		if got := outcome(res); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
		if removed := res.GetOkResponse().GetHeadersToRemove(); want == "allow" && (!slices.Contains(removed, "dpop") || !slices.Contains(removed, "authorization")) {
			t.Errorf("the backend gets the credential: removed are %v", removed)
		}
	}
}

// TestProofAlgorithmsAreTold: a challenge names those that are accepted, and no others.
func TestProofAlgorithmsAreTold(t *testing.T) {
	t.Parallel()
	for _, a := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "HS256", "none"} {
		if accepted := jwt.Algorithm(a).KeyType() != ""; accepted != slices.Contains(contract.ProofAlgorithms(), a) {
			t.Errorf("%s: accepted %t, and told otherwise", a, accepted)
		}
	}
}

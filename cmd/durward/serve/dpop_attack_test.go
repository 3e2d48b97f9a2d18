package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/dpop"
)

var proofRows = map[string]func(*testing.T){"T33": proofs, "T34": certificates}

// holder is a client with a key, and a token that is bound to it.
type holder struct {
	*world
	key  *ecdsa.PrivateKey
	text string
}

func newHolder(t *testing.T, w *world) holder {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return holder{w, key, w.wrong("cnf", `{"jkt":"`+must(dpop.Thumbprint(key))+`"}`)}
}

// where is the URL that a client of the world's gateway writes.
func where(mode string) string { return "http://127.0.0.1:10000/" + mode + "/1" }

// proof is good for a GET of the mode's API but for what change does to it.
func (h holder) proof(mode string, change func(*dpop.Statement)) string {
	s := dpop.Statement{Method: "GET", URL: where(mode), Token: must(token.Parse(h.text)), IssuedAt: time.Now()}
	if change != nil {
		change(&s)
	}
	return must(dpop.Sign(h.key, s))
}

// asks sends an authorization header and these DPoP headers.
func (h holder) asks(t *testing.T, mode, authorization string, proofs ...string) *authv3.CheckResponse {
	t.Helper()
	return h.send(t, mode, "/"+mode+"/1?page=2", func(r *authv3.AttributeContext_HttpRequest) {
		for _, p := range proofs {
			r.HeaderMap.Headers = append(r.HeaderMap.Headers, &corev3.HeaderValue{Key: "dpop", RawValue: []byte(p)})
		}
	}, authorization)
}

// proofs: a bound token is good with a proof of its key for this one request, and with
// nothing else.
func proofs(t *testing.T) {
	w := newWorld(t, setting{})
	h := newHolder(t, w)
	thief := holder{w, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), h.text}
	unbound := holder{w, h.key, w.good()}
	var shown []string
	for _, mode := range threeModes {
		for _, scheme := range []string{"DPoP ", "dpop ", "DPOP  "} {
			if got := outcome(h.asks(t, mode, scheme+h.text, h.proof(mode, nil))); got != "allow" {
				t.Errorf("%s, %s: %s", mode, scheme, got)
			}
		}
		used := h.proof(mode, nil)
		_ = h.asks(t, mode, "DPoP "+h.text, used)
		good := func() string { return h.proof(mode, nil) }
		bound := "DPoP " + h.text
		for what, c := range map[string]struct {
			authorization string
			proofs        []string
			want          string
		}{
			"bound as Bearer":                 {"Bearer " + h.text, nil, "401 binding_mismatch"},
			"bound as Bearer with a proof":    {"Bearer " + h.text, []string{good()}, "401 binding_mismatch"},
			"unbound as DPoP":                 {"DPoP " + unbound.text, nil, "401 binding_mismatch"},
			"unbound as DPoP with a proof":    {"DPoP " + unbound.text, []string{unbound.proof(mode, nil)}, "401 binding_mismatch"},
			"another key":                     {bound, []string{thief.proof(mode, nil)}, "401 binding_mismatch"},
			"no proof":                        {bound, nil, "401 proof_invalid"},
			"empty proof":                     {bound, []string{""}, "401 proof_invalid"},
			"two proofs":                      {bound, []string{good(), good()}, "401 proof_invalid"},
			"one proof twice":                 {bound, []string{used, used}, "401 proof_invalid"},
			"two proofs, joined":              {bound, []string{good() + "," + good()}, "401 proof_invalid"},
			"a proof and an empty one":        {bound, []string{good(), ""}, "401 proof_invalid"},
			"the token for a proof":           {bound, []string{h.text}, "401 proof_invalid"},
			"reused":                          {bound, []string{used}, "401 proof_invalid"},
			"htm":                             {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.Method = "PUT" })}, "401 proof_invalid"},
			"htm in small":                    {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.Method = "get" })}, "401 proof_invalid"},
			"htu of another path":             {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.URL += "2" })}, "401 proof_invalid"},
			"htu of another API":              {bound, []string{h.proof("elsewhere", nil)}, "401 proof_invalid"},
			"htu of the authority in Envoy":   {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.URL = "http://api.example.com/" + mode + "/1" })}, "401 proof_invalid"},
			"htu of another scheme":           {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.URL = strings.Replace(s.URL, "http", "https", 1) })}, "401 proof_invalid"},
			"htu of another port":             {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.URL = strings.Replace(s.URL, ":10000", "", 1) })}, "401 proof_invalid"},
			"htu with a user":                 {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.URL = strings.Replace(s.URL, "//", "//a@", 1) })}, "401 proof_invalid"},
			"ath of another token":            {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.Token = must(token.Parse(unbound.text)) })}, "401 proof_invalid"},
			"no ath":                          {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.Token = token.Token{} })}, "401 proof_invalid"},
			"iat too old":                     {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.IssuedAt = time.Now().Add(-62 * time.Second) })}, "401 proof_invalid"},
			"iat tomorrow":                    {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.IssuedAt = time.Now().Add(24 * time.Hour) })}, "401 proof_invalid"},
			"iat ahead":                       {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.IssuedAt = time.Now().Add(45 * time.Second) })}, "401 proof_invalid"},
			"signature":                       {bound, []string{good()[:400] + strings.Repeat("A", 86)}, "401 proof_invalid"},
			"htu spelt otherwise":             {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.URL = strings.Replace(s.URL, "http", "HTTP", 1) + "?page=2#x" })}, "allow"},
			"a minute old":                    {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.IssuedAt = time.Now().Add(-50 * time.Second) })}, "allow"},
			"a little ahead, with its nonce ": {bound, []string{h.proof(mode, func(s *dpop.Statement) { s.IssuedAt, s.Nonce = time.Now().Add(20*time.Second), "n" })}, "allow"},
		} {
			res := h.asks(t, mode, c.authorization, c.proofs...)
			if got := outcome(res); got != c.want {
				t.Errorf("%s, %s: %s, want %s", mode, what, got, c.want)
			}
			challenge := told(res, "www-authenticate")
			if c.want == "401 proof_invalid" && (!strings.HasPrefix(challenge, "DPoP ") || !strings.Contains(challenge, `error="invalid_dpop_proof"`)) {
				t.Errorf("%s, %s: challenge %s", mode, what, challenge)
			}
			if c.want == "401 binding_mismatch" && !strings.Contains(challenge, `error="invalid_token"`) {
				t.Errorf("%s, %s: challenge %s", mode, what, challenge)
			}
			shown = append(shown, c.proofs...)
		}
		w.allows(t, unbound.text)
	}
	for _, p := range shown {
		if p != "" && strings.Contains(w.log.String(), p[len(p)-20:]) {
			t.Errorf("the log holds a proof")
		}
	}
}

// certificates: a token that is bound to a certificate, or to what nobody knows, is good with
// nothing: no proof, no header about a certificate.
func certificates(t *testing.T) {
	w := newWorld(t, setting{})
	h := newHolder(t, w)
	const x5t = `"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"`
	jkt := `"jkt":"` + must(dpop.Thumbprint(h.key)) + `"`
	for _, cnf := range []string{"{" + x5t + "}", "{" + jkt + "," + x5t + "}", "{" + jkt + `,"kid":"k1"}`, "{}", "null", `"x"`, "[]", "{" + strings.ToUpper(jkt) + "}"} {
		h.text = w.wrong("cnf", cnf)
		for _, mode := range threeModes {
			for what, res := range map[string]*authv3.CheckResponse{
				"Bearer": h.asks(t, mode, "Bearer "+h.text), "DPoP": h.asks(t, mode, "DPoP "+h.text, h.proof(mode, nil)),
				"forged header": h.send(t, mode, "/"+mode+"/1", func(r *authv3.AttributeContext_HttpRequest) {
					r.HeaderMap.Headers = append(r.HeaderMap.Headers, &corev3.HeaderValue{Key: "x-forwarded-client-cert", RawValue: []byte("Hash=abc")})
				}, "Bearer "+h.text),
			} {
				if got := outcome(res); got != "401 binding_mismatch" {
					t.Errorf("%s, %s, %s: %s", mode, cnf, what, got)
				}
			}
		}
	}
}

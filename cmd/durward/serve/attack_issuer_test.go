package serve

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Keys made once for all tests of a run. The issuer publishes issuerRSA as "k1".
var (
	issuerRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	evilRSA   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	issuerEC  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	largeEC   = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func b64[T ~string | ~[]byte](v T) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }

// signing signs the text of header and claims.
type signing func(signed string) []byte

func rs256(k *rsa.PrivateKey) signing {
	return func(signed string) []byte {
		d := sha256.Sum256([]byte(signed))
		return must(rsa.SignPKCS1v15(nil, k, crypto.SHA256, d[:]))
	}
}

func ps256(k *rsa.PrivateKey, salt int) signing {
	return func(signed string) []byte {
		d := sha256.Sum256([]byte(signed))
		return must(rsa.SignPSS(rand.Reader, k, crypto.SHA256, d[:], &rsa.PSSOptions{SaltLength: salt}))
	}
}

// es256 gives r and s at the curve's size.
func es256(k *ecdsa.PrivateKey) signing {
	return func(signed string) []byte {
		d := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, k, d[:])
		size := (k.Curve.Params().BitSize + 7) / 8
		return append(must(r, err).FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
}

func constant(signature string) signing { return func(string) []byte { return []byte(signature) } }

func jws(header, claims string, sign signing) string {
	signed := b64(header) + "." + b64(claims)
	return signed + "." + b64(sign(signed))
}

const usualHeader = `{"kid":"k1","alg":"RS256"}`

func rsaJWK(kid, alg string, k *rsa.PublicKey) map[string]any {
	return map[string]any{"kty": "RSA", "kid": kid, "use": "sig", "alg": alg, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
}

func ecJWK(kid, alg string, k *ecdsa.PublicKey) map[string]any {
	point := must(k.Bytes())[1:]
	return map[string]any{
		"kty": "EC", "kid": kid, "use": "sig", "alg": alg, "crv": k.Curve.Params().Name,
		"x": b64(point[:len(point)/2]), "y": b64(point[len(point)/2:]),
	}
}

func with(m map[string]any, name string, value any) map[string]any {
	changed := map[string]any{name: value}
	for n, v := range m {
		if n != name {
			changed[n] = v
		}
	}
	if value == nil {
		delete(changed, name)
	}
	return changed
}

func document(keys ...map[string]any) string {
	return string(must(json.Marshal(map[string]any{"keys": keys})))
}

// issuer is an authorization server whose keys, tokens and answers a test controls. It is
// honest: what it did not issue is inactive.
type issuer struct {
	*httptest.Server
	mu     sync.Mutex
	keys   string
	issued map[string]string
	calls  map[string]int
	// instead answers an endpoint in its place.
	instead map[string]http.HandlerFunc
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	is := &issuer{
		keys: document(rsaJWK("k1", "RS256", &issuerRSA().PublicKey)), issued: map[string]string{},
		calls: map[string]int{}, instead: map[string]http.HandlerFunc{},
	}
	is.Server = httptest.NewServer(is)
	t.Cleanup(is.Close)
	return is
}

// name is the `iss` of one of its authorization servers.
func (is *issuer) name(server string) string { return is.URL + "/oauth2/" + server }

func (is *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	r.Body = io.NopCloser(bytes.NewReader(body))
	server, endpoint, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/oauth2/"), "/")
	if strings.HasPrefix(endpoint, ".well-known/") {
		endpoint = "metadata"
	}
	endpoint = strings.TrimPrefix(endpoint, "v1/")
	is.mu.Lock()
	is.calls[endpoint]++
	instead, keys := is.instead[endpoint], is.keys
	form := must(readForm(r, body))
	claims, active := is.issued[server+" "+form]
	is.mu.Unlock()
	w.Header().Set("X-Rate-Limit-Limit", "100000")
	w.Header().Set("X-Rate-Limit-Remaining", "99999")
	w.Header().Set("X-Rate-Limit-Reset", strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10))
	w.Header().Set("Content-Type", "application/json")
	name := is.name(server)
	switch {
	case instead != nil:
		instead(w, r)
	case endpoint == "metadata":
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": name, "jwks_uri": name + "/v1/keys"})
	case endpoint == "keys":
		_, _ = io.WriteString(w, keys)
	case endpoint == "introspect" && active:
		_, _ = io.WriteString(w, `{"active":true,`+claims[1:])
	case endpoint == "introspect":
		_, _ = io.WriteString(w, `{"active":false}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func readForm(r *http.Request, body []byte) (string, error) {
	copied := r.Clone(r.Context())
	copied.Body = io.NopCloser(bytes.NewReader(body))
	err := copied.ParseForm()
	return copied.PostForm.Get("token"), err
}

// vouch makes text active at server, with these claims.
func (is *issuer) vouch(server, text, claims string) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.issued[server+" "+text] = claims
}

// issue signs claims as the issuer and vouches for them.
func (is *issuer) issue(header, claims string) string {
	text := jws(header, claims, rs256(issuerRSA()))
	is.vouch("default", text, claims)
	return text
}

func (is *issuer) publish(keys string) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys = keys
}

// respond lets h answer an endpoint until it is given back with nil.
func (is *issuer) respond(endpoint string, h http.HandlerFunc) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.instead[endpoint] = h
}

// asked is how often the endpoint was called.
func (is *issuer) asked(endpoint string) int {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.calls[endpoint]
}

// trap is a host that nobody may be sent to.
func trap(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the trap was asked %s %s", r.Method, r.URL)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

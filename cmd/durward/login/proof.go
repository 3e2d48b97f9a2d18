package login

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/dpop"
)

const maxNonce = 1 << 10

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// encodeKey is the form of a session's key in its file: PKCS #8, nothing for no key.
func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	if key == nil {
		return nil, nil
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

func decodeKey(der []byte) (*ecdsa.PrivateKey, error) {
	if len(der) == 0 {
		return nil, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("not an ECDSA key on P-256")
	}
	return ec, nil
}

// prove sets the DPoP header of a request that t goes with; the zero Token for none.
func prove(req *http.Request, key *ecdsa.PrivateKey, t token.Token, nonce string) error {
	proof, err := dpop.Sign(key, dpop.Statement{
		Method: req.Method, URL: targetURI(req), Token: t, Nonce: nonce, IssuedAt: time.Now(),
	})
	if err == nil {
		req.Header.Set("DPoP", proof)
	}
	return err
}

// targetURI is the URI that a request is for (RFC 9110 section 7.1), without its query.
func targetURI(req *http.Request) string {
	u := url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path, RawPath: req.URL.RawPath}
	if req.Host != "" {
		u.Host = req.Host
	}
	return u.String()
}

// Prover sends token requests with proofs of a key on P-256 (RFC 9449 section 5), so that
// the tokens are bound to it. It is for requests whose body can be had again.
type Prover struct {
	Next http.RoundTripper
	Key  *ecdsa.PrivateKey
}

// RoundTrip sends the request, and where the server wants its nonce in the proof (RFC 9449
// section 8) once more, with it.
func (p Prover) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil || req.GetBody == nil {
		return nil, errors.New("a token request without a form")
	}
	_ = req.Body.Close() // each try has its own
	res, err := p.send(req, "")
	if err != nil {
		return nil, err
	}
	nonce := res.Header.Get("DPoP-Nonce")
	if nonce == "" || len(nonce) > maxNonce || !wantsNonce(res) {
		return res, nil
	}
	return p.send(req, nonce)
}

func (p Prover) send(req *http.Request, nonce string) (*http.Response, error) {
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	try := req.Clone(req.Context())
	try.Body = body
	if err := prove(try, p.Key, token.Token{}, nonce); err != nil {
		return nil, errors.Join(err, body.Close())
	}
	return p.Next.RoundTrip(try)
}

// wantsNonce reads a reply's error and puts its body back.
func wantsNonce(res *http.Response) bool {
	if res.StatusCode != http.StatusBadRequest {
		return false
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	var refusal struct {
		Error string `json:"error"`
	}
	return err == nil && json.Unmarshal(body, &refusal) == nil && refusal.Error == "use_dpop_nonce"
}

package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

// The examples of RFC 9449: figure 12 is a request to a resource server, figure 1 one to a
// token endpoint, by the same key.
const (
	rfcHeader     = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
	rfcProof      = rfcHeader + ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	rfcTokenProof = rfcHeader + ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	rfcThumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	rfcTokenHash  = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
)

func TestExamplesOfRFC9449(t *testing.T) {
	t.Parallel()
	k, clock := checker(t, Config{})
	clock.set(time.Unix(1562262618, 0))
	request := token.Proof{
		Headers: []string{rfcProof}, Method: "GET", URLs: []string{"https://resource.example.org/protectedresource"},
		Token: accessToken, KeyThumbprint: rfcThumbprint,
	}
	if got := tokenHash(accessToken); got != rfcTokenHash {
		t.Errorf("ath %s", got)
	}
	if err := k.Check(request); err != nil {
		t.Error(err)
	}
	if err := k.Check(request); failure(t, err) != token.ProofInvalid {
		t.Errorf("again: %v", err)
	}
	p, err := parse([]string{rfcProof})
	if err != nil || p.thumbprint != rfcThumbprint || p.id != "e1j3V_bKic8-LAEB" || p.tokenHash != rfcTokenHash {
		t.Errorf("%+v, %v", p, err)
	}
	// A proof for the token endpoint has no token to speak of, and opens nothing here.
	request.Headers, request.Method, request.URLs = []string{rfcTokenProof}, "POST", []string{"https://server.example.com/token"}
	if err := k.Check(request); failure(t, err) != token.ProofInvalid || !strings.Contains(err.Error(), "ath is absent") {
		t.Errorf("without ath: %v", err)
	}
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	k, _ := checker(t, Config{})
	for alg, c := range map[string]struct {
		key crypto.Signer
		jwk object
	}{
		"RS256": {rsa2k(), rsaJWK(&rsa2k().PublicKey)},
		"PS256": {rsa2k(), rsaJWK(&rsa2k().PublicKey)},
		"ES256": {p256(), ecJWK(&p256().PublicKey)},
	} {
		request := usual()
		request.KeyThumbprint = thumbprintOf(t, alg, c.jwk)
		try := func(header object) error {
			request.Headers = []string{forge(header.text(), claimsAt(noon).text(), c.key, crypto.SHA256, alg == "PS256")}
			return k.Check(request)
		}
		if err := try(headerOf(alg, c.jwk)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		if err := try(headerOf(alg, c.jwk.with("alg", alg).with("use", "sig").with("kid", "k").with("key_ops", []string{"verify"}).with("ext", true))); err != nil {
			t.Errorf("%s with more members: %v", alg, err)
		}
		for _, wrong := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "HS256", "none", "None", "", "es256"} {
			if err := try(headerOf(wrong, c.jwk)); wrong != alg && failure(t, err) != token.ProofInvalid {
				t.Errorf("%s said to be %s: %v", alg, wrong, err)
			}
		}
	}
}

// thumbprintOf is that of a good key, without what is under test: the vectors of RFC 7638
// and RFC 9449 hold the function itself.
func thumbprintOf(t *testing.T, alg string, jwk object) string {
	t.Helper()
	p, err := parse([]string{forge(headerOf(alg, jwk).text(), claimsAt(noon).text(), p256(), crypto.SHA256, false)})
	if err != nil {
		t.Fatal(err)
	}
	return p.thumbprint
}

// TestThumbprintOfRFC7638 is the example of its section 3.1.
func TestThumbprintOfRFC7638(t *testing.T) {
	t.Parallel()
	jwk := object{
		"kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
		"n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
	}
	p, err := parse([]string{forge(headerOf("RS256", jwk).text(), claimsAt(noon).text(), p256(), crypto.SHA256, false)})
	if err != nil || p.thumbprint != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("%s, %v", p.thumbprint, err)
	}
}

// TestRefusals has proofs that are good but for one thing.
func TestRefusals(t *testing.T) {
	t.Parallel()
	k, _ := checker(t, Config{})
	h, jwk := usualHeader(), ecJWK(&p256().PublicKey)
	c := claimsAt(noon)
	good := es256(h, c)
	parts := strings.Split(good, ".")
	order := p256().Params().N
	for what, proofs := range map[string][]string{
		"none": nil, "empty": {""}, "blank": {" "}, "twice": {good, good}, "good and empty": {good, ""}, "joined": {good + "," + good}, "joined, blank": {good + ", " + good},
		"comma": {good + ","}, "blank behind": {good + " "}, "blank before": {" " + good}, "line end": {good + "\n"}, "padding": {good + "="}, "two parts": {parts[0] + "." + parts[1]},
		"four parts": {good + "."}, "five parts": {good + "..a"}, "no signature": {parts[0] + "." + parts[1] + "."}, "text": {"abc"}, "too long": {good + strings.Repeat("A", maxLength)},
		"long claims": {es256(h, c.with("x", strings.Repeat("x", maxLength)))}, "standard alphabet": {strings.NewReplacer("-", "+", "_", "/").Replace(es256(h, c.with("x", "\u00bf\u00bf\u00be\u00bf\u00fb\u00ff\u00ef")))},
		"header null": {forge("null", c.text(), p256(), crypto.SHA256, false)}, "claims a list": {forge(h.text(), "["+c.text()+"]", p256(), crypto.SHA256, false)},
		"claims twice": {forge(h.text(), c.text()+c.text(), p256(), crypto.SHA256, false)}, "claims cut": {forge(h.text(), strings.TrimSuffix(c.text(), "}"), p256(), crypto.SHA256, false)},
		"jti twice": {forge(h.text(), strings.Replace(c.text(), `"jti":`, `"jti":"x","jti":`, 1), p256(), crypto.SHA256, false)},
		"JTI too":   {es256(h, c.with("JTI", "x"))}, "htm twice": {forge(h.text(), strings.Replace(c.text(), `"htm":`, `"htm":"POST","htm":`, 1), p256(), crypto.SHA256, false)},
		"jwk twice": {forge(strings.Replace(h.text(), `"jwk":`, `"jwk":{},"jwk":`, 1), c.text(), p256(), crypto.SHA256, false)},
		"deep":      {forge(h.text(), strings.Replace(c.text(), `{`, `{"x":`+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`,`, 1), p256(), crypto.SHA256, false)},

		"no typ": {es256(h.with("typ", nil), c)}, "typ JWT": {es256(h.with("typ", "JWT"), c)}, "typ DPoP+JWT": {es256(h.with("typ", "DPoP+JWT"), c)},
		"typ at+jwt": {es256(h.with("typ", "at+jwt"), c)}, "typ application/": {es256(h.with("typ", "application/dpop+jwt"), c)}, "typ a number": {es256(h.with("typ", 1), c)},
		"no alg": {es256(h.with("alg", nil), c)}, "alg a list": {es256(h.with("alg", []string{"ES256"}), c)},
		"crit": {es256(h.with("crit", []string{"x"}), c)}, "jku": {es256(h.with("jku", "https://evil.example"), c)}, "x5u": {es256(h.with("x5u", "https://evil.example"), c)},
		"x5c": {es256(h.with("x5c", []string{"AA"}), c)}, "b64": {es256(h.with("b64", true), c)}, "zip": {es256(h.with("zip", "DEF"), c)}, "JWK too": {es256(h.with("JWK", jwk), c)},

		"no jwk": {es256(h.with("jwk", nil), c)}, "jwk text": {es256(h.with("jwk", jwk.text()), c)}, "jwk a list": {es256(h.with("jwk", []any{jwk}), c)}, "jwk empty": {es256(h.with("jwk", object{}), c)},
		"private": {es256(h.with("jwk", jwk.with("d", encode(must(p256().Bytes())))), c)}, "symmetric too": {es256(h.with("jwk", jwk.with("k", "AAAA")), c)},
		"kty oct": {es256(h.with("jwk", object{"kty": "oct", "k": "AAAA"}), c)}, "kty OKP": {es256(h.with("jwk", object{"kty": "OKP", "crv": "Ed25519", "x": jwk["x"]}), c)},
		"no kty": {es256(h.with("jwk", jwk.with("kty", nil)), c)}, "kty RSA": {es256(h.with("jwk", jwk.with("kty", "RSA")), c)}, "no crv": {es256(h.with("jwk", jwk.with("crv", nil)), c)},
		"crv P-384": {es256(h.with("jwk", jwk.with("crv", "P-384")), c)}, "x short": {es256(h.with("jwk", jwk.with("x", "AAAA")), c)}, "x with zeros": {es256(h.with("jwk", jwk.with("x", "AAAA"+jwk["x"].(string))), c)},
		"off curve": {es256(h.with("jwk", jwk.with("y", jwk["x"])), c)}, "y padded": {es256(h.with("jwk", jwk.with("y", jwk["y"].(string)+"=")), c)}, "use enc": {es256(h.with("jwk", jwk.with("use", "enc")), c)},
		"key_ops sign": {es256(h.with("jwk", jwk.with("key_ops", []string{"sign"})), c)}, "alg of the key": {es256(h.with("jwk", jwk.with("alg", "ES384")), c)},
		"P-384": {forge(headerOf("ES384", ecJWK(&p384().PublicKey)).text(), c.text(), p384(), crypto.SHA384, false)}, "ES256 on P-384": {forge(headerOf("ES256", ecJWK(&p384().PublicKey)).text(), c.text(), p384(), crypto.SHA256, false)},
		"RSA of 1024 bits": {forge(headerOf("RS256", rsaJWK(&rsa1k().PublicKey)).text(), c.text(), rsa1k(), crypto.SHA256, false)},
		"RSA of 8193 bits": {forge(headerOf("RS256", rsaJWK(&rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 8192), big.NewInt(1)), E: 65537})).text(), c.text(), rsa2k(), crypto.SHA256, false)},

		"another signer": {forge(h.text(), c.text(), other(), crypto.SHA256, false)}, "signature of another": {parts[0] + "." + parts[1] + "." + strings.Split(es256(h, claimsAt(noon)), ".")[2]},
		"ASN.1":  {parts[0] + "." + parts[1] + "." + encode(must(ecdsa.SignASN1(nil, p256(), make([]byte, 32))))},
		"zeros":  {parts[0] + "." + parts[1] + "." + encode(make([]byte, 64))},
		"order":  {parts[0] + "." + parts[1] + "." + encode(append(order.Bytes(), order.Bytes()...))},
		"no jti": {es256(h, c.with("jti", nil))}, "jti empty": {es256(h, c.with("jti", ""))}, "jti a number": {es256(h, c.with("jti", 1))}, "jti long": {es256(h, c.with("jti", strings.Repeat("x", maxID+1)))},
		"no htm": {es256(h, c.with("htm", nil))}, "htm POST": {es256(h, c.with("htm", "POST"))}, "htm get": {es256(h, c.with("htm", "get"))}, "htm a list": {es256(h, c.with("htm", []string{"GET"}))},
		"no htu": {es256(h, c.with("htu", nil))}, "htu path": {es256(h, c.with("htu", "/orders/17"))}, "htu host": {es256(h, c.with("htu", "https://evil.example/orders/17"))},
		"no ath": {es256(h, c.with("ath", nil))}, "ath empty": {es256(h, c.with("ath", ""))}, "ath of another": {es256(h, c.with("ath", hash([]byte("x"))))}, "ath padded": {es256(h, c.with("ath", tokenHash(accessToken)+"="))},
		"no iat": {es256(h, c.with("iat", nil))}, "iat text": {es256(h, c.with("iat", "1800000000"))}, "iat with a fraction": {es256(h, c.with("iat", 1800000000.5))}, "iat true": {es256(h, c.with("iat", true))},
		"iat -1": {es256(h, c.with("iat", -1))}, "iat huge": {forge(h.text(), strings.Replace(c.text(), "1800000000", "1e30", 1), p256(), crypto.SHA256, false)}, "iat null": {forge(h.text(), strings.Replace(c.text(), "1800000000", "null", 1), p256(), crypto.SHA256, false)},
		"a token": {string(must(token.Parse("abc")).Reveal())},
	} {
		err := k.Check(usual(proofs...))
		if got := failure(t, err); got != token.ProofInvalid {
			t.Errorf("%s: %v", what, err)
		}
		for _, p := range proofs {
			if len(p) > 20 && err != nil && strings.Contains(err.Error(), p[:20]) {
				t.Errorf("%s: the error holds the proof", what)
			}
		}
	}
	if n := k.used.size(noon); n != 0 {
		t.Errorf("%d refused proofs are remembered", n)
	}
	// The proof is good all the same, and so are what is ignored and what is at a bound.
	for what, text := range map[string]string{
		"good": good, "a nonce": es256(h, claimsAt(noon).with("nonce", "x")), "a nonce of another type": es256(h, claimsAt(noon).with("nonce", 1)),
		"longest jti": es256(h, claimsAt(noon).with("jti", strings.Repeat("x", maxID))), "kid": es256(h.with("kid", "k"), claimsAt(noon)), "exp": es256(h, claimsAt(noon).with("exp", 1)),
	} {
		if err := k.Check(usual(text)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAnotherKey: whoever has a token alone can make a proof by a key of his own, and that
// is told from a bad proof.
func TestAnotherKey(t *testing.T) {
	t.Parallel()
	k, _ := checker(t, Config{})
	theirs := forge(headerOf("ES256", ecJWK(&other().PublicKey)).text(), claimsAt(noon).text(), other(), crypto.SHA256, false)
	if err := k.Check(usual(theirs)); failure(t, err) != token.BindingMismatch {
		t.Errorf("another key: %v", err)
	}
	// The comparison comes before the signature.
	if err := k.Check(usual(theirs[:len(theirs)-4] + "AAAA")); failure(t, err) != token.BindingMismatch {
		t.Errorf("another key and a bad signature: %v", err)
	}
	for _, want := range []string{"", "x", must(Thumbprint(p256())) + "=", strings.ToLower(must(Thumbprint(p256())))} {
		request := usual(signed(t, noon))
		request.KeyThumbprint = want
		if err := k.Check(request); failure(t, err) != token.BindingMismatch {
			t.Errorf("bound to %q: %v", want, err)
		}
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	usualTimes := Config{}
	short := Config{Window: 5 * time.Second, Leeway: time.Second}
	for _, c := range []struct {
		config Config
		iat    time.Duration
		now    time.Duration
		want   token.Failure
	}{
		{usualTimes, -60 * time.Second, 0, ""},
		{usualTimes, -60 * time.Second, 1, token.ProofInvalid},
		{usualTimes, -61 * time.Second, 0, token.ProofInvalid},
		{usualTimes, 30 * time.Second, 0, ""},
		{usualTimes, 30 * time.Second, -1, token.ProofInvalid},
		{usualTimes, 31 * time.Second, 0, token.ProofInvalid},
		{usualTimes, -time.Hour, 0, token.ProofInvalid},
		{usualTimes, time.Hour, 0, token.ProofInvalid},
		{usualTimes, 0, 0, ""},
		{short, -5 * time.Second, 0, ""},
		{short, -6 * time.Second, 0, token.ProofInvalid},
		{short, time.Second, 0, ""},
		{short, 2 * time.Second, 0, token.ProofInvalid},
	} {
		k, clock := checker(t, c.config)
		clock.set(noon.Add(c.now))
		if err := k.Check(usual(signed(t, noon.Add(c.iat)))); failure(t, err) != c.want {
			t.Errorf("iat %s from noon, %s after noon: %v", c.iat, c.now, err)
		}
	}
}

func TestRequestOtherThanProven(t *testing.T) {
	t.Parallel()
	k, _ := checker(t, Config{})
	for what, change := range map[string]func(*token.Proof){
		"method":       func(p *token.Proof) { p.Method = "DELETE" },
		"no method":    func(p *token.Proof) { p.Method = "" },
		"URL":          func(p *token.Proof) { p.URLs = []string{"https://api.example.com/orders/18"} },
		"no URLs":      func(p *token.Proof) { p.URLs = nil },
		"token":        func(p *token.Proof) { p.Token = must(token.Parse("abc")) },
		"no token":     func(p *token.Proof) { p.Token = token.Token{} },
		"nothing":      func(p *token.Proof) { *p = token.Proof{} },
		"without text": func(p *token.Proof) { p.Headers = nil },
	} {
		request := usual(signed(t, noon))
		change(&request)
		if err := k.Check(request); failure(t, err) != token.ProofInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestCheckerRefusesToBegin(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]Config{
		"no clock": {}, "window": {Now: time.Now, Window: -1}, "long window": {Now: time.Now, Window: longestTime + 1}, "leeway": {Now: time.Now, Leeway: -1},
		"long leeway": {Now: time.Now, Leeway: longestTime + 1}, "proofs": {Now: time.Now, MaxProofs: -1}, "proofs of a key": {Now: time.Now, MaxProofsPerKey: -1},
	} {
		if k, err := NewChecker(c); err == nil || k != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	var none *Checker
	none.Close()
	for _, k := range []*Checker{nil, {}} {
		if err := k.Check(usual(signed(t, noon))); failure(t, err) != token.Overloaded {
			t.Errorf("no checker: %v", err)
		}
	}
	k, _ := checker(t, Config{})
	k.Close()
	k.Close()
	if err := k.Check(usual(signed(t, noon))); failure(t, err) != token.Overloaded {
		t.Errorf("closed: %v", err)
	}
}

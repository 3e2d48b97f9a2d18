package jwt

import (
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/durward/durward/policy/token"
)

func TestParseSigned(t *testing.T) {
	t.Parallel()
	const claims = `{"a":1}`
	for _, head := range []string{`{}`, `{"jwk":{}}`, `{"kid":"k","x":1}`} {
		s, err := ParseSigned(jws(head, claims, es256(p256Key())))
		if err != nil || len(s.Claims) != 1 {
			t.Errorf("%s: %v", head, err)
			continue
		}
		for _, a := range []Algorithm{RS256, PS256, ES256, "ES384", "none", ""} {
			if s.Verify(a, &p256Key().PublicKey) != (a == ES256) {
				t.Errorf("%s: by %s", head, a)
			}
		}
		if s.Verify(RS256, &rsaKey().PublicKey) || s.Verify(ES256, nil) || s.Verify(ES256, &p384Key().PublicKey) {
			t.Errorf("%s: by another key", head)
		}
	}
	for _, head := range []string{
		`{"crit":["x"]}`, `{"b64":true}`, `{"zip":"DEF"}`, `{"jku":"x"}`, `{"x5u":"x"}`, `{"x5c":[]}`, `{"enc":"x"}`, `{"cty":"x"}`, `{"JWK":{}}`, `{"Crit":[]}`,
		`{"a":1,"a":2}`, `[]`, `null`, ``, `{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`,
	} {
		if s, err := ParseSigned(jws(head, claims, es256(p256Key()))); err == nil || s.Verify(ES256, &p256Key().PublicKey) {
			t.Errorf("%s: accepted", head)
		}
	}
	if (Signed{}).Verify(ES256, &p256Key().PublicKey) {
		t.Error("the zero Signed is signed")
	}
}

// TestParsePublicKey: clients' RSA keys may be longer than those of servers.
func TestParsePublicKey(t *testing.T) {
	t.Parallel()
	parse := func(k jwk) error {
		o, err := token.ParseObject(must(json.Marshal(k)))
		if err == nil {
			_, err = ParsePublicKey(o)
		}
		return err
	}
	for size, want := range map[int]bool{2047: false, 2048: true, 4097: true, 8192: true, 8193: false} {
		if err := parse(rsaJWK("k", &rsa.PublicKey{N: bits(size), E: 65537})); (err == nil) != want {
			t.Errorf("%d bits: %v", size, err)
		}
	}
	e := ecJWK("k", &p256Key().PublicKey)
	order := new(big.Int).Set(p256Key().Params().P)
	for what, k := range map[string]jwk{
		"P-384": ecJWK("k", &p384Key().PublicKey), "off curve": e.with("x", e["y"]), "x of the field's size": e.with("x", encode(order.Bytes())),
		"OKP": e.with("kty", "OKP"), "no kty": e.with("kty", nil), "d": e.with("d", "AQAB"), "use": e.with("use", "enc"), "y a list": e.with("y", []string{"AA"}),
	} {
		if err := parse(k); err == nil || len(err.Error()) > 100 {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := parse(e); err != nil {
		t.Error(err)
	}
}

package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bits returns an odd number of n bits that is no key of anybody.
func bits(n int) *big.Int {
	m := new(big.Int).Lsh(big.NewInt(1), uint(n-1))
	return m.Add(m, big.NewInt(12345))
}

// roca returns a modulus with the fingerprint of CVE-2017-15361.
func roca() *big.Int {
	primorial := big.NewInt(1)
	for p := int64(2); p <= 167; p++ {
		if big.NewInt(p).ProbablyPrime(10) {
			primorial.Mul(primorial, big.NewInt(p))
		}
	}
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(98765), primorial)
	return n.Add(n, primorial.Lsh(primorial, uint(2047-primorial.BitLen())))
}

func TestAttackKeys(t *testing.T) {
	t.Parallel()
	good := rsaJWK("good", &rsaKey().PublicKey)
	r, e := rsaJWK("bad", &otherRSA().PublicKey), ecJWK("bad", &p256Key().PublicKey)
	modulus := func(n *big.Int) jwk { return r.with("n", encode(n.Bytes())) }
	exponent := func(e *big.Int) jwk { return r.with("e", encode(e.Bytes())) }
	order := elliptic.P256().Params().N
	bad := map[string]jwk{
		"oct":            {"kty": "oct", "kid": "bad", "k": "AAAA", "alg": "HS256"},
		"oct as RS256":   {"kty": "oct", "kid": "bad", "k": "AAAA", "alg": "RS256"},
		"RSA with k":     r.with("k", "AAAA"),
		"Ed25519":        {"kty": "OKP", "crv": "Ed25519", "kid": "bad", "x": encode(make([]byte, 32))},
		"use enc":        r.with("use", "enc"),
		"use SIG":        r.with("use", "SIG"),
		"use empty":      r.with("use", ""),
		"use a list":     r.with("use", []string{"sig"}),
		"key_ops enc":    r.with("key_ops", []string{"encrypt"}),
		"key_ops sign":   r.with("key_ops", []string{"sign"}),
		"key_ops none":   r.with("key_ops", []string{}),
		"key_ops number": r.with("key_ops", 1),
		"no kid":         r.with("kid", nil),
		"empty kid":      r.with("kid", ""),
		"kid a number":   r.with("kid", 1),
		"long kid":       r.with("kid", strings.Repeat("k", 257)),
		"no kty":         r.with("kty", nil),
		"kty a number":   r.with("kty", 1),
		"kty rsa":        r.with("kty", "rsa"),
		"kty EC for RSA": r.with("kty", "EC"),
		"kty RSA for EC": e.with("kty", "RSA"),
		"alg HS256":      r.with("alg", "HS256"),
		"alg none":       r.with("alg", "none"),
		"alg empty":      r.with("alg", ""),
		"alg a number":   r.with("alg", 256),
		"alg RS512":      r.with("alg", "RS512"),
		"alg ES for RSA": r.with("alg", "ES256"),
		"alg RS for EC":  e.with("alg", "RS256"),
		"alg RSA-OAEP":   r.with("alg", "RSA-OAEP"),
		"1024 bits":      rsaJWK("bad", &smallRSA().PublicKey),
		"2047 bits":      modulus(bits(2047)),
		"4097 bits":      modulus(bits(4097)),
		"8192 bits":      modulus(bits(8192)),
		"16384 bits":     modulus(bits(16384)),
		"even modulus":   modulus(new(big.Int).Add(rsaKey().N, big.NewInt(1))),
		"no modulus":     r.with("n", nil),
		"empty modulus":  r.with("n", ""),
		"modulus +/":     r.with("n", "++//"+r["n"].(string)),
		"e absent":       r.with("e", nil),
		"e 0":            exponent(big.NewInt(0)),
		"e 1":            exponent(big.NewInt(1)),
		"e 2":            exponent(big.NewInt(2)),
		"e 3":            exponent(big.NewInt(3)),
		"e 65536":        exponent(big.NewInt(65536)),
		"e 65538":        exponent(big.NewInt(65538)),
		"e 2^31+1":       exponent(big.NewInt(1<<31 + 1)),
		"e 2^64+65537":   exponent(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(65537))),
		"e of 2048 bits": exponent(bits(2048)),
		"ROCA":           modulus(roca()),
		"off curve":      e.with("y", e["x"]),
		"zero point":     e.with("x", encode(make([]byte, 32))).with("y", encode(make([]byte, 32))),
		"x too large":    e.with("x", encode(order.Bytes())),
		"x long":         e.with("x", "AAAA"+e["x"].(string)),
		"no y":           e.with("y", nil),
		"P-384":          ecJWK("bad", &p384Key().PublicKey),
		"crv P-384":      e.with("crv", "P-384"),
		"crv secp256k1":  e.with("crv", "secp256k1"),
		"crv absent":     e.with("crv", nil),
		"crv a list":     e.with("crv", []string{"P-256"}),
	}
	for _, name := range secretMembers {
		bad["private "+name] = r.with(name, "AQAB")
	}
	for name, key := range bad {
		for _, doc := range [][]byte{document(good, key), document(key, good)} {
			s, err := ParseKeySet(doc, RS256, PS256, ES256)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff([]string{"good"}, s.IDs()); diff != "" || len(s.Dropped()) != 1 {
				t.Errorf("T37 %s: %s, dropped %v", name, diff, s.Dropped())
			}
		}
		if s, err := ParseKeySet(document(key), RS256, PS256, ES256); err == nil || s != nil || len(err.Error()) > 200 {
			t.Errorf("T37 %s alone: %v, %v", name, s.IDs(), err)
		}
	}
}

// TestModulusBound: a server's key is no longer than it needs to be.
func TestModulusBound(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]bool{2047: false, 2048: true, 4096: true, 4097: false} {
		if _, err := ParseKeySet(document(rsaJWK("k", &rsa.PublicKey{N: bits(size), E: 65537}))); (err == nil) != want {
			t.Errorf("%d bits: %v", size, err)
		}
	}
}

// TestDroppedSays why, in words that name no more of the key than needed.
func TestDroppedSays(t *testing.T) {
	t.Parallel()
	s := keySet(t, document(
		rsaJWK("good", &rsaKey().PublicKey), rsaJWK("small", &smallRSA().PublicKey),
		rsaJWK("twice", &otherRSA().PublicKey), rsaJWK("twice", &otherRSA().PublicKey),
	))
	want := []string{"key 2: modulus of 1024 bits", "key 4: kid of another key, which is dropped too"}
	var got []string
	for _, err := range s.Dropped() {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestKeysThatAreGood(t *testing.T) {
	t.Parallel()
	r, e := rsaJWK("k", &rsaKey().PublicKey), ecJWK("k", &p256Key().PublicKey)
	for name, c := range map[string]struct {
		key     jwk
		allowed []Algorithm
		want    Algorithm
	}{
		"Okta's":               {r, nil, RS256},
		"no use":               {r.with("use", nil), nil, RS256},
		"key_ops":              {r.with("key_ops", []string{"sign", "verify"}), nil, RS256},
		"certificate unread":   {r.with("x5c", []string{"junk"}).with("x5u", "::"), nil, RS256},
		"unknown member":       {r.with("nbf", 1), nil, RS256},
		"kid of 256 bytes":     {r.with("kid", strings.Repeat("k", 256)), nil, RS256},
		"4096 bits":            {r.with("n", encode(bits(4096).Bytes())), nil, RS256},
		"e 2^31-1":             {r.with("e", encode(big.NewInt(1<<31-1).Bytes())), nil, RS256},
		"no alg":               {r.with("alg", nil), nil, RS256},
		"no alg, PS256 first":  {r.with("alg", nil), []Algorithm{ES256, PS256, RS256}, PS256},
		"no alg, RS256 first":  {r.with("alg", nil), []Algorithm{RS256, PS256}, RS256},
		"alg before the order": {r, []Algorithm{PS256, RS256}, RS256},
		"EC":                   {e, []Algorithm{RS256, ES256}, ES256},
		"EC, no alg":           {e.with("alg", nil), []Algorithm{RS256, ES256}, ES256},
	} {
		s, err := ParseKeySet(document(c.key), c.allowed...)
		if err != nil || s.Len() != 1 || len(s.Dropped()) != 0 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if key, ok := s.Lookup(c.key["kid"].(string)); !ok || key.algorithm != c.want {
			t.Errorf("%s: %q", name, key.algorithm)
		}
	}
	for name, c := range map[string]struct {
		key     jwk
		allowed []Algorithm
	}{
		"PS256 by default": {r.with("alg", "PS256"), nil}, "EC by default": {e, nil}, "EC by default, no alg": {e.with("alg", nil), nil},
		"RS256 where PS256 is configured": {r, []Algorithm{PS256}}, "RSA where ES256 is configured": {r.with("alg", nil), []Algorithm{ES256}},
	} {
		if s, err := ParseKeySet(document(c.key), c.allowed...); err == nil {
			t.Errorf("%s: %v", name, s.IDs())
		}
	}
	for _, unknown := range []Algorithm{"", "none", "HS256", "rs256", "RS512"} {
		if s, err := ParseKeySet(document(r), RS256, unknown); err == nil {
			t.Errorf("algorithm %q is configured: %v", unknown, s.IDs())
		}
	}
}

func TestDuplicateKeyIDs(t *testing.T) {
	t.Parallel()
	a, b := rsaJWK("same", &rsaKey().PublicKey), rsaJWK("same", &otherRSA().PublicKey)
	good := rsaJWK("good", &rsaKey().PublicKey)
	for name, c := range map[string]struct {
		keys []jwk
		want []string
	}{
		"two":              {[]jwk{a, good, b}, []string{"good"}},
		"three":            {[]jwk{a, good, b, a}, []string{"good"}},
		"four":             {[]jwk{a, b, a, b, good}, []string{"good"}},
		"the same key":     {[]jwk{good, a, a}, []string{"good"}},
		"one not usable":   {[]jwk{a, b.with("use", "enc")}, []string{"same"}},
		"one not ours":     {[]jwk{{"kty": "oct", "kid": "same", "k": "AAAA"}, a}, []string{"same"}},
		"in another case":  {[]jwk{a, b.with("kid", "SAME")}, []string{"SAME", "same"}},
		"only duplicates":  {[]jwk{a, b}, nil},
		"other algorithms": {[]jwk{good, a, a.with("alg", "PS256")}, []string{"good"}},
	} {
		s, err := ParseKeySet(document(c.keys...), RS256, PS256)
		if diff := cmp.Diff(c.want, s.IDs()); diff != "" || (err == nil) != (c.want != nil) {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

func TestKeyDocuments(t *testing.T) {
	t.Parallel()
	good := string(document(rsaJWK("good", &rsaKey().PublicKey)))
	inner := strings.TrimSuffix(strings.TrimPrefix(good, `{"keys":[`), `]}`)
	for name, text := range map[string]string{
		"empty": "", "null": "null", "array": "[" + inner + "]", "no keys": `{}`, "KEYS": strings.Replace(good, "keys", "KEYS", 1), "no key": `{"keys":[]}`,
		"keys null": `{"keys":null}`, "keys an object": `{"keys":{}}`, "keys a text": `{"keys":"x"}`, "truncated": good[:len(good)/2], "trailing": good + "x",
		"two documents": good + good, "HTML": "<html></html>", "duplicate keys": strings.TrimSuffix(good, "}") + `,"keys":[]}`,
		"case twins": strings.TrimSuffix(good, "}") + `,"Keys":[]}`, "duplicate in a key": `{"keys":[` + strings.TrimSuffix(inner, "}") + `,"kid":"evil"}]}`,
		"byte order mark": "\ufeff" + good, "invalid UTF-8": strings.Replace(good, "good", "go\xffod", 1), "too long": good + strings.Repeat(" ", maxDocument),
		"no objects": `{"keys":[null,1,"x",[],true]}`, "a key alone": inner, "case twins in a key": `{"keys":[` + strings.TrimSuffix(inner, "}") + `,"KID":"evil"}]}`,
	} {
		if s, err := ParseKeySet([]byte(text)); err == nil || s != nil {
			t.Errorf("%s: %v", name, s.IDs())
		}
	}
	for _, text := range []string{`{}`, `{"keys":null}`, `{"keys":{}}`, `{"keys":"x"}`} {
		if _, err := ParseKeySet([]byte(text)); err == nil || !strings.HasSuffix(err.Error(), "not an array") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for name, text := range map[string]string{
		"spaces": " {\n \"keys\" : [ " + inner + " ] } ", "more members": strings.TrimSuffix(good, "}") + `,"x":1}`, "as long as allowed": good + strings.Repeat(" ", maxDocument-len(good)),
		"beside no objects": `{"keys":[null,1,"x",[],true,` + inner + `]}`,
	} {
		if s, err := ParseKeySet([]byte(text)); err != nil || s.Len() != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestManyKeys: the first 64 are looked at.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	var keys []jwk
	for i := range 1500 {
		keys = append(keys, rsaJWK(fmt.Sprint(i), &rsaKey().PublicKey))
	}
	s := keySet(t, document(keys...))
	if _, ok := s.Lookup("63"); !ok || s.Len() != 64 {
		t.Errorf("%d keys", s.Len())
	}
	if _, ok := s.Lookup("64"); ok || len(s.Dropped()) != 1 || !strings.HasPrefix(s.Dropped()[0].Error(), "1436 keys") {
		t.Errorf("dropped: %v", s.Dropped())
	}
	if exactly := keySet(t, document(keys[:64]...)); len(exactly.Dropped()) != 0 || exactly.Len() != 64 {
		t.Errorf("of 64: %v", exactly.Dropped())
	}
}

func TestKeySetNeverChanges(t *testing.T) {
	t.Parallel()
	doc := document(rsaJWK("a", &rsaKey().PublicKey), rsaJWK("b", &otherRSA().PublicKey), rsaJWK("c", &smallRSA().PublicKey))
	s := keySet(t, doc)
	clear(doc)
	ids, dropped := s.IDs(), s.Dropped()
	ids[0], dropped[0] = "x", nil
	if !slices.Equal(s.IDs(), []string{"a", "b"}) || s.Dropped()[0] == nil {
		t.Error("a caller changed the set")
	}
	if c, err := verifyBy(s, jws(`{"kid":"a","alg":"RS256"}`, aliceClaims, rs256(rsaKey()))); err != nil {
		t.Error(err)
	} else if c.Subject != "alice@example.com" {
		t.Errorf("%+v", c)
	}
	var none *KeySet
	if _, ok := none.Lookup("a"); ok || none.Len() != 0 || none.IDs() != nil || none.Dropped() != nil {
		t.Error("no set has keys")
	}
}

// TestROCA: the fingerprint is rare, so sound keys must not show it.
func TestROCA(t *testing.T) {
	t.Parallel()
	if !isROCA(roca()) {
		t.Error("the weak form is not recognized")
	}
	n := bits(2048)
	for range 1000 {
		if n.Add(n, big.NewInt(2)); isROCA(n) {
			t.Errorf("%x", n)
		}
	}
	for _, k := range []*rsa.PrivateKey{rsaKey(), otherRSA(), smallRSA()} {
		if isROCA(k.N) {
			t.Errorf("%x", k.N)
		}
	}
}

// FuzzParseKeySet: whatever the document, no panic, and every usable key is within bounds
// and comes out of its own JWK alone.
func FuzzParseKeySet(f *testing.F) {
	r := rsaJWK("r", &rsaKey().PublicKey)
	for _, doc := range [][]byte{
		document(r), document(r, ecJWK("e", &p256Key().PublicKey)), document(r, r), document(r.with("d", "AQAB")), document(r.with("alg", nil)), document(r.with("e", "Aw")),
		document(ecJWK("e", &p384Key().PublicKey)), []byte(`{"keys":[null,1,{}]}`), []byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"e","x":"","y":""}]}`),
	} {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		s, err := ParseKeySet(doc, RS256, PS256, ES256)
		if (err == nil) != (s.Len() > 0) {
			t.Fatalf("%d keys and %v", s.Len(), err)
		}
		for _, id := range s.IDs() {
			key, _ := s.Lookup(id)
			var again jwk
			switch public := key.public.(type) {
			case *rsa.PublicKey:
				if bits := public.N.BitLen(); bits < 2048 || bits > 4096 || public.E < 65537 || public.E%2 == 0 || key.algorithm == ES256 {
					t.Errorf("%d bits, e %d, %s", bits, public.E, key.algorithm)
				}
				again = rsaJWK(id, public)
			case *ecdsa.PublicKey:
				if _, err := public.ECDH(); err != nil || public.Curve != elliptic.P256() || key.algorithm != ES256 {
					t.Errorf("%v, %s", err, key.algorithm)
				}
				again = ecJWK(id, public)
			default:
				t.Fatalf("%T", key.public)
			}
			same, err := parseKey(must(json.Marshal(again.with("alg", key.algorithm))), []Algorithm{RS256, PS256, ES256})
			if err != nil || same.id != key.id || same.algorithm != key.algorithm {
				t.Fatalf("again: %v", err)
			}
			if equal, ok := same.public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !equal.Equal(key.public) {
				t.Errorf("%s: another key", id)
			}
		}
	})
}

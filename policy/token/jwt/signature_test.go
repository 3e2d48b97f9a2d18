package jwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
)

const (
	ps256Header = `{"kid":"p1","alg":"PS256"}`
	es256Header = `{"kid":"e1","alg":"ES256"}`
)

// allKeys has one key for each algorithm.
func allKeys(t testing.TB) *KeySet {
	t.Helper()
	return keySet(t, document(
		rsaJWK("r1", &rsaKey().PublicKey), rsaJWK("p1", &rsaKey().PublicKey).with("alg", "PS256"), ecJWK("e1", &p256Key().PublicKey),
	), RS256, PS256, ES256)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	s := allKeys(t)
	for header, sign := range map[string]signer{rs256Header: rs256(rsaKey()), ps256Header: ps256(rsaKey(), 32), es256Header: es256(p256Key())} {
		c, err := verifyBy(s, jws(header, aliceClaims, sign))
		if diff := cmp.Diff(alice(), c); err != nil || diff != "" {
			t.Errorf("%s: %v %s", header, err, diff)
		}
	}
}

// TestVerifyOtherSigners: what go-jose signs verifies here.
func TestVerifyOtherSigners(t *testing.T) {
	t.Parallel()
	s := allKeys(t)
	for _, key := range []jose.SigningKey{
		{Algorithm: jose.RS256, Key: jose.JSONWebKey{KeyID: "r1", Key: rsaKey()}},
		{Algorithm: jose.PS256, Key: jose.JSONWebKey{KeyID: "p1", Key: rsaKey()}},
		{Algorithm: jose.ES256, Key: jose.JSONWebKey{KeyID: "e1", Key: p256Key()}},
	} {
		signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("at+jwt"))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign([]byte(aliceClaims))
		if err != nil {
			t.Fatal(err)
		}
		c, err := verifyBy(s, must(signed.CompactSerialize()))
		if diff := cmp.Diff(alice(), c); err != nil || diff != "" {
			t.Errorf("%s: %v %s", key.Algorithm, err, diff)
		}
	}
}

func TestAttackSignature(t *testing.T) {
	t.Parallel()
	s := allKeys(t)
	for _, a := range signatureAttacks() {
		c, err := verifyBy(s, a.text)
		if got := failure(t, c, err); got != a.want {
			t.Errorf("%s %s: %v, want %q", a.row, a.name, err, a.want)
		}
	}
}

func signatureAttacks() []attack {
	var all []attack
	add := func(row, name, header string, sign signer) {
		all = append(all, attack{row, name, jws(header, aliceClaims, sign), token.SignatureInvalid})
	}
	for name, secret := range publicKeyBytes() {
		signed := encode(`{"kid":"r1","alg":"HS256"}`) + "." + encode(aliceClaims)
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(signed))
		all = append(all, attack{"T07", "HS256 with " + name, signed + "." + encode(h.Sum(nil)), token.SignatureInvalid})
		add("T07", "RS256 with a MAC of "+name, rs256Header, constant(h.Sum(nil)))
	}
	add("T08", "RS256 on a PS256 key", `{"kid":"p1","alg":"RS256"}`, rs256(rsaKey()))
	add("T08", "PS256 on an RS256 key", `{"kid":"r1","alg":"PS256"}`, ps256(rsaKey(), 32))
	add("T08", "PS256 said to be RS256", rs256Header, ps256(rsaKey(), 32))
	add("T08", "RS256 said to be PS256", ps256Header, rs256(rsaKey()))
	add("T08", "ES256 on an RSA key", `{"kid":"r1","alg":"ES256"}`, es256(p256Key()))
	add("T08", "RS256 on an EC key", `{"kid":"e1","alg":"RS256"}`, rs256(rsaKey()))
	add("T08", "ES256 by P-384", es256Header, es256P384)
	add("T08", "RS256 in the header alone", `{"kid":"p1","alg":"RS256"}`, ps256(rsaKey(), 32))
	add("T08", "PS256 in the header alone", `{"kid":"r1","alg":"PS256"}`, rs256(rsaKey()))
	add("T08", "RS256 in the header of ES256", `{"kid":"e1","alg":"RS256"}`, es256(p256Key()))
	for _, salt := range []int{0, 1, 20, 31, 33, 48, 64, 222} {
		add("T08", "PS256 with salt of another length", ps256Header, ps256(rsaKey(), salt))
	}
	add("T09", "another key", rs256Header, rs256(otherRSA()))
	for _, kid := range []string{`r2`, `R1`, `r1 `, ` r1`, `../../dev/null`, `' OR 1=1 --`, `r1\u0000`, `https://evil.example/`, `r`} {
		add("T10", "kid "+kid, `{"kid":"`+kid+`","alg":"RS256"}`, rs256(rsaKey()))
	}
	return append(all, append(ecdsaAttacks(), pkcsAttacks()...)...)
}

// publicKeyBytes are the forms of a public key that were once taken for HMAC secrets.
func publicKeyBytes() map[string][]byte {
	der := must(x509.MarshalPKIXPublicKey(&rsaKey().PublicKey))
	return map[string][]byte{
		"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "PKCS#1": x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey),
		"modulus": rsaKey().N.Bytes(), "JWK": must(json.Marshal(rsaJWK("r1", &rsaKey().PublicKey))), "nothing": {},
	}
}

func es256P384(digest []byte) []byte {
	r, s, err := ecdsa.Sign(nil, p384Key(), digest)
	return append(must(r, err).FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...)
}

func ecdsaAttacks() []attack {
	n := elliptic.P256().Params().N
	zero, one, less := new(big.Int), big.NewInt(1), new(big.Int).Sub(n, big.NewInt(1))
	more, most := new(big.Int).Add(n, big.NewInt(1)), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	var all []attack
	add := func(name string, sign signer) {
		all = append(all, attack{"T18", name, jws(es256Header, aliceClaims, sign), token.SignatureInvalid})
	}
	for _, r := range []*big.Int{zero, one, less, n, more, most} {
		for _, s := range []*big.Int{zero, one, less, n, more, most} {
			add("r "+r.String()+" s "+s.String(), constant(concat(r, s)))
		}
	}
	sign := es256(p256Key())
	add("DER", func(digest []byte) []byte { return must(p256Key().Sign(nil, digest, crypto.SHA256)) })
	add("zeros behind", func(digest []byte) []byte { return append(sign(digest), 0, 0) })
	add("zeros before", func(digest []byte) []byte { return append([]byte{0, 0}, sign(digest)...) })
	add("33 bytes each", func(digest []byte) []byte {
		rs := sign(digest)
		return bytes.Join([][]byte{{0}, rs[:32], {0}, rs[32:]}, nil)
	})
	add("zero before s", func(digest []byte) []byte {
		rs := sign(digest)
		return bytes.Join([][]byte{rs[:32], {0}, rs[32:]}, nil)
	})
	add("truncated", func(digest []byte) []byte { return sign(digest)[:63] })
	add("half", func(digest []byte) []byte { return sign(digest)[:32] })
	add("nothing", constant(nil))
	add("s and r", func(digest []byte) []byte { rs := sign(digest); return append(rs[32:], rs[:32]...) })
	add("(n-r, s)", func(digest []byte) []byte {
		rs := sign(digest)
		return append(new(big.Int).Sub(n, new(big.Int).SetBytes(rs[:32])).FillBytes(make([]byte, 32)), rs[32:]...)
	})
	return all
}

// pkcsAttacks are signatures made with the private key over paddings that are almost right.
func pkcsAttacks() []attack {
	prefix := []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
	noNull := []byte{0x30, 0x2f, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x04, 0x20}
	raw := func(message func(digest []byte) []byte) signer {
		return func(digest []byte) []byte {
			k := rsaKey()
			m := new(big.Int).SetBytes(message(digest))
			return m.Exp(m, k.D, k.N).FillBytes(make([]byte, k.Size()))
		}
	}
	padded := func(kind, fill byte, separator byte, head []byte, tail int) signer {
		return raw(func(digest []byte) []byte {
			content := append(append([]byte{separator}, head...), digest...)
			pad := bytes.Repeat([]byte{fill}, 256-2-len(content)-tail)
			return bytes.Join([][]byte{{0, kind}, pad, content, make([]byte, tail)}, nil)
		})
	}
	var all []attack
	for name, sign := range map[string]signer{
		"right padding": padded(1, 0xff, 0, prefix, 0), // held below: it must verify
		"type 2":        padded(2, 0xff, 0, prefix, 0), "type 0": padded(0, 0xff, 0, prefix, 0), "fill 0": padded(1, 0, 0, prefix, 0),
		"separator 1": padded(1, 0xff, 1, prefix, 0), "bytes behind the hash": padded(1, 0xff, 0, prefix, 100), "no algorithm": padded(1, 0xff, 0, nil, 0),
		"no NULL": padded(1, 0xff, 0, noNull, 0), "bare digest": raw(func(digest []byte) []byte { return digest }),
		"zero": constant(make([]byte, 256)), "one": constant(append(make([]byte, 255), 1)), "modulus": constant(rsaKey().N.Bytes()),
		"not reduced": func(digest []byte) []byte {
			return new(big.Int).Add(new(big.Int).SetBytes(rs256(rsaKey())(digest)), rsaKey().N).Bytes()
		},
		"zeros before": func(digest []byte) []byte { return append([]byte{0, 0}, rs256(rsaKey())(digest)...) },
		"zeros behind": func(digest []byte) []byte { return append(rs256(rsaKey())(digest), 0, 0) },
		"truncated":    func(digest []byte) []byte { return rs256(rsaKey())(digest)[:255] },
		"SHA-1": func(digest []byte) []byte {
			return must(rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA1, digest[:20]))
		},
		"no hash": func(digest []byte) []byte { return must(rsa.SignPKCS1v15(nil, rsaKey(), 0, digest)) },
	} {
		want := token.SignatureInvalid
		if name == "right padding" {
			want = ""
		}
		all = append(all, attack{"T19", name, jws(rs256Header, aliceClaims, sign), want})
	}
	return all
}

// TestTwin (T18): whoever has (r, s) has (r, n-s); both tokens are the same to us, claim
// for claim, and so one revocation finds both.
func TestTwin(t *testing.T) {
	t.Parallel()
	s := allKeys(t)
	var twins []token.Claims
	var first []byte
	sign := func(digest []byte) []byte {
		if first == nil {
			first = es256(p256Key())(digest)
			return first
		}
		n := elliptic.P256().Params().N
		return concat(new(big.Int).SetBytes(first[:32]), new(big.Int).Sub(n, new(big.Int).SetBytes(first[32:])))
	}
	for range 2 {
		c, err := verifyBy(s, jws(es256Header, aliceClaims, sign))
		if err != nil {
			t.Fatal(err)
		}
		twins = append(twins, c)
	}
	if diff := cmp.Diff(twins[0], twins[1]); diff != "" {
		t.Error(diff)
	}
}

func TestZeroValuesVerifyNothing(t *testing.T) {
	t.Parallel()
	key, _ := allKeys(t).Lookup("r1")
	good := mustParse(t, jws(rs256Header, aliceClaims, rs256(rsaKey())))
	byEC := mustParse(t, jws(rs256Header, aliceClaims, es256(p256Key())))
	for name, c := range map[string]struct {
		key  Key
		u    Unverified
		want token.Failure
	}{
		"good":                      {key, good, ""},
		"no token":                  {key, Unverified{}, token.Malformed},
		"no key":                    {Key{}, good, token.SignatureInvalid},
		"neither":                   {Key{}, Unverified{}, token.Malformed},
		"no public key":             {Key{id: "r1", algorithm: RS256}, good, token.SignatureInvalid},
		"no algorithm":              {Key{id: "r1", public: key.public}, good, token.SignatureInvalid},
		"another kid":               {Key{id: "r2", algorithm: RS256, public: key.public}, good, token.SignatureInvalid},
		"wrong type":                {Key{id: "r1", algorithm: RS256, public: &p256Key().PublicKey}, good, token.SignatureInvalid},
		"wrong type, its signature": {Key{id: "r1", algorithm: RS256, public: &p256Key().PublicKey}, byEC, token.SignatureInvalid},
		"value":                     {Key{id: "r1", algorithm: RS256, public: rsaKey().PublicKey}, good, token.SignatureInvalid},
	} {
		claims, err := c.key.Verify(c.u)
		if got := failure(t, claims, err); got != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	unnamed := good
	unnamed.parsed = &parsed{claims: alice(), compact: good.parsed.compact}
	if c, err := (Key{public: key.public}).Verify(unnamed); failure(t, c, err) != token.SignatureInvalid {
		t.Errorf("no algorithm on either side: %v", err)
	}
}

package serve

import (
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
)

var cryptoRows = map[string]func(*testing.T){
	"T06": noAlgorithm, "T07": hmacByPublicKey, "T08": algorithmSwap, "T09": senderKeys, "T10": keyIDs, "T11": kidFlood,
	"T12": sameKidElsewhere, "T13": withdrawnKey, "T18": ecdsaForms, "T19": paddings,
}

func noAlgorithm(t *testing.T) {
	w := newWorld(t, setting{})
	for _, alg := range []string{`"none"`, `"None"`, `"nOnE"`, `"NONE"`, `""`, `"RS256 "`, `"rs256"`, `"RS1"`} {
		header := `{"kid":"k1","alg":` + alg + `}`
		w.deniesFree(t, alg, jws(header, w.claims(nil), constant("")), "401 signature_invalid")
		w.deniesFree(t, alg+" signed", jws(header, w.claims(nil), rs256(issuerRSA())), "401 signature_invalid")
	}
	w.deniesFree(t, "no alg", jws(`{"kid":"k1"}`, w.claims(nil), constant("")), "401 signature_invalid")
	for _, alg := range []string{"null", "1", `["RS256"]`, `{"a":1}`, "true"} {
		w.deniesFree(t, alg, jws(`{"kid":"k1","alg":`+alg+`}`, w.claims(nil), rs256(issuerRSA())), "401 token_malformed")
	}
	w.deniesSignature(t, "RS256 without signature", jws(usualHeader, w.claims(nil), constant("")))
	w.deniesSignature(t, "RS256 with another's", jws(usualHeader, w.claims(nil), rs256(evilRSA())))
}

func hmacByPublicKey(t *testing.T) {
	w := newWorld(t, setting{})
	public := &issuerRSA().PublicKey
	pkix := must(x509.MarshalPKIXPublicKey(public))
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})
	for what, secret := range map[string][]byte{
		"PKIX": pkix, "PKCS1": x509.MarshalPKCS1PublicKey(public), "PEM": block, "PEM, cut": block[:len(block)-1],
		"JWK": must(json.Marshal(rsaJWK("k1", "RS256", public))), "modulus": public.N.Bytes(), "empty": nil,
		"EC": must(x509.MarshalPKIXPublicKey(&issuerEC().PublicKey)),
	} {
		sign := func(signed string) []byte {
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(signed))
			return mac.Sum(nil)
		}
		w.deniesFree(t, what, jws(`{"kid":"k1","alg":"HS256"}`, w.claims(nil), sign), "401 signature_invalid")
		w.deniesSignature(t, what+" as RS256", jws(usualHeader, w.claims(nil), sign))
	}
}

func algorithmSwap(t *testing.T) {
	w := newWorld(t, setting{server: ", algorithms: [RS256, PS256, ES256]"})
	w.is.publish(document(rsaJWK("k1", "RS256", &issuerRSA().PublicKey), rsaJWK("ps", "PS256", &evilRSA().PublicKey),
		ecJWK("ec", "ES256", &issuerEC().PublicKey), ecJWK("p384", "ES256", &largeEC().PublicKey)))
	header := func(kid, alg string) string { return fmt.Sprintf(`{"kid":%q,"alg":%q}`, kid, alg) }
	vouched := func(kid, alg string, sign signing) string {
		claims := w.claims(nil)
		text := jws(header(kid, alg), claims, sign)
		w.is.vouch("default", text, claims)
		return text
	}
	// The first unknown kid has the keys fetched.
	w.allows(t, vouched("ps", "PS256", ps256(evilRSA(), 32)))
	w.allows(t, vouched("k1", "RS256", rs256(issuerRSA())))
	w.allows(t, vouched("ec", "ES256", es256(issuerEC())))
	for what, text := range map[string]string{
		"PS by an RS key":      jws(header("k1", "PS256"), w.claims(nil), ps256(issuerRSA(), 32)),
		"RS by a PS key":       jws(header("ps", "RS256"), w.claims(nil), rs256(evilRSA())),
		"RS says PS":           jws(header("ps", "PS256"), w.claims(nil), rs256(evilRSA())),
		"ES by an RSA key":     jws(header("k1", "ES256"), w.claims(nil), es256(issuerEC())),
		"RS by an EC key":      jws(header("ec", "RS256"), w.claims(nil), rs256(issuerRSA())),
		"ES256 on P-384":       jws(header("p384", "ES256"), w.claims(nil), es256(largeEC())),
		"P-384 for the P-256":  jws(header("ec", "ES256"), w.claims(nil), es256(largeEC())),
		"PS256 without salt":   jws(header("ps", "PS256"), w.claims(nil), ps256(evilRSA(), 0)),
		"PS256 with salt 20":   jws(header("ps", "PS256"), w.claims(nil), ps256(evilRSA(), 20)),
		"PS256 with salt 48":   jws(header("ps", "PS256"), w.claims(nil), ps256(evilRSA(), 48)),
		"PS256 with the most":  jws(header("ps", "PS256"), w.claims(nil), ps256(evilRSA(), rsa.PSSSaltLengthAuto)),
		"says PS, is RS":       jws(header("k1", "PS256"), w.claims(nil), rs256(issuerRSA())),
		"says ES, is RS":       jws(header("k1", "ES256"), w.claims(nil), rs256(issuerRSA())),
		"says RS, is ES":       jws(header("ec", "RS256"), w.claims(nil), es256(issuerEC())),
		"another key's kid":    jws(header("ec", "ES256"), w.claims(nil), rs256(issuerRSA())),
		"nobody's kid":         jws(header("k2", "RS256"), w.claims(nil), rs256(issuerRSA())),
		"a PS key's signature": jws(header("k1", "RS256"), w.claims(nil), rs256(evilRSA())),
	} {
		w.deniesSignature(t, what, text)
	}
	for _, alg := range []string{"RS384", "RS512", "PS384", "ES384", "ES512", "EdDSA", "ES256K"} {
		w.deniesFree(t, alg, jws(header("k1", alg), w.claims(nil), rs256(issuerRSA())), "401 signature_invalid")
	}
	// RS256 alone, unless the configuration says more.
	only := newWorld(t, setting{})
	only.deniesSignature(t, "PS256 not configured", jws(header("k1", "PS256"), only.claims(nil), ps256(issuerRSA(), 32)))
}

func senderKeys(t *testing.T) {
	w := newWorld(t, setting{})
	evil := trap(t)
	jwk := string(must(json.Marshal(rsaJWK("k1", "RS256", &evilRSA().PublicKey))))
	for what, member := range map[string]string{
		"jwk": `"jwk":` + jwk, "jku": `"jku":"` + evil + `/keys"`, "x5u": `"x5u":"` + evil + `/cert"`,
		"x5c": `"x5c":["MIIB"]`, "JWK": `"JWK":` + jwk, "null": `"jku":null`,
	} {
		header := `{"kid":"k1","alg":"RS256",` + member + `}`
		w.deniesFree(t, what, jws(header, w.claims(nil), rs256(evilRSA())), "401 token_malformed")
		claims := w.claims(nil)
		good := jws(header, claims, rs256(issuerRSA()))
		w.is.vouch("default", good, claims)
		w.deniesFree(t, what+" beside a good signature", good, "401 token_malformed")
	}
}

func keyIDs(t *testing.T) {
	w := newWorld(t, setting{})
	for _, kid := range []string{
		`../../dev/null`, `k1' OR '1'='1`, `k1\u0000`, `http://169.254.169.254/`, `K1`, ` k1`, `k1 `, `k1/`, `*`, strings.Repeat("k", 256),
		`${jndi:ldap://a}`, `{{1}}`, `..%2fk1`, `\ud83d\ude00`,
	} {
		w.deniesSignature(t, kid, jws(`{"kid":"`+kid+`","alg":"RS256"}`, w.claims(nil), rs256(issuerRSA())))
	}
	for what, header := range map[string]string{
		"257 bytes": `{"kid":"` + strings.Repeat("k", 257) + `","alg":"RS256"}`, "empty": `{"kid":"","alg":"RS256"}`, "none": `{"alg":"RS256"}`,
		"number": `{"kid":1,"alg":"RS256"}`, "array": `{"kid":["k1"],"alg":"RS256"}`, "object": `{"kid":{"k1":1},"alg":"RS256"}`,
		"null": `{"kid":null,"alg":"RS256"}`, "twice": `{"kid":"k1","kid":"k1","alg":"RS256"}`, "twin": `{"kid":"k1","KID":"k1","alg":"RS256"}`,
	} {
		w.deniesFree(t, what, jws(header, w.claims(nil), rs256(issuerRSA())), "401 token_malformed")
	}
	w.deniesFree(t, "1 MiB", jws(`{"kid":"`+strings.Repeat("k", 100<<10)+`","alg":"RS256"}`, w.claims(nil), constant("")), "400 request_malformed")
	for line := range strings.Lines(seriesOf(t, w.Server)) {
		if strings.Contains(line, "dev/null") || strings.Contains(line, "169.254") {
			t.Errorf("a kid became a label: %s", line)
		}
	}
}

func kidFlood(t *testing.T) {
	w := newWorld(t, setting{})
	good := w.good()
	introspections, fetches := w.is.asked("introspect"), w.is.asked("keys")
	const junk, callers = 3_000, 8
	signature := strings.Repeat("s", 256)
	claims := w.claims(nil)
	var flood sync.WaitGroup
	for c := range callers {
		flood.Go(func() {
			for i := range junk / callers {
				text := jws(fmt.Sprintf(`{"kid":"r%d-%d","alg":"RS256"}`, c, i), claims, constant(signature))
				if got := w.ask(t, threeModes[1+i%2], text); got != "401 signature_invalid" {
					t.Errorf("unknown kid: %s", got)
					return
				}
				if i%50 == 0 {
					if got := w.ask(t, "jwt", good); got != "allow" {
						t.Errorf("known kid: %s", got)
					}
				}
			}
		})
	}
	flood.Wait()
	if n, m := w.is.asked("introspect")-introspections, w.is.asked("keys")-fetches; n != 0 || m > 1 {
		t.Errorf("%d introspections, %d fetches of keys", n, m)
	}
	w.allows(t, w.good())
}

// sameKidElsewhere: authorization server "other" calls another key k1, too.
func sameKidElsewhere(t *testing.T) {
	a, b := newWorld(t, setting{}), newWorld(t, setting{})
	b.is.publish(document(rsaJWK("k1", "RS256", &evilRSA().PublicKey)))
	// Whatever an authorization server is, its word is not taken for another's.
	foreign := jws(usualHeader, b.claims(nil), rs256(evilRSA()))
	for range 2 {
		a.deniesFree(t, "issuer B", foreign, "401 issuer_mismatch")
		a.deniesSignature(t, "issuer B's key", jws(usualHeader, a.claims(nil), rs256(evilRSA())))
		a.allows(t, a.good())
	}
	elsewhere := a.claims(map[string]string{"iss": `"` + a.is.name("other") + `"`, "aud": `"api://other"`})
	text := jws(usualHeader, elsewhere, rs256(issuerRSA()))
	a.is.vouch("other", text, elsewhere)
	for range 2 {
		if got := a.ask(t, "elsewhere", text); got != "allow" {
			t.Errorf("at its own API: %s", got)
		}
		a.deniesFree(t, "server other", text, "401 issuer_mismatch")
		if got := a.ask(t, "elsewhere", a.good()); got != "401 issuer_mismatch" {
			t.Errorf("server default's token elsewhere: %s", got)
		}
	}
}

func withdrawnKey(t *testing.T) {
	w := newWorld(t, setting{maxAge: "0s"})
	old, warm := w.good(), w.good()
	w.allows(t, warm)
	w.is.publish(document(rsaJWK("k2", "RS256", &evilRSA().PublicKey)))
	claims := w.claims(nil)
	fresh := jws(`{"kid":"k2","alg":"RS256"}`, claims, rs256(evilRSA()))
	w.is.vouch("default", fresh, claims)
	fetches := w.is.asked("keys")
	w.allows(t, fresh)
	if n := w.is.asked("keys") - fetches; n != 1 {
		t.Errorf("%d fetches of keys", n)
	}
	for _, text := range []string{old, warm} {
		for _, mode := range []string{"jwt", "both"} {
			if got := w.ask(t, mode, text); got != "401 signature_invalid" {
				t.Errorf("%s by a withdrawn key: %s", mode, got)
			}
		}
	}
}

func ecdsaForms(t *testing.T) {
	is := newIssuer(t)
	is.publish(document(ecJWK("k1", "ES256", &issuerEC().PublicKey)))
	w := newStranger(t, is, setting{server: ", algorithms: [ES256]"})
	const header = `{"kid":"k1","alg":"ES256"}`
	claims := w.claims(nil)
	good := jws(header, claims, es256(issuerEC()))
	w.is.vouch("default", good, claims)
	w.allows(t, good)

	n := elliptic.P256().Params().N
	join := func(r, s *big.Int) signing {
		return constant(string(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)))
	}
	signed := good[:strings.LastIndexByte(good, '.')]
	signature := es256(issuerEC())(signed)
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	twin := jws(header, claims, join(r, new(big.Int).Sub(n, s)))
	if got := w.ask(t, "jwt", twin); got != "allow" { // as good as the token itself, and not better
		t.Errorf("twin: %s", got)
	}
	for _, mode := range []string{"introspection", "both"} {
		if got := w.ask(t, mode, twin); got != "401 token_inactive" {
			t.Errorf("twin, %s: %s", mode, got)
		}
	}
	zero, one := new(big.Int), big.NewInt(1)
	for what, sign := range map[string]signing{
		"r 0": join(zero, s), "s 0": join(r, zero), "both 0": join(zero, zero), "r n": join(n, s), "s n": join(r, n),
		"both n": join(n, n), "n-1": join(new(big.Int).Sub(n, one), new(big.Int).Sub(n, one)), "1 1": join(one, one),
		"long":  constant(string(signature) + "\x00"),
		"short": constant(string(signature[:63])), "front": constant("\x00" + string(signature)), "empty": constant(""),
		"DER": constant("\x30\x44\x02\x20" + string(signature[:32]) + "\x02\x20" + string(signature[32:])),
	} {
		w.deniesSignature(t, what, jws(header, claims, sign))
	}
}

// paddings signs what PKCS #1 v1.5 forbids, with the issuer's own key.
func paddings(t *testing.T) {
	w := newWorld(t, setting{})
	key := issuerRSA()
	size := key.Size()
	info := []byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20")
	noNull := []byte("\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20")
	raw := func(build func(digest []byte) []byte) signing {
		return func(signed string) []byte {
			d := sha256.Sum256([]byte(signed))
			em := build(d[:])
			em = append(em, make([]byte, size-len(em))...)
			return new(big.Int).Exp(new(big.Int).SetBytes(em), key.D, key.N).FillBytes(make([]byte, size))
		}
	}
	padded := func(kind string, fill byte, tail ...[]byte) []byte {
		var t []byte
		for _, part := range tail {
			t = append(t, part...)
		}
		em := []byte("\x00" + kind)
		for len(em) < size-1-len(t) {
			em = append(em, fill)
		}
		return append(append(em, 0), t...)
	}
	sound := raw(func(d []byte) []byte { return padded("\x01", 0xff, info, d) })
	claims := w.claims(nil)
	text := jws(usualHeader, claims, sound)
	w.is.vouch("default", text, claims)
	w.allows(t, text) // the arithmetic of this test is right
	for what, sign := range map[string]signing{
		"rubbish behind": raw(func(d []byte) []byte {
			return append(append([]byte("\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00"), info...), d...)
		}),
		"no padding":       raw(func(d []byte) []byte { return append(append([]byte("\x00\x01\x00"), info...), d...) }),
		"kind 2":           raw(func(d []byte) []byte { return padded("\x02", 0xff, info, d) }),
		"kind 0":           raw(func(d []byte) []byte { return padded("\x00", 0x00, info, d) }),
		"other filling":    raw(func(d []byte) []byte { return padded("\x01", 0xfe, info, d) }),
		"no NULL":          raw(func(d []byte) []byte { return padded("\x01", 0xff, noNull, d) }),
		"no digest info":   raw(func(d []byte) []byte { return padded("\x01", 0xff, d) }),
		"short digest":     raw(func(d []byte) []byte { return padded("\x01", 0xff, info, d[:20]) }),
		"zero":             constant(strings.Repeat("\x00", size)),
		"one":              constant(strings.Repeat("\x00", size-1) + "\x01"),
		"modulus":          constant(string(key.N.Bytes())),
		"leading zero":     func(s string) []byte { return append([]byte{0}, sound(s)...) },
		"plus the modulus": func(s string) []byte { return new(big.Int).Add(new(big.Int).SetBytes(sound(s)), key.N).Bytes() },
		"PSS":              ps256(key, 32),
	} {
		w.deniesSignature(t, what, jws(usualHeader, claims, sign))
	}
}

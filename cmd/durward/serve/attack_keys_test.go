package serve

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

var keyRows = map[string]func(*testing.T){"T37": badKeys, "T38": badMetadata}

// badKeys stand in one document beside a good one.
func badKeys(t *testing.T) {
	w := newWorld(t, setting{server: ", algorithms: [RS256, ES256]"})
	evil := rsaJWK("", "RS256", &evilRSA().PublicKey)
	named := func(kid string, k map[string]any) map[string]any { return with(k, "kid", kid) }
	ec := ecJWK("", "ES256", &issuerEC().PublicKey)
	large := new(big.Int).Lsh(big.NewInt(1), 16<<10)
	bad := []map[string]any{
		named("enc", with(evil, "use", "enc")), named("ops", with(evil, "key_ops", []string{"encrypt"})), named("alg", with(evil, "alg", "ES256")),
		named("hs", with(evil, "alg", "HS256")), named("oct", map[string]any{"kty": "oct", "k": b64("secret"), "alg": "HS256"}),
		named("e1", with(evil, "e", b64("\x01"))), named("e3", with(evil, "e", b64("\x03"))), named("e even", with(evil, "e", b64("\x01\x00\x02"))),
		named("1024", with(evil, "n", b64(evilRSA().N.Bytes()[:128]))), named("16k", with(evil, "n", b64(large.Bytes()))),
		named("private", with(evil, "d", b64(evilRSA().D.Bytes()))), named("off", with(ec, "y", ec["x"])), named("p384", ecJWK("", "ES256", &largeEC().PublicKey)),
		named("kty", with(evil, "kty", "rsa")), named("twice", evil), named("twice", rsaJWK("", "RS256", &issuerRSA().PublicKey)),
		{"kty": 1, "kid": "number"},
		{},
	}
	w.is.publish(document(append(bad, rsaJWK("k1", "RS256", &issuerRSA().PublicKey), named("ec", ec))...))
	claims := w.claims(nil)
	text := jws(`{"kid":"ec","alg":"ES256"}`, claims, es256(issuerEC()))
	w.is.vouch("default", text, claims)
	w.allows(t, text) // has the keys fetched
	w.allows(t, w.good())
	for _, key := range bad {
		kid, ok := key["kid"].(string)
		if !ok {
			continue
		}
		sign := rs256(evilRSA())
		if key["kty"] == "EC" {
			sign = es256(issuerEC())
		}
		for _, alg := range []string{"RS256", "ES256"} {
			w.deniesSignature(t, kid, jws(fmt.Sprintf(`{"kid":%q,"alg":%q}`, kid, alg), w.claims(nil), sign))
		}
	}
	w.tellsOfKeys(t, "keys of the server cannot be used; tokens that they sign are refused", "WARN", "dropped")
	for what, keys := range map[string]string{
		"only bad keys": document(bad...), "no key": document(), "null": `{"keys":null}`, "half": `{"keys":[`, "HTML": "<html></html>",
		"50 MiB": `{"keys":[` + strings.Repeat(" ", 50<<20) + `]}`, "twice": `{"keys":[],"keys":` + document(named("x", evil))[8:],
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			worthless(t, keys, what)
		})
	}
}

// tellsOfKeys wants one line, with this member, however often the keys are looked at.
func (w *world) tellsOfKeys(t *testing.T, message, level, member string) {
	t.Helper()
	eventually(t, message, func() bool { return len(w.log.lines(t, message)) > 0 })
	time.Sleep(keysEvery + keysEvery/2)
	told := w.log.lines(t, message)
	if len(told) != 1 || told[0]["level"] != level || told[0]["authorization_server"] != "default" || told[0]["fix"] == nil || told[0][member] == "" {
		t.Errorf("told %v", told)
	}
	if text, ok := told[0][member].(string); !ok || len(text) > maxToldText+10 {
		t.Errorf("%d bytes of %s", len(text), member)
	}
}

// worthless documents leave the keys that there are, and tell of themselves.
func worthless(t *testing.T, keys, what string) {
	t.Helper()
	w := newWorld(t, setting{})
	w.is.publish(keys)
	unknown := jws(`{"kid":"x","alg":"RS256"}`, w.claims(nil), rs256(evilRSA()))
	fetches := w.is.asked("keys")
	if got := w.ask(t, "jwt", unknown); got != "503 okta_unavailable" {
		t.Errorf("%s: %s for an unknown kid", what, got)
	}
	if n := w.is.asked("keys") - fetches; n != 1 {
		t.Errorf("%s: %d fetches", what, n)
	}
	w.allows(t, w.good())
	if got := w.ask(t, "both", unknown); got == "allow" {
		t.Errorf("%s: allowed", what)
	}
	forged := jws(usualHeader, w.claims(nil), rs256(evilRSA()))
	w.deniesSignature(t, what, forged)
	w.tellsOfKeys(t, "the server's keys cannot be fetched; the last good ones stay in use for a day at most", "ERROR", "error")
}

// badMetadata would send us elsewhere for keys.
func badMetadata(t *testing.T) {
	evil := trap(t)
	type metadata = map[string]any
	for what, change := range map[string]func(name string) http.HandlerFunc{
		"another issuer": serves(func(name string) metadata { return metadata{"issuer": "https://evil", "jwks_uri": name + "/v1/keys"} }),
		"issuer, slash":  serves(func(name string) metadata { return metadata{"issuer": name + "/", "jwks_uri": name + "/v1/keys"} }),
		"no issuer":      serves(func(name string) metadata { return metadata{"jwks_uri": name + "/v1/keys"} }),
		"another host":   serves(func(name string) metadata { return metadata{"issuer": name, "jwks_uri": evil + "/keys"} }),
		"link-local":     serves(func(name string) metadata { return metadata{"issuer": name, "jwks_uri": "http://169.254.169.254/keys"} }),
		"another port":   serves(func(name string) metadata { return metadata{"issuer": name, "jwks_uri": "http://127.0.0.1:1/keys"} }),
		"scheme": serves(func(name string) metadata {
			return metadata{"issuer": name, "jwks_uri": strings.Replace(name, "http", "https", 1) + "/v1/keys"}
		}),
		"file": serves(func(name string) metadata { return metadata{"issuer": name, "jwks_uri": "file:///etc/passwd"} }),
		"user": serves(func(name string) metadata {
			return metadata{"issuer": name, "jwks_uri": strings.Replace(name, "://", "://a@", 1) + "/v1/keys"}
		}),
		"none": serves(func(name string) metadata { return metadata{"issuer": name} }),
		"redirect": func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, evil+r.URL.Path, http.StatusFound) }
		},
		"twice": func(name string) http.HandlerFunc {
			return body(fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"jwks_uri":%q}`, name, evil, name+"/v1/keys"))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			is := newIssuer(t)
			is.respond("metadata", change(is.name("default")))
			w := newStranger(t, is, setting{})
			if got := w.ask(t, "jwt", w.good()); got != "503 okta_unavailable" {
				t.Errorf("jwt: %s", got)
			}
			if n := is.asked("keys"); n != 0 {
				t.Errorf("%d fetches of keys", n)
			}
			for _, mode := range asking { // keys unavailable: Okta's word still decides
				if got := w.ask(t, mode, w.good()); got != "allow" {
					t.Errorf("%s: %s", mode, got)
				}
			}
		})
	}
	t.Run("keys redirect", func(t *testing.T) {
		t.Parallel()
		is := newIssuer(t)
		is.respond("keys", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, evil+"/keys", http.StatusFound) })
		w := newStranger(t, is, setting{})
		if got := w.ask(t, "jwt", w.good()); got != "503 okta_unavailable" {
			t.Errorf("jwt: %s", got)
		}
	})
}

func serves(metadata func(name string) map[string]any) func(string) http.HandlerFunc {
	return func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(must(json.Marshal(metadata(name))))
		}
	}
}

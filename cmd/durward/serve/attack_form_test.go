package serve

import (
	"encoding/base64"
	"strings"
	"testing"
)

var formRows = map[string]func(*testing.T){
	"T14": headerMembers, "T15": duplicates, "T16": notStrictJSON, "T17": encodings, "T21": encrypted,
}

// vouchedFor signs and vouches for a header and claims that must be refused all the same.
func (w *world) vouchedFor(header, claims string) string { return w.is.issue(header, claims) }

func headerMembers(t *testing.T) {
	w := newWorld(t, setting{})
	for _, member := range []string{
		`"crit":["x"],"x":1`, `"crit":[]`, `"crit":["alg"]`, `"crit":"exp"`, `"crit":null`, `"CRIT":["x"]`, `"b64":false,"crit":["b64"]`,
		`"b64":false`, `"b64":true`, `"zip":"DEF"`, `"cty":"JWT"`, `"cty":"jwt"`, `"enc":"A256GCM"`,
	} {
		text := w.vouchedFor(`{"kid":"k1","alg":"RS256",`+member+`}`, w.claims(nil))
		w.deniesFree(t, member, text, "401 token_malformed")
	}
	w.allows(t, w.vouchedFor(`{"kid":"k1","alg":"RS256","unknown":1}`, w.claims(nil))) // RFC 7515 section 4
}

func duplicates(t *testing.T) {
	w := newWorld(t, setting{})
	for _, header := range []string{
		`{"kid":"k1","alg":"RS256","alg":"RS256"}`, `{"kid":"k1","alg":"none","alg":"RS256"}`, `{"kid":"k1","alg":"RS256","ALG":"none"}`,
		`{"kid":"k1","alg":"RS256","x":{"a":1,"a":2}}`, `{"kid":"k1","alg":"RS256","\u0061lg":"RS256"}`, `{"kid":"k1","alg":"RS256","\u212aid":"k2"}`,
	} {
		w.deniesFree(t, header, w.vouchedFor(header, w.claims(nil)), "401 token_malformed")
	}
	for _, member := range []string{
		`"exp":9999999999`, `"EXP":9999999999`, `"Iss":"x"`, `"\u0069ss":"x"`, `"AUD":"x"`, `"jti":"AT.x"`, `"a":{"b":1,"b":2}`,
		`"a":1,"A":1`, `"i\u017fs":"x"`, `"Scp":["orders.write"]`, `"ſub":"root"`,
	} {
		claims := strings.TrimSuffix(w.claims(nil), "}") + "," + member + "}"
		w.deniesFree(t, member, w.vouchedFor(usualHeader, claims), "401 token_malformed")
	}
}

func notStrictJSON(t *testing.T) {
	w := newWorld(t, setting{})
	good := w.claims(nil)
	for _, payload := range []string{
		good + "{}", good + "x", good + "\x00", good + ",", "\ufeff" + good, "null", "[1]", "1", `"a"`, "true", "", "{", "[" + good + "]",
		strings.Replace(good, "alice", "a\xfflice", 1), strings.Replace(good, "alice", `a\ud800lice`, 1),
		strings.Replace(good, "alice", "a\x00lice", 1), strings.Replace(good, `"ver":1`, `ver:1`, 1), strings.Replace(good, `"ver":1`, `'ver':1`, 1),
		strings.Replace(good, `"ver":1`, `"ver":01`, 1), strings.Replace(good, `"ver":1`, `"ver":NaN`, 1), strings.Replace(good, `"ver":1`, `"ver":1,`, 1),
		strings.Replace(good, `"ver":1`, `/**/"ver":1`, 1),
	} {
		w.deniesFree(t, payload, jws(usualHeader, payload, rs256(issuerRSA())), "401 token_malformed")
	}
	for _, header := range []string{usualHeader + "x", "\ufeff" + usualHeader, "null", "[]", `"a"`, "", `{"kid":"k1","alg":"RS256","x":"` + "\xff" + `"}`} {
		w.deniesFree(t, header, jws(header, good, rs256(issuerRSA())), "401 token_malformed")
	}
}

func encodings(t *testing.T) {
	w := newWorld(t, setting{})
	good := w.good()
	parts := strings.Split(good, ".")
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	twist := func(s string) string { // unused bits of the last character
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		return s[:len(s)-1] + string(alphabet[strings.IndexByte(alphabet, s[len(s)-1])|1])
	}
	// 256 bytes leave four unused bits.
	for what, text := range map[string]string{
		"padded": join(parts[0], parts[1], parts[2]+"=="), "more padding": join(parts[0], parts[1], parts[2]+"===="),
		"unused bits": join(parts[0], parts[1], twist(parts[2])),
		"4 parts":     good + ".", "5 parts": good + "..", "2 parts": join(parts[0], parts[1]), "1 part": parts[0],
		"other alphabet": join(parts[0], parts[1], strings.NewReplacer("-", "+", "_", "/").Replace(parts[2])+"+"),
		"no header":      join("", parts[1], parts[2]), "no claims": join(parts[0], "", parts[2]), "nothing": "..",
		"tilde":    join(parts[0], parts[1], "~"+parts[2][1:]),
		"standard": join(parts[0], parts[1]+"/", parts[2]),
	} {
		w.deniesFree(t, what, text, "401 token_malformed")
	}
	w.deniesSignature(t, "no signature", join(parts[0], parts[1], ""))
	w.deniesSignature(t, "a character more", join(parts[0], parts[1], parts[2]+"A"))
	// Inside the header field, such text is no token at all.
	for what, text := range map[string]string{
		"line end":     join(parts[0], parts[1], parts[2][:10]+"\n"+parts[2][10:]),
		"CR":           join(parts[0]+"\r", parts[1], parts[2]),
		"blank":        join(parts[0], parts[1][:9]+" "+parts[1][9:], parts[2]),
		"inner =":      join(parts[0]+"==", parts[1], parts[2]),
		"JSON":         `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"percent":      strings.ReplaceAll(good, ".", "%2e"),
		"quoted":       `"` + good + `"`,
		"general JSON": `{"payload":"` + parts[1] + `","signatures":[]}`,
	} {
		w.deniesFree(t, what, text, "400 request_malformed")
	}
	w.deniesFree(t, "base64 of it", base64.StdEncoding.EncodeToString([]byte(good)), "401 token_malformed")
	w.allows(t, good)
}

func encrypted(t *testing.T) {
	w := newWorld(t, setting{})
	for what, header := range map[string]string{
		"dir":   `{"alg":"dir","enc":"A256GCM"}`,
		"zip":   `{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF"}`,
		"PBES2": `{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAAAAAAAAA"}`,
		"JWS":   usualHeader,
	} {
		bomb := b64(strings.Repeat("\x00", 8<<10))
		w.deniesFree(t, what, strings.Join([]string{b64(header), bomb[:99], b64("0123456789ab"), bomb, b64("0123456789abcdef")}, "."), "401 token_malformed")
		w.deniesFree(t, what+" in three parts", jws(strings.Replace(header, `"alg"`, `"kid":"k1","alg"`, 1)[:len(header)]+`,"zip":"DEF"}`, w.claims(nil), rs256(issuerRSA())), "401 token_malformed")
	}
}

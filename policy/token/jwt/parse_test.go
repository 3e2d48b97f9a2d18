package jwt

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
)

func alice() token.Claims {
	at := time.Unix(1_800_000_000, 0)
	return token.Claims{
		Issuer: "https://example.okta.com/oauth2/default", Subject: "alice@example.com", UserID: "00uelcordjH5Zfukf0h7",
		ClientID: "0oaf2no1n6hPswFV10h7", Audience: []string{"api://default"}, Scopes: []string{"openid", "orders.read"},
		TokenID: "AT.1Hfv-GL3Tx5xCIMjWqUGg5a2F4NigBZq1Rq1IA6OxLk", ExpiresAt: at.Add(time.Hour), IssuedAt: at,
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"Okta":              rs256Header,
		"spaces":            " {\t\"alg\" : \"RS256\" ,\r\n\"kid\":\"r1\"} ",
		"JWT":               `{"typ":"JWT","kid":"r1","alg":"RS256"}`,
		"jwt":               `{"typ":"jwt","kid":"r1","alg":"RS256"}`,
		"RFC 9068":          `{"typ":"at+jwt","kid":"r1","alg":"RS256"}`,
		"RFC 9068, long":    `{"typ":"application/AT+jwt","kid":"r1","alg":"RS256"}`,
		"thumbprint":        `{"x5t":"AAAA","x5t#S256":"AAAA","kid":"r1","alg":"RS256"}`,
		"unknown":           `{"foo":{"a":[1]},"kid":"r1","alg":"RS256"}`,
		"kid of 256 bytes":  `{"kid":"` + strings.Repeat("k", 256) + `","alg":"RS256"}`,
		"kid is opaque":     `{"kid":"../../dev/null\u0000' OR 1=1 http://x","alg":"RS256"}`,
		"PS256":             `{"kid":"r1","alg":"PS256"}`,
		"ES256":             `{"kid":"r1","alg":"ES256"}`,
		"escaped names":     `{"\u006bid":"r1","\u0061lg":"RS256"}`,
		"16 levels of JSON": `{"x":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `,"kid":"r1","alg":"RS256"}`,
	} {
		u, err := parseText(jws(header, aliceClaims, constant([]byte("any"))))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(alice(), u.UnverifiedClaims()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// attack is one hostile token and how Parse must refuse it.
type attack struct {
	row, name, text string
	want            token.Failure
}

func parseAttacks() []attack {
	var all []attack
	add := func(row, name, text string, want token.Failure) {
		all = append(all, attack{row, name, text, want})
	}
	sig := constant([]byte("any"))
	header := func(row, h string, want token.Failure) { add(row, h, jws(h, aliceClaims, sig), want) }
	claims := func(row, c string, want token.Failure) { add(row, c, jws(rs256Header, c, sig), want) }

	for _, alg := range []string{"none", "None", "nOnE", "NONE", "", "HS256", "HS512", "rs256", "RS256 ", "RS384", "RS512", "PS384", "ES384", "ES512", "ES256K", "EdDSA", "RSA-OAEP"} {
		header("T06", `{"kid":"r1","alg":"`+alg+`"}`, token.SignatureInvalid)
	}
	header("T06", `{"kid":"r1"}`, token.SignatureInvalid)
	header("T06", `{"kid":"r1","ALG":"RS256"}`, token.SignatureInvalid)
	for _, alg := range []string{`null`, `1`, `["RS256"]`, `{}`, `true`} {
		header("T06", `{"kid":"r1","alg":`+alg+`}`, token.Malformed)
	}
	for _, member := range []string{
		`"jwk":{"kty":"RSA"}`, `"jku":"https://evil.example/keys"`, `"x5u":"https://evil.example/cert"`, `"x5c":["MIIB"]`,
		`"JWK":{}`, `"Jku":""`, `"jwk":null`, `"x5c":[]`, "\"j\u212au\":1",
	} {
		header("T09", `{"kid":"r1",`+member+`,"alg":"RS256"}`, token.Malformed)
	}
	for _, kid := range []string{`1`, `["r1"]`, `null`, `""`, `{}`, `true`, `"` + strings.Repeat("k", 257) + `"`, `"` + strings.Repeat("k", 10_000) + `"`, `"r1","kid":"r1"`, `"r1","\u006bid":"r2"`} {
		header("T10", `{"kid":`+kid+`,"alg":"RS256"}`, token.Malformed)
	}
	header("T10", `{"alg":"RS256"}`, token.Malformed)
	for _, member := range []string{
		`"crit":["exp"]`, `"crit":[]`, `"crit":["alg"]`, `"crit":"exp"`, `"crit":null`, `"crit":["b64"],"b64":false`, `"b64":false`, `"b64":true`,
		`"zip":"DEF"`, `"cty":"JWT"`, `"enc":"A256GCM"`, `"CRIT":["exp"]`, `"Zip":"DEF"`,
	} {
		header("T14", `{"kid":"r1",`+member+`,"alg":"RS256"}`, token.Malformed)
	}
	header("T15", `{"kid":"r1","alg":"RS256","alg":"RS256"}`, token.Malformed)
	header("T15", `{"kid":"r1","alg":"RS256","ALG":"none"}`, token.Malformed)
	header("T15", `{"kid":"r1","KID":"r2","alg":"RS256"}`, token.Malformed)
	header("T15", `{"kid":"r1","alg":"RS256","x":{"a":1,"a":1}}`, token.Malformed)
	claims("T15", `{"exp":1,"exp":1}`, token.Malformed)
	claims("T15", `{"exp":1,"EXP":1}`, token.Malformed)
	claims("T15", `{"iss":"a","Iss":"b"}`, token.Malformed)
	claims("T15", `{"x":{"a":1,"a":1}}`, token.Malformed)
	for _, text := range []string{
		`null`, `[1]`, `1`, `"{}"`, `true`, ``, ` `, `{}{}`, `{}x`, "{}\x00", "\ufeff{}", "{\"a\":\"\xff\"}", "{\"\xc0\xaf\":1}", `{"a":"\ud800"}`, "{\"a\":\"\x00\"}", `{"a":1,}`, `{`, `{'a':1}`, "\x1f\x8b",
	} {
		claims("T16", text, token.Malformed)
		header("T16", text, token.Malformed)
	}
	for _, exp := range []string{`null`, `"1800003600"`, `1.5`, `1e30`, `9.3e18`, `-1`, `true`, `[1]`, `253402300800`, `18446744073709551617`, `1e400`, strings.Repeat("9", 9000)} {
		for _, name := range []string{"exp", "nbf", "iat"} {
			claims("T22", `{"`+name+`":`+exp+`}`, token.Malformed)
		}
	}
	claims("T24", `{"iss":["https://example.okta.com/oauth2/default"]}`, token.Malformed)
	claims("T26", `{"aud":[1]}`, token.Malformed)
	claims("T26", `{"aud":[["api://default"]]}`, token.Malformed)
	claims("T27", `{"scp":["a"],"scope":"b"}`, token.Malformed)
	claims("T28", `{"cid":"a","client_id":"b"}`, token.Malformed)
	for _, typ := range []string{"application/okta-internal-at+jwt", "dpop+jwt", "secevent+jwt", "logout+jwt", "JOSE", "", "at+jwt ", "application/jwt", "JWT+x"} {
		header("T29", `{"kid":"r1","typ":"`+typ+`","alg":"RS256"}`, token.WrongType)
	}
	header("T29", `{"kid":"r1","typ":null,"alg":"RS256"}`, token.Malformed)
	return append(all, encodingAttacks()...)
}

func encodingAttacks() []attack {
	var all []attack
	good := jws(rs256Header, aliceClaims, constant([]byte("1234567")))
	part := strings.Split(good, ".")
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	for name, text := range map[string]string{
		"one part": part[0], "two parts": join(part[0], part[1]), "four parts": join(part[0], part[1], part[2], ""), "six parts": good + "." + good,
		"five parts": join(part[0], part[1], part[2], part[1], part[2]), "five empty parts": "....", "two dots": "..", "no header": join("", part[1], part[2]),
		"no claims": join(part[0], "", part[2]), "none with no signature": join(encode(`{"alg":"none","kid":"r1"}`), part[1], ""),
		"padding": good + "=", "padding twice": good + "==", "padded header": join(part[0]+"=", part[1], part[2]), "dots alone": strings.Repeat(".", 1000),
		"unused bits": good[:len(good)-1] + string(good[len(good)-1]+1), "length 4n+1": good + "AAA", "other alphabet": join(part[0], part[1], "+/+/"),
		"JSON serialization": `{"payload":"` + part[1] + `","signatures":[]}`, "line end": good + "\n", "carriage return": good + "\r", "leading space": " " + good,
		"line end inside": part[0] + ".\n" + part[1] + "." + part[2], "NUL": good + "\x00", "tilde": join(part[0], part[1]+"~", part[2]),
		"JWE": join(encode(`{"alg":"RSA-OAEP","enc":"A256GCM"}`), "a", "b", "c", "d"), "PBES2": join(encode(`{"alg":"PBES2-HS256+A128KW","p2c":2147483647,"enc":"A256GCM"}`), "a", "b", "c", "d"),
		"opaque": "0Hs6Z8qYtN8HsvK3q1ZJgqgPdhE1nPzF1xdzvWyHjQE",
	} {
		row, want := "T17", token.Malformed
		switch name {
		case "JWE", "PBES2":
			row = "T21"
		case "none with no signature":
			row, want = "T06", token.SignatureInvalid
		}
		all = append(all, attack{row, name, text, want})
	}
	return all
}

func TestAttackParse(t *testing.T) {
	t.Parallel()
	for _, a := range parseAttacks() {
		u, err := parseText(a.text)
		if got := failure(t, u.UnverifiedClaims(), err); got != a.want || u != (Unverified{}) {
			t.Errorf("%s %.80q: %v, want %q", a.row, a.name, err, a.want)
		}
		if err != nil && len(a.text) > 10 && strings.Contains(err.Error(), a.text) {
			t.Errorf("%s %.80q: the error holds the token", a.row, a.name)
		}
	}
}

// TestHeaderSeenBefore: whatever header came before, and however many come at once, each
// is judged by its own text.
func TestHeaderSeenBefore(t *testing.T) {
	t.Parallel()
	cases := map[string]header{
		`{"kid":"r1","alg":"RS256"}`: {RS256, "r1"}, `{"kid":"r2","alg":"RS256"}`: {RS256, "r2"},
		`{"kid":"r1","alg":"ES256"}`: {ES256, "r1"}, `{"kid":"r1","alg":"RS256"} `: {RS256, "r1"},
		`{"kid":"r1","alg":"none"}`: {}, `{"kid":"","alg":"RS256"}`: {}, `{"kid":"r1","alg":"RS256","crit":[]}`: {}, ``: {},
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				for text, want := range cases {
					for range 2 {
						got, err := parseHeader([]byte(text))
						if got != want || (err == nil) != (want != header{}) {
							t.Errorf("%s is %v, %v", text, got, err)
						}
					}
				}
			}
		})
	}
	all.Wait()
}

// TestSplit: what token.Parse lets nobody try is refused here too.
func TestSplit(t *testing.T) {
	t.Parallel()
	good := jws(rs256Header, aliceClaims, constant([]byte("1234567")))
	if _, err := split(good); err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{"": "", "long": good + strings.Repeat("A", token.MaxLength)}
	for _, a := range encodingAttacks() {
		if a.name != "none with no signature" && a.name != "no claims" && a.name != "no header" && a.name != "two dots" { // refused as JSON
			bad[a.name] = a.text
		}
	}
	for i := range good {
		bad[fmt.Sprintf("line end at %d", i)] = good[:i] + "\n" + good[i:]
		bad[fmt.Sprintf("carriage return at %d", i)] = good[:i] + "\r" + good[i:]
	}
	for name, text := range bad {
		if c, err := split(text); err == nil || c != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestNotSigned(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"opaque": ErrOpaque, "a.b": ErrOpaque, "a.b.c.d": ErrOpaque, "a.b.c.d.e": ErrEncrypted, "a....e": ErrEncrypted, "a.b.c.d.e.f": ErrOpaque,
		"a.b.c": nil, jws(`{}`, `{}`, constant(nil)): nil, jws(rs256Header, `[]`, constant(nil)): nil,
	} {
		_, err := parseText(text)
		if err == nil || errors.Is(err, ErrOpaque) != errors.Is(want, ErrOpaque) || errors.Is(err, ErrEncrypted) != errors.Is(want, ErrEncrypted) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	u, err := Parse(token.Token{})
	if failure(t, u.UnverifiedClaims(), err) != token.Malformed {
		t.Errorf("no token: %v", err)
	}
}

// TestUnverifiedHidesTheToken: what is left of a token after Parse is as secret.
func TestUnverifiedHidesTheToken(t *testing.T) {
	t.Parallel()
	text := jws(rs256Header, aliceClaims, constant([]byte("canary of a signature")))
	u := mustParse(t, text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		for _, value := range []any{u, &u, []Unverified{u}, struct{ Any any }{u}, struct{ U Unverified }{u}} {
			if s := fmt.Sprintf(verb, value); strings.Contains(s, "canary") || strings.Contains(s, "alice") || strings.Contains(s, text[:20]) {
				t.Errorf("%s of %T: %s", verb, value, s)
			}
		}
		hidden := fmt.Sprintf(verb, struct{ u Unverified }{u}) // no method is asked
		if strings.Contains(hidden, "canary") || strings.Contains(hidden, text[:20]) {
			t.Errorf("%s of an unexported field: %s", verb, hidden)
		}
	}
}

// TestParseCost (T20): no token costs more memory than four of the longest tokens, nor
// more time than a signature does by ten. It is not parallel: it counts allocations.
func TestParseCost(t *testing.T) {
	const room = token.MaxLength*3/4 - 60 // for claims
	fill := func(begin, item, end string, count int) string {
		var b strings.Builder
		b.WriteString(begin)
		for i := 0; i < count && b.Len()+len(item)+len(end)+6 < room; i++ {
			b.WriteString(strings.ReplaceAll(item, "#", fmt.Sprintf("%x", i+4096)))
		}
		return b.String() + end
	}
	for name, c := range map[string]string{
		"usual":                    aliceClaims,
		"deep arrays":              `{"x":` + strings.Repeat("[", room-10),
		"deep objects":             strings.Repeat(`{"x":`, room/5),
		"deep, closed":             `{"x":` + strings.Repeat("[", room/2-10) + strings.Repeat("]", room/2-10) + `}`,
		"members":                  fill(`{`, `"#":0,`, `"x":0}`, room),
		"members at the bound":     fill(`{`, `"#":0,`, `"x":0}`, maxMembers-1),
		"long members, bound":      fill(`{`, `"#`+strings.Repeat("x", 80)+`":0,`, `"x":0}`, maxMembers-1),
		"members inside":           fill(`{"x":{`, `"#":0,`, `"x":0}}`, room),
		"members inside, bound":    fill(`{"x":{`, `"#":0,`, `"x":0}}`, maxMembers-2),
		"scopes":                   fill(`{"scp":[`, `"#",`, `"x"]}`, room),
		"scopes at the bound":      fill(`{"scp":[`, `"#",`, `"x"]}`, maxValues-1),
		"scopes, both, bound":      fill(`{"scope":"a","scp":[`, `"a",`, `"a"]}`, maxValues-2),
		"scope of blanks":          fill(`{"scope":"`, ` `, `"}`, room),
		"scope of blanks, escaped": fill(`{"scope":"`, `\u0020`, `"}`, room),
		"scope of words, escaped":  fill(`{"scope":"`, `a\u0020`, `"}`, room),
		"scope of words, bound":    fill(`{"scope":"`, `# `, `"}`, maxValues-1),
		"all bounds":               fill(`{`, `"#xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx":0,`, `"y":0,`, maxMembers-3) + fill(`"scope":"`, `# `, `",`, (maxValues-maxMembers)/2-2) + fill(`"scp":[`, `"#",`, `"x"]}`, (maxValues-maxMembers)/2-2),
		"scope of words":           fill(`{"scope":"`, `a `, `"}`, room),
		"three lists, bound":       fill(`{"scp":[`, `"#",`, `"x"]`, maxValues/3) + fill(`,"aud":[`, `"#",`, `"x"]`, maxValues/3-5) + fill(`,"groups":[`, `"#",`, `"x"]}`, maxValues/3-5),
		"long number":              `{"exp":` + strings.Repeat("9", room-10) + `}`,
		"long fraction":            `{"exp":1.` + strings.Repeat("0", room-12) + `}`,
		"long text":                `{"sub":"` + strings.Repeat("x", room-12) + `"}`,
		"long text, escaped":       fill(`{"sub":"`, `\u0041`, `"}`, room),
		"long names, escaped":      fill(`{"`, `\u0041`, `":0}`, room),
		"names longer by folding":  fill(`{"`, "\u0130", `":0}`, room),
	} {
		text := jws(rs256Header, c, constant([]byte("any")))
		used, took := parseCost(t, text)
		t.Logf("%-24s %6d bytes: allocates %6d in %s", name, len(text), used, took)
		if used > 4*token.MaxLength && !raced {
			t.Errorf("%s: allocates %d bytes", name, used)
		}
		if took > 10*time.Millisecond {
			t.Errorf("%s: takes %s", name, took)
		}
	}
	for name, text := range map[string]string{
		"dots":   strings.Repeat(".", token.MaxLength),
		"header": jws(fill(`{"kid":"r1",`, `"#":0,`, `"alg":"RS256"}`, room), `{}`, constant(nil)),
	} {
		if used, took := parseCost(t, text); used > 5*token.MaxLength || took > 10*time.Millisecond {
			t.Errorf("%s: allocates %d bytes in %s", name, used, took)
		}
	}
	if u, err := parseText(strings.Repeat(".", 1_000_000)); failure(t, u.UnverifiedClaims(), err) != token.Malformed {
		t.Errorf("a million dots: %v", err)
	}
}

func parseCost(t *testing.T, text string) (used uint64, took time.Duration) {
	t.Helper()
	tok, err := token.Parse(text)
	if err != nil {
		t.Fatalf("%.40s… of %d: %v", text, len(text), err)
	}
	const runs = 20
	used, took = 1<<62, time.Hour
	for range 3 { // the least of three: other goroutines allocate too
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		for range runs {
			_, _ = Parse(tok)
		}
		took = min(took, time.Since(began)/runs)
		runtime.ReadMemStats(&after)
		used = min(used, (after.TotalAlloc-before.TotalAlloc)/runs)
	}
	return used, took
}

func TestBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		``: true, `{}`: true, `{"a":"[[[[[[[[[[[[[[[[[[[["}`: true, `{"a":"\"[[[[[[[[[[[[[[[[[[[["}`: true, `{"\\":[[[[[[[[[[[[[[[[[[[[`: false,
		strings.Repeat("[", 16): true, strings.Repeat("[", 17): false, strings.Repeat("{", 17): false, strings.Repeat("[]", 100): true, strings.Repeat("{}", 100): true,
		strings.Repeat(":", 96): true, strings.Repeat(":", 97): false, strings.Repeat(",", 383): true, strings.Repeat(",", 384): false,
		`"` + strings.Repeat(":,", 600) + `"`: true, `"\`: true,
	} {
		if bounded([]byte(text)) != want {
			t.Errorf("%.40s of %d: %t", text, len(text), !want)
		}
	}
}

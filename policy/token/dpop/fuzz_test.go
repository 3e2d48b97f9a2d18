package dpop

import (
	"crypto"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/durward/durward/policy/token"
)

// FuzzParse: whatever the header's value, no panic; what is accepted has all that a check
// compares, and is the one text of what it says.
func FuzzParse(f *testing.F) {
	good := es256(usualHeader(), claimsAt(noon))
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		good, rfcProof, rfcTokenProof, "", ".", "..", parts[0] + ".." + parts[2], "e30.e30.", good + "," + good,
		forge(headerOf("RS256", rsaJWK(&rsa2k().PublicKey)).text(), claimsAt(noon).text(), rsa2k(), crypto.SHA256, false),
		es256(usualHeader().with("jwk", object{"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}).with("alg", "ES512"), claimsAt(noon)),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parse([]string{text})
		if err != nil {
			return
		}
		if p.id == "" || p.method == "" || p.url == "" || p.tokenHash == "" || p.public == nil || len(p.thumbprint) != 43 || p.algorithm.KeyType() == "" || p.issuedAt.IsZero() {
			t.Errorf("%+v", p)
		}
		if len(text) > maxLength || strings.ContainsAny(text, ",= \r\n\t") || strings.Count(text, ".") != 2 {
			t.Errorf("%q", text)
		}
		// Any change of the signature's last character is another text or no proof at all.
		for _, c := range "AQgw" {
			if changed := text[:len(text)-1] + string(c); changed != text {
				if q, err := parse([]string{changed}); err == nil && q.signed.Verify(q.algorithm, q.public) && p.signed.Verify(p.algorithm, p.public) {
					t.Errorf("two texts of one signature: %q and %q", text, changed)
				}
			}
		}
	})
}

// TestAnyChangeRefuses: a good proof passes, and does not with any one thing changed, be it
// in the proof or in the request.
func TestAnyChangeRefuses(t *testing.T) {
	t.Parallel()
	k, clock := checker(t, Config{})
	rapid.Check(t, func(t *rapid.T) {
		at := noon.Add(time.Duration(rapid.IntRange(-60, 30).Draw(t, "iat")) * time.Second)
		text, err := Sign(p256(), Statement{Method: method, URL: url, Token: accessToken, IssuedAt: at})
		if err != nil {
			t.Fatal(err)
		}
		request := usual(text)
		what := rapid.SampledFrom([]string{"byte", "method", "URL", "token", "key", "early", "late", "again", "headers"}).Draw(t, "what")
		want := token.ProofInvalid
		now := noon
		switch what {
		case "byte":
			i := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			flipped := text[i] ^ byte(rapid.IntRange(1, 255).Draw(t, "by"))
			request.Headers = []string{text[:i] + string([]byte{flipped}) + text[i+1:]}
		case "method":
			request.Method = rapid.StringMatching(`[A-Z]{1,8}`).Filter(func(m string) bool { return m != method }).Draw(t, "method")
		case "URL":
			i := rapid.IntRange(0, len(url)-1).Draw(t, "at")
			request.URLs = []string{url[:i] + string(rapid.SampledFrom([]rune("0abz./:%@")).Filter(func(r rune) bool { return byte(r) != url[i] }).Draw(t, "by")) + url[i+1:]}
		case "token":
			request.Token = must(token.Parse(rapid.StringMatching(`[a-z]{1,50}`).Draw(t, "token")))
		case "key":
			request.KeyThumbprint = rapid.StringMatching(`[A-Za-z0-9_-]{0,43}`).Draw(t, "jkt")
			want = token.BindingMismatch
		case "early":
			now = at.Add(-30*time.Second - time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "by")))
		case "late":
			now = at.Add(time.Minute + time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "by")))
		case "again":
			clock.set(noon)
			if err := k.Check(request); err != nil {
				t.Fatal(err)
			}
			request.Headers = []string{text}
		case "headers":
			request.Headers = append(request.Headers, rapid.String().Draw(t, "header"))
		}
		clock.set(now)
		err = k.Check(request)
		got := failure(t, err)
		// A byte of the key makes it another, or none.
		if got != want && (what != "byte" || got != token.BindingMismatch) {
			t.Fatalf("%s: %v", what, err)
		}
		clock.set(noon)
		if what != "again" && what != "late" && what != "early" {
			if err := k.Check(usual(text)); err != nil {
				t.Fatalf("the proof itself after a refusal: %v", err)
			}
		}
	})
}

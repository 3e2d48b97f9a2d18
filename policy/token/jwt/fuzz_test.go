package jwt

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// FuzzParse: no panic, every error is of the one kind and silent about the token, and
// what is accepted is the one text of its parts: encoding them again gives the same bytes.
func FuzzParse(f *testing.F) {
	f.Add(jws(rs256Header, aliceClaims, constant([]byte("any"))))
	for _, a := range parseAttacks() {
		f.Add(a.text)
	}
	for _, a := range signatureAttacks()[:20] {
		f.Add(a.text)
	}
	s := allKeys(f)
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseText(text)
		failure(t, u.UnverifiedClaims(), err)
		if err != nil {
			if u != (Unverified{}) || (len(text) > 40 && strings.Contains(err.Error(), text)) {
				t.Fatalf("%v", err)
			}
			return
		}
		parts := strings.Split(text, ".")
		for i, part := range parts {
			decoded, err := base64.RawURLEncoding.DecodeString(part)
			if again := encode(decoded); err != nil || again != part {
				t.Fatalf("part %d is not canonical: %q, %v", i, part, err)
			}
		}
		c := u.parsed.compact
		if len(parts) != 3 || encode(c.header)+"."+encode(c.payload) != c.signed || c.signed+"."+encode(c.signature) != text {
			t.Fatalf("not the text that was parsed: %q", text)
		}
		key, _ := s.Lookup(u.parsed.header.keyID)
		if claims, err := key.Verify(u); err == nil {
			t.Fatalf("a forged token verifies: %+v", claims)
		}
	})
}

// mutate returns a token that is written in another way, mostly so that a careless
// parser finds the same in it.
func mutate(t *rapid.T, text string) string {
	parts := strings.Split(text, ".")
	i := rapid.IntRange(0, 2).Draw(t, "part")
	at := rapid.IntRange(0, len(text)).Draw(t, "at")
	switch rapid.SampledFrom([]string{"bits", "padding", "insert", "alphabet", "space", "case", "member", "drop", "part", "swap"}).Draw(t, "kind") {
	case "bits": // the unused ones of a last character
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := len(parts[i]) - 1
		n := strings.IndexByte(alphabet, parts[i][last])
		parts[i] = parts[i][:last] + string(alphabet[n^rapid.IntRange(1, 15).Draw(t, "flip")])
	case "padding":
		parts[i] += strings.Repeat("=", rapid.IntRange(1, 4).Draw(t, "count"))
	case "insert":
		insert := rapid.SampledFrom([]string{"\n", "\r", "\r\n", " ", "\t", "=", "A", ".", "\x00", "\u200b", "~", "%20"}).Draw(t, "text")
		return text[:at] + insert + text[at:]
	case "alphabet":
		return strings.NewReplacer("-", "+", "_", "/").Replace(text)
	case "space": // of the JSON
		parts[i] = encode(strings.ReplaceAll(string(must(decode(parts[i]))), `":`, `": `))
	case "case":
		parts[i] = encode(bytes.ToUpper(must(decode(parts[i]))))
	case "member":
		parts[i] = encode(strings.Replace(string(must(decode(parts[i]))), "{", `{"x":1,`, 1))
	case "drop":
		if at < len(text) {
			return text[:at] + text[at+1:]
		}
	case "part":
		return strings.Join(append(parts, parts[i]), ".")
	case "swap":
		parts[i], parts[(i+1)%3] = parts[(i+1)%3], parts[i]
	}
	return strings.Join(parts, ".")
}

// TestRewritten (P14): a token written in another way is refused, or it is the same token
// claim for claim, so that what is revoked stays revoked.
func TestRewritten(t *testing.T) {
	t.Parallel()
	s := allKeys(t)
	tokens := []string{
		jws(rs256Header, aliceClaims, rs256(rsaKey())), jws(ps256Header, aliceClaims, ps256(rsaKey(), 32)), jws(es256Header, aliceClaims, es256(p256Key())),
		jws(rs256Header, aliceClaims+" ", rs256(rsaKey())), jws(rs256Header, aliceClaims+"  ", rs256(rsaKey())),
	}
	rapid.Check(t, func(t *rapid.T) {
		original := rapid.SampledFrom(tokens).Draw(t, "token")
		text := original
		for range rapid.IntRange(1, 3).Draw(t, "times") {
			if strings.Count(text, ".") != 2 || strings.Contains(text, "..") || strings.HasPrefix(text, ".") || strings.HasSuffix(text, ".") {
				break
			}
			if !canonical(text) {
				break
			}
			text = mutate(t, text)
		}
		c, err := verifyBy(s, text)
		if text == original {
			if err != nil {
				t.Fatalf("not rewritten and refused: %v", err)
			}
			return
		}
		if err == nil {
			t.Fatalf("rewritten and believed as %+v", c)
		}
	})
}

// canonical reports whether another mutation can take the text apart.
func canonical(text string) bool {
	for part := range strings.SplitSeq(text, ".") {
		if _, err := decode(part); err != nil {
			return false
		}
	}
	return true
}

// TestEveryByteCounts: changing any character of a token to any other, or leaving it out,
// makes it another token, which nobody signed.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	s := allKeys(t)
	for _, text := range []string{jws(rs256Header, aliceClaims, rs256(rsaKey())), jws(es256Header, aliceClaims, es256(p256Key()))} {
		if c, err := verifyBy(s, text); err != nil || cmp.Diff(alice(), c) != "" {
			t.Fatal(err)
		}
		for i := range text {
			for _, other := range []byte("AQgw-_09.=+/") {
				if other == text[i] {
					continue
				}
				changed := text[:i] + string(other) + text[i+1:]
				if _, err := verifyBy(s, changed); err == nil {
					t.Errorf("%q for %q at %d", other, text[i], i)
				}
			}
			if _, err := verifyBy(s, text[:i]+text[i+1:]); err == nil {
				t.Errorf("without %d", i)
			}
		}
	}
}

// FuzzDecode: two texts never decode to the same bytes.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{"", "A", "AA", "AB", "AAA", "AA==", "AA\n", "-_", "+/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		decoded, err := decode(text)
		if err == nil && encode(decoded) != text {
			t.Errorf("%q is taken for %q", text, encode(decoded))
		}
		if again, err := decode(encode(text)); err != nil || string(again) != text {
			t.Errorf("%q: %v", text, err)
		}
	})
}

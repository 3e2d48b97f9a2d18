package token_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/durward/durward/policy/token"
)

// canary is b64token text, so that no encoding of a printer hides it from a search.
const canary = "canary0123456789abcdef"

func parsed(t *testing.T, text string) token.Token {
	t.Helper()
	tok, err := token.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// holder keeps a token where fmt cannot call its methods.
type holder struct {
	Shown  token.Token
	hidden token.Token
	ref    *token.Token
}

func TestTokenNeverShowsItself(t *testing.T) {
	t.Parallel()
	tok := parsed(t, canary)
	values := map[string]any{
		"value":   tok,
		"pointer": &tok,
		"struct":  holder{tok, tok, &tok},
		"deep":    &[]any{map[token.Token]*holder{tok: {tok, tok, &tok}}},
		"error":   fmt.Errorf("introspect %w", &token.Error{Failure: token.Inactive, Cause: fmt.Errorf("token %v", tok)}),
	}
	hexed := fmt.Sprintf("%x", canary)
	check := func(t *testing.T, how, got string) {
		t.Helper()
		if strings.Contains(got, canary) || strings.Contains(strings.ToLower(got), hexed) {
			t.Errorf("%s shows the token: %s", how, got)
		}
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range strings.Fields("%v %+v %#v %s %+s %#s %q %+q %#q %x %X % x %#x %d %t %c %b %o %e %g %U %p %T %w %z %10.3s") {
				check(t, verb, fmt.Sprintf(verb, v))
			}
			check(t, "Sprint", fmt.Sprint(v))
			if b, err := json.Marshal(v); err == nil {
				check(t, "json", string(b))
			}
			if b, err := xml.Marshal(v); err == nil {
				check(t, "xml", string(b))
			}
			var text, js bytes.Buffer
			for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&js, nil)} {
				slog.New(h).With("with", v).Error("m", "any", v, slog.Group("g", "in", v))
			}
			check(t, "slog text", text.String())
			check(t, "slog json", js.String())
		})
	}
}

func TestTokenName(t *testing.T) {
	t.Parallel()
	tok := parsed(t, "abc")
	const want = "ba7816bf" // FIPS 180-2, appendix B.1
	if tok.Name() != want || tok.String() != "token:"+want || fmt.Sprintf("%d", tok) != "token:"+want {
		t.Errorf("name %q, string %q, formatted %d", tok.Name(), tok, tok)
	}
	b, err := json.Marshal(map[string]any{"t": tok})
	if err != nil || string(b) != `{"t":"token:`+want+`"}` {
		t.Errorf("json %s, %v", b, err)
	}
	if tok.Reveal() != "abc" {
		t.Errorf("reveals %q", tok.Reveal())
	}
	var zero token.Token
	if zero.Name() != "" || zero.Reveal() != "" || zero.String() != "token:" {
		t.Errorf("the zero Token is %q, %q", zero, zero.Reveal())
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	good := []string{
		"a", "abc.def-ghi_jkl~mno+pqr/st", "abc==", "a=", "eyJ.eyJ.sig", "a.b.c.d.e", "....",
		strings.Repeat("a", token.MaxLength),
	}
	bad := []string{ // T03, T20
		"", "=", "====", "a=b", "=a", "a b", " a", "a ", "a\t", "\ta", "a\n", "a\r\n", "a\r", "a\x00", "\x00a", "a,b", `"a"`, "'a'",
		"a;b", "a:b", "a%41", "a\\b", "caf\u00e9", "a\u00a0", "a\u212a", "\ufeffa", "a\xff", "a\x7f", "a@b", "a*", "Bearer a",
		strings.Repeat("a", token.MaxLength+1), strings.Repeat(".", 1<<20),
	}
	for _, text := range good {
		if tok, err := token.Parse(text); err != nil || tok.Reveal() != text {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	for _, text := range bad {
		tok, err := token.Parse(text)
		var known *token.Error
		if !errors.As(err, &known) || known.Failure != token.Malformed || tok != (token.Token{}) {
			t.Errorf("%.40q: %v, %v", text, tok, err)
		}
		if len(text) > 5 && err != nil && strings.Contains(err.Error(), text) {
			t.Errorf("%.40q is in its own error", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "abc", "a=", "=a", "a b", "\xff", "a,b", "~+/-._"} {
		f.Add(s)
	}
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := token.Parse(text)
		body := strings.TrimRight(text, "=")
		want := body != "" && len(text) <= token.MaxLength && strings.Trim(body, alphabet) == ""
		if (err == nil) != want {
			t.Fatalf("%q: %v, want accepted %t", text, err, want)
		}
		if err == nil && tok.Reveal() != text || err != nil && tok != (token.Token{}) {
			t.Fatalf("%q became %q", text, tok.Reveal())
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := strings.Repeat("aB3-", 250)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

package token_test

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
)

// TestJunkEvictsNoLiveFact: 200,000 tokens that the server refuses.
func TestJunkEvictsNoLiveFact(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.answer = func(_ context.Context, tok token.Token, _ token.Priority) (token.Introspection, error) {
		if strings.HasPrefix(tok.Reveal(), "live") {
			return active(good()), nil
		}
		return token.Introspection{}, nil
	}
	v := verifier(t, s, nil, func() time.Time { return now })
	live := func(calls int) {
		t.Helper()
		before := len(s.asked())
		for i := range 1000 {
			fact, err := v.Verify(t.Context(), parsed(t, "live"+strconv.Itoa(i)), within(time.Hour))
			mustBelieve(t, fact, err)
		}
		if got := len(s.asked()) - before; got != calls {
			t.Errorf("%d questions about live tokens, want %d", got, calls)
		}
	}
	live(1000)
	for i := range 200_000 {
		if _, err := v.Verify(t.Context(), parsed(t, "junk"+strconv.Itoa(i)), within(time.Hour)); err == nil {
			t.Fatal("junk is believed")
		}
	}
	live(0)
	n, _, refused := v.Sizes()
	if n != 1000 || refused > token.MaxRefused {
		t.Errorf("%d live facts, %d refusals", n, refused)
	}
}

// TestRefusalsKeepNoLongText: what the server's answer makes us say is bounded.
func TestRefusalsKeepNoLongText(t *testing.T) {
	t.Parallel()
	junk := good()
	junk.Audience = []string{strings.Repeat("x", 10_000)}
	s := answers(active(junk), nil)
	v := verifier(t, s, nil, func() time.Time { return now })
	for range 2 {
		_, err := v.Verify(t.Context(), parsed(t, canary), within(time.Hour))
		if err == nil || !strings.Contains(err.Error(), string(token.AudienceMismatch)) {
			t.Fatal(err)
		}
		if n := len(err.Error()); len(s.asked()) == 1 && n > 10_100 {
			t.Errorf("the error has %d bytes", n)
		}
	}
	s.mustBeAsked(t, 1)
	if _, err := v.Verify(t.Context(), parsed(t, canary), within(time.Hour)); len(err.Error()) > 300 {
		t.Errorf("the error kept has %d bytes", len(err.Error()))
	}
}

// TestLiveFactsAreBoundedInBytes, also where they share nothing.
func TestLiveFactsAreBoundedInBytes(t *testing.T) {
	const megabyte = 1 << 20
	c := config()
	c.Opaque, c.MaxBytes = true, 4*megabyte
	s := &server{}
	s.answer = func(_ context.Context, tok token.Token, _ token.Priority) (token.Introspection, error) {
		claims := good()
		claims.Subject = strings.Clone(tok.Reveal()) + "@example.com"
		claims.Groups = []string{strings.Repeat("g", 900) + tok.Reveal(), "staff"}
		return active(claims), nil
	}
	v, err := token.NewVerifier(c, token.Parts{Server: s, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	before := heap()
	for i := range 40_000 {
		fact, err := v.Verify(t.Context(), parsed(t, strconv.Itoa(i)), within(time.Hour))
		mustBelieve(t, fact, err)
		if i%1000 == 0 {
			s.mu.Lock()
			s.calls = nil
			s.mu.Unlock()
		}
	}
	n, bytes, _ := v.Sizes()
	if bytes > 4*megabyte || n < 2000 || n > 4000 {
		t.Errorf("%d facts of %d bytes", n, bytes)
	}
	// Beside the facts: families and the memory of seen tokens.
	if grown := int64(heap()) - int64(before); grown > 32*megabyte {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestFactsShareOnlyWhatIsAlike: families must not mix.
func TestFactsShareOnlyWhatIsAlike(t *testing.T) {
	t.Parallel()
	variants := []func(*token.Claims){
		func(*token.Claims) {},
		func(c *token.Claims) { c.Issuer = config().Issuers[1] },
		func(c *token.Claims) { c.ClientID = "0oaOTHER" },
		func(c *token.Claims) { c.Bound = true },
		func(c *token.Claims) { c.Audience = []string{"api://default", "x"} },
		func(c *token.Claims) { c.Scopes = []string{"orders", ".read"} },
		func(c *token.Claims) { c.Scopes, c.Groups = nil, []string{"orders.read"} },
		func(c *token.Claims) { c.Scopes = []string{"orders.read", ""} },
	}
	s := &server{}
	s.answer = func(_ context.Context, tok token.Token, _ token.Priority) (token.Introspection, error) {
		i, _ := strconv.Atoi(tok.Reveal())
		c := good()
		variants[i%len(variants)](&c)
		return active(c), nil
	}
	v := verifier(t, s, nil, func() time.Time { return now })
	for range 2 {
		for i := range 10 * len(variants) {
			want := good()
			variants[i%len(variants)](&want)
			fact, err := v.Verify(t.Context(), parsed(t, strconv.Itoa(i)), within(time.Hour))
			if diff := cmp.Diff(want, fact.Claims); err != nil || diff != "" {
				t.Errorf("%v: %s", err, diff)
			}
		}
	}
	s.mustBeAsked(t, 10*len(variants))
}

// TestFamiliesAreBounded in number and size.
func TestFamiliesAreBounded(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.answer = func(_ context.Context, tok token.Token, _ token.Priority) (token.Introspection, error) {
		c := good()
		c.Groups = []string{tok.Reveal()}
		return active(c), nil
	}
	v := verifier(t, s, nil, func() time.Time { return now })
	for i := range token.MaxFamilies + 10 {
		_, _ = v.Verify(t.Context(), parsed(t, strconv.Itoa(i)), within(time.Hour))
	}
	if n, _ := v.Shared(); n != 10 {
		t.Errorf("%d families", n)
	}
	_, _ = v.Verify(t.Context(), parsed(t, strings.Repeat("x", 1000)), within(time.Hour))
	if n, bytes := v.Shared(); n != 10 || bytes > 10*1000 {
		t.Errorf("%d families of %d bytes", n, bytes)
	}
}

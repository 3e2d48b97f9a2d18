package token_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

// jwtSized is text as long as one of Okta's access tokens.
func jwtSized(i int) token.Token {
	t, _ := token.Parse(strconv.Itoa(i) + "." + strings.Repeat("a", 900))
	return t
}

func benched(b *testing.B, s token.Introspector, opaque bool) *token.Verifier {
	b.Helper()
	c := config()
	c.Opaque, c.MaxBytes = opaque, 4<<30
	r := &reader{said: func(string) (token.Claims, error) { return lasting(), nil }}
	v, err := token.NewVerifier(c, token.Parts{
		Server: s, Reader: r, Now: time.Now, Metrics: &token.Metrics{},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(v.Close)
	return v
}

// still is a server that keeps nothing.
type still token.Claims

func (s still) Introspect(context.Context, token.Token, token.Priority) (token.Introspection, error) {
	return token.Introspection{Active: true, Claims: token.Claims(s)}, nil
}

// lasting is good by the real clock.
func lasting() token.Claims {
	c := untimed()
	c.ExpiresAt = started.Add(24 * time.Hour).Truncate(time.Second)
	return c
}

var started = time.Now()

func BenchmarkWarm(b *testing.B) {
	for _, m := range asking {
		b.Run(string(m), func(b *testing.B) {
			v, tok := benched(b, still(lasting()), false), jwtSized(0)
			d := token.Demand{Mode: m, MaxAge: time.Hour}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), tok, d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("many", func(b *testing.B) {
		v := benched(b, still(lasting()), false)
		tokens := make([]token.Token, 1<<14)
		for i := range tokens {
			tokens[i] = jwtSized(i)
			_, _ = v.Verify(b.Context(), tokens[i], within(time.Hour))
		}
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, err := v.Verify(b.Context(), tokens[i&(1<<14-1)], within(time.Hour)); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// BenchmarkMiss stands beside the bare question, which here costs nothing: the rest is
// the verifier's own.
func BenchmarkMiss(b *testing.B) {
	s, tok := still(lasting()), jwtSized(0)
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = s.Introspect(b.Context(), tok, token.Known)
		}
	})
	b.Run("verify", func(b *testing.B) {
		v := benched(b, s, false)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(b.Context(), tok, within(0)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// each is a server whose every answer has text of its own, as parsed from JSON.
type each struct{ text int64 }

func (s *each) Introspect(_ context.Context, t token.Token, _ token.Priority) (token.Introspection, error) {
	c := lasting()
	n, _, _ := strings.Cut(t.Reveal(), ".")
	c.Issuer, c.ClientID = strings.Clone(c.Issuer), strings.Clone(c.ClientID)
	c.Audience, c.Scopes = []string{strings.Clone(c.Audience[0])}, []string{strings.Clone("orders.read"), strings.Clone("openid")}
	c.Subject, c.UserID, c.TokenID = "user"+n+"@example.com", "00u"+fmt.Sprintf("%017s", n), "AT."+fmt.Sprintf("%043s", n)
	s.text += int64(len(c.Issuer) + len(c.ClientID) + len(c.Audience[0]) + len(c.Scopes[0]) + len(c.Scopes[1]) +
		len(c.Subject) + len(c.UserID) + len(c.TokenID))
	return token.Introspection{Active: true, Claims: c}, nil
}

// BenchmarkMillion gives the bytes of a kept token beyond its claims' own text, and the
// time that an invalidation looks at a million of them.
func BenchmarkMillion(b *testing.B) {
	const million = 1_000_000
	for b.Loop() {
		b.StopTimer()
		before := heap()
		s := &each{}
		v := benched(b, s, true)
		for i := range million {
			if _, err := v.Verify(b.Context(), jwtSized(i), within(time.Hour)); err != nil {
				b.Fatal(err)
			}
		}
		n, weight, _ := v.Sizes()
		grown := float64(heap() - before)
		b.ReportMetric((grown-float64(s.text))/million, "B/token-beyond-text")
		b.ReportMetric(grown/million, "B/token")
		b.ReportMetric(float64(weight)/million, "weight/token")
		b.ReportMetric(float64(n), "kept")
		start := time.Now()
		b.StartTimer()
		if n := v.Invalidate(token.Invalidation{TokenID: "AT.nobody", UserID: "00unobody"}); n != 0 {
			b.Fatal(n)
		}
		b.StopTimer()
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/scan")
		runtime.KeepAlive(v)
		v.Close()
		b.StartTimer()
	}
}

package token_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/durward/durward/policy/token"
)

// fate is what one token's server and signature say, always.
type fate struct {
	said       token.Claims
	unread     error
	unproven   error
	answer     token.Introspection
	unanswered error
}

func fates() *rapid.Generator[fate] {
	claims := rapid.Custom(func(t *rapid.T) token.Claims {
		c := good()
		c.TokenID = rapid.SampledFrom([]string{"AT.1", "AT.2", "ID.1"}).Draw(t, "jti")
		c.Audience = rapid.SampledFrom([][]string{{"api://default"}, {"api://default", "api://b"}, {"api://b"}, nil}).Draw(t, "aud")
		c.Issuer = rapid.SampledFrom([]string{issuer, issuer, config().Issuers[1], "x"}).Draw(t, "iss")
		c.Scopes = rapid.SampledFrom([][]string{nil, {"a"}, {"a", "b"}, {"ab"}}).Draw(t, "scp")
		c.Groups = rapid.SampledFrom([][]string{nil, {"a"}, {"a", "b"}, {"ab"}}).Draw(t, "groups")
		c.Subject = rapid.SampledFrom([]string{"", "alice", "bob"}).Draw(t, "sub")
		c.Bound = rapid.Bool().Draw(t, "cnf")
		c.ExpiresAt = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "exp")) * time.Hour)
		return c
	})
	outages := []error{nil, nil, nil, token.Unavailablef("down"), errors.New("boom"), &token.Error{Failure: token.RateLimited}, &token.Error{}}
	return rapid.Custom(func(t *rapid.T) fate {
		f := fate{
			said:       claims.Draw(t, "said"),
			unread:     rapid.SampledFrom([]error{nil, nil, nil, &token.Error{Failure: token.Malformed}}).Draw(t, "unread"),
			unproven:   rapid.SampledFrom([]error{nil, nil, &token.Error{Failure: token.SignatureInvalid}, token.Unavailablef("no keys")}).Draw(t, "unproven"),
			unanswered: rapid.SampledFrom(outages).Draw(t, "unanswered"),
		}
		f.answer = token.Introspection{Active: rapid.Float32().Draw(t, "luck") < 0.7, Claims: f.said}
		if rapid.Float32().Draw(t, "mix-up") < 0.2 {
			f.answer.Claims = claims.Draw(t, "answer")
		}
		return f
	})
}

// world is a server and a reader of tokens with fates.
type world map[string]fate

func (w world) Introspect(_ context.Context, t token.Token, _ token.Priority) (token.Introspection, error) {
	f := w[t.Reveal()]
	return f.answer, f.unanswered
}

func (w world) Generation() uint64 { return 7 }

func (w world) Read(t token.Token) (token.Claims, func(context.Context) error, error) {
	f := w[t.Reveal()]
	return f.said, func(context.Context) error { return f.unproven }, f.unread
}

func (w world) verifier(t *rapid.T) *token.Verifier {
	v, err := token.NewVerifier(config(), token.Parts{Server: w, Reader: w, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verdict is all of a Verify's result that policy may depend on.
func verdict(v *token.Verifier, t token.Token, d token.Demand) (token.Claims, string) {
	fact, err := v.Verify(context.Background(), t, d)
	if known := (&token.Error{}); errors.As(err, &known) {
		return fact.Claims, "failure " + string(known.Failure)
	}
	return fact.Claims, fmt.Sprint(err)
}

// TestP03 checks one token in a verifier that has checked others, and is checking them,
// and in one that has not.
func TestP03(t *testing.T) {
	t.Parallel()
	names := []string{"a", "aa", "a.", ".a", "b", "ab", "ba", "A"}
	rapid.Check(t, func(t *rapid.T) {
		w := world{}
		for _, name := range names {
			w[name] = fates().Draw(t, name)
		}
		demands := rapid.Custom(func(t *rapid.T) token.Demand {
			return token.Demand{
				Mode:   rapid.SampledFrom(modes).Draw(t, "mode"),
				MaxAge: rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour}).Draw(t, "max age"),
			}
		})
		used := w.verifier(t)
		defer used.Close()
		tokens := map[string]token.Token{}
		for _, name := range names {
			tokens[name], _ = token.Parse(name)
		}
		judged := rapid.SampledFrom(names).Draw(t, "judged")
		var others sync.WaitGroup
		for range rapid.IntRange(0, 40).Draw(t, "others") {
			name, d := rapid.SampledFrom(names).Draw(t, "other"), demands.Draw(t, "demand")
			if name == judged {
				continue
			}
			others.Go(func() { _, _ = verdict(used, tokens[name], d) })
		}
		d := demands.Draw(t, "judged by")
		if rapid.Bool().Draw(t, "after") {
			others.Wait()
		}
		claims, outcome := verdict(used, tokens[judged], d)
		others.Wait()
		alone := w.verifier(t)
		defer alone.Close()
		want, wantOutcome := verdict(alone, tokens[judged], d)
		if diff := cmp.Diff(want, claims); diff != "" || outcome != wantOutcome {
			t.Fatalf("%s, alone %s: %s", outcome, wantOutcome, diff)
		}
		again, againOutcome := verdict(used, tokens[judged], d)
		if diff := cmp.Diff(want, again); diff != "" || againOutcome != wantOutcome {
			t.Fatalf("again %s, alone %s: %s", againOutcome, wantOutcome, diff)
		}
	})
}

// TestP13: an outage is never a fact, in any mode and after any history.
func TestP13(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := fates().Draw(t, "fate")
		w := world{"a": f}
		v := w.verifier(t)
		defer v.Close()
		tok, _ := token.Parse("a")
		for range 3 {
			mode := rapid.SampledFrom(modes).Draw(t, "mode")
			claims, outcome := verdict(v, tok, token.Demand{Mode: mode, MaxAge: time.Hour})
			believed := outcome == "<nil>"
			if diff := cmp.Diff(token.Claims{}, claims); believed == (diff == "") {
				t.Fatalf("%s: %s", outcome, diff)
			}
			switch {
			case !believed:
			case f.unread != nil:
				t.Fatal("believed and not read")
			case mode == token.ByJWT && f.unproven != nil:
				t.Fatal("believed and not proven")
			case mode != token.ByJWT && (f.unanswered != nil || !f.answer.Active):
				t.Fatal("believed without an answer")
			}
		}
	})
}

// names of servers and tokens that a careless key would mix up.
var delimited = rapid.StringOfN(rapid.SampledFrom([]rune("ab/:.|\x00\x01\x02")), 0, 8, -1)

func TestP04(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type name struct {
			issuer, text string
			mode         token.Mode
		}
		keys := map[[32]byte]name{}
		for range 20 {
			n := name{delimited.Draw(t, "issuer"), delimited.Draw(t, "token"), rapid.SampledFrom(modes).Draw(t, "mode")}
			k, err := token.KeyOf(n.issuer, n.text, n.mode)
			if err != nil {
				t.Fatal(err)
			}
			if other, ok := keys[k]; ok && other != n {
				t.Fatalf("%q and %q share a key", n, other)
			}
			keys[k] = n
		}
	})
}

// TestP04EveryByteCounts, also where tokens are longest.
func TestP04EveryByteCounts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", token.MaxLength)
	keys := map[[32]byte]bool{}
	add := func(issuer, text string) {
		for _, m := range modes {
			k, err := token.KeyOf(issuer, text, m)
			if err != nil || keys[k] {
				t.Fatalf("a key is not new: %v", err)
			}
			keys[k] = true
		}
	}
	add(issuer, long)
	for _, i := range []int{0, 1, 1000, 2000, 2047, 2048, 4096, token.MaxLength - 1} {
		add(issuer, long[:i])
		add(issuer, long[:i]+"b"+long[i+1:])
	}
	for i := range 300 { // where the length's prefix grows
		add(long[:i], long)
	}
}

func FuzzP04(f *testing.F) {
	f.Add("a", "b", uint8(0), "ab", "", uint8(0))
	f.Add(issuer, canary, uint8(1), issuer, canary, uint8(2))
	f.Add(issuer+"|"+canary, "", uint8(1), issuer, "|"+canary, uint8(1))
	// A length that reads as text.
	f.Add("a", "b", uint8(0), string(binary.AppendUvarint(nil, 1))+"a", "b", uint8(0))
	f.Fuzz(func(t *testing.T, issuer1, text1 string, m1 uint8, issuer2, text2 string, m2 uint8) {
		a, errA := token.KeyOf(issuer1, text1, modes[m1%3])
		b, errB := token.KeyOf(issuer2, text2, modes[m2%3])
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if same := issuer1 == issuer2 && text1 == text2 && m1%3 == m2%3; same != (a == b) {
			t.Errorf("same token: %t, same key: %t", same, a == b)
		}
	})
}

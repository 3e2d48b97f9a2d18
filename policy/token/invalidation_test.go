package token_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/token"
)

func TestInvalidate(t *testing.T) {
	t.Parallel()
	const id = "AT.abc.oarXYZ"
	cases := []struct {
		name string
		i    token.Invalidation
		jti  string
		want int
	}{
		{"nothing", token.Invalidation{}, id, 0},
		{"jti", token.Invalidation{TokenID: id}, id, 1},
		{"jti without the refresh token's part", token.Invalidation{TokenID: "AT.abc"}, id, 1},
		{"jti of a token without refresh token", token.Invalidation{TokenID: "AT.abc"}, "AT.abc", 1},
		{"jti of another refresh token", token.Invalidation{TokenID: "AT.abc.oarOTHER"}, id, 0},
		{"longer jti", token.Invalidation{TokenID: id}, "AT.abc", 0},
		{"prefix of a jti", token.Invalidation{TokenID: "AT.ab"}, id, 0},
		{"AT alone", token.Invalidation{TokenID: "AT"}, id, 0},
		{"AT. alone", token.Invalidation{TokenID: "AT."}, id, 0},
		{"user", token.Invalidation{UserID: "00uALICE"}, id, 1},
		{"another user", token.Invalidation{UserID: "00uBOB"}, id, 0},
		{"client", token.Invalidation{ClientID: "0oaMOBILE"}, id, 1},
		{"another client", token.Invalidation{ClientID: "0oaMOBIL"}, id, 0},
		{"refresh token", token.Invalidation{RefreshTokenID: "oarXYZ"}, id, 1},
		{"another refresh token", token.Invalidation{RefreshTokenID: "oarXY"}, id, 0},
		{"refresh token, and the token has none", token.Invalidation{RefreshTokenID: "oarXYZ"}, "AT.oarXYZ", 0},
		{"one of two", token.Invalidation{UserID: "00uBOB", ClientID: "0oaMOBILE"}, id, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			claims := good()
			claims.TokenID = c.jti
			s, r := answers(active(claims), nil), reads(claims)
			v := verifier(t, s, r, func() time.Time { return now })
			for _, m := range modes {
				fact, err := v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: m, MaxAge: time.Minute})
				mustBelieve(t, fact, err)
			}
			if got := v.Invalidate(c.i); got != len(modes)*c.want {
				t.Errorf("%d facts, want %d", got, len(modes)*c.want)
			}
			fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
			mustBelieve(t, fact, err)
			s.mustBeAsked(t, len(asking)+c.want)
		})
	}
}

// TestInvalidateUnderWay: the answer to an older question serves those who waited for it
// already, and nobody else. Answers that are about another token are kept.
func TestInvalidateUnderWay(t *testing.T) {
	t.Parallel()
	whole := fresh // what the JWT says of itself
	cases := []struct {
		name string
		i    token.Invalidation
		said func() token.Claims // nil: opaque
		kept bool
	}{
		{"user", token.Invalidation{UserID: "00uALICE"}, whole, false},
		{"client", token.Invalidation{ClientID: "0oaMOBILE"}, whole, false},
		{"jti", token.Invalidation{TokenID: "AT.1"}, whole, false},
		{"another user", token.Invalidation{UserID: "00uBOB"}, whole, true},
		{"another jti", token.Invalidation{TokenID: "AT.2", RefreshTokenID: "oar2"}, whole, true},
		{"nothing", token.Invalidation{}, whole, true},
		{"a JWT that does not name its user", token.Invalidation{UserID: "00uBOB"}, func() token.Claims { c := fresh(); c.UserID = ""; return c }, false},
		{"opaque, another user", token.Invalidation{UserID: "00uBOB"}, nil, false},
		{"opaque, another client", token.Invalidation{ClientID: "0oaBOB"}, nil, false},
		{"opaque, another jti", token.Invalidation{TokenID: "AT.2"}, nil, false},
		{"opaque, another refresh token", token.Invalidation{RefreshTokenID: "oar2"}, nil, false},
		{"opaque, nothing", token.Invalidation{}, nil, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := slow(300*time.Millisecond, fresh())
				var r *reader
				if c.said != nil {
					r = reads(c.said())
				}
				v := verifier(t, s, r, time.Now)
				var checks sync.WaitGroup
				check := func(age time.Duration) {
					checks.Go(func() {
						fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
						mustBelieve(t, fact, err)
						if fact.Age != age {
							t.Errorf("the age is %s, want %s", fact.Age, age)
						}
					})
				}
				check(300 * time.Millisecond)
				time.Sleep(100 * time.Millisecond)
				v.Invalidate(c.i)
				calls := 1
				if !c.kept {
					calls = 2
				}
				check(300 * time.Millisecond) // of the first question, or its own
				time.Sleep(250 * time.Millisecond)
				if _, kept := v.Kept(parsed(t, canary), token.ByIntrospection); kept != c.kept {
					t.Errorf("kept is %t", kept)
				}
				checks.Wait()
				if _, kept := v.Kept(parsed(t, canary), token.ByIntrospection); !kept {
					t.Error("the answer to the later question is not kept")
				}
				s.mustBeAsked(t, calls)
			})
		})
	}
}

// TestInvalidatedAnswerGivesNoRank: it was asked for before the invalidation.
func TestInvalidatedAnswerGivesNoRank(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.answer = func(ctx context.Context, _ token.Token, _ token.Priority) (token.Introspection, error) {
			return active(fresh()), wait(ctx, time.Second)
		}
		v := verifier(t, s, nil, time.Now)
		var first sync.WaitGroup
		first.Go(func() { _, _ = v.Verify(t.Context(), parsed(t, canary), within(0)) })
		time.Sleep(time.Millisecond)
		v.Invalidate(token.Invalidation{UserID: "00uALICE"})
		first.Wait()
		_, _ = v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
		_, _ = v.Verify(t.Context(), parsed(t, canary), within(0))
		calls := s.asked()
		if len(calls) != 3 || calls[1].priority != token.Unseen || calls[2].priority != token.Known {
			t.Errorf("calls are %v", calls)
		}
	})
}

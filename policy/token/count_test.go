package token_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/token"
)

// TestTenThousandChecks of one unknown token at once.
func TestTenThousandChecks(t *testing.T) {
	t.Parallel()
	for _, m := range asking {
		for age, most := range map[time.Duration]int{30 * time.Second: 1, 0: 2} {
			t.Run(fmt.Sprint(m, " ", age), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := slow(300*time.Millisecond, fresh())
					v := verifier(t, s, reads(fresh()), time.Now)
					var checks sync.WaitGroup
					var allowed atomic.Int64
					for i := range 10_000 {
						checks.Go(func() {
							time.Sleep(time.Duration(i) * 20 * time.Microsecond) // all before the first answer
							if _, err := v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: m, MaxAge: age}); err == nil {
								allowed.Add(1)
							}
						})
					}
					checks.Wait()
					if n := len(s.asked()); n > most || n == 0 {
						t.Errorf("%d questions, want at most %d", n, most)
					}
					if allowed.Load() != 10_000 {
						t.Errorf("%d of 10,000 allowed", allowed.Load())
					}
				})
			})
		}
	}
}

// TestImpatientCallers: the server needs 300 ms, the caller waits 200 ms.
func TestImpatientCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slow(300*time.Millisecond, fresh())
		v := verifier(t, s, reads(fresh()), time.Now)
		allowed := 0
		for range 60 {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			if _, err := v.Verify(ctx, parsed(t, canary), token.Demand{Mode: token.ByBoth, MaxAge: 30 * time.Second}); err == nil {
				allowed++
			}
			cancel()
		}
		if allowed < 59 {
			t.Errorf("%d of 60 allowed", allowed)
		}
		s.mustBeAsked(t, 1)
	})
}

// TestJunkCostsNoQuestion: JWTs that could not be active for us.
func TestJunkCostsNoQuestion(t *testing.T) {
	t.Parallel()
	bad := []struct {
		want   token.Failure
		change func(*token.Claims)
	}{
		{token.IssuerMismatch, func(c *token.Claims) { c.Issuer = "https://evil.example" }},
		{token.AudienceMismatch, func(c *token.Claims) { c.Audience = []string{"api://other"} }},
		{token.Expired, func(c *token.Claims) { c.ExpiresAt = now }},
	}
	for _, m := range modes {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			s := answers(active(good()), nil)
			r := &reader{said: func(text string) (token.Claims, error) {
				i, _ := strconv.Atoi(text)
				if i%4 == 3 {
					return token.Claims{}, &token.Error{Failure: token.Malformed}
				}
				c := good()
				bad[i%4].change(&c)
				return c, nil
			}}
			v := verifier(t, s, r, func() time.Time { return now })
			for i := range 10_000 {
				want := token.Malformed
				if i%4 < 3 {
					want = bad[i%4].want
				}
				fact, err := v.Verify(t.Context(), parsed(t, strconv.Itoa(i)), token.Demand{Mode: m, MaxAge: time.Minute})
				mustFail(t, fact, err, want)
			}
			s.mustBeAsked(t, 0)
			if n := r.proofs.Load(); n != 0 {
				t.Errorf("%d signatures were looked at", n)
			}
		})
	}
}

func TestBadSignatureCostsNoQuestion(t *testing.T) {
	t.Parallel()
	for _, m := range []token.Mode{token.ByJWT, token.ByBoth} {
		s, r := answers(active(good()), nil), reads(good())
		r.prove = func(context.Context, string) error { return &token.Error{Failure: token.SignatureInvalid} }
		v := verifier(t, s, r, func() time.Time { return now })
		for i := range 10_000 {
			fact, err := v.Verify(t.Context(), parsed(t, strconv.Itoa(i)), token.Demand{Mode: m, MaxAge: time.Minute})
			mustFail(t, fact, err, token.SignatureInvalid)
		}
		s.mustBeAsked(t, 0)
	}
}

// TestZeroAgeSharesOnlyLaterQuestions: each answer says when it was asked for.
func TestZeroAgeSharesOnlyLaterQuestions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.answer = func(ctx context.Context, _ token.Token, _ token.Priority) (token.Introspection, error) {
			c := fresh()
			c.Groups = []string{time.Now().Format(time.RFC3339Nano)}
			return active(c), wait(ctx, 300*time.Millisecond)
		}
		v := verifier(t, s, nil, time.Now)
		var checks sync.WaitGroup
		for i := range 100 {
			checks.Go(func() {
				time.Sleep(time.Duration(i*i) * 100 * time.Microsecond) // up to 980 ms
				arrived := time.Now()
				fact, err := v.Verify(t.Context(), parsed(t, canary), within(0))
				if err != nil {
					t.Error(err)
					return
				}
				asked, err := time.Parse(time.RFC3339Nano, fact.Claims.Groups[0])
				if err != nil || asked.Before(arrived) {
					t.Errorf("check %d arrived at %s and got an answer asked for at %s", i, arrived, asked)
				}
				if want := time.Since(asked); fact.Age != want {
					t.Errorf("the age is %s, want %s", fact.Age, want)
				}
			})
		}
		checks.Wait()
		if n := len(s.asked()); n > 5 {
			t.Errorf("%d questions in 1.3 s of 300 ms each", n)
		}
	})
}

// TestCallersComeAndGo: the end of a caller's wait ends nothing else, and leaks nothing.
func TestCallersComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slow(300*time.Millisecond, fresh())
		v := verifier(t, s, nil, time.Now)
		first, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var checks sync.WaitGroup
		for range 1000 {
			checks.Go(func() {
				fact, err := v.Verify(first, parsed(t, canary), within(30*time.Second))
				mustFail(t, fact, err, token.Unavailable)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the cause is %v", err)
				}
			})
		}
		checks.Go(func() {
			fact, err := v.Verify(t.Context(), parsed(t, canary), within(30*time.Second))
			mustBelieve(t, fact, err)
		})
		start := time.Now()
		checks.Wait()
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("the patient caller waited %s", took)
		}
		fact, err := v.Verify(t.Context(), parsed(t, canary), within(30*time.Second))
		mustBelieve(t, fact, err)
		if fact.Age != 300*time.Millisecond {
			t.Errorf("the answer kept is %s old", fact.Age)
		}
		s.mustBeAsked(t, 1)
		synctest.Wait()
		if n := v.UnderWay(); n != 0 {
			t.Errorf("%d questions under way", n)
		}
	})
}

// TestAnswerOutlivesItsOnlyCaller: with nobody left waiting, the answer is kept all the same.
func TestAnswerOutlivesItsOnlyCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slow(time.Second, fresh())
		v := verifier(t, s, nil, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		fact, err := v.Verify(ctx, parsed(t, canary), within(30*time.Second))
		mustFail(t, fact, err, token.Unavailable)
		time.Sleep(2 * time.Second)
		fact, err = v.Verify(t.Context(), parsed(t, canary), within(30*time.Second))
		mustBelieve(t, fact, err)
		s.mustBeAsked(t, 1)
	})
}

// TestQuestionsAreBounded in time and number, and junk leaves places for live users.
func TestQuestionsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		s := &server{}
		s.answer = func(ctx context.Context, tok token.Token, _ token.Priority) (token.Introspection, error) {
			if tok.Reveal()[0] == 'k' {
				return active(fresh()), nil
			}
			select {
			case <-hung:
			case <-ctx.Done():
			}
			return token.Introspection{}, ctx.Err()
		}
		v := verifier(t, s, nil, time.Now)
		fact, err := v.Verify(t.Context(), parsed(t, "known"), within(0))
		mustBelieve(t, fact, err)

		start := time.Now()
		var junk sync.WaitGroup
		var overloaded atomic.Int64
		for i := range token.MaxQuestions {
			junk.Go(func() {
				_, err := v.Verify(t.Context(), parsed(t, "junk"+strconv.Itoa(i)), within(0))
				if e := (&token.Error{}); errors.As(err, &e) && e.Failure == token.Overloaded {
					overloaded.Add(1)
				}
			})
		}
		synctest.Wait()
		if n := v.UnderWay(); n != token.MaxQuestions/2 || overloaded.Load() != token.MaxQuestions/2 {
			t.Errorf("%d questions about junk under way, %d refused", n, overloaded.Load())
		}
		fact, err = v.Verify(t.Context(), parsed(t, "known"), within(0))
		mustBelieve(t, fact, err)
		junk.Wait()
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("the questions took %s to end", took)
		}
		close(hung)
	})
}

func TestPanicIsAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := true
		s := &server{}
		s.answer = func(ctx context.Context, _ token.Token, _ token.Priority) (token.Introspection, error) {
			time.Sleep(time.Millisecond)
			if broken {
				panic("broken")
			}
			return active(fresh()), nil
		}
		v := verifier(t, s, nil, time.Now)
		for range 3 {
			fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
			mustFail(t, fact, err, token.Unavailable)
		}
		broken = false
		fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
		mustBelieve(t, fact, err)
		s.mustBeAsked(t, 4)
	})
}

// TestQuestionWithoutEnd: a goroutine that exits answers nothing, and nobody waits on.
func TestQuestionWithoutEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := verifier(t, &server{answer: func(context.Context, token.Token, token.Priority) (token.Introspection, error) {
			runtime.Goexit()
			return token.Introspection{}, nil
		}}, nil, time.Now)
		fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
		mustFail(t, fact, err, token.Unavailable)
		if n := v.UnderWay(); n != 0 {
			t.Errorf("%d questions under way", n)
		}
	})
}

// TestFastAnswers: a check that looked before the answer came, and asks after it, must
// not ask again. The server answers at once, and the threads are real.
func TestFastAnswers(t *testing.T) {
	t.Parallel()
	for _, answer := range []token.Introspection{active(good()), {}} {
		for i := range 20 {
			s := answers(answer, nil)
			v := verifier(t, s, nil, func() time.Time { return now.Add(time.Duration(i)) })
			var checks sync.WaitGroup
			for range 2000 {
				checks.Go(func() {
					if _, err := v.Verify(t.Context(), parsed(t, canary), within(30*time.Second)); (err == nil) != answer.Active {
						t.Error(err)
					}
				})
			}
			checks.Wait()
			s.mustBeAsked(t, 1)
		}
	}
}

package jwt

import (
	"errors"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

// TestGeneration: what was proven counts until a key is withdrawn or all are too old.
func TestGeneration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{lifetime: time.Minute}
		p.publish(oldKey(), newKey())
		k := newKeys(t, p)
		if g := k.Generation(); g != 0 {
			t.Errorf("before any keys: %d", g)
		}
		defer run(t, k)()
		time.Sleep(time.Second)
		steps := []struct {
			name  string
			do    func()
			grows bool
		}{
			{"the same keys again", func() { time.Sleep(3 * time.Minute) }, false},
			{"a key joins", func() {
				p.publish(oldKey(), newKey(), rsaJWK("third", &rsaKey().PublicKey))
				time.Sleep(3 * time.Minute)
			}, false},
			{"a key goes", func() { p.publish(newKey(), rsaJWK("third", &rsaKey().PublicKey)); time.Sleep(3 * time.Minute) }, true},
			{"another key under the same id", func() {
				p.publish(rsaJWK("new", &rsaKey().PublicKey), rsaJWK("third", &rsaKey().PublicKey))
				time.Sleep(3 * time.Minute)
			}, true},
			{"an outage", func() { p.fail(errors.New("down")); time.Sleep(time.Hour) }, false},
			{"too old", func() { time.Sleep(25 * time.Hour) }, true},
			{"back", func() { p.publish(rsaJWK("new", &rsaKey().PublicKey)); time.Sleep(3 * time.Minute) }, false},
		}
		before := k.Generation()
		for _, s := range steps {
			s.do()
			if g := k.Generation(); g < before || (g > before) != s.grows {
				t.Errorf("%s: from %d to %d", s.name, before, g)
			}
			before = k.Generation()
		}
	})
}

func TestReadProves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{lifetime: time.Minute}
		p.publish(oldKey())
		k := newKeys(t, p)
		defer run(t, k)()
		for name, c := range map[string]struct {
			text string
			want token.Failure // of the proof; empty: it holds
		}{
			"signed": {jws(`{"alg":"RS256","kid":"old"}`, `{"iss":"x"}`, rs256(rsaKey())), ""},
			"forged": {jws(`{"alg":"RS256","kid":"old"}`, `{"iss":"x"}`, rs256(otherRSA())), token.SignatureInvalid},
		} {
			parsed, err := token.Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			said, prove, err := k.Read(parsed)
			if err != nil || said.Issuer != "x" {
				t.Fatalf("%s: %v %v", name, said, err)
			}
			known := &token.Error{}
			if err := prove(t.Context()); (err == nil) != (c.want == "") || errors.As(err, &known) && known.Failure != c.want {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		}
		if _, prove, err := k.Read(token.Token{}); err == nil || prove != nil {
			t.Errorf("the zero token reads: %v", err)
		}
	})
}

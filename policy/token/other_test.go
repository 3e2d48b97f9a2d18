package token

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parsed(t testing.TB, text string) Claims {
	t.Helper()
	o, err := ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseClaims(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOther(t *testing.T) {
	t.Parallel()
	c := parsed(t, `{"active":true,"token_type":"Bearer","ver":1,"sub":"alice","username":"alice","iss":"i","exp":1,
		"department":"finance","n":12345678901234567890,"a":{"b":[1,"x",null,{"c":true}]},"null":null,"<&>":"<&>"}`)
	for _, l := range []struct {
		path string
		want any
	}{
		{"department", "finance"},
		{"n", json.Number("12345678901234567890")},
		{"a.b", []any{json.Number("1"), "x", nil, map[string]any{"c": true}}},
		{"<&>", "<&>"},
		{"null", nil},
		{"a.b.c", nil},
		{"department.x", nil},
		{"sub", nil},
		{"username", nil},
		{"active", nil},
		{"", nil},
	} {
		if diff := cmp.Diff(l.want, c.Other.Lookup(strings.Split(l.path, ".")...)); diff != "" {
			t.Errorf("%s: %s", l.path, diff)
		}
	}
	if c.Other.Lookup() != nil {
		t.Error("no path leads somewhere")
	}
	s := c.Other.Struct().AsMap()
	if s["department"] != "finance" || s["n"] != 12345678901234567890.0 || len(s) != 5 {
		t.Errorf("as a message: %v", s)
	}
}

func TestOtherOfNone(t *testing.T) {
	t.Parallel()
	c := parsed(t, `{"active":true,"sub":"alice","username":"alice","scope":"a","client_id":"c","ver":1}`)
	if c.Other != nil || c.Other.Lookup("x") != nil || c.Other.Struct() != nil || c.Other.size() != 0 {
		t.Errorf("%v", c.Other)
	}
	if c := parsed(t, `{"sub":"alice","username":"al"}`); c.Other.Lookup("username") != "al" {
		t.Error("a user name of its own is lost")
	}
}

// TestOtherKeepsNoAnswer: what is kept does not keep the text alive that it came in, and
// does not change with it.
func TestOtherKeepsNoAnswer(t *testing.T) {
	t.Parallel()
	text := []byte(`{"department":"finance"}`)
	o, err := ParseObject(text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseClaims(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		text[i] = 'x'
	}
	if got := c.Other.Lookup("department"); got != "finance" {
		t.Errorf("%v", got)
	}
}

func TestOtherIsReadConcurrently(t *testing.T) {
	t.Parallel()
	c := parsed(t, `{"department":"finance"}`)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if c.Other.Lookup("department") != "finance" || len(c.Other.Struct().GetFields()) != 1 {
				t.Error("a claim is lost")
			}
		})
	}
	group.Wait()
}

// TestComplete: an active answer is completed by the JWT that it is about, never changed.
func TestComplete(t *testing.T) {
	t.Parallel()
	said := parsed(t, `{"sub":"alice","acr":"phr","auth_time":100,"groups":["it"],"cnf":{"jkt":"K"},"department":"finance","level":1}`)
	bare := parsed(t, `{"sub":"alice"}`)
	if diff := cmp.Diff(said, complete(bare, said)); diff != "" {
		t.Error(diff)
	}
	full := parsed(t, `{"sub":"alice","acr":"pwd","auth_time":200,"groups":[],"cnf":{"jkt":"K"},"department":"sales","extra":true}`)
	got := complete(full, said)
	if got.ACR != "pwd" || !got.AuthTime.Equal(time.Unix(200, 0)) || len(got.Groups) != 0 || got.KeyThumbprint != "K" ||
		got.Other.Lookup("department") != "sales" || got.Other.Lookup("level") != json.Number("1") || got.Other.Lookup("extra") != true {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(full, complete(full, Claims{})); diff != "" {
		t.Errorf("an opaque token says nothing of itself: %s", diff)
	}
	for text, agrees := range map[string]bool{
		`{"exp":1,"cnf":{"jkt":"K"}}`:               true,
		`{"exp":1,"cnf":{"jkt":"L"}}`:               false,
		`{"exp":1,"cnf":{"jkt":"K","x5t#S256":""}}`: false,
		`{"exp":1}`: true,
	} {
		if err := agree(parsed(t, text), full); (err == nil) != agrees {
			t.Errorf("%s: %v", text, err)
		}
	}
}

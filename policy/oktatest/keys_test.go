package oktatest_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func keySet(t *testing.T, s *oktatest.Server) (jose.JSONWebKeySet, answer) {
	t.Helper()
	got := get(t, http.DefaultClient, s.Issuer("default")+"/v1/keys")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(got.body), &set); err != nil || got.status != 200 {
		t.Fatalf("keys: %d, %v: %s", got.status, err, got.body)
	}
	return set, got
}

// signer returns the kid of a token after checking its signature with set.
func signer(t *testing.T, set jose.JSONWebKeySet, token string) string {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	kid := parsed.Headers[0].KeyID
	keys := set.Key(kid)
	if len(keys) != 1 {
		t.Fatalf("%d keys %s", len(keys), kid)
	}
	if err := parsed.Claims(keys[0], &map[string]any{}); err != nil {
		t.Fatal(err)
	}
	return kid
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	before, first := keySet(t, s)
	if len(before.Keys) != 2 {
		t.Fatalf("%d keys, want ACTIVE and NEXT", len(before.Keys))
	}
	if !regexp.MustCompile(`^max-age=\d+, must-revalidate$`).MatchString(first.header.Get("Cache-Control")) {
		t.Errorf("Cache-Control %q", first.header.Get("Cache-Control"))
	}
	old := accessToken(t, s, "openid")
	oldKid := signer(t, before, old)

	check(t, s.RotateKeys("default"))
	renewed := accessToken(t, s, "openid")
	newKid := signer(t, before, renewed) // NEXT was published ahead: no client needs to refetch
	after, _ := keySet(t, s)
	if newKid == oldKid || len(after.Keys) != 3 || signer(t, after, old) != oldKid {
		t.Errorf("after rotation: kid %s then %s, %d keys", oldKid, newKid, len(after.Keys))
	}
	if !isActive(t, s, old) || !isActive(t, s, renewed) {
		t.Error("rotation ended a token")
	}
	s.Advance(24 * time.Hour)
	aged, _ := keySet(t, s)
	if len(aged.Keys) != 2 || slices.ContainsFunc(aged.Keys, func(k jose.JSONWebKey) bool { return k.KeyID == oldKid }) {
		t.Errorf("the EXPIRED key outlived its tokens: %d keys", len(aged.Keys))
	}
	s.Advance(90 * 24 * time.Hour)
	if _, due := keySet(t, s); due.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("rotation due: Cache-Control %q", due.header.Get("Cache-Control"))
	}
	if err := s.RotateKeys("ausNobody"); err == nil {
		t.Error("rotated the keys of nobody")
	}
}

func TestExpiredKeysAreBounded(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	for range 20 {
		check(t, s.RotateKeys("default"))
	}
	if set, _ := keySet(t, s); len(set.Keys) != 10 {
		t.Errorf("%d keys", len(set.Keys))
	}
}

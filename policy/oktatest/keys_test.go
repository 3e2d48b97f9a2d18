package oktatest_test

import (
	"encoding/json"
	"io"
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

// TestReplaceKeys holds that nothing published before verifies what is signed after,
// and nothing published after what was signed before.
func TestReplaceKeys(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	check(t, s.RotateKeys("default"))
	before, _ := keySet(t, s)
	old := accessToken(t, s, "openid")
	check(t, s.ReplaceKeys("default"))
	after, _ := keySet(t, s)
	if len(before.Keys) != 3 || len(after.Keys) != 2 {
		t.Fatalf("%d keys, then %d", len(before.Keys), len(after.Keys))
	}
	for _, key := range before.Keys {
		if len(after.Key(key.KeyID)) != 0 {
			t.Errorf("key %s is still published", key.KeyID)
		}
	}
	if kid := signer(t, after, accessToken(t, s, "openid")); len(before.Key(kid)) != 0 {
		t.Error("an announced key signs")
	}
	if !isActive(t, s, old) {
		t.Error("introspection forgot a token")
	}
	if err := s.ReplaceKeys("ausNobody"); err == nil {
		t.Error("replaced the keys of nobody")
	}
}

// TestKeyLag holds that the published set follows what signs by the lag, in both
// directions, and catches up.
func TestKeyLag(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	inject(t, s, "keys:lag=1m")
	before, first := keySet(t, s)
	check(t, s.ReplaceKeys("default"))
	renewed := accessToken(t, s, "openid")
	if _, lagging := keySet(t, s); len(before.Keys) != 2 || lagging.body != first.body {
		t.Errorf("%d keys; at once: %s", len(before.Keys), lagging.body)
	}
	s.Advance(59 * time.Second)
	if lagging, _ := keySet(t, s); len(lagging.Keys) != 2 || len(lagging.Key(before.Keys[0].KeyID)) != 1 || len(lagging.Key(before.Keys[1].KeyID)) != 1 {
		t.Errorf("after 59 s: %v", lagging)
	}
	s.Advance(2 * time.Second)
	after, _ := keySet(t, s)
	if signer(t, after, renewed); len(after.Keys) != 2 {
		t.Errorf("after 61 s: %d keys", len(after.Keys))
	}
	for range 6 {
		check(t, s.ReplaceKeys("default"))
	}
	if _, got := keySet(t, s); got.body != `{"keys":[]}` { // more than the server remembers
		t.Errorf("of forgotten keys: %s", got.body)
	}
	s.Clear()
	if caught, _ := keySet(t, s); len(caught.Keys) != 2 || len(caught.Key(after.Keys[0].KeyID)) != 0 {
		t.Errorf("after Clear: %v", caught)
	}
}

// TestKeyFaults holds the ways a key set goes bad that need no code of their own.
func TestKeyFaults(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	inject(t, s, `keys:body={"keys":[]}*1`)
	inject(t, s, "keys:truncate=40*1")
	if emptied, _ := keySet(t, s); len(emptied.Keys) != 0 {
		t.Errorf("%d keys", len(emptied.Keys))
	}
	if resp, err := http.Get(s.Issuer("default") + "/v1/keys"); err != nil || resp.ContentLength < 100 {
		t.Errorf("half-written: %v", err)
	} else if n, err := io.Copy(io.Discard, resp.Body); n != 40 || err == nil || resp.Body.Close() != nil {
		t.Errorf("half-written: %d bytes, %v", n, err)
	}
	for _, value := range []string{"no-cache", "no-cache, no-store", "max-age=1"} {
		inject(t, s, "keys:header=Cache-Control: "+value)
		if _, got := keySet(t, s); got.header.Get("Cache-Control") != value {
			t.Errorf("Cache-Control %q", got.header.Get("Cache-Control"))
		}
		s.Clear()
	}
}

package login

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/oktatest"
)

func (w *world) session(ctx context.Context) (Session, error) {
	return w.Store.Session(ctx, w.Target.Application, w.okta.Issuer("default"))
}

// A token is renewed when 30 s or less are left, and the new refresh token is stored.
func TestRenew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	_, before := w.stored(t)
	calls := w.okta.Calls(oktatest.Token)
	w.rewrite(t, func(f *file) { f.ExpiresAt = time.Now().Add(renewBefore + 5*time.Second) })
	if _, err := w.session(t.Context()); err != nil || w.okta.Calls(oktatest.Token) != calls {
		t.Fatalf("renewed too early: %v", err)
	}
	w.rewrite(t, func(f *file) { f.ExpiresAt = time.Now().Add(renewBefore - time.Second) })
	one, err := w.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path, after := w.stored(t)
	if after.AccessToken == before.AccessToken || after.RefreshToken == before.RefreshToken || !w.isActive(t, after.AccessToken) {
		t.Error("the tokens are not new ones")
	}
	if one.access.Reveal() != after.AccessToken || !one.fresh() || one.User != "alice@example.com" || !slices.Equal(one.Scopes, before.Scopes) {
		t.Errorf("the session is %+v", one)
	}
	if stat, err := os.Stat(path); err != nil || stat.Mode() != 0o600 {
		t.Errorf("%v %v", stat.Mode(), err)
	}
	if _, err := w.session(t.Context()); err != nil || w.okta.Calls(oktatest.Token) != calls+1 {
		t.Errorf("renewed again: %v", err)
	}
	// An interrupt does not lose what Okta has replaced already.
	w.rewrite(t, func(f *file) { f.ExpiresAt = time.Now() })
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if one, err := w.session(interrupted); err != nil || !one.fresh() {
		t.Errorf("interrupted: %v", err)
	}
}

// Commands at once renew once: the second refresh would show Okta a spent token.
func TestRenewOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	w.rewrite(t, func(f *file) { f.ExpiresAt = time.Now() })
	calls := w.okta.Calls(oktatest.Token)
	const commands = 8
	names := make([]string, commands)
	var all sync.WaitGroup
	for i := range commands {
		all.Go(func() {
			one, err := w.session(t.Context())
			if err != nil {
				t.Error(err)
			}
			names[i] = one.access.Name()
		})
	}
	all.Wait()
	if got := w.okta.Calls(oktatest.Token) - calls; got != 1 {
		t.Errorf("%d refreshes", got)
	}
	if len(slices.Compact(names)) != 1 || names[0] == "" {
		t.Errorf("the tokens are %q", names)
	}
}

func TestRefreshRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	path, f := w.stored(t)
	w.rewrite(t, func(f *file) { f.ExpiresAt = time.Now() })
	w.okta.Advance(100 * 24 * time.Hour)
	_, err := w.session(t.Context())
	says(t, err, ErrSignedOut, "retail/mobile", "okta refuses the refresh token: The refresh token is invalid or expired.", "fix: durward login retail/mobile")
	holdsNone(t, "the error", err.Error(), f.RefreshToken, f.AccessToken)
	if errors.Is(err, ErrUnreachable) {
		t.Error("it passes for a dead okta")
	}
	// Signing in mends it.
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	w.signIn(t)
	if _, err := w.session(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNoRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.NoRefresh = true
	w.signIn(t)
	if _, f := w.stored(t); f.RefreshToken != "" {
		t.Error("there is a refresh token")
	}
	w.rewrite(t, func(f *file) { f.ExpiresAt = time.Now() })
	_, err := w.session(t.Context())
	says(t, err, ErrSignedOut, "there is no refresh token")
}

// A dead Okta changes nothing in the store.
func TestRefreshUnreachable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	w.rewrite(t, func(f *file) { f.ExpiresAt = time.Now() })
	if err := w.okta.Down(); err != nil {
		t.Fatal(err)
	}
	_, err := w.session(t.Context())
	says(t, err, ErrUnreachable)
	_, err = Login(t.Context(), w.Options)
	says(t, err, ErrUnreachable)
	if err := w.okta.Up(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.session(t.Context()); err != nil {
		t.Errorf("okta is back: %v", err)
	}
}

func TestNotSignedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.session(t.Context())
	says(t, err, ErrSignedOut, "fix: durward login retail/mobile")
	if errors.Is(err, fs.ErrNotExist) {
		t.Error("it passes for a missing configuration")
	}
	if _, err := os.Stat(w.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading made a directory: %v", err)
	}
}

// Tokens that others may have read or put there are not used; signing in replaces them.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	path, _ := w.stored(t)
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := w.session(t.Context())
		says(t, err, nil, fmt.Sprintf("others can read or write %s (mode %04o)", path, mode), "fix: chmod 600")
	}
	if err := os.Chmod(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.signIn(t)
	if _, err := w.session(t.Context()); err != nil {
		t.Error(err)
	}
	if stat, err := os.Stat(w.dir); err != nil || stat.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v %v", stat.Mode(), err)
	}
	for name, text := range map[string]string{
		"no JSON": "{", "other version": `{"version":2}`, "no token": `{"version":1}`, "long": strings.Repeat(" ", maxFile+1),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := w.session(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "secret")
	for text, want := range map[string]string{"s3cret": "s3cret", "s3cret\n": "s3cret", "s3cret\r\n": "s3cret", "": "", "two\nlines\n": "", strings.Repeat("x", maxSecret+1): ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readSecret(path); got != want || (err == nil) != (want != "") {
			t.Errorf("%.10q: %q %v", text, got, err)
		}
	}
	if _, err := readSecret(dir); err == nil {
		t.Error("a directory is a secret")
	}
	if got, err := readSecret(""); got != "" || err != nil {
		t.Errorf("no file: %q %v", got, err)
	}
}

// Logout ends all tokens at Okta.
func TestLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	_, f := w.stored(t)
	all, err := w.Store.All()
	if err != nil || len(all) != 1 || all[0].Application != "retail/mobile" {
		t.Fatalf("the store has %+v, %v", all, err)
	}
	if !w.isActive(t, f.AccessToken) || !w.isActive(t, f.RefreshToken) {
		t.Fatal("the tokens are dead before")
	}
	if err := w.Store.Logout(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	if w.isActive(t, f.AccessToken) || w.isActive(t, f.RefreshToken) {
		t.Error("the tokens live on")
	}
	w.isEmpty(t)
}

func TestLogoutWithoutOkta(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, _ := w.signIn(t)
	if err := w.okta.Down(); err != nil {
		t.Fatal(err)
	}
	err := w.Store.Logout(t.Context(), one)
	says(t, err, ErrNotRevoked, "retail/mobile could not be revoked at okta")
	says(t, err, ErrUnreachable)
	w.isEmpty(t)
}

// Sessions of two servers need a choice.
func TestSeveralSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, _ := w.signIn(t)
	one.Issuer = "https://other.example.com/oauth2/default"
	if err := w.Store.save(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	_, err := w.Store.Session(t.Context(), w.Target.Application, w.okta.Issuer("default"), one.Issuer)
	var name *NameError
	if !errors.As(err, &name) || !strings.Contains(err.Error(), "--server") {
		t.Errorf("the error is %v", err)
	}
	if got, err := w.Store.Session(t.Context(), w.Target.Application, one.Issuer); err != nil || got.Issuer != one.Issuer {
		t.Errorf("%+v %v", got, err)
	}
	if all, err := w.Store.All(); err != nil || len(all) != 2 {
		t.Errorf("%d %v", len(all), err)
	}
}

// Printing a session shows no token, in whatever way.
func TestSessionHidesTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, _ := w.signIn(t)
	_, f := w.stored(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		holdsNone(t, verb, fmt.Sprintf(verb, one)+fmt.Sprintf(verb, &one)+fmt.Sprintf(verb, []any{struct{ Inner Session }{one}}), f.AccessToken, f.RefreshToken)
	}
}

// A store that waits for another command's lock gives up with the context.
func TestLockWaits(t *testing.T) {
	t.Parallel()
	s := NewStore(filepath.Join(t.TempDir(), "a [dir]* of\\ours"))
	unlock, err := s.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	_, err = s.lock(ctx)
	says(t, err, context.DeadlineExceeded, "another command holds")
	unlock()
	if unlock, err = s.lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	unlock()
	if _, err := s.Sessions(&catalog.Application{ClientIDs: []string{"a"}}, "b"); err != nil {
		t.Error(err)
	}
}

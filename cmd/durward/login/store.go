package login

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/token"
)

const (
	maxFile = 256 << 10
	// lockWait is longer than a refresh by another command can take.
	lockWait = 4 * requestTimeout
)

// Store is a directory of sessions, a file for each issuer and client. The directory has
// mode 0700 and the files 0600; files that others can read or write are refused. One
// command at a time changes it.
type Store struct{ dir string }

// NewStore returns the store in a directory, which is made when it is first needed.
func NewStore(dir string) Store { return Store{dir} }

// file is a session as it is stored.
type file struct {
	Version          int       `json:"version"`
	Application      string    `json:"application"`
	Issuer           string    `json:"issuer"`
	ClientID         string    `json:"client_id"`
	ClientSecretFile string    `json:"client_secret_file,omitempty"`
	User             string    `json:"user"`
	Scopes           []string  `json:"scopes"`
	ExpiresAt        time.Time `json:"expires_at"`
	AccessToken      string    `json:"access_token"`
	RefreshToken     string    `json:"refresh_token,omitempty"`
	// DPoPKey is the private key that the tokens are bound to, in PKCS #8.
	DPoPKey []byte `json:"dpop_key,omitempty"`
}

const fileVersion = 1

// Session returns the session of an application at one of these issuers, with an access
// token that lives for more than 30 s: one that does not is renewed first. The error is
// an ErrSignedOut, an ErrUnreachable, or a *NameError where there are several sessions.
func (s Store) Session(ctx context.Context, app *catalog.Application, issuers ...string) (Session, error) {
	found, err := s.Sessions(app, issuers...)
	if err != nil {
		return Session{}, err
	}
	switch len(found) {
	case 0:
		return Session{}, Session{Application: fullName(app)}.signedOut("there is no token of it here")
	case 1:
		return s.fresh(ctx, s.path(found[0].Issuer, found[0].ClientID))
	}
	return Session{}, &NameError{fmt.Sprintf(
		"%s has tokens of several authorization servers or clients; name the server with --server, or durward logout %s first",
		app.Name, fullName(app))}
}

// Sessions returns what is stored for an application at these issuers, as it is.
func (s Store) Sessions(app *catalog.Application, issuers ...string) ([]Session, error) {
	var paths []string
	for _, issuer := range issuers {
		for _, clientID := range app.ClientIDs {
			paths = append(paths, s.path(issuer, clientID))
		}
	}
	return readAll(paths)
}

// All returns everything that is stored, as it is.
func (s Store) All() ([]Session, error) {
	paths, err := filepath.Glob(filepath.Join(escape(s.dir), "*.json"))
	if err != nil {
		return nil, err
	}
	return readAll(paths)
}

// readAll reads those that are there.
func readAll(paths []string) ([]Session, error) {
	var all []Session
	for _, path := range paths {
		one, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func (s Store) fresh(ctx context.Context, path string) (Session, error) {
	one, err := read(path)
	if err != nil || one.fresh() {
		return one, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return Session{}, err
	}
	defer unlock()
	was := one
	one, err = read(path) // another command may have renewed or ended it
	if errors.Is(err, fs.ErrNotExist) {
		return Session{}, was.signedOut("it was logged out just now")
	}
	if err != nil || one.fresh() {
		return one, err
	}
	// Once Okta has replaced the refresh token the new one must be stored, whatever
	// interrupts the command.
	if err := one.renew(context.WithoutCancel(ctx)); err != nil {
		return Session{}, err
	}
	return one, s.write(one)
}

func (s Store) save(ctx context.Context, one Session) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return s.write(one)
}

func (s Store) lock(ctx context.Context) (func(), error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(s.dir, 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	return lock(ctx, filepath.Join(s.dir, "lock"))
}

func (s Store) path(issuer, clientID string) string {
	sum := sha256.Sum256([]byte(issuer + "\n" + clientID))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:16])+".json")
}

// write replaces a session's file whole.
func (s Store) write(one Session) error {
	key, err := encodeKey(one.key)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(file{
		Version: fileVersion, Application: one.Application, Issuer: one.Issuer, ClientID: one.ClientID,
		ClientSecretFile: one.secretFile, User: one.User, Scopes: one.Scopes, ExpiresAt: one.Expiry.UTC(),
		AccessToken: one.access.Reveal(), RefreshToken: one.refresh.Reveal(), DPoPKey: key,
	}, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, "new-") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone after the rename
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.path(one.Issuer, one.ClientID))
}

func read(path string) (Session, error) {
	text, err := readPrivate(path, maxFile, 0o077)
	if err != nil {
		return Session{}, err
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil || f.Version != fileVersion {
		return Session{}, fmt.Errorf("%s is no token file of this durward; remove it and sign in again", path)
	}
	one := Session{
		Application: f.Application, Issuer: f.Issuer, ClientID: f.ClientID, User: f.User,
		Scopes: f.Scopes, Expiry: f.ExpiresAt, secretFile: f.ClientSecretFile,
	}
	if one.access, err = token.Parse(f.AccessToken); err != nil {
		return Session{}, fmt.Errorf("the access token in %s: %w", path, err)
	}
	if one.key, err = decodeKey(f.DPoPKey); err != nil {
		return Session{}, fmt.Errorf("the key in %s: %w", path, err)
	}
	if f.RefreshToken == "" {
		return one, nil
	}
	if one.refresh, err = token.Parse(f.RefreshToken); err != nil {
		return Session{}, fmt.Errorf("the refresh token in %s: %w", path, err)
	}
	return one, nil
}

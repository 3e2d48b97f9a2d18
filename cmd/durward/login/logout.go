package login

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// ErrNotRevoked is a logout that removed the tokens here but could not end them at
// Okta, where they stay good until they expire.
var ErrNotRevoked = errors.New("could not be revoked at okta")

// Logout revokes a session's refresh and access token, and removes its file even if
// that fails. The person's session at Okta, in the browser, goes on.
func (s Store) Logout(ctx context.Context, one Session) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	path := s.path(one.Issuer, one.ClientID)
	if latest, err := read(path); err == nil {
		one = latest // another command may have renewed it
	}
	revoked := revoke(ctx, one)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if revoked != nil {
		return fmt.Errorf("the tokens of %s %w: %w", one.Application, ErrNotRevoked, revoked)
	}
	return nil
}

func revoke(ctx context.Context, one Session) error {
	secret, err := readSecret(one.secretFile)
	if err != nil {
		return err
	}
	p, err := discover(ctx, one.Issuer)
	if err != nil {
		return err
	}
	err = p.revoke(ctx, one.ClientID, secret, one.access.Reveal(), "access_token")
	if one.refresh.Reveal() == "" {
		return err
	}
	return errors.Join(err, p.revoke(ctx, one.ClientID, secret, one.refresh.Reveal(), "refresh_token"))
}

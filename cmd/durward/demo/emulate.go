package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/policy/oktatest"
)

// EmulateOptions says where the local Okta listens and what it tells.
type EmulateOptions struct {
	// Config is the catalogue to play; empty for the demo's org.
	Config string
	// Backend runs the echo backend too, where Config has backends on loopback.
	Backend bool
	// Listen is host:port on loopback, where Config is empty.
	Listen string
	// SecretFile, if not empty, is written with the service app's secret (0600), where
	// Config is empty.
	SecretFile string
	// Faults are injected from the start, see oktatest.ParseFault.
	Faults []oktatest.Fault
	// Out is for people.
	Out io.Writer
}

// inject lets okta misbehave as asked.
func (o EmulateOptions) inject(okta *oktatest.Server) error {
	for _, f := range o.Faults {
		if err := okta.Inject(f); err != nil {
			return err
		}
	}
	return nil
}

// Emulate serves a local Okta until ctx ends: the demo's org, or what the catalogue at
// Config names. A busy port is a *FlagError, or without a flag that moves it a *TakenError.
// A catalogue that cannot be played is ErrUnplayable.
func Emulate(ctx context.Context, o EmulateOptions) error {
	if o.Config != "" {
		return emulateCatalogue(ctx, o)
	}
	secret := rand.Text() + rand.Text()
	okta, err := oktatest.NewServer(orgConfig(secret))
	if err != nil {
		return err
	}
	if err := okta.Start(o.Listen); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return &FlagError{"listen", o.Listen, err}
		}
		return err
	}
	defer func() { _ = okta.Close() }() // it is stopping anyway
	if err := o.inject(okta); err != nil {
		return err
	}
	where := "not written; name a file with --secret-file"
	if o.SecretFile != "" {
		if err := os.WriteFile(o.SecretFile, []byte(secret+"\n"), 0o600); err != nil {
			return err
		}
		where = o.SecretFile
	}
	issuer := okta.Issuer("default")
	_, _ = fmt.Fprintf(o.Out, `local Okta, not Okta: everybody can sign in as anybody. Ctrl-C stops it.

  issuer         %s
  metadata       %s/.well-known/oauth-authorization-server
  audience       api://default
  native app     %s (PKCE, no secret)
  service app    %s
  its secret     %s
  users          alice, bob, with any password
`, issuer, issuer, clientMobile, clientGateway, where)
	<-ctx.Done()
	return nil
}

// TakenError is an address of the configuration that another process has.
type TakenError struct {
	// Owner is what the configuration has the address for.
	Owner, Address string
	Err            error
}

// Error names the address and what it is for.
func (e *TakenError) Error() string {
	return fmt.Sprintf("the address %s of %s is in use by another process; write a free one into the configuration, or end that process", e.Address, e.Owner)
}

// Unwrap returns the system's error.
func (e *TakenError) Unwrap() error { return e.Err }

// emulateCatalogue plays what a catalogue names.
func emulateCatalogue(ctx context.Context, o EmulateOptions) (err error) {
	cat, _, err := serve.Load(o.Config)
	if err != nil {
		return err
	}
	orgs, err := play(cat)
	if err != nil {
		return err
	}
	var stops []func() error
	defer func() {
		for _, stop := range stops {
			err = errors.Join(err, stop())
		}
	}()
	for _, org := range orgs {
		okta, err := oktatest.NewServer(org.config)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnplayable, err)
		}
		if err := okta.Start(org.listen); err != nil {
			return taken(err, "authorization server "+org.servers[0].Name+in(org.servers[0].At), org.listen)
		}
		stops = append(stops, okta.Close)
		if err := o.inject(okta); err != nil {
			return err
		}
	}
	var backends []backend
	if o.Backend {
		backends = backendsOf(cat)
	}
	for _, b := range backends {
		if b.refused != "" {
			continue
		}
		stop, err := startEcho(ctx, b)
		if err != nil {
			return err
		}
		stops = append(stops, stop)
	}
	printPlayed(o.Out, cat, orgs, backends)
	<-ctx.Done()
	return nil
}

// taken makes an error of listening one that names the address.
func taken(err error, owner, address string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return &TakenError{owner, address, err}
	}
	return fmt.Errorf("%s at %s: %w", owner, address, err)
}

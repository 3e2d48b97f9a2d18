package explain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/policytest"
	"github.com/durward/durward/policy/token"
)

// Inspection is a token to read.
type Inspection struct {
	// Config is the path of the configuration. Where nothing is there and Required is
	// false, the token is read without.
	Config   string
	Required bool
	// Authorization is a header's value, as ReadCredential returns it.
	Authorization string
	// Introspect asks the authorization servers of the configuration about the token.
	Introspect bool
}

// Inspect reads a token. Without Introspect nothing is asked and nothing is verified.
// Errors are an *InputError, a *serve.ConfigError, or wrap the file system's.
func Inspect(ctx context.Context, i Inspection) (*TokenReport, error) {
	return inspectAt(ctx, i, time.Now)
}

func inspectAt(ctx context.Context, i Inspection, now func() time.Time) (*TokenReport, error) {
	t, err := bearer(i.Authorization)
	if err != nil {
		return nil, err
	}
	r, claims, err := decode(t, now())
	if err != nil {
		return nil, err
	}
	cat, _, err := serve.Load(i.Config)
	if errors.Is(err, fs.ErrNotExist) && !i.Required && !i.Introspect {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	r.Config = i.Config
	if !i.Introspect {
		r.suppose(cat, t, claims, now)
		return r, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	verify, done, err := serve.Verifying(ctx, cat)
	if err != nil {
		return nil, err
	}
	defer done()
	r.ask(cat, t, verify)
	r.tryOperations(cat, t, r.remembered, now)
	return r, nil
}

// suppose tries the token as if Okta confirmed the claims that it shows, if it shows any.
func (r *TokenReport) suppose(cat *catalog.Catalogue, t token.Token, c *token.Claims, now func() time.Time) {
	if c == nil {
		return
	}
	r.describe(cat, *c)
	by := policytest.Suppose(func(*catalog.AuthorizationServer) token.Claims { return *c }, now)
	r.tryOperations(cat, t, by.Verify, now)
}

// answer is what one authorization server said.
type answer struct {
	fact token.Fact
	err  error
}

// ask asks each authorization server that a token policy names about the token, once.
func (r *TokenReport) ask(cat *catalog.Catalogue, t token.Token, verify policy.Verify) {
	r.Introspected = true
	r.answers = make(map[string]answer)
	for _, p := range cat.TokenPolicies {
		name := p.Server.Name
		if _, asked := r.answers[name]; asked {
			continue
		}
		fact, err := verify(p, t)
		r.answers[name] = answer{fact, err}
		said := said{Server: name, Issuer: p.Server.Issuer, Active: err == nil, At: placeOf(p.Server.At)}
		if err != nil {
			said.Error = err.Error()
			r.unreachable = r.unreachable || unreachable(err)
		} else {
			r.Verified = true
			r.describe(cat, fact.Claims)
		}
		r.Answers = append(r.Answers, said)
	}
}

func unreachable(err error) bool {
	var known *token.Error
	return !errors.As(err, &known) || known.Failure == token.Unavailable || known.Failure == token.RateLimited
}

// remembered verifies with the answers that ask got.
func (r *TokenReport) remembered(p *catalog.TokenPolicy, _ token.Token) (token.Fact, error) {
	a, ok := r.answers[p.Server.Name]
	if !ok {
		return token.Fact{}, fmt.Errorf("authorization server %s was not asked", p.Server.Name)
	}
	return a.fact, a.err
}

// describe says whose the token is, by its claims.
func (r *TokenReport) describe(cat *catalog.Catalogue, c token.Claims) {
	r.ClientID = c.ClientID
	if app := cat.Client(c.ClientID); app != nil {
		r.Application, r.Organization, r.applicationAt = app.Name, app.Organization.Name, app.At
	}
	if len(r.Claims) == 0 { // an opaque token's come from Okta
		r.Claims = membersOf(c, r.now)
	}
	for i, m := range r.Claims {
		r.Claims[i].Meaning = meaningIn(cat, c, m)
	}
}

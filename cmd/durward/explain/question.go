package explain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/policytest"
)

// askLimit bounds all that is asked of Okta for one report.
const askLimit = 5 * time.Second

// ErrDenied is a report whose decision is deny; ErrUnreachable is one for which Okta gave
// no usable answer.
var (
	ErrDenied      = errors.New("the decision is deny")
	ErrUnreachable = errors.New("okta gave no usable answer")
)

// InputError is an argument or a token that cannot be used. It repeats no token.
type InputError struct{ Message string }

// Error returns the message.
func (e *InputError) Error() string { return e.Message }

func inputErrorf(format string, args ...any) error {
	return &InputError{fmt.Sprintf(format, args...)}
}

// Question is one request to explain.
type Question struct {
	// Config is the path of the configuration, a file or a directory.
	Config string
	// Method and URL are the request's. URL is absolute, or a path at the gateway.
	Method, URL string
	// Authorization is the header's value, as ReadCredential returns it; empty for a
	// request without one.
	Authorization string
	// As names an application, APP or ORGANIZATION/APP, whose call is supposed instead:
	// of the person User, with Scopes, and a token that Okta would confirm.
	As     string
	Scopes []string
	User   string
	// Claims are further claims of the supposed caller, each NAME=VALUE, where VALUE is
	// JSON or else a text.
	Claims []string
}

// Explain answers q. Errors are an *InputError, a *serve.ConfigError, or wrap the file
// system's; a deny is none: see Report.Err. Okta is asked only about a real token.
func Explain(ctx context.Context, q Question) (*Report, error) {
	return explainAt(ctx, q, time.Now)
}

func explainAt(ctx context.Context, q Question, now func() time.Time) (*Report, error) {
	if q.User == "" && q.As != "" {
		q.User = "somebody@example.com"
	}
	cat, _, err := serve.Load(q.Config)
	if err != nil {
		return nil, err
	}
	request, err := route(cat, q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	verify, done, err := verifying(ctx, cat, q, now)
	if err != nil {
		return nil, err
	}
	defer done()
	if q.As != "" {
		request.Authorization = []string{q.scheme() + " supposed"}
	}
	var trace policy.Trace
	d := policy.Decide(cat, request, policy.Witness{Verify: verify, Prove: proofSupposed, Now: now}, &trace)
	return newReport(q, cat, request, d, trace), nil
}

// verifying is how the token is verified: by Okta, or for a supposed caller by nobody.
func verifying(ctx context.Context, cat *catalog.Catalogue, q Question, now func() time.Time) (policy.Verify, func(), error) {
	switch {
	case q.As == "" && q.Authorization == "":
		if q.supposes() {
			return nil, nil, inputErrorf("--scope, --user and --claim suppose a caller: name an application with --as")
		}
		return believingNothing, func() {}, nil
	case q.As == "":
		if q.supposes() {
			return nil, nil, inputErrorf("a real token has scopes, a user and claims of its own: leave --scope, --user and --claim out")
		}
		return serve.Verifying(ctx, cat)
	case q.Authorization != "":
		return nil, nil, inputErrorf("--token and --as exclude each other")
	}
	app, err := findApplication(cat, q.As)
	if err != nil {
		return nil, nil, err
	}
	claims, err := callerOf(app, q, now())
	if err != nil {
		return nil, nil, err
	}
	return policytest.Suppose(claims, now).Verify, func() {}, nil
}

func (q Question) supposes() bool { return len(q.Scopes) > 0 || q.User != "" || len(q.Claims) > 0 }

// scheme is the one under which a supposed token is sent: a bound one comes with a proof.
func (q Question) scheme() string {
	if slices.ContainsFunc(q.Claims, func(c string) bool { return strings.HasPrefix(c, "cnf=") }) {
		return "DPoP"
	}
	return "Bearer"
}

// route makes the policy's request of q, with the API that the gateway's routes would
// name for it.
func route(cat *catalog.Catalogue, q Question) (policy.Request, error) {
	host, path, err := policytest.SplitURL(q.URL)
	if err != nil {
		return policy.Request{}, &InputError{err.Error()}
	}
	if host == "" {
		host = cat.Gateways[0].URL.Host
	}
	r := policytest.Route(servedAt(cat, host), q.Method, host, path)
	if q.Authorization != "" {
		r.Authorization = []string{q.Authorization}
	}
	return r, nil
}

// servedAt leaves, of a gateway's own address, the APIs that it serves: host names alone do
// not tell gateways apart.
func servedAt(cat *catalog.Catalogue, host string) *catalog.Catalogue {
	i := slices.IndexFunc(cat.Gateways, func(g *catalog.Gateway) bool { return g.URL.Host == host })
	if i < 0 {
		return cat
	}
	there := *cat
	there.APIs = slices.DeleteFunc(slices.Clone(cat.APIs), func(a *catalog.API) bool { return !a.ServedBy(cat.Gateways[i].Name) })
	return &there
}

// findApplication finds APP, or ORGANIZATION/APP where several organizations have one of
// that name.
func findApplication(cat *catalog.Catalogue, name string) (*catalog.Application, error) {
	organization, app, qualified := strings.Cut(name, "/")
	if !qualified {
		app = name
	}
	var found []*catalog.Application
	var names []string
	for _, o := range cat.Organizations {
		for _, a := range o.Applications {
			names = append(names, a.Name)
			if a.Name == app && (!qualified || o.Name == organization) {
				found = append(found, a)
			}
		}
	}
	switch {
	case len(found) == 0:
		return nil, inputErrorf("application %q is not declared; %s", name, catalog.Suggest(app, names))
	case len(found) > 1:
		return nil, inputErrorf("several organizations have an application %q; write ORGANIZATION/%s", name, name)
	case len(found[0].ClientIDs) == 0:
		return nil, inputErrorf("application %q has no client id", name)
	}
	return found[0], nil
}

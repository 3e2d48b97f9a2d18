package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

// Verify establishes what is believed about a token under a token policy. An error
// means that nothing is; a *token.Error says why.
type Verify func(p *catalog.TokenPolicy, t token.Token) (token.Fact, error)

// Decide judges one request by one catalogue. The order is fixed and each step ends
// the judgement when it fails, so that nobody learns of an operation or a scope before
// they are known, granted callers. verify is called at most once, and never for public
// operations. trace may be nil.
func Decide(cat *catalog.Catalogue, r Request, verify Verify, now func() time.Time, trace *Trace) Decision {
	j := judgement{cat: cat, request: r, trace: trace}
	if reason := j.judge(verify, now); reason != "" {
		j.d.Reason, j.d.Identity = reason, nil
		return j.d
	}
	j.d.allowed = true
	return j.d
}

// judgement is one request on its way through the steps.
type judgement struct {
	cat     *catalog.Catalogue
	request Request
	target  target
	match   catalog.Match
	trace   *Trace
	d       Decision
}

// judge returns the reason to deny, or "" if there is none.
func (j *judgement) judge(verify Verify, now func() time.Time) contract.Reason {
	if r := j.findAPI(); r != "" {
		return r
	}
	if r := j.findOperation(); r != "" {
		return r
	}
	if op := j.d.Operation; op != nil && op.Public {
		j.pass("operation", op.At, op.Path.String(), "public")
		return ""
	}
	if r := j.authenticate(verify, now); r != "" {
		return r
	}
	if r := j.findApplication(); r != "" {
		return r
	}
	if r := j.checkGrant(); r != "" {
		return r
	}
	if r := j.tellOperation(); r != "" {
		return r
	}
	if r := j.checkScopes(); r != "" {
		return r
	}
	return j.nameCaller()
}

// pass and fail record a step; what was found is put together only for a trace.
func (j *judgement) pass(name string, at catalog.Position, expected string, found ...string) {
	if j.trace != nil {
		j.trace.Steps = append(j.trace.Steps, Step{Name: name, OK: true, Expected: expected, Found: strings.Join(found, " "), At: at})
	}
}

func (j *judgement) fail(name string, at catalog.Position, expected string, found ...string) {
	if j.trace != nil {
		j.trace.Steps = append(j.trace.Steps, Step{Name: name, Expected: expected, Found: strings.Join(found, " "), At: at})
	}
}

func (j *judgement) findAPI() contract.Reason {
	target, err := j.request.parse()
	if err != nil {
		j.d.Detail = err.Error()
		j.fail("request", catalog.Position{}, "one method, host and canonical path", err.Error())
		return contract.RequestMalformed
	}
	j.target = target
	if !j.request.hasAPI() || j.cat == nil {
		j.fail("api", catalog.Position{}, "a route that belongs to an API", "none")
		return contract.APIUnknown
	}
	// A route of an older configuration may name an API that is gone or has moved.
	api := j.cat.API(j.request.API)
	if api == nil || !api.ServesHost(target.host) || !api.Covers(target.path) {
		j.fail("api", catalog.Position{}, "an API of this configuration", j.request.API)
		return contract.APIUnknown
	}
	j.d.API = api
	j.pass("api", api.At, api.Name, target.host, target.path)
	return ""
}

// findOperation looks silently: only tellOperation speaks of what is not there.
func (j *judgement) findOperation() contract.Reason {
	j.match = j.d.API.Match(j.request.Method, j.target.path)
	// A backend that decodes may take another spelling for another operation, which the
	// caller must not choose: there is no operation for such a path.
	if canonical := catalog.CanonicalPath(j.target.path); canonical != j.target.path {
		if j.cat.Route(j.target.host, canonical) != j.d.API || j.d.API.Match(j.request.Method, canonical).Operation != j.match.Operation {
			j.match = catalog.Match{}
		}
	}
	j.d.Operation = j.match.Operation
	if j.d.Operation == nil && j.d.API.Policy == nil {
		// Every operation is public, so there is nothing to keep from strangers.
		return j.tellOperation()
	}
	return ""
}

func (j *judgement) authenticate(verify Verify, now func() time.Time) contract.Reason {
	t, reason := credential(j.request.Authorization, j.target.query)
	if reason != "" {
		j.fail("credential", catalog.Position{}, "one bearer token in the authorization header", string(reason))
		return reason
	}
	j.d.Token = t
	p := j.d.API.Policy
	if j.d.Operation != nil {
		p = j.d.Operation.Policy
	}
	fact, err := verify(p, t)
	if err != nil {
		return j.refuseToken(p, err)
	}
	// The fact may be older than this check: only the present says whether it expired.
	if fact.Claims.ExpiredAt(now()) {
		return j.refuseToken(p, &token.Error{Failure: token.Expired})
	}
	j.d.Fact = fact
	switch {
	case fact.Claims.Bound:
		j.fail("token", p.At, "a bearer token", "a token bound to a key")
		return contract.BindingMismatch
	case fact.Claims.UserID == "":
		j.fail("token", p.At, "a person's token", "a machine's token")
		return contract.TokenTypeWrong
	}
	if j.trace != nil {
		j.pass("token", p.At, p.Name, "active until", fact.Claims.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return ""
}

// refusals gives each failure of verification its reason.
var refusals = map[token.Failure]contract.Reason{
	token.Malformed:        contract.TokenMalformed,
	token.NotYetValid:      contract.TokenNotYetValid,
	token.IssuerMismatch:   contract.IssuerMismatch,
	token.AudienceMismatch: contract.AudienceMismatch,
	token.WrongType:        contract.TokenTypeWrong,
	token.Expired:          contract.TokenExpired,
	token.Inactive:         contract.TokenInactive,
	token.SignatureInvalid: contract.SignatureInvalid,
	token.Unavailable:      contract.OktaUnavailable,
	token.RateLimited:      contract.OktaRateLimited,
	token.Overloaded:       contract.Overloaded,
}

func (j *judgement) refuseToken(p *catalog.TokenPolicy, err error) contract.Reason {
	j.d.Detail = err.Error()
	j.fail("token", p.At, p.Name, err.Error())
	var known *token.Error
	if !errors.As(err, &known) {
		return contract.Internal
	}
	j.d.RetryAfter = known.RetryAfter
	if reason, ok := refusals[known.Failure]; ok {
		return reason
	}
	return contract.Internal
}

func (j *judgement) findApplication() contract.Reason {
	id := j.d.Fact.Claims.ClientID
	app := j.cat.Client(id)
	if app == nil {
		j.d.Detail = "client " + id
		j.fail("client", catalog.Position{}, "the client id of an application", id)
		return contract.ClientUnknown
	}
	j.d.Application = app
	j.pass("client", app.At, app.Name, id)
	return ""
}

func (j *judgement) checkGrant() contract.Reason {
	app, api := j.d.Application, j.d.API
	if !api.OrganizationGranted(app.Organization) {
		j.d.Detail = fmt.Sprintf("organization %s has no access to %s", app.Organization.Name, api.Name)
		j.fail("grant", api.At, "access for organization "+app.Organization.Name, "none")
		return contract.GrantMissing
	}
	if !api.ApplicationGranted(app) {
		j.d.Detail = fmt.Sprintf("application %s is not granted %s", app.Name, api.Name)
		j.fail("grant", api.GrantAt(app.Organization), "a grant for application "+app.Name, "its organization's access alone")
		return contract.GrantMissing
	}
	j.pass("grant", api.GrantAt(app.Organization), api.Name, app.Organization.Name, app.Name)
	return ""
}

func (j *judgement) tellOperation() contract.Reason {
	op := j.d.Operation
	if op == nil {
		j.d.PathKnown, j.d.Methods = j.match.PathKnown, j.match.Allow
		j.fail("operation", j.d.API.At, "an operation of "+j.d.API.Name, j.request.Method, j.target.path)
		return contract.OperationUnknown
	}
	j.pass("operation", op.At, op.Path.String(), j.request.Method, j.target.path)
	return ""
}

func (j *judgement) checkScopes() contract.Reason {
	op, c := j.d.Operation, j.d.Fact.Claims
	all := len(op.AllScopes) > 0
	needed := op.AllScopes
	if !all {
		needed = op.AnyScopes
	}
	found := slices.ContainsFunc(needed, c.HasScope)
	if all {
		found = !slices.ContainsFunc(needed, func(s string) bool { return !c.HasScope(s) })
	}
	// An operation without scopes cannot be compiled; if one were, it would be closed.
	if len(needed) == 0 || !found {
		j.d.Scopes = needed
		if !all && len(needed) > 0 {
			j.d.Scopes = needed[:1]
		}
		j.fail("scope", op.At, strings.Join(needed, " "), c.Scopes...)
		return contract.ScopeMissing
	}
	if j.trace != nil {
		j.pass("scope", op.At, strings.Join(needed, " "), c.Scopes...)
	}
	return ""
}

func (j *judgement) nameCaller() contract.Reason {
	headers, err := identity(j.d)
	if err != nil {
		j.d.Detail = err.Error()
		j.fail("identity", catalog.Position{}, "claims that fit the identity headers", err.Error())
		return contract.ClaimMismatch
	}
	j.d.Identity = headers
	return ""
}

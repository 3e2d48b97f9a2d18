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

// Prove checks that the caller holds the key that its token is bound to, once for each
// proof. An error means that it has not shown it; a *token.Error says why.
type Prove func(token.Proof) error

// Witness is what a judgement believes of the world outside the catalogue. Verify and
// Now are needed; a nil Prove refuses every bound token.
type Witness struct {
	Verify Verify
	Prove  Prove
	Now    func() time.Time
}

// Decide judges one request by one catalogue. The order is fixed and each step ends
// the judgement when it fails, so that nobody learns of an operation or a scope before
// they are known, granted callers. The witness's Verify is called at most once, Prove
// at most once after it, neither for public operations. trace may be nil.
func Decide(cat *catalog.Catalogue, r Request, by Witness, trace *Trace) Decision {
	j := judgement{cat: cat, request: r, by: by, trace: trace}
	if reason := j.judge(); reason != "" {
		j.d.Reason, j.d.Identity = reason, nil
		j.d.shadowed = j.d.API != nil && j.d.API.Shadow
		return j.d
	}
	j.d.allowed = true
	return j.d
}

// judgement is one request on its way through the steps.
type judgement struct {
	cat     *catalog.Catalogue
	request Request
	by      Witness
	now     time.Time
	target  target
	match   catalog.Match
	trace   *Trace
	d       Decision
}

// judge returns the reason to deny, or "" if there is none.
func (j *judgement) judge() contract.Reason {
	if r := j.findAPI(); r != "" {
		return r
	}
	if r := j.findOperation(); r != "" {
		return r
	}
	if op := j.d.Operation; op != nil && op.Public {
		j.pass(contract.StepOperation, op.At, op.Path.String(), "public")
		return ""
	}
	for _, step := range [...]func(*judgement) contract.Reason{
		(*judgement).authenticate, (*judgement).findDenial, (*judgement).findApplication, (*judgement).checkGrant,
		(*judgement).tellOperation, (*judgement).checkScopes, (*judgement).checkSignIn, (*judgement).checkClaims,
		(*judgement).checkRules, (*judgement).nameCaller,
	} {
		if r := step(j); r != "" {
			return r
		}
	}
	return ""
}

// pass and fail record a step; what was found is put together only for a trace.
func (j *judgement) pass(name contract.Step, at catalog.Position, expected string, found ...string) {
	if j.trace != nil {
		j.trace.Steps = append(j.trace.Steps, Step{Name: name, OK: true, Expected: expected, Found: strings.Join(found, " "), At: at})
	}
}

func (j *judgement) fail(name contract.Step, at catalog.Position, expected string, found ...string) {
	if j.trace != nil {
		j.trace.Steps = append(j.trace.Steps, Step{Name: name, Expected: expected, Found: strings.Join(found, " "), At: at})
	}
}

func (j *judgement) findAPI() contract.Reason {
	target, err := j.request.parse()
	if err != nil {
		j.d.API = j.shadowAPI()
		j.d.Detail = err.Error()
		j.fail(contract.StepRequest, catalog.Position{}, "one method, host and canonical path", err.Error())
		return contract.RequestMalformed
	}
	j.target = target
	if !j.request.hasAPI() || j.cat == nil {
		j.fail(contract.StepAPI, catalog.Position{}, "a route that belongs to an API", "none")
		return contract.APIUnknown
	}
	// A route of an older configuration may name an API that is gone or has moved.
	api := j.cat.API(j.request.API)
	if api == nil || !api.ServesHost(target.host) || !api.Covers(target.path) {
		j.fail(contract.StepAPI, catalog.Position{}, "an API of this configuration", j.request.API)
		return contract.APIUnknown
	}
	j.d.API = api
	j.pass(contract.StepAPI, api.At, api.Name, target.host, target.path)
	return ""
}

// shadowAPI is the API that Envoy chose, if it is one that blocks nothing.
func (j *judgement) shadowAPI() *catalog.API {
	if j.cat == nil || !j.request.hasAPI() {
		return nil
	}
	if api := j.cat.API(j.request.API); api != nil && api.Shadow {
		return api
	}
	return nil
}

// findOperation looks silently: only tellOperation speaks of what is not there.
func (j *judgement) findOperation() contract.Reason {
	j.match = j.d.API.Match(j.request.Method, j.target.path)
	// A backend that decodes may take another spelling for another operation, which the
	// caller must not choose: there is no operation for such a path. Nor may the spelling
	// choose the API; the route's own is no measure, for its gateway need not serve all.
	if canonical := catalog.CanonicalPath(j.target.path); canonical != j.target.path {
		if j.cat.Route(j.target.host, canonical) != j.cat.Route(j.target.host, j.target.path) || j.d.API.Match(j.request.Method, canonical).Operation != j.match.Operation {
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

func (j *judgement) authenticate() contract.Reason {
	c, reason := findCredential(j.request.Authorization, j.target.query)
	if reason != "" {
		j.fail(contract.StepCredential, catalog.Position{}, "one access token in the authorization header", string(reason))
		return reason
	}
	j.d.Token = c.token
	p := j.d.API.Policy
	if j.d.Operation != nil {
		p = j.d.Operation.Policy
	}
	fact, err := j.by.Verify(p, c.token)
	j.now = j.by.Now()
	if err != nil {
		return j.refuseToken(contract.StepToken, p, err)
	}
	// The fact may be older than this check: only the present says whether it expired.
	if fact.Claims.ExpiredAt(j.now) {
		return j.refuseToken(contract.StepToken, p, &token.Error{Failure: token.Expired})
	}
	j.d.Fact = fact
	if fact.Claims.UserID == "" && !p.MachineTokens {
		j.fail(contract.StepToken, p.At, "a person's token", "a machine's token")
		return contract.TokenTypeWrong
	}
	if j.trace != nil {
		j.pass(contract.StepToken, p.At, p.Name, "active until", fact.Claims.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return j.checkBinding(c, p)
}

// checkBinding holds that a bound token comes with a proof, and no other token does.
func (j *judgement) checkBinding(c credential, p *catalog.TokenPolicy) contract.Reason {
	claims := j.d.Fact.Claims
	switch {
	case !claims.Bound && !c.proven:
		return ""
	case !claims.Bound:
		j.fail(contract.StepProof, p.At, "a token that is bound to a key", "a bearer token under DPoP")
		return contract.BindingMismatch
	case !c.proven:
		j.fail(contract.StepProof, p.At, "the scheme DPoP", "a bound token under Bearer")
		return contract.BindingMismatch
	case claims.KeyThumbprint == "":
		j.fail(contract.StepProof, p.At, "a token that is bound to a DPoP key alone", "another binding")
		return contract.BindingMismatch
	case j.by.Prove == nil:
		return j.refuseToken(contract.StepProof, p, errors.New("nobody here can check a proof"))
	}
	proof := token.Proof{
		Headers: j.request.Proofs, Method: j.request.Method,
		Token: c.token, KeyThumbprint: claims.KeyThumbprint,
	}
	for _, origin := range j.d.API.External {
		proof.URLs = append(proof.URLs, origin+j.target.path)
	}
	if err := j.by.Prove(proof); err != nil {
		return j.refuseToken(contract.StepProof, p, err)
	}
	j.pass(contract.StepProof, p.At, "a proof of the token's key", claims.KeyThumbprint)
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
	token.ProofInvalid:     contract.ProofInvalid,
	token.BindingMismatch:  contract.BindingMismatch,
}

func (j *judgement) refuseToken(step contract.Step, p *catalog.TokenPolicy, err error) contract.Reason {
	j.d.Detail = err.Error()
	j.fail(step, p.At, p.Name, err.Error())
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

// findDenial speaks only where somebody is denied: there is no passing it.
func (j *judgement) findDenial() contract.Reason {
	c := j.d.Fact.Claims
	d := j.cat.Denial(c.UserID, c.ClientID, c.TokenID, j.now)
	if d == nil {
		return ""
	}
	j.d.Detail = "denied: " + d.Reason
	j.fail(contract.StepDenial, d.At, "no denial of the user, client or token", d.Reason)
	return contract.TokenRevoked
}

func (j *judgement) findApplication() contract.Reason {
	id := j.d.Fact.Claims.ClientID
	app := j.cat.Client(id)
	if app == nil {
		j.d.Detail = "client " + id
		j.fail(contract.StepClient, catalog.Position{}, "the client id of an application", id)
		return contract.ClientUnknown
	}
	j.d.Application = app
	if app.Disabled || app.Organization.Disabled {
		at := app.At
		if !app.Disabled {
			at = app.Organization.At
		}
		j.fail(contract.StepClient, at, "an application that is enabled", app.Name)
		return contract.ApplicationDisabled
	}
	j.pass(contract.StepClient, app.At, app.Name, id)
	return ""
}

func (j *judgement) checkGrant() contract.Reason {
	app, api := j.d.Application, j.d.API
	if !api.OrganizationGranted(app.Organization) {
		j.d.Detail = fmt.Sprintf("organization %s has no access to %s", app.Organization.Name, api.Name)
		j.fail(contract.StepGrant, api.At, "access for organization "+app.Organization.Name, "none")
		return contract.GrantMissing
	}
	if !api.ApplicationGranted(app) {
		j.d.Detail = fmt.Sprintf("application %s is not granted %s", app.Name, api.Name)
		j.fail(contract.StepGrant, api.GrantAt(app.Organization), "a grant for application "+app.Name, "its organization's access alone")
		return contract.GrantMissing
	}
	j.pass(contract.StepGrant, api.GrantAt(app.Organization), api.Name, app.Organization.Name, app.Name)
	return ""
}

func (j *judgement) tellOperation() contract.Reason {
	op := j.d.Operation
	if op == nil {
		j.d.PathKnown, j.d.Methods = j.match.PathKnown, j.match.Allow
		j.fail(contract.StepOperation, j.d.API.At, "an operation of "+j.d.API.Name, j.request.Method, j.target.path)
		return contract.OperationUnknown
	}
	j.pass(contract.StepOperation, op.At, op.Path.String(), j.request.Method, j.target.path)
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
		j.fail(contract.StepScope, op.At, strings.Join(needed, " "), c.Scopes...)
		return contract.ScopeMissing
	}
	if j.trace != nil {
		j.pass(contract.StepScope, op.At, strings.Join(needed, " "), c.Scopes...)
	}
	return ""
}

func (j *judgement) nameCaller() contract.Reason {
	headers, err := identity(j.d, j.cat.Headers.Claims)
	if err != nil {
		j.d.Detail = err.Error()
		j.fail(contract.StepIdentity, catalog.Position{}, "claims that fit the identity headers", err.Error())
		return contract.ClaimMismatch
	}
	j.d.Identity = headers
	return ""
}

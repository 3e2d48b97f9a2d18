package explain

import (
	"strings"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// failure is a deny, and what its fix is made from.
type failure struct {
	q       Question
	cat     *catalog.Catalogue
	request policy.Request
	d       policy.Decision
	step    policy.Step
}

// remedies has a fix for each reason whose fix depends on the request. Lines are commands,
// lines of configuration, or one sentence.
var remedies = map[contract.Reason]func(failure) []string{
	contract.RequestMalformed:    fixRequest,
	contract.APIUnknown:          fixAPI,
	contract.TokenMissing:        fixMissing,
	contract.TokenMalformed:      fixOldToken,
	contract.TokenExpired:        fixOldToken,
	contract.TokenInactive:       fixOldToken,
	contract.TokenRevoked:        fixDenial,
	contract.TokenNotYetValid:    fixClock,
	contract.IssuerMismatch:      fixIssuer,
	contract.AudienceMismatch:    fixAudience,
	contract.TokenTypeWrong:      fixType,
	contract.BindingMismatch:     fixBinding,
	contract.ProofInvalid:        fixProof,
	contract.StepUpRequired:      fixSignIn,
	contract.ClientUnknown:       fixClient,
	contract.ApplicationDisabled: fixDisabled,
	contract.GrantMissing:        fixGrant,
	contract.OperationUnknown:    fixOperation,
	contract.ScopeMissing:        fixScope,
	contract.ClaimMismatch:       fixClaims,
	contract.OktaUnavailable:     fixOkta,
	contract.OktaRateLimited:     fixRate,
}

// fixes says what would make the failed step pass; the reason's help where it depends on
// nothing here.
func fixes(f failure) []string {
	lines := []string{"durward help " + string(f.d.Reason)}
	if remedy := remedies[f.d.Reason]; remedy != nil {
		lines = remedy(f)
	}
	for i, line := range lines {
		lines[i] = printableUpTo(line, lineLimit)
	}
	return lines
}

// login is the command that gets app a token with the scopes.
func (f failure) login(app string, scopes []string) string {
	command := "durward login " + app
	if len(scopes) > 0 {
		command += " --scope " + strings.Join(scopes, ",")
	}
	return command + f.config()
}

// config is the flag that names the configuration where it is not the default.
func (f failure) config() string {
	if f.q.Config == "durward.yaml" {
		return ""
	}
	return " -c " + f.q.Config
}

// server is the authorization server whose tokens the request needs.
func (f failure) server() *catalog.AuthorizationServer {
	if op := f.d.Operation; op != nil && op.Policy != nil {
		return op.Policy.Server
	}
	return f.d.API.Policy.Server
}

// caller is an application that may call the API, for a command to name; APP if none may.
func (f failure) caller() string {
	if f.d.Application != nil {
		return f.d.Application.Name
	}
	for _, o := range f.cat.Organizations {
		for _, a := range o.Applications {
			if f.d.API.ApplicationGranted(a) {
				return a.Name
			}
		}
	}
	return "APP"
}

// wanted are the scopes that open the operation, if one was found: all that it asks for,
// or the first of which one is enough.
func (f failure) wanted() []string {
	op := f.d.Operation
	if op == nil {
		return nil
	}
	if len(op.AllScopes) > 0 {
		return op.AllScopes
	}
	return op.AnyScopes[:min(1, len(op.AnyScopes))]
}

func fixRequest(f failure) []string {
	if f.step.Name == contract.StepCredential {
		return []string{"send one header `Authorization: Bearer TOKEN` (or DPoP), once, and no access_token in the query"}
	}
	return []string{"write the method in capitals, one host, and the path as Envoy would pass it on: absolute, without //, . and .. segments, nothing encoded that need not be"}
}

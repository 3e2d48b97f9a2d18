package explain

import (
	"slices"
	"strings"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

// Report is the answer to a Question. Its JSON form is stable: fields are added, never
// renamed or removed; what is not known is left out, or empty where a list.
//
//	outcome       allow or deny
//	reason, status, detail
//	              of a deny: the reason, its HTTP status, and more for the operator's eyes
//	shadow        true where the API only watches: the request passes all the same
//	supposed      { application, user, scopes } where the caller was supposed with --as
//	request       { method, host, path } as judged, without the query
//	revision      of the configuration
//	api, application, organization
//	              names of what was found
//	operation     { methods, path, public, all_scopes, any_scopes, at }
//	caller        { token, subject, user_id, client_id, scopes, expires_at }; token names it
//	              by the first 8 hex digits of its SHA-256
//	steps         [ { name, state, expected, found, at } ]; state is passed, failed or
//	              not_reached, at is { file, line, column }
//	fix           lines that say what would make the failed step pass
//	identity      [ { name, value } ], the headers that the backend would see
type Report struct {
	Outcome      string          `json:"outcome"`
	Reason       contract.Reason `json:"reason,omitempty"`
	Status       int             `json:"status,omitempty"`
	Detail       string          `json:"detail,omitempty"`
	Shadow       bool            `json:"shadow,omitempty"`
	Supposed     *supposition    `json:"supposed,omitempty"`
	Request      requestLine     `json:"request"`
	Revision     string          `json:"revision"`
	API          string          `json:"api,omitempty"`
	Operation    *operation      `json:"operation,omitempty"`
	Application  string          `json:"application,omitempty"`
	Organization string          `json:"organization,omitempty"`
	Caller       *caller         `json:"caller,omitempty"`
	Steps        []step          `json:"steps"`
	Fix          []string        `json:"fix"`
	Identity     []header        `json:"identity"`
}

// supposition is a caller who need not exist.
type supposition struct {
	Application string   `json:"application"`
	User        string   `json:"user"`
	Scopes      []string `json:"scopes"`
}

// requestLine is the request line that was judged. Path has no query: it may hold secrets.
type requestLine struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	Path   string `json:"path"`
}

// operation is one of the configuration. Of the lists of scopes one is set unless Public.
type operation struct {
	Methods   []string  `json:"methods"`
	Path      string    `json:"path"`
	Public    bool      `json:"public"`
	AllScopes []string  `json:"all_scopes,omitempty"`
	AnyScopes []string  `json:"any_scopes,omitempty"`
	At        *position `json:"at,omitempty"`
}

// caller is who the token says that calls.
type caller struct {
	Token     string   `json:"token,omitempty"`
	Subject   string   `json:"subject,omitempty"`
	UserID    string   `json:"user_id,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	ExpiresAt string   `json:"expires_at,omitempty"`
}

// step is one check of the decision.
type step struct {
	Name     contract.Step `json:"name"`
	State    string        `json:"state"`
	Expected string        `json:"expected,omitempty"`
	Found    string        `json:"found,omitempty"`
	At       *position     `json:"at,omitempty"`
}

// States of a step.
const (
	passed     = "passed"
	failed     = "failed"
	notReached = "not_reached"
)

// position is a position in a configuration file; lines and columns count from 1.
type position struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// header is one header for the backend.
type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Err is nil for an allow, ErrUnreachable where Okta could not tell, else ErrDenied.
func (r *Report) Err() error {
	switch {
	case r.Outcome == "allow":
		return nil
	case r.Reason == contract.OktaUnavailable || r.Reason == contract.OktaRateLimited:
		return ErrUnreachable
	default:
		return ErrDenied
	}
}

// stepOrder is the order of judgement behind the credential. What a request shows by
// itself, and the identity headers, are steps only where they fail.
var stepOrder = []contract.Step{
	contract.StepAPI, contract.StepToken, contract.StepClient, contract.StepGrant, contract.StepOperation, contract.StepScope,
}

func newReport(q Question, cat *catalog.Catalogue, request policy.Request, d policy.Decision, trace policy.Trace) *Report {
	path, _, _ := strings.Cut(request.Path, "?")
	r := &Report{
		Outcome: "deny", Reason: d.Reason, Status: d.Status(), Detail: d.Detail, Shadow: d.Shadowed(),
		Request: requestLine{request.Method, request.Host, path}, Revision: cat.Revision,
		Operation: operationOf(d.Operation), Caller: callerIn(d, q.As != ""),
		Steps: steps(trace), Fix: []string{}, Identity: []header{},
	}
	if q.As != "" {
		r.Supposed = &supposition{q.As, q.User, append([]string{}, q.Scopes...)}
	}
	if d.API != nil {
		r.API = d.API.Name
	}
	if d.Application != nil {
		r.Application, r.Organization = d.Application.Name, d.Application.Organization.Name
	}
	if !d.Allowed() {
		r.Fix = fixes(failure{q: q, cat: cat, request: request, d: d, step: lastStep(trace)})
		return r
	}
	r.Outcome = "allow"
	for _, h := range d.Identity {
		r.Identity = append(r.Identity, header{h.Name, h.Value})
	}
	return r
}

// steps are those of the trace, and after them the ones that were not reached.
func steps(trace policy.Trace) []step {
	list := make([]step, 0, len(stepOrder))
	reached := make(map[contract.Step]bool)
	for _, s := range trace.Steps {
		state := failed
		if s.OK {
			state = passed
		}
		reached[s.Name] = true
		list = append(list, step{s.Name, state, s.Expected, s.Found, placeOf(s.At)})
	}
	for _, name := range stepOrder {
		if !reached[name] {
			list = append(list, step{Name: name, State: notReached})
		}
	}
	return list
}

func lastStep(trace policy.Trace) policy.Step {
	if len(trace.Steps) == 0 {
		return policy.Step{}
	}
	return trace.Steps[len(trace.Steps)-1]
}

func placeOf(at catalog.Position) *position {
	if at.File == "" && at.Line == 0 {
		return nil
	}
	return &position{at.File, at.Line, at.Column}
}

func operationOf(op *catalog.Operation) *operation {
	if op == nil {
		return nil
	}
	return &operation{
		Methods: op.Methods, Path: op.Path.String(), Public: op.Public,
		AllScopes: op.AllScopes, AnyScopes: op.AnyScopes, At: placeOf(op.At),
	}
}

// callerIn is the caller that the decision believed in; a supposed one has no token to
// name.
func callerIn(d policy.Decision, supposed bool) *caller {
	if d.Token == (token.Token{}) {
		return nil
	}
	claims := d.Fact.Claims
	c := &caller{
		Subject: claims.Subject, UserID: claims.UserID, ClientID: claims.ClientID,
		Scopes: slices.Clone(claims.Scopes), ExpiresAt: instant(claims.ExpiresAt),
	}
	if !supposed {
		c.Token = d.Token.Name()
	}
	return c
}

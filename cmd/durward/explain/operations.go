package explain

import (
	"slices"
	"strings"
	"time"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

// apiTried is what a token opens of one API.
type apiTried struct {
	API        string           `json:"api"`
	At         *position        `json:"at,omitempty"`
	Operations []operationTried `json:"operations"`
}

// operationTried is one operation, written at At, tried with the token. Of a deny, Expected
// and Found are those of the step that failed, ExpectedAt where the configuration asks it.
type operationTried struct {
	Methods    []string        `json:"methods"`
	Path       string          `json:"path"`
	Outcome    string          `json:"outcome"`
	Reason     contract.Reason `json:"reason,omitempty"`
	Expected   string          `json:"expected,omitempty"`
	Found      string          `json:"found,omitempty"`
	ExpectedAt *position       `json:"expected_at,omitempty"`
	At         *position       `json:"at,omitempty"`
}

// tryOperations lets policy.Decide judge the token at every operation.
func (r *TokenReport) tryOperations(cat *catalog.Catalogue, t token.Token, verify policy.Verify, now func() time.Time) {
	for _, api := range cat.APIs {
		list := apiTried{API: api.Name, At: placeOf(api.At), Operations: []operationTried{}}
		for _, op := range api.Operations {
			list.Operations = append(list.Operations, try(cat, api, op, t, verify, now))
		}
		r.APIs = append(r.APIs, list)
	}
}

func try(cat *catalog.Catalogue, api *catalog.API, op *catalog.Operation, t token.Token, verify policy.Verify, now func() time.Time) operationTried {
	request := policy.Request{
		API: api.Name, Method: op.Methods[0], Host: strings.ReplaceAll(api.Hosts[0], "*", "any"), Path: Example(api, op),
		Authorization: []string{"Bearer " + t.Reveal()},
	}
	by := policy.Witness{Verify: verify, Prove: proofSupposed, Now: now}
	var trace policy.Trace
	d := policy.Decide(cat, request, by, &trace)
	if d.Reason == contract.BindingMismatch { // its holder sends it with a proof
		request.Authorization[0] = "DPoP " + t.Reveal()
		trace = policy.Trace{}
		d = policy.Decide(cat, request, by, &trace)
	}
	r := operationTried{Methods: op.Methods, Path: api.FullPath(op), Outcome: "allow", At: placeOf(op.At)}
	if d.Allowed() {
		return r
	}
	step := lastStep(trace)
	r.Outcome, r.Reason, r.Expected, r.Found = "deny", d.Reason, step.Expected, step.Found
	if step.Name == contract.StepScope {
		r.Expected = needs(op.AllScopes, op.AnyScopes)
	}
	r.ExpectedAt = placeOf(step.At)
	return r
}

// Example is a path that the operation, and none that is more specific, answers.
func Example(api *catalog.API, op *catalog.Operation) string {
	path := ""
	for _, filler := range []string{"x", "any", "example-value", "d0e5a8f2"} {
		segments := strings.Split(api.FullPath(op), "/")
		for i, s := range segments {
			if strings.HasPrefix(s, "{") || s == "**" {
				segments[i] = filler
			}
		}
		path = strings.Join(segments, "/")
		for range 64 { // as many segments as a template may have
			if api.Match(op.Methods[0], path).Operation == op || !slices.Contains(strings.Split(op.Path.String(), "/"), "**") {
				break
			}
			path += "/" + filler
		}
		if api.Match(op.Methods[0], path).Operation == op {
			return path
		}
	}
	return path
}

package policytest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// Verdict is what happens to a request. The zero Verdict is none, and no case expects it.
type Verdict string

// The verdicts. A deny that the API's shadow mode lets pass is Shadow and never Deny, so
// that tests which expect a deny fail when an API stops to enforce.
const (
	Allow  Verdict = "allow"
	Deny   Verdict = "deny"
	Shadow Verdict = "shadow"
)

// Case is one request, and what is expected of its decision.
type Case struct {
	// Name is for people; it need not be unique.
	Name string
	// At is where the case is written.
	At catalog.Position
	// As is the name of the token; empty for none.
	As string
	// Method and URL are the request's, as written.
	Method, URL string
	// SourceIP is the address of the gateway's peer, empty where it does not matter.
	SourceIP string
	Expect   Verdict
	// Reason is that of a deny; empty for any.
	Reason contract.Reason
	// Headers are what the backend sees of an allowed request, beside others.
	Headers []Header

	now          time.Time
	token        *stated
	host, target string
}

// Header is one header that the backend sees, or must not see.
type Header struct {
	Name, Value string
	// Absent says that the header must not be there, whatever Value.
	Absent bool
}

// Result is what came of a case.
type Result struct {
	Case     Case
	Decision policy.Decision
	Trace    policy.Trace
	// Wrong says, a line each, in what the decision is not as expected. The case passed
	// where it is empty.
	Wrong []string
	// Took is how long the decision took.
	Took time.Duration
}

// Run lets policy.Decide judge the case by a catalogue.
func (c Case) Run(cat *catalog.Catalogue) Result {
	r := Result{Case: c}
	host := c.host
	if host == "" {
		var err error
		if host, err = hostFor(cat, c.target); err != nil {
			r.Wrong = []string{err.Error()}
			return r
		}
	}
	request := Route(cat, c.Method, host, c.target)
	request.SourceIP = c.SourceIP
	caller := &stated{}
	if c.token != nil {
		caller = c.token
		request.Authorization = []string{caller.scheme() + " policytest"}
		request.Proofs = []string{"policytest"}
	}
	by, err := caller.suppose(cat, c.clock)
	if err != nil {
		r.Wrong = []string{err.Error()}
		return r
	}
	began := time.Now()
	r.Decision = policy.Decide(cat, request, by, &r.Trace)
	r.Took = time.Since(began)
	r.Wrong = c.compare(cat, r.Decision)
	return r
}

func (c Case) clock() time.Time { return c.now }

// verdictOf says what happens to the request of a decision.
func verdictOf(d policy.Decision) Verdict {
	switch {
	case d.Allowed():
		return Allow
	case d.Shadowed():
		return Shadow
	default:
		return Deny
	}
}

// Got is a decision in words: the verdict, and status and reason of a deny.
func (r Result) Got() string {
	if r.Decision.Allowed() {
		return string(Allow)
	}
	return fmt.Sprintf("%s %d %s", verdictOf(r.Decision), r.Decision.Status(), r.Decision.Reason)
}

func (c Case) compare(cat *catalog.Catalogue, d policy.Decision) (wrong []string) {
	if verdictOf(d) != c.Expect || c.Reason != "" && d.Reason != c.Reason {
		return []string{fmt.Sprintf("expected %s, got %s", strings.TrimSpace(string(c.Expect)+" "+string(c.Reason)), Result{Decision: d}.Got())}
	}
	for _, h := range c.Headers {
		if text := h.compare(cat, d.Identity); text != "" {
			wrong = append(wrong, text)
		}
	}
	return wrong
}

// compare says what is wrong about a header, if anything.
func (h Header) compare(cat *catalog.Catalogue, identity []policy.Header) string {
	if !told(cat, h.Name) {
		return fmt.Sprintf("header %s: no claim is told to backends in it", h.Name)
	}
	i := slices.IndexFunc(identity, func(have policy.Header) bool { return strings.EqualFold(have.Name, h.Name) })
	switch {
	case i < 0 && h.Absent, i >= 0 && !h.Absent && identity[i].Value == h.Value:
		return ""
	case i < 0:
		return fmt.Sprintf("header %s: expected %q, got none", h.Name, h.Value)
	case h.Absent:
		return fmt.Sprintf("header %s: expected none, got %q", h.Name, identity[i].Value)
	default:
		return fmt.Sprintf("header %s: expected %q, got %q", h.Name, h.Value, identity[i].Value)
	}
}

// told reports whether a decision has a say in the header: a test that one is absent would
// hold for any other name.
func told(cat *catalog.Catalogue, name string) bool {
	same := func(known string) bool { return strings.EqualFold(known, name) }
	return !same(contract.HeaderDecisionID) && slices.ContainsFunc(contract.IdentityHeaders(), same) ||
		slices.ContainsFunc(cat.Headers.Claims, func(h catalog.ClaimHeader) bool { return same(h.Header) })
}

package policytest

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
	"github.com/durward/durward/policy/contract"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// maxCases bounds the cases of one file, those of its tables included.
const maxCases = 10000

// noToken is the name of no token.
const noToken = "-"

// Codes of findings, as in the table of catalog.Rules.
const (
	brokenRule        = "DW006"
	outOfBounds       = "DW007"
	danglingReference = "DW102"
)

// defaultNow is the time of tests that name none.
var defaultNow = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

// Load reads the policy tests of one file, in the order in which they are written. Findings
// come sorted, with their source lines; where one is an error there are no cases. Tokens that
// no case sends are read too.
func Load(path string) ([]Case, []catalog.Finding) {
	tests := new(durwardv1.PolicyTests)
	document, findings := source.ReadDocument(path, tests)
	return compile(document, tests, findings)
}

// Parse is Load of a file from memory. name stands in positions.
func Parse(name string, data []byte) ([]Case, []catalog.Finding) {
	tests := new(durwardv1.PolicyTests)
	document, findings := source.ParseDocument(name, data, tests)
	return compile(document, tests, findings)
}

func compile(document source.Document, tests *durwardv1.PolicyTests, findings []catalog.Finding) ([]Case, []catalog.Finding) {
	if catalog.HasErrors(findings) {
		return nil, findings
	}
	r := reader{document: document, now: defaultNow, findings: findings}
	if tests.GetNow() != nil {
		r.now = tests.GetNow().AsTime()
	}
	r.readTokens(tests.GetTokens())
	for i, c := range tests.GetCases() {
		r.readCase(fmt.Sprintf("cases[%d]", i), c)
	}
	for i, m := range tests.GetMatrix() {
		r.readMatrix(fmt.Sprintf("matrix[%d]", i), m)
	}
	findings = r.document.Complete(r.findings)
	if catalog.HasErrors(findings) {
		return nil, findings
	}
	return r.cases, findings
}

// reader goes from the message of a file to its cases.
type reader struct {
	document source.Document
	now      time.Time
	tokens   map[string]*stated
	cases    []Case
	findings []catalog.Finding
	// full says that there are more cases than are read.
	full bool
}

func (r *reader) find(code, path, fix, format string, args ...any) {
	f := catalog.NewFinding(code, r.document.At(path), fmt.Sprintf(format, args...))
	f.Path, f.Fix = path, cmp.Or(fix, f.Fix)
	r.findings = append(r.findings, f)
}

// entry is the path of a value whose key is the writer's own.
func entry(path, key string) string { return fmt.Sprintf("%s[%q]", path, key) }

func (r *reader) readTokens(all *structpb.Struct) {
	r.tokens = make(map[string]*stated)
	for name, value := range all.GetFields() {
		path := entry("tokens", name)
		claims := value.GetStructValue()
		switch {
		case name == noToken || name == "" || len(name) > 63:
			r.find(brokenRule, path, "choose another name", "%q cannot be the name of a token", name)
		case claims == nil:
			r.find(brokenRule, path, "write its claims, as in { client_id: 0oa1, uid: 00u1, scopes: [orders.read] }", "a token is a mapping of claims")
		default:
			// Kept though it has findings: what names it is not at fault.
			r.tokens[name] = r.readToken(path, claims)
		}
	}
}

// readCase adds one case, unless it has findings.
func (r *reader) readCase(path string, c *durwardv1.PolicyCase) {
	made := Case{
		Name: c.GetName(), At: r.document.At(path), Method: c.GetMethod(), URL: c.GetUrl(),
		Expect: Verdict(c.GetExpect()), Reason: contract.Reason(c.GetReason()),
	}
	if ip := c.GetSourceIp(); ip != "" {
		if _, err := netip.ParseAddr(ip); err != nil {
			r.find(brokenRule, path+".source_ip", "write an IPv4 or IPv6 address", "%q is no IP address", ip)
		}
		made.SourceIP = ip
	}
	if c.GetReason() != "" {
		if made.Expect == Allow {
			r.find(brokenRule, path+".reason", "remove reason, or write expect: deny", "an allowed request has no reason")
		}
		r.checkReason(path+".reason", c.GetReason())
	}
	if c.GetHeaders() != nil && made.Expect != Allow {
		r.find(brokenRule, path+".headers", "remove headers, or write expect: allow", "the backend sees headers of allowed requests alone")
	}
	for _, name := range slices.Sorted(maps.Keys(c.GetHeaders().GetFields())) {
		made.Headers = append(made.Headers, r.readHeader(entry(path+".headers", name), name, c.GetHeaders().GetFields()[name]))
	}
	r.add(path, made, path+".as", cmp.Or(c.GetAs(), noToken), path+".url")
}

func (r *reader) readHeader(path, name string, value *structpb.Value) Header {
	h := Header{Name: name}
	switch v := value.GetKind().(type) {
	case *structpb.Value_NullValue:
		h.Absent = true
	case *structpb.Value_StringValue:
		h.Value = v.StringValue
	default:
		r.find(brokenRule, path, "write the value as a string, in quotes if need be, or null if the header must be absent", "%s is neither a string nor null", name)
	}
	return h
}

func (r *reader) checkReason(path, reason string) {
	var known []string
	for _, k := range contract.Reasons() {
		known = append(known, string(k))
	}
	slices.Sort(known)
	if !slices.Contains(known, reason) {
		r.find(brokenRule, path, catalog.Suggest(reason, known), "%q is no reason of a denial", reason)
	}
}

// add completes a case with its token, whose name stands at asPath, and the target of its
// URL, which stands at urlPath.
func (r *reader) add(path string, c Case, asPath, as, urlPath string) {
	if len(r.cases) == maxCases && !r.full {
		r.full = true
		r.find(outOfBounds, path, "split the file", "the file holds more than %d cases", maxCases)
	}
	if r.full {
		return
	}
	var err error
	if c.host, c.target, err = SplitURL(c.URL); err != nil {
		r.find(brokenRule, urlPath, "write a whole URL, or a path that begins with /", "%s", err)
	}
	if as != noToken {
		c.As, c.token = as, r.tokens[as]
		if c.token == nil {
			r.find(danglingReference, asPath, catalog.Suggest(as, slices.Sorted(maps.Keys(r.tokens))), "token %q is not declared", as)
		}
	}
	c.now = r.now
	r.cases = append(r.cases, c)
}

// readMatrix adds a case for each request and each caller that is named.
func (r *reader) readMatrix(path string, m *durwardv1.PolicyMatrix) {
	cells := r.readCells(path, m)
	if len(cells) == 0 {
		r.find(brokenRule, path, "write allow, deny or shadow, with the names of tokens", "nothing is expected of these requests")
	}
	for i, request := range m.GetRequests() {
		at := fmt.Sprintf("%s.requests[%d]", path, i)
		method, url, ok := strings.Cut(request, " ")
		if !ok {
			r.find(brokenRule, at, "write method and URL, as in GET /orders/7", "%q is no request", request)
			continue
		}
		for _, cell := range cells {
			if r.full {
				return
			}
			who := " as " + cell.as
			if cell.as == noToken {
				who = " without a token"
			}
			c := Case{
				Name: request + who, At: r.document.At(cell.path), Method: method, URL: strings.TrimLeft(url, " "),
				Expect: cell.expect, Reason: cell.reason,
			}
			r.add(cell.path, c, cell.path, cell.as, at)
		}
	}
}

// cell is what a row of a table expects of one caller.
type cell struct {
	path, as string
	expect   Verdict
	reason   contract.Reason
}

// readCells returns the cells of a row in the order in which they are written.
func (r *reader) readCells(path string, m *durwardv1.PolicyMatrix) []cell {
	var cells []cell
	for i, as := range m.GetAllow() {
		cells = append(cells, cell{path: fmt.Sprintf("%s.allow[%d]", path, i), as: as, expect: Allow})
	}
	for expect, callers := range map[Verdict]*structpb.Struct{Deny: m.GetDeny(), Shadow: m.GetShadow()} {
		for as, value := range callers.GetFields() {
			at := entry(fmt.Sprintf("%s.%s", path, expect), as)
			reason := value.GetStringValue()
			r.checkReason(at, reason)
			cells = append(cells, cell{path: at, as: as, expect: expect, reason: contract.Reason(reason)})
		}
	}
	slices.SortStableFunc(cells, func(a, b cell) int {
		x, y := r.document.At(a.path), r.document.At(b.path)
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column), cmp.Compare(a.path, b.path))
	})
	return cells
}

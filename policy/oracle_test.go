package policy_test

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// belief is what a verifier says of the token under one token policy: a failure, or
// claims.
type belief struct {
	failure token.Failure
	claims  token.Claims
}

// The oracle judges by the configuration as it is written. It shares no code with the
// package under test: regular expressions in place of parsers, and a linear search in
// place of every index. It knows hosts that are names (addresses are P09's).
var (
	oracleMethod = regexp.MustCompile(`^[A-Z_-]{1,32}$`)
	oracleHost   = regexp.MustCompile(`^([A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*)\.?(?::[0-9]{1,5})?$`)
	oraclePath   = regexp.MustCompile(`^(?:/[A-Za-z0-9._~!$&'()*+,:=@\[\]-]*)+$`)
	oracleDots   = regexp.MustCompile(`//|/\.\.?(?:/|$)`)
	oracleEscape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	// Controls, separators and unreserved characters, encoded; and what is encoded twice.
	oracleBadEscape = regexp.MustCompile(`(?i)%(?:[01][0-9a-f]|7f|2f|5c|2d|2e|5f|7e|3[0-9]|[46][1-9a-f]|[57][0-9a]|25[0-9a-f]{2})`)
	oracleScheme    = regexp.MustCompile(`^(?i:bearer)(?: |$)`)
	oracleBearer    = regexp.MustCompile(`^(?i:bearer) +[A-Za-z0-9._~+/-]+=*$`)
	oracleName      = regexp.MustCompile(`^\{[^/]*\}$`)
	oraclePair      = regexp.MustCompile(`[&;]`)
)

// oracleFailures are the reasons of a verifier's failures.
var oracleFailures = map[token.Failure]contract.Reason{
	token.Malformed: "token_malformed", token.NotYetValid: "token_not_yet_valid", token.SignatureInvalid: "signature_invalid",
	token.IssuerMismatch: "issuer_mismatch", token.AudienceMismatch: "audience_mismatch", token.WrongType: "token_type_wrong",
	token.Expired: "token_expired", token.Inactive: "token_inactive", token.Unavailable: "okta_unavailable",
	token.RateLimited: "okta_rate_limited", token.Overloaded: "overloaded",
}

// oracle returns the reason to deny, "" for none, and the operation of the request.
func oracle(cfg *durwardv1.Config, r policy.Request, beliefs map[string]belief) (contract.Reason, *durwardv1.Operation) {
	path, query, _ := strings.Cut(r.Path, "?")
	host := oracleHost.FindStringSubmatch(r.Host)
	if r.Defect != "" || !oracleMethod.MatchString(r.Method) || host == nil || !oracleCanonical(path) {
		return "request_malformed", nil
	}
	i := slices.IndexFunc(cfg.Apis, func(a *durwardv1.API) bool { return a.Name == r.API })
	if i < 0 || !oracleServes(cfg.Apis[i].Frontend, strings.ToLower(host[1]), path) {
		return "api_unknown", nil
	}
	api := cfg.Apis[i]
	op, _ := oracleOperation(api, r.Method, path)
	name := oraclePolicy(api, op)
	if op == nil && name == "" {
		return "operation_unknown", nil
	} else if op.GetPublic() {
		return "", op
	}
	if reason := oracleCredential(r.Authorization, query); reason != "" {
		return reason, op
	}
	if failure := beliefs[name].failure; failure != "" {
		return oracleFailures[failure], op
	}
	return oracleCaller(cfg, api, op, beliefs[name].claims), op
}

// oracleCaller judges a caller whose token is good, but for its age.
func oracleCaller(cfg *durwardv1.Config, api *durwardv1.API, op *durwardv1.Operation, c token.Claims) contract.Reason {
	client, granted := false, false
	for _, org := range cfg.Organizations {
		for _, app := range org.Applications {
			if !slices.Contains(app.ClientIds, c.ClientID) {
				continue
			}
			client = true
			for _, g := range cfg.Grants {
				if g.Api == api.Name && g.Organization == org.Name && (g.AllApplications || slices.Contains(g.Applications, app.Name)) {
					granted = true
				}
			}
		}
	}
	switch {
	case now.UnixNano() >= c.ExpiresAt.UnixNano():
		return "token_expired"
	case c.Bound:
		return "binding_mismatch"
	case c.UserID == "":
		return "token_type_wrong"
	case !client:
		return "client_unknown"
	case !granted:
		return "grant_missing"
	case op == nil:
		return "operation_unknown"
	case !oracleScopes(op.Scopes, c.Scopes):
		return "scope_missing"
	case len(strings.Join(c.Groups, ",")) > 8<<10: // groups are drawn so that they decide alone
		return "claim_mismatch"
	}
	return ""
}

func oracleCanonical(path string) bool {
	return len(path) <= 16<<10 && !oracleDots.MatchString(path) && !oracleBadEscape.MatchString(path) &&
		oraclePath.MatchString(oracleEscape.ReplaceAllString(path, "a"))
}

func oracleServes(f *durwardv1.Frontend, host, path string) bool {
	for _, h := range f.Hosts {
		if h == "*" || h == host || h[0] == '*' && strings.HasSuffix("x"+host, h[1:]) && !strings.HasPrefix("*"+host, h) {
			base := strings.TrimSuffix(f.Path, "/")
			return path == f.Path || strings.HasPrefix(path, base+"/")
		}
	}
	return false
}

// oracleOperation returns the operation, and the template that answers for the path.
// Written as one letter per segment, the most specific template comes first.
func oracleOperation(api *durwardv1.API, method, path string) (found *durwardv1.Operation, template string) {
	base := strings.TrimSuffix(api.Frontend.Path, "/")
	if path == "/" {
		path = ""
	}
	best := "z"
	for _, op := range api.Operations {
		rank, pattern := "", "^"+regexp.QuoteMeta(base)
		for _, part := range strings.Split(strings.TrimPrefix(op.Path, "/"), "/") {
			switch {
			case op.Path == "/":
			case part == "**":
				rank, pattern = rank+"d", pattern+"(?:/.*)?"
			case oracleName.MatchString(part):
				rank, pattern = rank+"b", pattern+"/[^/]+"
			default:
				rank, pattern = rank+"a", pattern+"/"+regexp.QuoteMeta(part)
			}
		}
		if rank += "c"; regexp.MustCompile(pattern+"$").MatchString(path) && rank < best {
			best, template = rank, op.Path
		}
	}
	for _, op := range api.Operations {
		if best != "z" && op.Path == template && slices.Contains(op.Methods, method) {
			found = op
		}
	}
	return found, template
}

// oraclePolicy names the token policy: the operation's, the API's, or where there is no
// operation and the API names none, the first of its operations'.
func oraclePolicy(api *durwardv1.API, op *durwardv1.Operation) string {
	if op != nil || api.TokenPolicy != "" {
		return cmp.Or(op.GetTokenPolicy(), api.TokenPolicy)
	}
	i := slices.IndexFunc(api.Operations, func(o *durwardv1.Operation) bool { return o.TokenPolicy != "" })
	if i < 0 {
		return ""
	}
	return api.Operations[i].TokenPolicy
}

func oracleCredential(values []string, query string) contract.Reason {
	switch {
	case len(values) > 1:
		return "request_malformed"
	case len(values) == 0 || !oracleScheme.MatchString(values[0]):
		return "token_missing"
	case !oracleBearer.MatchString(values[0]):
		return "request_malformed"
	}
	for _, pair := range oraclePair.Split(query, -1) {
		if name, _ := url.QueryUnescape(strings.Split(pair, "=")[0]); name == "access_token" {
			return "request_malformed"
		}
	}
	return ""
}

func oracleScopes(s *durwardv1.Scopes, held []string) bool {
	found := 0
	for _, scope := range slices.Concat(s.All, s.Any) {
		if slices.Contains(held, scope) {
			found++
		}
	}
	return found > 0 && found >= len(s.All)
}

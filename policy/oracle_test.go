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
	oracleScheme    = regexp.MustCompile(`^(?i:bearer|dpop)(?: |$)`)
	oracleBearer    = regexp.MustCompile(`^(?i:bearer|dpop) +[A-Za-z0-9._~+/-]+=*$`)
	oracleName      = regexp.MustCompile(`^\{[^/]*\}$`)
)

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
	i = slices.IndexFunc(cfg.TokenPolicies, func(p *durwardv1.TokenPolicy) bool { return p.Name == name })
	return oracleCaller(cfg, api, op, cfg.TokenPolicies[i], beliefs[name], strings.EqualFold(r.Authorization[0][:4], "dpop")), op
}

// oracleCaller judges a caller whose token is good, but for its age.
func oracleCaller(cfg *durwardv1.Config, api *durwardv1.API, op *durwardv1.Operation, p *durwardv1.TokenPolicy, b belief, proven bool) contract.Reason {
	client, enabled, granted, c := false, false, false, b.claims
	for _, org := range cfg.Organizations {
		for _, app := range org.Applications {
			if !slices.Contains(app.ClientIds, c.ClientID) {
				continue
			}
			client, enabled = true, (org.Enabled == nil || *org.Enabled) && (app.Enabled == nil || *app.Enabled)
			for _, g := range cfg.Grants {
				if g.Api == api.Name && g.Organization == org.Name && (g.AllApplications || slices.Contains(g.Applications, app.Name)) {
					granted = true
				}
			}
		}
	}
	denied := slices.ContainsFunc(cfg.Denials, func(d *durwardv1.Denial) bool {
		named := d.UserId != "" && d.UserId == c.UserID || d.ClientId != "" && d.ClientId == c.ClientID || d.TokenId != "" && d.TokenId == c.TokenID
		return named && (d.Until == nil || now.Before(d.Until.AsTime()))
	})
	for _, check := range []struct {
		fails  bool
		reason contract.Reason
	}{
		{now.UnixNano() >= c.ExpiresAt.UnixNano(), "token_expired"},
		{c.UserID == "" && !p.MachineTokens, "token_type_wrong"},
		{c.Bound != proven || c.Bound && c.KeyThumbprint == "", "binding_mismatch"},
		{c.Bound && !b.proof, "proof_invalid"},
		{denied, "token_revoked"},
		{!client, "client_unknown"},
		{!enabled, "application_disabled"},
		{!granted, "grant_missing"},
		{op == nil, "operation_unknown"},
		{!oracleScopes(op.GetScopes(), c.Scopes), "scope_missing"},
		{!oracleSignIn(c, p.GetAcrValues(), api.AcrValues, op.GetAcrValues()), "step_up_required"},
		// Every claim that is required, and every rule, is about the department.
		{(len(p.Claims)+len(api.Claims)+len(op.GetClaims()) > 0 || p.Rule+api.Rule+op.GetRule() != "") && b.department != "finance", "claim_mismatch"},
		{len(strings.Join(c.Groups, ",")) > 8<<10, "claim_mismatch"}, // groups are drawn so that they decide alone
	} {
		if check.fails {
			return check.reason
		}
	}
	return ""
}

func oracleSignIn(c token.Claims, lists ...[]string) bool {
	for _, accepted := range lists {
		if len(accepted) > 0 && !slices.Contains(accepted, c.ACR) {
			return false
		}
	}
	return true
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
	for _, o := range api.Operations {
		if o.TokenPolicy != "" {
			return o.TokenPolicy
		}
	}
	return ""
}

func oracleCredential(values []string, query string) contract.Reason {
	switch {
	case len(values) == 0 || len(values) == 1 && !oracleScheme.MatchString(values[0]):
		return "token_missing"
	case len(values) > 1 || !oracleBearer.MatchString(values[0]):
		return "request_malformed"
	}
	for _, pair := range strings.Split(strings.ReplaceAll(query, ";", "&"), "&") {
		if name, _ := url.QueryUnescape(strings.Split(pair, "=")[0]); name == "access_token" {
			return "request_malformed"
		}
	}
	return ""
}

func oracleScopes(s *durwardv1.Scopes, held []string) bool {
	found := 0
	for _, scope := range slices.Concat(s.GetAll(), s.GetAny()) {
		if slices.Contains(held, scope) {
			found++
		}
	}
	return found > 0 && found >= len(s.GetAll())
}

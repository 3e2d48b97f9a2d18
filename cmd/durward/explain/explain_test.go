package explain

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/oktatest"
)

// answering makes Okta say of every token what claims say.
func answering(claims string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		now := time.Now().Unix()
		body := strings.NewReplacer("ISS", s.okta.Issuer("default"), "EXP", fmt.Sprint(now+3600), "PAST", fmt.Sprint(now-60), "FUTURE", fmt.Sprint(now+600)).Replace(claims)
		s.okta.Respond(oktatest.Introspect, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		}))
	}
}

const base = `"active":true,"client_id":"0oaf2no1n6hPswFV10h7","uid":"00uALICE","sub":"alice","jti":"AT.1","scope":"orders.read"`

// TestEveryReasonIsExplained asks for each reason that Decide gives today, with a real
// token that Okta is asked about, and wants the failing step and a fix that fits it.
func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	cases := []struct {
		reason  contract.Reason
		request string
		client  string // whose token; empty for none
		scopes  []string
		prepare func(*testing.T, *site)
		failed  string
		says    []string
	}{
		{"", "GET http://any/orders/7", "mobile", []string{"orders.read"}, nil, "", []string{"ALLOW", "x-auth-subject: alice@example.com", "✓ grant      retail/mobile may call orders", "durward.yaml:56:5"}},
		{contract.RequestMalformed, "get http://any/orders/7", "", nil, nil, "request", []string{"DENY 400", "in capitals"}},
		{contract.RequestMalformed, "GET http://any/orders/../7", "", nil, nil, "request", []string{"dot segment"}},
		{contract.RequestMalformed, "GET http://any/orders/7?access_token=x", "mobile", []string{"orders.read"}, nil, "credential", []string{"no access_token in the query"}},
		{contract.APIUnknown, "GET http://any/nothing/here", "", nil, nil, "api", []string{"any/orders  orders", `frontend: { hosts: ["any"], path: "/nothing" }`, "· token"}},
		{contract.TokenMissing, "POST http://any/orders", "", nil, nil, "credential", []string{"fix: durward login mobile --scope orders.write", "durward call mobile POST /orders"}},
		{contract.TokenInactive, "GET http://any/orders/7", "mobile", []string{"orders.read"}, answering(`{"active":false}`), "token", []string{"durward login mobile --scope orders.read", "policy okta-users: inactive"}},
		{contract.TokenExpired, "GET http://any/orders/7", "mobile", []string{"orders.read"}, answering(`{` + base + `,"iss":"ISS","aud":"api://default","exp":PAST}`), "token", []string{"durward login mobile"}},
		{contract.TokenNotYetValid, "GET http://any/orders/7", "mobile", []string{"orders.read"}, answering(`{` + base + `,"iss":"ISS","aud":"api://default","exp":EXP,"nbf":FUTURE}`), "token", []string{"clock"}},
		{contract.TokenMalformed, "GET http://any/orders/7", "mobile", []string{"orders.read"}, answering(`{` + base + `,"cid":"other","iss":"ISS","aud":"api://default","exp":EXP}`), "token", []string{"durward login mobile"}},
		{contract.IssuerMismatch, "GET http://any/orders/7", "mobile", []string{"orders.read"}, answering(`{` + base + `,"iss":"https://evil/oauth2/x","aud":"api://default","exp":EXP}`), "token", []string{"believes tokens of http://127.0.0.1:", "durward.yaml:16:5"}},
		{contract.AudienceMismatch, "GET http://any/orders/7", "mobile", []string{"orders.read"}, answering(`{` + base + `,"iss":"ISS","aud":"api://other","exp":EXP}`), "token", []string{"here it is api://default", "durward.yaml:16:5"}},
		{contract.TokenTypeWrong, "GET http://any/orders/7", "mobile", []string{"orders.read"}, answering(`{"active":true,"client_id":"0oaf2no1n6hPswFV10h7","jti":"AT.1","iss":"ISS","aud":"api://default","exp":EXP}`), "token", []string{"a person who signed in"}},
		{contract.BindingMismatch, "GET http://any/orders/7", "mobile", []string{"orders.read"}, answering(`{` + base + `,"cnf":{"jkt":"x"},"iss":"ISS","aud":"api://default","exp":EXP}`), "proof", []string{"DPoP", "0oaf2no1n6hPswFV10h7"}},
		{contract.BindingMismatch, "GET http://any/orders/7", "mobile", []string{"orders.read"}, answering(`{` + base + `,"cnf":{"x5t#S256":"x"},"iss":"ISS","aud":"api://default","exp":EXP}`), "proof", []string{"bound by DPoP or by nothing"}},
		{contract.ClientUnknown, "GET http://any/orders/7", "stray", []string{"orders.read"}, nil, "client", []string{`{ name: NAME, client_ids: ["0oaSTRAY"] }`, "retail (", "durward.yaml:30:5"}},
		{contract.GrantMissing, "GET http://any/orders/7", "partner", []string{"orders.read"}, nil, "grant", []string{"durward.yaml:56:5) be:", "  - { api: orders, organization: retail, applications: [mobile, partner] }"}},
		{contract.GrantMissing, "GET http://any/orders/7", "warehouse", []string{"orders.read"}, nil, "grant", []string{"behind the one at", "durward.yaml:56:5", "  - { api: orders, organization: logistics, applications: [warehouse] }"}},
		{contract.OperationUnknown, "PUT http://any/orders/7", "mobile", []string{"orders.read"}, nil, "operation", []string{"DENY 405", "use DELETE or GET", `{ methods: [PUT], path: "/{id}", scopes`}},
		{contract.OperationUnknown, "GET http://any/orders/7/x", "mobile", []string{"orders.read"}, nil, "operation", []string{"DENY 404", "GET /orders/{id} (", "durward.yaml:46:9", `path: "/7/x"`}},
		{contract.ScopeMissing, "POST http://any/orders", "mobile", []string{"openid", "orders.read"}, nil, "scope", []string{"needs one of orders.write, orders.admin; the token has openid orders.read", "durward login mobile --scope orders.read,orders.write", "durward.yaml:47:9"}},
		{contract.ClaimMismatch, "GET http://any/orders/7", "mobile", []string{"orders.read"}, answering(`{` + base + `,"iss":"ISS","aud":"api://default","exp":EXP,"groups":["` + strings.Repeat("g", 9000) + `"]}`), "identity", []string{"groups claim"}},
		{contract.OktaUnavailable, "GET http://any/orders/7", "mobile", []string{"orders.read"}, func(_ *testing.T, s *site) { s.okta.Fail(500, 9) }, "token", []string{"curl -i http://127.0.0.1:", "client_id 0oagatewayT7hPswF1h7", "okta-secret"}},
		{contract.OktaRateLimited, "GET http://any/orders/7", "mobile", []string{"orders.read"}, func(_ *testing.T, s *site) { s.okta.Fail(429, 9) }, "token", []string{"ask again in"}},
	}
	for _, tt := range cases {
		t.Run(string(tt.reason)+" "+tt.request+" "+tt.client, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			method, url, _ := strings.Cut(tt.request, " ")
			q := Question{Config: s.config, Method: method, URL: url}
			var secret string
			if tt.client != "" {
				secret = s.token(t, tt.client, tt.scopes...)
				q.Authorization = "Bearer " + secret
			}
			if tt.prepare != nil {
				tt.prepare(t, s)
			}
			r, err := Explain(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if r.Reason != tt.reason {
				t.Fatalf("reason %q, want %q: %s", r.Reason, tt.reason, r.Detail)
			}
			text := shownText(t, r, secret, s.secret)
			for _, want := range tt.says {
				if !strings.Contains(text, want) {
					t.Errorf("it does not say %q:\n%s", want, text)
				}
			}
			checkSteps(t, r, tt.failed)
		})
	}
}

// checkSteps wants one failed step, or none, with only steps that passed before it and
// only steps that were not reached behind it, and the error that goes with it.
func checkSteps(t *testing.T, r *Report, step string) {
	t.Helper()
	state, got := passed, ""
	for _, s := range r.Steps {
		switch {
		case s.State == failed && got == "":
			state, got = notReached, string(s.Name)
		case s.State != state:
			t.Errorf("step %s is %s", s.Name, s.State)
		}
	}
	if got != step {
		t.Errorf("step %q failed, want %q", got, step)
	}
	switch err := r.Err(); {
	case step == "" && (err != nil || len(r.Fix) > 0):
		t.Errorf("allowed, with the error %v and the fix %q", err, r.Fix)
	case step == "":
	case r.Status == 503 && !errors.Is(err, ErrUnreachable), r.Status != 503 && !errors.Is(err, ErrDenied):
		t.Errorf("status %d ends with %v", r.Status, err)
	case len(r.Fix) == 0:
		t.Error("there is no fix")
	}
}

// Every reason has a fix, those too that nothing gives yet.
func TestEveryReasonHasAFix(t *testing.T) {
	t.Parallel()
	given := map[contract.Reason]bool{}
	for reason := range remedies {
		given[reason] = true
	}
	for _, reason := range contract.Reasons() {
		if given[reason] {
			continue
		}
		lines := fixes(failure{d: policy.Deny(reason, "")})
		if len(lines) != 1 || lines[0] != "durward help "+string(reason) {
			t.Errorf("%s: %q", reason, lines)
		}
	}
}

func TestSupposedCallers(t *testing.T) {
	t.Parallel()
	s := newSite(t,
		"  - name: logistics\n    applications:\n", "  - name: logistics\n    applications:\n      - { name: partner, client_ids: [0oaTWIN] }\n",
		"    operations:\n", "    operations:\n      - { methods: [GET], path: \"/health\", public: true }\n")
	if err := os.Remove(filepath.Join(filepath.Dir(s.config), "okta-secret")); err != nil {
		t.Fatal(err)
	}
	if err := s.okta.Down(); err != nil { // nothing may be asked
		t.Fatal(err)
	}
	ask := func(q Question) (*Report, error) {
		q.Config = s.config
		return Explain(t.Context(), q)
	}
	for _, tt := range []struct {
		q      Question
		reason contract.Reason
	}{
		{Question{Method: "GET", URL: "/orders/7", As: "mobile", Scopes: []string{"orders.read"}}, ""},
		{Question{Method: "GET", URL: "/orders/7", As: "retail/mobile", User: "bob@example.com", Scopes: []string{"orders.read"}}, ""},
		{Question{Method: "POST", URL: "HTTPS://any.example:444/orders?x=1#y", As: "mobile", Scopes: []string{"orders.admin"}}, ""},
		{Question{Method: "GET", URL: "/orders/7", As: "mobile"}, contract.ScopeMissing},
		{Question{Method: "GET", URL: "/orders/7", As: "retail/partner", Scopes: []string{"orders.read"}}, contract.GrantMissing},
		{Question{Method: "GET", URL: "/orders/health"}, ""},
		{Question{Method: "GET", URL: "http://any?x", As: "mobile"}, contract.APIUnknown},
	} {
		r, err := ask(tt.q)
		if err != nil || r.Reason != tt.reason || (tt.q.As != "") != (r.Supposed != nil) {
			t.Errorf("%+v: %+v, %v", tt.q, r, err)
			continue
		}
		shownText(t, r)
	}
	for _, q := range []Question{
		{Method: "GET", URL: "/orders/7", As: "mobil"},
		{Method: "GET", URL: "/orders/7", As: "partner"},
		{Method: "GET", URL: "/orders/7", As: "retail/warehouse"},
		{Method: "GET", URL: "/orders/7", As: "mobile", Authorization: "Bearer x"},
		{Method: "GET", URL: "/orders/7", Scopes: []string{"x"}},
		{Method: "GET", URL: "/orders/7", User: "x"},
		{Method: "GET", URL: "/orders/7", Authorization: "Bearer x", User: "x"},
		{Method: "GET", URL: "orders/7", As: "mobile"},
		{Method: "GET", URL: "ftp://any/orders/7", As: "mobile"},
		{Method: "GET", URL: "http:///orders/7", As: "mobile"},
		{Method: "GET", URL: "http://alice:hunter2@any/orders/7", As: "mobile"},
	} {
		r, err := ask(q)
		var input *InputError
		if !errors.As(err, &input) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %+v, %v", q, r, err)
		}
	}
	if r, _ := ask(Question{Method: "GET", URL: "/orders/health"}); r != nil {
		if text := shownText(t, r); !strings.Contains(text, "/health is public") || !strings.Contains(text, "· token") {
			t.Errorf("a public operation:\n%s", text)
		}
	}
}

// A real token needs what serve needs.
func TestConfigurationErrors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if err := os.Remove(filepath.Join(filepath.Dir(s.config), "okta-secret")); err != nil {
		t.Fatal(err)
	}
	var config *serve.ConfigError
	if _, err := Explain(t.Context(), Question{Config: s.config, Method: "GET", URL: "/orders/7", Authorization: "Bearer x"}); !errors.As(err, &config) {
		t.Errorf("a missing secret gives %v", err)
	}
	if _, err := Explain(t.Context(), Question{Config: s.config + "x", Method: "GET", URL: "/"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	write(t, s.config, "version: 2\n")
	if _, err := Explain(t.Context(), Question{Config: s.config, Method: "GET", URL: "/"}); !errors.As(err, &config) {
		t.Errorf("a wrong file gives %v", err)
	}
}

// The JSON form is an interface: its members do not change.
func TestExplainJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	secret := s.token(t, "mobile", "orders.read")
	r, err := Explain(t.Context(), Question{Config: s.config, Method: "POST", URL: "/orders?q=hunter2", Authorization: "Bearer " + secret})
	if err != nil {
		t.Fatal(err)
	}
	shownText(t, r, secret, "hunter2")
	text, err := encodeJSON(r)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"outcome", "reason", "status", "request", "revision", "api", "operation", "application", "organization", "caller", "steps", "fix", "identity",
	} {
		if _, ok := object[name]; !ok {
			t.Errorf("there is no %s in\n%s", name, text)
		}
	}
	step := object["steps"].([]any)[0].(map[string]any)
	at := step["at"].(map[string]any)
	if step["name"] != "api" || step["state"] != "passed" || at["file"] != s.config || at["line"] != 41.0 || at["column"] != 5.0 {
		t.Errorf("the first step is %v", step)
	}
	if object["outcome"] != "deny" || object["status"] != 403.0 {
		t.Errorf("the outcome is %v %v", object["outcome"], object["status"])
	}
}

func TestReadCredential(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for text, want := range map[string]string{
		"abc.def\n":                             "Bearer abc.def",
		"  abc  ":                               "Bearer abc",
		"Authorization: Bearer abc\r\n":         "Bearer abc",
		"authorization:bearer abc":              "bearer abc",
		"Bearer abc":                            "Bearer abc",
		"Authorization: Basic Zm9v":             "Basic Zm9v",
		"":                                      "",
		"\n\n":                                  "",
		"abc\ndef":                              "",
		"abc\x00def":                            "",
		strings.Repeat("a", maxInput+1):         "",
		"Authorization: Bearer a\nX-Other: y\n": "",
	} {
		path := filepath.Join(dir, "token")
		write(t, path, text)
		for where, in := range map[string]string{"@" + path: "", "-": text, "@-": text} {
			got, err := ReadCredential(where, strings.NewReader(in))
			if got != want || (want == "") != (err != nil) {
				t.Errorf("%s %.40q: %q, %v", where, text, got, err)
			}
		}
	}
	for _, where := range []string{"eyJhbGciOiJSUzI1NiJ9.secret", "", "@"} {
		_, err := ReadCredential(where, strings.NewReader("abc"))
		var input *InputError
		if !errors.As(err, &input) || where != "" && where != "@" && strings.Contains(err.Error(), where[:8]) {
			t.Errorf("%q gives %v", where, err)
		}
	}
	if _, err := ReadCredential("@"+filepath.Join(dir, "absent"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
}

// At a gateway's own address only what it serves answers.
func TestOtherGatewayIsExplained(t *testing.T) {
	t.Parallel()
	s := newSite(t, `url: "http://127.0.0.1:10000" }`, `url: "http://127.0.0.1:10000" }`+"\n"+`  - { name: door, listen: "127.0.0.1:10001", url: "http://127.0.0.1:10001" }`,
		"  - name: orders\n", "  - name: orders\n    gateways: [door]\n")
	for url, want := range map[string]contract.Reason{
		"http://127.0.0.1:10000/orders/7": contract.APIUnknown, "http://127.0.0.1:10001/orders/7": contract.TokenMissing, "http://any/orders/7": contract.TokenMissing,
	} {
		report, err := Explain(t.Context(), Question{Config: s.config, Method: "GET", URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if report.Reason != want {
			t.Errorf("%s: %s, want %s", url, report.Reason, want)
		}
	}
}

// Where an API would answer that is not published, the fix is to publish it.
func TestUnpublishedIsExplained(t *testing.T) {
	t.Parallel()
	s := newSite(t, "  - name: orders\n", "  - name: orders\n    published: false\n")
	for url, want := range map[string]string{
		"http://any/orders/7": "API orders would answer here and is not published: remove published: false",
		"http://any/other/7":  "no API answers at the host any",
	} {
		report, err := Explain(t.Context(), Question{Config: s.config, Method: "GET", URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if report.Reason != contract.APIUnknown || !strings.Contains(strings.Join(report.Fix, "\n"), want) {
			t.Errorf("%s: %s, fix %q", url, report.Reason, report.Fix)
		}
	}
}

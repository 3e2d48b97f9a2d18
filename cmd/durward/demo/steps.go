package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/durward/durward/policy/contract"
)

const stepTimeout = 10 * time.Second

// outcome is what a step ended with, or should: Status and Reason of the answer, and
// whether the rest of what it expects was there.
type outcome struct {
	status int
	reason string
	// failing says what else is not as it should be; empty if nothing.
	failing string
	// shows are lines worth seeing.
	shows []string
}

func (o outcome) String() string {
	if o.failing != "" {
		return strings.TrimSpace(fmt.Sprintf("%d %s, but %s", o.status, o.reason, o.failing))
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", o.status, o.reason))
}

// step is one thing shown. run does it; want is what must come of it.
type step struct {
	number string
	title  string
	status int
	reason contract.Reason
	run    func(context.Context) (outcome, error)
}

// steps is the tour. They run in order: later ones use what earlier ones made.
func (d *demo) steps() []step {
	return []step{
		{"1", "alice signs in with PKCE as the app mobile", 200, "", d.signInAlice},
		{"2", "GET  /orders/7  without a token", 401, contract.TokenMissing, d.call("GET", "/orders/7", nil, nil)},
		{"3", "GET  /orders/7  alice", 200, "", d.call("GET", "/orders/7", &d.alice, d.showsIdentity)},
		{"3b", "GET  /orders/7  alice again: Okta is not asked", 200, "", d.repeated},
		{"4", "GET  /orders/7  alice, with forged identity headers", 200, "", d.forged},
		{"5", "POST /orders    alice, who has no scope for it", 403, contract.ScopeMissing, d.call("POST", "/orders", &d.alice, namesScope)},
		{"5a", "GET  /orders/by/bob…  alice: a rule lets people list their own alone", 403, contract.ClaimMismatch, d.othersOrders},
		{"5b", "DELETE /orders/7  bob, whose sign-in is not strong enough for it", 401, contract.StepUpRequired, d.weakDelete},
		{"5c", "DELETE /orders/7  bob, signed in again as the challenge asks", 200, "", d.strongDelete},
		{"5d", "GET  /orders/7  alice, her token bound to a key, with a DPoP proof", 200, "", d.prove},
		{"5e", "GET  /orders/7  the same proof again", 401, contract.ProofInvalid, d.replay},
		{"5f", "GET  /orders/7  the bound token without a proof, as thieves would", 401, contract.BindingMismatch, d.call("GET", "/orders/7", &d.bound.token, nil)},
		{"6a", "GET  /orders/7  bob with partner, an app without grant", 403, contract.GrantMissing, d.as(clientPartner)},
		{"6b", "GET  /orders/7  bob with warehouse, whose organization has no access", 403, contract.GrantMissing, d.as(clientWarehouse)},
		{"7", "GET  /orders/7  bob with an unregistered app", 403, contract.ClientUnknown, d.as(clientStray)},
		{"8a", "GET  /orders/7  alice, her token revoked at Okta: within 2 s", 401, contract.TokenInactive, d.revokedRead},
		{"8b", "POST /orders    bob, with a scope for it", 200, "", d.bobWrites},
		{"8c", "GET  /orders/7  bob, revoked a moment ago: a read may be 2 s behind", 200, "", d.bobRevoked},
		{"8d", "POST /orders    bob, revoked: a write never is", 401, contract.TokenInactive, d.call("POST", "/orders", &d.bob, nil)},
		{"8e", "GET  /orders/7  bob, and so the next read is not either", 401, contract.TokenInactive, d.call("GET", "/orders/7", &d.bob, nil)},
		{"9", "GET  /nothing   alice, a path that no API has", 404, contract.APIUnknown, d.call("GET", "/nothing", &d.alice, nil)},
		{"10", "GET  /orders/7  bob, Okta down", 503, contract.OktaUnavailable, d.oktaDown},
	}
}

// perform runs one step and compares.
func (d *demo) perform(ctx context.Context, s step) (ok bool) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	got, err := s.run(ctx)
	if err != nil {
		got = outcome{failing: err.Error()}
	}
	want := outcome{status: s.status, reason: string(s.reason)}
	ok = got.status == want.status && got.reason == want.reason && got.failing == ""
	mark := "✓"
	if !ok {
		mark = "✗"
	}
	d.printf("  %s %-3s %-72s expected %-22s got %s\n", mark, s.number, s.title, want, got)
	for _, line := range got.shows {
		d.printf("        %s\n", line)
	}
	return ok
}

func (d *demo) signInAlice(ctx context.Context) (outcome, error) {
	t, err := d.login(ctx, clientMobile, "alice", "orders.read")
	if err != nil {
		return outcome{}, err
	}
	d.alice = t
	return outcome{status: 200, shows: []string{"verifier, S256 challenge, authorize, sign-in form, code, token exchange"}}, nil
}

// check looks at an answer beyond its status; it returns what fails, and what to show.
type check func(answer) (failing string, shows []string)

// answer is one answer of the gateway.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call makes a step of one request with a token, which is read when the step runs.
func (d *demo) call(method, path string, token *string, look check) func(context.Context) (outcome, error) {
	return func(ctx context.Context) (outcome, error) {
		text := ""
		if token != nil {
			text = *token
		}
		return d.send(ctx, method, path, text, nil, look)
	}
}

// as makes a step of bob calling through another app.
func (d *demo) as(client string) func(context.Context) (outcome, error) {
	return func(ctx context.Context) (outcome, error) {
		t, err := d.login(ctx, client, "bob", "orders.read")
		if err != nil {
			return outcome{}, err
		}
		return d.send(ctx, "GET", "/orders/7", t, nil, nil)
	}
}

func (d *demo) forged(ctx context.Context) (outcome, error) {
	lies := http.Header{"x-auth-subject": {"root"}, "X-Auth-Organization": {"evil"}}
	return d.send(ctx, "GET", "/orders/7", d.alice, lies, d.showsIdentity)
}

// repeated shows that what is known is not asked for again.
func (d *demo) repeated(ctx context.Context) (outcome, error) {
	before, err := d.introspections(ctx)
	if err != nil {
		return outcome{}, err
	}
	got, err := d.send(ctx, "GET", "/orders/7", d.alice, nil, d.agedAnswer)
	if err != nil {
		return outcome{}, err
	}
	after, err := d.introspections(ctx)
	if err != nil {
		return outcome{}, err
	}
	got.shows = append(got.shows, fmt.Sprintf("introspections by the metrics: %d before, %d after", before, after))
	if after != before && got.failing == "" {
		got.failing = "Okta was asked"
	}
	return got, nil
}

// maxAge is the reads' max_age in the catalogue, and patience what a loaded machine may
// take beyond it.
const (
	maxAge   = 2 * time.Second
	patience = 5 * time.Second
)

// revokedRead waits until alice's read is denied, and tells how old the last fact was that
// still allowed one.
func (d *demo) revokedRead(ctx context.Context) (outcome, error) {
	if err := d.revoke(ctx, d.alice); err != nil {
		return outcome{}, err
	}
	var aged []string
	for revoked := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		got, err := d.send(ctx, "GET", "/orders/7", d.alice, nil, d.agedAnswer)
		took := time.Since(revoked)
		if err != nil || got.status != http.StatusOK || got.failing != "" || took > maxAge+patience {
			got.shows = append(aged, fmt.Sprintf("denied %.1f s after the revocation", took.Seconds()))
			return got, err
		}
		aged = got.shows
	}
}

func (d *demo) bobWrites(ctx context.Context) (outcome, error) {
	t, err := d.login(ctx, clientMobile, "bob", "orders.read", "orders.write")
	if err != nil {
		return outcome{}, err
	}
	d.bob = t
	return d.send(ctx, "POST", "/orders", d.bob, nil, d.agedAnswer)
}

func (d *demo) bobRevoked(ctx context.Context) (outcome, error) {
	if err := d.revoke(ctx, d.bob); err != nil {
		return outcome{}, err
	}
	return d.send(ctx, "GET", "/orders/7", d.bob, nil, d.agedAnswer)
}

// revoke does what an app does at sign-out (RFC 7009).
func (d *demo) revoke(ctx context.Context, token string) error {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}, "client_id": {clientMobile}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.issuer+"/v1/revoke", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := d.do(req)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("okta answers the revocation with %d", a.status)
	}
	return err
}

// agedAnswer shows how old the fact was that an answer was decided by, from its record.
func (d *demo) agedAnswer(a answer) (failing string, shows []string) {
	if a.status != http.StatusOK {
		return "", nil
	}
	id := a.header.Get(contract.HeaderDecisionID)
	age, err := d.factAge(id)
	if err != nil {
		return err.Error(), nil
	}
	shows = []string{fmt.Sprintf("decided by what Okta said %.3f s before (decision %s)", age, id)}
	if age > maxAge.Seconds() {
		return "that is older than max_age allows", shows
	}
	return "", shows
}

// factAge looks the decision up in Durward's log.
func (d *demo) factAge(id string) (seconds float64, err error) {
	log, err := os.ReadFile(d.file("durward.log"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(log) {
		var rec struct {
			ID  string   `json:"decision_id"`
			Age *float64 `json:"fact_age_s"`
		}
		if json.Unmarshal(line, &rec) == nil && rec.ID == id && id != "" && rec.Age != nil {
			return *rec.Age, nil
		}
	}
	return 0, fmt.Errorf("the log has no age for decision %s", id)
}

// introspections counts by the metrics how often Okta was asked about a token.
func (d *demo) introspections(ctx context.Context) (total int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.durward.OpsAddress()+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	a, err := d.do(req)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(a.body)) {
		if name, value, ok := strings.Cut(line, "} "); ok && strings.HasPrefix(name, "durward_okta_requests_total{") && strings.Contains(name, `endpoint="introspect"`) {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				return 0, err
			}
			total += n
		}
	}
	return total, nil
}

func (d *demo) oktaDown(ctx context.Context) (outcome, error) {
	t, err := d.login(ctx, clientMobile, "bob", "orders.read")
	if err != nil {
		return outcome{}, err
	}
	if err := d.okta.Down(); err != nil {
		return outcome{}, err
	}
	got, err := d.send(ctx, "GET", "/orders/7", t, nil, func(a answer) (string, []string) {
		wait := a.header.Get("Retry-After")
		if wait == "" {
			return "there is no Retry-After", nil
		}
		return "", []string{"Retry-After: " + wait + ", then Okta is up again"}
	})
	if up := d.okta.Up(); up != nil {
		return outcome{}, up
	}
	return got, err
}

// showsIdentity expects the backend to have seen who alice is, each header once.
func (d *demo) showsIdentity(a answer) (failing string, shows []string) {
	var seen echoed
	if err := json.Unmarshal(a.body, &seen); err != nil {
		return "the backend did not answer: " + err.Error(), nil
	}
	want := map[string]string{
		contract.HeaderSubject:      "alice@example.com",
		contract.HeaderApplication:  "mobile",
		contract.HeaderOrganization: "retail",
		contract.HeaderAPI:          "orders",
		contract.HeaderClientID:     clientMobile,
		contract.HeaderScopes:       "openid orders.read",
		contract.HeaderDecisionID:   a.header.Get(contract.HeaderDecisionID),
	}
	for _, name := range contract.IdentityHeaders() {
		values := seen.Headers[name]
		if expected, ok := want[name]; ok && (len(values) != 1 || values[0] != expected || expected == "") {
			return fmt.Sprintf("the backend saw %s %q", name, values), nil
		}
		if len(values) > 0 {
			shows = append(shows, name+": "+strings.Join(values, " | "))
		}
	}
	if _, ok := seen.Headers[contract.HeaderAuthorization]; ok {
		return "the backend saw the token", nil
	}
	return "", shows
}

func namesScope(a answer) (failing string, shows []string) {
	challenge := a.header.Get("WWW-Authenticate")
	if !strings.Contains(challenge, `scope="orders.write"`) {
		return "the challenge names no scope: " + challenge, nil
	}
	return "", []string{"WWW-Authenticate: " + challenge}
}

// send sends one request through Envoy.
func (d *demo) send(ctx context.Context, method, path, token string, header http.Header, look check) (outcome, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.gateway+path, nil)
	if err != nil {
		return outcome{}, err
	}
	for name, values := range header {
		req.Header[name] = values // as written: HTTP names are case-insensitive
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := d.do(req)
	if err != nil {
		return outcome{}, err
	}
	o := outcome{status: a.status, reason: a.reason()}
	if look != nil {
		o.failing, o.shows = look(a)
	}
	return o, nil
}

func (d *demo) do(req *http.Request) (answer, error) {
	res, err := d.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, pageLimit))
	return answer{res.StatusCode, res.Header, body}, err
}

// reason is what Durward's own answers name; Envoy's and the backend's name none.
func (a answer) reason() string {
	var problem struct{ Reason string }
	if a.header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(a.body, &problem) != nil {
		return ""
	}
	return problem.Reason
}

package serve

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

var claimRows = map[string]func(*testing.T){
	"T22": expiryTypes, "T23": boundaries, "T24": issuers, "T25": otherServers, "T26": audiences, "T27": scopes,
}

func expiryTypes(t *testing.T) {
	w := newWorld(t, setting{})
	w.deniesFree(t, "no exp", w.wrong("exp", ""), "401 token_type_wrong")
	later := strconv.FormatInt(time.Now().Unix()+3600, 10)
	for _, v := range []string{
		"null", `"` + later + `"`, later + ".5", "1e30", "9.3e18", "9223372036854775808", "18446744073709551617", "-1", "-" + later, "true", "[" + later + "]",
		`{"v":` + later + `}`, "253402300800", "1e999",
	} {
		w.deniesFree(t, v, w.wrong("exp", v), "401 token_malformed")
	}
	for _, v := range []string{"0", "1", "-0", "0.0"} {
		w.deniesFree(t, v, w.wrong("exp", v), "401 token_inactive")
	}
	w.allows(t, w.wrong("exp", later+".0"))
	for _, claim := range []string{"nbf", "iat"} {
		for _, v := range []string{"null", `"1"`, "-1", "1.5", "1e30", "true"} {
			w.deniesFree(t, claim+" "+v, w.wrong(claim, v), "401 token_malformed")
		}
	}
}

func boundaries(t *testing.T) {
	w := newWorld(t, setting{})
	in := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	for _, past := range []time.Duration{0, -time.Second, -10 * time.Second, -29 * time.Second, -time.Hour} {
		w.deniesFree(t, "exp "+past.String(), w.wrong("exp", in(past)), "401 token_inactive") // no leeway on exp
	}
	w.allows(t, w.wrong("nbf", in(20*time.Second)))
	w.allows(t, w.wrong("iat", in(20*time.Second)))
	w.deniesFree(t, "nbf", w.wrong("nbf", in(33*time.Second)), "401 token_not_yet_valid")
	w.deniesFree(t, "iat", w.wrong("iat", in(33*time.Second)), "401 token_not_yet_valid")
	w.deniesFree(t, "iat tomorrow", w.wrong("iat", in(24*time.Hour)), "401 token_not_yet_valid")
	// Okta issues none that lives longer than 24 h, but does not ask a verifier to refuse one:
	// who signed it or calls it active could have issued many short ones.
	w.allows(t, w.wrong("iat", in(-25*time.Hour)))
	w.allows(t, w.wrong("exp", in(25*time.Hour)))
	w.deniesFree(t, "25 hours, over", w.is.issue(usualHeader, w.claims(map[string]string{"iat": in(-25 * time.Hour), "exp": in(0)})), "401 token_inactive")
	// In force, known, used, and over at its second.
	end := time.Now().Add(2500 * time.Millisecond).Truncate(time.Second)
	text := w.wrong("exp", strconv.FormatInt(end.Unix(), 10))
	w.allows(t, text)
	for time.Now().Before(end.Add(300 * time.Millisecond)) {
		for _, mode := range threeModes {
			before := time.Now()
			if got := w.ask(t, mode, text); got == "allow" && !before.Before(end) || got != "allow" && got != "401 token_inactive" {
				t.Errorf("%s, %s after exp: %s", mode, before.Sub(end), got)
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.denies(t, "over", text, "401 token_inactive")
}

func issuers(t *testing.T) {
	w := newWorld(t, setting{})
	iss := w.is.name("default")
	host := strings.TrimPrefix(iss, "http://")
	for _, v := range []string{
		iss + "/", iss + ".evil", iss[:len(iss)-1], "x" + iss, strings.ToUpper(iss), "https://" + host, "http://a@" + host, "http://evil/" + host,
		strings.Replace(iss, "127.0.0.1", "127.0.0.1.", 1), strings.Replace(iss, "127.0.0.1", "localhost", 1), iss + "?a", iss + "#a", iss + " ", " " + iss,
		strings.Replace(iss, "default", "Default", 1), strings.Replace(iss, "/oauth2", "//oauth2", 1), strings.Replace(iss, "default", "other/../default", 1),
		strings.Replace(iss, "default", "d%65fault", 1), strings.Replace(iss, "default", "xn--default", 1), w.is.URL, "",
	} {
		w.deniesFree(t, v, w.wrong("iss", strconv.Quote(v)), "401 issuer_mismatch")
	}
	w.deniesFree(t, "none", w.wrong("iss", ""), "401 issuer_mismatch")
	for _, v := range []string{"[" + strconv.Quote(iss) + "]", "null", "1", "{}", "true"} {
		w.deniesFree(t, v, w.wrong("iss", v), "401 token_malformed")
	}
}

// otherServers: tokens that are good elsewhere, signed by the very key of our issuer.
func otherServers(t *testing.T) {
	w := newWorld(t, setting{})
	for what, iss := range map[string]string{
		"another organization": "https://other.okta.com/oauth2/default", "another custom server": w.is.name("other"),
		"another server's id": w.is.name("aus9o8wzkhckw9TLa0h7"), "the org server": w.is.URL,
	} {
		w.deniesFree(t, what, w.wrong("iss", strconv.Quote(iss)), "401 issuer_mismatch")
	}
	org := `{"typ":"application/okta-internal-at+jwt","kid":"k1","alg":"RS256"}`
	w.deniesFree(t, "org token", w.is.issue(org, w.claims(map[string]string{"iss": strconv.Quote(w.is.URL)})), "401 token_type_wrong")
	w.deniesFree(t, "org token in disguise", w.is.issue(org, w.claims(nil)), "401 token_type_wrong")
	for _, typ := range []string{"JWT", "at+jwt", "application/at+jwt", "AT+JWT"} {
		w.allows(t, w.is.issue(`{"typ":"`+typ+`","kid":"k1","alg":"RS256"}`, w.claims(nil)))
	}
}

func audiences(t *testing.T) {
	w := newWorld(t, setting{})
	for _, v := range []string{`"api://default"`, `["api://default"]`, `["x","api://default"]`, `["api://default","*"]`} {
		w.allows(t, w.wrong("aud", v))
	}
	for _, v := range []string{
		"", "[]", `""`, `[""]`, `"*"`, `["*"]`, `"api://"`, `"api://default/"`, `"api://default2"`, `"API://default"`, `"api://default "`, `"api:// default"`,
		`"api://other"`, `["api://other","x"]`, `"api://default,api://other"`, `"api://other api://default"`,
	} {
		w.deniesFree(t, v, w.wrong("aud", v), "401 audience_mismatch")
	}
	for _, v := range []string{"1", "null", "[1]", `["api://default",1]`, `[["api://default"]]`, `{"api://default":1}`, `["api://default",null]`, "true"} {
		w.deniesFree(t, v, w.wrong("aud", v), "401 token_malformed")
	}
	w.deniesFree(t, "the client", w.wrong("aud", `["`+mobile+`","api://default"]`), "401 token_type_wrong")

	_, c := newOrg(t)
	text := c.text()
	for what, changed := range map[string]string{
		"none": strings.Replace(text, "    audience: api://default\n", "", 1), "empty": strings.Replace(text, "audience: api://default", `audience: ""`, 1),
	} {
		writeFile(t, c.file(), changed, 0o600)
		if err := refused(t, c); !strings.Contains(err.Error(), "audience") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func scopes(t *testing.T) {
	w := newWorld(t, setting{})
	for _, v := range []string{`["orders.read"]`, `["openid","orders.read"]`, `["orders.read","orders.read"]`} {
		w.allows(t, w.wrong("scp", v))
	}
	// orders.read alone opens the operation: no prefix, case, wildcard or other blank does.
	for _, v := range []string{
		"", "[]", `["orders.read:all"]`, `["orders"]`, `["ORDERS.READ"]`, `["*"]`, `["orders.*"]`, `["orders.read,orders.write"]`, `["orders.read\tx"]`,
		`["x\u00a0orders.read"]`, `["x orders.read"]`, `["orders.read "]`, `["orders.read\n"]`, `"openid orders.read"`, `[""]`, `["orders.reads"]`,
	} {
		w.scopeMissing(t, v, w.wrong("scp", v))
	}
	for _, v := range []string{`"orders.read:all"`, `"x\torders.read"`, `"x,orders.read"`, `"x\u00a0orders.read"`, `"*"`, `""`, `"ORDERS.READ"`} {
		w.scopeMissing(t, "scope "+v, w.is.issue(usualHeader, w.claims(map[string]string{"scp": "", "scope": v})))
	}
	for _, v := range []string{`"orders.read"`, `"openid orders.read"`, `"openid  orders.read "`} {
		w.allows(t, w.is.issue(usualHeader, w.claims(map[string]string{"scp": "", "scope": v})))
	}
	for what, change := range map[string]map[string]string{
		"scope has more": {"scope": `"orders.read orders.write"`}, "scope has less": {"scope": `""`}, "scope differs": {"scope": `"openid"`},
		"types": {"scp": "1"}, "null": {"scp": "null"}, "numbers": {"scp": "[1]"}, "nested": {"scp": `[["orders.read"]]`}, "scope list": {"scope": `["orders.read"]`},
	} {
		w.deniesFree(t, what, w.is.issue(usualHeader, w.claims(change)), "401 token_malformed")
	}
	var many strings.Builder
	for i := range 1_200 {
		fmt.Fprintf(&many, `"s%d",`, i)
	}
	w.deniesFree(t, "1,200 scopes", w.wrong("scp", "["+many.String()+`"orders.read"]`), "401 token_malformed")
}

// scopeMissing wants that the caller is told what is needed, not what is there.
func (w *world) scopeMissing(t *testing.T, what, text string) {
	t.Helper()
	for _, mode := range w.modes {
		res := w.send(t, mode, "/"+mode+"/1", nil, "Bearer "+text)
		challenge := told(res, "www-authenticate")
		if got := outcome(res); got != "403 scope_missing" || !strings.HasSuffix(challenge, `, scope="orders.read"`) ||
			!strings.Contains(challenge, `error="insufficient_scope"`) {
			t.Errorf("%s, %s: %s with challenge %s", what, mode, got, challenge)
		}
	}
}

package serve

import (
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// TestAttack has one sub-test for each attack of the catalogue of attacks, by its id,
// against a real server over gRPC, in every mode of verification. The attacks on the way
// of a request go through a real Envoy too.
func TestAttack(t *testing.T) {
	t.Parallel()
	newStreet(t).rows(t)
	ownPorts(t)
	for _, rows := range []map[string]func(*testing.T){
		credentialRows, cryptoRows, formRows, claimRows, kindRows, keyRows, replyRows, portRows, abuseRows, proofRows, identityRows, reloadRows, doorRows,
	} {
		for id, row := range rows {
			t.Run(id, func(t *testing.T) {
				t.Parallel()
				row(t)
			})
		}
	}
}

var credentialRows = map[string]func(*testing.T){
	"T01": noCredential, "T02": schemeSpelling, "T03": badCredential, "T04": twoCredentials, "T05": tokenElsewhere, "T20": oversize,
}

func noCredential(t *testing.T) {
	w := newWorld(t, setting{})
	before := w.is.asked("introspect")
	for _, mode := range threeModes {
		for _, values := range [][]string{nil, {""}, {"Basic YTpi"}, {"Digest username=a"}, {"Frob abc"}, {"BearerX abc"}} {
			res := w.send(t, mode, "/"+mode+"/1", nil, values...)
			if got, challenge := outcome(res), told(res, "www-authenticate"); got != "401 token_missing" || challenge != `Bearer realm="durward"` {
				t.Errorf("%s %q: %s with challenge %s", mode, values, got, challenge)
			}
		}
	}
	if n := w.is.asked("introspect") - before; n != 0 {
		t.Errorf("%d introspections", n)
	}
}

func schemeSpelling(t *testing.T) {
	w := newWorld(t, setting{})
	good := w.good()
	for _, mode := range threeModes {
		for _, scheme := range []string{"bearer ", "BEARER ", "BeArEr ", "Bearer  ", "Bearer     "} {
			if got := outcome(w.send(t, mode, "/"+mode+"/1", nil, scheme+good)); got != "allow" {
				t.Errorf("%s %q: %s", mode, scheme, got)
			}
		}
	}
}

func badCredential(t *testing.T) {
	w := newWorld(t, setting{})
	good := w.good()
	introspections, fetches := w.is.asked("introspect"), w.is.asked("keys")
	for _, mode := range threeModes {
		for _, v := range []string{
			"Bearer", "Bearer ", "Bearer   ", "Bearer " + good + " ", "Bearer " + good + "\n", "Bearer " + good + "\r\n",
			"Bearer \t" + good, "Bearer " + good + "\t", "Bearer a b", "Bearer " + good + " " + good, "Bearer " + good + ",",
			`Bearer "` + good + `"`, "Bearer '" + good + "'", "Bearer " + good + "\x00", "Bearer \x00" + good,
			"Bearer " + good + "\xff", "Bearer " + good + "é", "Bearer " + good[:9] + "\n" + good[9:], "Bearer a\x7f", "Bearer =", "Bearer a=b",
		} {
			if got := outcome(w.send(t, mode, "/"+mode+"/1", nil, v)); got != "400 request_malformed" {
				t.Errorf("%s %.30q: %s", mode, v, got)
			}
		}
		// A tab does not end the name of a scheme.
		if got := outcome(w.send(t, mode, "/"+mode+"/1", nil, "Bearer\t"+good)); got != "401 token_missing" {
			t.Errorf("tab: %s", got)
		}
	}
	if n, m := w.is.asked("introspect")-introspections, w.is.asked("keys")-fetches; n+m != 0 {
		t.Errorf("%d introspections, %d fetches", n, m)
	}
}

func twoCredentials(t *testing.T) {
	w := newWorld(t, setting{})
	a, b := "Bearer "+w.good(), "Bearer "+w.good()
	both := func(r *authv3.AttributeContext_HttpRequest) { r.Headers = map[string]string{"authorization": a} }
	cases := "Authorization"
	other := func(r *authv3.AttributeContext_HttpRequest) { r.HeaderMap.Headers[1].Key = cases }
	for _, mode := range threeModes {
		path := "/" + mode + "/1"
		for what, res := range map[string]*authv3.CheckResponse{
			"joined":        w.send(t, mode, path, nil, a+","+b),
			"joined, blank": w.send(t, mode, path, nil, a+", "+b),
			"two":           w.send(t, mode, path, nil, a, b),
			"the same":      w.send(t, mode, path, nil, a, a),
			"case":          w.send(t, mode, path, other, a, b),
			"first empty":   w.send(t, mode, path, nil, "", b),
			"last Basic":    w.send(t, mode, path, nil, a, "Basic YTpi"),
			"map and list":  w.send(t, mode, path, both, b),
			"map joined": w.send(t, mode, path, func(r *authv3.AttributeContext_HttpRequest) {
				r.Headers = map[string]string{"authorization": a + "," + b}
			}),
			"map, two cases": w.send(t, mode, path, func(r *authv3.AttributeContext_HttpRequest) {
				r.Headers = map[string]string{"authorization": a, "Authorization": b}
			}),
		} {
			if got := outcome(res); got != "400 request_malformed" {
				t.Errorf("%s %s: %s", mode, what, got)
			}
		}
	}
}

func tokenElsewhere(t *testing.T) {
	w := newWorld(t, setting{})
	good := w.good()
	for _, mode := range threeModes {
		path := "/" + mode + "/1"
		query := path + "?access_token=" + good
		for _, q := range []string{query, path + "?a=b&access_token=" + good, path + "?access%5Ftoken=" + good, path + "?access_token="} {
			if got := outcome(w.send(t, mode, q, nil, "Bearer "+good)); got != "400 request_malformed" {
				t.Errorf("%s header and %.40s: %s", mode, q, got)
			}
		}
		for what, res := range map[string]*authv3.CheckResponse{
			"query": w.send(t, mode, query, nil),
			"body": w.send(t, mode, path, func(r *authv3.AttributeContext_HttpRequest) {
				r.Headers = map[string]string{"content-type": "application/x-www-form-urlencoded"}
				r.Body = "access_token=" + good
			}),
			"cookie": w.send(t, mode, path, func(r *authv3.AttributeContext_HttpRequest) {
				r.Headers = map[string]string{"cookie": "access_token=" + good + "; authorization=Bearer " + good}
			}),
			"proxy": w.send(t, mode, path, func(r *authv3.AttributeContext_HttpRequest) {
				r.Headers = map[string]string{"proxy-authorization": "Bearer " + good, "x-forwarded-authorization": "Bearer " + good}
			}),
		} {
			if got := outcome(res); got != "401 token_missing" {
				t.Errorf("%s in %s: %s", mode, what, got)
			}
		}
	}
}

func oversize(t *testing.T) {
	w := newWorld(t, setting{})
	text := func(claims string) string { return jws(usualHeader, claims, rs256(issuerRSA())) }
	many := func(n int) string {
		return `{"a":{` + strings.Repeat(`"a":{`, n) + strings.Repeat("}", n) + `}}`
	}
	for what, token := range map[string]string{
		"17 KiB":        strings.Repeat("a", 17<<10),
		"a byte more":   strings.Repeat("a", 16<<10+1),
		"200,000 dots":  strings.Repeat(".", 200_000),
		"number":        text(w.claims(map[string]string{"exp": strings.Repeat("9", 64<<10)})),
		"40,000 claims": text("{" + strings.TrimSuffix(strings.Repeat(`"a":1,`, 20_000), ",") + "}"),
	} {
		w.deniesFree(t, what, token, "400 request_malformed")
	}
	var members []string
	for i := range 600 {
		members = append(members, `"c`+strings.Repeat("x", i%9)+string(rune('a'+i%26))+`":1`)
	}
	for what, token := range map[string]string{
		"16 KiB of dots":  strings.Repeat(".", 16<<10),
		"2,000 deep":      text(many(1_200)),
		"lists":           text(`{"a":` + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000) + "}"),
		"digits":          text(w.claims(map[string]string{"exp": strings.Repeat("9", 10<<10)})),
		"600 claims":      text("{" + strings.Join(members, ",") + "}"),
		"3,000 audiences": text(w.claims(map[string]string{"aud": "[" + strings.TrimSuffix(strings.Repeat(`"a",`, 2_000), ",") + "]"})),
		"header":          jws(strings.Repeat("[", 9_000), w.claims(nil), rs256(issuerRSA())),
	} {
		w.deniesFree(t, what, token, "401 token_malformed")
	}
}

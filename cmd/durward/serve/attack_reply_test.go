package serve

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

var replyRows = map[string]func(*testing.T){
	"T39": activeTypes, "T40": activeLies, "T41": anotherToken, "T42": unreadable, "T43": redirected, "T44": ourCredentials,
}

// asking are the modes that ask.
var asking = []string{"introspection", "both"}

// broken wants 503 where the server is asked, and nothing of it kept.
func (w *world) broken(t *testing.T, what string, answer http.HandlerFunc) {
	t.Helper()
	modes := w.modes
	if len(modes) == 3 {
		modes = asking
	}
	text := w.is.issue(usualHeader, w.fixed)
	for _, mode := range modes {
		w.is.respond("introspect", answer)
		began := time.Now()
		res := w.send(t, mode, "/"+mode+"/1", nil, "Bearer "+text)
		if got, retry := outcome(res), told(res, "retry-after"); got != "503 okta_unavailable" || retry == "" {
			t.Errorf("%s, %s: %s, retry after %q", what, mode, got, retry)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s, %s took %s", what, mode, took)
		}
		w.is.respond("introspect", nil)
		if got := w.ask(t, mode, text); got != "allow" {
			t.Errorf("%s, %s is kept: %s", what, mode, got)
		}
	}
}

// says answers with the claims of what broken asks about, put behind a beginning.
func (w *world) says(beginning string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, beginning+w.fixed[1:]) }
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func activeTypes(t *testing.T) {
	for _, beginning := range []string{
		`{"active":"true",`, `{"active":1,`, `{"active":null,`, `{`, `{"ACTIVE":true,`, `{"active":true,"active":true,`, `{"active":false,"active":true,`,
		`{"active":true,"Active":false,`, `{"active":[true],`, `{"active":{},`, `{"\u0061ctive":true,"active":true,`, `[{"active":true,`, `x{"active":true,`,
	} {
		t.Run(beginning, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setting{})
			w.broken(t, beginning, w.says(beginning))
		})
	}
	w := newWorld(t, setting{})
	w.broken(t, "behind", body(`{"active":true,`+w.fixed[1:]+`junk`))
	w = newWorld(t, setting{})
	w.broken(t, "two", body(`{"active":true,`+w.fixed[1:]+`{"active":true}`))
}

func activeLies(t *testing.T) {
	w := newWorld(t, setting{opaque: true})
	now := time.Now().Unix()
	for what, c := range map[string]struct {
		change map[string]string
		want   string
	}{
		"expired":       {map[string]string{"exp": fmt.Sprint(now - 1)}, "401 token_inactive"},
		"no exp":        {map[string]string{"exp": ""}, "401 token_type_wrong"},
		"issuer":        {map[string]string{"iss": `"https://evil"`}, "401 issuer_mismatch"},
		"no issuer":     {map[string]string{"iss": ""}, "401 issuer_mismatch"},
		"audience":      {map[string]string{"aud": `"api://other"`}, "401 audience_mismatch"},
		"no audience":   {map[string]string{"aud": ""}, "401 audience_mismatch"},
		"not yet":       {map[string]string{"nbf": fmt.Sprint(now + 600)}, "401 token_not_yet_valid"},
		"no client":     {map[string]string{"cid": ""}, "401 token_type_wrong"},
		"client twice":  {map[string]string{"client_id": `"0oaX"`}, "401 token_malformed"},
		"a stranger":    {map[string]string{"cid": `"0oaX"`}, "403 client_unknown"},
		"client's case": {map[string]string{"cid": `"0oamobile"`}, "403 client_unknown"},
	} {
		w.is.vouch("default", "t-"+b64(what), w.claims(maps.Clone(c.change)))
		w.denies(t, what, "t-"+b64(what), c.want)
	}
	w.is.respond("introspect", w.says(`{"active":false,`))
	w.denies(t, "inactive with claims", "full", "401 token_inactive")

	// Of a JWT that says otherwise.
	jwts := newWorld(t, setting{})
	text := jwts.good()
	jwts.is.respond("introspect", jwts.says(`{"active":false,`))
	for _, mode := range asking {
		if got := jwts.ask(t, mode, text); got != "401 token_inactive" {
			t.Errorf("%s: %s", mode, got)
		}
	}
	jwts.is.respond("introspect", nil)
	for what, want := range map[string]string{"aud": "401 audience_mismatch", "nbf": "401 token_not_yet_valid", "iat": "401 token_not_yet_valid", "uid": "401 token_type_wrong"} {
		value := map[string]string{"aud": `"api://other"`, "nbf": fmt.Sprint(now + 600), "iat": fmt.Sprint(now + 600), "uid": ""}[what]
		for _, mode := range asking {
			claims := jwts.claims(nil)
			text := jws(usualHeader, claims, rs256(issuerRSA()))
			jti := strings.Split(strings.Split(claims, `"jti":`)[1], ",")[0]
			exp := strings.Split(strings.Split(claims, `"exp":`)[1], ",")[0]
			jwts.is.vouch("default", text, jwts.claims(map[string]string{what: value, "jti": jti, "exp": exp}))
			if got := jwts.ask(t, mode, text); got != want {
				t.Errorf("%s of the answer, %s: %s", what, mode, got)
			}
		}
	}
}

func anotherToken(t *testing.T) {
	later := fmt.Sprint(time.Now().Unix() + 3599)
	for claim, value := range map[string]string{
		"jti": `"AT.other"`, "sub": `"bob@example.com"`, "cid": `"0oaOther"`, "exp": later, "iss": `"https://evil"`, "all": "",
	} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setting{})
			for _, mode := range asking {
				claims := w.claims(map[string]string{"jti": `"AT.mine"`, "exp": fmt.Sprint(time.Now().Unix() + 1800)})
				text := jws(usualHeader, claims, rs256(issuerRSA()))
				lie := strings.Replace(claims, `"`+claim+`":`, `"`+claim+`":`+value+`,"was":`, 1)
				if claim == "all" {
					lie = w.claims(map[string]string{"sub": `"bob@example.com"`, "jti": `"AT.bob"`})
				}
				w.is.vouch("default", text, lie)
				if got := w.ask(t, mode, text); got != "503 okta_unavailable" {
					t.Errorf("%s: %s", mode, got)
				}
				w.is.vouch("default", text, claims)
				if got := w.ask(t, mode, text); got != "allow" {
					t.Errorf("%s is kept: %s", mode, got)
				}
			}
		})
	}
}

func typed(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text)
	}
}

func unreadable(t *testing.T) {
	const active = `{"active":true,`
	packed := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, text)
		_ = z.Close()
		return b.String()
	}
	drip := func(w http.ResponseWriter, r *http.Request) {
		for i := 0; ; i++ {
			_, _ = io.WriteString(w, active[i%len(active):i%len(active)+1])
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, active+`"x":"`)
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		for range 16 << 10 { // 1 GiB, were it read
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
		t.Error("somebody read 1 GiB")
	}
	answers := func(w *world) map[string]http.HandlerFunc {
		good := active + w.fixed[1:]
		return map[string]http.HandlerFunc{
			"HTML": typed("text/html", "<html>sign in</html>"), "text": typed("text/plain", good), "html that is JSON": typed("text/html", good),
			"JWT": typed("application/token-introspection+jwt", w.good()), "error": body(`{"errorCode":"E0000011"}`), "OAuth error": body(`{"error":"invalid_request"}`),
			"empty": body(""), "no type": typed("", good), "truncated": body(good[:len(good)-20]), "null": body("null"), "list": body("[true]"), "true": body("true"),
			"BOM": body("\ufeff" + good), "not UTF-8": body(strings.Replace(good, "alice", "\xff", 1)), "65 KiB": body(active + `"x":"` + strings.Repeat("x", 65<<10) + `",` + w.fixed[1:]),
			"short": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(len(good)+100))
				_, _ = io.WriteString(w, good)
			},
			"gzip": func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Encoding", "gzip")
				_, _ = io.WriteString(rw, packed(good))
			},
			"bomb": func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Encoding", "gzip")
				_, _ = io.WriteString(rw, packed(strings.Repeat(" ", 10<<20)+good))
			},
			"blanks": body(good + strings.Repeat(" ", 65<<10)),
			"drip":   drip, "endless": endless,
			"wrong claim types": body(active + `"exp":"soon"}`), "scope a list": body(active + `"scope":["orders.read"],"exp":1}`),
			"204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
			"201": func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, good)
			},
			"500": func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = io.WriteString(w, good)
			},
		}
	}
	for what := range answers(newWorld(t, setting{})) {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setting{})
			w.broken(t, what, answers(w)[what])
		})
	}
}

func redirected(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			w, evil := newWorld(t, setting{}), trap(t)
			w.broken(t, fmt.Sprint(status), func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, evil+r.URL.Path, status)
			})
			w.fixed = w.claims(nil)
			w.broken(t, "to itself", func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "/oauth2/other/v1/introspect", status)
			})
		})
	}
}

func ourCredentials(t *testing.T) {
	for _, status := range []int{401, 403, 400, 404, 405} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setting{})
			w.broken(t, fmt.Sprint(status), func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
				rw.WriteHeader(status)
				_, _ = io.WriteString(rw, `{"error":"invalid_client"}`)
			})
			_, metrics := get(t, w.Server, "/metrics")
			if !strings.Contains(metrics, fmt.Sprintf(`durward_okta_requests_total{code="%d"`, status)) {
				t.Errorf("no metric tells of %d", status)
			}
			w.tellsOfCredentials(t, status)
		})
	}
}

// tellsOfCredentials wants one line for a change, and none for a request.
func (w *world) tellsOfCredentials(t *testing.T, status int) {
	t.Helper()
	refused := status == http.StatusUnauthorized || status == http.StatusForbidden
	w.is.respond("introspect", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) })
	for range 8 {
		if got := w.ask(t, "introspection", w.good()); got != "503 okta_unavailable" {
			t.Errorf("%d: %s", status, got)
		}
	}
	_, metrics := get(t, w.Server, "/metrics")
	if strings.Contains(metrics, `durward_okta_credentials_rejected{server="default"} 1`) != refused {
		t.Errorf("%d: the alarm is wrong", status)
	}
	told := w.log.lines(t, "the server refuses our client credentials; checks that must ask it are denied with 503")
	if !refused && len(told) == 0 {
		return
	}
	if !refused || len(told) != 1 || told[0]["level"] != "ERROR" || told[0]["authorization_server"] != "default" || told[0]["client_id"] != "0oaGATEWAY" || told[0]["fix"] == nil {
		t.Errorf("%d is told as %v", status, told)
	}
	if n := len(w.log.lines(t, "the server accepts our client credentials again")); n != 1 {
		t.Errorf("told %d times that credentials are accepted again", n)
	}
}

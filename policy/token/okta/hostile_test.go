package okta_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

// activeJSON is an active answer about a token of this issuer and for these tests.
func activeJSON(issuer, members string) string {
	return fmt.Sprintf(`{"active":true,"scope":"orders.read","exp":%d,"iat":1700000000,"sub":"alice","aud":"api://default",`+
		`"iss":%q,"jti":"AT.1","token_type":"Bearer","client_id":"0oaMOBILE","uid":"00uALICE"%s}`, time.Now().Add(time.Hour).Unix(), issuer, members)
}

// TestHostileAnswers are answers that cannot be used: an outage, never a verdict.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	json := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, body) }
	}
	typed := func(contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{contentType}
			_, _ = io.WriteString(w, body)
		}
	}
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, code, body) }
	}
	good := activeJSON("x", "")
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}
	bomb := string(zipped(`{"active":true,"x":"` + strings.Repeat("x", 32<<20) + `"}`))
	cases := map[string]http.HandlerFunc{
		"T39 active a string":     json(strings.Replace(good, "true", `"true"`, 1)),
		"T39 active 1":            json(strings.Replace(good, "true", `1`, 1)),
		"T39 active null":         json(strings.Replace(good, "true", `null`, 1)),
		"T39 active a list":       json(strings.Replace(good, "true", `[true]`, 1)),
		"T39 active an object":    json(strings.Replace(good, "true", `{"a":true}`, 1)),
		"T39 active absent":       json(strings.Replace(good, `"active":true,`, ``, 1)),
		"T39 ACTIVE":              json(strings.Replace(good, "active", `ACTIVE`, 1)),
		"T39 active and ACTIVE":   json(activeJSON("x", `,"ACTIVE":true`)),
		"T39 duplicate":           json(activeJSON("x", `,"active":true`)),
		"T39 duplicate, opposite": json(`{"active":false,"active":true}`),
		"T39 duplicate exp":       json(activeJSON("x", `,"exp":9999999999`)),
		"T39 duplicate inside":    json(activeJSON("x", `,"o":{"a":1,"a":2}`)),
		"T39 junk behind":         json(good + "junk"),
		"T39 two answers":         json(`{"active":false}` + good),
		"T39 byte order mark":     json("\ufeff" + good),
		"T39 TRUE":                json(strings.Replace(good, "true", `TRUE`, 1)),

		"T42 HTML":               typed("text/html", "<html>sign in</html>"),
		"T42 HTML as JSON":       json("<html>sign in</html>"),
		"T42 text/plain":         typed("text/plain", good),
		"T42 no content type":    typed("", good),
		"T42 odd content type":   typed("application/json; charset=\"", good),
		"T42 near content type":  typed("application/jsonx", good),
		"T42 token in type":      typed("text/"+canary, good),
		"T42 RFC 9701 JWT":       typed("application/token-introspection+jwt", "eyJ.eyJ.sig"),
		"T42 error object":       json(`{"error":"server_error","error_description":"x"}`),
		"T42 API error object":   json(`{"errorCode":"E0000009","errorSummary":"x","errorCauses":[]}`),
		"T42 empty":              json(""),
		"T42 null":               json("null"),
		"T42 array":              json("[" + good + "]"),
		"T42 truncated":          json(good[:len(good)-1]),
		"T42 invalid UTF-8":      json(activeJSON("x", ",\"x\":\"\xff\"")),
		"T42 deep":               json(activeJSON("x", `,"x":`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000))),
		"T42 over 64 KiB":        json(activeJSON("x", `,"x":"`+strings.Repeat("x", 64<<10)+`"`)),
		"T42 active, status 201": status(201, good),
		"T42 active, status 203": status(203, good),
		"T42 active, status 206": status(206, good),
		"T42 active, status 400": status(400, good),
		"T42 active, status 500": status(500, good),
		"T42 no HTTP":            raw("hello " + canary + "\r\n\r\n"),
		"T42 bad header":         raw("HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n"),
		"T42 status in letters":  raw("HTTP/1.1 abc " + canary + "\r\n\r\n"),
		"T42 cut in the body":    raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n" + good),
		"T42 cut in a chunk":     raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(good), good)),
		"T42 endless stream": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"active":true,"x":"`)
			page := bytes.Repeat([]byte("x"), 1<<20)
			for i := 0; i < 1<<10; i++ { // 1 GiB
				if _, err := w.Write(page); err != nil {
					return
				}
			}
			t.Error("a whole GiB was read")
		},
		"T42 gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			writeJSON(w, 200, string(zipped(good)))
		},
		"T42 gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			writeJSON(w, 200, bomb)
		},

		"T44 401":                    status(401, `{"error":"invalid_client","error_description":"The client secret supplied for a confidential client is invalid."}`),
		"T44 401, API error":         status(401, `{"errorCode":"invalid_client","errorSummary":"Invalid value for 'client_id' parameter.","errorCauses":[]}`),
		"T44 403":                    status(403, `{"error":"access_denied"}`),
		"T44 401 that says active":   status(401, good),
		"T44 403 that says inactive": status(403, `{"active":false}`),
	}
	for _, name := range []string{"iss", "sub", "uid", "jti", "client_id", "cid", "scope", "scp", "aud", "groups", "exp", "nbf", "iat"} {
		cases["T42 claim of no type: "+name] = json(`{"active":true,"` + name + `":{}}`)
	}
	for name, h := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				h(w, r)
			})
			start := time.Now()
			got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
			mustFail(t, got, err, token.Unavailable)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func zipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.Bytes()
}

// TestSlowAnswer: a byte now and then does not move the deadline (T42).
func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		body := activeJSON("x", "")
		for i := range len(body) {
			_, _ = io.WriteString(w, body[i:i+1])
			w.(http.Flusher).Flush()
			select {
			case <-time.After(20 * time.Millisecond): // 4 s in all
			case <-r.Context().Done():
				return
			}
		}
	}, timeout(200*time.Millisecond))
	start := time.Now()
	got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
	mustFail(t, got, err, token.Unavailable)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestRedirectsAreNotFollowed (T43): neither for tokens nor for metadata.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, code := range []int{300, 301, 302, 303, 305, 307, 308} {
		t.Run(fmt.Sprint("T43 ", code), func(t *testing.T) {
			t.Parallel()
			evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				t.Errorf("the other host was sent %s %s", r.Method, r.URL)
				writeJSON(w, 200, activeJSON("x", ""))
			}))
			defer evil.Close()
			cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/elsewhere") {
					t.Error("a redirect to the same host was followed")
				}
				target := evil.URL
				if code%2 == 0 {
					target = "/elsewhere"
				}
				w.Header().Set("Location", target)
				writeJSON(w, code, activeJSON("x", ""))
			})
			got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
			mustFail(t, got, err, token.Unavailable)
			if cl.Probe(t.Context()) == nil {
				t.Error("a redirect passes for metadata")
			}
		})
	}
}

package okta_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

// TestContradictions (T27, T28, T40): usable answers about a token that is not for us.
func TestContradictions(t *testing.T) {
	t.Parallel()
	past := time.Now().Add(-time.Second).Unix()
	cases := []struct {
		name   string
		answer func(issuer string) string
		want   token.Failure // empty: believed
	}{
		{"good", func(iss string) string { return activeJSON(iss, "") }, ""},
		{"good, aud a list", func(iss string) string {
			return strings.Replace(activeJSON(iss, ""), `"api://default"`, `["x","api://default"]`, 1)
		}, ""},
		{"T40 inactive with claims", func(iss string) string { return strings.Replace(activeJSON(iss, ""), "true", "false", 1) }, token.Inactive},
		{"T40 exp past", func(iss string) string {
			return strings.Replace(activeJSON(iss, ""), `"exp":`, fmt.Sprintf(`"exp":%d,"was":`, past), 1)
		}, token.Expired},
		{"T40 exp absent", func(iss string) string { return strings.Replace(activeJSON(iss, ""), `"exp"`, `"not_exp"`, 1) }, token.WrongType},
		{"T40 iss wrong", func(iss string) string { return activeJSON(iss+"/", "") }, token.IssuerMismatch},
		{"T40 iss absent", func(iss string) string { return strings.Replace(activeJSON(iss, ""), `"iss"`, `"not_iss"`, 1) }, token.IssuerMismatch},
		{"T40 aud wrong", func(iss string) string {
			return strings.Replace(activeJSON(iss, ""), "api://default", "api://other", 1)
		}, token.AudienceMismatch},
		{"T40 aud absent", func(iss string) string { return strings.Replace(activeJSON(iss, ""), `"aud"`, `"not_aud"`, 1) }, token.AudienceMismatch},
		{"T40 client absent", func(iss string) string { return strings.Replace(activeJSON(iss, ""), `"client_id"`, `"not_id"`, 1) }, token.WrongType},
		{"T40 bare active", func(string) string { return `{"active":true}` }, token.WrongType},
		{"T27 scope and scp", func(iss string) string { return activeJSON(iss, `,"scp":["orders.write"]`) }, token.Malformed},
		{"T28 client_id and cid", func(iss string) string { return activeJSON(iss, `,"cid":"0oaOTHER"`) }, token.Malformed},
		{"T30 refresh token", func(string) string {
			return fmt.Sprintf(`{"active":true,"token_type":"Bearer","scope":"offline_access","client_id":"0oaMOBILE","exp":%d,"sub":"a","device_id":"x"}`, time.Now().Add(time.Hour).Unix())
		}, token.IssuerMismatch},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				writeJSON(w, 200, c.answer("http://"+r.Host+asPath))
			}))
			defer srv.Close()
			v := verifier(t, srv.URL+asPath, client(t, srv.URL))
			fact, err := v.Verify(t.Context(), parsed(t, canary), introspected)
			if c.want == "" {
				if err != nil || fact.Claims.UserID != "00uALICE" || fact.Took <= 0 {
					t.Errorf("%+v, %v", fact, err)
				}
				return
			}
			if known, ok := errors.AsType[*token.Error](err); !ok || known.Failure != c.want || fact.Mode != "" {
				t.Errorf("%+v, %v, want %q", fact, err, c.want)
			}
		})
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	// The server's clock is years away from ours, which must play no part.
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	reset := func(d time.Duration) string { return fmt.Sprint(date.Add(d).Unix()) }
	cases := []struct {
		name                    string
		retryAfter, reset, date string
		want                    time.Duration
	}{
		{"nothing said", "", "", "", time.Minute},
		{"reset", "", reset(40 * time.Second), date.Format(http.TimeFormat), 41 * time.Second},
		{"reset now", "", reset(0), date.Format(http.TimeFormat), time.Second},
		{"reset over", "", reset(-time.Hour), date.Format(http.TimeFormat), time.Second},
		{"reset far", "", reset(time.Hour), date.Format(http.TimeFormat), 5 * time.Minute},
		{"reset at the end of numbers", "", "9223372036854775807", date.Format(http.TimeFormat), 5 * time.Minute},
		{"reset at the beginning of numbers", "", "-9223372036854775808", date.Format(http.TimeFormat), time.Second},
		{"reset at the end, first year", "", "9223372036854775807", "Mon, 01 Jan 0001 00:00:00 GMT", 5 * time.Minute},
		{"reset in milliseconds", "", reset(40*time.Second) + "000", date.Format(http.TimeFormat), 5 * time.Minute},
		{"reset in words", "", "soon", date.Format(http.TimeFormat), time.Minute},
		{"reset, date broken", "", reset(40 * time.Second), "yesterday", time.Minute},
		{"retry after", "7", "", "", 7 * time.Second},
		{"retry after before reset", "7", reset(40 * time.Second), date.Format(http.TimeFormat), 7 * time.Second},
		{"retry after negative", "-7", "", "", time.Minute},
		{"retry after long", "86400", "", "", 5 * time.Minute},
		{"retry after that overflows a duration", "9223372037", "", "", 5 * time.Minute},
		{"retry after the end of numbers", "9223372036854775807", "", "", 5 * time.Minute},
		{"retry after in words", "soon", reset(40 * time.Second), date.Format(http.TimeFormat), 41 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				set := func(name, value string) {
					if value != "" {
						w.Header().Set(name, value)
					}
				}
				set("Retry-After", c.retryAfter)
				set("X-Rate-Limit-Reset", c.reset)
				set("Date", c.date)
				writeJSON(w, 429, `{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit due to too many requests."}`)
			})
			got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
			mustFail(t, got, err, token.RateLimited)
			if known, ok := errors.AsType[*token.Error](err); ok && known.RetryAfter != c.want {
				t.Errorf("wait %s, want %s", known.RetryAfter, c.want)
			}
		})
	}
}

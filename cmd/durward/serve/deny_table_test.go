package serve

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/durward/durward/policy/contract"
)

var updateDenials = flag.Bool("update-denials", false, "write testdata/deny.txtar")

// denyRow is a request that is denied.
type denyRow struct {
	path string
	// headers of the caller.
	headers http.Header
}

func bearing(path, text string) denyRow {
	return denyRow{path, http.Header{"Authorization": {"Bearer " + text}}}
}

// denyRows bring about every reason, some in more than one way: "reason" or "reason how".
func (s *strict) denyRows() map[string]denyRow {
	now := time.Now().Unix()
	at := func(d int64) string { return strconv.FormatInt(now+d, 10) }
	bound := s.with("cnf", `{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`)
	rows := map[string]denyRow{
		"request_malformed": {"/vault/items", http.Header{"Authorization": {"Bearer " + s.good(), "Bearer " + s.good()}}},
		"api_unknown":       bearing("/nowhere", s.good()),
		"token_missing":     {"/vault/items", nil},
		"token_malformed":   bearing("/vault/items", "a.b.c"),

		"token_not_yet_valid": bearing("/vault/items", s.with("nbf", at(3600))),
		"signature_invalid":   bearing("/vault/items", jws(usualHeader, s.claims(nil), rs256(evilRSA()))),
		"issuer_mismatch":     bearing("/vault/items", s.with("iss", `"https://elsewhere.example.com"`)),
		"audience_mismatch":   bearing("/vault/items", s.with("aud", `"api://other"`)),
		"token_type_wrong":    bearing("/vault/items", s.with("uid", "")),
		"binding_mismatch":    bearing("/vault/items", bound),
		"token_expired":       bearing("/vault/items", s.with("exp", at(-60))),
		"token_inactive":      bearing("/vault/items", s.unheardOf()),
		"token_revoked":       bearing("/vault/items", s.with("uid", `"00uMALLORY"`)),
		"proof_invalid":       {"/vault/items", http.Header{"Authorization": {"DPoP " + bound}, "Dpop": {"a.b.c"}}},
		"client_unknown":      bearing("/vault/items", s.with("cid", `"0oaNOBODY"`)),

		"application_disabled":              bearing("/vault/items", s.with("cid", `"0oaPARKED"`)),
		"application_disabled organization": bearing("/vault/items", s.with("cid", `"0oaTILL"`)),

		"grant_missing":            bearing("/vault/items", s.with("cid", `"0oaTOOL"`)),
		"operation_unknown path":   bearing("/vault/nowhere", s.good()),
		"operation_unknown method": bearing("/vault/put", s.good()),
		"scope_missing all":        bearing("/vault/both", s.good()),
		"scope_missing any":        bearing("/vault/either", s.good()),
		"step_up_required":         bearing("/vault/signed", s.with("acr", `"phr"`, "auth_time", at(-301))),
		"claim_mismatch claim":     bearing("/vault/staff", s.with("department", `"sales"`)),
		"claim_mismatch rule":      bearing("/vault/ruled", s.good()),
		"claim_mismatch header":    bearing("/vault/items", s.with("email", strconv.Quote(strings.Repeat("x", 8<<10)))),
	}
	for name, reason := range map[string]string{"broken": "okta_unavailable", "limited": "okta_rate_limited", "crowded": "overloaded", "absent": "internal"} {
		rows[reason] = bearing("/"+name+"/items", "opaque")
	}
	return rows
}

// denyCallers are the kinds of callers that are answered differently.
var denyCallers = []struct{ name, method, contentType string }{
	{"GET", http.MethodGet, ""},
	{"HEAD", http.MethodHead, ""},
	{"gRPC", http.MethodPost, "application/grpc"},
	{"gRPC-Web", http.MethodPost, "application/grpc-web+proto"},
}

// send sends the row as a caller through Envoy, gRPC by HTTP/2, and returns the answer
// without what differs each time: the date, and the decision's id.
func (row denyRow) send(t *testing.T, gateway, method, contentType string) string {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(contentType != "application/grpc")
	protocols.SetUnencryptedHTTP2(contentType == "application/grpc")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, Protocols: protocols}, Timeout: 20 * time.Second}
	req := must(http.NewRequestWithContext(t.Context(), method, "http://"+gateway+row.path, nil))
	for name, values := range row.headers {
		req.Header[name] = values
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d\n", res.StatusCode)
	for _, name := range slices.Sorted(maps.Keys(res.Header)) {
		for _, value := range res.Header[name] {
			if name != "Date" {
				fmt.Fprintf(&b, "%s: %s\n", strings.ToLower(name), value)
			}
		}
	}
	body := must(io.ReadAll(io.LimitReader(res.Body, 1<<20)))
	if len(res.Trailer) > 0 {
		t.Errorf("trailers: %v", res.Trailer)
	}
	if len(body) > 0 {
		fmt.Fprintf(&b, "\n%s\n", body)
	}
	id := res.Header.Get("X-Decision-Id")
	if len(id) != 16 {
		t.Errorf("decision id %q", id)
	}
	return strings.ReplaceAll(b.String(), id, "DECISION-ID")
}

// untilReset is how long a limit is in force, which the clock decides.
var untilReset = regexp.MustCompile(`retry-after: (\d+)\n`)

// TestDenyTable is what callers get through a real Envoy, for every reason.
func TestDenyTable(t *testing.T) {
	t.Parallel()
	s := newStrict(t, "")
	if got := ask(t, s.conn, "vault", "/vault/items", s.good()); got != "allow" {
		t.Fatalf("a good token: %s", got)
	}
	gateway := s.gateway(t)
	rows, answers := s.denyRows(), map[string]string{}
	archive := &txtar.Archive{Comment: []byte("What a real Envoy tells callers, for every reason and kind of caller; without date.\n\n")}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		reason, _, _ := strings.Cut(name, " ")
		for _, caller := range denyCallers {
			before := len(s.log.lines(t, "decision"))
			got := rows[name].send(t, gateway, caller.method, caller.contentType)
			logged := s.log.lines(t, "decision")[before:]
			if len(logged) != 1 || logged[0]["reason"] != reason {
				t.Errorf("%s, %s is logged as %v", name, caller.name, logged)
			}
			if reason == string(contract.OktaRateLimited) {
				wait := untilReset.FindStringSubmatch(got)
				if len(wait) != 2 || must(strconv.Atoi(wait[1])) < 1 || must(strconv.Atoi(wait[1])) > 61 {
					t.Errorf("%s, %s: retry after %q", name, caller.name, wait)
				}
				got = untilReset.ReplaceAllString(got, "retry-after: UNTIL-RESET\n")
			}
			answers[name+", "+caller.name] = got
			archive.Files = append(archive.Files, txtar.File{Name: name + ", " + caller.name, Data: []byte(got)})
		}
	}
	if seen := s.backend.take(); len(seen) > 0 {
		t.Errorf("the backend was asked %d times", len(seen))
	}
	path, text := filepath.Join("testdata", "deny.txtar"), txtar.Format(archive)
	if *updateDenials {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(must(os.ReadFile(path))), string(text)); diff != "" {
		t.Error(diff)
	}
	t.Run("every reason", func(t *testing.T) {
		for _, reason := range contract.Reasons() {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(rows)), func(name string) bool {
				return name == string(reason) || strings.HasPrefix(name, string(reason)+" ")
			}) {
				t.Errorf("%s has no row", reason)
			}
		}
	})
	t.Run("dead tokens", func(t *testing.T) {
		for _, caller := range denyCallers {
			dead := answers["token_inactive, "+caller.name]
			for _, name := range []string{"token_expired", "token_revoked"} {
				if diff := cmp.Diff(dead, answers[name+", "+caller.name]); diff != "" {
					t.Errorf("%s tells %s apart: %s", caller.name, name, diff)
				}
			}
		}
	})
	t.Run("gRPC client", func(t *testing.T) { s.denyByClient(t, gateway, rows) })
}

// denyByClient calls by a client of gRPC's own.
func (s *strict) denyByClient(t *testing.T, gateway string, rows map[string]denyRow) {
	conn := dial(t, gateway)
	for name, row := range rows {
		reason, _, _ := strings.Cut(name, " ")
		told := contract.Reason(reason).Denial()
		ctx := t.Context()
		for header, values := range row.headers {
			for _, value := range values {
				ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(header), value)
			}
		}
		err := conn.Invoke(ctx, row.path, new(emptypb.Empty), new(emptypb.Empty))
		if got := status.Convert(err); got.Code() != codes.Code(told.GRPC) || got.Message() != string(told.Told) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

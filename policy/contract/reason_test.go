package contract

import (
	"regexp"
	"testing"
)

// wire is the deny grammar as callers know it. A change here breaks them.
var wire = map[Reason]Denial{
	"request_malformed":    {Status: 400, Scheme: "Bearer", ChallengeError: "invalid_request", GRPC: 3},
	"token_missing":        {Status: 401, Scheme: "Bearer", GRPC: 16},
	"token_malformed":      {Status: 401, Scheme: "Bearer", ChallengeError: "invalid_token", GRPC: 16},
	"token_not_yet_valid":  {Status: 401, Scheme: "Bearer", ChallengeError: "invalid_token", GRPC: 16},
	"signature_invalid":    {Status: 401, Scheme: "Bearer", ChallengeError: "invalid_token", GRPC: 16},
	"issuer_mismatch":      {Status: 401, Scheme: "Bearer", ChallengeError: "invalid_token", GRPC: 16},
	"audience_mismatch":    {Status: 401, Scheme: "Bearer", ChallengeError: "invalid_token", GRPC: 16},
	"token_type_wrong":     {Status: 401, Scheme: "Bearer", ChallengeError: "invalid_token", GRPC: 16},
	"binding_mismatch":     {Status: 401, Scheme: "Bearer", ChallengeError: "invalid_token", GRPC: 16},
	"token_expired":        {Told: "token_inactive", Status: 401, Scheme: "Bearer", ChallengeError: "invalid_token", GRPC: 16},
	"token_inactive":       {Status: 401, Scheme: "Bearer", ChallengeError: "invalid_token", GRPC: 16},
	"token_revoked":        {Told: "token_inactive", Status: 401, Scheme: "Bearer", ChallengeError: "invalid_token", GRPC: 16},
	"proof_invalid":        {Status: 401, Scheme: "DPoP", ChallengeError: "invalid_dpop_proof", GRPC: 16},
	"step_up_required":     {Status: 401, Scheme: "Bearer", ChallengeError: "insufficient_user_authentication", GRPC: 16},
	"scope_missing":        {Status: 403, Scheme: "Bearer", ChallengeError: "insufficient_scope", GRPC: 7},
	"client_unknown":       {Status: 403, GRPC: 7},
	"application_disabled": {Status: 403, GRPC: 7},
	"grant_missing":        {Status: 403, GRPC: 7},
	"claim_mismatch":       {Status: 403, GRPC: 7},
	"api_unknown":          {Status: 404, GRPC: 12},
	"operation_unknown":    {Status: 404, GRPC: 12},
	"okta_unavailable":     {Status: 503, GRPC: 14, Retry: true},
	"okta_rate_limited":    {Status: 503, GRPC: 14, Retry: true},
	"overloaded":           {Status: 503, GRPC: 14, Retry: true},
	"internal":             {Status: 503, GRPC: 14, Retry: true},
}

func TestDenialsAreTheWires(t *testing.T) {
	t.Parallel()
	titles := map[string]Reason{}
	for _, r := range Reasons() {
		want, known := wire[r]
		if want.Told == "" {
			want.Told = r
		}
		got := r.Denial()
		want.Title = got.Title
		if !known || got != want {
			t.Errorf("%s: %+v, want %+v", r, got, want)
		}
		if other, taken := titles[got.Title]; taken && other != got.Told {
			t.Errorf("%s has the title of %s", r, other)
		}
		titles[got.Title] = got.Told
	}
	if len(wire) != len(Reasons()) {
		t.Errorf("%d reasons for %d rows", len(Reasons()), len(wire))
	}
	for _, r := range []Reason{"", "unheard_of"} {
		if r.Denial() != Internal.Denial() {
			t.Errorf("%q opens something", r)
		}
	}
}

// TestReasonsNeedNoEncoding: they stand as they are in URNs, grpc-message and labels, and
// titles in the error_description of RFC 6750 section 3.
func TestReasonsNeedNoEncoding(t *testing.T) {
	t.Parallel()
	name, words := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`), regexp.MustCompile(`^[ !#-\[\]-~]+$`)
	for _, r := range Reasons() {
		if d := r.Denial(); !name.MatchString(string(r)) || !words.MatchString(d.Title) {
			t.Errorf("%q %q", r, d.Title)
		}
	}
}

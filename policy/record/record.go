// Package record is the decision record: one per check, the same facts in the log, and
// later in the ring, the page and explain.
//
// It names people by Okta's stable user id, and by a pseudonym of their login unless the
// configuration says otherwise, and tokens by a short hash. It refuses to carry what could
// be used further: no token, no header, no query.
package record

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/token"
)

// Outcome is how a check ended, as metric label and log field.
type Outcome string

// The outcomes.
const (
	Allow Outcome = "allow"
	Deny  Outcome = "deny"
	// Failed is a deny that is not the caller's fault: its status is a 5xx.
	Failed Outcome = "error"
	// ShadowDeny is a verdict to deny, whosever fault, that shadow mode did not carry out:
	// the request passed.
	ShadowDeny Outcome = "shadow_deny"
)

// Unknown stands for the API or application of a decision that knows none, so that
// labels come from the catalogue or from here.
const Unknown = "unknown"

// Record is one decision. Times are UTC; Path is without its query.
type Record struct {
	Time       time.Time
	DecisionID string
	RequestID  string
	Outcome    Outcome
	Reason     string
	Detail     string
	// Status is the HTTP status of a deny, or what it would have been for a ShadowDeny; 0
	// on allow, where the backend decides.
	Status       int
	Method       string
	Host         string
	Path         string
	API          string
	Operation    string
	Organization string
	Application  string
	ClientID     string
	UserID       string
	// User is the subject as Pseudonyms names it; New leaves it empty.
	User    string
	TokenID string
	// Token is the first 8 hex digits of the token's SHA-256.
	Token string
	// Mode is how the token was verified; FactAge how old that knowledge was at the
	// decision; OktaTime how long Okta took for this check.
	Mode     string
	FactAge  time.Duration
	OktaTime time.Duration
	// Took is the whole check.
	Took time.Duration
	// Revision is the catalogue's.
	Revision string
}

// maxText bounds what a caller can write into one field, in bytes.
const maxText = 1 << 10

// New puts together the record of a decision made at now on a check that began at
// start. Texts that the caller or Okta chose are cut to 1 KiB, and name a credential that
// they repeat.
func New(d policy.Decision, r policy.Request, id, requestID, revision string, start, now time.Time) Record {
	path, _, _ := strings.Cut(r.Path, "?")
	secrets := credentials(d, r)
	text := func(s string) string { return cut(mask(s, secrets)) }
	c := d.Fact.Claims
	rec := Record{
		Time: now.UTC(), DecisionID: id, RequestID: text(requestID),
		Outcome: OutcomeOf(d), Reason: string(d.Reason), Detail: text(d.Detail), Status: d.Status(),
		Method: text(r.Method), Host: text(r.Host), Path: text(path),
		API: Unknown, Application: Unknown,
		ClientID: text(c.ClientID), UserID: text(c.UserID), TokenID: text(c.TokenID),
		Token: d.Token.Name(), Mode: string(d.Fact.Mode), FactAge: d.Fact.Age, OktaTime: d.Fact.Took,
		Took: now.Sub(start), Revision: revision,
	}
	if d.API != nil {
		rec.API = d.API.Name
	}
	if d.Operation != nil {
		rec.Operation = d.Operation.Path.String()
	}
	if d.Application != nil {
		rec.Application, rec.Organization = d.Application.Name, d.Application.Organization.Name
	}
	return rec
}

const (
	// shortestSecret is below every Okta token and above every scheme's name.
	shortestSecret = 16
	// maxSecrets bounds the work that one header can cause.
	maxSecrets = 8
)

// credentials are the texts that could open something: the token, or where none was
// found, whatever of the header looks like one.
func credentials(d policy.Decision, r policy.Request) []token.Token {
	if d.Token != (token.Token{}) {
		return []token.Token{d.Token}
	}
	var found []token.Token
	for _, value := range r.Authorization {
		for word := range strings.FieldsFuncSeq(value, func(c rune) bool { return c == ' ' || c == ',' }) {
			if t, err := token.Parse(word); err == nil && len(word) >= shortestSecret && len(found) < maxSecrets {
				found = append(found, t)
			}
		}
	}
	return found
}

// mask names a credential where a caller, or Okta's answer, repeats it in another place,
// and another's token that stands there.
func mask(text string, secrets []token.Token) string {
	for _, t := range secrets {
		if strings.Contains(text, t.Reveal()) {
			text = strings.ReplaceAll(text, t.Reveal(), t.String())
		}
	}
	return token.Mask(text)
}

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// OutcomeOf sorts a decision.
func OutcomeOf(d policy.Decision) Outcome {
	switch {
	case d.Allowed():
		return Allow
	case d.Shadowed():
		return ShadowDeny
	case d.Status() >= 500:
		return Failed
	default:
		return Deny
	}
}

// Log writes the record as one line with the constant message "decision", a warning where
// the verdict is nobody's fault but ours or Okta's. Empty fields are left out; durations
// are in seconds.
func (r Record) Log(ctx context.Context, log *slog.Logger) {
	level := slog.LevelInfo
	if r.Status >= 500 {
		level = slog.LevelWarn
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 24)
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("decision_id", r.DecisionID)
	text("request_id", r.RequestID)
	text("outcome", string(r.Outcome))
	text("reason", r.Reason)
	text("detail", r.Detail)
	if r.Status != 0 {
		attrs = append(attrs, slog.Int("status", r.Status))
	}
	text("method", r.Method)
	text("host", r.Host)
	text("path", r.Path)
	text("api", r.API)
	text("operation", r.Operation)
	text("organization", r.Organization)
	text("application", r.Application)
	text("client_id", r.ClientID)
	text("user_id", r.UserID)
	text("user", r.User)
	text("token_id", r.TokenID)
	text("token_sha8", r.Token)
	if r.Mode != "" {
		text("mode", r.Mode)
		attrs = append(attrs,
			slog.Float64("fact_age_s", r.FactAge.Seconds()),
			slog.Float64("okta_s", r.OktaTime.Seconds()))
	}
	attrs = append(attrs, slog.Float64("duration_s", r.Took.Seconds()))
	text("revision", r.Revision)
	log.LogAttrs(ctx, level, "decision", attrs...)
}

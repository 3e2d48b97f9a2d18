package call

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/durward/durward/policy/contract"
)

// What went wrong with a call.
var (
	// ErrUnreachable is a gateway that does not answer.
	ErrUnreachable = errors.New("the gateway cannot be reached")
	// ErrDenied is a denial of the request (4xx).
	ErrDenied = errors.New("the request was denied")
	// ErrUnavailable is a 503 of Durward's, or of Envoy's own: nobody could decide.
	ErrUnavailable = errors.New("nobody could decide about the request")
	// ErrUndecided is any other answer that nothing was decided about.
	ErrUndecided = errors.New("the request was answered before anything was decided")
)

// MaxBody is the largest part of an answer's body that is read, in bytes.
const MaxBody = 16 << 20

// Verdict is what was decided about a request.
type Verdict string

// The verdicts. The zero Verdict is none of them.
const (
	Allowed   Verdict = "allowed"
	Denied    Verdict = "denied"
	Undecided Verdict = "undecided"
)

// Origin is who wrote an answer.
type Origin string

// The origins.
const (
	Backend Origin = "backend"
	Durward Origin = "durward"
	Envoy   Origin = "envoy"
	Unknown Origin = "unknown"
)

// Answer is the answer to a call. Its JSON form is an interface: names and values stay.
type Answer struct {
	// Status is the HTTP status.
	Status     int     `json:"status"`
	Verdict    Verdict `json:"verdict"`
	AnsweredBy Origin  `json:"answered_by"`
	// Reason is set where Verdict is Denied, but for HEAD requests.
	Reason contract.Reason `json:"reason,omitempty"`
	// DecisionID is empty where Verdict is Undecided.
	DecisionID string `json:"decision_id,omitempty"`
	// ScopesNeeded are those of the challenge (RFC 6750 section 3).
	ScopesNeeded []string `json:"scopes_needed,omitempty"`
	// ACRValuesNeeded and MaxAge, in seconds, are those of the challenge (RFC 9470 section
	// 3): a sign-in by one of the first, and not longer ago than the second.
	ACRValuesNeeded []string `json:"acr_values_needed,omitempty"`
	MaxAge          *int     `json:"max_age_seconds,omitempty"`
	// RetryAfter is in seconds; 0 is unknown.
	RetryAfter int `json:"retry_after_seconds,omitempty"`
	// Cause is the likely one where Verdict is Undecided.
	Cause       string `json:"cause,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	// Body is set where the body is UTF-8, BodyBase64 where it is not. Truncated says
	// that the body is longer than MaxBody.
	Body       string `json:"body,omitempty"`
	BodyBase64 []byte `json:"body_base64,omitempty"`
	Truncated  bool   `json:"truncated,omitempty"`
	// Next are commands that help.
	Next []string `json:"next,omitempty"`
}

// Send sends req and returns the answer and its body's bytes. Status and headers of any
// kind are an answer; no answer is an ErrUnreachable, unless ctx was cancelled.
func Send(ctx context.Context, req *http.Request, timeout time.Duration) (Answer, []byte, error) {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true, DisableCompression: true}
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req.WithContext(bounded))
	if err != nil {
		return Answer{}, nil, unreachable(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxBody+1))
	if err != nil {
		return Answer{}, nil, unreachable(ctx, err)
	}
	truncated := len(body) > MaxBody
	body = body[:min(len(body), MaxBody)]
	a := judge(res, body)
	a.Truncated = truncated
	if utf8.Valid(body) {
		a.Body = string(body)
	} else {
		a.BodyBase64 = body
	}
	return a, body, nil
}

// Err is nil for an allowed request, whatever the backend made of it, else ErrDenied,
// ErrUnavailable or ErrUndecided.
func (a Answer) Err() error {
	switch {
	case a.Verdict == Allowed:
		return nil
	case a.AnsweredBy != Unknown && a.Status == http.StatusServiceUnavailable:
		return ErrUnavailable
	case a.Verdict == Denied:
		return ErrDenied
	}
	return ErrUndecided
}

func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// judge tells the answers apart by their marks. Every decision of Durward's carries its
// id; only denials are a problem of our type.
func judge(res *http.Response, body []byte) Answer {
	a := Answer{Status: res.StatusCode, ContentType: res.Header.Get("Content-Type")}
	if id := res.Header.Get(contract.HeaderDecisionID); plainID.MatchString(id) {
		a.DecisionID = id
	}
	switch {
	case a.DecisionID != "" && a.isDenial(res, body):
		a.Verdict, a.AnsweredBy = Denied, Durward
		a.readChallenge(res.Header.Get("WWW-Authenticate"))
		if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
			a.RetryAfter = seconds
		}
	case a.DecisionID != "":
		a.Verdict, a.AnsweredBy = Allowed, Backend
	case res.Header.Get("Server") == "envoy":
		a.Verdict, a.AnsweredBy, a.Cause = Undecided, Envoy, envoyCause(res.StatusCode)
	default:
		a.Verdict, a.AnsweredBy = Undecided, Unknown
		a.Cause = "neither Durward nor Envoy wrote this answer: is the gateway's url in the configuration that of another server?"
	}
	return a
}

// reasonType begins the `type` of every denial's problem (RFC 9457).
const reasonType = "urn:durward:reason:"

// isDenial recognises a denial and takes its reason over.
func (a *Answer) isDenial(res *http.Response, body []byte) bool {
	if res.Request.Method == http.MethodHead {
		return a.isHeadDenial(res.Header)
	}
	kind, _, err := mime.ParseMediaType(a.ContentType)
	if err != nil || kind != "application/problem+json" {
		return false
	}
	var problem struct {
		Type       string          `json:"type"`
		Status     int             `json:"status"`
		Reason     contract.Reason `json:"reason"`
		DecisionID string          `json:"decision_id"`
	}
	if json.Unmarshal(body, &problem) != nil || problem.Type != reasonType+string(problem.Reason) || !plainID.MatchString(string(problem.Reason)) ||
		problem.Status != a.Status || problem.DecisionID != a.DecisionID {
		return false
	}
	a.Reason = problem.Reason
	return true
}

// isHeadDenial knows less: a denial of HEAD has no body, and Envoy drops the content type
// of its own replies with it. What is left is a status of ours and a cache control that
// backends may send too.
func (a *Answer) isHeadDenial(h http.Header) bool {
	ours := slices.ContainsFunc(contract.Reasons(), func(r contract.Reason) bool { return r.Denial().Status == a.Status }) ||
		a.Status == http.StatusMethodNotAllowed
	return ours && a.ContentType == "" && h.Get("Cache-Control") == "no-store"
}

// What goes into lines for people and into commands to type is of these forms.
var (
	plainID         = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	scopeParameter  = regexp.MustCompile(`\bscope="([\x20\x21\x23-\x5B\x5D-\x7E]*)"`)      // RFC 6749 section 3.3
	acrParameter    = regexp.MustCompile(`\bacr_values="([\x20\x21\x23-\x5B\x5D-\x7E]*)"`) // RFC 9470 section 3
	maxAgeParameter = regexp.MustCompile(`\bmax_age="([0-9]{1,9})"`)
)

func (a *Answer) readChallenge(challenge string) {
	words := func(parameter *regexp.Regexp) []string {
		if m := parameter.FindStringSubmatch(challenge); m != nil {
			return strings.Fields(m[1])
		}
		return nil
	}
	a.ScopesNeeded, a.ACRValuesNeeded = words(scopeParameter), words(acrParameter)
	if m := words(maxAgeParameter); m != nil {
		if seconds, err := strconv.Atoi(m[0]); err == nil {
			a.MaxAge = &seconds
		}
	}
}

// envoyCause is what usually makes Envoy answer by itself.
func envoyCause(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "Envoy takes the request itself for broken: a header name with an underscore, a bad escape in the path, or bad framing"
	case http.StatusNotFound:
		return "Envoy has no route at all: it has no configuration from Durward yet, or one of another gateway"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "the request or its answer took too long for Envoy"
	case http.StatusRequestEntityTooLarge:
		return "the body is larger than Envoy takes"
	case http.StatusUpgradeRequired:
		return "Envoy does not speak this version of HTTP"
	case http.StatusRequestHeaderFieldsTooLarge:
		return "the headers are larger than Envoy takes"
	case http.StatusServiceUnavailable:
		return "Envoy got no decision: Durward is not running, or does not answer in time"
	}
	return "Envoy answered before anything was decided"
}

package oktatest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Limits are an org's rate limits: requests per window of 60 seconds, one bucket a
// field, as Okta cuts them. A window opens with its first request. What is zero is
// not enforced, and its answers carry the headers of an idle org.
type Limits struct {
	// Rest is shared by introspect, revoke, userinfo and logout of all custom
	// authorization servers; so are Authorize and Token by theirs.
	Rest, Authorize, Token int
	// The same of the org authorization server.
	OrgRest, OrgAuthorize, OrgToken int
	// Concurrent is how many requests to limited endpoints the org has in hand at a
	// time. One more is refused with Limit and Remaining 0, which is how Okta tells
	// that from a spent window; Reset then means little.
	Concurrent int
	// RetryAfter adds Retry-After to refusals, which Okta does not document.
	RetryAfter bool
}

const window = 60 * time.Second

// bucket counts one limit of an org.
type bucket int

const (
	unlimited bucket = iota // keys and metadata
	bucketRest
	bucketAuthorize
	bucketToken
	bucketOrgRest // the org server's, in the same order
	bucketOrgAuthorize
	bucketOrgToken
	buckets

	toOrg = bucketOrgRest - bucketRest
)

// in returns the bucket for an authorization server.
func (b bucket) in(as string) bucket {
	if b == unlimited || as != OrgServer {
		return b
	}
	return b + toOrg
}

// limiter needs Server.mu.
type limiter struct {
	Limits
	limit    [buckets]int // what is enforced now
	used     [buckets]int
	opened   [buckets]time.Time // zero: no window yet
	inFlight int
	refused  map[Endpoint]int
}

func newLimiter(l Limits) limiter {
	made := limiter{Limits: l, refused: map[Endpoint]int{}}
	made.restore()
	return made
}

// restore enforces what was configured.
func (l *limiter) restore() {
	l.limit = [buckets]int{0, l.Rest, l.Authorize, l.Token, l.OrgRest, l.OrgAuthorize, l.OrgToken}
}

// admission is what the limiter said of a request.
type admission struct {
	limit, remaining int
	reset            time.Time
	refused          bool
	slot             bool // it counts as in hand until leave
}

// admit counts a request; what is refused counts too, but holds no slot.
func (l *limiter) admit(e Endpoint, b bucket, now time.Time) admission {
	if l.Concurrent > 0 && l.inFlight >= l.Concurrent {
		l.refused[e]++
		return admission{reset: now.Add(window), refused: true}
	}
	l.inFlight++
	if l.limit[b] == 0 {
		return admission{limit: rateLimit, remaining: rateLimit - 1, reset: now.Add(window), slot: true}
	}
	if age := now.Sub(l.opened[b]); age < 0 || age >= window {
		l.opened[b], l.used[b] = now.Truncate(time.Second), 0 // so that it ends when Reset, in seconds, says
	}
	l.used[b]++
	a := admission{limit: l.limit[b], remaining: l.limit[b] - l.used[b], reset: l.opened[b].Add(window), slot: true}
	if a.remaining < 0 {
		l.inFlight--
		l.refused[e]++
		a.remaining, a.refused, a.slot = 0, true, false
	}
	return a
}

func (s *Server) leave(a admission) {
	if !a.slot {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter.inFlight--
}

// Refused returns how many calls to an endpoint a limit refused, over all
// authorization servers. [Server.Calls] counts them as well.
func (s *Server) Refused(e Endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limiter.refused[e]
}

// refuse answers 429.
func (s *Server) refuse(w http.ResponseWriter, limit int, reset time.Time) {
	setRateLimit(w, limit, 0, reset.Unix())
	if s.config.Limits.RetryAfter {
		seconds := int64((reset.Sub(s.now()) + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
	}
	errRateLimit.write(w)
}

func setRateLimit(w http.ResponseWriter, limit, remaining int, reset int64) {
	w.Header().Set("X-Rate-Limit-Limit", strconv.Itoa(limit))
	w.Header().Set("X-Rate-Limit-Remaining", strconv.Itoa(remaining))
	w.Header().Set("X-Rate-Limit-Reset", strconv.FormatInt(reset, 10))
}

func (l Limits) check() error {
	for _, n := range []int{l.Rest, l.Authorize, l.Token, l.OrgRest, l.OrgAuthorize, l.OrgToken, l.Concurrent} {
		if n < 0 {
			return fmt.Errorf("rate limit %d is negative", n)
		}
	}
	return nil
}

// setLimit enforces perMinute for the buckets of an endpoint, those of the custom
// servers and of the org server each; the empty endpoint stands for all. It needs
// Server.mu.
func (l *limiter) setLimit(e Endpoint, perMinute int) {
	for b := range l.limit {
		of := bucketOf[e]
		if e == "" || bucket(b) == of || bucket(b) == of+toOrg {
			l.limit[b] = perMinute
		}
	}
}

// bucketOf has the limited endpoints.
var bucketOf = map[Endpoint]bucket{
	Introspect: bucketRest, Revoke: bucketRest, UserInfo: bucketRest, Logout: bucketRest,
	Authorize: bucketAuthorize, Token: bucketToken,
}

var errNoBucket = errors.New("keys and metadata are not rate limited")

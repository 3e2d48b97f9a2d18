package oktatest

import (
	"math/rand/v2"
	"net/http"
)

// Endpoint names one kind of request, for [Server.Calls] and [Server.Respond].
type Endpoint string

// The endpoints. Metadata stands for all three metadata documents; Authorize
// also for what its sign-in page submits.
const (
	Authorize  Endpoint = "authorize"
	Token      Endpoint = "token"
	Introspect Endpoint = "introspect"
	Revoke     Endpoint = "revoke"
	Keys       Endpoint = "keys"
	Metadata   Endpoint = "metadata"
	UserInfo   Endpoint = "userinfo"
	Logout     Endpoint = "logout"
)

// faults is what tests ordered. It is guarded by Server.mu.
type faults struct {
	down    bool
	status  int
	left    int // answers still to fail; negative: until cleared
	calls   map[Endpoint]int
	scripts map[Endpoint]http.Handler
	ordered []Fault // oldest first
	random  *rand.Rand
}

func newFaults() faults {
	return faults{
		calls: map[Endpoint]int{}, scripts: map[Endpoint]http.Handler{},
		random: rand.New(rand.NewPCG(1, 1)), //nolint:gosec // no secret, and the same for each server
	}
}

// Fail makes the next n answers of any endpoint carry status and the body that
// Okta (for 502 and 504, a proxy before it) sends with it. A negative n lasts
// until the next Fail; Fail(0, 0) clears. A status outside 400 to 599 is taken
// as 500. A 429 comes with exhausted X-Rate-Limit headers and, like Okta's,
// without Retry-After.
func (s *Server) Fail(status, n int) {
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.status, s.faults.left = status, n
}

// Respond lets h answer every request to an endpoint, in place of Okta and of
// [Server.Fail]: for replies that Okta would never send. None of the usual
// headers is set. The request's body is capped at 64 KiB. A nil h gives the
// endpoint back.
func (s *Server) Respond(e Endpoint, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h == nil {
		delete(s.faults.scripts, e)
		return
	}
	s.faults.scripts[e] = h
}

// Calls returns how many requests reached an endpoint, over all authorization
// servers: failed and refused ones count, CORS preflights and what came while
// the server was down do not.
func (s *Server) Calls(e Endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.calls[e]
}

// arrival is what is known of a request before it is answered.
type arrival struct {
	admission
	faults []Fault
	script http.Handler
	status int // of Fail; zero: none
}

// arrive counts a request to an endpoint and takes what was ordered for it. A script
// stands in place of Okta, so that it meets no limit.
func (s *Server) arrive(e Endpoint, as string) arrival {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.calls[e]++
	a := arrival{script: s.faults.scripts[e]}
	if b := bucketOf[e].in(as); a.script == nil && b != unlimited {
		a.admission = s.limiter.admit(e, b, now)
	}
	if a.refused {
		return a
	}
	a.faults = s.faults.take(e)
	if a.script != nil || s.faults.left == 0 {
		return a
	}
	if s.faults.left > 0 {
		s.faults.left--
	}
	a.status = s.faults.status
	return a
}

func (s *Server) fail(w http.ResponseWriter, status int) {
	switch status {
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		writeBadGateway(w, status)
		return
	case http.StatusTooManyRequests:
		s.refuse(w, rateLimit, s.now().Add(window))
		return
	}
	problemFor(status).write(w)
}

func (s *Server) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.down = down
}

func (s *Server) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.down
}

package oktatest

import (
	"fmt"
	"net/http"
	"time"
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

// Deactivate deactivates a user (by login or id) or a client (by name or client
// id). All their tokens, codes and sessions end at once, for good. A name that
// is neither, or both, is an error.
func (s *Server) Deactivate(userOrClient string) error {
	person, app := s.user(userOrClient), s.client(userOrClient)
	if (person == nil) == (app == nil) {
		return fmt.Errorf("oktatest: %q does not name exactly one user or client", userOrClient)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if person != nil {
		person.inactive = true
		return nil
	}
	app.inactive = true
	return nil
}

// called counts a request and returns how it is to be answered: by a script,
// with a status, or (nil and 0) as usual.
func (s *Server) called(e Endpoint) (http.Handler, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.calls[e]++
	if script := s.faults.scripts[e]; script != nil {
		return script, 0
	}
	if s.faults.left == 0 {
		return nil, 0
	}
	if s.faults.left > 0 {
		s.faults.left--
	}
	return nil, s.faults.status
}

func (s *Server) fail(w http.ResponseWriter, status int) {
	switch status {
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		writeBadGateway(w, status)
		return
	case http.StatusTooManyRequests:
		setRateLimit(w, rateLimit, 0, s.now().Add(time.Minute).Unix())
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

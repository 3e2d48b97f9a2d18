package oktatest

import "fmt"

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

// Suspend suspends a user, by login or id: nobody signs in as them, and their
// tokens introspect as inactive and do nothing until [Server.Unsuspend]. An
// unknown user is an error.
func (s *Server) Suspend(user string) error { return s.setSuspended(user, true) }

// Unsuspend ends [Server.Suspend]: what has not expired or been revoked meanwhile
// is live again. It does not undo [Server.Deactivate].
func (s *Server) Unsuspend(user string) error { return s.setSuspended(user, false) }

func (s *Server) setSuspended(user string, suspended bool) error {
	person := s.user(user)
	if person == nil {
		return fmt.Errorf("oktatest: no user %q", user)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	person.suspended = suspended
	return nil
}

// Unassign takes a user (by login or id) off an application (by name or client
// id). The codes and tokens that it has for them end for good, and it gets no new
// ones until [Server.Assign].
func (s *Server) Unassign(user, client string) error { return s.setAssigned(user, client, false) }

// Assign ends [Server.Unassign]. Everybody is assigned to every application at first.
func (s *Server) Assign(user, client string) error { return s.setAssigned(user, client, true) }

func (s *Server) setAssigned(user, client string, assigned bool) error {
	person, app := s.user(user), s.client(client)
	if person == nil || app == nil {
		return fmt.Errorf("oktatest: no user %q or no client %q", user, client)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if assigned {
		delete(app.unassigned, person)
		return nil
	}
	app.unassigned[person] = true
	for _, t := range s.tokens.items {
		if t.grant.app == app && t.grant.user == person {
			t.grant.revoked = true
		}
	}
	for _, code := range s.codes.items {
		if code.app == app && code.user == person {
			code.used = true
		}
	}
	return nil
}

func (s *Server) isAssigned(user *account, app *application) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !app.unassigned[user]
}

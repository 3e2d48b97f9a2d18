package okta

import "time"

// Status tells how a client is, for metrics and for people.
type Status struct {
	// Breaker is closed, half-open or open.
	Breaker string
	// Remaining are the calls left of our share of the organization's rate limit in this
	// minute.
	Remaining int
	// Refused says that the server refuses our credentials, Stale that the secret or key
	// file cannot be used and what was read before is.
	Refused, Stale bool
	// StaleCA says that the CA file cannot be used and what was read before is.
	StaleCA bool
	// Skew is how far the server's clock is ahead of ours, if SkewKnown.
	Skew      time.Duration
	SkewKnown bool
}

var breakerStates = [...]string{"closed", "half-open", "open"}

// Status asks nothing of the server.
func (c *Client) Status() Status {
	s := Status{Breaker: breakerStates[c.breaker.state()], Remaining: c.budget.Rate().Remaining}
	s.Refused, s.Stale = c.credentials.alarms()
	s.StaleCA = c.trusted != nil && c.trusted.stale.Load()
	s.Skew, s.SkewKnown = c.skew.read()
	return s
}

package okta

import (
	"net/http"
	"sync"
	"time"
)

// minSkew is the least difference of clocks that is worth an alarm: Date has whole
// seconds.
const minSkew = 2 * time.Second

// skew is how far the server's clock is ahead of ours, as its last answer had it.
type skew struct {
	mu    sync.Mutex
	known bool
	ahead time.Duration
	alarm alarm
}

// read returns the skew, and whether any answer told of it.
func (s *skew) read() (ahead time.Duration, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ahead, s.known
}

func (s *skew) set(ahead time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead, s.known = ahead, true
}

// learnClock compares the server's clock with ours by the Date (RFC 9110 section 6.6.1) of
// an answer to a request that began then. An answer with an Age comes from a cache, and
// its Date tells of another moment.
func (c *Client) learnClock(r reply, began time.Time) {
	date, err := http.ParseTime(r.header.Get("Date"))
	if err != nil || r.header.Get("Age") != "" {
		return
	}
	// The answer was dated within the request, and the second that Date names.
	doubt := (time.Second + r.took) / 2
	ahead := date.Add(time.Second / 2).Sub(began.Add(r.took / 2))
	c.skew.set(ahead)
	allowed := max(c.config.Leeway, minSkew)
	switch size := ahead.Abs(); {
	case size-doubt > allowed:
		if c.skew.alarm.turn(true) {
			c.log.Warn("the server's clock and ours differ by more than the leeway; tokens are refused too early or as not yet valid",
				"skew_seconds", ahead.Seconds(), "leeway", c.config.Leeway.String(), "fix", "synchronise this machine's clock by NTP")
		}
	case size+doubt <= allowed:
		if c.skew.alarm.turn(false) {
			c.log.Info("the server's clock and ours agree again", "skew_seconds", ahead.Seconds())
		}
	}
}

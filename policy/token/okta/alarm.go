package okta

import (
	"sync"
	"time"
)

// alarmInterval is the least time between two lines that raise the same alarm.
const alarmInterval = time.Minute

// alarm is a state of the server's that the log has to tell of once, not with every
// answer. What comes and goes all the time is told once a minute.
type alarm struct {
	mu sync.Mutex
	// told is the state as the log has it, since at.
	told bool
	at   time.Time
}

// turn reports whether the log has to be told that the state is on.
func (a *alarm) turn(on bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if on == a.told || on && !a.at.IsZero() && time.Since(a.at) < alarmInterval {
		return false
	}
	a.told = on
	if on {
		a.at = time.Now()
	}
	return true
}

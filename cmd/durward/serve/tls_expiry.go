package serve

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/durward/durward/cmd/durward/admin"
)

// expiryAlarm is how long before its end a certificate is warned of, unless that is more
// than a third of its life: those that live for hours are renewed by machines.
const expiryAlarm = 7 * 24 * time.Hour

func alarmFor(c *x509.Certificate) time.Time {
	return c.NotAfter.Add(-min(expiryAlarm, c.NotAfter.Sub(c.NotBefore)/3))
}

// What a port's certificate can be, as states of admin.Object.
const (
	certificateOK       = "ok"
	certificateUnread   = "unread"
	certificateRejected = "rejected"
	certificateExpiring = "expiring"
	certificateExpired  = "expired"
)

const renewal = "put a new certificate and its key in the place of the files; durward and Envoy need no new start"

// expired is why a connection is refused once our certificate is of the past. Envoy would
// refuse it too, and say less.
type expired struct{ at time.Time }

func (e expired) Error() string {
	return "our certificate expired at " + e.at.UTC().Format(time.RFC3339)
}

// condition is how the certificate of the port stands; reason and fix are empty where all
// is well.
func (g *guard) condition(now time.Time) (state, reason, fix string) {
	r, rejected := g.serving.Load(), g.rejected.Load()
	switch {
	case r == nil:
		return certificateUnread, "no certificate has been read; new connections are refused", ""
	case now.After(r.expiry):
		return certificateExpired, expired{r.expiry}.Error() + "; new connections are refused", renewal
	case rejected != nil:
		return certificateRejected, "the newest certificate files cannot be used, the old ones are until " + r.expiry.UTC().Format(time.RFC3339) + ": " + *rejected, "put a certificate and its key there that belong together"
	case now.After(r.alarm):
		return certificateExpiring, "our certificate expires at " + r.expiry.UTC().Format(time.RFC3339), renewal
	}
	return certificateOK, "", ""
}

// remind tells the log of an end that is near or past, once for each certificate.
func (g *guard) remind(now time.Time) {
	state, reason, fix := g.condition(now)
	if state != certificateExpiring && state != certificateExpired {
		return
	}
	said := state + reason
	if g.reminded == said {
		return
	}
	g.reminded = said
	if state == certificateExpired {
		g.log.Error("the listener's certificate has expired", "listener", g.name, "reason", reason, "fix", fix)
		return
	}
	g.log.Warn("the listener's certificate expires soon", "listener", g.name, "reason", reason, "fix", fix)
}

// certificates are the ports that speak TLS, as status shows them.
func (s *Server) certificates(now time.Time) (objects []admin.Object) {
	for _, name := range []string{"check", "xds"} {
		if g := s.guards[name]; g != nil {
			state, reason, fix := g.condition(now)
			if fix != "" {
				reason = fmt.Sprintf("%s; fix: %s", reason, fix)
			}
			objects = append(objects, admin.Object{Kind: "listener", Name: name, State: state, Reason: reason})
		}
	}
	return objects
}

// certificateLines tell of the certificates that need somebody, for probes.
func certificateLines(guards map[string]*guard, now time.Time) (all []string) {
	for _, name := range []string{"check", "xds"} {
		if g := guards[name]; g != nil {
			if state, reason, fix := g.condition(now); state != certificateOK {
				all = append(all, "listener "+name+": "+reason)
				if fix != "" {
					all = append(all, "  fix: "+fix)
				}
			}
		}
	}
	return all
}

package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/durward/durward/cmd/durward/admin"
	"github.com/durward/durward/policy/catalog"
)

// AdminAddress is where durward status finds this server: host:port, or unix:/path.
func (s *Server) AdminAddress() string { return addressOf(s.listeners.admin.Addr()) }

// status is what the admin port tells. It waits for no reload.
func (s *Server) status() admin.Status {
	cat := s.shown.Load()
	if cat == nil {
		return admin.Status{}
	}
	objects := []admin.Object{s.state.catalogue(s.path)}
	for _, server := range cat.Servers {
		objects = append(objects, s.state.server(server, time.Now()))
	}
	objects = append(objects, s.certificates(time.Now())...)
	now := s.ads.Status()
	gateways, behind := envoys(cat, now)
	objects = append(objects, gateways...)
	objects = append(objects, denials(cat, time.Now())...)
	objects = append(objects, organizations(cat)...)
	return admin.Status{Revision: cat.Revision, Objects: append(objects, apis(cat, behind, now.Parked)...)}
}

// catalogue is the configuration: what serves, and why not the newest.
func (s *state) catalogue(path string) admin.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := admin.Object{Kind: "catalogue", Name: path, State: "serving", Revision: s.revision}
	if len(s.why) > 0 {
		o.State, o.Reason = "rejected", "the newest change does not serve: "+s.why[0].told
		if s.degraded {
			o.State, o.Reason = "degraded", "the last good copy serves: "+s.why[0].told
		}
		if s.why[0].fix != "" {
			o.Reason += "; fix: " + s.why[0].fix
		}
		if more := len(s.why) - 1; more > 0 {
			o.Reason += fmt.Sprintf(" (and %d more)", more)
		}
	}
	if s.draining {
		o.State = "draining"
	}
	return o
}

// server is an authorization server, as far as it was asked.
func (s *state) server(server *catalog.AuthorizationServer, now time.Time) admin.Object {
	o := admin.Object{Kind: "authorization_server", Name: server.Name, State: "untried"}
	s.mu.Lock()
	u := s.upstreams[identityOf(server)]
	s.mu.Unlock()
	if u == nil {
		return o
	}
	o.State, o.Reason = u.condition(now)
	return o
}

// condition is the worst that is known of the server, or how well it does.
func (u *upstream) condition(now time.Time) (state, reason string) {
	select {
	case <-u.asked:
	default:
		return "untried", ""
	}
	s := u.client.Status()
	budget := fmt.Sprintf("%d calls left in this minute", s.Remaining)
	switch {
	case s.Refused:
		return "refused", "it refuses our client credentials"
	case s.Breaker != "closed" && s.StaleCA:
		return "unavailable", "it does not answer, and ca_file cannot be used; the circuit breaker is " + s.Breaker
	case s.Breaker != "closed":
		return "unavailable", "it does not answer; the circuit breaker is " + s.Breaker
	case s.Stale:
		return "degraded", "the file with the secret or key cannot be used; what was read before is"
	case s.StaleCA:
		return "degraded", "ca_file cannot be used; the authorities read before are"
	case u.keys == nil:
		return "ok", budget
	}
	keys := u.keys.Status()
	if keys.Err != nil {
		return "degraded", "its keys cannot be fetched: " + cut(keys.Err.Error())
	}
	return "ok", fmt.Sprintf("%d keys, fetched %s ago; %s", len(keys.KeyIDs), now.Sub(keys.FetchedAt).Round(time.Second), budget)
}

// denials are those in force, by their place: whom they name is for readers of the
// configuration.
func denials(cat *catalog.Catalogue, now time.Time) (objects []admin.Object) {
	for _, d := range cat.Denials {
		if !d.InForce(now) {
			continue
		}
		kind := "a token"
		switch {
		case d.UserID != "":
			kind = "a user"
		case d.ClientID != "":
			kind = "client " + d.ClientID
		}
		if !d.Until.IsZero() {
			kind += " until " + d.Until.UTC().Format(time.RFC3339)
		}
		objects = append(objects, admin.Object{
			Kind: "denial", Name: fmt.Sprintf("%s:%d", d.At.File, d.At.Line), State: "in_force", Reason: kind, Revision: cat.Revision,
		})
	}
	return objects
}

func organizations(cat *catalog.Catalogue) (objects []admin.Object) {
	add := func(kind, name string, off bool, reason string) {
		o := admin.Object{Kind: kind, Name: name, State: "enabled", Revision: cat.Revision}
		if off {
			o.State, o.Reason = "disabled", reason
		}
		objects = append(objects, o)
	}
	for _, org := range cat.Organizations {
		add("organization", org.Name, org.Disabled, "")
		for _, app := range org.Applications {
			reason := ""
			if org.Disabled {
				reason = "its organization is disabled"
			}
			add("application", org.Name+"/"+app.Name, app.Disabled || org.Disabled, reason)
		}
	}
	return objects
}

// shutDown lets answers under way end as long as ctx does.
func shutDown(ctx context.Context, server *http.Server) error {
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // who keeps a connection open must not keep us
	}
	return err
}

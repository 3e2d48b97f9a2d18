package serve

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/cmd/durward/admin"
	"github.com/durward/durward/envoy/ads"
	"github.com/durward/durward/policy/catalog"
)

// object asks the admin port for one object, and fails if it is not there.
func object(t *testing.T, s *Server, kind, name string) admin.Object {
	t.Helper()
	status, err := admin.Fetch(t.Context(), s.AdminAddress())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(status.Objects, func(o admin.Object) bool { return o.Kind == kind && (name == "" || o.Name == name) })
	if i < 0 {
		t.Fatalf("no %s %q in %+v", kind, name, status.Objects)
	}
	return status.Objects[i]
}

func TestStatus(t *testing.T) {
	t.Parallel()
	_, c := newOrg(t)
	c.apis = []string{"orders", "items"}
	good := c.text() + "denials: [ { user_id: 00uEVE, reason: canary }, { client_id: 0oaMOBILE, until: 2999-01-01T00:00:00Z, reason: canary }, { token_id: AT.canary, until: 2020-01-01T00:00:00Z, reason: canary } ]\n"
	good = strings.Replace(good, "- name: items\n", "- name: items\n    mode: shadow\n", 1)
	writeFile(t, c.file(), good, 0o600)
	s, _ := begin(t, c)
	ready(t, s)
	revision := s.Catalogue().Revision

	status, err := admin.Fetch(t.Context(), s.AdminAddress())
	if err != nil {
		t.Fatal(err)
	}
	at := func(kind, name string) int {
		return slices.IndexFunc(status.Objects, func(o admin.Object) bool { return o.Kind == kind && o.Name == name })
	}
	if i := at("authorization_server", s.Catalogue().Servers[0].Name); i < 0 {
		t.Errorf("no authorization server in %+v", status.Objects)
	} else if o := status.Objects[i]; o.State != "ok" || !strings.Contains(o.Reason, "calls left in this minute") {
		t.Errorf("authorization server: %+v", o)
	}
	status.Objects = slices.DeleteFunc(status.Objects, func(o admin.Object) bool { return o.Kind == "authorization_server" })
	line := len(strings.Split(strings.TrimSuffix(good, "\n"), "\n"))
	place := fmt.Sprintf("%s:%d", c.file(), line)
	waits := "a gateway does not have it yet"
	want := admin.Status{Revision: revision, Objects: []admin.Object{
		{Kind: "catalogue", Name: c.file(), State: "serving", Revision: revision},
		{Kind: "gateway", Name: "edge", State: "waiting", Reason: "no Envoy is connected"},
		{Kind: "denial", Name: place, State: "in_force", Reason: "a user", Revision: revision},
		{Kind: "denial", Name: place, State: "in_force", Reason: "client 0oaMOBILE until 2999-01-01T00:00:00Z", Revision: revision},
		{Kind: "organization", Name: "retail", State: "enabled", Revision: revision},
		{Kind: "application", Name: "retail/mobile", State: "enabled", Revision: revision},
		{Kind: "api", Name: "items", State: "publishing", Reason: waits + "; every request passes, whatever the verdict"},
		{Kind: "api", Name: "orders", State: "publishing", Reason: waits},
	}}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}

	if _, body := get(t, s, "/readyz?verbose"); !strings.Contains(body, "\ngateway edge: waiting, no Envoy is connected\n") {
		t.Errorf("/readyz?verbose: %s", body)
	}
	writeFile(t, c.file(), strings.Replace(good, "token_policy: okta-users", "token_policy: okta-user", 1), 0o600)
	if err := s.Reload(t.Context()); err == nil {
		t.Fatal("a dangling name is accepted")
	}
	o := object(t, s, "catalogue", "")
	if o.State != "rejected" || o.Revision != revision || !strings.Contains(o.Reason, c.file()+":") || !strings.Contains(o.Reason, "error DW102: ") {
		t.Errorf("after a mistake: %+v", o)
	}
	writeFile(t, c.file(), good, 0o600)
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o := object(t, s, "catalogue", ""); o.State != "serving" || o.Reason != "" {
		t.Errorf("after the fix: %+v", o)
	}
}

// The admin port shows neither a person, nor a token, nor a secret: not even what the
// configuration says of them.
func TestAttackStatusShowsNobody(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	writeFile(t, c.file(), c.text()+"denials: [ { user_id: 00uCANARY, reason: canary-reason }, { token_id: AT.CANARY, reason: canary-reason } ]\n", 0o600)
	s, _ := begin(t, c)
	ready(t, s)
	text := mint(t, okta)
	ask(t, dial(t, s.Catalogue().Listeners.Check.Address), "orders", "/orders/7", text)
	status, err := admin.Fetch(t.Context(), s.AdminAddress())
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(filepath.Join(c.dir, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range status.Objects {
		for _, canary := range []string{"00uCANARY", "AT.CANARY", "canary-reason", "alice", text, strings.TrimSpace(string(secret))} {
			if strings.Contains(o.Name+o.Reason+o.State, canary) {
				t.Errorf("%+v shows %q", o, canary)
			}
		}
	}
}

// A dead Okta is seen, and so is a socket for the admin port, which its owner alone may use.
func TestStatusOverSocket(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	c.admin = "unix:" + filepath.Join(socketDir(t), "admin")
	c.write(t)
	if err := okta.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ := begin(t, c)
	ready(t, s)
	if got := s.AdminAddress(); got != c.admin {
		t.Fatalf("it listens at %s, not %s", got, c.admin)
	}
	if info, err := os.Stat(strings.TrimPrefix(c.admin, "unix:")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v %v", info, err)
	}
	if o := object(t, s, "authorization_server", ""); o.State == "ok" || o.Reason == "" {
		t.Errorf("with a dead Okta: %+v", o)
	}
	if o := object(t, s, "organization", "retail"); o.State != "enabled" {
		t.Errorf("%+v", o)
	}
}

// A connection that is kept open does not keep the server from stopping.
func TestAdminConnectionDoesNotHold(t *testing.T) {
	t.Parallel()
	_, c := newOrg(t)
	s, _ := begin(t, c)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.AdminAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("GET ")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestEnvoysAndParked(t *testing.T) {
	t.Parallel()
	cat := &catalog.Catalogue{
		Revision: "new", Gateways: []*catalog.Gateway{{Name: "edge"}, {Name: "side"}},
		APIs:        []*catalog.API{{Name: "a"}, {Name: "b"}, {Name: "c", Shadow: true}},
		Unpublished: []*catalog.API{{Name: "d", Shadow: true}},
	}
	now := ads.Status{
		Envoys: []ads.Envoy{
			{Gateway: "edge", NodeID: "1", Version: "1.40.0", Revision: "new", Current: true},
			{Gateway: "edge", NodeID: "2", Version: "1.20.0", Outdated: true, Revision: "old", LastError: "route: before", Refusal: "cluster: no"},
			{Gateway: "side", NodeID: "1", Revision: "old"},
		},
		Parked: []ads.Parked{
			{Gateway: "edge", API: "b", Reason: "route: bad"},
			{Gateway: "side", API: "b", At: catalog.Position{File: "x.yaml", Line: 7}, Reason: "route: worse", Guilty: true, Former: true},
		},
	}
	objects, behind := envoys(cat, now)
	want := []admin.Object{
		{Kind: "gateway", Name: "edge", State: "behind", Reason: "1 of 2 Envoys do not have what serves"},
		{Kind: "envoy", Name: "edge/1", State: "acked", Reason: "1.40.0", Revision: "new"},
		{Kind: "envoy", Name: "edge/2", State: "refused", Reason: "1.20.0; its release lacks fixes of known holes; cluster: no", Revision: "old"},
		{Kind: "gateway", Name: "side", State: "behind", Reason: "1 of 1 Envoys do not have what serves"},
		{Kind: "envoy", Name: "side/1", State: "behind", Revision: "old"},
	}
	if diff := cmp.Diff(want, objects); diff != "" || !slices.Equal(behind, []string{"edge", "side"}) {
		t.Errorf("behind %v (-want +got):\n%s", behind, diff)
	}
	lines := []string{
		"gateway edge: behind, 1 of 2 Envoys do not have what serves",
		"envoy edge/1: acked, new, 1.40.0",
		"envoy edge/2: refused, old, 1.20.0; its release lacks fixes of known holes; cluster: no",
		"gateway side: behind, 1 of 1 Envoys do not have what serves",
		"envoy side/1: behind, old",
		"api b: parked, gateway edge: route: bad; it is one of several of which one is at fault; Envoys do not have it",
		"api b: parked, x.yaml:7: gateway side: route: worse; Envoys have it as it was before",
	}
	if diff := cmp.Diff(lines, envoyLines(cat, now)); diff != "" {
		t.Errorf("/readyz?verbose (-want +got):\n%s", diff)
	}
	want = []admin.Object{
		{Kind: "api", Name: "b", State: "parked", Reason: "x.yaml:7: gateway side: route: worse; Envoys have it as it was before"},
		{Kind: "api", Name: "c", State: "shadow", Reason: "every request passes, whatever the verdict", Revision: "new"},
		{Kind: "api", Name: "a", State: "published", Revision: "new"},
		{Kind: "api", Name: "d", State: "unpublished", Reason: "published: false"},
	}
	if diff := cmp.Diff(want, apis(cat, nil, now.Parked)); diff != "" {
		t.Errorf("APIs (-want +got):\n%s", diff)
	}
	now.Envoys = []ads.Envoy{{Gateway: "edge", NodeID: "1", Current: true}, {Gateway: "side", NodeID: "1", Current: true}}
	if objects, behind := envoys(cat, now); behind != nil || objects[0].State != "acked" || objects[0].Revision != "new" {
		t.Errorf("behind %v: %+v", behind, objects)
	}
	_, behind = envoys(cat, ads.Status{Envoys: now.Envoys[:1]})
	if !slices.Equal(behind, []string{"side"}) {
		t.Errorf("without an Envoy, behind is %v", behind)
	}
	// What a gateway does not serve does not wait for it.
	cat.APIs[0].Gateways, cat.APIs[1].Gateways = cat.Gateways[:1], cat.Gateways
	if got := apis(cat, behind, nil); got[0].Name != "b" || got[0].State != "publishing" || got[2].Name != "a" || got[2].State != "published" {
		t.Errorf("APIs of a gateway that is behind: %+v", got)
	}
}

package serve

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/envoy"
	"github.com/durward/durward/envoy/binary"
)

// A real Envoy and we know each other by certificates on both ports; with another's
// certificate it gets no answer to a check, or no configuration at all.
func TestTLSWithEnvoy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		check, xds string
		ourName    string // in our certificate; Envoy expects ourName
		status     int    // 0: it is not configured
	}{
		"both known":           {"envoy", "envoy", ourName, http.StatusOK},
		"checks of a stranger": {"stranger", "envoy", ourName, http.StatusServiceUnavailable},
		"checks of a namesake": {"namesake", "envoy", ourName, http.StatusServiceUnavailable},
		"xDS for a stranger":   {"envoy", "stranger", ourName, 0},
		"xDS for a namesake":   {"envoy", "namesake", ourName, 0},
		"we are somebody else": {"envoy", "envoy", "other.internal", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			okta, c := newSecured(t)
			backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "backend") }))
			t.Cleanup(backend.Close)
			c.replace = strings.NewReplacer(`"http://127.0.0.1:1"`, backend.URL)
			writePair(t, filepath.Join(c.dir, "stranger"), newSigner(t).issue(t, uriName(t, envoyURI)))
			writePair(t, filepath.Join(c.dir, "namesake"), c.clients.issue(t, uriName(t, envoyURI+"2")))
			writePair(t, filepath.Join(c.dir, "port"), c.ours.issue(t, dnsName(tt.ourName)))
			c.writeFor(t, tt.check, tt.xds)
			s, _ := begin(t, c.config)
			ready(t, s)
			p := startEnvoy(t, s)
			if tt.status == 0 {
				eventually(t, "Envoy has tried twice", func() bool {
					n := stat(p, "cluster.xds.upstream_cx_total")
					return n != "" && n != "0" && n != "1"
				})
				if got := stat(p, "listener_manager.lds.update_success"); got != "0" {
					t.Errorf("Envoy took %q configurations", got)
				}
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := s.WaitAcked(ctx, "edge"); err != nil {
				t.Fatal(err)
			}
			address, err := p.ListenerAddr(ctx, "edge")
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/orders/7", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+mint(t, okta))
			status, body := fetch(req)
			if status != tt.status || (body == "backend") != (tt.status == http.StatusOK) {
				t.Errorf("%d %q, want %d", status, body, tt.status)
			}
		})
	}
}

// startEnvoy starts an Envoy of the gateway edge, which need not become ready.
func startEnvoy(t *testing.T, s *Server) *binary.Process {
	t.Helper()
	bootstrap, err := envoy.Bootstrap(s.Catalogue(), "edge", envoy.BootstrapOptions{Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	return startEnvoyWith(t, bootstrap)
}

func startEnvoyWith(t *testing.T, bootstrap []byte) *binary.Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // may have to fetch Envoy
	defer cancel()
	path, err := binary.Find(ctx, binary.Options{})
	if err != nil {
		t.Fatal(err)
	}
	said := new(journal)
	p, err := binary.Start(binary.Command{Path: path, Dir: t.TempDir(), Bootstrap: bootstrap, Stdout: said, Stderr: said})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("envoy said:\n%s", said)
		}
	})
	return p
}

// stat returns one of Envoy's own counters; "" until it can be asked.
func stat(p *binary.Process, name string) string {
	value, _ := strings.CutPrefix(strings.TrimSpace(stats(p, "^"+name+"$")), name+": ")
	return value
}

// stats returns Envoy's own counters whose names match, line by line.
func stats(p *binary.Process, filter string) string {
	admin, err := p.AdminAddr()
	if err != nil {
		return ""
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+admin+"/stats?filter="+url.QueryEscape(filter), nil)
	if err != nil {
		return ""
	}
	_, body := fetch(req)
	return body
}

// fetch returns an answer, or 0 and why there is none.
func fetch(req *http.Request) (status int, body string) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

package ads_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/stats"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// Which table is looked at is not for callers to say, and nobody is told.
func TestRealEnvoyKeepsTheShardToItself(t *testing.T) {
	t.Parallel()
	url := backend(t, "any")
	g := startGateway(t, api("orders", "/orders", url, "a.example.com"), api("wide", "/wide", url, "*"))
	for _, target := range []string{"/orders/1", "/wide/1"} {
		a := g.send(t, "GET", target, "host: a.example.com", "x-durward-shard: b.example.com/none", "X-Durward-Shard: */7")
		if name := strings.Split(target, "/")[1]; a.status != 200 {
			t.Errorf("%s: %d", target, a.status)
		} else {
			g.checkedAs(t, target, name)
		}
		if got := a.Header.Values("X-Durward-Shard"); got != nil {
			t.Errorf("%s: the backend sees %q", target, got)
		}
		if got := a.header.Values("X-Durward-Shard"); got != nil {
			t.Errorf("%s: the caller sees %q", target, got)
		}
	}
}

// An upgrade is refused whether the route is found at once or later, and what follows it
// on the connection is not read as a request.
func TestRealEnvoyRefusesUpgradesInEveryTable(t *testing.T) {
	t.Parallel()
	url := backend(t, "any")
	g := startGateway(t, api("orders", "/orders", url, "a.example.com"), api("all", "/", url, "b.example.com"), api("wide", "/wide", url, "*"))
	for _, at := range []string{"a.example.com/orders", "A.example.com/orders", "b.example.com/x", "c.example.com/wide", "c.example.com/none"} {
		host, path, _ := strings.Cut(at, "/")
		for _, protocol := range []string{"websocket", "other"} {
			conn, err := net.DialTimeout("tcp", g.addr, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nhost: %s\r\nconnection: upgrade\r\nupgrade: %s\r\n\r\nGET /%s HTTP/1.1\r\nhost: %s\r\n\r\n", path, host, protocol, path, host)
			reader := bufio.NewReader(conn)
			res, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			rest, err := io.ReadAll(reader)
			if res.StatusCode != http.StatusForbidden || len(rest) > 0 || err != nil {
				t.Errorf("%s, %s: %d, then %q, error %v", at, protocol, res.StatusCode, rest, err)
			}
			conn.Close()
			g.checkedAs(t, at, "")
		}
	}
}

// A new API is served, one that is gone is not, and a connection outlives all of that.
func TestRealEnvoyPublishDrainsNothing(t *testing.T) {
	t.Parallel()
	url := backend(t, "any")
	g := startGateway(t, api("orders", "/orders", url, "a.example.com"))
	conn, err := net.DialTimeout("tcp", g.addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	reader := bufio.NewReader(conn)
	ask := func(path string) (int, error) {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nhost: a.example.com\r\n\r\n", path)
		res, err := http.ReadResponse(reader, nil)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return res.StatusCode, err
	}
	for _, more := range [][]*durwardv1.API{
		{api("more", "/more", url, "a.example.com")},
		{api("more", "/more", url, "*")},
		{api("more", "/", url, "*.example.com")},
		{api("more", "/", url, "a.example.com")},
		nil,
	} {
		g.publish(t, append([]*durwardv1.API{api("orders", "/orders", url, "a.example.com")}, more...)...)
		g.acked(t)
		want := http.StatusOK
		if more == nil {
			want = http.StatusNotFound
		}
		for deadline := time.Now().Add(10 * time.Second); ; {
			status, err := ask("/more")
			if err != nil {
				t.Fatalf("with %v the connection ends: %v", more, err)
			}
			if status == want {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("with %v: %d, want %d", more, status, want)
			}
		}
		if status, err := ask("/orders"); status != 200 || err != nil {
			t.Errorf("with %v the other API: %d, error %v", more, status, err)
		}
	}
}

// Of ten thousand APIs, one that is added, changed or removed sends at most three
// resources and 16 kB to real Envoy, which acknowledges them, serves what is new and goes
// on with the rest.
func TestRealEnvoyWithTenThousandAPIs(t *testing.T) {
	for _, layout := range []string{"hosts", "one-host"} {
		t.Run(layout, func(t *testing.T) {
			url := backend(t, "any")
			apis := crowd(10_000, layout == "one-host", url)
			g := startGateway(t, apis...)
			last := apis[len(apis)-1]
			added := api("added", "/added", url, last.GetFrontend().GetHosts()...)
			changed := slices.Clone(apis)
			changed[5000] = api(apis[5000].GetName(), apis[5000].GetFrontend().GetPath(), url+"/v2", apis[5000].GetFrontend().GetHosts()...)
			for _, step := range []struct {
				what string
				apis []*durwardv1.API
				ask  *durwardv1.API
				want int
			}{
				{"addition", append(slices.Clone(apis), added), added, 200},
				{"removal", apis, added, 404},
				{"change", changed, changed[5000], 200},
			} {
				sent, wire := g.metric(t, "durward_xds_resources_sent_total"), g.wire.sent.Load()
				before, start := g.cpu(t), time.Now()
				g.publish(t, step.apis...)
				g.acked(t)
				t.Logf("%s: %v, of which Envoy %v on its processor", step.what, time.Since(start), g.cpu(t)-before)
				resources, bytes := g.metric(t, "durward_xds_resources_sent_total")-sent, g.wire.sent.Load()-wire
				if resources > 3 || bytes > 16<<10 || bytes == 0 {
					t.Errorf("%s: %v resources and %d bytes sent", step.what, resources, bytes)
				}
				t.Logf("%s: %v resources, %d bytes", step.what, resources, bytes)
				for deadline := time.Now().Add(10 * time.Second); ; {
					a := g.send(t, "GET", step.ask.GetFrontend().GetPath(), hostOf(step.ask))
					if a.status == step.want && (step.what != "change" || a.URI == "/v2") {
						break
					}
					if time.Now().After(deadline) {
						t.Fatalf("%s: %d %s", step.what, a.status, a.URI)
					}
				}
			}
			for _, api := range []*durwardv1.API{apis[0], apis[4999], last} {
				g.checker.take()
				if a := g.send(t, "GET", api.GetFrontend().GetPath(), hostOf(api)); a.status != 200 {
					t.Errorf("%s: %d", api.GetName(), a.status)
				}
				g.checkedAs(t, api.GetName(), api.GetName())
			}
			t.Logf("Envoy weighs %.0f MB", g.resident(t))
			g.noNACKs(t)
		})
	}
}

// wire counts the bytes that are sent.
type wire struct{ sent atomic.Int64 }

func (w *wire) HandleRPC(_ context.Context, s stats.RPCStats) {
	if out, ok := s.(*stats.OutPayload); ok {
		w.sent.Add(int64(out.WireLength))
	}
}

func (*wire) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (*wire) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (*wire) HandleConn(context.Context, stats.ConnStats) {}

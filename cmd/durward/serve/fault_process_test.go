package serve

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// childFile names the configuration that a child process of this test serves.
const childFile = "DURWARD_TEST_SERVE"

// TestServeAsChild is no test but a server, for tests that kill it.
func TestServeAsChild(t *testing.T) {
	file := os.Getenv(childFile)
	if file == "" {
		t.Skip("serves only as a child of other tests")
	}
	s, err := Start(t.Context(), file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Wait(t.Context()) // until killed
}

// patient waits for a port that is not there yet, and looks often.
var patient = []grpc.DialOption{
	grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
	grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.2, MaxDelay: 100 * time.Millisecond}, MinConnectTimeout: time.Second}),
}

// child is a server in a process of its own.
type child struct {
	cmd *exec.Cmd
}

func (e *edge) spawn(t *testing.T, env ...string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestServeAsChild$", "-test.timeout=5m")
	cmd.Env = append(append(os.Environ(), childFile+"="+e.file), env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd}
	t.Cleanup(c.kill)
	return c
}

func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
}

// resident is the memory of the process that is in use, in bytes.
func (c *child) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// fixed gives the edge addresses that are known before it starts.
func (e *edge) fixed(t *testing.T) *edge {
	t.Helper()
	e.check, e.xds, e.ops = reserved(t), reserved(t), reserved(t)
	e.write(t)
	return e
}

// F22: killed and started again, at random points under load.
func faultKilled(t *testing.T) {
	i := newIdp(t)
	e := newEdge(t, i).fixed(t)
	live, revoked := i.mint(t, time.Hour), i.mint(t, time.Hour)
	herd := make([]string, 60)
	for k := range herd {
		herd[k] = i.mint(t, time.Hour)
	}
	for round := range 3 {
		c := e.spawn(t)
		conn := connect(t, e.check, patient...)
		start := time.Now()
		if got, _ := tell(t.Context(), conn, "main-long", live, 10*time.Second); got != "allow" {
			t.Fatalf("round %d: %s", round, got)
		}
		t.Logf("serving %s after the start", ms(time.Since(start)))
		if round == 0 {
			expect(t, conn, "main-long", revoked, "allow") // cached for an hour, had it lived
			i.revoke(revoked)
		} else {
			expect(t, conn, "main-long", revoked, "401 token_inactive")
		}
		before := i.asked.Load()
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		for w := range 6 {
			load.Go(func() {
				for k := w; ctx.Err() == nil; k++ {
					if got, _ := tell(ctx, conn, "main-long", herd[k%len(herd)], time.Second); strings.HasPrefix(got, "401") {
						t.Errorf("a live token: %s", got)
					}
				}
			})
		}
		time.Sleep(time.Duration(100+200*round) * time.Millisecond)
		c.kill()
		cancel()
		load.Wait()
		if n := i.asked.Load() - before; n > int64(len(herd)) {
			t.Errorf("%d questions about %d tokens", n, len(herd))
		}
		_ = conn.Close()
	}
}

// F21: two replicas under load are stopped and started in turn.
func faultRollingStop(t *testing.T) {
	i := newIdp(t)
	a, b := newEdge(t, i).fixed(t), newEdge(t, i).fixed(t)
	for _, e := range []*edge{a, b} {
		e.advertise = fmt.Sprintf(", advertise: [%q, %q]", a.check, b.check)
	}
	serving := make(map[*edge]*Server)
	for _, e := range []*edge{a, b} {
		serving[e], _ = e.launch(t)
	}
	addresses := manual.NewBuilderWithScheme("replicas")
	var all []resolver.Address
	for _, address := range serving[a].Catalogue().Listeners.Check.Advertise {
		all = append(all, resolver.Address{Addr: address})
	}
	if len(all) != 2 {
		t.Fatalf("%d addresses are advertised", len(all))
	}
	addresses.InitialState(resolver.State{Addresses: all})
	conn := connect(t, "replicas:///durward", grpc.WithResolvers(addresses),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second}))
	text := i.mint(t, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var checks, failed atomic.Int64
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				got, _ := tell(t.Context(), conn, "main-long", text, 2*time.Second)
				checks.Add(1)
				if got != "allow" {
					failed.Add(1)
					t.Errorf("a check failed: %s", got)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	for range 2 {
		for _, e := range []*edge{a, b} {
			time.Sleep(400 * time.Millisecond)
			start := time.Now()
			if err := serving[e].Close(); err != nil {
				t.Error(err)
			}
			t.Logf("stopped in %s", ms(time.Since(start)))
			s, err := Start(t.Context(), e.file, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			serving[e] = s
		}
	}
	time.Sleep(200 * time.Millisecond)
	cancel()
	load.Wait()
	t.Logf("%d checks over four stops, %d failed", checks.Load(), failed.Load())
	if checks.Load() < 100 {
		t.Error("hardly any load")
	}
}

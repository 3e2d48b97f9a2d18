package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/envoy"
	"github.com/durward/durward/envoy/binary"
	"github.com/durward/durward/policy/oktatest"
)

// gatewayName is the one gateway of the demo's catalogue.
const gatewayName = "edge"

// startLimit bounds the way from a found Envoy to one that serves.
const startLimit = 30 * time.Second

// Options says where the demo's parts listen (host:port, port 0 for any free one) and
// where it writes.
type Options struct {
	Okta, Backend, Gateway, Check, XDS, Ops, Admin string
	// State is the directory for catalogue, secret, tokens and logs.
	State string
	// Envoy is the path of an Envoy; empty: see binary.Find.
	Envoy string
	// Exit ends the demo after the steps.
	Exit bool
	// Out is for people; Progress for the fetch of Envoy.
	Out      io.Writer
	Progress io.Writer
}

// ErrOutcome is a step that ended otherwise than expected.
var ErrOutcome = errors.New("a step ended otherwise than expected")

// FlagError is an address that is in use, with the flag that moves it.
type FlagError struct {
	Flag, Address string
	Err           error
}

// Error says which flag to use.
func (e *FlagError) Error() string {
	return fmt.Sprintf("the address %s is in use; move it with --%s 127.0.0.1:PORT (0 for any free port)", e.Address, e.Flag)
}

// Unwrap returns the system's error.
func (e *FlagError) Unwrap() error { return e.Err }

// demo is one run. Each part that is started adds how to stop it.
type demo struct {
	Options
	outLock sync.Mutex
	http    *http.Client
	okta    *oktatest.Server
	durward *serve.Server
	envoy   *binary.Process
	stops   []func() error

	issuer, backendURL, gateway string
	secret, alice, bob          string
	bound                       bound
	hooks
}

// hooks are a test's ways in.
type hooks struct {
	// issued hears of every token and secret.
	issued func(string)
	// backend answers in place of Echo.
	backend http.HandlerFunc
}

// Run starts everything, performs the steps, and stays until ctx ends unless
// Options.Exit. Everything it started has ended when it returns. Errors are a
// *FlagError, ErrOutcome, or wrap what failed.
func Run(ctx context.Context, o Options) error {
	return newDemo(o, hooks{issued: func(string) {}, backend: Echo}).run(ctx)
}

func newDemo(o Options, h hooks) *demo {
	return &demo{Options: o, hooks: h, http: &http.Client{
		Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (d *demo) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := d.start(ctx); err != nil {
		return d.unlessStopped(ctx, err)
	}
	d.printTable()
	good := true
	for _, s := range d.steps() {
		good = d.perform(ctx, s) && good
		if ctx.Err() != nil {
			return d.unlessStopped(ctx, ErrOutcome)
		}
	}
	if d.Exit && !good {
		return ErrOutcome
	}
	if d.Exit {
		d.printf("\nevery step ended as expected\n")
		return nil
	}
	return d.stay(ctx)
}

// unlessStopped is err, but nil where somebody who did not ask for the outcome stopped us.
func (d *demo) unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() == nil || d.Exit {
		return err
	}
	d.printf("\nstopped\n")
	return nil
}

func (d *demo) printf(format string, args ...any) {
	d.outLock.Lock()
	defer d.outLock.Unlock()
	_, _ = fmt.Fprintf(d.Out, format, args...)
}

// start brings the parts up, each told of the addresses of those before it.
func (d *demo) start(ctx context.Context) error {
	if err := d.checkPorts(ctx); err != nil {
		return err
	}
	path, err := binary.Find(ctx, binary.Options{Path: d.Envoy, Progress: d.Progress})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.State, 0o700); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for _, part := range []func(context.Context) error{
		d.startOkta, d.startBackend, d.startDurward,
		func(ctx context.Context) error { return d.startEnvoy(ctx, path) },
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkPorts names a busy port, or one given twice, before anything is fetched or
// started.
func (d *demo) checkPorts(ctx context.Context) error {
	var bound []net.Listener
	defer func() {
		for _, l := range bound {
			_ = l.Close()
		}
	}()
	for _, p := range []struct{ flag, address string }{
		{"okta", d.Okta},
		{"backend", d.Backend},
		{"gateway", d.Gateway},
		{"check", d.Check},
		{"xds", d.XDS},
		{"ops", d.Ops},
		{"admin", d.Admin},
	} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", p.address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return &FlagError{p.flag, p.address, err}
		}
		if err != nil {
			return fmt.Errorf("--%s %s: %w", p.flag, p.address, err)
		}
		bound = append(bound, l)
	}
	return nil
}

func (d *demo) startOkta(context.Context) error {
	d.secret = rand.Text() + rand.Text()
	d.issued(d.secret)
	okta, err := oktatest.NewServer(orgConfig(d.secret))
	if err != nil {
		return err
	}
	if err := okta.Start(d.Okta); err != nil {
		return err
	}
	d.okta, d.issuer = okta, okta.Issuer("default")
	d.stops = append(d.stops, okta.Close)
	return nil
}

func (d *demo) startBackend(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", d.Backend)
	if err != nil {
		return err
	}
	d.backendURL = "http://" + l.Addr().String()
	d.stops = append(d.stops, serveEcho(l, d.backend))
	return nil
}

func (d *demo) startDurward(ctx context.Context) error {
	if err := os.WriteFile(d.file("okta-secret"), []byte(d.secret+"\n"), 0o600); err != nil {
		return err
	}
	// Port 0 is known once Envoy has bound it; startEnvoy writes it then.
	if err := d.writeCatalogue("http://" + strings.TrimSuffix(d.Gateway, ":0")); err != nil {
		return err
	}
	log, err := d.logFile("durward.log")
	if err != nil {
		return err
	}
	d.durward, err = serve.Start(ctx, d.file("durward.yaml"), slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		return err
	}
	d.stops = append(d.stops, d.durward.Close)
	return nil
}

func (d *demo) writeCatalogue(gatewayURL string) error {
	v := scaffold.Local()
	v.Gateway, v.GatewayURL, v.Check, v.XDS, v.Ops, v.Admin = d.Gateway, gatewayURL, d.Check, d.XDS, d.Ops, d.Admin
	v.Issuer, v.Backend = d.issuer, d.backendURL
	text, err := scaffold.Catalogue(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.file("durward.yaml"), text, 0o600); err != nil {
		return err
	}
	tests, err := scaffold.Tests(v, d.file("durward.yaml"))
	if err != nil {
		return err
	}
	return os.WriteFile(scaffold.TestsPath(d.file("durward.yaml")), tests, 0o600)
}

func (d *demo) startEnvoy(ctx context.Context, path string) error {
	bootstrap, err := envoy.Bootstrap(d.durward.Catalogue(), gatewayName, envoy.BootstrapOptions{Admin: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	dir := d.file("envoy")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	log, err := d.logFile("envoy.log")
	if err != nil {
		return err
	}
	d.envoy, err = binary.Start(binary.Command{Path: path, Dir: dir, Bootstrap: bootstrap, Stdout: log, Stderr: log})
	if err != nil {
		return err
	}
	d.stops = append(d.stops, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return d.envoy.Stop(ctx)
	})
	if err := d.envoy.Ready(ctx); err != nil {
		return err
	}
	if err := d.durward.WaitAcked(ctx, gatewayName); err != nil {
		return err
	}
	address, err := d.envoy.ListenerAddr(ctx, gatewayName)
	if err != nil {
		return err
	}
	d.gateway = "http://" + address
	if address == d.Gateway {
		return nil
	}
	if err := d.writeCatalogue(d.gateway); err != nil {
		return err
	}
	return d.durward.Reload(ctx)
}

// stay tells what to type next and waits.
func (d *demo) stay(ctx context.Context) error {
	for _, user := range []string{"alice", "bob"} {
		t, err := d.login(ctx, clientMobile, user, "orders.read")
		if err != nil {
			return err
		}
		header := "Authorization: Bearer " + t + "\n"
		if err := os.WriteFile(d.file(user+".header"), []byte(header), 0o600); err != nil {
			return err
		}
	}
	d.printNext()
	waiting, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- d.durward.Wait(waiting) }()
	select {
	case err := <-served:
		stop()
		d.printf("\nstopping\n")
		return err
	case <-d.envoy.Done():
		stop()
		return errors.Join(d.envoy.Err(), <-served)
	}
}

func (d *demo) login(ctx context.Context, client, user string, scopes ...string) (string, error) {
	t, err := login(ctx, d.issuer, client, user, scopes...)
	d.issued(t)
	return t, err
}

// stop ends the parts in the reverse order of their start.
func (d *demo) stop() error {
	d.http.CloseIdleConnections()
	var errs []error
	for i := len(d.stops) - 1; i >= 0; i-- {
		errs = append(errs, d.stops[i]())
	}
	return errors.Join(errs...)
}

func (d *demo) file(name string) string { return filepath.Join(d.State, name) }

func (d *demo) logFile(name string) (*os.File, error) {
	f, err := os.OpenFile(d.file(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	d.stops = append(d.stops, f.Close)
	return f, nil
}

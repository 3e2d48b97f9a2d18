package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/call"
	"github.com/durward/durward/cmd/durward/login"
	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/policy/catalog"
)

// calling is the command line of call.
type calling struct {
	path, gateway, server string
	data                  string
	headers               []string
	format                string
	timeout               time.Duration
}

func newCall() *cobra.Command {
	var c calling
	cmd := &cobra.Command{
		Use:   "call APP METHOD PATH",
		Short: "Call an API through the gateway with an application's token",
		Long: `Sends a request to the gateway of the configuration with the token of "durward login APP",
renewed if need be. Who answered, the verdict, the reason and the decision id go to standard
error, the body to standard output. PATH is the path with the query, as callers write it;
no redirect is followed. An API with a host of its own is called with -H "Host: NAME". A
token of "durward login --dpop" goes with a proof for this one request. What Envoy answers
to an allowed request, because no backend does or the body is too large, counts as the
backend's: its answers do not tell the two apart.

-d sends a body: the text itself, @FILE, or - for standard input; up to 16 MiB. Its content
type is application/json if it is JSON, unless -H says otherwise.

-o json prints one object: status; verdict (allowed, denied or undecided); answered_by
(backend, durward, envoy or unknown); reason; decision_id; scopes_needed;
acr_values_needed and max_age_seconds, of the sign-in that is needed; retry_after_seconds;
cause, where nothing was decided; content_type; body, or body_base64 if it is no UTF-8;
truncated, after 16 MiB; next, commands that help.

Exit code 0 if the request was allowed, whatever the backend made of it; 5 if it was denied;
6 on 503 from Durward, or from Envoy without a decision, or if the gateway or Okta does not answer; 1 for other
answers that nothing was decided about, or if you must sign in; 2 if the configuration has
no such application.`,
		Example: "  durward call mobile GET /orders/7\n  durward call mobile POST /orders -d '{\"item\":7}'",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd, args[0], strings.ToUpper(args[1]), args[2])
		},
		ValidArgsFunction: completeRequest(1, completeApplication),
	}
	configFlag(cmd, &c.path)
	f := cmd.Flags()
	f.StringVar(&c.gateway, "gateway", "", "gateway, by its name in the configuration (default: the only one)")
	f.StringVar(&c.server, "server", "", "authorization server, where the application has tokens of several")
	f.StringVarP(&c.data, "data", "d", "", "body: text, @FILE, or - for standard input")
	f.StringArrayVarP(&c.headers, "header", "H", nil, `header "Name: value"; may be repeated`)
	f.DurationVar(&c.timeout, "timeout", 30*time.Second, "how long to wait for the answer")
	reportFlag(cmd, &c.format)
	return cmd
}

func (c calling) run(cmd *cobra.Command, name, method, path string) error {
	cat, _, err := serve.Load(c.path)
	if err != nil {
		return err
	}
	app, err := login.Application(cat, name)
	if err != nil {
		return asName(cmd, err)
	}
	gateway, err := c.gatewayURL(cat)
	if err != nil {
		return &usageError{err, cmd.CommandPath()}
	}
	of, err := issuers(cat, c.server)
	if err != nil {
		return &usageError{err, cmd.CommandPath()}
	}
	body, err := c.body(cmd)
	if err != nil {
		return err
	}
	req, err := call.New(cmd.Context(), gateway, call.Request{Method: method, Path: path, Headers: c.headers, Body: body})
	if err != nil {
		return &usageError{err, cmd.CommandPath()}
	}
	store, err := tokens()
	if err != nil {
		return err
	}
	session, err := store.Session(cmd.Context(), app, of...)
	if err != nil {
		return asName(cmd, err)
	}
	if session.Bound() && len(req.Header.Values("DPoP")) > 0 {
		return &usageError{errors.New("the DPoP header is made anew for each request: the application's token is bound to a key"), cmd.CommandPath()}
	}
	if err := session.Authorize(req); err != nil {
		return err
	}
	answer, raw, err := call.Send(cmd.Context(), req, c.timeout)
	if err != nil {
		fix := fmt.Sprintf("start Envoy for it: envoy -c <(durward bootstrap -c %s)", c.path)
		if untrusted := new(tls.CertificateVerificationError); errors.As(err, &untrusted) {
			fix = "name the authority of the gateway's certificate in SSL_CERT_FILE"
		}
		return fmt.Errorf("%w\n  fix: %s", err, fix)
	}
	caller := call.Caller{Application: name, Scopes: session.Scopes, Bound: session.Bound()}
	if c.path != defaultConfig {
		caller.Config = c.path
	}
	answer.Advise(caller, req)
	if err := printAnswer(cmd, c.format, req, answer, raw); err != nil {
		return err
	}
	if err := answer.Err(); err != nil {
		return &said{err}
	}
	return nil
}

// said is an error that the output has told already.
type said struct{ error }

func (e *said) Unwrap() error { return e.error }

func (c calling) gatewayURL(cat *catalog.Catalogue) (*url.URL, error) {
	name := c.gateway
	if name == "" {
		var err error
		if name, err = onlyGateway(cat); err != nil {
			return nil, err
		}
	}
	for _, g := range cat.Gateways {
		if g.Name == name {
			return g.URL, nil
		}
	}
	return nil, fmt.Errorf("the configuration has no gateway %q; %s", name, catalog.Suggest(name, gatewayNames(cat)))
}

// body reads what -d names; nil without the flag.
func (c calling) body(cmd *cobra.Command) ([]byte, error) {
	if !cmd.Flags().Changed("data") {
		return nil, nil
	}
	from, isFile := strings.CutPrefix(c.data, "@")
	var in io.Reader
	switch {
	case c.data == "-", isFile && from == "-":
		in = cmd.InOrStdin()
	case isFile:
		f, err := os.Open(from)
		if err != nil {
			return nil, &usageError{err, cmd.CommandPath()}
		}
		defer func() { _ = f.Close() }()
		in = f
	default:
		return []byte(c.data), nil
	}
	body, err := io.ReadAll(io.LimitReader(in, call.MaxBody+1))
	if err == nil && len(body) > call.MaxBody {
		err = fmt.Errorf("the body is longer than %d bytes", call.MaxBody)
	}
	return body, err
}

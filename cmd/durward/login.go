package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/login"
	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/policy/catalog"
)

func newLogin() *cobra.Command {
	var path, server, clientID, acr string
	var noBrowser bool
	var maxAge int
	o := login.Options{Ports: login.DefaultPorts()}
	cmd := &cobra.Command{
		Use:   "login APP",
		Short: "Sign in with Okta as an application of the configuration",
		Long: `Signs you in at Okta in your browser, with PKCE, as the application APP of the
configuration (or ORGANIZATION/APP), and keeps the tokens for "durward call" in your state
directory, for your eyes only. They are renewed without asking. Where a token with the
scopes is at hand already, nothing is done unless --force.

Asked are openid, offline_access (for a refresh token, unless --no-refresh) and the scopes
of the operations that are granted to the application; --scope replaces the last. Okta
must know the application's redirect URIs http://127.0.0.1:8765/callback and
http://127.0.0.1:18765/callback: the second is for when the first port is busy.

--dpop binds the tokens to a key that is kept beside them (RFC 9449): who has the tokens alone can
do nothing with them. --acr-values and --max-age ask for a stronger or newer sign-in (step-up,
RFC 9470), as a denial's challenge names them; with them you sign in again even if a token is
at hand.

The address to open is always printed. --no-browser and --no-input open none; else
$BROWSER does it, or what the system opens addresses with. --steps shows what happens on
the wire, with secrets, codes and tokens masked.

Exit code 1 if Okta refuses or the browser does not come back in time, 2 if the
configuration has no such application, 3 if it is invalid or missing, 6 if Okta does not
answer.`,
		Example: "  durward login mobile\n  durward login mobile --scope orders.read --no-browser --steps\n  durward login mobile --dpop --acr-values phr --max-age 300",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			cat, _, err := serve.Load(path)
			if err != nil {
				return err
			}
			app, err := login.Application(cat, args[0])
			if err != nil {
				return asName(cmd, err)
			}
			if o.Target, err = login.Choose(cat, app, server, clientID); err != nil {
				return asName(cmd, err)
			}
			if o.Store, err = tokens(); err != nil {
				return err
			}
			o.Scopes = strings.Fields(strings.Join(o.Scopes, " "))
			o.ACRValues = strings.Fields(acr)
			if cmd.Flags().Changed("max-age") {
				if maxAge < 0 {
					return &usageError{errors.New("--max-age is a number of seconds, 0 or more"), cmd.CommandPath()}
				}
				o.MaxAge = &maxAge
			}
			if quiet, _ := cmd.Flags().GetBool("no-input"); !noBrowser && !quiet {
				o.Browser = login.OpenBrowser
			}
			o.Out, o.Terminal = cmd.ErrOrStderr(), isTerminal(cmd.ErrOrStderr())
			one, err := login.Login(cmd.Context(), o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is signed in to %s; the access token expires at %s; scopes: %s\n",
				one.User, args[0], one.Expiry.Local().Format("15:04:05 MST"), strings.Join(one.Scopes, " "))
			return err
		},
		ValidArgsFunction: completeApplication,
	}
	configFlag(cmd, &path)
	f := cmd.Flags()
	f.StringVar(&server, "server", "", "authorization server, by its name in the configuration (default: the one of the granted APIs)")
	f.StringVar(&clientID, "client-id", "", "client id, of an application with several (default: its first)")
	f.StringSliceVar(&o.Scopes, "scope", nil, "scopes to ask beside openid and offline_access, apart by commas")
	f.BoolVar(&o.NoRefresh, "no-refresh", false, "ask no refresh token (offline_access)")
	f.StringVar(&o.SecretFile, "client-secret-file", "", "file with the client secret, if the application has one")
	f.BoolVar(&o.DPoP, "dpop", false, "bind the tokens to a new key (DPoP)")
	f.StringVar(&acr, "acr-values", "", "how to sign in: authentication context classes, apart by blanks; Okta picks one")
	f.IntVar(&maxAge, "max-age", 0, "how many seconds ago you may have signed in, 0 for now (default: any time)")
	f.BoolVar(&noBrowser, "no-browser", false, "print the address alone")
	f.BoolVar(&o.Force, "force", false, "sign in even if a token is at hand")
	f.DurationVar(&o.Timeout, "timeout", 5*time.Minute, "how long to wait for the browser")
	f.BoolVar(&o.Steps, "steps", false, "show and explain each step")
	return cmd
}

// tokens is the store that login, logout and call share.
func tokens() (login.Store, error) {
	dir, err := stateDir("login")
	return login.NewStore(dir), err
}

// asName makes a name that the configuration does not have an error of usage.
func asName(cmd *cobra.Command, err error) error {
	var name *login.NameError
	if errors.As(err, &name) {
		return &usageError{err, cmd.CommandPath()}
	}
	return err
}

// issuers are those whose tokens may be meant: of one server, or of all.
func issuers(cat *catalog.Catalogue, server string) ([]string, error) {
	var names, all []string
	for _, s := range cat.Servers {
		if server == "" || s.Name == server {
			all = append(all, s.Issuer)
		}
		names = append(names, s.Name)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the configuration has no authorization server %q; %s", server, catalog.Suggest(server, names))
	}
	return slices.Compact(slices.Sorted(slices.Values(all))), nil
}

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/login"
	"github.com/durward/durward/cmd/durward/serve"
)

func newLogout() *cobra.Command {
	var path string
	var all bool
	cmd := &cobra.Command{
		Use:   "logout APP | --all",
		Short: "Revoke and remove an application's tokens",
		Long: `Revokes the tokens of "durward login" at Okta and removes them from your state directory.
They are removed even if Okta does not answer; then they stay good at Okta until they
expire, which is said. Your session at Okta, in the browser, goes on. --all reads no
configuration.`,
		Example: "  durward logout mobile\n  durward logout --all",
		Args: func(_ *cobra.Command, args []string) error {
			if all == (len(args) == 0) && len(args) < 2 {
				return nil
			}
			return errors.New("name one application, or --all")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := tokens()
			if err != nil {
				return err
			}
			found, err := stored(store, path, args)
			if err != nil {
				return asName(cmd, err)
			}
			if len(found) == 0 {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "nobody is signed in here")
				return err
			}
			for _, one := range found {
				err := store.Logout(cmd.Context(), one)
				if err != nil && !errors.Is(err, login.ErrNotRevoked) {
					return err
				}
				if err != nil {
					_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n  the access token stays good until %s\n", err, one.Expiry.Local().Format("15:04:05 MST"))
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is signed out of %s\n", one.User, one.Application); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: completeApplication,
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&all, "all", false, "all applications")
	return cmd
}

// stored returns the sessions of the named application, or all without a name.
func stored(store login.Store, path string, names []string) ([]login.Session, error) {
	if len(names) == 0 {
		return store.All()
	}
	cat, _, err := serve.Load(path)
	if err != nil {
		return nil, err
	}
	app, err := login.Application(cat, names[0])
	if err != nil {
		return nil, err
	}
	of, err := issuers(cat, "")
	if err != nil {
		return nil, err
	}
	return store.Sessions(app, of...)
}

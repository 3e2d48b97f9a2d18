package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/explain"
)

func newExplain() *cobra.Command {
	var q explain.Question
	var from string
	var format string
	cmd := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "Say why a request is allowed or denied",
		Long: `Judges a request as serve would and shows each step of the decision, where in the
configuration it is asked, and what would mend the one that fails. URL is absolute, or a
path at the gateway.

--token names where a token is: @FILE, or - for standard input; there stands the token
or an "Authorization:" header. Okta is asked about it. --as supposes a caller instead,
who signed in with that application and was granted the --scope: nothing is sent, and
the token need not exist. --claim adds a claim, as in --claim department=finance or
--claim 'cnf={"jkt":"x"}' for a token bound by DPoP, whose proof is supposed good. With
neither, the request has no token.

-o json prints one object: outcome, reason, status, detail, supposed, shadow,
request, revision, api, operation, application, organization, caller, steps, fix, identity. Each step has
name, state (passed, failed, not_reached), expected, found and at (file, line, column).

Exit code 0 if the request is allowed, 5 if it is denied, 6 if Okta gave no answer, 3 if
the configuration is invalid or missing.`,
		Example: "  durward explain GET /orders/7 --as mobile --scope orders.read\n" +
			"  durward explain POST http://127.0.0.1:10000/orders --token @alice.header",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			q.Method, q.URL = args[0], args[1]
			if from != "" {
				if q.Authorization, err = readCredential(cmd, from); err != nil {
					return err
				}
			}
			report, err := explain.Explain(cmd.Context(), q)
			if err != nil {
				return asInput(cmd, err)
			}
			return errors.Join(write(cmd, format, report), report.Err())
		},
	}
	configFlag(cmd, &q.Config)
	f := cmd.Flags()
	f.StringVar(&from, "token", "", "where the token is: @FILE, or - for standard input")
	f.StringVar(&q.As, "as", "", "suppose a caller with this application: APP or ORGANIZATION/APP")
	f.StringSliceVar(&q.Scopes, "scope", nil, "scopes of the supposed caller, apart by commas")
	f.StringArrayVar(&q.Claims, "claim", nil, "a further claim of the supposed caller, NAME=VALUE")
	f.StringVar(&q.User, "user", "", "login of the supposed caller (default: somebody@example.com)")
	reportFlag(cmd, &format)
	completeFlag(cmd, "as", offer(applications))
	cmd.ValidArgsFunction = completeRequest(0, cobra.NoFileCompletions)
	return cmd
}

// reportFlag adds the form of a report, text or json.
func reportFlag(cmd *cobra.Command, form *string) {
	*form = "text"
	wordFlag(cmd, form, "output", "o", "form of the output", "text", "json")
}

// readCredential reads a token. A person at a terminal would show it to the room.
func readCredential(cmd *cobra.Command, from string) (string, error) {
	if (from == "-" || from == "@-") && isTerminal(cmd.InOrStdin()) {
		return "", &usageError{errors.New("standard input is a terminal: send the token through a pipe, or name a file with @FILE"), cmd.CommandPath()}
	}
	authorization, err := explain.ReadCredential(from, cmd.InOrStdin())
	return authorization, asInput(cmd, err)
}

// asInput makes what is wrong with an argument an error of usage.
func asInput(cmd *cobra.Command, err error) error {
	var input *explain.InputError
	if errors.As(err, &input) {
		return &usageError{err, cmd.CommandPath()}
	}
	return err
}

// written is a report in both forms.
type written interface {
	WriteJSON(w io.Writer) error
	WriteText(w io.Writer, s explain.Style) error
}

func write(cmd *cobra.Command, form string, r written) error {
	w := cmd.OutOrStdout()
	if form == "json" {
		return r.WriteJSON(w)
	}
	s := styleFor(cmd, w)
	return r.WriteText(w, explain.Style{Good: s.good, Bad: s.bad, Faint: s.faint})
}

// Command durward is an Envoy external-authorization service for APIs whose users sign
// in with Okta. This package is flags and words for people; the work is done in the
// packages below it and beside it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/admin"
	"github.com/durward/durward/cmd/durward/call"
	"github.com/durward/durward/cmd/durward/demo"
	"github.com/durward/durward/cmd/durward/explain"
	"github.com/durward/durward/cmd/durward/login"
	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/envoy/binary"
	"github.com/durward/durward/policy/token"
)

// Exit codes; they are part of the interface.
const (
	exitOK          = 0
	exitUnexpected  = 1
	exitUsage       = 2
	exitConfig      = 3
	exitTests       = 4
	exitDenied      = 5
	exitUnreachable = 6
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := withParent(ctx)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		printError(stderr, err)
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "durward",
		Short: "Okta tokens decide at Envoy's door",
		Long: `Durward stands between Envoy and Okta. Envoy asks it about every request; it verifies
the caller's Okta token, decides by API, application and scope, and answers allow with
identity headers, or deny with a reason. It also tells Envoy what to proxy.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              unknownVerb,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd) },
	}
	root.SetFlagErrorFunc(unknownFlag)
	root.PersistentFlags().String("color", "auto", "colour in output: auto, always or never")
	root.PersistentFlags().Bool("no-input", false, "never ask, never open a browser")
	for _, group := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"begin", "Begin here:", []*cobra.Command{newDemo(), newInit(), newEmulate()}},
		{"run", "Run it:", []*cobra.Command{newCheck(), newTest(), newDiff(), newServe(), newStatus(), newBootstrap(), newSchema()}},
		{"ask", "Sign in, call, and ask why:", []*cobra.Command{newLogin(), newCall(), newLogout(), newExplain(), newToken()}},
		{"more", "More:", []*cobra.Command{newVersion()}},
	} {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, cmd := range group.commands {
			cmd.GroupID = group.id
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommand(newHelp())
	root.SetHelpCommandGroupID("more")
	root.SetCompletionCommandGroupID("more")
	for _, cmd := range root.Commands() {
		cmd.Args = asUsage(cmd.Args)
	}
	root.Args = asUsage(root.Args)
	return root
}

// usageError is a command line that cannot be understood.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// asUsage makes an argument check's error one of usage.
func asUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(cmd, args); err != nil {
			return &usageError{err, cmd.CommandPath()}
		}
		return nil
	}
}

// printError writes an error for the person who typed the command, without a token that
// was typed where none belongs. A report that ended in a deny has said so.
func printError(w io.Writer, err error) {
	if errors.Is(err, explain.ErrDenied) || errors.As(err, new(*said)) {
		return
	}
	var config *serve.ConfigError
	if errors.As(err, &config) {
		printFindings(w, config.Findings)
		return
	}
	_, _ = fmt.Fprintf(w, "durward: %s\n", token.Mask(err.Error()))
	var usage *usageError
	if errors.As(err, &usage) {
		_, _ = fmt.Fprintf(w, "see %s --help\n", usage.command)
	}
}

func exitCode(err error) int {
	var config *serve.ConfigError
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, explain.ErrDenied), errors.Is(err, call.ErrDenied):
		return exitDenied
	case errors.Is(err, binary.ErrUnavailable), errors.Is(err, explain.ErrUnreachable), errors.Is(err, login.ErrUnreachable), errors.Is(err, admin.ErrUnreachable),
		errors.Is(err, call.ErrUnreachable), errors.Is(err, call.ErrUnavailable):
		return exitUnreachable
	case errors.As(err, &config), errors.Is(err, errFindings), errors.Is(err, fs.ErrNotExist),
		errors.Is(err, demo.ErrUnplayable):
		return exitConfig
	case errors.Is(err, demo.ErrOutcome), errors.Is(err, errTests), errors.Is(err, errDifference):
		return exitTests
	default:
		return exitUnexpected
	}
}

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/durward/durward/envoy/binary"
	"github.com/durward/durward/policy/catalog"
)

// envPrefix begins the environment variable of every flag: --no-input is
// DURWARD_NO_INPUT. A flag on the command line wins.
const envPrefix = "DURWARD_"

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets the flags that the command line left alone.
func fromEnvironment(cmd *cobra.Command) error {
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value, ok := os.LookupEnv(envName(f.Name))
		if f.Changed || !ok || value == "" || f.Name == "help" {
			return
		}
		if envName(f.Name) == binary.EnvPath && f.Value.Type() == "bool" {
			return // it names an Envoy, and asks for nothing
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", envName(f.Name), value, errors.Unwrap(err)))
		}
	})
	if err := errors.Join(errs...); err != nil {
		return &usageError{err, cmd.CommandPath()}
	}
	return nil
}

// wordFlag adds a flag that takes one of a few words; without it value stays as it is.
func wordFlag(cmd *cobra.Command, value *string, name, short, usage string, words ...string) {
	cmd.Flags().VarP(word{value, words}, name, short, usage)
}

// word is the value of such a flag.
type word struct {
	value *string
	of    []string
}

func (w word) String() string { return *w.value }

// Type is how help calls the values.
func (w word) Type() string { return strings.Join(w.of, "|") }

// Set refuses other words, as the flag is parsed.
func (w word) Set(value string) error {
	if !slices.Contains(w.of, value) {
		last := len(w.of) - 1
		return fmt.Errorf("it is neither %s nor %s", strings.Join(w.of[:last], ", "), w.of[last])
	}
	*w.value = value
	return nil
}

// unknownFlag adds what the writer may have meant.
func unknownFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if hint := catalog.Suggest(unknown.GetSpecifiedName(), names); strings.HasPrefix(hint, "did you mean") {
			err = fmt.Errorf("%w; %s", err, hint)
		}
	}
	return &usageError{err, cmd.CommandPath()}
}

// unknownVerb is the argument check of the root command.
func unknownVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			names = append(names, cmd.Name())
		}
	}
	return fmt.Errorf("%q is no command of durward; %s", args[0], catalog.Suggest(args[0], names))
}

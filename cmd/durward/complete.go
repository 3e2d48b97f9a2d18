package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/login"
	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/policy/catalog"
)

// offer makes a shell completion of names that the configuration declares. One that does
// not load offers nothing: the command itself will say why.
func offer(names func(*catalog.Catalogue) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		path, err := cmd.Flags().GetString("config")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		cat, _, err := serve.Load(path)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cat), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeApplication offers applications where the first argument names one.
func completeApplication(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return offer(applications)(cmd, args, typed)
}

// completeRequest offers METHOD and then the paths at which APIs begin, with their names,
// after so many arguments of another kind.
func completeRequest(before int, first cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case before:
			return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, cobra.ShellCompDirectiveNoFileComp
		case before + 1:
			return offer(apiPaths)(cmd, args, typed)
		}
		return first(cmd, args, typed)
	}
}

func applications(cat *catalog.Catalogue) (names []string) {
	for _, org := range cat.Organizations {
		for _, app := range org.Applications {
			if found, err := login.Application(cat, app.Name); err == nil && found == app {
				names = append(names, app.Name)
				continue
			}
			names = append(names, org.Name+"/"+app.Name)
		}
	}
	return names
}

func apiPaths(cat *catalog.Catalogue) (paths []string) {
	for _, api := range cat.APIs {
		paths = append(paths, cobra.CompletionWithDesc(api.BasePath, "API "+api.Name))
	}
	return paths
}

// completeFlag lets the shell complete a flag that the command has.
func completeFlag(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(fmt.Sprintf("flag %s of %s: %v", flag, cmd.Name(), err)) // a mistake in this package
	}
}

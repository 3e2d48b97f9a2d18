package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/durward/durward/envoy"
	"github.com/durward/durward/envoy/binary"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

// validator asks a real Envoy; the zero validator asks nobody.
type validator struct{ path, version string }

// validator finds an Envoy, if one is asked for.
func (o checking) validator(cmd *cobra.Command) (v validator, err error) {
	if !o.envoy {
		return validator{}, nil
	}
	if v.path, err = binary.Find(cmd.Context(), binary.Options{Progress: cmd.ErrOrStderr()}); err != nil {
		return validator{}, err
	}
	v.version, err = binary.Version(cmd.Context(), v.path)
	return v, err
}

// validate adds to r what Envoy says of each gateway.
func (v validator) validate(ctx context.Context, r *source.Report) error {
	if v.path == "" || r.Catalogue == nil {
		return nil
	}
	for _, gw := range r.Catalogue.Gateways {
		text, err := envoy.Static(dialable(r.Catalogue), gw.Name)
		if err != nil {
			return err
		}
		if err = binary.Validate(ctx, v.path, text); err == nil {
			continue
		}
		if ctx.Err() != nil {
			return err
		}
		words := envoysWords(err.Error())
		r.Findings = append(r.Findings, catalog.NewFinding(catalog.EnvoyRefuses, blamed(r.Catalogue, gw, words),
			fmt.Sprintf("Envoy %s refuses gateway %q: %s", v.version, gw.Name, words)))
	}
	catalog.SortFindings(r.Findings)
	if catalog.HasErrors(r.Findings) {
		r.Catalogue = nil
	}
	return nil
}

// blamed is the first API with a file that Envoy names, else the gateway: Envoy does not
// say whose a file is.
func blamed(cat *catalog.Catalogue, gw *catalog.Gateway, words string) catalog.Position {
	for _, api := range cat.APIs {
		for _, b := range api.Backends {
			for _, file := range []string{b.TLS.CAFile, b.TLS.CertFile, b.TLS.KeyFile} {
				if file != "" && strings.Contains(words, file) {
					return api.At
				}
			}
		}
	}
	return gw.At
}

// refusal is what Envoy logs last where it does not start.
var refusal = regexp.MustCompile(`(?s)error initializing (?:configuration|config) '[^']*'(?: [^:]*)?: *(.*)`)

const maxWords = 1000

// envoysWords are Envoy's own, on one line, of what is said when it refuses.
func envoysWords(text string) string {
	if found := refusal.FindStringSubmatch(text); found != nil {
		text = found[1]
		if end := strings.Index(text, "\n  ["); end >= 0 { // the next line of its log
			text = text[:end]
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	return text
}

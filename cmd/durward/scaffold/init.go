package scaffold

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/durward/durward/policy/catalog"
)

// Options say where the first configuration goes, and for whom it is.
type Options struct {
	// Path is the catalogue's. The secret, the schema and the policy tests are written
	// beside it.
	Path string
	// Issuer is a custom authorization server of the reader's org; empty for the local
	// Okta.
	Issuer string
	// Schema is the JSON Schema of catalogues; nil for none.
	Schema []byte
	// Out is for people.
	Out io.Writer
}

// schemaName is the schema's file, beside the catalogue.
const schemaName = "durward.schema.json"

// Init writes the configuration and tells what comes next. Where one of its files exists
// already nothing is written, and the error wraps fs.ErrExist. An unusable issuer is an
// *IssuerError.
func Init(o Options) error {
	v := Local()
	// 256 bits and more; the local Okta takes it from the file.
	secret := rand.Text() + rand.Text() + "\n"
	var scopes []string
	if o.Issuer != "" {
		cat, err := checkIssuer(o.Issuer)
		if err != nil {
			return err
		}
		v, secret, scopes = ofOrg(o.Issuer), "", scopesOf(cat)
	}
	files := []newFile{{o.Path, nil, 0o644}, {filepath.Join(filepath.Dir(o.Path), v.SecretFile), []byte(secret), 0o600}}
	if o.Schema != nil {
		v.Schema = schemaName
		files = append(files, newFile{filepath.Join(filepath.Dir(o.Path), schemaName), o.Schema, 0o644})
	}
	var err error
	if files[0].text, err = Catalogue(v); err != nil {
		return err
	}
	tests, err := Tests(v, o.Path)
	if err != nil {
		return err
	}
	files = append(files, newFile{TestsPath(o.Path), tests, 0o644})
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o755); err != nil { //nolint:gosec // the secret in it is 0600
		return fmt.Errorf("init: %w", err)
	}
	if err := writeAll(files); err != nil {
		return err
	}
	for _, f := range files {
		_, _ = fmt.Fprintf(o.Out, "wrote %s\n", f.path)
	}
	if o.Issuer == "" {
		return tellLocal(o.Out, o.Path)
	}
	return tellOrg(o.Out, o.Path, files[1].path, v, scopes)
}

// ofOrg are the values for an authorization server of the reader's org. What only the
// org knows stays empty.
func ofOrg(issuer string) Values {
	v := Local()
	v.Issuer = issuer
	v.ClientID, v.Mobile, v.Partner, v.Warehouse = "", "", "", ""
	return v
}

// scopesOf are the scopes that operations ask for, in their order, each once.
func scopesOf(cat *catalog.Catalogue) (list []string) {
	for _, api := range cat.APIs {
		for _, op := range api.Operations {
			for _, s := range slices.Concat(op.AllScopes, op.AnyScopes) {
				if !slices.Contains(list, s) {
					list = append(list, s)
				}
			}
		}
	}
	return list
}

// newFile is one file to make.
type newFile struct {
	path string
	text []byte
	mode fs.FileMode
}

// writeAll makes all files or none. None of them may exist.
func writeAll(files []newFile) error {
	for _, f := range files {
		if _, err := os.Lstat(f.path); err == nil {
			return fmt.Errorf("%s is there already: init overwrites nothing; move it away, or name another file with -c: %w", f.path, fs.ErrExist)
		}
	}
	for i, f := range files {
		if err := writeNew(f); err != nil {
			for _, made := range files[:i] {
				err = errors.Join(err, os.Remove(made.path))
			}
			return err
		}
	}
	return nil
}

// writeNew makes a file that nobody made since: with O_EXCL no link is followed either.
func writeNew(f newFile) (err error) {
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.mode)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	_, err = file.Write(f.text)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(fmt.Errorf("init: %w", err), os.Remove(f.path))
	}
	return nil
}

// flag is how later commands are told of the catalogue.
func flag(path string) string {
	if path == "durward.yaml" {
		return ""
	}
	return " -c " + quoted(path)
}

// quoted is a path as a shell reads it.
func quoted(path string) string {
	if strings.ContainsAny(path, " \t'\"\\$`!*?&|;<>(){}[]~#") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

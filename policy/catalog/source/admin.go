package source

import (
	"regexp"

	"github.com/durward/durward/policy/catalog"
)

// writtenAdmin is the admin port's address in a text that is perhaps no YAML.
var writtenAdmin = regexp.MustCompile(`\badmin:\s*\{?\s*address:\s*["']?([^"'\s,}]+)`)

// AdminAddress is the address of the admin port in the configuration at path. The port
// is asked why a configuration is rejected: where it cannot be compiled, its text is
// searched, and at last the default returned. It checks nothing of what it finds there.
func AdminAddress(path string) string {
	if cat, _, err := Load(path); err == nil && cat != nil {
		return cat.Listeners.Admin
	}
	files, _, err := readFiles(path)
	if err != nil {
		return catalog.DefaultAdminAddress
	}
	for _, f := range files {
		if found := writtenAdmin.FindSubmatch(f.data); found != nil {
			return string(found[1])
		}
	}
	return catalog.DefaultAdminAddress
}

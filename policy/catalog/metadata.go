package catalog

import (
	"fmt"
	"strings"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// wellKnown is where the metadata of a protected resource is (RFC 9728 section 3.1): the
// resource's path follows it.
const wellKnown = "/.well-known/oauth-protected-resource"

// MetadataPath is the path of the API's protected resource metadata on its own hosts; ""
// where clients are not told. The document is served to anybody, by GET alone.
func (a *API) MetadataPath() string {
	if !a.ProtectedResource {
		return ""
	}
	return wellKnown + strings.TrimSuffix(a.BasePath, "/")
}

// ResourceURL is the API's resource identifier (RFC 9728 section 1.2): the first external
// URL and the base path, without a slash at the end.
func (a *API) ResourceURL() string {
	if len(a.External) == 0 {
		return ""
	}
	return a.External[0] + strings.TrimSuffix(a.BasePath, "/")
}

// MetadataURL is where clients find the metadata, "" where they are not told.
func (a *API) MetadataURL() string {
	if !a.ProtectedResource || len(a.External) == 0 {
		return ""
	}
	return a.External[0] + a.MetadataPath()
}

// isMetadata reports whether path is that of the API's metadata.
func (a *API) isMetadata(path string) bool { return a.metadata != nil && path == a.MetadataPath() }

// protectedResource gives the API the operation that reads its metadata.
func (c *compiler) protectedResource(path string, api *API, f *durwardv1.Frontend) {
	if !api.ProtectedResource || checkBasePath(api.BasePath) != nil {
		return
	}
	if len(f.GetExternal()) == 0 && len(api.External) > 1 {
		c.find(metadataWhere, path+".protected_resource", "API %q is found under %d URLs, and its metadata names one", api.Name, len(api.External))
	}
	template, err := ParseTemplate(api.MetadataPath())
	if err != nil {
		c.find(badBasePath, path+".frontend.path", "path of the metadata: %s", err)
		return
	}
	api.metadata = &Operation{Methods: []string{"GET"}, Path: template, Public: true, At: c.at(path + ".protected_resource")}
}

// metadataPlaces holds that nothing else is meant to answer where metadata does. As ever,
// what is written out wins over {name} and /**.
func (c *compiler) metadataPlaces() {
	for i, a := range c.cfg.GetApis() {
		api := c.cat.apis[a.GetName()]
		if api == nil || api.metadata == nil {
			continue
		}
		path := api.MetadataPath()
		for _, other := range c.cat.APIs {
			if at, taken := other.answersExactly(path); taken && api.sharesHost(other) {
				c.find(metadataTaken, fmt.Sprintf("apis[%d].protected_resource", i), "the metadata of API %q is at %s, where API %q answers already%s", api.Name, path, other.Name, in(at))
			}
		}
	}
}

// answersExactly reports whether the API was made to answer at path: by an operation
// without {name} and /**, or by a base path below the well-known one.
func (a *API) answersExactly(path string) (Position, bool) {
	rest, ok := a.relative(path)
	if !ok {
		return Position{}, false
	}
	if strings.HasPrefix(a.BasePath, wellKnown) {
		return a.At, true
	}
	for _, op := range a.Operations {
		if op.Path.isLiteral() && op.Path.matches(rest) {
			return op.At, true
		}
	}
	return Position{}, false
}

package catalog

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
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
	around, literal := make(spots), make(map[string][]literalAnswer) // few, or none
	for i := range c.drafts {
		api := c.drafts[i].api
		switch {
		case c.named[api.Name] != &c.drafts[i]:
		case strings.HasPrefix(api.BasePath, wellKnown):
			around.add(i, api.Hosts, api.BasePath)
		default:
			for path, at := range api.literalsNearMetadata() {
				literal[path] = append(literal[path], literalAnswer{i, at})
			}
		}
	}
	if len(around)+len(literal) == 0 {
		return
	}
	before, asked := len(c.findings), make(spots)
	for i := range c.drafts {
		api := c.drafts[i].api
		if api.metadata == nil || c.named[api.Name] != &c.drafts[i] {
			continue
		}
		path := api.MetadataPath()
		if len(literal[path]) > 0 {
			asked.add(i, api.Hosts, path)
		}
		for part := path; strings.HasPrefix(part, wellKnown) && len(around) > 0; part = part[:strings.LastIndexByte(part, '/')] {
			for _, other := range around.of(api.Hosts, part) {
				c.metadataTaken(i, c.drafts[other].api, c.drafts[other].api.At)
			}
		}
	}
	for path, others := range literal {
		for _, other := range others {
			for _, i := range asked.of(c.drafts[other.draft].api.Hosts, path) {
				c.metadataTaken(i, c.drafts[other.draft].api, other.at)
			}
		}
	}
	slices.SortFunc(c.findings[before:], func(a, b Finding) int { return cmp.Compare(a.Message, b.Message) })
}

// metadataTaken finds that other answers, because of what stands at a position, where the
// metadata of the i-th API is.
func (c *compiler) metadataTaken(i int, other *API, at Position) {
	api := c.drafts[i].api
	c.find(metadataTaken, fmt.Sprintf("apis[%d].protected_resource", i), "the metadata of API %q is at %s, where API %q answers already%s", api.Name, api.MetadataPath(), other.Name, in(at))
}

// literalAnswer is an operation of the API of a draft.
type literalAnswer struct {
	draft int
	at    Position
}

// literalsNearMetadata are the first operations at paths, whole ones, without {name} and
// /** at which metadata may be.
func (a *API) literalsNearMetadata() map[string]Position {
	if a.BasePath != "/" && !strings.HasPrefix(wellKnown, a.BasePath) {
		return nil
	}
	var found map[string]Position
	for _, op := range a.Operations {
		path := a.FullPath(op)
		if _, known := found[path]; known || !strings.HasPrefix(path, wellKnown) || !op.Path.isLiteral() {
			continue
		}
		if found == nil {
			found = make(map[string]Position)
		}
		found[path] = op.At
	}
	return found
}

// spots finds drafts, by their indices, by host and path.
type spots map[spot][]int

// spot is a path at the hosts of a pattern, or, above, at patterns of which it is a wider one.
type spot struct {
	host, path string
	above      bool
}

// add files a draft that is at a path of all hosts of the patterns.
func (s spots) add(draft int, hosts []string, path string) {
	for _, host := range hosts {
		s[spot{host, path, false}] = append(s[spot{host, path, false}], draft)
		for wider := range widerPatterns(host) {
			s[spot{wider, path, true}] = append(s[spot{wider, path, true}], draft)
		}
	}
}

// of are the drafts at a path of at least one host that matches one of the patterns, sorted.
func (s spots) of(hosts []string, path string) (drafts []int) {
	for _, host := range hosts {
		drafts = append(drafts, s[spot{host, path, false}]...)
		drafts = append(drafts, s[spot{host, path, true}]...)
		for wider := range widerPatterns(host) {
			drafts = append(drafts, s[spot{wider, path, false}]...)
		}
	}
	slices.Sort(drafts)
	return slices.Compact(drafts)
}

// widerPatterns are the other patterns that match all that a pattern does. Two patterns match
// a common host only where they are the same or one is wider.
func widerPatterns(host string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if host == "*" {
			return
		}
		for rest := strings.TrimPrefix(host, "*."); ; {
			_, after, found := strings.Cut(rest, ".")
			if !found {
				yield("*")
				return
			}
			if rest = after; !yield("*." + rest) {
				return
			}
		}
	}
}

package catalog

import (
	"net/url"
	"slices"
	"strings"
)

// pathOperations is everything an API offers at one path shape.
type pathOperations struct {
	template Template
	// allow is sorted.
	allow    []string
	byMethod map[string]*Operation
}

// Match is what an API has for one request line. The zero Match is: nothing.
type Match struct {
	// Operation is nil where nothing answers.
	Operation *Operation
	// PathKnown says that the path exists, with other methods if Operation is nil.
	PathKnown bool
	// Allow lists the methods of a known path, sorted. It must not be changed.
	Allow []string
}

// Match finds the operation for a request. path is the request's, with the base path
// and without the query; that it is in canonical form is for the caller to check.
// The most specific path wins first, comparing segments from the left (a literal
// before {name} before **), and only then the method: where the winner lacks the
// method, no less specific path is tried. The path of the API's protected resource
// metadata has a public operation of its own.
func (a *API) Match(method, path string) Match {
	if a.isMetadata(path) {
		m := Match{PathKnown: true, Allow: a.metadata.Methods}
		if method == "GET" {
			m.Operation = a.metadata
		}
		return m
	}
	rest, ok := a.relative(path)
	if !ok {
		return Match{}
	}
	for _, p := range a.paths {
		if p.template.matches(rest) {
			return Match{Operation: p.byMethod[method], PathKnown: true, Allow: p.allow}
		}
	}
	return Match{}
}

// relative cuts the base path off, at a segment boundary only.
func (a *API) relative(path string) (string, bool) {
	if a.BasePath == "/" {
		if path == "/" {
			return "", true
		}
		return path, strings.HasPrefix(path, "/")
	}
	rest, ok := strings.CutPrefix(path, a.BasePath)
	if !ok || a.BasePath == "" || rest != "" && rest[0] != '/' {
		return "", false
	}
	return rest, true
}

// addPath files op under its path shape. It returns the operation that already holds
// one of op's methods there, if any.
func (a *API) addPath(op *Operation) *Operation {
	i, found := slices.BinarySearchFunc(a.paths, op.Path, func(p *pathOperations, t Template) int {
		return compareTemplates(p.template, t)
	})
	if !found {
		a.paths = slices.Insert(a.paths, i, &pathOperations{template: op.Path, byMethod: make(map[string]*Operation)})
	}
	p := a.paths[i]
	for _, m := range op.Methods {
		switch p.byMethod[m] {
		case nil:
		case op:
			continue
		default:
			return p.byMethod[m]
		}
		p.byMethod[m] = op
		p.allow = append(p.allow, m)
	}
	slices.Sort(p.allow)
	return nil
}

// Params returns what stands in path in place of each {name} of op's template,
// percent-decoded; nil where op has none. op must be the operation that Match found for
// the path, and the path canonical.
func (a *API) Params(op *Operation, path string) map[string]string {
	rest, ok := a.relative(path)
	if !ok {
		return nil
	}
	var params map[string]string
	parts := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	for i, s := range op.Path.segments {
		if s.kind != nameSegment || i >= len(parts) {
			continue
		}
		value, err := url.PathUnescape(parts[i])
		if err != nil {
			continue
		}
		if params == nil {
			params = make(map[string]string)
		}
		params[s.name] = value
	}
	return params
}

// FullPath is the template of one of the API's operations with the base path before it.
func (a *API) FullPath(op *Operation) string {
	if op == a.metadata {
		return op.Path.String()
	}
	base := strings.TrimSuffix(a.BasePath, "/")
	if op.Path.String() == "/" && base != "" {
		return base
	}
	return base + op.Path.String()
}

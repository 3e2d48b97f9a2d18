package policytest

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// SplitURL returns host and path with query of a URL as they would be sent: nothing is
// decoded or encoded on the way, and a fragment is left out. text is absolute, http or
// https, or a path; host is empty for a path.
func SplitURL(text string) (host, path string, err error) {
	text, _, _ = strings.Cut(text, "#")
	if strings.HasPrefix(text, "/") {
		return "", text, nil
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", "", errors.New("the URL is neither http://HOST/PATH, nor https://, nor a /PATH")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, path = rest[:end], rest[end:]
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	u, err := url.Parse(scheme + "://" + host)
	if err != nil || u.Host == "" || u.User != nil {
		return "", "", errors.New("the URL has no usable host; a user before the host is not sent to a server at all")
	}
	return host, path, nil
}

// Route makes the request that Envoy asks about: of the API that its routes name for the
// host and the path, without a credential. path may have a query.
func Route(cat *catalog.Catalogue, method, host, path string) policy.Request {
	r := policy.Request{API: contract.NoAPI, Method: method, Host: host, Path: path}
	canonical, err := catalog.CanonicalHost(host)
	if err != nil {
		return r // Decide says what is wrong with it
	}
	plain, _, _ := strings.Cut(path, "?")
	if api := cat.Route(canonical, plain); api != nil {
		r.API = api.Name
	}
	return r
}

// hostFor is the host under which a path is asked for that stands alone: the first one of
// the API with the longest base path over it, or else the first gateway's.
func hostFor(cat *catalog.Catalogue, path string) (string, error) {
	plain, _, _ := strings.Cut(path, "?")
	var best *catalog.API
	several := false
	for _, api := range cat.APIs {
		switch {
		case !api.Covers(plain):
		case best == nil || len(api.BasePath) > len(best.BasePath):
			best, several = api, false
		case len(api.BasePath) == len(best.BasePath):
			several = true
		}
	}
	if several {
		return "", fmt.Errorf("several APIs begin at %s, on hosts of their own: write the whole URL", best.BasePath)
	}
	if best == nil || best.Hosts[0] == "*" {
		return cat.Gateways[0].URL.Host, nil
	}
	return strings.Replace(best.Hosts[0], "*", "any", 1), nil
}

package catalog

// Route returns the API that answers at host, which CanonicalHost returned, and path,
// without a query; or nil. Of the APIs that serve the host and cover the path, it is the
// one with the longest base path; of those with the same, the one with the most specific
// host: an exact host, then the longest wildcard, then "*". An operation that it lacks is
// not looked for in another API. The path of an API's protected resource metadata counts
// as a base path of its own. A gateway that serves all APIs is configured by the same rule.
func (c *Catalogue) Route(host, path string) *API { return route(c.APIs, host, path) }

// RouteUnpublished returns the API that is not published and would answer there, or nil. It
// is for telling people why nobody does.
func (c *Catalogue) RouteUnpublished(host, path string) *API {
	return route(c.Unpublished, host, path)
}

func route(apis []*API, host, path string) *API {
	var best *API
	var bestReach, bestHost int
	for _, api := range apis {
		rank, reach := HostRank(api.Hosts, host), api.reach(path)
		if rank == 0 || reach == 0 {
			continue
		}
		if reach > bestReach || reach == bestReach && rank > bestHost {
			best, bestReach, bestHost = api, reach, rank
		}
	}
	return best
}

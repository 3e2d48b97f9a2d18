package catalog

// Route returns the API that answers at host, which CanonicalHost returned, and path,
// without a query; or nil. Of the APIs that serve the host and cover the path, it is the
// one with the longest base path; of those with the same, the one with the most specific
// host: an exact host, then the longest wildcard, then "*". An operation that it lacks is
// not looked for in another API. Gateways are configured by the same rule.
func (c *Catalogue) Route(host, path string) *API {
	var best *API
	var bestHost int
	for _, api := range c.APIs {
		rank := api.hostRank(host)
		if rank == 0 || !api.Covers(path) {
			continue
		}
		longer := best == nil || len(api.BasePath) > len(best.BasePath)
		if longer || len(api.BasePath) == len(best.BasePath) && rank > bestHost {
			best, bestHost = api, rank
		}
	}
	return best
}

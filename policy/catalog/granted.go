package catalog

import "iter"

// Grants are the organizations that have access to the API, and whether all of their
// applications have; where not all have, ApplicationGranted knows which. The order is
// none.
func (a *API) Grants() iter.Seq2[*Organization, bool] {
	return func(yield func(*Organization, bool) bool) {
		for o, g := range a.grants {
			if !yield(o, g.all) {
				return
			}
		}
	}
}

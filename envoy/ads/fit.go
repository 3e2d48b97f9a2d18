package ads

// site is where versions of a resource are.
type site struct{ typeURL, name string }

// holds reports whether the Envoy has all of an edition, and no more but what is to be
// taken away; and whether it has refused whatever it has not. What was compared once is not
// again: at ten thousand APIs and a few hundred Envoys, an acknowledgement must cost what is
// acknowledged. The caller holds the lock.
func (st *stream) holds(want *edition) (all, answered bool) {
	all = true
	lacks := func(at site) bool {
		version := want.versions(at.typeURL)[at.name]
		if version == "" {
			return !st.unused[at.typeURL][at.name]
		}
		all = false
		_, refused := st.refused[resource{at.typeURL, at.name, version}]
		return !refused
	}
	if st.fits == want {
		for at := range st.differs {
			if lacks(at) {
				return false, false
			}
		}
		return all, true
	}
	differs := make(map[site]bool)
	for typeURL := range typeLabels {
		held, versions := st.held[typeURL], want.versions(typeURL)
		for name, version := range versions {
			if held[name] == version {
				continue
			}
			at := site{typeURL, name}
			if differs[at] = true; lacks(at) {
				return false, false
			}
		}
		for name := range held {
			if versions[name] != "" {
				continue
			}
			at := site{typeURL, name}
			if differs[at] = true; lacks(at) {
				return false, false
			}
		}
	}
	st.fits, st.differs = want, differs
	return all, true
}

// compare notes whether the Envoy has at a site what it should. The caller holds the lock.
func (st *stream) compare(at site) {
	if st.fits == nil {
		return
	}
	if st.held[at.typeURL][at.name] == st.fits.versions(at.typeURL)[at.name] {
		delete(st.differs, at)
	} else {
		st.differs[at] = true
	}
}

// lose notes that the Envoy no longer has a resource. The caller holds the lock.
func (st *stream) lose(typeURL, name string) {
	delete(st.held[typeURL], name)
	st.compare(site{typeURL, name})
}

// follow compares what the Envoy has with the next edition, which differs from the one before
// at some sites. The caller holds the lock.
func (st *stream) follow(former, next *edition, changed []site) {
	if former == nil || st.fits != former {
		return
	}
	st.fits = next
	for _, at := range changed {
		st.compare(at)
	}
}

// differences lists where two editions, of which the first may be nil, have other versions.
func differences(former, next *edition) (sites []site) {
	if former == nil || former == next {
		return nil
	}
	for typeURL := range typeLabels {
		before, after := former.versions(typeURL), next.versions(typeURL)
		for name, version := range after {
			if before[name] != version {
				sites = append(sites, site{typeURL, name})
			}
		}
		for name := range before {
			if after[name] == "" {
				sites = append(sites, site{typeURL, name})
			}
		}
	}
	return sites
}

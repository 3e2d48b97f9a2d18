package ads

// assign puts an Envoy among those that are told what it is to be told: apart, if it refused
// something of what its gateway's others are. The caller holds the lock.
func (s *Server) assign(st *stream) {
	key := st.gateway
	if main := s.audiences[key]; main != nil && st.refuses(main.edition) {
		key = apartKey(key)
	}
	if key == st.audience {
		return
	}
	st.audience = key
	s.look(s.audiences[key], st)
	for typeURL := range st.held {
		st.nudge(typeURL)
	}
	s.notify()
}

// refuses reports whether the Envoy has refused what the edition, which may be nil, has in
// it.
func (st *stream) refuses(e *edition) bool { return refuses(st.refused, st.held, e) }

func refuses(refused map[resource]string, held versions, e *edition) bool {
	if e == nil {
		return false
	}
	for r := range refused {
		if r.in(e) && held[r.typeURL][r.name] != r.version {
			return true
		}
	}
	return false
}

// anyRefuses reports whether an Envoy of the gateway has refused what the edition has in it,
// be it one that is not connected. The caller holds the lock.
func (s *Server) anyRefuses(g *gateway, e *edition) bool {
	for _, st := range s.streams {
		if st.gateway == g.name && st.refuses(e) {
			return true
		}
	}
	for _, refused := range g.left {
		if refuses(refused, nil, e) {
			return true
		}
	}
	return false
}

// remember gives a stream what its Envoy refused on the one before. Envoys that cannot be
// told apart are not remembered while one of them is connected: what one refuses another
// may want. The caller holds the lock.
func (s *Server) remember(g *gateway, st *stream) {
	if refused := g.left[st.envoy()]; refused != nil && !s.hasNamesake(st) {
		st.refused = refused
	}
	delete(g.left, st.envoy())
}

// leftBehind keeps what an Envoy refused until it comes back. The caller holds the lock.
func (s *Server) leftBehind(st *stream) {
	main := s.audiences[st.gateway]
	if main == nil || len(st.refused) == 0 || s.hasNamesake(st) {
		return
	}
	makeRoom(main.left, maxRefusing)
	main.left[st.envoy()] = st.refused
}

func (s *Server) hasNamesake(st *stream) bool {
	for _, other := range s.streams {
		if other != st && other.gateway == st.gateway && other.envoy() == st.envoy() {
			return true
		}
	}
	return false
}

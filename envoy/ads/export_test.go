package ads

// TakeTurn lets no edition be installed until the turn is given back.
func (s *Server) TakeTurn() (giveBack func()) {
	s.turn <- struct{}{}
	return func() { <-s.turn }
}

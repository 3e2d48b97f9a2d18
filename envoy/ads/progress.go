package ads

import (
	"context"
	"fmt"
	"slices"
)

// progress is how far the Envoys of one gateway are.
type progress struct {
	// connected counts them; behind those that do not hold what was published last; done
	// those that hold or have refused each part of it; awaited those that have something to
	// answer, and are not known to be slow.
	connected, behind, done, awaited int
	// refusals are the reasons of those behind, as far as they gave one.
	refusals []string
}

// WaitAcked waits until at least one Envoy of the gateway is connected and all of its
// Envoys have acknowledged all that was published last. At the end of ctx, which
// should have a deadline, the error tells how far they are and what they refused.
func (s *Server) WaitAcked(ctx context.Context, gateway string) error {
	for {
		s.mu.Lock()
		p, changed := s.progress(gateway, apartKey(gateway)), s.changed
		s.mu.Unlock()
		if p.behind == 0 && p.connected > 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("gateway %s: %d envoys connected, %d of them without the current configuration, refusals %q: %w",
				gateway, p.connected, p.behind, p.refusals, ctx.Err())
		}
	}
}

// progress regards all Envoys of an unknown audience as behind. The caller holds the lock.
func (s *Server) progress(keys ...string) progress {
	var p progress
	for _, st := range s.streams {
		if !slices.Contains(keys, st.audience) {
			continue
		}
		p.connected++
		switch {
		case st.done:
			p.done++
		case !st.slow:
			p.awaited++
		}
		a := s.audiences[st.audience]
		if a != nil && a.edition != nil && st.has == a.edition {
			continue
		}
		p.behind++
		if why := st.refusal(a); why != "" {
			p.refusals = append(p.refusals, why)
		}
	}
	return p
}

// isSettled reports whether nobody is awaited.
func (p progress) isSettled() bool { return p.awaited == 0 }

// refusal is the type and reason of something that the Envoy refused of what its audience,
// which may be nil, is told now; empty if there is nothing. The caller holds the lock.
func (st *stream) refusal(a *audience) string {
	if a == nil || a.edition == nil {
		return ""
	}
	var all []string
	for r, reason := range st.refused {
		if r.in(a.edition) && !r.heldBy(st) {
			all = append(all, typeLabels[r.typeURL]+": "+reason)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return slices.Min(all)
}

package ads

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durward/durward/policy/catalog"
)

const (
	// handOver bounds how long telling the streams of one gateway may take.
	handOver = 5 * time.Second
	// spread is how long Envoy's threads may take to hear of an update that Envoy has
	// acknowledged.
	spread = 100 * time.Millisecond
	// answerWithin is how long a new edition waits for answers to the one before.
	answerWithin = 500 * time.Millisecond
)

// ErrClosed is what [Server.Prepare] returns after [Server.Close].
var ErrClosed = errors.New("the control plane is closed")

// Prepared is a catalogue of which everything is checked and ready to be sent. It may be
// dropped. It is for one goroutine.
type Prepared struct {
	server *Server
	cat    *catalog.Catalogue
	next   map[string]*edition // by gateway
	over   bool
}

// Prepare translates cat for each of its gateways, and changes nothing. When one gateway
// fails, all do. It waits for nobody. What did not change since the last publication is
// neither written nor checked again.
func (s *Server) Prepare(ctx context.Context, cat *catalog.Catalogue) (*Prepared, error) {
	select {
	case <-s.closed:
		return nil, fmt.Errorf("publish to envoy: %w", ErrClosed)
	default:
	}
	p := &Prepared{server: s, cat: cat, next: make(map[string]*edition, len(cat.Gateways))}
	for _, gw := range cat.Gateways {
		err := ctx.Err()
		if err == nil {
			p.next[gw.Name], err = newEdition(cat, gw.Name, s.present(gw.Name))
		}
		if err != nil {
			return nil, fmt.Errorf("publish to envoy: %w", err)
		}
	}
	return p, nil
}

// Publish makes the catalogue what the Envoys of all its gateways are told: everything, and
// to those that refused some of it everything but the APIs that are parked and did not
// change; of these they are told what they accepted before. Equal resources are not sent
// again: versions are hashes of their content.
//
// Each Envoy gets clusters before the listeners, and these before the route tables,
// that name them; and no table before it has acknowledged the clusters to which that leads.
// The library would send the removal of clusters with the new ones, ahead of the routes
// that still use them. They are therefore removed later, when the Envoy has acknowledged
// the rest and the requests that chose their route before that have been checked; a
// refusal, or another publication, puts it off until then. The Envoys of a gateway that
// the catalogue no longer has lose all they had at once.
//
// Publish does not wait for Envoys to have it: see [Server.WaitAcked]. It is bounded by a few
// seconds. Nothing of the catalogue can fail any more, but it may be that an Envoy does not
// take what it is told for so long: it gets that with the next publication, or when it
// connects again, and all others have it. Of two catalogues the one published last counts,
// whichever was prepared first.
func (p *Prepared) Publish() error {
	if p.over {
		return errors.New("publish to envoy: published before")
	}
	p.over = true
	s := p.server
	if !s.takeTurn() {
		return fmt.Errorf("publish to envoy: %w", ErrClosed)
	}
	defer s.endTurn()
	gone, keys := s.renew(p.cat)
	s.settled(keys...)
	errs := []error{s.forget(gone)}
	for gateway, ed := range p.next {
		errs = append(errs, s.publish(gateway, ed))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("publish to envoy: %w", err)
	}
	return nil
}

// takeTurn reports whether the server is not closed.
func (s *Server) takeTurn() bool {
	select {
	case s.turn <- struct{}{}:
		return true
	case <-s.closed:
		return false
	}
}

func (s *Server) endTurn() { <-s.turn }

// present returns what the Envoys of an audience should hold now, or nil.
func (s *Server) present(key string) *edition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.audiences[key]; a != nil {
		return a.edition
	}
	return nil
}

// newEdition takes what did not change from former, which may be nil.
func newEdition(cat *catalog.Catalogue, gateway string, former *edition) (*edition, error) {
	if former == nil {
		former = &edition{snap: new(snapshot)}
	}
	res, err := former.snap.res.Next(cat, gateway)
	if err != nil {
		return nil, err
	}
	snap, err := snapshotOf(cat.Revision, res, former.snap)
	if err != nil {
		return nil, fmt.Errorf("gateway %s: %w", gateway, err)
	}
	return &edition{cat: cat, snap: snap}, nil
}

// renew has an audience for each gateway of cat, and one for its Envoys apart. It takes away
// those of other gateways, and lists the keys of both. The caller has the turn.
func (s *Server) renew(cat *catalog.Catalogue) (gone, kept []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, gw := range cat.Gateways {
		if s.audiences[gw.Name] == nil {
			g := newGateway(gw.Name)
			for _, key := range []string{gw.Name, apartKey(gw.Name)} {
				s.audiences[key] = &audience{gateway: g, key: key}
			}
		}
	}
	clear(s.warned)
	for key, a := range s.audiences {
		if gatewayOf(cat, a.name) == nil {
			gone = append(gone, key)
			delete(s.audiences, key)
		} else {
			kept = append(kept, key)
			a.whole = cat
		}
	}
	s.notify()
	return gone, kept
}

// forget empties the snapshots of audiences that are gone. It does not clear them from
// the library's cache, which would orphan the streams that watch them. The caller has
// the turn.
func (s *Server) forget(gone []string) error {
	var errs []error
	for _, key := range gone {
		errs = append(errs, s.tell(key, new(snapshot)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		if slices.Contains(gone, st.audience) {
			s.assign(st) // with the others, should the gateway come back
		}
	}
	return errors.Join(errs...)
}

// publish makes a whole catalogue what the Envoys of a gateway should hold, but for what those
// apart go without. The caller has the turn.
func (s *Server) publish(gateway string, whole *edition) error {
	s.mu.Lock()
	b := s.audiences[apartKey(gateway)]
	search := s.anyRefuses(b.gateway, whole)
	s.mu.Unlock()
	var still map[string]*withheld
	apart := whole
	if search {
		var err error
		if still, err = b.stillWithheld(whole.cat); err == nil && len(still) > 0 {
			apart, err = newEdition(without(whole.cat, gateway, still), gateway, whole)
		}
		if err != nil { // the search begins anew
			s.log.Error("what an envoy refused is published to it again", "gateway", gateway, "error", err)
			still, apart = nil, whole
		}
	}
	s.mu.Lock()
	b.renew(still)
	s.mu.Unlock()
	return s.install(b.gateway, map[string]*edition{gateway: whole, b.key: apart})
}

// settled waits for what the Envoys of audiences have not answered yet, but not for long,
// and for those that did not answer not again until they do. The library holds back a
// type of which a response is unanswered, and would send the next edition's scopes ahead
// of their tables.
func (s *Server) settled(keys ...string) {
	limit := time.NewTimer(answerWithin)
	defer limit.Stop()
	for {
		s.mu.Lock()
		p, changed := s.progress(keys...), s.changed
		s.mu.Unlock()
		if p.isSettled() {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			s.giveUp(keys)
			return
		case <-s.closed:
			return
		}
	}
}

// giveUp takes who has not answered for slow.
func (s *Server) giveUp(keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		if slices.Contains(keys, st.audience) && !st.done {
			st.slow = true
		}
	}
	s.notify()
}

// install makes editions what the Envoys of a gateway's audiences should hold, by key. The
// caller has the turn.
func (s *Server) install(g *gateway, next map[string]*edition) error {
	s.mu.Lock()
	for key, ed := range next {
		a := s.audiences[key]
		changed := differences(a.edition, ed)
		s.each(g, func(st *stream) {
			if st.audience == key {
				st.follow(a.edition, ed, changed)
			}
		})
		s.replace(a, ed)
	}
	s.each(g, func(st *stream) {
		s.look(s.audiences[st.audience], st)
		s.chargeAgain(st)
	})
	s.notify()
	s.mu.Unlock()
	var errs []error
	for key, ed := range next {
		errs = append(errs, s.tell(key, ed.snap))
	}
	s.mu.Lock()
	s.each(g, s.assign)
	s.mu.Unlock()
	return errors.Join(errs...)
}

// each is for the streams of a gateway. The caller holds the lock.
func (s *Server) each(g *gateway, do func(*stream)) {
	for _, st := range s.streams {
		if st.gateway == g.name {
			do(st)
		}
	}
}

// tell hands a snapshot to the streams. Nothing but its own deadline stops it: half of
// the streams told would be neither the old nor the new.
func (s *Server) tell(key string, snap *snapshot) error {
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	if err := s.cache.SetSnapshot(ctx, key, snap); err != nil {
		return fmt.Errorf("gateway %s: %w", strings.TrimSuffix(key, apartKey("")), err)
	}
	return nil
}

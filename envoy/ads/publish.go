package ads

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/durward/durward/envoy"
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

// ErrClosed is what [Server.Publish] returns after [Server.Close].
var ErrClosed = errors.New("the control plane is closed")

// Publish makes cat what the Envoys of all its gateways are told, but for the APIs that
// are parked and did not change; of a parked API the Envoys are told what they accepted
// before. It translates and checks all of it first; when one gateway fails, nothing is
// published. Equal resources are not sent again: versions are hashes of their content.
//
// Each Envoy gets clusters before the listeners, and these before the route tables,
// that name them. The library would send the removal of clusters with the new ones,
// ahead of the routes that still use them. They are therefore removed later, when
// every connected Envoy of the gateway has acknowledged the rest and the requests that
// chose their route before that have been checked; a refusal, or another Publish,
// puts it off until then. The Envoys of a gateway that cat no longer has lose all they
// had at once.
//
// Publish does not wait for Envoys: see [Server.WaitAcked]. The end of ctx stops it
// only as long as nothing is published; it is bounded by a few seconds even so.
func (s *Server) Publish(ctx context.Context, cat *catalog.Catalogue) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-s.closed:
		return fmt.Errorf("publish to envoy: %w", ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("publish to envoy: %w", ctx.Err())
	}
	next, withheld, err := s.translate(cat)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("publish to envoy: %w", err)
	}
	gone := s.renew(cat, withheld)
	if err := errors.Join(s.forget(gone), s.install(next)); err != nil {
		return fmt.Errorf("publish to envoy: %w", err)
	}
	return nil
}

// translate makes the next edition of each gateway of cat, and lists the APIs that stay
// withheld there. The caller has the turn.
func (s *Server) translate(cat *catalog.Catalogue) (next map[string]*edition, all map[string]map[string]*withheld, err error) {
	next = make(map[string]*edition, len(cat.Gateways))
	all = make(map[string]map[string]*withheld, len(cat.Gateways))
	for _, gw := range cat.Gateways {
		if g := s.gateways[gw.Name]; g != nil {
			if all[gw.Name], err = g.stillWithheld(cat); err != nil {
				return nil, nil, err
			}
		}
		if next[gw.Name], err = newEdition(without(cat, all[gw.Name]), gw.Name); err != nil {
			return nil, nil, err
		}
	}
	return next, all, nil
}

func newEdition(cat *catalog.Catalogue, gateway string) (*edition, error) {
	res, err := envoy.Translate(cat, gateway)
	if err != nil {
		return nil, err
	}
	snap, err := cachev3.NewSnapshot(cat.Revision, map[resourcev3.Type][]types.Resource{
		resourcev3.ClusterType:  asResources(res.Clusters),
		resourcev3.ListenerType: asResources(res.Listeners),
		resourcev3.RouteType:    asResources(res.Routes),
	})
	if err == nil {
		err = errors.Join(snap.Consistent(), snap.ConstructVersionMap())
	}
	if err != nil {
		return nil, fmt.Errorf("gateway %s: %w", gateway, err)
	}
	return &edition{cat: cat, snap: snap}, nil
}

// renew takes cat for what is published, and returns the gateways that it does not have.
// The caller has the turn.
func (s *Server) renew(cat *catalog.Catalogue, still map[string]map[string]*withheld) (gone []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, gw := range cat.Gateways {
		if s.gateways[gw.Name] == nil {
			s.gateways[gw.Name] = newGateway(gw.Name)
		}
		s.gateways[gw.Name].renew(cat, still[gw.Name])
	}
	clear(s.warned)
	for name := range s.gateways {
		if gatewayOf(cat, name) == nil {
			gone = append(gone, name)
		}
	}
	return gone
}

func asResources[T types.Resource](list []T) []types.Resource {
	out := make([]types.Resource, len(list))
	for i, r := range list {
		out[i] = r
	}
	return out
}

// install makes the editions what the Envoys of their gateways should hold, except that
// clusters which are no longer used are removed later. The caller has the turn.
func (s *Server) install(next map[string]*edition) error {
	first := make(map[string]*edition, len(next))
	var errs []error
	for name, ed := range next {
		s.endRetirement(name)
		both, err := s.withFormerClusters(name, ed)
		if err != nil {
			return err
		}
		first[name] = both
	}
	for name, ed := range first {
		s.settled(name)
		errs = append(errs, s.set(name, ed))
		if ed != next[name] {
			s.retireLater(name, next[name], max(ed.cat.CheckTimeout, s.checkTimeouts[name])+spread)
		}
		s.checkTimeouts[name] = ed.cat.CheckTimeout
	}
	return errors.Join(errs...)
}

// settled waits for what the gateway's Envoys have not answered yet, but not for long.
// The library holds back a type of which a response is unanswered, and would send the
// next edition's routes ahead of their clusters.
func (s *Server) settled(name string) {
	limit := time.NewTimer(answerWithin)
	defer limit.Stop()
	for {
		s.mu.Lock()
		p, changed := s.progress(name), s.changed
		s.mu.Unlock()
		if p.behind == len(p.refusals) {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			return
		case <-s.closed:
			return
		}
	}
}

// withFormerClusters adds to an edition the clusters that it is about to remove, but for
// those that Envoys refused. One that removes none is returned itself.
func (s *Server) withFormerClusters(name string, next *edition) (*edition, error) {
	former, err := s.cache.GetSnapshot(name)
	if err != nil {
		return next, nil //nolint:nilerr // there is none
	}
	clusters := next.snap.GetResourcesAndTTL(resourcev3.ClusterType)
	union := maps.Clone(former.GetResourcesAndTTL(resourcev3.ClusterType))
	if union == nil {
		return next, nil // the gateway comes back
	}
	versions := former.GetVersionMap(resourcev3.ClusterType)
	s.mu.Lock()
	maps.DeleteFunc(union, func(cluster string, _ types.ResourceWithTTL) bool {
		_, stays := clusters[cluster]
		return !stays && s.isRefused(s.gateways[name], resourcev3.ClusterType, cluster, versions[cluster])
	})
	s.mu.Unlock()
	maps.Copy(union, clusters)
	if len(union) == len(clusters) {
		return next, nil
	}
	both := &cachev3.Snapshot{Resources: next.snap.Resources}
	both.Resources[types.Cluster].Items = union
	if err := both.ConstructVersionMap(); err != nil {
		return nil, fmt.Errorf("gateway %s: %w", name, err)
	}
	return &edition{cat: next.cat, snap: both}, nil
}

// retireLater starts to wait for the moment to publish what was only held back.
func (s *Server) retireLater(name string, ed *edition, grace time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.retire(ctx, name, ed, grace) })
	s.retiring[name] = func() {
		cancel()
		running.Wait()
	}
}

// endRetirement leaves the clusters that wait to be removed to whoever publishes next.
func (s *Server) endRetirement(name string) {
	if end := s.retiring[name]; end != nil {
		end()
		delete(s.retiring, name)
	}
}

func (s *Server) retire(ctx context.Context, name string, ed *edition, grace time.Duration) {
	if err := s.wait(ctx, name, 0); err != nil {
		return
	}
	select {
	case <-time.After(grace):
	case <-ctx.Done():
		return
	}
	if err := s.set(name, ed); err != nil {
		s.log.Error("unused clusters are not removed", "error", err)
	}
}

// forget empties the snapshots of gateways that are gone. It does not clear them from
// the library's cache, which would orphan the streams that watch them. The caller has
// the turn.
func (s *Server) forget(gone []string) error {
	var errs []error
	for _, name := range gone {
		s.endRetirement(name)
		delete(s.checkTimeouts, name)
		s.mu.Lock()
		delete(s.gateways, name)
		s.notify()
		s.mu.Unlock()
		errs = append(errs, s.tell(name, new(cachev3.Snapshot)))
	}
	return errors.Join(errs...)
}

// set makes an edition what a gateway's Envoys should hold.
func (s *Server) set(name string, ed *edition) error {
	s.mu.Lock()
	g := s.gateways[name]
	s.replace(g, ed)
	for _, st := range s.streams {
		if st.gateway == name {
			st.refusal = ""
			s.look(g, st)
			s.chargeAgain(g, st)
		}
	}
	s.notify()
	s.mu.Unlock()
	return s.tell(name, ed.snap)
}

// tell hands a snapshot to the streams. Nothing but its own deadline stops it: half of
// the streams told would be neither the old nor the new.
func (s *Server) tell(gateway string, snap *cachev3.Snapshot) error {
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	if err := s.cache.SetSnapshot(ctx, gateway, snap); err != nil {
		return fmt.Errorf("gateway %s: %w", gateway, err)
	}
	return nil
}

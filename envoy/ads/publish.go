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
)

// ErrClosed is what [Server.Publish] returns after [Server.Close].
var ErrClosed = errors.New("the control plane is closed")

// Publish makes cat what the Envoys of all its gateways are told. It translates and
// checks all of them first; when one fails, nothing is published. Equal resources are
// not sent again: versions are hashes of their content.
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
	next, err := snapshots(cat)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("publish to envoy: %w", err)
	}
	s.endRetirement()
	first, err := s.withFormerClusters(next)
	if err != nil {
		return fmt.Errorf("publish to envoy: %w", err)
	}
	errs := []error{s.forget(next)}
	for gateway, snap := range first {
		errs = append(errs, s.set(gateway, snap))
	}
	s.retireLater(first, next, max(cat.CheckTimeout, s.checkTimeout)+spread)
	s.checkTimeout = cat.CheckTimeout
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("publish to envoy: %w", err)
	}
	return nil
}

// snapshots translates the catalogue for each of its gateways.
func snapshots(cat *catalog.Catalogue) (map[string]*cachev3.Snapshot, error) {
	all := make(map[string]*cachev3.Snapshot, len(cat.Gateways))
	for _, gw := range cat.Gateways {
		res, err := envoy.Translate(cat, gw.Name)
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
			return nil, fmt.Errorf("gateway %s: %w", gw.Name, err)
		}
		all[gw.Name] = snap
	}
	return all, nil
}

func asResources[T types.Resource](list []T) []types.Resource {
	out := make([]types.Resource, len(list))
	for i, r := range list {
		out[i] = r
	}
	return out
}

// withFormerClusters adds to each snapshot the clusters that it is about to remove. A
// gateway that loses none keeps its very snapshot.
func (s *Server) withFormerClusters(next map[string]*cachev3.Snapshot) (map[string]*cachev3.Snapshot, error) {
	first := maps.Clone(next)
	for gateway, snap := range next {
		former, err := s.cache.GetSnapshot(gateway)
		if err != nil {
			continue // there is none
		}
		clusters := snap.GetResourcesAndTTL(resourcev3.ClusterType)
		union := maps.Clone(former.GetResourcesAndTTL(resourcev3.ClusterType))
		if union == nil {
			continue // the gateway comes back
		}
		maps.Copy(union, clusters)
		if len(union) == len(clusters) {
			continue
		}
		both := &cachev3.Snapshot{Resources: snap.Resources}
		both.Resources[types.Cluster].Items = union
		if err := both.ConstructVersionMap(); err != nil {
			return nil, fmt.Errorf("gateway %s: %w", gateway, err)
		}
		first[gateway] = both
	}
	return first, nil
}

// retireLater starts to wait for the moment to publish what was only held back.
func (s *Server) retireLater(first, next map[string]*cachev3.Snapshot, grace time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for gateway, snap := range next {
		if first[gateway] != snap {
			running.Go(func() { s.retire(ctx, gateway, snap, grace) })
		}
	}
	s.endRetirement = func() {
		cancel()
		running.Wait()
	}
}

// retire leaves the clusters to the next Publish when ctx ends.
func (s *Server) retire(ctx context.Context, gateway string, snap *cachev3.Snapshot, grace time.Duration) {
	if err := s.wait(ctx, gateway, 0); err != nil {
		return
	}
	select {
	case <-time.After(grace):
	case <-ctx.Done():
		return
	}
	if err := s.set(gateway, snap); err != nil {
		s.log.Error("unused clusters are not removed", "error", err)
	}
}

// forget empties the snapshots of gateways that are gone. It does not clear them from
// the library's cache, which would orphan the streams that watch them.
func (s *Server) forget(next map[string]*cachev3.Snapshot) error {
	var gone []string
	s.mu.Lock()
	for gateway := range s.gateways {
		if next[gateway] == nil {
			gone = append(gone, gateway)
			delete(s.gateways, gateway)
		}
	}
	s.notify()
	s.mu.Unlock()
	var errs []error
	for _, gateway := range gone {
		errs = append(errs, s.tell(gateway, new(cachev3.Snapshot)))
	}
	return errors.Join(errs...)
}

// set makes a snapshot what a gateway's Envoys should hold.
func (s *Server) set(gateway string, snap *cachev3.Snapshot) error {
	s.mu.Lock()
	s.gateways[gateway] = snap.VersionMap
	delete(s.warned, gateway)
	for _, st := range s.streams {
		if st.gateway == gateway {
			st.refusal = ""
		}
	}
	s.notify()
	s.mu.Unlock()
	return s.tell(gateway, snap)
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

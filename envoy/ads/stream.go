package ads

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxUnanswered bounds the responses that one Envoy may leave unanswered while it
	// goes on asking.
	maxUnanswered = 64
	// maxWarned bounds the memory of which unknown gateways the log has named.
	maxWarned = 64
	// maxLogged bounds, in bytes, what the log repeats of an Envoy's words.
	maxLogged = 2048
)

// versions maps a type URL to the names and versions of resources of that type.
type versions = map[string]map[string]string

// stream is what we know of one connected Envoy.
type stream struct {
	// gateway is empty before the first request.
	gateway string
	// held is what Envoy said it has.
	held versions
	// unanswered holds, by nonce, the responses neither acknowledged nor refused.
	unanswered map[string]*discoveryv3.DeltaDiscoveryResponse
	// refusal is the type that Envoy last refused and its reason.
	refusal string
}

// callbacks is how the library tells us what happens on streams. It calls them in the
// middle of serving, so that they never wait.
type callbacks struct{ *Server }

func (c callbacks) OnDeltaStreamOpen(_ context.Context, id int64, _ string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[id] = &stream{
		held:       make(versions),
		unanswered: make(map[string]*discoveryv3.DeltaDiscoveryResponse),
	}
	c.metrics.streams.Inc()
	return nil
}

func (c callbacks) OnDeltaStreamClosed(id int64, _ *corev3.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, id)
	c.metrics.streams.Dec()
	c.notify()
}

func (c callbacks) OnStreamDeltaResponse(id int64, _ *discoveryv3.DeltaDiscoveryRequest, res *discoveryv3.DeltaDiscoveryResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[id].unanswered[res.GetNonce()] = res
}

func (c callbacks) OnStreamDeltaRequest(id int64, req *discoveryv3.DeltaDiscoveryRequest) error {
	c.mu.Lock()
	say, err := c.note(c.streams[id], req)
	c.mu.Unlock()
	// Outside the lock: a slow log must not hold up the other streams.
	if say != nil {
		say()
	}
	return err
}

// note takes a request into account. It returns what the log should be told, if
// anything, and an error to end the stream with. The caller holds the lock.
func (s *Server) note(st *stream, req *discoveryv3.DeltaDiscoveryRequest) (say func(), err error) {
	if st.gateway == "" {
		if say, err := s.identify(st, req.GetNode()); err != nil {
			return say, err
		}
	}
	typeURL, nonce := req.GetTypeUrl(), req.GetResponseNonce()
	label, served := typeLabels[typeURL]
	switch {
	case req.GetNode() != nil && req.GetNode().GetCluster() != st.gateway:
		return nil, status.Error(codes.InvalidArgument, "node.cluster changed within the stream")
	case !served:
		return nil, status.Error(codes.InvalidArgument, "resources of this type are not served")
	case len(st.unanswered) > maxUnanswered:
		return nil, status.Error(codes.ResourceExhausted, "too many responses are unanswered")
	}
	if st.held[typeURL] == nil {
		st.held[typeURL] = make(map[string]string)
		maps.Copy(st.held[typeURL], req.GetInitialResourceVersions())
	}
	if detail := req.GetErrorDetail(); detail != nil {
		s.metrics.nacks.WithLabelValues(label).Inc()
		st.refusal = label + ": " + clip(detail.GetMessage())
		say = func() {
			s.log.Error("an envoy refused its configuration and keeps the former one",
				"gateway", st.gateway, "type", label, "error_detail", clip(detail.GetMessage()))
		}
	} else {
		st.accept(req)
	}
	delete(st.unanswered, nonce)
	s.notify()
	return say, nil
}

// identify holds a stream to the gateway that its first request names. It warns once
// of each name that is unknown: Envoy will ask again and again.
func (s *Server) identify(st *stream, node *corev3.Node) (say func(), err error) {
	gateway := node.GetCluster()
	if len(s.gateways) == 0 {
		return nil, status.Error(codes.Unavailable, "no catalogue is published yet")
	}
	if s.gateways[gateway] != nil {
		st.gateway = gateway
		return nil, nil
	}
	if !s.warned[gateway] && len(s.warned) < maxWarned {
		s.warned[gateway] = true
		known := strings.Join(slices.Sorted(maps.Keys(s.gateways)), ", ")
		say = func() {
			s.log.Warn("an envoy asks for a gateway that is not in the catalogue; node.cluster in its bootstrap must name one",
				"node_cluster", clip(gateway), "node_id", clip(node.GetId()), "gateways", known)
		}
	}
	return say, status.Error(codes.NotFound, "node.cluster is not the name of a gateway in the catalogue")
}

// accept notes what the acknowledged response brought. An Envoy that unsubscribes
// from a resource no longer has it.
func (st *stream) accept(req *discoveryv3.DeltaDiscoveryRequest) {
	held := st.held[req.GetTypeUrl()]
	if res := st.unanswered[req.GetResponseNonce()]; res.GetTypeUrl() == req.GetTypeUrl() {
		for _, r := range res.GetResources() {
			held[r.GetName()] = r.GetVersion()
		}
		for _, name := range res.GetRemovedResources() {
			delete(held, name)
		}
	}
	for _, name := range req.GetResourceNamesUnsubscribe() {
		delete(held, name)
	}
}

// progress is how far the Envoys of one gateway are.
type progress struct {
	// connected counts them; behind those that do not hold what was published last.
	connected, behind int
	// refusals are the reasons of those behind, as far as they gave one.
	refusals []string
}

// WaitAcked waits until at least one Envoy of the gateway is connected and all of its
// Envoys have acknowledged all that was published last. At the end of ctx, which
// should have a deadline, the error tells how far they are and what they refused.
func (s *Server) WaitAcked(ctx context.Context, gateway string) error {
	return s.wait(ctx, gateway, 1)
}

func (s *Server) wait(ctx context.Context, gateway string, atLeast int) error {
	for {
		s.mu.Lock()
		p, changed := s.progress(gateway), s.changed
		s.mu.Unlock()
		if p.behind == 0 && p.connected >= atLeast {
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

// progress regards all Envoys of an unknown gateway as behind. The caller holds the
// lock.
func (s *Server) progress(gateway string) progress {
	var p progress
	want := s.gateways[gateway]
	for _, st := range s.streams {
		if st.gateway != gateway {
			continue
		}
		p.connected++
		if !st.holds(want) {
			p.behind++
			if st.refusal != "" {
				p.refusals = append(p.refusals, st.refusal)
			}
		}
	}
	return p
}

func (st *stream) holds(want versions) bool {
	for typeURL := range typeLabels {
		if want == nil || !maps.Equal(st.held[typeURL], want[typeURL]) {
			return false
		}
	}
	return true
}

// notify wakes who waits for a change. The caller holds the lock.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func clip(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged]
	}
	return s
}

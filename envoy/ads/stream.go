package ads

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxUnanswered bounds the responses that one Envoy may leave unanswered while it
	// goes on asking.
	maxUnanswered = 64
	// maxWarned bounds the memory of what the log was told.
	maxWarned = 64
	// maxLogged bounds, in bytes, what the log repeats of an Envoy's words.
	maxLogged = 2048
)

// versions maps a type URL to the names and versions of resources of that type.
type versions = map[string]map[string]string

// stream is what we know of one connected Envoy.
type stream struct {
	// names are those of its certificate.
	names []string
	since time.Time
	// gateway is empty before the first request; with it come the next two.
	gateway string
	node    string
	version string // 1.40.0, or empty if it does not say
	// held is what Envoy said it has.
	held versions
	// has is the present edition if it has all of that, or nil.
	has *edition
	// revision is that of the last catalogue of which it had all; empty before.
	revision string
	// unanswered holds, by nonce, the responses neither acknowledged nor refused.
	unanswered map[string]sent
	// refusal is the type that Envoy last refused of the present edition and its reason,
	// lastError that of any edition.
	refusal, lastError string
	// askew is an Envoy of which the library believes that it has what it has not.
	askew bool
}

func newStream(names []string) *stream {
	return &stream{
		names: names, since: time.Now(), held: make(versions),
		unanswered: make(map[string]sent),
	}
}

// sent is a response, and the editions of one of which each of its resources is.
type sent struct {
	*discoveryv3.DeltaDiscoveryResponse
	editions [2]*edition
}

// judged is a stream that ends instead of sending what its peer may no longer have.
type judged struct {
	discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	server *Server
	stream *stream
}

type streamKey struct{}

// Context carries the stream to the callback that is told of it.
func (j judged) Context() context.Context {
	return context.WithValue(j.AggregatedDiscoveryService_DeltaAggregatedResourcesServer.Context(), streamKey{}, j.stream)
}

// Send implements the stream of the service.
func (j judged) Send(res *discoveryv3.DeltaDiscoveryResponse) error {
	j.server.mu.Lock()
	err := j.server.judge(j.server.gateways[j.stream.gateway], j.stream)
	if err == nil && j.stream.askew {
		// On the next stream Envoy says itself what it has.
		err = status.Error(codes.Unavailable, "connect again after the refusal")
	}
	if err == nil {
		j.server.admit(j.stream, res)
	}
	j.server.mu.Unlock()
	if err != nil {
		return err
	}
	return j.AggregatedDiscoveryService_DeltaAggregatedResourcesServer.Send(res)
}

// callbacks is how the library tells us what happens on streams. It calls them in the
// middle of serving, so that they never wait.
type callbacks struct{ *Server }

func (c callbacks) OnDeltaStreamOpen(ctx context.Context, id int64, _ string) error {
	st, ok := ctx.Value(streamKey{}).(*stream)
	if !ok {
		return status.Error(codes.Internal, "the stream was not opened by this service")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[id] = st
	c.metrics.streams.Inc()
	return nil
}

func (c callbacks) OnDeltaStreamClosed(id int64, _ *corev3.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[id] == nil {
		return
	}
	delete(c.streams, id)
	c.metrics.streams.Dec()
	c.notify()
}

// OnStreamDeltaResponse leaves everything to Send, which can refuse.
func (callbacks) OnStreamDeltaResponse(int64, *discoveryv3.DeltaDiscoveryRequest, *discoveryv3.DeltaDiscoveryResponse) {
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

// admit takes a response into account that is about to be sent. What this Envoy has
// refused is left out, and is as good as refused again. The caller holds the lock.
func (s *Server) admit(st *stream, res *discoveryv3.DeltaDiscoveryResponse) {
	out := sent{DeltaDiscoveryResponse: res}
	if g := s.gateways[st.gateway]; g != nil {
		out.editions = [2]*edition{g.edition, g.former}
		for _, r := range g.refused[st.envoy()] {
			if !r.within(res) || r.heldBy(st) {
				continue
			}
			res.Resources = slices.DeleteFunc(res.Resources, func(one *discoveryv3.Resource) bool { return r.versions[one.GetName()] != "" })
			st.askew = st.askew || len(r.versions) > 1
			s.charge(g, st, r)
		}
	}
	s.metrics.sent.WithLabelValues(typeLabels[res.GetTypeUrl()]).Add(float64(len(res.GetResources())))
	st.unanswered[res.GetNonce()] = out
}

// judge ends streams that may not, or no longer, have what they ask for. Of a gateway
// that is gone there is nothing left to have. The caller holds the lock.
func (s *Server) judge(g *gateway, st *stream) error {
	if g != nil && !g.allows(st.names) {
		s.metrics.denied.Inc()
		return status.Error(codes.PermissionDenied, "the certificate is not one for this gateway")
	}
	return nil
}

// envoy tells one Envoy from others. It may come back as another version, to which
// nothing was sent yet.
func (st *stream) envoy() string { return st.node + "\x00" + st.version }

// note takes a request into account. It returns what the log should be told, if
// anything, and an error to end the stream with. The caller holds the lock.
func (s *Server) note(st *stream, req *discoveryv3.DeltaDiscoveryRequest) (say func(), err error) {
	if st.gateway == "" {
		if say, err = s.identify(st, req.GetNode()); err != nil {
			return say, err
		}
	} else if err := s.judge(s.gateways[st.gateway], st); err != nil {
		return nil, err
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
		for name, version := range req.GetInitialResourceVersions() {
			st.held[typeURL][name] = version
			if g := s.gateways[st.gateway]; g != nil {
				g.settle(typeURL, name, version, g.edition, g.former)
			}
		}
	}
	if detail := req.GetErrorDetail(); detail != nil {
		s.metrics.nacks.WithLabelValues(label).Inc()
		st.refusal = label + ": " + clip(detail.GetMessage())
		st.lastError = st.refusal
		if s.refuse(st, st.unanswered[nonce].DeltaDiscoveryResponse, clip(detail.GetMessage())) {
			gateway, node := st.gateway, clip(st.node)
			say = func() {
				s.log.Error("an envoy refused its configuration and keeps the former one",
					"gateway", gateway, "node_id", node, "type", label, "error_detail", clip(detail.GetMessage()))
			}
		}
	} else {
		s.accept(st, req)
	}
	delete(st.unanswered, nonce)
	s.look(s.gateways[st.gateway], st)
	s.notify()
	return say, nil
}

// look sees whether an Envoy has all that it should: if all others have, too, that is
// good. The caller holds the lock.
func (s *Server) look(g *gateway, st *stream) {
	if st.has = nil; g == nil || !st.holds(g.edition) {
		return
	}
	st.has, st.revision = g.edition, g.edition.cat.Revision
	for _, other := range s.streams {
		if other.gateway == g.name && other.has != g.edition {
			return
		}
	}
	if g.good != g.edition && !g.anyRefused(g.edition) {
		g.good = g.edition
	}
}

// identify holds a stream to the gateway that its first request names, if that is one
// that its certificate allows. It warns once of each name that is unknown: Envoy will
// ask again and again.
func (s *Server) identify(st *stream, node *corev3.Node) (say func(), err error) {
	gateway := node.GetCluster()
	if len(s.gateways) == 0 {
		return nil, status.Error(codes.Unavailable, "no catalogue is published yet")
	}
	g := s.gateways[gateway]
	if g == nil {
		known := strings.Join(slices.Sorted(maps.Keys(s.gateways)), ", ")
		return s.once(gateway, func() {
			s.log.Warn("an envoy asks for a gateway that is not in the catalogue; node.cluster in its bootstrap must name one",
				"node_cluster", clip(gateway), "node_id", clip(node.GetId()), "gateways", known)
		}), status.Error(codes.NotFound, "node.cluster is not the name of a gateway in the catalogue")
	}
	if err := s.judge(g, st); err != nil {
		names := clip(strings.Join(st.names, ", "))
		return s.once(gateway+" denied to "+names, func() {
			s.log.Warn("an envoy asks for a gateway which its certificate is not for; allowed_sans of the gateway has none of its names",
				"node_cluster", gateway, "node_id", clip(node.GetId()), "certificate_names", names)
		}), err
	}
	st.gateway, st.node, st.version = gateway, clip(node.GetId()), versionOf(node)
	if isOutdated(st.version) {
		say = s.once(gateway+" runs "+st.version, func() {
			s.log.Warn("an envoy is older than the releases without known holes; update it",
				"gateway", gateway, "node_id", clip(node.GetId()), "version", st.version, "oldest_safe", strings.Join(safeReleases(), ", "))
		})
	}
	return say, nil
}

// once returns say for the first time, and nil from then on, or if it has said much. The
// next Publish starts anew. The caller holds the lock.
func (s *Server) once(what string, say func()) func() {
	if s.warned[what] || len(s.warned) >= maxWarned {
		return nil
	}
	s.warned[what] = true
	return say
}

// accept notes what the acknowledged response brought. An Envoy that unsubscribes
// from a resource no longer has it. The caller holds the lock.
func (s *Server) accept(st *stream, req *discoveryv3.DeltaDiscoveryRequest) {
	typeURL, g := req.GetTypeUrl(), s.gateways[st.gateway]
	held := st.held[typeURL]
	if res := st.unanswered[req.GetResponseNonce()]; res.GetTypeUrl() == typeURL {
		for _, r := range res.GetResources() {
			held[r.GetName()] = r.GetVersion()
			if g != nil {
				g.settle(typeURL, r.GetName(), r.GetVersion(), res.editions[:]...)
			}
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
	var want *edition
	if g := s.gateways[gateway]; g != nil {
		want = g.edition
	}
	for _, st := range s.streams {
		if st.gateway != gateway {
			continue
		}
		p.connected++
		if want == nil || st.has != want {
			p.behind++
			if st.refusal != "" {
				p.refusals = append(p.refusals, st.refusal)
			}
		}
	}
	return p
}

func (st *stream) holds(want *edition) bool {
	for typeURL := range typeLabels {
		if want == nil || !maps.Equal(st.held[typeURL], want.versions(typeURL)) {
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

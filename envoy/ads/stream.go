package ads

import (
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
	// firstWithin bounds the wait for the first request.
	firstWithin = 10 * time.Second
	// maxName bounds, in bytes, a name that an Envoy asks for, and spareNames how many it may
	// ask for of one type beyond those that there are: all tables of another catalogue.
	maxName    = 512
	spareNames = 4096
	// maxWarned bounds the memory of what the log was told.
	maxWarned = 64
	// maxLogged bounds, in bytes, what the log repeats of an Envoy's words.
	maxLogged = 2048
)

// versions maps a type URL to the names and versions of resources of that type.
type versions = map[string]map[string]string

// stream is what we know of one connected Envoy.
type stream struct {
	call discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	// names are those of its certificate.
	names []string
	since time.Time
	// gateway is empty before the first request; with it come the next three.
	gateway  string
	audience string // its key
	node     string
	version  string // 1.40.0, or empty if it does not say
	// held is what Envoy said it has.
	held versions
	// fits is the edition, or nil, that it once held all of or that came after such a one;
	// differs is where held is other than that.
	fits    *edition
	differs map[site]bool
	// has is the present edition if it has all of that, or nil; good the last of which it
	// had all.
	has, good *edition
	// done says that it has or refused each part of the present edition; slow that it was
	// waited for in vain, and has answered nothing since.
	done, slow bool
	// refused is what is not to be sent to it again, and its reasons.
	refused map[resource]string
	// revision is that of the last catalogue of which it had all; empty before.
	revision string
	// unanswered holds, by nonce, the responses neither acknowledged nor refused.
	unanswered map[string]sent
	// lastError is the type that Envoy last refused and its reason.
	lastError string
	// subscribed counts, by type, the names that it asks for.
	subscribed map[string]int
	// told has the types of which something was sent.
	told map[string]bool

	// parts are what is offered again after refusals of more, one at a time; part is the
	// nonce of the one that is on its way.
	parts []part
	part  string
	// nonces counts the responses that the library does not know of.
	nonces int

	// unused has, by type, what to take away from Envoy, grace after it has all that it
	// should. removal is the wait for that, until it has acknowledged; removing is the nonce
	// of what it has to.
	unused    map[string]map[string]bool
	removing  string
	grace     time.Duration
	removal   *time.Timer
	graceOver bool

	// due are the types that the library is to look at without a request, once woken.
	due   map[string]bool
	woken chan struct{}
}

func newStream(call discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer, names []string) *stream {
	return &stream{
		call: call, names: names, since: time.Now(), held: make(versions), unanswered: make(map[string]sent), told: make(map[string]bool),
		refused: make(map[resource]string), subscribed: make(map[string]int),
		unused: make(map[string]map[string]bool), due: make(map[string]bool), woken: make(chan struct{}, 1),
	}
}

// sent is a response, and the editions of one of which each of its resources is.
type sent struct {
	*discoveryv3.DeltaDiscoveryResponse
	editions [2]*edition
}

// part is some of the resources of a response that was refused.
type part struct {
	typeURL   string
	resources []*discoveryv3.Resource
	editions  [2]*edition
}

// judge ends streams that may not, or no longer, have what they ask for. Of a gateway
// that is gone there is nothing left to have. The caller holds the lock.
func (s *Server) judge(a *audience, st *stream) error {
	if a != nil && !a.allows(st.names) {
		s.metrics.denied.Inc()
		return status.Error(codes.PermissionDenied, "the certificate is not one for this gateway")
	}
	return nil
}

// envoy tells one Envoy from others, and from who claims its node id with another
// certificate. It may come back as another version, to which nothing was sent yet.
func (st *stream) envoy() string {
	return strings.Join(append([]string{st.node, st.version}, st.names...), "\x00")
}

// note takes a request into account. It returns what the log should be told, if
// anything, and an error to end the stream with. The caller holds the lock.
func (s *Server) note(st *stream, req *discoveryv3.DeltaDiscoveryRequest) (say func(), err error) {
	if st.gateway == "" {
		if say, err = s.identify(st, req.GetNode()); err != nil {
			return say, err
		}
	} else if err := s.judge(s.audiences[st.audience], st); err != nil {
		return nil, err
	}
	if req.GetResponseNonce() == nudged {
		return nil, nil
	}
	typeURL := req.GetTypeUrl()
	label, served := typeLabels[typeURL]
	switch {
	case req.GetNode() != nil && req.GetNode().GetCluster() != st.gateway:
		return nil, status.Error(codes.InvalidArgument, "node.cluster changed within the stream")
	case !served:
		return nil, status.Error(codes.InvalidArgument, "resources of this type are not served")
	case len(st.unanswered) > maxUnanswered:
		return nil, errUnanswered
	}
	a := s.audiences[st.audience]
	if !st.subscribe(a, req) {
		return nil, status.Error(codes.ResourceExhausted, "more, or longer, names are asked for than there are")
	}
	if st.held[typeURL] == nil {
		st.held[typeURL] = make(map[string]string)
		for name, version := range req.GetInitialResourceVersions() {
			st.hold(a, resource{typeURL, name, version})
		}
	}
	res := st.unanswered[req.GetResponseNonce()]
	st.slow = st.slow && res.DeltaDiscoveryResponse == nil
	delete(st.unanswered, req.GetResponseNonce())
	switch req.GetResponseNonce() {
	case "":
	case st.part:
		st.part = ""
	case st.removing:
		st.removing = ""
		st.stopRemoval()
	}
	if detail := req.GetErrorDetail(); detail != nil {
		s.metrics.nacks.WithLabelValues(label).Inc()
		reason := clip(detail.GetMessage())
		st.lastError = label + ": " + reason
		if s.nacked(a, st, res, reason) {
			gateway, node := st.gateway, st.node
			say = func() {
				s.log.Error("an envoy refused its configuration and keeps the former one",
					"gateway", gateway, "node_id", node, "type", label, "error_detail", reason)
			}
		}
	} else if res.GetTypeUrl() == typeURL {
		st.accept(a, res)
	}
	for _, name := range req.GetResourceNamesUnsubscribe() {
		st.lose(typeURL, name)
	}
	s.look(s.audiences[st.audience], st)
	s.notify()
	return say, nil
}

var errUnanswered = status.Error(codes.ResourceExhausted, "too many responses are unanswered")

// subscribe counts the names that an Envoy asks for, and reports whether they are as many as
// there may be: the library keeps them all. The caller holds the lock.
func (st *stream) subscribe(a *audience, req *discoveryv3.DeltaDiscoveryRequest) bool {
	typeURL, limit := req.GetTypeUrl(), spareNames
	if a != nil && a.edition != nil {
		limit += len(a.edition.versions(typeURL))
	}
	for _, name := range req.GetResourceNamesSubscribe() {
		if len(name) > maxName {
			return false
		}
	}
	st.subscribed[typeURL] += len(req.GetResourceNamesSubscribe())
	ok := st.subscribed[typeURL] <= limit
	st.subscribed[typeURL] = max(0, st.subscribed[typeURL]-len(req.GetResourceNamesUnsubscribe()))
	return ok
}

// hold notes that the Envoy has a resource. The caller holds the lock.
func (st *stream) hold(a *audience, r resource, editions ...*edition) {
	st.held[r.typeURL][r.name] = r.version
	st.compare(site{r.typeURL, r.name})
	if a != nil {
		a.settle(r, append(editions, a.edition, a.former)...)
	}
}

// accept notes what an acknowledged response brought. The caller holds the lock.
func (st *stream) accept(a *audience, res sent) {
	typeURL := res.GetTypeUrl()
	for _, r := range res.GetResources() {
		st.hold(a, resource{typeURL, r.GetName(), r.GetVersion()}, res.editions[:]...)
	}
	st.removed(res.DeltaDiscoveryResponse)
}

// look sees whether an Envoy has all that it should, or at least has answered to all. The
// caller holds the lock.
func (s *Server) look(a *audience, st *stream) {
	st.has, st.done = nil, false
	if a == nil || a.edition == nil {
		return
	}
	var all bool
	if all, st.done = st.holds(a.edition); !all {
		return
	}
	st.has, st.good, st.revision = a.edition, a.edition, a.edition.cat.Revision
	s.removeLater(st)
}

// identify holds a stream to the gateway that its first request names, if that is one
// that its certificate allows. It warns once of each name that is unknown: Envoy will
// ask again and again.
func (s *Server) identify(st *stream, node *corev3.Node) (say func(), err error) {
	gateway := node.GetCluster()
	if len(s.audiences) == 0 {
		return nil, status.Error(codes.Unavailable, "no catalogue is published yet")
	}
	a := s.audiences[gateway]
	if a == nil || a.isApart() {
		known := strings.Join(s.gatewayNames(), ", ")
		return s.once(clip(gateway), func() {
			s.log.Warn("an envoy asks for a gateway that is not in the catalogue; node.cluster in its bootstrap must name one",
				"node_cluster", clip(gateway), "node_id", clip(node.GetId()), "gateways", known)
		}), status.Error(codes.NotFound, "node.cluster is not the name of a gateway in the catalogue")
	}
	if err := s.judge(a, st); err != nil {
		names := clip(strings.Join(st.names, ", "))
		return s.once(gateway+" denied to "+names, func() {
			s.log.Warn("an envoy asks for a gateway which its certificate is not for; allowed_sans of the gateway has none of its names",
				"node_cluster", gateway, "node_id", clip(node.GetId()), "certificate_names", names)
		}), err
	}
	st.gateway, st.audience, st.node, st.version = gateway, gateway, clip(node.GetId()), versionOf(node)
	s.remember(a.gateway, st)
	s.assign(st)
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

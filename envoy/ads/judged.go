package ads

import (
	"context"
	"maps"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// judged is a stream that ends instead of sending what its peer may no longer have.
type judged struct {
	discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	server   *Server
	stream   *stream
	received chan received
	// late is when whoever has not said yet which Envoy it is must leave.
	late <-chan time.Time
}

type received struct {
	req *discoveryv3.DeltaDiscoveryRequest
	err error
}

type judgedKey struct{}

// Context carries the stream to the callback that is told of it.
func (j judged) Context() context.Context {
	return context.WithValue(j.stream.call.Context(), judgedKey{}, j)
}

// Send implements the stream of the service.
func (j judged) Send(res *discoveryv3.DeltaDiscoveryResponse) error {
	j.server.mu.Lock()
	a := j.server.audiences[j.stream.audience]
	err := j.server.judge(a, j.stream)
	if err == nil && len(j.stream.unanswered) > maxUnanswered {
		err = errUnanswered
	}
	something := err == nil && j.server.admit(a, j.stream, res)
	j.server.mu.Unlock()
	if !something {
		return err
	}
	return j.stream.call.Send(res)
}

// receive hands on Envoy's requests until the stream ends, which nothing but the end of
// the call makes happen.
func (j judged) receive() {
	for {
		req, err := j.stream.call.Recv()
		select {
		case j.received <- received{req, err}:
		case <-j.stream.call.Context().Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// nudged is the nonce of requests that are not Envoy's.
const nudged = "durward"

// Recv returns what Envoy asks for, or what makes the library look again at a type: it
// looks only when it is asked.
func (j judged) Recv() (*discoveryv3.DeltaDiscoveryRequest, error) {
	ctx := j.stream.call.Context()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-j.late:
			if !j.server.knows(j.stream) {
				return nil, context.DeadlineExceeded // ends the stream
			}
		case r := <-j.received:
			if r.err == nil && r.req.GetResponseNonce() == nudged {
				return nil, status.Error(codes.InvalidArgument, "no response has this nonce")
			}
			return r.req, r.err
		case <-j.stream.woken:
			j.server.mu.Lock()
			typeURL := j.stream.takeDue()
			j.server.mu.Unlock()
			if typeURL != "" {
				return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: nudged}, nil
			}
		}
	}
}

// knows reports whether a stream has told which Envoy it is.
func (s *Server) knows(st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return st.gateway != ""
}

// nudge makes the library look again at a type. The caller holds the lock.
func (st *stream) nudge(typeURL string) {
	st.due[typeURL] = true
	select {
	case st.woken <- struct{}{}:
	default:
	}
}

// takeDue returns one of the types that are due, the first in the order of updates, or
// nothing. The caller holds the lock.
func (st *stream) takeDue() string {
	for _, typeURL := range inOrder {
		if !st.due[typeURL] {
			continue
		}
		if delete(st.due, typeURL); len(st.due) > 0 {
			st.nudge(slices.Collect(maps.Keys(st.due))[0])
		}
		return typeURL
	}
	return ""
}

// callbacks is how the library tells us what happens on streams. It calls them where it
// sends, too, which it does not do for as long as they take.
type callbacks struct{ *Server }

func (c callbacks) OnDeltaStreamOpen(ctx context.Context, id int64, _ string) error {
	j, ok := ctx.Value(judgedKey{}).(judged)
	if !ok {
		return status.Error(codes.Internal, "the stream was not opened by this service")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[id] = j.stream
	c.metrics.streams.Inc()
	return nil
}

func (c callbacks) OnDeltaStreamClosed(id int64, _ *corev3.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.streams[id]
	if st == nil {
		return
	}
	st.stopRemoval()
	c.leftBehind(st)
	delete(c.streams, id)
	c.metrics.streams.Dec()
	c.notify()
}

// OnStreamDeltaResponse leaves everything to Send, which can refuse.
func (callbacks) OnStreamDeltaResponse(int64, *discoveryv3.DeltaDiscoveryRequest, *discoveryv3.DeltaDiscoveryResponse) {
}

func (c callbacks) OnStreamDeltaRequest(id int64, req *discoveryv3.DeltaDiscoveryRequest) error {
	c.mu.Lock()
	st := c.streams[id]
	say, err := c.note(st, req)
	var more *discoveryv3.DeltaDiscoveryResponse
	if err == nil {
		more = c.own(st)
	}
	req.Node = &corev3.Node{Cluster: st.audience} // which says what the library sends
	c.mu.Unlock()
	// Outside the lock: neither a slow log nor a slow Envoy must hold up the other streams.
	if say != nil {
		say()
	}
	if err != nil || more == nil {
		return err
	}
	return st.call.Send(more)
}

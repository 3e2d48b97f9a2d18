package catalog

import (
	"slices"
	"time"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const (
	defaultWebsocketDuration = time.Hour
	maxWebsocketDuration     = 24 * time.Hour
	// maxRequestBytes is what Envoy may have to hold of each request at once.
	maxRequestBytes = 64 << 20
)

// streams compiles what an API's requests may be beside one message and its answer. Its
// backends and operations are compiled.
func (c *compiler) streams(path string, api *API, a *durwardv1.API) {
	api.MaxRequestBytes = int(a.GetMaxRequestBytes())
	limited := c.written(path+".max_request_bytes", api.MaxRequestBytes != 0)
	if limited && (api.MaxRequestBytes < 1 || api.MaxRequestBytes > maxRequestBytes) {
		c.find(brokenRule, path+".max_request_bytes", "max_request_bytes %d is not between 1 and %d", api.MaxRequestBytes, maxRequestBytes)
	}
	if limited && api.anyBackend(func(b Backend) bool { return b.Protocol == GRPC }) {
		c.find(heldStream, path+".max_request_bytes", "the requests of gRPC API %q are streams, and Envoy would hold them until they end", api.Name)
	}
	if a.GetWebsocket() == nil {
		return
	}
	path += ".websocket"
	api.Websocket = durationOr(a.GetWebsocket().GetMaxDuration(), defaultWebsocketDuration)
	if api.Websocket < time.Second || api.Websocket > maxWebsocketDuration {
		c.find(brokenRule, path+".max_duration", "max_duration %s is not between 1s and 24h", api.Websocket)
	}
	if limited {
		c.find(heldStream, path, "API %q has max_request_bytes, and a websocket is a request that does not end", api.Name).Fix = "remove one of the two, or make the websockets an API of their own"
	}
	if api.anyBackend(func(b Backend) bool { return b.Protocol == HTTP2 || b.Protocol == GRPC }) {
		c.find(noWebsocket, path, "a backend of API %q speaks HTTP/2, over which Envoy opens no websocket", api.Name).Fix = "write protocol: http1 for its backends, or remove websocket"
	}
	if !slices.ContainsFunc(api.Operations, func(op *Operation) bool { return slices.Contains(op.Methods, "GET") }) {
		c.find(noWebsocket, path, "API %q has no operation with GET, by which websockets are opened", api.Name)
	}
	if api.anyBackend(func(b Backend) bool { return b.Timeout > api.Websocket }) {
		c.find(shortWebsocket, path+".max_duration", "max_duration %s is shorter than the timeout of a backend, and would end its requests", api.Websocket)
	}
}

func (a *API) anyBackend(is func(Backend) bool) bool { return slices.ContainsFunc(a.Backends, is) }

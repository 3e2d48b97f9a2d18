package main

import (
	_ "embed"
	"fmt"
	"io"
	"strings"
)

// foreignFilter is what an Envoy has to hold whose configuration is not ours.
//
//go:embed foreign-envoy.yaml
var foreignFilter string

// foreignNeeds are the rest of what such an Envoy owes, and what is lost if it does not pay.
var foreignNeeds = []string{
	`Every route passes the filter: no route disables it, filter_enabled is not written, and routes are not
	fetched on demand. What does not pass it is not guarded, and its headers are the caller's: identity
	headers are overwritten or removed by the answer to a check, and by nothing else.`,
	`Its routes lead where the catalogue says. Durward judges the API of the host and the path, and does not
	see the backend. backend, backends, cors, protected_resource, websocket, max_request_bytes and the
	gateways of an API, and listen, tls and trusted_hops of a gateway are only told to Envoys that get their
	configuration from Durward. The url of a gateway is also what DPoP proofs are for: one of them is the URL by
	which callers reach this Envoy.`,
	`TLS, its names and its filter chains are its own. Every chain with a route has the filter, the default one
	too: Durward judges the host of the request, whatever name the caller asked for as it connected.`,
	`upgrade_configs names websocket only where websockets are wanted: they are then open to every API, by
	operations with GET. Durward judges the handshake. A token that expires or is revoked meanwhile ends none:
	max_stream_duration of the route does, and every stream has one.`,
	`with_request_body is not written: bodies never decide. A question of more than 256 KiB, headers and body, is
	not answered, and the request does not pass.`,
	`The connection manager has normalize_path, merge_slashes, path_with_escaped_slashes_action:
	REJECT_REQUEST and headers_with_underscores_action: REJECT_REQUEST. Without them a path that can be read
	in two ways is refused with request_malformed, and a header that is spelt like an identity header is
	removed, if allowed_headers lets Durward see it. Where allowed_headers has to be written, it has
	authorization, dpop, content-type, x-request-id, traceparent and tracestate, each by exact.`,
	`encode_raw_headers is true, and :path is among the headers that are sent. Without them Envoy writes ! for
	bytes that are no UTF-8, and no path with a ! is allowed; nor is one, while foreign_envoy is written, by way
	of an Envoy that gets its configuration from Durward.`,
	`use_remote_address and xff_num_trusted_hops are as its place in the network wants them. x-forwarded-for,
	x-forwarded-proto and x-forwarded-client-cert reach the backend as Envoy leaves them; the other
	x-forwarded-* and x-envoy-* are removed. request.source_ip of rules is the peer of the connection, however
	many hops are trusted; the listener filters proxy_protocol and original_src would say who that is.`,
}

// writeForeignEnvoy prints the filter, and what else such an Envoy owes.
func writeForeignEnvoy(w io.Writer, s style) error {
	var b strings.Builder
	b.WriteString(wrap(`An Envoy that gets its configuration from somebody else asks Durward, too. Write
		foreign_envoy: true at listeners.check: the API of a request is then found by its host and path, unless
		the route names it in the context extension durward.api.`) + "\n\n")
	b.WriteString(foreignFilter + "\n" + s.good("Beside the filter") + "\n")
	for _, need := range foreignNeeds {
		b.WriteString(wrap(need) + "\n\n")
	}
	_, err := fmt.Fprint(w, strings.TrimSuffix(b.String(), "\n"))
	return err
}

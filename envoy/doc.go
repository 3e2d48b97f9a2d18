// Package envoy translates a catalogue into the configuration of the Envoys that
// enforce it: per gateway a listener, a route table and clusters, which package ads
// serves over xDS, and the bootstrap that a new Envoy starts with.
//
// It is a pure translation: no I/O, no clock, and equal catalogues give equal bytes,
// so that replicas agree on resource versions and a change sends only what changed.
//
// Routes are spread over up to 2,048 tables for hosts that APIs name in full, and 1,024
// for all others, so that a change costs a small part of the catalogue: a table is sent
// whole, and Envoy builds it anew. Scopes (SRDS) say in which table a request is
// looked up. Their key is a host and the first segment of the path, which the listener
// notes in x-durward-shard as the request enters and which backends never see. Both are
// in it, because the listener must not change when APIs do and so cannot know which one
// tells the APIs apart: many hosts spread as well as many segments on one host. A scope
// points to the table of its key's hash, for good.
//
// Envoy has no scope for all that have none, and wildcard hosts and the base path "/"
// stand for any number of keys. A request that finds no scope is therefore given another
// key by two scripts before any other filter runs: its host in lower case alone, where an
// API takes that host's every path, and else the hash of its segment, for which there is
// always a scope, under a mark that no host of a caller can be. So all requests meet a table,
// and one for nobody its checked catch-all.
//
// What does not spread: an API at "/" of a wildcard host is in all 1,024 tables of such
// hosts, and repeated on each exact host it covers. An API at "/" of an exact host takes all
// of that host's other segments, so that one table holds it and every API of wider hosts:
// beside many of these each change of one sends them all again. APIs of one host whose paths
// begin alike share a table, and so do the metadata documents of its protected resources, but
// these change with what they say alone.
//
// Trust boundary: whatever reaches a backend has passed the ext_authz filter on a
// route that this package wrote, and that route's context extension, which no caller
// can set, says which API is asked for. Headers by which a caller could pose as the
// gateway are removed where the request enters, and whatever trailers follow its body before
// it is forwarded. A request that is tried again is not
// checked again: it is the one that was, to the last header, and none but GET, HEAD,
// OPTIONS, PUT and DELETE ever is.
//
// It refuses to write anything that fails open: no failure_mode_allow, no route and no
// virtual host without a check, no per-route disabling, no on-demand routes, which
// Envoy 1.40 sends to the backend unchecked the first time, no CONNECT and no
// upgrade but to a websocket, by GET over HTTP/1.1, where an API allows it and for as long
// as it does. The listener allows that everywhere, because Envoy decides before a route is
// found that was not found at once; each route says whether it does, and a script refuses
// what came without one. The check is that of the request which opens the websocket. Envoy
// answers alone only requests for which it finds no route at all, "OPTIONS *" and
// CONNECT, with 404, and preflights from the origins that an API names, by its CORS
// filter: they carry no credential that could be checked, and no backend sees them. The
// first script refuses hosts of which we would strip a second dot or port: Envoy would
// choose an API of wildcard hosts for what reads as the host of another.
// No secret appears in what this package writes: of a gateway's certificate it says where
// Envoy finds the key.
package envoy

// Package envoy translates a catalogue into the configuration of the Envoys that
// enforce it: per gateway a listener, a route table and clusters, which package ads
// serves over xDS, and the bootstrap that a new Envoy starts with.
//
// It is a pure translation: no I/O, no clock, and equal catalogues give equal bytes,
// so that replicas agree on resource versions and a change sends only what changed.
//
// Trust boundary: whatever reaches a backend has passed the ext_authz filter on a
// route that this package wrote, and that route's context extension, which no caller
// can set, says which API is asked for. Headers by which a caller could pose as the
// gateway are removed where the request enters.
//
// It refuses to write anything that fails open: no failure_mode_allow, no route and no
// virtual host without a check, no per-route disabling, no on-demand routes, which
// Envoy 1.40 sends to the backend unchecked the first time, no CONNECT and no
// upgrades. Envoy itself answers only requests for which it finds no route at all,
// "OPTIONS *" and CONNECT, with 404, and preflights from the origins that an API names,
// by its CORS filter: they carry no credential that could be checked, and no backend
// sees them. Secrets never appear in what this package writes.
package envoy

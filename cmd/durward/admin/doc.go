// Package admin is the read-only JSON API of a running Durward, and its client: the
// state of every object, server and Envoy.
//
// Trust boundary: the port asks nobody who they are, so it is bound to loopback or a
// unix socket, answers GET alone, and only to a Host that is loopback by its very name,
// so that no page in a browser reads it through a domain of its own. It shows names,
// places and states: no person, no token, no secret. It changes nothing and refuses
// every other request. Answers are bounded in bytes and time.
package admin

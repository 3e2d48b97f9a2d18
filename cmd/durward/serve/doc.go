// Package serve is Durward running: it binds the ports, loads the configuration, wires
// the packages together and takes them down again.
//
// Trust boundary: the configuration and the secrets it names are the operator's. The
// gRPC ports answer whoever reaches them, so they bind loopback or a unix socket, or ask
// each client for a certificate, unless the configuration says `insecure: true`.
//
// A configuration applies whole or not at all: a new one that fails anywhere leaves the
// old one serving, and says so in the log, in metrics and in /readyz?verbose. The
// package refuses to start without a valid configuration, be it the copy of the last good
// one, and starts with Okta dead.
package serve

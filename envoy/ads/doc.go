// Package ads serves what package envoy wrote to the Envoys themselves: one aggregated
// delta xDS stream per Envoy, and a record of what each has acknowledged and refused.
//
// Trust boundary: an Envoy says itself, in node.cluster, which gateway it is; nothing
// here proves it. Who can connect can therefore read every gateway's resources, which
// hold no secret but name hosts and backends. The listener in front of this package
// must be loopback, a unix socket, or authenticate its callers.
//
// The package refuses the other xDS services and the state-of-the-world protocol
// (UNIMPLEMENTED), gateways that are not in the catalogue, types of resources it does
// not serve, and a catalogue of which any gateway cannot be translated: then every
// Envoy keeps what it has.
package ads
